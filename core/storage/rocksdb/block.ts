/**
 * The blocks of a table: sorted entries whose keys are written without what they share with the one before, but for some to
 * start from.
 */
import { compare } from "../../../encoding/bytes.ts";
import { Cursor, DecodeError } from "../../../encoding/codec.ts";
import { readUint32 } from "../../../encoding/fixed.ts";
import { takeSignedVarint, takeVarint } from "./fields.ts";

/** Bytes behind each block of a table: how it is compressed, and a checksum. */
export const BLOCK_TRAILER_BYTES = 5;

/** Longest key that is read, in bytes: a long one that every entry shares would make a small block grow without end. */
const MAX_KEY_BYTES = 65536;

/** Where a block is. */
export interface BlockHandle {
  /** Its first byte in the file. */
  readonly offset: number;
  /** Its bytes, without what follows it. */
  readonly size: number;
}

/** How the values of a block are written. */
interface ValueForm<T> {
  /** Whether a length stands before the value, with those of the key. */
  readonly hasLength: boolean;
  /** Reads a value; `before` is that of the entry before, undefined where one starts. */
  take(cursor: Cursor, length: number, before: T | undefined): T;
}

const BYTES: ValueForm<Uint8Array> = {
  hasLength: true,
  take(cursor, length) {
    const at = cursor.take(length);
    return cursor.buffer.subarray(at, cursor.start);
  },
};
const HANDLE: ValueForm<BlockHandle> = { hasLength: true, take: (cursor) => takeHandle(cursor) };
/** A handle that does not start is the size's difference to the one before, which it follows. */
const HANDLE_DELTA: ValueForm<BlockHandle> = {
  hasLength: false,
  take(cursor, _length, before) {
    if (before === undefined) return takeHandle(cursor);
    const at = cursor.start;
    const size = before.size + takeSignedVarint(cursor);
    const offset = before.offset + before.size + BLOCK_TRAILER_BYTES;
    if (size < 0 || !Number.isSafeInteger(offset + size)) throw new DecodeError("Expected a block", at);
    return { offset, size };
  },
};

/** Reads where a block is. */
export function takeHandle(cursor: Cursor): BlockHandle {
  const at = cursor.start;
  const handle = { offset: takeVarint(cursor), size: takeVarint(cursor) };
  if (!Number.isSafeInteger(handle.offset + handle.size)) throw new DecodeError("Expected a block", at);
  return handle;
}

/** The entries of a block. */
export class Block<T> {
  readonly #bytes: Uint8Array;
  readonly #form: ValueForm<T>;
  /** Where the places to start from are written, and how many there are. */
  readonly #restartsAt: number;
  readonly #restarts: number;
  /** Bytes behind what keys are ordered by. */
  readonly #keySuffix: number;

  /** A block is made by the functions below. @throws {DecodeError} if it has no places to start from. */
  constructor(bytes: Uint8Array, form: ValueForm<T>, keySuffix: number) {
    if (bytes.length < 4) throw new DecodeError("Expected the end of a block", bytes.length);
    this.#restarts = readUint32(bytes, bytes.length - 4);
    this.#restartsAt = bytes.length - 4 - 4 * this.#restarts;
    if (this.#restartsAt < 0) {
      throw new DecodeError("Expected a number of places that fit into the block", bytes.length - 4);
    }
    this.#bytes = bytes;
    this.#form = form;
    this.#keySuffix = keySuffix;
  }

  /**
   * The entries from the first on whose key, without its suffix, is not before `start`; all without `start`.
   *
   * @throws {DecodeError} if the block is not what a block is.
   */
  *entries(start?: Uint8Array): Generator<{ key: Uint8Array; value: T }> {
    if (this.#restarts === 0) return;
    const cursor = new Cursor(this.#bytes, 0, this.#restartsAt);
    cursor.start = start === undefined ? this.#restart(0) : this.#restart(this.#findRestart(start));
    let last: { key: Uint8Array; value: T } | undefined;
    while (cursor.remaining > 0) {
      last = this.#take(cursor, last);
      if (start === undefined || this.#compare(last.key, start) >= 0) yield last;
    }
  }

  #take(cursor: Cursor, before: { key: Uint8Array; value: T } | undefined): { key: Uint8Array; value: T } {
    const at = cursor.start;
    const shared = takeVarint(cursor);
    const own = takeVarint(cursor);
    const length = this.#form.hasLength ? takeVarint(cursor) : 0;
    if (shared > (before?.key.length ?? 0)) throw new DecodeError("A key shares more than there is", at);
    if (shared + own > MAX_KEY_BYTES) throw new DecodeError("A key is too long", at);
    const keyAt = cursor.take(own);
    const key = new Uint8Array(shared + own);
    if (shared > 0) key.set(before!.key.subarray(0, shared));
    key.set(this.#bytes.subarray(keyAt, keyAt + own), shared);
    if (key.length < this.#keySuffix) throw new DecodeError("A key is too short", at);
    // In an index, what shares nothing starts anew.
    const value = this.#form.take(cursor, length, shared === 0 ? undefined : before?.value);
    return { key, value };
  }

  #restart(i: number): number {
    const at = readUint32(this.#bytes, this.#restartsAt + 4 * i);
    if (at > this.#restartsAt) {
      throw new DecodeError("A place to start from is outside", this.#restartsAt + 4 * i);
    }
    return at;
  }

  /** The last place to start from whose key is before `key`, or the first. */
  #findRestart(key: Uint8Array): number {
    let low = 0;
    let high = this.#restarts - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      const cursor = new Cursor(this.#bytes, this.#restart(middle), this.#restartsAt);
      if (this.#compare(this.#take(cursor, undefined).key, key) < 0) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #compare(a: Uint8Array, b: Uint8Array): number {
    return compare(a.subarray(0, a.length - this.#keySuffix), b);
  }
}

/** A block of data, whose keys end in `keySuffix` bytes that do not order them. */
export function dataBlock(bytes: Uint8Array, keySuffix: number): Block<Uint8Array> {
  return new Block(bytes, BYTES, keySuffix);
}

/** A block of an index. `isDelta`: whether handles are written as differences. */
export function indexBlock(bytes: Uint8Array, keySuffix: number, isDelta: boolean): Block<BlockHandle> {
  return new Block(bytes, isDelta ? HANDLE_DELTA : HANDLE, keySuffix);
}
