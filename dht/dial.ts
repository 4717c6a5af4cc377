/** One dial: a stream for the peer, the way that it takes, and the connection on it. */
import { type ErrorCode, toError } from "../core/runtime/errors.ts";
import type { TraceEvent } from "../core/runtime/trace.ts";
import { toHex } from "../encoding/text.ts";
import type { SocketAddress } from "../encoding/address.ts";
import type { UdxSocket } from "../transports/udx/udx_socket.ts";
import type { UdxStream } from "../transports/udx/udx_stream.ts";
import { OPEN_TIMEOUT_MS } from "./connect_constants.ts";
import { pathKindOf } from "./connect_machine.ts";
import type { ConnectState, PathKind, PeerPath } from "./connect_types.ts";
import type { DhtContext } from "./context.ts";
import { DhtConnection } from "./dht_connection.ts";
import { DialError } from "./dial_error.ts";
import { DialRun, type DialRunEvent, type DialRunOptions, type DialSockets } from "./dial_run.ts";
import type { HandshakeResult } from "./handshake.ts";
import type { ReceivedNoisePayload, RelayThrough } from "./handshake_messages.ts";
import { Nudge } from "./nudge.ts";
import { PathKeeper, type PathKeepers } from "./path_keeper.ts";
import type { SocketPool } from "./punch/socket_pool.ts";
import { type DialRelay, RelayMeeting } from "./relay_meeting.ts";

/** A dial with every choice made. */
export interface DialConfig extends Omit<DialRunOptions, "payload" | "mayRelay"> {
  /** Silence of our own after which the connection shows that it is alive. */
  readonly keepAliveMs: number;
  /** Where to meet the peer, if the peer names no relay. */
  readonly relayThrough: RelayThrough | undefined;
  /** Connects to a relay; undefined = the peer may not be met at one. */
  readonly dialRelay: DialRelay | undefined;
  /** Keeps the connection on a path that works; undefined = it lives and dies with its first one. */
  readonly keepers: PathKeepers | undefined;
}

/** See the head of the file. */
export class Dial {
  /** Settles with the connection once the peer has shown its key on it. */
  readonly opened: Promise<DhtConnection>;
  readonly #context: DhtContext;
  readonly #pool: SocketPool<UdxSocket>;
  readonly #config: DialConfig;
  readonly #startedAt: number;
  readonly #result = Promise.withResolvers<DhtConnection>();
  readonly #stream: UdxStream;
  readonly #run: DialRun;
  #keys: { readonly result: HandshakeResult; readonly payload: ReceivedNoisePayload } | undefined;
  #connection: DhtConnection | undefined;
  #nudge: Nudge | undefined;
  #meeting: RelayMeeting | undefined;
  #keeper: PathKeeper | undefined;
  /** Whether the connection is the caller's: what goes on is the search for a better way. */
  #isDelivered = false;

