/** Connects the {@linkcode AcceptMachine} of a server to its policy, to sockets, streams and the clock. */
import type { KeyPair } from "../core/runtime/crypto_provider.ts";
import type { Timer } from "../core/runtime/runtime.ts";
import { TraceLog } from "../core/runtime/trace.ts";
import type { SocketAddress } from "../encoding/address.ts";
import { DEFAULT_WINDOW, HEADER_BYTES, HEARTBEAT } from "../transports/udx/constants.ts";
import { writeHeader } from "../transports/udx/packet.ts";
import type { UdxSocket } from "../transports/udx/udx_socket.ts";
import type { UdxStream } from "../transports/udx/udx_stream.ts";
import { AcceptMachine } from "./accept_machine.ts";
import type { AcceptCounters, AcceptEvent } from "./accept_types.ts";
import type { AttemptLimits } from "./attempt_limits.ts";
import { ACCEPT_TIMEOUT_MS, MAX_ATTEMPTS, TRACE_EVENTS } from "./connect_constants.ts";
import type { PathKind } from "./connect_types.ts";
import type { DhtContext } from "./context.ts";
import { DhtConnection } from "./dht_connection.ts";
import type { HandshakeResult } from "./handshake.ts";
import type { ReceivedNoisePayload, RelayInfo } from "./handshake_messages.ts";
import { localAddresses } from "./local_addresses.ts";
import { Nudge } from "./nudge.ts";
import { Firewall, MAX_REQUESTS } from "./punch/constants.ts";
import { SecurePayload } from "./punch/payload.ts";
import { PunchResponder } from "./punch/responder.ts";
import type { SocketPool } from "./punch/socket_pool.ts";
import { PunchDriver, type PunchLease } from "./punch_driver.ts";
import type { ArrivedHandshake, ArrivedPunch, RoutedServer } from "./router.ts";

/** Which peers a server wants. True = not this one. What it throws counts as true. */
export type FirewallHook = (
  remotePublicKey: Uint8Array,
  payload: ReceivedNoisePayload,
  clientAddress: SocketAddress,
) => boolean | Promise<boolean>;

/** Whether a server punches, given the NATs (each one of `Firewall`) on both sides. */
export type HolepunchHook = (remoteFirewall: number, localFirewall: number) => boolean;

/** A server with every choice made. */
export interface AcceptConfig {
  /** The identity of the server. */
  readonly keyPair: KeyPair;
  /** Which peers it wants. */
  readonly firewall: FirewallHook;
  /** Whether to punch; false = never. */
  readonly holepunch: HolepunchHook | false;
  /** Whether peers are told the addresses in the local network. */
  readonly shareLocalAddress: boolean;
  /** Whether sockets may serve another connection of the same peer. */
  readonly reusableSocket: boolean;
  /** Milliseconds that an attempt is remembered after its end. */
  readonly clearWaitMs: number;
  /** Silence of our own after which a connection shows that it is alive. */
  readonly keepAliveMs: number;
}

/** What a server knows about the nodes that relay to it; an `Announcer` does. */
export interface RelaySource {
  /** They, and how they see it. */
  readonly relays: readonly RelayInfo[];
  /** They alone. */
  readonly relayAddresses: readonly SocketAddress[];
  /** Whether `address` is one of them, or was lately. */
  isRelay(address: SocketAddress): boolean;
}

/** What belongs to one attempt. */
class Attempt {
  readonly trace: TraceLog;
  stream: UdxStream | undefined;
  connection: DhtConnection | undefined;
  keys: { readonly result: HandshakeResult; readonly payload: ReceivedNoisePayload } | undefined;
  punch: PunchDriver<PunchResponder> | undefined;
  secure: SecurePayload | undefined;
  /** Where the handshake came to, if no relay was between: knocks leave from there. */
  arrival: UdxSocket | undefined;
  pathKind: PathKind = "direct";
  nudge: Nudge | undefined;
  /** Whether the peer has acknowledged anything: from then on the path is settled. */
  isSettled = false;
  /** Answers to rounds, by number. */
  readonly rounds = new Map<number, ArrivedPunch["answer"]>();
  nextRound = 0;

  constructor(trace: TraceLog) {
    this.trace = trace;
  }
}

/** Copies of handshakes whose answer is pending are forgotten beyond so many. */
const MAX_PENDING_COPIES = MAX_ATTEMPTS;

