// HyperDHT of the reference, driven by JSON lines: {"id": 1, "op": "node", ...} is answered by {"id": 1, ...}. Nodes, servers,
// connections, pools and raw streams have names that the driver chooses; keys come from seeds of one byte, values are text.
//
//     node dht_peer.mjs [hyperdht | hyperdht-6.32]
import { createInterface } from "node:readline";
import relay from "blind-relay";
import createHandlers from "./dht_peer_records.mjs";

const version = process.argv[2] ?? "hyperdht";
const { default: DHT } = await import(version);
const { default: createTestnet } = await import(`${version}/testnet.js`);

const HOST = "127.0.0.1";
const nodes = new Map();
const servers = new Map();
const pools = new Map();
/** Connections, dialed by name or accepted by the server of that name, the latest of it. */
const connections = new Map();
const rawStreams = new Map();
const relays = new Map();
let testnet;

const keys = (
  seed,
) => (seed === undefined ? undefined : DHT.keyPair(Buffer.alloc(32, seed)));
const hex = (bytes) => Buffer.from(bytes).toString("hex");

/** Options as the reference takes them. */
const optionsOf = ({ relayThrough, pool, ...options }) => ({
  ...options,
  ...(relayThrough && { relayThrough: Buffer.from(relayThrough, "hex") }),
  ...(pool && { pool: pools.get(pool) }),
});

/** Notes what happens on a connection. A server's side echoes. */
function track(name, socket, echoes) {
  const record = { socket, received: "", closed: false, error: undefined };
  connections.set(name, record);
  socket.on("error", (error) => (record.error = error.code ?? error.message));
  socket.on("close", () => (record.closed = true));
  socket.on("end", () => socket.end());
  socket.on("data", (data) => {
    record.received += data.toString();
    if (echoes) socket.write(data);
  });
  return record;
}

function describe({ socket, received, closed, error }) {
  const { rawStream } = socket;
  return {
    received,
    closed,
    error,
    isInitiator: socket.isInitiator,
    remoteKey: hex(socket.remotePublicKey),
    remotePort: rawStream?.remotePort,
    localPort: rawStream?.socket?.address()?.port,
  };
}

async function opened({ socket }) {
  await new Promise((resolve, reject) => {
    if (socket.opened === true || socket.connected) return resolve();
    socket.once("open", resolve);
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("closed")));
  });
}

/** Signers that note what they sign, for key pairs without a secret key. */
function signers(persistent, seed, signed) {
  const pair = keys(seed);
  return {
    signAnnounce: (target, token, id, ann) => {
      signed.push("announce");
      return persistent.signAnnounce(target, token, id, ann, pair);
    },
    signUnannounce: (target, token, id, ann) => {
      signed.push("unannounce");
      return persistent.signUnannounce(target, token, id, ann, pair);
    },
    signMutable: (seq, value) => {
      signed.push("mutable");
      return persistent.signMutable(seq, value, pair);
    },
  };
}

