/**
 * Reads the examples of the specification with the reference: JSON `{name: hex}` on standard input, `{name: what}` on standard
 * output for each that it knows. `what` is "same" if the reference reads the bytes and writes the same again, else an error.
 */
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const c = require("compact-encoding");
const sodium = require("sodium-universal");
const { keyPair } = require("hypercore-crypto");
const hypercoreCrypto = require("hypercore-crypto");
const SecretStream = require("@hyperswarm/secret-stream");
const DefaultEncryption = require("hypercore/lib/default-encryption.js");
const caps = require("hypercore/lib/caps.js");
const log = require("hypercore/lib/messages.js");
const { MerkleTreeBatch } = require("hypercore/lib/merkle-tree.js");
const Verifier = require("hypercore/lib/verifier.js");
const { oplog } = require("hypercore-10/lib/messages.js");
const Oplog = require("hypercore-10/lib/oplog.js");
const { messages: relay } = require("blind-relay");
const IO = require("dht-rpc/lib/io");
const { id: nodeId } = require("dht-rpc/lib/peer");
const m = require("hyperdht/lib/messages");
const NoiseWrap = require("hyperdht/lib/noise-wrap");
const Persistent = require("hyperdht/lib/persistent");
const SecurePayload = require("hyperdht/lib/secure-payload");

let text = "";
for await (const chunk of process.stdin) text += chunk;
const bytes = Object.fromEntries(
  Object.entries(JSON.parse(text)).map(([name, hex]) => [name, Buffer.from(hex, "hex")]),
);
const seed = (n) => Buffer.alloc(32, n);
const hash = (data, key) => {
  const out = Buffer.alloc(32);
  if (key) sodium.crypto_generichash(out, data, key);
  else sodium.crypto_generichash(out, data);
  return out;
};
const [client, server] = [keyPair(seed(1)), keyPair(seed(2))];

// --- What the reference reads and writes again

const codec = (encoding) => (name) => c.encode(encoding, c.decode(encoding, bytes[name]));
const lookupReply = (name) => {
  const { peers, bump } = c.decode(m.lookupRawReply, bytes[name]);
  return c.encode(m.lookupRawReply, { peers: peers.map((peer) => c.encode(m.peer, peer)), bump });
};
/** A message of a channel: two numbers, then what the codec makes of the rest. */
const onChannel = (encoding) => (name) => {
  const head = bytes[name].subarray(0, 2);
  return Buffer.concat([head, c.encode(encoding, c.decode(encoding, bytes[name].subarray(2)))]);
};

/** Node, and where its message comes from, by what the page says. */
const R = { host: "40.0.0.1", port: 49737 };
const SOURCES = {
  "command-request": { host: "30.0.0.1", port: 6000 },
  "announce-request": { host: "30.0.0.1", port: 6000 },
  "handshake-relayed": R,
};
const socket = { sent: null, trySend: (buffer) => (socket.sent = buffer) };
const idle = { watchNetworkInterfaces: () => ({ destroy() {} }) };

/** The request of a message, taken apart by the reference; undefined if it is refused. */
function readRequest(name) {
  let request;
  const io = new IO({ id: null, closest: () => [] }, idle, { onrequest: (req) => (request = req) });
  io._secrets = [seed(5), seed(5)];
  io.onmessage(socket, bytes[name], SOURCES[name] ?? { host: "20.0.0.1", port: 5000 });
  return request;
}
function request(name) {
  const req = readRequest(name);
  if (!req) throw new Error("the reference does not take it");
  const { _io: io, from, to, token, value } = req;
  io.ephemeral = from.id === null;
  io.serverSocket = socket;
  io.table = { id: from.id };
  return req._encodeRequest(token, value, to, socket);
}
function reply(name) {
  let response;
  const tid = bytes[name].readUInt16LE(2);
  const io = new IO({}, idle, {});
  io.inflight.push({ tid, onresponse: (res) => (response = res), internal: false });
  io.onmessage(socket, bytes[name], R);
  if (!response) throw new Error("the reference does not take it");
  const { from, to, token, closerNodes, error, value } = response;
  const answering = readRequest("find-node-request");
  answering.tid = tid;
  const writer = answering._io;
  writer.ephemeral = from.id === null;
  writer.serverSocket = socket;
  writer.table = { id: from.id, closest: () => closerNodes ?? [] };
  if (token) writer.token = () => token;
  answering._sendReply(error, value, token !== null, closerNodes !== null, to, socket);
  return socket.sent;
}

