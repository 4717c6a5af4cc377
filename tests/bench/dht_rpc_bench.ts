/**
 * A DHT of 20 nodes on loopback, in this process: lookups, single requests, idle nodes. `interop/reference/bench_dht_rpc.mjs` does
 * the same with the reference. The work is proven by the hash of what the lookups asked for and how many nodes they found.
 *
 *     deno run -A tests/bench/dht_rpc_bench.ts [--quick]
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { loadSystemRuntime } from "../../core/system_runtime.ts";
import { Rpc } from "../../dht/rpc/rpc.ts";
import { SocketAddress } from "../../encoding/address.ts";
import { NodeUdpNetwork } from "../../transports/udp/node.ts";
import { udpNetwork } from "../../transports/udp/mod.ts";
import { UdxEndpoint } from "../../transports/udx/mod.ts";

const quick = process.argv.includes("--quick");
const NODES = quick ? 6 : 20;
const IDLE_NODES = quick ? 2 : 50;
const HOST = "127.0.0.1";
const runtime = await loadSystemRuntime();
const isDeno = process.versions["deno"] !== undefined;
const network = isDeno ? udpNetwork() : new NodeUdpNetwork();
const sockets = () => new UdxEndpoint(runtime, network);

/** FNV-1a over bytes, continued from `hash`. */
function fnv(hash: number, bytes: Uint8Array): number {
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

function print(name: string, unit: string, value: number, hash: number): void {
  const text = hash.toString(16).padStart(8, "0");
  console.log(JSON.stringify({ case: name, unit, value: Number(value.toPrecision(4)), hash: text }));
}

/** Microseconds of processor time since `start`. */
const cpu = (start: NodeJS.CpuUsage) => {
  const { user, system } = process.cpuUsage(start);
  return user + system;
};

const targetOf = (n: number) => new Uint8Array(32).map((_, i) => Math.imul(n + 1, 0x9e3779b1 + 2 * i) >>> 13);

async function makeNetwork(): Promise<Rpc[]> {
  const port = 20_000 + runtime.random.below(20_000);
  const first = Rpc.bootstrapper(runtime, sockets(), { host: HOST, port }, { host: HOST });
  await first.ready();
  const nodes = [first];
  const bootstrap = [SocketAddress.of(HOST, port)];
  while (nodes.length < NODES) {
    const node = new Rpc(runtime, sockets(), { host: HOST, bootstrap, ephemeral: false, firewalled: false });
    await node.ready();
    nodes.push(node);
  }
  return nodes;
}

/** `count` lookups, `parallel` of them in flight. */
async function lookups(
  client: Rpc,
  count: number,
  parallel: number,
): Promise<{ rate: number; hash: number }> {
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

/** `count` pings to one node, 16 in flight. */
async function pings(client: Rpc, to: SocketAddress, count: number): Promise<number> {
  let next = 0;
  const start = performance.now();
  const worker = async () => {
    while (next++ < count) await client.ping(to);
  };
  await Promise.all(Array.from({ length: 16 }, worker));
  return count / (performance.now() - start) * 1000;
}

/** Resident memory, after as much as possible was given back. */
function residentBytes(): number {
  const { gc } = globalThis as { gc?: (options: Record<string, string>) => void };
  for (let i = 0; i < 3; i++) gc!({ type: "major", execution: "sync", flavor: "last-resort" });
  return process.memoryUsage().rss;
}

/** The process with the nodes that do nothing, members of the network at `port`: prints the kilobytes that each of them takes. */
async function idle(port: number): Promise<void> {
  const bootstrap = [SocketAddress.of(HOST, port)];
  const nodes: Rpc[] = [];
  const make = async (count: number) => {
    for (let i = 0; i < count; i++) {
      const node = new Rpc(runtime, sockets(), {
        host: HOST,
        bootstrap,
        ephemeral: false,
        firewalled: false,
      });
      await node.ready();
      nodes.push(node);
    }
  };
  await make(IDLE_NODES);
  const before = residentBytes();
  await make(IDLE_NODES);
  console.log(Math.max(0, residentBytes() - before) / 1000 / IDLE_NODES);
  process.exit();
}

/** Kilobytes of resident memory for each node that does nothing, measured in a process where nothing else happens. */
async function idleMemory(port: number): Promise<number> {
  const file = fileURLToPath(import.meta.url);
  const flags = isDeno
    ? ["run", "-A", "--quiet", "--v8-flags=--expose-gc"]
    : [...process.execArgv.filter((flag) => !/^--test/.test(flag)), "--expose-gc"];
  const args = [...flags, file, "--idle", String(port), ...(quick ? ["--quick"] : [])];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout!.on("data", (chunk) => output += chunk);
  await once(child, "close");
  return Number(output);
}

if (process.argv.includes("--idle")) await idle(Number(process.argv[process.argv.indexOf("--idle") + 1]));

const scale = quick ? 1 : 100;
const nodes = await makeNetwork();
const client = new Rpc(runtime, sockets(), {
  host: HOST,
  bootstrap: [nodes[0]!.remoteAddress()!],
  ephemeral: true,
  firewalled: false,
});
await client.ready();
await lookups(client, 2 * scale, 4);
for (const parallel of [4, 32]) {
  const before = process.cpuUsage();
  const requests = client.stats.requests.total;
  const { rate, hash } = await lookups(client, 10 * scale, parallel);
  const used = cpu(before) / (client.stats.requests.total - requests);
  print(`lookups, ${parallel} in flight`, "op/s", rate, hash);
  print(`processor time of a request, ${parallel} lookups in flight`, "us", used, hash);
}
print("requests to one node", "op/s", await pings(client, nodes[1]!.remoteAddress()!, 100 * scale), 1);
print("memory of an idle persistent node", "kB", await idleMemory(nodes[0]!.remoteAddress()!.port), 1);
await Promise.all([client, ...nodes].map((node) => node.close()));