/** See the head of the file. */
export class AcceptDriver implements RoutedServer {
  readonly #context: DhtContext;
  readonly #pool: SocketPool<UdxSocket>;
  readonly #config: AcceptConfig;
  readonly #relays: RelaySource;
  readonly #onConnection: (connection: DhtConnection) => void;
  readonly #machine: AcceptMachine;
  readonly #timer: Timer;
  readonly #attempts = new Map<number, Attempt>();
  readonly #copies = new Map<number, ArrivedHandshake>();
  #nextCopy = 0;
  #isTurning = false;
  #isQuiet = false;

  /** A server that nobody has dialed; connections whose peer has proven itself go to `onConnection`. */
  constructor(
    context: DhtContext,
    pool: SocketPool<UdxSocket>,
    limits: AttemptLimits,
    config: AcceptConfig,
    relays: RelaySource,
    onConnection: (connection: DhtConnection) => void,
  ) {
    this.#context = context;
    this.#pool = pool;
    this.#config = config;
    this.#relays = relays;
    this.#onConnection = onConnection;
    const { runtime, namespaces } = context;
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
  onPunch({ id, payload, clientAddress, from, to, socket, answer }: ArrivedPunch): void {
    const attempt = this.#attempts.get(id);
    if (this.#isQuiet || attempt?.punch === undefined || this.#machine.stateOf(id) !== "answered") return;
    const opened = attempt.secure!.open(payload);
    if (opened === undefined) return;
    const { punch, rounds } = attempt;
    if (rounds.size >= MAX_REQUESTS) return;
    attempt.trace.add("punch", "round", { remoteFirewall: opened.firewall, punching: opened.punching });
    const round = attempt.nextRound++;
    rounds.set(round, answer);
    const number = punch.numberOf(socket);
    punch.machine.handleRequest(this.#now(), round, {
      payload: opened,
      peerAddress: clientAddress,
      from,
      isOwnRelay: this.#relays.isRelay(from),
      arrival: number === undefined ? undefined : { socket: number, seenAs: to },
    });
    punch.turn();
    // Punching has deadlines of its own.
    if (punch.machine.isPunching) this.#machine.handlePunch(this.#now(), id, false);
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
    let isDenied = true;
    try {
      // Only a hook that takes its time costs a turn.
      const verdict = this.#config.firewall(remotePublicKey, payload, clientAddress);
      isDenied = typeof verdict === "boolean" ? verdict : await verdict;
    } catch {
      // It has no opinion that could be relied on.
    }
    // A hook that took too long decides about nothing any more.
    if (this.#attempts.get(id) !== attempt || this.#machine.stateOf(id) !== "deciding") return;
    const { endpoint } = this.#context;
    if (isDenied || !endpoint.hasRoom) this.#machine.deny(this.#now(), id);
    else this.#allow(id, attempt, clientAddress);
    this.#turn();
  }

  #allow(id: number, attempt: Attempt, clientAddress: SocketAddress): void {
    const { endpoint, rpc } = this.#context;
    attempt.stream = endpoint.createStream({
      firewall: (socket, from) => this.#onPacket(id, attempt, socket, from),
    });
    this.#machine.allow(this.#now(), id, {
      streamId: attempt.stream.id,
      ownAddress: rpc.remoteAddress(),
      localAddresses: this.#config.shareLocalAddress ? localAddresses(this.#context) : [],
      relays: this.#relays.relays,
      relayAddresses: this.#relays.relayAddresses,
      isBusy: !this.#pool.hasRoom(clientAddress.host),
    });
  }

  #startPunch({ id, plan, isAwaited }: AcceptEvent & { readonly type: "punch" }): void {
    const attempt = this.#attempts.get(id)!;
    const { runtime, punchBudget, rpc } = this.#context;
    const secure = new SecurePayload(runtime, plan.secret);
    const responder = new PunchResponder({
      ...{ random: runtime.random, budget: punchBudget, isFirewalled: rpc.firewalled },
      remoteFirewall: plan.remoteFirewall,
      allowsPrivate: rpc.natAddress?.isPrivate ?? false,
      canWait: false,
      tokenOf: (address) => secure.token(address),
      now: this.#now(),
      mayPunch: (remote, local) => this.#mayPunch(remote, local),
    });
    const purpose = { publicKey: plan.remotePublicKey, host: plan.clientAddress.host };
    attempt.secure = secure;
    attempt.punch = new PunchDriver(this.#context, this.#pool, purpose, responder, {
      onReady: (lease) => {
        if (!isAwaited) return;
        this.#machine.handlePrepared(this.#now(), id, lease !== undefined);
        this.#turn();
      },
      onReply: ({ id: round, payload }, lease) => {
        // The last answer is a no, and its socket may be closed before it would have left.
        attempt.rounds.get(round)?.(secure.seal(payload), lease?.socket ?? this.#context.sockets.current);
        attempt.rounds.clear(); // older rounds have been overtaken
      },
      onFailed: (code) => {
        attempt.trace.add("punch", "no hole", { code });
        this.#machine.handlePunch(this.#now(), id, true);
        this.#turn();
      },
    });
    attempt.punch.turn();
  }

  #mayPunch(remoteFirewall: number, localFirewall: number): boolean {
    const { holepunch } = this.#config;
    try {
      return holepunch !== false && holepunch(remoteFirewall, localFirewall);
    } catch {
      return false; // as with the other hook
    }
  }

  #answer({ id, copies, noise, isFromPunchSocket }: AcceptEvent & { readonly type: "answer" }): void {
    const attempt = this.#attempts.get(id);
    const punch = isFromPunchSocket ? attempt?.punch : undefined;
    const socket = punch === undefined ? undefined : punch.primarySocket;
    for (const copy of copies) {
      const arrived = this.#copies.get(copy);
      this.#copies.delete(copy);
      if (attempt !== undefined && arrived?.isDirect === true) attempt.arrival = arrived.socket as UdxSocket;
      arrived?.answer(noise, socket);
    }
    attempt?.trace.add("accept", "answer", { copies: copies.length, isFromPunchSocket });
  }

  /** The peer waits for a packet of ours: the shortest there is. */
  #knock(id: number, to: SocketAddress): void {
    const attempt = this.#attempts.get(id);
    const remoteId = attempt?.keys?.payload.udx?.id;
    const socket = attempt?.arrival ?? this.#context.sockets.current;
    if (remoteId === undefined || socket === undefined || to.port === 0) return;
    const packet = new Uint8Array(HEADER_BYTES);
    writeHeader(packet, HEARTBEAT, 0, remoteId, DEFAULT_WINDOW, 0, 0);
    socket.send(packet, to);
  }

  /** A packet for the stream from where the stream does not send to. */
  #onPacket(id: number, attempt: Attempt, socket: UdxSocket, from: SocketAddress): boolean {
    const { stream, keys } = attempt;
    if (stream === undefined || keys === undefined || from.port === 0) return false;
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
    const isPunched = attempt.punch?.leaseOf(socket) !== undefined;
    attempt.pathKind = isPunched ? "punched" : from.isPrivate && !from.isLoopback ? "lan" : "direct";
    attempt.trace.add("accept", "path", { kind: attempt.pathKind, address: `${from}` });
  }

  #open(id: number, attempt: Attempt, stream: UdxStream, { session }: HandshakeResult): void {
    const connection = new DhtConnection(stream, this.#context.runtime, {
      isInitiator: false,
      keyPair: this.#config.keyPair,
      session,
      keepAliveMs: this.#config.keepAliveMs,
      handshakeTimeoutMs: ACCEPT_TIMEOUT_MS,
      pathKind: () => attempt.pathKind,
      trace: () => attempt.trace.toArray(),
    });
    attempt.connection = connection;
    attempt.nudge = new Nudge(this.#context.runtime.clock, stream, attempt.keys!.payload.udx!.id);
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
    this.#countPath(attempt);
    const lease = attempt.punch?.finish(connection.socket);
    if (lease !== undefined) this.#keep(connection, lease, attempt);
    attempt.punch = undefined;
    this.#turn();
    this.#onConnection(connection);
  }

  #countPath({ pathKind, punch }: Attempt): void {
    const { punches } = this.#context.stats;
    if (pathKind !== "punched") punches.open++;
    else if (punch !== undefined && punch.machine.localFirewall >= Firewall.Random) punches.random++;
    else punches.consistent++;
  }

  /** The socket stays as long as the connection, and a little longer if it may serve another. */
  #keep(connection: DhtConnection, lease: PunchLease, attempt: Attempt): void {
    lease.confirm();
    const { remotePublicKey, path } = connection;
    const isReusable = this.#config.reusableSocket && attempt.keys!.payload.udx!.reusableSocket;
    if (isReusable && path.address !== undefined) this.#pool.addRoute(remotePublicKey, lease, path.address);
    connection.closed.catch(() => this.#pool.dropRoute(remotePublicKey)).finally(() => lease.release());
  }

  #end(id: number, reason: string): void {
    const attempt = this.#attempts.get(id);
    if (attempt === undefined) return;
    attempt.trace.add("accept", "ended", { reason });
    attempt.punch?.finish();
    attempt.punch = undefined;
    attempt.nudge?.stop();
    attempt.connection?.abort();
    attempt.stream?.destroy();
    attempt.stream = undefined;
  }
}
