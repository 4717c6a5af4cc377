/** Whether there is news: true when there was, false when everybody has said that there is none. */
import assert from "node:assert/strict";
import { ANSWER_WAIT_MS, NEWS_WAIT_MS } from "../../core/replication/constants.ts";
import { duplexPair } from "../../core/stream/duplex_pair.ts";
import { Mux } from "../../core/stream/mux.ts";
import { test } from "../harness.ts";
import { blocksOf, type Node, sessionOf, World } from "./rig.ts";
import { Stranger } from "./stranger.ts";

/** Whether `promise` has settled when nothing is due within a second. */
async function isPending(world: World, promise: Promise<unknown>): Promise<boolean> {
  let isOver = false;
  void promise.then(() => isOver = true, () => isOver = true);
  await world.run();
  return !isOver;
}

test("update: without peers there is no news", async () => {
  const world = new World();
  const writer = world.writer();
  assert.equal(await world.until(writer.replicator.requestUpgrade()), false);
});

test("update: while peers are being found it waits, and no longer", async () => {
  const world = new World();
  const reader = world.reader(world.writer());
  const done = reader.replicator.addFindingPeers();
  const update = reader.replicator.requestUpgrade();
  assert.equal(await isPending(world, update), true);
  done();
  done();
  assert.equal(await world.until(update), false);
});

test("update: a connection whose other end does not know the log yet is waited for", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(3));
  const reader = world.reader(writer);
  world.connect(writer, reader, { latencyMs: 500 });
  assert.equal(await world.until(reader.replicator.requestUpgrade()), true);
  assert.equal(await world.until(reader.replicator.requestUpgrade()), false);
});

for (
  const [what, say] of [
    ["opens a channel and says nothing", () => {}],
    ["has more and does not acknowledge", (one: Stranger) => one.sync({ length: 10, remoteLength: 3 })],
    ["does not open its channel", undefined],
  ] as const
) {
  test(`update: a peer that ${what} is waited for 5 seconds`, async () => {
    const world = new World();
    const reader = world.reader(world.writer());
    if (say === undefined) {
      const mux = new Mux(duplexPair({ framing: "message" })[0]);
      reader.replicator.attach(mux, sessionOf(true, new Uint8Array(64), new Uint8Array(32)));
    } else {
      const stranger = new Stranger(world, reader);
      await world.run(0);
      say(stranger);
    }
    const { clock } = world.runtime;
    const begin = clock.now();
    const other = world.reader(reader); // one that has no news and says so
    world.connect(reader, other);
    assert.equal(await world.until(reader.replicator.requestUpgrade()), false);
    assert.equal(clock.now() - begin, NEWS_WAIT_MS);
    assert.equal(await world.until(reader.replicator.requestUpgrade()), false);
    assert.equal(clock.now() - begin, NEWS_WAIT_MS);
    // Whoever is late is heard all the same.
    const writer = world.writer();
    writer.log.append(blocksOf(3));
    world.connect(writer, reader, { latencyMs: NEWS_WAIT_MS / 4 });
    assert.equal(await world.until(reader.replicator.requestUpgrade()), true);
    await reader.replicator.close();
  });
}

