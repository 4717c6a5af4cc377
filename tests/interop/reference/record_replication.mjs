/**
 * Records what both generations of hypercore send about a log, and the keys of corestores:
 * `node record_replication.mjs > ../../vectors/replication.json`. `request` and `data` are in `log.json` already. Everything
 * comes from fixed bytes, so a second run gives the same.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { recordTranscripts } from "./replication_transcripts.mjs";

const require = createRequire(import.meta.url);
const c = require("compact-encoding");
const crypto = require("hypercore-crypto");
const ids = require("hypercore-id-encoding");
const load = (name, store) => ({
  version: require(`${name}/package.json`).version,
  Hypercore: require(name),
  Corestore: require(store),
  storeVersion: require(`${store}/package.json`).version,
  caps: require(`${name}/lib/caps.js`),
  wire: require(`${name}/lib/messages.js`).wire,
});
const [v11, v10] = [load("hypercore", "corestore"), load("hypercore-10", "corestore-6")];
const hex = (bytes) => bytes ? Buffer.from(bytes).toString("hex") : null;
/** `length` bytes that differ from each other and depend on `n`; tests make them the same way. */
const pattern = (length, n) =>
  Buffer.from(Array.from({ length }, (_, i) => (i * 7 + n * 13 + (i >> 8)) & 255));
const seed = (n) => Buffer.alloc(32, n);
const folder = await mkdtemp(join(tmpdir(), "hypha-record-"));

// --- Messages

const big = [2 ** 32 + 1, 2 ** 41 + 7, 2 ** 53 - 1];
const bit = (n, place) => (n & 1 << place) !== 0;
const samples = {
  sync: [
    ...Array.from({ length: 32 }, (_, n) => ({
      ...{ fork: n % 3, length: n * 9, remoteLength: n * 4 },
      ...{ canUpgrade: bit(n, 0), uploading: bit(n, 1), downloading: bit(n, 2), hasManifest: bit(n, 3) },
      allowPush: bit(n, 4),
    })),
    {
      ...{ fork: big[0], length: big[1], remoteLength: big[2], canUpgrade: true, uploading: true },
      ...{ downloading: true, hasManifest: false, allowPush: false },
    },
  ],
  cancel: [{ request: 0 }, { request: 1 }, { request: 253 }, { request: big[0] }],
  noData: [0, 1, 2, 300].flatMap((reason) => [1, 70000, big[0]].map((request) => ({ request, reason }))),
  want: wants(),
  unwant: wants(),
  bitfield: [
    { start: 0, bitfield: [] },
    { start: 0, bitfield: [1] },
    { start: 32, bitfield: [0x80000000, 0xffffffff, 0, 0x12345678] },
    { start: 2 ** 21, bitfield: Array.from({ length: 64 }, (_, i) => (i * 0x01010101) >>> 0) },
    { start: 2 ** 40, bitfield: [5] },
  ],
  range: [false, true].flatMap((drop) =>
    [[0, 1], [7, 1], [0, 0], [0, 2], [300, 70000], [big[0], 1], [big[0], big[1]]].map(([start, length]) => ({
      ...{ drop, start, length },
    }))
  ),
  extension: [
    { name: "", message: pattern(0, 1) },
    { name: "", message: pattern(9, 1) },
    { name: "hello", message: pattern(0, 1) },
    { name: "hello", message: pattern(300, 2) },
    { name: "å🐸", message: pattern(3, 3) },
    { name: "x".repeat(300), message: pattern(1, 4) },
  ],
};

function wants() {
  return [[0, 2097152], [2097152, 2097152], [4096, 4096], [0, 32], [big[1], 32]].flatMap(([start, length]) =>
    [false, true].map((any) => ({ start, length, any }))
  );
}

/** What `codec` of hypercore 10 makes of `value`: not its newer fields. */
const olderBytes = (name, value) => {
  const older = { ...value };
  if (name === "bitfield") older.bitfield = Uint32Array.from(value.bitfield);
  return c.encode(v10.wire[name], older);
};
const plain = (value) =>
  Object.fromEntries(
    Object.entries(value).map(([name, field]) => [
      name,
      field instanceof Uint8Array ? hex(field) : ArrayBuffer.isView(field) ? [...field] : field,
    ]),
  );
const messages = {};
for (const [name, values] of Object.entries(samples)) {
  messages[name] = values.map((value) => {
    const input = name === "bitfield" ? { ...value, bitfield: Uint32Array.from(value.bitfield) } : value;
    const bytes = c.encode(v11.wire[name], input);
    assert.deepEqual(plain(c.decode(v11.wire[name], bytes)), plain(value));
    const older = olderBytes(name, value);
    const expected = plain(value);
    // What hypercore 10 writes is read by 11 as the same with the defaults of the fields that it does not know.
    if (name === "noData") expected.reason = 0;
    if (name.endsWith("want")) expected.any = false;
    if (name === "sync") expected.allowPush = false;
    assert.deepEqual(plain(c.decode(v11.wire[name], older)), expected);
    return {
      value: plain(value),
      bytes: hex(bytes),
      ...(older.equals(bytes) ? {} : { bytesOf10: hex(older) }),
    };
  });
}

// --- What proves to know the key

