/**
 * Records what both generations of hypercore make of a log: `node record_log.mjs > ../../vectors/log.json`. Where hypercore
 * 10 can express the same, it must agree with 11, else nothing is recorded. Everything comes from fixed bytes, so a second
 * run gives the same.
 */
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const c = require("compact-encoding");
const crypto = require("hypercore-crypto");
const flat = require("flat-tree");
const load = (name) => ({
  version: require(`${name}/package.json`).version,
  caps: require(`${name}/lib/caps.js`),
  messages: require(`${name}/lib/messages.js`),
  multisig: require(`${name}/lib/multisig.js`),
  trees: require(`${name}/lib/merkle-tree.js`),
  Bitfield: require(`${name}/lib/bitfield.js`),
  Verifier: require(`${name}/lib/verifier.js`),
});
const [v11, v10] = [load("hypercore"), load("hypercore-10")];
const { MerkleTree, MerkleTreeBatch } = v11.trees;

const hex = (bytes) => bytes ? Buffer.from(bytes).toString("hex") : null;
/** `length` bytes that differ from each other and depend on `n`; tests make them the same way. */
const pattern = (length, n) =>
  Buffer.from(Array.from({ length }, (_, i) => (i * 7 + n * 13 + (i >> 8)) & 255));
const seed = (n) => Buffer.alloc(32, n);
const keyPair = (n) => crypto.keyPair(seed(n));
const blockOf = (i) => pattern((i * 5) % 17, i);
const nodeOf = ({ index, size, hash }) => ({ index, size, hash: hex(hash) });

// --- A log of either generation in memory

/** What hypercore 11 calls a session, as far as its trees look at it. */
function session11() {
  const nodes = new Map();
  const read = () => ({
    getTreeNode: async (index) => nodes.get(index) ?? null,
    hasTreeNode: async (index) => nodes.has(index),
    tryFlush() {},
  });
  const core = { _repairMode: false };
  return {
    ...{ fork: 0, roots: [], length: 0, byteLength: 0, signature: null, prologue: null },
    ...{ nodes, core, storage: { read } },
  };
}

function append11(session, blocks) {
  const batch = new MerkleTreeBatch(session);
  for (const block of blocks) batch.append(block);
  for (const node of batch.nodes) session.nodes.set(node.index, node);
  session.roots = batch.roots;
  session.length = batch.length;
  session.byteLength = batch.byteLength;
  return batch;
}

/** A file that is empty, as the tree of hypercore 10 starts. */
const emptyFile = {
  read: (_offset, _size, done) => done(new Error("empty")),
  stat: (done) => done(new Error("empty")),
};

async function tree10(blocks, fork, signature, prologue) {
  const tree = await v10.trees.open(emptyFile, { length: 0, fork, signature, prologue });
  const batch = tree.batch();
  for (const block of blocks) batch.append(block);
  batch.commit();
  tree.signature = signature;
  return tree;
}

// --- Numbers of nodes

const indexes = [
  0,
  1,
  2,
  3,
  5,
  7,
  10,
  11,
  95,
  2 ** 31 - 1,
  2 ** 32,
  2 ** 32 - 1,
  2 ** 33 + 5,
  2 ** 40 + 2 ** 35 - 1,
  2 ** 50 + 3,
];
const flatTree = {
  nodes: indexes.map((index) => ({
    index,
    depth: flat.depth(index),
    offset: flat.offset(index),
    parent: flat.parent(index),
    sibling: flat.sibling(index),
    children: flat.children(index),
    spans: flat.spans(index),
    leaves: flat.countLeaves(index),
  })),
  roots: [0, 1, 2, 3, 7, 8, 1000, 2 ** 31 + 3, 2 ** 32 + 1, 2 ** 45 + 2 ** 33 + 2 ** 31 + 5].map((
    length,
  ) => ({
    length,
    roots: flat.fullRoots(2 * length),
  })),
};

// --- Trees

