// HyperDHT of the reference, driven by JSON lines: {"id": 1, "op": "node", ...} is answered by {"id": 1, ...}.
// Nodes have names that the driver chooses; keys come from seeds of one byte, values are text.
import { createInterface } from "node:readline";
import DHT from "hyperdht";
import Plugin from "hyperdht/lib/plugin.js";
import createTestnet from "hyperdht/testnet.js";

const nodes = new Map();
let testnet;

class Echo extends Plugin {
  onrequest({ command, value }, request) {
    request.reply(Buffer.from(`${command} ${value}`));
  }
  onpersistent() {}
  destroy() {}
}

const hex = (bytes) => Buffer.from(bytes).toString("hex");
const keys = (seed) => DHT.keyPair(Buffer.alloc(32, seed));
const relay = (text) => ({ host: text.split(":")[0], port: Number(text.split(":")[1]) });
const peerOf = ({ publicKey, relayAddresses }) => ({
  publicKey: hex(publicKey),
  relays: relayAddresses.map(({ host, port }) => `${host}:${port}`),
});

async function collect(query, pick) {
  const found = [];
  for await (const item of query) found.push(...pick(item));
  return found;
}

const operations = {
  async testnet({ size }) {
    testnet = await createTestnet(size);
    return { port: testnet.bootstrap[0].port };
  },

  async node({ name, port, ...options }) {
    const node = new DHT({ bootstrap: [{ host: "127.0.0.1", port }], host: "127.0.0.1", ...options });
    await node.fullyBootstrapped();
    nodes.set(name, node);
    return { port: node.io.serverSocket.address().port, ephemeral: node.ephemeral };
  },

  async immutablePut({ node, value }) {
    const { hash, closestNodes } = await nodes.get(node).immutablePut(Buffer.from(value));
    return { hash: hex(hash), nodes: closestNodes.length };
  },

  async immutableGet({ node, hash }) {
    const found = await nodes.get(node).immutableGet(Buffer.from(hash, "hex"));
    return { value: found?.value.toString() };
  },

  async mutablePut({ node, seed, value, seq }) {
    const { publicKey } = await nodes.get(node).mutablePut(keys(seed), Buffer.from(value), { seq });
    return { publicKey: hex(publicKey) };
  },

  async mutableGet({ node, publicKey }) {
    const found = await nodes.get(node).mutableGet(Buffer.from(publicKey, "hex"));
    return { value: found?.value.toString(), seq: found?.seq };
  },

  async announce({ node, seed, topic, relays, ...options }) {
    await nodes.get(node).announce(Buffer.from(topic, "hex"), keys(seed), relays.map(relay), options)
      .finished();
    return {};
  },

  async unannounce({ node, seed, topic }) {
    await nodes.get(node).unannounce(Buffer.from(topic, "hex"), keys(seed));
    return {};
  },

  async lookup({ node, topic }) {
    const query = nodes.get(node).lookup(Buffer.from(topic, "hex"));
    let bump = 0;
    const peers = await collect(query, (found) => {
      bump = Math.max(bump, found.bump);
      return found.peers.map(peerOf);
    });
    return { peers, bump };
  },

  async findPeer({ node, publicKey }) {
    const query = nodes.get(node).findPeer(Buffer.from(publicKey, "hex"));
    return {
      peers: await collect(
        query,
        ({ peer, from }) => [{ ...peerOf(peer), from: `${from.host}:${from.port}` }],
      ),
    };
  },

  async listen({ node, seed }) {
    const server = nodes.get(node).createServer(() => {});
    await server.listen(keys(seed));
    return { relays: server.relayAddresses.map(({ host, port }) => `${host}:${port}`) };
  },

  register() {
    for (const node of testnet.nodes) node.register("echo", new Echo("echo", 1));
    return {};
  },

  async ping({ node, port, delayMs }) {
    const to = { host: "127.0.0.1", port };
    const reply =
      await (delayMs === undefined ? nodes.get(node).ping(to) : nodes.get(node).delayedPing(to, delayMs));
    return { from: `${reply.from.host}:${reply.from.port}` };
  },

  async findNode({ node, target }) {
    const query = nodes.get(node).findNode(Buffer.from(target, "hex"));
    await query.finished();
    return { relays: query.closestNodes.map(({ host, port }) => `${host}:${port}`) };
  },

  async pluginQuery({ node, value, target }) {
    const plugin = new Echo("echo", 1);
    nodes.get(node).register("echo", plugin);
    const query = plugin.query({ command: 3, target: Buffer.from(target, "hex"), value: Buffer.from(value) });
    return { values: await collect(query, (reply) => (reply.value ? [reply.value.toString()] : [])) };
  },

  async stop() {
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
