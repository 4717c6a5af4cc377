/**
 * hypercore and corestore of either generation, driven by JSON lines: `node log_peer.mjs 10` or `11`. {"id": 1, "op": "append",
 * ...} is answered by {"id": 1, ...}; lines without an id are news. Logs, stores, connections and swarms have names that the
 * driver chooses. No operation lasts for ever: see `timeoutMs`.
 */
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { loadGeneration } from "./log_generations.mjs";

const require = createRequire(import.meta.url);
const NoiseSecretStream = require("@hyperswarm/secret-stream");

const generation = loadGeneration(process.argv[2]);
const folder = await mkdtemp(join(tmpdir(), "hypha-log-peer-"));
const logs = new Map();
const stores = new Map();
const streams = new Map();
const servers = new Map();
const swarms = new Map();
const extensions = new Map();
let testnet;
let drafts = 0;

// Generation 11 prints what it thinks of conflicts to where the answers go.
console.log = () => {};
const write = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const tell = (event, details) => write({ event, ...details });
const hex = (bytes) => bytes ? Buffer.from(bytes).toString("hex") : null;
const bytesOf = (text) => text === undefined ? null : Buffer.from(text, "hex");

/** Bytes that both sides can make: 7i + 13n + i/256 (mod 256). */
const pattern = (size, n) =>
  Buffer.from(Array.from({ length: size }, (_, i) => (i * 7 + n * 13 + (i >> 8)) & 255));
/** A block is [size, n] of the pattern, or a text in hex. */
const blocksOf = (blocks) =>
  blocks.map((block) => typeof block === "string" ? Buffer.from(block, "hex") : pattern(...block));

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Rejects when `work` is not done after `ms`. */
async function within(ms, work, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} is not done after ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function infoOf(core) {
  return {
    ...{
      key: hex(core.key),
      discoveryKey: hex(core.discoveryKey),
      manifest: hex(generation.manifestBytes(core)),
    },
    ...{ length: core.length, fork: core.fork, byteLength: core.byteLength },
    ...{ contiguousLength: core.contiguousLength, writable: core.writable, peers: core.peers.length },
    treeHash: hex(generation.treeHash(core)),
  };
}

function watch(log, core) {
  const remote = (peer) => hex(peer.remotePublicKey);
  core.on("append", () => tell("append", { log, length: core.length, fork: core.fork }));
  core.on("truncate", (ancestors, fork) => tell("truncate", { log, ancestors, fork, length: core.length }));
  core.on("peer-add", (peer) => tell("peer-add", { log, peer: remote(peer) }));
  core.on("peer-remove", (peer) => tell("peer-remove", { log, peer: remote(peer) }));
  core.on(
    "conflict",
    (length, fork, proof) => tell("conflict", { log, length, fork, proof: hex(generation.dataBytes(proof)) }),
  );
  core.on("download", (index, bytes, peer) => tell("download", { log, index, bytes, peer: remote(peer) }));
  core.on("upload", (index, bytes, peer) => tell("upload", { log, index, bytes, peer: remote(peer) }));
  core.on("verification-error", (error) => tell("verification-error", { log, code: error.code }));
  core.on("close", () => tell("closed", { log }));
  core.on("repaired", () => tell("repaired", { log }));
}

async function keep(name, core) {
  await core.ready();
  watch(name, core);
  logs.set(name, core);
  return infoOf(core);
}

/** Lets all that was named talk over a connection. */
function replicate(stream, { logs: names = [], store }) {
  if (store !== undefined) stores.get(store).replicate(stream);
  for (const name of names) logs.get(name).replicate(stream);
}

function onSocket(name, socket, details) {
  const options = details.seed === undefined
    ? {}
    : { keyPair: NoiseSecretStream.keyPair(Buffer.alloc(32, details.seed)) };
  const stream = new NoiseSecretStream(details.isInitiator, socket, options);
  streams.set(name, stream);
  stream.on("error", () => {});
  stream.on("connect", () => tell("connect", { stream: name, peer: hex(stream.remotePublicKey) }));
  stream.on("close", () => {
    if (streams.get(name) === stream) streams.delete(name);
    tell("disconnect", { stream: name, error: stream.failure?.code ?? null });
  });
  stream.on("error", (error) => stream.failure = error);
  replicate(stream, details);
}

/** Waits until a log has a length and a fork; it asks its peers. */
async function until(core, { length, fork = core.fork }) {
  while (core.length < length || core.fork < fork) {
    await Promise.race([core.update({ wait: true }), pause(100)]);
    if (core.length < length || core.fork < fork) await pause(10);
  }
}

