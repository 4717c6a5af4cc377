/** Ranges of blocks that are to be fetched. */
import type { PeerMachine } from "./peer_machine.ts";
import type { ReplicatedLog } from "./replicated_log.ts";
import { Waiters } from "./waiters.ts";

/** What a range is of. */
export interface RangeRequest {
  /** The first block; 0 by default. */
  readonly start?: number | undefined;
  /** The block behind the last one; Infinity, the default, goes on as the log grows. */
  readonly end?: number | undefined;
  /** These blocks instead. */
  readonly blocks?: readonly number[] | undefined;
  /** Whether to fetch them in their order; by default each peer begins somewhere else. */
  readonly linear?: boolean | undefined;
}

/** Blocks that are being fetched. */
export interface Range {
  /** Resolves with true when all are here, with false when the range was given up. */
  done(): Promise<boolean>;
  /** Gives up. */
  destroy(): void;
}

/** Where the search for a block to ask of one peer goes on. */
export interface RangeCursor {
  /** The place: a block, or a place in the list of blocks; -1 before the first time. */
  at: number;
  /** The state of the peer and of the log in which there was nothing left to ask; see `PeerMachine.version`. */
  idleAt: number;
}

/** One range. */
export class RangeJob implements Range {
  /** The first block that is not here: a block, or a place in the list. */
  start: number;
  /** The block behind the last one, or the length of the list. */
  readonly end: number;
  /** The list, if it is one. */
  readonly blocks: readonly number[] | undefined;
  /** Whether the order matters. */
  readonly linear: boolean;
  /** By peer. */
  readonly cursors: Map<PeerMachine, RangeCursor> = new Map();
  /** Whether it is over. */
  isOver = false;
  readonly #userStart: number;
  readonly #waiters = new Waiters<boolean>();
  readonly #onDestroy: () => void;
  #result: boolean | undefined;

  constructor(request: RangeRequest, onDestroy: () => void) {
    const { blocks, start = 0, end = Infinity, linear = false } = request;
    this.blocks = blocks;
    this.#userStart = this.start = blocks ? 0 : start;
    this.end = blocks ? blocks.length : Math.max(start, end);
    this.linear = linear;
    this.#onDestroy = onDestroy;
  }

  /** Whether it goes on as the log grows. */
  get isLive(): boolean {
    return this.end === Infinity;
  }

  /** The block that has to come before the range gets on. */
  get firstMissing(): number {
    return this.blocks ? this.blocks[this.start]! : this.start;
  }

  done(): Promise<boolean> {
    return this.#result === undefined ? this.#waiters.add() : Promise.resolve(this.#result);
  }

  destroy(): void {
    if (this.isOver) return;
    this.#onDestroy();
    this.finish(false);
  }

  /** Skips what is here; whether anything is left. */
  advance({ held }: ReplicatedLog, isFromStart = false): boolean {
    if (isFromStart) this.start = this.#userStart;
    if (this.blocks) { while (this.start < this.end && held.get(this.blocks[this.start]!)) this.start++; }
    else this.start = Math.min(this.end, held.firstUnset(this.start));
    return this.start < this.end;
  }

  /** It is over. */
  finish(result: boolean): void {
    this.isOver = true;
    this.#result = result;
    this.cursors.clear();
    this.#waiters.resolve(result);
  }

  /** Where the search of `peer` goes on. */
  cursor(peer: PeerMachine): RangeCursor {
    let cursor = this.cursors.get(peer);
    if (cursor === undefined) {
      cursor = { at: -1, idleAt: -1 };
      this.cursors.set(peer, cursor);
    }
    return cursor;
  }
}

/** All ranges. A block that comes concerns only those that wait for just this one. */
export class RangeJobs {
  readonly #log: ReplicatedLog;
  readonly #ranges: RangeJob[] = [];
  /** By the first block that is missing. */
  readonly #byFirst = new Map<number, RangeJob[]>();

  constructor(log: ReplicatedLog) {
    this.#log = log;
  }

  /** All, in the order in which they were added. */
  get all(): readonly RangeJob[] {
    return this.#ranges;
  }

  /** Whether one goes on as the log grows. */
  get isLive(): boolean {
    return this.#ranges.some((range) => range.isLive);
  }

  /** One more; over at once if all is here. */
  add(request: RangeRequest): RangeJob {
    const range: RangeJob = new RangeJob(request, () => this.#remove(range));
    if (!range.advance(this.#log)) {
      range.finish(true);
      return range;
    }
    this.#ranges.push(range);
    this.#index(range);
    return range;
  }

  /** Blocks have come. */
  onHeld(start: number, end: number): void {
    if (this.#ranges.length === 0) return;
    if (end - start > this.#byFirst.size) {
      for (const first of [...this.#byFirst.keys()]) if (first >= start && first < end) this.#advance(first);
      return;
    }
    for (let index = start; index < end; index++) this.#advance(index);
  }

  /** Blocks are gone, or the log is another one. */
  reset(): void {
    this.#byFirst.clear();
    for (const range of [...this.#ranges]) {
      if (range.advance(this.#log, true)) this.#index(range);
      else this.#finish(range);
    }
  }

  /** A peer is gone. */
  forget(peer: PeerMachine): void {
    for (const range of this.#ranges) range.cursors.delete(peer);
  }

  /** Searches are to begin anew: something that was asked for will not come. */
  rewind(): void {
    for (const range of this.#ranges) {
      for (const cursor of range.cursors.values()) {
        cursor.idleAt = -1;
        if (range.linear) cursor.at = -1;
      }
    }
  }

  /** Gives all up. */
  close(): void {
    for (const range of [...this.#ranges]) range.destroy();
  }

  #index(range: RangeJob): void {
    const first = range.firstMissing;
    const others = this.#byFirst.get(first);
    if (others === undefined) this.#byFirst.set(first, [range]);
    else others.push(range);
  }

  #advance(index: number): void {
    const waiting = this.#byFirst.get(index);
    if (waiting === undefined) return;
    this.#byFirst.delete(index);
    for (const range of waiting) {
      if (range.isOver) continue;
      if (range.advance(this.#log)) this.#index(range);
      else this.#finish(range);
    }
  }

  #finish(range: RangeJob): void {
    this.#remove(range);
    range.finish(true);
  }

  #remove(range: RangeJob): void {
    const place = this.#ranges.indexOf(range);
    if (place !== -1) this.#ranges.splice(place, 1);
    const others = this.#byFirst.get(range.firstMissing);
    if (others?.includes(range) !== true) return;
    if (others.length === 1) this.#byFirst.delete(range.firstMissing);
    else others.splice(others.indexOf(range), 1);
  }
}
