/**
 * Tables: sorted entries in blocks, with an index to find them.
 */
import { compare } from "../../../encoding/bytes.ts";
import { Cursor, DecodeError } from "../../../encoding/codec.ts";
import { readUint32 } from "../../../encoding/fixed.ts";
import {
  type Block,
  BLOCK_TRAILER_BYTES,
  type BlockHandle,
  dataBlock,
  indexBlock,
  takeHandle,
} from "./block.ts";
import type { BlockCache } from "./block_cache.ts";
import type { Entry } from "./entry.ts";
import { decodeInternalKey, KEY_SUFFIX_BYTES, VALUE_TYPES } from "./fields.ts";
import { damaged, type OpenFiles, type ReadableFile, unknown } from "./files.ts";
import { decodeFooter, type Footer, FOOTER_BYTES, sumOf } from "./footer.ts";
import type { TableFile } from "./manifest.ts";
import { type RangeDeletion, RangeDeletions } from "./tombstones.ts";

/** Names in the index of what is beside the data. */
const META = {
  index: "rocksdb.index",
  properties: "rocksdb.properties",
  rangeDeletions: "rocksdb.range_del",
} as const;
/** Kinds of indexes (`BlockBasedTableOptions::IndexType`): one block; or a block of blocks. */
const INDEX_BINARY = 0;
const INDEX_TWO_LEVELS = 2;
/** Most bytes of a block: what a database makes by itself stays far below. */
const MAX_BLOCK_BYTES = 2 ** 28;

/** The two kinds of blocks, as a cache has them. */
export type TableBlock = Block<Uint8Array> | Block<BlockHandle>;

/** What is known of a table once it was opened. */
interface TableInfo {
  readonly footer: Footer;
  readonly index: BlockHandle;
  readonly isTwoLevel: boolean;
  /** Whether the keys of the index have versions. */
  readonly indexKeySuffix: number;
  readonly isIndexDelta: boolean;
  readonly deletions: RangeDeletions;
}

/** One table. Opens its file when it is first read, and checks what it reads. */
export class Table {
  /** The name of its file. */
  readonly name: string;
  readonly #file: TableFile;
  readonly #files: OpenFiles;
  readonly #cache: BlockCache<TableBlock>;
  #info: TableInfo | undefined;

  /** A table of `files`, whose blocks go through `cache`. */
  constructor(file: TableFile, files: OpenFiles, cache: BlockCache<TableBlock>) {
    this.name = `${String(file.number).padStart(6, "0")}.sst`;
    this.#file = file;
    this.#files = files;
    this.#cache = cache;
  }

  /** The first key that it may say something about. */
  get smallest(): Uint8Array {
    return this.#file.smallest.key;
  }

  /** The last such key. */
  get largest(): Uint8Array {
    return this.#file.largest.key;
  }

  /** Ranges that were deleted, as far as this table is concerned. @throws {StorageError} as {@linkcode entries}. */
  get deletions(): RangeDeletions {
    return this.#load().deletions;
  }

