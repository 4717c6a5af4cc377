/** How long a start takes in a network with the round trips of the world. */
import assert from "node:assert/strict";
import { runStarts } from "../../sim/scenarios/dht_start.ts";
import { test } from "../../harness.ts";

test("start: half of all cold starts end their first lookup within 3 s, half of the warm ones within 1 s", async () => {
  const { coldMs, warmMs, warmContactMs } = await runStarts("world", 200, 20);
  const middle = (sorted: readonly number[]) => sorted[sorted.length >> 1]!;
  assert.ok(middle(coldMs) < 3000, `${middle(coldMs)} ms`);
  assert.ok(middle(warmMs) < 1000, `${middle(warmMs)} ms`);
  assert.ok(middle(warmContactMs) < 350, `${middle(warmContactMs)} ms`);
});

test("start: the same seed is the same run", async () => {
  assert.deepEqual(await runStarts(7, 25, 2), await runStarts(7, 25, 2));
});
