/** Byte arrays as values: compare, join, and hand out many small ones cheaply. */

/** Whether `a` and `b` hold the same bytes. Not constant in time: compare secrets with the crypto provider. */
export function equals(a: Uint8Array, b: Uint8Array): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) return false;
  }
  return true;
}

/** Orders byte arrays as dictionaries order words: below zero if `a` comes first, 0 if equal, above zero otherwise. */
export function compare(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = a[i]! - b[i]!;
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** A new array of all `parts` in order. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  let size = 0;
  for (const part of parts) size += part.length;
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Bytes of one block of a {@linkcode Slab}: large against a datagram, small against what a process may waste. */
const BLOCK_SIZE = 65536;

/**
 * Hands out arrays that share blocks, by default of 64 KiB, because a fresh `Uint8Array` costs much more than a view: about ten
 * times as much in Node, where small ones are on V8's heap, and twenty times in Deno, where none are.
 *
 * A kept array keeps its whole block alive: use it for what is sent and forgotten, or with small blocks for what is kept and
 * forgotten together. Arrays never overlap, and nothing is returned to the slab. Requests above a quarter of a block get memory
 * of their own, so that at most a quarter of a block is ever left unused.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { Slab } from "./bytes.ts";
 *
 * const slab = new Slab();
 * const [a, b] = [slab.alloc(100), slab.alloc(100)];
 * assert.equal(a.buffer, b.buffer);
 * ```
 */
export class Slab {
  readonly #blockSize: number;
  #block: Uint8Array = new Uint8Array(0);
  #used = 0;

  /** Takes `blockSize` bytes at once. */
  constructor(blockSize: number = BLOCK_SIZE) {
    this.#blockSize = blockSize;
  }

  /** An array of `size` bytes; zeroed, as it has never been handed out before. */
  alloc(size: number): Uint8Array {
    if (size > this.#blockSize / 4) return new Uint8Array(size);
    if (this.#used + size > this.#block.length) {
      this.#block = new Uint8Array(this.#blockSize);
      this.#used = 0;
    }
    const start = this.#used;
    this.#used = start + size;
    return this.#block.subarray(start, this.#used);
  }
}
