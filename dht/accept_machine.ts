/**
 * Being dialed, without I/O: all attempts of one server. A handshake is looked into, put before the server's policy, answered, and
 * then remembered until the peer has proven itself on a stream, or has not.
 *
 * ```text
 * deciding --allowed--> preparing --ready--> answered --packet--> opening --proven--> open
 *    |      \---allowed, nothing to prepare---^  |                   |                 |
 *    +--denied--> ended <------------------------+-------------------+-----------------+   forgotten after a while
 * ```
 *
 * A first message may be a replay and its sender's address a lie. So nothing but the answer and a few knocks of 20 bytes goes out,
 * and no connection is reported, before a message has come that only the owner of the key can have sealed.
 *
 * Source of the rules: hyperdht 6.34.0, lib/server.js.
 */
import { assert } from "../core/runtime/assert.ts";
import { Deadlines } from "../core/runtime/deadlines.ts";
import { ProtocolError } from "../core/runtime/errors.ts";
import type { Machine } from "../core/runtime/machine.ts";
import { toHex } from "../encoding/text.ts";
import { type AcceptAttempt, errorFor, isLocal, knockAt, relayAt, relayOf } from "./accept_record.ts";
import type {
  AcceptCounters,
  AcceptedHandshake,
  AcceptEvent,
  AcceptFacts,
  AcceptOptions,
  AcceptState,
  ResponderPlan,
} from "./accept_types.ts";
import type { AttemptLimits, CountedAttempt } from "./attempt_limits.ts";
import { ACCEPT_TIMEOUT_MS, CLEAR_WAIT_MS, CONFIRM_MS, MAX_COPIES } from "./connect_constants.ts";
import { mayBeFirstMessage, PeerHandshaking } from "./handshake.ts";
import { Firewall, PayloadError } from "./punch/constants.ts";

type AcceptInput = "denied" | "allowed" | "delayed" | "ready" | "packet" | "proven" | "end";

const TABLE: Readonly<Record<AcceptState, Partial<Readonly<Record<AcceptInput, AcceptState>>>>> = {
  deciding: { denied: "ended", allowed: "answered", delayed: "preparing", end: "ended" },
  preparing: { ready: "answered", end: "ended" },
  answered: { packet: "opening", end: "ended" },
  opening: { proven: "open", end: "ended" },
  open: { end: "ended" },
  ended: {},
};

/** See the head of the file. */
export class AcceptMachine implements Machine<AcceptEvent> {
  /** Counters. */
  readonly counters: AcceptCounters = {
    malformed: 0,
    flooded: 0,
    forged: 0,
    denied: 0,
    copies: 0,
    unproven: 0,
  };
  readonly #options: AcceptOptions;
  readonly #clearWaitMs: number;
  readonly #events: AcceptEvent[] = [];
  readonly #byKey = new Map<string, AcceptAttempt>();
  readonly #attempts = new Map<number, AcceptAttempt>();
  readonly #deadlines = new Deadlines<AcceptAttempt>();

  /** A server that nobody has dialed. */
  constructor(options: AcceptOptions) {
    this.#options = options;
    this.#clearWaitMs = options.clearWaitMs ?? CLEAR_WAIT_MS;
  }

  /** Attempts that are remembered. */
  get size(): number {
    return this.#attempts.size;
  }

  /** Where an attempt stands; undefined if it is not known. */
  stateOf(id: number): AcceptState | undefined {
    return this.#attempts.get(id)?.state;
  }

