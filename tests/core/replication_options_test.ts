/** What is asked of peers, and when: options of logs that are replicated. */
import assert from "node:assert/strict";
import type { CoreOptions } from "../../core/corestore.ts";
import type { Hypercore } from "../../core/hypercore.ts";
import { type newStore, replicate, storeTest } from "./support.ts";

const text = { valueEncoding: "utf-8" as const };

/** A log of two blocks, its copy in another store, and what cuts their connection. */
async function pair(open: typeof newStore, options: Partial<CoreOptions<string>> = {}) {
  const [left, right] = [await open(), await open()];
  const log = await left.get<string>({ name: "a", ...text });
  await log.append(["0", "1"]);
  const copy = await right.get<string>({ key: log.key, ...text, ...options });
  const cut = await replicate(left, right);
  return { log, copy, right, cut };
}

/** Resolves when the peers of a copy have said how their log stands, and a while for what may follow. */
async function settle(copy: Hypercore<string>): Promise<void> {
  while (!copy.peers.some(({ remoteLength }) => remoteLength > 0)) await pause(1);
  await pause(30);
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

storeTest("a log is brought up to date by itself, unless it is told to wait for update", async (newStore) => {
  const eager = await pair(newStore);
  await settle(eager.copy);
  assert.equal(eager.copy.length, 2);
  eager.cut();

  const lazy = await pair(newStore, { eagerUpgrade: false });
  await settle(lazy.copy);
  assert.equal(lazy.copy.length, 0);
  assert.equal(await lazy.copy.update(), true);
  assert.equal(lazy.copy.length, 2);
  await lazy.log.append("2");
  await settle(lazy.copy);
  assert.equal(lazy.copy.length, 2);
  assert.equal(await lazy.copy.get(2), "2", "who asks for a block gets it");
  lazy.cut();
});

storeTest("the latest block comes along with the length, if that is wanted", async (newStore) => {
  const plain = await pair(newStore);
  await settle(plain.copy);
  assert.deepEqual([plain.copy.length, await plain.copy.has(1)], [2, false]);
  plain.cut();

  const latest = await pair(newStore, { allowLatestBlock: true });
  await settle(latest.copy);
  assert.deepEqual([await latest.copy.has(0), await latest.copy.has(1)], [false, true]);

  latest.copy.setAlwaysLatestBlock(false);
  await latest.log.append("2");
  await settle(latest.copy);
  assert.deepEqual([latest.copy.length, await latest.copy.has(2)], [3, false]);
  latest.copy.setAlwaysLatestBlock(true);
  await latest.log.append("3");
  await settle(latest.copy);
  assert.deepEqual([latest.copy.length, await latest.copy.has(3)], [4, true]);
  latest.cut();
});

storeTest("who takes only what comes unasked asks for nothing, but for what is forced", async (newStore) => {
  const both = await pair(newStore, { pushOnly: true, allowPush: true });
  const { log, copy, cut } = both;
  await settle(copy);
  assert.deepEqual([copy.length, await copy.update()], [0, false]);
  const waiting = copy.get(1);
  const range = copy.download({ start: 0, end: 2 });
  await assert.rejects(copy.get(0, { timeoutMs: 30 }), { code: "REQUEST_TIMEOUT" });
  await log.push(1);
  assert.equal(await waiting, "1");
  assert.equal(copy.length, 2);
  assert.equal(await copy.has(0), false);
  assert.equal(await copy.get(0, { force: true }), "0");
  assert.equal(await range.done(), true);
  cut();
});

storeTest("one session is enough for a log to ask for nothing", async (newStore) => {
  const both = await pair(newStore);
  const { log, copy, right, cut } = both;
  await settle(copy);
  await right.get({ key: log.key, pushOnly: true });
  await log.append("2");
  await settle(copy);
  assert.equal(copy.length, 2);
  cut();
});
