/** Which blocks a peer says that it has, in bounded memory whatever it claims. */
import { Bitfield } from "../log/bitfield.ts";
import { PAGE_BITS } from "../log/constants.ts";
import { isLogLength } from "../log/flat_tree.ts";
import { MAX_REMOTE_ENTRIES } from "./constants.ts";

const PAGE_BYTES = PAGE_BITS / 8;
/** Entries that one range may add. */
const RANGE_ENTRIES = 4;

/** The blocks of one peer. */
export class RemoteBitfield {
  readonly #bits = new Bitfield();
  #dropped = 0;

  /** What was not taken in for lack of room. */
  get dropped(): number {
    return this.#dropped;
  }

  /** How many runs and pages are kept. */
  get entryCount(): number {
    return this.#bits.entryCount;
  }

  /** How many of the first blocks the peer has. */
  get contiguousLength(): number {
    return this.#bits.firstUnset(0);
  }

  /** Whether the peer has this block. */
  get(index: number): boolean {
    return this.#bits.get(index);
  }

  /** Whether the peer has all of these. */
  hasAll(start: number, end: number): boolean {
    return this.#bits.firstUnset(start) >= end;
  }

  /** The first block at or behind `from` that the peer has, or -1. */
  firstSet(from: number): number {
    return this.#bits.firstSet(from);
  }

  /** The first block at or behind `from` that the peer does not have. */
  firstUnset(from: number): number {
    return this.#bits.firstUnset(from);
  }

  /** How many from `start` up to but without `end` it has. */
  count(start: number, end: number): number {
    return this.#bits.count(start, end);
  }

  /** The peer has a range of blocks, or has it no longer. Numbers that no log has are cut off. */
  setRange(start: number, length: number, isHeld: boolean): void {
    const end = start + length;
    if (!isLogLength(start) || !isLogLength(end) || !this.#hasRoom(start, end, isHeld)) {
      this.#dropped++;
      return;
    }
    this.#bits.setRange(start, end, isHeld);
  }

  /** These are the blocks that the peer has from `start` on, which is a multiple of 32. */
  insert(start: number, bytes: Uint8Array): void {
    if (start % 32 !== 0 || !isLogLength(start + 8 * bytes.length + PAGE_BITS)) {
      this.#dropped++;
      return;
    }
    for (let at = 0; at < bytes.length;) {
      const bit = start + 8 * at;
      const offset = (bit % PAGE_BITS) / 8;
      const part = bytes.subarray(at, at + PAGE_BYTES - offset);
      this.#insertPart(Math.floor(bit / PAGE_BITS), offset, part);
      at += part.length;
    }
  }

  /** Forgets a region. */
  forget(start: number, length: number): void {
    this.#bits.setRange(start, start + length, false);
  }

  #insertPart(number: number, offset: number, part: Uint8Array): void {
    const page = this.#bits.page(number);
    if (page === undefined && this.#bits.entryCount + RANGE_ENTRIES > MAX_REMOTE_ENTRIES) {
      this.#dropped++;
      return;
    }
    const whole = page ?? new Uint8Array(PAGE_BYTES);
    whole.set(part, offset);
    this.#bits.setPage(number, whole);
  }

  /** What changes no more than pages that are there needs no room. */
  #hasRoom(start: number, end: number, isHeld: boolean): boolean {
    if (this.#bits.entryCount + RANGE_ENTRIES <= MAX_REMOTE_ENTRIES) return true;
    const isInOnePage = Math.floor(start / PAGE_BITS) === Math.floor((end - 1) / PAGE_BITS);
    return isInOnePage && isHeld && this.#bits.page(Math.floor(start / PAGE_BITS)) !== undefined;
  }
}
