/**
 * The suite for stores notices what is broken: each of these stores has one mistake.
 */
import assert from "node:assert/strict";
import type { Engine, Entry, Kind, Store } from "../../core/storage/mod.ts";
import { LayeredStore } from "../../core/storage/mod.ts";
import { MemoryEngine } from "../../core/storage/memory.ts";
import { ConformanceError, testStore } from "../../core/storage/testing.ts";
import { test } from "../harness.ts";

/** The names of the cases that a store fails; each failure must be a finding and no accident of the suite. */
async function failures(make: () => Store): Promise<string[]> {
  const failed: string[] = [];
  const cases = testStore(() =>
    Promise.resolve({
      open: () => Promise.resolve(make()),
      isLasting: false,
      [Symbol.asyncDispose]: () => Promise.resolve(),
    })
  );
  for (const { name, run } of cases) {
    await run().catch((error) => {
      assert.ok(error instanceof ConformanceError, `${name}: ${error?.stack}`);
      failed.push(name);
    });
  }
  return failed;
}

type Mutation = (engine: MemoryEngine) => Partial<Engine>;

/** An engine that does as `engine` but for the methods of `mutation`. */
function mutate(mutation: Mutation): Engine {
  const engine = new MemoryEngine();
  const changed = mutation(engine) as Record<PropertyKey, unknown>;
  return new Proxy(engine, {
    get(_, name) {
      const method = changed[name] ?? (engine as unknown as Record<PropertyKey, () => unknown>)[name];
      return (method as () => unknown).bind(engine);
    },
  });
}

const MUTANTS: Record<string, { readonly mutation: Mutation; readonly fails: RegExp }> = {
  "keeps half of a batch that fails": {
    mutation: () => ({ rollback: () => {} }),
    fails: /or, if it fails, nothing/,
  },
  "deletes one too many": {
    mutation: (engine) => ({
      delete: (layer, kind, start, end) => engine.delete(layer, kind, start, end + 1),
    }),
    fails: /clearNodes|a range of blocks/,
  },
  "does not keep what others need": {
    mutation: () => ({ copy: () => {} }),
    fails: /a snapshot stays as it is/,
  },
  "keeps blocks for others, but no nodes": {
    mutation: (engine) => ({
      copy(from, to, kind, start, end) {
        if (kind === "block") engine.copy(from, to, kind, start, end);
      },
    }),
    fails: /overlay's own|random/,
  },
  "cuts indexes to 32 bits": {
    mutation: (engine) => ({
      get: (layer: number, kind: Kind, index: number) => engine.get(layer, kind, index >>> 0),
      put: (layer: number, kind: Kind, index: number, value: Uint8Array) =>
        engine.put(layer, kind, index >>> 0, value),
    }),
    fails: /beyond 2\^32/,
  },
  "gives more bytes than were asked": {
    mutation: (engine) => ({
      scan: (layer: number, kind: Kind, start: number, end: number): Entry[] =>
        engine.scan(layer, kind, start, end, Infinity),
    }),
    fails: /in parts of the size/,
  },
  "leaves out a block": {
    mutation: (engine) => ({
      scan: (layer: number, kind: Kind, start: number, end: number, maxBytes: number): Entry[] =>
        engine.scan(layer, kind, start, end, maxBytes).filter(({ index }) => index !== 77),
    }),
    fails: /in parts of the size/,
  },
  "takes an empty value for none": {
    mutation: (engine) => ({
      get(layer: number, kind: Kind, index: number) {
        const value = engine.get(layer, kind, index);
        return value?.length === 0 ? undefined : value;
      },
    }),
    fails: /comes back as it was/,
  },
  "lists names without regard to the prefix": {
    mutation: (engine) => ({
      names: (layer: number, prefix: string) =>
        engine.names(layer, layer === 0 ? prefix : prefix.slice(0, 5)),
    }),
    fails: /listed by their prefix/,
  },
  "says that it holds nothing": {
    mutation: () => ({ size: () => ({ bytes: 0, freeBytes: 0 }) }),
    fails: /the size grows/,
  },
};

for (const [what, { mutation, fails }] of Object.entries(MUTANTS)) {
  test(`the suite of stores notices one that ${what}`, async () => {
    const failed = await failures(() => new LayeredStore(mutate(mutation), "none"));
    assert.ok(failed.some((name) => fails.test(name)), `failed: ${failed.join("; ") || "nothing"}`);
  });
}

test("the suite of stores passes the one without a mistake", async () => {
  assert.deepEqual(await failures(() => new LayeredStore(mutate(() => ({})), "none")), []);
});
