/**
 * The corestore 7 that was recorded, as files in memory that can be damaged.
 */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { StorageError } from "../../../core/runtime/errors.ts";
import type { ReadableFile, ReadableFolder } from "../../../core/storage/rocksdb/files.ts";

/** What was recorded. */
export interface RecordedStore {
  readonly facts: {
    readonly primaryKey: string;
    readonly logs: readonly {
      readonly key: string;
      readonly discoveryKey: string;
      readonly length: number;
      readonly fork: number;
      readonly treeHash: string;
      readonly held: number;
      readonly blocks: string;
    }[];
  };
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/** Reads the recording. */
export function recordedStore(): RecordedStore {
  const text = readFileSync(new URL("../../vectors/corestore.json", import.meta.url), "utf8");
  const { facts, files } = JSON.parse(text) as {
    facts: RecordedStore["facts"];
    files: Record<string, string>;
  };
  const unpacked = Object.entries(files).map(([name, packed]): [string, Uint8Array] => [
    name,
    Uint8Array.from(gunzipSync(Uint8Array.from(atob(packed), (char) => char.charCodeAt(0)))),
  ]);
  return { facts, files: new Map(unpacked) };
}

/** A file in memory. */
export function memoryFile(name: string, bytes: Uint8Array): ReadableFile {
  return {
    name,
    size: bytes.length,
    read(offset, length) {
      if (offset + length <= bytes.length && offset >= 0) return bytes.slice(offset, offset + length);
      throw new StorageError("READ_FAILED", `${name} ends before byte ${offset + length}`);
    },
    close() {},
  };
}

/** Files in memory as a folder. */
export function memoryFolder(files: ReadonlyMap<string, Uint8Array>): ReadableFolder {
  return {
    path: "db",
    names: () => [...files.keys()],
    open(name) {
      const bytes = files.get(name);
      return bytes && memoryFile(name, bytes);
    },
  };
}
