/**
 * The codecs without a length or count: each takes everything up to the end of the cursor, so it comes last in a message,
 * or alone in a `frame`.
 */
import { rawArrayBuffer, rawBuffer } from "./buffers.ts";
import type { Codec } from "./codec.ts";
import { rawArray } from "./lists.ts";
import { rawAscii, rawBase64, rawBinary, rawHex, rawString, rawUtf16le } from "./strings.ts";
import * as typedArrays from "./typed_arrays.ts";
import { type Json, rawJson, rawNdjson } from "./values.ts";

/** See the codec of the same name for each; {@linkcode raw} is the one value of this type. */
export interface RawCodecs {
  /** Bytes. What is decoded is a view of the input. */
  readonly buffer: Codec<Uint8Array>;
  /** Bytes that may be given as text. */
  readonly binary: Codec<Uint8Array, Uint8Array | string>;
  /** The bytes of an `ArrayBuffer`. */
  readonly arrayBuffer: Codec<ArrayBuffer>;
  /** Text in UTF-8. */
  readonly string: Codec<string>;
  /** Text in ASCII. */
  readonly ascii: Codec<string>;
  /** Text in UTF-16, little-endian. */
  readonly utf16le: Codec<string>;
  /** Bytes as hexadecimal digits. */
  readonly hex: Codec<string>;
  /** Bytes as base64. */
  readonly base64: Codec<string>;
  /** JSON. */
  readonly json: Codec<Json>;
  /** JSON and a line feed. */
  readonly ndjson: Codec<Json>;
  /** Bytes, copied. */
  readonly uint8Array: Codec<Uint8Array>;
  /** Signed bytes. */
  readonly int8Array: Codec<Int8Array>;
  /** 16-bit integers. */
  readonly uint16Array: Codec<Uint16Array>;
  /** Signed 16-bit integers. */
  readonly int16Array: Codec<Int16Array>;
  /** 32-bit integers. */
  readonly uint32Array: Codec<Uint32Array>;
  /** Signed 32-bit integers. */
  readonly int32Array: Codec<Int32Array>;
  /** 64-bit integers. */
  readonly bigUint64Array: Codec<BigUint64Array>;
  /** Signed 64-bit integers. */
  readonly bigInt64Array: Codec<BigInt64Array>;
  /** Single-precision numbers. */
  readonly float32Array: Codec<Float32Array>;
  /** Double-precision numbers. */
  readonly float64Array: Codec<Float64Array>;
  /** Elements of at least one byte each. */
  array<T, Input = T>(codec: Codec<T, Input>): Codec<T[], readonly Input[]>;
}

/** The codecs that take everything up to the end. */
export const raw: RawCodecs = {
  buffer: rawBuffer,
  binary: rawBinary,
  arrayBuffer: rawArrayBuffer,
  string: rawString,
  ascii: rawAscii,
  utf16le: rawUtf16le,
  hex: rawHex,
  base64: rawBase64,
  json: rawJson,
  ndjson: rawNdjson,
  uint8Array: typedArrays.rawUint8Array,
  int8Array: typedArrays.rawInt8Array,
  uint16Array: typedArrays.rawUint16Array,
  int16Array: typedArrays.rawInt16Array,
  uint32Array: typedArrays.rawUint32Array,
  int32Array: typedArrays.rawInt32Array,
  bigUint64Array: typedArrays.rawBigUint64Array,
  bigInt64Array: typedArrays.rawBigInt64Array,
  float32Array: typedArrays.rawFloat32Array,
  float64Array: typedArrays.rawFloat64Array,
  array: rawArray,
};
