/** Replicas of one log give each other what they want. */
import assert from "node:assert/strict";
import { test } from "../harness.ts";
import { blocksOf, World } from "./rig.ts";

for (const isSlow of [false, true]) {
  for (const isCompat of [false, true]) {
    const name = `${isSlow ? "slow" : "fast"}${isCompat ? ", compat" : ""}`;
    test(`replicator: a reader gets a block, and the length with it (${name})`, async () => {
      const world = new World();
      const writer = world.writer({}, { isSlow, isCompat });
      writer.log.append(blocksOf(100));
      const reader = world.reader(writer, {}, { isSlow });
      world.connect(writer, reader);
      const block = await world.until(reader.replicator.requestBlock(42));
      assert.deepEqual(block, blocksOf(1, 42)[0]);
      assert.equal(reader.log.tree.length, 100);
      assert.equal(reader.log.blocks.size, 1);
    });

    test(`replicator: a range is fetched (${name})`, async () => {
      const world = new World();
      const writer = world.writer({}, { isSlow, isCompat });
      writer.log.append(blocksOf(3000));
      const reader = world.reader(writer, {}, { isSlow });
      world.connect(writer, reader);
      assert.equal(await world.until(reader.replicator.requestUpgrade()), true);
      const range = reader.replicator.requestRange({ start: 10, end: 2990 });
      assert.equal(await world.until(range.done()), true);
      assert.equal(reader.log.blocks.size, 2980);
      assert.equal(reader.log.held.count(10, 2990), 2980);
      assert.deepEqual(reader.events, ["add"]);
    });
  }
}
