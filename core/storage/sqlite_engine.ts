/**
 * Values in the tables of SQLite.
 */
import { StorageError } from "../runtime/errors.ts";
import { type Engine, type Entry, type Kind, KINDS, transact } from "./engine.ts";
import { bySegment, inOrder } from "./entry_order.ts";
import { DOOMED, LOG, NO_LAYER, USER_DATA } from "./layers.ts";
import { SEGMENT_SIZE } from "./schema.ts";
import { toStorageError } from "./sqlite_errors.ts";
import type { SqliteHost, SqliteStatement } from "./sqlite_host.ts";
import { type Segment, SqliteTable } from "./sqlite_table.ts";
import type { StoreSize } from "./storage.ts";

/** Free pages that are given back at once: some milliseconds. */
const SHRINK_PAGES = 2000;
/** Bytes that are copied at once from layer to layer. */
const COPY_BYTES = 2 ** 20;

interface Row {
  readonly sum: number;
  readonly value: Uint8Array;
}

/** Values that were put in this transaction and are not in the database yet, of one layer and kind. */
interface Buffered {
  readonly layer: number;
  readonly kind: Kind;
  readonly entries: Entry[];
}

/** Bytes that are put before they go to the database in the middle of a transaction. */
const MAX_BUFFERED_BYTES = 2 ** 20;

/** An {@linkcode Engine} over SQLite. */
export class SqliteEngine implements Engine {
  readonly #host: SqliteHost;
  readonly #tables: Record<Kind, SqliteTable>;
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
  readonly #layersWith: SqliteStatement;
  readonly #layers: SqliteStatement;
  readonly #deleteSegment: SqliteStatement;
  /** Segments that were used, by layer, kind and upper bits. */
  readonly #segments = new Map<number, Record<Kind, Map<number, Segment>>>();
  #buffered: Buffered[] = [];
  #bufferedBytes = 0;

  constructor(host: SqliteHost) {
    this.#host = host;
    const { database } = host;
    const tables = {
      database,
      crc32: (bytes: Uint8Array, start: number) => this.#crc32(bytes, start),
      damaged: (what: string) => this.#damaged(what),
    };
    this.#tables = {
      block: new SqliteTable("block", tables),
      node: new SqliteTable("node", tables),
      page: new SqliteTable("page", tables),
      place: new SqliteTable("place", tables),
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
    this.#layersWith = database.prepare("SELECT DISTINCT layer FROM segment WHERE kind = ?");
    this.#layers = database.prepare("SELECT layer FROM segment UNION SELECT layer FROM named");
    this.#deleteSegment = database.prepare("DELETE FROM segment WHERE id = ?");
  }

  begin(): void {
    this.#do("WRITE_FAILED", () => this.#begin.run());
  }

