/**
 * Records what HyperDHT's messages look like: `node record_dht_messages.mjs > ../../vectors/dht_messages.json`. All chance is taken
 * out, so that a second run gives the same file.
 *
 * In values, "hex:..." stands for bytes and "addr:..." for an address; what is missing is missing.
 */
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const c = require("compact-encoding");
const sodium = require("sodium-universal");
const m = require("hyperdht/lib/messages");
const { NS } = require("hyperdht/lib/constants");
const Persistent = require("hyperdht/lib/persistent");
const SecurePayload = require("hyperdht/lib/secure-payload");

const hex = (bytes) => Buffer.from(bytes).toString("hex");
const bytes = (length, n) => `hex:${hex(Buffer.alloc(length, n))}`;
const address = (text) => {
  const at = text.lastIndexOf(":");
  return { host: text.slice(0, at).replace(/[[\]]/g, ""), port: Number(text.slice(at + 1)) };
};
/** From the form of this file to what the reference takes. */
function revive(value) {
  if (typeof value === "string" && value.startsWith("hex:")) return Buffer.from(value.slice(4), "hex");
  if (typeof value === "string" && value.startsWith("addr:")) return address(value.slice(5));
  if (Array.isArray(value)) return value.map(revive);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, revive(one)]));
}

const peer = { publicKey: bytes(32, 1), relayAddresses: ["addr:1.2.3.4:5", "addr:250.251.252.253:65535"] };
const bare = { publicKey: bytes(32, 2), relayAddresses: [] };
const signature = bytes(64, 3);
const noise = { error: 0, firewall: 0, addresses4: [], addresses6: [], secretStream: false };
const udx = { reusableSocket: true, id: 7, seq: 0 };
const round = { error: 0, firewall: 0, round: 0, connected: false, punching: false };
const messages = {
  peerRecord: [peer, bare],
  announcement: [
    { bump: 0 },
    { peer, bump: 0 },
    { peer, signature, bump: 0 },
    { peer, refresh: bytes(32, 4), signature, bump: 1_700_000_000_000 },
    { refresh: bytes(32, 4), bump: 0 },
    { peer: bare, bump: 1 },
  ],
  lookupReply: [{ peers: [], bump: 0 }, { peers: [peer, bare], bump: 1_700_000_000_000 }],
  mutableValue: [{ seq: 0, value: bytes(1, 0x78), signature }, {
    seq: 70_000,
    value: bytes(300, 9),
    signature,
  }],
  mutablePut: [{ publicKey: bytes(32, 5), seq: 253, value: bytes(10, 9), signature }],
  mutableSignable: [{ seq: 0, value: bytes(1, 0x78) }, { seq: 2 ** 40, value: bytes(1000, 8) }],
  pluginRequest: [
    { plugin: "search", version: 1, command: 0 },
    { plugin: "é", version: 300, command: 5, value: bytes(20, 6) },
  ],
  peerHandshake: [
    { mode: 0, noise: bytes(100, 1) },
    { mode: 4, noise: bytes(300, 2), peerAddress: "addr:1.2.3.4:4386" },
    { mode: 3, noise: bytes(1, 2), peerAddress: "addr:1.2.3.4:4386", relayAddress: "addr:4.3.2.1:1" },
    { mode: 1, noise: bytes(1, 2), relayAddress: "addr:4.3.2.1:1" },
  ],
  peerHolepunch: [
    { mode: 0, id: 0, payload: bytes(80, 1) },
    { mode: 2, id: 1000, payload: bytes(300, 1), peerAddress: "addr:9.8.7.6:5432" },
  ],
  noisePayload: [
    noise,
    {
      ...noise,
      firewall: 1,
      holepunch: { id: 3, relays: [{ relayAddress: "addr:1.2.3.4:1", peerAddress: "addr:5.6.7.8:2" }] },
      addresses4: ["addr:10.0.0.1:9"],
      udx: { reusableSocket: false, id: 7, seq: 0 },
      secretStream: true,
    },
    {
      error: 1,
      firewall: 3,
      holepunch: { id: 70_000, relays: [] },
      addresses4: ["addr:10.0.0.1:9", "addr:192.168.1.2:49737"],
      addresses6: ["addr:[2001:db8::1]:80"],
      udx: { ...udx, id: 0xfffffffe, seq: 300 },
      secretStream: true,
      relayThrough: { publicKey: bytes(32, 6), token: bytes(32, 7) },
      relayAddresses: ["addr:1.2.3.4:5"],
    },
    { ...noise, udx, relayAddresses: [] },
  ],
  punchPayload: [
    round,
    { ...round, firewall: 2, connected: true, punching: true, round: 5, addresses: [] },
    {
      error: 3,
      firewall: 3,
      round: 200,
      connected: false,
      punching: true,
      addresses: ["addr:1.2.3.4:0", "addr:1.2.3.5:6"],
      remoteAddress: "addr:9.9.9.9:9",
      token: bytes(32, 8),
      remoteToken: bytes(32, 9),
    },
  ],
};
const theirs = {
  peerRecord: m.peer,
  announcement: m.announce,
  lookupReply: m.lookupRawReply,
  mutableValue: m.mutableGetResponse,
  mutablePut: m.mutablePutRequest,
  mutableSignable: m.mutableSignable,
  pluginRequest: m.pluginRequest,
  peerHandshake: m.handshake,
  peerHolepunch: m.holepunch,
  noisePayload: m.noisePayload,
  punchPayload: m.holepunchPayload,
};
function encodeAs(name, value) {
  const message = revive(value);
  if (name === "lookupReply") message.peers = message.peers.map((one) => c.encode(m.peer, one));
  if (name === "noisePayload") message.secretStream = message.secretStream ? {} : null;
  return hex(c.encode(theirs[name], message));
}

