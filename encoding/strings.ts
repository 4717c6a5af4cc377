/**
 * Text codecs. On the wire a string is a `uint` length IN BYTES and the bytes of its encoding. Under `raw` the length is
 * left out and the string goes to the end; `fixed(n)` leaves it out and takes n bytes.
 */
import { buffer, rawBuffer, takeLengthPrefixed } from "./buffers.ts";
import type { Codec, Cursor } from "./codec.ts";
import { fromBase64, fromHex, toBase64, toHex } from "./text.ts";
import { uint } from "./varint.ts";

/** A codec of length-prefixed text that also comes in a fixed size. */
export interface StringCodec extends Codec<string> {
  /**
   * The same text in exactly `size` bytes without a length. Shorter text is filled up with zero bytes, which decoding
   * keeps; longer text is a `RangeError`.
   */
  fixed(size: number): Codec<string>;
}

/** One way to turn text into bytes. */
interface TextEncoding {
  /** How many bytes `text` takes; throws if it cannot be expressed. */
  size(text: string): number;
  /** Writes `text`, whose size is known to be `size` and to fit. */
  write(buffer: Uint8Array, at: number, text: string, size: number): void;
  read(buffer: Uint8Array, start: number, end: number): string;
}

function sizeOf(encoding: TextEncoding, text: string): number {
  if (typeof text !== "string") {
    throw new TypeError(`Expected a string, got ${text === null ? "null" : typeof text}`);
  }
  return encoding.size(text);
}

function prefixed(encoding: TextEncoding): StringCodec {
  return {
    size(text: string): number {
      const size = sizeOf(encoding, text);
      return uint.size(size) + size;
    },
    encode(cursor: Cursor, text: string): void {
      const size = sizeOf(encoding, text);
      uint.encode(cursor, size);
      encoding.write(cursor.buffer, cursor.reserve(size), text, size);
    },
    decode(cursor: Cursor): string {
      const at = takeLengthPrefixed(cursor);
      return encoding.read(cursor.buffer, at, cursor.start);
    },
    fixed: (size: number): Codec<string> => fixedString(encoding, size),
  };
}

function fixedString(encoding: TextEncoding, size: number): Codec<string> {
  return {
    size: () => size,
    encode(cursor: Cursor, text: string): void {
      const used = sizeOf(encoding, text);
      if (used > size) throw new RangeError(`Expected text of at most ${size} bytes, got ${used}`);
      const at = cursor.reserve(size);
      encoding.write(cursor.buffer, at, text, used);
      cursor.buffer.fill(0, at + used, at + size);
    },
    decode(cursor: Cursor): string {
      const at = cursor.take(size);
      return encoding.read(cursor.buffer, at, at + size);
    },
  };
}

function unprefixed(encoding: TextEncoding): Codec<string> {
  return {
    size: (text: string): number => sizeOf(encoding, text),
    encode(cursor: Cursor, text: string): void {
      const size = sizeOf(encoding, text);
      encoding.write(cursor.buffer, cursor.reserve(size), text, size);
    },
    decode(cursor: Cursor): string {
      const at = cursor.take(cursor.remaining);
      return encoding.read(cursor.buffer, at, cursor.start);
    },
  };
}

/**
 * Up to this many bytes a loop in JavaScript beats `TextEncoder` and `TextDecoder`, whose calls cost as much for two
 * characters as for sixty.
 */
const SHORT = 48;

const encoder: TextEncoder = new TextEncoder();
// A byte order mark is a character like any other; invalid bytes become U+FFFD, as in the reference.
const decoder: TextDecoder = new TextDecoder("utf-8", { ignoreBOM: true });

const utf8Encoding: TextEncoding = {
  size(text: string): number {
    let size = text.length;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      if (unit < 0x80) continue;
      size += unit < 0x800 ? 1 : 2;
      // A surrogate pair is four bytes for two units; a lone surrogate becomes U+FFFD, three bytes for one.
      if ((unit & 0xfc00) === 0xd800 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) i++;
    }
    return size;
  },
  write(buffer: Uint8Array, at: number, text: string, size: number): void {
    if (size > SHORT || size !== text.length) {
      encoder.encodeInto(text, buffer.subarray(at, at + size));
      return;
    }
    for (let i = 0; i < size; i++) buffer[at + i] = text.charCodeAt(i);
  },
  read(buffer: Uint8Array, start: number, end: number): string {
    if (end - start <= SHORT) {
      let text = "";
      for (let i = start; i < end; i++) {
        const byte = buffer[i]!;
        if (byte > 0x7f) return decoder.decode(buffer.subarray(start, end));
        text += String.fromCharCode(byte);
      }
      return text;
    }
    return decoder.decode(buffer.subarray(start, end));
  },
};

