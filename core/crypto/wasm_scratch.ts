/**
 * Memory inside of the WebAssembly module, through which arguments and results pass: a fixed part for keys, nonces and the
 * like, one for messages of usual size, and borrowed memory for long ones.
 */
import type { Sodium } from "./sodium_wasm.ts";

/** Size of the scratch area for messages. What is longer borrows memory for one call, or goes through it in pieces. */
export const SCRATCH_BYTES: number = 2 ** 16 + 256;
/** Offsets of the small arguments inside of the fixed part of the scratch area. */
export const SMALL = {
  key: 0,
  secret: 64,
  out: 128,
  point: 192,
  nonce: 224,
  tag: 248,
  stream: 256,
  /** BLAKE2b's state wants to lie on a multiple of 64. */
  hashState: 320,
} as const;
const SMALL_BYTES = 320 + 384;

/** The scratch area inside of the module's memory. */
export class Scratch {
  /** The module that owns the memory. */
  readonly sodium: Sodium;
  /** Where the small arguments lie, see {@linkcode SMALL}. */
  readonly small: number;
  /** Where messages of up to SCRATCH_BYTES lie. */
  readonly #message: number;

  /** Allocates it, for as long as the module lives. */
  constructor(sodium: Sodium) {
    this.sodium = sodium;
    // 64 bytes more, to round the start up to a multiple of 64
    this.small = (this.#allocate(SMALL_BYTES + 64) + 63) & ~63;
    this.#message = this.#allocate(SCRATCH_BYTES);
  }

  /** Copies `bytes` into the memory and returns where they lie. */
  put(at: number, bytes: Uint8Array): number {
    this.sodium.HEAPU8.set(bytes, at);
    return at;
  }

  /** Fills `out` from the memory. */
  take(out: Uint8Array, at: number): void {
    out.set(this.sodium.HEAPU8.subarray(at, at + out.length));
  }

  /** A fresh copy of a piece of the memory. */
  slice(at: number, length: number): Uint8Array {
    return this.sodium.HEAPU8.slice(at, at + length);
  }

  /** Overwrites a secret. */
  wipe(at: number, length: number): void {
    this.sodium.HEAPU8.fill(0, at, at + length);
  }

  /** Memory for a message, until {@linkcode release}. One at a time. */
  reserve(size: number): number {
    return size <= SCRATCH_BYTES ? this.#message : this.#allocate(size);
  }

  /** Gives back what {@linkcode reserve} returned. */
  release(at: number): void {
    if (at !== this.#message) this.sodium._free(at);
  }

  #allocate(size: number): number {
    const at = this.sodium._malloc(size);
    if (at === 0) throw new RangeError(`no memory for ${size} bytes of scratch space in WebAssembly`);
    return at;
  }
}
