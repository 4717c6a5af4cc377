/** Changes of several logs that are made at once, or not at all. */
import assert from "node:assert/strict";
import { MemoryStore, type Store } from "../../core/storage/mod.ts";
import { utf8 } from "../crypto/support.ts";
import { test } from "../harness.ts";
import { newStore, replicate } from "./support.ts";

const text = { valueEncoding: "utf-8" as const };

function countWrites(store: Store): () => number {
  let writes = 0;
  const { write } = store;
  store.write = (batch) => (writes++, write.call(store, batch));
  return () => writes;
}

test("what is written through an atom is seen there, and elsewhere when it is flushed, in one write", async () => {
  const memory = new MemoryStore();
  const store = await newStore({}, memory);
  const [a, b] = [
    await store.get<string>({ name: "a", ...text }),
    await store.get<string>({ name: "b", ...text }),
  ];
  await a.append(["a0", "a1", "a2"]);
  const atom = store.atom();
  const [draftOfA, draftOfB] = [await a.session({ atom }), await b.session({ atom })];
  const writes = countWrites(memory);
  await draftOfA.append("a3");
  await draftOfA.truncate(2);
  await draftOfA.append(["x", "y"]);
  await draftOfA.clear(0);
  await draftOfB.append("b0");
  await draftOfB.setUserData("k", "v");
  assert.deepEqual(await Array.fromAsync(draftOfA.createReadStream({ start: 1 })), ["a1", "x", "y"]);
  const snapshot = await draftOfA.snapshot();
  await draftOfA.append("z");
  assert.deepEqual(await Array.fromAsync(snapshot.createReadStream({ start: 1 })), ["a1", "x", "y"]);
  assert.deepEqual([a.length, a.fork, b.length, writes()], [3, 0, 0, 0]);
  const told: unknown[] = [];
  a.on("truncate", ({ detail }) => told.push(detail));
  a.on("append", ({ detail }) => told.push(detail));
  await atom.flush();
  assert.equal(writes(), 1);
  assert.deepEqual(told, [{ ancestors: 2, fork: 1 }, { length: 5 }]);
  assert.deepEqual(await Array.fromAsync(a.createReadStream({ start: 1 })), ["a1", "x", "y", "z"]);
  assert.equal(await a.has(0), false);
  assert.deepEqual([await b.get(0), await b.getUserData("k")], ["b0", utf8("v")]);
  await a.append("on");
  assert.equal(a.length, 6);
  const reader = await newStore();
  const cut = await replicate(store, reader);
  const copy = await reader.get<string>({ key: a.key, ...text });
  assert.equal(await copy.get(3), "y");
  await Promise.all([store.close(), reader.close()]);
  cut();
});

test("an atom that comes too late writes nothing at all", async () => {
  const memory = new MemoryStore();
  const store = await newStore({}, memory);
  const [a, b] = [await store.get({ name: "a" }), await store.get({ name: "b" })];
  await a.append("a0");
  const atom = store.atom();
  await (await a.session({ atom })).append("a1");
  await (await b.session({ atom })).append("b0");
  await a.append("meanwhile");
  await assert.rejects(atom.flush(), { code: "INVALID_OPERATION" });
  assert.deepEqual([a.length, b.length], [2, 0]);
  await store.close();
});

test("an atom that is dropped leaves no trace", async () => {
  const store = await newStore();
  const a = await store.get({ name: "a" });
  await a.append("a0");
  const atom = store.atom();
  await (await a.session({ atom })).append("a1");
  atom.drop();
  await atom.flush();
  assert.equal(a.length, 1);
  await store.close();
});

test("branches take part in an atom like logs", async () => {
  const store = await newStore();
  const core = await store.get<string>({ name: "a", ...text });
  await core.append("a0");
  const branch = await core.session({ name: "view" });
  const atom = store.atom();
  await (await branch.session({ atom })).append(["v1", "v2"]);
  await (await core.session({ atom })).append("a1");
  await atom.flush();
  assert.deepEqual([core.length, branch.length], [2, 3]);
  assert.equal(await branch.get(2), "v2");
  await store.close();
});