for (
  const [what, liars] of [
    ["does not prove it", [{ length: 10, remoteLength: 3 }]],
    ["does not prove it, and another one neither", [{ length: 10, remoteLength: 3 }, {
      length: 20,
      remoteLength: 3,
    }]],
    ["does not prove it, with another fork", [{ length: 10, fork: 7 }]],
  ] as const
) {
  test(`update: a peer that has more and ${what} is waited for 30 seconds`, async () => {
    const world = new World();
    const writer = world.writer();
    writer.log.append(blocksOf(3));
    const reader = world.reader(writer);
    world.connect(writer, reader);
    assert.equal(await world.until(reader.replicator.requestUpgrade()), true);
    const strangers = liars.map((_, i) => new Stranger(world, reader, 65536, `liar ${i}`));
    await world.run(0);
    strangers.forEach((one, i) => one.sync(liars[i]!));
    const { clock } = world.runtime;
    const begin = clock.now();
    assert.equal(await world.until(reader.replicator.requestUpgrade()), false);
    const waited = clock.now() - begin;
    assert.ok(waited >= ANSWER_WAIT_MS && waited <= 1.2 * ANSWER_WAIT_MS, `${waited} ms`);
    assert.equal(await world.until(reader.replicator.requestUpgrade()), false);
    assert.equal(clock.now() - begin, waited, "it is not waited for again");
    assert.ok(strangers.every((one) => one.all("request").length < 20));
    // Who does have more is heard.
    writer.log.append(blocksOf(2));
    await world.until(reader.replicator.requestUpgrade());
    await world.run(1000);
    assert.equal(reader.log.tree.length, 5);
    await reader.replicator.close();
  });
}

test("update: a peer that says how it stands after that is asked all the same", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(3));
  const reader = world.reader(writer);
  world.connect(writer, reader, { latencyMs: 1.5 * NEWS_WAIT_MS });
  assert.equal(await world.until(reader.replicator.requestUpgrade()), false);
  await world.run(6 * NEWS_WAIT_MS);
  assert.equal(reader.log.tree.length, 3);
});

test("update: the news of the last of many peers counts", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(3));
  const reader = world.reader(writer);
  const others: Node[] = [];
  for (let i = 0; i < 10; i++) {
    const other = world.reader(writer);
    others.push(other);
    world.connect(other, reader);
  }
  world.connect(writer, reader, { latencyMs: 300 });
  assert.equal(await world.until(reader.replicator.requestUpgrade()), true);
  assert.equal(reader.log.tree.length, 3);
});

test("update: a peer that has more and cannot prove it is not waited for", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(10));
  const [other, reader] = [world.reader(writer), world.reader(writer)];
  const link = world.connect(writer, other);
  await world.until(other.replicator.requestUpgrade());
  link.cut();
  for (const index of [...other.log.stored.keys()]) if (index !== 7) other.log.stored.delete(index);
  world.connect(other, reader);
  assert.equal(await world.until(reader.replicator.requestUpgrade()), false);
});

test("update: one that is given up rejects with the reason", async () => {
  const world = new World();
  const reader = world.reader(world.writer());
  reader.replicator.addFindingPeers();
  const abort = new AbortController();
  const update = reader.replicator.requestUpgrade({ signal: abort.signal });
  abort.abort(new Error("enough"));
  await assert.rejects(update, /enough/);
});

test("update: a log that is not in use is asked about only when someone wants to know", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(3));
  const reader = world.reader(writer, { lingerMs: [0, 0] });
  reader.replicator.isDownloading = false;
  world.connect(writer, reader);
  await world.run();
  assert.equal(reader.log.tree.length, 0);
  assert.equal(await world.until(reader.replicator.requestUpgrade()), true);
  assert.equal(reader.log.tree.length, 3);
});

test("update: the manifest comes even for a log that is empty", async () => {
  const world = new World();
  const writer = world.writer();
  const reader = world.reader(writer);
  world.connect(writer, reader);
  await world.run();
  assert.ok(reader.log.verifier);
});

test("update: a slow peer whose proof comes when another has shown less is not blamed", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(15));
  const [reader, other] = [world.reader(writer), world.reader(writer)] as const;
  const link = world.connect(writer, other);
  await world.until(other.replicator.requestUpgrade());
  link.cut();
  writer.log.append(blocksOf(6, 15));
  world.connect(writer, reader, { latencyMs: 2000 });
  await world.run(4500);
  world.connect(other, reader, { latencyMs: 10 });
  await world.run(20_000);
  assert.deepEqual(reader.events, ["add", "add"]);
  assert.equal(reader.log.tree.length, 21);
});
