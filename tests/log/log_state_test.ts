/** A log in a store: what is appended, cut, cleared and proven, on stores that answer at once or late. */
import assert from "node:assert/strict";
import { discoveryKey } from "../../core/crypto/hash.ts";
import { NodeCache } from "../../core/log/node_cache.ts";
import { LogState, type LogStateOptions } from "../../core/log/log_state.ts";
import { createManifest, defaultManifest, manifestKey } from "../../core/log/manifest.ts";
import { missingNodes, TreeBatch } from "../../core/log/merkle_tree.ts";
import { verifyFromStart } from "../../core/log/verify_proof.ts";
import { SeededRandom, VirtualClock } from "../../core/runtime/virtual.ts";
import { FaultyStore, MemoryStore, type Store } from "../../core/storage/mod.ts";
import { seed, utf8, wasm } from "../crypto/support.ts";
import { test } from "../harness.ts";
import { keyPairOf } from "./signed_log.ts";

const writerPair = keyPairOf(1);
const manifest = defaultManifest(writerPair.publicKey);
const key = manifestKey(wasm, manifest);

/** A world in which promises settle and time passes by itself. */
class World {
  readonly clock = new VirtualClock();
  readonly runtime = { clock: this.clock, random: new SeededRandom("log state"), crypto: wasm };
  #isOver = false;

  constructor() {
    void this.#run();
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      await new Promise((resolve) => setImmediate(resolve));
      this.clock.step();
    }
  }

  async open(store: Store, options: Partial<LogStateOptions> = {}): Promise<LogState> {
    const storage = await store.open(discoveryKey(wasm, options.key ?? key));
    return await LogState.open({ runtime: this.runtime, storage, target: store }, { key, ...options });
  }

  /** Waits until what was verified is written. */
  async settle(log: LogState): Promise<void> {
    await log.sync();
  }

  close(): void {
    this.#isOver = true;
  }
}

async function inWorld(body: (world: World) => Promise<void>): Promise<void> {
  const world = new World();
  try {
    await body(world);
  } finally {
    world.close();
  }
}

function testStores(name: string, body: (world: World, newStore: () => Store) => Promise<void>): void {
  for (const kind of ["at once", "late"] as const) {
    test(`${name}, on a store that answers ${kind}`, () =>
      inWorld((world) => {
        const latency = { clock: world.clock, ms: 1 };
        const late = () => new FaultyStore(new MemoryStore(), { latency });
        return body(world, kind === "late" ? late : () => new MemoryStore());
      }));
  }
}

const blocks = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => utf8(`block ${from + i}`));
const writer = { manifest, keyPair: writerPair };

/** Moves from `from` to `to` an upgrade and the blocks `indexes`. */
async function fetch(from: LogState, to: LogState, indexes: readonly number[]): Promise<void> {
  const upgrade = { start: to.length, length: from.length - to.length };
  if (upgrade.length > 0) await to.apply({ ...(await from.prove({ upgrade }))!, manifest: from.manifest });
  for (const index of indexes) {
    const nodes = await missing(to, index);
    await to.apply((await from.prove({ block: { index, nodes } }))!);
  }
}

/** Makes `to` the fork that `from` is. */
async function follow(from: LogState, to: LogState): Promise<void> {
  const proof = (await from.prove({ upgrade: { start: 0, length: from.length } }))!;
  const search = await to.beginReorg(verifyFromStart(wasm, to.verifier!, proof));
  for (let question = search.question; question !== undefined; question = search.question) {
    const { start, nodes } = question;
    await search.update((await from.prove({ hash: { index: 2 * start, nodes } }))!);
  }
  await to.commitReorg(search);
}

async function missing(log: LogState, index: number): Promise<number> {
  return await missingNodes(log.nodes, log.tree, 2 * index);
}

testStores("a log is what was appended, also when it is opened again", async (world, newStore) => {
  const store = newStore();
  const log = await world.open(store, writer);
  assert.deepEqual(await log.append(blocks(0, 3)), { length: 3, byteLength: 21 });
  await log.append(blocks(3, 10));
  for (const opened of [log, await world.open(store)]) {
    assert.equal(opened.length, 10);
    assert.equal(opened.tree.byteLength, 70);
    assert.equal(opened.contiguousLength, 10);
    assert.deepEqual(await opened.readBlock(9), utf8("block 9"));
    assert.deepEqual(await opened.treeHash(), await log.treeHash());
    assert.deepEqual(opened.manifest, manifest);
  }
});

