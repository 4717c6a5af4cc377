/** Values that describe themselves: a `uint` type, then the value in the codec of that type. */
import { buffer } from "./buffers.ts";
import { type Codec, type Cursor, DecodeError } from "./codec.ts";
import { float64 } from "./fixed.ts";
import { decodeCount } from "./lists.ts";
import { string } from "./strings.ts";
import { bool, date, none } from "./values.ts";
import { int, uint } from "./varint.ts";

/** What {@linkcode any} can carry. */
export type AnyValue =
  | null
  | boolean
  | string
  | number
  | Uint8Array
  | Date
  | AnyValue[]
  | { [key: string]: AnyValue };

/** What {@linkcode any} can write: `undefined` becomes `null`. */
export type AnyInput =
  | Exclude<AnyValue, object>
  | undefined
  | Uint8Array
  | Date
  | readonly AnyInput[]
  | { readonly [key: string]: AnyInput };

/** How deep arrays and objects may be nested: the reference has no limit and can be made to overflow its stack. */
const MAX_DEPTH = 128;

const TYPE_ARRAY = 7;
const TYPE_OBJECT = 8;

/** The types other than arrays and objects, by their number on the wire. */
const LEAVES: ReadonlyArray<Codec<AnyValue, never> | undefined> = [
  none,
  bool,
  string,
  buffer,
  uint,
  int,
  float64,
  undefined,
  undefined,
  date,
];

/** -2^52, the least that {@linkcode int} can express. */
const MIN_INT = -(2 ** 52);

function typeOf(value: AnyInput): number {
  if (value === null || value === undefined) return 0;
  if (typeof value === "boolean") return 1;
  if (typeof value === "string") return 2;
  if (typeof value === "number") {
    // The reference throws for integers beyond the range of its integer types. As a float they are exact.
    if (!Number.isSafeInteger(value) || value < MIN_INT) return 6;
    return value >= 0 ? 4 : 5;
  }
  if (value instanceof Uint8Array) return 3;
  if (Array.isArray(value)) return TYPE_ARRAY;
  if (value instanceof Date) return 9;
  if (typeof value === "object") return TYPE_OBJECT;
  throw new TypeError(`Expected a plain value, got a ${typeof value}`);
}

function checkDepth(depth: number): void {
  if (depth > MAX_DEPTH) throw new RangeError(`Expected at most ${MAX_DEPTH} levels, got more (or a cycle)`);
}

function sizeOf(value: AnyInput, depth: number): number {
  checkDepth(depth);
  const type = typeOf(value);
  let size = 1;
  if (type === TYPE_ARRAY) {
    const list = value as readonly AnyInput[];
    size += uint.size(list.length);
    for (const element of list) size += sizeOf(element, depth + 1);
  } else if (type === TYPE_OBJECT) {
    const entries = Object.entries(value as object);
    size += uint.size(entries.length);
    for (const [key, element] of entries) size += string.size(key) + sizeOf(element, depth + 1);
  } else {
    size += LEAVES[type]!.size(value as never);
  }
  return size;
}

function write(cursor: Cursor, value: AnyInput, depth: number): void {
  checkDepth(depth);
  const type = typeOf(value);
  uint.encode(cursor, type);
  if (type === TYPE_ARRAY) {
    const list = value as readonly AnyInput[];
    uint.encode(cursor, list.length);
    for (const element of list) write(cursor, element, depth + 1);
  } else if (type === TYPE_OBJECT) {
    const entries = Object.entries(value as object);
    uint.encode(cursor, entries.length);
    for (const [key, element] of entries) {
      string.encode(cursor, key);
      write(cursor, element, depth + 1);
    }
  } else {
    LEAVES[type]!.encode(cursor, value as never);
  }
}

function read(cursor: Cursor, depth: number): AnyValue {
  const at = cursor.start;
  if (depth > MAX_DEPTH) throw new DecodeError(`Expected at most ${MAX_DEPTH} levels, found more`, at);
  const type = uint.decode(cursor);
  if (type === TYPE_ARRAY) {
    const count = decodeCount(cursor, Infinity);
    const list: AnyValue[] = [];
    for (let i = 0; i < count; i++) list.push(read(cursor, depth + 1));
    return list;
  }
  if (type === TYPE_OBJECT) {
    const count = decodeCount(cursor, Infinity);
    const object: { [key: string]: AnyValue } = {};
    for (let i = 0; i < count; i++) setOwn(object, string.decode(cursor), read(cursor, depth + 1));
    return object;
  }
  const leaf = LEAVES[type];
  if (leaf === undefined) throw new DecodeError(`Expected a type from 0 to 9, found ${type}`, at);
  return leaf.decode(cursor);
}

/** Assigns as `JSON.parse` does: `__proto__` is a key like any other and sets no prototype. */
function setOwn(object: { [key: string]: AnyValue }, key: string, value: AnyValue): void {
  if (key === "__proto__") {
    Object.defineProperty(object, key, { value, configurable: true, enumerable: true, writable: true });
  } else {
    object[key] = value;
  }
}

/**
 * Any value made of null, booleans, numbers, strings, bytes, dates, arrays and plain objects, nested at most 128 deep.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { any, decode, encode } from "./mod.ts";
 *
 * const value = { name: "hypha", tags: ["p2p", 1, null], at: new Date(0) };
 * assert.deepEqual(decode(any, encode(any, value)), value);
 * ```
 */
export const any: Codec<AnyValue, AnyInput> = {
  size: (value: AnyInput): number => sizeOf(value, 0),
  encode: (cursor: Cursor, value: AnyInput): void => write(cursor, value, 0),
  decode: (cursor: Cursor): AnyValue => read(cursor, 0),
};
