/**
 * The conformance suite of stores: whoever writes one runs these cases, with any test runner, in any runtime.
 */
import { type ConformanceCase, ConformanceError } from "../runtime/conformance.ts";
import { BASIC_CASES } from "./testing_basics.ts";
import { LASTING_CASES, LAYER_CASES } from "./testing_layers.ts";
import { LASTING_LOG_CASES, LOG_CASES } from "./testing_logs.ts";
import { RANDOM_CASES } from "./testing_random.ts";
import type { Store } from "./storage.ts";

export { type ConformanceCase, ConformanceError };

/** What the author of a store hands to {@linkcode testStore}, fresh and empty for each case. */
export interface StoreUnderTest extends AsyncDisposable {
  /** Opens the store; when it was closed, once more. */
  open(): Promise<Store>;
  /** Whether what was written is there again when the store is opened once more. */
  readonly isLasting: boolean;
  /**
   * Whether it holds signed logs and nothing else, as hypercore 10's files do: no overlays, no records, blocks only along with the
   * nodes and the head that say where they are. Only the cases for such logs are run then. By default it holds all there is.
   */
  readonly holdsOnlySignedLogs?: boolean;
}

/** Cases that need what is lasting. */
const ALL_LASTING_CASES = { ...LASTING_CASES, ...LASTING_LOG_CASES };
/** Cases that any store passes. */
const SIGNED_CASES = { ...LOG_CASES, ...LASTING_LOG_CASES };

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
  const cases = Object.entries({
    ...BASIC_CASES,
    ...LAYER_CASES,
    ...RANDOM_CASES,
    ...LOG_CASES,
    ...ALL_LASTING_CASES,
  });
  return cases.map(([name, body]) => ({
    name,
    async run() {
      const under = await make();
      try {
        const isLimited = under.holdsOnlySignedLogs === true && !(name in SIGNED_CASES);
        if (!isLimited && (under.isLasting || !(name in ALL_LASTING_CASES))) await body(() => under.open());
      } finally {
        await under[Symbol.asyncDispose]();
      }
    },
  }));
}
