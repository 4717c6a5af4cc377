/**
 * What conformance suites for plug-ins are made of, without a test framework.
 */

/** One case of a suite; register it with any test runner. */
export interface ConformanceCase {
  /** What must hold, as a sentence. */
  readonly name: string;
  /** Tries it. Rejects with a {@linkcode ConformanceError} if it does not hold. */
  run(): Promise<void>;
}

/** Says which rule an implementation broke. */
export class ConformanceError extends Error {
  /** `ConformanceError`. */
  override readonly name: string = "ConformanceError";
}

/** @throws {ConformanceError} with `message` unless `condition` is true. */
export function expect(condition: boolean, message: string): asserts condition {
  if (!condition) throw new ConformanceError(message);
}