/** What of a log is there, and a hash of it. */
async function digest(core) {
  const hash = createHash("sha256");
  let held = 0;
  for (let i = 0; i < core.length; i++) {
    const isHere = await core.has(i);
    hash.update(isHere ? "+" : "-");
    if (!isHere) continue;
    held++;
    hash.update(
      createHash("sha256").update(await core.get(i, { wait: false })).digest(),
    );
  }
  const { length, fork, byteLength, treeHash } = infoOf(core);
  return { length, fork, byteLength, treeHash, held, hash: hash.digest("hex") };
}

const operations = {
  // --- Logs

  async open({ log, directory, ...options }) {
    return await keep(log, generation.open(directory ?? join(folder, `log-${log}`), options));
  },
  async close({ log }) {
    await logs.get(log).close();
    logs.delete(log);
    return {};
  },
  /** Takes nodes away from a log of hypercore 11, which notices it when it is opened again. */
  async lose_nodes({ log, start, end }) {
    const tx = logs.get(log).state.storage.write();
    tx.deleteTreeNodeRange(start, end);
    await tx.flush();
    return {};
  },
  info: ({ log }) => infoOf(logs.get(log)),
  digest: ({ log }) => digest(logs.get(log)),
  /** What a log believes of its peers, to find out why it stalls. */
  async peers({ log }) {
    const core = logs.get(log);
    let lacking = 0;
    while (lacking < core.length && await core.has(lacking)) lacking++;
    const peers = core.peers.map((peer) => ({
      ...{ length: peer.remoteLength, fork: peer.remoteFork, canUpgrade: peer.remoteCanUpgrade },
      ...{ acked: peer.lengthAcked, inflight: peer.inflight, contiguous: peer._remoteContiguousLength },
      hasWhatIsLacking: peer.remoteBitfield.get(lacking),
    }));
    return { length: core.length, fork: core.fork, lacking, peers };
  },
  async append({ log, blocks, signature }) {
    const core = logs.get(log);
    await core.append(blocksOf(blocks), signature ? { signature: bytesOf(signature) } : {});
    return infoOf(core);
  },
  async truncate({ log, length, fork, signature }) {
    const core = logs.get(log);
    const options = {
      ...(fork === undefined ? {} : { fork }),
      ...(signature ? { signature: bytesOf(signature) } : {}),
    };
    await core.truncate(length, options);
    return infoOf(core);
  },
  async clear({ log, start, end }) {
    await logs.get(log).clear(start, end);
    return infoOf(logs.get(log));
  },
  async get({ log, index, wait, timeout, force }) {
    const block = await logs.get(log).get(index, { wait, timeout, force });
    if (block === null) return { block: null };
    return {
      size: block.length,
      sha256: createHash("sha256").update(block).digest("hex"),
      block: hex(block.subarray(0, 64)),
    };
  },
  has: async ({ log, start, end }) => ({ has: await logs.get(log).has(start, end) }),
  async seek({ log, bytes, timeout }) {
    const [index, offset] = await logs.get(log).seek(bytes, { timeout });
    return { index, offset };
  },
  async update({ log, wait }) {
    const updated = await logs.get(log).update({ wait });
    return { updated, length: logs.get(log).length };
  },
  async until({ log, ...wanted }) {
    await until(logs.get(log), wanted);
    return infoOf(logs.get(log));
  },
  async download({ log, ...range }) {
    await logs.get(log).download(range).done();
    return infoOf(logs.get(log));
  },
  /** From now on fetches whatever the log has. */
  follow({ log }) {
    logs.get(log).download({ start: 0, end: -1 });
    return {};
  },
  async read({ log, start, end }) {
    const hash = createHash("sha256");
    let blocks = 0;
    for await (const block of logs.get(log).createReadStream({ start, end })) {
      hash.update(block);
      blocks++;
    }
    return { blocks, sha256: hash.digest("hex") };
  },
  async sign({ log, seed, blocks = [], more = [], truncate }) {
    const signed = { seed, truncate, blocks: blocksOf(blocks), more: blocksOf(more) };
    return await generation.sign(logs.get(log), signed, join(folder, `draft-${drafts++}`));
  },
  assemble: ({ log, parts }) => ({ signature: hex(generation.assemble(logs.get(log), parts)) }),
  /** Only generation 11 pushes, and sessions have no method for it. */
  async push({ log, index }) {
    await logs.get(log).core.replicator.push(index);
    return {};
  },

  /** Whether it is to be fetched from peers. */
  set_active({ log, active }) {
    logs.get(log).setActive(active);
    return {};
  },
  /** Whether the latest block comes along when it is brought up to date. */
  async set_always_latest_block({ log, isAlways }) {
    await logs.get(log).setAlwaysLatestBlock(isAlways);
    return {};
  },

  /** Asks peers of hypercore 11 about small regions from now on. */
  enable_small_wants() {
    const { Hypercore } = generation;
    Hypercore.enable(Hypercore.SMALL_WANTS);
    return {};
  },
  /** Of how many blocks its peer has told. */
  told({ log }) {
    const [peer] = logs.get(log).peers;
    let told = 0;
    for (let i = 0; i < peer.remoteLength; i++) if (peer._remoteHasBlock(i)) told++;
    return { told };
  },

  // --- Extensions

  extension({ log, extension }) {
    extensions.set(
      `${log} ${extension}`,
      logs.get(log).registerExtension(extension, {
        encoding: "utf-8",
        onmessage: (text, peer) =>
          tell("extension", { log, extension, text, peer: hex(peer.remotePublicKey) }),
      }),
    );
    return {};
  },
  say({ log, extension, text, isToOne }) {
    const found = extensions.get(`${log} ${extension}`);
    if (isToOne) found.send(text, logs.get(log).peers[0]);
    else found.broadcast(text);
    return {};
  },

  // --- Corestores

  async store({ store, directory, primaryKey, readOnly, namespace = [] }) {
    const options = primaryKey ? { primaryKey: bytesOf(primaryKey), unsafe: true } : {};
    let found = new generation.Corestore(directory ?? join(folder, `store-${store}`), {
      ...options,
      readOnly,
    });
    for (const name of namespace) found = found.namespace(name);
    await found.ready();
    stores.set(store, found);
    return {};
  },
  get_from_store: async ({ store, log, ...options }) =>
    await keep(log, generation.get(stores.get(store), options)),
  async close_store({ store }) {
    await stores.get(store).close();
    stores.delete(store);
    return {};
  },

  // --- Connections

  /** Listens on a port; each connection is called `<stream>/<n>`. */
  async listen({ stream, ...details }) {
    let count = 0;
    const server = net.createServer(
      { allowHalfOpen: true },
      (socket) => onSocket(`${stream}/${count++}`, socket, details),
    );
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    servers.set(stream, server);
    return { port: server.address().port };
  },
  async connect({ stream, port, ...details }) {
    const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    onSocket(stream, socket, details);
    return {};
  },
  disconnect({ stream }) {
    for (const [name, found] of streams) {
      if (name === stream || name.startsWith(`${stream}/`)) found.destroy();
    }
    return {};
  },

  // --- Swarms

  async testnet({ size }) {
    testnet = await require("hyperdht/testnet.js")(size);
    return { port: testnet.bootstrap[0].port };
  },
  swarm({ swarm, port, ...details }) {
    const Hyperswarm = require("hyperswarm");
    const found = new Hyperswarm({ bootstrap: [{ host: "127.0.0.1", port }] });
    found.on("connection", (socket) => {
      socket.on("error", () => {});
      replicate(socket, details);
    });
    swarms.set(swarm, found);
    return { publicKey: hex(found.keyPair.publicKey) };
  },
  /** Serves or looks up a log by its discovery key. */
  async join({ swarm, discoveryKey, server, client }) {
    const session = swarms.get(swarm).join(bytesOf(discoveryKey), { server, client });
    if (server) await session.flushed();
    else await swarms.get(swarm).flush();
    return {};
  },
  async leave_swarm({ swarm }) {
    await swarms.get(swarm).destroy({ force: true });
    swarms.delete(swarm);
    return {};
  },
};

/** Closes whatever is open; what does not close in time is left to the end of the process. */
async function stop() {
  for (const server of servers.values()) server.close();
  for (const stream of streams.values()) stream.destroy();
  const closing = async (all) => await Promise.allSettled([...all]);
  await closing([...swarms.values()].map((swarm) => swarm.destroy({ force: true })));
  await testnet?.destroy();
  await closing([...logs.values()].map((core) => core.close()));
  await closing([...stores.values()].map((store) => store.close()));
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, op, timeoutMs = 20_000, ...details } = JSON.parse(line);
  within(timeoutMs, Promise.resolve().then(() => operations[op](details)), op)
    .catch((error) => ({ failure: error.code ?? error.message, detail: error.stack }))
    .then((answer) => write({ id, ...answer }));
}
await within(5000, stop(), "stop").catch((error) => console.error(error.message));
await rm(folder, { recursive: true, force: true });
process.exit();
