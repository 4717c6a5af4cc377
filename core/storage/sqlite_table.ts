/** One table of values in SQLite: rows are packs of values that follow each other. */
import { Slab } from "../../encoding/bytes.ts";
import type { Entry, Kind } from "./engine.ts";
import { PackCache } from "./pack_cache.ts";
import { MAX_PACK_BYTES, MAX_PACK_COUNT, type Pack, packsOf, Unpacked } from "./packs.ts";
import { SEGMENT_SIZE } from "./schema.ts";
import type { SqliteDatabase, SqliteStatement } from "./sqlite_host.ts";

/** Rows that are deleted at once when a segment is purged: some milliseconds. */
const PURGE_ROWS = 2000;

/** Memory for packs that were read, by kind, in bytes: half of what RocksDB takes. Nodes are kept by each log as well. */
const CACHE_BYTES: Record<Kind, number> = {
  block: 2 ** 24,
  node: 2 ** 20,
  page: 2 ** 18,
  place: 2 ** 18,
};

/** What tells the checksums of values of different kinds apart. */
const KIND_SEEDS: Record<Kind, number> = {
  block: 0x27d4eb2f,
  node: 0x165667b1,
  page: 0x5bd1e995,
  place: 0x7feb352d,
};

/** Values of one layer within one segment: row numbers and indexes differ by a constant. */
export interface Segment {
  /** Its number; its rows begin at so many times `SEGMENT_SIZE`. */
  readonly id: number;
  /** The layer. */
  readonly layer: number;
  /** The index of its first value. */
  readonly first: number;
  /** Behind the last value in it, as far as is known without looking. */
  end: number | undefined;
}

interface Row {
  readonly id: number;
  readonly count: number;
  readonly sum: number;
  readonly value: Uint8Array;
}

/** What a table needs of its engine. */
export interface TableHost {
  /** The database, with its tables. */
  readonly database: SqliteDatabase;
  /** CRC-32 of `bytes`, going on from `start`. */
  crc32(bytes: Uint8Array, start: number): number;
  /** The error for a value that is not what was written. */
  damaged(what: string): Error;
}

/** The values of one kind. */
export class SqliteTable {
  readonly #kind: Kind;
  readonly #host: TableHost;
  readonly #last: SqliteStatement;
  readonly #put: SqliteStatement;
  readonly #delete: SqliteStatement;
  readonly #purge: SqliteStatement;
  readonly #scan: SqliteStatement;
  /** Packs that were read, by the numbers of rows. */
  readonly #cache: PackCache;
  /** Where values are copied to: who gets them may change them, and what is in the cache stays what was verified. */
  readonly #copies = new Slab(MAX_PACK_BYTES);

