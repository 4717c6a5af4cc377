/** What a peer can do, it can do to itself only: all that it makes others keep has a limit. */
import assert from "node:assert/strict";
import {
  INVALID_REQUEST,
  MAX_INVALID_REQUESTS,
  MAX_LOCAL_ANY_WANTS,
  MAX_LOCAL_SMALL_WANTS,
  MAX_LOCAL_WANTS,
  MAX_QUEUED_REQUESTS,
  MAX_REMOTE_ANY_WANTS,
  MAX_REMOTE_ENTRIES,
  MAX_REMOTE_WANTS,
  NOT_AVAILABLE,
  SMALL_WANT_BLOCKS,
  WANT_BLOCKS,
} from "../../core/replication/constants.ts";
import { RemoteBitfield } from "../../core/replication/remote_bitfield.ts";
import { LocalWants, RemoteWants } from "../../core/replication/wants.ts";
import type { PeerMachine } from "../../core/replication/peer_machine.ts";
import type { LogRequest } from "../../core/log/proof_messages.ts";
import { test } from "../harness.ts";
import { blocksOf, type Node, World } from "./rig.ts";
import { Stranger } from "./stranger.ts";

const MAX_LENGTH = 2 ** 52 - 1;

/** A writer with blocks, and a stranger at its door. */
async function meet(blocks = 20, size = 10, maxBufferedBytes = 65536): Promise<[World, Node, Stranger]> {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(blocks, 0, size));
  const stranger = new Stranger(world, writer, maxBufferedBytes);
  await world.run();
  return [world, writer, stranger];
}

function requestOf(id: number, index: number, more: Partial<LogRequest> = {}): LogRequest {
  return { id, fork: 0, manifest: false, priority: 0, block: { index, nodes: 0 }, ...more };
}

const machineOf = ({ replicator }: Node) => replicator.peers[0] as PeerMachine;

test("hostile: a peer that asks and does not read is dropped when too many of its requests wait", async () => {
  const [world, writer, stranger] = await meet(20, 100_000);
  stranger.mux.pause();
  stranger.channel.cork();
  for (let id = 1; id <= MAX_QUEUED_REQUESTS; id++) stranger.say("request", requestOf(id, id % 20));
  stranger.channel.uncork();
  await world.run();
  assert.equal(stranger.theirMux.isDestroyed, false);
  const { uploadedBytes } = machineOf(writer).stats;
  assert.ok(uploadedBytes < 2_000_000, `${uploadedBytes} bytes went to one who does not read`);
  for (let id = 2000; id < 2010; id++) stranger.say("request", requestOf(id, id % 20));
  await world.run();
  assert.equal(stranger.theirMux.isDestroyed, true);
  assert.equal(writer.replicator.peers.length, 0);
});

test("hostile: the same id again and again, and cancels of what never was, fill nothing", async () => {
  const [world, , stranger] = await meet(20, 100_000);
  stranger.mux.pause();
  for (let i = 0; i < 10_000; i++) {
    stranger.say("request", requestOf(1 + i % 7, i % 20, { priority: i % 2 }));
    stranger.say("cancel", i);
  }
  await world.run();
  assert.equal(stranger.theirMux.isDestroyed, false);
  stranger.mux.resume();
  await world.run();
  assert.ok(stranger.all("data").length < 20);
});

test("hostile: requests with a priority go first, cancelled ones not at all", async () => {
  const [world, , stranger] = await meet(20, 300_000, 1000);
  stranger.channel.cork();
  for (let id = 1; id <= 8; id++) {
    stranger.say("request", requestOf(id, id, { priority: id > 6 ? 1 : 0 }));
  }
  stranger.say("cancel", 4);
  stranger.channel.uncork();
  await world.run();
  const order = stranger.all("data").map(({ request }) => request);
  assert.deepEqual(order.toSorted(), [1, 2, 3, 5, 6, 7, 8]);
  assert.ok(order.indexOf(7) < order.indexOf(5) && order.indexOf(8) < order.indexOf(6), order.join());
});

