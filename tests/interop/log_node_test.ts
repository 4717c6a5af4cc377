/**
 * Logs of hypha on Node beside both generations of hypercore. `deno task npm` runs this, on the package that it has built:
 *
 *     hypha on the oldest Node that is promised  <-- TCP, or a swarm -->  hypercore 10 or 11 in Node
 */
import assert from "node:assert/strict";
import { test } from "../harness.ts";
import { assertSame, blocks } from "./log_cases.ts";
import { testNodeBeside } from "./log_node_cases.ts";
import { GENERATIONS } from "./driven_logs.ts";
import { LogRig, skipOnNode as skip } from "./log_rig.ts";

for (const generation of GENERATIONS) testNodeBeside(generation);

for (const generation of GENERATIONS) {
  test(`log: stores of Node and of generation ${generation} show each other what both know`, async () => {
    await using rig = new LogRig();
    const [near, far] = await Promise.all([
      rig.onNode("sqlite").store({ primaryKey: "05".repeat(32) }),
      rig.theirs(generation).store({ primaryKey: "06".repeat(32) }),
    ]);
    const [ofOurs, ofTheirs] = [await near.get({ name: "a" }), await far.get({ name: "b" })];
    await ofOurs.append(blocks(0, 30));
    await ofTheirs.append(blocks(50, 20));
    await near.connect(await far.listen());
    await assertSame(ofOurs, await far.get({ key: ofOurs.key }));
    await assertSame(ofTheirs, await near.get({ key: ofTheirs.key }));
    assert.equal(await (await near.get({ key: ofTheirs.key })).get(0), await ofTheirs.get(0));
  }, { skip });
}
