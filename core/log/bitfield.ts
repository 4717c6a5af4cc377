/**
 * Which blocks of a log are there: bits in pages of 2^15, as many as a log may have blocks. What is set or unset throughout
 * takes no memory, however long it is, so a complete log of any length is one entry.
 */
import { readUint32, writeUint32 } from "../../encoding/fixed.ts";
import { PAGE_BITS } from "./constants.ts";
import { BitPage, PAGE_BYTES, PAGE_WORDS } from "./bit_page.ts";
import { isLogLength } from "./flat_tree.ts";

/** Pages that follow each other: all bits set if there is no `page`, else exactly one. */
interface Run {
  /** Number of the first page. */
  first: number;
  /** How many. */
  count: number;
  page: BitPage | undefined;
}

/**
 * A set of numbers from 0 to 2^52 - 2.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { Bitfield } from "./bitfield.ts";
 *
 * const bits = new Bitfield();
 * bits.setRange(10, 2 ** 40, true);
 * bits.set(2 ** 35, false);
 * assert.equal(bits.firstUnset(10), 2 ** 35);
 * assert.equal(bits.count(0, 2 ** 40), 2 ** 40 - 11);
 * ```
 */
export class Bitfield {
  /** Ordered, without gaps that are empty, and neighbours that could be one are one. */
  readonly #runs: Run[] = [];

  /** How many entries there are: each takes at most 4 KiB and some. */
  get entryCount(): number {
    return this.#runs.length;
  }

  /** Whether `index` is in it. */
  get(index: number): boolean {
    const page = Math.floor(index / PAGE_BITS);
    const run = this.#runs[this.#find(page)];
    if (run === undefined || run.first > page) return false;
    return run.page === undefined || run.page.get(index % PAGE_BITS);
  }

  /**
   * Puts `index` in or takes it out.
   *
   * @returns whether that changed anything.
   * @throws {RangeError} if no block has this number.
   */
  set(index: number, value: boolean): boolean {
    if (this.get(index) === value) return false;
    this.setRange(index, index + 1, value);
    return true;
  }

  /**
   * Puts in, or takes out, all from `start` up to but without `end`.
   *
   * @throws {RangeError} unless 0 <= start <= end <= 2^52 - 1.
   */
  setRange(start: number, end: number, value: boolean): void {
    if (!isLogLength(start) || !isLogLength(end) || start > end) {
      throw new RangeError(`no range of blocks: from ${start} to ${end}`);
    }
    if (start === end) return;
    const [first, last] = [Math.floor(start / PAGE_BITS), Math.floor((end - 1) / PAGE_BITS)];
    const [from, to] = [start % PAGE_BITS, (end - 1) % PAGE_BITS + 1];
    if (first === last) {
      this.#fillPage(first, from, to, value);
      return;
    }
    const [isFirstWhole, isLastWhole] = [from === 0, to === PAGE_BITS];
    if (!isFirstWhole) this.#fillPage(first, from, PAGE_BITS, value);
    if (!isLastWhole) this.#fillPage(last, 0, to, value);
    this.#fillPages(isFirstWhole ? first : first + 1, isLastWhole ? last + 1 : last, value);
  }

  /** The first one at or behind `from` that is in it, or -1. */
  firstSet(from = 0): number {
    const page = Math.floor(from / PAGE_BITS);
    for (let i = this.#find(page); i < this.#runs.length; i++) {
      const { first, page: bits } = this.#runs[i]!;
      const start = first * PAGE_BITS;
      if (bits === undefined) return Math.max(start, from);
      const found = bits.next(Math.max(0, from - start), true);
      if (found !== -1) return start + found;
    }
    return -1;
  }

  /** The first one at or behind `from` that is not in it. */
  firstUnset(from = 0): number {
    let at = from;
    for (let i = this.#find(Math.floor(from / PAGE_BITS)); i < this.#runs.length; i++) {
      const { first, count, page } = this.#runs[i]!;
      const start = first * PAGE_BITS;
      if (start > at) return at;
      const found = page?.next(at - start, false) ?? -1;
      if (found !== -1) return start + found;
      at = (first + count) * PAGE_BITS;
    }
    return at;
  }

