/**
 * The keys of hypercore 11's database: numbers and strings whose bytes sort as they do.
 */
import { Cursor, DecodeError } from "../../../encoding/codec.ts";
import { uint32be, uint64be } from "../../../encoding/fixed.ts";
import { fixed32 } from "../../../encoding/buffers.ts";

/** What a key begins with (`hypercore-storage/lib/keys.js`). */
const TOP = { head: 0, log: 1, core: 3, data: 4 } as const;
/** What follows in the keys of a core. */
const CORE = { auth: 0, sessions: 1, group: 2 } as const;

/** What is stored of data. */
export const DATA = {
  ...{ head: 0, dependency: 1, hints: 2, block: 3, node: 4, page: 5, userData: 6, marks: 8 },
} as const;

/** The largest number of one byte; the others have a marker and 2, 4 or 8 bytes. */
const MAX_SMALL = 0xfb;
const TWO_BYTES = 0xfc;
const FOUR_BYTES = 0xfd;
const EIGHT_BYTES = 0xfe;
const INFINITE = 0xff;

/** What a string begins with, what it ends with, and what stands behind a zero in it. */
const STRING_START = 0x00;
const STRING_END = 0x01;
const ESCAPED_ZERO = 0x02;

type Part = number | string | Uint8Array;

/** The key of the store's head. */
export const headKey: Uint8Array = keyOf(TOP.head);

/** The key of what is known of a log. */
export function logKey(discoveryKey: Uint8Array): Uint8Array {
  return keyOf(TOP.log, discoveryKey);
}

/** All keys of logs: from the first to before the second. */
export const LOG_RANGE: readonly [start: Uint8Array, end: Uint8Array] = [keyOf(TOP.log), keyOf(TOP.log + 1)];

/** The key of one thing of a core. */
export function coreKey(pointer: number, what: keyof typeof CORE): Uint8Array {
  return keyOf(TOP.core, pointer, CORE[what]);
}

/** The key of one thing of data; of those of which there are several, the one called `name`. */
export function dataKey(pointer: number, what: keyof typeof DATA, ...name: Part[]): Uint8Array {
  return keyOf(TOP.data, pointer, DATA[what], ...name);
}

/** All keys of one kind of data: from the first to before the second. */
export function dataRange(pointer: number, what: keyof typeof DATA): [start: Uint8Array, end: Uint8Array] {
  return [keyOf(TOP.data, pointer, DATA[what]), keyOf(TOP.data, pointer, DATA[what] + 1)];
}

function keyOf(...parts: Part[]): Uint8Array {
  const bytes: number[] = [];
  for (const part of parts) {
    if (typeof part === "number") pushNumber(bytes, part);
    else if (typeof part === "string") pushString(bytes, part);
    else bytes.push(...part);
  }
  return Uint8Array.from(bytes);
}

function pushNumber(bytes: number[], value: number): void {
  if (value <= MAX_SMALL) bytes.push(value);
  else if (value === Infinity) bytes.push(INFINITE);
  else if (value <= 0xffff) bytes.push(TWO_BYTES, value >>> 8, value & 0xff);
  else if (value <= 0xffffffff) bytes.push(FOUR_BYTES, ...bigEndian(value));
  else bytes.push(EIGHT_BYTES, ...bigEndian(Math.floor(value / 2 ** 32)), ...bigEndian(value % 2 ** 32));
}

function bigEndian(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
}

function pushString(bytes: number[], value: string): void {
  bytes.push(STRING_START);
  for (const byte of new TextEncoder().encode(value)) {
    bytes.push(byte);
    if (byte === 0) bytes.push(ESCAPED_ZERO);
  }
  bytes.push(0, STRING_END);
}

/** The discovery key in the key of a log. @throws {DecodeError} if it is no such key. */
export function decodeLogKey(key: Uint8Array): Uint8Array {
  return fixed32.decode(afterTop(key, TOP.log)).slice();
}

/** The index or the number at the end of the key of a block, a node or a page. @throws {DecodeError} if there is none. */
export function decodeDataIndex(key: Uint8Array): number {
  const cursor = afterTop(key, TOP.data);
  takeNumber(cursor);
  takeNumber(cursor);
  return takeNumber(cursor);
}

/** The name in the key of user data. @throws {DecodeError} if it is no such key. */
export function decodeUserDataKey(key: Uint8Array): string {
  const cursor = afterTop(key, TOP.data);
  takeNumber(cursor);
  takeNumber(cursor);
  return takeString(cursor);
}

function afterTop(key: Uint8Array, top: number): Cursor {
  const cursor = new Cursor(key);
  if (takeNumber(cursor) !== top) throw new DecodeError(`Expected a key that begins with ${top}`, 0);
  return cursor;
}

function takeNumber(cursor: Cursor): number {
  const at = cursor.start;
  const first = cursor.buffer[cursor.take(1)]!;
  if (first <= MAX_SMALL) return first;
  if (first === FOUR_BYTES) return uint32be.decode(cursor);
  if (first === EIGHT_BYTES) return uint64be.decode(cursor);
  if (first === INFINITE) throw new DecodeError("Expected a number that has an end", at);
  const two = cursor.take(2);
  return cursor.buffer[two]! * 256 + cursor.buffer[two + 1]!;
}

function takeString(cursor: Cursor): string {
  const at = cursor.start;
  if (cursor.buffer[cursor.take(1)] !== STRING_START) throw new DecodeError("Expected a string", at);
  const bytes: number[] = [];
  for (;;) {
    const byte = cursor.buffer[cursor.take(1)]!;
    if (byte !== 0) {
      bytes.push(byte);
      continue;
    }
    const after = cursor.buffer[cursor.take(1)];
    if (after === STRING_END) return new TextDecoder().decode(Uint8Array.from(bytes));
    if (after !== ESCAPED_ZERO) throw new DecodeError("Expected the end of a string", cursor.start - 1);
    bytes.push(0);
  }
}