const trees = [];
{
  const session = session11();
  for (let length = 1; length <= 40; length++) {
    const batch = append11(session, [blockOf(length - 1)]);
    const roots = batch.roots.map(nodeOf);
    const added = batch.nodes.map(({ index }) => index);
    trees.push({ length, byteLength: batch.byteLength, hash: hex(batch.hash()), roots, added });
  }
}
{
  // Numbers beyond 2^32: 2^32 blocks of which there is only the root, then some more.
  const session = session11();
  session.roots = [{ index: 2 ** 32 - 1, size: 2 ** 40, hash: pattern(32, 1) }];
  session.length = 2 ** 32;
  session.byteLength = 2 ** 40;
  const batch = append11(session, [0, 1, 2].map(blockOf));
  trees.push({
    base: { length: 2 ** 32, byteLength: 2 ** 40, n: 1 },
    length: batch.length,
    byteLength: batch.byteLength,
    hash: hex(batch.hash()),
    roots: batch.roots.map(nodeOf),
    added: batch.nodes.map(({ index }) => index),
  });
}

// --- Manifests

const signer = (n, namespace) => ({
  publicKey: keyPair(n).publicKey,
  ...(namespace ? { namespace: seed(namespace) } : {}),
});
const prologue = { hash: pattern(32, 9), length: 5 };
const manifestOptions = {
  single: { signers: [signer(1)] },
  "single v0": { version: 0, signers: [signer(1)] },
  "single v0, other namespace": { version: 0, signers: [signer(1, 77)] },
  "single v2": { version: 2, signers: [signer(1)] },
  "single v3": { version: 3, signers: [signer(1)] },
  "two of three": { signers: [signer(1), signer(2, 8), signer(3)] },
  "two of three v0": { version: 0, signers: [signer(1), signer(2, 8), signer(3)] },
  "two of three, patches": { allowPatch: true, signers: [signer(1), signer(2), signer(3)] },
  "two of three v0, patches": { version: 0, allowPatch: true, signers: [signer(1), signer(2), signer(3)] },
  "one with patches": { allowPatch: true, signers: [signer(1)] },
  "one v0 with patches": { version: 0, allowPatch: true, signers: [signer(1)] },
  "three of three v3": { version: 3, quorum: 3, signers: [signer(1), signer(2), signer(3)] },
  "one of two": { quorum: 1, signers: [signer(1), signer(2)] },
  prologue: { prologue },
  "prologue v0": { version: 0, prologue: { hash: prologue.hash, length: 0 } },
  "prologue and signers": { prologue, signers: [signer(1), signer(2)] },
  linked: { signers: [signer(1)], linked: [seed(50), seed(51)] },
  "user data": { signers: [signer(1)], userData: Buffer.from("hello") },
  everything: {
    ...{ version: 3, allowPatch: true, quorum: 1, signers: [signer(1), signer(2)], prologue },
    ...{ linked: [seed(50)], userData: pattern(300, 2) },
  },
  nobody: { signers: [] },
};
const isOld = ({ version = 1, linked, userData }) => version <= 1 && !linked && !userData;
const optionsText = (value) =>
  JSON.parse(JSON.stringify(value, (_key, inner) => inner?.type === "Buffer" ? hex(inner.data) : inner));
const manifests = Object.entries(manifestOptions).map(([name, options]) => {
  const manifest = v11.Verifier.createManifest(options);
  const bytes = v11.Verifier.encodeManifest(manifest);
  const key = v11.Verifier.manifestHash(manifest);
  if (isOld(options)) {
    const old = v10.Verifier.createManifest(options);
    assert.deepEqual(c.encode(v10.messages.manifest, old), bytes);
    assert.deepEqual(v10.Verifier.manifestHash(old), key);
  }
  return { name, options: optionsText(options), quorum: manifest.quorum, bytes: hex(bytes), key: hex(key) };
});

// --- Signatures

