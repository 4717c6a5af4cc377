/**
 * Topics in a network of 20 nodes on loopback, in another process: announcing, looking up, one at a time and many at once, and
 * one node that is asked by all. `interop/reference/bench_dht_records.mjs` does the same with the reference.
 *
 *     deno run -A tests/bench/dht_records_bench.ts [--quick]
 */
import process from "node:process";
import { SocketAddress } from "../../encoding/address.ts";
import {
  bytesOf,
  cpuSince,
  flagValue,
  Helper,
  HOST,
  openDht,
  openNetwork,
  print,
  printTimes,
  quick,
  runtime,
  serve,
  timeEach,
} from "./support.ts";

const NODES = quick ? 6 : 20;
const TOPICS = quick ? 3 : 200;
const LOOKUPS = quick ? 8 : 1_000;
const REQUESTS = quick ? 20 : 10_000;
/** The command of a lookup. */
const LOOKUP = 3;

const role = flagValue("--role");
if (role === "network") {
  const { port } = await openNetwork(NODES);
  await serve(port);
} else if (role !== undefined) {
  // One node in a process of its own, which tells how long it has worked since it was asked last.
  const node = await openDht(Number(role), { ephemeral: false, firewalled: false });
  let before = process.cpuUsage();
  await serve(node.rpc.serverSocket!.address.port, () => {
    const used = cpuSince(before);
    before = process.cpuUsage();
    return used;
  });
}

const network = new Helper(import.meta.url, "--role", "network");
const port = await network.read<number>();
const client = await openDht(port, { ephemeral: true });
const keyPair = runtime.crypto.keyPair(bytesOf(1, 0));

const announce = (label: number) =>
  timeEach(TOPICS, 1, (n) => client.records.announce(bytesOf(label, n), keyPair).finished());
// Both sides are compiled in the first round.
await announce(2);
const announces = await announce(3);
printTimes("announce", announces, `${TOPICS} topics`);

/** Looks a topic up. @throws {Error} if nobody knows of the announcement. */
async function lookUp(n: number): Promise<void> {
  let found = 0;
  for await (const { peers } of client.records.lookup(bytesOf(3, n % TOPICS))) found += peers.length;
  if (found === 0) throw new Error("the announcement is gone");
}

await timeEach(TOPICS, 1, lookUp);
const lookups = await timeEach(TOPICS, 1, lookUp);
printTimes("lookup", lookups, `${TOPICS} topics`);

for (const parallel of [4, 32]) {
  const start = performance.now();
  const cpu = process.cpuUsage();
  await timeEach(LOOKUPS, parallel, lookUp);
  const used = cpuSince(cpu) / LOOKUPS;
  const rate = LOOKUPS / (performance.now() - start) * 1000;
  print(`lookups, ${parallel} at once`, "op/s", rate, `${LOOKUPS} lookups`);
  print(`lookups, ${parallel} at once, processor time of the client`, "us", used, `${LOOKUPS} lookups`);
}

const server = new Helper(import.meta.url, "--role", String(port));
const to = SocketAddress.of(HOST, await server.read<number>());
const ask = async (n: number) => {
  const target = bytesOf(3, n % TOPICS);
  const { closerNodes } = await client.rpc.request({ command: LOOKUP, target }, to);
  if (closerNodes.length === 0) throw new Error("the node knows nobody");
};
await timeEach(REQUESTS, 16, ask);
await server.ask("reset");
const cpu = process.cpuUsage();
const start = performance.now();
await timeEach(REQUESTS, 16, ask);
const rate = REQUESTS / (performance.now() - start) * 1000;
const clientUsed = cpuSince(cpu) / REQUESTS;
const serverUsed = await server.ask<number>("used") / REQUESTS;
print("requests to one node", "op/s", rate, `${REQUESTS} requests`);
print("requests to one node, processor time of the node", "us", serverUsed, `${REQUESTS} requests`);
print("requests to one node, processor time of who asks", "us", clientUsed, `${REQUESTS} requests`);

server.end();
network.end();
process.exit(0);
