// hyperswarm of the reference, driven by JSON lines: {"id": 1, "op": "swarm", ...} is answered by {"id": 1, ...}.
// Swarms have names that the driver chooses. They greet, and note what is said; or they speak on a channel of Protomux.
import { createInterface } from "node:readline";
import createTestnet from "hyperdht/testnet.js";
import Hyperswarm from "hyperswarm";
import Protomux from "protomux";

const swarms = new Map();
let testnet;

function onConnection(record, socket, usesChannels) {
  const key = socket.remotePublicKey.toString("hex");
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

  async swarm({ name, port, usesChannels }) {
    const swarm = new Hyperswarm({ bootstrap: [{ host: "127.0.0.1", port }] });
    const record = { swarm, peers: [], heard: {}, closed: 0 };
    swarm.on("connection", (socket) => onConnection(record, socket, usesChannels));
    swarms.set(name, record);
    return { publicKey: swarm.keyPair.publicKey.toString("hex") };
  },

  async join({ name, topic, flushes }) {
    const session = swarms.get(name).swarm.join(Buffer.alloc(32, topic));
    if (flushes) await session.flushed();
    return {};
  },

  seen({ name }) {
    const { swarm, peers, heard, closed } = swarms.get(name);
    return { peers, heard, closed, open: swarm.connections.size };
  },

  async stop() {
    for (const { swarm } of swarms.values()) await swarm.destroy();
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
