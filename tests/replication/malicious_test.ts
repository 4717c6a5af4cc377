/**
 * A peer that answers with something wrong, whatever that is: nothing false is stored, and others are not the worse for it.
 * `HYPHA_LONG=1` tells 100,000 random lies.
 */
import assert from "node:assert/strict";
import process from "node:process";
import { createManifest } from "../../core/log/manifest.ts";
import { type LogData, logData } from "../../core/log/proof_messages.ts";
import type { TreeNode } from "../../core/crypto/hash.ts";
import { verifySubtree } from "../../core/log/verify_proof.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { equals } from "../../encoding/bytes.ts";
import { DecodeError, decodeExact, encode } from "../../encoding/codec.ts";
import { test } from "../harness.ts";
import { keyPair, testRuntime } from "../stream/rig.ts";
import { blocksOf, type Node, World } from "./rig.ts";
import { Stranger } from "./stranger.ts";

const LENGTH = 21;
/** More than anybody has to be asked for all of that. */
const MAX_ANSWERS = 500;

/** Something that may be wrong with an answer; undefined if the answer has no such thing. */
type Mutation = (data: LogData) => LogData | undefined;

function flip(bytes: Uint8Array, at = 0): Uint8Array {
  const copy = bytes.slice();
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

const numbers: readonly ((n: number) => number)[] = [
  (n) => n + 1,
  (n) => Math.max(0, n - 1),
  (n) => n + 2,
  () => 0,
  () => 2 ** 32,
  () => 2 ** 53 - 1,
];

const nodeMutations: readonly ((node: TreeNode) => TreeNode)[] = [
  ...numbers.map((change) => (node: TreeNode) => ({ ...node, index: change(node.index) })),
  ...numbers.map((change) => (node: TreeNode) => ({ ...node, size: change(node.size) })),
  (node) => ({ ...node, hash: flip(node.hash, 31) }),
];

const listMutations: readonly ((nodes: readonly TreeNode[]) => readonly TreeNode[] | undefined)[] = [
  (nodes) => nodes.length === 0 ? undefined : nodes.slice(1),
  (nodes) => nodes.length === 0 ? undefined : nodes.slice(0, -1),
  (nodes) => nodes.length === 0 ? undefined : [...nodes, nodes.at(-1)!],
  (nodes) => [...nodes, { index: 1, size: 20, hash: new Uint8Array(32) }],
  (nodes) => nodes.length < 2 ? undefined : nodes.toReversed(),
  ...[0, 1].flatMap((at) =>
    nodeMutations.map((change) => (nodes: readonly TreeNode[]) =>
      nodes.length <= at ? undefined : nodes.map((node, i) => i === at ? change(node) : node)
    )
  ),
];

/** Changes `part` of an answer, if it is there. */
function inPart<Part extends "block" | "hash" | "seek" | "upgrade">(
  part: Part,
  change: (value: NonNullable<LogData[Part]>) => NonNullable<LogData[Part]> | undefined,
): Mutation {
  return (data) => {
    const changed = data[part] && change(data[part] as NonNullable<LogData[Part]>);
    return changed && { ...data, [part]: changed };
  };
}

function inList(part: "block" | "hash" | "seek" | "upgrade", list: "nodes" | "additionalNodes"): Mutation[] {
  return listMutations.map((change) =>
    inPart(part, (value) => {
      const nodes = (value as unknown as Record<string, readonly TreeNode[]>)[list];
      const changed = nodes && change(nodes);
      return changed && { ...value, [list]: changed };
    })
  );
}

const other = createManifest({ signers: [keyPair(7)] });
const honest = blocksOf(LENGTH);

const MUTATIONS: Readonly<Record<string, readonly Mutation[]>> = {
  "the request": numbers.map((change) => (data: LogData) => ({ ...data, request: change(data.request) })),
  "the fork": numbers.map((change) => (data: LogData) => ({ ...data, fork: change(data.fork) })),
  "a missing part": (["block", "hash", "seek", "upgrade"] as const).map((part) => (data: LogData) =>
    data[part] && { ...data, [part]: undefined }
  ),
  "what is of no use": [
    (data) => data.upgrade && { ...data, seek: undefined, upgrade: { ...data.upgrade, length: 0 } },
    (data) =>
      data.upgrade && { ...data, block: undefined, seek: undefined, upgrade: { ...data.upgrade, length: 0 } },
  ],
  "the manifest": [(data) => data.manifest && { ...data, manifest: other }],
  "a block": [
    ...numbers.map((change) => inPart("block", (block) => ({ ...block, index: change(block.index) }))),
    inPart("block", (block) => ({ ...block, value: flip(block.value) })),
    inPart("block", (block) => ({ ...block, value: block.value.slice(1) })),
    inPart("block", (block) => ({ ...block, value: honest[(block.index + 1) % LENGTH]! })),
    ...inList("block", "nodes"),
  ],
  "a hash": [
    ...numbers.map((change) => inPart("hash", (hash) => ({ ...hash, index: change(hash.index) }))),
    ...inList("hash", "nodes"),
  ],
  "a seek": [
    ...numbers.map((change) => inPart("seek", (seek) => ({ ...seek, bytes: change(seek.bytes) }))),
    ...inList("seek", "nodes"),
  ],
  "an upgrade": [
    ...numbers.map((change) =>
      inPart("upgrade", (upgrade) => ({ ...upgrade, start: change(upgrade.start) }))
    ),
    ...numbers.map((change) =>
      inPart("upgrade", (upgrade) => ({ ...upgrade, length: change(upgrade.length) }))
    ),
    inPart("upgrade", (upgrade) => ({ ...upgrade, signature: undefined })),
    inPart("upgrade", (upgrade) => ({ ...upgrade, signature: upgrade.signature!.slice(1) })),
    ...[0, 1, 10, 66].map((at) =>
      inPart("upgrade", (upgrade) => ({ ...upgrade, signature: flip(upgrade.signature!, at) }))
    ),
    ...inList("upgrade", "nodes"),
    ...inList("upgrade", "additionalNodes"),
  ],
};

/** Lets `stranger` answer as `writer` would, but for `mutate`. Returns whether that ever changed anything. */
function lie(stranger: Stranger, writer: Node, mutate: Mutation): () => number {
  let [lies, left] = [0, MAX_ANSWERS];
  stranger.onHeard = ({ kind, message }) => {
    if (kind !== "request" || left === 0) return;
    if (--left === 0) lies = Infinity;
    void (async () => {
      const proof = await writer.log.prove(message);
      const manifest = message.manifest ? writer.log.verifier!.manifest : undefined;
      const truth: LogData = { request: message.id, ...proof!, manifest };
      const changed = mutate(truth);
      if (changed !== undefined) lies++;
      stranger.say("data", changed ?? truth);
    })().catch(() => {});
  };
  return () => lies;
}

function assertHonest(reader: Node, writer: Node): void {
  for (const [index, node] of reader.log.stored) {
    const true_ = writer.log.stored.get(index);
    assert.ok(
      true_ !== undefined && equals(true_.hash, node.hash) && true_.size === node.size,
      `node ${index}`,
    );
  }
  for (const [index, block] of reader.log.blocks) assert.deepEqual(block, honest[index]);
  assert.ok([0, LENGTH].includes(reader.log.tree.length), `${reader.log.tree.length}`);
  assert.equal(reader.log.tree.fork, 0);
  assert.equal(reader.log.isFrozen, false);
}

/** One liar at one reader, then an honest peer. */
async function tryLie(mutate: Mutation, name: string): Promise<number> {
  const world = new World(name);
  const writer = world.writer();
  writer.log.append(honest);
  const reader = world.reader(writer);
  const stranger = new Stranger(world, reader, 65536, name);
  const lies = lie(stranger, writer, mutate);
  await world.run(10);
  stranger.sync({ length: LENGTH });
  stranger.say("range", { isDrop: false, start: 0, length: LENGTH });
  const seek = reader.replicator.requestSeek(95, 0);
  await world.run(100);
  const later = reader.replicator.requestSeek(157, 0);
  await world.run(100);
  const range = reader.replicator.requestRange({ start: 0, end: LENGTH });
  await world.run(100);
  assertHonest(reader, writer);
  world.connect(writer, reader);
  await world.until(reader.replicator.requestUpgrade({ signal: new AbortController().signal }), 10_000);
  assert.deepEqual(await world.until(seek, 20_000), { block: 9, offset: 5 });
  assert.deepEqual(await world.until(later, 20_000), { block: 15, offset: 7 });
  assert.equal(await world.until(range.done(), 20_000), true);
  assertHonest(reader, writer);
  assert.equal(reader.log.contiguousLength, LENGTH);
  await reader.replicator.close();
  assert.ok(lies() < Infinity, "the liar was asked on and on");
  return lies();
}

for (const [what, mutations] of Object.entries(MUTATIONS)) {
  test(`malicious: ${what} is wrong, in ${mutations.length} ways`, async () => {
    let lies = 0;
    for (const [i, mutate] of mutations.entries()) {
      try {
        lies += await tryLie(mutate, `${what} ${i}`);
      } catch (error) {
        throw new Error(`${what} ${i}`, { cause: error });
      }
    }
    assert.ok(lies >= mutations.length / 2, `only ${lies} lies were told`);
  });
}

/** Gives a byte of the second node to the first: only the sum of the two is proven if no block comes with them. */
function shift(nodes: readonly TreeNode[]): readonly TreeNode[] {
  const [first, second, ...rest] = nodes;
  if (second === undefined || second.size === 0) return nodes;
  return [{ ...first!, size: first!.size + 1 }, { ...second, size: second.size - 1 }, ...rest];
}

const shiftSizes: Mutation = (data) => {
  const { hash, seek, block } = data;
  if (block !== undefined || (hash === undefined && seek === undefined)) return undefined;
  return {
    ...data,
    hash: hash && { ...hash, nodes: shift(hash.nodes) },
    seek: seek && { ...seek, nodes: shift(seek.nodes) },
  };
};

test("malicious: sizes of which only the sum is proven do no harm and are put right", async () => {
  let wrong = 0;
  for (let seed = 1; seed <= 40; seed++) {
    const world = new World(seed);
    const writer = world.writer();
    writer.log.append(honest.slice(0, 9));
    const [reader, shorter] = [world.reader(writer), world.reader(writer)] as const;
    const link = world.connect(writer, shorter);
    await world.until(shorter.replicator.requestRange({ start: 0, end: 9 }).done());
    link.cut();
    shorter.replicator.isDownloading = false;
    writer.log.append(honest.slice(9));
    const stranger = new Stranger(world, reader);
    lie(stranger, writer, shiftSizes);
    await world.run(10);
    stranger.sync({ length: LENGTH });
    stranger.say("range", { isDrop: false, start: 0, length: LENGTH });
    void reader.replicator.requestSeek(85, 0).catch(() => {});
    await world.run(100);
    // Node 16 is a root of the shorter log.
    if (reader.log.stored.has(16) && reader.log.stored.get(16)!.size !== writer.log.stored.get(16)!.size) {
      wrong++;
    }
    stranger.mux.destroy();
    world.connect(shorter, reader);
    await world.run(100);
    world.connect(writer, reader);
    assert.equal(await world.until(reader.replicator.requestRange({ start: 0, end: LENGTH }).done()), true);
    assertHonest(reader, writer);
    assert.deepEqual(reader.events.filter((event) => /invalid|conflict/.test(event)), [], `seed ${seed}`);
    await reader.replicator.close();
  }
  assert.ok(wrong > 0, "no size was ever wrong");
});

test("malicious: sizes that are wrong while forks are compared stop nobody", async () => {
  for (let cut = 1; cut < LENGTH; cut++) {
    const world = new World(cut);
    const writer = world.writer();
    writer.log.append(honest);
    const reader = world.reader(writer);
    const link = world.connect(writer, reader);
    await world.until(reader.replicator.requestRange({ start: 0, end: LENGTH }).done());
    link.cut();
    await writer.log.truncate(cut);
    writer.log.append(blocksOf(20, 1000));
    const { length } = writer.log.tree;
    const stranger = new Stranger(world, reader);
    const lies = lie(stranger, writer, shiftSizes);
    await world.run(10);
    stranger.sync({ fork: 1, length });
    stranger.say("range", { isDrop: false, start: 0, length });
    await world.run(100);
    assert.deepEqual([reader.log.tree.fork, reader.log.tree.length], [1, length], `cut at ${cut}`);
    assert.ok(lies() < Infinity, `cut at ${cut}`);
    world.connect(writer, reader);
    assert.equal(await world.until(reader.replicator.requestRange({ start: 0, end: length }).done()), true);
    for (const [index, node] of reader.log.stored) assert.deepEqual(node, writer.log.stored.get(index));
    await reader.replicator.close();
  }
});

const listed = Object.values(MUTATIONS).flat();

/** Some of the listed things, or some bits of the message, in all answers or in some. */
function randomMutation(random: SeededRandom): Mutation {
  const isAlways = random.chance(1, 2);
  const isInBits = random.chance(1, 2);
  const changes = Array.from({ length: 1 + random.below(3) }, () => listed[random.below(listed.length)]!);
  return (data) => {
    if (!isAlways && random.chance(1, 2)) return undefined;
    const changed = isInBits
      ? withWrongBits(random, data)
      : changes.reduce<LogData | undefined>((sum, change) => change(sum ?? data) ?? sum, undefined);
    return changed !== undefined && isShift(changed, data) ? undefined : changed;
  };
}

const { crypto } = testRuntime();

/** Whether all that was changed are sizes of which only the sum is proven: those are looked at above. */
function isShift(changed: LogData, data: LogData): boolean {
  if (changed.block !== undefined) return false;
  try {
    const [root, rightRoot] = [changed, data].map((one) => verifySubtree(crypto, one).root);
    return root !== undefined && rightRoot !== undefined && equals(root.hash, rightRoot.hash);
  } catch {
    return false;
  }
}

function withWrongBits(random: SeededRandom, data: LogData): LogData | undefined {
  const message = encode(logData, data);
  for (let left = 1 + random.below(4); left > 0; left--) {
    const at = random.below(message.length);
    message[at] = message[at]! ^ (1 << random.below(8));
  }
  try {
    return decodeExact(logData, message);
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

const [RANDOM_TESTS, RANDOM_LIES] = process.env["HYPHA_LONG"] === "1" ? [20, 5000] : [1, 300];

for (let part = 0; part < RANDOM_TESTS; part++) {
  const from = part * RANDOM_LIES;
  test(`malicious: ${RANDOM_LIES} random lies from seed ${from} on`, async () => {
    let lies = 0;
    for (let seed = from; seed < from + RANDOM_LIES; seed++) {
      try {
        lies += await tryLie(randomMutation(new SeededRandom(`lie ${seed}`)), `random ${seed}`);
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error });
      }
    }
    assert.ok(lies >= RANDOM_LIES / 2, `only ${lies} lies were told`);
  });
}

test("malicious: a peer that lies is told of and asked no more", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(honest);
  const reader = world.reader(writer);
  const stranger = new Stranger(world, reader);
  lie(stranger, writer, MUTATIONS["a block"]![6]!);
  await world.run(10);
  stranger.sync({ length: LENGTH });
  stranger.say("range", { isDrop: false, start: 0, length: LENGTH });
  await world.run();
  void reader.replicator.requestRange({ start: 0, end: LENGTH });
  await world.run();
  const [peer] = reader.replicator.peers;
  assert.ok(peer!.stats.invalidData > 0 && peer!.isPaused);
  assert.ok(reader.events.some((event) => event.startsWith("invalid data")));
  const asked = stranger.all("request").length;
  stranger.say("range", { isDrop: false, start: 0, length: LENGTH });
  await world.run();
  assert.equal(stranger.all("request").length, asked);
});
