/**
 * Deletions of whole ranges of keys.
 */
import { compare } from "../../../encoding/bytes.ts";

/** All keys from `start` to before `end` were deleted at one time. */
export interface RangeDeletion {
  /** The first key. */
  readonly start: Uint8Array;
  /** The key behind the last. */
  readonly end: Uint8Array;
  /** When: what was written earlier is gone. */
  readonly sequence: number;
}

/** What was deleted last, for every key. */
export class RangeDeletions {
  /** Where the deletion that counts changes, in order, and which one counts from there on. */
  readonly #bounds: Uint8Array[] = [];
  readonly #sequences: number[] = [];

  /** Works out which of `deletions` counts where. Takes n log n. */
  constructor(deletions: readonly RangeDeletion[]) {
    const real = deletions.filter(({ start, end }) => compare(start, end) < 0);
    for (const bound of real.flatMap(({ start, end }) => [start, end]).sort(compare)) {
      if (this.#bounds.length === 0 || compare(this.#bounds.at(-1)!, bound) < 0) this.#bounds.push(bound);
    }
    this.#sequences = this.#bounds.map(() => -1);
    // The latest deletions come first, and each takes what those before it have left: what is taken is never looked at again.
    const next = this.#bounds.map((_, i) => i);
    const free = (i: number): number => {
      let at = i;
      while (next[at] !== undefined && next[at] !== at) at = next[at]!;
      for (let step = i; next[step] !== undefined && next[step] !== step;) {
        const after = next[step]!;
        next[step] = at;
        step = after;
      }
      return at;
    };
    for (const { start, end, sequence } of real.sort((a, b) => b.sequence - a.sequence)) {
      const last = this.#find(end);
      for (let i = free(this.#find(start)); i < last; i = free(i)) {
        this.#sequences[i] = sequence;
        next[i] = i + 1;
      }
    }
  }

  /** When `key` was last deleted with a range; -1 if it never was. */
  sequenceOf(key: Uint8Array): number {
    const i = this.#find(key);
    return i < 0 ? -1 : this.#sequences[i]!;
  }

  /** The last bound that is not behind `key`; -1 if all are. */
  #find(key: Uint8Array): number {
    let low = 0;
    let high = this.#bounds.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compare(this.#bounds[middle]!, key) <= 0) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}
