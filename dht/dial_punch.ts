/** The punching of one dial: a {@linkcode PunchInitiator} that says what it has to say over the relays of the handshake. */
import type { ErrorCode } from "../core/runtime/errors.ts";
import type { TraceLog } from "../core/runtime/trace.ts";
import type { SocketAddress } from "../encoding/address.ts";
import type { UdxSocket } from "../transports/udx/udx_socket.ts";
import { HANDSHAKE_RETRIES, HANDSHAKE_TRY_MS } from "./connect_constants.ts";
import type { PunchPlan } from "./connect_types.ts";
import { Command } from "./constants.ts";
import type { DhtContext } from "./context.ts";
import { DIAL_OVER } from "./dial_error.ts";
import { Firewall } from "./punch/constants.ts";
import { PunchInitiator } from "./punch/initiator.ts";
import { SecurePayload } from "./punch/payload.ts";
import type { PunchEvent } from "./punch/puncher.ts";
import type { SocketPool } from "./punch/socket_pool.ts";
import { PunchDriver, type PunchLease } from "./punch_driver.ts";
import { encodePunchRequest, readPunchReply } from "./router.ts";

type RoundEvent = PunchEvent & { readonly type: "round" };

/** What a {@linkcode DialPunch} is told. */
export interface DialPunchOptions {
  /** The hash of the peer's key. */
  readonly target: Uint8Array;
  /** The peer's key. */
  readonly remotePublicKey: Uint8Array;
  /** Takes notes. */
  readonly trace: Pick<TraceLog, "add">;
  /** A hole is made from `socket` to `address`. */
  onHole(socket: UdxSocket, address: SocketAddress): void;
  /** None could be made. */
  onFailed(code: ErrorCode, message: string): void;
}

/** See the head of the file. One punch after the other, at most one at a time. */
export class DialPunch {
  readonly #context: DhtContext;
  readonly #pool: SocketPool<UdxSocket>;
  readonly #options: DialPunchOptions;
  readonly #abort = new AbortController();
  #driver: PunchDriver<PunchInitiator> | undefined;
  /** The sockets of punches that have ended well: one of them may be the one. */
  readonly #holes = new Set<PunchLease>();
  #rounds = 0;

  /** Punches nothing yet. */
  constructor(context: DhtContext, pool: SocketPool<UdxSocket>, options: DialPunchOptions) {
    this.#context = context;
    this.#pool = pool;
    this.#options = options;
  }

  /** Begins, in place of one that has ended. */
  start(plan: PunchPlan): void {
    this.#driver?.finish();
    const { runtime, punchBudget, rpc, stats } = this.#context;
    const secure = new SecurePayload(runtime, plan.secret);
    const { clientRelay, serverAddress, serverRelay, remoteFirewall, fastOpen, canWait } = plan;
    const initiator = new PunchInitiator({
      ...{ random: runtime.random, budget: punchBudget, isFirewalled: rpc.firewalled },
      ...{ clientRelay, serverAddress, serverRelay, remoteFirewall, fastOpen, canWait },
      allowsPrivate: rpc.natAddress?.isPrivate ?? false,
      tokenOf: (address) => secure.token(address),
    });
    const purpose = { publicKey: this.#options.remotePublicKey, isDial: true };
    // The other side numbers rounds on, whether they belong to this punch or to an earlier one.
    const firstRound = this.#rounds;
    const driver = new PunchDriver(this.#context, this.#pool, purpose, initiator, {
      onRound: (event, lease) => {
        const round = event.payload.round + firstRound;
        this.#rounds = round + 1;
        const numbered = { ...event, payload: { ...event.payload, round } };
        void this.#sendRound(driver, plan.id, secure, numbered, lease);
      },
      onConnected: (lease, address) => {
        const isRandom = Math.max(initiator.localFirewall, remoteFirewall) >= Firewall.Random;
        stats.punches[isRandom ? "random" : "consistent"]++;
        this.#note("hole", { address: `${address}`, localFirewall: initiator.localFirewall });
        this.#holes.add(lease);
        this.#options.onHole(lease.socket, address);
      },
      onFailed: (code, message) => {
        this.#note("no hole", { code, localFirewall: initiator.localFirewall });
        this.#options.onFailed(code, message);
      },
    });
    this.#driver = driver;
    driver.turn();
  }

  /** Whether `socket` is one of those that were punched from. */
  owns(socket: object): boolean {
    return this.#leaseOf(socket) !== undefined;
  }

  /** Gives `socket` over: the caller releases it. Undefined if it is none of those that were punched from. */
  take(socket: object): PunchLease | undefined {
    const lease = this.#leaseOf(socket);
    if (lease === undefined) return undefined;
    if (!this.#holes.delete(lease)) lease.retain();
    return lease;
  }

  /** Ends it, and gives back all sockets that were not taken. */
  finish(): void {
    this.#abort.abort(DIAL_OVER);
    this.#driver?.finish();
    for (const lease of this.#holes) if (!lease.isClosed) lease.release();
    this.#holes.clear();
  }

  #leaseOf(socket: object): PunchLease | undefined {
    for (const lease of this.#holes) if (lease.socket === socket) return lease;
    return this.#driver?.leaseOf(socket);
  }

  async #sendRound(
    punch: PunchDriver<PunchInitiator>,
    id: number,
    secure: SecurePayload,
    { id: round, payload, relay, peerAddress }: RoundEvent,
    lease: PunchLease,
  ): Promise<void> {
    this.#note("round", { relay: `${relay}`, firewall: payload.firewall, punching: payload.punching });
    const value = encodePunchRequest(id, secure.seal(payload), peerAddress);
    const options = { socket: lease.socket, retries: HANDSHAKE_RETRIES, signal: this.#abort.signal };
    const { target } = this.#options;
    const init = { command: Command.PeerHolepunch, target, value, timeoutMs: HANDSHAKE_TRY_MS };
    const reply = await this.#context.rpc.request(init, relay, options).catch(() => undefined);
    if (this.#abort.signal.aborted) return;
    const answer = reply && readPunchReply(reply);
    const now = this.#context.runtime.clock.now();
    if (reply === undefined || answer === undefined) {
      punch.machine.handleSilence(now, round);
    } else {
      const opened = secure.open(answer.payload);
      this.#note("round answered", {
        remoteFirewall: opened?.firewall ?? -1,
        error: opened?.error ?? -1,
        punching: opened?.punching ?? false,
      });
      const { from, to: seenAs } = reply;
      const { peerAddress } = answer;
      punch.machine.handleReply(now, round, { payload: opened, from, seenAs, peerAddress });
    }
    punch.turn();
  }

  #note(what: string, data: Parameters<TraceLog["add"]>[2]): void {
    this.#options.trace.add("punch", what, data);
  }
}
