/** Codecs of plain JavaScript values: truth, dates, JSON, nothing. */
import { type Codec, type Cursor, DecodeError } from "./codec.ts";
import { rawString, string } from "./strings.ts";
import { int } from "./varint.ts";

/** One byte: 1 is true, all else false. */
export const bool: Codec<boolean> = {
  size: () => 1,
  encode(cursor: Cursor, value: boolean): void {
    if (typeof value !== "boolean") throw new TypeError(`Expected a boolean, got ${typeof value}`);
    cursor.buffer[cursor.reserve(1)] = value ? 1 : 0;
  },
  decode(cursor: Cursor): boolean {
    return cursor.buffer[cursor.take(1)] === 1;
  },
};

/** No bytes at all; always `null`. */
export const none: Codec<null, null | undefined> = {
  size: () => 0,
  encode(): void {},
  decode: () => null,
};

function milliseconds(date: Date): number {
  if (!(date instanceof Date)) throw new TypeError(`Expected a Date, got ${typeof date}`);
  return date.getTime();
}

/** The milliseconds since 1970 as an `int`. An invalid date is a `RangeError`. */
export const date: Codec<Date> = {
  size: (value: Date): number => int.size(milliseconds(value)),
  encode: (cursor: Cursor, value: Date): void => int.encode(cursor, milliseconds(value)),
  decode: (cursor: Cursor): Date => new Date(int.decode(cursor)),
};

/** What JSON can express; `undefined` alone cannot be. */
// deno-lint-ignore no-explicit-any -- the type that JSON.parse has
export type Json = any;

function jsonIn(text: Codec<string>, terminator: string): Codec<Json> {
  function stringify(value: Json): string {
    const json = JSON.stringify(value);
    if (json === undefined) throw new TypeError(`Expected a value that JSON has, got ${typeof value}`);
    return json + terminator;
  }
  return {
    size: (value: Json): number => text.size(stringify(value)),
    encode: (cursor: Cursor, value: Json): void => text.encode(cursor, stringify(value)),
    decode(cursor: Cursor): Json {
      const at = cursor.start;
      const json = text.decode(cursor);
      try {
        return JSON.parse(json);
      } catch (cause) {
        throw new DecodeError("Expected JSON", at, { cause });
      }
    },
  };
}

/** JSON as a {@linkcode string}. */
export const json: Codec<Json> = jsonIn(string, "");
/** JSON and a line feed as a {@linkcode string}; the line feed may be missing when read. */
export const ndjson: Codec<Json> = jsonIn(string, "\n");
/** {@linkcode json} without the length. */
export const rawJson: Codec<Json> = jsonIn(rawString, "");
/** {@linkcode ndjson} without the length. */
export const rawNdjson: Codec<Json> = jsonIn(rawString, "\n");
