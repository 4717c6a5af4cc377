/**
 * Does with a corestore 7 what `session_facts_test.ts` does with ours, and prints what could be seen as JSON.
 *
 *   node session_facts.mjs FOLDER
 */
import { Buffer } from "node:buffer";
import Corestore from "corestore";

const store = new Corestore(process.argv[2], { allowBackup: true });
await store.ready();
const [topic, other] = [Buffer.alloc(32, 7), Buffer.alloc(32, 8)];
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const failure = (promise) => promise.then(() => "nothing", ({ code }) => code);

async function groups() {
  const names = new Map();
  const events = [];
  const one = store.get({ name: "one", group: topic });
  const two = store.get({ name: "two" });
  for (const [name, core] of [["one", one], ["two", two]]) {
    await core.ready();
    names.set(core.key.toString("hex"), name);
  }
  const notifier = store.notifyGroup(topic);
  notifier.on(
    "update",
    ({ key, length, fork }) => events.push([names.get(key.toString("hex")), length, fork]),
  );
  await one.append("a");
  await two.append(["1", "2"]);
  await two.setGroup(topic);
  await pause(5);
  await two.append("3");
  await two.truncate(1);
  const branch = two.session({ name: "branch" });
  await branch.append("of the branch");
  const list = async (options) => {
    const keys = [];
    for await (const key of notifier.updates(options)) keys.push(names.get(key.toString("hex")));
    return keys;
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

async function marks() {
  const core = store.get({ name: "marked" });
  await core.append(["0", "1", "2", "3", "4"]);
  await core.startMarking();
  await core.get(1);
  await core.markBlock(3);
  await core.session().get(0);
  const another = store.get({ name: "marked" });
  await another.sweep();
  const held = [];
  for (let index = 0; index < 5; index++) held.push(await another.has(index));
  return held;
}

async function moves() {
  const [from, to] = [store.get({ name: "from" }), store.get({ name: "to" })];
  await from.append(["0", "1", "2"]);
  await to.append(["0", "1", "2", "3"]);
  const view = from.session({ name: "view" });
  await view.append(["3", "4"]);
  const snapshot = view.snapshot();
  await snapshot.ready();
  const events = [];
  for (const [name, core] of [["view", view], ["snapshot", snapshot]]) {
    core.on("migrate", (key) => events.push(`${name} is of the other log: ${key.equals(to.key)}`));
  }
  await view.state.moveTo(to, 4);
  await view.append("after");
  const blocks = [];
  for (let index = 0; index < view.length; index++) blocks.push(String(await view.get(index)));
  const shown = [];
  for (let index = 0; index < snapshot.length; index++) shown.push(String(await snapshot.get(index)));
  return { events: events.sort(), blocks, shown, lengths: [from.length, to.length, view.length] };
}

async function liveStream() {
  const core = store.get({ name: "live" });
  await core.append(["0", "1", "2"]);
  const seen = [];
  const stream = core.createReadStream({ live: true });
  stream.on("data", (block) => seen.push(String(block)));
  stream.on("error", () => {});
  while (seen.length < 3) await pause(1);
  await core.truncate(1);
  await core.append(["x", "y", "z"]);
  while (seen.length < 4) await pause(1);
  stream.destroy();
  return seen;
}

async function signedLengths() {
  const seen = [];
  const core = store.get({ name: "signed" });
  await core.append(["0", "1", "2", "3", "4"]);
  const parted = core.session({ name: "parted", checkout: 2 });
  await parted.append(["x", "y", "z"]);
  const ahead = core.session({ name: "ahead" });
  await ahead.append(["5", "6"]);
  seen.push([parted.signedLength, ahead.signedLength]);
  await core.commit(ahead);
  const snapshot = core.snapshot();
  await snapshot.ready();
  seen.push([core.signedLength, ahead.signedLength, snapshot.signedLength]);
  const atom = core.session({ atom: core.state.storage.createAtom() });
  await atom.append("7");
  seen.push([atom.length, atom.signedLength]);
  await core.truncate(3);
  seen.push([core.signedLength, ahead.signedLength, snapshot.signedLength, parted.signedLength]);
  return seen;
}

/** What streams read of a log that a peer has, when they are opened before it is there. */
async function streamsOfCopies() {
  const core = store.get({ name: "streamed" });
  await core.append(["0", "1", "2"]);
  const far = new Corestore(`${process.argv[2]}-far`, { allowBackup: true });
  const copy = far.get({ key: core.key });
  await copy.ready();
  const found = far.findingPeers();
  const read = async (stream) => {
    const all = [];
    for await (const block of stream) all.push(String(block));
    return all;
  };
  const reading = Promise.all([
    read(copy.createReadStream()),
    read(copy.createReadStream({ start: 7 })),
    read(copy.createByteStream({ byteOffset: 1 })),
  ]);
  const [near, other] = [store.replicate(true), far.replicate(false)];
  near.pipe(other).pipe(near);
  copy.once("append", found);
  const streams = await reading;
  await far.close();
  return streams;
}

const facts = {
  groups: await groups(),
  marks: await marks(),
  moves: await moves(),
  liveStream: await liveStream(),
  signedLengths: await signedLengths(),
  streamsOfCopies: await streamsOfCopies(),
};
console.log(JSON.stringify(facts));
process.exit(0);
