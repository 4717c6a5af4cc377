/**
 * What the conformance suites share: cases, checks without a test framework, and waiting in real or virtual time.
 */
import { type ConformanceCase, ConformanceError, expect } from "../core/runtime/conformance.ts";
import type { Clock } from "../core/runtime/runtime.ts";
import type { VirtualClock } from "../core/runtime/virtual.ts";

export { type ConformanceCase, ConformanceError, expect };

/**
 * Lets the world go on until `condition` holds, at most for `timeoutMs` of its own time.
 *
 * @returns whether it holds.
 */
export type Until = (condition: () => boolean, timeoutMs: number) => Promise<boolean>;

/** How often real time is looked at, in milliseconds. */
const POLL_MS = 2;

/**
 * Waiting for an implementation that runs in real time.
 *
 * @example
 * ```ts
 * import { SystemClock } from "../core/runtime/system.ts";
 * import { realTime } from "./testing_kit.ts";
 *
 * const until = realTime(new SystemClock());
 * console.assert(await until(() => true, 1000));
 * ```
 */
export function realTime(clock: Clock): Until {
  return async (condition, timeoutMs) => {
    const end = clock.now() + timeoutMs;
    while (!condition()) {
      if (clock.now() >= end) return false;
      await new Promise<void>((resolve) => clock.schedule(clock.now() + POLL_MS, resolve));
    }
    return true;
  };
}

/**
 * Waiting for an implementation that runs under a virtual clock; `settle` is a macrotask of the host, as `macrotask` in
 * `core/runtime/system.ts`.
 */
export function virtualTime(clock: VirtualClock, settle: () => Promise<void>): Until {
  return async (condition, timeoutMs) => {
    await clock.runAsync(settle, { until: clock.now() + timeoutMs, stop: condition });
    return condition();
  };
}

/** How long a case waits for what must happen, in milliseconds. */
export const PATIENCE_MS = 30_000;
/** How long a case waits to see that something does not happen. */
export const CALM_MS = 100;

/** Waits until `condition` holds. @throws {ConformanceError} that `what` did not happen. */
export async function eventually(until: Until, what: string, condition: () => boolean): Promise<void> {
  if (!await until(condition, PATIENCE_MS)) throw new ConformanceError(`${what}: did not happen in time`);
}

/** Lets a moment pass in which nothing should happen. */
export async function calm(until: Until): Promise<void> {
  await until(() => false, CALM_MS);
}

/** The result of `promise`, while the world goes on. @throws {ConformanceError} if it does not settle. */
export async function settled<T>(until: Until, what: string, promise: Promise<T>): Promise<T> {
  let isSettled = false;
  const mark = () => {
    isSettled = true;
  };
  promise.then(mark, mark);
  await eventually(until, what, () => isSettled);
  return await promise;
}

/** What `promise` rejects with. @throws {ConformanceError} if it does not. */
export async function rejection(until: Until, what: string, promise: Promise<unknown>): Promise<unknown> {
  let error: unknown;
  const failed = promise.then(() => false, (reason) => {
    error = reason;
    return true;
  });
  expect(await settled(until, what, failed), `${what}: should be refused, but was accepted`);
  return error;
}

/** Byte `index` of a stream that no shift, loss or repetition leaves intact. */
export function patternByte(index: number, seed: number): number {
  return Math.imul(Math.imul(index, 0x9e3779b1) ^ Math.imul(index >>> 11, 0x85ebca6b) ^ seed, 0xc2b2ae35) >>>
    24;
}

/** Fills `into` with the stream of `seed` from byte `start`. */
export function fillPattern(into: Uint8Array, start: number, seed: number): Uint8Array {
  for (let i = 0; i < into.length; i++) into[i] = patternByte(start + i, seed);
  return into;
}
