/**
 * Integers that take as many bytes as they need: one up to 0xfc, else a marker (0xfd, 0xfe, 0xff) and 2, 4 or 8 bytes,
 * little-endian. Decoding accepts longer forms than necessary, as every peer does.
 */
import { type Codec, type Cursor, type DecodeError, inputEnds, noRoom, unencodable } from "./codec.ts";
import { readUint32, unsafeInteger, writeUint32, zigzag } from "./fixed.ts";

const TWO_32 = 0x1_0000_0000;

/**
 * An integer from 0 to 2^53 - 1 in 1, 3, 5 or 9 bytes.
 *
 * The cursor is moved by hand and once, and no function gets it that might not be inlined: so V8 keeps it in registers. Writing
 * and reading back alone in a loop, in million values/s on Node 22 and Deno 2.9: 353 and 511 for one byte, 89 and 142 for mixed
 * sizes. Tried: comparing before `>>> 0`, and the cursor passed to the rare cases, 353 and 508, 82 and 94; fields of the cursor
 * that are `declare`d, thus never undefined, 301 and 460, 101 and 142; `take` and `reserve` for each part, 336 and 463, 81 and 101.
 */
export const uint: Codec<number> = {
  size(value: number): number {
    return value <= 0xfc ? 1 : value <= 0xffff ? 3 : value <= 0xffffffff ? 5 : 9;
  },

  encode(cursor: Cursor, value: number): void {
    const { buffer, start, end } = cursor;
    const low = value >>> 0;
    if (low !== value) {
      cursor.start = encodeOther(buffer, start, end, value);
    } else if (low <= 0xfc && start < end) {
      buffer[start] = low;
      cursor.start = start + 1;
    } else if (low <= 0xffff && end - start >= 3) {
      buffer[start] = 0xfd;
      buffer[start + 1] = low;
      buffer[start + 2] = low >>> 8;
      cursor.start = start + 3;
    } else if (end - start >= 5) {
      buffer[start] = 0xfe;
      writeUint32(buffer, start + 1, low);
      cursor.start = start + 5;
    } else {
      throw noRoom(uint.size(low), end - start);
    }
  },

  decode(cursor: Cursor): number {
    const { buffer, start, end } = cursor;
    if (start < end) {
      const first = buffer[start]!;
      if (first <= 0xfc) {
        cursor.start = start + 1;
        return first;
      }
      if (first === 0xfd && end - start >= 3) {
        cursor.start = start + 3;
        return buffer[start + 1]! | buffer[start + 2]! << 8;
      }
      if (first === 0xfe && end - start >= 5) {
        cursor.start = start + 5;
        return readUint32(buffer, start + 1);
      }
    }
    const value = decodeOther(buffer, start, end);
    cursor.start = start + 9;
    return value;
  },
};

/** Writes what takes nine bytes and returns the index behind it, or says what is wrong. */
function encodeOther(buffer: Uint8Array, start: number, end: number, value: number): number {
  if (!(Number.isSafeInteger(value) && value >= 0)) {
    throw unencodable("an integer from 0 to 2^53 - 1", value, "number");
  }
  if (end - start < 9) throw noRoom(9, end - start);
  buffer[start] = 0xff;
  writeUint32(buffer, start + 1, value);
  writeUint32(buffer, start + 5, Math.floor(value / TWO_32));
  return start + 9;
}

/** Reads what takes nine bytes, or says what is wrong. */
function decodeOther(buffer: Uint8Array, start: number, end: number): number {
  if (end - start < 9) throw cutShort(buffer, start, end);
  const high = readUint32(buffer, start + 5);
  if (high > 0x1fffff) throw unsafeInteger(start + 1);
  return high * TWO_32 + readUint32(buffer, start + 1);
}

/** The error for input that ends within a value. */
function cutShort(buffer: Uint8Array, start: number, end: number): DecodeError {
  const left = end - start;
  if (left < 1) return inputEnds(1, left, start);
  const marker = buffer[start]!;
  return inputEnds(marker === 0xfd ? 2 : marker === 0xfe ? 4 : 8, left - 1, start + 1);
}

/** An integer from -2^52 to 2^52 - 1, zigzag over {@linkcode uint}. */
export const int: Codec<number> = zigzag(uint, 53);
