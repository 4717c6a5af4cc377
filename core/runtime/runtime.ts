/**
 * What a protocol may know of the world: time, chance and cryptography, each behind an interface.
 *
 * Nothing above this file reads a clock, draws a random number or arms a timer in any other way, which is why the whole
 * stack runs the same under a virtual clock and one seed.
 */
import type { CryptoProvider } from "./crypto_provider.ts";

/** One re-armable timer. */
export interface Timer {
  /** Arms the timer for the moment `at` (milliseconds of {@linkcode Clock.now}), replacing an earlier one. */
  reset(at: number): void;
  /** Disarms the timer. It may be armed again. */
  cancel(): void;
}

/** The source of time. */
export interface Clock {
  /** Monotonic milliseconds since an arbitrary start; fractions are meaningful. */
  now(): number;
  /** Unix milliseconds. Only for values that go to the wire or to disk. */
  wallTime(): number;
  /** A timer that calls `onDue` once for each arming, not before `at`; `Infinity` makes it disarmed. */
  schedule(at: number, onDue: () => void): Timer;
  /**
   * Calls `callback` at the end of the current turn: after the input that is already waiting, before time moves on. What
   * merges many small writes into one packet, and many packets into one acknowledgement, hangs here.
   */
  defer(callback: () => void): void;
}

/** The source of chance. */
export interface Random {
  /** Fills `into` with random bytes and returns it. */
  fill(into: Uint8Array): Uint8Array;
  /** A uniformly distributed integer in [0, 2^32). */
  uint32(): number;
  /** A uniformly distributed integer in [0, `bound`), without modulo bias; `bound` is in [1, 2^32]. */
  below(bound: number): number;
  /** True with a chance of `numerator` in `denominator`. Integers, so that each machine decides alike. */
  chance(numerator: number, denominator: number): boolean;
  /** An independent source named by `label`, so that one more draw here does not shift the draws of others. */
  fork(label: string): Random;
}

/** The world, as one value to pass down. */
export interface Runtime {
  /** Time. */
  readonly clock: Clock;
  /** Chance. */
  readonly random: Random;
  /** Cryptography. */
  readonly crypto: CryptoProvider;
}
