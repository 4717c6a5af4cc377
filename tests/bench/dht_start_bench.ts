/**
 * How long a node takes from nothing to a connection, in a simulated network as wide as the world (`world.ts`): when it
 * starts for the first time and knows three bootstrap nodes, and when it has kept its routing table, knows no bootstrap
 * nodes, and a tenth of the network has gone since. The milliseconds are virtual and depend on the seed alone; the
 * reference cannot run under this clock.
 *
 *     deno run -A tests/bench/dht_start_bench.ts [--quick]
 */
import process from "node:process";
import { loadCryptoProvider } from "../../core/crypto/provider.ts";
import { macrotask } from "../../core/runtime/system.ts";
import { SeededRandom, VirtualClock } from "../../core/runtime/virtual.ts";
import { Dht, type DhtOptions, type DhtServer } from "../../dht/mod.ts";
import type { SocketAddress } from "../../encoding/address.ts";
import { printTimes, quick } from "./support.ts";
import { CITIES, World } from "./world.ts";

const NODES = quick ? 20 : 300;
const SERVERS = quick ? 2 : 10;
const CLIENTS = quick ? 3 : 100;
const PORT = 49_737;
const BOOTSTRAP_CITIES = ["Washington DC", "Frankfurt", "Tokyo"] as const;
/** Virtual milliseconds after which nothing is expected any more. */
const MAX_MS = 120_000;

const clock = new VirtualClock();
const random = new SeededRandom("start");
const crypto = await loadCryptoProvider();
const world = new World(clock, random.fork("world"));
let made = 0;

/** Moves time until `work` is settled. */
async function go<T>(work: Promise<T>): Promise<T> {
  let isDone = false;
  const marked = work.finally(() => isDone = true);
  marked.catch(() => {});
  await clock.runAsync(macrotask, { until: clock.now() + MAX_MS, stop: () => isDone });
  if (!isDone) throw new Error(`not done after ${MAX_MS} virtual milliseconds`);
  return await marked;
}

const anyCity = () => random.below(CITIES.length);
const newRuntime = () => ({ clock, crypto, random: random.fork(`node ${made++}`) });

async function open(dht: Dht): Promise<Dht> {
  await dht.open();
  await dht.ready();
  return dht;
}

function newDht(city: number, options: DhtOptions): Dht {
  return new Dht(newRuntime(), world.host(city), { port: PORT, ...options });
}

/** The persistent nodes, the bootstrap nodes first. */
async function makeNetwork(): Promise<{ nodes: Dht[]; bootstrap: string[] }> {
  const nodes: Dht[] = [];
  const bootstrap: string[] = [];
  for (const city of BOOTSTRAP_CITIES) {
    const host = world.host(CITIES.indexOf(city));
    const address = { host: host.address, port: PORT };
    const dht = Dht.bootstrapper(newRuntime(), host, address, { bootstrap: [...bootstrap] });
    nodes.push(await go(open(dht)));
    bootstrap.push(`${host.address}:${PORT}`);
  }
  while (nodes.length < NODES) {
    const count = Math.min(NODES - nodes.length, nodes.length);
    const options = { bootstrap, ephemeral: false, firewalled: false };
    const batch = Array.from({ length: count }, () => newDht(anyCity(), options));
    nodes.push(...await go(Promise.all(batch.map(open))));
  }
  return { nodes, bootstrap };
}

const { nodes, bootstrap } = await makeNetwork();
const servers: DhtServer[] = [];
for (let i = 0; i < SERVERS; i++) {
  const dht = await go(open(newDht(anyCity(), { bootstrap, ephemeral: true, firewalled: false })));
  servers.push(await go(dht.createServer().listen()));
}

interface Client {
  readonly city: number;
  /** Whom it wants to reach. */
  readonly server: DhtServer;
  kept: readonly SocketAddress[];
}

const clients: Client[] = Array.from({ length: CLIENTS }, (_, i) => ({
  city: anyCity(),
  server: servers[i % SERVERS]!,
  kept: [],
}));

/** Starts every client once, one after the other. */
async function start(name: string, ways: readonly string[] | false): Promise<void> {
  const ready: number[] = [];
  const connected: number[] = [];
  for (const client of clients) {
    const store = {
      load: () => Promise.resolve(client.kept),
      save: (kept: readonly SocketAddress[]) => {
        client.kept = kept;
        return Promise.resolve();
      },
    };
    const dht = newDht(client.city, { bootstrap: ways, ephemeral: true, store });
    const begin = clock.now();
    await go(dht.open());
    const isReady = dht.ready().then(() => ready.push(clock.now() - begin));
    const connection = await go(dht.connect(client.server.publicKey!));
    connected.push(clock.now() - begin);
    connection.closed.catch(() => {});
    await go(isReady);
    connection.abort();
    await go(dht.close());
  }
  const work = `${CLIENTS} clients, ${NODES} nodes`;
  printTimes(`${name} until it has looked around`, ready, work);
  printTimes(`${name} until it is connected`, connected, work);
}

await start("cold start", bootstrap);
const leaving = nodes.filter((_, i) => i % 10 === 9);
await go(Promise.all(leaving.map((dht) => dht.close({ force: true }))));
await start("warm start", false);
process.exit(0);