  /**
   * What it says about keys from `start` on, by key; the latest of each key comes first.
   *
   * @throws {StorageError} STORE_CORRUPT, STORE_UNKNOWN, READ_FAILED.
   */
  *entries(start: Uint8Array): Generator<Entry> {
    const info = this.#load();
    for (const handle of this.#dataBlocks(info, info.index, start, info.isTwoLevel)) {
      const block = this.#block(handle, (bytes) => dataBlock(bytes, KEY_SUFFIX_BYTES));
      yield* this.#guard(handle.offset, block.entries(start), ({ key: internal, value }) => {
        const { key, sequence, type } = decodeInternalKey(internal);
        return { key, sequence, type, value: () => value };
      });
    }
  }

  *#dataBlocks(
    info: TableInfo,
    handle: BlockHandle,
    start: Uint8Array,
    isTop: boolean,
  ): Generator<BlockHandle> {
    const index = this.#block(handle, (bytes) => indexBlock(bytes, info.indexKeySuffix, info.isIndexDelta));
    for (const below of this.#guard(handle.offset, index.entries(start), ({ value }) => value)) {
      if (isTop) yield* this.#dataBlocks(info, below, start, false);
      else yield below;
    }
  }

  /** Passes on what `source` yields; what cannot be decoded is an error of the file. */
  *#guard<T, U>(offset: number, source: Generator<T>, map: (value: T) => U): Generator<U> {
    for (;;) {
      let next: U;
      try {
        const { value, done } = source.next();
        if (done) return;
        next = map(value);
      } catch (error) {
        throw this.#toDamage(error, offset);
      }
      yield next;
    }
  }

  #toDamage(error: unknown, offset: number): unknown {
    return error instanceof DecodeError ? damaged(this.name, offset, error.message, error) : error;
  }

  #block<T extends TableBlock>(handle: BlockHandle, parse: (bytes: Uint8Array) => T): T {
    return this.#cache.get(`${this.#file.number}:${handle.offset}`, () => {
      const bytes = this.#read(this.#load().footer, handle);
      try {
        return { block: parse(bytes), bytes: bytes.length };
      } catch (error) {
        throw this.#toDamage(error, handle.offset);
      }
    }) as T;
  }

  #read(footer: Footer, handle: BlockHandle): Uint8Array {
    const file = this.#openFile();
    const { offset, size } = handle;
    if (size > MAX_BLOCK_BYTES || offset + size + BLOCK_TRAILER_BYTES > file.size) {
      throw damaged(this.name, offset, `a block of ${size} bytes is not there`);
    }
    const bytes = file.read(offset, size + BLOCK_TRAILER_BYTES);
    const sum = sumOf(footer, offset, bytes.subarray(0, size + 1));
    if (sum !== undefined && sum !== readUint32(bytes, size + 1)) {
      throw damaged(this.name, offset, "the checksum of a block does not fit");
    }
    if (bytes[size] !== 0) throw unknown(this.name, `a block is compressed, by method ${bytes[size]}`);
    return bytes.subarray(0, size);
  }

  #openFile(): ReadableFile {
    const file = this.#files.get(this.name);
    if (file.size === this.#file.size) return file;
    throw damaged(this.name, file.size, `the file has ${file.size} bytes instead of ${this.#file.size}`);
  }

  #load(): TableInfo {
    return this.#info ??= this.#loadInfo();
  }

  #loadInfo(): TableInfo {
    const file = this.#openFile();
    const footerAt = file.size - FOOTER_BYTES;
    if (footerAt < 0) throw damaged(this.name, 0, "the file is too short for a table");
    let footer: Footer;
    try {
      footer = decodeFooter(file.read(footerAt, FOOTER_BYTES), footerAt, this.name);
    } catch (error) {
      throw this.#toDamage(error, footerAt);
    }
    const meta = this.#meta(footer);
    const index = meta.get(META.index);
    const properties = meta.get(META.properties);
    if (index === undefined || properties === undefined) {
      throw damaged(this.name, footer.metaIndex.offset, "the table has no index");
    }
    return {
      footer,
      index,
      ...this.#indexForm(footer, properties),
      deletions: new RangeDeletions(this.#rangeDeletions(footer, meta.get(META.rangeDeletions))),
    };
  }

  /** What is beside the data, by name. */
  #meta(footer: Footer): Map<string, BlockHandle> {
    const meta = new Map<string, BlockHandle>();
    for (const [name, value] of this.#entriesOf(footer, footer.metaIndex, 0)) {
      try {
        meta.set(text(name), takeHandle(new Cursor(value)));
      } catch (error) {
        throw this.#toDamage(error, footer.metaIndex.offset);
      }
    }
    return meta;
  }

  #indexForm(footer: Footer, handle: BlockHandle): Omit<TableInfo, "footer" | "index" | "deletions"> {
    const properties = new Map<string, Uint8Array>();
    for (const [name, value] of this.#entriesOf(footer, handle, 0)) properties.set(text(name), value);
    const number = (name: string) => properties.get(name)?.[0] ?? 0;
    const type = number("rocksdb.block.based.table.index.type");
    if (type !== INDEX_BINARY && type !== INDEX_TWO_LEVELS) {
      throw unknown(this.name, `it has an index of type ${type}`);
    }
    if (number("rocksdb.external_sst_file.version") !== 0) {
      throw unknown(this.name, "the table was made elsewhere and taken in");
    }
    return {
      isTwoLevel: type === INDEX_TWO_LEVELS,
      indexKeySuffix: number("rocksdb.index.key.is.user.key") === 1 ? 0 : KEY_SUFFIX_BYTES,
      isIndexDelta: number("rocksdb.index.value.is.delta.encoded") === 1,
    };
  }

  #rangeDeletions(footer: Footer, handle: BlockHandle | undefined): RangeDeletion[] {
    if (handle === undefined) return [];
    const { smallest, largest } = this.#file;
    // A deletion may have been cut where this table ends, and still be written whole: beyond, it says nothing.
    const last = largest.type === VALUE_TYPES.rangeDeletion && largest.sequence === Infinity
      ? largest.key
      : behind(largest.key);
    return Array.from(this.#entriesOf(footer, handle, KEY_SUFFIX_BYTES), ([internal, end]) => {
      const { key, sequence } = decodeInternalKey(internal);
      return { start: later(key, smallest.key), end: earlier(end, last).slice(), sequence };
    });
  }

  /** All entries of a block that is read once. */
  *#entriesOf(footer: Footer, handle: BlockHandle, keySuffix: number): Generator<[Uint8Array, Uint8Array]> {
    const bytes = this.#read(footer, handle);
    try {
      for (const { key, value } of dataBlock(bytes, keySuffix).entries()) yield [key, value];
    } catch (error) {
      throw this.#toDamage(error, handle.offset);
    }
  }
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

function later(a: Uint8Array, b: Uint8Array): Uint8Array {
  return compare(a, b) < 0 ? b : a;
}

function earlier(a: Uint8Array, b: Uint8Array): Uint8Array {
  return compare(a, b) < 0 ? a : b;
}

/** The first key behind `key`. */
function behind(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}
