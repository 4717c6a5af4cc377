/**
 * Connecting by key in a network of 20 nodes on loopback, in another process: from a node that knows the network, and from
 * one that is new. `interop/reference/bench_dht_connect.mjs` does the same with the reference.
 *
 *     deno run -A tests/bench/dht_connect_bench.ts [--quick]
 *
 * The time ends when the connection says that it is open; that it is, an echo shows, and connections without one are counted.
 */
import process from "node:process";
import type { Dht, DhtConnection, DhtServer } from "../../dht/mod.ts";
import {
  flagValue,
  Helper,
  openDht,
  openNetwork,
  print,
  printTimes,
  quick,
  serve,
  within,
} from "./support.ts";

const NODES = quick ? 6 : 20;
const CONNECTIONS = quick ? 2 : 100;
/** A server of ours looks into no more than 64 handshakes of one address in a second. */
const PAUSE_MS = 20;
/** Without an echo by then, the connection does not count as one. */
const ECHO_MS = 2_000;

if (flagValue("--network") !== undefined) {
  const { port } = await openNetwork(NODES);
  await serve(port);
}

/** Listens, and answers what comes. */
async function listen(dht: Dht): Promise<DhtServer> {
  const server = dht.createServer();
  server.on("connection", async ({ detail: { connection } }) => {
    connection.closed.catch(() => {});
    try {
      for await (const chunk of connection) await connection.write(chunk.slice());
    } catch {
      // The other side has gone without a word.
    }
    await connection.close();
  });
  return await server.listen();
}

async function echo(connection: DhtConnection): Promise<void> {
  await connection.write(Uint8Array.of(7));
  for await (const _ of connection) return;
}

/** Connects `CONNECTIONS` times by `connect`, which tells how long it took. */
async function measure(
  name: string,
  connect: () => Promise<{ connection: DhtConnection; time: number; end?: () => Promise<void> }>,
): Promise<void> {
  const times: number[] = [];
  let silent = 0;
  for (let i = -CONNECTIONS; i < CONNECTIONS; i++) {
    const { connection, time, end } = await connect();
    // Both sides are compiled in the first round.
    if (i >= 0) times.push(time);
    connection.closed.catch(() => {});
    if (!await within(ECHO_MS, echo(connection)) && i >= 0) silent++;
    connection.abort();
    await end?.();
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  const work = `${CONNECTIONS} connections`;
  printTimes(name, times, work);
  print(`${name}, without an echo`, `of ${CONNECTIONS}`, silent, work);
}

const helper = new Helper(import.meta.url, "--network", "");
const port = await helper.read<number>();

for (const isOpen of [true, false]) {
  const name = isOpen ? "to a reachable peer" : "to a peer that seems firewalled";
  const far = await openDht(port, { ephemeral: true, ...isOpen ? { firewalled: false } : {} });
  const server = await listen(far);
  const to = server.publicKey!;

  const warm = await openDht(port, { ephemeral: true });
  await measure(`connect ${name}`, async () => {
    const start = performance.now();
    const connection = await warm.connect(to);
    return { connection, time: performance.now() - start };
  });
  await measure(`connect from a new node ${name}`, async () => {
    const start = performance.now();
    const fresh = await openDht(port, { ephemeral: true }, false);
    const connection = await fresh.connect(to);
    const time = performance.now() - start;
    return { connection, time, end: () => fresh.close({ force: true }) };
  });
  await Promise.all([warm.close({ force: true }), far.close({ force: true })]);
}
helper.end();
process.exit(0);
