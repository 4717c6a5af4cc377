/**
 * A stream that runs through a blind relay, until there is a direct path: drives a {@linkcode RelayUpgrade}, and owns the
 * connection to the relay. The connecting and the accepting side use it alike.
 */
import { ConnectError } from "../core/runtime/errors.ts";
import type { Clock, Timer } from "../core/runtime/runtime.ts";
import type { SocketAddress } from "../encoding/address.ts";
import type { UdxSocket } from "../transports/udx/udx_socket.ts";
import type { UdxStream } from "../transports/udx/udx_stream.ts";
import { RelayClient, type RelayConnection } from "./relay_client.ts";
import { type DirectPath, RelayUpgrade, type UpgradeEvent, type UpgradeState } from "./relay_upgrade.ts";

/** A connection to a relay that knows its way: a `DhtConnection` is one. */
export interface RelayRoute extends RelayConnection {
  /** Where its packets leave. */
  readonly socket: UdxSocket | undefined;
  /** Where they go. */
  readonly path: { readonly address: SocketAddress | undefined };
  /** Says that it is alive after so many milliseconds of silence. */
  setKeepAlive(ms: number): void;
  /** Ends it. */
  close(): Promise<void>;
}

/** Options of {@linkcode RelayedRoute.open}. */
export interface RelayedRouteOptions {
  /** Time. */
  readonly clock: Clock;
  /** The connection to the relay. It is ours from now on, also if the opening fails. */
  readonly relay: RelayRoute;
  /** The stream to the peer, not connected yet. */
  readonly stream: UdxStream;
  /** The peer's own stream, which the handshake has named: direct packets are for it. */
  readonly remoteId: number;
  /** What the handshake has agreed on, 32 bytes. */
  readonly token: Uint8Array;
  /** Whether this side has named the relay. */
  readonly isInitiator: boolean;
  /** How long the peer may keep us waiting, in milliseconds; 15,000 by default. */
  readonly timeoutMs?: number | undefined;
  /** Gives up, as when a direct path was faster. Has no effect once the route is open. */
  readonly signal?: AbortSignal | undefined;
  /** Is told of each change of state. */
  onState?(state: UpgradeState): void;
}

/** Silence after which the connection to a relay says that it is alive, in milliseconds: the reference's number. */
const KEEP_ALIVE_MS = 5000;
/** When the way through the relay is knocked at until the peer is heard, in milliseconds: the relay must see both ends. */
const KNOCKS_MS: readonly number[] = [0, 50, 150, 350, 750, 1550, 3150];

/**
 * See the head of the file.
 *
 * @example
 * ```ts
 * import type { DhtConnection } from "./dht_connection.ts";
 * import type { Clock } from "../core/runtime/runtime.ts";
 * import type { UdxStream } from "../transports/udx/mod.ts";
 * import { RelayedRoute } from "./relay.ts";
 *
 * async function goThrough(clock: Clock, relay: DhtConnection, stream: UdxStream, remoteId: number, token: Uint8Array) {
 *   const route = await RelayedRoute.open({ clock, relay, stream, remoteId, token, isInitiator: true });
 *   // Later, when a hole was punched: route.move(socket, address);
 *   return route;
 * }
 * console.assert(typeof goThrough === "function");
 * ```
 */
export class RelayedRoute {
  readonly #clock: Clock;
  readonly #relay: RelayRoute;
  readonly #client: RelayClient;
  readonly #stream: UdxStream;
  readonly #remoteId: number;
  readonly #relayed: { readonly socket: UdxSocket; readonly address: SocketAddress; readonly id: number };
  readonly #onState: ((state: UpgradeState) => void) | undefined;
  readonly #upgrade: RelayUpgrade;
  readonly #timer: Timer;
  readonly #knockTimer: Timer;
  #knocks = 0;
  #toldState: UpgradeState = "relayed";
  #isDropped = false;
  #isStarted = false;
  #isClosed = false;

  private constructor(options: RelayedRouteOptions, client: RelayClient, relayed: RelayedRoute["relayedBy"]) {
    this.#clock = options.clock;
    this.#relay = options.relay;
    this.#client = client;
    this.#stream = options.stream;
    this.#remoteId = options.remoteId;
    this.#relayed = relayed;
    this.#onState = options.onState?.bind(options);
    this.#upgrade = new RelayUpgrade(() => this.#stream.pathHeardAt);
    this.#timer = this.#clock.schedule(Infinity, () => this.#onTimer());
    this.#knockTimer = this.#clock.schedule(Infinity, () => this.#knock());
  }

  /** {@linkcode prepare} and {@linkcode start} in one. */
  static async open(options: RelayedRouteOptions): Promise<RelayedRoute> {
    const route = await RelayedRoute.prepare(options);
    route.start();
    return route;
  }

