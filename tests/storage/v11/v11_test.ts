/**
 * A corestore 7 as a store that is only read, from the small one that was recorded.
 */
import assert from "node:assert/strict";
import { fromHex, toHex } from "../../../encoding/text.ts";
import { equals } from "../../../encoding/bytes.ts";
import { treeHash } from "../../../core/crypto/hash.ts";
import { loadCryptoProvider } from "../../../core/crypto/provider.ts";
import { fullRoots } from "../../../core/log/flat_tree.ts";
import { type Store, WriteBatch } from "../../../core/storage/mod.ts";
import { dataKey, headKey, logKey } from "../../../core/storage/v11/keys.ts";
import type { V11Log } from "../../../core/storage/v11/log.ts";
import { V11Store } from "../../../core/storage/v11/store.ts";
import { test } from "../../harness.ts";
import { memoryFolder, recordedStore } from "../rocksdb/recorded.ts";
import { batchOf, databaseOf, logOf } from "../rocksdb/rocks_writer.ts";

const { facts, files } = recordedStore();
const open = () => new V11Store(memoryFolder(files));
/** A log of a store; all that it answers, it answers at once. */
const find = (store: Store, discoveryKey: Uint8Array) => store.open(discoveryKey) as V11Log;
const [named, cut, compat] = facts.logs as [typeof facts.logs[0], typeof facts.logs[0], typeof facts.logs[0]];

test("a corestore 7 has the logs, keys, lengths and trees that the reference says", async () => {
  const crypto = await loadCryptoProvider();
  const store = open();
  const listed: string[] = [];
  for await (const key of store.list()) listed.push(toHex(key));
  assert.deepEqual(listed.sort(), facts.logs.map(({ discoveryKey }) => discoveryKey).sort());
  for (const wanted of facts.logs) {
    const log = find(store, fromHex(wanted.discoveryKey));
    const { fork, length, rootHash } = log.head()!;
    assert.deepEqual({ fork, length }, { fork: wanted.fork, length: wanted.length });
    assert.equal(toHex(rootHash), wanted.treeHash);
    assert.ok(equals(treeHash(crypto, log.nodes(fullRoots(length)).map((node) => node!)), rootHash));
    assert.equal(toHex(log.auth()!.key), wanted.key);
    assert.equal(log.blocks(0, length, Infinity).length, wanted.held);
    assert.ok(log.exists());
  }
});

test("blocks come from tables, from files of blobs, and from the log; those that were cleared do not", async () => {
  const store = open();
  const log = find(store, fromHex(named.discoveryKey));
  const begin = (index: number) => new TextDecoder().decode(log.block(index)?.subarray(0, 8));
  assert.equal(begin(0), "block 0 ");
  assert.equal(log.block(40)!.length, 5000);
  assert.equal(log.block(42)!.length, 6000);
  assert.equal(begin(41), "in the l");
  for (const index of [3, 6, 20, 29, 43, 2 ** 40]) assert.equal(log.block(index), undefined);
  assert.deepEqual(log.blocks(2, 9, Infinity).map(({ index }) => index), [2, 7, 8]);
  assert.deepEqual(log.blocks(0, Infinity, 45).map(({ index }) => index), [0, 1]);
  assert.deepEqual(log.blocks(39, 42, 1).map(({ index }) => index), [39]);
  const held = log.bitfieldPage(0)!;
  const bits = Array.from({ length: named.length }, (_, i) => (held[i >> 3]! >> (i & 7) & 1) === 1);
  assert.deepEqual(bits, Array.from(bits, (_, i) => log.block(i) !== undefined));
});

test("nodes read together are those that are read one by one", async () => {
  const store = open();
  const log = find(store, fromHex(named.discoveryKey));
  const indexes = Array.from({ length: 2 * named.length }, (_, i) => i);
  assert.deepEqual(log.nodes(indexes), indexes.map((index) => log.node(index)));
  assert.deepEqual(log.nodes([]), []);
});

test("a named session is an overlay that shares what comes before its branch", async () => {
  const store = open();
  const log = find(store, fromHex(named.discoveryKey));
  assert.deepEqual(log.overlays(), ["branch"]);
  const branch = log.overlay("branch");
  assert.equal(branch.head()!.length, named.length + 2);
  assert.equal(new TextDecoder().decode(branch.block(43)), "of the branch");
  assert.equal(branch.block(44)!.length, 5001);
  assert.deepEqual(branch.block(41), log.block(41));
  assert.deepEqual(branch.node(1), log.node(1));
  const indexes = branch.blocks(40, Infinity, Infinity).map(({ index }) => index);
  assert.deepEqual(indexes, [40, 41, 42, 43, 44]);
  const [shared, own] = [log.bitfieldPage(0)!, branch.bitfieldPage(0)!];
  assert.deepEqual(own.subarray(0, 5), shared.subarray(0, 5));
  assert.equal(own[5]! & 0x18, 0x18);
  assert.equal(log.overlay("other").exists(), false);
});

