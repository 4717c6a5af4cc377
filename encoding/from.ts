/** Encodings that applications name, or bring along from elsewhere, as codecs. */
import { rawBuffer } from "./buffers.ts";
import { type Codec, type Cursor, DecodeError } from "./codec.ts";
import { rawAscii, rawBase64, rawBinary, rawHex, rawString, rawUtf16le } from "./strings.ts";
import { rawJson, rawNdjson } from "./values.ts";

/** Names of encodings that give text. */
export type TextEncodingName =
  | "ascii"
  | "utf-8"
  | "utf8"
  | "hex"
  | "base64"
  | "utf16-le"
  | "utf16le"
  | "ucs-2"
  | "ucs2";

/** Names of encodings that {@linkcode from} knows. */
export type EncodingName = TextEncodingName | "json" | "ndjson" | "binary";

/** An encoding that makes and takes whole byte arrays. */
export interface WholeEncoding<T> {
  /** The bytes of `value`. */
  encode(value: T): Uint8Array;
  /** The value of `bytes`. */
  decode(bytes: Uint8Array): T;
}

/** An encoding in the manner of the npm module `abstract-encoding`. */
export interface AbstractEncoding<T> {
  /** The number of bytes that `value` takes. */
  encodingLength(value: T): number;
  /** Writes `value`; afterwards `encode.bytes` is the number of bytes written. */
  readonly encode: ((value: T, buffer: Uint8Array, offset: number) => unknown) & { bytes?: number };
  /** Reads a value; afterwards `decode.bytes` is the number of bytes read. */
  readonly decode: ((buffer: Uint8Array, start: number, end: number) => T) & { bytes?: number };
}

/** A position as {@linkcode CompactEncoding} counts it; a `Cursor` is one. */
export interface CompactState {
  /** Index of the next byte. */
  start: number;
  /** Index behind the last byte; grows while sizes are added up. */
  end: number;
  /** The bytes, or null while sizes are added up. */
  readonly buffer: Uint8Array | null;
}

/** A codec of the npm module `compact-encoding`. */
export interface CompactEncoding<T> {
  /** Adds the size of `value` to `state.end`. */
  preencode(state: CompactState, value: T): void;
  /** Writes `value`. */
  encode(state: CompactState, value: T): void;
  /** Reads a value. */
  decode(state: CompactState): T;
}

// deno-lint-ignore no-explicit-any -- each name has its own type of value
const NAMED: Readonly<Record<EncodingName, Codec<any>>> = {
  ascii: rawAscii,
  "utf-8": rawString,
  utf8: rawString,
  hex: rawHex,
  base64: rawBase64,
  "utf16-le": rawUtf16le,
  utf16le: rawUtf16le,
  "ucs-2": rawUtf16le,
  ucs2: rawUtf16le,
  json: rawJson,
  ndjson: rawNdjson,
  binary: rawBinary,
};

/** The raw codec of that name, which gives text. */
export function from(encoding: TextEncodingName): Codec<string>;
/** The raw codec of bytes, which may be given as text. */
export function from(encoding: "binary"): Codec<Uint8Array, Uint8Array | string>;
/** The raw codec of JSON. */
// deno-lint-ignore no-explicit-any -- the type that JSON.parse has
export function from(encoding: "json" | "ndjson"): Codec<any>;
/**
 * A codec of any encoding: a codec of this module comes back as it is, one of the npm modules `compact-encoding` and
 * `abstract-encoding` or a pair of `encode` and `decode` over whole arrays is wrapped. What a foreign decoder throws
 * becomes the cause of a `DecodeError`.
 *
 * @throws {TypeError} if it is none of these, or a name that is not known.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { encode, from } from "./mod.ts";
 *
 * assert.deepEqual(encode(from("hex"), "beef"), new Uint8Array([0xbe, 0xef]));
 * ```
 */
export function from<T>(
  encoding: Codec<T> | CompactEncoding<T> | AbstractEncoding<T> | WholeEncoding<T>,
): Codec<T>;
export function from(
  encoding:
    | EncodingName
    | Codec<unknown>
    | CompactEncoding<unknown>
    | AbstractEncoding<unknown>
    | WholeEncoding<unknown>,
): Codec<unknown> {
  if (typeof encoding === "string") {
    if (!Object.hasOwn(NAMED, encoding)) throw new TypeError(`Expected a known encoding, got "${encoding}"`);
    return NAMED[encoding];
  }
  if (typeof encoding?.encode !== "function" || typeof encoding.decode !== "function") {
    throw new TypeError("Expected an encoding with the methods encode and decode");
  }
  if ("size" in encoding) return encoding;
  if ("preencode" in encoding) return fromCompact(encoding);
  if ("encodingLength" in encoding) return fromAbstract(encoding);
  return fromWhole(encoding);
}

/** Runs a foreign decoder, whose errors may be of any kind. */
function guard<T>(cursor: Cursor, decode: () => T): T {
  const at = cursor.start;
  try {
    return decode();
  } catch (cause) {
    throw new DecodeError("Expected what a foreign codec accepts", at, { cause });
  }
}

function fromCompact<T>(encoding: CompactEncoding<T>): Codec<T> {
  return {
    size(value: T): number {
      const state: CompactState = { start: 0, end: 0, buffer: null };
      encoding.preencode(state, value);
      return state.end;
    },
    encode: (cursor: Cursor, value: T): void => encoding.encode(cursor, value),
    decode: (cursor: Cursor): T => guard(cursor, () => encoding.decode(cursor)),
  };
}

function fromAbstract<T>(encoding: AbstractEncoding<T>): Codec<T> {
  return {
    size: (value: T): number => encoding.encodingLength(value),
    encode(cursor: Cursor, value: T): void {
      encoding.encode(value, cursor.buffer, cursor.start);
      cursor.reserve(encoding.encode.bytes ?? 0);
    },
    decode: (cursor: Cursor): T =>
      guard(cursor, () => {
        const value = encoding.decode(cursor.buffer, cursor.start, cursor.end);
        cursor.take(encoding.decode.bytes ?? 0);
        return value;
      }),
  };
}

function fromWhole<T>(encoding: WholeEncoding<T>): Codec<T> {
  return {
    size: (value: T): number => encoding.encode(value).length,
    encode: (cursor: Cursor, value: T): void => rawBuffer.encode(cursor, encoding.encode(value)),
    decode: (cursor: Cursor): T => guard(cursor, () => encoding.decode(rawBuffer.decode(cursor))),
  };
}
