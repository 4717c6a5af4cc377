/**
 * Makes a corestore of either generation in a folder, and prints what is in it as JSON: what an import of it must find.
 *
 *   node make_corestore.mjs SCENARIO FOLDER [KEY...]
 */
import { createHash } from "node:crypto";
import { Buffer } from "node:buffer";
import Corestore from "corestore";
import Corestore6 from "corestore-6";
import Hypercore from "hypercore";
import Storage from "hypercore-storage";

const [scenario, folder, ...keys] = process.argv.slice(2);

const block = (i, size = 20) => Buffer.alloc(size, `block ${i} `);
const blocks = (from, to, size) => Array.from({ length: to - from }, (_, i) => block(from + i, size));
/** Pads to a number of bytes that differ, so that no two blocks are alike. */
const large = (i, size) => Buffer.concat([block(i), Buffer.alloc(size - 20, i)]);

async function appendAll(core, count, size = 20, step = 100) {
  for (let i = 0; i < count; i += step) await core.append(blocks(i, Math.min(count, i + step), size));
}

/** What is in a log, without decrypting anything. */
async function describe(core, isOld) {
  const hash = createHash("sha256");
  const held = [];
  for (let i = 0; i < core.length; i++) {
    if (!await core.has(i)) continue;
    const value = isOld ? await core.core.blocks.get(i) : await core.get(i, { raw: true, wait: false });
    hash.update(`${i}:${value.length}:`).update(value);
    held.push(i);
  }
  return {
    key: core.key.toString("hex"),
    discoveryKey: core.discoveryKey.toString("hex"),
    length: core.length,
    fork: core.fork,
    treeHash: core.length === 0 ? "" : (await core.treeHash()).toString("hex"),
    held: held.length,
    blocks: hash.digest("hex"),
  };
}

async function sparse(store, from, wanted) {
  const core = store.get({ key: from.key });
  await core.ready();
  const [a, b] = [from.replicate(true, { keepAlive: false }), core.replicate(false, { keepAlive: false })];
  a.pipe(b).pipe(a);
  await core.update({ wait: true });
  for (const i of wanted) await core.get(i);
  a.destroy();
  b.destroy();
  return core;
}

/** Logs of many kinds; the same for both generations but for what only one has. */
async function assorted(store, isOld, isFlushed) {
  const cores = [];
  const add = async (core) => {
    await core.ready();
    cores.push(core);
    return core;
  };
  await add(store.get({ name: "empty" }));
  for (const count of [1, 2, 3, 1000]) {
    const core = await add(store.get({ name: `plain ${count}` }));
    await appendAll(core, count);
  }
  const data = await add(store.namespace("space").get({ name: "with data" }));
  await data.append("one");
  await data.setUserData("color", Buffer.from("blue"));
  const key = Buffer.alloc(32, 7);
  const encrypted = await add(
    store.get(isOld ? { name: "encrypted", encryptionKey: key } : { name: "encrypted", encryption: { key } }),
  );
  await appendAll(encrypted, 50);
  const cleared = await add(store.get({ name: "cleared" }));
  await appendAll(cleared, 300);
  if (isFlushed) await store.storage.compact();
  await cleared.clear(10, 20);
  await cleared.clear(100, 290);
  const cut = await add(store.get({ name: "truncated" }));
  await appendAll(cut, 200);
  await cut.truncate(77);
  await cut.append(["after", "the cut"]);
  await cut.truncate(78);
  const sizes = await add(store.get({ name: "large blocks" }));
  for (const size of [4095, 4096, 4097, 100_000, 1_000_000]) await sizes.append(large(size % 251, size));
  await sizes.append(Buffer.alloc(0));
  return cores;
}

async function make(store, isOld, isFlushed = !isOld) {
  const cores = await assorted(store, isOld, isFlushed);
  const folderOfOthers = `${folder}-others`;
  const others = isOld
    ? new Corestore6(folderOfOthers)
    : new Corestore(folderOfOthers, { allowBackup: true });
  const writer = others.get({ name: "remote" });
  await appendAll(writer, 5000);
  cores.push(await sparse(store, writer, [0, 1, 7, 1023, 1024, 3333, 4999]));
  return { cores, close: () => others.close() };
}