test("hostile: what nobody could answer is refused, and after too often the peer is dropped", async () => {
  const [world, writer, stranger] = await meet();
  const odd: Partial<LogRequest>[] = [
    { block: { index: 20, nodes: 0 } },
    { block: { index: 2 ** 52, nodes: 5 } },
    { block: { index: 3, nodes: 50 } },
    { block: undefined, hash: { index: 2 ** 53 - 1, nodes: 0 } },
    { block: undefined, upgrade: { start: 5, length: 16 } },
    { block: undefined, upgrade: { start: 5, length: 0 } },
    { block: undefined, upgrade: { start: 2 ** 52, length: 2 ** 52 } },
    { block: undefined, seek: { bytes: 2 ** 53 - 1, padding: 2 ** 53 - 1 } },
  ];
  for (const [i, more] of odd.entries()) stranger.say("request", requestOf(i + 1, 0, more));
  await world.run();
  const refusals = stranger.all("noData");
  assert.equal(refusals.length + stranger.all("data").length, odd.length);
  assert.ok(refusals.filter(({ reason }) => reason === INVALID_REQUEST).length >= odd.length - 1);
  assert.equal(stranger.theirMux.isDestroyed, false);
  for (let i = 0; i < MAX_INVALID_REQUESTS; i++) stranger.say("request", requestOf(100 + i, 99));
  await world.run();
  assert.equal(stranger.theirMux.isDestroyed, true);
  assert.ok(
    writer.events.filter((event) => event.startsWith("invalid request")).length >= MAX_INVALID_REQUESTS,
  );
});

test("hostile: a fork, a block and a manifest that are not here are refused, and nothing is counted", async () => {
  const [world, writer, stranger] = await meet();
  writer.log.clear(3, 4);
  stranger.say("request", requestOf(1, 3));
  stranger.say("request", requestOf(2, 4, { fork: 9 }));
  await world.run();
  assert.deepEqual(stranger.all("noData"), [1, 2].map((request) => ({ request, reason: NOT_AVAILABLE })));
  assert.equal(machineOf(writer).stats.invalidRequests, 0);
});

test("hostile: wants are kept in bounded sets, and become everything beyond", () => {
  const wants = new RemoteWants();
  assert.equal(wants.add({ start: 0, length: 2 * WANT_BLOCKS, isAny: false }), false);
  for (let i = 0; i < MAX_REMOTE_WANTS; i++) wants.add({ start: 32 * i, length: 32, isAny: false });
  assert.equal(wants.isAll, false);
  assert.equal(wants.overlaps(0, 1), true);
  assert.equal(wants.overlaps(32 * MAX_REMOTE_WANTS, 32 * MAX_REMOTE_WANTS + 5), false);
  wants.remove({ start: 0, length: 32, isAny: false });
  assert.equal(wants.overlaps(0, 31), false);
  wants.add({ start: 0, length: 32, isAny: false });
  wants.add({ start: 2 ** 30, length: 32, isAny: false });
  assert.equal(wants.isAll, true);
  for (const odd of [{ start: 1, length: 32 }, { start: 0, length: 33 }, { start: 0, length: 16 }]) {
    const fresh = new RemoteWants();
    assert.equal(fresh.add({ ...odd, isAny: false }), true);
    assert.equal(fresh.isAll, true);
  }
  const any = new RemoteWants();
  for (let i = 0; i < 16; i++) any.add({ start: 100 * i, length: 10, isAny: true });
  assert.equal(any.isAll, false);
  assert.deepEqual([any.overlaps(105, 106), any.overlaps(115, 120)], [true, false]);
  any.remove({ start: 100, length: 10, isAny: true });
  assert.equal(any.overlaps(105, 106), false);
  for (let i = 0; i < 2; i++) any.add({ start: 100 * i, length: 10, isAny: true });
  assert.equal(any.isAll, true);
});

