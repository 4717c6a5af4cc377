/**
 * The assertion that stays on in production.
 */
import { AssertionError } from "./errors.ts";

/**
 * Checks an invariant of hypha's own code. Stays on in production; a failure is a bug of hypha, never of a peer.
 *
 * @throws {AssertionError} when `condition` is false.
 *
 * @example
 * ```ts
 * import { assert } from "./assert.ts";
 *
 * assert(1 + 1 === 2, "arithmetic holds");
 * ```
 */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}
