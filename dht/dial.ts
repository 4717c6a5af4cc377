/** One dial: connects a {@linkcode ConnectMachine} to relays, sockets, a stream and the clock. */
import { ConnectError, type ErrorCode, ProtocolError, toError } from "../core/runtime/errors.ts";
import type { KeyPair } from "../core/runtime/crypto_provider.ts";
import type { Timer } from "../core/runtime/runtime.ts";
import { type TraceEvent, TraceLog } from "../core/runtime/trace.ts";
import type { SocketAddress } from "../encoding/address.ts";
import { toHex } from "../encoding/text.ts";
import type { UdxSocket } from "../transports/udx/udx_socket.ts";
import type { UdxStream } from "../transports/udx/udx_stream.ts";
import {
  FIND_RETRIES,
  HANDSHAKE_RETRIES,
  HANDSHAKE_TRY_MS,
  OPEN_TIMEOUT_MS,
  TRACE_EVENTS,
} from "./connect_constants.ts";
import { ConnectMachine, pathKindOf } from "./connect_machine.ts";
import type {
  ConnectEvent,
  ConnectOptions as ConnectMachineOptions,
  ConnectState,
  PathKind,
  PeerPath,
} from "./connect_types.ts";
import { Command } from "./constants.ts";
import type { DhtContext } from "./context.ts";
import { DhtConnection } from "./dht_connection.ts";
import { DialError } from "./dial_error.ts";
import { DialPunch } from "./dial_punch.ts";
import { type HandshakeResult, PeerHandshaking } from "./handshake.ts";
import type { ReceivedNoisePayload } from "./handshake_messages.ts";
import { localAddresses } from "./local_addresses.ts";
import { Nudge } from "./nudge.ts";
import { Firewall, PayloadError } from "./punch/constants.ts";
import type { SocketPool } from "./punch/socket_pool.ts";
import { type DialRelay, RelayMeeting } from "./relay_meeting.ts";
import { RELAY_TOKEN_BYTES } from "./relay_messages.ts";
import { encodeHandshakeRequest, readHandshakeReply } from "./router.ts";
import { targetOf } from "./signables.ts";

/** A dial with every choice made. */
export interface DialConfig {
  /** Whom to dial, 32 bytes. */
  readonly remotePublicKey: Uint8Array;
  /** As whom. */
  readonly keyPair: KeyPair;
  /** Nodes that relay to the peer, or the peer's own node. */
  readonly relayAddresses: readonly SocketAddress[];
  /** Whether to try the local network. */
  readonly localConnection: boolean;
  /** Whether to open the own NAT to the peer before it has agreed to punch. */
  readonly fastOpen: boolean;
  /** Whether the socket may serve another connection to the same peer. */
  readonly reusableSocket: boolean;
  /** Silence of our own after which the connection shows that it is alive. */
  readonly keepAliveMs: number;
  /** The relay to meet the peer at, if the peer names none. */
  readonly relayThrough: Uint8Array | undefined;
  /** Connects to a relay; undefined = the peer may not be met at one. */
  readonly dialRelay: DialRelay | undefined;
}

/** See the head of the file. */
export class Dial {
  /** Settles with the connection once the peer has shown its key on it. */
  readonly opened: Promise<DhtConnection>;
  readonly #context: DhtContext;
  readonly #pool: SocketPool<UdxSocket>;
  readonly #config: DialConfig;
  readonly #target: Uint8Array;
  readonly #startedAt: number;
  readonly #result = Promise.withResolvers<DhtConnection>();
  readonly #trace: TraceLog;
  readonly #stream: UdxStream;
  readonly #machine: ConnectMachine;
  readonly #timer: Timer;
  /** What is asked of other nodes. */
  readonly #abort = new AbortController();
  /** The part of that which ends with the search. */
  readonly #searchAbort = new AbortController();
  #heard: () => boolean = () => false;
  #keys: { readonly result: HandshakeResult; readonly payload: ReceivedNoisePayload } | undefined;
  #connection: DhtConnection | undefined;
  #nudge: Nudge | undefined;
  readonly #punch: DialPunch;
  #meeting: RelayMeeting | undefined;
  #isTurning = false;
  /** Whether the connection is the caller's: what goes on is the search for a better way. */
  #isDelivered = false;
  #isDone = false;