test("hostile: this side asks about few regions at a time, the oldest makes room", () => {
  const wants = new LocalWants();
  const ask = (index: number, count = WANT_BLOCKS) => wants.add(index, count, 2 ** 52);
  for (let i = 0; i < MAX_LOCAL_WANTS; i++) assert.deepEqual(ask(i * WANT_BLOCKS)?.unwants, []);
  assert.equal(wants.hasRoom, false);
  assert.equal(ask(5), undefined);
  const oldest = { start: 0, length: WANT_BLOCKS, isAny: false };
  assert.deepEqual(ask(2 ** 50), {
    ...{ unwants: [oldest], forgotten: [oldest] },
    wants: [{ start: 2 ** 50, length: WANT_BLOCKS, isAny: false }],
  });
  assert.equal(wants.has(5), false);
  // Small ones are more, but less than the reference lists; then whole ones take over.
  let small = 0;
  for (let i = 0; i < 2 * MAX_LOCAL_SMALL_WANTS; i++) {
    if (ask(2 ** 40 + i * WANT_BLOCKS, 1)!.wants[0]!.length === SMALL_WANT_BLOCKS) small++;
  }
  assert.equal(small, MAX_LOCAL_SMALL_WANTS);
  const regions = Array.from({ length: 4 * MAX_LOCAL_ANY_WANTS }, (_, i) => 2 ** 45 + i * WANT_BLOCKS);
  const unwants = regions.flatMap((start) => wants.addAny(start, start + 1000, 2 ** 52)!.unwants);
  assert.deepEqual(unwants.map(({ start }) => start), regions.slice(0, 3 * MAX_LOCAL_ANY_WANTS));
  const all = MAX_LOCAL_WANTS + MAX_LOCAL_SMALL_WANTS;
  assert.ok(
    all <= MAX_REMOTE_WANTS && MAX_LOCAL_ANY_WANTS <= MAX_REMOTE_ANY_WANTS,
    "the reference keeps them all",
  );
});

test("hostile: a flood of wants is answered as far as is read, then the peer is dropped", async () => {
  const [world, writer, stranger] = await meet(40_000, 1);
  writer.log.clear(0, 1);
  stranger.mux.pause();
  const flood = (count: number) => {
    stranger.channel.cork();
    for (let i = 0; i < count; i++) stranger.say("want", { start: 0, length: WANT_BLOCKS, isAny: false });
    stranger.channel.uncork();
  };
  flood(500);
  await world.run();
  assert.ok(machineOf(writer).stats.messages.bitfield.sent < 500);
  assert.equal(stranger.theirMux.isDestroyed, false);
  flood(1000);
  await world.run();
  assert.equal(stranger.theirMux.isDestroyed, true);
});

test("hostile: what a peer says that it has takes bounded memory, whatever it says", () => {
  const remote = new RemoteBitfield();
  const patchy = new Uint8Array(4096).fill(0x55);
  for (let i = 0; i < 3 * MAX_REMOTE_ENTRIES; i++) {
    remote.insert(i * 2 * 32768, patchy);
    remote.setRange(2 ** 45 + i * 3 * 32768, 40_000, true);
  }
  assert.ok(remote.entryCount <= MAX_REMOTE_ENTRIES + 4, `${remote.entryCount}`);
  assert.ok(remote.dropped > 0);
  const odd = new RemoteBitfield();
  odd.setRange(0, MAX_LENGTH, true);
  odd.setRange(2 ** 53 - 1, 2 ** 53 - 1, true);
  odd.insert(31, patchy);
  odd.insert(2 ** 53 - 32, patchy);
  assert.equal(odd.contiguousLength, MAX_LENGTH);
  assert.equal(odd.entryCount <= 2, true);
});

test("hostile: a length that no log has ends the connection; the longest there is does no harm", async () => {
  const [world, writer, stranger] = await meet();
  const reader = world.reader(writer);
  const liar = new Stranger(world, reader, 65536, "liar");
  await world.run();
  liar.sync({ length: MAX_LENGTH });
  liar.say("range", { isDrop: false, start: 0, length: MAX_LENGTH });
  reader.replicator.requestRange({});
  const abort = new AbortController();
  const block = reader.replicator.requestBlock(MAX_LENGTH - 1, { signal: abort.signal });
  await world.run();
  assert.ok(liar.all("request").length <= 2);
  world.connect(writer, reader);
  assert.deepEqual(await world.until(reader.replicator.requestBlock(7)), blocksOf(1, 7)[0]);
  abort.abort(new Error("given up"));
  await assert.rejects(block, /given up/);
  stranger.sync({ length: 2 ** 53 - 1 });
  await world.run();
  assert.equal(stranger.theirMux.isDestroyed, true);
});

test("hostile: a peer that claims one fork after the other is asked about the last one only", async () => {
  const [world, writer, stranger] = await meet();
  for (let fork = 1; fork < 2000; fork++) stranger.sync({ fork, length: 5 });
  await world.run();
  const asked = stranger.all("request").filter(({ fork }) => fork > 0);
  assert.ok(asked.length <= 2, `${asked.length} questions`);
  const { remoteFork } = writer.replicator.peers[0]!;
  assert.equal(remoteFork, 1999);
  assert.equal(writer.log.tree.fork, 0);
});