  /** The last one at or before `from` that is in it, or -1. */
  lastSet(from: number): number {
    const page = Math.floor(from / PAGE_BITS);
    let i = this.#find(page);
    if ((this.#runs[i]?.first ?? Infinity) > page) i--;
    for (; i >= 0; i--) {
      const { first, count, page: bits } = this.#runs[i]!;
      const [start, end] = [first * PAGE_BITS, (first + count) * PAGE_BITS];
      if (bits === undefined) return Math.min(end - 1, from);
      const found = bits.previous(Math.min(PAGE_BITS - 1, from - start), true);
      if (found !== -1) return start + found;
    }
    return -1;
  }

  /** The last one at or before `from` that is not in it, or -1. */
  lastUnset(from: number): number {
    let at = from;
    for (let i = this.#find(Math.floor(from / PAGE_BITS)); i >= 0; i--) {
      const run = this.#runs[i];
      if (run === undefined || run.first * PAGE_BITS > at) continue;
      const { first, count, page } = run;
      if ((first + count) * PAGE_BITS <= at) return at;
      const found = page?.previous(at - first * PAGE_BITS, false) ?? -1;
      if (found !== -1) return first * PAGE_BITS + found;
      at = first * PAGE_BITS - 1;
    }
    return at;
  }

  /** How many from `start` up to but without `end` are in it. */
  count(start: number, end: number): number {
    let count = 0;
    for (let i = this.#find(Math.floor(start / PAGE_BITS)); i < this.#runs.length; i++) {
      const run = this.#runs[i]!;
      const base = run.first * PAGE_BITS;
      if (base >= end) break;
      const from = Math.max(start, base);
      const to = Math.min(end, (run.first + run.count) * PAGE_BITS);
      if (from >= to) continue;
      count += run.page === undefined ? to - from : run.page.count(from - base, to - base);
    }
    return count;
  }

  /**
   * The bytes of a page, 4096 of them: bit n of the page is bit n % 8 of byte n / 8, counted from the lowest. Undefined if
   * nothing of it is in the set.
   */
  page(number: number): Uint8Array | undefined {
    const run = this.#runs[this.#find(number)];
    if (run === undefined || run.first > number) return undefined;
    const bytes = new Uint8Array(PAGE_BYTES).fill(0xff);
    run.page?.words.forEach((word, i) => writeUint32(bytes, 4 * i, word));
    return bytes;
  }

  /**
   * Makes a page what {@linkcode page} said that it is; bytes that are missing at the end are 0.
   *
   * @throws {RangeError} for more bytes than a page has, or a page that no log has.
   */
  setPage(number: number, bytes: Uint8Array): void {
    if (bytes.length > PAGE_BYTES) {
      throw new RangeError(`a page has ${PAGE_BYTES} bytes, not ${bytes.length}`);
    }
    if (!isLogLength(number) || !isLogLength((number + 1) * PAGE_BITS)) {
      throw new RangeError(`no log has a page ${number}`);
    }
    const padded = new Uint8Array(PAGE_BYTES);
    padded.set(bytes);
    const words = Uint32Array.from({ length: PAGE_WORDS }, (_, i) => readUint32(padded, 4 * i));
    this.#replace(number, new BitPage(words));
  }

  /** The numbers of the pages of which something is in the set, as ranges from first up to but without end. */
  *pages(): IterableIterator<[first: number, end: number]> {
    for (const { first, count } of this.#runs) yield [first, first + count];
  }

  /** The place of the first run that does not end before `page`. */
  #find(page: number): number {
    const runs = this.#runs;
    // Most of what is asked for is at the end.
    let [low, high] = [0, runs.length];
    const last = runs[high - 1];
    if (last !== undefined && last.first <= page) return last.first + last.count > page ? high - 1 : high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const { first, count } = runs[middle]!;
      if (first + count <= page) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #fillPage(number: number, from: number, to: number, value: boolean): void {
    const run = this.#runs[this.#find(number)];
    const isThere = run !== undefined && run.first <= number;
    if (isThere && run.page === undefined && value) return;
    if (!isThere && !value) return;
    const page = isThere ? run.page ?? BitPage.full() : new BitPage(new Uint32Array(PAGE_WORDS));
    page.fill(from, to, value);
    if (!isThere || run.page === undefined || page.isEmpty || page.isFull) this.#replace(number, page);
  }

  /** Puts `page` at the place `number`, where it is kept only if it is neither empty nor full. */
  #replace(number: number, page: BitPage): void {
    this.#fillPages(number, number + 1, page.isFull);
    if (page.isFull || page.isEmpty) return;
    this.#runs.splice(this.#find(number), 0, { first: number, count: 1, page });
  }

  /** Makes all pages from `first` up to `end` full or empty. */
  #fillPages(first: number, end: number, value: boolean): void {
    if (first >= end) return;
    const runs = this.#runs;
    const from = this.#find(first);
    let to = from;
    while (to < runs.length && runs[to]!.first < end) to++;
    const inserted: Run[] = [];
    const [head, tail] = [runs[from], runs[to - 1]];
    if (to > from && head!.first < first) {
      inserted.push({ first: head!.first, count: first - head!.first, page: undefined });
    }
    if (value) inserted.push({ first, count: end - first, page: undefined });
    if (to > from && tail!.first + tail!.count > end) {
      inserted.push({ first: end, count: tail!.first + tail!.count - end, page: undefined });
    }
    runs.splice(from, to - from, ...inserted);
    this.#join(from, from + inserted.length);
  }

  /** Makes one of neighbours that are full, from the run before `from` to the one at `to`. */
  #join(from: number, to: number): void {
    const runs = this.#runs;
    for (let i = Math.min(to, runs.length - 1); i >= Math.max(1, from); i--) {
      const [left, right] = [runs[i - 1]!, runs[i]!];
      if (left.page || right.page || left.first + left.count !== right.first) continue;
      left.count += right.count;
      runs.splice(i, 1);
    }
  }
}