testStores("appends that are called in one go are one write and one sync", async (world, newStore) => {
  const store = newStore();
  const log = await world.open(store, writer);
  let [writes, syncs, changes] = [0, 0, 0];
  const { write, sync } = store;
  store.write = (batch) => (writes++, write.call(store, batch));
  store.sync = () => (syncs++, sync.call(store));
  log.observe({ onUpgrade: () => void changes++ });
  const appended = await Promise.all(blocks(0, 64).map((block) => log.append([block])));
  assert.deepEqual(appended.map(({ length }) => length), Array.from({ length: 64 }, (_, i) => i + 1));
  assert.deepEqual([writes, syncs, changes], [1, 1, 1]);
  assert.ok(log.verifier!.verify(new TreeBatch(wasm, log.tree), log.signature));
});

testStores("a length is seen when it is synced and not before", async (world, newStore) => {
  const store = newStore();
  const log = await world.open(store, writer);
  const { sync } = store;
  const seen: number[] = [];
  store.sync = () => {
    seen.push(log.length);
    return sync.call(store);
  };
  await log.append(blocks(0, 2));
  assert.deepEqual(seen, [0]);
  assert.equal(log.length, 2);
});

testStores("a log that is cut is another fork, and forgets what came behind", async (world, newStore) => {
  const store = newStore();
  const log = await world.open(store, writer);
  await log.append(blocks(0, 20));
  const changes: unknown[] = [];
  log.observe({ onUpgrade: (change) => changes.push(change) });
  await log.truncate(7, 1);
  await log.append([utf8("other")]);
  assert.deepEqual(changes, [
    { ancestors: 7, oldLength: 20, oldFork: 0, isProven: false },
    { ancestors: 7, oldLength: 7, oldFork: 1 },
  ]);
  for (const opened of [log, await world.open(store)]) {
    assert.equal(opened.tree.fork, 1);
    assert.equal(opened.length, 8);
    assert.deepEqual(await opened.readBlock(7), utf8("other"));
    assert.equal(await opened.readBlock(8), undefined);
    assert.equal(opened.contiguousLength, 8);
  }
  await assert.rejects(log.truncate(9, 2), RangeError);
});

testStores(
  "blocks that are cleared are gone, and their neighbours are still proven",
  async (world, newStore) => {
    const store = newStore();
    const log = await world.open(store, writer);
    await log.append(blocks(0, 40));
    assert.equal(await log.clear([8, 20]), 12);
    assert.equal(await log.clear([8, 20]), 0);
    for (const opened of [log, await world.open(store)]) {
      assert.equal(opened.contiguousLength, 8);
      assert.equal(opened.held.count(0, 40), 28);
      assert.equal(await opened.readBlock(10), undefined);
      assert.equal(await opened.prove({ block: { index: 10, nodes: 0 } }), undefined);
      const reader = await world.open(newStore());
      await fetch(opened, reader, [7, 20, 39, 0]);
      assert.deepEqual(await reader.readBlock(20), utf8("block 20"));
    }
    assert.ok(await log.storage.node(20) !== undefined, "a writer keeps its nodes");
    await log.truncate(12, 1);
    await log.truncate(8, 2);
    await log.append(blocks(8, 40));
    await log.clear([8, 20]);
    await log.append(blocks(40, 42));
    assert.equal((await world.open(store)).held.count(0, 42), 30);
  },
);