const fill = (length, n) => Buffer.alloc(length, n);
const keyPair = { publicKey: Buffer.alloc(32), secretKey: Buffer.alloc(64) };
sodium.crypto_sign_seed_keypair(keyPair.publicKey, keyPair.secretKey, fill(32, 1));
const relayAddresses = [{ host: "1.2.3.4", port: 5 }];
const signed = { peer: { publicKey: keyPair.publicKey, relayAddresses } };
const refreshed = { ...signed, refresh: fill(32, 6) };
const context = [fill(32, 9), fill(32, 8), fill(32, 7)];

const random = sodium.randombytes_buf;
sodium.randombytes_buf = (buffer) => buffer.fill(5);
const secure = new SecurePayload(fill(32, 4));
const sealed = messages.punchPayload.map((value) => ({ value, hex: hex(secure.encrypt(revive(value))) }));
sodium.randombytes_buf = random;

console.log(JSON.stringify(
  {
    versions: { hyperdht: require("hyperdht/package.json").version },
    messages: Object.fromEntries(
      Object.entries(messages).map(([name, values]) => [
        name,
        values.map((value) => ({ value, hex: encodeAs(name, value) })),
      ]),
    ),
    namespaces: Object.fromEntries(Object.entries(NS).map(([name, value]) => [name, hex(value)])),
    signatures: {
      announce: hex(Persistent.signAnnounce(...context, signed, keyPair)),
      announceWithRefresh: hex(Persistent.signAnnounce(...context, refreshed, keyPair)),
      unannounce: hex(Persistent.signUnannounce(...context, signed, keyPair)),
      mutable: hex(Persistent.signMutable(0, Buffer.from("x"), keyPair)),
      mutableLarge: hex(Persistent.signMutable(70_000, fill(1000, 2), keyPair)),
    },
    secure: {
      secret: hex(fill(32, 4)),
      token: { host: "127.0.0.1", key: 5, hex: hex(secure.token({ host: "127.0.0.1" })) },
      sealed,
    },
  },
  null,
  1,
));
