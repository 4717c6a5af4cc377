/** Sessions of a log: reading, writing, snapshots, branches, encryption, events. */
import assert from "node:assert/strict";
import { Hypercore } from "../../core/hypercore.ts";
import { MemoryStore, type StoredBlock } from "../../core/storage/mod.ts";
import { seed, utf8 } from "../crypto/support.ts";
import { test } from "../harness.ts";
import { newRuntime, replicate } from "./support.ts";

const text = { valueEncoding: "utf-8" as const };

function open(options = {}) {
  return Hypercore.open<string>(new MemoryStore(), { runtime: newRuntime(), ...text, ...options });
}

async function collect<T>(values: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const value of values) all.push(value);
  return all;
}

test("what was appended is read back, in whatever encoding", async () => {
  const core = await Hypercore.open<{ n: number }>(new MemoryStore(), {
    valueEncoding: "json",
    runtime: newRuntime(),
  });
  assert.deepEqual(await core.append({ n: 1 }), { length: 1, byteLength: 7 });
  await core.append([{ n: 2 }, { n: 3 }]);
  assert.deepEqual(await core.get(2), { n: 3 });
  assert.equal(await core.get(2, { valueEncoding: "utf-8" }), `{"n":3}`);
  assert.deepEqual(await core.get(0, { raw: true }), utf8(`{"n":1}`));
  assert.equal(await core.get(9, { wait: false }), undefined);
  await core.append(utf8("not JSON"));
  await assert.rejects(core.get(3), { code: "DECODING_ERROR" });
  await core.close();
});

test("a log without key is new, keeps its key pair in the store, and is opened again by its key", async () => {
  const store = new MemoryStore();
  const core = await Hypercore.open(store, { runtime: newRuntime() });
  await core.append("hello");
  const { key } = core;
  await core.close();
  const again = await Hypercore.open<string>(store, { key, runtime: newRuntime(), ...text });
  assert.equal(again.writable, true);
  assert.equal(await again.get(0), "hello");
  await again.append("more");
  assert.equal(again.length, 2);
  await again.close();
});

test("a closed session refuses, and others go on", async () => {
  const core = await open();
  const other = await core.session();
  const pending = assert.rejects(core.get(7), { code: "SESSION_CLOSED" });
  await core.close();
  await pending;
  await assert.rejects(core.get(0), { code: "SESSION_CLOSED" });
  await assert.rejects(core.append("x"), { code: "SESSION_CLOSED" });
  await other.append("x");
  assert.equal(other.length, 1);
  await other.close();
});

test("waiting for a block ends with the timeout, the signal, or the block", async () => {
  const core = await open();
  await assert.rejects(core.get(3, { timeoutMs: 10 }), { code: "REQUEST_TIMEOUT" });
  const controller = new AbortController();
  const aborted = assert.rejects(core.get(3, { signal: controller.signal }), /enough/);
  controller.abort(new Error("enough"));
  await aborted;
  const waiting = core.get(0);
  await core.append("came");
  assert.equal(await waiting, "came");
  await core.close();
});

test("a snapshot shows what was, whatever is appended, cut or cleared", async () => {
  const core = await open();
  await core.append(["a", "b", "c"]);
  const snapshot = await core.snapshot();
  const checkout = await core.session({ checkout: 2 });
  await core.truncate(1);
  await core.append(["d", "e", "f"]);
  assert.deepEqual(await collect(snapshot.createReadStream()), ["a", "b", "c"]);
  assert.deepEqual([snapshot.length, snapshot.fork, core.length, core.fork], [3, 0, 4, 1]);
  assert.deepEqual(await collect(checkout.createReadStream()), ["a", "b"]);
  assert.equal(snapshot.writable, false);
  await assert.rejects(snapshot.append("x"), { code: "SESSION_NOT_WRITABLE" });
  await assert.rejects(snapshot.get(3), { code: "SNAPSHOT_NOT_AVAILABLE" });
  assert.deepEqual(await snapshot.treeHash(2), await checkout.treeHash());
  await core.close();
});

test("a branch has its own end, lasts, and becomes the log when it is committed", async () => {
  const core = await open();
  await core.append(["a", "b"]);
  const draft = await core.session({ name: "draft" });
  await draft.append(["c", "d"]);
  assert.deepEqual([core.length, draft.length, draft.signedLength], [2, 4, 2]);
  await draft.close();
  const again = await core.session({ name: "draft" });
  assert.deepEqual(await collect(again.createReadStream()), ["a", "b", "c", "d"]);
  assert.deepEqual(await core.commit(again, { length: 3 }), { length: 3, byteLength: 3 });
  assert.deepEqual(await collect(core.createReadStream()), ["a", "b", "c"]);
  await core.append("other");
  assert.equal(await core.commit(again), undefined, "the log has gone another way");
  await again.close();
  const anew = await core.session({ name: "draft", overwrite: true, checkout: 1 });
  assert.equal(anew.length, 1);
  await core.close();
});

