/**
 * The few promise tools that the edges need, free of host timers.
 */

/** What is there at once or later: a caller that need not wait does not. */
export type MaybePromise<T> = T | Promise<T>;

/** Throws `signal.reason` if the signal is already aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw signal.reason;
}

/**
 * Settles as `promise` does, or rejects with `signal.reason` as soon as the signal aborts. The work behind the promise is
 * not stopped by this: give it the signal as well.
 */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) {
      promise.catch(() => {});
      onAbort();
      return;
    }
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

/**
 * A bounded queue between a producer that pushes and a consumer that awaits, itself an async iterator.
 *
 * @example
 * ```ts
 * import { AsyncQueue } from "./async.ts";
 *
 * const queue = new AsyncQueue<number>(8);
 * queue.push(1);
 * queue.close();
 * for await (const value of queue) console.assert(value === 1);
 * ```
 */
export class AsyncQueue<T> implements AsyncIterableIterator<T> {
  readonly #capacity: number;
  readonly #items: T[] = [];
  readonly #waiting: PromiseWithResolvers<IteratorResult<T>>[] = [];
  #closed = false;
  #error: unknown;

  /** A queue that holds at most `capacity` items that nobody awaits yet. */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** How many items wait. */
  get size(): number {
    return this.#items.length;
  }

  /** Adds an item; false if the queue is full or closed, and then the item is not taken. */
  push(item: T): boolean {
    if (this.#closed) return false;
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) {
      waiting.resolve({ done: false, value: item });
      return true;
    }
    if (this.#items.length >= this.#capacity) return false;
    this.#items.push(item);
    return true;
  }

  /** Ends the queue: what waits is still handed out, then it is done, or throws `error`. */
  close(error?: unknown): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#waiting.length === 0) this.#error = error;
    for (const waiting of this.#waiting.splice(0)) {
      if (error === undefined) waiting.resolve({ done: true, value: undefined });
      else waiting.reject(error);
    }
  }

  /** The next item, as soon as there is one. */
  next(): Promise<IteratorResult<T>> {
    if (this.#items.length > 0) return Promise.resolve({ done: false, value: this.#items.shift()! });
    if (this.#closed) {
      const error = this.#error;
      this.#error = undefined;
      return error === undefined ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(error);
    }
    const waiting = Promise.withResolvers<IteratorResult<T>>();
    this.#waiting.push(waiting);
    return waiting.promise;
  }

  /** Ends the queue from the consumer's side; what waits is dropped. */
  return(): Promise<IteratorResult<T>> {
    this.#items.length = 0;
    this.close();
    this.#error = undefined;
    return Promise.resolve({ done: true, value: undefined });
  }

  /** The queue itself. */
  [Symbol.asyncIterator](): this {
    return this;
  }
}
