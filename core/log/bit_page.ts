/** One page of a bitfield that is neither all set nor all unset. */
import { PAGE_BITS } from "./constants.ts";

/** Words of a page. */
export const PAGE_WORDS: number = PAGE_BITS / 32;
/** Bytes of a page. */
export const PAGE_BYTES: number = PAGE_BITS / 8;

const ALL = 0xffffffff;

/** 2^15 bits, and how many of them are set. */
export class BitPage {
  /** Bit n is bit n % 32 of word n / 32, counted from the lowest. */
  readonly words: Uint32Array;
  #set: number;

  constructor(words: Uint32Array) {
    this.words = words;
    this.#set = this.count(0, PAGE_BITS);
  }

  /** A page of which all is set. */
  static full(): BitPage {
    return new BitPage(new Uint32Array(PAGE_WORDS).fill(ALL));
  }

  get isEmpty(): boolean {
    return this.#set === 0;
  }

  get isFull(): boolean {
    return this.#set === PAGE_BITS;
  }

  get(bit: number): boolean {
    return (this.words[bit >>> 5]! >>> (bit & 31) & 1) === 1;
  }

  /** Sets or unsets all from `start` up to but without `end`. */
  fill(start: number, end: number, value: boolean): void {
    const before = this.count(start, end);
    for (let at = start; at < end;) {
      const word = at >>> 5;
      const stop = Math.min(end, (word + 1) * 32);
      const mask = maskOf(at & 31, stop - at);
      if (value) this.words[word]! |= mask;
      else this.words[word]! &= ~mask;
      at = stop;
    }
    this.#set += (value ? end - start : 0) - before;
  }

  /** How many from `start` up to but without `end` are set. */
  count(start: number, end: number): number {
    let count = 0;
    for (let at = start; at < end;) {
      const word = at >>> 5;
      const stop = Math.min(end, (word + 1) * 32);
      count += popcount(this.words[word]! & maskOf(at & 31, stop - at));
      at = stop;
    }
    return count;
  }

  /** The first one at or behind `from` that is `value`, or -1. */
  next(from: number, value: boolean): number {
    if (from >= PAGE_BITS) return -1;
    let mask = (ALL << (from & 31)) >>> 0;
    for (let word = from >>> 5; word < PAGE_WORDS; word++) {
      const bits = ((value ? this.words[word]! : ~this.words[word]!) & mask) >>> 0;
      if (bits !== 0) return word * 32 + 31 - Math.clz32(bits & -bits);
      mask = ALL;
    }
    return -1;
  }

  /** The last one at or before `from` that is `value`, or -1. */
  previous(from: number, value: boolean): number {
    let mask = ALL >>> (31 - (from & 31));
    for (let word = from >>> 5; word >= 0; word--) {
      const bits = ((value ? this.words[word]! : ~this.words[word]!) & mask) >>> 0;
      if (bits !== 0) return word * 32 + 31 - Math.clz32(bits);
      mask = ALL;
    }
    return -1;
  }
}

/** `count` ones, from 1 to 32, from bit `from` upward. */
function maskOf(from: number, count: number): number {
  return (ALL >>> (32 - count)) << from;
}

function popcount(word: number): number {
  let bits = word - (word >>> 1 & 0x55555555);
  bits = (bits & 0x33333333) + (bits >>> 2 & 0x33333333);
  return Math.imul(bits + (bits >>> 4) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