test("reading goes backwards, in parts, by bytes, and on as the log grows", async () => {
  const core = await open();
  await core.append(["ab", "cd", "ef", "gh"]);
  assert.deepEqual(await collect(core.createReadStream({ reverse: true, start: 1 })), ["gh", "ef", "cd"]);
  assert.deepEqual(await collect(core.createReadStream({ start: 1, end: 3 })), ["cd", "ef"]);
  const bytes = await collect(core.createByteStream({ byteOffset: 3, byteLength: 4 }));
  assert.equal(Buffer.concat(bytes).toString(), "defg");
  assert.deepEqual(await core.seek(5), [2, 1]);
  const seen: string[] = [];
  for await (const value of core.createReadStream({ live: true })) {
    seen.push(value);
    if (seen.length === 4) void core.append("ij");
    if (seen.length === 5) break;
  }
  assert.deepEqual(seen, ["ab", "cd", "ef", "gh", "ij"]);
  const stream = core.createWriteStream().getWriter();
  await stream.write("kl");
  await stream.close();
  assert.equal(core.length, 6);
  await core.close();
});

test("an encrypted log is read with the key, and is noise without", async () => {
  const store = new MemoryStore();
  const core = await Hypercore.open<string>(store, { runtime: newRuntime(), ...text, encryption: seed(7) });
  await core.append(["secret", "more"]);
  assert.equal(await core.get(0), "secret");
  assert.deepEqual([core.padding, core.byteLength], [8, 10]);
  const stored = await core.get<Uint8Array>(0, { raw: true });
  assert.equal(stored!.length, 14);
  assert.ok(!Buffer.from(stored!).toString("latin1").includes("secret"));
  assert.deepEqual(await core.seek(7), [1, 1]);
  await core.close();
});

test("user data is kept beside the blocks, and a clear tells how much it cleared", async () => {
  const core = await open();
  await core.append(["a", "b", "c", "d"]);
  await core.setUserData("k", "v");
  assert.deepEqual(await core.getUserData("k"), utf8("v"));
  assert.deepEqual(await core.clear(1, 3), { blocks: 2 });
  assert.deepEqual([await core.has(0), await core.has(1), await core.has(0, 4)], [true, false, false]);
  const info = await core.info();
  assert.deepEqual([info.length, info.held, info.contiguousLength], [4, 2, 1]);
  await core.close();
});

test("events tell of growth, cuts and the end, each session of its own branch", async () => {
  const core = await open();
  const draft = await core.session({ name: "draft" });
  const told: unknown[] = [];
  core.on("append", ({ detail }) => told.push(["append", detail.length]));
  core.on("truncate", ({ detail }) => told.push(["truncate", detail.ancestors, detail.fork]));
  core.on("close", () => told.push("close"));
  draft.on("append", ({ detail }) => told.push(["draft", detail.length]));
  await core.append(["a", "b"]);
  await draft.append("x");
  await core.truncate(1);
  await core.close();
  assert.deepEqual(told, [["append", 2], ["draft", 1], ["truncate", 1, 1], "close"]);
});

test("an exclusive session waits for the one before", async () => {
  const core = await open();
  const first = await core.session({ exclusive: true });
  let isOpen = false;
  const second = core.session({ exclusive: true }).then((session) => {
    isOpen = true;
    return session;
  });
  await core.append("x");
  assert.equal(isOpen, false);
  await first.close();
  await (await second).close();
  await core.close();
});

test("weak sessions close with the last of the others", async () => {
  const core = await open();
  const weak = await core.session({ weak: true });
  const strong = await core.session();
  await core.close();
  assert.equal(weak.closed, false);
  await strong.close();
  assert.equal(weak.closed, true);
});

test("a log that is purged is gone from its store", async () => {
  const store = new MemoryStore();
  const core = await Hypercore.open(store, { runtime: newRuntime() });
  await core.append("x");
  assert.ok(await core.purge() > 0);
  assert.equal((await Array.fromAsync(store.list())).length, 0);
});

test("a reader fetches what it asks for, follows growth and cuts, and decrypts", async () => {
  const writer = await open({ encryption: seed(3) });
  await writer.append(["a", "b", "c"]);
  const reader = await open({ key: writer.key, encryption: seed(3) });
  const cutLink = await replicate(writer, reader);
  assert.equal(await reader.get(1), "b");
  assert.equal(reader.length, 3);
  assert.equal(reader.writable, false);
  const grown = new Promise<void>((resolve) => reader.on("append", () => reader.length === 5 && resolve()));
  await writer.append(["d", "e"]);
  await grown;
  assert.equal(await reader.get(4), "e");
  assert.equal(await reader.download({ start: 0, end: 5 }).done(), true);
  assert.equal(reader.contiguousLength, 5);
  const cut = new Promise<void>((resolve) => reader.on("truncate", () => resolve()));
  await writer.truncate(2);
  await writer.append("z");
  await cut;
  assert.equal(await reader.get(2), "z");
  assert.deepEqual(await reader.treeHash(), await writer.treeHash());
  await Promise.all([writer.close(), reader.close()]);
  cutLink();
});

