/**
 * Which blocks a log in a store holds, as far as its bitfield tells.
 */
import { PAGE_BITS } from "./log/constants.ts";
import type { LogReader } from "./storage/storage.ts";

/** Pages of the bitfield that are read together: 4 MiB. */
const PAGES_AT_ONCE = 1024;
const PAGE_BYTES: number = PAGE_BITS / 8;

/** A page of the bitfield on which something is held. */
export interface HeldPage {
  /** Its number. */
  readonly page: number;
  /** Its bits. */
  readonly value: Uint8Array;
  /** The blocks that are held, in order; at least one. */
  readonly held: readonly number[];
}

/** The bits of a log: those of its pages, and all before the contiguous length, for which there need not be pages. */
export class HeldBits {
  readonly #log: LogReader;
  #contiguous: number | undefined;
  #number = -1;
  #page: Uint8Array = new Uint8Array(0);

  /** The bits of `log` as they are when they are first asked for. */
  constructor(log: LogReader) {
    this.#log = log;
  }

  /** A page, all of it; not to be written to. */
  async page(number: number): Promise<Uint8Array> {
    if (number !== this.#number) {
      this.#page = await this.#merged(number, await this.#log.bitfieldPage(number));
      this.#number = number;
    }
    return this.#page;
  }

  /** The blocks in [start, end) that are held; both are on the same page. */
  async between(start: number, end: number): Promise<number[]> {
    const number = Math.floor(start / PAGE_BITS);
    return bitsOf(await this.page(number), number, start, end);
  }

  /** The first block in [start, end) that is held. */
  async firstBetween(start: number, end: number): Promise<number | undefined> {
    if (start < await this.#contiguousLength()) return start;
    for await (
      const { page, value } of this.#stored(Math.floor(start / PAGE_BITS), Math.ceil(end / PAGE_BITS))
    ) {
      const [first] = bitsOf(value, page, start, end);
      if (first !== undefined) return first;
    }
    return undefined;
  }

  /** The pages on which blocks before `length` are held, in order. */
  async *pages(length: number): AsyncGenerator<HeldPage> {
    const contiguous = Math.min(length, await this.#contiguousLength());
    const whole = Math.ceil(contiguous / PAGE_BITS);
    for (let page = 0; page < whole; page++) yield this.#heldPage(page, await this.page(page), length);
    for await (const { page, value } of this.#stored(whole, Math.ceil(length / PAGE_BITS))) {
      const held = this.#heldPage(page, value, length);
      if (held.held.length > 0) yield held;
    }
  }

  /** How many blocks before `length` are held. */
  async count(length: number): Promise<number> {
    const contiguous = Math.min(length, await this.#contiguousLength());
    let count = contiguous;
    const first = Math.floor(contiguous / PAGE_BITS);
    for await (const { page, value } of this.#stored(first, Math.ceil(length / PAGE_BITS))) {
      count += bitsOf(value, page, contiguous, length).length;
    }
    return count;
  }

  /** All blocks before this one, which is at most `length`, are held. */
  async contiguousLength(length: number): Promise<number> {
    const known = Math.min(length, await this.#contiguousLength());
    for (let start = known; start < length;) {
      const end = Math.min((Math.floor(start / PAGE_BITS) + 1) * PAGE_BITS, length);
      const held = await this.between(start, end);
      if (held.length < end - start) {
        const gap = held.findIndex((index, i) => index !== start + i);
        return start + (gap === -1 ? held.length : gap);
      }
      start = end;
    }
    return length;
  }

  async #contiguousLength(): Promise<number> {
    return this.#contiguous ??= (await this.#log.hints())?.contiguousLength ?? 0;
  }

  async *#stored(first: number, end: number): AsyncGenerator<{ page: number; value: Uint8Array }> {
    for (let at = first; at < end; at += PAGES_AT_ONCE) {
      yield* await this.#log.bitfieldPages(at, Math.min(end, at + PAGES_AT_ONCE));
    }
  }

  #heldPage(page: number, value: Uint8Array, length: number): HeldPage {
    return { page, value, held: bitsOf(value, page, 0, length) };
  }

  async #merged(number: number, stored: Uint8Array | undefined): Promise<Uint8Array> {
    const page = new Uint8Array(PAGE_BYTES);
    page.set(stored?.subarray(0, PAGE_BYTES) ?? []);
    const bits = Math.min(PAGE_BITS, await this.#contiguousLength() - number * PAGE_BITS);
    if (bits <= 0) return page;
    page.fill(255, 0, bits >>> 3);
    if (bits % 8 !== 0) page[bits >>> 3]! |= (1 << (bits % 8)) - 1;
    return page;
  }
}

/** The blocks in [start, end) for which a page has bits. */
function bitsOf(bytes: Uint8Array, page: number, start: number, end: number): number[] {
  const bits: number[] = [];
  const base = page * PAGE_BITS;
  const last = Math.min(end - base, 8 * bytes.length, PAGE_BITS);
  for (let bit = Math.max(0, start - base); bit < last; bit++) {
    if ((bytes[bit >>> 3]! & (1 << (bit & 7))) !== 0) bits.push(base + bit);
  }
  return bits;
}
