/**
 * One test source for two runtimes: `test` is `Deno.test` with every sanitizer on, or `node:test` under Node.
 */
import { test as nodeTest } from "node:test";

/** What a test may be told besides its body. */
export interface TestOptions {
  /** Prints the reason and skips the body when set. */
  readonly skip?: string | undefined;
}

interface DenoLike {
  test(definition: Record<string, unknown>): void;
}

const deno = (globalThis as unknown as { Deno?: DenoLike }).Deno;

/** Registers a test under a name that reads as a sentence. */
export function test(name: string, body: () => void | Promise<void>, options: TestOptions = {}): void {
  const title = options.skip === undefined ? name : `${name} (skipped: ${options.skip})`;
  const ignore = options.skip !== undefined;
  if (deno === undefined) {
    void nodeTest(title, { skip: ignore }, async () => await body());
    return;
  }
  deno.test({
    name: title,
    ignore,
    fn: async () => await body(),
    sanitizeOps: true,
    sanitizeResources: true,
    sanitizeExit: true,
  });
}
