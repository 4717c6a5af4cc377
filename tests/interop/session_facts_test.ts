/**
 * What can be seen of groups, marks, branches that are moved, streams, and what is signed, beside a corestore 7:
 *
 *     session_facts.mjs in Node  --JSON-->  facts  =  facts  <--  Corestore
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Corestore, type Hypercore, MemoryStore } from "../../mod.ts";
import { toHex } from "../../encoding/text.ts";
import { test } from "../harness.ts";
import { replicate } from "../core/support.ts";
import { inFolder } from "../storage/support.ts";
import { skip } from "./store_rig.ts";

const script = fileURLToPath(new URL("./reference/session_facts.mjs", import.meta.url));
const [topic, other] = [new Uint8Array(32).fill(7), new Uint8Array(32).fill(8)];
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const text = { valueEncoding: "utf-8" as const };

async function failure(promise: Promise<unknown>): Promise<string> {
  return await promise.then(() => "nothing", ({ code }) => code);
}

async function collect(core: Hypercore<string>): Promise<string[]> {
  return await Array.fromAsync(core.createReadStream());
}

async function groups(store: Corestore) {
  const events: unknown[] = [];
  const one = await store.get({ name: "one", group: topic });
  const two = await store.get({ name: "two" });
  const names = new Map([[toHex(one.key), "one"], [toHex(two.key), "two"]]);
  const notifier = store.notifyGroup(topic);
  notifier.on("update", ({ detail: { key, length, fork } }) => {
    events.push([names.get(toHex(key)), length, fork]);
  });
  await one.append("a");
  await two.append(["1", "2"]);
  await two.setGroup(topic);
  await pause(5);
  await two.append("3");
  await two.truncate(1);
  await (await two.session({ name: "branch" })).append("of the branch");
  const list = async (options = {}) => {
    return (await Array.fromAsync(notifier.updates(options))).map((key) => names.get(toHex(key)));
  };
  const lists = [await list(), await list({ reverse: false }), await list({ since: Date.now() + 1000 })];
  await pause(5);
  await one.append("b");
  lists.push(await list());
  const conflict = await failure(two.setGroup(other));
  notifier.destroy();
  await one.append("c");
  return { events, lists, conflict };
}

async function marks(store: Corestore) {
  const core = await store.get<string>({ name: "marked", ...text });
  await core.append(["0", "1", "2", "3", "4"]);
  await core.startMarking();
  await core.get(1);
  await core.markBlock(3);
  await (await core.session()).get(0);
  const another = await store.get<string>({ name: "marked", ...text });
  await another.sweep();
  const held: boolean[] = [];
  for (let index = 0; index < 5; index++) held.push(await another.has(index));
  return held;
}

async function moves(store: Corestore) {
  const from = await store.get<string>({ name: "from", ...text });
  const to = await store.get<string>({ name: "to", ...text });
  await from.append(["0", "1", "2"]);
  await to.append(["0", "1", "2", "3"]);
  const view = await from.session({ name: "view" });
  await view.append(["3", "4"]);
  const snapshot = await view.snapshot();
  const events: string[] = [];
  for (const [name, core] of [["view", view], ["snapshot", snapshot]] as const) {
    core.on("migrate", ({ detail: { key } }) => {
      events.push(`${name} is of the other log: ${toHex(key) === toHex(to.key)}`);
    });
  }
  await view.moveTo(to, { length: 4 });
  await view.append("after");
  const [blocks, shown] = [await collect(view), await collect(snapshot)];
  return { events: events.sort(), blocks, shown, lengths: [from.length, to.length, view.length] };
}

async function liveStream(store: Corestore) {
  const core = await store.get<string>({ name: "live", ...text });
  await core.append(["0", "1", "2"]);
  const seen: string[] = [];
  const reading = (async () => {
    for await (const block of core.createReadStream({ live: true })) if (seen.push(block) === 4) return;
  })();
  while (seen.length < 3) await pause(1);
  await core.truncate(1);
  await core.append(["x", "y", "z"]);
  await reading;
  return seen;
}

async function signedLengths(store: Corestore) {
  const seen: number[][] = [];
  const core = await store.get({ name: "signed" });
  await core.append(["0", "1", "2", "3", "4"]);
  const parted = await core.session({ name: "parted", checkout: 2 });
  await parted.append(["x", "y", "z"]);
  const ahead = await core.session({ name: "ahead" });
  await ahead.append(["5", "6"]);
  seen.push([parted.signedLength, ahead.signedLength]);
  await core.commit(ahead);
  const snapshot = await core.snapshot();
  seen.push([core.signedLength, ahead.signedLength, snapshot.signedLength]);
  const atom = await core.session({ atom: store.atom() });
  await atom.append("7");
  seen.push([atom.length, atom.signedLength]);
  await core.truncate(3);
  seen.push([core.signedLength, ahead.signedLength, snapshot.signedLength, parted.signedLength]);
  return seen;
}

async function streamsOfCopies(store: Corestore) {
  const core = await store.get({ name: "streamed" });
  await core.append(["0", "1", "2"]);
  const far = await Corestore.open(new MemoryStore());
  const copy = await far.get({ key: core.key });
  const found = far.findingPeers();
  const read = async (stream: AsyncIterable<Uint8Array>) => {
    return (await Array.fromAsync(stream)).map((block) => new TextDecoder().decode(block));
  };
  const reading = Promise.all([
    read(copy.createReadStream()),
    read(copy.createReadStream({ start: 7 })),
    read(copy.createByteStream({ byteOffset: 1 })),
  ]);
  const cut = await replicate(store, far);
  copy.on("append", found, { once: true });
  const streams = await reading;
  cut();
  await far.close();
  return streams;
}

test(
  "groups, marks, moves, streams and what is signed look as with hypercore 11 and corestore 7",
  async () => {
    await inFolder(async (folder) => {
      const { stdout, status } = spawnSync("node", [script, join(folder, "corestore")], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "inherit"],
        timeout: 60_000,
      });
      assert.equal(status, 0, "the reference failed");
      const store = await Corestore.open(new MemoryStore());
      const ours = {
        groups: await groups(store),
        marks: await marks(store),
        moves: await moves(store),
        liveStream: await liveStream(store),
        signedLengths: await signedLengths(store),
        streamsOfCopies: await streamsOfCopies(store),
      };
      assert.deepEqual(ours, JSON.parse(stdout));
      await store.close();
    });
  },
  { skip },
);
