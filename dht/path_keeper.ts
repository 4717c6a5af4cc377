/**
 * Keeps an open connection on a path that works, on the side that has dialed: when the network changes or the peer falls silent, a
 * new path is looked for in the background, and the connection goes on over it. Its owner notices nothing but a pause.
 *
 * ```text
 * quiet --network changed--> asking --heard--> quiet
 *   \--silence, or no answer--> redialing --found--> quiet
 *                                 |    ^--pause over-- waiting --heard--> quiet
 *                                 +------failed---------^
 * ```
 */
import { ConnectError } from "../core/runtime/errors.ts";
import type { Timer } from "../core/runtime/runtime.ts";
import type { NoiseSession } from "../core/stream/secret_options.ts";
import type { SocketAddress } from "../encoding/address.ts";
import type { UdxSocket } from "../transports/udx/udx_socket.ts";
import type { UdxStream } from "../transports/udx/udx_stream.ts";
import { MAX_REDIALS, PATH_CHECK_MS, REDIAL_PAUSES_MS } from "./connect_constants.ts";
import { pathKindOf } from "./connect_machine.ts";
import type { PathKind } from "./connect_types.ts";
import type { DhtContext } from "./context.ts";
import { Mobility } from "./mobility.ts";
import type { SocketPool } from "./punch/socket_pool.ts";
import type { PunchLease } from "./punch_driver.ts";
import { type FoundPath, Redial, type RedialConfig } from "./redial.ts";

/** All connections of a node that are kept on their paths. */
export class PathKeepers {
  readonly #keepers = new Set<PathKeeper>();
  #redials = 0;

  /** Connections that are kept. */
  get size(): number {
    return this.#keepers.size;
  }

  /** Used by the keepers. */
  add(keeper: PathKeeper): void {
    this.#keepers.add(keeper);
  }

  /** Used by the keepers. */
  delete(keeper: PathKeeper): void {
    this.#keepers.delete(keeper);
  }

  /** Takes part in looking for paths, until the function is called; undefined if too many do. */
  tryRedial(): (() => void) | undefined {
    if (this.#redials >= MAX_REDIALS) return undefined;
    this.#redials++;
    return () => this.#redials--;
  }

  /** The network has changed: looks after all of them. */
  check(): void {
    for (const keeper of this.#keepers) keeper.check();
  }
}

/** What a {@linkcode PathKeeper} keeps. */
export interface PathKeeperOptions extends Omit<RedialConfig, "mobility"> {
  /** The keys of the connection. */
  readonly session: NoiseSession;
  /** Whether the peer has acknowledged our proof: until then it may not count the connection as one. */
  isKnown(): boolean;
  /** Whether its path is not ours to mend, because it goes through a relay. */
  isRelayed(): boolean;
}

/** See the head of the file. */
export class PathKeeper {
  readonly #keepers: PathKeepers;
  readonly #context: DhtContext;
  readonly #pool: SocketPool<UdxSocket>;
  readonly #options: PathKeeperOptions;
  readonly #stream: UdxStream;
  readonly #mobility: Mobility;
  readonly #timer: Timer;
  #state: "quiet" | "asking" | "redialing" | "waiting" = "quiet";
  #since = 0;
  #attempts = 0;
  #redial: Redial | undefined;
  #kind: PathKind | undefined;
  #lease: PunchLease | undefined;
  #isClosed = false;

  /** Watches. End it with {@linkcode close} when the connection is over. */
  constructor(
    keepers: PathKeepers,
    context: DhtContext,
    pool: SocketPool<UdxSocket>,
    options: PathKeeperOptions,
  ) {
    this.#keepers = keepers;
    this.#context = context;
    this.#pool = pool;
    this.#options = options;
    const { stream, session, remoteId } = options;
    this.#stream = stream;
    this.#mobility = new Mobility(context.runtime.crypto, {
      ...{ stream, session, remoteId },
      onMoved: (_, from) => this.#kind = pathKindOf(from, false),
    });
    this.#timer = context.runtime.clock.schedule(Infinity, () => this.#onTimer());
    stream.onSilence = () => {
      if (this.#state === "quiet" || this.#state === "asking") this.#begin();
    };
    keepers.add(this);
  }

  /** What kind of path the connection was moved to; undefined if it was not. */
  get pathKind(): PathKind | undefined {
    return this.#kind;
  }

  /** For the firewall of the stream. */
  handleStrayPacket(socket: UdxSocket, from: SocketAddress, packet: Uint8Array): boolean {
    if (this.#isClosed) return false;
    return this.#mobility.handleStrayPacket(socket, from, packet) ||
      (this.#redial?.handleStrayPacket(socket, from) ?? false);
  }

  /** The network has changed: asks the peer for a sign of life, and looks for another path if there is none. */
  check(): void {
    if (this.#isClosed || this.#state === "redialing" || this.#options.isRelayed()) return;
    this.#state = "asking";
    this.#since = this.#context.runtime.clock.now();
    // If the peer can be reached as before, this is all it needs to follow us.
    this.#mobility.prove();
    this.#timer.reset(this.#since + PATH_CHECK_MS);
  }

  /** Ends it. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#keepers.delete(this);
    this.#timer.cancel();
    this.#stream.onSilence = undefined;
    this.#redial?.cancel(new ConnectError("CONNECTION_CLOSED", "The connection was closed"));
    this.#lease?.release();
  }

  #onTimer(): void {
    if (this.#stream.pathHeardAt > this.#since) this.#rest();
    else this.#begin();
  }

  #rest(): void {
    this.#state = "quiet";
    this.#attempts = 0;
    this.#timer.reset(Infinity);
  }

  #begin(): void {
    if (this.#isClosed || this.#options.isRelayed()) return;
    this.#since = this.#context.runtime.clock.now();
    const { server, current } = this.#context.sockets;
    const end = server === undefined || current === undefined ? undefined : this.#keepers.tryRedial();
    if (end === undefined) return this.#pause();
    this.#state = "redialing";
    this.#timer.reset(Infinity);
    const config = { ...this.#options, mobility: this.#mobility };
    this.#redial = new Redial(this.#context, this.#pool, config, { server: server!, current: current! });
    this.#context.trace("path lost", {});
    this.#redial.done.finally(() => {
      end();
      this.#redial = undefined;
    }).then((found) => this.#onFound(found), (error: ConnectError) => this.#onFailed(error));
  }

  #onFound({ kind, lease }: FoundPath): void {
    if (this.#isClosed) return lease?.release();
    this.#context.trace("path found", { kind });
    this.#kind = kind;
    this.#lease?.release();
    this.#lease = lease;
    this.#rest();
  }

  #onFailed(error: ConnectError): void {
    if (this.#isClosed) return;
    // The peer is there, and knows nothing of the connection: there is nothing to wait for, unless our proof is still on its way.
    const isRefused = error.code === "CONNECTION_RESET" || error.code === "SERVER_ERROR";
    if (isRefused && this.#options.isKnown()) this.#stream.destroy(error);
    else this.#pause();
  }

  #pause(): void {
    this.#state = "waiting";
    const pause = REDIAL_PAUSES_MS[Math.min(this.#attempts++, REDIAL_PAUSES_MS.length - 1)]!;
    this.#timer.reset(this.#context.runtime.clock.now() + pause);
  }
}
