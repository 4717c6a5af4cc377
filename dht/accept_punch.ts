/** Being punched to, in one attempt: a {@linkcode PunchResponder} that hears and answers rounds over relays. */
import type { TraceLog } from "../core/runtime/trace.ts";
import type { SocketAddress } from "../encoding/address.ts";
import type { UdxSocket } from "../transports/udx/udx_socket.ts";
import type { ResponderPlan } from "./accept_types.ts";
import type { DhtContext } from "./context.ts";
import { MAX_REQUESTS } from "./punch/constants.ts";
import { SecurePayload } from "./punch/payload.ts";
import type { PunchPolicy } from "./punch/puncher.ts";
import { PunchResponder } from "./punch/responder.ts";
import type { SocketPool } from "./punch/socket_pool.ts";
import { PunchDriver, type PunchLease } from "./punch_driver.ts";
import type { ArrivedPunch } from "./router.ts";

/** What an {@linkcode AcceptPunch} is told. */
export interface AcceptPunchOptions {
  /** Takes notes. */
  readonly trace: Pick<TraceLog, "add">;
  /** The policy of the server. */
  readonly mayPunch: PunchPolicy;
  /** There is a socket to be punched to, or there will be none. */
  onReady(hasSocket: boolean): void;
  /** A punch between NATs that need no guessing has gone out, and is to arrive. */
  onPunched(socket: UdxSocket, to: SocketAddress): void;
  /** No hole could be made. */
  onFailed(): void;
}

/** See the head of the file. */
export class AcceptPunch {
  readonly #context: DhtContext;
  readonly #trace: Pick<TraceLog, "add">;
  readonly #secure: SecurePayload;
  readonly #driver: PunchDriver<PunchResponder>;
  /** Answers to rounds, by number. */
  readonly #rounds = new Map<number, ArrivedPunch["answer"]>();
  #nextRound = 0;

  /** Call {@linkcode start} once this is in its place: it may report at once. */
  constructor(
    context: DhtContext,
    pool: SocketPool<UdxSocket>,
    plan: ResponderPlan,
    { trace, mayPunch, onReady, onPunched, onFailed }: AcceptPunchOptions,
  ) {
    this.#context = context;
    this.#trace = trace;
    const { runtime, punchBudget, rpc } = context;
    const secure = this.#secure = new SecurePayload(runtime, plan.secret);
    const responder = new PunchResponder({
      ...{ random: runtime.random, budget: punchBudget, isFirewalled: rpc.firewalled, mayPunch },
      remoteFirewall: plan.remoteFirewall,
      allowsPrivate: rpc.natAddress?.isPrivate ?? false,
      canWait: plan.canWait,
      tokenOf: (address) => secure.token(address),
      now: runtime.clock.now(),
    });
    const purpose = { publicKey: plan.remotePublicKey, host: plan.clientAddress.host };
    this.#driver = new PunchDriver(context, pool, purpose, responder, {
      onReady: (lease) => onReady(lease !== undefined),
      onPunched: (lease, to) => {
        if (!responder.needsGuessing) onPunched(lease.socket, to);
      },
      onReply: ({ id, payload }, lease) => {
        // The last answer is a no, and its socket may be closed before it would have left.
        this.#rounds.get(id)?.(secure.seal(payload), lease?.socket ?? context.sockets.current);
        this.#rounds.clear(); // older rounds have been overtaken
      },
      onFailed: (code) => {
        trace.add("punch", "no hole", { code });
        onFailed();
      },
    });
  }

  /** Begins. */
  start(): void {
    this.#driver.turn();
  }

  /** Whether punches go out: this ends by itself. */
  get isPunching(): boolean {
    return this.#driver.machine.isPunching;
  }

  /** What is in front of this side, one of `Firewall`. */
  get localFirewall(): number {
    return this.#driver.machine.localFirewall;
  }

  /** The socket to be punched to; undefined while there is none. */
  get socket(): UdxSocket | undefined {
    return this.#driver.primarySocket;
  }

  /** Whether `socket` is one of those that are punched from. */
  owns(socket: object): boolean {
    return this.#driver.leaseOf(socket) !== undefined;
  }

  /** A round has come, through one of our own relays or another. What cannot be opened is ignored. */
  handleRound({ payload, clientAddress, from, to, socket, answer }: ArrivedPunch, isOwnRelay: boolean): void {
    const opened = this.#secure.open(payload);
    if (opened === undefined || this.#rounds.size >= MAX_REQUESTS) return;
    this.#trace.add("punch", "round", { remoteFirewall: opened.firewall, punching: opened.punching });
    const round = this.#nextRound++;
    this.#rounds.set(round, answer);
    const number = this.#driver.numberOf(socket);
    this.#driver.machine.handleRequest(this.#context.runtime.clock.now(), round, {
      ...{ payload: opened, peerAddress: clientAddress, from, isOwnRelay },
      arrival: number === undefined ? undefined : { socket: number, seenAs: to },
    });
    this.#driver.turn();
  }

  /** Ends it. The lease of `keep`, if it is one of those that were punched from, is the caller's. */
  finish(keep?: object): PunchLease | undefined {
    return this.#driver.finish(keep);
  }
}
