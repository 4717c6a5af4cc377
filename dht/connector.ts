/** All that a node connects with: dials, servers, and what they share. */
import { ConnectError } from "../core/runtime/errors.ts";
import type { KeyPair } from "../core/runtime/crypto_provider.ts";
import type { SocketAddress } from "../encoding/address.ts";
import type { UdxSocket } from "../transports/udx/udx_socket.ts";
import type { UdxStream } from "../transports/udx/udx_stream.ts";
import { type DhtAddressLike, parseDhtAddress } from "./address.ts";
import { AttemptLimits, type AttemptLimitsOptions } from "./attempt_limits.ts";
import { ConnectionPool } from "./connection_pool.ts";
import type { DhtContext, DhtService } from "./context.ts";
import { Dial } from "./dial.ts";
import type { DhtConnection } from "./dht_connection.ts";
import { PathKeepers } from "./path_keeper.ts";
import { SocketPool } from "./punch/socket_pool.ts";
import { offerRelay, type RelayChoice } from "./relay_choice.ts";
import type { DialRelay } from "./relay_meeting.ts";
import type { Router } from "./router.ts";
import { DhtServer, type DhtServerOptions } from "./server.ts";

/** Options of {@linkcode Connector.connect}. */
export interface ConnectOptions {
  /** Gives up. Once the connection is open, the signal has no more effect on it. */
  readonly signal?: AbortSignal;
  /** As whom; the node's own key by default. */
  readonly keyPair?: KeyPair;
  /** Nodes that relay to the peer, or the peer's own node: these are tried first, and need no DHT. */
  readonly relayAddresses?: readonly SocketAddress[];
  /** Whether to look for the peer in the local network if both sides have the same public address; true by default. */
  readonly localConnection?: boolean;
  /** Whether to let the peer's first packet in before both have agreed to punch: saves a round; true by default. */
  readonly fastOpen?: boolean;
  /** Whether the socket may serve another connection to the same peer; false by default. */
  readonly reusableSocket?: boolean;
  /** Takes part in a pool, which has one connection to each peer. */
  readonly pool?: ConnectionPool;
  /**
   * A blind relay to meet the peer at while a direct way is looked for; the connection moves there when one is found. The relay
   * that the peer names comes first. None by default.
   */
  readonly relayThrough?: RelayChoice;
}

/** Dials that one node may have under way. */
const MAX_DIALS = 1024;

/** See the head of the file. One for each node. */
export class Connector implements DhtService {
  /** What strangers may cost. */
  readonly limits: AttemptLimits;
  /** Sockets to punch from. */
  readonly sockets: SocketPool<UdxSocket>;
  readonly #context: DhtContext;
  readonly #router: Router;
  readonly #dials = new Set<Dial>();
  readonly #keepers = new PathKeepers();
  /** As the node itself, and without another relay between. */
  readonly #dialRelay: DialRelay = (publicKey, signal) => this.#dial(publicKey, [], { signal }, undefined);

  /** Adds itself to the services of the node, whose requests `router` gets. */
  constructor(context: DhtContext, router: Router, options: { readonly limits?: AttemptLimitsOptions } = {}) {
    this.#context = context;
    this.#router = router;
    this.limits = new AttemptLimits(options.limits);
    this.sockets = new SocketPool(context.runtime, {
      // On the same address as the node: what it may use is the node's choice.
      bind: () => {
        const host = context.sockets.server?.address.host;
        return context.endpoint.bind(host === undefined ? {} : { host });
      },
      closeWhenIdle: (socket) => context.endpoint.closeWhenIdle(socket),
    }, {
      onMessage: (lease, datagram, from) => context.rpc.handleDatagram(lease.socket, datagram, from),
    });
    context.services.add(this);
  }

