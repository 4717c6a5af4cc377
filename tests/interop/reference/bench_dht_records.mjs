/** Topics: the work of `tests/bench/dht_records_bench.ts` with the reference. */
import DHT from "hyperdht";
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
  serve,
  timeEach,
} from "./bench_support.mjs";

const NODES = quick ? 6 : 20;
const TOPICS = quick ? 3 : 200;
const LOOKUPS = quick ? 8 : 1_000;
const REQUESTS = quick ? 20 : 10_000;
const LOOKUP = 3;

const role = flagValue("--role");
if (role === "network") {
  const { port } = await openNetwork(NODES);
  await serve(port);
} else if (role !== undefined) {
  const node = await openDht(Number(role), { ephemeral: false, firewalled: false });
  let before = process.cpuUsage();
  await serve(node.io.serverSocket.address().port, () => {
    const used = cpuSince(before);
    before = process.cpuUsage();
    return used;
  });
}

const network = new Helper(import.meta.url, "--role", "network");
const port = await network.read();
const client = await openDht(port, { ephemeral: true });
const keyPair = DHT.keyPair(bytesOf(1, 0));

const announce = (label) =>
  timeEach(TOPICS, 1, (n) => client.announce(bytesOf(label, n), keyPair).finished());
await announce(2);
const announces = await announce(3);
printTimes("announce", announces, `${TOPICS} topics`);

async function lookUp(n) {
  let found = 0;
  for await (const { peers } of client.lookup(bytesOf(3, n % TOPICS))) found += peers.length;
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
const to = { host: HOST, port: await server.read() };
const ask = async (n) => {
  const target = bytesOf(3, n % TOPICS);
  const { closerNodes } = await client.request({ command: LOOKUP, target }, to);
  if (closerNodes.length === 0) throw new Error("the node knows nobody");
};
await timeEach(REQUESTS, 16, ask);
await server.ask("reset");
const cpu = process.cpuUsage();
const start = performance.now();
await timeEach(REQUESTS, 16, ask);
const rate = REQUESTS / (performance.now() - start) * 1000;
const clientUsed = cpuSince(cpu) / REQUESTS;
const serverUsed = await server.ask("used") / REQUESTS;
print("requests to one node", "op/s", rate, `${REQUESTS} requests`);
print("requests to one node, processor time of the node", "us", serverUsed, `${REQUESTS} requests`);
print("requests to one node, processor time of who asks", "us", clientUsed, `${REQUESTS} requests`);

server.end();
network.end();
process.exit(0);
