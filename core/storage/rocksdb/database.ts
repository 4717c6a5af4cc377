/**
 * A RocksDB database, read only: its logs, its tables and its blobs as one sorted map.
 */
import { compare, equals } from "../../../encoding/bytes.ts";
import { DecodeError } from "../../../encoding/codec.ts";
import { decodeBlobPlace, readBlob } from "./blob.ts";
import { BlockCache } from "./block_cache.ts";
import type { Entry } from "./entry.ts";
import { VALUE_TYPES } from "./fields.ts";
import { damaged, OpenFiles, type ReadableFile, type ReadableFolder, unknown } from "./files.ts";
import { type ColumnFamily, readManifest } from "./manifest.ts";
import { PendingChanges } from "./pending.ts";
import { Table, type TableBlock } from "./table.ts";

/** Bytes of blocks that are kept: the indexes of some tables, and what is read just now. */
const CACHE_BYTES = 16 * 2 ** 20;
/** Files that are open at a time: below what systems allow a process by default. */
const MAX_OPEN_FILES = 64;
/** Most bytes of the file that names the manifest. */
const MAX_CURRENT_BYTES = 64;

/** A key and its value. */
export interface KeyValue {
  /** The key. */
  readonly key: Uint8Array;
  /** The value; not to be written to. */
  readonly value: Uint8Array;
}

/** A part of the database that says something about keys: what is pending, a table, or a level of tables. */
interface Source {
  /** What it says about keys from `start` to before `end`, by key, the latest of each first; it may go on behind `end`. */
  entries(start: Uint8Array, end: Uint8Array | undefined): Iterator<Entry>;
  /** When it deleted `key` together with others; -1 if it never did. */
  deletedAt(key: Uint8Array): number;
}

/** Tables that do not overlap, by their keys. */
class Level implements Source {
  readonly #tables: readonly Table[];

  constructor(tables: readonly Table[]) {
    this.#tables = tables;
  }

