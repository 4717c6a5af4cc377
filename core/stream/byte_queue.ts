/**
 * Chunks that wait: first in, first out, with a mark from which the filler must stop.
 */

/**
 * What a waiting chunk costs beside its bytes: the view and its place in the queue, about what V8 takes for them. Without
 * it, a flood of empty chunks would weigh nothing.
 */
const CHUNK_OVERHEAD_BYTES = 128;

/** Taken chunks at the front of the array are cut off at this many, and only once they are half of it. */
const COMPACT_CHUNKS = 64;

/**
 * A queue of chunks that says when it is full.
 *
 * It never refuses a chunk, for a reliable pipe may not lose one. {@linkcode push} returns false instead, and whoever
 * fills the queue has to stop then: it holds at most `maxBytes` and the chunk that crossed the mark.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { ByteQueue } from "./byte_queue.ts";
 *
 * const queue = new ByteQueue(1024);
 * assert(queue.push(new Uint8Array(10)));
 * assert(!queue.push(new Uint8Array(2000)));
 * assert(queue.shift()?.length === 10);
 * ```
 */
export class ByteQueue {
  readonly #maxBytes: number;
  #chunks: (Uint8Array | undefined)[] = [];
  #head = 0;
  #bytes = 0;

  /** A queue that is full at `maxBytes`; each chunk counts its bytes and {@linkcode CHUNK_OVERHEAD_BYTES | 128} more. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** How many chunks wait. */
  get length(): number {
    return this.#chunks.length - this.#head;
  }

  /** What waits weighs this much: the bytes of the chunks and 128 for each. */
  get weight(): number {
    return this.#bytes + this.length * CHUNK_OVERHEAD_BYTES;
  }

  /** Whether the mark is reached: nothing more should be pushed. */
  get isFull(): boolean {
    return this.weight >= this.#maxBytes;
  }

  /** Whether at least half of the queue is free: a good moment to let the filler go on. */
  get isHalfEmpty(): boolean {
    return this.weight * 2 <= this.#maxBytes;
  }

  /** Adds `chunk`, which is kept as it is; false = the queue is full now, stop. */
  push(chunk: Uint8Array): boolean {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    return !this.isFull;
  }

  /** Takes out the oldest chunk. */
  shift(): Uint8Array | undefined {
    const chunk = this.#chunks[this.#head];
    if (chunk === undefined) return undefined;
    this.#chunks[this.#head++] = undefined;
    this.#bytes -= chunk.length;
    if (this.#head === this.#chunks.length) this.clear();
    else if (this.#head >= COMPACT_CHUNKS && this.#head * 2 >= this.#chunks.length) {
      this.#chunks = this.#chunks.slice(this.#head);
      this.#head = 0;
    }
    return chunk;
  }

  /** Drops everything. */
  clear(): void {
    this.#chunks = [];
    this.#head = 0;
    this.#bytes = 0;
  }
}