test("a snapshot of a reader fetches what it still shares with the log", async () => {
  const writer = await open();
  await writer.append(["a", "b", "c", "d"]);
  const reader = await open({ key: writer.key });
  const cutLink = await replicate(writer, reader);
  await reader.update();
  const snapshot = await reader.snapshot();
  assert.equal(await snapshot.get(1), "b");
  const cut = new Promise<void>((resolve) => reader.on("truncate", () => resolve()));
  await writer.truncate(2);
  await writer.append(["x", "y"]);
  await cut;
  assert.equal(await snapshot.get(0), "a");
  await assert.rejects(snapshot.get(2), { code: "SNAPSHOT_NOT_AVAILABLE" });
  await Promise.all([writer.close(), reader.close()]);
  cutLink();
});

test("applications talk along with a log, and see how far their peers are", async () => {
  const writer = await open();
  await writer.append(["a", "b"]);
  const reader = await open({ key: writer.key });
  const encoding = "utf-8";
  const heard = new Promise((resolve) =>
    writer.registerExtension<string>("chat", { encoding, onmessage: resolve })
  );
  const chat = reader.registerExtension<string>("chat", { encoding });
  const bytes = new Promise((resolve) =>
    writer.registerExtension("bytes", { onmessage: (m) => resolve(m.slice()) })
  );
  const cutLink = await replicate(writer, reader);
  await reader.get(0);
  chat.broadcast("hello");
  assert.equal(await heard, "hello");
  reader.registerExtension("bytes", {}).broadcast(utf8("as they are"));
  assert.deepEqual(await bytes, utf8("as they are"));
  const { have, want, total, peers } = reader.syncState();
  assert.deepEqual([have, want, total, peers.length], [1, 1, 2, 1]);
  await Promise.all([writer.close(), reader.close()]);
  cutLink();
});

test("what was not read since marking began is swept", async () => {
  const core = await open();
  await core.append(["a", "b", "c", "d", "e"]);
  await assert.rejects(core.sweep(), TypeError);
  await core.startMarking();
  const session = await core.session();
  await core.get(1);
  await session.get(3);
  await core.markBlock(4);
  assert.deepEqual(await core.sweep(), { blocks: 2 });
  const held = await Promise.all([0, 1, 2, 3, 4].map((index) => core.has(index)));
  assert.deepEqual(held, [false, true, false, true, true]);
  await core.close();
});

test("a proof from the start is checked by itself", async () => {
  const writer = await open();
  await writer.append(["a", "b", "c"]);
  const stranger = await open({ key: writer.key });
  const proof = { ...(await writer.proof({ upgrade: { start: 0, length: 3 } }))!, manifest: writer.manifest };
  const { length, treeHash } = stranger.verifyFullyRemote(proof);
  assert.equal(length, 3);
  assert.deepEqual(treeHash, await writer.treeHash());
  assert.equal(stranger.length, 0, "nothing was taken");
  const forged = { ...proof, upgrade: { ...proof.upgrade!, length: 2 } };
  assert.throws(() => stranger.verifyFullyRemote(forged), { name: "ProtocolError" });
  await Promise.all([writer.close(), stranger.close()]);
});

test("what comes from peers in order is read as it comes, and the store is not asked for what it has not yet", async () => {
  const writer = await open();
  const lines = Array.from({ length: 5000 }, (_, i) => `line ${i}`);
  await writer.append(lines);
  const store = new MemoryStore();
  const emptyReads: number[] = [];
  const plain = store.open.bind(store);
  store.open = (discoveryKey) => {
    const log = plain(discoveryKey);
    const blocks = log.blocks.bind(log);
    log.blocks = (start, end, maxBytes) => {
      const found = blocks(start, end, maxBytes) as readonly StoredBlock[];
      if (found.length === 0) emptyReads.push(start);
      return found;
    };
    return log;
  };
  const reader = await Hypercore.open<string>(store, { key: writer.key, runtime: newRuntime(), ...text });
  const cut = await replicate(writer, reader);
  await reader.update();
  assert.deepEqual(await collect(reader.createReadStream()), lines);
  assert.equal(emptyReads.length, 0);
  cut();
  await Promise.all([writer.close(), reader.close()]);
});