/** A log whose key is that of its signer: a corestore 7 makes none, but holds them. */
async function compatLog(store, count) {
  const keyPair = await store.createKeyPair("compat");
  const core = new Hypercore(store.storage, keyPair.publicKey, { compat: true, keyPair });
  await appendAll(core, count);
  return core;
}

const nothing = { close: async () => {} };

const scenarios = {
  /** Opens a folder of corestore 6 that others have made, reads all of it, and appends to one log. */
  async "read-6"() {
    const store = new Corestore6(folder);
    await store.ready();
    const cores = [];
    for (const key of keys) {
      const core = store.get({ key: Buffer.from(key, "hex") });
      await core.ready();
      cores.push(core);
    }
    const longest = cores.reduce((a, b) => b.writable && b.length > a.length ? b : a);
    return { store, cores, isOld: true, close: () => longest.session().append("of corestore 6") };
  },
  async "6"() {
    const store = new Corestore6(folder);
    return { store, isOld: true, ...await make(store, true) };
  },
  /** Nothing is flushed: all is in the log of the database. */
  async "7-log"() {
    const store = new Corestore(folder, { allowBackup: true });
    const made = await make(store, false, false);
    const compat = await compatLog(store, 10);
    made.cores.push(compat);
    const branch = made.cores[3].session({ name: "branch" });
    await branch.ready();
    await branch.append(["of the branch", "another"]);
    await branch.close();
    return { store, ...made };
  },
  /** Small tables, many levels, values in files of their own, and ranges that were deleted. */
  async "7-tables"() {
    const store = new Corestore(new Storage(folder, { allowBackup: true, writeBufferSize: 65536 }));
    const made = await make(store, false);
    const many = store.get({ name: "many" });
    await appendAll(many, 8000, 100);
    await many.clear(1000, 7000);
    await appendAll(store.get({ name: "more" }), 500, 5000, 10);
    made.cores.push(many, store.get({ name: "more" }));
    await made.cores.at(-1).ready();
    return { store, ...made };
  },
  /** A bit of everything in few bytes: what tests have where there is no reference. */
  async "7-small"() {
    const store = new Corestore(folder, { allowBackup: true });
    const named = store.get({ name: "in tables" });
    await appendAll(named, 40);
    await named.append(large(1, 5000));
    await named.setUserData("color", Buffer.from("blue"));
    const cut = store.namespace("space").get({ name: "cut" });
    await appendAll(cut, 30);
    await store.storage.compact();
    await named.clear(3, 7);
    await cut.truncate(9);
    await cut.append("after the cut");
    await store.storage.db.flush();
    await named.clear(20, 30);
    await named.append(["in the log", large(2, 6000)]);
    const branch = named.session({ name: "branch" });
    await branch.append(["of the branch", large(3, 5001)]);
    await branch.close();
    const compat = await compatLog(store, 3);
    return { store, cores: [named, cut, compat], ...nothing };
  },
  /** A log of a group, of which some blocks are marked. */
  async "7-marked"() {
    const store = new Corestore(folder, { allowBackup: true });
    const core = store.get({ name: "marked", group: Buffer.alloc(32, 9) });
    await appendAll(core, 33_000, 20, 1000);
    for (const index of [0, 5, 32_767, 32_768, 32_999]) await core.markBlock(index);
    const plain = store.get({ name: "plain" });
    await appendAll(plain, 3);
    return { store, cores: [core, plain], ...nothing };
  },
  async "7-compacted"() {
    const store = new Corestore(folder, { allowBackup: true });
    const made = await make(store, false);
    await store.storage.compact();
    return { store, ...made };
  },
  async "7-long"() {
    const store = new Corestore(folder, { allowBackup: true });
    const core = store.get({ name: "long" });
    await appendAll(core, 100_000, 20, 1000);
    await store.storage.compact();
    return { store, cores: [core], ...nothing };
  },
};

const { store, cores, isOld = false, close } = await scenarios[scenario]();
const logs = [];
for (const core of cores) logs.push(await describe(core, isOld));
const primaryKey = store.primaryKey.toString("hex");
await close();
await store.close();
console.log(JSON.stringify({ primaryKey, logs }));
