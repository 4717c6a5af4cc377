/**
 * Mending stores without peers: what is damaged by hand is mended, dropped or told, and nothing wrong is ever read.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import {
  Corestore,
  loadCryptoProvider,
  removeUnreachable,
  repairStore,
  verifyStore,
} from "../../core/mod.ts";
import { HeldBits } from "../../core/held_bits.ts";
import {
  type LogStorage,
  type LogWriter,
  MemoryStore,
  openSqliteStore,
  type Store,
  WriteBatch,
} from "../../core/storage/mod.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { test } from "../harness.ts";
import { inFolder } from "../storage/support.ts";
import { kept, newRuntime, storeWith } from "./support.ts";

const crypto = await loadCryptoProvider();
const text = (value: string) => new TextEncoder().encode(value);

async function change(store: Store, log: LogStorage, fill: (writer: LogWriter) => void): Promise<void> {
  const batch = new WriteBatch();
  fill(batch.log(log));
  await store.write(batch);
}

async function repaired(store: Store) {
  const logs = await Array.fromAsync(repairStore(store, { crypto }));
  const { discoveryKey: _, key: __, length: ___, ...rest } = logs[0]!;
  return rest;
}

async function isSound(store: Store): Promise<boolean> {
  const logs = await Array.fromAsync(verifyStore(store, { crypto }));
  return logs.every(({ problem }) => problem === undefined);
}

const NOTHING = { nodes: 0, lost: 0, found: 0, freed: 0, unproven: 0, problems: [] };
const blockOf = (index: number) => text(`block ${index}`);
const blocks = (count: number) => Array.from({ length: count }, (_, index) => blockOf(index));

test("a store that is sound stays as it is", async () => {
  const store = new MemoryStore();
  await storeWith(store, blocks(3000));
  assert.deepEqual(await repaired(store), NOTHING);
});

test("any one or two nodes that are lost or wrong are computed again", async () => {
  const random = new SeededRandom(7);
  const store = new MemoryStore();
  const log = await storeWith(store, blocks(100));
  const whole = await log.nodes(Array.from({ length: 199 }, (_, i) => i));
  for (let i = 0; i < 300; i++) {
    const picked = [random.below(199), random.below(199)].map((at) => whole[at]!).filter(Boolean);
    const hash = new Uint8Array(32).fill(i);
    await change(store, log, (writer) => {
      for (const node of picked) {
        if (i % 2 === 0) writer.clearNodes(node.index, node.index + 1);
        else writer.putNode({ ...node, hash });
      }
    });
    const { nodes, ...rest } = await repaired(store);
    assert.deepEqual({ nodes: 0, ...rest }, NOTHING, `${i}: nodes ${picked.map(({ index }) => index)}`);
    assert.ok(nodes >= Math.min(1, picked.length));
    assert.deepEqual(await log.nodes(whole.map((_, at) => at)), whole);
  }
});

test("blocks that are not there, or not what was signed, are no longer said to be held", async () => {
  const store = new MemoryStore();
  const log = await storeWith(store, blocks(3000));
  await change(store, log, (writer) => {
    writer.clear(5, 7).clear(2000, 2003).clear(2999, 3000);
    writer.putBlock(100, text("block 1oo")).putBlock(3000, text("behind the end"));
  });
  const { problems, ...counts } = await repaired(store);
  assert.deepEqual(counts, { nodes: 0, lost: 7, found: 0, freed: 1, unproven: 0 });
  assert.match(problems[0]!, /7 blocks are lost: open it and connect/);
  assert.ok(await isSound(store));
  assert.equal(await new HeldBits(log).count(3000), 2993);
  assert.equal(await log.block(100), undefined);
  assert.equal((await log.hints())?.contiguousLength, 5);
  assert.deepEqual(await repaired(store), NOTHING);
});

test("what is held is found again when nothing says it any more", async () => {
  const store = new MemoryStore();
  const log = await storeWith(store, blocks(100));
  await change(store, log, (writer) => {
    writer.setHints({ contiguousLength: 0, remoteContiguousLength: 0, recovering: false });
  });
  assert.deepEqual(await repaired(store), { ...NOTHING, found: 100 });
  assert.equal(await new HeldBits(log).count(100), 100);
});

test("roots are computed from the blocks, and where blocks are lost as well, that is told", async () => {
  const store = new MemoryStore();
  const log = await storeWith(store, blocks(100));
  await change(store, log, (writer) => void writer.clearNodes(0, 300));
  assert.deepEqual(await repaired(store), { ...NOTHING, nodes: 197 });
  assert.ok(await isSound(store));
  await change(store, log, (writer) => void writer.clearNodes(0, 300).clear(3, 4));
  const { problems } = await repaired(store);
  assert.match(problems[0]!, /the roots of its tree are lost/);
});

test("where the way to a block is lost, the block stays and is counted", async () => {
  const store = new MemoryStore();
  const log = await storeWith(store, blocks(64));
  // Below node 7 are the blocks 0 to 7.
  await change(store, log, (writer) => void writer.clearNodes(0, 7).clearNodes(8, 15).clear(3, 4));
  const { problems, ...counts } = await repaired(store);
  assert.deepEqual(counts, { nodes: 0, lost: 1, found: 0, freed: 0, unproven: 7 });
  assert.match(problems[1]!, /call recover/);
  assert.deepEqual(await log.block(2), blockOf(2));
});

test("overlays are mended as logs are", async () => {
  const store = new MemoryStore();
  const log = await storeWith(store, blocks(10));
  const corestore = await Corestore.open(store, { runtime: newRuntime() });
  const core = await corestore.get({ name: "log" });
  const draft = await core.session({ name: "draft" });
  await draft.append(Array.from({ length: 20 }, (_, i) => text(`draft ${i}`)));
  await change(store, log.overlay("draft"), (writer) => {
    writer.clearNodes(26, 27).clear(15, 16).putBlock(17, text("other"));
  });
  const { problems, ...counts } = await repaired(store);
  assert.deepEqual(counts, { nodes: 1, lost: 2, found: 0, freed: 0, unproven: 0 });
  assert.match(problems[0]!, /^branch draft: 2 blocks are lost/);
  assert.ok(await isSound(store));
  await corestore.close();
});

test("a head whose hash is not that of its roots is written anew where the signature is about them", async () => {
  const store = new MemoryStore();
  const log = await storeWith(store, blocks(10));
  const head = (await log.head())!;
  await change(store, log, (writer) => void writer.setHead({ ...head, rootHash: new Uint8Array(32) }));
  assert.ok(!await isSound(store));
  assert.deepEqual(await repaired(store), NOTHING);
  assert.deepEqual(await log.head(), head);
  await change(store, log, (writer) => void writer.setHead({ ...head, signature: new Uint8Array(64) }));
  assert.match((await repaired(store)).problems[0]!, /signature of the head does not fit/);
});

/** Runs SQL on the file of a store that is closed. */
async function withSql(path: string, ...statements: string[]): Promise<void> {
  const { DatabaseSync } = await import("node:sqlite");
  const database = new DatabaseSync(path);
  for (const statement of statements) database.exec(statement);
  database.close();
}

