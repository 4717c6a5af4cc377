/** Groups of logs: who is of which, and who is told. */
import assert from "node:assert/strict";
import { Hypercore } from "../../core/hypercore.ts";
import type { GroupNotifier, GroupUpdatesOptions } from "../../core/group_notifier.ts";
import { MemoryStore } from "../../core/storage/mod.ts";
import { toHex } from "../../encoding/text.ts";
import { seed } from "../crypto/support.ts";
import { test } from "../harness.ts";
import { newRuntime, replicate, storeTest } from "./support.ts";

const [topic, other] = [seed(1), seed(2)];

async function listed(notifier: GroupNotifier, options?: GroupUpdatesOptions): Promise<string[]> {
  const keys: string[] = [];
  for await (const key of notifier.updates(options)) keys.push(toHex(key));
  return keys;
}

/** A runtime whose wall time is set by hand. */
function clocked() {
  const runtime = newRuntime();
  const time = { now: 1000 };
  Object.defineProperty(runtime.clock, "wallTime", { value: () => time.now });
  return { runtime, time };
}

storeTest(
  "whoever waits for a group hears of each change of its logs, and of no other log",
  async (newStore) => {
    const store = await newStore();
    const part = store.session();
    const heard: string[] = [];
    const notifier = store.notifyGroup(topic);
    notifier.on("update", ({ detail: { length, fork } }) => heard.push(`update ${length} ${fork}`));
    const elsewhere = store.notifyGroup(other);
    elsewhere.on("update", () => heard.push("the other group"));
    part.on("group-active", ({ detail }) => {
      assert.deepEqual([detail.topic, detail.key], [topic, log.key]);
      heard.push(`active ${detail.length}`);
    });
    const log = await store.get({ name: "one", group: topic });
    const loner = await store.get({ name: "two" });
    await log.append(["a", "b"]);
    await loner.append("c");
    await log.truncate(1);
    const draft = await log.session({ name: "draft" });
    await draft.append("d");
    assert.deepEqual(heard, ["active 2", "update 2 0", "active 1", "update 1 1"].toSorted(order(heard)));
    notifier.destroy();
    heard.length = 0;
    await log.append("e");
    assert.deepEqual(heard, ["active 2"]);
  },
);

/** Who is told first of a change does not matter. */
function order(heard: readonly string[]) {
  return (a: string, b: string) => heard.indexOf(a) - heard.indexOf(b);
}

storeTest("the logs of a group are listed by when they changed, the latest first", async (newStore) => {
  const { runtime, time } = clocked();
  const store = await newStore({ runtime });
  const one = await store.get({ name: "one", group: topic });
  const two = await store.get({ name: "two" });
  await store.get({ name: "three", group: topic }); // which never has blocks
  await one.append("a");
  time.now = 2000;
  await two.append("b");
  await two.setGroup(topic);
  const notifier = store.notifyGroup(topic);
  const [first, second] = [toHex(one.key), toHex(two.key)];
  assert.deepEqual(await listed(notifier), [second, first]);
  assert.deepEqual(await listed(notifier, { reverse: false }), [first, second]);
  assert.deepEqual(await listed(notifier, { since: 2000 }), [second]);
  time.now = 3000;
  await one.append("c");
  assert.deepEqual(await listed(notifier), [first, second]);
  assert.deepEqual(await listed(notifier, { since: 3001 }), []);
  const nobody = store.notifyGroup(other);
  assert.deepEqual(await listed(nobody), []);
});

storeTest("a log stays in its group", async (newStore) => {
  const store = await newStore();
  const log = await store.get({ name: "one" });
  assert.equal(log.group, undefined);
  await log.setGroup(topic);
  await log.setGroup(topic);
  assert.deepEqual(log.group, topic);
  await assert.rejects(log.setGroup(other), { code: "STORAGE_CONFLICT" });
  await assert.rejects(store.get({ name: "one", group: other }), { code: "STORAGE_CONFLICT" });
  assert.deepEqual((await store.get({ name: "one", group: topic })).group, topic);
  await assert.rejects(log.setGroup(topic.subarray(1)), RangeError);
  assert.throws(() => store.notifyGroup(topic.subarray(1)), RangeError);
});

test("the group is kept with the log, also with one that stands alone", async () => {
  const store = new MemoryStore();
  const log = await Hypercore.open(store, { runtime: newRuntime(), group: topic });
  const { key } = log;
  await log.close();
  const again = await Hypercore.open(store, { runtime: newRuntime(), key });
  assert.deepEqual(again.group, topic);
  await again.close();
});

storeTest("what a peer brings is news for a group as well", async (newStore) => {
  const writer = await newStore();
  const reader = await newStore();
  const log = await writer.get({ name: "one" });
  await log.append("a");
  const notifier = reader.notifyGroup(topic);
  const { promise, resolve } = Promise.withResolvers<number>();
  notifier.on("update", ({ detail }) => resolve(detail.length));
  await reader.get({ key: log.key, group: topic });
  const cut = await replicate(writer, reader);
  assert.equal(await promise, 1);
  cut();
});
