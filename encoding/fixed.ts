/** Integers of fixed width. Little-endian unless the name says `be`; signed ones zigzag, see `varint.ts`. */
import { type Codec, type Cursor, DecodeError, unencodable } from "./codec.ts";

const TWO_32 = 0x1_0000_0000;

function check(value: number, max: number): void {
  if (!(Number.isInteger(value) && value >= 0 && value <= max)) throw notUint(value, max);
}

/** Apart from `check`, so that checking stays small enough to be inlined. */
function notUint(value: unknown, max: number): Error {
  return unencodable(`an integer from 0 to ${max}`, value, "number");
}

/** The error for 8 bytes that hold more than a JavaScript number does. */
export function unsafeInteger(at: number): DecodeError {
  return new DecodeError("Expected an integer of at most 2^53 - 1, found a larger one", at);
}

/** One byte. */
export const uint8: Codec<number> = {
  size: () => 1,
  encode(cursor: Cursor, value: number): void {
    if ((value & 0xff) !== value) throw notUint(value, 0xff);
    cursor.buffer[cursor.reserve(1)] = value;
  },
  decode(cursor: Cursor): number {
    return cursor.buffer[cursor.take(1)]!;
  },
};

/** Two bytes, little-endian. */
export const uint16: Codec<number> = {
  size: () => 2,
  encode(cursor: Cursor, value: number): void {
    if ((value & 0xffff) !== value) throw notUint(value, 0xffff);
    const at = cursor.reserve(2);
    const { buffer } = cursor;
    buffer[at] = value;
    buffer[at + 1] = value >>> 8;
  },
  decode(cursor: Cursor): number {
    const at = cursor.take(2);
    const { buffer } = cursor;
    return buffer[at]! | buffer[at + 1]! << 8;
  },
};

/** Four bytes, little-endian. */
export const uint32: Codec<number> = {
  size: () => 4,
  encode(cursor: Cursor, value: number): void {
    if (value >>> 0 !== value) throw notUint(value, TWO_32 - 1);
    writeUint32(cursor.buffer, cursor.reserve(4), value);
  },
  decode(cursor: Cursor): number {
    return readUint32(cursor.buffer, cursor.take(4));
  },
};

/** Writes the low 32 bits of `value`, little-endian. The caller has checked that there is room. */
export function writeUint32(buffer: Uint8Array, at: number, value: number): void {
  buffer[at] = value;
  buffer[at + 1] = value >>> 8;
  buffer[at + 2] = value >>> 16;
  buffer[at + 3] = value >>> 24;
}

/** Reads 32 bits, little-endian. The caller has checked that they are there. */
export function readUint32(buffer: Uint8Array, at: number): number {
  return (buffer[at]! | buffer[at + 1]! << 8 | buffer[at + 2]! << 16 | buffer[at + 3]! << 24) >>> 0;
}

/** `width` bytes (3 or 5..8), little-endian: the low 32 bits, then the rest. */
function littleEndian(width: number): Codec<number> {
  const max = Math.min(256 ** width - 1, Number.MAX_SAFE_INTEGER);
  return {
    size: () => width,
    encode(cursor: Cursor, value: number): void {
      check(value, max);
      const at = cursor.reserve(width);
      for (let i = 0, rest = value; i < width; i++, rest = Math.floor(rest / 256)) {
        cursor.buffer[at + i] = rest;
      }
    },
    decode(cursor: Cursor): number {
      const at = cursor.take(width);
      let value = 0;
      for (let i = width - 1; i >= 0; i--) value = value * 256 + cursor.buffer[at + i]!;
      if (value > max) throw unsafeInteger(at);
      return value;
    },
  };
}

/** Three bytes, little-endian. */
export const uint24: Codec<number> = littleEndian(3);
/** Five bytes, little-endian. */
export const uint40: Codec<number> = littleEndian(5);
/** Six bytes, little-endian. */
export const uint48: Codec<number> = littleEndian(6);
/** Seven bytes, little-endian; at most 2^53 - 1. */
export const uint56: Codec<number> = littleEndian(7);

