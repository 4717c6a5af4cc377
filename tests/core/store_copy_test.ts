/**
 * Copying stores, and checking what is in them: what comes over, what is refused, what is found.
 */
import assert from "node:assert/strict";
import {
  copyStore,
  Corestore,
  loadCryptoProvider,
  loadSystemRuntime,
  statStore,
  verifyStore,
} from "../../core/mod.ts";
import { FaultyStore, type LogStorage, MemoryStore, type Store, WriteBatch } from "../../core/storage/mod.ts";
import type { LogWriter } from "../../core/storage/mod.ts";
import { V11Store } from "../../core/storage/v11/store.ts";
import { HeldBits } from "../../core/held_bits.ts";
import { crc32c } from "../../core/storage/rocksdb/crc32c.ts";
import { toHex } from "../../encoding/text.ts";
import { test } from "../harness.ts";
import { memoryFolder, recordedStore } from "../storage/rocksdb/recorded.ts";

const crypto = await loadCryptoProvider();
const runtime = await loadSystemRuntime();
const text = (value: string) => new TextEncoder().encode(value);
const PRIMARY_KEY = new Uint8Array(32).fill(5);

/** A store that stays open when what is built on it closes. */
function kept(store: Store): Store {
  return new Proxy(store, {
    get: (target, name) => {
      if (name === "close") return () => target.sync();
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** Calls `body` with a corestore over `store`. */
async function withCorestore(store: Store, body: (corestore: Corestore) => Promise<void>): Promise<void> {
  const corestore = await Corestore.open(kept(store), { runtime, primaryKey: PRIMARY_KEY });
  await body(corestore);
  await corestore.close();
}

/** Appends `count` blocks to the log of a name. */
async function append(store: Store, name: string, count: number, what = "block"): Promise<void> {
  await withCorestore(store, async (corestore) => {
    const core = await corestore.get({ name });
    const { length } = core;
    await core.append(Array.from({ length: count }, (_, i) => text(`${what} ${length + i}`)));
  });
}

/** A store with a few logs. */
async function someStore(): Promise<MemoryStore> {
  const store = new MemoryStore();
  await append(store, "one", 1);
  await append(store, "many", 3000);
  await withCorestore(store, async (corestore) => {
    const core = await corestore.get({ name: "cleared" });
    await core.append(Array.from({ length: 50 }, (_, i) => text(`block ${i}`)));
    await core.clear(10, 20);
    await core.truncate(45);
    await core.append(text("after"));
    const secret = await corestore.get({ name: "secret", encryption: new Uint8Array(32).fill(1) });
    await secret.append([text("hidden"), text("too")]);
  });
  return store;
}

async function logsOf(store: Store): Promise<LogStorage[]> {
  const logs: LogStorage[] = [];
  for await (const key of store.list()) logs.push(await store.open(key));
  return logs.sort((a, b) => toHex(a.discoveryKey) < toHex(b.discoveryKey) ? -1 : 1);
}

/** All that a copy must bring over of a log. */
async function contentsOf(log: LogStorage): Promise<unknown> {
  const head = await log.head();
  const blocks = await log.blocks(0, Infinity, Infinity);
  const userData: [string, unknown][] = [];
  for (const key of (await log.userDataKeys("")).toSorted()) userData.push([key, await log.userData(key)]);
  return {
    key: toHex(log.discoveryKey),
    auth: await log.auth(),
    head,
    contiguousLength: (await log.hints())?.contiguousLength ?? 0,
    blocks: blocks.map(({ index, value }) => [index, toHex(value)]),
    held: await Array.fromAsync(
      new HeldBits(log).pages(head?.length ?? 0),
      ({ page, value }) => [page, crc32c(value)],
    ),
    roots: head === undefined ? [] : await log.nodes([0, 1, 3]),
    userData,
  };
}

async function assertSame(a: Store, b: Store): Promise<void> {
  const [of, to] = [await logsOf(a), await logsOf(b)];
  assert.deepEqual(await Promise.all(to.map(contentsOf)), await Promise.all(of.map(contentsOf)));
}

/** Changes the log of `store` that has `length` blocks, behind the back of whoever wrote it. */
async function tamper(
  store: Store,
  length: number,
  change: (writer: LogWriter, log: LogStorage) => unknown,
): Promise<void> {
  for (const log of await logsOf(store)) {
    if ((await log.head())?.length !== length) continue;
    const batch = new WriteBatch();
    await change(batch.log(log), log);
    await store.write(batch);
    return;
  }
  assert.fail(`there is no log of ${length} blocks`);
}

test("a copy has all that the logs had, with their keys and names, and the primary key", async () => {
  const [source, target] = [await someStore(), new MemoryStore()];
  const { logs, records } = await copyStore(source, target, { crypto, maxBatchBytes: 500 });
  assert.deepEqual(logs.map(({ verdict }) => verdict), Array(4).fill("copied"));
  assert.deepEqual(records, [{ name: "primaryKey", verdict: "copied" }]);
  await assertSame(source, target);
  assert.deepEqual(target.record("primaryKey"), PRIMARY_KEY);
  for await (const { problem, blocks, length } of verifyStore(target, { crypto })) {
    assert.equal(problem, undefined);
    assert.equal(blocks, length === 46 ? 36 : length);
  }
  await withCorestore(target, async (corestore) => {
    const core = await corestore.get({ name: "many" });
    assert.equal(core.length, 3000);
    await core.append(text("one more"));
  });
});

test("a second copy writes nothing, and one after the logs have grown writes what is new", async () => {
  const [source, target] = [await someStore(), new MemoryStore()];
  await copyStore(source, target, { crypto });
  const frozen = new FaultyStore(target, { fault: ({ type }) => type === "write" ? "EIO" : undefined });
  const again = await copyStore(source, frozen, { crypto });
  assert.deepEqual(again.logs.map(({ verdict, blocks }) => [verdict, blocks]), Array(4).fill(["present", 0]));
  await append(source, "many", 10);
  const { logs } = await copyStore(source, target, { crypto });
  assert.equal(logs.reduce((sum, { blocks }) => sum + blocks, 0), 10);
  await assertSame(source, target);
});

test("a log that has gone on in the target is not set back, and gets blocks that it lacks", async () => {
  const [source, target] = [await someStore(), new MemoryStore()];
  await copyStore(source, target, { crypto });
  await append(target, "many", 5);
  await withCorestore(
    target,
    async (corestore) => void await (await corestore.get({ name: "many" })).clear(7, 9),
  );
  const { logs } = await copyStore(source, target, { crypto });
  const many = logs.find(({ length }) => length === 3000)!;
  assert.deepEqual([many.verdict, many.blocks], ["copied", 2]);
  const [log] = (await logsOf(target)).filter((log) => toHex(log.discoveryKey) === toHex(many.discoveryKey));
  assert.equal((await log!.head())!.length, 3005);
  assert.equal(new TextDecoder().decode((await log!.block(8))!), "block 8");
});

test("a log that has another history in the target stays as it is there", async () => {
  const [source, target] = [await someStore(), new MemoryStore()];
  await append(target, "many", 4, "other");
  await append(target, "one", 3, "other");
  const { logs, records } = await copyStore(source, target, { crypto });
  const conflicts = logs.filter(({ verdict }) => verdict === "conflict");
  assert.deepEqual(conflicts.map(({ length }) => length).sort(), [1, 3000]);
  for (const { reason } of conflicts) assert.match(reason!, /of another history/);
  assert.deepEqual(records.map(({ verdict }) => verdict), ["withheld"]);
  const lengths = await Promise.all((await logsOf(target)).map(async (log) => (await log.head())!.length));
  assert.deepEqual(lengths.sort((a, b) => a - b), [2, 3, 4, 46]);
});

test("a log that is known not to be trusted is so in the target as well", async () => {
  const [source, target] = [await someStore(), new MemoryStore()];
  await copyStore(source, target, { crypto });
  await tamper(source, 46, async (writer, log) => writer.setAuth({ ...(await log.auth())!, flags: 1 }));
  await copyStore(source, target, { crypto });
  await assertSame(source, target);
});

test("a store with another primary key keeps it", async () => {
  const [source, target] = [await someStore(), new MemoryStore()];
  target.write(new WriteBatch().setRecord("primaryKey", new Uint8Array(32)).setRecord("mine", text("a")));
  const { records } = await copyStore(source, target, { crypto });
  assert.deepEqual(records, [{ name: "primaryKey", verdict: "conflict" }]);
  assert.deepEqual(target.record("primaryKey"), new Uint8Array(32));
});

const DAMAGES: Record<string, [RegExp, (writer: LogWriter, log: LogStorage) => unknown]> = {
  "a block with another byte": [
    /block 5 is not what was written/,
    (writer) => writer.putBlock(5, text("block X")),
  ],
  "a block that is gone": [/block 7 is missing/, (writer) => writer.clear(7, 8)],
  "a bit too many": [/block 30 is missing/, async (writer, log) => {
    const page = (await new HeldBits(log).page(0)).slice();
    page[3]! |= 1 << 6;
    writer.clear(30, 31);
    writer.putBitfieldPage(0, page);
  }],
  "a node with another hash": [/do not add up/, async (writer, log) => {
    writer.putNode({ ...(await log.node(9))!, hash: new Uint8Array(32) });
  }],
  "a node with another size": [/do not add up/, async (writer, log) => {
    writer.putNode({ ...(await log.node(4))!, size: 9 });
  }],
  "a root that is gone": [/root \d+ of the tree is missing/, (writer) => writer.clearNodes(31, 32)],
  "a head with another hash": [/do not add up to the hash/, async (writer, log) => {
    writer.setHead({ ...(await log.head())!, rootHash: new Uint8Array(32) });
  }],
  "a head with another fork": [/signature of the head/, async (writer, log) => {
    writer.setHead({ ...(await log.head())!, fork: 7 });
  }],
  "a head without signature": [/signature of the head/, async (writer, log) => {
    writer.setHead({ ...(await log.head())!, signature: new Uint8Array(0) });
  }],
  "the keys of another log": [/discovery key of another/, async (writer, log) => {
    writer.setAuth({ ...(await log.auth())!, key: new Uint8Array(32) });
  }],
};

for (const [what, [reason, change]] of Object.entries(DAMAGES)) {
  test(`damage is found, told, and not copied: ${what}`, async () => {
    const [source, target] = [await someStore(), new MemoryStore()];
    await tamper(source, 46, change);
    const { logs, records } = await copyStore(source, target, { crypto });
    const damaged = logs.filter(({ verdict }) => verdict === "damaged");
    assert.equal(damaged.length, 1);
    assert.match(damaged[0]!.reason!, reason);
    assert.deepEqual(records.map(({ verdict }) => verdict), ["withheld"]);
    assert.equal(logs.filter(({ verdict }) => verdict === "copied").length, 3);
    for await (const { problem } of verifyStore(target, { crypto })) assert.equal(problem, undefined);
    const problems: string[] = [];
    for await (const { problem } of verifyStore(source, { crypto })) if (problem) problems.push(problem);
    assert.equal(problems.length, 1);
    assert.match(problems[0]!, reason);
  });
}

test("a manifest that is not understood is no damage, and the log is not copied", async () => {
  const [source, target] = [await someStore(), new MemoryStore()];
  await tamper(source, 46, async (writer, log) => {
    writer.setAuth({ ...(await log.auth())!, manifest: Uint8Array.of(9, 1, 2) });
  });
  const { logs } = await copyStore(source, target, { crypto });
  const [other] = logs.filter(({ verdict }) => verdict !== "copied");
  assert.equal(other!.verdict, "unsupported");
  assert.match(other!.reason!, /manifest is not understood/);
});

test("blocks without a bit are of no use, and stay behind", async () => {
  const [source, target] = [await someStore(), new MemoryStore()];
  await tamper(source, 46, (writer) => writer.putBlock(15, text("stray")));
  const { logs } = await copyStore(source, target, { crypto });
  assert.ok(logs.every(({ verdict }) => verdict === "copied"));
  const [log] = (await logsOf(target)).filter((log) => (log.head() as { length: number }).length === 46);
  assert.equal(await log!.block(15), undefined);
  assert.notEqual(await log!.block(25), undefined);
});

test("a dry run checks everything and writes nothing", async () => {
  const [source, inner] = [await someStore(), new MemoryStore()];
  const target = new FaultyStore(inner, { fault: ({ type }) => type === "read" ? undefined : "EIO" });
  const { logs, records } = await copyStore(source, target, { crypto, isDryRun: true });
  assert.deepEqual(logs.map(({ verdict }) => verdict), Array(4).fill("copied"));
  assert.equal(logs.reduce((sum, { blocks }) => sum + blocks, 0), 1 + 3000 + 36 + 2);
  assert.deepEqual(records.map(({ verdict }) => verdict), ["copied"]);
  assert.deepEqual(await logsOf(inner), []);
});

test("an aborted copy ends with its reason, after a batch, and another one goes on", async () => {
  const [source, target] = [await someStore(), new MemoryStore()];
  const controller = new AbortController();
  const reason = new Error("enough");
  let batches = 0;
  const aborted = copyStore(source, target, {
    crypto,
    maxBatchBytes: 1000,
    signal: controller.signal,
    onProgress: ({ blocks, length }) => {
      assert.ok(blocks <= length);
      if (++batches === 6) controller.abort(reason);
    },
  });
  await assert.rejects(aborted, reason);
  assert.equal(batches, 6);
  assert.equal(target.record("primaryKey"), undefined);
  await copyStore(source, target, { crypto });
  await assertSame(source, target);
});

test("no log can be written in the target before all of it is there", async () => {
  const [source, target] = [await someStore(), new MemoryStore()];
  const seen: boolean[] = [];
  await copyStore(source, target, {
    crypto,
    maxBatchBytes: 1000,
    onProgress({ discoveryKey, blocks }) {
      const log = target.open(discoveryKey);
      const isWritable = (log.auth() as { keyPair?: unknown }).keyPair !== undefined;
      const isWhole = log.blocks(0, Infinity, Infinity) as readonly unknown[];
      seen.push(isWritable);
      if (isWritable) assert.ok(isWhole.length === blocks, "it can be written to, and blocks are missing");
    },
  });
  assert.ok(seen.includes(true) && seen.includes(false));
});

test("an overlay comes along, and shares what it shared", async () => {
  const { facts, files } = recordedStore();
  const [source, target] = [new V11Store(memoryFolder(files)), new MemoryStore()];
  const { logs } = await copyStore(source, target, { crypto });
  const notes = logs.flatMap(({ notes }) => notes);
  assert.deepEqual(notes, ["3 blocks were left out, since nodes that would prove them are missing"]);
  const wanted = facts.logs[0]!;
  const [log] = (await logsOf(target)).filter((log) => toHex(log.discoveryKey) === wanted.discoveryKey);
  const [there, here] = [source.open(log!.discoveryKey).overlay("branch"), log!.overlay("branch")];
  assert.deepEqual(await here.head(), await there.head());
  for (let index = 3; index < 46; index++) {
    assert.deepEqual(await here.block(index), await there.block(index));
  }
  assert.deepEqual(await here.userDataKeys(""), []);
  for await (const { problem } of verifyStore(target, { crypto })) assert.equal(problem, undefined);
  assert.ok((await copyStore(source, target, { crypto })).logs.every(({ verdict }) => verdict === "present"));
  const corestore = await Corestore.open(target, { runtime });
  const branch = await corestore.get({ name: "in tables", branch: "branch" });
  assert.equal(branch.length, wanted.length + 2);
  assert.equal(new TextDecoder().decode((await branch.get(wanted.length))!), "of the branch");
  assert.equal(new TextDecoder().decode((await branch.get(8))!.subarray(0, 8)), "block 8 ");
  await corestore.close();
});

test("blocks that lack what proves them stay behind, or come along if one asks for them", async () => {
  const source = new V11Store(memoryFolder(recordedStore().files));
  for (const keepsUnproven of [false, true]) {
    const target = new MemoryStore();
    const { logs } = await copyStore(source, target, { crypto, keepsUnproven });
    assert.deepEqual(logs.map(({ verdict }) => verdict), ["copied", "copied", "copied"]);
    const { discoveryKey, blocks, held } = logs.find(({ length }) => length === 43)!;
    assert.equal(blocks, keepsUnproven ? held : held - 3);
    const log = target.open(discoveryKey);
    assert.deepEqual(
      await log.block(1),
      keepsUnproven ? await source.open(discoveryKey).block(1) : undefined,
    );
  }
  const problems: string[] = [];
  for await (const { problem } of verifyStore(source, { crypto })) if (problem) problems.push(problem);
  assert.deepEqual(problems, ["block 0 is held, but nodes that prove it are missing"]);
});

test("what is in a store is told without reading blocks", async () => {
  const source = await someStore();
  const logs = [];
  for await (const log of statStore(source)) logs.push(log);
  const [one, secret, cleared, many] = logs.sort((a, b) => a.length - b.length);
  assert.deepEqual([one!.length, one!.held, one!.bytes, one!.isWritable], [1, 1, 7, true]);
  assert.deepEqual([secret!.length, secret!.bytes], [2, 6 + 3 + 16]);
  assert.deepEqual([cleared!.length, cleared!.held, cleared!.fork], [46, 36, 1]);
  assert.equal(
    many!.bytes,
    Array.from({ length: 3000 }, (_, i) => `block ${i}`.length).reduce((a, b) => a + b),
  );
});
