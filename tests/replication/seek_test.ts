/** Bytes are found in logs of which only some nodes are here. */
import assert from "node:assert/strict";
import { test } from "../harness.ts";
import { blocksOf, World } from "./rig.ts";

for (const isSlow of [false, true]) {
  test(`seek: any byte of a log is found, without its blocks (${isSlow ? "slow" : "fast"})`, async () => {
    const world = new World();
    const writer = world.writer({}, { isSlow });
    writer.log.append(Array.from({ length: 200 }, (_, i) => blocksOf(1, i, 1 + i % 13)[0]!));
    const offsets: number[] = [0];
    for (let i = 0; i < 200; i++) offsets.push(offsets[i]! + 1 + i % 13);
    for (const index of [0, 1, 77, 150, 199]) {
      const reader = world.reader(writer, {}, { isSlow });
      world.connect(writer, reader);
      const bytes = offsets[index + 1]! - 1;
      const found = await world.until(reader.replicator.requestSeek(bytes, 0));
      assert.deepEqual(found, { block: index, offset: index % 13 });
      assert.equal(reader.log.blocks.size, 0);
      await reader.replicator.close();
    }
  });
}

test("seek: the end of the log is behind its last block", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(20));
  const reader = world.reader(writer);
  world.connect(writer, reader);
  await world.until(reader.replicator.requestUpgrade());
  assert.deepEqual(await world.until(reader.replicator.requestSeek(200, 0)), { block: 20, offset: 0 });
});

test("seek: a byte behind the end is found when it is written", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(20));
  const reader = world.reader(writer);
  world.connect(writer, reader);
  const found = reader.replicator.requestSeek(333, 0);
  await world.run();
  writer.log.append(blocksOf(20, 20));
  assert.deepEqual(await world.until(found), { block: 33, offset: 3 });
});

test("seek: padding of blocks does not count", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(64));
  const reader = world.reader(writer);
  world.connect(writer, reader);
  assert.deepEqual(await world.until(reader.replicator.requestSeek(81, 8)), { block: 40, offset: 1 });
});

test("seek: one that is given up rejects with the reason", async () => {
  const world = new World();
  const reader = world.reader(world.writer());
  const abort = new AbortController();
  const found = reader.replicator.requestSeek(10, 0, { signal: abort.signal });
  abort.abort(new Error("enough"));
  await assert.rejects(found, /enough/);
});