/** A batch of `length` blocks in `fork`, of either generation. */
function batches(length, fork) {
  const session = session11();
  const batch = append11(session, Array.from({ length }, (_, i) => blockOf(i)));
  batch.fork = fork;
  return { batch, session };
}

const signatures = [];
function record(name, { key, manifest, options = {} }, length, fork, signature) {
  const { batch } = batches(length, fork);
  const verifier = new v11.Verifier(key, manifest, options);
  const valid = verifier.verify(batch, signature);
  if (manifest.version <= 1 && !manifest.linked) {
    const old = new v10.Verifier(key, { ...manifest }, options);
    assert.equal(old.verify(batch, signature), valid, name);
  }
  signatures.push({
    ...{ name, key: hex(key), manifest: hex(v11.Verifier.encodeManifest(manifest)) },
    ...{ isLegacy: options.legacy === true, length, fork, signature: hex(signature), valid },
  });
}
const withKey = (name) => {
  const manifest = v11.Verifier.createManifest(manifestOptions[name]);
  return { key: v11.Verifier.manifestHash(manifest), manifest };
};
const sign = ({ key, manifest, options }, length, fork, n) =>
  new v11.Verifier(key, manifest, options).sign(batches(length, fork).batch, keyPair(n));

for (const name of ["single", "single v0", "single v0, other namespace", "single v2", "single v3"]) {
  for (const [length, fork] of [[1, 0], [7, 0], [8, 3]]) {
    const log = withKey(name);
    record(`${name}, ${length} blocks`, log, length, fork, sign(log, length, fork, 1));
  }
  const log = withKey(name);
  record(`${name}, of another length`, log, 5, 0, sign(log, 6, 0, 1));
  record(`${name}, of another fork`, log, 5, 1, sign(log, 5, 0, 1));
}
for (const legacy of [false, true]) {
  const manifest = v11.Verifier.defaultSignerManifest(keyPair(1).publicKey);
  const log = { key: keyPair(1).publicKey, manifest, options: { legacy } };
  record(`compat, ${legacy ? "legacy" : "not legacy"}`, log, 6, 2, sign(log, 6, 2, 1));
  record("compat, the other way", { ...log, options: { legacy: !legacy } }, 6, 2, sign(log, 6, 2, 1));
}

