// Records what nodes of the reference say to each other: `node record_dht_traffic.mjs > ../../vectors/dht_traffic.json`. A
// testnet does all that it can do, and of each shape of datagram, and of each shape of message inside of them, as decrypted, a few
// are kept. Keys, ports, tokens and ids are those of the run that recorded them.
import { EventEmitter, once } from "node:events";
import { createRequire } from "node:module";
import relay from "blind-relay";
import DHT from "hyperdht";
import createTestnet from "hyperdht/testnet.js";

const require = createRequire(import.meta.url);
const codecs = require("hyperdht/lib/messages");
const Plugin = require("hyperdht/lib/plugin");
const Socket = require("udx-native/lib/socket");

const HOST = "127.0.0.1";
/** Datagrams and messages that are kept of each shape. */
const EACH = 2;
const INTERNAL = ["PING", "PING_NAT", "FIND_NODE", "DOWN_HINT", "DELAYED_PING"];
const COMMANDS = [
  ...[
    "PEER_HANDSHAKE",
    "PEER_HOLEPUNCH",
    "FIND_PEER",
    "LOOKUP",
    "ANNOUNCE",
    "UNANNOUNCE",
  ],
  ...["MUTABLE_PUT", "MUTABLE_GET", "IMMUTABLE_PUT", "IMMUTABLE_GET", "PLUGIN"],
];
const MODES = [
  "from client",
  "from server",
  "from relay",
  "from second relay",
  "reply",
];

const hex = (bytes) => Buffer.from(bytes).toString("hex");
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const datagrams = new Map();
const messages = {};
const asked = new Map();

function keep(map, shape, bytes) {
  const kept = map.get(shape) ?? [];
  if (kept.length < EACH && !kept.includes(hex(bytes))) {
    map.set(shape, [...kept, hex(bytes)]);
  }
}

/** Names a datagram by what is asked, and by what it carries. */
function onDatagram(bytes) {
  const isReply = bytes[0] === 0x13;
  if (!isReply && bytes[0] !== 0x03) return;
  const [flags, tid] = [bytes[1], bytes.readUInt16LE(2)];
  let at = 10 + (flags & 1 ? 32 : 0) + (flags & 2 ? 32 : 0);
  let name;
  if (isReply) name = asked.get(tid);
  else {
    name = (flags & 4 ? INTERNAL : COMMANDS)[bytes[at]];
    asked.set(tid, name);
    at += 1 + (flags & 8 ? 32 : 0);
    const mode = (flags & 4) === 0 && bytes[at - (flags & 8 ? 33 : 1)] <= 1 && flags & 16
      ? MODES[bytes[at + (bytes[at] < 0xfd ? 2 : 4)]]
      : undefined;
    if (mode !== undefined) name += ` ${mode}`;
  }
  if (name !== undefined) {
    keep(datagrams, `${name} ${isReply ? "reply" : "request"} ${flags}`, bytes);
  }
}

/** Notes what `codec` decodes. */
function tap(name, codec) {
  const kept = messages[name] = new Map();
  const { decode } = codec;
  codec.decode = (state) => {
    const { start } = state;
    const value = decode(state);
    const bytes = state.buffer.subarray(start, state.end);
    // A pairing begins with its flags, as do all messages that have some; of the rest the length is the shape.
    const head = name === "peer" || name.startsWith("mutable") ? "" : bytes[name === "noisePayload" ? 1 : 0];
    keep(kept, `${bytes.length} ${head}`, bytes);
    return value;
  };
}

Socket.prototype.emit = function (name, ...rest) {
  if (name === "message") onDatagram(rest[0]);
  return EventEmitter.prototype.emit.call(this, name, ...rest);
};
for (
  const name of [
    "handshake",
    "holepunch",
    "noisePayload",
    "holepunchPayload",
    "lookupRawReply",
    "announce",
  ]
) tap(name, codecs[name]);
for (
  const name of ["mutablePutRequest", "mutableGetResponse", "pluginRequest"]
) tap(name, codecs[name]);
tap("pair", relay.messages.pair);
tap("unpair", relay.messages.unpair);

class Echo extends Plugin {
  onrequest({ command, value }, request) {
    if (value === null) request.error(16 + command);
    else request.reply(value);
  }
  onpersistent() {}
  destroy() {}
}

const testnet = await createTestnet(10);
const bootstrap = testnet.bootstrap;
const made = [];
async function node(options) {
  const dht = new DHT({ bootstrap, host: HOST, ephemeral: true, ...options });
  made.push(dht);
  await dht.fullyBootstrapped();
  return dht;
}

async function records() {
  const dht = await node({});
  const [pair, other] = [
    DHT.keyPair(Buffer.alloc(32, 1)),
    DHT.keyPair(Buffer.alloc(32, 2)),
  ];
  await dht.findPeer(pair.publicKey).finished();
  await dht.mutableGet(pair.publicKey);
  await dht.mutablePut(pair, Buffer.from("one"), { seq: 1 });
  await dht.mutablePut(pair, Buffer.alloc(300, 2), { seq: 300 });
  await dht.mutablePut(pair, Buffer.from("older"), { seq: 2 }).catch(() => {});
  await dht.mutablePut(pair, Buffer.from("other"), { seq: 300 }).catch(
    () => {},
  );
  await dht.mutableGet(pair.publicKey, { seq: 1 });
  const { hash } = await dht.immutablePut(Buffer.alloc(900, 7));
  await dht.immutablePut(Buffer.from("short"));
  await dht.immutableGet(hash);
  await dht.immutableGet(Buffer.alloc(32));
  const topic = Buffer.alloc(32, 3);
  const relays = [1, 2, 3].map((port) => ({ host: HOST, port }));
  await dht.lookup(topic).finished();
  await dht.announce(topic, pair, relays, { bump: Date.now() }).finished();
  await dht.announce(topic, other, relays.slice(0, 1)).finished();
  await dht.lookup(topic).finished();
  await dht.announce(topic, other, [], { clear: true, bump: Date.now() })
    .finished();
  await dht.unannounce(topic, pair);
  const plugin = new Echo("echo", 1);
  for (const member of testnet.nodes) {
    member.register("echo", new Echo("echo", 1));
  }
  dht.register("echo", plugin);
  await plugin.query({ command: 3, target: topic, value: Buffer.from("hi") })
    .finished();
  const to = { host: HOST, port: testnet.nodes[4].address().port };
  await plugin.request({ command: 300 }, to);
  await dht.delayedPing(to, 100);
  await dht.ping(to, { size: 50 });
}

