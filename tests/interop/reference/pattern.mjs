// Bytes that both sides of a test can make: a block from a seed, repeated, each time with its number in front.
import { createHash } from "node:crypto";

export const CHUNK_BYTES = 65536;

/**
 * @param {number} seed
 * @returns {Uint8Array}
 */
function block(seed) {
  const words = new Uint32Array(CHUNK_BYTES / 4);
  let state = (seed * 2654435761 + 1) >>> 0;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state >>> 0;
  }
  return new Uint8Array(words.buffer);
}

/**
 * `bytes` bytes of the pattern of `seed`, in chunks of at most 64 KiB.
 *
 * @param {number} seed
 * @param {number} bytes
 * @returns {Generator<Uint8Array>}
 */
export function* pattern(seed, bytes) {
  const original = block(seed);
  for (let number = 0; bytes > 0; number++) {
    const chunk = original.slice(0, Math.min(bytes, CHUNK_BYTES));
    if (chunk.length >= 4) new DataView(chunk.buffer).setUint32(0, number);
    bytes -= chunk.length;
    yield chunk;
  }
}

/**
 * The SHA-256 of the same bytes, in hex.
 *
 * @param {number} seed
 * @param {number} bytes
 * @returns {string}
 */
export function patternHash(seed, bytes) {
  const hash = createHash("sha256");
  for (const chunk of pattern(seed, bytes)) hash.update(chunk);
  return hash.digest("hex");
}
