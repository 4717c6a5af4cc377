/**
 * What the swarm knows of a peer.
 */
import { equals } from "../encoding/bytes.ts";
import { toHex } from "../encoding/text.ts";
import { assert } from "../core/runtime/assert.ts";
import type { DeadlineEntry } from "../core/runtime/deadlines.ts";
import { TypedEventTarget } from "../core/runtime/events.ts";
import { MAX_ADDRESSES, MAX_PEER_TOPICS, TOPIC_BYTES } from "./constants.ts";
import type { Queueable } from "./peer_queue.ts";
import { type PeerPriority, priorityOf } from "./retry.ts";

/**
 * Where a peer is in its life: known and left alone; waiting for its turn; being dialed; connected; waiting for the next
 * try.
 */
export type PeerPhase = "idle" | "queued" | "dialing" | "connected" | "waiting";

const NEXT: Readonly<Record<PeerPhase, readonly PeerPhase[]>> = {
  idle: ["queued", "connected"],
  queued: ["dialing", "connected", "idle"],
  dialing: ["connected", "waiting", "idle"],
  connected: ["waiting", "idle"],
  waiting: ["queued", "connected", "idle"],
};

/** Events of a {@linkcode PeerInfo}. */
export interface PeerInfoEvents {
  /** The peer was found under, or has proven, a further topic. */
  topic: Uint8Array;
}

/** What applications see of a peer, beside its connection. */
export interface PeerInfo extends TypedEventTarget<PeerInfoEvents> {
  /** Its key, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Where it was found, the latest first. */
  readonly addresses: readonly string[];
  /** The topics under which it was found, or that it has proven to have. */
  readonly topics: readonly Uint8Array[];
  /** The topics among them that it has proven to have. */
  readonly provenTopics: readonly Uint8Array[];
  /** Where it is in its life. */
  readonly phase: PeerPhase;
  /** How soon it is dialed among those who wait. */
  readonly priority: PeerPriority;
  /** Failures since the last connection that lasted. */
  readonly attempts: number;
  /** Whether `joinPeer` asked for it. */
  readonly isExplicit: boolean;
  /** Whether it is kept out. */
  readonly isBanned: boolean;
  /** Whether it is dialed again after its connection is gone; true at first, and the application's to change. */
  isReconnecting: boolean;
}

/** A {@linkcode PeerInfo} with the side that only the swarm sees. */
export class Peer extends TypedEventTarget<PeerInfoEvents> implements PeerInfo, Queueable, DeadlineEntry {
  readonly publicKey: Uint8Array;
  /** {@linkcode publicKey} in hex. */
  readonly id: string;
  isReconnecting = true;
  isExplicit = false;
  isBanned = false;
  /** Whether it was connected once. */
  isProven = false;
  /** Whether it was found by a discovery that does not tell topics apart. */
  isNearby = false;
  /** Whether it has shown that it shares no topic, though it is nearby. */
  isUnrelated = false;
  /** Whether a dial has failed in a way that only a relay can mend. */
  needsRelay = false;
  attempts = 0;
  /** Dials in a row that ended because a side was busy. */
  timesBusy = 0;
  priority: PeerPriority = 2;
  queueIndex = -1;
  deadline = Infinity;
  deadlineIndex = -1;
  deadlineOrder = 0;
  #phase: PeerPhase = "idle";
  #addresses: string[] = [];
  #topics: Uint8Array[] = [];
  /** Topics under which it was found, but which count only once it has proven them. */
  #candidateTopics: Uint8Array[] = [];
  #provenTopics: readonly Uint8Array[] = [];

  /** A peer that nothing is known of yet. */
  constructor(publicKey: Uint8Array) {
    super();
    this.publicKey = publicKey.slice();
    this.id = toHex(publicKey);
  }

  get phase(): PeerPhase {
    return this.#phase;
  }

  get addresses(): readonly string[] {
    return this.#addresses;
  }

  get topics(): readonly Uint8Array[] {
    return this.#topics;
  }

  get provenTopics(): readonly Uint8Array[] {
    return this.#provenTopics;
  }

  /** Moves on in life. */
  move(phase: PeerPhase): void {
    assert(NEXT[this.#phase].includes(phase), `a peer that is ${this.#phase} cannot become ${phase}`);
    this.#phase = phase;
  }

  /** Sets {@linkcode priority} by the attempts; not while queued. */
  rank(): void {
    this.priority = priorityOf(this.attempts);
  }

  /** Notes where it was seen. Returns the addresses that are new. */
  learn(addresses: readonly string[]): string[] {
    const latest = [...new Set(addresses)].slice(0, MAX_ADDRESSES);
    const fresh = latest.filter((address) => !this.#addresses.includes(address));
    const others = this.#addresses.filter((address) => !latest.includes(address));
    if (latest.length > 0) this.#addresses = [...latest, ...others].slice(0, MAX_ADDRESSES);
    return fresh;
  }

  /** All topics under which it was found, proven or not. */
  get allTopics(): readonly Uint8Array[] {
    return this.#candidateTopics.length === 0 ? this.#topics : [...this.#topics, ...this.#candidateTopics];
  }

  /** Notes that it has `topic`. */
  addTopic(topic: Uint8Array): void {
    if (includes(this.#topics, topic) || this.#topics.length >= MAX_PEER_TOPICS) return;
    this.#topics.push(topic);
    this.emit("topic", topic);
  }

  /** Notes that it was found under `topic`, which it has to prove yet. */
  addCandidateTopic(topic: Uint8Array): void {
    if (this.hasTopic(topic) || this.#candidateTopics.length >= MAX_PEER_TOPICS) return;
    this.#candidateTopics.push(topic);
  }

  /** Whether it was found under, or has proven, `topic`. */
  hasTopic(topic: Uint8Array): boolean {
    return includes(this.#topics, topic) || includes(this.#candidateTopics, topic);
  }

  /** Notes which topics it proves now. */
  prove(topics: readonly Uint8Array[]): void {
    this.#provenTopics = topics;
    for (const topic of topics) this.addTopic(topic);
  }

  /** Forgets `topic`, which this side has left. */
  removeTopic(topic: Uint8Array): void {
    this.#topics = this.#topics.filter((known) => !equals(known, topic));
    this.#candidateTopics = this.#candidateTopics.filter((known) => !equals(known, topic));
    this.#provenTopics = this.#provenTopics.filter((known) => !equals(known, topic));
  }
}

function includes(topics: readonly Uint8Array[], topic: Uint8Array): boolean {
  return topics.some((known) => equals(known, topic));
}

/** @throws {RangeError} unless `topic` has 32 bytes. */
export function requireTopic(topic: Uint8Array): void {
  if (topic?.length !== TOPIC_BYTES) {
    throw new RangeError(
      `A topic must be ${TOPIC_BYTES} bytes, not ${topic?.length}: hash a name, for example with blake2b`,
    );
  }
}