  /** A handshake has come. `copy` names it in the answer; one that is not answered is to be ignored. */
  handleHandshake(now: number, copy: number, arrived: AcceptedHandshake): void {
    const { noise, ...handshake } = arrived;
    if (!mayBeFirstMessage(noise)) {
      this.counters.malformed++;
      return;
    }
    const key = toHex(noise);
    const known = this.#byKey.get(key);
    if (known !== undefined) {
      this.#onCopy(known, copy);
      return;
    }
    const { limits, keyPair } = this.#options;
    if (!limits.mayLookInto(now, handshake.clientAddress.host, relayOf(handshake))) {
      this.counters.flooded++;
      return;
    }
    const handshaking = new PeerHandshaking(this.#options, keyPair);
    const payload = handshaking.tryReceive(noise);
    if (payload === undefined) {
      this.counters.forged++;
      return;
    }
    const count = this.#makeRoom(now, handshake);
    if (count === undefined) {
      this.counters.flooded++;
      return;
    }
    const id = this.#freeId();
    const attempt: AcceptAttempt = {
      ...{ id, key, count, handshaking, payload, handshake },
      state: "deciding",
      copies: [copy],
      answer: undefined,
      isFromPunchSocket: false,
      until: now + ACCEPT_TIMEOUT_MS,
      knocks: Infinity,
      answeredAt: Infinity,
      ...{ relay: undefined, relayAt: Infinity, isMeeting: false, isPunching: false },
      ...{ deadline: Infinity, deadlineIndex: -1, deadlineOrder: 0 },
    };
    this.#arm(attempt);
    this.#byKey.set(key, attempt);
    this.#attempts.set(id, attempt);
    const { remotePublicKey } = handshaking;
    this.#emit({ type: "policy", id, remotePublicKey, payload, clientAddress: handshake.clientAddress });
  }

  /** The policy does not want the peer: it gets no answer at all. */
  deny(now: number, id: number): void {
    const attempt = this.#at(id, "deciding");
    if (attempt === undefined) return;
    this.counters.denied++;
    this.#end(now, attempt, "denied");
  }

  /** The policy wants the peer. */
  allow(now: number, id: number, facts: AcceptFacts): void {
    const attempt = this.#at(id, "deciding");
    if (attempt === undefined) return;
    const { handshaking, payload, handshake } = attempt;
    const isOpen = facts.ownAddress !== undefined;
    const { isDirect, clientAddress } = handshake;
    const isReached = isDirect || payload.firewall === Firewall.Open;
    const mustPunch = !isReached && !isOpen && this.#options.mayPunch;
    const error = errorFor(payload, facts) ||
      (mustPunch && facts.isBusy ? PayloadError.TryLater : PayloadError.None);
    const noise = this.#reply(attempt, facts, error);
    if (noise === undefined) return this.#end(now, attempt, "its key is no usable point");
    attempt.answer = noise;
    if (error !== PayloadError.None) {
      this.#sendAnswer(now, attempt, "allowed");
      return this.#end(now, attempt, `the answer was error ${error}`);
    }
    const result = handshaking.finish();
    this.#emit({ type: "keys", id, result, payload });
    const relay = facts.relayThrough ?? payload.relayThrough;
    if (relay !== undefined && !isDirect) {
      const isInitiator = facts.relayThrough !== undefined;
      attempt.relay = { type: "relay", id, relay, isInitiator, clientAddress };
      // Where one can reach the other, they meet before, unless somebody in between does not want that.
      attempt.relayAt = isOpen || isReached ? now + CONFIRM_MS : now;
    }
    // Whom we reach is spoken to at once: it may wait for us, and it hears us before the answer has come round by the relay.
    if (isReached && !isDirect) attempt.knocks = 0;
    if (mustPunch) {
      const plan: ResponderPlan = {
        remotePublicKey: handshaking.remotePublicKey,
        secret: result.punchSecret,
        remoteFirewall: payload.firewall,
        clientAddress,
        canWait: relay !== undefined,
      };
      // In one local network the peer looks for our usual socket.
      const isAwaited = !isLocal(attempt, facts);
      attempt.isPunching = plan.canWait;
      this.#emit({ type: "punch", id, plan, isAwaited });
      if (isAwaited) {
        this.#enter(attempt, "delayed");
        return;
      }
    }
    this.#sendAnswer(now, attempt, "allowed");
  }

  /** There is a socket to be punched to, or there will be none. */
  handlePrepared(now: number, id: number, hasSocket: boolean): void {
    const attempt = this.#at(id, "preparing");
    if (attempt === undefined) return;
    attempt.isFromPunchSocket = hasSocket;
    this.#sendAnswer(now, attempt, "ready");
  }

  /** Punching goes on beyond the time that a peer has for its first packet, or has come to its end, good or bad. */
  handlePunch(now: number, id: number, isOver: boolean): void {
    const attempt = this.#attempts.get(id);
    if (attempt === undefined || attempt.state === "ended") return;
    attempt.isPunching = !isOver;
    if (attempt.state === "answered") {
      const hasMeeting = attempt.isMeeting || attempt.relay !== undefined;
      if (isOver && !hasMeeting) return this.#end(now, attempt, "the punch came to nothing");
      this.#extend(now, attempt, ACCEPT_TIMEOUT_MS);
    } else if (attempt.state === "open") this.#extend(now, attempt, this.#clearWaitMs);
  }

  /** The peer was not met at the relay. */
  handleRelayEnd(now: number, id: number): void {
    const attempt = this.#attempts.get(id);
    if (attempt === undefined) return;
    attempt.isMeeting = false;
    if (attempt.state === "answered") this.#extend(now, attempt, ACCEPT_TIMEOUT_MS);
  }

  /** A packet for the attempt's stream has come. True if it is the first one. */
  handlePacket(now: number, id: number): boolean {
    const attempt = this.#at(id, "answered");
    if (attempt === undefined) return false;
    this.#enter(attempt, "packet");
    attempt.until = now + ACCEPT_TIMEOUT_MS;
    attempt.knocks = Infinity;
    attempt.relay = undefined;
    attempt.isMeeting = false;
    this.#arm(attempt);
    return true;
  }

  /** The peer has proven itself. */
  handleProven(now: number, id: number): void {
    const attempt = this.#at(id, "opening");
    if (attempt === undefined) return;
    this.#enter(attempt, "proven");
    attempt.count.settle();
    this.#extend(now, attempt, this.#clearWaitMs);
  }

  /** The stream broke. */
  handleStreamEnd(now: number, id: number): void {
    const attempt = this.#attempts.get(id);
    if (attempt !== undefined && attempt.state === "opening") this.#end(now, attempt, "the stream broke");
  }

  /** Ends all attempts that are not open, and forgets all. */
  clear(now: number): void {
    for (const attempt of [...this.#attempts.values()]) {
      if (attempt.state !== "open" && attempt.state !== "ended") {
        this.#end(now, attempt, "the server is closed");
      }
      this.#forget(attempt);
    }
  }

  /** See {@linkcode Machine.handleTimeout}. */
  handleTimeout(now: number): void {
    let attempt: AcceptAttempt | undefined;
    while ((attempt = this.#deadlines.popDue(now)) !== undefined) this.#onDue(now, attempt);
  }

  /** See {@linkcode Machine.nextTimeout}. */
  nextTimeout(): number {
    return this.#deadlines.next;
  }

  /** See {@linkcode Machine.pollEvent}. */
  pollEvent(): AcceptEvent | undefined {
    return this.#events.shift();
  }

  /** Where there are too many, the oldest goes whose peer has shown no sign of life: only time tells it from the others. */
  #makeRoom(now: number, handshake: AcceptAttempt["handshake"]): CountedAttempt | undefined {
    const { limits } = this.#options;
    const [host, relay] = [handshake.clientAddress.host, relayOf(handshake)];
    let shortage: ReturnType<AttemptLimits["shortage"]>;
    while ((shortage = limits.shortage(host, relay)) !== undefined) {
      if (shortage === "host") return undefined;
      const victim = this.#oldestSilent(shortage === "relay" ? relay : undefined);
      if (victim === undefined) return undefined;
      if (victim.state !== "ended") this.#end(now, victim, "a flood of others came after it");
      this.#forget(victim);
    }
    return limits.start(host, relay);
  }

  /** The oldest attempt over `relay`, or of all, whose peer has sent nothing but the handshake. */
  #oldestSilent(relay: string | undefined): AcceptAttempt | undefined {
    for (const attempt of this.#attempts.values()) {
      const { state, until, handshake } = attempt;
      const isSilent = state !== "opening" && state !== "open" && until !== Infinity;
      if (isSilent && (relay === undefined || relayOf(handshake) === relay)) return attempt;
    }
    return undefined;
  }

  #emit(event: AcceptEvent): void {
    this.#events.push(event);
  }

  #arm(attempt: AcceptAttempt): void {
    const isWaiting = attempt.state === "answered";
    const next = isWaiting ? Math.min(knockAt(attempt), relayAt(attempt)) : Infinity;
    this.#deadlines.set(attempt, Math.min(attempt.until, next));
  }

