/**
 * The inside of a `Dht`: its parts put together, and its ups and downs. The parts see it as a {@linkcode DhtContext}.
 */
import { assert } from "../core/runtime/assert.ts";
import { ConnectError } from "../core/runtime/errors.ts";
import type { KeyPair } from "../core/runtime/crypto_provider.ts";
import type { Runtime } from "../core/runtime/runtime.ts";
import type { TraceEvent, Tracer } from "../core/runtime/trace.ts";
import type { DatagramNetwork } from "../transports/datagram.ts";
import { UdxEndpoint } from "../transports/udx/endpoint.ts";
import { UdxSocket } from "../transports/udx/udx_socket.ts";
import { Commands } from "./commands.ts";
import type { DhtContext, DhtService, DhtSockets } from "./context.ts";
import { type DhtConfig, type DhtOptions, ownKeyPair, resolveDhtOptions, rpcOptions } from "./dht_options.ts";
import { PluginHost } from "./plugins.ts";
import { PunchBudget } from "./punch/budget.ts";
import { RecordClient } from "./record_client.ts";
import { RecordStore } from "./records.ts";
import { RelayAddressCache } from "./relay_cache.ts";
import { Router } from "./router.ts";
import type { RpcPort } from "./rpc/outgoing_request.ts";
import { Rpc } from "./rpc/rpc.ts";
import { type DhtNamespaces, dhtNamespaces } from "./signables.ts";
import { DhtStats } from "./stats.ts";

/** The node's own sockets. */
class OwnSockets implements DhtSockets {
  readonly #rpc: Rpc;

  constructor(rpc: Rpc) {
    this.#rpc = rpc;
  }

