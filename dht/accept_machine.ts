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
import { type DeadlineEntry, Deadlines } from "../core/runtime/deadlines.ts";
import { ProtocolError } from "../core/runtime/errors.ts";
import type { Machine } from "../core/runtime/machine.ts";
import { toHex } from "../encoding/text.ts";
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
import { ACCEPT_TIMEOUT_MS, CLEAR_WAIT_MS, KNOCK_SCHEDULE_MS, MAX_COPIES } from "./connect_constants.ts";
import { HANDSHAKE_VERSION } from "./constants.ts";
import { mayBeFirstMessage, PeerHandshaking } from "./handshake.ts";
import type { ReceivedNoisePayload } from "./handshake_messages.ts";
import { Firewall, PayloadError } from "./punch/constants.ts";
import { matchLanAddress } from "./punch/lan.ts";

type AcceptInput = "denied" | "allowed" | "delayed" | "ready" | "packet" | "proven" | "end";

const TABLE: Readonly<Record<AcceptState, Partial<Readonly<Record<AcceptInput, AcceptState>>>>> = {
  deciding: { denied: "ended", allowed: "answered", delayed: "preparing", end: "ended" },
  preparing: { ready: "answered", end: "ended" },
  answered: { packet: "opening", end: "ended" },
  opening: { proven: "open", end: "ended" },
  open: { end: "ended" },
  ended: {},
};

