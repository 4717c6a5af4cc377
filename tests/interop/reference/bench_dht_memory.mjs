/** What idle nodes and connections cost: the work of `tests/bench/dht_memory_bench.ts` with the reference. */
import {
  flagValue,
  Helper,
  openDht,
  openNetwork,
  print,
  quick,
  residentBytes,
  serve,
} from "./bench_support.mjs";

const IDLE_NODES = quick ? 2 : 100;
const CONNECTIONS = quick ? 2 : 500;
const NETWORK_NODES = 10;
const PAUSE_MS = 20;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const kept = [];

async function openNodes(port, ephemeral) {
  const reach = ephemeral ? {} : { firewalled: false };
  for (let i = 0; i < IDLE_NODES; i++) kept.push(await openDht(port, { ephemeral, ...reach }));
  return await residentBytes() / 1000;
}

const roles = {
  network: async () => serve((await openNetwork(NETWORK_NODES)).port),
  persistent: async (port) => serve(null, () => openNodes(port, false)),
  ephemeral: async (port) => serve(null, () => openNodes(port, true)),

  async server(port) {
    const dht = await openDht(port, { ephemeral: true, firewalled: false });
    const server = dht.createServer((socket) => {
      socket.on("error", () => {});
      kept.push(socket);
    });
    await server.listen();
    await serve(server.publicKey.toString("hex"), async () => await residentBytes() / 1000);
  },

  async client(port, key) {
    const dht = await openDht(port, { ephemeral: true });
    await serve(null, async () => {
      for (let i = 0; i < CONNECTIONS; i++) {
        const socket = dht.connect(Buffer.from(key, "hex"));
        socket.on("error", () => {});
        await new Promise((resolve) => socket.once("open", resolve));
        kept.push(socket);
        await pause(PAUSE_MS);
      }
      return await residentBytes() / 1000;
    });
  },
};

const [role, portText, key] = (flagValue("--role") ?? "").split(",");
if (role !== "") await roles[role](Number(portText), key);

const network = new Helper(import.meta.url, "--role", "network");
const port = await network.read();
async function measureNodes(kind) {
  const helper = new Helper(import.meta.url, "--role", `${kind},${port}`);
  await helper.read();
  const first = await helper.ask("open");
  const grown = Math.max(0, await helper.ask("open") - first);
  print(`idle ${kind} node`, "kB", grown / IDLE_NODES, `${IDLE_NODES} nodes`);
  helper.end();
}

await measureNodes("ephemeral");
const server = new Helper(import.meta.url, "--role", `server,${port}`);
const client = new Helper(import.meta.url, "--role", `client,${port},${await server.read()}`);
await client.read();
const before = { client: await client.ask("open"), server: await server.ask("measure") };
const after = { client: await client.ask("open"), server: await server.ask("measure") };
for (const side of ["client", "server"]) {
  const grown = Math.max(0, after[side] - before[side]);
  print(`idle connection, ${side}`, "kB", grown / CONNECTIONS, `${CONNECTIONS} connections`);
}
// The last, because the network has holes when they are gone.
await measureNodes("persistent");
for (const helper of [client, server, network]) helper.end();
process.exit(0);
