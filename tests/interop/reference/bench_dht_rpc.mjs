/**
 * The work of `tests/bench/dht_rpc_bench.ts` with the reference: a DHT of 20 nodes on loopback, in this process.
 *
 *     node bench_dht_rpc.mjs [--quick]
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import DHT from "dht-rpc";

const quick = process.argv.includes("--quick");
const NODES = quick ? 6 : 20;
const IDLE_NODES = quick ? 2 : 50;
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

/** Resident memory, after as much as possible was given back. */
function residentBytes() {
  for (let i = 0; i < 3; i++) globalThis.gc({ type: "major", execution: "sync", flavor: "last-resort" });
  return process.memoryUsage().rss;
}

/** The process with the nodes that do nothing, members of the network at `port`: prints the kilobytes that each of them takes. */
async function idle(port) {
  const nodes = [];
  const make = async (count) => {
    for (let i = 0; i < count; i++) nodes.push(await makeNode({ host: HOST, port }, false));
  };
  await make(IDLE_NODES);
  const before = residentBytes();
  await make(IDLE_NODES);
  console.log(Math.max(0, residentBytes() - before) / 1000 / IDLE_NODES);
  process.exit();
}

/** Kilobytes of resident memory for each node that does nothing, measured in a process where nothing else happens. */
async function idleMemory(port) {
  const args = ["--expose-gc", fileURLToPath(import.meta.url), "--idle", port, ...(quick ? ["--quick"] : [])];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (chunk) => output += chunk);
  await once(child, "close");
  return Number(output);
}

if (process.argv.includes("--idle")) await idle(Number(process.argv[process.argv.indexOf("--idle") + 1]));

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
print("memory of an idle persistent node", "kB", await idleMemory(addressOf(nodes[0]).port), 1);
await Promise.all([client, ...nodes].map((node) => node.destroy()));
process.exit(0);
