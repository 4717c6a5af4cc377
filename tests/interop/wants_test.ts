/** Who wants little of a large log with gaps is told little of it, by ours and by hypercore 11; hypercore 10 is asked as ever. */
import assert from "node:assert/strict";
import { SMALL_WANT_BLOCKS } from "../../core/replication/constants.ts";
import type { PeerMachine } from "../../core/replication/peer_machine.ts";
import { test } from "../harness.ts";
import { type Block, GENERATIONS } from "./driven_logs.ts";
import { LogRig, skip } from "./log_rig.ts";
import type { OurLog } from "./our_log.ts";
import { OurPeer } from "./our_logs.ts";

const LENGTH = 40_000;
const SIZE = 3;
const blocks: readonly Block[] = Array.from({ length: LENGTH }, (_, i) => [SIZE, i]);

const peerOf = (log: OurLog) => log.core.peers[0] as unknown as PeerMachine;
/** Of how many blocks our reader was told. */
const told = (log: OurLog) => peerOf(log).blocks.count(0, LENGTH);

for (const generation of GENERATIONS) {
  test(`wants: hypercore ${generation} tells us of what we want`, async () => {
    await using rig = new LogRig();
    const [theirs, ours] = [rig.theirs(generation), rig.add(new OurPeer())];
    const writer = await theirs.open({ seed: 1 });
    await writer.append(blocks);
    await writer.clear(0, 1);
    const reader = await ours.open({ key: writer.key });
    await theirs.connect(await ours.listen([reader]), [writer]);
    await reader.until({ length: LENGTH });
    assert.deepEqual(await reader.seek(SIZE * 12_345 + 1), [12_345, 1]);
    const afterSeek = told(reader);
    assert.equal(await reader.get(38_000), await writer.get(38_000));
    const { want, bitfield } = peerOf(reader).stats.messages;
    if (generation === 10) {
      assert.deepEqual([want.sent, told(reader)], [2, LENGTH - 1]);
      return;
    }
    assert.ok(afterSeek <= 10, `${afterSeek}`);
    assert.ok(told(reader) <= SMALL_WANT_BLOCKS + 10, `${told(reader)}`);
    assert.equal(bitfield.received, 1);

    await writer.truncate(36_000);
    await writer.append(blocks.slice(0, 10));
    await reader.until({ length: 36_010, fork: 1 });
    assert.equal(bitfield.received, 1);
    await reader.download({ start: 35_000, end: 36_010 });
    assert.equal(await reader.get(36_005), await writer.get(36_005));
  }, { skip });

  for (const isSmall of generation === 11 ? [false, true] : [false]) {
    const what = isSmall ? "small regions" : "whole ones";
    test(`wants: we tell hypercore ${generation} of what it wants, of ${what}`, async () => {
      await using rig = new LogRig();
      const [theirs, ours] = [rig.theirs(generation), rig.add(new OurPeer())];
      if (isSmall) await theirs.ask("enable_small_wants");
      const writer = await ours.open({ seed: 1 });
      await writer.append(blocks);
      await writer.clear(0, 1);
      const reader = await theirs.open({ key: writer.key });
      await theirs.connect(await ours.listen([writer]), [reader]);
      await reader.until({ length: LENGTH });
      assert.deepEqual(await reader.seek(SIZE * 12_345 + 1), [12_345, 1]);
      assert.equal(await reader.get(38_000), await writer.get(38_000));
      const { told } = await reader.ask("told");
      if (isSmall) assert.ok(told <= SMALL_WANT_BLOCKS + 10, `${told}`);
      else assert.equal(told, LENGTH - 1);
      assert.equal(peerOf(writer).stats.messages.bitfield.sent, 1);

      await writer.truncate(36_000);
      await writer.append(blocks.slice(0, 10));
      if (generation === 10) return;
      await reader.until({ length: 36_010, fork: 1 });
      await reader.download({ start: 35_000, end: 36_010 });
      assert.equal(await reader.get(36_005), await writer.get(36_005));
    }, { skip });
  }
}