  get server(): UdxSocket | undefined {
    return asUdxSocket(this.#rpc.serverSocket);
  }

  get client(): UdxSocket | undefined {
    return asUdxSocket(this.#rpc.clientSocket);
  }

  get current(): UdxSocket | undefined {
    return asUdxSocket(this.#rpc.socket);
  }
}

/** They are bound by the endpoint. */
function asUdxSocket(socket: RpcPort | undefined): UdxSocket | undefined {
  if (socket === undefined) return undefined;
  assert(socket instanceof UdxSocket, "a socket of the node is one of its endpoint");
  return socket;
}

/** See the head of the file. */
export class DhtNode implements DhtContext {
  /** See {@linkcode DhtContext}. */
  readonly runtime: Runtime;
  /** See {@linkcode DhtContext}. */
  readonly config: DhtConfig;
  /** See {@linkcode DhtContext}. */
  readonly keyPair: KeyPair;
  /** See {@linkcode DhtContext}. */
  readonly namespaces: DhtNamespaces;
  /** See {@linkcode DhtContext}. */
  readonly rpc: Rpc;
  /** See {@linkcode DhtContext}. */
  readonly endpoint: UdxEndpoint;
  /** See {@linkcode DhtContext}. */
  readonly network: DatagramNetwork;
  /** See {@linkcode DhtContext}. */
  readonly sockets: DhtSockets;
  /** See {@linkcode DhtContext}. */
  readonly records: RecordStore;
  /** See {@linkcode DhtContext}. */
  readonly client: RecordClient;
  /** See {@linkcode DhtContext}. */
  readonly relayCache: RelayAddressCache = new RelayAddressCache();
  /** See {@linkcode DhtContext}. */
  readonly punchBudget: PunchBudget;
  /** See {@linkcode DhtContext}. */
  readonly stats: DhtStats = new DhtStats();
  /** See {@linkcode DhtContext}. */
  readonly services: Set<DhtService> = new Set();
  /** Handshakes and punch messages. */
  readonly router: Router;
  /** Plug-ins. */
  readonly plugins: PluginHost;
  readonly #tracer: Tracer | undefined;
  #state: "open" | "suspended" | "closed" = "open";
  #changing: Promise<void> = Promise.resolve();
  #closing: Promise<void> | undefined;

  /** A node on `network`; `onPluginFailure` is told what plug-ins do wrong. */
  constructor(
    runtime: Runtime,
    network: DatagramNetwork,
    options: DhtOptions,
    onPluginFailure: (plugin: string, error: unknown) => void,
  ) {
    const { crypto, clock, random } = runtime;
    this.runtime = runtime;
    this.network = network;
    this.config = resolveDhtOptions(options);
    this.keyPair = ownKeyPair(runtime, options);
    this.namespaces = dhtNamespaces(crypto);
    this.#tracer = options.trace;
    this.endpoint = new UdxEndpoint(runtime, network);
    this.rpc = new Rpc(runtime, this.endpoint, {
      localHosts: () => network.localHosts?.() ?? [],
      ...rpcOptions(options),
      onRequest: (request) => commands.handle(request),
    });
    const { config, namespaces, rpc, stats } = this;
    this.sockets = new OwnSockets(rpc);
    this.records = new RecordStore({ crypto, random: random.fork("records") }, options.storage);
    this.client = new RecordClient({ crypto, namespaces, rpc, maxValueBytes: config.maxValueBytes });
    this.punchBudget = new PunchBudget({
      randomIntervalMs: config.randomPunchIntervalMs,
      ...(config.deferRandomPunch ? { deferredSince: clock.now() } : {}),
    });
    this.router = new Router({ relayOf: (target) => this.records.forward(clock.now(), target)?.relay });
    this.plugins = new PluginHost({ clock, config, rpc, stats, onFailure: onPluginFailure });
    const commands = new Commands(this, this.router, this.plugins);
    this.#followRpc();
  }

  /** See {@linkcode DhtContext}. */
  get state(): "open" | "suspended" | "closed" {
    return this.#state;
  }

  /** See {@linkcode DhtContext}. */
  trace(what: string, data: TraceEvent["data"] = {}): void {
    this.#tracer?.({ at: this.runtime.clock.now(), part: "dht", what, data });
  }

  /** @throws {ConnectError} `NODE_DESTROYED` if the node is closed, or about to be. */
  checkOpen(): void {
    if (this.#closing === undefined) return;
    throw new ConnectError("NODE_DESTROYED", "The node is closed: make another");
  }

  /** Services first, as long as they can say goodbye; then streams; then sockets. */
  suspend(): Promise<void> {
    return this.#change(async () => {
      if (this.#state !== "open") return;
      this.#state = "suspended";
      await this.#forServices((service) => service.suspend());
      this.endpoint.dropStreams(
        new ConnectError("IO_SUSPENDED", "The node was suspended: connect again after resume"),
      );
      await this.rpc.suspend();
    });
  }

  /** The other way round. */
  resume(): Promise<void> {
    return this.#change(async () => {
      if (this.#state !== "suspended") return;
      if (this.config.deferRandomPunch) this.punchBudget.defer(this.runtime.clock.now());
      await this.rpc.resume();
      if (this.#closing !== undefined) return;
      this.#state = "open";
      await this.#forServices((service) => service.resume());
    });
  }

  /** Ends it, once. */
  close(isForced: boolean): Promise<void> {
    return this.#closing ??= this.#close(isForced);
  }

  async #close(isForced: boolean): Promise<void> {
    await this.#changing;
    this.#state = "closed";
    await this.#forServices((service) => service.close(isForced));
    await this.plugins.close();
    await this.rpc.close();
    await this.endpoint.close();
  }

  /** One change after the other. */
  #change(work: () => Promise<void>): Promise<void> {
    const result = this.#changing.then(() => this.#closing === undefined ? work() : undefined);
    this.#changing = result.catch(() => {});
    return result;
  }

  /** What one of them fails to do does not keep the others from doing it. */
  async #forServices(act: (service: DhtService) => Promise<void>): Promise<void> {
    await Promise.allSettled([...this.services].map(act));
  }

  #followRpc(): void {
    const { rpc, services } = this;
    const refresh = () => {
      if (this.#state === "open") { for (const service of services) service.refresh(); }
    };
    rpc.on("networkChange", refresh);
    rpc.on("wakeup", refresh);
    rpc.on("networkUpdate", () => {
      if (rpc.online && this.#state === "open") { for (const service of services) service.notifyOnline(); }
    });
    rpc.on("persistent", () => this.plugins.notifyPersistent());
  }
}
