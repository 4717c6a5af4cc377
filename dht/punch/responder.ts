/**
 * The side that is connected to. It answers rounds once it knows its NAT, punches when asked to, and echoes every punch: which of
 * its sockets is the one shows when the first packet of the stream comes in.
 */
import type { SocketAddress } from "../../encoding/address.ts";
import { equals } from "../../encoding/bytes.ts";
import {
  CONSISTENT_TIMEOUT_MS,
  ECHO_SCHEDULE_MS,
  Firewall,
  FULL_TTL,
  GUESS_DELAY_MS,
  LEAST_TTL,
  MAX_ECHOES_PER_SECOND,
  MAX_REQUESTS,
  MAX_REROLLS,
  MAX_RETRIES,
  PayloadError,
  RETRY_HEAD_START_MS,
  SILENCE_TIMEOUT_MS,
  TRY_LATER_MS,
} from "./constants.ts";
import type { PunchPayload } from "./payload.ts";
import { Puncher, type PunchFailureCode, type PunchOptions } from "./puncher.ts";
import { punchable } from "./targets.ts";

/** What the responder needs to know besides. */
export interface PunchResponderOptions extends PunchOptions {
  /** When the attempt began, in milliseconds. */
  readonly now: number;
}

/** A round of the initiator. */
export interface PunchRequest {
  /** What it says. */
  readonly payload: PunchPayload;
  /** The initiator as the relay sees it. */
  readonly peerAddress: SocketAddress;
  /** The relay. */
  readonly from: SocketAddress;
  /** Whether the relay is one of those that this side announced. */
  readonly isOwnRelay: boolean;
  /** The socket that it came to, and its address as the relay sees it; undefined if it came to another. */
  readonly arrival?: { readonly socket: number; readonly seenAs: SocketAddress } | undefined;
}

/** A round that has not been answered. */
interface Pending {
  readonly id: number;
  readonly request: PunchRequest;
}

/** See the head of the file. */
export class PunchResponder extends Puncher {
  #pending: Pending | undefined;
  #round = 0;
  #requests = 0;
  #rerolls = 0;
  #retries = 0;
  /** Whether the primary socket is a fresh one, because punches of the one before did not get through. */
  #isRetrying = false;
  #endsAt: number;
  #echoes = 0;
  #echoesSince = -Infinity;

  /** Begins to learn its NAT at once; the first round is on its way. */
  constructor(options: PunchResponderOptions) {
    super(options);
    this.#endsAt = options.now + SILENCE_TIMEOUT_MS;
  }

