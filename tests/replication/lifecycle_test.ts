/** Channels open and close as they are needed; peers may be switched off and slowed down. */
import assert from "node:assert/strict";
import { StorageError } from "../../core/runtime/errors.ts";
import { test } from "../harness.ts";
import { bytes } from "../stream/rig.ts";
import { blocksOf, sessionOf, World } from "./rig.ts";

test("lifecycle: two who no longer use the log close its channel after a while, and reopen it when needed", async () => {
  const world = new World();
  const writer = world.writer({ lingerMs: [1000, 1000] });
  writer.log.append(blocksOf(5));
  const reader = world.reader(writer, { lingerMs: [1000, 1000] });
  world.connect(writer, reader);
  await world.run();
  for (const { replicator } of [writer, reader]) replicator.isDownloading = false;
  await world.run(900);
  assert.equal(reader.replicator.peers.length, 1);
  await world.run(200);
  assert.deepEqual([writer, reader].map(({ replicator }) => replicator.peers.length), [0, 0]);
  reader.replicator.isDownloading = true;
  await world.run();
  assert.equal(reader.replicator.peers.length, 1);
  assert.deepEqual(await world.until(reader.replicator.requestBlock(3)), blocksOf(1, 3)[0]);
  assert.deepEqual(reader.events, ["add", "remove", "add"]);
});

test("lifecycle: one who uses the log again while the other closes opens it anew", async () => {
  const world = new World();
  const writer = world.writer({ lingerMs: [0, 0] });
  const reader = world.reader(writer, { lingerMs: [0, 0] });
  world.connect(writer, reader, { latencyMs: 50 });
  await world.run();
  writer.replicator.isDownloading = false;
  reader.replicator.isDownloading = false;
  await world.run(60);
  reader.replicator.isDownloading = true;
  await world.run(2000);
  assert.equal(reader.replicator.peers.length, 1);
});

test("lifecycle: a peer that does not know the key gets no channel, and its connection ends", async () => {
  const world = new World();
  const writer = world.writer();
  const stranger = world.reader(writer);
  const link = world.connect(writer, stranger);
  await world.run();
  assert.equal(stranger.replicator.peers.length, 1);
  link.cut();
  const other = world.connect(writer, stranger);
  await world.run();
  assert.equal(other.muxes[0].isDestroyed, false);
  const { Mux } = await import("../../core/stream/mux.ts");
  const { duplexPair } = await import("../../core/stream/duplex_pair.ts");
  const [near, far] = duplexPair({ framing: "message" }).map((duplex) => new Mux(duplex));
  writer.replicator.attach(near!, sessionOf(true, bytes(64, "one"), stranger.publicKey));
  stranger.replicator.attach(far!, sessionOf(false, bytes(64, "another"), writer.publicKey));
  await world.run();
  assert.equal(near!.isDestroyed && far!.isDestroyed, true);
  assert.equal(writer.replicator.peers.length, 1);
});

test("lifecycle: detaching closes the channel, closing ends everything", async () => {
  const world = new World();
  const writer = world.writer();
  const reader = world.reader(writer);
  const link = world.connect(writer, reader);
  const { muxes: [first] } = world.connect(writer, reader);
  await world.run();
  assert.equal(writer.replicator.peers.length, 2);
  writer.replicator.detach(first);
  await world.run();
  assert.equal(writer.replicator.isAttached(first), false);
  assert.equal(writer.replicator.peers.length, 1);
  const isOver = assert.rejects(reader.replicator.requestBlock(0), /over/);
  const range = reader.replicator.requestRange({});
  await world.until(reader.replicator.close(new Error("over")));
  await isOver;
  assert.equal(await range.done(), false);
  await world.run();
  assert.equal(writer.replicator.isIdle, true);
  assert.equal(link.muxes[0].isIdle, true);
});

test("lifecycle: a peer that is not served gets nothing, and everything when it is again", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(50));
  const reader = world.reader(writer);
  world.connect(writer, reader, { latencyMs: 10 });
  await world.until(reader.replicator.requestUpgrade());
  const range = reader.replicator.requestRange({ start: 0, end: 50 });
  await world.run(15);
  writer.replicator.peers[0]!.isUploading = false;
  await world.run();
  assert.ok(reader.log.blocks.size < 50);
  writer.replicator.peers[0]!.isUploading = true;
  assert.equal(await world.until(range.done()), true);
});

