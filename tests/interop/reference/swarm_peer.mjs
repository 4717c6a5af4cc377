// hyperswarm of the reference, driven by JSON lines: {"id": 1, "op": "swarm", ...} is answered by {"id": 1, ...}.
// Swarms have names that the driver chooses. They greet, and note what is said; or they speak on a channel of Protomux.
import { createInterface } from "node:readline";
import createTestnet from "hyperdht/testnet.js";
import Hyperswarm from "hyperswarm";
import Protomux from "protomux";

const swarms = new Map();
let testnet;

const hex = (bytes) => bytes.toString("hex");
const topicOf = (n) => Buffer.alloc(32, n);

function onConnection(record, socket, usesChannels) {
  const key = hex(socket.remotePublicKey);
  record.peers.push(key);
  socket.on("error", () => {});
  socket.on("close", () => record.closed++);
  const hear = (text) => (record.heard[key] = (record.heard[key] ?? "") + text);
  if (!usesChannels) {
    socket.on("data", (data) => hear(data.toString()));
    socket.write("hello");
    return;
  }
  const channel = Protomux.from(socket).createChannel({ protocol: "greeting" });
  const message = channel.addMessage({ onmessage: (data) => hear(data.toString()) });
  channel.open();
  message.send(Buffer.from("hello"));
}

const operations = {
  async testnet({ size }) {
    testnet = await createTestnet(size);
    return { port: testnet.bootstrap[0].port };
  },

  async swarm({ name, port, usesChannels, denies = [], ...options }) {
    const denied = new Set(denies);
    const swarm = new Hyperswarm({
      ...options,
      bootstrap: [{ host: "127.0.0.1", port }],
      firewall: (key) => denied.has(hex(key)),
    });
    await swarm.dht.fullyBootstrapped();
    const record = { swarm, denied, peers: [], heard: {}, closed: 0, bans: 0 };
    swarm.on("connection", (socket) => onConnection(record, socket, usesChannels));
    swarm.on("ban", () => record.bans++);
    swarms.set(name, record);
    return { publicKey: hex(swarm.keyPair.publicKey) };
  },

  async join({ name, topic, flushes, ...options }) {
    const session = swarms.get(name).swarm.join(topicOf(topic), options);
    if (flushes) await session.flushed();
    return {};
  },

  async leave({ name, topic }) {
    await swarms.get(name).swarm.leave(topicOf(topic));
    return {};
  },

  joinPeer({ name, publicKey }) {
    swarms.get(name).swarm.joinPeer(Buffer.from(publicKey, "hex"));
    return {};
  },

  leavePeer({ name, publicKey }) {
    swarms.get(name).swarm.leavePeer(Buffer.from(publicKey, "hex"));
    return {};
  },

  async listen({ name }) {
    await swarms.get(name).swarm.listen();
    return {};
  },

  // Drops the connection to a peer.
  drop({ name, publicKey }) {
    for (const socket of swarms.get(name).swarm.connections) {
      if (hex(socket.remotePublicKey) === publicKey) socket.destroy();
    }
    return {};
  },

  async suspend({ name }) {
    await swarms.get(name).swarm.suspend();
    return {};
  },

  async resume({ name }) {
    await swarms.get(name).swarm.resume();
    return {};
  },

  async destroy({ name, force }) {
    await swarms.get(name).swarm.destroy({ force });
    swarms.delete(name);
    return {};
  },

  seen({ name }) {
    const { swarm, peers, heard, closed, bans } = swarms.get(name);
    const connections = [...swarm.connections].map((socket) => ({
      remoteKey: hex(socket.remotePublicKey),
      isInitiator: socket.isInitiator,
      hash: hex(socket.handshakeHash),
    }));
    return { peers, heard, closed, bans, connections, open: connections.length };
  },

  async stop() {
    await Promise.all([...swarms.values()].map(({ swarm }) => swarm.destroy({ force: true })));
    await testnet?.destroy();
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
