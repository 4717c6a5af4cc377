/** A writer whose store is an older copy: it goes on where it was, or refuses, and never signs something else in its place. */
import assert from "node:assert/strict";
import { Hypercore } from "../../core/hypercore.ts";
import { Atom } from "../../core/log/atom.ts";
import { stateOf } from "../../core/hypercore_reader.ts";
import { FaultyStore, MemoryStore, type Store, type StoreCall } from "../../core/storage/mod.ts";
import { seed, wasm } from "../crypto/support.ts";
import { test } from "../harness.ts";
import { newRuntime, replicate } from "./support.ts";

const keyPair = wasm.keyPair(seed(7));

function open(options = {}, store: Store = new MemoryStore()) {
  return Hypercore.open<string>(store, { runtime: newRuntime(), valueEncoding: "utf-8", ...options });
}

/** A reader that has all that a writer has signed, which is gone. */
async function readerOf(write: (writer: Hypercore<string>) => Promise<unknown>): Promise<Hypercore<string>> {
  const writer = await open({ keyPair });
  await write(writer);
  const reader = await open({ key: writer.key });
  const cut = await replicate(writer, reader);
  await reader.update();
  await reader.download({ start: 0, end: reader.length }).done();
  cut();
  await writer.close();
  return reader;
}

/** A writer with the key of `reader`, of which the store has less. */
async function restored(blocks: readonly string[], options = {}, store: Store = new MemoryStore()) {
  const writer = await open({ keyPair, ...options }, store);
  if (blocks.length > 0) await writer.append(blocks);
  await writer.close();
  return await open({ key: writer.key, keyPair, ...options }, store);
}

/** Resolves when `log` knows what its peer says of its log. */
function told(log: Hypercore<string>): Promise<void> {
  return new Promise((resolve) => log.on("peer-state", () => resolve()));
}

for (const active of [true, false]) {
  test(`an older copy of a writer goes on behind what peers have; active: ${active}`, async () => {
    const reader = await readerOf((writer) => writer.append(["a", "b", "c", "d", "e"]));
    const writer = await restored(["a", "b"], { active });
    const events: unknown[] = [];
    const came = new Promise<void>((resolve) => {
      writer.on("rollback", ({ detail }) => {
        events.push(detail);
        resolve();
      });
    });
    const known = told(writer);
    const cut = await replicate(writer, reader);
    await known;
    // One that is active asks its peers by itself, before anything is appended.
    if (active) await came;
    else await assert.rejects(writer.append("x"), { code: "ROLLED_BACK" });
    assert.deepEqual(events, [{ oldFork: 0, oldLength: 2, fork: 0, length: 5 }]);
    assert.deepEqual(await writer.append("f"), { length: 6, byteLength: 6 });
    assert.equal(await reader.get(5), "f");
    assert.equal(await writer.get(4), "e");
    cut();
    await Promise.all([writer.close(), reader.close()]);
  });
}

test("an older copy of a writer that cut its log since then cuts it no other way", async () => {
  const reader = await readerOf(async (writer) => {
    await writer.append(["a", "b", "c"]);
    await writer.truncate(1);
    await writer.append(["B", "C"]);
  });
  const writer = await restored(["a", "b"], { active: false });
  const known = told(writer);
  const cut = await replicate(writer, reader);
  await known;
  await assert.rejects(writer.truncate(0), { code: "ROLLED_BACK" });
  assert.deepEqual([writer.fork, writer.length], [1, 3]);
  await writer.append("D");
  assert.equal(await reader.get(3), "D");
  cut();
  await Promise.all([writer.close(), reader.close()]);
});

test("a commit and an atom are refused as an append is", async () => {
  const reader = await readerOf((writer) => writer.append(["a", "b", "c"]));
  for (const kind of ["commit", "atom"]) {
    const writer = await restored(["a"], { active: false });
    const known = told(writer);
    const cut = await replicate(writer, reader);
    await known;
    if (kind === "commit") {
      const draft = await writer.session({ name: "draft" });
      await draft.append("x");
      await assert.rejects(writer.commit(draft), { code: "ROLLED_BACK" });
      assert.equal(await writer.commit(draft), undefined);
    } else {
      const atom = new Atom(stateOf(writer).log.store);
      const draft = await writer.session({ atom });
      await assert.rejects(draft.append("x"), { code: "ROLLED_BACK" });
    }
    assert.equal(writer.length, 3);
    cut();
    await writer.close();
  }
  await reader.close();
});

test("what was shown and could not be stored is not contradicted", async () => {
  const reader = await readerOf((writer) => writer.append(["a", "b", "c"]));
  let isFull = false;
  const fault = ({ type }: StoreCall) => isFull && type === "write" ? "ENOSPC" : undefined;
  const writer = await restored(["a"], {}, new FaultyStore(new MemoryStore(), { fault }));
  isFull = true;
  const failed = new Promise((resolve) => writer.on("storage-error", resolve));
  const cut = await replicate(writer, reader);
  await failed;
  cut();
  isFull = false;
  assert.equal(writer.length, 1);
  await assert.rejects(writer.append("x"), { code: "ROLLED_BACK" });
  await assert.rejects(writer.truncate(0, { fork: 0 }), { code: "ROLLED_BACK" });
  await writer.truncate(0); // another fork, of which nothing was signed
  await writer.append("x");
  assert.deepEqual([writer.fork, writer.length], [1, 1]);
  await Promise.all([writer.close(), reader.close()]);
});

test("who claims more and proves nothing holds a writer up for a second, once", async () => {
  const reader = await readerOf((writer) => writer.append(["a", "b"]));
  Object.assign(stateOf(reader).log.state, { prove: () => new Promise(() => {}) });
  const writer = await restored(["a"], { active: false });
  const known = told(writer);
  const cut = await replicate(writer, reader);
  await known;
  const start = performance.now();
  const appended = await Promise.all([writer.append("x"), writer.append("y")]);
  assert.deepEqual(appended.map(({ length }) => length), [2, 3]);
  assert.ok(performance.now() - start > 900);
  const then = performance.now();
  await writer.append("z");
  assert.ok(performance.now() - then < 900);
  cut();
  await Promise.all([writer.close(), reader.close()]);
});