  *entries(start: Uint8Array, end: Uint8Array | undefined): Generator<Entry> {
    for (let i = Math.max(0, this.#find(start)); i < this.#tables.length; i++) {
      const table = this.#tables[i]!;
      if (end !== undefined && compare(table.smallest, end) >= 0) return;
      if (compare(table.largest, start) >= 0) yield* table.entries(start);
    }
  }

  deletedAt(key: Uint8Array): number {
    const table = this.#tables[this.#find(key)];
    return table === undefined || compare(table.largest, key) < 0 ? -1 : table.deletions.sequenceOf(key);
  }

  /** The last table that begins at or before `key`; -1 if none does. */
  #find(key: Uint8Array): number {
    let low = 0;
    let high = this.#tables.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compare(this.#tables[middle]!.smallest, key) <= 0) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

/**
 * One column family of a database in a folder. Reads blocks when they are needed, keeps few, and checks each. What is in its
 * logs is sorted in memory, but for long values.
 */
export class RocksDatabase {
  readonly #folder: ReadableFolder;
  readonly #files: OpenFiles;
  readonly #manifest: { readonly name: string; readonly size: number };
  readonly #sources: readonly Source[];

  /**
   * Opens the family `columnFamily`. The folder must not be written to meanwhile: see {@linkcode hasChanged}.
   *
   * @throws {StorageError} STORE_UNKNOWN if there is no such database or family, or if it has something that is not known;
   * STORE_CORRUPT, READ_FAILED.
   */
  constructor(folder: ReadableFolder, columnFamily: string) {
    this.#folder = folder;
    this.#files = new OpenFiles(folder, MAX_OPEN_FILES);
    try {
      const manifest = openManifest(folder);
      this.#manifest = { name: manifest.name, size: manifest.size };
      let family: ColumnFamily | undefined;
      try {
        family = readManifest(manifest, columnFamily);
      } finally {
        manifest.close();
      }
      if (family === undefined) throw unknown(folder.path, `the database has no ${columnFamily}`);
      const pending = new PendingChanges(this.#files, liveLogs(folder, family.logNumber), family.id);
      const cache = new BlockCache<TableBlock>(CACHE_BYTES);
      const levels = family.levels.map((level) => level.map((file) => new Table(file, this.#files, cache)));
      this.#sources = [pending, ...levels.flatMap(toSources)];
    } catch (error) {
      this.#files.close();
      throw error;
    }
  }

  /** The value of `key`. @throws {StorageError} as {@linkcode scan}. */
  get(key: Uint8Array): Uint8Array | undefined {
    const end = new Uint8Array(key.length + 1);
    end.set(key);
    for (const { value } of this.scan(key, end)) return value;
    return undefined;
  }

  /**
   * The keys from `start` to before `end`, in order, with their values.
   *
   * @throws {StorageError} STORE_CORRUPT, STORE_UNKNOWN, READ_FAILED.
   */
  *scan(start: Uint8Array, end?: Uint8Array): Generator<KeyValue> {
    for (const entry of this.#merge(start, end)) {
      const { key, type } = entry;
      if (type === VALUE_TYPES.deletion || type === VALUE_TYPES.singleDeletion) continue;
      if (this.#sources.some((source) => source.deletedAt(key) > entry.sequence)) continue;
      if (type === VALUE_TYPES.value) yield { key, value: entry.value() };
      else if (type === VALUE_TYPES.blobIndex) yield { key, value: this.#readBlob(key, entry.value()) };
      else throw unknown(this.#folder.path, `a value is of the kind ${type}`);
    }
  }

  /** Whether somebody has written to the database since it was opened: what was read may then be no state that it ever had. */
  hasChanged(): boolean {
    const manifest = openManifest(this.#folder);
    manifest.close();
    return manifest.name !== this.#manifest.name || manifest.size !== this.#manifest.size;
  }

  /** Closes its files. */
  close(): void {
    this.#files.close();
  }

  /** The latest of what the sources say about each key, by key. */
  *#merge(start: Uint8Array, end: Uint8Array | undefined): Generator<Entry> {
    const isWithin = ({ key }: Entry) => end === undefined || compare(key, end) < 0;
    const heads: { entry: Entry; readonly rest: Iterator<Entry> }[] = [];
    for (const source of this.#sources) {
      const rest = source.entries(start, end);
      const { value, done } = rest.next();
      if (done !== true && isWithin(value)) heads.push({ entry: value, rest });
    }
    while (heads.length > 0) {
      let best = heads[0]!.entry;
      for (let i = 1; i < heads.length; i++) {
        const { entry } = heads[i]!;
        const order = compare(entry.key, best.key);
        if (order < 0 || (order === 0 && entry.sequence > best.sequence)) best = entry;
      }
      yield best;
      for (let i = heads.length - 1; i >= 0; i--) {
        const head = heads[i]!;
        while (equals(head.entry.key, best.key)) {
          const { value, done } = head.rest.next();
          if (done === true || !isWithin(value)) {
            heads.splice(i, 1);
            break;
          }
          head.entry = value;
        }
      }
    }
  }

  #readBlob(key: Uint8Array, place: Uint8Array): Uint8Array {
    try {
      return readBlob(this.#files, key, decodeBlobPlace(place));
    } catch (error) {
      if (error instanceof DecodeError) throw damaged(this.#folder.path, 0, error.message, error);
      throw error;
    }
  }
}

/** Those of level 0 overlap, and are each a level of its own. */
function toSources(tables: readonly Table[], level: number): Source[] {
  if (level === 0) return tables.map((table) => new Level([table]));
  return tables.length === 0 ? [] : [new Level(tables)];
}

/** The list of files that counts. */
function openManifest(folder: ReadableFolder): ReadableFile {
  const current = folder.open("CURRENT");
  if (current === undefined) throw unknown(folder.path, "there is no database");
  let name: string;
  try {
    if (current.size > MAX_CURRENT_BYTES) throw damaged(current.name, 0, "it names no manifest");
    name = new TextDecoder().decode(current.read(0, current.size)).trimEnd();
  } finally {
    current.close();
  }
  if (!/^MANIFEST-\d+$/.test(name)) throw damaged("CURRENT", 0, "it names no manifest");
  const manifest = folder.open(name);
  if (manifest === undefined) throw damaged("CURRENT", 0, `it names ${name}, which is not there`);
  return manifest;
}

/** The numbers of the logs whose changes are not in tables, in order. */
function liveLogs(folder: ReadableFolder, from: number): number[] {
  return folder.names().filter((name) => /^\d+\.log$/.test(name)).map((name) => parseInt(name, 10))
    .filter((number) => number >= from).sort((a, b) => a - b);
}