  /** A round has come in. `id` names it in the answer; a round without an answer is to be ignored. */
  handleRequest(now: number, id: number, request: PunchRequest): void {
    if (this.isDone || ++this.#requests > MAX_REQUESTS) return;
    const { payload, peerAddress, isOwnRelay, arrival, from } = request;
    if (arrival !== undefined && arrival.socket === this.primary) this.nat.add(arrival.seenAs, from);
    if (payload.error !== PayloadError.None) {
      this.#round = Math.max(this.#round, payload.round);
      return this.#abort(now, { id }, "REMOTE_ABORTED", `The peer gave up with error ${payload.error}`);
    }
    if (payload.round >= this.#round) {
      this.#round = payload.round;
      const token = this.options.tokenOf(peerAddress);
      const isEchoed = isOwnRelay && payload.remoteToken !== undefined && equals(token, payload.remoteToken);
      const hasMoved = payload.punching && this.targets.hasMovedTo(payload.addresses ?? []);
      this.updateRemote(payload, isEchoed ? peerAddress.host : undefined);
      if (hasMoved && this.isPunching) this.#follow(now);
    }
    this.#pending = { id, request };
    this.advance(now);
  }

  /** Every punch is echoed. */
  protected override onPunch(now: number, socket: number, from: SocketAddress): void {
    if (now - this.#echoesSince >= 1000) [this.#echoes, this.#echoesSince] = [0, now];
    if (++this.#echoes > MAX_ECHOES_PER_SECOND) return;
    // An answer of three bytes for one only to a host that the peer, who is known by key, has named.
    const times = this.targets.hasNamed(from) ? ECHO_SCHEDULE_MS : ECHO_SCHEDULE_MS.slice(0, 1);
    for (const ms of times) this.echo(now + ms, socket, from);
  }

  /** See {@linkcode Puncher.deadline}. */
  protected override deadline(): number {
    return this.#endsAt;
  }

  /** See {@linkcode Puncher.advance}. */
  protected override advance(now: number): void {
    if (now >= this.#endsAt) {
      return this.fail(now, "HOLEPUNCH_ABORTED", "The peer went silent, or no punch came through");
    }
    const pending = this.#pending;
    if (pending === undefined || !this.isAnalyzed) return;
    if (!this.isRemotePunching && this.isUnstable && !this.isPunching) {
      if (!this.isHopeless && this.#rerolls++ < MAX_REROLLS) return this.openPrimary();
      return this.#giveUp(now, pending);
    }
    this.#pending = undefined;
    this.#answerFast(now, pending.request);
    if (this.isRemotePunching && !this.#start(now, pending)) return;
    if (this.nat.firewall !== Firewall.Unknown) this.nat.freeze();
    this.#reply(pending, PayloadError.None);
  }

  /**
   * The initiator tries again from a fresh socket. Our own may be spoilt, too: a router that was met by a punch which it did not
   * expect has given the socket another port since, for everybody. So the old socket goes on, and a fresh one joins it.
   */
  #follow(now: number): void {
    if (this.needsGuessing || !this.punch(now) || this.#retries >= MAX_RETRIES) return;
    this.#retries++;
    this.#isRetrying = true;
    this.openPrimary(true);
  }

  /** The initiator has opened its NAT to us: a punch right now gets through before the answer has gone round by the relays. */
  #answerFast(now: number, { payload, peerAddress }: PunchRequest): void {
    const { remoteAddress } = payload;
    if (remoteAddress === undefined || punchable(this.nat.firewall) !== Firewall.Consistent) return;
    if (this.nat.addresses?.some((address) => address.equals(remoteAddress)) !== true) return;
    for (const ms of ECHO_SCHEDULE_MS) this.punchOnce(now + ms, this.primary, peerAddress, FULL_TTL);
  }

  /** Punches as the initiator wants; false if that cannot be, and then it has been told. */
  #start(now: number, pending: Pending): boolean {
    if (!this.isAllowed) {
      this.#abort(now, pending, "HOLEPUNCH_ABORTED", "The policy of this side is not to punch");
    } else if (this.needsGuessing && !this.takeBudget(now)) {
      this.#putOff(now, pending);
    } else if (!this.punch(now + this.#headStart(now)) && !this.#isRetrying) {
      this.#giveUp(now, pending);
    } else {
      this.#endsAt = this.needsGuessing ? Infinity : now + CONSISTENT_TIMEOUT_MS;
      return true;
    }
    return false;
  }

  /** How long our punches wait for something of the initiator, in milliseconds. */
  #headStart(now: number): number {
    // It opens its sockets only after our answer.
    if (this.needsGuessing) return this.remoteFirewall >= Firewall.Random ? GUESS_DELAY_MS : 0;
    if (!this.#isRetrying || !this.canSetTtl) return 0;
    for (const { address } of this.targets.list) this.punchOnce(now, this.primary, address, LEAST_TTL);
    return RETRY_HEAD_START_MS;
  }

  #putOff(now: number, pending: Pending): void {
    if (!this.options.canWait) {
      const message = "Ports are being guessed for another connection: try later";
      return this.#abort(now, pending, "TRY_LATER", message, PayloadError.TryLater);
    }
    this.#endsAt = now + TRY_LATER_MS[1] + SILENCE_TIMEOUT_MS;
    this.#reply(pending, PayloadError.TryLater);
  }

  #giveUp(now: number, pending: Pending): void {
    if (this.nat.firewall === Firewall.Unknown) {
      const message = "This side could not find out its NAT: too few nodes of the DHT answer";
      this.#abort(now, pending, "HOLEPUNCH_PROBE_TIMEOUT", message);
    } else if (this.isUnstable) {
      const message = "Both NATs use another port for each remote: connect through a relay";
      this.#abort(now, pending, "HOLEPUNCH_DOUBLE_RANDOMIZED_NATS", message);
    } else {
      const message = "The peer named no address that could be punched to";
      this.#abort(now, pending, "REMOTE_NOT_HOLEPUNCHABLE", message);
    }
  }

  #reply({ id, request }: Pending, error: number): void {
    const { payload: { token: remoteToken }, isOwnRelay, peerAddress } = request;
    const { firewall, addresses } = this.nat;
    const token = isOwnRelay ? this.options.tokenOf(peerAddress) : undefined;
    const facts = {
      error,
      firewall,
      addresses,
      round: this.#round,
      connected: false,
      punching: this.isPunching,
    };
    this.emit({ type: "reply", id, socket: this.primary, payload: { ...facts, token, remoteToken } });
  }

  #abort(
    now: number,
    { id }: Pick<Pending, "id">,
    code: PunchFailureCode,
    message: string,
    error: number = PayloadError.Aborted,
  ): void {
    const facts = {
      error,
      firewall: Firewall.Unknown,
      round: this.#round,
      connected: false,
      punching: false,
    };
    this.emit({ type: "reply", id, socket: undefined, payload: facts });
    this.fail(now, code, message);
  }
}