  /** What is under way besides ends by itself: only then the clock of the state counts. */
  #extend(now: number, attempt: AcceptAttempt, ms: number): void {
    attempt.until = attempt.isPunching || attempt.isMeeting ? Infinity : now + ms;
    this.#arm(attempt);
  }

  #onDue(now: number, attempt: AcceptAttempt): void {
    if (attempt.state === "answered" && knockAt(attempt) <= now) {
      attempt.knocks++;
      this.#emit({ type: "knock", id: attempt.id, to: attempt.handshake.clientAddress });
    }
    if (attempt.state === "answered" && relayAt(attempt) <= now) this.#meet(now, attempt);
    if (attempt.until > now) {
      this.#arm(attempt);
    } else if (attempt.state === "open" || attempt.state === "ended") {
      this.#forget(attempt);
    } else {
      this.#end(now, attempt, "the peer did not prove itself in time");
    }
  }

  #at(id: number, state: AcceptState): AcceptAttempt | undefined {
    const attempt = this.#attempts.get(id);
    return attempt?.state === state ? attempt : undefined;
  }

  #enter(attempt: AcceptAttempt, input: AcceptInput): void {
    const next = TABLE[attempt.state][input];
    assert(next !== undefined, `an attempt that is ${attempt.state} takes no ${input}`);
    attempt.state = next;
  }

  /** The smallest number that is free: it travels in every punch message. */
  #freeId(): number {
    for (let id = 0;; id++) if (!this.#attempts.has(id)) return id;
  }

  #onCopy(attempt: AcceptAttempt, copy: number): void {
    this.counters.copies++;
    const { state, id, answer, copies, isFromPunchSocket } = attempt;
    if (state === "deciding" || state === "preparing") {
      if (copies.length < MAX_COPIES) copies.push(copy);
    } else if (answer !== undefined && (state === "answered" || state === "opening")) {
      this.#emit({ type: "answer", id, copies: [copy], noise: answer, isFromPunchSocket });
    }
  }

  #meet(now: number, attempt: AcceptAttempt): void {
    this.#emit(attempt.relay!);
    attempt.relay = undefined;
    attempt.isMeeting = true;
    this.#extend(now, attempt, ACCEPT_TIMEOUT_MS);
  }

  #reply(attempt: AcceptAttempt, facts: AcceptFacts, error: number): Uint8Array | undefined {
    const { ownAddress, localAddresses, relays, relayAddresses, relayThrough, streamId } = facts;
    const isOpen = ownAddress !== undefined;
    const mobility = attempt.payload.udx?.mobility;
    try {
      return attempt.handshaking.send({
        error,
        firewall: isOpen ? Firewall.Open : Firewall.Unknown,
        holepunch: isOpen ? undefined : { id: attempt.id, relays },
        addresses4: isOpen ? [ownAddress, ...localAddresses] : localAddresses,
        addresses6: [],
        udx: {
          reusableSocket: this.#options.reusableSocket,
          id: streamId,
          seq: 0,
          ...(mobility && { mobility }),
        },
        secretStream: true,
        relayThrough,
        relayAddresses: relayAddresses.length === 0 ? undefined : relayAddresses,
      });
    } catch (problem) {
      if (problem instanceof ProtocolError) return undefined;
      throw problem;
    }
  }

  #sendAnswer(now: number, attempt: AcceptAttempt, input: AcceptInput): void {
    this.#enter(attempt, input);
    attempt.answeredAt = now;
    this.#extend(now, attempt, ACCEPT_TIMEOUT_MS);
    const { id, copies, answer: noise, isFromPunchSocket } = attempt;
    attempt.copies = [];
    this.#emit({ type: "answer", id, copies, noise: noise!, isFromPunchSocket });
    if (relayAt(attempt) <= now && attempt.state === "answered") this.#meet(now, attempt);
  }

  #end(now: number, attempt: AcceptAttempt, reason: string): void {
    if (attempt.state === "answered" || attempt.state === "opening") this.counters.unproven++;
    this.#enter(attempt, "end");
    attempt.copies = [];
    attempt.relay = undefined;
    attempt.isPunching = attempt.isMeeting = false;
    this.#extend(now, attempt, this.#clearWaitMs);
    this.#emit({ type: "ended", id: attempt.id, reason });
  }

  #forget(attempt: AcceptAttempt): void {
    this.#attempts.delete(attempt.id);
    this.#byKey.delete(attempt.key);
    this.#deadlines.delete(attempt);
    attempt.count.end();
    this.#emit({ type: "forgotten", id: attempt.id });
  }
}
