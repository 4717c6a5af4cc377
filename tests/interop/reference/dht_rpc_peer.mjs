/**
 * Reference DHT nodes, driven by JSON lines: operations come in on stdin, answers go out on stdout. Each node stores a value for
 * each target: command 0 reads it, command 1, with a token, writes it.
 *
 *     node dht_rpc_peer.mjs
 */
import { createInterface } from "node:readline";
import DHT from "dht-rpc";

const HOST = "127.0.0.1";
const [GET, PUT] = [0, 1];
const nodes = [];

function serve(node) {
  const values = new Map();
  node.on("request", (request) => {
    const key = request.target?.toString("hex");
    if (request.command === GET && key) request.reply(values.get(key) ?? null);
    else if (request.command === PUT && key && request.token) {
      values.set(key, request.value);
      request.reply(null, { token: false, closerNodes: false });
    } else request.error(1);
  });
  node.values = values;
  nodes.push(node);
  return node;
}

const portOf = (node) => node.io.serverSocket.address().port;
const hex = (bytes) => bytes?.toString("hex") ?? "";

const operations = {
  /** A network of `count` nodes, or that many more nodes of the network at `bootstrap`. */
  async network({ count, bootstrap, ephemeral = false, firewalled = false }) {
    const made = [];
    let entry = bootstrap;
    for (let i = 0; i < count; i++) {
      const isFirst = entry === undefined;
      const port = isFirst ? 20_000 + Math.floor(Math.random() * 20_000) : 0;
      const node = isFirst
        ? DHT.bootstrapper(port, HOST)
        : new DHT({ bootstrap: [{ host: HOST, port: entry }], host: HOST, ephemeral, firewalled });
      await node.fullyBootstrapped();
      entry ??= portOf(node);
      made.push(portOf(serve(node)));
    }
    return { ports: made };
  },
  /** Who is persistent, and who knows whom. */
  state() {
    return {
      nodes: nodes.map((node) => ({
        port: portOf(node),
        id: hex(node.id),
        knows: node.toArray().map(({ port }) => port),
        firewalled: node.firewalled,
        seenAt: `${node.host}:${node.port}`,
        values: node.values.size,
      })),
    };
  },
  async ping({ node, port }) {
    const { from, to, error } = await nodes[node].ping({ host: HOST, port });
    return { from: from.port, nodeId: hex(from.id), to: to.port, error };
  },
  async delayedPing({ node, port, ms }) {
    const { error } = await nodes[node].delayedPing({ host: HOST, port }, ms);
    return { error };
  },
  async findNode({ node, target }) {
    const query = nodes[node].findNode(Buffer.from(target, "hex"));
    await query.finished();
    return { closest: query.closestNodes.map(({ port }) => port), errors: query.errors };
  },
  async put({ node, target, value }) {
    const key = Buffer.from(target, "hex");
    const query = nodes[node].query({ target: key, command: GET }, {
      commit: ({ token, from }, dht) =>
        dht.request({ token, target: key, command: PUT, value: Buffer.from(value) }, from),
    });
    await query.finished();
    return { closest: query.closestNodes.map(({ port }) => port) };
  },
  async get({ node, target }) {
    const values = [];
    const query = nodes[node].query({ target: Buffer.from(target, "hex"), command: GET });
    for await (const { value } of query) if (value) values.push(value.toString());
    return { values };
  },
  /** What a node answers to a token that is wrong. */
  async badToken({ node, port }) {
    const request = {
      token: Buffer.alloc(32),
      target: Buffer.alloc(32),
      command: PUT,
      value: Buffer.from("x"),
    };
    const { error, token } = await nodes[node].request(request, { host: HOST, port });
    return { error, hasToken: token !== null };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, op, ...details } = JSON.parse(line);
  Promise.resolve().then(() => operations[op](details)).then(
    (answer) => console.log(JSON.stringify({ id, ...answer })),
    (error) => console.log(JSON.stringify({ id, failure: String(error?.stack ?? error) })),
  );
}
process.exit(0);
