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

test("replicator: a live range follows the writer, newest block along with its length", async () => {
  const world = new World();
  const writer = world.writer();
  const reader = world.reader(writer);
  world.connect(writer, reader);
  reader.replicator.requestRange({ start: 0 });
  for (let i = 0; i < 20; i++) {
    writer.log.append(blocksOf(1, i));
    await world.run(10);
    assert.equal(reader.log.contiguousLength, i + 1);
  }
  const { request } = reader.replicator.peers[0]!.stats.messages;
  assert.equal(request.sent, 20);
});

test("replicator: a linear range comes in its order", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(500));
  const order: number[] = [];
  const observer = { onDownload: (index: number) => void order.push(index) };
  const reader = world.reader(writer, { observer });
  world.connect(writer, reader);
  await world.until(reader.replicator.requestUpgrade());
  await world.until(reader.replicator.requestRange({ start: 5, end: 400, linear: true }).done());
  assert.deepEqual(order, Array.from({ length: 395 }, (_, i) => 5 + i));
});

test("replicator: a range of listed blocks brings these and no others", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(500));
  const reader = world.reader(writer);
  world.connect(writer, reader);
  await world.until(reader.replicator.requestUpgrade());
  const blocks = [400, 3, 77, 3, 499];
  assert.equal(await world.until(reader.replicator.requestRange({ blocks }).done()), true);
  assert.deepEqual([...reader.log.blocks.keys()].toSorted((a, b) => a - b), [3, 77, 400, 499]);
});

test("replicator: a range that was given up says so, and no more is asked for", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(500));
  const reader = world.reader(writer);
  const range = reader.replicator.requestRange({ start: 0, end: 500 });
  range.destroy();
  assert.equal(await range.done(), false);
  world.connect(writer, reader);
  await world.run();
  assert.equal(reader.log.blocks.size, 0);
});

test("replicator: many readers with one writer behind each other all have everything", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(400));
  const chain = [writer];
  for (let i = 0; i < 4; i++) {
    const reader = world.reader(writer);
    world.connect(chain.at(-1)!, reader, { latencyMs: 5 });
    reader.replicator.requestRange({ start: 0 });
    chain.push(reader);
  }
  await world.run(5000);
  for (const { log } of chain) assert.equal(log.contiguousLength, 400);
  writer.log.append(blocksOf(10, 400));
  await world.run(2000);
  for (const { log, events } of chain) {
    assert.equal(log.contiguousLength, 410);
    assert.ok(events.every((event) => event === "add"), events.join());
  }
});

test("replicator: what two peers have in part comes from both", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(1000));
  const [left, right, reader] = [1, 2, 3].map(() => world.reader(writer));
  const links = [left, right].map((one) => world.connect(writer, one!));
  await world.run();
  const halves = [[0, 500], [500, 1000]].map(([start, end], i) =>
    [left, right][i]!.replicator.requestRange({ start: start!, end: end! }).done()
  );
  await world.until(Promise.all(halves));
  for (const link of links) link.cut();
  for (const one of [left, right]) world.connect(one!, reader!);
  await world.until(reader!.replicator.requestUpgrade());
  await world.until(reader!.replicator.requestRange({ start: 0, end: 1000 }).done());
  const counts = reader!.replicator.peers.map(({ stats }) => stats.downloadedBlocks);
  assert.deepEqual(counts, [500, 500]);
});

test("replicator: a request that is given up is cancelled, and its block does not come", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(10));
  const reader = world.reader(writer);
  world.connect(writer, reader, { latencyMs: 100 });
  await world.until(reader.replicator.requestUpgrade());
  const abort = new AbortController();
  const promise = reader.replicator.requestBlock(3, { signal: abort.signal });
  await world.run(50);
  abort.abort(new Error("enough"));
  await assert.rejects(promise, /enough/);
  await world.run();
  assert.equal(reader.log.blocks.size, 0);
  assert.equal(reader.replicator.peers[0]!.stats.messages.cancel.sent, 1);
});

test("replicator: a block that nobody has yet comes when it is written", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(3));
  const reader = world.reader(writer);
  world.connect(writer, reader);
  const block = reader.replicator.requestBlock(5);
  await world.run();
  assert.equal(reader.log.tree.length, 3);
  writer.log.append(blocksOf(3, 3));
  assert.deepEqual(await world.until(block), blocksOf(1, 5)[0]);
});

test("replicator: a block that is written here is what waits for it here", async () => {
  const world = new World();
  const writer = world.writer();
  const block = writer.replicator.requestBlock(1);
  writer.log.append(blocksOf(2));
  assert.deepEqual(await world.until(block), blocksOf(1, 1)[0]);
});