/** Eight bytes, little-endian; at most 2^53 - 1, see `biguint64` for more. */
export const uint64: Codec<number> = {
  size: () => 8,
  encode(cursor: Cursor, value: number): void {
    check(value, Number.MAX_SAFE_INTEGER);
    const at = cursor.reserve(8);
    writeUint32(cursor.buffer, at, value);
    writeUint32(cursor.buffer, at + 4, Math.floor(value / TWO_32));
  },
  decode(cursor: Cursor): number {
    const at = cursor.take(8);
    const high = readUint32(cursor.buffer, at + 4);
    if (high > 0x1fffff) throw unsafeInteger(at);
    return high * TWO_32 + readUint32(cursor.buffer, at);
  },
};

/** Four bytes, big-endian. */
export const uint32be: Codec<number> = {
  size: () => 4,
  encode(cursor: Cursor, value: number): void {
    check(value, TWO_32 - 1);
    const at = cursor.reserve(4);
    cursor.view.setUint32(at, value);
  },
  decode(cursor: Cursor): number {
    const at = cursor.take(4);
    return cursor.view.getUint32(at);
  },
};

/** Eight bytes, big-endian; at most 2^53 - 1. */
export const uint64be: Codec<number> = {
  size: () => 8,
  encode(cursor: Cursor, value: number): void {
    check(value, Number.MAX_SAFE_INTEGER);
    const at = cursor.reserve(8);
    cursor.view.setUint32(at, Math.floor(value / TWO_32));
    cursor.view.setUint32(at + 4, value % TWO_32);
  },
  decode(cursor: Cursor): number {
    const at = cursor.take(8);
    const high = cursor.view.getUint32(at);
    if (high > 0x1fffff) throw unsafeInteger(at);
    return high * TWO_32 + cursor.view.getUint32(at + 4);
  },
};

/**
 * Maps signed to unsigned integers so that small ones stay small: 0, -1, 1, -2, 2 become 0, 1, 2, 3, 4. `bits` (at most
 * 53) is the width that `codec` has room for.
 */
export function zigzag(codec: Codec<number>, bits: number): Codec<number> {
  const limit = 2 ** (bits - 1);
  function map(value: number): number {
    if (!(Number.isInteger(value) && value >= -limit && value < limit)) {
      throw unencodable(`an integer from ${-limit} to ${limit - 1}`, value, "number");
    }
    return value < 0 ? -2 * value - 1 : 2 * value;
  }
  return {
    size: (value: number): number => codec.size(map(value)),
    encode: (cursor: Cursor, value: number): void => codec.encode(cursor, map(value)),
    decode(cursor: Cursor): number {
      const value = codec.decode(cursor);
      return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    },
  };
}

/** One byte, zigzag: -128 to 127. */
export const int8: Codec<number> = zigzag(uint8, 8);
/** Two bytes, zigzag: -2^15 to 2^15 - 1. */
export const int16: Codec<number> = zigzag(uint16, 16);
/** Three bytes, zigzag: -2^23 to 2^23 - 1. */
export const int24: Codec<number> = zigzag(uint24, 24);
/** Four bytes, zigzag: -2^31 to 2^31 - 1. */
export const int32: Codec<number> = zigzag(uint32, 32);
/** Five bytes, zigzag: -2^39 to 2^39 - 1. */
export const int40: Codec<number> = zigzag(uint40, 40);
/** Six bytes, zigzag: -2^47 to 2^47 - 1. */
export const int48: Codec<number> = zigzag(uint48, 48);
/** Seven bytes, zigzag: -2^52 to 2^52 - 1. */
export const int56: Codec<number> = zigzag(uint56, 53);
/** Eight bytes, zigzag: -2^52 to 2^52 - 1. */
export const int64: Codec<number> = zigzag(uint64, 53);

/** IEEE 754 single precision, little-endian. */
export const float32: Codec<number> = {
  size: () => 4,
  encode(cursor: Cursor, value: number): void {
    if (typeof value !== "number") throw unencodable("a number", value, "number");
    const at = cursor.reserve(4);
    cursor.view.setFloat32(at, value, true);
  },
  decode(cursor: Cursor): number {
    const at = cursor.take(4);
    return cursor.view.getFloat32(at, true);
  },
};

/** IEEE 754 double precision, little-endian. */
export const float64: Codec<number> = {
  size: () => 8,
  encode(cursor: Cursor, value: number): void {
    if (typeof value !== "number") throw unencodable("a number", value, "number");
    const at = cursor.reserve(8);
    cursor.view.setFloat64(at, value, true);
  },
  decode(cursor: Cursor): number {
    const at = cursor.take(8);
    return cursor.view.getFloat64(at, true);
  },
};