const handshakes = [[1, 2], [3, 200], [255, 0]].flatMap(([key, hash]) =>
  [true, false].flatMap((isInitiator) =>
    [true, false].map((seeks) => {
      const capability = v11.caps.replicate(isInitiator, seed(key), pattern(64, hash));
      assert.deepEqual(v10.caps.replicate(isInitiator, seed(key), pattern(64, hash)), capability);
      const bytes = c.encode(v11.wire.handshake, { seeks, capability });
      assert.deepEqual(c.encode(v10.wire.handshake, { seeks, capability }), bytes);
      return {
        ...{ key: hex(seed(key)), handshakeHash: hex(pattern(64, hash)), isInitiator, seeks },
        ...{ capability: hex(capability), bytes: hex(bytes) },
      };
    })
  )
);
const [, initiator, responder] = crypto.namespace("hypercore", 6);
const namespaces = {
  REPLICATE_INITIATOR: hex(initiator),
  REPLICATE_RESPONDER: hex(responder),
  CORESTORE: hex(crypto.namespace("corestore", 1)[0]),
};

// --- Keys of corestores

const corestores = [];
for (const n of [5, 6]) {
  const options = { primaryKey: seed(n), unsafe: true };
  const stores = [
    new v10.Corestore(join(folder, `store-6-${n}`), options),
    new v11.Corestore(join(folder, `store-7-${n}`), options),
  ];
  for (const path of [[], ["first"], ["first", "second"], [""], ["å"]]) {
    for (const name of ["a", "", "main", "a longer name, with ünicode", hex(seed(1))]) {
      const [older, newer] = await Promise.all(stores.map(async (root) => {
        let store = root;
        for (const part of path) store = store.namespace(part);
        const { publicKey, secretKey } = await store.createKeyPair(name);
        const namespace = hex(store.ns ?? store._namespace);
        return { namespace, publicKey: hex(publicKey), seed: hex(secretKey.subarray(0, 32)) };
      }));
      assert.deepEqual(older, newer);
      // An empty name counts as none to both when a log is asked for.
      const logs = name === "" ? {} : await keysOf(stores, path, name);
      corestores.push({ primaryKey: hex(seed(n)), path, name, ...newer, ...logs });
    }
  }
  for (const store of stores) await store.close();
}

async function keysOf(stores, path, name) {
  const keys = [];
  for (const root of stores) {
    let store = root;
    for (const part of path) store = store.namespace(part);
    const core = store.get({ name });
    await core.ready();
    keys.push(hex(core.key));
    await core.close();
  }
  return { keyIn6: keys[0], keyIn7: keys[1] };
}

// --- Names of keys, and discovery keys

const names = [0, 1, 2, 254].map((n) => {
  const key = n === 2 ? pattern(32, 2) : seed(n);
  return { key: hex(key), id: ids.encode(key), discoveryKey: hex(crypto.discoveryKey(key)) };
});

// --- Whole logs, encrypted or not: their keys, hashes, signatures and what lies on disk

const blockOf = (i) => pattern((i * 5) % 17, i);
const logs = [];
for (const compat of [true, false]) {
  for (const encryption of [null, "key", "block"]) {
    const found = [];
    for (const [name, { Hypercore }] of Object.entries({ v10, v11 })) {
      const core = new Hypercore(join(folder, `log-${name}-${compat}-${encryption}`), {
        ...{ compat, keyPair: crypto.keyPair(seed(9)) },
        ...(encryption === null ? {} : optionsOf(name, encryption)),
      });
      await core.ready();
      for (let i = 0; i < 4; i++) await core.append(blockOf(i));
      await core.append([4, 5, 6].map(blockOf));
      await core.truncate(5, { fork: 3 });
      await core.append([7, 8].map(blockOf));
      const stored = [];
      for (let i = 0; i < core.length; i++) {
        stored.push(hex(await core.get(i, { raw: true, decrypt: false })));
      }
      found.push({
        ...{ key: hex(core.key), discoveryKey: hex(core.discoveryKey) },
        manifest: hex(c.encode(require("hypercore/lib/messages.js").manifest, core.manifest)),
        ...{ length: core.length, fork: core.fork, byteLength: core.byteLength },
        ...{ treeHash: hex(await core.treeHash()), signature: hex(signatureOf(core)), stored },
      });
      await core.close();
    }
    assert.deepEqual(found[0], found[1]);
    logs.push({ compat, encryption, ...found[0] });
  }
}

function optionsOf(name, encryption) {
  if (name === "v11") return { encryption: { key: pattern(32, 4), block: encryption === "block" } };
  return { encryptionKey: pattern(32, 4), isBlockKey: encryption === "block" };
}

function signatureOf(core) {
  return core.core.tree?.signature ?? core.state.signature;
}

const versions = {
  ...{ hypercore: v11.version, "hypercore-10": v10.version },
  ...{ corestore: v11.storeVersion, "corestore-6": v10.storeVersion },
};
const transcripts = await recordTranscripts({ v10, v11 }, folder);
await rm(folder, { recursive: true });
console.log(JSON.stringify(
  { versions, namespaces, messages, handshakes, corestores, names, logs, transcripts },
  null,
  1,
));
process.exit();
