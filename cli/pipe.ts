/**
 * `hypha listen` and `hypha connect`: the standard streams of two programs, joined by a key.
 */
import process from "node:process";
import { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Connection } from "../core/stream/connection.ts";
import { toNodeDuplex } from "../core/stream/node_duplex.ts";
import type { DhtConnection } from "../dht/dht_connection.ts";
import { formatKey, parseKey } from "../encoding/mod.ts";
import { type DhtCommandOptions, openDht } from "./dht_node.ts";
import type { Reporter } from "./reporter.ts";

/** What `hypha listen` is told. */
export interface ListenOptions extends DhtCommandOptions {
  /** Whether what comes goes back to where it came from, instead of to standard output. */
  readonly echo: boolean;
}

/** Prints a key and serves who dials it, until interrupted. */
export async function listen(options: ListenOptions, reporter: Reporter, signal: AbortSignal): Promise<void> {
  const { dht } = await openDht(options);
  try {
    const server = dht.createServer();
    await server.listen();
    reporter.report({ event: "listening", key: formatKey(server.publicKey!) });
    const onAbort = () => void server.close();
    signal.addEventListener("abort", onAbort, { once: true });
    for await (const connection of server) {
      const peer = formatKey(connection.remotePublicKey);
      reporter.report({ event: "connection", peer, path: connection.path.kind });
      const served = options.echo ? echo(connection) : joinStandardStreams(connection);
      served.catch(() => connection.abort()).finally(() => reporter.report({ event: "closed", peer }));
    }
    signal.throwIfAborted();
  } finally {
    await dht.close();
  }
}

/** Connects to `key` and joins it with the standard streams, until one side ends. */
export async function connect(
  key: string,
  options: DhtCommandOptions,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  const publicKey = parseKey(key);
  const { runtime, dht } = await openDht(options);
  try {
    const startedAt = runtime.clock.now();
    const connection = await dht.connect(publicKey, { signal });
    reportConnected(reporter, connection, runtime.clock.now() - startedAt);
    const onAbort = () => connection.abort(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    await joinStandardStreams(connection);
    reporter.report({ event: "closed", peer: formatKey(publicKey) });
  } finally {
    await dht.close();
  }
}

function reportConnected(reporter: Reporter, connection: DhtConnection, ms: number): void {
  const { kind, address } = connection.path;
  reporter.report({
    event: "connected",
    peer: formatKey(connection.remotePublicKey),
    path: kind,
    address: String(address),
    ms: Math.round(ms),
  });
}

async function echo(connection: Connection): Promise<void> {
  for await (const chunk of connection) await connection.write(chunk);
  await connection.close();
}

/** Standard input goes to the peer, what the peer sends to standard output, until both have ended. */
async function joinStandardStreams(connection: Connection): Promise<void> {
  const duplex = toNodeDuplex(connection);
  // Standard output stays open: it is not ours to close.
  const output = new Writable({ write: (chunk, _encoding, done) => void process.stdout.write(chunk, done) });
  await Promise.all([pipeline(process.stdin, duplex), pipeline(duplex, output)]);
}