/** A part of a signature by signer `place`, who signed `signed` blocks. */
async function partOf(log, place, n, signed, length, fork) {
  const { session } = batches(signed, fork);
  const signature = sign(log, signed, fork, n);
  const core = { state: { ...session, length: signed, signature } };
  const part = await v11.multisig.partialSignature(core, place, length, signed, signature);
  return part;
}
const assemblers = (log) => log.manifest.version === 0 ? v11.multisig.assemblev0 : v11.multisig.assemble;
async function multi(title, name, length, fork, signers) {
  const log = withKey(name);
  const parts = [];
  for (const [place, signed = length] of signers) {
    parts.push(await partOf(log, place, place + 1, signed, length, fork));
  }
  const signature = assemblers(log)(parts);
  if (log.manifest.version <= 1) {
    const old = log.manifest.version === 0 ? v10.multisig.assemblev0 : v10.multisig.assemble;
    assert.deepEqual(old(parts), signature);
  }
  record(`${name}, ${title}`, log, length, fork, signature);
}
for (const version of ["", " v0"]) {
  await multi("two sign", `two of three${version}`, 5, 0, [[0], [1]]);
  await multi("others sign", `two of three${version}`, 5, 1, [[2], [1]]);
  await multi("three sign", `two of three${version}`, 5, 0, [[2], [0], [1]]);
  await multi("one signs", `two of three${version}`, 5, 0, [[1]]);
  await multi("one signs twice", `two of three${version}`, 5, 0, [[1], [1]]);
  await multi("no patch", `two of three${version}, patches`, 5, 0, [[0], [2]]);
  await multi("one patch", `two of three${version}, patches`, 5, 0, [[0, 9], [2]]);
  await multi("two patches that share nodes", `two of three${version}, patches`, 6, 0, [[0, 13], [2, 19]]);
  await multi("two equal patches", `two of three${version}, patches`, 6, 0, [[0, 13], [1, 13]]);
  await multi("a patch that is not allowed", `two of three${version}`, 5, 0, [[0, 9], [1]]);
}
await multi("signs more", "one with patches", 4, 0, [[0, 11]]);
await multi("signs more", "one v0 with patches", 4, 0, [[0, 11]]);
await multi("all sign", "three of three v3", 12, 4, [[0], [1], [2]]);
{
  const { batch } = batches(5, 0);
  const manifest = v11.Verifier.createManifest({
    prologue: { hash: batch.hash(), length: 5 },
    signers: [signer(1), signer(2)],
  });
  const log = { key: v11.Verifier.manifestHash(manifest), manifest };
  record("prologue, all of it, unsigned", log, 5, 0, null);
  record("prologue, a part", log, 4, 0, null);
  const nobody = v11.Verifier.createManifest({ prologue: { hash: batch.hash(), length: 5 } });
  record(
    "prologue without signers",
    { key: v11.Verifier.manifestHash(nobody), manifest: nobody },
    5,
    0,
    null,
  );
  record("behind a prologue, unsigned", log, 6, 0, null);
  const parts = [await partOf(log, 0, 1, 6, 6, 0), await partOf(log, 1, 2, 6, 6, 0)];
  record("behind a prologue, signed", log, 6, 0, v11.multisig.assemble(parts));
}
{
  const log = withKey("two of three");
  const [a, b] = [await partOf(log, 0, 1, 5, 5, 0), await partOf(log, 1, 2, 5, 5, 0)];
  record("a signer that is none", log, 5, 0, v11.multisig.assemble([a, { ...b, signer: 3 }]));
  record(
    "a signature that is none",
    log,
    5,
    0,
    v11.multisig.assemble([a, { ...b, signature: Buffer.alloc(64) }]),
  );
}

// --- Proofs