  /** Begins at once. `sockets` are those of the node. */
  constructor(
    context: DhtContext,
    pool: SocketPool<UdxSocket>,
    config: DialConfig,
    sockets: { readonly server: UdxSocket; readonly current: UdxSocket },
  ) {
    this.#context = context;
    this.#pool = pool;
    this.#config = config;
    this.#startedAt = context.runtime.clock.now();
    this.opened = this.#result.promise;
    const { runtime, rpc } = context;
    this.#target = targetOf(runtime.crypto, config.remotePublicKey);
    this.#trace = new TraceLog(runtime.clock, TRACE_EVENTS);
    this.#stream = context.endpoint.createStream({
      firewall: (socket, from) => this.#onStrayPacket(socket, from),
    });
    this.#punch = new DialPunch(context, pool, {
      target: this.#target,
      remotePublicKey: config.remotePublicKey,
      trace: this.#trace,
      onHole: (socket, address) => {
        this.#machine.handlePunched(this.#now(), socket, address);
        this.#turn();
      },
      onFailed: (code, message) => {
        this.#machine.handlePunchFailure(code, message);
        this.#turn();
      },
    });
    const own = rpc.remoteAddress();
    const local = config.localConnection ? localAddresses(context) : [];
    const route = config.reusableSocket ? pool.route(config.remotePublicKey) : undefined;
    const known = context.records.forward(this.#now(), this.#target)?.relay;
    const cached = context.relayCache.get(config.remotePublicKey) ?? [];
    const given = config.relayAddresses.length > 0 ? config.relayAddresses : cached;
    const options: ConnectMachineOptions = {
      now: this.#now(),
      handshaking: new PeerHandshaking(context, config.keyPair, config.remotePublicKey),
      payload: {
        error: PayloadError.None,
        firewall: own === undefined ? Firewall.Unknown : Firewall.Open,
        addresses4: own === undefined ? local : [own, ...local],
        addresses6: [],
        udx: { reusableSocket: config.reusableSocket, id: this.#stream.id, seq: 0 },
        secretStream: true,
        relayThrough: config.relayThrough && {
          publicKey: config.relayThrough,
          token: runtime.random.fill(new Uint8Array(RELAY_TOKEN_BYTES)),
        },
      },
      relays: known === undefined ? given : [known, ...given],
      route: route && { socket: route.lease.socket, address: route.address },
      localAddresses: local,
      sockets,
      fastOpen: config.fastOpen,
      mayRelay: config.dialRelay !== undefined,
      trace: this.#trace,
    };
    this.#machine = this.#begin(options);
    this.#timer = runtime.clock.schedule(Infinity, () => this.#onTimer());
    this.#turn();
  }

  /** What happened so far. */
  get trace(): TraceEvent[] {
    return this.#trace.toArray();
  }

  /** Gives up, unless the connection is open already. */
  cancel(reason: unknown): void {
    if (this.#isDone || this.#isDelivered) return;
    this.#machine.cancel();
    this.#end();
    this.#result.reject(reason);
  }

  #begin(options: ConnectMachineOptions): ConnectMachine {
    try {
      return new ConnectMachine(options);
    } catch (cause) {
      this.#stream.destroy();
      if (!(cause instanceof ProtocolError)) throw cause;
      throw new TypeError(`No peer can have the key ${toHex(this.#config.remotePublicKey)}: check it`, {
        cause,
      });
    }
  }

  #now(): number {
    return this.#context.runtime.clock.now();
  }

  #onTimer(): void {
    if (this.#isDone) return;
    if (this.#heard()) this.#machine.handleSignOfLife();
    this.#machine.handleTimeout(this.#now());
    this.#turn();
  }

  /** Does what the machine wants done. */
  #turn(): void {
    if (this.#isTurning || this.#isDone) return;
    this.#isTurning = true;
    let event: ConnectEvent | undefined;
    while (!this.#isDone && (event = this.#machine.pollEvent()) !== undefined) this.#handle(event);
    this.#isTurning = false;
    if (!this.#isDone) this.#timer.reset(this.#machine.nextTimeout());
  }

  #handle(event: ConnectEvent): void {
    switch (event.type) {
      case "search":
        return void this.#search(event.nodes);
      case "stopSearch":
        return this.#searchAbort.abort();
      case "handshake":
        return void this.#ask(event);
      case "ping":
        return void this.#ping(event.to);
      case "punch":
        return this.#punch.start(event.plan);
      case "relay":
        return this.#meet(event);
      case "keys":
        this.#keys = event;
        return;
      case "path":
        return this.#follow(event.path);
      case "failed":
        return this.#fail(event.code, event.phase, event.message);
    }
  }

  // --- Other nodes ---

  async #search(nodes: readonly SocketAddress[]): Promise<void> {
    const signal = this.#searchAbort.signal;
    let failure: string | undefined;
    try {
      const query = this.#context.client.findPeerAt(this.#target, { nodes, retries: FIND_RETRIES, signal });
      this.#heard = () => query.successes > 0;
      for await (const { from, peer: { relayAddresses: [first] } } of query) {
        this.#machine.handleRelay(from);
        // A peer that can be reached names itself first: its own answer proves the path as well.
        if (first !== undefined) this.#machine.handleRelay(first);
        this.#turn();
      }
      if (query.successes > 0) this.#machine.handleSignOfLife();
    } catch (error) {
      if (!(error instanceof ConnectError) && !signal.aborted) throw error;
      failure = toError(error).message;
    }
    if (this.#isDone || signal.aborted) return;
    this.#machine.handleSearchEnd(this.#now(), failure);
    this.#turn();
  }

  async #ask({ id, to, noise, socket: given }: ConnectEvent & { readonly type: "handshake" }): Promise<void> {
    const { rpc, sockets } = this.#context;
    const socket = given as UdxSocket | undefined ?? sockets.current;
    const value = encodeHandshakeRequest(noise);
    const init = { command: Command.PeerHandshake, target: this.#target, value, timeoutMs: HANDSHAKE_TRY_MS };
    const signal = this.#searchAbort.signal;
    let reason = "it knows no way to the peer";
    const how = { ...(socket && { socket }), retries: HANDSHAKE_RETRIES, signal };
    const reply = await rpc.request(init, to, how).catch((error) => {
      reason = toError(error).message;
      return undefined;
    });
    if (this.#isDone || signal.aborted) return;
    if (reply !== undefined) this.#machine.handleSignOfLife();
    const answer = reply && readHandshakeReply(reply);
    if (answer !== undefined && socket !== undefined) {
      this.#machine.handleAnswer(this.#now(), id, { ...answer, clientAddress: reply!.to, socket });
      this.#turn();
      return;
    }
    if (given !== undefined) this.#pool.dropRoute(this.#config.remotePublicKey);
    this.#machine.handleNoAnswer(this.#now(), id, reason);
    this.#turn();
  }

  async #ping(to: SocketAddress): Promise<void> {
    const { rpc, sockets } = this.#context;
    const socket = sockets.server === undefined ? {} : { socket: sockets.server };
    const pong = rpc.ping(to, { ...socket, retries: 1, signal: this.#abort.signal });
    const hasAnswered = await pong.then(() => true, () => false);
    if (this.#isDone) return;
    if (hasAnswered) this.#machine.handlePong(this.#now(), to);
    else this.#machine.handleNoPong();
    this.#turn();
  }

  #meet({ relay, isInitiator }: ConnectEvent & { readonly type: "relay" }): void {
    const meeting = new RelayMeeting(this.#context, {
      ...{ relay, isInitiator, stream: this.#stream, remoteId: this.#keys!.payload.udx!.id },
      dialRelay: this.#config.dialRelay!,
      onReady: () => {
        const { socket, address } = meeting.relayedBy!;
        this.#machine.handleRelayReady(this.#now(), socket, address);
        this.#turn();
      },
      onFailed: (error) => {
        this.#machine.handleRelayFailure(error);
        this.#turn();
      },
      onMoved: (isDirect) => this.#onMoved(isDirect),
    });
    this.#meeting = meeting;
  }

  // --- The stream ---

  /** A packet of the peer has come from where the stream does not send to: the peer knows a way to us. */
  #onStrayPacket(socket: UdxSocket, from: SocketAddress): boolean {
    if (this.#meeting?.isStarted === true) return this.#meeting.handleStrayPacket(socket, from);
    const isPunched = this.#punch.owns(socket);
    if (this.#isDone || !this.#machine.handleStreamPacket(this.#now(), socket, from, isPunched)) return false;
    this.#turn();
    return !this.#stream.isConnected || this.#stream.remoteAddress?.equals(from) === true;
  }

  #follow({ kind, socket, address, isProven }: PeerPath): void {
    if (kind === "direct") this.#context.stats.punches.open++;
    const stream = this.#stream;
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
    if (this.#connection !== undefined || stream.isClosed) return;
    const connection = this.#connection = new DhtConnection(stream, this.#context.runtime, {
      isInitiator: true,
      keyPair: this.#config.keyPair,
      session: { ...this.#keys!.result.session, isPathProven: isProven },
      keepAliveMs: this.#config.keepAliveMs,
      // The machine gives up before.
      handshakeTimeoutMs: 4 * OPEN_TIMEOUT_MS,
      pathKind: () => this.#pathKind,
      trace: () => this.trace,
    });
    if (kind !== "relayed") this.#nudge = new Nudge(this.#context.runtime.clock, stream, remoteId);
    connection.opened.then(() => this.#onProven(connection), (error) => {
      if (this.#isDone) return;
      this.#machine.handleStreamEnd(toError(error));
      this.#turn();
    });
  }

  get #pathKind(): PathKind {
    return this.#meeting?.isRelayed === true ? "relayed" : this.#machine.path!.kind;
  }

  /** The stream has left the relay, or has gone back to it. */
  #onMoved(isDirect: boolean): void {
    const { socket, remoteAddress: address } = this.#stream;
    if (socket === undefined || address === undefined) return;
    const kind = isDirect ? pathKindOf(address, this.#punch.owns(socket)) : "relayed";
    this.#machine.handleMoved({ kind, socket, address });
    if (isDirect) this.#keep(socket, address);
    this.#turn();
  }

  #onProven(connection: DhtConnection): void {
    if (this.#isDone) return;
    this.#machine.handleProven();
    this.#rememberRelays();
    const path = this.#machine.path!;
    const ms = this.#now() - this.#startedAt;
    this.#context.trace("connected", { kind: path.kind, ms });
    if (path.kind !== "relayed") this.#keep(path.socket as UdxSocket, path.address);
    this.#isDelivered = true;
    connection.closed.catch(() => {}).finally(() => {
      this.#meeting?.close();
      this.#end();
    });
    // Behind a relay the search for a better way goes on.
    if (path.kind !== "relayed") this.#end();
    this.#result.resolve(connection);
  }

  /** The socket stays as long as the connection, and a little longer if it may serve another. */
  #keep(socket: UdxSocket, address: SocketAddress): void {
    const lease = this.#punch.take(socket);
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
    const trace = this.trace;
    this.#context.trace("connect failed", { code, phase, ms: this.#now() - this.#startedAt });
    this.#end();
    this.#result.reject(new DialError(code, `Could not connect to ${name}… ${message}`, { phase, trace }));
  }

  /** Gives everything back but the connection, if it is open, and the relay that it may still need. */
  #end(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#timer.cancel();
    this.#abort.abort();
    this.#searchAbort.abort();
    this.#punch.finish();
    if (this.#meeting?.isStarted === false) this.#meeting.close();
    if (this.#isDelivered) return;
    this.#meeting?.close();
    this.#nudge?.stop();
    this.#connection?.abort();
    this.#stream.destroy();
  }

  #note(what: string, data: TraceEvent["data"]): void {
    this.#trace.add("punch", what, data);
  }
}
