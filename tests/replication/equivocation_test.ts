/**
 * A writer tells two readers different things: when these meet it is found out, told once, and just that log is frozen, whatever
 * the two logs are like and whatever else goes on. `HYPHA_LONG=1` plays 1,000 seeds.
 */
import assert from "node:assert/strict";
import process from "node:process";
import { fullRoots } from "../../core/log/flat_tree.ts";
import { verifyFromStart } from "../../core/log/verify_proof.ts";
import type { ConflictProof } from "../../core/replication/conflict.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { test } from "../harness.ts";
import { blocksOf, type Node, World } from "./rig.ts";

const [TESTS, SEEDS] = process.env["HYPHA_LONG"] === "1" ? [10, 100] : [1, 40];

interface Reader extends Node {
  readonly writer: Node;
  readonly proofs: ConflictProof[];
}

/** A reader that was told one of two logs, and has some or all of it. */
async function readerOf(world: World, random: SeededRandom, writer: Node): Promise<Reader> {
  const { length } = writer.log.tree;
  const proofs: ConflictProof[] = [];
  const observer = { onConflict: (proof: ConflictProof) => void proofs.push(proof) };
  const node = world.reader(writer, { observer }, { isSlow: random.chance(1, 2) });
  const link = world.connect(writer, node, { latencyMs: random.below(50) });
  await world.until(node.replicator.requestUpgrade());
  if (random.chance(2, 3)) {
    const start = random.chance(1, 2) ? 0 : random.below(length);
    await world.until(node.replicator.requestRange({ start, end: length }).done());
  }
  link.cut();
  await world.run();
  return { ...node, writer, proofs };
}

/** Two logs that the same writer has signed, of the same fork, which part somewhere. */
async function writersOf(world: World, random: SeededRandom): Promise<readonly [Node, Node]> {
  const common = random.chance(1, 4) ? 0 : random.below(60);
  const lengths = [0, 1].map(() => common + 1 + random.below(40));
  if (random.chance(1, 4)) lengths[1] = lengths[0]!;
  const cuts = random.below(3);
  const writers = lengths.map(() => world.writer());
  for (const [i, { log }] of writers.entries()) {
    if (common > 0) log.append(blocksOf(common));
    for (let n = 0; n < cuts; n++) {
      log.append(blocksOf(5, 1000 * n, 7, "cut "));
      await log.truncate(common);
    }
    log.append(blocksOf(lengths[i]! - common, 0, 10, `${i} `));
  }
  return writers as unknown as readonly [Node, Node];
}

/** A log of somebody else on the same connection. */
function honest(world: World, reader: Node): readonly [Node, Node] {
  const keyPair = world.runtime.crypto.keyPair(new Uint8Array(32).fill(9));
  const writer = world.writer({}, { keyPair });
  writer.log.append(blocksOf(20));
  return [writer, { ...world.reader(writer), publicKey: reader.publicKey }];
}

/** Whether the longer one has the nodes that prove the beginning that both have, or claim to have. */
function isComparable(longer: Node, shorter: Node): boolean {
  return fullRoots(shorter.log.tree.length).every((index) => longer.log.stored.has(index));
}

async function play(seed: number): Promise<void> {
  const world = new World(`equivocation ${seed}`);
  const random = new SeededRandom(`equivocation ${seed}`);
  const writers = await writersOf(world, random);
  const readers = [await readerOf(world, random, writers[0]), await readerOf(world, random, writers[1])];
  const [a, b] = readers as [Reader, Reader];
  // What the two do when they meet.
  for (const { replicator, log } of readers) {
    if (random.chance(1, 2)) replicator.requestRange({ start: random.below(log.tree.length) });
  }
  const links = [world.connect(a, b, { latencyMs: random.below(100) })];
  if (random.chance(1, 4)) links.push(world.connect(b, a, { latencyMs: random.below(100) }));
  const [writer, copy] = honest(world, b);
  world.attach(links[0]!, writer, copy);
  const range = copy.replicator.requestRange({ start: 0, end: 40 });
  await world.run(3000);
  const [longer, shorter] = a.log.tree.length >= b.log.tree.length ? [a, b] : [b, a];
  if (!isComparable(longer, shorter)) {
    // Nobody can tell yet; whoever gets to see more of the longer log can.
    assert.deepEqual([a.log.isFrozen, b.log.isFrozen], [false, false]);
    world.connect(longer.writer, longer);
    longer.replicator.requestRange({ start: 0, end: longer.log.tree.length });
    await world.run(3000);
  }
  writer.log.append(blocksOf(20, 20));
  assert.equal(await world.until(range.done()), true);

  for (const [i, { log, proofs, replicator, writer, events }] of readers.entries()) {
    assert.equal(log.isFrozen, true, `reader ${i} did not find out`);
    assert.equal(proofs.length, 1, `reader ${i} tells once`);
    const { own, theirs, length } = proofs[0]!;
    assert.equal(length, Math.min(a.log.tree.length, b.log.tree.length));
    for (const proof of [own, theirs]) verifyFromStart(world.runtime.crypto, log.verifier!, proof);
    assert.equal(replicator.peers.length, 0);
    assert.deepEqual([log.tree.fork, log.tree.length], [writer.log.tree.fork, writer.log.tree.length]);
    for (const [index, block] of log.blocks) assert.deepEqual(block, writer.log.blocks.get(index));
    assert.deepEqual(events.filter((event) => event.startsWith("invalid request")), []);
  }
  assert.deepEqual([writer, copy].flatMap(({ events }) => events), ["add", "add"]);
  for (const { replicator } of [...readers, ...writers, writer, copy]) await replicator.close();
}

for (let part = 0; part < TESTS; part++) {
  const from = part * SEEDS;
  test(`equivocation: ${SEEDS} writers from seed ${from} on are found out`, async () => {
    for (let seed = from; seed < from + SEEDS; seed++) {
      try {
        await play(seed);
      } catch (error) {
        throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
      }
    }
  });
}