const proofs = [];
async function prove(length, request, prologueLength = 0, fork = 0, padding = 0) {
  const blocks = Array.from({ length }, (_, i) => Buffer.concat([Buffer.alloc(padding), blockOf(i)]));
  const session = session11();
  append11(session, blocks);
  session.fork = fork;
  session.signature = pattern(64, 1);
  let ofPrologue = null;
  if (prologueLength > 0) {
    ofPrologue = { length: prologueLength, hash: batches(prologueLength, 0).batch.hash() };
  }
  session.prologue = ofPrologue;
  const copy = () => structuredClone(request);
  const finish = (proof) => {
    if (proof.block) proof.block.value = blocks[proof.block.index];
    return c.encode(v11.messages.wire.data, { request: 7, ...proof });
  };
  let data = null;
  let error = null;
  try {
    const proof = await MerkleTree.proof(session, session.storage.read(), copy());
    const settled = await proof.settle();
    if (settled.block && settled.block.index >= length) throw new Error("no such block");
    data = finish(settled);
  } catch (thrown) {
    error = thrown.code ?? thrown.message;
  }
  const tree = await tree10(blocks, fork, session.signature, ofPrologue);
  let old = null;
  try {
    const proof = await tree.proof(copy());
    const settled = await (proof.settle ? proof.settle() : proof);
    if (settled.block && settled.block.index >= length) throw new Error("no such block");
    old = finish(settled);
  } catch { /* compared below */ }
  assert.deepEqual(old && hex(old), data && hex(data), JSON.stringify({ length, request }));
  proofs.push({
    length,
    fork,
    padding,
    prologue: prologueLength,
    request,
    data: hex(data),
    ...(error ? { error } : {}),
  });
}
for (const length of [1, 2, 5, 8, 13, 27]) {
  for (const index of [...new Set([0, 1, length >> 1, length - 1])]) {
    for (const nodes of [0, 1, 3, 9]) await prove(length, { block: { index, nodes } });
  }
  for (let start = 0; start < length; start += 1 + (length >> 2)) {
    for (const end of [...new Set([start + 1, (start + length + 1) >> 1, length])]) {
      if (end <= start || end > length) continue;
      const upgrade = { start, length: end - start };
      await prove(length, { upgrade });
      for (const index of [...new Set([0, start, end - 1])]) {
        await prove(length, { block: { index, nodes: 0 }, upgrade });
      }
      await prove(length, { seek: { bytes: 11, padding: 0 }, upgrade });
    }
  }
}
for (const [index, nodes] of [[0, 0], [1, 0], [3, 2], [5, 1], [23, 0], [17, 1], [51, 0]]) {
  await prove(27, { hash: { index, nodes } });
  await prove(27, { hash: { index, nodes }, upgrade: { start: 20, length: 7 } });
}
for (const bytes of [0, 1, 5, 30, 62, 100, 107, 108, 150, 199, 215, 300]) {
  await prove(27, { block: { index: 2, nodes: 4 }, seek: { bytes, padding: 0 } });
  await prove(27, { hash: { index: 21, nodes: 3 }, seek: { bytes, padding: 0 } });
  await prove(27, { hash: { index: 15, nodes: 0 }, seek: { bytes, padding: 0 } });
  await prove(27, { seek: { bytes, padding: 0 }, upgrade: { start: 0, length: 27 } });
  await prove(27, { seek: { bytes, padding: 0 }, upgrade: { start: 0, length: 22 } });
  await prove(27, {
    block: { index: 2, nodes: 2 },
    seek: { bytes, padding: 0 },
    upgrade: { start: 16, length: 11 },
  });
}
for (const bytes of [0, 1, 5, 30, 62, 107, 150, 215]) {
  const seek = { bytes, padding: 8 };
  await prove(27, { block: { index: 2, nodes: 4 }, seek }, 0, 0, 8);
  await prove(27, { hash: { index: 23, nodes: 0 }, seek }, 0, 0, 8);
  await prove(27, { seek, upgrade: { start: 0, length: 27 } }, 0, 0, 8);
  await prove(27, { seek, upgrade: { start: 9, length: 16 } }, 0, 0, 8);
}
for (const start of [0, 3, 8]) {
  await prove(13, { upgrade: { start, length: 13 - start } }, 8, 2);
  await prove(13, { block: { index: 1, nodes: 0 }, upgrade: { start, length: 13 - start } }, 8, 2);
}
await prove(8, { upgrade: { start: 0, length: 9 } });
await prove(8, { upgrade: { start: 8, length: 0 } });
await prove(8, { block: { index: 8, nodes: 1 } });
await prove(8, {
  block: { index: 3, nodes: 0 },
  seek: { bytes: 1, padding: 0 },
  upgrade: { start: 2, length: 6 },
});

const wanted = [
  { id: 1, fork: 0, block: { index: 3, nodes: 2 }, manifest: false, priority: 0 },
  { id: 300, fork: 2, hash: { index: 2 ** 33 + 1, nodes: 0 }, manifest: true, priority: 1 },
  {
    id: 70000,
    fork: 0,
    seek: { bytes: 2 ** 40, padding: 8 },
    upgrade: { start: 5, length: 2 ** 34 },
    manifest: false,
    priority: 3,
  },
];
const requests = wanted.map((value) => {
  const bytes = c.encode(v11.messages.wire.request, value);
  return { value, bytes: hex(bytes) };
});

// --- Seeks and offsets