// --- What it computes

function handshake() {
  const [a, b] = [new NoiseWrap(client, server.publicKey), new NoiseWrap(server, null)];
  a.handshake.e = keyPair(seed(3));
  b.handshake.e = keyPair(seed(4));
  const first = a.send(c.decode(m.noisePayload, bytes["client-payload"]));
  // Copies are taken in: in the end the ephemeral keys inside of what was taken in are zeroed.
  b.recv(Buffer.from(first));
  const second = b.send(c.decode(m.noisePayload, bytes["server-payload"]));
  a.recv(Buffer.from(second));
  return { first, second, keys: a.final() };
}
const { first, second, keys } = handshake();
const secure = new SecurePayload(keys.holepunchSecret);
const announced = { peer: { publicKey: server.publicKey, relayAddresses: [] } };
const target = hash(server.publicKey);
const idOfR = nodeId(R.host, R.port);
const token = hash(Buffer.from("30.0.0.1"), seed(5));
function unordered() {
  const stream = Object.create(SecretStream.prototype);
  stream.isInitiator = true;
  stream._setupSecretSend(keys.hash);
  stream._sendState.set(Buffer.from("0002030405060708", "hex"), 64);
  return stream._boxMessage(Buffer.from("hi"));
}
function announceValue() {
  const signature = Persistent.signAnnounce(target, token, idOfR, announced, server);
  return c.encode(m.announce, { ...announced, signature });
}
function mutablePut() {
  const [seq, value] = [0, Buffer.from("x")];
  const signature = Persistent.signMutable(seq, value, client);
  return c.encode(m.mutablePutRequest, { publicKey: client.publicKey, seq, value, signature });
}
const secretstreamId = (isInitiator) => SecretStream.id(keys.hash, isInitiator);

// A log: the blocks, keys and signers that its page names.
const emptyLog = {
  fork: 0,
  roots: [],
  length: 0,
  byteLength: 0,
  signature: null,
  prologue: null,
  storage: null,
};
const tree = new MerkleTreeBatch(emptyLog);
for (const block of ["a", "bc", "def", "ghij", "klmno"]) tree.append(Buffer.from(block));
const treeNode = (index) => tree.nodes.find((node) => node.index === index);
const manifest = Verifier.defaultSignerManifest(client.publicKey);
const logKey = Verifier.manifestHash(manifest);
const compat = new Verifier(client.publicKey, manifest);
const encryptionKey = seed(7);
function encryptedBlock() {
  const block = Buffer.concat([Buffer.alloc(8), Buffer.from("klmno")]);
  new DefaultEncryption(encryptionKey, logKey).encrypt(4, block, 1, { compat: false, key: logKey });
  return block;
}
/** What the reference reads as a signature of three signers, and whether two of them signed the first four blocks. */
const jointSignature = (version, encoding) => (name) => {
  const signers = [1, 2, 3].map((n) => ({ publicKey: keyPair(seed(n)).publicKey }));
  const of = Verifier.createManifest({ version, allowPatch: true, signers });
  const batch = new MerkleTreeBatch(emptyLog);
  for (const block of ["a", "bc", "def", "ghij"]) batch.append(Buffer.from(block));
  const isGood = new Verifier(Verifier.manifestHash(of), of).verify(batch, bytes[name]);
  if (!isGood) throw new Error("the reference does not believe it");
  return codec(encoding)(name);
};

/** The frame that the reference appends to an oplog whose headers have the bits 0 and 1. */
function frame() {
  let written;
  const storage = { write: (_offset, buffer) => (written = buffer) };
  const file = new Oplog(storage, { entryEncoding: oplog.entry });
  file._headers = [0, 1];
  file.append([{ bitfield: { drop: true, start: 1, length: 1 } }]).catch(() => {});
  return written;
}
/** As it lies in the file `tree`. */
function storedNode() {
  const { size, hash } = treeNode(2);
  return Buffer.concat([c.encode(c.uint64, size), hash]);
}

