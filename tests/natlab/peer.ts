/**
 * A peer for a laboratory of real NATs, driven by its command line and heard through JSON lines on stdout: the first nodes of a
 * network, a relay, a server that echoes, or a client that connects once, has 64 KiB echoed, and tells how and how fast. With
 * `--hold` the client then keeps the connection and tells how long it was silent, at worst: for networks that change meanwhile.
 * With `--tcp` both sides have TCP besides, and what the server calls its key has its addresses behind it, as a ticket does.
 *
 *     deno run -A tests/natlab/peer.ts bootstrap --hosts HOST,... --port PORT
 *     deno run -A tests/natlab/peer.ts relay --host HOST --bootstrap HOST:PORT,...
 *     deno run -A tests/natlab/peer.ts server --bootstrap HOST:PORT,... [--relay HEX] [--tcp]
 *     deno run -A tests/natlab/peer.ts client --bootstrap HOST:PORT,... --key KEY [--relay HEX] [--tcp] [--timeout S] [--hold S]
 */
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { HyphaError } from "../../core/runtime/errors.ts";
import type { TraceEvent } from "../../core/runtime/trace.ts";
import type { Connection } from "../../core/stream/connection.ts";
import { loadSystemRuntime } from "../../core/system_runtime.ts";
import { Dht, DhtConnection, DialError, RelayServer } from "../../dht/mod.ts";
import { equals, fromHex, toHex } from "../../encoding/mod.ts";
import { Dialer } from "../../transports/dialer.ts";
import { TcpTransport } from "../../transports/tcp/mod.ts";
import { udpNetwork } from "../../transports/udp/mod.ts";

const ECHO_BYTES = 65_536;
const RELAY_PORT = 50_000;
/** How often a held connection says something, and how long it may have been silent at the end to count as alive. */
const BEAT_MS = 250;
const ALIVE_MS = 1500;
/** How long a relayed connection is watched for the move to a direct path, and how often. */
const UPGRADE_WAIT_MS = 20_000;
const UPGRADE_POLL_MS = 50;

const { values, positionals: [role] } = parseArgs({
  args: process.argv.slice(2),
  allowPositionals: true,
  options: {
    bootstrap: { type: "string", default: "" },
    hosts: { type: "string", default: "" },
    host: { type: "string", default: "" },
    port: { type: "string", default: "49737" },
    key: { type: "string", default: "" },
    relay: { type: "string", default: "" },
    timeout: { type: "string", default: "60" },
    hold: { type: "string", default: "0" },
    tcp: { type: "boolean", default: false },
  },
});

const runtime = await loadSystemRuntime();
const { clock } = runtime;
const bootstrap = values.bootstrap.split(",").filter((address) => address !== "");
const [key = "", ...addresses] = values.key.split(",");
const relayThrough = values.relay === "" ? {} : { relayThrough: fromHex(values.relay) };

function tell(report: object): void {
  process.stdout.write(`${JSON.stringify(report)}\n`);
}

/** Persistent nodes at all public hosts, of which the first three are known to everybody. */
async function startNetwork(): Promise<void> {
  const hosts = values.hosts.split(",");
  const port = Number(values.port);
  for (const [i, host] of hosts.entries()) {
    const first = hosts.slice(0, Math.min(i, 3)).map((known) => `${known}:${port}`);
    const node = Dht.bootstrapper(runtime, udpNetwork(), { host, port }, { host, bootstrap: first });
    await node.open();
    await node.ready();
  }
  tell({ event: "ready", nodes: hosts.length });
}

async function serveRelay(): Promise<void> {
  const { host } = values;
  const options = { bootstrap, host, port: RELAY_PORT, ephemeral: false, firewalled: false };
  const dht = new Dht(runtime, udpNetwork(), options);
  await dht.open();
  await dht.ready();
  const relay = new RelayServer(clock, { createStream: dht.createRawStream.bind(dht) });
  const server = dht.createServer();
  server.on("connection", ({ detail: { connection } }) => {
    relay.accept(connection).closed.then(() => connection.close()).catch(() => {});
  });
  await server.listen();
  tell({ event: "ready", key: toHex(server.publicKey!) });
}

async function openNode(): Promise<Dht> {
  const dht = new Dht(runtime, udpNetwork({ needTtl: true }), { bootstrap });
  await dht.open();
  await dht.ready();
  return dht;
}

async function echo(connection: Connection): Promise<void> {
  for await (const chunk of connection) await connection.write(chunk);
  await connection.close();
}

async function serve(): Promise<void> {
  const dht = await openNode();
  const view = { address: `${dht.rpc.natAddress}`, firewalled: dht.rpc.firewalled };
  if (values.tcp) {
    const { record } = await newDialer(dht).listen(echo);
    const tcp = record.addresses.filter((address) => address.startsWith("tcp:"));
    return tell({ event: "ready", key: [toHex(record.publicKey), ...tcp].join(), view });
  }
  const server = dht.createServer({ ...relayThrough });
  await server.listen();
  tell({ event: "ready", key: toHex(server.publicKey!), view });
  for await (const connection of server) void echo(connection).catch(() => {});
}

