/**
 * Bytes to values and back: the compact encoding of the Hyper stack, byte for byte, and the text forms of keys and
 * addresses. Pure functions of their arguments; nothing here imports anything.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { array, type Codec, type Cursor, decode, encode, string, uint } from "./mod.ts";
 *
 * interface Song {
 *   title: string;
 *   seconds: number;
 * }
 *
 * const song: Codec<Song> = {
 *   size: ({ title, seconds }) => string.size(title) + uint.size(seconds),
 *   encode(cursor: Cursor, { title, seconds }: Song): void {
 *     string.encode(cursor, title);
 *     uint.encode(cursor, seconds);
 *   },
 *   decode: (cursor) => ({ title: string.decode(cursor), seconds: uint.decode(cursor) }),
 * };
 *
 * const songs = [{ title: "Mycelium", seconds: 244 }];
 * assert.deepEqual(decode(array(song), encode(array(song), songs)), songs);
 * ```
 *
 * @module
 */
export {
  type Allocator,
  type Codec,
  Cursor,
  decode,
  type Decoded,
  DecodeError,
  decodeExact,
  encode,
} from "./codec.ts";
export { compare, concat, equals, Slab } from "./bytes.ts";
export { int, uint } from "./varint.ts";
export {
  float32,
  float64,
  int16,
  int24,
  int32,
  int40,
  int48,
  int56,
  int64,
  int8,
  uint16,
  uint24,
  uint32,
  uint32be,
  uint40,
  uint48,
  uint56,
  uint64,
  uint64be,
  uint8,
} from "./fixed.ts";
export { bigint, bigint64, biguint, biguint64 } from "./bigint.ts";
export { lexint } from "./lexint.ts";
export { arrayBuffer, bitarray, buffer, fixed, fixed32, fixed64, optionalBuffer } from "./buffers.ts";
export {
  bigInt64Array,
  bigUint64Array,
  float32Array,
  float64Array,
  int16Array,
  int32Array,
  int8Array,
  uint16Array,
  uint32Array,
  uint8Array,
} from "./typed_arrays.ts";
export { ascii, base64, binary, hex, string, type StringCodec, utf16le } from "./strings.ts";
export { array, frame, record, stringRecord } from "./lists.ts";
export { bool, date, type Json, json, ndjson, none } from "./values.ts";
export { any, type AnyInput, type AnyValue } from "./any.ts";
export { bitfield } from "./bitfield.ts";
export { raw, type RawCodecs } from "./raw.ts";
export {
  type AbstractEncoding,
  type CompactEncoding,
  type CompactState,
  type EncodingName,
  from,
  type TextEncodingName,
  type WholeEncoding,
} from "./from.ts";
export { SocketAddress } from "./address.ts";
export { ip, ipAddress, ipv4, ipv4Address, ipv6, ipv6Address, port } from "./address_codecs.ts";
export { type DhtAddress, dhtAddress, formatKey, parseKey } from "./keys.ts";
export { fromBase64, fromHex, fromZbase32, toBase64, toHex, toZbase32 } from "./text.ts";
