/**
 * The logs of a corestore 7, and its named sessions as overlays.
 */
import { DecodeError } from "../../../encoding/codec.ts";
import { damaged, unknown } from "../rocksdb/files.ts";
import type { RocksDatabase } from "../rocksdb/database.ts";
import {
  GROUP_KEY,
  type LogAuth,
  type LogHead,
  type LogHints,
  type LogSnapshot,
  type LogStorage,
  MARKS_KEY,
  MAX_BLOCK_INDEX,
  type StoredBlock,
  type TreeNode,
} from "../storage.ts";
import { checkIndex, checkName, checkRange } from "../write_batch.ts";
import { coreKey, dataKey, dataRange, decodeDataIndex, decodeUserDataKey, logKey } from "./keys.ts";
import {
  decodeAuth,
  decodeDependency,
  decodeGroup,
  decodeHead,
  decodeHints,
  decodeLogPointers,
  decodeSessions,
  decodeTreeNode,
  type Dependency,
  type LogPointers,
  MAX_VERSION,
} from "./values.ts";

/** Bits in a page of the bitfield. */
const PAGE_BITS = 32768;
/** User data that says what a log is called. */
const [NAME, NAMESPACE] = ["corestore/name", "corestore/namespace"] as const;
/** Most blocks that an overlay has beyond what it shares: a length above is an error, and would take pages without end. */
const MAX_OWN_BLOCKS = 2 ** 33;
/** A page on which everything is held. */
const ALL_BITS: Uint8Array = new Uint8Array(PAGE_BITS / 8).fill(255);
/** Most sessions of sessions. */
const MAX_DEPENDENCIES = 256;

/** What logs need of their store. */
export interface V11Source {
  /** Where it is, for messages. */
  readonly path: string;
  /** The database. @throws {StorageError} STORE_CLOSED if the store is closed. */
  database(): RocksDatabase;
}

/** Where a log or an overlay has its data, and whose it shares, the shortest part first. */
interface Place {
  readonly data: number;
  readonly dependencies: readonly Dependency[];
}

/** A log or an overlay in a corestore 7. What is read is kept nowhere but in the database's cache. */
export class V11Log implements LogStorage {
  readonly discoveryKey: Uint8Array;
  readonly overlayName: string | undefined;
  readonly #source: V11Source;
  #place: Place | undefined;

  /** Is made by the store. */
  constructor(source: V11Source, discoveryKey: Uint8Array, overlayName: string | undefined) {
    this.#source = source;
    this.discoveryKey = discoveryKey;
    this.overlayName = overlayName;
  }

  auth(): LogAuth | undefined {
    const pointers = this.#pointers();
    return pointers && this.#value(coreKey(pointers.core, "auth"), decodeAuth)?.auth;
  }

  head(): LogHead | undefined {
    return this.#ofData("head", decodeHead);
  }

