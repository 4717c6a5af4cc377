/** What the tests of the blind relay share: a relay and its clients in a simulated network, without the rest of the DHT. */
import assert from "node:assert/strict";
import { macrotask } from "../../core/runtime/system.ts";
import type { Runtime } from "../../core/runtime/runtime.ts";
import { SeededRandom, VirtualClock } from "../../core/runtime/virtual.ts";
import { DhtConnection } from "../../dht/dht_connection.ts";
import { RelayClient, RelayServer, type RelayServerOptions, type RelaySession } from "../../dht/relay.ts";
import {
  type LinkConditions,
  type RouterType,
  type SimulatedHost,
  SimulatedNetwork,
} from "../../transports/memory/mod.ts";
import {
  UdxEndpoint,
  type UdxSocket,
  type UdxStream,
  type UdxStreamOptions,
} from "../../transports/udx/mod.ts";
import { crypto } from "./rpc/support.ts";

export const TOKEN: Uint8Array = new Uint8Array(32).fill(7);

/** A client with its connection to the relay. */
export interface RelayedClient {
  readonly host: SimulatedHost;
  readonly endpoint: UdxEndpoint;
  readonly socket: UdxSocket;
  /** To the relay. */
  readonly connection: DhtConnection;
  /** The relay's end of it. */
  readonly served: DhtConnection;
  /** What the relay made of it; undefined if it was refused. */
  readonly session: RelaySession;
}

/** How a client is made. */
export interface ClientOptions {
  /** What it is behind; nothing by default. */
  readonly router?: RouterType;
  /** Whose key it has; one of its own by default. */
  readonly key?: number;
  /** Whether the relay does not serve it by itself. */
  readonly isUnserved?: boolean;
}

/** A network with a relay. */
export class RelayWorld {
  readonly clock = new VirtualClock();
  readonly random: SeededRandom;
  readonly network: SimulatedNetwork;
  readonly relay: RelayServer;
  readonly clients: RelayedClient[] = [];
  /** What the relay sees and forwards, if somebody wants to look. */
  onRelayed: ((datagram: Uint8Array) => void) | undefined;
  readonly relayEndpoint: UdxEndpoint;
  readonly relayHost: SimulatedHost;
  #relaySocket: UdxSocket | undefined;

  constructor(options: RelayServerOptions = {}, wan: LinkConditions = { latencyMs: 10 }, seed = 1) {
    this.random = new SeededRandom(seed);
    this.network = new SimulatedNetwork({ clock: this.clock, random: this.random.fork("network"), wan });
    const host = this.relayHost = this.network.host({ name: "relay" });
    const look = (datagram: Uint8Array) => this.onRelayed?.(datagram);
    this.relayEndpoint = new UdxEndpoint(this.runtime("relay"), {
      maxDatagramBytes: host.maxDatagramBytes,
      bind: (bindOptions, receiver) =>
        host.bind(bindOptions, {
          onDatagram: (datagram, from) => {
            look(datagram);
            receiver.onDatagram(datagram, from);
          },
        }),
    });
    this.relay = new RelayServer(this.clock, this.relayEndpoint, options);
  }

  runtime(label: string): Runtime {
    return { clock: this.clock, random: this.random.fork(label), crypto };
  }

  /** A client that is connected to the relay. */
  async client(options: ClientOptions = {}): Promise<RelayedClient> {
    const n = this.clients.length;
    const key = options.key ?? n + 1;
    const behind = options.router && this.network.router({ type: options.router });
    const host = this.network.host(behind === undefined ? {} : { behind });
    const runtime = this.runtime(`client ${n}`);
    const endpoint = new UdxEndpoint(runtime, host);
    const socket = await endpoint.bind({ host: host.address });
    const relaySocket = this.#relaySocket ??= await this.relayEndpoint.bind({ host: this.relayHost.address });
    const near = endpoint.createStream();
    const far = this.relayEndpoint.createStream({
      firewall: (on, from) => {
        if (far.isConnected) return false;
        far.connect(on, near.id, from);
        return true;
      },
    });
    near.connect(socket, far.id, relaySocket.address);
    const common = { pathKind: () => "direct" as const, trace: () => [] };
    const keyPair = crypto.keyPair(new Uint8Array(32).fill(key));
    const connection = new DhtConnection(near, runtime, { ...common, isInitiator: true, keyPair });
    const served = new DhtConnection(far, this.runtime(`served ${n}`), {
      ...common,
      isInitiator: false,
      keyPair: crypto.keyPair(new Uint8Array(32)),
    });
    await this.go(Promise.all([connection.opened, served.opened]));
    const session = options.isUnserved ? undefined : this.relay.accept(served);
    const client = { host, endpoint, socket, connection, served, session: session! };
    this.clients.push(client);
    return client;
  }

  /** A relay client on the connection of `client`. */
  relayClient(client: RelayedClient): RelayClient {
    return new RelayClient(this.clock, client.connection);
  }

  /** A stream of a client. */
  stream(client: RelayedClient, options: UdxStreamOptions = {}): UdxStream {
    return client.endpoint.createStream(options);
  }

  /** Has two clients meet, and connects their streams through the relay. */
  async link(
    [a, b]: readonly [RelayedClient, RelayedClient],
    clients: readonly [RelayClient, RelayClient] = [this.relayClient(a), this.relayClient(b)],
    token: Uint8Array = TOKEN,
  ): Promise<[UdxStream, UdxStream]> {
    const streams: [UdxStream, UdxStream] = [this.stream(a), this.stream(b)];
    const ids = await this.go(
      Promise.all([0, 1].map((i) => clients[i]!.pair({ isInitiator: i === 0, token, stream: streams[i]! }))),
    );
    for (const [i, { socket, connection }] of [a, b].entries()) {
      streams[i]!.connect(socket, ids[i]!, connection.path.address!);
    }
    return streams;
  }

  /** Moves time until `work` is settled. */
  async go<T>(work: Promise<T>, maxMs = 120_000): Promise<T> {
    let isDone = false;
    const marked = work.finally(() => isDone = true);
    marked.catch(() => {});
    await this.clock.runAsync(macrotask, { until: this.clock.now() + maxMs, stop: () => isDone });
    await macrotask();
    assert(isDone, `not done after ${maxMs} virtual ms`);
    return await marked;
  }

  /** Lets `ms` pass. */
  async pass(ms: number): Promise<void> {
    await this.clock.runAsync(macrotask, { until: this.clock.now() + ms });
  }

  /** Ends everything, and checks that nothing stays behind. */
  async close(): Promise<void> {
    this.relay.destroy();
    const { quotas, sessions } = this.relay;
    assert.deepEqual([quotas.sessions, quotas.pending, quotas.links, sessions.size], [0, 0, 0, 0]);
    for (const { connection, served } of this.clients) {
      connection.abort();
      served.abort();
    }
    await this.go(
      Promise.all(
        [this.relayEndpoint, ...this.clients.map(({ endpoint }) => endpoint)].map((e) => e.close()),
      ),
    );
    await this.pass(60_000);
    assert.equal(this.clock.pending, 0, "no timer stays");
  }
}
