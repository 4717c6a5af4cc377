/**
 * Bytes as text: hex, base64 and z-base-32, strictly. A text that is not exactly some bytes is an error, never a shorter
 * result.
 */

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));
const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/** Of Zooko O'Whielacronx's "human-oriented base-32 encoding": easy characters first. */
const ZBASE32 = "ybndrfg8ejkmcpqxot1uwisza345h769";

const HEX_VALUES: Int8Array = valuesOf("0123456789abcdef", "0123456789ABCDEF");
const BASE64_VALUES: Int8Array = valuesOf(BASE64, BASE64.replace("+/", "-_"));
const ZBASE32_VALUES: Int8Array = valuesOf(ZBASE32);

/** From a character code below 128 to its place in one of the alphabets, or -1. */
function valuesOf(...alphabets: string[]): Int8Array {
  const values = new Int8Array(128).fill(-1);
  for (const alphabet of alphabets) {
    for (let i = 0; i < alphabet.length; i++) values[alphabet.charCodeAt(i)] = i;
  }
  return values;
}

/** The digit at `text[at]`; a `TypeError` if it is none. */
function digit(values: Int8Array, text: string, at: number, name: string): number {
  const value = values[text.charCodeAt(at)] ?? -1;
  if (value < 0) throw new TypeError(`Expected ${name}, got ${JSON.stringify(text[at])} at character ${at}`);
  return value;
}

/** Two lower-case digits for each byte. */
export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i++) text += HEX[bytes[i]!];
  return text;
}

/**
 * The bytes of a text of hexadecimal digits, in either case.
 *
 * @throws {TypeError} if there is anything else in `text`, or half a byte.
 */
export function fromHex(text: string): Uint8Array {
  if (text.length % 2 !== 0) {
    throw new TypeError(`Expected pairs of hex digits, got ${text.length} characters`);
  }
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++) {
    bytes[i] = digit(HEX_VALUES, text, 2 * i, "a hex digit") << 4 |
      digit(HEX_VALUES, text, 2 * i + 1, "a hex digit");
  }
  return bytes;
}

/** Base64 with the standard alphabet and padding (RFC 4648 section 4). */
export function toBase64(bytes: Uint8Array): string {
  const text = toDigits(bytes, 6, BASE64);
  return text + "=".repeat((4 - text.length % 4) % 4);
}

/**
 * The bytes of a text in base64, with the standard or the URL-safe alphabet, padded or not.
 *
 * @throws {TypeError} if there is anything else in `text`, or its length is impossible.
 */
export function fromBase64(text: string): Uint8Array {
  const digits = text.length % 4 === 0 ? text.replace(/={1,2}$/, "") : text;
  return fromDigits(digits, 6, BASE64_VALUES, "a base64 digit");
}

/** Z-base-32, as the stack's tools show keys: a 32-byte key is 52 characters. */
export function toZbase32(bytes: Uint8Array): string {
  return toDigits(bytes, 5, ZBASE32);
}

/**
 * The bytes of a text in z-base-32. Spare bits of the last character are ignored, as in the reference.
 *
 * @throws {TypeError} if there is anything else in `text`, or its length is impossible.
 */
export function fromZbase32(text: string): Uint8Array {
  return fromDigits(text, 5, ZBASE32_VALUES, "a z-base-32 digit");
}

/** Reads `bytes` as one string of bits and writes a digit for each `width` of them, the last filled up with zeros. */
function toDigits(bytes: Uint8Array, width: number, alphabet: string): string {
  const mask = (1 << width) - 1;
  let text = "";
  let pending = 0;
  let pendingBits = 0;
  for (let i = 0; i < bytes.length; i++) {
    pending = (pending << 8 | bytes[i]!) & 0xffff;
    pendingBits += 8;
    while (pendingBits >= width) {
      pendingBits -= width;
      text += alphabet[pending >>> pendingBits & mask];
    }
  }
  return pendingBits === 0 ? text : text + alphabet[pending << (width - pendingBits) & mask];
}

function fromDigits(text: string, width: number, values: Int8Array, name: string): Uint8Array {
  const bytes = new Uint8Array(text.length * width >>> 3);
  // A last digit that begins no new byte says nothing.
  if (text.length * width % 8 >= width) {
    throw new TypeError(`Expected whole bytes, got ${text.length} digits`);
  }
  let pending = 0;
  let pendingBits = 0;
  let at = 0;
  for (let i = 0; i < text.length; i++) {
    pending = (pending << width | digit(values, text, i, name)) & 0xffff;
    pendingBits += width;
    if (pendingBits < 8) continue;
    pendingBits -= 8;
    bytes[at++] = pending >>> pendingBits;
  }
  return bytes;
}
