/**
 * Codecs made of codecs: arrays, records, frames. A count is never believed: each element takes at least one byte, so a
 * count above the number of bytes left is refused before anything is allocated.
 */
import { type Codec, type Cursor, DecodeError } from "./codec.ts";
import { string } from "./strings.ts";
import { uint } from "./varint.ts";

/** Most elements of an array or a record: 2^20, the reference's limit for arrays. */
const MAX_COUNT = 0x100000;

/** Reads a count of things that take at least one byte each, at most `max` of them. */
export function decodeCount(cursor: Cursor, max: number = MAX_COUNT): number {
  const at = cursor.start;
  const count = uint.decode(cursor);
  if (count > max || count > cursor.remaining) throw tooMany(count, Math.min(max, cursor.remaining), at);
  return count;
}

function tooMany(count: number, max: number, at: number): DecodeError {
  return new DecodeError(`Expected a count of at most ${max}, found ${count}`, at);
}

function checkCount(count: number): void {
  if (count > MAX_COUNT) throw new RangeError(`Expected at most ${MAX_COUNT} elements, got ${count}`);
}

/** What was written must be readable again: see {@linkcode decodeCount}. */
function checkWritten(cursor: Cursor, count: number, start: number): void {
  if (count > cursor.start - start) {
    throw new RangeError("Expected elements of at least one byte each, got smaller ones");
  }
}

/** That there are as many bytes as elements does not yet mean that the elements are what took them. */
function checkRead(cursor: Cursor, count: number, start: number): void {
  if (count > cursor.start - start) {
    throw new DecodeError("Expected elements of at least one byte each", start);
  }
}

/**
 * A `uint` count and that many elements: at most 2^20, of at least one byte each.
 *
 * (Adding up sizes element by element is not what takes the time: with the size of a node known in advance, encoding a DHT reply
 * of 20 nodes gained 8 %.)
 */
export function array<T, Input = T>(codec: Codec<T, Input>): Codec<T[], readonly Input[]> {
  return {
    size(list: readonly Input[]): number {
      let size = uint.size(list.length);
      for (let i = 0; i < list.length; i++) size += codec.size(list[i]!);
      return size;
    },
    encode(cursor: Cursor, list: readonly Input[]): void {
      checkCount(list.length);
      uint.encode(cursor, list.length);
      const { start } = cursor;
      for (let i = 0; i < list.length; i++) codec.encode(cursor, list[i]!);
      checkWritten(cursor, list.length, start);
    },
    decode(cursor: Cursor): T[] {
      const count = decodeCount(cursor);
      const { start } = cursor;
      const list = new Array<T>(count);
      for (let i = 0; i < count; i++) list[i] = codec.decode(cursor);
      checkRead(cursor, count, start);
      return list;
    },
  };
}

/** Elements up to the end and no count. Each takes at least one byte. */
export function rawArray<T, Input = T>(codec: Codec<T, Input>): Codec<T[], readonly Input[]> {
  return {
    size(list: readonly Input[]): number {
      let size = 0;
      for (const element of list) size += codec.size(element);
      return size;
    },
    encode(cursor: Cursor, list: readonly Input[]): void {
      const { start } = cursor;
      for (const element of list) codec.encode(cursor, element);
      checkWritten(cursor, list.length, start);
    },
    decode(cursor: Cursor): T[] {
      const list: T[] = [];
      while (cursor.start < cursor.end) {
        const { start } = cursor;
        list.push(codec.decode(cursor));
        checkRead(cursor, 1, start);
      }
      return list;
    },
  };
}

/**
 * A `uint` length in bytes and a value. A reader skips what follows the value within the frame: this is how a message
 * leaves room for fields of later versions.
 */
export function frame<T, Input = T>(codec: Codec<T, Input>): Codec<T, Input> {
  return {
    size(value: Input): number {
      const size = codec.size(value);
      return uint.size(size) + size;
    },
    encode(cursor: Cursor, value: Input): void {
      const size = codec.size(value);
      uint.encode(cursor, size);
      const { start } = cursor;
      codec.encode(cursor, value);
      const written = cursor.start - start;
      if (written !== size) throw new RangeError(`Codec wrote ${written} bytes after announcing ${size}`);
    },
    decode(cursor: Cursor): T {
      const { end } = cursor;
      const size = uint.decode(cursor);
      const frameStart = cursor.take(size);
      cursor.start = frameStart;
      cursor.end = frameStart + size;
      const value = codec.decode(cursor);
      cursor.start = cursor.end;
      cursor.end = end;
      return value;
    },
  };
}

/**
 * A `uint` count and that many pairs of key and value: at most 2^20. What is decoded has no prototype, so that no key
 * means anything but itself; the last of equal keys wins.
 */
export function record<T, Input = T>(
  keyCodec: Codec<string>,
  valueCodec: Codec<T, Input>,
): Codec<Record<string, T>, Readonly<Record<string, Input>>> {
  return {
    size(value: Readonly<Record<string, Input>>): number {
      const keys = Object.keys(value);
      let size = uint.size(keys.length);
      for (const key of keys) size += keyCodec.size(key) + valueCodec.size(value[key]!);
      return size;
    },
    encode(cursor: Cursor, value: Readonly<Record<string, Input>>): void {
      const keys = Object.keys(value);
      checkCount(keys.length);
      uint.encode(cursor, keys.length);
      const { start } = cursor;
      for (const key of keys) {
        keyCodec.encode(cursor, key);
        valueCodec.encode(cursor, value[key]!);
      }
      checkWritten(cursor, keys.length, start);
    },
    decode(cursor: Cursor): Record<string, T> {
      const count = decodeCount(cursor);
      const { start } = cursor;
      const value: Record<string, T> = Object.create(null);
      for (let i = 0; i < count; i++) {
        const key = keyCodec.decode(cursor);
        value[key] = valueCodec.decode(cursor);
      }
      checkRead(cursor, count, start);
      return value;
    },
  };
}

/** A {@linkcode record} of strings. */
export const stringRecord: Codec<Record<string, string>, Readonly<Record<string, string>>> = record(
  string,
  string,
);
