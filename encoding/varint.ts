/**
 * Integers that take as many bytes as they need: one up to 0xfc, else a marker (0xfd, 0xfe, 0xff) and 2, 4 or 8 bytes,
 * little-endian. Decoding accepts longer forms than necessary, as every peer does.
 */
import { type Codec, type Cursor, unencodable } from "./codec.ts";
import { readUint32, unsafeInteger, writeUint32, zigzag } from "./fixed.ts";

const TWO_32 = 0x1_0000_0000;

/**
 * An integer from 0 to 2^53 - 1 in 1, 3, 5 or 9 bytes.
 *
 * The cursor is moved by hand and once: what is left of the cost is the way of `cursor.start` through memory, about 2 ns.
 * With `take` and `reserve` for each part, mixed sizes took 1.2 times as long; with the sizes above one byte in functions
 * of their own, 1.5 times.
 */
export const uint: Codec<number> = {
  size(value: number): number {
    return value <= 0xfc ? 1 : value <= 0xffff ? 3 : value <= 0xffffffff ? 5 : 9;
  },

  encode(cursor: Cursor, value: number): void {
    const { buffer, start, end } = cursor;
    if (value <= 0xfc && (value & 0xff) === value && start < end) {
      buffer[start] = value;
      cursor.start = start + 1;
    } else if (value <= 0xffff && (value & 0xffff) === value && end - start >= 3) {
      buffer[start] = 0xfd;
      buffer[start + 1] = value;
      buffer[start + 2] = value >>> 8;
      cursor.start = start + 3;
    } else if (value >>> 0 === value && end - start >= 5) {
      buffer[start] = 0xfe;
      writeUint32(buffer, start + 1, value);
      cursor.start = start + 5;
    } else {
      encodeOther(cursor, value);
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
    return decodeOther(cursor);
  },
};

/** Writes what takes nine bytes, or says what is wrong. */
function encodeOther(cursor: Cursor, value: number): void {
  if (!(Number.isSafeInteger(value) && value >= 0)) {
    throw unencodable("an integer from 0 to 2^53 - 1", value, "number");
  }
  const at = cursor.reserve(uint.size(value));
  cursor.buffer[at] = 0xff;
  writeUint32(cursor.buffer, at + 1, value);
  writeUint32(cursor.buffer, at + 5, Math.floor(value / TWO_32));
}

/** Reads what takes nine bytes, or says what is wrong. */
function decodeOther(cursor: Cursor): number {
  const { buffer } = cursor;
  const marker = buffer[cursor.take(1)]!;
  const at = cursor.take(marker === 0xfd ? 2 : marker === 0xfe ? 4 : 8);
  const high = readUint32(buffer, at + 4);
  if (high > 0x1fffff) throw unsafeInteger(at);
  return high * TWO_32 + readUint32(buffer, at);
}

/** An integer from -2^52 to 2^52 - 1, zigzag over {@linkcode uint}. */
export const int: Codec<number> = zigzag(uint, 53);