async function talk(dht, server, options) {
  const socket = dht.connect(server.publicKey, options);
  socket.on("error", () => {});
  socket.write("hello");
  await once(socket, "data");
  return socket;
}

async function serve(dht, options) {
  const server = dht.createServer(options, (socket) => {
    socket.on("error", () => {});
    socket.on("data", (data) => socket.write(data));
    socket.on("end", () => socket.end());
  });
  await server.listen();
  return server;
}

async function connections() {
  // Reachable, in the local network, and by a punch; the last one with and without a second relay.
  const reachable = await serve(await node({ firewalled: false }), {
    reusableSocket: true,
  });
  const hidden = await node({ quickFirewall: false });
  const other = await node({ quickFirewall: false });
  const inLan = await serve(hidden, {});
  (await talk(other, inLan, {})).destroy();
  (await talk(other, reachable, { reusableSocket: true })).destroy();
  const puncher = await node({ quickFirewall: false });
  const punched = await serve(puncher, { shareLocalAddress: false });
  (await talk(other, punched, { localConnection: false })).destroy();
  (await talk(other, punched, { localConnection: false, fastOpen: false }))
    .destroy();
  const nodes = testnet.nodes.slice(2, 4).map((member) => ({
    host: HOST,
    port: member.address().port,
  }));
  (await talk(other, punched, {
    localConnection: false,
    relayAddresses: nodes,
  })).destroy();
  await secondRelay(other, punched);
  // A peer that does not want to punch, and one that does not want to be dialed.
  const unwilling = await serve(await node({ quickFirewall: false }), {
    shareLocalAddress: false,
    holepunch: () => false,
  });
  const refused = other.connect(unwilling.publicKey, {
    localConnection: false,
  });
  refused.on("error", () => {});
  await Promise.race([once(refused, "close"), sleep(3000)]);
  refused.destroy();
  await punched.close();
}

/** A client may name the relay that its relay is to use; nobody does that by himself. What it carries is none of their business. */
async function secondRelay(dht, server) {
  const relays = server.relayAddresses.map(({ port }) => port);
  const first = testnet.nodes.map((member) => member.address().port).find((
    port,
  ) => !relays.includes(port));
  const session = dht.session();
  const message = {
    noise: Buffer.alloc(100, 1),
    peerAddress: null,
    relayAddress: server.relayAddresses[0],
    session,
  };
  const asking = dht._router.peerHandshake(server.target, message, {
    host: HOST,
    port: first,
  });
  await Promise.race([asking.catch(() => {}), sleep(500)]);
  session.destroy();
}

async function relayed() {
  const host = await node({ firewalled: false });
  const server = new relay.Server({
    createStream: (options) => host.createRawStream({ ...options, framed: true }),
  });
  const listener = host.createServer({ shareLocalAddress: false }, (socket) => {
    socket.on("error", () => {});
    server.accept(socket, { id: socket.remotePublicKey }).on("error", () => {});
  });
  await listener.listen();
  for (const side of ["client", "server"]) {
    const options = { relayThrough: listener.publicKey };
    const accepting = await serve(await node({ quickFirewall: false }), {
      shareLocalAddress: false,
      holepunch: false,
      ...(side === "server" ? options : {}),
    });
    const dht = await node({ quickFirewall: false });
    const socket = await talk(dht, accepting, {
      localConnection: false,
      ...(side === "client" ? options : {}),
    });
    socket.destroy();
    await sleep(200);
  }
  // Somebody waits for a peer that does not come, and gives up.
  const dht = await node({});
  const socket = dht.connect(listener.publicKey);
  socket.on("error", () => {});
  const client = relay.Client.from(socket, { id: socket.publicKey });
  const stream = dht.createRawStream();
  const token = Buffer.alloc(32, 9);
  client.pair(true, token, stream).on("error", () => {});
  await sleep(200);
  client.unpair(token);
  await sleep(200);
}

await records();
await connections();
await relayed();
// Nodes that are gone are hinted at.
const gone = testnet.nodes.pop();
const { port } = gone.address();
await gone.destroy({ force: true });
const last = await node({ nodes: [{ host: HOST, port }] });
for (
  let i = 0;
  i < 3 && ![...datagrams.keys()].some((name) => name.startsWith("DOWN"));
  i++
) {
  await last.findNode(Buffer.alloc(32, i)).finished();
}

const versions = {};
for (const name of ["hyperdht", "dht-rpc", "blind-relay"]) {
  versions[name] = require(`${name}/package.json`).version;
}
const list = (map) => [...map.values()].flat();
const named = Object.fromEntries(
  [...datagrams].sort(([a], [b]) => (a < b ? -1 : 1)),
);
const inside = Object.fromEntries(
  Object.entries(messages).map(([name, kept]) => [name, list(kept)]),
);
console.log(
  JSON.stringify({ versions, datagrams: named, messages: inside }, null, 1),
);
process.exit(0);