test("hostile: proofs that nobody asked for are looked at a few times", async () => {
  const [world, writer, stranger] = await meet();
  const proof = await writer.log.prove({ upgrade: { start: 0, length: 20 } });
  let verified = 0;
  const { verifier } = writer.log;
  const verify = verifier!.verify.bind(verifier);
  verifier!.verify = (...all) => (verified++, verify(...all));
  for (let i = 0; i < 100; i++) stranger.say("data", { request: 0, ...proof! });
  await world.run();
  assert.ok(verified > 0 && verified < 10, `${verified} signatures`);
});

test("hostile: blocks that are pushed faster than they can be stored are left out", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(2000));
  const taker = world.reader(writer, { allowPush: true }, { isSlow: true });
  world.connect(writer, taker);
  await world.until(taker.replicator.requestUpgrade());
  const stranger = new Stranger(world, taker);
  await world.run();
  let most = 0;
  for (let i = 0; i < 2000; i++) {
    const proof = await writer.log.prove({ block: { index: i, nodes: 4 } });
    stranger.say("data", { request: 0, ...proof! });
    most = Math.max(most, ...taker.replicator.peers.map((peer) => (peer as PeerMachine).arriving));
  }
  assert.ok(most <= 64, `${most} at a time`);
  await world.run();
  assert.ok(taker.log.blocks.size > 0);
});

test("hostile: bytes that are no message end the connection and nothing else", async () => {
  const [world, writer, stranger] = await meet();
  const reader = world.reader(writer);
  world.connect(writer, reader);
  stranger.mux.cork();
  const bad = { start: 0, bytes: new Uint8Array(4 * 65537) };
  stranger.say("bitfield", bad);
  stranger.mux.uncork();
  await world.run();
  assert.equal(stranger.theirMux.isDestroyed, true);
  assert.deepEqual(await world.until(reader.replicator.requestBlock(7)), blocksOf(1, 7)[0]);
});

test("hostile: a refusal of a block says nothing of what else was asked with it", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(20));
  const reader = world.reader(writer);
  world.connect(writer, reader);
  await world.until(reader.replicator.requestUpgrade());
  const stranger = new Stranger(world, reader);
  stranger.onHeard = ({ kind, message }) => {
    if (kind === "request" && message.block) stranger.say("noData", { request: message.id, reason: 1 });
  };
  await world.run();
  stranger.sync({ length: 25, remoteLength: 20 });
  stranger.say("range", { isDrop: false, start: 0, length: 25 });
  const range = reader.replicator.requestRange({ start: 0, end: 20 });
  assert.equal(await world.until(range.done()), true);
  await world.run(5000);
  const asked = stranger.all("request");
  assert.ok(asked.length < 60, `${asked.length} questions`);
  assert.ok(asked.some(({ upgrade, block }) => upgrade && !block), "it is still asked for its length");
});

test("hostile: a peer that answers in another order is not blamed, and everything comes", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(500));
  const reader = world.reader(writer);
  const stranger = new Stranger(world, reader);
  const waiting: LogRequest[] = [];
  stranger.onHeard = ({ kind, message }) => {
    if (kind === "request") waiting.push(message);
    if (kind === "cancel") waiting.splice(waiting.findIndex(({ id }) => id === message), 1);
  };
  await world.run();
  stranger.sync({ length: 500 });
  stranger.say("range", { isDrop: false, start: 0, length: 500 });
  const range = reader.replicator.requestRange({ start: 0, end: 500, linear: true });
  let rounds = 0;
  for (let isOver = false; !isOver; rounds++) {
    void range.done().then(() => isOver = true);
    await world.run(10);
    for (const request of waiting.splice(0).toReversed()) {
      const manifest = request.manifest ? writer.log.verifier!.manifest : undefined;
      stranger.say("data", { request: request.id, ...(await writer.log.prove(request))!, manifest });
    }
    assert.ok(rounds < 100, `${reader.log.blocks.size} blocks after ${rounds} rounds`);
    await world.run(10);
  }
  assert.equal(reader.log.contiguousLength, 500);
  assert.deepEqual(reader.events, ["add"]);
  const { received } = reader.replicator.peers[0]!.stats.messages.data;
  assert.ok(received < 900, `${received} answers for 500 blocks`);
});
