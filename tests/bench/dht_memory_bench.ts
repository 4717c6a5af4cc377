/**
 * What a whole node of the DHT costs while nothing happens: members of the network that keep records, nodes that only ask, and
 * connections, each side in a process of its own. `interop/reference/bench_dht_memory.mjs` does the same with the reference.
 *
 *     deno run -A tests/bench/dht_memory_bench.ts [--quick]
 */
import process from "node:process";
import { fromHex, toHex } from "../../encoding/text.ts";
import { flagValue, Helper, openDht, openNetwork, print, quick, residentBytes, serve } from "./support.ts";

const IDLE_NODES = quick ? 2 : 100;
const CONNECTIONS = quick ? 2 : 500;
const NETWORK_NODES = 10;
/** A server of ours looks into no more than 64 handshakes of one address in a second. */
const PAUSE_MS = 20;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
/** What is to stay in memory. */
const kept: unknown[] = [];

async function openNodes(port: number, ephemeral: boolean): Promise<number> {
  const reach = ephemeral ? {} : { firewalled: false };
  for (let i = 0; i < IDLE_NODES; i++) kept.push(await openDht(port, { ephemeral, ...reach }));
  return await residentBytes() / 1000;
}

/** Each process does one thing again and again, and tells its resident kilobytes each time. */
const roles: Record<string, (port: number, key: string) => Promise<never>> = {
  network: async () => await serve((await openNetwork(NETWORK_NODES)).port),
  persistent: async (port) => await serve(null, () => openNodes(port, false)),
  ephemeral: async (port) => await serve(null, () => openNodes(port, true)),

  async server(port) {
    const dht = await openDht(port, { ephemeral: true, firewalled: false });
    const server = dht.createServer();
    server.on("connection", ({ detail: { connection } }) => {
      connection.closed.catch(() => {});
      kept.push(connection);
    });
    await server.listen();
    return await serve(toHex(server.publicKey!), async () => await residentBytes() / 1000);
  },

  async client(port, key) {
    const dht = await openDht(port, { ephemeral: true });
    return await serve(null, async () => {
      for (let i = 0; i < CONNECTIONS; i++) {
        const connection = await dht.connect(fromHex(key));
        connection.closed.catch(() => {});
        kept.push(connection);
        await pause(PAUSE_MS);
      }
      return await residentBytes() / 1000;
    });
  },
};

const [role, portText, key] = (flagValue("--role") ?? "").split(",");
if (role !== "") await roles[role!]!(Number(portText), key ?? "");

const network = new Helper(import.meta.url, "--role", "network");
const port = await network.read<number>();
async function measureNodes(kind: string): Promise<void> {
  const helper = new Helper(import.meta.url, "--role", `${kind},${port}`);
  await helper.read();
  const first = await helper.ask<number>("open");
  const grown = Math.max(0, await helper.ask<number>("open") - first);
  print(`idle ${kind} node`, "kB", grown / IDLE_NODES, `${IDLE_NODES} nodes`);
  helper.end();
}

await measureNodes("ephemeral");
const server = new Helper(import.meta.url, "--role", `server,${port}`);
const client = new Helper(import.meta.url, "--role", `client,${port},${await server.read<string>()}`);
await client.read();
const before = { client: await client.ask<number>("open"), server: await server.ask<number>("measure") };
const after = { client: await client.ask<number>("open"), server: await server.ask<number>("measure") };
for (const side of ["client", "server"] as const) {
  const grown = Math.max(0, after[side] - before[side]);
  print(`idle connection, ${side}`, "kB", grown / CONNECTIONS, `${CONNECTIONS} connections`);
}
// The last, because the network has holes when they are gone.
await measureNodes("persistent");
for (const helper of [client, server, network]) helper.end();
process.exit(0);
