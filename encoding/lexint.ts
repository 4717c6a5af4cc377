/**
 * Integers whose encodings sort like the integers: for keys in ordered stores.
 *
 * Up to 250 a byte is the value. Above, a marker says how the rest x = value - 251 is written: 0xfb, 0xfc, 0xfd and 0xfe
 * with 1 to 4 bytes, big-endian; 0xff with one byte for e = floor(log2(x)) - 32 and six bytes, big-endian, for
 * x * 2^(11 - e), which lies between 2^43 and 2^44.
 *
 * So numbers from 2^44 up have 44 significant bits. The reference drops the others without a word; here such a number is
 * refused. The reference also writes 2^32 to 2^32 + 250 so that nobody can read them; here they take the form of 0xfe,
 * which the reference reads.
 */
import { type Codec, type Cursor, DecodeError, unencodable } from "./codec.ts";

const TWO_32 = 0x1_0000_0000;
/** The first marker, and what is taken off a value that has one. */
const BASE = 251;

/** The mantissa has 44 bits, in room for 48. */
const MANTISSA_LIMIT = 2 ** 44;

/** How many bytes follow the marker. The steps are at powers of two of the value, not of what is written. */
function tailSize(value: number): number {
  if (value < BASE) return 0;
  if (value < 0x100) return 1;
  if (value < 0x10000) return 2;
  if (value < 0x1000000) return 3;
  return value - BASE < TWO_32 ? 4 : 7;
}

/** An integer from 0 to 2^53 - 1 in 1 to 8 bytes; from 2^44 up, one with at most 44 significant bits less 251. */
export const lexint: Codec<number> = {
  size: (value: number): number => 1 + tailSize(value),

  encode(cursor: Cursor, value: number): void {
    if (!(Number.isSafeInteger(value) && value >= 0)) {
      throw unencodable("an integer from 0 to 2^53 - 1", value, "number");
    }
    const tail = tailSize(value);
    const at = cursor.reserve(1 + tail);
    const { buffer } = cursor;
    if (tail === 0) {
      buffer[at] = value;
      return;
    }
    const rest = value - BASE;
    if (tail <= 4) {
      buffer[at] = BASE + tail - 1;
      writeBigEndian(buffer, at + 1, tail, rest);
      return;
    }
    const exponent = 31 - Math.clz32(Math.floor(rest / TWO_32));
    const mantissa = rest * 2 ** (11 - exponent);
    if (!Number.isInteger(mantissa)) {
      throw unencodable("a value of 44 significant bits (plus 251)", value, "number");
    }
    buffer[at] = 0xff;
    buffer[at + 1] = exponent;
    writeBigEndian(buffer, at + 2, 6, mantissa);
  },

  decode(cursor: Cursor): number {
    const origin = cursor.start;
    const { buffer } = cursor;
    const marker = buffer[cursor.take(1)]!;
    if (marker < BASE) return marker;
    if (marker !== 0xff) {
      const tail = marker - BASE + 1;
      return BASE + readBigEndian(buffer, cursor.take(tail), tail);
    }
    const at = cursor.take(7);
    const exponent = buffer[at]!;
    const mantissa = readBigEndian(buffer, at + 1, 6);
    const value = BASE + mantissa * 2 ** (exponent - 11);
    if (exponent >= BASE || mantissa >= MANTISSA_LIMIT || !Number.isSafeInteger(value)) {
      throw new DecodeError("Expected an integer of at most 2^53 - 1, found none", origin);
    }
    return value;
  },
};

function writeBigEndian(buffer: Uint8Array, at: number, width: number, value: number): void {
  for (let i = width - 1, rest = value; i >= 0; i--, rest = Math.floor(rest / 256)) buffer[at + i] = rest;
}

function readBigEndian(buffer: Uint8Array, at: number, width: number): number {
  let value = 0;
  for (let i = 0; i < width; i++) value = value * 256 + buffer[at + i]!;
  return value;
}
