/** Blocks that come unasked, and messages of applications. */
import assert from "node:assert/strict";
import type { LogRequest } from "../../core/log/mod.ts";
import type { PeerMachine } from "../../core/replication/peer_machine.ts";
import { string } from "../../encoding/strings.ts";
import { test } from "../harness.ts";
import { blocksOf, World } from "./rig.ts";
import { Stranger } from "./stranger.ts";

test("push: a block that nobody asked for comes with its proof, to those who take it", async () => {
  const world = new World();
  const writer = world.writer();
  const [taker, other] = [world.reader(writer, { allowPush: true }), world.reader(writer)];
  for (const reader of [taker, other]) world.connect(writer, reader);
  await world.run();
  for (let i = 0; i < 12; i++) {
    writer.log.append(blocksOf(1, i));
    await Promise.all([writer.replicator.push(i), world.run(5)]);
  }
  await world.run();
  assert.equal(taker.log.blocks.size, 12);
  assert.equal(other.log.blocks.size, 0);
  assert.equal(other.log.tree.length, 12);
  assert.deepEqual(taker.events, ["add"]);
});

test("push: blocks that are pushed at once come in an order in which they can be verified", async () => {
  const world = new World();
  const writer = world.writer({}, { isSlow: true });
  const taker = world.reader(writer, { allowPush: true });
  world.connect(writer, taker, { latencyMs: 20 });
  await world.run();
  writer.log.append(blocksOf(8));
  await Promise.all([world.run(), ...[3, 1, 7, 0].map((index) => writer.replicator.push(index))]);
  assert.deepEqual([...taker.log.blocks.keys()].toSorted(), [0, 1, 3, 7]);
  assert.deepEqual(taker.events, ["add"]);
});

test("push: a block never comes with an upgrade from 0, which hypercore 11 would take for a conflict", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(8));
  const pushTo = async (label: string, hasAsked: boolean) => {
    const stranger = new Stranger(world, writer, undefined, label);
    stranger.sync({ allowPush: true });
    if (hasAsked) {
      const asked = { id: 1, fork: 0, manifest: false, priority: 0, upgrade: { start: 0, length: 8 } };
      stranger.say("request", asked);
    }
    await world.run(5);
    await writer.replicator.push(3);
    await world.run();
    return stranger.all("data").map(({ request, block, upgrade }) =>
      [request, block?.index, block?.nodes.length, upgrade?.length] as const
    );
  };
  assert.deepEqual(await pushTo("has asked", true), [[1, undefined, undefined, 8], [0, 3, 3, undefined]]);
  assert.deepEqual(await pushTo("has not", false), [[0, undefined, undefined, 8], [0, 3, 3, undefined]]);
});

test("push: an answer that counts on a push that was lost is asked for again", async () => {
  for (const allowPush of [true, false]) {
    const world = new World();
    const writer = world.writer();
    writer.log.append(blocksOf(10));
    const reader = world.reader(writer, { allowPush });
    const stranger = new Stranger(world, reader);
    let answers = 0;
    const answer = async ({ id, upgrade }: LogRequest) => {
      const asked = answers++ === 0 ? { start: 6, length: 4 } : upgrade;
      const { manifest } = writer.log.verifier!;
      stranger.say("data", { request: id, ...(await writer.log.prove({ upgrade: asked }))!, manifest });
    };
    stranger.onHeard = ({ kind, message }) => void (kind === "request" && answer(message));
    stranger.sync({ length: 10 });
    await world.run();
    assert.equal(reader.log.tree.length, allowPush ? 10 : 0);
    assert.equal(reader.replicator.peers[0]!.isPaused, !allowPush);
  }
});

test("push: who takes none ignores what comes unasked", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(8));
  const reader = world.reader(writer);
  world.connect(writer, reader);
  await world.until(reader.replicator.requestUpgrade());
  const proof = await writer.log.prove({ block: { index: 3, nodes: 3 } });
  const peer = writer.replicator.peers[0] as PeerMachine;
  for (const request of [0, 77]) peer.send("data", { request, ...proof! });
  await world.run();
  assert.equal(reader.log.blocks.size, 0);
  assert.deepEqual(reader.events, ["add"]);
});

test("extension: messages go to one peer or to all, by name", async () => {
  const world = new World();
  const writer = world.writer();
  const readers = [world.reader(writer), world.reader(writer)];
  const heard: string[] = [];
  for (const [i, { replicator }] of readers.entries()) {
    world.connect(writer, readers[i]!);
    for (const name of ["greet", "count"]) {
      replicator.registerExtension(name, {
        encoding: string,
        onmessage: (text) => void heard.push(`${i} ${name} ${text}`),
      });
    }
  }
  const [greet, count] = ["greet", "count"].map((name) =>
    writer.replicator.registerExtension(name, { encoding: string })
  );
  writer.replicator.registerExtension("unknown to others", { encoding: string }).broadcast("?");
  await world.run();
  greet!.broadcast("hello");
  greet!.broadcast("again");
  count!.send("one", writer.replicator.peers[1]!);
  greet!.broadcast("bye");
  await world.run();
  assert.deepEqual(heard.filter((text) => text.startsWith("0")), [
    "0 greet hello",
    "0 greet again",
    "0 greet bye",
  ]);
  assert.deepEqual(heard.filter((text) => text.startsWith("1")), [
    ...["1 greet hello", "1 greet again", "1 count one", "1 greet bye"],
  ]);
});

test("extension: a name is taken once, and given back", () => {
  const { replicator } = new World().writer();
  const one = replicator.registerExtension("a", { encoding: string });
  assert.throws(() => replicator.registerExtension("a", { encoding: string }), TypeError);
  one.destroy();
  replicator.registerExtension("a", { encoding: string });
  assert.throws(() => replicator.registerExtension("", { encoding: string }), RangeError);
});