  hints(): LogHints | undefined {
    const hints = this.#ofData("hints", decodeHints);
    return hints && { ...hints, contiguousLength: this.#firstGap(hints.contiguousLength) };
  }

  block(index: number): Uint8Array | undefined {
    checkIndex(index, MAX_BLOCK_INDEX);
    const place = this.#find();
    if (place === undefined) return undefined;
    const data = place.dependencies.find(({ length }) => index < length)?.data ?? place.data;
    return this.#source.database().get(dataKey(data, "block", index));
  }

  blocks(start: number, end: number, maxBytes: number): StoredBlock[] {
    checkRange(start, end);
    const blocks: StoredBlock[] = [];
    let left = maxBytes;
    for (const { from, to, data } of this.#parts(start, end)) {
      const range = [dataKey(data, "block", from), dataKey(data, "block", to)] as const;
      for (const { key, value } of this.#source.database().scan(...range)) {
        left -= value.length;
        if (left < 0 && blocks.length > 0) return blocks;
        blocks.push({ index: this.#decode(key, decodeDataIndex), value });
      }
    }
    return blocks;
  }

  node(index: number): TreeNode | undefined {
    checkIndex(index, 2 * MAX_BLOCK_INDEX);
    const place = this.#find();
    if (place === undefined) return undefined;
    const last = lastLeaf(index);
    const data = place.dependencies.find(({ length }) => last <= 2 * (length - 1))?.data ?? place.data;
    return this.#value(dataKey(data, "node", index), (bytes) => decodeTreeNode(bytes, index));
  }

  nodes(indexes: readonly number[]): (TreeNode | undefined)[] {
    const [from, to] = [Math.min(...indexes), Math.max(...indexes) + 1];
    const place = this.#find();
    if (place === undefined || place.dependencies.length > 0 || !isDense(indexes, from, to)) {
      return indexes.map((index) => this.node(index));
    }
    const found = new Map<number, TreeNode>();
    const range = [dataKey(place.data, "node", from), dataKey(place.data, "node", to)] as const;
    for (const { key, value } of this.#source.database().scan(...range)) {
      const index = this.#decode(key, decodeDataIndex);
      found.set(index, this.#decode(value, (bytes) => decodeTreeNode(bytes, index)));
    }
    return indexes.map((index) => found.get(index));
  }

  bitfieldPage(page: number): Uint8Array | undefined {
    checkIndex(page, MAX_BLOCK_INDEX);
    const place = this.#find();
    if (place === undefined) return undefined;
    const own = this.#storedPage(place.data, page);
    return place.dependencies.length === 0 ? own : this.#mergedPage(place, page, own);
  }

  bitfieldPages(start: number, end: number): { page: number; value: Uint8Array }[] {
    checkRange(start, end);
    const place = this.#find();
    if (place === undefined) return [];
    const pages = new Set<number>();
    for (const { data } of [...place.dependencies, place]) {
      const range = [dataKey(data, "page", start), dataKey(data, "page", end)] as const;
      for (const { key } of this.#source.database().scan(...range)) {
        pages.add(this.#decode(key, decodeDataIndex));
      }
    }
    const own = this.#ownBlocks(place);
    const last = Math.min(end, Math.ceil(own.end / PAGE_BITS));
    for (let page = Math.max(start, Math.floor(own.start / PAGE_BITS)); page < last; page++) pages.add(page);
    return [...pages].sort((a, b) => a - b).flatMap((page) => {
      const value = this.bitfieldPage(page);
      return value === undefined ? [] : [{ page, value }];
    });
  }

  /** The first block that is not held, `limit` if that is not before it: the reference may write this hint later than the bits. */
  #firstGap(limit: number): number {
    for (let first = 0; first < limit; first += PAGE_BITS) {
      const page = this.bitfieldPage(first / PAGE_BITS);
      if (page === undefined) return first;
      const byte = page.findIndex((byte) => byte !== 255);
      if (byte === -1) continue;
      let bit = 8 * byte;
      while ((page[byte]! & (1 << (bit & 7))) !== 0) bit++;
      return Math.min(limit, first + bit);
    }
    return limit;
  }

  #storedPage(data: number, page: number): Uint8Array | undefined {
    return this.#source.database().get(dataKey(data, "page", page, 0));
  }

  /** The page of an overlay: no bits are stored of one, which has all that it does not share. */
  #mergedPage(place: Place, page: number, own: Uint8Array | undefined): Uint8Array {
    const merged = new Uint8Array(PAGE_BITS / 8);
    const first = page * PAGE_BITS;
    let before = 0;
    for (const { data, length } of place.dependencies) {
      copyBits(merged, this.#storedPage(data, page) ?? merged, before - first, length - first);
      before = length;
    }
    copyBits(merged, own ?? merged, 0, PAGE_BITS);
    const { start, end } = this.#ownBlocks(place);
    copyBits(merged, ALL_BITS, start - first, end - first);
    return merged;
  }

  /** The blocks that are held without a bit for it: those that an overlay does not share. */
  #ownBlocks({ dependencies }: Place): { start: number; end: number } {
    const start = dependencies.at(-1)?.length ?? 0;
    const end = dependencies.length === 0 ? start : Math.max(start, this.head()?.length ?? 0);
    if (end - start > MAX_OWN_BLOCKS) {
      throw damaged(this.#source.path, 0, "an overlay says that it has more than fits");
    }
    return { start, end };
  }

  userData(key: string): Uint8Array | undefined {
    checkName(key);
    const place = this.#find();
    const stored = place && this.#source.database().get(dataKey(place.data, "userData", key));
    const beside = stored ?? this.#name().get(key) ?? this.#group(key);
    return beside === undefined && key.startsWith(MARKS_KEY) ? this.#marks().get(key) : beside;
  }

  userDataKeys(prefix: string): string[] {
    const place = this.#find();
    if (place === undefined) return [];
    const stored = this.#source.database().scan(...dataRange(place.data, "userData"))
      .map(({ key }) => this.#decode(key, decodeUserDataKey));
    const group = this.#group(GROUP_KEY) === undefined ? [] : [GROUP_KEY];
    return [...new Set([...stored, ...this.#name().keys(), ...group, ...this.#marks().keys()])]
      .filter((key) => key.startsWith(prefix));
  }

  overlay(name: string): V11Log {
    checkName(name);
    return new V11Log(this.#source, this.discoveryKey, name);
  }

  overlays(): string[] {
    return this.#sessions().map(({ name }) => name);
  }

  exists(): boolean {
    return this.#find() !== undefined;
  }

  /** The log as it is, which it stays. */
  snapshot(): LogSnapshot {
    return new V11Snapshot(this.#source, this.discoveryKey, this.overlayName);
  }

  /** What the log is called, as corestore 6 has it in the user data. */
  #name(): ReadonlyMap<string, Uint8Array> {
    const alias = this.overlayName === undefined ? this.#pointers()?.alias : undefined;
    if (alias === undefined) return new Map();
    return new Map([[NAME, new TextEncoder().encode(alias.name)], [NAMESPACE, alias.namespace]]);
  }

  #group(key: string): Uint8Array | undefined {
    if (key !== GROUP_KEY || this.overlayName !== undefined) return undefined;
    const pointers = this.#pointers();
    return pointers && this.#value(coreKey(pointers.core, "group"), decodeGroup);
  }

  /** The marks of a log, as user data. */
  #marks(): ReadonlyMap<string, Uint8Array> {
    const place = this.overlayName === undefined ? this.#find() : undefined;
    const pages = place === undefined ? [] : this.#source.database().scan(...dataRange(place.data, "marks"));
    return new Map(
      pages.map(({ key, value }) => [MARKS_KEY + this.#decode(key, decodeDataIndex), value] as const),
    );
  }

  #ofData<T>(what: "head" | "hints", decode: (bytes: Uint8Array) => T): T | undefined {
    const place = this.#find();
    return place && this.#value(dataKey(place.data, what), decode);
  }

  #find(): Place | undefined {
    this.#source.database();
    return this.#place ??= this.#findPlace();
  }

  #findPlace(): Place | undefined {
    const pointers = this.#pointers();
    if (pointers === undefined) return undefined;
    const { overlayName } = this;
    if (overlayName === undefined) return { data: pointers.data, dependencies: [] };
    const session = this.#sessions().find(({ name }) => name === overlayName);
    return session && { data: session.data, dependencies: this.#dependencies(session.data) };
  }

  /** What data share with others, and these again with others: the shortest part first, each longer than the one before. */
  #dependencies(data: number): Dependency[] {
    const chain: Dependency[] = [];
    let limit = Infinity;
    for (let at = data; chain.length <= MAX_DEPENDENCIES;) {
      const next = this.#value(dataKey(at, "dependency"), decodeDependency);
      if (next === undefined) return chain.filter(({ length }, i) => length > (chain[i - 1]?.length ?? 0));
      limit = Math.min(limit, next.length);
      chain.unshift({ data: next.data, length: limit });
      at = next.data;
    }
    throw damaged(this.#source.path, 0, `the sessions at ${data} depend on each other in a circle`);
  }

  #sessions(): { readonly name: string; readonly data: number }[] {
    const pointers = this.#pointers();
    return (pointers && this.#value(coreKey(pointers.core, "sessions"), decodeSessions)) ?? [];
  }

  #pointers(): LogPointers | undefined {
    const pointers = this.#value(logKey(this.discoveryKey), decodeLogPointers);
    if (pointers === undefined) return undefined;
    const { version } = pointers;
    if (version > MAX_VERSION) {
      throw unknown(this.#source.path, `a log has the version ${version}, ${MAX_VERSION} is known`);
    }
    if (version === 0) {
      throw unknown(
        this.#source.path,
        "a log has not been moved here from its folder: open that folder instead",
      );
    }
    return pointers;
  }

  /** The parts of [start, end), each with whose data it is in. */
  *#parts(start: number, end: number): Generator<{ from: number; to: number; data: number }> {
    const place = this.#find();
    if (place === undefined) return;
    let from = start;
    for (const { data, length } of place.dependencies) {
      const to = Math.min(length, end);
      if (from < to) yield { from, to, data };
      from = Math.max(from, to);
    }
    if (from < end) yield { from, to: end, data: place.data };
  }

  #value<T>(key: Uint8Array, decode: (bytes: Uint8Array) => T): T | undefined {
    const bytes = this.#source.database().get(key);
    return bytes && this.#decode(bytes, decode);
  }

  #decode<T>(bytes: Uint8Array, decode: (bytes: Uint8Array) => T): T {
    return decodeStored(this.#source.path, bytes, decode);
  }
}

/** A log as it is: nothing in the store changes. */
class V11Snapshot extends V11Log implements LogSnapshot {
  [Symbol.dispose](): void {}
}

/** Decodes a value of a store at `path`. @throws {StorageError} STORE_CORRUPT if it makes no sense. */
export function decodeStored<T>(path: string, bytes: Uint8Array, decode: (bytes: Uint8Array) => T): T {
  try {
    return decode(bytes);
  } catch (error) {
    if (error instanceof DecodeError) throw damaged(path, 0, error.message, error);
    throw error;
  }
}

/** Whether reading all of [from, to) is less work than finding `indexes` one by one. */
function isDense(indexes: readonly number[], from: number, to: number): boolean {
  for (const index of indexes) checkIndex(index, 2 * MAX_BLOCK_INDEX);
  return indexes.length > 8 && to - from < 4 * indexes.length;
}

/** The last leaf below a node. */
function lastLeaf(index: number): number {
  let leaves = 1;
  while (Math.floor(index / leaves) % 2 === 1) leaves *= 2;
  return index + leaves - 1;
}

/** Adds the bits of `from` in [start, end), which may reach over both ends. */
function copyBits(to: Uint8Array, from: Uint8Array, start: number, end: number): void {
  const last = Math.min(end, from.length * 8);
  for (let bit = Math.max(0, start); bit < last;) {
    if (bit % 8 === 0 && last - bit >= 8) {
      to[bit / 8]! |= from[bit / 8]!;
      bit += 8;
    } else {
      to[bit >>> 3]! |= from[bit >>> 3]! & (1 << (bit & 7));
      bit++;
    }
  }
}