  /**
   * Meets the peer at the relay. The stream is not touched before {@linkcode start}: it may be trying another way.
   *
   * @throws {ConnectError} `RELAY_ABORTED` if the relay refuses, goes, or the peer does not come; the reason of the signal.
   */
  static async prepare(options: RelayedRouteOptions): Promise<RelayedRoute> {
    const { clock, relay, stream, token, isInitiator, timeoutMs, signal } = options;
    let route: RelayedRoute | undefined;
    let isLost = false;
    try {
      relay.setKeepAlive(KEEP_ALIVE_MS);
      const client = new RelayClient(clock, relay);
      const onLost = () => {
        isLost = true;
        if (route !== undefined) route.#lose();
      };
      const id = await client.pair({ isInitiator, token, stream, timeoutMs, signal, onLost });
      signal?.throwIfAborted();
      const { socket, path: { address } } = relay;
      if (isLost || socket === undefined || address === undefined) {
        throw new ConnectError("RELAY_ABORTED", "The relay is gone: try another");
      }
      if (stream.isClosed) throw new ConnectError("ABORTED", "The stream was closed meanwhile");
      return route = new RelayedRoute(options, client, { socket, address, id });
    } catch (error) {
      void relay.close();
      throw error;
    }
  }

  /** Sends the stream through the relay, also if it has tried another way until now. */
  start(): void {
    if (this.#isClosed || this.#isStarted || this.#stream.isClosed) return;
    this.#isStarted = true;
    const { socket, id, address } = this.#relayed;
    if (this.#stream.isConnected) this.#stream.redirect(socket, id, address);
    else this.#stream.connect(socket, id, address);
    this.#knock();
  }

  /** Whether it is over: closed by its owner, or the relay has gone before the stream was sent there. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Whether the stream was sent through the relay. */
  get isStarted(): boolean {
    return this.#isStarted;
  }

  /** Where the stream stands between the relay and a direct path. */
  get state(): UpgradeState {
    return this.#upgrade.state;
  }

  /** Whether packets go straight to the peer. */
  get isDirect(): boolean {
    return this.#upgrade.isDirect;
  }

  /** The way through the relay. */
  get relayedBy(): { readonly socket: UdxSocket; readonly address: SocketAddress; readonly id: number } {
    return this.#relayed;
  }

  /** A hole was punched, or another direct path was found: moves there. False if that is not wanted now. */
  move(socket: UdxSocket, address: SocketAddress): boolean {
    if (
      this.#isClosed || !this.#isStarted || !this.#upgrade.handlePath(this.#clock.now(), { socket, address })
    ) return false;
    this.#turn();
    return true;
  }

  /**
   * For the firewall of the stream: a packet has come from elsewhere than the stream sends to. True if it is the peer's: through
   * the relay, or along a direct path that the peer has found first and to which the stream moves.
   */
  handleStrayPacket(socket: UdxSocket, from: SocketAddress): boolean {
    if (this.#isClosed || !this.#isStarted) return false;
    if (!from.equals(this.#relayed.address)) return this.move(socket, from);
    if (!this.#upgrade.needsRelay) return false;
    this.#upgrade.handleRelayPacket(this.#clock.now());
    this.#turn();
    return true;
  }

  /** Lets the relay go, and no longer moves the stream. To be called when the stream is over. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer.cancel();
    this.#dropRelay();
  }

  /** The relay, or the link on it, is lost. */
  #lose(): void {
    if (this.#isClosed) return;
    if (!this.#isStarted) {
      this.close();
      this.#onState?.("failed");
      return;
    }
    this.#upgrade.handleRelayLost(this.#clock.now());
    this.#turn();
  }

  #onTimer(): void {
    this.#upgrade.handleTimeout(this.#clock.now());
    this.#turn();
  }

  #turn(): void {
    let event: UpgradeEvent | undefined;
    while ((event = this.#upgrade.pollEvent()) !== undefined) this.#handle(event);
    if (this.#isClosed) return;
    this.#timer.reset(this.#upgrade.nextTimeout());
    if (this.#toldState === this.state) return;
    this.#toldState = this.state;
    this.#onState?.(this.state);
  }

  #handle(event: UpgradeEvent): void {
    const stream = this.#stream;
    if (event.type === "dropRelay") return this.#dropRelay();
    if (stream.isClosed) return;
    switch (event.type) {
      case "change":
        void stream.changeRemote(...this.#direct(event.path)).catch(() => {});
        return;
      case "redirect":
        return stream.redirect(...this.#direct(event.path));
      case "goBack":
        return stream.redirect(this.#relayed.socket, this.#relayed.id, this.#relayed.address);
      case "nudge":
        stream.send(new Uint8Array(0));
        return stream.ping();
      case "fail":
        return stream.destroy(
          new ConnectError("RELAY_ABORTED", "The relay is gone, and no direct path was found"),
        );
    }
  }

  #direct({ socket, address }: DirectPath): [UdxSocket, number, SocketAddress] {
    return [socket as UdxSocket, this.#remoteId, address];
  }

  /** The relay forwards to an end only once it has had a packet from there. */
  #knock(): void {
    if (this.#stream.hasHeard || this.#stream.isClosed || this.#upgrade.state !== "relayed") return;
    this.#stream.ping();
    const wait = (KNOCKS_MS[this.#knocks + 1] ?? Infinity) - KNOCKS_MS[this.#knocks++]!;
    this.#knockTimer.reset(this.#clock.now() + wait);
  }

  #dropRelay(): void {
    if (this.#isDropped) return;
    this.#isDropped = true;
    this.#knockTimer.cancel();
    this.#client.close();
    void this.#relay.close();
  }
}
