/** Many logs in a store: names, keys, namespaces, replication of all on one connection. */
import assert from "node:assert/strict";
import { Corestore } from "../../core/corestore.ts";
import { childNamespace, namedKeyPair, ROOT_NAMESPACE } from "../../core/corestore_keys.ts";
import { createManifest, defaultManifest, manifestKey } from "../../core/log/manifest.ts";
import { VirtualClock } from "../../core/runtime/virtual.ts";
import { MemoryStore } from "../../core/storage/mod.ts";
import { formatKey } from "../../encoding/keys.ts";
import { hex, readVectors, seed, unhex, utf8, wasm } from "../crypto/support.ts";
import { test } from "../harness.ts";
import { newRuntime, newStore, replicate } from "./support.ts";

interface CorestoreVector {
  readonly primaryKey: string;
  readonly path: readonly string[];
  readonly name: string;
  readonly namespace: string;
  readonly publicKey: string;
  readonly keyIn6?: string;
  readonly keyIn7?: string;
}

test("names stand for the key pairs and logs of corestore 6 and 7", () => {
  const { corestores } = readVectors<{ corestores: CorestoreVector[] }>("replication.json");
  assert.ok(corestores.length > 3);
  for (const vector of corestores) {
    let space = ROOT_NAMESPACE;
    for (const name of vector.path) space = childNamespace(wasm, space, name);
    assert.equal(hex(space), vector.namespace);
    const { publicKey } = namedKeyPair(wasm, unhex(vector.primaryKey), space, vector.name);
    assert.equal(hex(publicKey), vector.publicKey);
    if (vector.keyIn6 !== undefined) assert.equal(hex(publicKey), vector.keyIn6);
    if (vector.keyIn7 !== undefined) {
      assert.equal(hex(manifestKey(wasm, defaultManifest(publicKey))), vector.keyIn7);
    }
  }
});

test("a named log is there again when the store is opened again, and another in another namespace", async () => {
  const memory = new MemoryStore();
  const close = memory.close.bind(memory);
  memory.close = () => Promise.resolve(); // so that it can be opened again
  const store = await newStore({}, memory);
  const a = await store.get({ name: "a" });
  await a.append("hello");
  const other = await store.namespace("other").get({ name: "a" });
  assert.notDeepEqual(a.key, other.key);
  await store.close();
  assert.equal(a.closed, true);
  const again = await newStore({}, memory);
  const found = await again.get<string>({ name: "a", valueEncoding: "utf-8" });
  assert.deepEqual(found.key, a.key);
  assert.equal(await found.get(0), "hello");
  assert.deepEqual((await Array.fromAsync(again.list())).map(hex), [hex(a.discoveryKey)]);
  assert.deepEqual((await Array.fromAsync(again.list(again.ns))).map(hex), [hex(a.discoveryKey)]);
  assert.deepEqual(await Array.fromAsync(again.list(other.key)), []);
  assert.deepEqual((await again.getAuth(a.discoveryKey))!.key, a.key);
  await again.close();
  await assert.rejects(newStore({ primaryKey: seed(1) }, memory), { code: "STORE_UNKNOWN" });
  await close();
});

test("a name that stands for a log of corestore 6 in the store goes on meaning that", async () => {
  const store = await newStore({ primaryKey: seed(4) });
  const old = await store.get({ name: "a", compat: true });
  await old.append("from before");
  assert.deepEqual(old.key, store.createKeyPair("a").publicKey);
  const found = await store.get({ name: "a" });
  assert.deepEqual(found.key, old.key);
  await found.append("from now");
  assert.equal(old.length, 2);
  await store.close();
});

test("sessions of one log share it, and a log is told to be opened once", async () => {
  const store = await newStore();
  const opened: string[] = [];
  store.on("core-open", ({ detail }) => opened.push(hex(detail.key)));
  const [a, b] = await Promise.all([store.get({ name: "a" }), store.get({ name: "a" })]);
  await a.append("x");
  assert.equal(b.length, 1);
  assert.deepEqual(opened, [hex(a.key)]);
  await store.close();
  await assert.rejects(store.get({ name: "a" }), { code: "SESSION_CLOSED" });
});

test("what was opened through a session of a store closes with it, and the rest stays", async () => {
  const store = await newStore();
  const part = store.session();
  const mine = await part.get({ name: "a" });
  const other = await store.get({ name: "a" });
  await part.close();
  assert.deepEqual([mine.closed, other.closed], [true, false]);
  const told: string[] = [];
  part.on("core-open", ({ detail }) => told.push(hex(detail.key)));
  await store.get({ name: "b" });
  assert.deepEqual(told, [], "a closed one is told nothing more");
  await other.append("x");
  await store.close();
});

test("a connection replicates all logs in use, also those that are opened later, and serves what is stored", async () => {
  const [a, b] = [await newStore(), await newStore()];
  const first = await a.get({ name: "first" });
  await first.append("1");
  const second = await a.get({ name: "second" });
  await second.append("2");
  await second.close(); // nobody uses it, but it is stored
  const readers = [await b.get<string>({ key: first.key, valueEncoding: "utf-8" })];
  const cut = await replicate(a, b);
  readers.push(await b.get<string>({ key: second.id, valueEncoding: "utf-8" }));
  assert.deepEqual(await Promise.all(readers.map((reader) => reader.get(0))), ["1", "2"]);
  const stranger = await b.get({ key: seed(77) });
  assert.equal(await stranger.update(), false);
  await Promise.all([a.close(), b.close()]);
  cut();
});

