/**
 * Logs whose stores are damaged: what they refuse, what they still read, and how peers make them whole.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { type Corestore, type Hypercore, loadCryptoProvider, verifyStore } from "../../core/mod.ts";
import {
  type LogStorage,
  type LogWriter,
  MemoryStore,
  openSqliteStore,
  type Store,
  WriteBatch,
} from "../../core/storage/mod.ts";
import { LogState, manifest } from "../../core/log/mod.ts";
import { decode } from "../../encoding/codec.ts";
import { inFolder } from "../storage/support.ts";
import { test } from "../harness.ts";
import { kept, newRuntime, newStore, replicate, storeWith } from "./support.ts";

const crypto = await loadCryptoProvider();
const text = (value: string) => new TextEncoder().encode(value);
const COUNT = 100;
const blocks = Array.from({ length: COUNT }, (_, index) => text(`block ${index}`));

/** A log of which a peer has a copy, and whose own store `damage` then changes; both are open again, and not connected. */
interface Damaged {
  readonly store: Store;
  readonly log: LogStorage;
  readonly core: Hypercore;
  readonly own: Corestore;
  readonly peer: Corestore;
  readonly copy: Hypercore;
  connect(): Promise<void>;
}

async function withDamaged(
  damage: (writer: LogWriter, log: LogStorage) => unknown,
  body: (damaged: Damaged) => Promise<void>,
  { store = new MemoryStore(), primaryKey = new Uint8Array(32).fill(9) }: {
    store?: Store;
    primaryKey?: Uint8Array;
  } = {},
): Promise<void> {
  const log = await storeWith(store, blocks, primaryKey);
  const key = (await log.auth())!.key;
  const peer = await newStore();
  const copy = await peer.get({ key });
  await copyFrom(store, key, copy, primaryKey);
  const batch = new WriteBatch();
  await damage(batch.log(log), log);
  await store.write(batch);
  const own = await newStore({ primaryKey }, store);
  const core = await own.get({ name: "log" });
  let disconnect = () => {};
  try {
    await body({
      ...{ store, log, core, own, peer, copy },
      connect: async () => void (disconnect = await replicate(own, peer)),
    });
  } finally {
    disconnect();
    await Promise.all([own.close(), peer.close()]);
  }
}

async function copyFrom(
  store: Store,
  key: Uint8Array,
  copy: Hypercore,
  primaryKey: Uint8Array,
): Promise<void> {
  const writer = await newStore({ primaryKey }, kept(store));
  const core = await writer.get({ key });
  const disconnect = await replicate(core, copy);
  await copy.download({ start: 0, end: COUNT }).done();
  disconnect();
  await writer.close();
}

async function isSound(store: Store): Promise<boolean> {
  return (await Array.fromAsync(verifyStore(store, { crypto }))).every(({ problem }) =>
    problem === undefined
  );
}

/** Nothing here tells any more which roots the log has. */
const loseRoots = (writer: LogWriter) => writer.clearNodes(0, 2 * COUNT).clear(3, 4).clear(97, 98);

test("a log without roots reads what is there, and neither signs nor proves", async () => {
  await withDamaged(loseRoots, async ({ core, own, peer, copy }) => {
    assert.equal(core.recovering, true);
    assert.equal(core.length, COUNT);
    assert.deepEqual(await core.get(5), blocks[5]);
    assert.equal(await core.get(3, { wait: false }), undefined);
    const refused = { code: "LOG_DAMAGED", message: /connect to peers that have it, and call recover/ };
    await assert.rejects(core.append("more"), refused);
    await assert.rejects(core.truncate(5), { name: "StorageError" });
    assert.equal(await core.proof({ block: { index: 5, nodes: 0 } }), undefined);
    // One that has nothing is not answered.
    const third = await newStore();
    const reader = await third.get({ key: core.key });
    const disconnect = await replicate(own, third);
    assert.equal(await reader.update(), false);
    disconnect();
    await third.close();
    assert.equal(peer.closed, false);
    assert.equal(copy.length, COUNT);
  });
});