testStores("several ranges are cleared in one write, and the rest is proven", async (world, newStore) => {
  const source = await world.open(newStore(), writer);
  await source.append(blocks(0, 100));
  const store = newStore();
  const reader = await world.open(store);
  await fetch(source, reader, Array.from({ length: 100 }, (_, i) => i));
  const told: unknown[] = [];
  reader.observe({ onBlocks: (start, end, isHeld) => isHeld || told.push([start, end]) });
  assert.equal(await reader.clear([10, 13], [14, 15], [40, 40], [60, 200], [300, 400]), 44);
  assert.deepEqual(told, [[10, 13], [14, 15], [60, 100]]);
  assert.equal(await reader.clear([11, 13], [70, 71]), 0);
  await assert.rejects(async () => await reader.clear([1, 2], [4, 3]), RangeError);
  for (const opened of [reader, await world.open(store)]) {
    assert.equal(opened.contiguousLength, 10);
    assert.equal(opened.held.count(0, 100), 56);
    const third = await world.open(newStore());
    await fetch(opened, third, [0, 9, 13, 15, 59]);
    assert.deepEqual(await third.readBlock(13), utf8("block 13"));
  }
  await fetch(source, reader, [10, 14, 99]);
  await world.settle(reader);
  assert.equal((await world.open(store)).held.count(0, 100), 59);
});

testStores(
  "a reader drops nodes that nothing needs, and follows a fork from among them",
  async (world, newStore) => {
    const source = await world.open(newStore(), writer);
    await source.append(blocks(0, 40));
    const reader = await world.open(newStore());
    await fetch(source, reader, Array.from({ length: 40 }, (_, i) => i));
    await reader.clear([8, 20]);
    assert.equal(await reader.storage.node(20), undefined);
    await source.truncate(12, 1);
    await source.append(blocks(50, 60));
    await follow(source, reader);
    assert.deepEqual(await reader.treeHash(), await source.treeHash());
  },
);

testStores(
  "a reader takes what is proven, writes it at the end of the turn, and tells then",
  async (world, newStore) => {
    const source = await world.open(newStore(), writer);
    await source.append(blocks(0, 100));
    const store = newStore();
    const reader = await world.open(store);
    const news: unknown[] = [];
    reader.observe({
      onUpgrade: (change) => news.push(change),
      onBlocks: (...range) => news.push(range),
    });
    const proof = (await source.prove({ upgrade: { start: 0, length: 100 } }))!;
    const upgrade = { ...proof, manifest };
    assert.deepEqual(await reader.apply(upgrade), { isUpgrade: true, block: undefined, isNew: false });
    assert.equal(reader.length, 100);
    assert.deepEqual(news, []);
    await world.settle(reader);
    assert.deepEqual(news.splice(0), [{ ancestors: 0, oldLength: 0, oldFork: 0, isProven: true }]);
    await fetch(source, reader, [50, 51, 3]);
    await world.settle(reader);
    const told = (news as unknown as [number, number, boolean][]).map(([start, end]) => end - start);
    assert.equal(told.reduce((sum, count) => sum + count, 0), 3, "each block once");
    const opened = await world.open(store);
    assert.equal(opened.length, 100);
    assert.deepEqual([3, 50, 51, 52].map((index) => opened.held.get(index)), [true, true, true, false]);
    assert.deepEqual(opened.manifest, manifest);
    assert.deepEqual(await opened.readBlock(51), utf8("block 51"));
  },
);

testStores("a block that is another one is refused and not stored", async (world, newStore) => {
  const source = await world.open(newStore(), writer);
  await source.append(blocks(0, 9));
  const reader = await world.open(newStore());
  await fetch(source, reader, [0]);
  const proof = (await source.prove({ block: { index: 1, nodes: await missing(reader, 1) } }))!;
  const forged = { ...proof, block: { ...proof.block!, value: utf8("forged") } };
  await assert.rejects(async () => await reader.apply(forged), { code: "INVALID_CHECKSUM" });
  assert.equal(reader.held.get(1), false);
});

testStores("a rewritten log replaces the old one from where they differ", async (world, newStore) => {
  const source = await world.open(newStore(), writer);
  const store = newStore();
  const reader = await world.open(store);
  await source.append(blocks(0, 30));
  await fetch(source, reader, Array.from({ length: 30 }, (_, i) => i));
  await world.settle(reader);
  await source.truncate(13, 1);
  await source.append(blocks(100, 120));
  await follow(source, reader);
  for (const opened of [reader, await world.open(store)]) {
    assert.deepEqual(await opened.treeHash(), await source.treeHash());
    assert.equal(opened.tree.fork, 1);
    assert.equal(opened.contiguousLength, 13);
  }
});

