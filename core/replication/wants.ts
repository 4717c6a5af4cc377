/** Of which regions of a log one side wants to hear which blocks the other has. */
import {
  MAX_LOCAL_WANTS,
  MAX_REMOTE_ANY_WANTS,
  MAX_REMOTE_WANT_LENGTHS,
  MAX_REMOTE_WANTS,
  MIN_WANT_BLOCKS,
  WANT_BLOCKS,
} from "./constants.ts";
import type { Want } from "./messages.ts";

/** What to say to the peer. */
export interface WantChange {
  /** A region of which nothing more needs to be said, and which is to be forgotten. */
  readonly unwant: Want | undefined;
  /** A region to be told about. */
  readonly want: Want;
}

/** The regions of which this side has asked a peer: few at a time, the oldest makes room. */
export class LocalWants {
  /** Numbers of regions of WANT_BLOCKS blocks, in the order in which they were asked for. */
  readonly #regions = new Set<number>();

  /** Whether one more may be asked about without giving up another. */
  get hasRoom(): boolean {
    return this.#regions.size < MAX_LOCAL_WANTS;
  }

  /** Whether the peer was asked about the region of this block. */
  has(index: number): boolean {
    return this.#regions.has(Math.floor(index / WANT_BLOCKS));
  }

  /** Asks about the region of this block; undefined if that was done before. */
  add(index: number): WantChange | undefined {
    const region = Math.floor(index / WANT_BLOCKS);
    if (this.#regions.has(region)) return undefined;
    const [oldest] = this.#regions;
    const isFull = this.#regions.size >= MAX_LOCAL_WANTS;
    if (isFull) this.#regions.delete(oldest!);
    this.#regions.add(region);
    return { unwant: isFull ? wantOf(oldest!) : undefined, want: wantOf(region) };
  }
}

function wantOf(region: number): Want {
  return { start: region * WANT_BLOCKS, length: WANT_BLOCKS, isAny: false };
}

/** The regions of which a peer wants to hear. What cannot be kept in a few sets becomes: everything. */
export class RemoteWants {
  /** By length, the starts. */
  readonly #regions = new Map<number, Set<number>>();
  readonly #any: Want[] = [];
  #size = 0;
  #isAll = false;

  /** Whether the peer wants to hear of everything, because it asked for too much. */
  get isAll(): boolean {
    return this.#isAll;
  }

  /** Takes in a want; false if it is to be ignored. */
  add(want: Want): boolean {
    if (want.isAny) {
      if (this.#any.length < MAX_REMOTE_ANY_WANTS) this.#any.push(want);
      else this.#isAll = true;
      return true;
    }
    if (want.length > WANT_BLOCKS) return false;
    if (!this.#addRegion(want)) this.#isAll = true;
    return true;
  }

  /** Takes back a want. */
  remove({ start, length, isAny }: Want): void {
    if (isAny) {
      const place = this.#any.findIndex((one) => one.start === start && one.length === length);
      if (place !== -1) this.#any.splice(place, 1);
      return;
    }
    const starts = this.#regions.get(length);
    if (starts?.delete(start) !== true) return;
    this.#size--;
    if (starts.size === 0) this.#regions.delete(length);
  }

  /** Whether the peer wants to hear of any of these blocks. */
  overlaps(start: number, end: number): boolean {
    if (this.#isAll) return true;
    if (this.#any.some((one) => one.start < end && start < one.start + one.length)) return true;
    for (const [length, starts] of this.#regions) {
      const [first, last] = [Math.floor(start / length), Math.floor((end - 1) / length)];
      if (last - first >= starts.size) {
        for (const one of starts) if (one < end && start < one + length) return true;
        continue;
      }
      for (let i = first; i <= last; i++) if (starts.has(i * length)) return true;
    }
    return false;
  }

  #addRegion({ start, length }: Want): boolean {
    const isPower = Number.isInteger(Math.log2(length));
    if (length < MIN_WANT_BLOCKS || !isPower || start % length !== 0) return false;
    let starts = this.#regions.get(length);
    if (starts?.has(start) === true) return true;
    if (this.#size >= MAX_REMOTE_WANTS) return false;
    if (starts === undefined) {
      if (this.#regions.size >= MAX_REMOTE_WANT_LENGTHS) return false;
      starts = new Set();
      this.#regions.set(length, starts);
    }
    starts.add(start);
    this.#size++;
    return true;
  }
}
