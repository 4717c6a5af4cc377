// The blind relay of the reference and its clients, driven by JSON lines:
// {"id": 1, "op": "node", ...} is answered by {"id": 1, ...}.
import SecretStream from "@hyperswarm/secret-stream";
import relay from "blind-relay";
import DHT from "hyperdht";
import createTestnet from "hyperdht/testnet.js";
import { createHash } from "node:crypto";
import { createInterface } from "node:readline";

const nodes = new Map();
const open = [];
const streams = new Map();
let testnet;
let server;

const operations = {
  async testnet({ size }) {
    testnet = await createTestnet(size);
    return { port: testnet.bootstrap[0].port };
  },

  async node({ name, port, ...options }) {
    const node = new DHT({ bootstrap: [{ host: "127.0.0.1", port }], host: "127.0.0.1", ...options });
    await node.fullyBootstrapped();
    nodes.set(name, node);
    return { publicKey: node.defaultKeyPair.publicKey.toString("hex") };
  },

  // Runs a relay.
  async relay({ node }) {
    const dht = nodes.get(node);
    server = new relay.Server({
      createStream: (options) => dht.createRawStream({ ...options, framed: true }),
    });
    const listener = dht.createServer({ shareLocalAddress: false }, (socket) => {
      socket.on("error", () => {});
      const session = server.accept(socket, { id: socket.remotePublicKey });
      session.on("error", () => {});
    });
    await listener.listen();
    return { publicKey: listener.publicKey.toString("hex") };
  },

  relayStats: () => server.stats,

  // Meets another client at a relay, says something, and waits for what that says.
  async meet({ node, relayKey, isInitiator, token, message }) {
    const dht = nodes.get(node);
    const socket = dht.connect(Buffer.from(relayKey, "hex"));
    socket.on("error", () => {});
    open.push(socket);
    const client = relay.Client.from(socket, { id: socket.publicKey });
    const stream = dht.createRawStream({ framed: true });
    stream.on("error", () => {});
    const remoteId = await new Promise((resolve, reject) =>
      client.pair(isInitiator, Buffer.from(token, "hex"), stream).on("error", reject).on("data", resolve)
    );
    const { remotePort, remoteHost, socket: udx } = socket.rawStream;
    stream.connect(udx, remoteId, remotePort, remoteHost);
    const secret = new SecretStream(isInitiator, stream);
    secret.on("error", () => {});
    open.push(secret);
    secret.write(message);
    // The relay forwards to an end only once it has had a packet from there.
    const knocks = setInterval(() => stream.trySend(Buffer.alloc(0)), 50);
    const heard = await new Promise((resolve, reject) => {
      secret.once("data", (data) => resolve(data.toString()));
      secret.once("close", () => reject(new Error("closed")));
    });
    clearInterval(knocks);
    return { heard };
  },

  // A bare stream that reads what comes.
  async stream({ name, node }) {
    const stream = nodes.get(node).createRawStream({ firewall: () => false });
    const entry = {
      stream,
      received: 0,
      hash: createHash("sha256"),
      relay: null,
      relayEnded: false,
      remoteId: 0,
    };
    stream.on("error", () => {});
    stream.on("data", (data) => {
      entry.received += data.length;
      entry.hash.update(data);
    });
    streams.set(name, entry);
    return { streamId: stream.id };
  },

  // Connects it through a relay, and writes.
  async relayed({ name, node, relayKey, isInitiator, token, remoteId, bytes }) {
    const entry = streams.get(name);
    const { stream } = entry;
    const socket = entry.relay = nodes.get(node).connect(Buffer.from(relayKey, "hex"));
    socket.on("error", () => {});
    open.push(socket);
    const client = relay.Client.from(socket, { id: socket.publicKey });
    const relayedId = await new Promise((resolve, reject) =>
      client.pair(isInitiator, Buffer.from(token, "hex"), stream).on("error", reject).on("data", resolve)
    );
    const { remotePort, remoteHost, socket: udx } = socket.rawStream;
    entry.remoteId = remoteId;
    entry.udx = udx;
    stream.connect(udx, relayedId, remotePort, remoteHost);
    stream.write(Buffer.alloc(bytes, 1));
    return { port: udx.address().port };
  },

  // Leaves the relay for a direct path, as hyperdht does.
  async move({ name, port }) {
    const { stream, udx, remoteId, relay: socket } = streams.get(name);
    const changed = stream.changeRemote(udx, remoteId, port, "127.0.0.1");
    await changed;
    const leave = () => socket.end();
    stream.once("message", leave);
    stream.once("data", leave);
    stream.trySend(Buffer.alloc(0));
    return {};
  },

  // Writes more, and waits for so many bytes in all.
  async finish({ name, bytes, received }) {
    const entry = streams.get(name);
    entry.stream.write(Buffer.alloc(bytes, 2));
    while (entry.received < received) await new Promise((resolve) => setTimeout(resolve, 10));
    return { received: entry.received, hash: entry.hash.digest("hex") };
  },

  // Asks for a pairing, and calls it off.
  async unpair({ node, relayKey, token }) {
    const dht = nodes.get(node);
    const socket = dht.connect(Buffer.from(relayKey, "hex"));
    socket.on("error", () => {});
    const client = relay.Client.from(socket, { id: socket.publicKey });
    const stream = dht.createRawStream({ framed: true });
    const request = client.pair(true, Buffer.from(token, "hex"), stream);
    request.on("error", () => {}).on("data", () => {}); // it asks only once somebody reads
    await new Promise((resolve) => client.once("open", resolve));
    await new Promise((resolve) => setTimeout(resolve, 100));
    client.unpair(Buffer.from(token, "hex"));
    await new Promise((resolve) => setTimeout(resolve, 100));
    stream.destroy();
    socket.destroy();
    return {};
  },

  async stop() {
    for (const stream of open) stream.destroy();
    for (const node of nodes.values()) await node.destroy({ force: true });
    if (testnet !== undefined) await testnet.destroy();
    return {};
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, op, ...details } = JSON.parse(line);
  Promise.resolve()
    .then(() => operations[op](details))
    .then((answer) => answer, (error) => ({ failure: error.code ?? error.stack }))
    .then((answer) => process.stdout.write(`${JSON.stringify({ id, ...answer })}\n`));
}
process.exit();
