/** Connects the {@linkcode AcceptMachine} of a server to its policy, to sockets, streams and the clock. */
import type { Timer } from "../core/runtime/runtime.ts";
import { TraceLog } from "../core/runtime/trace.ts";
import { STREAM_HEADER_BYTES } from "../core/stream/secret_machine.ts";
import type { SocketAddress } from "../encoding/address.ts";
import { toHex } from "../encoding/text.ts";
import type { UdxSocket } from "../transports/udx/udx_socket.ts";
import type { UdxStream } from "../transports/udx/udx_stream.ts";
import { Attempt } from "./accept_attempt.ts";
import type { AcceptConfig, AcceptHost, RelaySource } from "./accept_config.ts";
import { AcceptMachine } from "./accept_machine.ts";
import { AcceptPolicy } from "./accept_policy.ts";
import { AcceptPunch } from "./accept_punch.ts";
import type { AcceptCounters, AcceptEvent } from "./accept_types.ts";
import { ACCEPT_TIMEOUT_MS, GREETINGS, MAX_ATTEMPTS, TRACE_EVENTS } from "./connect_constants.ts";
import { pathKindOf } from "./connect_machine.ts";
import type { DhtContext } from "./context.ts";
import { DhtConnection } from "./dht_connection.ts";
import { greetingPacket, knockPacket } from "./greeting.ts";
import type { HandshakeResult } from "./handshake.ts";
import { localAddresses } from "./local_addresses.ts";
import { MovableConnections } from "./movable.ts";
import { Nudge } from "./nudge.ts";
import { Firewall } from "./punch/constants.ts";
import type { PunchLease } from "./punch_driver.ts";
import { RelayMeeting } from "./relay_meeting.ts";
import type { ArrivedHandshake, ArrivedPunch, RoutedServer } from "./router.ts";

/** Copies of handshakes whose answer is pending are forgotten beyond so many. */
const MAX_PENDING_COPIES = MAX_ATTEMPTS;

/** See the head of the file. */
export class AcceptDriver implements RoutedServer {
  readonly #context: DhtContext;
  readonly #host: AcceptHost;
  readonly #config: AcceptConfig;
  readonly #policy: AcceptPolicy;
  readonly #relays: RelaySource;
  readonly #onConnection: (connection: DhtConnection) => void;
  readonly #machine: AcceptMachine;
  readonly #timer: Timer;
  readonly #attempts = new Map<number, Attempt>();
  readonly #copies = new Map<number, ArrivedHandshake>();
  readonly #movables: MovableConnections;
  #nextCopy = 0;
  #isTurning = false;
  #isQuiet = false;

