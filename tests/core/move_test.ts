/** Branches that become branches of another log. */
import assert from "node:assert/strict";
import { from } from "../../encoding/from.ts";
import type { Corestore } from "../../core/corestore.ts";
import type { Hypercore } from "../../core/hypercore.ts";
import { replicate, storeTest } from "./support.ts";

const codec = from("utf-8");
const text = { valueEncoding: "utf-8" as const };

async function all(core: Hypercore<string>): Promise<string> {
  let blocks = "";
  for await (const block of core.createReadStream()) blocks += block;
  return blocks;
}

/** Two logs of which the first has a branch. */
async function logs(store: Corestore, second: readonly string[]) {
  const one = await store.get<string>({ name: "one", ...text });
  const two = await store.get<string>({ name: "two", ...text });
  await one.append(["a", "b", "c"]);
  await two.append([...second]);
  const view = await one.session({ name: "view" });
  await view.append(["d", "e"]);
  return { one, two, view };
}

function events(core: Hypercore<string>): string[] {
  const heard: string[] = [];
  core.on("migrate", () => heard.push("migrate"));
  core.on("truncate", ({ detail }) => heard.push(`truncate ${detail.ancestors}`));
  core.on("append", ({ detail }) => heard.push(`append ${detail.length}`));
  return heard;
}

storeTest(
  "a branch that is moved has the blocks of the other log, for all its sessions",
  async (newStore) => {
    const store = await newStore();
    const { one, two, view } = await logs(store, ["a", "b", "c", "d", "e", "f"]);
    const again = await one.session({ name: "view" });
    const child = await view.session();
    const [heard, main] = [events(view), events(one)];
    await view.moveTo(two);
    for (const session of [view, again, child]) {
      assert.deepEqual([session.key, session.name, session.length], [two.key, "view", 6]);
      assert.equal(await all(session), "abcdef");
    }
    assert.deepEqual(heard, ["migrate", "append 6"]);
    await child.append("g");
    assert.deepEqual([view.length, again.length, two.length, one.length], [7, 7, 6, 3]);
    assert.deepEqual(heard, ["migrate", "append 6", "append 7"]);
    assert.deepEqual(main, []);
    assert.deepEqual(await two.commit(view), { length: 7, byteLength: 7 });
    await assert.rejects(one.commit(view), TypeError);
  },
);

storeTest(
  "what another log does not share, or what is behind the length, is told to be cut",
  async (newStore) => {
    const store = await newStore();
    const { two, view } = await logs(store, ["a", "b", "c", "x"]);
    const heard = events(view);
    await view.moveTo(two, { length: 3 });
    assert.deepEqual(heard, ["migrate", "truncate 3"]);
    assert.equal(await all(view), "abc");
    const third = await logs(await newStore(), ["a", "b", "x", "y"]);
    const seen = events(third.view);
    await third.view.moveTo(third.two);
    assert.deepEqual(seen, ["migrate", "truncate 2", "append 4"]);
    const more = await newStore();
    const other = await logs(more, ["x", "b"]);
    const told = events(other.view);
    await other.view.moveTo(other.two);
    assert.deepEqual(told, ["migrate", "truncate 0", "append 2"]);
  },
);

storeTest("snapshots show what they did, and are of the other log", async (newStore) => {
  const store = await newStore();
  const { two, view } = await logs(store, ["a", "b", "c", "x"]);
  const snapshot = await view.snapshot();
  const told = events(snapshot);
  await view.moveTo(two);
  assert.deepEqual(snapshot.key, two.key);
  assert.equal(await all(snapshot), "abcde");
  assert.deepEqual(told, ["migrate"]);
});

storeTest("appends, reads and streams that are under way go on in the other log", async (newStore) => {
  const store = await newStore();
  const { two, view } = await logs(store, ["a", "b", "c", "d", "e", "f"]);
  const late = view.get(6);
  const changed = (async () => {
    const blocks: string[] = [];
    for await (const block of view.createReadStream({ live: true, start: 5 })) {
      if (blocks.push(block) === 2) break;
    }
    return blocks;
  })();
  const moving = view.moveTo(two);
  const appending = view.append("g"); // which waits
  await moving;
  assert.deepEqual(await appending, { length: 7, byteLength: 7 });
  await two.append("h");
  assert.equal(await late, "h", "what is not at hand is asked for as a block of the log");
  assert.deepEqual(await changed, ["f", "g"]);
});

storeTest("a stream of bytes goes on in the other log", async (newStore) => {
  const store = await newStore();
  const { two, view } = await logs(store, ["a", "b", "c", "d", "e", "f", "g"]);
  const bytes = view.createByteStream({ byteLength: 7 });
  const read = async () => new TextDecoder().decode((await bytes.next()).value as Uint8Array);
  let blocks = await read();
  await view.moveTo(two);
  while (blocks.length < 7) blocks += await read();
  assert.equal(blocks, "abcdefg");
});

