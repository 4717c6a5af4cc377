/** The blocks that are wanted or on their way. */
import type { Inquiry } from "./in_flight.ts";
import { Waiters } from "./waiters.ts";

/** One block. */
export class BlockJob {
  /** Its number. */
  readonly index: number;
  /** More than 0 is answered first by peers. */
  priority = 0;
  /** Where it is asked for right now. */
  readonly inquiries: Inquiry[] = [];
  /** Whether it is asked for even if nothing else is. */
  isForced = false;
  /** Whether it waits to be asked for. */
  isQueued = false;
  /** Whether an answer is being verified or stored. */
  isArriving = false;
  #waiters: Waiters<Uint8Array> | undefined;

  constructor(index: number) {
    this.index = index;
  }

  /** Whether anyone waits for the block itself. */
  get isAwaited(): boolean {
    return this.#waiters !== undefined && this.#waiters.size > 0;
  }

  /** Those who wait for it. `onEmpty` is called when the last one has given up. */
  waiters(onEmpty: () => void): Waiters<Uint8Array> {
    return this.#waiters ??= new Waiters(onEmpty);
  }

  /** It is there. */
  resolve(value: Uint8Array): void {
    this.#waiters?.resolve(value);
  }

  /** It will not come. */
  reject(error: unknown): void {
    this.#waiters?.reject(error);
  }
}

/** A place in the queue of a {@linkcode BlockJobs}: what is before it was looked at. */
export interface QueueCursor {
  /** Of which renumbering of the queue. */
  renumbering: number;
  /** The place. */
  at: number;
}

/** All of them, and the queue of those that wait to be asked for. */
export class BlockJobs implements Iterable<BlockJob> {
  readonly #jobs = new Map<number, BlockJob>();
  #queue: BlockJob[] = [];
  #left = 0;
  #renumbering = 0;

  /** How many there are. */
  get size(): number {
    return this.#jobs.size;
  }

  /** How many wait to be asked for. */
  get queued(): number {
    return this.#queue.length - this.#left;
  }

  /** All, those that were added first first. */
  [Symbol.iterator](): Iterator<BlockJob> {
    return this.#jobs.values();
  }

  /** The one of this block. */
  get(index: number): BlockJob | undefined {
    return this.#jobs.get(index);
  }

  /** The one of this block, which is made if there is none. */
  obtain(index: number): BlockJob {
    let job = this.#jobs.get(index);
    if (job === undefined) {
      job = new BlockJob(index);
      this.#jobs.set(index, job);
    }
    return job;
  }

  /** Puts one behind all that wait to be asked for. */
  enqueue(job: BlockJob): void {
    if (job.isQueued) return;
    job.isQueued = true;
    this.#queue.push(job);
  }

  /** One waits no more. */
  dequeue(job: BlockJob): void {
    if (!job.isQueued) return;
    job.isQueued = false;
    this.#left++;
    if (this.#left < 32 || this.#left * 2 < this.#queue.length) return;
    this.#queue = this.#queue.filter((one) => one.isQueued);
    this.#left = 0;
    this.#renumbering++;
  }

  /** Forgets one. */
  delete(job: BlockJob): void {
    this.dequeue(job);
    if (this.#jobs.get(job.index) === job) this.#jobs.delete(job.index);
  }

  /** Moves `cursor` on and returns the next one that waits, or undefined at the end. */
  next(cursor: QueueCursor): BlockJob | undefined {
    if (cursor.renumbering !== this.#renumbering) {
      cursor.renumbering = this.#renumbering;
      cursor.at = 0;
    }
    while (cursor.at < this.#queue.length) {
      const job = this.#queue[cursor.at++]!;
      if (job.isQueued) return job;
    }
    return undefined;
  }
}
