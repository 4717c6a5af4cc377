/** Integers beyond 2^53, as `bigint`. */
import { type Codec, type Cursor, DecodeError, unencodable } from "./codec.ts";
import { toHex } from "./text.ts";
import { uint } from "./varint.ts";

function check(value: bigint): void {
  if (!(typeof value === "bigint" && value >= 0n)) {
    throw unencodable("a bigint of at least 0", value, "bigint");
  }
}

/** Eight bytes, little-endian: 0 to 2^64 - 1. */
export const biguint64: Codec<bigint> = {
  size: () => 8,
  encode(cursor: Cursor, value: bigint): void {
    check(value);
    if (value >> 64n !== 0n) throw unencodable("a bigint below 2^64", value, "bigint");
    const at = cursor.reserve(8);
    cursor.view.setBigUint64(at, value, true);
  },
  decode(cursor: Cursor): bigint {
    const at = cursor.take(8);
    return cursor.view.getBigUint64(at, true);
  },
};

/** Most 64-bit words of a {@linkcode biguint}; 8 MiB, and thus far below the largest `bigint` of any engine. */
const MAX_WORDS = 0x100000;

/**
 * A `uint` number of 64-bit words, then those, lowest first. Zero has none.
 *
 * It passes through hexadecimal text, which engines convert in linear time: shifting word by word, as the reference does,
 * takes quadratic time, minutes for a megabyte.
 */
export const biguint: Codec<bigint> = {
  size(value: bigint): number {
    check(value);
    const words = wordsOf(value.toString(16));
    return uint.size(words) + 8 * words;
  },
  encode(cursor: Cursor, value: bigint): void {
    check(value);
    const digits = value.toString(16);
    const words = wordsOf(digits);
    if (words > MAX_WORDS) {
      throw new RangeError(`Expected a bigint of at most ${MAX_WORDS} words, got ${words}`);
    }
    uint.encode(cursor, words);
    const at = cursor.reserve(8 * words);
    for (let i = 0, end = digits.length; i < 8 * words; i++, end -= 2) {
      cursor.buffer[at + i] = end <= 0 ? 0 : parseInt(digits.slice(Math.max(end - 2, 0), end), 16);
    }
  },
  decode(cursor: Cursor): bigint {
    const origin = cursor.start;
    const words = uint.decode(cursor);
    if (words > MAX_WORDS) {
      throw new DecodeError(`Expected at most ${MAX_WORDS} words, found ${words}`, origin);
    }
    const at = cursor.take(8 * words);
    return words === 0 ? 0n : BigInt(`0x${toHex(cursor.buffer.slice(at, cursor.start).reverse())}`);
  },
};

function wordsOf(digits: string): number {
  return digits === "0" ? 0 : Math.ceil(digits.length / 16);
}

/** Zigzag, as `zigzag` in `fixed.ts`, over bigints. */
function zigzag(codec: Codec<bigint>): Codec<bigint> {
  function map(value: bigint): bigint {
    if (typeof value !== "bigint") throw unencodable("a bigint", value, "bigint");
    return value < 0n ? -2n * value - 1n : 2n * value;
  }
  return {
    size: (value: bigint): number => codec.size(map(value)),
    encode: (cursor: Cursor, value: bigint): void => codec.encode(cursor, map(value)),
    decode(cursor: Cursor): bigint {
      const value = codec.decode(cursor);
      return (value & 1n) === 0n ? value >> 1n : -(value >> 1n) - 1n;
    },
  };
}

/** Eight bytes, zigzag: -2^63 to 2^63 - 1. */
export const bigint64: Codec<bigint> = zigzag(biguint64);
/** Zigzag over {@linkcode biguint}. */
export const bigint: Codec<bigint> = zigzag(biguint);
