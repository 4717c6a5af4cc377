/** Marks: which blocks are to stay, kept with the log. */
import assert from "node:assert/strict";
import { Hypercore } from "../../core/hypercore.ts";
import { FaultyStore, MemoryStore } from "../../core/storage/mod.ts";
import { MARKS_KEY } from "../../core/storage/storage.ts";
import { test } from "../harness.ts";
import { newRuntime, storeTest } from "./support.ts";

const text = { valueEncoding: "utf-8" as const };

async function held(core: Hypercore<string>): Promise<boolean[]> {
  const all: boolean[] = [];
  for (let index = 0; index < core.length; index++) all.push(await core.has(index));
  return all;
}

/** A store in memory that is there again when it was closed. */
class LastingStore extends MemoryStore {
  override async close(): Promise<void> {}
}

storeTest(
  "what one session has marked, another one sweeps, also after the store was closed",
  async (newStore) => {
    const store = new LastingStore();
    {
      const logs = await newStore({}, store);
      const core = await logs.get<string>({ name: "m", ...text });
      await core.append(["0", "1", "2", "3", "4"]);
      await core.startMarking();
      await core.get(1);
      await core.markBlock(3);
      await core.get(0);
      await logs.close();
    }
    const logs = await newStore({}, store);
    const core = await logs.get<string>({ name: "m", ...text });
    assert.deepEqual(await core.sweep(), { blocks: 2 });
    assert.deepEqual(await held(core), [true, true, false, true, false]);
    assert.deepEqual(await store.open(core.discoveryKey).userDataKeys(MARKS_KEY), []);
    await assert.rejects(core.sweep(), TypeError, "the marks are gone");
  },
);

storeTest(
  "beginning to mark forgets what was marked, and what is made of a session that marks marks as well",
  async (newStore) => {
    const logs = await newStore();
    const core = await logs.get<string>({ name: "m", ...text });
    await core.append(["0", "1", "2", "3"]);
    await core.markBlock(0);
    await core.startMarking();
    await assert.rejects(core.startMarking(), TypeError);
    const child = await core.session();
    const snapshot = await core.snapshot();
    await child.get(2);
    await snapshot.get(3);
    await assert.rejects(snapshot.sweep(), TypeError);
    await core.sweep();
    assert.deepEqual(await held(core), [false, false, true, true]);
  },
);

test("marks reach over pages, end with the log, and are as large as what they say", async () => {
  const store = new MemoryStore();
  const core = await Hypercore.open(store, { runtime: newRuntime() });
  const length = 40_000;
  await core.append(Array.from({ length }, () => "x"));
  await core.markBlock(32_760, Infinity);
  await core.markBlock(3);
  const log = store.open(core.discoveryKey);
  const sizes = (await log.userDataKeys(MARKS_KEY)).toSorted().map((key) => log.userData(key));
  assert.deepEqual(await Promise.all(sizes).then((pages) => pages.map((page) => page!.length)), [
    4096,
    (length - 32_768) / 8,
  ]);
  assert.deepEqual(await core.sweep(), { blocks: 32_759 });
  assert.equal(await core.has(32_760, length), true);
  assert.deepEqual([await core.has(3), await core.has(32_759)], [true, false]);
  await core.close();
});

storeTest("many gaps are swept", async (newStore) => {
  const logs = await newStore();
  const core = await logs.get<string>({ name: "gaps", ...text });
  await core.append(Array.from({ length: 1400 }, (_, i) => `${i}`));
  await core.startMarking();
  for (let i = 1; i < 1400; i += 2) await core.get(i);
  assert.deepEqual(await core.sweep(), { blocks: 700 });
  for (let i = 0; i < 1400; i++) assert.equal(await core.has(i), i % 2 === 1);
  assert.equal(await core.get(1399), "1399");
  await logs.close();
});

storeTest("what streams read is marked", async (newStore) => {
  const logs = await newStore();
  const core = await logs.get<string>({ name: "m", ...text });
  const length = 60; // more than are read at once
  await core.append(Array.from({ length }, (_, i) => String(i % 10)));
  await core.startMarking();
  for await (const _ of core.createReadStream({ start: 1, end: 20 }));
  for await (const _ of core.createReadStream({ start: 20, end: 40, reverse: true }));
  for await (const _ of core.createByteStream({ byteOffset: 40, byteLength: 19 }));
  assert.deepEqual(await core.sweep(), { blocks: 2 });
  assert.deepEqual([await core.has(0), await core.has(1, 59), await core.has(59)], [false, true, false]);
});

storeTest("what is appended while others are dropped stays", async (newStore) => {
  const logs = await newStore();
  const core = await logs.get<string>({ name: "m", ...text });
  await core.append(["0", "1", "2", "3"]);
  await core.markBlock(1);
  await core.markBlock(3);
  const [swept] = await Promise.all([core.sweep(), core.append("4")]);
  assert.deepEqual(swept, { blocks: 2 });
  assert.deepEqual(await held(core), [false, true, false, true, true]);
});

storeTest("blocks of branches and in atoms are not marked", async (newStore) => {
  const logs = await newStore();
  const core = await logs.get<string>({ name: "m", ...text });
  await core.append("0");
  for (const options of [{ name: "branch" }, { atom: logs.atom() }]) {
    const session = await core.session(options);
    await assert.rejects(session.startMarking(), TypeError);
    await assert.rejects(session.markBlock(0), TypeError);
    await assert.rejects(session.sweep(), TypeError);
  }
});

storeTest("clearing the marks ends marking", async (newStore) => {
  const logs = await newStore();
  const core = await logs.get<string>({ name: "m", ...text });
  await core.append(["0", "1"]);
  await core.startMarking();
  await core.get(0);
  await core.clearMarkings();
  await core.get(1);
  await assert.rejects(core.sweep(), TypeError);
});

test("marks that could not be written are told of, and not forgotten", async () => {
  let isFull = false;
  const store = new FaultyStore(new MemoryStore(), {
    fault: ({ type }) => isFull && type === "write" ? "ENOSPC" : undefined,
  });
  const core = await Hypercore.open(store, { runtime: newRuntime() });
  await core.append(["0", "1"]);
  isFull = true;
  await assert.rejects(core.markBlock(1), { code: "DISK_FULL" });
  isFull = false;
  assert.deepEqual(await core.sweep(), { blocks: 1 });
  await core.close();
});

test("marks that make no sense are told of, and can be begun anew", async () => {
  const core = await Hypercore.open(new MemoryStore(), { runtime: newRuntime() });
  await core.append(["0", "1"]);
  await core.setUserData(MARKS_KEY + "x", "1");
  await assert.rejects(core.sweep(), { code: "STORE_CORRUPT" });
  await core.startMarking();
  await core.get(0);
  assert.deepEqual(await core.sweep(), { blocks: 1 });
  await core.close();
});