test("a peer brings roots back unasked, and recover brings all the rest", async () => {
  await withDamaged(loseRoots, async ({ core, store, connect }) => {
    const events: string[] = [];
    core.on("repairing", () => events.push("repairing"));
    core.on("repaired", () => events.push("repaired"));
    const repaired = new Promise((resolve) => core.on("repaired", resolve));
    await connect();
    await repaired;
    assert.deepEqual(events, ["repairing", "repaired"]);
    const { nodes, ...counts } = await core.recover();
    assert.ok(nodes > 100, "what is below the roots follows from the blocks");
    assert.deepEqual(counts, { blocks: 4, isLonger: false });
    assert.equal(core.recovering, false);
    assert.equal((await core.append("more")).length, COUNT + 1);
    assert.equal(core.contiguousLength, COUNT + 1);
    assert.ok(await isSound(store));
  });
});

test("any nodes and blocks that are lost come back", async () => {
  for (let at = 0; at < 40; at++) {
    const damage = (writer: LogWriter) =>
      writer.clear(at, at + 3).clear(60, 61).clearNodes(2 * at, 2 * at + 9).clearNodes(100, 130);
    await withDamaged(damage, async ({ core, store, connect }) => {
      await connect();
      await core.recover();
      assert.ok(await isSound(store), `from ${at} on`);
      assert.equal(core.contiguousLength, COUNT);
      for (const [index, block] of blocks.entries()) assert.deepEqual(await core.get(index), block);
    });
  }
});

test("a block that is gone though it is said to be held is fetched when it is read", async () => {
  await withDamaged((writer) => writer.clear(7, 8), async ({ core, store, connect }) => {
    assert.equal(core.recovering, false);
    assert.equal(await core.has(7), true);
    const noticed = new Promise<{ error: Error }>((resolve) =>
      core.on("repairing", ({ detail }) => resolve(detail))
    );
    const reading = core.get(7);
    assert.match((await noticed).error.message, /block 7 is missing/);
    await connect();
    assert.deepEqual(await reading, blocks[7]);
    assert.equal(await core.has(7), true);
    assert.ok(await isSound(store));
  });
});

/** Changes what SQLite has in the rows that `sql` picks, behind the back of the store, which is opened again. */
async function withRotten(
  sql: string,
  body: (core: Hypercore, store: Store, connect: () => Promise<void>) => Promise<void>,
): Promise<void> {
  const primaryKey = new Uint8Array(32).fill(9);
  await inFolder(async (folder) => {
    const path = join(folder, "logs.sqlite");
    const first = await openSqliteStore(path);
    const { discoveryKey } = await storeWith(first, blocks, primaryKey);
    const peer = await newStore();
    const { key } = (await (await first.open(discoveryKey)).auth())!;
    const copy = await peer.get({ key });
    await copyFrom(first, key, copy, primaryKey);
    await first.close();
    const { DatabaseSync } = await import("node:sqlite");
    const database = new DatabaseSync(path);
    const { table } = /FROM (?<table>[a-z]+)/.exec(sql)!.groups!;
    const rows = database.prepare(sql).all() as { value: Uint8Array; id: number | string }[];
    assert.ok(rows.length > 0);
    for (const { id, value } of rows) {
      value[value.length - 1]! ^= 1;
      database.prepare(`UPDATE ${table} SET value = ? WHERE ${table === "named" ? "name" : "id"} = ?`).run(
        value,
        id,
      );
    }
    database.close();
    const store = await openSqliteStore(path);
    const own = await newStore({ primaryKey }, store);
    const core = await own.get({ name: "log" });
    let disconnect = () => {};
    await body(core, store, async () => void (disconnect = await replicate(own, peer)));
    disconnect();
    await Promise.all([own.close(), peer.close()]);
  });
}

test("bytes that have changed in rows of SQLite are noticed when they are read, and fetched again", async () => {
  await withRotten("SELECT id, value FROM block", async (core, store, connect) => {
    assert.equal(core.length, COUNT);
    const reading = Array.fromAsync(core.createReadStream());
    await connect();
    assert.deepEqual(await reading, blocks);
    assert.equal((await core.append("more")).length, COUNT + 1);
    assert.ok(await isSound(store));
  });
});

test("nodes that have changed in rows of SQLite come back, all of them or some", async () => {
  for (const which of ["", " ORDER BY id LIMIT 1", " ORDER BY id DESC LIMIT 1"]) {
    await withRotten(`SELECT id, value FROM node${which}`, async (core, store, connect) => {
      assert.deepEqual(await core.get(5), blocks[5]);
      await connect();
      await core.recover();
      assert.equal((await core.append("more")).length, COUNT + 1);
      assert.ok(await isSound(store));
    });
  }
});