testStores(
  "who has no key pair cannot append, and many signers need their signatures",
  async (world, newStore) => {
    const reader = await world.open(newStore(), { manifest });
    await assert.rejects(reader.append(blocks(0, 1)), { code: "SESSION_NOT_WRITABLE" });
    const pairs = [keyPairOf(1), keyPairOf(2)];
    const both = createManifest({ signers: pairs, quorum: 2 });
    const shared = await world.open(newStore(), {
      key: manifestKey(wasm, both),
      manifest: both,
      keyPair: pairs[0],
    });
    await assert.rejects(shared.append(blocks(0, 1)), RangeError);
    assert.equal(shared.length, 0);
  },
);

testStores(
  "user data of the first batch comes with it, and is not set back later",
  async (world, newStore) => {
    const store = newStore();
    const options = { ...writer, userData: { name: utf8("first") } };
    const log = await world.open(store, options);
    assert.equal(await log.storage.userData("name"), undefined);
    await log.append(blocks(0, 1));
    assert.deepEqual(await log.storage.userData("name"), utf8("first"));
    await log.setUserData("name", utf8("second"));
    const again = await world.open(store, options);
    await again.setEncryptionKey(seed(9));
    await again.append(blocks(1, 2));
    assert.deepEqual(await again.storage.userData("name"), utf8("second"));
    assert.deepEqual((await world.open(store)).encryptionKey, seed(9));
  },
);

testStores("a frozen log stays so, is not served and not written", async (world, newStore) => {
  const store = newStore();
  const log = await world.open(store, writer);
  await log.append(blocks(0, 2));
  await log.freeze();
  for (const opened of [log, await world.open(store)]) {
    assert.equal(opened.isFrozen, true);
    assert.equal(await opened.prove({ upgrade: { start: 0, length: 2 } }), undefined);
    await assert.rejects(opened.append(blocks(0, 1)), { code: "SESSION_NOT_WRITABLE" });
  }
});

test("a disk that is full loses nothing that was there, and the log goes on when there is room", () =>
  inWorld(async (world) => {
    let isFull = false;
    const fault = ({ type }: { type: string }) => isFull && type === "write" ? "ENOSPC" as const : undefined;
    const store = new FaultyStore(new MemoryStore(), { fault });
    const source = await world.open(new MemoryStore(), writer);
    await source.append(blocks(0, 10));
    const reader = await world.open(store);
    await fetch(source, reader, [0]);
    await world.settle(reader);
    const failures: Error[] = [];
    reader.observe({ onFailure: (error) => failures.push(error) });
    isFull = true;
    await fetch(source, reader, [5]);
    await world.settle(reader);
    assert.deepEqual(failures.map((error) => (error as { code?: string }).code), ["DISK_FULL"]);
    assert.deepEqual([0, 5].map((index) => reader.held.get(index)), [true, false]);
    isFull = false;
    await fetch(source, reader, [5]);
    await world.settle(reader);
    assert.deepEqual(await reader.readBlock(5), utf8("block 5"));
  }));

testStores("what is verified in one turn is written before it gets large", async (world, newStore) => {
  const source = await world.open(newStore(), writer);
  await source.append(Array.from({ length: 6 }, (_, i) => new Uint8Array(2 ** 20).fill(i)));
  const store = newStore();
  const reader = await world.open(store);
  await fetch(source, reader, [0, 1, 2, 3, 4]); // 5 MiB, and no turn has ended on a store that answers at once
  const stored = await store.open(reader.discoveryKey);
  assert.ok(await stored.block(0) !== undefined);
  await fetch(source, reader, [5]);
  await world.settle(reader);
  assert.equal(reader.contiguousLength, 6);
});

test("nodes are kept as many as fit, and those that were used last", () => {
  const cache = new NodeCache();
  const hash = new Uint8Array(32);
  for (let index = 0; index < 5000; index++) {
    cache.put({ index, size: 1, hash });
    assert.ok(cache.get(0) !== undefined, "it is used all the time");
  }
  const kept = Array.from({ length: 5000 }, (_, index) => cache.get(index)).filter((node) =>
    node !== undefined
  );
  assert.ok(kept.length >= 512 && kept.length <= 1024, `${kept.length} are kept`);
});