interface Attempt extends DeadlineEntry {
  readonly id: number;
  readonly key: string;
  readonly count: CountedAttempt;
  readonly handshaking: PeerHandshaking;
  readonly payload: ReceivedNoisePayload;
  readonly handshake: Omit<AcceptedHandshake, "noise">;
  state: AcceptState;
  /** Copies that wait for the answer. */
  copies: number[];
  answer: Uint8Array | undefined;
  isFromPunchSocket: boolean;
  /** When the state ends by itself. */
  until: number;
  /** Knocks that have gone out; `Infinity` if there are none to be made. */
  knocks: number;
  answeredAt: number;
}

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
  readonly #byKey = new Map<string, Attempt>();
  readonly #attempts = new Map<number, Attempt>();
  readonly #deadlines = new Deadlines<Attempt>();

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
    const attempt: Attempt = {
      ...{ id, key, count, handshaking, payload, handshake },
      state: "deciding",
      copies: [copy],
      answer: undefined,
      isFromPunchSocket: false,
      until: now + ACCEPT_TIMEOUT_MS,
      knocks: Infinity,
      answeredAt: Infinity,
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
    const error = errorFor(payload) ||
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
    // A peer that we reach waits for us, unless it reaches us as well.
    if (isReached && !isOpen) attempt.knocks = 0;
    if (mustPunch) {
      const plan: ResponderPlan = {
        remotePublicKey: handshaking.remotePublicKey,
        secret: result.punchSecret,
        remoteFirewall: payload.firewall,
        clientAddress,
      };
      // In one local network the peer looks for our usual socket.
      const isAwaited = !isLocal(attempt, facts);
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

  /** Punching goes on beyond the time that a peer has for its first packet, or has come to its end. */
  handlePunch(now: number, id: number, isOver: boolean): void {
    const attempt = this.#at(id, "answered");
    if (attempt === undefined) return;
    if (isOver) this.#end(now, attempt, "the punch came to nothing");
    else attempt.until = Infinity; // a punch ends by itself
    this.#arm(attempt);
  }

  /** A packet for the attempt's stream has come. True if it is the first one. */
  handlePacket(now: number, id: number): boolean {
    const attempt = this.#at(id, "answered");
    if (attempt === undefined) return false;
    this.#enter(attempt, "packet");
    attempt.until = now + ACCEPT_TIMEOUT_MS;
    attempt.knocks = Infinity;
    this.#arm(attempt);
    return true;
  }

  /** The peer has proven itself. */
  handleProven(now: number, id: number): void {
    const attempt = this.#at(id, "opening");
    if (attempt === undefined) return;
    this.#enter(attempt, "proven");
    attempt.count.settle();
    attempt.until = now + this.#clearWaitMs;
    this.#arm(attempt);
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
    let attempt: Attempt | undefined;
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
  #makeRoom(now: number, handshake: Attempt["handshake"]): CountedAttempt | undefined {
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
  #oldestSilent(relay: string | undefined): Attempt | undefined {
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

  #arm(attempt: Attempt): void {
    const knock = attempt.state === "answered" ? knockAt(attempt) : Infinity;
    this.#deadlines.set(attempt, Math.min(attempt.until, knock));
  }

  #onDue(now: number, attempt: Attempt): void {
    if (attempt.state === "answered" && knockAt(attempt) <= now) {
      attempt.knocks++;
      this.#emit({ type: "knock", id: attempt.id, to: attempt.handshake.clientAddress });
    }
    if (attempt.until > now) {
      this.#arm(attempt);
    } else if (attempt.state === "open" || attempt.state === "ended") {
      this.#forget(attempt);
    } else {
      this.#end(now, attempt, "the peer did not prove itself in time");
    }
  }

  #at(id: number, state: AcceptState): Attempt | undefined {
    const attempt = this.#attempts.get(id);
    return attempt?.state === state ? attempt : undefined;
  }

  #enter(attempt: Attempt, input: AcceptInput): void {
    const next = TABLE[attempt.state][input];
    assert(next !== undefined, `an attempt that is ${attempt.state} takes no ${input}`);
    attempt.state = next;
  }

  /** The smallest number that is free: it travels in every punch message. */
  #freeId(): number {
    for (let id = 0;; id++) if (!this.#attempts.has(id)) return id;
  }

  #onCopy(attempt: Attempt, copy: number): void {
    this.counters.copies++;
    const { state, id, answer, copies, isFromPunchSocket } = attempt;
    if (state === "deciding" || state === "preparing") {
      if (copies.length < MAX_COPIES) copies.push(copy);
    } else if (answer !== undefined && (state === "answered" || state === "opening")) {
      this.#emit({ type: "answer", id, copies: [copy], noise: answer, isFromPunchSocket });
    }
  }

  #reply(attempt: Attempt, facts: AcceptFacts, error: number): Uint8Array | undefined {
    const { ownAddress, localAddresses, relays, relayAddresses, streamId } = facts;
    const isOpen = ownAddress !== undefined;
    try {
      return attempt.handshaking.send({
        error,
        firewall: isOpen ? Firewall.Open : Firewall.Unknown,
        holepunch: isOpen ? undefined : { id: attempt.id, relays },
        addresses4: isOpen ? [ownAddress, ...localAddresses] : localAddresses,
        addresses6: [],
        udx: { reusableSocket: this.#options.reusableSocket, id: streamId, seq: 0 },
        secretStream: true,
        relayAddresses: relayAddresses.length === 0 ? undefined : relayAddresses,
      });
    } catch (problem) {
      if (problem instanceof ProtocolError) return undefined;
      throw problem;
    }
  }

  #sendAnswer(now: number, attempt: Attempt, input: AcceptInput): void {
    this.#enter(attempt, input);
    attempt.answeredAt = now;
    attempt.until = now + ACCEPT_TIMEOUT_MS;
    this.#arm(attempt);
    const { id, copies, answer: noise, isFromPunchSocket } = attempt;
    attempt.copies = [];
    this.#emit({ type: "answer", id, copies, noise: noise!, isFromPunchSocket });
  }

  #end(now: number, attempt: Attempt, reason: string): void {
    if (attempt.state === "answered" || attempt.state === "opening") this.counters.unproven++;
    this.#enter(attempt, "end");
    attempt.copies = [];
    attempt.until = now + this.#clearWaitMs;
    this.#arm(attempt);
    this.#emit({ type: "ended", id: attempt.id, reason });
  }

  #forget(attempt: Attempt): void {
    this.#attempts.delete(attempt.id);
    this.#byKey.delete(attempt.key);
    this.#deadlines.delete(attempt);
    attempt.count.end();
    this.#emit({ type: "forgotten", id: attempt.id });
  }
}

function relayOf({ isDirect, from }: Attempt["handshake"]): string | undefined {
  return isDirect ? undefined : from.host;
}

function errorFor(payload: ReceivedNoisePayload): number {
  if (payload.version !== HANDSHAKE_VERSION) return PayloadError.VersionMismatch;
  return payload.udx === undefined ? PayloadError.Aborted : PayloadError.None;
}

/** Whether the peer may be in the same local network: it has the same address outside, and one like ours inside. */
function isLocal({ handshake, payload }: Attempt, { localAddresses }: AcceptFacts): boolean {
  if (handshake.clientAddress.host !== handshake.to.host) return false;
  const theirs = payload.addresses4.filter(({ isPrivate }) => isPrivate);
  return matchLanAddress(localAddresses, theirs) !== undefined;
}

function knockAt({ knocks, answeredAt }: Attempt): number {
  return answeredAt + (KNOCK_SCHEDULE_MS[knocks] ?? Infinity);
}