const operations = {
  async testnet({ size, bootstrap }) {
    const options = bootstrap === undefined ? {} : { bootstrap: [{ host: HOST, port: bootstrap }] };
    testnet = await createTestnet(size, options);
    return {
      port: testnet.bootstrap[0].port,
      ports: testnet.nodes.map((node) => node.address().port),
    };
  },

  async node({ name, port, seed, ...options }) {
    const bootstrap = [{ host: HOST, port }];
    const keyPair = keys(seed);
    const node = new DHT({
      bootstrap,
      host: HOST,
      ...(keyPair && { keyPair }),
      ...options,
    });
    await node.fullyBootstrapped();
    nodes.set(name, node);
    return {
      publicKey: hex(node.defaultKeyPair.publicKey),
      port: node.io.serverSocket.address().port,
      ephemeral: node.ephemeral,
      firewalled: node.firewalled,
    };
  },

  // Echoes what comes.
  async listen({ name, node, seed, isRemote, ...options }) {
    const server = nodes.get(node).createServer(optionsOf(options));
    server.count = {
      connections: 0,
      received: () => connections.get(name)?.received ?? "",
    };
    server.on("connection", (socket) => {
      server.count.connections++;
      track(name, socket, true);
    });
    const signed = [];
    await server.listen(keys(seed), isRemote ? signers(persistent, seed, signed) : {});
    servers.set(name, server);
    const relays = server.relayAddresses.map(({ host, port }) => `${host}:${port}`);
    return { publicKey: hex(server.publicKey), relays, signed };
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
    await listener.listen();
    servers.set("relay", listener);
    relays.set(node, server);
    return { publicKey: hex(listener.publicKey) };
  },

  pairings: ({ node }) => relays.get(node).stats.pairings,

  seen: ({ name }) => {
    const { count } = servers.get(name);
    return { connections: count.connections, received: count.received() };
  },

  refresh({ name }) {
    servers.get(name).refresh();
    return {};
  },

  async unlisten({ name }) {
    await servers.get(name).close();
    servers.delete(name);
    return {};
  },

  // Says something, waits for the echo, and closes.
  async connect({ node, publicKey, message, ...options }) {
    // Keys come in hex, or as people see them: DHT reads both by itself.
    const socket = nodes.get(node).connect(publicKey, optionsOf(options));
    const echoed = await new Promise((resolve, reject) => {
      socket.on("error", reject);
      socket.on("close", () => reject(new Error("closed")));
      socket.on("open", () => socket.write(message));
      socket.once("data", (data) => resolve(data.toString()));
    });
    const remote = `${socket.rawStream.remoteHost}:${socket.rawStream.remotePort}`;
    socket.end();
    await new Promise((resolve) => socket.once("close", resolve));
    return { echoed, remote };
  },

  // Opens a connection and keeps it.
  async open({ name, node, publicKey, ...options }) {
    const socket = nodes.get(node).connect(Buffer.from(publicKey, "hex"), optionsOf(options));
    const record = track(name, socket, false);
    await opened(record);
    return describe(record);
  },

  say({ name, message }) {
    connections.get(name).socket.write(message);
    return {};
  },

  connection: (
    { name },
  ) => (connections.has(name) ? describe(connections.get(name)) : { closed: true }),

  async end({ name }) {
    const { socket } = connections.get(name);
    socket.end();
    if (!socket.destroyed) {
      await new Promise((resolve) => socket.once("close", resolve));
    }
    return {};
  },

  // The connections of a pool are tracked as `${name} ${number}`.
  pool({ name, node }) {
    const pool = nodes.get(node).pool();
    pool.seen = 0;
    pool.on("connection", (socket) => {
      pool.seen++;
      track(`${name} ${pool.seen}`, socket, false);
    });
    pools.set(name, pool);
    return {};
  },

  pooled({ name }) {
    const pool = pools.get(name);
    const open = [...pool.connections].map(({ _stream }) => ({
      isInitiator: _stream.isInitiator,
      remoteKey: hex(_stream.remotePublicKey),
    }));
    return { open, events: pool.seen };
  },

  // A raw stream that sends back what it gets, once it is connected along `connection`.
  raw({ name, node }) {
    const stream = nodes.get(node).createRawStream();
    const record = { stream, received: 0 };
    rawStreams.set(name, record);
    stream.on("error", () => {});
    stream.on("data", (data) => {
      record.received += data.length;
      stream.write(data);
    });
    stream.on("end", () => stream.end());
    return { streamId: stream.id };
  },

  rawConnect({ name, connection, remoteId }) {
    DHT.connectRawStream(
      connections.get(connection).socket,
      rawStreams.get(name).stream,
      remoteId,
    );
    return {};
  },

  rawSeen: ({ name }) => ({ received: rawStreams.get(name).received }),

  async suspend({ node }) {
    await nodes.get(node).suspend();
    return {};
  },

  async resume({ node }) {
    await nodes.get(node).resume();
    return {};
  },

  async destroy({ node, force }) {
    await nodes.get(node).destroy({ force });
    nodes.delete(node);
    return {};
  },

  async stop() {
    for (const server of servers.values()) await server.close();
    for (const node of nodes.values()) await node.destroy();
    if (testnet !== undefined) await testnet.destroy();
    return {};
  },
};

const { default: Plugin } = await import(`${version}/lib/plugin.js`).catch(
  () => ({ default: undefined }),
);
const { default: persistent } = await import(`${version}/lib/persistent.js`);
Object.assign(
  operations,
  createHandlers({
    nodes,
    keys,
    hex,
    Plugin,
    signers: (...args) => signers(persistent, ...args),
    testnet: () => testnet,
  }),
);

for await (const line of createInterface({ input: process.stdin })) {
  const { id, op, ...details } = JSON.parse(line);
  Promise.resolve()
    .then(() => operations[op](details))
    .then(
      (answer) => answer,
      (error) => ({ failure: error.code ?? error.stack }),
    )
    .then((answer) => process.stdout.write(`${JSON.stringify({ id, ...answer })}\n`));
}
process.exit();
