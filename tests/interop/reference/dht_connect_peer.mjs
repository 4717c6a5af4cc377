// HyperDHT of the reference, driven by JSON lines: {"id": 1, "op": "node", ...} is answered by {"id": 1, ...}.
// Nodes, servers and connections have names that the driver chooses.
import { createInterface } from "node:readline";
import DHT from "hyperdht";
import createTestnet from "hyperdht/testnet.js";
import relay from "blind-relay";

const nodes = new Map();
const servers = new Map();
const seen = new Map();
let testnet;

const operations = {
  async testnet({ size }) {
    testnet = await createTestnet(size);
    return { port: testnet.bootstrap[0].port };
  },

  async node({ name, port, ...options }) {
    const node = new DHT({ bootstrap: [{ host: "127.0.0.1", port }], host: "127.0.0.1", ...options });
    await node.fullyBootstrapped();
    nodes.set(name, node);
    return {
      publicKey: node.defaultKeyPair.publicKey.toString("hex"),
      port: node.io.serverSocket.address().port,
    };
  },

  // Runs a blind relay.
  async relay({ node }) {
    const dht = nodes.get(node);
    const server = new relay.Server({
      createStream: (options) => dht.createRawStream({ ...options, framed: true }),
    });
    const listener = dht.createServer((socket) => {
      socket.on("error", () => {});
      server.accept(socket, { id: socket.remotePublicKey }).on("error", () => {});
    });
    await listener.listen(DHT.keyPair(Buffer.alloc(32, 99)));
    servers.set("relay", listener);
    return { publicKey: listener.publicKey.toString("hex") };
  },

  // Echoes what comes.
  async listen({ name, node, seed, relayThrough, ...options }) {
    if (relayThrough !== undefined) options.relayThrough = Buffer.from(relayThrough, "hex");
    const server = nodes.get(node).createServer(options);
    const count = { connections: 0, received: "" };
    seen.set(name, count);
    server.on("connection", (socket) => {
      count.connections++;
      socket.on("error", () => {});
      socket.on("end", () => socket.end());
      socket.on("data", (data) => {
        count.received += data.toString();
        socket.write(data);
      });
    });
    const keyPair = seed === undefined ? undefined : DHT.keyPair(Buffer.alloc(32, seed));
    await server.listen(keyPair);
    servers.set(name, server);
    return { publicKey: server.publicKey.toString("hex") };
  },

  seen: ({ name }) => seen.get(name),

  // Says something, and waits for the echo.
  async connect({ node, publicKey, message, relayThrough, waitMs = 0, ...options }) {
    if (relayThrough !== undefined) options.relayThrough = Buffer.from(relayThrough, "hex");
    // Keys come in hex, or as people see them: DHT reads both by itself.
    const socket = nodes.get(node).connect(publicKey, options);
    const echoed = await new Promise((resolve, reject) => {
      socket.on("error", reject);
      socket.on("close", () => reject(new Error("closed")));
      socket.on("open", () => socket.write(message));
      socket.once("data", (data) => resolve(data.toString()));
    });
    await new Promise((resolve) => setTimeout(resolve, waitMs));
    const remote = `${socket.rawStream.remoteHost}:${socket.rawStream.remotePort}`;
    socket.end();
    await new Promise((resolve) => socket.once("close", resolve));
    return { echoed, remote };
  },

  relaying: ({ node }) => nodes.get(node).stats.relaying,

  async stop() {
    for (const server of servers.values()) await server.close();
    for (const node of nodes.values()) await node.destroy();
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
