/**
 * Values in the tables of SQLite.
 */
import { StorageError } from "../runtime/errors.ts";
import type { Engine, Entry, Kind } from "./engine.ts";
import { SEGMENT_SIZE } from "./schema.ts";
import { toStorageError } from "./sqlite_errors.ts";
import type { StoreSize } from "./storage.ts";

/** A statement, as `node:sqlite` has it. */
export interface SqliteStatement {
  run(...values: (number | string | Uint8Array)[]): { readonly changes: number | bigint };
  get(...values: (number | string | Uint8Array)[]): unknown;
  iterate(...values: (number | string | Uint8Array)[]): Iterable<unknown>;
}

/** A database, as `node:sqlite` has it. */
export interface SqliteDatabase {
  exec(sql: string): void;
  prepare(sql: string): SqliteStatement;
  close(): void;
}

/** What the engine needs from the host. */
export interface SqliteHost {
  /** The database, with its tables. */
  readonly database: SqliteDatabase;
  /** Where it is, for messages. */
  readonly path: string;
  /** CRC-32 of `bytes`, going on from `start`. */
  crc32(bytes: Uint8Array, start: number): number;
  /** Makes what was committed safe. */
  sync(): Promise<void>;
  /** Lets other work go first. */
  rest(): Promise<void>;
  /** Closes what the host has opened. */
  close(): void;
}

/** Rows that are deleted at once when a layer is purged: some milliseconds. */
const PURGE_ROWS = 2000;
/** Free pages that are given back at once: some milliseconds. */
const SHRINK_PAGES = 2000;
/** Bytes that are copied at once from layer to layer. */
const COPY_BYTES = 2 ** 20;

/** What tells the checksums of values of different kinds apart. */
const KIND_SEEDS: Record<Kind, number> = { block: 0x27d4eb2f, node: 0x165667b1, page: 0x5bd1e995 };

interface Row {
  readonly id: number;
  readonly sum: number;
  readonly value: Uint8Array;
}

/** The statements of one table. */
class Table {
  readonly get: SqliteStatement;
  readonly put: SqliteStatement;
  readonly delete: SqliteStatement;
  readonly purge: SqliteStatement;
  readonly scan: SqliteStatement;

  constructor(database: SqliteDatabase, name: Kind) {
    this.get = database.prepare(`SELECT sum, value FROM ${name} WHERE id = ?`);
    this.put = database.prepare(`INSERT OR REPLACE INTO ${name} (id, sum, value) VALUES (?, ?, ?)`);
    this.delete = database.prepare(`DELETE FROM ${name} WHERE id >= ? AND id < ?`);
    this.purge = database.prepare(
      `DELETE FROM ${name} WHERE id IN (SELECT id FROM ${name} WHERE id >= ? AND id < ? LIMIT ${PURGE_ROWS})`,
    );
    this.scan = database.prepare(
      `SELECT id, sum, value FROM ${name} WHERE id >= ? AND id < ? ORDER BY id`,
    );
  }
}

/** An {@linkcode Engine} over SQLite. */
export class SqliteEngine implements Engine {
  readonly #host: SqliteHost;
  readonly #tables: Record<Kind, Table>;
  readonly #begin: SqliteStatement;
  readonly #commit: SqliteStatement;
  readonly #rollback: SqliteStatement;
  readonly #getNamed: SqliteStatement;
  readonly #putNamed: SqliteStatement;
  readonly #deleteNamed: SqliteStatement;
  readonly #names: SqliteStatement;
  readonly #findSegment: SqliteStatement;
  readonly #addSegment: SqliteStatement;
  readonly #segmentsBetween: SqliteStatement;
  readonly #anySegment: SqliteStatement;
  readonly #deleteSegment: SqliteStatement;
  /** Segments that were used, by layer, kind and upper bits. */
  readonly #segments = new Map<number, Record<Kind, Map<number, number>>>();