storeTest("branches that are moved to each other at once change places", async (newStore) => {
  const store = await newStore();
  const { one, two, view } = await logs(store, ["x"]);
  const other = await two.session({ name: "other" });
  await Promise.all([view.moveTo(other), other.moveTo(view)]);
  assert.deepEqual([view.key, await all(view)], [two.key, "x"]);
  assert.deepEqual([other.key, await all(other)], [one.key, "abcde"]);
});

storeTest("a log that its session leaves while a branch is moved to it is not moved to", async (newStore) => {
  const store = await newStore();
  const { one, two, view } = await logs(store, ["a", "x"]);
  const moving = view.moveTo(two);
  const closing = two.close();
  await assert.rejects(moving, { code: "SESSION_CLOSED" });
  await closing;
  assert.deepEqual([view.key, await all(view)], [one.key, "abcde"]);
  await view.append("f");
});

storeTest("weak sessions move along, and close with the last session of the other log", async (newStore) => {
  const store = await newStore();
  const { one, two, view } = await logs(store, ["x", "y"]);
  const weak = await view.session({ weak: true });
  const left = await one.session({ weak: true });
  await one.close();
  await view.moveTo(two);
  assert.deepEqual([weak.closed, weak.key, await all(weak)], [false, two.key, "xy"]);
  assert.equal(left.closed, true);
  await two.close();
  assert.equal(weak.closed, false);
  await view.close();
  assert.equal(weak.closed, true);
});

storeTest("what is moved marks no more", async (newStore) => {
  const store = await newStore();
  const { one, two } = await logs(store, ["x", "y"]);
  await one.startMarking();
  const view = await one.session({ name: "marking" });
  await view.get(1);
  await view.moveTo(two);
  assert.equal(await view.get(0), "x");
  assert.deepEqual(await one.sweep(), { blocks: 2 });
  assert.equal(await one.has(1), true);
  await assert.rejects(two.sweep(), TypeError, "nothing of it was marked");
});

storeTest("what is asked of peers is asked of those of the other log", async (newStore) => {
  const writer = await newStore();
  const reader = await newStore();
  const source = await writer.get<string>({ name: "source", ...text });
  await source.append(["a", "b"]);
  const mine = await reader.get<string>({ name: "mine", ...text });
  const copy = await reader.get<string>({ key: source.key, ...text });
  const view = await mine.session({ name: "view" });
  const waiting = view.get(1);
  const range = view.download({ start: 0, end: 2 });
  const heard: string[] = [];
  view.on("peer-add", () => heard.push("peer-add"));
  const extension = view.registerExtension("hello", { encoding: codec, onmessage: (m) => heard.push(m) });
  await view.moveTo(copy);
  const cut = await replicate(writer, reader);
  assert.deepEqual([await waiting, await range.done()], ["b", true]);
  const theirs = source.registerExtension("hello", { encoding: codec });
  theirs.broadcast("hi");
  await copy.update();
  while (heard.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(heard, ["peer-add", "hi"]);
  extension.destroy();
  cut();
});

storeTest("a branch of that name in the other log is taken, if it is long enough", async (newStore) => {
  const store = await newStore();
  const { two, view } = await logs(store, ["a", "b"]);
  const theirs = await two.session({ name: "view" });
  await theirs.append(["x", "y"]);
  await assert.rejects(view.moveTo(two, { length: 5 }), RangeError);
  assert.equal(await all(view), "abcde", "nothing has moved");
  await view.append("f");
  await view.moveTo(two, { length: 3 });
  assert.deepEqual([await all(view), await all(theirs)], ["abx", "abx"]);
});

storeTest("what cannot be moved is refused", async (newStore) => {
  const store = await newStore();
  const { one, two, view } = await logs(store, ["a"]);
  await assert.rejects(one.moveTo(two), TypeError);
  await assert.rejects(view.moveTo(one), TypeError);
  await assert.rejects((await view.snapshot()).moveTo(two), TypeError);
  await assert.rejects((await view.session({ atom: store.atom() })).moveTo(two), TypeError);
  await assert.rejects(view.moveTo(two, { length: 2 }), RangeError);
  await assert.rejects(view.moveTo(two, { length: -1 }), RangeError);
  await view.close();
  await assert.rejects(view.moveTo(two), { code: "SESSION_CLOSED" });
});

storeTest("a branch that was moved lets go of its old log, and holds the new one", async (newStore) => {
  const store = await newStore();
  const { one, two, view } = await logs(store, ["a", "b", "c", "d"]);
  await view.moveTo(two);
  const left = await one.session({ name: "view" });
  assert.equal(await all(left), "abcde", "what it had is where it was");
  await two.close();
  await view.append("e");
  assert.equal(await all(view), "abcde");
  await view.close();
  assert.equal(left.closed, false);
});

storeTest(
  "a session that keeps a branch open is not put beside another one of that name",
  async (newStore) => {
    const store = await newStore();
    const { one, view } = await logs(store, ["a"]);
    const child = await view.session();
    await view.close();
    const again = await one.session({ name: "view" });
    await again.append("f");
    assert.equal(child.length, 6);
  },
);