  /** A server that nobody has dialed; connections whose peer has proven itself go to `onConnection`. */
  constructor(
    host: AcceptHost,
    config: AcceptConfig,
    relays: RelaySource,
    onConnection: (connection: DhtConnection) => void,
  ) {
    const { context, limits } = this.#host = host;
    this.#context = context;
    this.#config = config;
    this.#policy = new AcceptPolicy(config);
    this.#relays = relays;
    this.#onConnection = onConnection;
    const { runtime, namespaces } = context;
    this.#movables = new MovableConnections(runtime.crypto);
    this.#machine = new AcceptMachine({
      ...{ runtime, namespaces, limits },
      keyPair: config.keyPair,
      mayPunch: config.holepunch !== false,
      reusableSocket: config.reusableSocket,
      clearWaitMs: config.clearWaitMs,
    });
    this.#timer = runtime.clock.schedule(Infinity, () => {
      this.#machine.handleTimeout(this.#now());
      this.#turn();
    });
  }

  /** What has been turned away. */
  get counters(): Readonly<AcceptCounters> {
    return this.#machine.counters;
  }

  /** Attempts that are remembered. */
  get size(): number {
    return this.#machine.size;
  }

  /** See {@linkcode RoutedServer}. */
  onHandshake(arrived: ArrivedHandshake): void {
    if (this.#isQuiet) return;
    const copy = this.#nextCopy++;
    this.#copies.set(copy, arrived);
    this.#machine.handleHandshake(this.#now(), copy, arrived);
    this.#turn();
    // What the machine did not take is not answered later either, beyond a bounded number.
    for (const old of this.#copies.keys()) {
      if (this.#copies.size <= MAX_PENDING_COPIES && this.#machine.size > 0) break;
      this.#copies.delete(old);
    }
  }

  /** See {@linkcode RoutedServer}. */
  onPunch(arrived: ArrivedPunch): void {
    const { id, from } = arrived;
    const attempt = this.#attempts.get(id);
    // Peers that are connected through a relay go on punching.
    const isWaiting = this.#machine.stateOf(id) === "answered" || attempt?.isRelayed === true;
    if (this.#isQuiet || attempt?.punch === undefined || !isWaiting) return;
    attempt.punch.handleRound(arrived, this.#relays.isRelay(from));
    // Punching has deadlines of its own.
    if (attempt.punch?.isPunching === true) this.#machine.handlePunch(this.#now(), id, false);
    this.#turn();
  }

  /** Drops what is not open, and takes nothing more until {@linkcode resume}. */
  suspend(): void {
    this.#isQuiet = true;
    this.#machine.clear(this.#now());
    this.#turn();
    this.#copies.clear();
    this.#timer.cancel();
  }

  /** The network has changed. */
  refresh(): void {
    this.#movables.prove();
  }

  /** Takes handshakes again. */
  resume(): void {
    this.#isQuiet = false;
  }

  #now(): number {
    return this.#context.runtime.clock.now();
  }

  #turn(): void {
    if (this.#isTurning) return;
    this.#isTurning = true;
    let event: AcceptEvent | undefined;
    while ((event = this.#machine.pollEvent()) !== undefined) this.#handle(event);
    this.#isTurning = false;
    this.#timer.reset(this.#machine.nextTimeout());
  }

  #handle(event: AcceptEvent): void {
    switch (event.type) {
      case "policy":
        this.#attempts.set(event.id, new Attempt(new TraceLog(this.#context.runtime.clock, TRACE_EVENTS)));
        return void this.#decide(event);
      case "keys":
        this.#attempts.get(event.id)!.keys = event;
        return;
      case "punch":
        return this.#startPunch(event);
      case "relay":
        return this.#meet(event);
      case "answer":
        return this.#answer(event);
      case "knock":
        return this.#knock(event.id, event.to);
      case "ended":
        return this.#end(event.id, event.reason);
      case "forgotten":
        this.#attempts.delete(event.id);
        return;
    }
  }

  async #decide(event: AcceptEvent & { readonly type: "policy" }): Promise<void> {
    const { id, remotePublicKey, payload, clientAddress } = event;
    const attempt = this.#attempts.get(id)!;
    attempt.trace.add("accept", "handshake", {
      client: `${clientAddress}`,
      remoteFirewall: payload.firewall,
    });
    const verdict = this.#policy.isDenied(remotePublicKey, payload, clientAddress);
    const isDenied = typeof verdict === "boolean" ? verdict : await verdict;
    // A hook that took too long decides about nothing any more.
    if (this.#attempts.get(id) !== attempt || this.#machine.stateOf(id) !== "deciding") return;
    const { endpoint } = this.#context;
    if (isDenied || !endpoint.hasRoom) this.#machine.deny(this.#now(), id);
    else this.#allow(id, attempt, event);
    this.#turn();
  }

  #allow(id: number, attempt: Attempt, event: AcceptEvent & { readonly type: "policy" }): void {
    const { remotePublicKey, payload: { udx }, clientAddress } = event;
    const { endpoint, rpc, runtime: { random } } = this.#context;
    const isMoving = udx?.mobility === "moves";
    if (isMoving) attempt.moving = this.#movables.find(remotePublicKey, udx.id);
    const stream = isMoving ? attempt.moving?.connection.stream : endpoint.createStream({
      firewall: (socket, from, packet) => this.#onPacket(id, attempt, socket, from, packet),
    });
    attempt.stream = stream;
    this.#machine.allow(this.#now(), id, {
      streamId: stream?.id ?? 0,
      ownAddress: rpc.remoteAddress(),
      localAddresses: this.#config.shareLocalAddress ? localAddresses(this.#context) : [],
      relays: this.#relays.relays,
      relayAddresses: this.#relays.relayAddresses,
      relayThrough: isMoving ? undefined : this.#policy.offerRelay(random, remotePublicKey),
      isGone: isMoving && stream === undefined,
      isBusy: !this.#host.pool.hasRoom(clientAddress.host),
    });
  }

  #startPunch({ id, plan, isAwaited }: AcceptEvent & { readonly type: "punch" }): void {
    const attempt = this.#attempts.get(id)!;
    attempt.punch = new AcceptPunch(this.#context, this.#host.pool, plan, {
      trace: attempt.trace,
      mayPunch: (remote, local) => this.#policy.mayPunch(remote, local),
      onReady: (hasSocket) => {
        if (!isAwaited) return;
        this.#machine.handlePrepared(this.#now(), id, hasSocket);
        this.#turn();
      },
      onPunched: (socket, to) => void this.#greet(attempt, socket, to),
      onFailed: () => {
        this.#machine.handlePunch(this.#now(), id, true);
        this.#turn();
      },
    });
    attempt.punch.start();
  }

  #meet({ id, relay, isInitiator, clientAddress }: AcceptEvent & { readonly type: "relay" }): void {
    const attempt = this.#attempts.get(id)!;
    const endDial = this.#host.limits.tryDialRelay(clientAddress.host);
    if (endDial === undefined) {
      attempt.trace.add("relay", "too many", {});
      return this.#machine.handleRelayEnd(this.#now(), id);
    }
    attempt.trace.add("relay", "dial", { relay: toHex(relay.publicKey) });
    const { stream, keys } = attempt;
    const meeting = attempt.meeting = new RelayMeeting(this.#context, {
      ...{ relay, isInitiator, stream: stream!, remoteId: keys!.payload.udx!.id },
      dialRelay: this.#host.dialRelay,
      onReady: () => {
        endDial();
        attempt.trace.add("relay", "met", {});
        if (this.#machine.handlePacket(this.#now(), id)) {
          meeting.start();
          this.#open(id, attempt, stream!, keys!.result);
        } else meeting.close(); // there is a direct way already
        this.#turn();
      },
      onFailed: (error) => {
        endDial();
        attempt.trace.add("relay", "failed", { reason: error.message });
        this.#machine.handleRelayEnd(this.#now(), id);
        this.#turn();
      },
      onMoved: (isDirect) => this.#onMoved(id, attempt, isDirect),
    });
  }

  /** The stream has left the relay for a way that the peer has found, or has gone back to it. */
  #onMoved(id: number, attempt: Attempt, isDirect: boolean): void {
    const { connection, punch } = attempt;
    const { socket, remoteAddress } = attempt.stream!;
    if (!isDirect || socket === undefined || remoteAddress === undefined || connection === undefined) return;
    this.#note(attempt, socket, remoteAddress);
    const lease = punch?.finish(socket);
    if (lease !== undefined) this.#keep(connection, lease, attempt);
    this.#countPath(attempt);
    attempt.punch = undefined;
    this.#machine.handlePunch(this.#now(), id, true);
    this.#turn();
  }

  #answer({ id, copies, noise, isFromPunchSocket }: AcceptEvent & { readonly type: "answer" }): void {
    const attempt = this.#attempts.get(id);
    const socket = isFromPunchSocket ? attempt?.punch?.socket : undefined;
    for (const copy of copies) {
      const arrived = this.#copies.get(copy);
      this.#copies.delete(copy);
      arrived?.answer(noise, socket);
    }
    attempt?.trace.add("accept", "answer", { copies: copies.length, isFromPunchSocket });
  }

  /** The peer can be reached, or so it says. */
  #knock(id: number, to: SocketAddress): void {
    const attempt = this.#attempts.get(id);
    const socket = this.#context.sockets.current;
    if (attempt?.keys === undefined || socket === undefined || to.port === 0) return;
    if (!this.#greet(attempt, socket, to)) socket.send(knockPacket(attempt.keys.payload.udx!.id), to);
  }

  /** False if it was done often enough. */
  #greet(attempt: Attempt, socket: UdxSocket, to: SocketAddress): boolean {
    const { keys, stream } = attempt;
    if (keys === undefined || stream?.isConnected !== false || attempt.greetings >= GREETINGS) return false;
    attempt.greetings++;
    const { crypto, random } = this.#context.runtime;
    const streamHeader = attempt.streamHeader ??= random.fill(new Uint8Array(STREAM_HEADER_BYTES));
    socket.send(greetingPacket(crypto, keys.result.session, streamHeader, keys.payload.udx!.id), to);
    return true;
  }

  /** A packet for the stream from where the stream does not send to. */
  #onPacket(
    id: number,
    attempt: Attempt,
    socket: UdxSocket,
    from: SocketAddress,
    packet: Uint8Array,
  ): boolean {
    const { stream, keys, meeting, movable } = attempt;
    if (stream === undefined || keys === undefined || from.port === 0) return false;
    if (meeting?.handleStrayPacket(socket, from) === true) return true;
    if (meeting?.isEarly(from) === true) return false;
    if (attempt.isRelayed) return false;
    if (movable !== undefined && attempt.isSettled) {
      return movable.mobility.handleStrayPacket(socket, from, packet);
    }
    const remoteId = keys.payload.udx!.id;
    if (!stream.isConnected) {
      if (!this.#machine.handlePacket(this.#now(), id)) return false;
      this.#note(attempt, socket, from);
      stream.connect(socket, remoteId, from);
      this.#open(id, attempt, stream, keys.result);
      return true;
    }
    // The peer has given its first path up, as long as nothing of ours arrived there.
    if (attempt.isSettled || stream.isClosed) return false;
    this.#note(attempt, socket, from);
    stream.redirect(socket, remoteId, from);
    attempt.nudge?.restart();
    return true;
  }

  #note(attempt: Attempt, socket: UdxSocket, from: SocketAddress): void {
    attempt.directKind = pathKindOf(from, attempt.punch?.owns(socket) === true);
    attempt.trace.add("accept", "path", { kind: attempt.directKind, address: `${from}` });
  }

  #open(id: number, attempt: Attempt, stream: UdxStream, { session }: HandshakeResult): void {
    const connection = new DhtConnection(stream, this.#context.runtime, {
      isInitiator: false,
      keyPair: this.#config.keyPair,
      session: { ...session, streamHeader: attempt.streamHeader },
      // To find our stream among 2^32 one must have read our answer, for which one needs the key; a relay sees it pass, though. A
      // peer of the reference is silent until it has something to say, or for 5 s.
      responderProof: attempt.isRelayed ? "message" : "header",
      keepAliveMs: this.#config.keepAliveMs,
      handshakeTimeoutMs: ACCEPT_TIMEOUT_MS,
      pathKind: () => attempt.pathKind,
      trace: () => attempt.trace.toArray(),
    });
    attempt.connection = connection;
    // The first packet has to be the greeting once more, byte for byte: the peer may have it.
    if (attempt.streamHeader !== undefined) stream.cut();
    if (!attempt.isRelayed) {
      attempt.nudge = new Nudge(this.#context.runtime.clock, stream, attempt.keys!.payload.udx!.id);
    }
    void stream.flush().then((isAcked) => attempt.isSettled ||= isAcked);
    connection.opened.then(() => this.#onProven(id, attempt, connection), () => {
      this.#machine.handleStreamEnd(this.#now(), id);
      this.#turn();
    });
  }

  #onProven(id: number, attempt: Attempt, connection: DhtConnection): void {
    if (this.#attempts.get(id) !== attempt || this.#machine.stateOf(id) !== "opening") return;
    this.#machine.handleProven(this.#now(), id);
    attempt.trace.add("accept", "open", { kind: attempt.pathKind });
    if (attempt.isRelayed) {
      // Punching goes on, until there is a better way or nobody needs one.
      connection.closed.catch(() => {}).finally(() => this.#leave(id, attempt));
    } else {
      this.#countPath(attempt);
      attempt.meeting?.close();
      const lease = attempt.punch?.finish(connection.socket);
      if (lease !== undefined) this.#keep(connection, lease, attempt);
      attempt.punch = undefined;
      this.#machine.handlePunch(this.#now(), id, true);
    }
    this.#keepMovable(attempt, connection);
    this.#turn();
    this.#onConnection(connection);
  }

  /** A peer that can look for another path finds the connection again. */
  #keepMovable(attempt: Attempt, connection: DhtConnection): void {
    const { payload: { udx }, result: { session } } = attempt.keys!;
    if (udx!.mobility !== "able") return;
    attempt.movable = this.#movables.keep({
      ...{ connection, session, remoteId: udx!.id },
      isRelayed: () => attempt.isRelayed,
      onMoved: (socket, from) => this.#onFollowed(attempt, socket, from),
    });
  }

  /** The peer has proven to be somewhere else, to where the connection has been moved. */
  #onFollowed(first: Attempt, socket: UdxSocket, from: SocketAddress): void {
    first.directKind = pathKindOf(from, false);
    for (const [id, attempt] of this.#attempts) {
      if (attempt.moving !== first.movable) continue;
      const lease = attempt.punch?.finish(socket);
      attempt.punch = undefined;
      if (lease !== undefined) {
        first.directKind = "punched";
        first.movable!.hold(lease);
      }
      this.#machine.handlePacket(this.#now(), id);
      this.#machine.handleProven(this.#now(), id);
    }
    this.#turn();
  }

  /** A connection that went through a relay is over. */
  #leave(id: number, attempt: Attempt): void {
    attempt.meeting!.close();
    attempt.punch?.finish();
    attempt.punch = undefined;
    if (this.#attempts.get(id) !== attempt) return;
    this.#machine.handlePunch(this.#now(), id, true);
    this.#turn();
  }

  #countPath({ directKind, punch }: Attempt): void {
    const { punches } = this.#context.stats;
    if (directKind !== "punched") punches.open++;
    else if (punch !== undefined && punch.localFirewall >= Firewall.Random) punches.random++;
    else punches.consistent++;
  }

  /** The socket stays as long as the connection, and a little longer if it may serve another. */
  #keep(connection: DhtConnection, lease: PunchLease, attempt: Attempt): void {
    lease.confirm();
    const { remotePublicKey, path } = connection;
    const isReusable = this.#config.reusableSocket && attempt.keys!.payload.udx!.reusableSocket;
    if (isReusable && path.address !== undefined) {
      this.#host.pool.addRoute(remotePublicKey, lease, path.address);
    }
    connection.closed.catch(() => this.#host.pool.dropRoute(remotePublicKey)).finally(() => lease.release());
  }

  #end(id: number, reason: string): void {
    const attempt = this.#attempts.get(id);
    if (attempt === undefined) return;
    attempt.trace.add("accept", "ended", { reason });
    attempt.end();
  }
}
