/**
 * Who is to be dialed: the highest priority first, by chance among equals, so that a crowd does not fall on one peer.
 */
import type { Random } from "../core/runtime/runtime.ts";
import type { PeerPriority } from "./retry.ts";

/** What can be queued. Only the queue writes `queueIndex`. */
export interface Queueable {
  /** Which level it belongs to; must not change while it is queued. */
  readonly priority: PeerPriority;
  /** Its place within the level, or -1. */
  queueIndex: number;
}

/** See the head of the file. All operations take constant time. */
export class PeerQueue<Entry extends Queueable> {
  readonly #random: Random;
  readonly #levels: readonly Entry[][] = [[], [], [], [], []];
  #size = 0;

  /** An empty queue that draws from `random`. */
  constructor(random: Random) {
    this.#random = random;
  }

  /** How many wait. */
  get size(): number {
    return this.#size;
  }

  /** Adds `entry`, unless it is in. */
  add(entry: Entry): void {
    if (entry.queueIndex !== -1) return;
    entry.queueIndex = this.#levels[entry.priority]!.push(entry) - 1;
    this.#size++;
  }

  /** Takes `entry` out, if it is in. */
  delete(entry: Entry): void {
    const { queueIndex } = entry;
    if (queueIndex === -1) return;
    const level = this.#levels[entry.priority]!;
    const last = level.pop()!;
    if (last !== entry) {
      level[queueIndex] = last;
      last.queueIndex = queueIndex;
    }
    entry.queueIndex = -1;
    this.#size--;
  }

  /** Takes out one of the highest priority. */
  shift(): Entry | undefined {
    for (let priority = this.#levels.length - 1; priority >= 0; priority--) {
      const level = this.#levels[priority]!;
      if (level.length === 0) continue;
      const entry = level[this.#random.below(level.length)]!;
      this.delete(entry);
      return entry;
    }
    return undefined;
  }
}
