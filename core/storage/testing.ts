/**
 * The conformance suite of stores: whoever writes one runs these cases, with any test runner, in any runtime.
 */
import { type ConformanceCase, ConformanceError } from "../runtime/conformance.ts";
import { BASIC_CASES } from "./testing_basics.ts";
import { LASTING_CASES, LAYER_CASES } from "./testing_layers.ts";
import { RANDOM_CASES } from "./testing_random.ts";
import type { Store } from "./storage.ts";

export { type ConformanceCase, ConformanceError };

/** What the author of a store hands to {@linkcode testStore}, fresh and empty for each case. */
export interface StoreUnderTest extends AsyncDisposable {
  /** Opens the store; when it was closed, once more. */
  open(): Promise<Store>;
  /** Whether what was written is there again when the store is opened once more. */
  readonly isLasting: boolean;
}

/**
 * The cases that every store must pass; register them with your test runner.
 *
 * @example
 * ```ts
 * import { MemoryStore } from "./mod.ts";
 * import { testStore } from "./testing.ts";
 *
 * const cases = testStore(async () => ({
 *   open: async () => new MemoryStore(),
 *   isLasting: false,
 *   [Symbol.asyncDispose]: async () => {},
 * }));
 * for (const { run } of cases) await run(); // in tests: Deno.test(name, run) or test(name, run)
 * ```
 */
export function testStore(make: () => Promise<StoreUnderTest>): ConformanceCase[] {
  const cases = Object.entries({ ...BASIC_CASES, ...LAYER_CASES, ...RANDOM_CASES, ...LASTING_CASES });
  return cases.map(([name, body]) => ({
    name,
    async run() {
      const under = await make();
      try {
        if (under.isLasting || !(name in LASTING_CASES)) await body(() => under.open());
      } finally {
        await under[Symbol.asyncDispose]();
      }
    },
  }));
}