test("replicator: what is asked from a peer that goes away is asked from another", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(2000));
  const [other, reader] = [world.reader(writer), world.reader(writer)];
  world.connect(writer, other);
  await world.until(other.replicator.requestUpgrade());
  await world.until(other.replicator.requestRange({ start: 0, end: 2000 }).done());
  const link = world.connect(writer, reader, { latencyMs: 20 });
  world.connect(other, reader, { latencyMs: 20 });
  await world.until(reader.replicator.requestUpgrade());
  const range = reader.replicator.requestRange({ start: 0, end: 2000 });
  await world.run(50);
  link.cut();
  assert.equal(await world.until(range.done()), true);
});

test("replicator: a peer that says it has a block and does not give it is not asked without end", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(100));
  const reader = world.reader(writer);
  world.connect(writer, reader);
  await world.until(reader.replicator.requestUpgrade());
  writer.log.blocks.delete(7);
  const abort = new AbortController();
  const block = reader.replicator.requestBlock(7, { signal: abort.signal });
  await world.run(5000);
  const [peer] = reader.replicator.peers;
  assert.equal(peer!.has(7), false);
  assert.ok(peer!.stats.messages.request.sent < 5);
  abort.abort(new Error("gone"));
  await assert.rejects(block, /gone/);
});

test("replicator: blocks that were cleared are announced, and fetched again when wanted", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(100));
  const reader = world.reader(writer);
  world.connect(writer, reader);
  await world.until(reader.replicator.requestUpgrade());
  await world.until(reader.replicator.requestRange({ start: 0, end: 100 }).done());
  writer.log.clear(10, 20);
  await world.run();
  assert.equal(reader.replicator.peers[0]!.has(15), false);
  assert.equal(reader.replicator.peers[0]!.has(20), true);
  reader.log.clear(50, 60);
  await world.until(reader.replicator.requestRange({ start: 0, end: 100 }).done());
  assert.equal(reader.log.contiguousLength, 100);
});

test("replicator: whose roots were cleared here is not asked for what it cannot prove, and can be again", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(10));
  const [reader, shorter] = [world.reader(writer), world.reader(writer)] as const;
  const link = world.connect(writer, shorter);
  assert.equal(await world.until(shorter.replicator.requestRange({ start: 0, end: 10 }).done()), true);
  link.cut();
  shorter.replicator.isDownloading = false;
  await world.run(60_000);
  writer.log.append(blocksOf(90, 10));
  const toWriter = world.connect(writer, reader);
  assert.equal(await world.until(reader.replicator.requestRange({ start: 0, end: 100 }).done()), true);
  toWriter.cut();

  world.connect(shorter, reader);
  await world.run();
  reader.log.clear(0, 40); // with them go the roots of the first 10
  const block = reader.replicator.requestBlock(3);
  await world.run();
  assert.deepEqual(shorter.events.filter((event) => event.startsWith("invalid")), []);
  assert.equal(reader.log.held.get(3), false);
  // The writer brings them back, so that both can help.
  const again = world.connect(writer, reader);
  assert.deepEqual(await world.until(block), blocksOf(1, 3)[0]);
  await world.until(reader.replicator.requestRange({ start: 4, end: 10 }).done());
  again.cut();
  reader.log.clear(5, 6);
  assert.deepEqual(await world.until(reader.replicator.requestBlock(5)), blocksOf(1, 5)[0]);
});

test("replicator: a peer is not blamed for an answer that counts on what was cleared meanwhile", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(64));
  const reader = world.reader(writer);
  world.connect(writer, reader, { latencyMs: 100 });
  assert.equal(await world.until(reader.replicator.requestBlock(0).then(() => true)), true);
  const block = reader.replicator.requestBlock(1);
  await world.run(150); // only its parent was lacking
  reader.log.clear(0, 1);
  assert.deepEqual(await world.until(block), blocksOf(1, 1)[0]);
  assert.deepEqual(reader.events, ["add"]);
});

test("replicator: what is no number of a block is refused at once", async () => {
  const { replicator } = new World().writer();
  for (const odd of [-1, 0.5, NaN, 2 ** 52, Infinity, undefined as unknown as number]) {
    await assert.rejects(replicator.requestBlock(odd), RangeError, `${odd}`);
    await assert.rejects(replicator.requestSeek(odd, 0), RangeError);
    assert.throws(() => replicator.requestRange({ blocks: [1, odd] }), RangeError);
    if (odd !== undefined) assert.throws(() => replicator.requestRange({ start: odd }), RangeError);
  }
  assert.throws(() => replicator.requestRange({ end: -1 }), RangeError);
});
