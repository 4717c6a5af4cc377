/** Packs of values that were read lately: reading a row again costs ten times as much as finding it here. */
import { MAX_PACK_COUNT, type Unpacked } from "./packs.ts";

/** About what a pack takes in memory besides its bytes. */
const PACK_OVERHEAD = 400;

/** The packs of some rows, in the order in which they came. */
type Packs = Map<number, Unpacked[]>;

/**
 * Finds packs by the number of any value in them. There are two generations, as in `NodeCache`: what is used moves to the younger
 * one, and when that is full, the older one goes.
 */
export class PackCache {
  readonly #maxBytes: number;
  #young: Packs = new Map();
  #old: Packs = new Map();
  #bytes = 0;
  #last: Unpacked | undefined;

  /** Keeps packs of about `maxBytes`. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The pack with the value `id`, if it is kept. */
  find(id: number): Unpacked | undefined {
    if (this.#last?.has(id)) return this.#last;
    const pack = findIn(this.#young, id);
    if (pack !== undefined) return this.#last = pack;
    const old = findIn(this.#old, id);
    if (old !== undefined) this.add(old);
    return old;
  }

  /** Keeps a pack. */
  add(pack: Unpacked): void {
    if (this.#bytes > this.#maxBytes / 2) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#bytes = 0;
    }
    this.#bytes += pack.byteLength + PACK_OVERHEAD;
    this.#last = pack;
    for (let group = groupOf(pack.first); group <= groupOf(pack.end - 1); group++) {
      const packs = this.#young.get(group);
      if (packs === undefined) this.#young.set(group, [pack]);
      else packs.push(pack);
    }
  }

  /** Forgets all: what is stored has changed. */
  clear(): void {
    if (this.#last === undefined) return;
    this.#young = new Map();
    this.#old = new Map();
    this.#bytes = 0;
    this.#last = undefined;
  }
}

/** Packs are looked for among those of their group: as many numbers as one may have values, so that it is in two at most. */
function groupOf(id: number): number {
  return Math.floor(id / MAX_PACK_COUNT);
}

function findIn(packs: Packs, id: number): Unpacked | undefined {
  return packs.get(groupOf(id))?.find((pack) => pack.has(id));
}