test("lifecycle: a peer that is not to be asked is not asked", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(50));
  const reader = world.reader(writer);
  world.connect(writer, reader, { latencyMs: 100 });
  await world.run(210);
  reader.replicator.peers[0]!.isDownloading = false;
  await world.run();
  assert.equal(await world.until(reader.replicator.requestUpgrade()), reader.log.tree.length === 0);
  const range = reader.replicator.requestRange({ start: 0, end: 50 });
  await world.run();
  assert.equal(reader.log.blocks.size, 0);
  reader.replicator.peers[0]!.isDownloading = true;
  assert.equal(await world.until(range.done()), true);
});

for (const side of ["maxUploadBytesPerSecond", "maxDownloadBytesPerSecond"] as const) {
  test(`lifecycle: ${side} is kept`, async () => {
    const world = new World();
    const writer = world.writer();
    writer.log.append(blocksOf(300, 0, 1000));
    const reader = world.reader(writer);
    world.connect(writer, reader);
    await world.until(reader.replicator.requestUpgrade());
    const peer = (side === "maxUploadBytesPerSecond" ? writer : reader).replicator.peers[0]!;
    peer[side] = 15_000;
    assert.throws(() => peer[side] = 0, RangeError);
    const before = world.runtime.clock.now();
    const range = reader.replicator.requestRange({ start: 0, end: 300 });
    await world.until(range.done(), 100_000);
    const seconds = (world.runtime.clock.now() - before) / 1000;
    assert.ok(seconds > 15 && seconds < 30, `300 kB at 15 kB/s took ${seconds} s`);
  });
}

test("lifecycle: a disk that fails is asked no more, and those who wait hear of it", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(50));
  const reader = world.reader(writer);
  world.connect(writer, reader);
  await world.until(reader.replicator.requestUpgrade());
  reader.log.isDiskBroken = true;
  await assert.rejects(world.until(reader.replicator.requestBlock(3)), StorageError);
  const sent = reader.replicator.peers[0]!.stats.messages.request.sent;
  const block = reader.replicator.requestBlock(4);
  await world.run();
  assert.equal(reader.replicator.peers[0]!.stats.messages.request.sent, sent);
  reader.log.isDiskBroken = false;
  reader.replicator.isDownloading = false;
  reader.replicator.isDownloading = true;
  await world.until(block);
});

test("lifecycle: a slow peer is helped out by another", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(40));
  const [other, reader] = [world.reader(writer), world.reader(writer)];
  world.connect(writer, other);
  await world.until(other.replicator.requestUpgrade());
  await world.until(other.replicator.requestRange({ start: 0, end: 40 }).done());
  world.connect(writer, reader, { latencyMs: 30_000 });
  await world.run(120_000);
  await world.until(reader.replicator.requestUpgrade());
  const range = reader.replicator.requestRange({ start: 0, end: 40 });
  await world.run(100);
  world.connect(other, reader, { latencyMs: 10 });
  assert.equal(await world.until(range.done(), 5000), true);
  assert.ok(reader.replicator.peers.some(({ stats }) => stats.hotswaps > 0));
});

test("lifecycle: peers tell when their state is known, and how far they are", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(30));
  let told = 0;
  const reader = world.reader(writer, { observer: { onPeerState: () => void told++ } });
  world.connect(writer, reader, { latencyMs: 10 });
  assert.equal(told, 0);
  await world.until(reader.replicator.requestUpgrade());
  await world.until(reader.replicator.requestRange({ start: 0, end: 10 }).done());
  await world.run();
  assert.ok(told > 0);
  const [ours, theirs] = [reader, writer].map(({ replicator }) => replicator.syncState());
  assert.deepEqual([ours!.have, ours!.want, ours!.total], [10, 20, 30]);
  const [peer] = ours!.peers;
  assert.deepEqual([peer!.isKnown, peer!.have, peer!.want, peer!.total], [true, 30, 0, 30]);
  assert.deepEqual([theirs!.have, theirs!.want, theirs!.total], [30, 0, 30]);
  assert.equal(theirs!.peers[0]!.total, 30);
});
