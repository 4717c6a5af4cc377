/**
 * Time and chance that obey: a clock that stands still until it is told to move, and randomness from a seed.
 */
import { type DeadlineEntry, Deadlines } from "./deadlines.ts";
import type { Clock, Random, Timer } from "./runtime.ts";

class VirtualTimer implements Timer, DeadlineEntry {
  deadline = Infinity;
  deadlineIndex = -1;
  deadlineOrder = 0;
  readonly #timers: Deadlines<VirtualTimer>;
  readonly #normalize: (at: number) => number;
  readonly onDue: () => void;

  constructor(timers: Deadlines<VirtualTimer>, normalize: (at: number) => number, onDue: () => void) {
    this.#timers = timers;
    this.#normalize = normalize;
    this.onDue = onDue;
  }

  reset(at: number): void {
    this.#timers.set(this, this.#normalize(at));
  }

  cancel(): void {
    this.#timers.delete(this);
  }
}

/** Options of a {@linkcode VirtualClock}. */
export interface VirtualClockOptions {
  /** What {@linkcode Clock.now} starts at, in milliseconds; 0 by default. */
  readonly start?: number;
  /** What {@linkcode Clock.wallTime} starts at, in Unix milliseconds; 2020-01-01 by default. */
  readonly wallTime?: number;
}

/**
 * A clock that moves only by {@linkcode step} and {@linkcode run}. Timers that are due at the same moment fire in the
 * order in which they were armed.
 *
 * @example
 * ```ts
 * import { VirtualClock } from "./virtual.ts";
 *
 * const clock = new VirtualClock();
 * let fired = 0;
 * clock.schedule(1_000, () => fired++);
 * clock.run({ until: 999 });
 * console.assert(fired === 0);
 * clock.run({ until: 1_000 });
 * console.assert(fired === 1 && clock.now() === 1_000);
 * ```
 */
export class VirtualClock implements Clock {
  readonly #timers = new Deadlines<VirtualTimer>();
  readonly #normalize: (at: number) => number;
  #deferred: (() => void)[] = [];
  #now: number;
  #wallOffset: number;

  /** A clock that stands at `options.start`. */
  constructor(options: VirtualClockOptions = {}) {
    this.#now = options.start ?? 0;
    this.#wallOffset = (options.wallTime ?? 1_577_836_800_000) - this.#now;
    this.#normalize = (at) => at > this.#now ? at : this.#now;
  }

  /** Virtual milliseconds. */
  now(): number {
    return this.#now;
  }

  /** Virtual Unix milliseconds. */
  wallTime(): number {
    return Math.floor(this.#now + this.#wallOffset);
  }

  /** Makes the wall clock jump by `ms`; monotonic time does not notice. */
  jumpWallTime(ms: number): void {
    this.#wallOffset += ms;
  }

  /** How many timers are armed and callbacks deferred: 0 when nothing will ever happen again. */
  get pending(): number {
    return this.#timers.size + this.#deferred.length;
  }

  /** See {@linkcode Clock.schedule}. */
  schedule(at: number, onDue: () => void): Timer {
    const timer = new VirtualTimer(this.#timers, this.#normalize, onDue);
    timer.reset(at);
    return timer;
  }

  /** See {@linkcode Clock.defer}. */
  defer(callback: () => void): void {
    this.#deferred.push(callback);
  }

  /**
   * Does the next thing: the deferred callbacks if there are any, else the earliest timer, moving time to it.
   *
   * @returns false if nothing was due up to `until`; time is then `until`, if that is finite.
   */
  step(until: number = Infinity): boolean {
    if (this.#deferred.length > 0) {
      const batch = this.#deferred;
      this.#deferred = [];
      for (const callback of batch) callback();
      return true;
    }
    const next = this.#timers.next;
    if (next > until || next === Infinity) {
      if (until !== Infinity && until > this.#now) this.#now = until;
      return false;
    }
    this.#now = next;
    this.#timers.popDue(next)!.onDue();
    return true;
  }

  /**
   * Runs until the moment `until` (default: until nothing is left), or until `stop` says so after a step.
   *
   * @throws {RangeError} after `maxSteps` steps (default ten million): something re-arms itself without end.
   */
  run(
    options: { readonly until?: number; readonly stop?: () => boolean; readonly maxSteps?: number } = {},
  ): void {
    const until = options.until ?? Infinity;
    let left = options.maxSteps ?? 10_000_000;
    while (this.step(until)) {
      if (options.stop?.() === true) return;
      if (--left === 0) throw new RangeError("The virtual clock made no end: raise maxSteps or pass until");
    }
  }

  /**
   * As {@linkcode run}, but lets promise chains settle after each step by awaiting `settle` (a macrotask of the host).
   * What the chains do is then part of the same virtual moment.
   */
  async runAsync(
    settle: () => Promise<void>,
    options: { readonly until?: number; readonly stop?: () => boolean; readonly maxSteps?: number } = {},
  ): Promise<void> {
    const until = options.until ?? Infinity;
    let left = options.maxSteps ?? 10_000_000;
    await settle();
    while (options.stop?.() !== true && this.step(until)) {
      await settle();
      if (--left === 0) throw new RangeError("The virtual clock made no end: raise maxSteps or pass until");
    }
  }
}

/** FNV-1a over the UTF-16 units of `text`, started from `hash`. */
function hashText(text: string, hash: number): number {
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/**
 * Randomness from a seed: sfc32 (Doty-Humphrey's Small Fast Counting generator, 32-bit form). Not for secrets.
 *
 * @example
 * ```ts
 * import { SeededRandom } from "./virtual.ts";
 *
 * const a = new SeededRandom(42);
 * const b = new SeededRandom(42);
 * console.assert(a.uint32() === b.uint32());
 * ```
 */
export class SeededRandom implements Random {
  readonly #label: string;
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** A source for `seed`; any text or number is a seed. */
  constructor(seed: string | number) {
    this.#label = String(seed);
    this.#a = hashText(this.#label, 0x811c9dc5);
    this.#b = hashText(this.#label, 0x9e3779b9);
    this.#c = hashText(this.#label, 0x85ebca6b);
    for (let i = 0; i < 12; i++) this.uint32();
  }

  /** See {@linkcode Random.uint32}. */
  uint32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum | 0;
    return sum >>> 0;
  }

  /** See {@linkcode Random.fill}. */
  fill(into: Uint8Array): Uint8Array {
    let word = 0;
    for (let i = 0; i < into.length; i++) {
      if ((i & 3) === 0) word = this.uint32();
      into[i] = word;
      word >>>= 8;
    }
    return into;
  }

  /** See {@linkcode Random.below}. */
  below(bound: number): number {
    return below(this, bound);
  }

  /** See {@linkcode Random.chance}. */
  chance(numerator: number, denominator: number): boolean {
    return below(this, denominator) < numerator;
  }

  /** See {@linkcode Random.fork}. The same label gives the same source again, whatever was drawn in between. */
  fork(label: string): SeededRandom {
    return new SeededRandom(`${this.#label}/${label}`);
  }
}

/** A uniform integer in [0, `bound`) from `random`, by rejecting the incomplete last run. */
export function below(random: Pick<Random, "uint32">, bound: number): number {
  if (!Number.isInteger(bound) || bound < 1 || bound > 0x100000000) {
    throw new RangeError(`Cannot draw below ${bound}: pass an integer in [1, 2^32]`);
  }
  const limit = 0x100000000 - 0x100000000 % bound;
  let value = random.uint32();
  while (value >= limit) value = random.uint32();
  return value % bound;
}
