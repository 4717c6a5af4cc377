/**
 * A folder as two logs, as the demonstration shares it. The index has a header and then an entry for each file, in JSON; the
 * content has the bytes of one file after the other, in blocks of up to 64 KiB.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, readdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Hypercore } from "../core/hypercore.ts";
import { ProtocolError } from "../core/runtime/errors.ts";

/** The first block of the index. */
export interface FolderHeader {
  readonly type: "folder";
  readonly version: 1;
  /** The key of the content. */
  readonly content: string;
  /** How many entries follow. */
  readonly files: number;
  /** How many blocks the content has, and how many bytes. */
  readonly blocks: number;
  readonly bytes: number;
}

/** A file. */
export interface FolderEntry {
  /** Where it is in the folder, with slashes. */
  readonly path: string;
  readonly size: number;
  /** Its first block in the content, and the one behind its last. */
  readonly start: number;
  readonly end: number;
  /** The hash of its bytes, in hexadecimal. */
  readonly sha256: string;
}

const BLOCK_BYTES = 65_536;

/** The files in a folder by path, in order; without what is hidden, installed, or no file. */
export async function filesOf(root: string, folder = ""): Promise<string[]> {
  const paths: string[] = [];
  for (const item of await readdir(join(root, folder), { withFileTypes: true })) {
    if (item.name.startsWith(".") || item.name === "node_modules") continue;
    const path = folder + item.name;
    if (item.isDirectory()) paths.push(...await filesOf(root, `${path}/`));
    else if (item.isFile()) paths.push(path);
  }
  return paths.sort();
}

/** Appends a folder to two logs that are empty. */
export async function storeFolder(root: string, index: Hypercore, content: Hypercore): Promise<FolderHeader> {
  const entries: FolderEntry[] = [];
  for (const path of await filesOf(root)) entries.push(await storeFile(root, path, content));
  const header: FolderHeader = {
    type: "folder",
    version: 1,
    content: content.id,
    files: entries.length,
    blocks: content.length,
    bytes: content.byteLength,
  };
  // The header comes last and all at once: whoever sees the index sees all of it.
  await index.append([header, ...entries].map((entry) => JSON.stringify(entry)));
  return header;
}

async function storeFile(root: string, path: string, content: Hypercore): Promise<FolderEntry> {
  const hash = createHash("sha256");
  const start = content.length;
  const blocks: Uint8Array[] = [];
  for await (const chunk of createReadStream(join(root, path), { highWaterMark: BLOCK_BYTES })) {
    const block = new Uint8Array(chunk as Uint8Array);
    hash.update(block);
    blocks.push(block);
  }
  if (blocks.length > 0) await content.append(blocks);
  const size = blocks.reduce((sum, { length }) => sum + length, 0);
  return { path, size, start, end: content.length, sha256: hash.digest("hex") };
}

/** What an index says, which is fetched if need be. @throws {ProtocolError} if it is none. */
export async function readIndex(
  index: Hypercore,
  signal: AbortSignal,
): Promise<{ readonly header: FolderHeader; readonly entries: FolderEntry[] }> {
  const header = await index.get<unknown>(0, { valueEncoding: "json", signal }) as FolderHeader;
  if (header?.type !== "folder" || header.version !== 1) {
    throw new ProtocolError("DECODING_ERROR", "The log is no index of a folder");
  }
  const entries: FolderEntry[] = [];
  for await (const block of index.createReadStream({ start: 1, end: 1 + header.files, signal })) {
    entries.push(JSON.parse(new TextDecoder().decode(block)));
  }
  return { header, entries };
}

/** Writes the files of a folder, and checks each. @throws {ProtocolError} if one is not what the index says. */
export async function writeFolder(
  root: string,
  entries: readonly FolderEntry[],
  content: Hypercore,
): Promise<void> {
  for (const { path, start, end, sha256 } of entries) {
    const target = join(root, harmless(path));
    await mkdir(dirname(target), { recursive: true });
    await using file = await open(target, "w");
    const hash = createHash("sha256");
    for await (const block of content.createReadStream({ start, end })) {
      hash.update(block);
      await file.writeFile(block);
    }
    if (hash.digest("hex") === sha256) continue;
    throw new ProtocolError("INVALID_CHECKSUM", `${path} has another hash than the index says`);
  }
}

/** A path from a stranger, if it stays within the folder. */
function harmless(path: string): string {
  const parts = path.split("/");
  if (parts.every((part) => !["", ".", ".."].includes(part) && !/[\\:\0]/.test(part))) return path;
  throw new ProtocolError("DECODING_ERROR", `The index names a file ${JSON.stringify(path)}`);
}

/** One hash over all files of a folder: their paths and their bytes. */
export async function hashFolder(root: string): Promise<{ readonly sha256: string; readonly files: number }> {
  const all = createHash("sha256");
  const paths = await filesOf(root);
  for (const path of paths) {
    const { size } = await stat(join(root, path));
    all.update(`${JSON.stringify(path)} ${size}\n`);
    for await (const chunk of createReadStream(join(root, path))) all.update(chunk);
  }
  return { sha256: all.digest("hex"), files: paths.length };
}
