/**
 * A node of HyperDHT: finds peers by key and topic, stores small values, and connects to peers and is connected to, whatever is in
 * between. It is a `Transport` for addresses `dht:<key>` and a `Discovery`.
 */
import { TypedEventTarget } from "../core/runtime/events.ts";
import type { KeyPair } from "../core/runtime/crypto_provider.ts";
import type { Runtime } from "../core/runtime/runtime.ts";
import { loadSystemRuntime } from "../core/system_runtime.ts";
import type { DatagramNetwork } from "../transports/datagram.ts";
import type { Discovery, Link, Listener, PeerRecord, Transport } from "../transports/transport.ts";
import { lookupHost, udpNetwork } from "../transports/udp/mod.ts";
import type { UdxStreamOptions } from "../transports/udx/endpoint.ts";
import type { UdxStream } from "../transports/udx/udx_stream.ts";
import { DHT_SCHEME, type DhtAddressLike, formatDhtAddress } from "./address.ts";
import type { ConnectionPool } from "./connection_pool.ts";
import { type ConnectOptions, Connector } from "./connector.ts";
import type { DhtConnection } from "./dht_connection.ts";
import { DhtDiscovery } from "./dht_discovery.ts";
import { DhtNode } from "./dht_node.ts";
import type { DhtOptions } from "./dht_options.ts";
import { type DhtDialOptions, DhtTransport, type TransportIdentity } from "./dht_transport.ts";
import { type DhtHealth, healthOf } from "./health.ts";
import type { DhtPlugin, RegisteredPlugin } from "./plugins.ts";
import type { RecordClient } from "./record_client.ts";
import type { Rpc } from "./rpc/rpc.ts";
import { bootstrapperOptions } from "./rpc/rpc_options.ts";
import type { RpcEvents } from "./rpc/rpc_types.ts";
import type { DhtServer, DhtServerOptions } from "./server.ts";
import type { DhtStats } from "./stats.ts";

/** News of a node: those of the `Rpc` below it, and these. */
export interface DhtEvents extends RpcEvents {
  /** A plug-in threw, or did what it must not; the node goes on. */
  pluginFailure: { readonly plugin: string; readonly error: unknown };
}

const RPC_EVENTS = [
  "listening",
  "ready",
  "persistent",
  "ephemeral",
  "wakeup",
  "natUpdate",
  "addNode",
  "removeNode",
  "networkChange",
  "networkUpdate",
  "suspend",
  "resume",
  "close",
  "problem",
] as const satisfies readonly (keyof RpcEvents)[];

/**
 * See the head of the file. Nothing happens before {@linkcode Dht.open}.
 *
 * @example A value in a network of two nodes on this host.
 * ```ts
 * import assert from "node:assert/strict";
 * import { loadSystemRuntime } from "../core/system_runtime.ts";
 * import { udpNetwork } from "../transports/udp/mod.ts";
 * import { Dht } from "./dht.ts";
 *
 * const runtime = await loadSystemRuntime();
 * const host = "127.0.0.1";
 * await using first = Dht.bootstrapper(runtime, udpNetwork(), { host, port: 30_049 }, { host });
 * await first.open();
 * const bootstrap = [`${host}:30049`];
 * await using second = new Dht(runtime, udpNetwork(), { bootstrap, host, port: 0, ephemeral: true });
 * await second.open();
 *
 * const { hash } = await second.records.immutablePut(new TextEncoder().encode("hello"));
 * const found = await second.records.immutableGet(hash);
 * assert.equal(new TextDecoder().decode(found?.value), "hello");
 * ```
 */
export class Dht extends TypedEventTarget<DhtEvents> implements Transport, Discovery, AsyncDisposable {
  /** Always `dht`. */
  readonly scheme: string = DHT_SCHEME;
  readonly #node: DhtNode;
  readonly #connector: Connector;
  readonly #transport: DhtTransport;
  readonly #discovery: DhtDiscovery;

