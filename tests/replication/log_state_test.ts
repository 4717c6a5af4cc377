/** Logs in stores, replicated: what the other tests of this folder do with logs in memory. */
import assert from "node:assert/strict";
import { discoveryKey } from "../../core/crypto/hash.ts";
import { LogState, type LogStateOptions } from "../../core/log/log_state.ts";
import { defaultManifest, manifestKey } from "../../core/log/manifest.ts";
import { Replicator, type ReplicatorOptions } from "../../core/replication/replicator.ts";
import { FaultyStore, MemoryStore, type Store } from "../../core/storage/mod.ts";
import { duplexPair } from "../../core/stream/duplex_pair.ts";
import { Mux } from "../../core/stream/mux.ts";
import { bytes, keyPair } from "../stream/rig.ts";
import { test } from "../harness.ts";
import { blocksOf, sessionOf, World } from "./rig.ts";

const manifest = defaultManifest(keyPair(1).publicKey);

interface StoredNode {
  readonly log: LogState;
  readonly replicator: Replicator;
}

/** Logs of one key in stores of their own. */
class StoredWorld extends World {
  readonly key = manifestKey(this.runtime.crypto, manifest);
  readonly #newStore: (world: World) => Store;
  #links = 0;

  constructor(newStore: (world: World) => Store) {
    super("stores");
    this.#newStore = newStore;
  }

  async open(options: Partial<LogStateOptions> = {}, more: ReplicatorOptions = {}): Promise<StoredNode> {
    const store = this.#newStore(this);
    const dkey = discoveryKey(this.runtime.crypto, this.key);
    const log = await this.until((async () => {
      const storage = await store.open(dkey);
      return await LogState.open({ runtime: this.runtime, storage, target: store }, {
        key: this.key,
        ...options,
      });
    })());
    const replicator = new Replicator(log, more);
    replicator.isDownloading = true;
    return { log, replicator };
  }

  writerNode(): Promise<StoredNode> {
    return this.open({ manifest, keyPair: keyPair(1) });
  }

  link(a: StoredNode, b: StoredNode): Mux {
    const [near, far] = duplexPair({ framing: "message" });
    const [one, two] = [new Mux(near), new Mux(far)];
    const hash = bytes(64, `link ${this.#links++}`);
    a.replicator.attach(one, sessionOf(true, hash, keyPair(50).publicKey));
    b.replicator.attach(two, sessionOf(false, hash, keyPair(51).publicKey));
    return one;
  }
}

const STORES: Readonly<Record<string, (world: World) => Store>> = {
  "at once": () => new MemoryStore(),
  late: ({ runtime: { clock } }) => new FaultyStore(new MemoryStore(), { latency: { clock, ms: 1 } }),
};

for (const [kind, newStore] of Object.entries(STORES)) {
  test(`stored logs that answer ${kind}: everything, live, cut, cleared, and through a third`, async () => {
    const world = new StoredWorld(newStore);
    const writer = await world.writerNode();
    await world.until(writer.log.append(blocksOf(170)));
    const [middle, reader] = [await world.open(), await world.open()];
    world.link(writer, middle);
    world.link(middle, reader);
    for (const { replicator } of [middle, reader]) replicator.requestRange({});
    await world.run(5000);
    for (const { log } of [middle, reader]) assert.equal(log.contiguousLength, 170);
    await world.until(writer.log.append(blocksOf(30, 170)));
    await world.run(2000);
    assert.equal(reader.log.contiguousLength, 200);
    await world.until(writer.log.truncate(120, 1));
    await world.until(writer.log.append(blocksOf(20, 900)));
    await world.run(5000);
    for (const { log } of [middle, reader]) {
      assert.deepEqual([log.tree.fork, log.length, log.contiguousLength], [1, 140, 140]);
      assert.deepEqual(await world.until(log.treeHash()), await world.until(writer.log.treeHash()));
      assert.deepEqual(await world.until(Promise.resolve(log.readBlock(125))), blocksOf(1, 905)[0]);
    }
    await world.until(middle.log.clear([50, 100]));
    await world.run();
    assert.equal(reader.replicator.peers[0]!.has(70), false);
    assert.equal(await world.until(middle.replicator.requestRange({ start: 0, end: 140 }).done()), true);
  });

  test(`stored logs that answer ${kind}: sparse reads and seeks`, async () => {
    const world = new StoredWorld(newStore);
    const writer = await world.writerNode();
    await world.until(writer.log.append(blocksOf(500)));
    const reader = await world.open();
    world.link(writer, reader);
    for (const index of [499, 3, 250]) {
      assert.deepEqual(await world.until(reader.replicator.requestBlock(index)), blocksOf(1, index)[0]);
    }
    assert.deepEqual(await world.until(reader.replicator.requestSeek(1234, 0)), { block: 123, offset: 4 });
    await world.run();
    assert.equal(reader.log.held.count(0, 500), 3);
  });

  test(`stored logs that answer ${kind}: two that were signed freeze, and stay so`, async () => {
    const world = new StoredWorld(newStore);
    const conflicts: number[] = [];
    const nodes: StoredNode[] = [];
    for (const [i, count] of [5, 7].entries()) {
      const observer = { onConflict: () => void conflicts.push(i) };
      const node = await world.open({ manifest, keyPair: keyPair(1) }, { observer });
      await world.until(node.log.append(blocksOf(count, 0, 10, `${i} `)));
      nodes.push(node);
    }
    world.link(nodes[0]!, nodes[1]!);
    await world.run(5000);
    assert.deepEqual(conflicts.toSorted(), [0, 1]);
    for (const { log } of nodes) {
      assert.equal(log.isFrozen, true);
      await world.until(log.load());
      assert.equal(log.isFrozen, true);
    }
  });
}
