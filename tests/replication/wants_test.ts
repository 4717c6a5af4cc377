/** Who wants little of a large log is told little of it. */
import assert from "node:assert/strict";
import { RECENT_BLOCKS, SMALL_WANT_BLOCKS, WANT_BLOCKS } from "../../core/replication/constants.ts";
import type { Want } from "../../core/replication/messages.ts";
import type { PeerMachine } from "../../core/replication/peer_machine.ts";
import { LocalWants } from "../../core/replication/wants.ts";
import { test } from "../harness.ts";
import { blocksOf, type Node, World } from "./rig.ts";
import { Stranger } from "./stranger.ts";

const LENGTH = 70_000;

/** A writer that lacks its first block, so that it has no short way to say what it has, and a reader that knows the length. */
async function meet(seed = 1): Promise<[World, Node, Node]> {
  const world = new World(seed);
  const writer = world.writer();
  writer.log.append(Array.from({ length: LENGTH }, (_, i) => new Uint8Array([i, i >> 8, i >> 16])));
  writer.log.clear(0, 1);
  const reader = world.reader(writer);
  world.connect(writer, reader, { latencyMs: 10 });
  await world.until(reader.replicator.requestUpgrade());
  return [world, writer, reader];
}

const machineOf = ({ replicator }: Node) => replicator.peers[0] as PeerMachine;
/** How many bits were told. */
const told = (node: Node) => machineOf(node).blocks.count(0, LENGTH);
const sentOf = (node: Node) => machineOf(node).stats.messages;

test("wants: of a block a small region is told", async () => {
  const [world, , reader] = await meet();
  assert.equal(told(reader), 0);
  await world.until(reader.replicator.requestBlock(60_000));
  assert.equal(told(reader), SMALL_WANT_BLOCKS);
  await world.until(reader.replicator.requestBlock(60_001));
  assert.equal(sentOf(reader).want.sent, 1);
});

test("wants: of a short range small regions are told, of a long one all", async () => {
  const [world, , reader] = await meet();
  await world.until(reader.replicator.requestRange({ start: 40_800, end: 41_800 }).done());
  assert.deepEqual([sentOf(reader).want.sent, told(reader)], [2, 2 * SMALL_WANT_BLOCKS]);
  const range = reader.replicator.requestRange({ start: 1 });
  await world.until(reader.replicator.requestBlock(2));
  range.destroy();
  assert.equal(told(reader), LENGTH - 1);
});

test("wants: of blocks here and there small regions are told", async () => {
  const [world, , reader] = await meet();
  const blocks = [5, 30_000, 30_001];
  await world.until(reader.replicator.requestRange({ blocks }).done());
  assert.deepEqual([sentOf(reader).want.sent, told(reader)], [2, 2 * SMALL_WANT_BLOCKS - 1]);
});

test("wants: to find a byte, or where forks part, any block will do", async () => {
  for (let seed = 1; seed <= 5; seed++) {
    const [world, writer, reader] = await meet(seed);
    const found = await world.until(reader.replicator.requestSeek(3 * 12_345 + 1, 0));
    assert.deepEqual(found, { block: 12_345, offset: 1 });
    assert.equal(sentOf(reader).bitfield.received, 0);
    assert.ok(told(reader) <= 5, `${told(reader)}`);
    await world.until(reader.replicator.requestBlock(69_000));

    await writer.log.truncate(50_000);
    writer.log.append(blocksOf(10));
    await world.run(5000);
    assert.deepEqual([reader.log.tree.fork, reader.log.tree.length], [1, 50_010]);
    assert.equal(sentOf(reader).bitfield.received, 1);
    assert.ok(told(reader) <= SMALL_WANT_BLOCKS + RECENT_BLOCKS + 40, `${told(reader)}`);
    assert.deepEqual(writer.events.concat(reader.events), ["add", "add"]);
  }
});

test("wants: a byte is found when a block beside it comes that the peer did not have", async () => {
  const [world, writer] = await meet();
  const [holder, reader] = [world.reader(writer), world.reader(writer)];
  const link = world.connect(writer, holder);
  await world.until(holder.replicator.requestBlock(100));
  world.connect(holder, reader);
  await world.until(reader.replicator.requestUpgrade());
  const seek = reader.replicator.requestSeek(3 * 40_000, 0);
  await world.run();
  assert.equal(reader.log.stored.has(80_000), false);
  await world.until(holder.replicator.requestBlock(40_000));
  link.cut();
  assert.deepEqual(await world.until(seek), { block: 40_000, offset: 0 });
});

test("wants: one that tells of the beginning of whole regions, as hypercore 10 does, is asked for these", async () => {
  const [world, writer] = await meet();
  const reader = world.reader(writer);
  const link = world.connect(writer, reader);
  await world.until(reader.replicator.requestUpgrade());
  link.cut();
  const stranger = new Stranger(world, reader);
  await world.run();
  stranger.sync({ length: LENGTH, remoteLength: LENGTH });
  stranger.onHeard = ({ kind, message }) => {
    if (kind !== "want") return;
    const { start, length } = message as Want;
    const bits = Math.min(LENGTH, Math.max(32768, length));
    const bytes = new Uint8Array(Math.ceil(bits / 32) * 4).fill(255);
    stranger.say("bitfield", { start: start - start % WANT_BLOCKS, bytes });
  };
  void reader.replicator.requestBlock(60_000).catch(() => {});
  await world.run();
  assert.deepEqual(stranger.all("want"), [
    { start: 60_000 - 60_000 % SMALL_WANT_BLOCKS, length: SMALL_WANT_BLOCKS, isAny: false },
    { start: 0, length: WANT_BLOCKS, isAny: false },
  ]);
  assert.equal(stranger.all("request").filter(({ block }) => block?.index === 60_000).length, 1);
  void reader.replicator.requestSeek(3 * 12_345, 0).catch(() => {});
  await world.run();
  assert.equal(stranger.all("want").length, 2);
  await reader.replicator.close();
});

test("wants: regions with few blocks are asked for as a whole, with many small wants as well", () => {
  const few = new LocalWants();
  assert.equal(few.add(10, 1, 32767)!.wants[0]!.length, WANT_BLOCKS);
  assert.equal(few.addAny(WANT_BLOCKS + 5, WANT_BLOCKS + 10, WANT_BLOCKS + 32767)!.wants[0]!.isAny, false);
  const many = new LocalWants();
  let whole;
  for (let i = 0; whole === undefined; i++) {
    const change = many.add(i * SMALL_WANT_BLOCKS, 1, 2 ** 40)!;
    if (change.wants[0]!.length === SMALL_WANT_BLOCKS) continue;
    whole = change;
    assert.equal(i, 64);
  }
  assert.deepEqual([whole.unwants.length, whole.forgotten], [64, []]);
  assert.equal(many.add(5, 1, 2 ** 40), undefined);
  assert.equal(many.addAny(100, 200, 2 ** 40), undefined);
});
