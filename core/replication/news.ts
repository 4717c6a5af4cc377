/** What of a log has changed in this turn, in as few ranges as it can be told. */

/** Blocks that have come or are gone. */
export interface BlockNews {
  /** The first. */
  readonly start: number;
  /** The one behind the last. */
  end: number;
  /** Whether they are there. */
  readonly isHeld: boolean;
}

/** Collects. */
export class News {
  #blocks: BlockNews[] = [];

  /** Blocks have come, or are gone. */
  add(start: number, end: number, isHeld: boolean): void {
    const last = this.#blocks[this.#blocks.length - 1];
    if (last?.isHeld === isHeld && last.end === start) last.end = end;
    else this.#blocks.push({ start, end, isHeld });
  }

  /** Takes all out. */
  take(): readonly BlockNews[] {
    const taken = this.#blocks;
    if (taken.length > 0) this.#blocks = [];
    return taken;
  }
}
