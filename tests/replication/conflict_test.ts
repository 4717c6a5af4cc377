/** A writer that signs two different logs under one key is found out. */
import assert from "node:assert/strict";
import { verifyFromStart } from "../../core/log/verify_proof.ts";
import type { ConflictProof } from "../../core/replication/conflict.ts";
import { test } from "../harness.ts";
import { blocksOf, type Node, World } from "./rig.ts";

/** Two readers of one key whose writer has told them different things, and what they tell of conflicts. */
async function split(world: World, lengths: readonly [number, number], common = 0) {
  const proofs: ConflictProof[][] = [[], []];
  const writers = lengths.map((length, i) => {
    const writer = world.writer();
    writer.log.append(blocksOf(common));
    writer.log.append(blocksOf(length - common, 0, 10, `${i} `));
    return writer;
  });
  const readers = writers.map((writer, i) =>
    world.reader(writer, { observer: { onConflict: (proof) => void proofs[i]!.push(proof) } })
  );
  for (const [i, reader] of readers.entries()) {
    const link = world.connect(writers[i]!, reader);
    await world.until(reader.replicator.requestUpgrade());
    await world.until(reader.replicator.requestRange({ start: 0, end: lengths[i]! }).done());
    link.cut();
    await world.run();
  }
  return { readers: readers as [Node, Node], proofs };
}

for (const [a, b, common] of [[5, 7, 0], [7, 5, 0], [6, 6, 0], [40, 33, 20], [33, 33, 32]] as const) {
  test(`conflict: ${a} and ${b} blocks of which ${common} are common`, async () => {
    const world = new World();
    const { readers, proofs } = await split(world, [a, b], common);
    const held = readers.map(({ log }) => log.blocks.size);
    world.connect(...readers);
    await world.run(5000);
    for (const [i, { log }] of readers.entries()) {
      assert.equal(log.isFrozen, true, `reader ${i}`);
      assert.equal(proofs[i]!.length, 1, `reader ${i} tells once`);
      assert.equal(log.blocks.size, held[i]);
      const { own, theirs, length } = proofs[i]![0]!;
      assert.equal(length, Math.min(a, b));
      for (const proof of [own, theirs]) verifyFromStart(world.runtime.crypto, log.verifier!, proof);
      assert.equal(readers[i]!.replicator.peers.length, 0);
    }
  });
}

test("conflict: a frozen log is not opened for others, and another log is as before", async () => {
  const world = new World();
  const { readers } = await split(world, [5, 7]);
  world.connect(...readers);
  await world.run();
  const other = world.reader(readers[0]);
  world.connect(readers[0], other);
  assert.equal(await world.until(other.replicator.requestUpgrade()), false);
  const writer = world.writer({}, { keyPair: world.runtime.crypto.keyPair(new Uint8Array(32).fill(9)) });
  writer.log.append(blocksOf(4));
  const reader = world.reader(writer);
  world.connect(writer, reader);
  assert.deepEqual(await world.until(reader.replicator.requestBlock(2)), blocksOf(1, 2)[0]);
});

test("conflict: those who have the same log find none", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(9));
  const readers = [world.reader(writer), world.reader(writer)] as const;
  for (const reader of readers) {
    world.connect(writer, reader);
    await world.until(reader.replicator.requestUpgrade());
  }
  world.connect(...readers);
  await world.run();
  for (const { events, log } of [writer, ...readers]) {
    assert.ok(events.every((event) => event === "add"), events.join());
    assert.equal(log.isFrozen, false);
  }
});

test("conflict: two who become equally long only after they have met are compared all the same", async () => {
  const world = new World();
  const writers = [0, 1].map((i) => {
    const writer = world.writer();
    writer.log.append(blocksOf(6, 0, 10, `${i} `));
    return writer;
  });
  const reader = world.reader(writers[0]!);
  const other = world.reader(writers[1]!);
  const link = world.connect(writers[1]!, other);
  await world.until(other.replicator.requestUpgrade());
  link.cut();
  world.connect(other, reader, { latencyMs: 500 });
  world.connect(writers[0]!, reader);
  await world.run(5000);
  assert.ok(reader.log.isFrozen && other.log.isFrozen);
});