test("a search for peers keeps update waiting until one is found or the search is over", async () => {
  const [a, b] = [await newStore(), await newStore()];
  const log = await a.get({ name: "log" });
  await log.append("1");
  const reader = await b.get({ key: log.key });
  assert.equal(await reader.update(), false, "nobody is there and nobody is looked for");
  const done = b.findingPeers();
  const updated = reader.update();
  const cut = await replicate(a, b);
  assert.equal(await updated, true);
  done();
  await Promise.all([a.close(), b.close()]);
  cut();
});

test("an ephemeral log leaves nothing in the store, and is replicated all the same", async () => {
  const [a, b] = [await newStore(), await newStore()];
  const log = await a.get({ name: "passing", ephemeral: true });
  await log.append("x");
  const reader = await b.get<string>({ key: log.key, ephemeral: true, valueEncoding: "utf-8" });
  const cut = await replicate(a, b);
  assert.equal(await reader.get(0), "x");
  for (const store of [a, b]) assert.deepEqual(await Array.fromAsync(store.list()), []);
  await Promise.all([a.close(), b.close()]);
  cut();
});

test("a log that is removed gives back its room, and can be fetched again", async () => {
  const [a, b] = [await newStore(), await newStore()];
  const log = await a.get({ name: "log" });
  await log.append([new Uint8Array(1000), utf8("x")]);
  const reader = await b.get({ key: log.key });
  const cut = await replicate(a, b);
  await reader.download({ start: 0, end: 2 }).done();
  assert.ok(await b.remove(log.key) > 1000);
  assert.equal(reader.closed, true);
  assert.deepEqual(await Array.fromAsync(b.list()), []);
  const again = await b.get({ key: log.key });
  assert.equal((await again.get(0))!.length, 1000);
  await Promise.all([a.close(), b.close()]);
  cut();
});

test("a static copy has the blocks, no writer, and a key that follows from them", async () => {
  const store = await newStore();
  const core = await store.get<string>({ name: "a", valueEncoding: "utf-8" });
  await core.append(["a", "b", "c"]);
  const copy = await store.staticify(core);
  const manifest = createManifest({ prologue: { hash: await core.treeHash(), length: 3 } });
  assert.deepEqual(copy.key, manifestKey(wasm, manifest));
  assert.deepEqual(await copy.get(2, { valueEncoding: "utf-8" }), "c");
  await assert.rejects(copy.append("d"), { code: "SESSION_NOT_WRITABLE" });
  await assert.rejects(copy.truncate(1), RangeError);
  const reader = await newStore();
  const fetched = await reader.get({ key: copy.key });
  const cut = await replicate(store, reader);
  assert.deepEqual(await fetched.get(1), utf8("b"));
  await Promise.all([store.close(), reader.close()]);
  cut();
});

test("a store that is suspended asks for nothing until it is resumed", async () => {
  const [a, b] = [await newStore(), await newStore()];
  const log = await a.get({ name: "log" });
  await log.append("1");
  const reader = await b.get({ key: log.key });
  const cut = await replicate(a, b);
  await reader.get(0);
  await b.suspend();
  b.resume();
  await log.append("2");
  assert.deepEqual(await reader.get(1), utf8("2"));
  await Promise.all([a.close(), b.close()]);
  cut();
});

test("who does not say which log is told so", async () => {
  const store = await newStore();
  await assert.rejects(store.get({}), TypeError);
  await assert.rejects(store.get("too short"), TypeError);
  await assert.rejects(store.get({ discoveryKey: seed(1) }), { code: "STORE_UNKNOWN" });
  await assert.rejects(store.get({ discoveryKey: "too short" }), TypeError);
  const log = await store.get({ name: "a" });
  await log.append("1");
  const { discoveryKey } = log;
  for (const which of [discoveryKey, formatKey(discoveryKey), hex(discoveryKey)]) {
    assert.deepEqual((await store.get({ discoveryKey: which })).key, log.key);
  }
  await store.close();
});

test("a log that nobody uses is closed after a while, and opened anew when it is asked for", async () => {
  const clock = new VirtualClock();
  const store = await Corestore.open(new MemoryStore(), { runtime: { ...newRuntime(), clock } });
  const opened: string[] = [];
  store.on("core-open", ({ detail }) => opened.push(hex(detail.key)));
  const rest = () => new Promise((resolve) => setImmediate(resolve));
  for (const [ms, count] of [[1000, 1], [1000, 1], [7000, 2]] as const) {
    await (await store.get({ name: "a" })).close();
    for (const until = clock.now() + ms; clock.step(until););
    await rest();
    const core = await store.get({ name: "a" });
    assert.equal(opened.length, count, `after ${ms} ms`);
    await core.close();
  }
  await store.close();
});
