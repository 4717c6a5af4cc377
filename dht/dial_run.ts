/**
 * The part of a dial that talks to the network: connects a {@linkcode ConnectMachine} to nodes of the DHT, to sockets and the
 * clock. What becomes of the stream is up to its owner: a new one (`dial.ts`), or one that has lost its path (`redial.ts`).
 */
import { ConnectError, ProtocolError, toError } from "../core/runtime/errors.ts";
import type { KeyPair } from "../core/runtime/crypto_provider.ts";
import type { Timer } from "../core/runtime/runtime.ts";
import { type TraceEvent, TraceLog } from "../core/runtime/trace.ts";
import type { SocketAddress } from "../encoding/address.ts";
import { toHex } from "../encoding/text.ts";
import type { UdxSocket } from "../transports/udx/udx_socket.ts";
import { FIND_RETRIES, HANDSHAKE_RETRIES, HANDSHAKE_TRY_MS, TRACE_EVENTS } from "./connect_constants.ts";
import { ConnectMachine } from "./connect_machine.ts";
import type { ConnectEvent } from "./connect_types.ts";
import { Command } from "./constants.ts";
import type { DhtContext } from "./context.ts";
import { DIAL_OVER } from "./dial_error.ts";
import { DialPunch } from "./dial_punch.ts";
import { PeerHandshaking } from "./handshake.ts";
import type { NoisePayload } from "./handshake_messages.ts";
import { localAddresses } from "./local_addresses.ts";
import { Firewall, PayloadError } from "./punch/constants.ts";
import type { SocketPool } from "./punch/socket_pool.ts";
import { encodeHandshakeRequest, readHandshakeReply } from "./router.ts";
import { targetOf } from "./signables.ts";

/** The sockets of the node. */
export interface DialSockets {
  /** The one that others may write to unasked. */
  readonly server: UdxSocket;
  /** The one that requests go out from. */
  readonly current: UdxSocket;
}

/** What is dialed, and how. */
export interface DialRunOptions {
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
  /** The part of the payload that is about the stream. */
  readonly payload: Pick<NoisePayload, "udx" | "relayThrough">;
  /** Whether the peer may be met at a blind relay, whoever names it. */
  readonly mayRelay: boolean;
}

/** What the machine of a dial wants done with its stream, or has come to. */
export type DialRunEvent = ConnectEvent & {
  readonly type: "keys" | "path" | "pathProven" | "relay" | "failed";
};

/** See the head of the file. */
export class DialRun {
  /** The machine: call {@linkcode turn} after each input. */
  readonly machine: ConnectMachine;
  /** The punching, for who needs to know whose a socket is. */
  readonly punch: DialPunch;
  readonly #context: DhtContext;
  readonly #pool: SocketPool<UdxSocket>;
  readonly #remotePublicKey: Uint8Array;
  readonly #target: Uint8Array;
  readonly #onEvent: (event: DialRunEvent) => void;
  readonly #trace: TraceLog;
  readonly #timer: Timer;
  /** What is asked of other nodes. */
  readonly #abort = new AbortController();
  /** The part of that which ends with the search. */
  readonly #searchAbort = new AbortController();
  /** Answers that the node had heard when the dial began. */
  readonly #repliesBefore: number;
  #isTurning = false;
  #isDone = false;

