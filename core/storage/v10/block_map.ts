/**
 * Which blocks a log holds, in the pages that the file `bitfield` has: bit n is bit n % 8 of byte n / 8, counted from the lowest.
 */

/** Bytes of a page. Source: hypercore 10.38.2, `lib/bitfield.js`. */
export const PAGE_BYTES = 4096;
/** Blocks of a page. */
export const PAGE_BITS: number = PAGE_BYTES * 8;
/** Pages of what the reference keeps together in memory. */
const SEGMENT_PAGES = 64;

const isZero = (bytes: Uint8Array) => bytes.every((byte) => byte === 0);

/** A set of numbers of blocks, which knows what of it is not in its file yet. */
export class BlockMap {
  readonly #pages = new Map<number, Uint8Array>();
  readonly #dirty = new Set<number>();
  /** Pages before this one are written when something is taken out of them, whether or not anything was in them. */
  #firstPages = 1;

  /** What a file of `size` bytes holds, which `read` reads in parts. */
  static load(size: number, read: (offset: number, length: number) => Uint8Array): BlockMap {
    const map = new BlockMap();
    const pages = Math.ceil((size - size % 4) / PAGE_BYTES);
    for (let page = 0; page < pages; page++) {
      const bytes = new Uint8Array(PAGE_BYTES);
      bytes.set(read(page * PAGE_BYTES, Math.min(PAGE_BYTES, size - page * PAGE_BYTES)));
      if (!isZero(bytes)) map.#pages.set(page, bytes);
    }
    // The reference makes room in steps of four up to its first segment, then whole segments, and takes it for pages.
    while (map.#firstPages < Math.min(pages, SEGMENT_PAGES)) map.#firstPages *= 4;
    if (pages > SEGMENT_PAGES) map.#firstPages = Math.ceil(pages / SEGMENT_PAGES) * SEGMENT_PAGES;
    return map;
  }

  /** Whether the block `index` is held. */
  get(index: number): boolean {
    const page = this.#pages.get(Math.floor(index / PAGE_BITS));
    const bit = index % PAGE_BITS;
    return page !== undefined && (page[bit >>> 3]! & 1 << (bit & 7)) !== 0;
  }

  /** Puts in or takes out [start, end), and notes which pages that touches. */
  setRange(start: number, end: number, value: boolean): void {
    for (let at = start; at < end;) {
      const number = Math.floor(at / PAGE_BITS);
      const next = Math.min(end, (number + 1) * PAGE_BITS);
      const page = this.#pages.get(number) ?? (value ? this.#addPage(number) : undefined);
      if (page !== undefined || number < this.#firstPages) this.#dirty.add(number);
      if (page !== undefined) fill(page, at % PAGE_BITS, next - number * PAGE_BITS, value);
      at = page === undefined ? this.#skipAbsent(number, next) : next;
    }
  }

  /** The first block at or behind `from` that is held, or -1. */
  firstSet(from: number): number {
    const first = Math.floor(from / PAGE_BITS);
    const page = this.#pages.get(first);
    const here = page === undefined ? -1 : find(page, from % PAGE_BITS, true);
    if (here !== -1) return first * PAGE_BITS + here;
    const numbers = [...this.#pages.keys()].filter((number) => number > first).sort((a, b) => a - b);
    for (const number of numbers) {
      const bit = find(this.#pages.get(number)!, 0, true);
      if (bit !== -1) return number * PAGE_BITS + bit;
    }
    return -1;
  }

  /** The first block at or behind `from` that is not held. */
  firstUnset(from: number): number {
    for (let number = Math.floor(from / PAGE_BITS), bit = from % PAGE_BITS;; number++, bit = 0) {
      const page = this.#pages.get(number);
      const found = page === undefined ? bit : find(page, bit, false);
      if (found !== -1) return number * PAGE_BITS + found;
    }
  }

  /** The last block at or before `from` that is held, or -1. */
  lastSet(from: number): number {
    const last = Math.floor(from / PAGE_BITS);
    const numbers = [...this.#pages.keys()].filter((number) => number <= last).sort((a, b) => b - a);
    for (const number of numbers) {
      const page = this.#pages.get(number)!;
      for (let bit = number === last ? from % PAGE_BITS : PAGE_BITS - 1; bit >= 0; bit--) {
        if ((page[bit >>> 3]! & 1 << (bit & 7)) !== 0) return number * PAGE_BITS + bit;
      }
    }
    return -1;
  }

  /** A copy of a page; undefined if nothing of it is held. */
  page(number: number): Uint8Array | undefined {
    const page = this.#pages.get(number);
    return page === undefined || isZero(page) ? undefined : page.slice();
  }

  /** The numbers of the pages of which something is held, in order. */
  pageNumbers(): number[] {
    return [...this.#pages].filter(([, page]) => !isZero(page)).map(([number]) => number).sort((a, b) =>
      a - b
    );
  }

  /** Copies of the pages that changed since the last call. */
  takeChanged(): Map<number, Uint8Array> {
    const changed = new Map<number, Uint8Array>();
    for (const number of this.#dirty) {
      changed.set(number, this.#pages.get(number)?.slice() ?? new Uint8Array(PAGE_BYTES));
    }
    this.#dirty.clear();
    return changed;
  }

  #addPage(number: number): Uint8Array {
    const page = new Uint8Array(PAGE_BYTES);
    this.#pages.set(number, page);
    return page;
  }

  /** Where to go on behind a page that is not there: there may be very many of these. */
  #skipAbsent(number: number, next: number): number {
    if (number + 1 < this.#firstPages) return next;
    let nearest = Infinity;
    for (const one of this.#pages.keys()) if (one > number && one < nearest) nearest = one;
    return Math.max(next, nearest * PAGE_BITS);
  }
}

/** Sets or clears the bits [start, end) of a page. */
function fill(page: Uint8Array, start: number, end: number, value: boolean): void {
  let at = start;
  while (at < end) {
    if (at % 8 === 0 && end - at >= 8) {
      const bytes = (end - at) >>> 3;
      page.fill(value ? 0xff : 0, at >>> 3, (at >>> 3) + bytes);
      at += bytes * 8;
    } else {
      if (value) page[at >>> 3]! |= 1 << (at & 7);
      else page[at >>> 3]! &= ~(1 << (at & 7));
      at++;
    }
  }
}

/** The first bit from `start` on that is `value`, or -1. */
function find(page: Uint8Array, start: number, value: boolean): number {
  const whole = value ? 0 : 0xff;
  for (let at = start; at < PAGE_BITS;) {
    if (page[at >>> 3] === whole) at = (at | 7) + 1;
    else if (((page[at >>> 3]! & 1 << (at & 7)) !== 0) === value) return at;
    else at++;
  }
  return -1;
}