const checks = {
  "v10-frame": frame,
  "v10-header": codec(oplog.header),
  "v10-header-external": codec(oplog.header),
  "v10-entry": codec(oplog.entry),
  "v10-node": storedNode,
  "log-leaf-hash": () => hypercoreCrypto.data(Buffer.from("bc")),
  "log-parent-hash": () => treeNode(1).hash,
  "log-tree-hash": () => tree.hash(),
  "log-manifest": () => c.encode(log.manifest, manifest),
  "log-manifest-full": codec(log.manifest),
  "log-manifest-v0": codec(log.manifest),
  "log-key": () => logKey,
  "log-discovery-key": () => hypercoreCrypto.discoveryKey(logKey),
  "log-signable": () => tree.signable(logKey),
  "log-signable-compat": () => tree.signableCompat(false),
  "log-signature": () => new Verifier(logKey, manifest).sign(tree, client),
  "log-signature-compat": () => compat.sign(tree, client),
  "log-signature-joint": jointSignature(1, log.multiSignature),
  "log-signature-joint-v0": jointSignature(0, log.multiSignaturev0),
  "log-block-key": () => DefaultEncryption.blockEncryptionKey(logKey, encryptionKey),
  "log-block-encrypted": encryptedBlock,
  "node-id": () => idOfR,
  "rpc-token": () => token,
  "peer-target": () => target,
  "peer-record": codec(m.peer),
  "lookup-reply": lookupReply,
  "mutable-put": mutablePut,
  "plugin-request": codec(m.pluginRequest),
  "announce-value": announceValue,
  "noise-1": () => first,
  "noise-2": () => second,
  "handshake-keys": () => Buffer.concat([keys.hash, keys.tx, keys.rx, keys.holepunchSecret]),
  "relay-payload": codec(m.noisePayload),
  "punch-probe": () => c.encode(m.holepunchPayload, secure.decrypt(Buffer.from(bytes["punch-probe-sealed"]))),
  "punch-token": () => hash(Buffer.from("20.0.0.1"), seed(5)),
  "stream-ids": () => Buffer.concat([secretstreamId(true), secretstreamId(false)]),
  "unordered-message": unordered,
  "relay-pair": onChannel(relay.pair),
  "relay-pair-other": onChannel(relay.pair),
  "relay-paired": onChannel(relay.pair),
  "relay-unpair": onChannel(relay.unpair),
};
for (const name of ["upgrade", "block", "seek"]) {
  checks[`log-request-${name}`] = codec(log.wire.request);
  checks[`log-data-${name}`] = codec(log.wire.data);
}
const replication = {
  sync: "sync",
  "no-data": "noData",
  want: "want",
  "want-any": "want",
  bitfield: "bitfield",
  range: "range",
  "range-one": "range",
  extension: "extension",
};
for (const [name, kind] of Object.entries(replication)) checks[`log-${name}`] = codec(log.wire[kind]);
checks["log-handshake"] = () =>
  c.encode(log.wire.handshake, {
    seeks: true,
    capability: caps.replicate(true, logKey, Buffer.alloc(64, 6)),
  });
for (const name of ["client-payload", "server-payload"]) checks[name] = codec(m.noisePayload);
for (const name of ["punch-probe-reply", "punch-start", "punch-start-reply"]) {
  checks[name] = codec(m.holepunchPayload);
}
const MESSAGES = ["ping", "ping-nat", "find-node", "down-hint", "delayed-ping", "command", "announce"];
for (const name of MESSAGES) checks[`${name}-request`] = request;
for (const name of ["handshake-request", "handshake-relayed", "handshake-answer", "holepunch-request"]) {
  checks[name] = request;
}
for (const name of ["ping", "ping-nat", "find-node", "command", "invalid-token", "handshake"]) {
  checks[`${name}-reply`] = reply;
}

const results = {};
for (const [name, check] of Object.entries(checks)) {
  try {
    const found = Buffer.from(check(name));
    results[name] = found.equals(bytes[name]) ? "same" : `differs: ${found.toString("hex")}`;
  } catch (error) {
    results[name] = String(error);
  }
}
console.log(JSON.stringify(results));
