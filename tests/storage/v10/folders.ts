/** Folders that old releases of the reference left, as `record_v10_folders.mjs` has recorded them. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fromBase64 } from "../../../encoding/text.ts";
import { readVectors } from "../../crypto/support.ts";

/** A folder, and what its logs hold. */
export interface RecordedFolder {
  readonly name: string;
  readonly files: Readonly<Record<string, string>>;
  readonly logs: readonly {
    readonly key: string;
    readonly discoveryKey: string;
    readonly length: number;
    readonly fork: number;
    readonly byteLength: number;
    readonly treeHash: string;
    readonly blocks: readonly (string | null)[];
  }[];
}

/** `tests/vectors/v10_folders.json`. */
export const recordedFolders: readonly RecordedFolder[] =
  readVectors<{ folders: readonly RecordedFolder[] }>("v10_folders.json").folders;

/** Puts the files of a recorded folder where `folder` is. */
export function restore({ files }: RecordedFolder, folder: string): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), fromBase64(content));
  }
}