  commit(): void {
    this.#do("WRITE_FAILED", () => {
      this.#flush();
      this.#commit.run();
    });
  }

  rollback(): void {
    this.#segments.clear();
    this.#buffered = [];
    this.#bufferedBytes = 0;
    for (const table of Object.values(this.#tables)) table.forget();
    // Some failures have ended the transaction already.
    try {
      this.#rollback.run();
    } catch { /* then there is nothing to roll back */ }
  }

  get(layer: number, kind: Kind, index: number): Uint8Array | undefined {
    try {
      this.#flush();
      const segment = this.#segment(layer, kind, Math.floor(index / SEGMENT_SIZE));
      return segment && this.#tables[kind].get(segment, index);
    } catch (error) {
      throw toStorageError(error, this.#host.path, "READ_FAILED");
    }
  }

  put(layer: number, kind: Kind, index: number, value: Uint8Array): void {
    let last = this.#buffered.find((one) => one.kind === kind && one.layer === layer);
    if (last === undefined) {
      last = { layer, kind, entries: [] };
      this.#buffered.push(last);
    }
    last.entries.push({ index, value });
    this.#bufferedBytes += value.length;
    if (this.#bufferedBytes > MAX_BUFFERED_BYTES) this.#do("WRITE_FAILED", () => this.#flush());
  }

  delete(layer: number, kind: Kind, start: number, end: number): void {
    this.#do("WRITE_FAILED", () => {
      this.#flush();
      for (const { segment, from, to } of this.#ranges(layer, kind, start, end)) {
        this.#tables[kind].delete(segment, from, to);
      }
    });
  }

  copy(from: number, to: number, kind: Kind, start: number, end: number): void {
    for (let at = start; at < end;) {
      const entries = this.scan(from, kind, at, end, COPY_BYTES);
      if (entries.length === 0) return;
      const next = entries.at(-1)!.index + 1;
      const there = new Set(this.scan(to, kind, at, next, Infinity).map(({ index }) => index));
      for (const { index, value } of entries) if (!there.has(index)) this.put(to, kind, index, value);
      at = next;
    }
  }

  scan(layer: number, kind: Kind, start: number, end: number, maxBytes: number): Entry[] {
    const entries: Entry[] = [];
    let left = maxBytes;
    this.#do("READ_FAILED", () => {
      this.#flush();
      for (const { segment, from, to } of this.#ranges(layer, kind, start, end)) {
        for (const unpacked of this.#tables[kind].packs(segment, from, to)) {
          for (const entry of unpacked.entries(from, to)) {
            left -= entry.value.length;
            if (left < 0 && entries.length > 0) return;
            entries.push(entry);
          }
        }
      }
    });
    return entries;
  }

  getNamed(layer: number, name: string): Uint8Array | undefined {
    return this.#do("READ_FAILED", () => {
      const row = this.#getNamed.get(layer, name) as Row | undefined;
      if (row === undefined) return undefined;
      if (!this.#isSound(layer, name, row)) throw this.#damaged(name);
      return row.value;
    });
  }

  putNamed(layer: number, name: string, value: Uint8Array | undefined): void {
    this.#do("WRITE_FAILED", () => {
      if (value === undefined) this.#deleteNamed.run(layer, name);
      else this.#putNamed.run(layer, name, this.#namedSum(layer, name, value), value);
    });
  }

  layersWith(kind?: Kind): number[] {
    return this.#do("READ_FAILED", () => {
      const rows = kind === undefined ? this.#layers.iterate() : this.#layersWith.iterate(kind);
      return [...rows as Iterable<{ layer: number }>].map(({ layer }) => layer);
    });
  }

  names(layer: number, prefix: string): string[] {
    return this.#do("READ_FAILED", () => {
      const names: string[] = [];
      for (const { name } of this.#names.iterate(layer, prefix) as Iterable<{ name: string }>) {
        if (typeof name !== "string") throw this.#damaged("a name");
        if (!name.startsWith(prefix)) break;
        names.push(name);
      }
      return names;
    });
  }

  purge(layer: number): boolean {
    let isEmpty = false;
    transact(this, () => {
      const found = this.#do("WRITE_FAILED", () => this.#anySegment.get(layer));
      const segment = found as { id: number; kind: Kind } | undefined;
      if (segment === undefined) {
        for (const name of this.names(layer, "")) this.putNamed(layer, name, undefined);
        isEmpty = true;
        return;
      }
      const { id, kind } = segment;
      this.#do("WRITE_FAILED", () => this.#tables[kind].purge(id) && this.#deleteSegment.run(id));
    });
    this.#segments.delete(layer);
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

  relief(): Promise<void> | undefined {
    return undefined;
  }

  rest(): Promise<void> {
    return this.#host.rest();
  }

  sync(): Promise<void> {
    return this.#host.sync();
  }

  async close(): Promise<void> {
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
      for (const kind of KINDS) yield* this.#problemsOf(layer, kind);
    }
    for (const { layer, name } of this.#damagedNames()) yield `layer ${layer}: ${name}`;
  }

  /**
   * Deletes, within a transaction, what is not what was written, so that it can be written anew. What says where other values are
   * stays as it is, unless it can be found out.
   *
   * @throws {StorageError} `STORE_CORRUPT` if the database itself is not in order, so that rows are not found where they are.
   */
  dropDamaged(): void {
    this.#do("WRITE_FAILED", () => {
      this.#flush();
      for (const row of this.#host.database.prepare("PRAGMA integrity_check(1)").iterate()) {
        const [text] = Object.values(row as Record<string, string>);
        if (text !== "ok") throw this.#disordered(text!);
      }
      for (const kind of KINDS) {
        for (const layer of this.layersWith(kind)) {
          for (const { segment } of this.#ranges(layer, kind, 0, Infinity)) {
            this.#tables[kind].dropDamaged(segment);
          }
        }
      }
      for (const { layer, name } of this.#damagedNames()) {
        if (isDroppable(layer, name)) this.#deleteNamed.run(layer, name);
      }
    });
  }

  #damagedNames(): { layer: number; name: string }[] {
    const rows = this.#host.database.prepare("SELECT layer, name, sum, value FROM named").iterate();
    const named = [...rows as Iterable<Row & { layer: number; name: string }>];
    return named.filter((row) => !this.#isSound(row.layer, row.name, row));
  }

  #isSound(layer: number, name: string, { sum, value }: Row): boolean {
    return typeof name === "string" && value instanceof Uint8Array &&
      sum === this.#namedSum(layer, name, value);
  }

  *#problemsOf(layer: number, kind: Kind): Generator<string> {
    for (const { segment } of this.#ranges(layer, kind, 0, Infinity)) {
      yield* this.#tables[kind].problems(segment);
    }
  }

  /** Brings to the database what was put. */
  #flush(): void {
    if (this.#buffered.length === 0) return;
    const buffered = this.#buffered;
    this.#buffered = [];
    this.#bufferedBytes = 0;
    for (const { layer, kind, entries } of buffered) {
      for (const part of bySegment(inOrder(entries))) {
        const high = Math.floor(part[0]!.index / SEGMENT_SIZE);
        this.#tables[kind].put(this.#segment(layer, kind, high) ?? this.#newSegment(layer, kind, high), part);
      }
    }
  }

  /** What [start, end) is of each segment. */
  #ranges(
    layer: number,
    kind: Kind,
    start: number,
    end: number,
  ): { segment: Segment; from: number; to: number }[] {
    if (start >= end) return [];
    const [low, high] = [Math.floor(start / SEGMENT_SIZE), Math.ceil(Math.min(end, 2 ** 53) / SEGMENT_SIZE)];
    const rows = [...this.#segmentsBetween.iterate(layer, kind, low, high)] as { id: number; high: number }[];
    return rows.map(({ id, high }) => {
      const segment = this.#remember(layer, kind, high, id);
      const { first } = segment;
      return { segment, from: Math.max(start, first), to: Math.min(end, first + SEGMENT_SIZE) };
    }).filter(({ from, to }) => from < to);
  }

  #segment(layer: number, kind: Kind, high: number): Segment | undefined {
    const known = this.#segments.get(layer)?.[kind].get(high);
    if (known !== undefined) return known;
    const row = this.#findSegment.get(layer, kind, high) as { id: number } | undefined;
    return row && this.#remember(layer, kind, high, row.id);
  }

  #newSegment(layer: number, kind: Kind, high: number): Segment {
    const { id } = this.#addSegment.get(layer, kind, high) as { id: number };
    return this.#remember(layer, kind, high, id);
  }

  #remember(layer: number, kind: Kind, high: number, id: number): Segment {
    let segments = this.#segments.get(layer);
    if (segments === undefined) {
      segments = { block: new Map(), node: new Map(), page: new Map(), place: new Map() };
      this.#segments.set(layer, segments);
    }
    let segment = segments[kind].get(high);
    if (segment === undefined) {
      segment = { id, layer, first: high * SEGMENT_SIZE, end: undefined };
      segments[kind].set(high, segment);
    }
    return segment;
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

  #disordered(what: string): StorageError {
    const text =
      `The store ${this.#host.path} is no longer in order: ${what}. Import what can be read of it into another ` +
      "store, or open a copy from before";
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

/** Whether a name is that of a value that nothing else in the store depends on, or that can be found out. */
function isDroppable(layer: number, name: unknown): boolean {
  if (typeof name !== "string") return false; // of damaged rows even that is not certain
  if (layer === NO_LAYER) return name.startsWith(LOG) || name.startsWith(DOOMED);
  return name === "auth" || name === "head" || name === "hints" || name.startsWith(USER_DATA);
}