  /** A node on `network`. @throws {TypeError} or {@linkcode RangeError} for options that make no sense. */
  constructor(runtime: Runtime, network: DatagramNetwork, options: DhtOptions = {}) {
    super();
    this.#node = new DhtNode(runtime, network, options, (plugin, error) => {
      this.emit("pluginFailure", { plugin, error });
    });
    this.#connector = new Connector(this.#node, this.#node.router);
    this.#transport = new DhtTransport(this.#connector, { keyPair: this.keyPair });
    this.#discovery = new DhtDiscovery(this.#node);
    for (const name of RPC_EVENTS) this.rpc.on(name, ({ detail }) => this.emit(name, detail));
  }

  /** A node on this host's UDP, with its clock, randomness and names; in the public network unless `options` say otherwise. */
  static async create(options: DhtOptions = {}): Promise<Dht> {
    const runtime = await loadSystemRuntime();
    const lookup = (host: string, port: number) => lookupHost(host, port, { family: 4 });
    const dht = new Dht(runtime, udpNetwork({ needTtl: true }), { lookup, ...options });
    await dht.open();
    return dht;
  }

  /**
   * The first node of a network of one's own: it is persistent at once, because it is told where others see it.
   *
   * @throws {TypeError} if `address` is none that others can write to.
   */
  static bootstrapper(
    runtime: Runtime,
    network: DatagramNetwork,
    address: { readonly host: string; readonly port: number },
    options: DhtOptions = {},
  ): Dht {
    return new Dht(runtime, network, { ...bootstrapperOptions(address), ...options });
  }

  /** The identity of the node, unless a server or a connection has its own. */
  get keyPair(): KeyPair {
    return this.#node.keyPair;
  }

  /** Requests and queries of any kind, the routing table, the own address. */
  get rpc(): Rpc {
    return this.#node.rpc;
  }

  /** Finds peers, announces, gets and puts values. */
  get records(): RecordClient {
    return this.#node.client;
  }

  /** Counters; those of requests are in `rpc.stats`. */
  get stats(): DhtStats {
    return this.#node.stats;
  }

  /** How the node is, as a value for `JSON.stringify`. */
  health(): DhtHealth {
    return healthOf(this.#node);
  }

  /** Whether it was suspended or closed. */
  get state(): "open" | "suspended" | "closed" {
    return this.#node.state;
  }

  /** Binds the sockets and begins to look around. See {@linkcode ready}. @throws {ConnectError} `ADDRESS_IN_USE`. */
  open(): Promise<void> {
    return this.rpc.open();
  }

  /** Resolves when the first look around is over. @throws {ConnectError} `NODE_DESTROYED` if the node is closed before. */
  ready(): Promise<void> {
    return this.rpc.ready();
  }

  /** See `Discovery`: the peers that announced `topic`, as they are found. @throws {RangeError} if it has not 32 bytes. */
  lookup(topic: Uint8Array, options: { readonly signal?: AbortSignal } = {}): AsyncIterable<PeerRecord> {
    return this.#discovery.lookup(topic, options);
  }

  /**
   * See `Discovery`: announces `self` under `topic`, again and again until disposed of. Resolves after the first round, even if
   * nobody took it. The relays of a server on this node come from the server, others from the `dht:` address of `self`.
   *
   * @throws {TypeError} if `self` is neither this node nor a server on it, so that there is no key to sign with: use
   * `records.announce`.
   */
  async announce(
    topic: Uint8Array,
    self: PeerRecord,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<AsyncDisposable> {
    this.#node.checkOpen();
    return await this.#discovery.announce(topic, self, options);
  }

  /**
   * Connects to the peer with a key: resolves when the peer has shown that it has it.
   *
   * @throws {DialError} with the phase, the reason, the next step, and the trace.
   * @throws {ConnectError} `SUSPENDED` or `NODE_DESTROYED`.
   * @throws {TypeError} if `to` is no address; the reason of the signal.
   */
  connect(to: DhtAddressLike, options: ConnectOptions = {}): Promise<DhtConnection> {
    return this.#connector.connect(to, options);
  }

  /** A server that does not listen yet: peers dial it by its key. */
  createServer(options: DhtServerOptions = {}): DhtServer {
    this.#node.checkOpen();
    return this.#connector.createServer(options);
  }

  /** A pool, which has one connection to each peer. */
  pool(): ConnectionPool {
    return this.#connector.createPool();
  }

  /** Connects a bare stream to the peer's stream `remoteId`, on the path of `connection`. @throws {TypeError} if that is closed. */
  connectRawStream(connection: DhtConnection, stream: UdxStream, remoteId: number): void {
    this.#connector.connectRawStream(connection, stream, remoteId);
  }

  /** See `Transport`: dials `dht:<key>` as the node itself. The link carries a `connection`. */
  dial(address: string, options: DhtDialOptions = {}): Promise<Link> {
    return this.#transport.dial(address, options);
  }

  /** See `Transport`: listens under the node's own key. Each link carries a `connection`. */
  listen(onLink: (link: Link) => void, options: { readonly signal?: AbortSignal } = {}): Promise<Listener> {
    return this.#transport.listen(onLink, options);
  }

  /** The address of whoever has a key. */
  addressOf(publicKey: Uint8Array): string {
    return formatDhtAddress({ publicKey, relayAddresses: [] });
  }

  /** The node as a transport for another identity, as a swarm has one; it can then be announced under topics as well. */
  forIdentity(identity: TransportIdentity): Transport {
    this.#discovery.add(identity.keyPair);
    return new DhtTransport(this.#connector, identity);
  }

  /** Whether others see this node at changing ports, so that not all of them can reach it. */
  get isNatRandom(): boolean {
    return this.rpc.firewalled && this.rpc.natAddress?.port === 0;
  }

  /** Calls `onChange` when the addresses of the host change, when it has slept, and when the network works again, until aborted. */
  watchNetwork(onChange: () => void, options: { readonly signal: AbortSignal }): void {
    const { rpc } = this;
    rpc.on("networkChange", onChange, options);
    rpc.on("wakeup", onChange, options);
    rpc.on("networkUpdate", () => void (rpc.online && onChange()), options);
  }

  /** Serves a command of its own under a name. @throws {RangeError} if the name is taken or makes no sense. */
  register(plugin: DhtPlugin): RegisteredPlugin {
    this.#node.checkOpen();
    return this.#node.plugins.register(plugin);
  }

  /**
   * Makes a bare stream, to be connected along the path of an encrypted connection; it is dropped when the node is suspended.
   *
   * @throws {RangeError} if the id is taken, or there are too many streams.
   */
  createRawStream(options: UdxStreamOptions = {}): UdxStream {
    this.#node.checkOpen();
    return this.#node.endpoint.createStream(options);
  }

  /** Takes announcements back, drops what is connected and closes the sockets, until {@linkcode resume}. */
  suspend(): Promise<void> {
    return this.#node.suspend();
  }

  /** Binds the sockets again, on the same ports if they are free, and announces again. */
  resume(): Promise<void> {
    return this.#node.resume();
  }

  /** Ends the node. `force` leaves out what takes time: others find out by themselves that its peers are gone. */
  close(options: { readonly force?: boolean } = {}): Promise<void> {
    return this.#node.close(options.force ?? false);
  }

  /** See {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
