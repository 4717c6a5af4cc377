/**
 * The host's own time and chance. The only file of this folder that touches the platform.
 */
import { clearImmediate, setImmediate } from "node:timers";
import type { Clock, Random, Timer } from "./runtime.ts";
import { below } from "./virtual.ts";

/** `setTimeout` takes 32 bits of milliseconds; a longer wait is cut into pieces. */
const MAX_TIMEOUT_MS = 0x7fffffff;

class HostTimer implements Timer {
  #due = Infinity;
  #armedFor = Infinity;
  #handle: ReturnType<typeof setTimeout> | undefined;
  readonly #onDue: () => void;

  constructor(onDue: () => void) {
    this.#onDue = onDue;
  }

  // A later deadline only changes a number: re-arming a host timer costs more than one early wake-up.
  reset(at: number): void {
    this.#due = at;
    if (at === Infinity) this.cancel();
    else if (at < this.#armedFor) this.#arm();
  }

  cancel(): void {
    this.#due = Infinity;
    this.#armedFor = Infinity;
    clearTimeout(this.#handle);
    this.#handle = undefined;
  }

  #arm(): void {
    clearTimeout(this.#handle);
    const wait = Math.ceil(this.#due - performance.now());
    this.#armedFor = this.#due;
    this.#handle = setTimeout(() => this.#wake(), Math.min(Math.max(wait, 0), MAX_TIMEOUT_MS));
  }

  #wake(): void {
    this.#handle = undefined;
    this.#armedFor = Infinity;
    if (this.#due === Infinity) return;
    if (performance.now() < this.#due) {
      this.#arm();
      return;
    }
    this.#due = Infinity;
    this.#onDue();
  }
}

/**
 * The host's clock: `performance.now()` and `setTimeout`, with `setImmediate` as the end of a turn, because it runs after
 * all datagrams that one wake-up of the event loop has read.
 *
 * @example
 * ```ts
 * import { SystemClock } from "./system.ts";
 *
 * const clock = new SystemClock();
 * const timer = clock.schedule(clock.now() + 60_000, () => {});
 * timer.cancel();
 * ```
 */
export class SystemClock implements Clock {
  #deferred: (() => void)[] = [];

  /** See {@linkcode Clock.now}. */
  now(): number {
    return performance.now();
  }

  /** See {@linkcode Clock.wallTime}. */
  wallTime(): number {
    return Date.now();
  }

  /** See {@linkcode Clock.schedule}. */
  schedule(at: number, onDue: () => void): Timer {
    const timer = new HostTimer(onDue);
    timer.reset(at);
    return timer;
  }

  /** See {@linkcode Clock.defer}. */
  defer(callback: () => void): void {
    this.#deferred.push(callback);
    if (this.#deferred.length === 1) setImmediate(() => this.#runDeferred());
  }

  #runDeferred(): void {
    const batch = this.#deferred;
    this.#deferred = [];
    let done = 0;
    try {
      while (done < batch.length) batch[done++]!();
    } finally {
      // One that throws must not take the others with it.
      for (const callback of batch.slice(done)) this.defer(callback);
    }
  }
}

/** Words drawn from the host at once: one call per word costs 15 times as much. */
const POOL_WORDS = 1024;

/**
 * The host's cryptographically secure randomness. Forks are the source itself: there is nothing to keep apart.
 *
 * @example
 * ```ts
 * import { SystemRandom } from "./system.ts";
 *
 * const seed = new SystemRandom().fill(new Uint8Array(32));
 * console.assert(seed.length === 32);
 * ```
 */
export class SystemRandom implements Random {
  readonly #pool = new Uint32Array(POOL_WORDS);
  #next = POOL_WORDS;

  /** See {@linkcode Random.fill}. */
  fill(into: Uint8Array): Uint8Array {
    for (let start = 0; start < into.length; start += 65536) {
      crypto.getRandomValues(into.subarray(start, start + 65536) as Uint8Array<ArrayBuffer>);
    }
    return into;
  }

  /** See {@linkcode Random.uint32}. */
  uint32(): number {
    if (this.#next === POOL_WORDS) {
      crypto.getRandomValues(this.#pool);
      this.#next = 0;
    }
    const word = this.#pool[this.#next]!;
    this.#pool[this.#next++] = 0;
    return word;
  }

  /** See {@linkcode Random.below}. */
  below(bound: number): number {
    return below(this, bound);
  }

  /** See {@linkcode Random.chance}. */
  chance(numerator: number, denominator: number): boolean {
    return below(this, denominator) < numerator;
  }

  /** See {@linkcode Random.fork}. */
  fork(_label: string): SystemRandom {
    return this;
  }
}

/** Resolves after the promise chains that are under way have settled; pass it to a virtual clock's `runAsync`. */
export function macrotask(): Promise<void> {
  return new Promise((resolve) => {
    const handle = setImmediate(() => {
      clearImmediate(handle);
      resolve();
    });
  });
}