/** Over the DHT, and over TCP as well. */
function newDialer(dht: Dht): Dialer {
  return new Dialer(runtime, { transports: [dht, new TcpTransport(runtime)], keyPair: dht.keyPair });
}

function connect(dht: Dht, signal: AbortSignal): Promise<Connection> {
  const publicKey = fromHex(key);
  if (!values.tcp) return dht.connect(publicKey, { signal, ...relayThrough });
  return newDialer(dht).connect({ publicKey, addresses: [dht.addressOf(publicKey), ...addresses] }, {
    signal,
  });
}

/** What is known of the way that a connection takes. */
function wayOf(connection: Connection): { readonly kind: string; readonly trace: readonly TraceEvent[] } {
  if (!(connection instanceof DhtConnection)) return { kind: "tcp", trace: [] };
  return { kind: connection.path.kind, trace: connection.trace };
}

/** A connection under measurement: when it was opened, and what was heard of it. */
class Session {
  readonly #startedAt = clock.now();
  #heardAt = 0;
  #silenceMs = 0;

  get sinceMs(): number {
    return Math.round(clock.now() - this.#startedAt);
  }

  async run(dht: Dht): Promise<object> {
    const signal = AbortSignal.timeout(Number(values.timeout) * 1000);
    let connection: Connection;
    try {
      connection = await connect(dht, signal);
    } catch (error) {
      const trace = error instanceof DialError ? error.trace : [];
      return { connected: false, failMs: this.sinceMs, error: codeOf(error), message: String(error), trace };
    }
    const connectMs = this.sinceMs;
    const way = wayOf(connection);
    const path = way.kind === "relayed" ? "relayed" : "direct";
    const opened = { connectMs, path, ...way };
    try {
      await this.#echo(connection);
    } catch (error) {
      return {
        connected: false,
        ...opened,
        failMs: this.sinceMs,
        error: codeOf(error),
        message: String(error),
      };
    }
    const echoed = { connected: true, ...opened, echoMs: this.sinceMs };
    if (values.hold !== "0") return { ...echoed, ...await this.#hold(connection) };
    return path === "relayed" ? { ...echoed, ...await this.#awaitUpgrade(connection) } : echoed;
  }

  async #echo(connection: Connection): Promise<void> {
    const payload = crypto.getRandomValues(new Uint8Array(ECHO_BYTES));
    void connection.write(payload.slice()).catch(() => {});
    let got = 0;
    for await (const chunk of connection) {
      if (!equals(chunk, payload.subarray(got, got + chunk.length))) throw new Error("The echo differs");
      got += chunk.length;
      if (got === payload.length) return;
    }
    throw new Error("The echo ended early");
  }

  async #hold(connection: Connection): Promise<object> {
    this.#heardAt = clock.now();
    tell({ event: "holding" });
    const died = this.#hear(connection).then(() => "ended", (error) => codeOf(error));
    const endAt = clock.now() + Number(values.hold) * 1000;
    while (clock.now() < endAt) {
      void connection.write(Uint8Array.of(1, 2, 3, 4)).catch(() => {});
      const error = await Promise.race([died, delay(BEAT_MS)]);
      if (error !== undefined) return { alive: false, error, diedMs: this.sinceMs };
    }
    const lastMs = clock.now() - this.#heardAt;
    const longestSilenceMs = Math.round(Math.max(this.#silenceMs, lastMs));
    return { alive: lastMs < ALIVE_MS, longestSilenceMs, kind: wayOf(connection).kind };
  }

  async #hear(connection: Connection): Promise<void> {
    for await (const _chunk of connection) {
      const now = clock.now();
      this.#silenceMs = Math.max(this.#silenceMs, now - this.#heardAt);
      this.#heardAt = now;
    }
  }

  async #awaitUpgrade(connection: Connection): Promise<object> {
    const endAt = clock.now() + UPGRADE_WAIT_MS;
    while (clock.now() < endAt) {
      const { kind } = wayOf(connection);
      if (kind !== "relayed") return { upgradeMs: this.sinceMs, kind };
      await delay(UPGRADE_POLL_MS);
    }
    return {};
  }
}

function codeOf(error: unknown): string {
  return error instanceof HyphaError ? error.code : String(error);
}

async function dial(): Promise<void> {
  const dht = await openNode();
  tell({ event: "result", ...await new Session().run(dht) });
  await dht.close({ force: true });
  process.exit(0);
}

const roles: Record<string, () => Promise<void>> = {
  bootstrap: startNetwork,
  relay: serveRelay,
  server: serve,
  client: dial,
};

process.on("SIGTERM", () => process.exit(0));
const start = roles[role ?? ""];
if (start === undefined) throw new TypeError(`Expected one of ${Object.keys(roles).join(", ")}`);
await start();
