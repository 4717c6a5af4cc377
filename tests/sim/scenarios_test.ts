/** One seed of each scenario with whole nodes in every test run; `deno task sim` has more of them, and larger ones. */
import assert from "node:assert/strict";
import { test } from "../harness.ts";
import type { Scenario } from "./scenario.ts";
import { clocks } from "./scenarios/clocks.ts";
import { leaks } from "./scenarios/leaks.ts";
import { partitions } from "./scenarios/partitions.ts";
import { swarms } from "./scenarios/swarms.ts";

const RUNS: readonly (readonly [Scenario, string, Readonly<Record<string, string>>?])[] = [
  [swarms, "3"],
  [swarms, "4"],
  [clocks, "2"],
  [partitions, "1"],
  [leaks, "0", { cycles: "30" }],
];

for (const [scenario, seed, options = {}] of RUNS) {
  test(`sim: ${scenario.what} (seed ${seed})`, async () => {
    const { complaints, description } = await scenario.run(seed, options);
    assert.deepEqual(complaints, [], description);
  });
}

test("S1: a seed decides all that happens in a world of swarms", async () => {
  const [first, again, other] = [
    await swarms.run("1", {}),
    await swarms.run("1", {}),
    await swarms.run("2", {}),
  ];
  assert.equal(first.hash, again.hash);
  assert.notEqual(first.hash, other.hash);
});