const seeks = [];
{
  const session = session11();
  append11(session, Array.from({ length: 27 }, (_, i) => blockOf(i)));
  for (let bytes = 0; bytes <= session.byteLength + 2; bytes++) {
    const found = await MerkleTree.seek(session, bytes, 0).update();
    seeks.push({ bytes, found });
  }
}
const paddedSeeks = [];
{
  const session = session11();
  append11(session, Array.from({ length: 27 }, (_, i) => Buffer.concat([Buffer.alloc(8), blockOf(i)])));
  for (let bytes = 0; bytes <= session.byteLength - 27 * 8 + 2; bytes += 3) {
    paddedSeeks.push({ bytes, found: await MerkleTree.seek(session, bytes, 8).update() });
  }
}

// --- Encryption

const DefaultEncryption = require("hypercore/lib/default-encryption.js");
const BlockEncryption = require("hypercore-10/lib/block-encryption.js");
const encryptions = [];
for (const [compat, block] of [[false, false], [true, false], [false, true]]) {
  const [key, encryptionKey] = [pattern(32, 3), pattern(32, 4)];
  const newer = new DefaultEncryption(encryptionKey, key, { compat, block });
  const older = new BlockEncryption(encryptionKey, key, { compat, isBlockKey: block });
  for (
    const [index, fork, length] of [[0, 0, 0], [0, 0, 5], [1, 0, 64], [1, 1, 64], [2 ** 33 + 7, 300, 100]]
  ) {
    const [a, b] = [0, 1].map(() => Buffer.concat([Buffer.alloc(8), pattern(length, index % 100)]));
    newer.encrypt(index, a, fork, { compat, key });
    older.encrypt(index, b, fork);
    assert.deepEqual(a, b);
    encryptions.push({ isCompat: compat, isBlockKey: block, index, fork, length, stored: hex(a) });
  }
  encryptions.push({ isCompat: compat, isBlockKey: block, blockKey: hex(newer.blockKey) });
}

// --- Bitfields

let state = 1;
/** Numbers that look random and are the same for ever. */
const next = (bound) => {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0;
  return (state >>> 8) % bound;
};
const bitfield = { steps: [], queries: [], pages: [] };
{
  const bits = new v11.Bitfield();
  const old = new v10.Bitfield(null, null);
  const limit = 5 * 32768;
  for (let i = 0; i < 60; i++) {
    const start = next(limit);
    const length = next(4) === 0 ? next(limit - start) : next(Math.min(300, limit - start)) + 1;
    const value = next(3) > 0;
    bits.setRange(start, start + length, value);
    old.setRange(start, length, value);
    bitfield.steps.push([start, start + length, value]);
  }
  for (let i = 0; i < 400; i++) {
    const at = next(limit);
    const answers = [
      bits.get(at),
      bits.firstSet(at),
      bits.firstUnset(at),
      bits.lastSet(at),
      bits.lastUnset(at),
    ];
    bitfield.queries.push([at, ...answers]);
  }
  for (let i = 0; i < 5; i++) {
    const page = bits.toBuffer(limit).subarray(i * 4096, (i + 1) * 4096);
    bitfield.pages.push(hex(crypto.hash(page)));
    for (let bit = 0; bit < 32768; bit += 7) {
      assert.equal(old.get(i * 32768 + bit), bits.get(i * 32768 + bit));
    }
  }
}

const versions = {
  ...{ hypercore: v11.version, "hypercore-10": v10.version },
  ...{ "hypercore-crypto": require("hypercore-crypto/package.json").version },
  ...{ "flat-tree": require("flat-tree/package.json").version },
};
const namespaces = [...["MANIFEST", "DEFAULT_NAMESPACE", "DEFAULT_ENCRYPTION"]].map((
  name,
) => [name, hex(v11.caps[name])]);
assert.deepEqual(v10.caps.BLOCK_ENCRYPTION, v11.caps.DEFAULT_ENCRYPTION);
console.log(JSON.stringify(
  {
    versions,
    namespaces,
    flatTree,
    trees,
    manifests,
    signatures,
    proofs,
    requests,
    seeks,
    paddedSeeks,
    encryptions,
    bitfield,
  },
  null,
  1,
));
