/**
 * Logs of ours and of both generations of hypercore, one writing and the other reading:
 *
 *     Hypercore of ours  <-- secret stream over TCP on loopback -->  hypercore 10 or 11 in Node  <-- JSON lines
 */
import assert from "node:assert/strict";
import { test } from "../harness.ts";
import { assertSame, blocks, casesWith, overTcp } from "./log_cases.ts";
import { GENERATIONS } from "./driven_logs.ts";
import { LogRig, skip } from "./log_rig.ts";
import { OurPeer, OurStore } from "./our_logs.ts";

for (const generation of GENERATIONS) {
  for (const [title, play] of casesWith(generation)) {
    for (const isInitiator of [true, false]) {
      const role = isInitiator ? "initiator" : "responder";
      const writing = async () => {
        await using rig = new LogRig();
        const ours = rig.add(new OurPeer(isInitiator ? "memory" : "sqlite"));
        await play(overTcp(ours, rig.theirs(generation), isInitiator));
      };
      test(`log: ${title}: hypercore ${generation} reads what we write as ${role}`, writing, { skip });

      const reading = async () => {
        await using rig = new LogRig();
        const ours = rig.add(new OurPeer(isInitiator ? "sqlite" : "memory"));
        await play(overTcp(rig.theirs(generation), ours, !isInitiator));
      };
      test(`log: ${title}: we read as ${role} what hypercore ${generation} writes`, reading, { skip });
    }
  }
}

for (const generation of GENERATIONS) {
  test(
    `log: a store of ours and one of generation ${generation} show each other what both know`,
    async () => {
      await using rig = new LogRig();
      const theirs = rig.theirs(generation);
      const [peer, far] = [
        rig.add(new OurPeer("sqlite")),
        await theirs.store({ primaryKey: "06".repeat(32) }),
      ];
      const near = await OurStore.open(peer, new Uint8Array(32).fill(5));
      const [ofOurs, ofTheirs] = [await near.get({ name: "a" }), await far.get({ name: "b" })];
      await ofOurs.append(blocks(0, 30));
      await ofTheirs.append(blocks(50, 20));
      await far.connect(await near.listen());
      await assertSame(ofOurs, await far.get({ key: ofOurs.key }));
      await assertSame(ofTheirs, await near.get({ key: ofTheirs.key }));
      assert.equal(await (await near.get({ key: ofTheirs.key })).get(0), await ofTheirs.get(0));
    },
    { skip },
  );
}