test("keys, names and user data are where a corestore of hypha has them", async () => {
  const store = open();
  assert.equal(toHex(store.record("primaryKey")!), facts.primaryKey);
  assert.deepEqual(store.recordNames(""), ["primaryKey"]);
  const log = find(store, fromHex(named.discoveryKey));
  const text = (name: string) => new TextDecoder().decode(log.userData(name));
  assert.deepEqual(log.userDataKeys("").sort(), ["color", "corestore/name", "corestore/namespace"]);
  assert.equal(text("color"), "blue");
  assert.equal(text("corestore/name"), "in tables");
  assert.deepEqual(log.userData("corestore/namespace"), new Uint8Array(32));
  assert.notDeepEqual(
    find(store, fromHex(cut.discoveryKey)).userData("corestore/namespace"),
    new Uint8Array(32),
  );
  assert.equal(log.auth()!.keyPair!.secretKey.length, 64);
  const { key, manifest } = find(store, fromHex(compat.discoveryKey)).auth()!;
  assert.ok(
    manifest === undefined || equals(manifest.subarray(-32), key),
    "the signer's key is that of the log",
  );
});

test("a log that is not there is empty", async () => {
  const store = open();
  const log = find(store, new Uint8Array(32));
  assert.equal(log.exists(), false);
  assert.equal(log.auth() ?? log.head() ?? log.hints() ?? log.block(0) ?? log.node(0), undefined);
  assert.equal(log.bitfieldPage(0) ?? log.userData("a"), undefined);
  assert.deepEqual(
    [log.overlays(), log.blocks(0, 9, 9), log.bitfieldPages(0, 9), log.userDataKeys("")].flat(),
    [],
  );
});

test("nothing can be written, and nothing is read after it was closed", async () => {
  const store: Store = open();
  const log = find(store, fromHex(named.discoveryKey));
  assert.throws(() => store.write(new WriteBatch()), { name: "StorageError", code: "NOT_SUPPORTED" });
  await assert.rejects(store.remove(log.discoveryKey), { name: "StorageError", code: "NOT_SUPPORTED" });
  await store.close();
  await store.close();
  assert.throws(() => log.head(), { code: "STORE_CLOSED" });
  assert.throws(() => find(store, log.discoveryKey), { code: "STORE_CLOSED" });
});

/** A store that has these values and no others. */
function storeOf(values: readonly [key: Uint8Array, value: Uint8Array][]): V11Store {
  const batch = batchOf(1, values.map(([put, value]) => ({ put, value })));
  return new V11Store(memoryFolder(databaseOf(logOf([batch]))));
}

test("a store or a log of another version is refused", async () => {
  assert.throws(() => storeOf([[headKey, Uint8Array.of(3)]]), { code: "STORE_UNKNOWN" });
  const key = new Uint8Array(32).fill(1);
  const unmoved = storeOf([[logKey(key), Uint8Array.of(0, 1, 1, 0)]]);
  assert.throws(() => find(unmoved, key).head(), { code: "STORE_UNKNOWN" });
  const later = storeOf([[logKey(key), Uint8Array.of(9, 1, 1, 0)]]);
  assert.throws(() => find(later, key).head(), { code: "STORE_UNKNOWN" });
  const old = storeOf([[headKey, Uint8Array.of(1, 3, 4, 5, ...new Uint8Array(32).fill(8))]]);
  assert.deepEqual(old.record("primaryKey"), new Uint8Array(32).fill(8));
});

test("values that make no sense are an error, and so are sessions that depend on each other", async () => {
  const key = new Uint8Array(32).fill(1);
  const pointers: [Uint8Array, Uint8Array] = [logKey(key), Uint8Array.of(2, 0, 5, 0)];
  const broken = storeOf([pointers, [dataKey(5, "head"), Uint8Array.of(1)]]);
  assert.throws(() => find(broken, key).head(), { code: "STORE_CORRUPT" });
  const circle = storeOf([
    pointers,
    [Uint8Array.of(3, 0, 1), Uint8Array.of(1, 1, 97, 6)],
    [dataKey(6, "dependency"), Uint8Array.of(7, 9)],
    [dataKey(7, "dependency"), Uint8Array.of(6, 9)],
  ]);
  assert.throws(() => find(circle, key).overlay("a").block(1), { code: "STORE_CORRUPT" });
});

test("indexes beyond 2^32 are found", async () => {
  const key = new Uint8Array(32).fill(1);
  const far = 2 ** 45 + 3;
  const store = storeOf([
    [logKey(key), Uint8Array.of(2, 0, 5, 0)],
    [dataKey(5, "block", far), Uint8Array.of(7)],
    [dataKey(5, "block", 300), Uint8Array.of(6)],
    [dataKey(5, "block", 70_000), Uint8Array.of(5)],
  ]);
  const log = find(store, key);
  assert.deepEqual(log.blocks(0, Infinity, 99).map(({ index }) => index), [300, 70_000, far]);
  assert.deepEqual(log.block(far), Uint8Array.of(7));
});
