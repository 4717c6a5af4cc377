// Records messages of the reference: `node record_dht_rpc.mjs > ../../vectors/dht_rpc.json`. A plain socket plays the other node,
// so that each kind of message is seen; ports, keys and transaction ids are those of the run that recorded them.
import dgram from "node:dgram";
import { once } from "node:events";
import { createRequire } from "node:module";
import c from "compact-encoding";
import DHT from "dht-rpc";

const require = createRequire(import.meta.url);
const [HOST, TARGET] = ["127.0.0.1", Buffer.alloc(32, 9)];
const [PING, PING_NAT, FIND_NODE] = [0, 1, 2];

const peer = dgram.createSocket("udp4");
peer.bind(0, HOST);
await once(peer, "listening");
const peerPort = peer.address().port;
const seen = [];
let wake = () => {};
peer.on("message", (message, { port }) => {
  seen.push({ message, port });
  wake();
});

/** The next message that `wanted` accepts; others are skipped. */
async function next(wanted) {
  while (true) {
    while (seen.length > 0) {
      const { message, port } = seen.shift();
      const parsed = parse(message);
      if (wanted(parsed)) return { message, port, parsed };
    }
    await new Promise((resolve) => wake = resolve);
  }
}

/** Takes a message apart with the reference's own codecs. */
function parse(message) {
  const state = { start: 1, end: message.length, buffer: message };
  const isReply = message[0] === 0x13;
  const flags = c.uint.decode(state);
  const hex = (codec) => codec.decode(state)?.toString("hex") ?? "";
  const parsed = { kind: isReply ? "reply" : "request", tid: c.uint16.decode(state) };
  const { host, port } = c.ipv4Address.decode(state);
  parsed.to = `${host}:${port}`;
  if (flags & 1) parsed.id = hex(c.fixed32);
  if (flags & 2) parsed.token = hex(c.fixed32);
  if (isReply) {
    const address = ({ host, port }) => `${host}:${port}`;
    if (flags & 4) parsed.closerNodes = c.array(c.ipv4Address).decode(state).map(address);
    if (flags & 8) parsed.error = c.uint.decode(state);
  } else {
    parsed.isInternal = (flags & 4) !== 0;
    parsed.command = c.uint.decode(state);
    if (flags & 8) parsed.target = hex(c.fixed32);
  }
  if (flags & 16) parsed.value = hex(c.buffer);
  return parsed;
}

const messages = [];
function record(name, { message, parsed }) {
  messages.push({ name, message: message.toString("hex"), ...parsed });
}

/** Sends a request made by hand to a reference node and returns its reply. */
async function ask(node, { command, internal = true, target, token, value }, tid) {
  const flags = (token ? 2 : 0) | (internal ? 4 : 0) | (target ? 8 : 0) | (value ? 16 : 0);
  const to = Buffer.alloc(6);
  const { port } = node.io.serverSocket.address();
  c.ipv4Address.encode({ start: 0, end: 6, buffer: to }, { host: HOST, port });
  const parts = [Buffer.from([0x03, flags, tid & 255, tid >> 8]), to];
  if (token) parts.push(token);
  parts.push(Buffer.from([command]));
  if (target) parts.push(target);
  if (value) parts.push(Buffer.from([value.length]), value);
  peer.send(Buffer.concat(parts), port, HOST);
  return await next((message) => message.kind === "reply" && message.tid === tid);
}

/** Answers a request of a reference node, so that it goes on. */
function answer({ parsed, port }, token) {
  const reply = [Buffer.from([0x13, token ? 2 : 0, parsed.tid & 255, parsed.tid >> 8])];
  const to = Buffer.alloc(6);
  c.ipv4Address.encode({ start: 0, end: 6, buffer: to }, { host: HOST, port });
  reply.push(to);
  if (token) reply.push(token);
  peer.send(Buffer.concat(reply), port, HOST);
}

const persistent = DHT.bootstrapper(peerPort > 60000 ? peerPort - 100 : peerPort + 100, HOST);
await persistent.fullyBootstrapped();
const others = [];
for (let i = 0; i < 3; i++) {
  const node = new DHT({
    bootstrap: [persistent.address()],
    ephemeral: false,
    firewalled: false,
    host: HOST,
  });
  await node.fullyBootstrapped();
  others.push(node);
}
const ephemeral = new DHT({ bootstrap: false, ephemeral: true, host: HOST });
await ephemeral.fullyBootstrapped();
persistent.on("request", (request) => {
  if (request.command === 42) request.reply(Buffer.from("forty-two"));
  else if (request.command === 43) request.error(16);
  else request.error(1);
});

const to = { host: HOST, port: peerPort };
const isRequest = (command, internal = true) => (message) =>
  message.kind === "request" && message.command === command && message.isInternal === internal;
async function recordRequest(name, promise, wanted) {
  const request = await next(wanted);
  record(name, request);
  answer(request);
  await promise;
}

await recordRequest("ping of an ephemeral node", ephemeral.ping(to), isRequest(PING));
await recordRequest("ping of a persistent node", persistent.ping(to), isRequest(PING));
await recordRequest("ping with padding", ephemeral.ping(to, { size: 20 }), isRequest(PING));
await recordRequest("delayed ping", ephemeral.delayedPing(to, 5), isRequest(4));
const find = ephemeral.findNode(TARGET, { nodes: [to] });
await recordRequest("find node", find.finished(), isRequest(FIND_NODE));
const token = Buffer.alloc(32, 7);
const asked = ephemeral.request({ command: 300, target: TARGET, token, value: Buffer.from("hello") }, to);
await recordRequest("command with target, token and value", asked, isRequest(300, false));
const hint = Buffer.from([11, 0, 0, 1, 0x34, 0x12]);
const down = new Promise((resolve) => {
  ephemeral._request({ id: null, ...to }, false, true, 3, null, hint, null, resolve, resolve);
});
await recordRequest("down hint", down, isRequest(3));
const port = Buffer.from([0x34, 0x12]);
const nat = new Promise((resolve) => {
  ephemeral._request({ id: null, ...to }, false, true, PING_NAT, null, port, null, resolve, resolve);
});
await recordRequest("ping to another port", nat, isRequest(PING_NAT));

record("reply of an ephemeral node", await ask(ephemeral, { command: PING }, 1));
record("reply of a persistent node", await ask(persistent, { command: PING }, 2));
record("reply with closer nodes", await ask(persistent, { command: FIND_NODE, target: TARGET }, 3));
const withToken = await ask(persistent, { command: 42, internal: false, target: TARGET }, 4);
record("reply with token, closer nodes and value", withToken);
record("reply without target", await ask(persistent, { command: 42, internal: false }, 5));
record(
  "error of the application",
  await ask(persistent, { command: 43, internal: false, target: TARGET }, 6),
);
record("unknown command", await ask(persistent, { command: 99, internal: false, target: TARGET }, 7));
record("invalid token", await ask(persistent, { command: 42, internal: false, target: TARGET, token }, 8));
record("unknown internal command", await ask(persistent, { command: 9 }, 9));

const versions = {};
for (const name of ["dht-rpc", "kademlia-routing-table"]) {
  versions[name] = require(`${name}/package.json`).version;
}
console.log(JSON.stringify({ versions, messages }, null, 1));
process.exit(0);
