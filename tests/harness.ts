/**
 * One test source for two runtimes: `test` is `Deno.test` with every sanitizer on, or `node:test` under Node.
 */
import { test as nodeTest } from "node:test";

/** What a test may be told besides its body. */
export interface TestOptions {
  /** Prints the reason and skips the body when set. */
  readonly skip?: string | undefined;
}

/** How long one test may take, in milliseconds, before it fails by its name instead of holding up all the others. */
const MAX_TEST_MS = 120_000;

interface DenoLike {
  test(definition: Record<string, unknown>): void;
}

const deno = (globalThis as unknown as { Deno?: DenoLike }).Deno;

/** Registers a test under a name that reads as a sentence. */
export function test(name: string, body: () => void | Promise<void>, options: TestOptions = {}): void {
  const title = options.skip === undefined ? name : `${name} (skipped: ${options.skip})`;
  const ignore = options.skip !== undefined;
  if (deno === undefined) {
    void nodeTest(title, { skip: ignore }, () => withinLimit(body));
    return;
  }
  deno.test({
    name: title,
    ignore,
    fn: () => withinLimit(body),
    sanitizeOps: true,
    sanitizeResources: true,
    sanitizeExit: true,
  });
}

async function withinLimit(body: () => void | Promise<void>): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>();
  const limit = setTimeout(
    () => reject(new Error(`The test did not finish in ${MAX_TEST_MS / 1000} s`)),
    MAX_TEST_MS,
  );
  try {
    await Promise.race([body(), promise]);
  } finally {
    clearTimeout(limit);
  }
}
