/** What sessions may be told, and what they keep beside the blocks. */
import assert from "node:assert/strict";
import { Hypercore } from "../../core/hypercore.ts";
import { FaultyStore, MemoryStore, openSqliteStore, WriteBatch } from "../../core/storage/mod.ts";
import { manifest as manifestCodec } from "../../core/log/manifest.ts";
import { encode } from "../../encoding/codec.ts";
import { seed, utf8, wasm } from "../crypto/support.ts";
import { test } from "../harness.ts";
import { newRuntime, replicate, storeTest } from "./support.ts";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const text = { valueEncoding: "utf-8" as const };

async function collect<T>(values: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const value of values) all.push(value);
  return all;
}

storeTest(
  "a session tells which blocks it reads, and for which of them peers are asked",
  async (newStore) => {
    const store = await newStore();
    const [read, waited]: [number[], number[]] = [[], []];
    const core = await store.get<string>({
      name: "a",
      ...text,
      onseq: (index) => read.push(index),
      onwait: (index) => waited.push(index),
    });
    await core.append(["0", "1"]);
    const child = await core.session();
    await child.get(1);
    await assert.rejects(child.get(7, { timeoutMs: 5 }), { code: "REQUEST_TIMEOUT" });
    await core.get(9, { wait: false });
    assert.deepEqual([read, waited], [[1, 7, 9], [7]]);
    assert.deepEqual([child.waits, core.waits], [1, 0]);
    assert.deepEqual([core.opened, core.closed], [true, false]);
  },
);

storeTest("values of one append can be encoded together", async (newStore) => {
  const store = await newStore();
  const core = await store.get<number>({
    name: "a",
    encodeBatch: (values) => [utf8(`${values.length} values`), "in two blocks"],
  });
  assert.equal((await core.append([1, 2, 3])).length, 2);
  assert.deepEqual(await core.get<string>(0, text), "3 values");
  assert.deepEqual(await core.get<string>(1, text), "in two blocks");
});

storeTest("nothing else changes the log before what follows an append is done", async (newStore) => {
  const store = await newStore();
  const core = await store.get<string>({ name: "a", ...text });
  const order: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const first = core.append(["0", "1"], {
    postappend: async (blocks) => {
      order.push(`${blocks.length} blocks, ${core.length} in the log`);
      await promise;
      order.push("done");
    },
  });
  const cut = core.truncate(0).then(() => order.push("cut"));
  setTimeout(resolve, 20);
  await Promise.all([first, cut]);
  assert.deepEqual(order, ["2 blocks, 2 in the log", "done", "cut"]);
  const failing = core.append("2", { postappend: () => Promise.reject(new Error("no")) });
  await assert.rejects(failing, /no/);
  assert.equal(core.length, 1, "the block is there all the same");
  await assert.rejects(core.append("3", { maxLength: 1 }), RangeError);
});

storeTest("a log that is not stored is only made if it may be", async (newStore) => {
  const store = await newStore();
  const missing = { code: "STORE_UNKNOWN" };
  await assert.rejects(store.get({ name: "a", createIfMissing: false }), missing);
  await assert.rejects(store.get({ key: seed(3), createIfMissing: false }), missing);
  const open = Hypercore.open(new MemoryStore(), {
    runtime: newRuntime(),
    key: seed(3),
    createIfMissing: false,
  });
  await assert.rejects(open, missing);
  await (await store.get({ name: "a" })).append("x");
  assert.equal((await store.get({ name: "a", createIfMissing: false })).length, 1);
});

test("an encryption key that is stored with the log is that of all sessions to come", async () => {
  const store = new MemoryStore();
  const core = await Hypercore.open<string>(store, { runtime: newRuntime(), ...text });
  await core.setEncryptionKey(seed(7), { isStored: true });
  await core.append("secret");
  const { key } = core;
  await core.close();
  const again = await Hypercore.open<string>(store, { runtime: newRuntime(), key, ...text });
  assert.equal(await again.get(0), "secret");
  assert.notDeepEqual(await again.get<Uint8Array>(0, { raw: true }), utf8("secret"));
  await again.setEncryptionKey(seed(8));
  assert.notEqual(
    await again.get<Uint8Array>(0, { valueEncoding: "binary" }).then(String),
    String(utf8("secret")),
  );
  again.setEncryption(undefined);
  assert.equal(await again.get(0), "secret", "the stored one is used again");
  await assert.rejects(again.setEncryptionKey(seed(7), { isStored: true, isBlockKey: true }), TypeError);
  await assert.rejects(again.setEncryptionKey(seed(7).subarray(1), { isStored: true }), RangeError);
  await again.setEncryptionKey(undefined, { isStored: true });
  assert.equal(again.padding, 0);
  await again.close();
});