  /** Begins at once. `sockets` are those of the node. */
  constructor(
    context: DhtContext,
    pool: SocketPool<UdxSocket>,
    config: DialConfig,
    sockets: DialSockets,
  ) {
    this.#context = context;
    this.#pool = pool;
    this.#config = config;
    this.#startedAt = context.runtime.clock.now();
    this.opened = this.#result.promise;
    this.#stream = context.endpoint.createStream({
      firewall: (socket, from, packet) => this.#onStrayPacket(socket, from, packet),
    });
    const { relayThrough, reusableSocket, dialRelay, keepers } = config;
    const payload = {
      relayThrough,
      udx: { reusableSocket, id: this.#stream.id, seq: 0, ...(keepers && { mobility: "able" as const }) },
    };
    const options = { ...config, payload, mayRelay: dialRelay !== undefined };
    try {
      this.#run = new DialRun(context, pool, sockets, options, (event) => this.#handle(event));
    } catch (error) {
      this.#stream.destroy();
      throw error;
    }
    this.#run.turn();
  }

  /** Gives up, unless the connection is open already. */
  cancel(reason: unknown): void {
    if (this.#run.isDone || this.#isDelivered) return;
    this.#run.machine.cancel();
    this.#end();
    this.#result.reject(reason);
  }

  #now(): number {
    return this.#context.runtime.clock.now();
  }

  #handle(event: DialRunEvent): void {
    switch (event.type) {
      case "keys":
        this.#keys = event;
        return;
      case "relay":
        return this.#meet(event);
      case "path":
        return this.#follow(event.path);
      case "pathProven":
        return this.#connection?.provePath();
      case "failed":
        return this.#fail(event.code, event.phase, event.message);
    }
  }

  #meet({ relay, isInitiator }: DialRunEvent & { readonly type: "relay" }): void {
    const { machine } = this.#run;
    const meeting = new RelayMeeting(this.#context, {
      ...{ relay, isInitiator, stream: this.#stream, remoteId: this.#keys!.payload.udx!.id },
      dialRelay: this.#config.dialRelay!,
      onReady: () => {
        const { socket, address } = meeting.relayedBy!;
        machine.handleRelayReady(this.#now(), socket, address);
        this.#run.turn();
      },
      onFailed: (error) => {
        machine.handleRelayFailure(error);
        this.#run.turn();
      },
      onMoved: (isDirect) => this.#onMoved(isDirect),
    });
    this.#meeting = meeting;
  }

  /** A packet of the peer has come from where the stream does not send to: the peer knows a way to us. */
  #onStrayPacket(socket: UdxSocket, from: SocketAddress, packet: Uint8Array): boolean {
    if (this.#meeting?.handleStrayPacket(socket, from) === true) return true;
    if (this.#meeting?.isEarly(from) === true) return false;
    if (this.#keeper !== undefined) return this.#keeper.handleStrayPacket(socket, from, packet);
    if (this.#run.isDone || this.#meeting?.isStarted === true) return false;
    const isPunched = this.#run.punch.owns(socket);
    if (!this.#run.machine.handleStreamPacket(this.#now(), socket, from, isPunched)) return false;
    this.#run.turn();
    return !this.#stream.isConnected || this.#stream.remoteAddress?.equals(from) === true;
  }

  #follow({ kind, socket, address, isProven }: PeerPath): void {
    if (kind === "direct") this.#context.stats.punches.open++;
    const stream = this.#stream;
    // The peer may have hung up before its answer had come round: it has another connection, or does not want this one.
    if (stream.isClosed) return this.#run.machine.handleStreamEnd(undefined);
    const remoteId = this.#keys!.payload.udx!.id;
    if (kind === "relayed") {
      this.#nudge?.stop(); // the route through the relay knocks by itself
      this.#meeting!.start();
    } else if (this.#meeting?.isStarted === true) {
      this.#meeting.move(socket as UdxSocket, address);
    } else if (stream.isConnected) {
      stream.redirect(socket as UdxSocket, remoteId, address);
      this.#nudge?.restart();
    } else {
      stream.connect(socket as UdxSocket, remoteId, address);
    }
    if (this.#connection !== undefined) return;
    const connection = this.#connection = new DhtConnection(stream, this.#context.runtime, {
      isInitiator: true,
      keyPair: this.#config.keyPair,
      session: { ...this.#keys!.result.session, isPathProven: isProven },
      keepAliveMs: this.#config.keepAliveMs,
      // The machine gives up before.
      handshakeTimeoutMs: 4 * OPEN_TIMEOUT_MS,
      pathKind: () => this.#pathKind,
      trace: () => this.#run.trace,
    });
    if (kind !== "relayed") this.#nudge = new Nudge(this.#context.runtime.clock, stream, remoteId);
    connection.opened.then(() => this.#onProven(connection), (error) => {
      if (this.#run.isDone) return;
      this.#run.machine.handleStreamEnd(toError(error));
      this.#run.turn();
    });
  }

  get #pathKind(): PathKind {
    if (this.#meeting?.isRelayed === true) return "relayed";
    return this.#keeper?.pathKind ?? this.#run.machine.path!.kind;
  }

  /** The stream has left the relay, or has gone back to it. */
  #onMoved(isDirect: boolean): void {
    const { socket, remoteAddress: address } = this.#stream;
    if (socket === undefined || address === undefined) return;
    const kind = isDirect ? pathKindOf(address, this.#run.punch.owns(socket)) : "relayed";
    this.#run.machine.handleMoved({ kind, socket, address });
    if (isDirect) this.#keep(socket, address);
    this.#run.turn();
  }

  #onProven(connection: DhtConnection): void {
    if (this.#run.isDone) return;
    const { machine } = this.#run;
    machine.handleProven();
    this.#rememberRelays();
    const path = machine.path!;
    const ms = this.#now() - this.#startedAt;
    this.#context.trace("connected", { kind: path.kind, ms });
    if (path.kind !== "relayed") this.#keep(path.socket as UdxSocket, path.address);
    this.#isDelivered = true;
    this.#keepPath();
    connection.closed.catch(() => {}).finally(() => {
      this.#keeper?.close();
      this.#meeting?.close();
      this.#end();
    });
    // Behind a relay the search for a better way goes on.
    if (path.kind !== "relayed") this.#end();
    this.#result.resolve(connection);
  }

  /** A peer that can follow the connection is looked for when its path is lost. */
  #keepPath(): void {
    const { keepers, ...config } = this.#config;
    const { payload: { udx }, result: { session } } = this.#keys!;
    if (keepers === undefined || udx!.mobility !== "able" || this.#stream.isClosed) return;
    let isKnown = false;
    // The proof is written at the end of this turn at the latest.
    this.#context.runtime.clock.defer(() => void this.#stream.flush().then((isAcked) => isKnown = isAcked));
    this.#keeper = new PathKeeper(keepers, this.#context, this.#pool, {
      ...config,
      ...{ session, stream: this.#stream, remoteId: udx!.id },
      isKnown: () => isKnown,
      isRelayed: () => this.#meeting?.isRelayed === true,
    });
  }

  /** The socket stays as long as the connection, and a little longer if it may serve another. */
  #keep(socket: UdxSocket, address: SocketAddress): void {
    const lease = this.#run.punch.take(socket);
    if (lease === undefined) return;
    lease.confirm();
    const { remotePublicKey, reusableSocket } = this.#config;
    if (reusableSocket && this.#keys!.payload.udx!.reusableSocket) {
      this.#pool.addRoute(remotePublicKey, lease, address);
    }
    this.#connection!.closed.catch(() => this.#pool.dropRoute(remotePublicKey)).finally(() =>
      lease.release()
    );
  }

  #rememberRelays(): void {
    const relays = this.#keys!.payload.relayAddresses ?? [];
    if (relays.length > 0) this.#context.relayCache.set(this.#config.remotePublicKey, relays);
  }

  #fail(code: ErrorCode, phase: ConnectState, message: string): void {
    const name = toHex(this.#config.remotePublicKey.subarray(0, 4));
    const trace: TraceEvent[] = this.#run.trace;
    this.#context.trace("connect failed", { code, phase, ms: this.#now() - this.#startedAt });
    this.#end();
    this.#result.reject(new DialError(code, `Could not connect to ${name}… ${message}`, { phase, trace }));
  }

  /** Gives everything back but the connection, if it is open, and the relay that it may still need. */
  #end(): void {
    if (this.#run.isDone) return;
    this.#run.stop();
    if (this.#meeting?.isStarted === false) this.#meeting.close();
    if (this.#isDelivered) return;
    this.#meeting?.close();
    this.#nudge?.stop();
    this.#connection?.abort();
    this.#stream.destroy();
  }
}
