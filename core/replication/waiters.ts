/** Those who wait for one thing, each of whom may give up. */

interface Waiter<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
  readonly release: () => void;
}

/** Promises that settle together. */
export class Waiters<T> {
  readonly #waiters = new Set<Waiter<T>>();
  readonly #onEmpty: () => void;

  /** Calls `onEmpty` when the last one has given up. */
  constructor(onEmpty: () => void = () => {}) {
    this.#onEmpty = onEmpty;
  }

  /** How many wait. */
  get size(): number {
    return this.#waiters.size;
  }

  /** One more; rejects with the reason of `signal` when that aborts. */
  add(signal?: AbortSignal): Promise<T> {
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const onAbort = () => {
      this.#waiters.delete(waiter);
      reject(signal!.reason);
      if (this.#waiters.size === 0) this.#onEmpty();
    };
    const release = () => signal?.removeEventListener("abort", onAbort);
    const waiter = { resolve, reject, release };
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#waiters.add(waiter);
    return promise;
  }

  /** Gives all of them `value`. */
  resolve(value: T): void {
    for (const { resolve } of this.#take()) resolve(value);
  }

  /** Fails all of them. */
  reject(error: unknown): void {
    for (const { reject } of this.#take()) reject(error);
  }

  #take(): Waiter<T>[] {
    const taken = [...this.#waiters];
    this.#waiters.clear();
    for (const { release } of taken) release();
    return taken;
  }
}