storeTest("a key pair that is none is refused", async (newStore) => {
  const store = await newStore();
  const core = await store.get({ name: "a" });
  const { publicKey, secretKey } = wasm.keyPair(seed(1));
  assert.throws(() => core.setKeyPair({ publicKey, secretKey: secretKey.subarray(1) }), RangeError);
  core.setKeyPair(undefined);
  await core.append("x");
});

test("user data that is there already is not written again", async () => {
  let writes = 0;
  const store = new FaultyStore(new MemoryStore(), {
    fault: ({ type }) => {
      if (type === "write") writes++;
      return undefined;
    },
  });
  const core = await Hypercore.open(store, { runtime: newRuntime() });
  await core.setUserData("a", "1");
  const before = writes;
  await core.setUserData("a", "1");
  await core.setUserData("b", undefined);
  assert.equal(writes, before);
  await core.setUserData("a", undefined);
  assert.equal(writes, before + 1);
  assert.equal(await core.getUserData("a"), undefined);
  await assert.rejects(core.setUserData("x".repeat(2000), "1"), RangeError);
  await core.close();
});

storeTest("a reader is told what the log is, and how much of it some peer has", async (newStore) => {
  const writer = await newStore();
  const reader = await newStore();
  const log = await writer.get<string>({ name: "a", ...text });
  await log.append(["0", "1", "2"]);
  const copy = await reader.get<string>({ key: log.key, ...text });
  assert.equal(copy.getManifest(), undefined);
  const heard: string[] = [];
  copy.on("manifest", () => heard.push(`manifest ${copy.manifest?.version}`));
  copy.on("remote-contiguous-length", ({ detail }) => heard.push(`remote ${detail.length}`));
  const cut = await replicate(writer, reader);
  await copy.get(2);
  await copy.download({ start: 0, end: 3 }).done();
  assert.deepEqual(heard, ["manifest 1", "remote 3"]);
  assert.equal(copy.remoteContiguousLength, 3);
  assert.deepEqual(copy.getManifest({ raw: true }), encode(manifestCodec, log.manifest!));
  assert.deepEqual(copy.getManifest(), log.manifest);
  cut();
});

storeTest("a log is checked while it is open, and damage is told, not repaired", async (newStore) => {
  const memory = new MemoryStore();
  const store = await newStore({}, memory);
  const core = await store.get<string>({ name: "a", ...text });
  await core.append(["0", "1", "2"]);
  await (await core.session({ name: "draft" })).append("3");
  const check = await core.audit();
  assert.deepEqual([check.key, check.length, check.blocks, check.problem], [core.key, 3, 7, undefined]);
  const other = await store.get({ name: "b" });
  await other.append("x");
  const lengths = (await Array.fromAsync(store.audit())).map(({ length }) => length);
  assert.deepEqual(lengths.toSorted(), [1, 3]);
  const batch = new WriteBatch();
  batch.log(memory.open(other.discoveryKey)).putBlock(0, utf8("y"));
  memory.write(batch);
  assert.match((await other.audit()).problem ?? "", /block 0/);
  assert.equal((await core.audit()).problem, undefined);
  const aborted = AbortSignal.abort(new Error("enough"));
  await assert.rejects(core.audit({ signal: aborted }), /enough/);
});

