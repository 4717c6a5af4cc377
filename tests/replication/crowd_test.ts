/**
 * Many replicas with sparse interests, whose connections come and go, so that crowds fall apart and meet again, while the log
 * grows and is rewritten: all converge. `HYPHA_LONG=1` plays 250 seeds.
 */
import assert from "node:assert/strict";
import process from "node:process";
import { treeHash } from "../../core/crypto/hash.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { SecretStream } from "../../core/stream/secret_stream.ts";
import { duplexPair } from "../../core/stream/duplex_pair.ts";
import { Mux } from "../../core/stream/mux.ts";
import { test } from "../harness.ts";
import { keyPair } from "../stream/rig.ts";
import { blocksOf, type Link, type Node, World } from "./rig.ts";

const NODES = 20;
const STEPS = 120;
/** In seed 7 one that compares forks meets a peer whose new log is shorter than the one that is compared with. */
const SEEDS = process.env["HYPHA_LONG"] === "1" ? 250 : 7;

/** One crowd: the first node writes. */
class Crowd {
  readonly world: World;
  readonly random: SeededRandom;
  readonly nodes: Node[] = [];
  #links: Link[] = [];
  #written = 0;

  constructor(seed: number, isSlow: boolean) {
    this.world = new World(seed);
    this.random = new SeededRandom(`crowd ${seed}`);
    const writer = this.world.writer({}, { isSlow });
    this.nodes.push(writer);
    for (let i = 1; i < NODES; i++) {
      this.nodes.push(this.world.reader(writer, {}, { isSlow: isSlow && i % 2 === 0 }));
    }
  }

  async step(): Promise<void> {
    const { random, nodes } = this;
    const { log } = nodes[0]!;
    const [a, b] = [nodes[random.below(NODES)]!, nodes[random.below(NODES)]!];
    const kind = random.below(10);
    if (kind < 3 && a !== b) {
      this.#links.push(this.world.connect(a, b, { latencyMs: random.below(100) }));
    } else if (kind === 3 && this.#links.length > 0) {
      this.#links.splice(random.below(this.#links.length), 1)[0]!.cut();
    } else if (kind === 4) {
      const count = 1 + random.below(30);
      log.append(blocksOf(count, this.#written += 100, 1 + random.below(40)));
    } else if (kind === 5 && log.tree.length > 2 && random.chance(1, 3)) {
      await log.truncate(1 + random.below(log.tree.length - 1));
    } else if (kind < 8 && log.tree.length > 0) {
      const start = random.below(log.tree.length);
      const range = a.replicator.requestRange({ start, end: start + 20, linear: random.chance(1, 2) });
      if (random.chance(1, 3)) range.destroy();
    } else if (kind === 8 && a !== nodes[0] && a.log.tree.length > 0) {
      const start = random.below(a.log.tree.length);
      a.log.clear(start, Math.min(a.log.tree.length, start + 10));
    }
    await this.world.run(random.below(200));
  }

  /** Connects all in a line with the writer at its head, and lets everyone want everything. */
  async converge(): Promise<void> {
    for (const link of this.#links) link.cut();
    await this.world.run(500);
    for (let i = 1; i < NODES; i++) this.world.connect(this.nodes[i - 1]!, this.nodes[i]!, { latencyMs: 5 });
    await this.world.run(10_000);
    const { length } = this.nodes[0]!.log.tree;
    for (const { replicator } of this.nodes.slice(1)) replicator.requestRange({ start: 0, end: length });
    await this.world.run(60_000);
  }
}

for (const isSlow of [false, true]) {
  for (let seed = 1; seed <= SEEDS; seed++) {
    test(`crowd: seed ${seed}${isSlow ? ", slow" : ""}`, async () => {
      const crowd = new Crowd(seed, isSlow);
      crowd.nodes[0]!.log.append(blocksOf(50));
      for (let i = 0; i < STEPS; i++) await crowd.step();
      await crowd.converge();
      const [{ log: writer }] = crowd.nodes as [Node];
      const hash = treeHash(writer.runtime.crypto, writer.tree.roots);
      for (const [i, { log }] of crowd.nodes.entries()) {
        assert.deepEqual(
          [log.tree.fork, log.tree.length],
          [writer.tree.fork, writer.tree.length],
          `node ${i}`,
        );
        assert.deepEqual(treeHash(writer.runtime.crypto, log.tree.roots), hash);
        assert.equal(log.contiguousLength, writer.tree.length, `node ${i}`);
        for (const [index, block] of log.blocks) assert.deepEqual(block, writer.blocks.get(index));
      }
      for (const [i, { events }] of crowd.nodes.entries()) {
        assert.deepEqual(events.filter((event) => /invalid|conflict/.test(event)), [], `node ${i}`);
      }
      for (const { replicator } of crowd.nodes) await replicator.close();
    });
  }
}

test("crowd: over secret streams, by the hash of their handshake", async () => {
  const world = new World();
  const writer = world.writer();
  writer.log.append(blocksOf(300));
  const reader = world.reader(writer);
  const [near, far] = duplexPair({ latency: { clock: world.runtime.clock, ms: 10 } });
  const ends = [near, far].map((duplex, i) =>
    new SecretStream(duplex, world.runtime, { isInitiator: i === 0, keyPair: keyPair(20 + i) })
  );
  const muxes = ends.map((end) => new Mux(end));
  for (const end of ends) end.start();
  await world.run(100);
  for (const [i, { replicator }] of [writer, reader].entries()) {
    const { hash, remotePublicKey } = ends[i]!.session!;
    replicator.attach(muxes[i]!, { isInitiator: i === 0, handshakeHash: hash, remotePublicKey });
  }
  assert.equal(await world.until(reader.replicator.requestUpgrade()), true);
  assert.equal(await world.until(reader.replicator.requestRange({ start: 0, end: 300 }).done()), true);
  for (const mux of muxes) mux.destroy();
});
