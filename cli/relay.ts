/**
 * `hypha relay`: a blind relay for peers that have no direct way to each other. It carries what it cannot read, within quotas.
 */
import type { Clock } from "../core/runtime/runtime.ts";
import { type Dht, type RelayQuotaOptions, RelayServer } from "../dht/mod.ts";
import { formatKey } from "../encoding/mod.ts";
import { type DhtCommandOptions, joinNetwork, openDht } from "./dht_node.ts";
import { serveHealth } from "./health.ts";
import type { Reporter } from "./reporter.ts";
import { untilAborted } from "./until_aborted.ts";

/** What `hypha relay` is told. */
export interface RelayOptions extends DhtCommandOptions {
  /** The UDP port; 0 = any. */
  readonly port: number;
  /** The port of loopback on which to answer questions over HTTP. */
  readonly healthPort?: number;
  /** Pairs of peers in all. */
  readonly maxPairs?: number;
  /** Pairs of one key. */
  readonly maxPairsPerKey?: number;
  /** Bytes a second in all. */
  readonly maxRate?: number;
  /** Bytes a second of one key. */
  readonly maxRatePerKey?: number;
  /** Bytes of one key within a period. */
  readonly maxBytesPerKey?: number;
  /** Seconds of that period. */
  readonly period?: number;
  /** Seconds of silence after which a pair is closed. */
  readonly idle?: number;
}

/** Milliseconds that peers have to notice that the relay goes. */
const GOODBYE_MS = 2000;

/** Relays until interrupted, and then says what it did. */
export async function relay(options: RelayOptions, reporter: Reporter, signal: AbortSignal): Promise<void> {
  const { port, healthPort, idle } = options;
  const { runtime, dht } = await openDht(options, port === 0 ? {} : { port, anyPort: false });
  try {
    const { clock } = runtime;
    const streams = { createStream: dht.createRawStream.bind(dht) };
    const server = new RelayServer(clock, streams, {
      quotas: quotasOf(options),
      linkIdleMs: idle === undefined ? undefined : idle * 1000,
    });
    const health = () => ({ relay: healthOf(server), dht: dht.health() });
    await using _health = healthPort === undefined ? undefined : await serveHealth(healthPort, health);
    try {
      await joinNetwork(dht, options, reporter, signal);
      const key = await serve(dht, server);
      reporter.report({ event: "relay", key, address: dht.rpc.natAddress?.toString() ?? null });
      await untilAborted(signal);
    } finally {
      reporter.report({ event: "stats", stats: server.stats });
      await goodbye(clock, server);
    }
  } finally {
    await dht.close();
  }
}

/** Serves whoever dials the node's key. */
async function serve(dht: Dht, relay: RelayServer): Promise<string> {
  const server = dht.createServer();
  server.on("connection", ({ detail: { connection } }) => {
    try {
      const over = relay.accept(connection).closed;
      void over.then(() => connection.close(), (error) => connection.abort(error));
    } catch (error) {
      connection.abort(error); // too many clients
    }
  });
  await server.listen();
  return formatKey(server.publicKey!);
}

function quotasOf(options: RelayOptions): RelayQuotaOptions {
  return {
    maxLinks: options.maxPairs,
    maxLinksPerKey: options.maxPairsPerKey,
    maxBytesPerSecond: options.maxRate,
    maxBytesPerSecondPerKey: options.maxRatePerKey,
    maxBytesPerKey: options.maxBytesPerKey,
    periodMs: options.period === undefined ? undefined : options.period * 1000,
  };
}

function healthOf({ quotas, stats }: RelayServer) {
  const { sessions, pending, links, accounts, config } = quotas;
  return { sessions, waiting: pending, pairs: links, keys: accounts, quotas: config, stats };
}

async function goodbye(clock: Clock, server: RelayServer): Promise<void> {
  const timer = clock.schedule(clock.now() + GOODBYE_MS, () => server.destroy());
  await server.close();
  timer.cancel();
  server.destroy();
}