  constructor(kind: Kind, host: TableHost) {
    const { database } = host;
    this.#kind = kind;
    this.#host = host;
    this.#cache = new PackCache(CACHE_BYTES[kind]);
    this.#last = database.prepare(
      `SELECT id, count, sum, value FROM ${kind} WHERE id >= ? AND id <= ? ORDER BY id DESC LIMIT 1`,
    );
    this.#put = database.prepare(
      `INSERT OR REPLACE INTO ${kind} (id, count, sum, value) VALUES (?, ?, ?, ?)`,
    );
    this.#delete = database.prepare(`DELETE FROM ${kind} WHERE id >= ? AND id < ?`);
    this.#purge = database.prepare(
      `DELETE FROM ${kind} WHERE id IN (SELECT id FROM ${kind} WHERE id >= ? AND id < ? LIMIT ${PURGE_ROWS})`,
    );
    this.#scan = database.prepare(
      `SELECT id, count, sum, value FROM ${kind} WHERE id >= ? AND id < ? ORDER BY id`,
    );
  }

  /** Forgets what was read, since it may have changed. */
  forget(): void {
    this.#cache.clear();
  }

  /** The value at `index`. */
  get(segment: Segment, index: number): Uint8Array | undefined {
    const id = idOf(segment, index);
    const kept = this.#cache.find(id);
    if (kept !== undefined) return this.#copy(kept.get(id));
    const row = this.#rowAt(segment, index);
    if (row === undefined) return undefined;
    this.#check(segment, row);
    const pack = new Unpacked({ ...row, first: row.id });
    if (row.value.length > MAX_PACK_BYTES) return pack.get(id);
    this.#cache.add(pack);
    return this.#copy(pack.get(id));
  }

  /** Puts values, which are in the order of their indexes, over those that may be there. */
  put(segment: Segment, entries: readonly Entry[]): void {
    for (const pack of packsOf(entries, SEGMENT_SIZE)) {
      const end = pack.first + pack.count;
      // Most of what is put is behind all that is there; a single value may also replace another one.
      if (pack.first < this.#endOf(segment) && this.#overlaps(segment, pack.first, end)) {
        this.delete(segment, pack.first, end);
      }
      this.#insert(segment, pack);
      if (end > segment.end!) segment.end = end;
    }
  }

  /** Deletes the values in [start, end). */
  delete(segment: Segment, start: number, end: number): void {
    // A row that is damaged goes whole: nobody can read the rest of it.
    const unpack = (row: Row | undefined) =>
      row !== undefined && this.#isSound(segment, row) ? this.#unpack(segment, row) : undefined;
    const before = this.#rowAt(segment, start);
    const first = unpack(before);
    const last = unpack(this.#rowAt(segment, end - 1));
    const rest = [...first?.entries(first.first, start) ?? [], ...last?.entries(end, last.end) ?? []];
    this.#delete.run(before?.id ?? idOf(segment, start), idOf(segment, end));
    for (const pack of packsOf(rest, SEGMENT_SIZE)) this.#insert(segment, pack);
    this.#cache.clear();
  }

  /** The packs with values in [start, end), in order. */
  *packs(segment: Segment, start: number, end: number): Generator<Unpacked> {
    const first = start === segment.first ? undefined : this.#packAt(segment, start);
    const from = idOf(segment, first?.first ?? start);
    for (const row of this.#scan.iterate(from, idOf(segment, end)) as Iterable<Row>) {
      yield this.#unpack(segment, row);
    }
  }

  /** Deletes some rows of a segment; whether none is left. */
  purge(segment: number): boolean {
    const { changes } = this.#purge.run(segment * SEGMENT_SIZE, (segment + 1) * SEGMENT_SIZE);
    this.#cache.clear();
    return Number(changes) < PURGE_ROWS;
  }

  /** Which rows are not what was written. */
  *problems(segment: Segment): Generator<string> {
    const from = segment.id * SEGMENT_SIZE;
    for (const row of this.#scan.iterate(from, from + SEGMENT_SIZE) as Iterable<Row>) {
      if (!this.#isSound(segment, row)) yield this.#nameOf(segment, row);
    }
  }

  /** Deletes the rows that are not what was written. Where all are, that is about the segment, and they stay. */
  dropDamaged(segment: Segment): void {
    const from = segment.id * SEGMENT_SIZE;
    const damaged: Row[] = [];
    let isAnySound = false;
    for (const row of this.#scan.iterate(from, from + SEGMENT_SIZE) as Iterable<Row>) {
      if (this.#isSound(segment, row)) isAnySound = true;
      else damaged.push(row);
    }
    if (!isAnySound && damaged.length > 1) return;
    for (const { id } of damaged) this.#delete.run(id, id + 1);
    this.#cache.clear();
  }

  #packAt(segment: Segment, index: number): Unpacked | undefined {
    const row = this.#rowAt(segment, index);
    return row && this.#unpack(segment, row);
  }

  #rowAt(segment: Segment, index: number): Row | undefined {
    const id = idOf(segment, index);
    const lowest = Math.max(segment.id * SEGMENT_SIZE, id - MAX_PACK_COUNT + 1);
    const row = this.#last.get(lowest, id) as Row | undefined;
    return row === undefined || row.id + row.count <= id ? undefined : row;
  }

  /** Whether anything is in [start, end) but one value that [start, end) replaces. */
  #overlaps(segment: Segment, start: number, end: number): boolean {
    const [first, last] = [idOf(segment, start), idOf(segment, end - 1)];
    const row = this.#last.get(Math.max(segment.id * SEGMENT_SIZE, first - MAX_PACK_COUNT + 1), last) as
      | Row
      | undefined;
    return row !== undefined && row.id + row.count > first;
  }

  #endOf(segment: Segment): number {
    if (segment.end !== undefined) return segment.end;
    const from = segment.id * SEGMENT_SIZE;
    const row = this.#last.get(from, from + SEGMENT_SIZE - 1) as Row | undefined;
    return segment.end = row === undefined ? segment.first : segment.first + row.id + row.count - from;
  }

  #insert(segment: Segment, pack: Pack): void {
    this.#put.run(idOf(segment, pack.first), pack.count, this.#sum(segment, pack.first, pack), pack.value);
  }

  #unpack(segment: Segment, row: Row): Unpacked {
    this.#check(segment, row);
    return new Unpacked({ first: indexOf(segment, row), count: row.count, value: row.value });
  }

  #check(segment: Segment, row: Row): void {
    if (this.#isSound(segment, row)) return;
    throw this.#host.damaged(`${this.#kind} ${indexOf(segment, row)}`);
  }

  #copy(value: Uint8Array): Uint8Array {
    const copy = this.#copies.alloc(value.length);
    copy.set(value);
    return copy;
  }

  #isSound(segment: Segment, row: Row): boolean {
    // Of damaged rows even the types of columns may be others.
    return row.value instanceof Uint8Array && row.sum === this.#sum(segment, indexOf(segment, row), row);
  }

  #nameOf(segment: Segment, row: Row): string {
    return `layer ${segment.layer}: ${this.#kind} ${indexOf(segment, row)}`;
  }

  /** A checksum that differs from place to place. */
  #sum(
    { layer }: Segment,
    index: number,
    { count, value }: { readonly count: number; readonly value: Uint8Array },
  ): number {
    const place = Math.imul(layer + 1, 0x9e3779b1) ^ Math.imul(index | 0, 0x85ebca6b) ^
      Math.imul(Math.floor(index / 2 ** 32) + 1, 0xc2b2ae35) ^ Math.imul(count - 1, 0x2c1b3c6d) ^
      KIND_SEEDS[this.#kind];
    return this.#host.crc32(value, place >>> 0);
  }
}

function indexOf(segment: Segment, { id }: Row): number {
  return segment.first + id - segment.id * SEGMENT_SIZE;
}

function idOf(segment: Segment, index: number): number {
  return segment.id * SEGMENT_SIZE + index - segment.first;
}
