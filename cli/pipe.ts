/**
 * `hypha listen` and `hypha connect`: the standard streams of two programs, joined by a key.
 */
import process from "node:process";
import type { Connection } from "../core/stream/connection.ts";
import { toError } from "../core/runtime/errors.ts";
import { formatKey, parseKey } from "../encoding/mod.ts";
import { type DhtCommandOptions, joinNetwork, openDht } from "./dht_node.ts";
import type { Reporter } from "./reporter.ts";
import { wayOf } from "./way.ts";

/** What both are told. */
export interface PipeOptions extends DhtCommandOptions {
  /** Blind relays at which the peer may be met. */
  readonly relay?: readonly Uint8Array[];
}

/** What `hypha listen` is told. */
export interface ListenOptions extends PipeOptions {
  /** Whether what comes goes back to where it came from, instead of to standard output. */
  readonly echo: boolean;
}

/** Prints a key and serves who dials it, until interrupted. */
export async function listen(options: ListenOptions, reporter: Reporter, signal: AbortSignal): Promise<void> {
  const { dht } = await openDht(options);
  try {
    const server = dht.createServer(relayThrough(options));
    await joinNetwork(dht, options, reporter, signal);
    await server.listen();
    reporter.report({ event: "listening", key: formatKey(server.publicKey!) });
    const onAbort = () => void server.close();
    signal.addEventListener("abort", onAbort, { once: true });
    const streams = options.echo ? undefined : new StandardStreams();
    for await (const connection of server) {
      const { peer, path } = wayOf(connection);
      reporter.report({ event: "connection", peer, path });
      // There is one standard input: the next peer has it when this one is gone.
      if (streams === undefined) void serve(connection, echo, reporter, signal);
      else await serve(connection, (one) => streams.join(one), reporter, signal);
    }
    signal.throwIfAborted();
  } finally {
    await dht.close();
  }
}

/** Serves one peer; a failure ends its connection and not the command. */
async function serve(
  connection: Connection,
  body: (connection: Connection) => Promise<void>,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  const { peer } = wayOf(connection);
  const onAbort = () => connection.abort(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    await body(connection);
    reporter.report({ event: "closed", peer });
  } catch (error) {
    connection.abort(error);
    reporter.report({ event: "closed", peer, reason: toError(error).message });
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** Connects to `key` and joins it with the standard streams, until both sides have ended. */
export async function connect(
  key: string,
  options: PipeOptions,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  const publicKey = parseKey(key);
  const { runtime, dht } = await openDht(options);
  try {
    const startedAt = runtime.clock.now();
    const connection = await dht.connect(publicKey, { signal, ...relayThrough(options) });
    const ms = Math.round(runtime.clock.now() - startedAt);
    reporter.report({ event: "connected", ...wayOf(connection), ms });
    const onAbort = () => connection.abort(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    await new StandardStreams().join(connection);
    signal.throwIfAborted();
    reporter.report({ event: "closed", peer: formatKey(publicKey) });
  } finally {
    await dht.close();
  }
}

function relayThrough({ relay }: PipeOptions): { relayThrough?: readonly Uint8Array[] } {
  return relay === undefined ? {} : { relayThrough: relay };
}

async function echo(connection: Connection): Promise<void> {
  for await (const chunk of connection) await connection.write(chunk);
  await connection.close();
}

/** The standard streams of this process, for one peer after the other. */
class StandardStreams {
  readonly #input = process.stdin[Symbol.asyncIterator]();
  /** What was read for a peer that was gone by then is for the next. */
  #reading: Promise<IteratorResult<Uint8Array>> | undefined;

  /** Standard input goes to the peer, what the peer sends to standard output, until both have ended. */
  async join(connection: Connection): Promise<void> {
    await Promise.all([this.#send(connection), receive(connection)]);
    await connection.close();
  }

  async #send(connection: Connection): Promise<void> {
    const writer = connection.writable.getWriter();
    const gone = connection.closed.then(() => undefined);
    for (;;) {
      this.#reading ??= this.#input.next();
      const result = await Promise.race([this.#reading, gone]);
      if (result === undefined) return;
      if (result.done === true) break;
      this.#reading = undefined;
      await writer.write(result.value);
    }
    await writer.close();
  }
}

async function receive(connection: Connection): Promise<void> {
  for await (const chunk of connection) {
    await new Promise<void>((resolve, reject) => {
      process.stdout.write(chunk, (error) => error == null ? resolve() : reject(error));
    });
  }
}
