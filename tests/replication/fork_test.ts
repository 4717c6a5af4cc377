/** Logs that their writers have rewritten. */
import assert from "node:assert/strict";
import { treeHash } from "../../core/crypto/hash.ts";
import { test } from "../harness.ts";
import { blocksOf, type Node, World } from "./rig.ts";

const hashOf = ({ log }: Node) => treeHash(log.runtime.crypto, log.tree.roots);

for (const isSlow of [false, true]) {
  test(`fork: readers follow a writer that cut its log and went on (${isSlow ? "slow" : "fast"})`, async () => {
    const world = new World();
    const writer = world.writer({}, { isSlow });
    writer.log.append(blocksOf(300));
    const readers = [1, 2, 3].map(() => world.reader(writer, {}, { isSlow }));
    for (const reader of readers) world.connect(writer, reader);
    world.connect(readers[0]!, readers[1]!);
    const ranges = readers.map(({ replicator }) => replicator.requestRange({ start: 0 }));
    await world.run(3000);
    for (const cut of [290, 129, 64, 1]) {
      await writer.log.truncate(cut);
      writer.log.append(blocksOf(40, 1000 + cut));
      await world.run(5000);
      for (const reader of readers) {
        assert.equal(reader.log.tree.fork, writer.log.tree.fork);
        assert.equal(reader.log.contiguousLength, cut + 40);
        assert.deepEqual(hashOf(reader), hashOf(writer));
        assert.deepEqual(reader.log.blocks.get(cut + 5), blocksOf(1, 1005 + cut)[0]);
        assert.deepEqual(reader.events.filter((event) => event !== "add"), []);
      }
    }
    for (const range of ranges) range.destroy();
  });
}

test("fork: a reader that knows nothing yet takes the newest fork", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(30));
  await writer.log.truncate(10);
  writer.log.append(blocksOf(5));
  const reader = world.reader(writer);
  world.connect(writer, reader);
  assert.equal(await world.until(reader.replicator.requestUpgrade()), true);
  assert.deepEqual([reader.log.tree.fork, reader.log.tree.length], [1, 15]);
  assert.equal(await world.until(reader.replicator.requestUpgrade()), false);
});

test("fork: a reader may refuse to follow", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(30));
  const reader = world.reader(writer, { allowFork: false });
  world.connect(writer, reader);
  await world.until(reader.replicator.requestUpgrade());
  await writer.log.truncate(10);
  assert.equal(await world.until(reader.replicator.requestUpgrade()), false);
  assert.deepEqual([reader.log.tree.fork, reader.log.tree.length], [0, 30]);
});

test("fork: blocks that are waited for behind the cut come from the new log", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(30));
  const reader = world.reader(writer);
  world.connect(writer, reader, { latencyMs: 50 });
  await world.until(reader.replicator.requestUpgrade());
  const block = reader.replicator.requestBlock(20);
  await writer.log.truncate(10);
  writer.log.append(blocksOf(30, 500));
  assert.deepEqual(await world.until(block), blocksOf(1, 510)[0]);
});

for (const isWriterLeaving of [false, true]) {
  const title = isWriterLeaving
    ? "whose longer ones leave are followed as far as the others go"
    : "are compared";
  test(`fork: logs of which some have less ${title}`, async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const world = new World(seed);
      const writer = world.writer();
      writer.log.append(blocksOf(100));
      const [reader, shorter] = [world.reader(writer), world.reader(writer)] as const;
      const links = [reader, shorter].map((node) => world.connect(writer, node));
      const range = reader.replicator.requestRange({ start: 0, end: 100 });
      await world.until(range.done());
      links[0]!.cut();
      await writer.log.truncate(3);
      await world.run();
      links[1]!.cut();
      writer.log.append(blocksOf(97, 500));
      await world.run();
      assert.deepEqual([shorter.log.tree.fork, shorter.log.tree.length], [1, 3]);

      const link = world.connect(writer, reader, { latencyMs: 50 });
      await world.run(150); // the writer is being asked for its roots, and shows them after 200
      world.connect(shorter, reader, { latencyMs: 5 });
      await world.run(100);
      if (isWriterLeaving) link.cut();
      await world.run(5000);
      for (const { events } of [writer, shorter, reader]) {
        assert.deepEqual(events.filter((event) => event.startsWith("invalid")), [], `seed ${seed}`);
      }
      assert.equal(reader.log.tree.fork, 1, `seed ${seed}`);
      if (!isWriterLeaving) assert.deepEqual(hashOf(reader), hashOf(writer), `seed ${seed}`);
    }
  });
}