test("room that was cleared is given back", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hypha-compact-"));
  try {
    const store = await openSqliteStore(join(folder, "logs.sqlite"), { durability: "none" });
    const core = await Hypercore.open(store, { runtime: newRuntime() });
    await core.append(Array.from({ length: 64 }, () => new Uint8Array(64 * 1024)));
    await core.clear(0, 63);
    const freed = await core.compact();
    assert.ok(freed > 3_000_000, `${freed} bytes were given back`);
    assert.equal((await core.get(63))!.length, 64 * 1024);
    await core.close();
    await store.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

storeTest(
  "a stream that goes on as the log grows goes on at its place when the log was cut before it",
  async (newStore) => {
    const store = await newStore();
    const core = await store.get<string>({ name: "a", ...text });
    await core.append(["0", "1", "2"]);
    const stream = core.createReadStream({ live: true });
    const next = async () => (await stream.next()).value;
    assert.deepEqual([await next(), await next(), await next()], ["0", "1", "2"]);
    const waiting = next();
    await core.truncate(1);
    await core.append(["x", "y"]);
    assert.equal(
      await Promise.race([waiting, new Promise((resolve) => setTimeout(resolve, 20, "nothing"))]),
      "nothing",
    );
    await core.append("z");
    assert.equal(await waiting, "z");
    await stream.return?.();
  },
);

storeTest("who wants to read all that counts begins again when the log was cut", async (newStore) => {
  const store = await newStore();
  const core = await store.get<string>({ name: "a", ...text });
  await core.append(["0", "1", "2"]);
  const seen: string[] = [];
  const follow = async () => {
    for (let from = 0; seen.at(-1) !== "end";) {
      const cut = new AbortController();
      core.on("truncate", ({ detail }) => {
        from = Math.min(from, detail.ancestors);
        cut.abort();
      }, { once: true });
      try {
        for await (const value of core.createReadStream({ start: from, live: true, signal: cut.signal })) {
          seen.push(value);
          from++;
          if (value === "end") break;
        }
      } catch {
        seen.push("cut");
      }
    }
  };
  const following = follow();
  while (seen.length < 3) await new Promise((resolve) => setTimeout(resolve, 1));
  await core.truncate(1);
  await core.append(["x", "end"]);
  await following;
  assert.deepEqual(seen, ["0", "1", "2", "cut", "x", "end"]);
});

storeTest("a stream may end before what is not at hand, or give up waiting for it", async (newStore) => {
  const store = await newStore();
  const core = await store.get<string>({ name: "a", ...text });
  await core.append(["0", "1", "2"]);
  await core.clear(1);
  assert.deepEqual(await collect(core.createReadStream({ wait: false })), ["0"]);
  assert.deepEqual(await collect(core.createReadStream({ wait: false, reverse: true })), ["2"]);
  await assert.rejects(collect(core.createReadStream({ timeoutMs: 5 })), { code: "REQUEST_TIMEOUT" });
});

storeTest("a stream begins with what peers have, if they are there or being looked for", async (newStore) => {
  const [left, right] = [await newStore(), await newStore()];
  const log = await left.get<string>({ name: "a", ...text });
  await log.append(["0", "1", "2"]);
  const copy = await right.get<string>({ key: log.key, ...text });
  const found = right.findingPeers();
  assert.deepEqual(await collect(copy.createReadStream({ wait: false })), []);
  assert.deepEqual(await collect(copy.createReadStream({ timeoutMs: 5 })), [], "what is here can be read");
  const reading = Promise.all([
    collect(copy.createReadStream()),
    collect(copy.createReadStream({ reverse: true, start: 1 })),
    collect(copy.createByteStream({ byteOffset: 1 })),
  ]);
  const cut = await replicate(left, right);
  found();
  assert.deepEqual(await reading, [["0", "1", "2"], ["2", "1"], [utf8("1"), utf8("2")]]);
  cut();
  const waiting = collect(copy.createReadStream({ signal: AbortSignal.abort(new Error("enough")) }));
  await assert.rejects(waiting, /enough/);
});

storeTest(
  "of a branch as much is signed as it has in common with the log, however both change",
  async (newStore) => {
    const store = await newStore();
    const core = await store.get<string>({ name: "a", ...text });
    const draft = await core.session({ name: "draft" });
    const lengths = async () => {
      for (let turn = 0; turn < 20; turn++) await Promise.resolve();
      await new Promise((resolve) => setTimeout(resolve, 1));
      return [draft.length, draft.signedLength];
    };
    assert.deepEqual(await lengths(), [0, 0]);
    await core.append(["0", "1", "2"]);
    await draft.append(["0", "1"]);
    assert.deepEqual(await lengths(), [2, 2], "the same blocks, wherever they come from");
    await draft.append(["x", "y"]);
    assert.deepEqual(await lengths(), [4, 2]);
    await core.append(Array.from({ length: 50 }, (_, i) => `${i}`));
    assert.deepEqual(await lengths(), [4, 2]);
    await draft.truncate(2);
    await draft.append(["2", "0", "1", "z"]);
    assert.deepEqual(await lengths(), [6, 5]);
    await core.truncate(1);
    assert.deepEqual(await lengths(), [6, 1]);
    await core.append(["1", "2"]);
    assert.deepEqual(await lengths(), [6, 3]);
    await draft.close();
    const again = await core.session({ name: "draft" });
    assert.deepEqual([again.length, again.signedLength], [6, 3], "as soon as it is open");
    const checkout = await again.session({ checkout: 2 });
    assert.equal(checkout.signedLength, 2);
    await again.truncate(1);
    assert.deepEqual([again.signedLength, checkout.length, checkout.signedLength], [1, 2, 1]);
  },
);