test("a log whose entry in the catalog is damaged is found again by its key", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "logs.sqlite");
    const first = await openSqliteStore(path);
    const { discoveryKey } = await storeWith(first, blocks(50));
    await first.close();
    for (const change of ["value = x'07'", "sum = sum + 1"]) {
      await withSql(path, `UPDATE named SET ${change} WHERE layer = 0 AND name LIKE 'log:%'`);
      const store = await openSqliteStore(path);
      assert.deepEqual(await repaired(store), NOTHING);
      assert.deepEqual(await Array.fromAsync(store.list()), [discoveryKey]);
      assert.ok(await isSound(store));
      await store.close();
    }
  });
});

test("a log whose entry is lost is not taken for waste", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "logs.sqlite");
    const first = await openSqliteStore(path);
    const { discoveryKey } = await storeWith(first, blocks(50));
    await first.close();
    await withSql(path, "UPDATE named SET name = 'lng:1' WHERE layer = 0 AND name LIKE 'log:%'");
    const store = await openSqliteStore(path);
    await store.shrink();
    await assert.rejects(Array.fromAsync(repairStore(store, { crypto })), {
      code: "STORE_CORRUPT",
      message: /layer 0: lng:1/,
    });
    assert.deepEqual(await Array.fromAsync(store.list()), [discoveryKey]);
    assert.ok(await isSound(store));
    await store.close();
  });
});

test("branches that have no length are removed, others stay", async () => {
  const store = new MemoryStore();
  const log = await storeWith(store, blocks(10));
  const corestore = await Corestore.open(kept(store), { runtime: newRuntime() });
  const core = await corestore.get({ name: "log" });
  await (await core.session({ name: "draft" })).append("more");
  await corestore.close();
  await change(store, log, (writer) => void writer.createOverlay("nothing", 10));
  assert.equal(await removeUnreachable(store), 1);
  assert.deepEqual(await log.overlays(), ["draft"]);
});