test("who has lost the head takes that of a peer, and signs when nobody has more", async () => {
  await withRotten(
    "SELECT name AS id, value FROM named WHERE name = 'head'",
    async (core, store, connect) => {
      assert.equal(core.recovering, true);
      await assert.rejects(core.append("another"), { code: "LOG_DAMAGED" });
      const repaired = new Promise((resolve) => core.on("repaired", resolve));
      await connect();
      await core.recover();
      await repaired;
      assert.equal(core.recovering, false);
      assert.equal((await core.append("more")).length, COUNT + 1);
      assert.equal(core.contiguousLength, COUNT + 1);
      assert.ok(await isSound(store));
    },
  );
});

test("recovering what is whole, or is mended without peers, does not wait for any", async () => {
  const isWhole = { nodes: 0, blocks: 0, isLonger: false };
  await withDamaged(() => {}, async ({ core, own, peer, connect }) => {
    assert.deepEqual(await core.recover(), isWhole);
    const peers = [new Uint8Array(32).fill(1)];
    const gaveUp = core.recover({ peers, signal: AbortSignal.timeout(50) });
    await assert.rejects(gaveUp, { name: "TimeoutError" });
    assert.equal(core.recovering, false);
    await connect();
    assert.deepEqual(await core.recover(), isWhole);
    assert.equal(own.closed || peer.closed, false);
  });
  await withDamaged((writer) => writer.clearNodes(5, 6), async ({ core, store }) => {
    assert.deepEqual(await core.recover(), { ...isWhole, nodes: 1 });
    assert.ok(await isSound(store));
  });
});

test("who has lost the hints, and may have signed more, waits for a peer", async () => {
  const lose = (writer: LogWriter) =>
    writer.setHints({ contiguousLength: 0, remoteContiguousLength: 0, recovering: true });
  await withDamaged(lose, async ({ core, connect }) => {
    assert.equal(core.recovering, true);
    await assert.rejects(core.recover({ signal: AbortSignal.timeout(50) }), { name: "TimeoutError" });
    assert.equal(core.recovering, true);
    await connect();
    assert.equal((await core.recover()).isLonger, false);
    assert.equal(core.recovering, false);
  });
});

test("no roots but those that the own head is about are taken, whoever signs others", async () => {
  const runtime = newRuntime();
  const store = new MemoryStore();
  const stored = await storeWith(store, blocks);
  const { key, keyPair } = (await stored.auth())!;
  const open = (storage: LogStorage, target: Store) =>
    LogState.open({ runtime, storage, target }, { key, keyPair: keyPair! });
  const all = { upgrade: { start: 0, length: COUNT } };
  const proof = (await (await open(stored, store)).prove(all))!;
  const batch = new WriteBatch();
  loseRoots(batch.log(stored));
  store.write(batch);

  // The same signer has signed something else in another store.
  const forked = new MemoryStore();
  const other = await LogState.open({
    runtime,
    storage: forked.open(stored.discoveryKey),
    target: forked,
  }, { key, keyPair: keyPair!, manifest: decode(manifest, (await stored.auth())!.manifest!) });
  await other.append(blocks.map((block) => Uint8Array.of(...block, 1)));

  const log = await open(stored, store);
  assert.match(log.damage!.message, /roots of its tree are missing/);
  const heard: string[] = [];
  log.observe({
    onRepairing: () => heard.push("repairing"),
    onRepaired: () => heard.push("repaired"),
    onRepairFailed: () => heard.push("failed"),
  });
  assert.equal(await log.restore((await other.prove(all))!), false);
  const [first, ...rest] = proof.upgrade!.nodes;
  const hash = first!.hash.slice().fill(1, 0, 1);
  const forged = { ...proof, upgrade: { ...proof.upgrade!, nodes: [{ ...first!, hash }, ...rest] } };
  await assert.rejects(log.restore(forged), { code: "INVALID_SIGNATURE" });
  await assert.rejects(log.append([text("x")]), { code: "LOG_DAMAGED" });
  assert.equal(await stored.node(63), undefined, "nothing was written");
  assert.deepEqual(heard, ["repairing", "failed", "repairing", "failed"]);
  assert.equal(await log.restore(proof), true);
  assert.deepEqual(heard.slice(4), ["repairing", "repaired"]);
  assert.equal((await log.append([text("x")])).length, COUNT + 1);
});