  /**
   * Connects to the peer with a key: resolves when the peer has shown that it has it.
   *
   * @throws {DialError} with the phase, the reason, the next step, and the trace.
   * @throws {ConnectError} `SUSPENDED`, `NODE_DESTROYED`.
   * @throws {TypeError} if `to` is no address; the reason of the signal.
   */
  async connect(to: DhtAddressLike, options: ConnectOptions = {}): Promise<DhtConnection> {
    const { publicKey, relayAddresses } = parseDhtAddress(to);
    const given = options.relayAddresses ?? relayAddresses;
    const start = () => this.#dial(publicKey, given, options, this.#dialRelay);
    return await (options.pool === undefined ? start() : options.pool.connect(publicKey, start));
  }

  /** A server that does not listen yet. */
  createServer(options: DhtServerOptions = {}): DhtServer {
    const { limits, sockets: pool } = this;
    const host = { context: this.#context, router: this.#router, pool, limits, dialRelay: this.#dialRelay };
    return new DhtServer(host, options);
  }

  /** A pool of connections, one to each peer. */
  createPool(): ConnectionPool {
    return new ConnectionPool();
  }

  /** Connects a bare stream to the stream `remoteId` of the peer, along the way of `connection`. */
  connectRawStream(connection: DhtConnection, stream: UdxStream, remoteId: number): void {
    const { socket, path: { address } } = connection;
    if (socket === undefined || address === undefined) throw new TypeError("The connection is closed");
    stream.connect(socket, remoteId, address);
  }

  /** See {@linkcode DhtService}: gives up what is not open. */
  suspend(): Promise<void> {
    this.#cancelAll(suspended());
    return Promise.resolve();
  }

  /** See {@linkcode DhtService}. */
  resume(): Promise<void> {
    return Promise.resolve();
  }

  /** See {@linkcode DhtService}. */
  close(): Promise<void> {
    this.#cancelAll(new ConnectError("NODE_DESTROYED", "The node was closed while it was connecting"));
    this.sockets.close();
    this.#context.services.delete(this);
    return Promise.resolve();
  }

  /** See {@linkcode DhtService}: open connections may need another path. */
  refresh(): void {
    this.#keepers.check();
  }

  /** See {@linkcode DhtService}. */
  notifyOnline(): void {}

  #cancelAll(reason: Error): void {
    for (const dial of [...this.#dials]) dial.cancel(reason);
  }

  async #dial(
    remotePublicKey: Uint8Array,
    relayAddresses: readonly SocketAddress[],
    options: ConnectOptions,
    dialRelay: DialRelay | undefined,
  ): Promise<DhtConnection> {
    const { signal } = options;
    signal?.throwIfAborted();
    const context = this.#context;
    this.#check();
    await context.rpc.open();
    signal?.throwIfAborted();
    this.#check();
    const { server, current } = context.sockets;
    if (server === undefined || current === undefined) throw suspended();
    const dial = new Dial(context, this.sockets, {
      remotePublicKey: remotePublicKey.slice(),
      keyPair: options.keyPair ?? context.keyPair,
      relayAddresses,
      localConnection: options.localConnection ?? true,
      fastOpen: options.fastOpen ?? true,
      reusableSocket: options.reusableSocket ?? false,
      keepAliveMs: context.config.connectionKeepAliveMs,
      // What a relay carries for us stays where we were.
      keepers: dialRelay && this.#keepers,
      relayThrough: dialRelay && offerRelay(context.runtime.random, options.relayThrough, remotePublicKey),
      dialRelay,
    }, { server, current });
    this.#dials.add(dial);
    const onAbort = () => dial.cancel(signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      return await dial.opened;
    } finally {
      signal?.removeEventListener("abort", onAbort);
      this.#dials.delete(dial);
    }
  }

  #check(): void {
    const { state } = this.#context;
    if (state === "suspended") throw suspended();
    if (state === "closed") throw new ConnectError("NODE_DESTROYED", "The node is closed: make another");
    if (this.#dials.size >= MAX_DIALS) {
      throw new ConnectError(
        "LIMIT_EXCEEDED",
        `${MAX_DIALS} dials are under way already: wait for some of them`,
      );
    }
  }
}

function suspended(): ConnectError {
  return new ConnectError("SUSPENDED", "The node is suspended: resume it, then connect");
}