  /**
   * Call {@linkcode turn} to begin: the events may come at once.
   *
   * @throws {TypeError} if no peer can have the key.
   */
  constructor(
    context: DhtContext,
    pool: SocketPool<UdxSocket>,
    sockets: DialSockets,
    options: DialRunOptions,
    onEvent: (event: DialRunEvent) => void,
  ) {
    this.#context = context;
    this.#pool = pool;
    this.#onEvent = onEvent;
    const { remotePublicKey } = options;
    this.#remotePublicKey = remotePublicKey;
    const { runtime: { clock, crypto } } = context;
    this.#target = targetOf(crypto, remotePublicKey);
    this.#repliesBefore = context.rpc.stats.requests.replies;
    const trace = this.#trace = new TraceLog(clock, TRACE_EVENTS);
    this.machine = this.#newMachine(sockets, options);
    this.punch = new DialPunch(context, pool, {
      ...{ target: this.#target, remotePublicKey, trace },
      onHole: (socket, address) => {
        this.machine.handlePunched(clock.now(), socket, address);
        this.turn();
      },
      onFailed: (code, message) => {
        this.machine.handlePunchFailure(code, message);
        this.turn();
      },
    });
    this.#timer = clock.schedule(Infinity, () => this.#onTimer());
  }

  /** What happened so far. */
  get trace(): TraceEvent[] {
    return this.#trace.toArray();
  }

  /** Whether it was stopped. */
  get isDone(): boolean {
    return this.#isDone;
  }

  /** Does what the machine wants done. */
  turn(): void {
    if (this.#isTurning || this.#isDone) return;
    this.#isTurning = true;
    let event: ConnectEvent | undefined;
    while (!this.#isDone && (event = this.machine.pollEvent()) !== undefined) this.#handle(event);
    this.#isTurning = false;
    if (!this.#isDone) this.#timer.reset(this.machine.nextTimeout());
  }

  /** Ends it, and gives back all sockets that were not taken. */
  stop(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#timer.cancel();
    this.#abort.abort(DIAL_OVER);
    this.#searchAbort.abort(DIAL_OVER);
    this.punch.finish();
  }

  #newMachine(sockets: DialSockets, options: DialRunOptions): ConnectMachine {
    const { remotePublicKey, relayAddresses, payload, fastOpen, mayRelay } = options;
    const { rpc, records, relayCache } = this.#context;
    const now = this.#now();
    const own = rpc.remoteAddress();
    const local = options.localConnection ? localAddresses(this.#context) : [];
    // Who looks for another path does not begin with the one that is lost.
    const mayReuse = options.reusableSocket && payload.udx?.mobility !== "moves";
    const route = mayReuse ? this.#pool.route(remotePublicKey) : undefined;
    const known = records.forward(now, this.#target)?.relay;
    const given = relayAddresses.length > 0 ? relayAddresses : relayCache.get(remotePublicKey) ?? [];
    try {
      return new ConnectMachine({
        ...{ now, sockets, fastOpen, mayRelay, trace: this.#trace, localAddresses: local },
        handshaking: new PeerHandshaking(this.#context, options.keyPair, remotePublicKey),
        payload: {
          error: PayloadError.None,
          firewall: own === undefined ? Firewall.Unknown : Firewall.Open,
          addresses4: own === undefined ? local : [own, ...local],
          addresses6: [],
          secretStream: true,
          ...payload,
        },
        relays: known === undefined ? given : [known, ...given],
        route: route && { socket: route.lease.socket, address: route.address },
      });
    } catch (cause) {
      if (!(cause instanceof ProtocolError)) throw cause;
      throw new TypeError(`No peer can have the key ${toHex(remotePublicKey)}: check it`, { cause });
    }
  }

  #now(): number {
    return this.#context.runtime.clock.now();
  }

  #onTimer(): void {
    if (this.#isDone) return;
    // Whoever has answered whatever: UDP gets through. If the network is slow, to give up and try again would only add to its load.
    if (this.#context.rpc.stats.requests.replies > this.#repliesBefore) this.machine.handleSignOfLife();
    this.machine.handleTimeout(this.#now());
    this.turn();
  }

  #handle(event: ConnectEvent): void {
    switch (event.type) {
      case "search":
        return void this.#search(event.nodes);
      case "stopSearch":
        return this.#searchAbort.abort(DIAL_OVER);
      case "handshake":
        return void this.#ask(event);
      case "ping":
        return void this.#ping(event.to);
      case "punch":
        return this.punch.start(event.plan);
      default:
        return this.#onEvent(event);
    }
  }

  async #search(nodes: readonly SocketAddress[]): Promise<void> {
    const signal = this.#searchAbort.signal;
    let failure: string | undefined;
    try {
      const query = this.#context.client.findPeerAt(this.#target, { nodes, retries: FIND_RETRIES, signal });
      for await (const { from, peer: { relayAddresses: [first] } } of query) {
        this.machine.handleRelay(from);
        // A peer that can be reached names itself first: its own answer proves the path as well.
        if (first !== undefined) this.machine.handleRelay(first);
        this.turn();
      }
      if (query.successes > 0) this.machine.handleSignOfLife();
    } catch (error) {
      if (!(error instanceof ConnectError) && !signal.aborted) throw error;
      failure = toError(error).message;
    }
    if (this.#isDone || signal.aborted) return;
    this.machine.handleSearchEnd(this.#now(), failure);
    this.turn();
  }

  async #ask({ id, to, noise, socket: given }: ConnectEvent & { readonly type: "handshake" }): Promise<void> {
    const { rpc, sockets } = this.#context;
    const socket = given as UdxSocket | undefined ?? sockets.current;
    const value = encodeHandshakeRequest(noise);
    const init = { command: Command.PeerHandshake, target: this.#target, value, timeoutMs: HANDSHAKE_TRY_MS };
    const signal = this.#abort.signal;
    let reason = "it knows no way to the peer";
    const how = { ...(socket && { socket }), retries: HANDSHAKE_RETRIES, signal };
    const reply = await rpc.request(init, to, how).catch((error) => {
      reason = toError(error).message;
      return undefined;
    });
    if (this.#isDone) return;
    if (reply !== undefined) this.machine.handleSignOfLife();
    const answer = reply && readHandshakeReply(reply);
    if (answer !== undefined && socket !== undefined) {
      this.machine.handleAnswer(this.#now(), id, { ...answer, clientAddress: reply!.to, socket });
      this.turn();
      return;
    }
    if (this.machine.state !== "finding") return;
    if (given !== undefined) this.#pool.dropRoute(this.#remotePublicKey);
    this.machine.handleNoAnswer(this.#now(), id, reason);
    this.turn();
  }

  async #ping(to: SocketAddress): Promise<void> {
    const { rpc, sockets } = this.#context;
    const socket = sockets.server === undefined ? {} : { socket: sockets.server };
    const pong = rpc.ping(to, { ...socket, retries: 1, signal: this.#abort.signal });
    const hasAnswered = await pong.then(() => true, () => false);
    if (this.#isDone) return;
    if (hasAnswered) this.machine.handlePong(this.#now(), to);
    else this.machine.handleNoPong();
    this.turn();
  }
}