const asciiEncoding: TextEncoding = {
  size(text: string): number {
    for (let i = 0; i < text.length; i++) {
      if (text.charCodeAt(i) > 0x7f) {
        throw new RangeError(`Expected ASCII, got ${JSON.stringify(text[i])} at character ${i}`);
      }
    }
    return text.length;
  },
  write(buffer: Uint8Array, at: number, text: string, size: number): void {
    for (let i = 0; i < size; i++) buffer[at + i] = text.charCodeAt(i);
  },
  read(buffer: Uint8Array, start: number, end: number): string {
    let text = "";
    for (let i = start; i < end; i++) text += String.fromCharCode(buffer[i]! & 0x7f);
    return text;
  },
};

const utf16leEncoding: TextEncoding = {
  size: (text: string): number => 2 * text.length,
  write(buffer: Uint8Array, at: number, text: string): void {
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      buffer[at + 2 * i] = unit;
      buffer[at + 2 * i + 1] = unit >>> 8;
    }
  },
  read(buffer: Uint8Array, start: number, end: number): string {
    let text = "";
    for (let i = start; i + 1 < end; i += 2) text += String.fromCharCode(buffer[i]! | buffer[i + 1]! << 8);
    return text;
  },
};

/** Bytes that are written as text in programs but travel as bytes. */
function bytesAsText(
  toBytes: (text: string) => Uint8Array,
  toText: (bytes: Uint8Array) => string,
): TextEncoding {
  return {
    size: (text: string): number => toBytes(text).length,
    write: (buffer: Uint8Array, at: number, text: string): void => buffer.set(toBytes(text), at),
    read: (buffer: Uint8Array, start: number, end: number): string => toText(buffer.subarray(start, end)),
  };
}

const hexEncoding: TextEncoding = bytesAsText(fromHex, toHex);
const base64Encoding: TextEncoding = bytesAsText(fromBase64, toBase64);

/** Text in UTF-8. Lone surrogates are written as U+FFFD, invalid bytes are read as U+FFFD. */
export const string: StringCodec = prefixed(utf8Encoding);
/** Text in ASCII; anything else is a `RangeError`. Reading drops the highest bit of each byte. */
export const ascii: StringCodec = prefixed(asciiEncoding);
/** Text in UTF-16, little-endian. Reading drops an odd last byte. */
export const utf16le: StringCodec = prefixed(utf16leEncoding);
/** Bytes, given as hexadecimal digits. */
export const hex: StringCodec = prefixed(hexEncoding);
/** Bytes, given in base64. */
export const base64: StringCodec = prefixed(base64Encoding);

/** {@linkcode string} without the length. */
export const rawString: Codec<string> = unprefixed(utf8Encoding);
/** {@linkcode ascii} without the length. */
export const rawAscii: Codec<string> = unprefixed(asciiEncoding);
/** {@linkcode utf16le} without the length. */
export const rawUtf16le: Codec<string> = unprefixed(utf16leEncoding);
/** {@linkcode hex} without the length. */
export const rawHex: Codec<string> = unprefixed(hexEncoding);
/** {@linkcode base64} without the length. */
export const rawBase64: Codec<string> = unprefixed(base64Encoding);

function bytesOrText(bytes: Codec<Uint8Array>, text: Codec<string>): Codec<Uint8Array, Uint8Array | string> {
  return {
    size: (value: Uint8Array | string): number =>
      typeof value === "string" ? text.size(value) : bytes.size(value),
    encode(cursor: Cursor, value: Uint8Array | string): void {
      if (typeof value === "string") text.encode(cursor, value);
      else bytes.encode(cursor, value);
    },
    decode: (cursor: Cursor): Uint8Array => bytes.decode(cursor),
  };
}

/** A `buffer` that may also be written as text in UTF-8; it comes back as bytes, a view of the input. */
export const binary: Codec<Uint8Array, Uint8Array | string> = bytesOrText(buffer, string);
/** {@linkcode binary} without the length. */
export const rawBinary: Codec<Uint8Array, Uint8Array | string> = bytesOrText(rawBuffer, rawString);
