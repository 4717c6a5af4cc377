/**
 * The work of `tests/bench/dht_rpc_bench.ts` with the reference: a DHT of 20 nodes on loopback, in this process.
 *
 *     node bench_dht_rpc.mjs [--quick]
 */
import DHT from "dht-rpc";

const quick = process.argv.includes("--quick");
const NODES = quick ? 6 : 20;
const IDLE_NODES = quick ? 2 : 60;
const HOST = "127.0.0.1";

/** FNV-1a over bytes, continued from `hash`. */
function fnv(hash, bytes) {
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

function print(name, unit, value, hash) {
  const text = hash.toString(16).padStart(8, "0");
  console.log(JSON.stringify({ case: name, unit, value: Number(value.toPrecision(4)), hash: text }));
}

const cpu = (start) => {
  const { user, system } = process.cpuUsage(start);
  return user + system;
};
const targetOf = (n) =>
  Buffer.from(new Uint8Array(32).map((_, i) => Math.imul(n + 1, 0x9e3779b1 + 2 * i) >>> 13));
const addressOf = (node) => ({ host: HOST, port: node.io.serverSocket.address().port });

async function makeNode(bootstrap, ephemeral) {
  const node = new DHT({ bootstrap: [bootstrap], host: HOST, ephemeral, firewalled: false });
  await node.fullyBootstrapped();
  return node;
}

async function makeNetwork() {
  const first = DHT.bootstrapper(20_000 + Math.floor(Math.random() * 20_000), HOST);
  await first.fullyBootstrapped();
  const nodes = [first];
  while (nodes.length < NODES) nodes.push(await makeNode(addressOf(first), false));
  return nodes;
}

async function lookups(client, count, parallel) {
  let [hash, next] = [0x811c9dc5, 0];
  const start = performance.now();
  const worker = async () => {
    while (next < count) {
      const query = client.findNode(targetOf(next++));
      await query.finished();
      if (query.closestReplies.length < Math.min(20, NODES) - 1) {
        throw new Error("a lookup found too few nodes");
      }
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  for (let n = 0; n < count; n++) hash = fnv(hash, targetOf(n));
  return { rate: count / (performance.now() - start) * 1000, hash };
}

async function pings(client, to, count) {
  let next = 0;
  const start = performance.now();
  const worker = async () => {
    while (next++ < count) await client.ping(to);
  };
  await Promise.all(Array.from({ length: 16 }, worker));
  return count / (performance.now() - start) * 1000;
}

async function idleMemory(bootstrap) {
  globalThis.gc?.();
  const before = process.memoryUsage().rss;
  const nodes = [];
  for (let i = 0; i < IDLE_NODES; i++) nodes.push(await makeNode(bootstrap, false));
  globalThis.gc?.();
  const perNode = (process.memoryUsage().rss - before) / 1000 / IDLE_NODES;
  await Promise.all(nodes.map((node) => node.destroy()));
  return Math.max(0, perNode);
}

const scale = quick ? 1 : 100;
const nodes = await makeNetwork();
const client = await makeNode(addressOf(nodes[0]), true);
await lookups(client, 2 * scale, 4);
for (const parallel of [4, 32]) {
  const before = process.cpuUsage();
  const requests = client.stats.requests.total;
  const { rate, hash } = await lookups(client, 10 * scale, parallel);
  const used = cpu(before) / (client.stats.requests.total - requests);
  print(`lookups, ${parallel} in flight`, "op/s", rate, hash);
  print(`processor time of a request, ${parallel} lookups in flight`, "us", used, hash);
}
print("requests to one node", "op/s", await pings(client, addressOf(nodes[1]), 100 * scale), 1);
print("memory of an idle persistent node", "kB", await idleMemory(addressOf(nodes[0])), 1);
await Promise.all([client, ...nodes].map((node) => node.destroy()));
process.exit(0);