  constructor(host: SqliteHost) {
    this.#host = host;
    const { database } = host;
    this.#tables = {
      block: new Table(database, "block"),
      node: new Table(database, "node"),
      page: new Table(database, "page"),
    };
    this.#begin = database.prepare("BEGIN IMMEDIATE");
    this.#commit = database.prepare("COMMIT");
    this.#rollback = database.prepare("ROLLBACK");
    this.#getNamed = database.prepare("SELECT sum, value FROM named WHERE layer = ? AND name = ?");
    this.#putNamed = database.prepare(
      "INSERT OR REPLACE INTO named (layer, name, sum, value) VALUES (?, ?, ?, ?)",
    );
    this.#deleteNamed = database.prepare("DELETE FROM named WHERE layer = ? AND name = ?");
    this.#names = database.prepare("SELECT name FROM named WHERE layer = ? AND name >= ? ORDER BY name");
    this.#findSegment = database.prepare("SELECT id FROM segment WHERE layer = ? AND kind = ? AND high = ?");
    this.#addSegment = database.prepare(
      "INSERT INTO segment (layer, kind, high) VALUES (?, ?, ?) RETURNING id",
    );
    this.#segmentsBetween = database.prepare(
      "SELECT id, high FROM segment WHERE layer = ? AND kind = ? AND high >= ? AND high <= ? ORDER BY high",
    );
    this.#anySegment = database.prepare("SELECT id, kind FROM segment WHERE layer = ? LIMIT 1");
    this.#deleteSegment = database.prepare("DELETE FROM segment WHERE id = ?");
  }

  transaction(work: () => void): void {
    this.#do("WRITE_FAILED", () => {
      this.#begin.run();
      try {
        work();
        this.#commit.run();
      } catch (error) {
        this.#segments.clear();
        // Some failures have ended the transaction already.
        try {
          this.#rollback.run();
        } catch { /* then there is nothing to roll back */ }
        throw error;
      }
    });
  }

  get(layer: number, kind: Kind, index: number): Uint8Array | undefined {
    let row: Row | undefined;
    try {
      const segment = this.#segment(layer, kind, Math.floor(index / SEGMENT_SIZE));
      if (segment === undefined) return undefined;
      row = this.#tables[kind].get.get(segment * SEGMENT_SIZE + index % SEGMENT_SIZE) as Row | undefined;
    } catch (error) {
      throw toStorageError(error, this.#host.path, "READ_FAILED");
    }
    if (row === undefined) return undefined;
    if (row.sum !== this.#sum(layer, kind, index, row.value)) throw this.#damaged(`${kind} ${index}`);
    return row.value;
  }

  put(layer: number, kind: Kind, index: number, value: Uint8Array): void {
    const high = Math.floor(index / SEGMENT_SIZE);
    const segment = this.#segment(layer, kind, high) ?? this.#newSegment(layer, kind, high);
    const id = segment * SEGMENT_SIZE + index % SEGMENT_SIZE;
    this.#tables[kind].put.run(id, this.#sum(layer, kind, index, value), value);
  }

  delete(layer: number, kind: Kind, start: number, end: number): void {
    for (const { from, to } of this.#ranges(layer, kind, start, end)) this.#tables[kind].delete.run(from, to);
  }

  copy(from: number, to: number, kind: Kind, start: number, end: number): void {
    for (let at = start; at < end;) {
      const entries = this.scan(from, kind, at, end, COPY_BYTES);
      for (const { index, value } of entries) {
        if (this.get(to, kind, index) === undefined) this.put(to, kind, index, value);
      }
      at = entries.length === 0 ? end : entries.at(-1)!.index + 1;
    }
  }

  scan(layer: number, kind: Kind, start: number, end: number, maxBytes: number): Entry[] {
    const entries: Entry[] = [];
    let left = maxBytes;
    this.#do("READ_FAILED", () => {
      for (const { from, to, first } of this.#ranges(layer, kind, start, end)) {
        for (const row of this.#tables[kind].scan.iterate(from, to) as Iterable<Row>) {
          const index = first + row.id - from;
          if (row.sum !== this.#sum(layer, kind, index, row.value)) throw this.#damaged(`${kind} ${index}`);
          left -= row.value.length;
          if (left < 0 && entries.length > 0) return;
          entries.push({ index, value: row.value });
        }
      }
    });
    return entries;
  }

  getNamed(layer: number, name: string): Uint8Array | undefined {
    return this.#do("READ_FAILED", () => {
      const row = this.#getNamed.get(layer, name) as Row | undefined;
      if (row === undefined) return undefined;
      if (row.sum !== this.#namedSum(layer, name, row.value)) throw this.#damaged(name);
      return row.value;
    });
  }

  putNamed(layer: number, name: string, value: Uint8Array | undefined): void {
    if (value === undefined) this.#deleteNamed.run(layer, name);
    else this.#putNamed.run(layer, name, this.#namedSum(layer, name, value), value);
  }

  names(layer: number, prefix: string): string[] {
    return this.#do("READ_FAILED", () => {
      const names: string[] = [];
      for (const { name } of this.#names.iterate(layer, prefix) as Iterable<{ name: string }>) {
        if (!name.startsWith(prefix)) break;
        names.push(name);
      }
      return names;
    });
  }

  purge(layer: number): boolean {
    let isEmpty = false;
    this.transaction(() => {
      const segment = this.#anySegment.get(layer) as { id: number; kind: Kind } | undefined;
      if (segment === undefined) {
        for (const name of this.names(layer, "")) this.putNamed(layer, name, undefined);
        isEmpty = true;
        return;
      }
      const { id, kind } = segment;
      const { changes } = this.#tables[kind].purge.run(id * SEGMENT_SIZE, (id + 1) * SEGMENT_SIZE);
      if (Number(changes) < PURGE_ROWS) this.#deleteSegment.run(id);
    });
    if (isEmpty) this.#segments.delete(layer);
    return isEmpty;
  }

  shrink(): boolean {
    return this.#do("WRITE_FAILED", () => {
      const { database } = this.#host;
      if (this.size().freeBytes > 0) {
        database.exec(`PRAGMA incremental_vacuum(${SHRINK_PAGES})`);
        if (this.size().freeBytes > 0) return false;
      }
      // What was given back is in the log still; this brings it to the file, and cuts both.
      database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
      return true;
    });
  }

  size(): StoreSize {
    return this.#do("READ_FAILED", () => {
      const pageSize = this.#pragma("page_size");
      return {
        bytes: this.#pragma("page_count") * pageSize,
        freeBytes: this.#pragma("freelist_count") * pageSize,
      };
    });
  }

  rest(): Promise<void> {
    return this.#host.rest();
  }

  sync(): Promise<void> {
    return this.#host.sync();
  }

  close(): void {
    this.#do("WRITE_FAILED", () => {
      this.#host.database.close();
      this.#host.close();
    });
  }

  /** What is wrong with the file, in SQLite's words and the engine's; nothing, if all is well. */
  *problems(): Generator<string> {
    for (const row of this.#host.database.prepare("PRAGMA integrity_check").iterate()) {
      const [text] = Object.values(row as Record<string, string>);
      if (text !== "ok") yield text!;
    }
    const layers = this.#host.database.prepare("SELECT DISTINCT layer FROM segment");
    for (const { layer } of [...layers.iterate() as Iterable<{ layer: number }>]) {
      for (const kind of ["block", "node", "page"] as const) yield* this.#problemsOf(layer, kind);
    }
    const named = this.#host.database.prepare("SELECT layer, name, sum, value FROM named");
    for (const row of named.iterate() as Iterable<Row & { layer: number; name: string }>) {
      if (row.sum !== this.#namedSum(row.layer, row.name, row.value)) yield `layer ${row.layer}: ${row.name}`;
    }
  }

  *#problemsOf(layer: number, kind: Kind): Generator<string> {
    for (const { from, to, first } of this.#ranges(layer, kind, 0, Infinity)) {
      for (const row of this.#tables[kind].scan.iterate(from, to) as Iterable<Row>) {
        const index = first + row.id - from;
        if (row.sum !== this.#sum(layer, kind, index, row.value)) yield `layer ${layer}: ${kind} ${index}`;
      }
    }
  }

  /** The rows of [start, end), segment by segment; `first` is the index of the row `from`. */
  #ranges(
    layer: number,
    kind: Kind,
    start: number,
    end: number,
  ): { from: number; to: number; first: number }[] {
    if (start >= end) return [];
    const [low, high] = [Math.floor(start / SEGMENT_SIZE), Math.ceil(Math.min(end, 2 ** 53) / SEGMENT_SIZE)];
    const rows = this.#segmentsBetween.iterate(layer, kind, low, high) as Iterable<
      { id: number; high: number }
    >;
    return [...rows].map(({ id, high }) => {
      const first = Math.max(start, high * SEGMENT_SIZE);
      const from = id * SEGMENT_SIZE + first - high * SEGMENT_SIZE;
      const to = id * SEGMENT_SIZE + Math.min(SEGMENT_SIZE, end - high * SEGMENT_SIZE);
      return { from, to, first };
    }).filter(({ from, to }) => from < to);
  }

  #segment(layer: number, kind: Kind, high: number): number | undefined {
    const known = this.#segments.get(layer)?.[kind].get(high);
    if (known !== undefined) return known;
    const row = this.#findSegment.get(layer, kind, high) as { id: number } | undefined;
    return row === undefined ? undefined : this.#remember(layer, kind, high, row.id);
  }

  #newSegment(layer: number, kind: Kind, high: number): number {
    const { id } = this.#addSegment.get(layer, kind, high) as { id: number };
    return this.#remember(layer, kind, high, id);
  }

  #remember(layer: number, kind: Kind, high: number, id: number): number {
    let segments = this.#segments.get(layer);
    if (segments === undefined) {
      segments = { block: new Map(), node: new Map(), page: new Map() };
      this.#segments.set(layer, segments);
    }
    segments[kind].set(high, id);
    return id;
  }

  /** A checksum of a value that differs from place to place. */
  #sum(layer: number, kind: Kind, index: number, value: Uint8Array): number {
    const place = Math.imul(layer + 1, 0x9e3779b1) ^ Math.imul(index | 0, 0x85ebca6b) ^
      Math.imul(Math.floor(index / 2 ** 32) + 1, 0xc2b2ae35) ^ KIND_SEEDS[kind];
    return this.#crc32(value, place >>> 0);
  }

  #namedSum(layer: number, name: string, value: Uint8Array): number {
    let place = layer + 1;
    for (let i = 0; i < name.length; i++) place = Math.imul(place ^ name.charCodeAt(i), 0x01000193);
    return this.#crc32(value, place >>> 0);
  }

  /** Node's CRC of no bytes forgets where it began, or does not, as the array has memory or has none. */
  #crc32(value: Uint8Array, start: number): number {
    return value.length === 0 ? start : this.#host.crc32(value, start);
  }

  #pragma(name: string): number {
    return Object.values(this.#host.database.prepare(`PRAGMA ${name}`).get() as Record<string, number>)[0]!;
  }

  #damaged(what: string): StorageError {
    const text = `The store ${this.#host.path} is damaged: ${what} is not what was written. ` +
      "Fetch the log again from its peers, or open a copy from before";
    return new StorageError("STORE_CORRUPT", text);
  }

  #do<T>(otherwise: "READ_FAILED" | "WRITE_FAILED", work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw toStorageError(error, this.#host.path, otherwise);
    }
  }
}
