/** Small sets of flags in the form of a `uint`: its bits, read as little-endian bytes. */
import { type Codec, type Cursor, unencodable } from "./codec.ts";

/**
 * `length` (at most 64) flags: fewer than 8 take one byte, up to 16 take 0xfd and two, up to 32 take 0xfe and four, the
 * others 0xff and eight. Eight flags thus take three bytes, of which one is handed back.
 *
 * May be written as a number, or as bytes of which missing ones are zero. Decoding accepts any of the four forms, fills
 * up with zeros and drops flags that a newer peer may have appended. What is decoded is a copy.
 *
 * @throws {RangeError} if `length` is not from 0 to 64.
 */
export function bitfield(length: number): Codec<Uint8Array, Uint8Array | number> {
  if (!(Number.isInteger(length) && length >= 0 && length <= 64)) {
    throw new RangeError(`Expected a length from 0 to 64 bits, got ${length}`);
  }
  const width = length < 8 ? 1 : length <= 16 ? 2 : length <= 32 ? 4 : 8;
  const decodedWidth = length <= 8 ? 1 : width;
  const size = width === 1 ? 1 : 1 + width;

  /** Which bits of byte `index` are flags. */
  function maskOf(index: number): number {
    return 2 ** Math.min(Math.max(length - 8 * index, 0), 8) - 1;
  }

  function bytesOf(flags: Uint8Array | number): Uint8Array {
    const bytes = typeof flags === "number" ? bytesOfNumber(flags) : flags;
    if (!(bytes instanceof Uint8Array)) throw unencodable("a number or a Uint8Array", flags, "number");
    for (let i = 0; i < bytes.length; i++) {
      if ((bytes[i]! & ~maskOf(i)) !== 0) throw new RangeError(`Expected at most ${length} flags, got more`);
    }
    return bytes.subarray(0, width);
  }

  return {
    size: () => size,
    encode(cursor: Cursor, flags: Uint8Array | number): void {
      const bytes = bytesOf(flags);
      const at = cursor.reserve(size);
      cursor.buffer.fill(0, at, at + size);
      if (width > 1) cursor.buffer[at] = width === 2 ? 0xfd : width === 4 ? 0xfe : 0xff;
      cursor.buffer.set(bytes, at + size - width);
    },
    decode(cursor: Cursor): Uint8Array {
      const first = cursor.buffer[cursor.take(1)]!;
      const found = first <= 0xfc ? 1 : first === 0xfd ? 2 : first === 0xfe ? 4 : 8;
      const at = found === 1 ? cursor.start - 1 : cursor.take(found);
      const flags = new Uint8Array(decodedWidth);
      flags.set(cursor.buffer.subarray(at, at + Math.min(found, decodedWidth)));
      return flags.map((byte, index) => byte & maskOf(index));
    },
  };
}

function bytesOfNumber(flags: number): Uint8Array {
  if (!(Number.isSafeInteger(flags) && flags >= 0)) {
    throw unencodable("an integer from 0 to 2^53 - 1", flags, "number");
  }
  const bytes = new Uint8Array(8);
  for (let i = 0, rest = flags; i < 8; i++, rest = Math.floor(rest / 256)) bytes[i] = rest;
  return bytes;
}
