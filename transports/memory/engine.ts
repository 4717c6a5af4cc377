/**
 * What moves the packets: one heap of packets by the time at which they are due, one timer of the clock, one count and one
 * hash of everything that happens.
 */
import type { SocketAddress } from "../../encoding/address.ts";
import { Deadlines } from "../../core/runtime/deadlines.ts";
import type { Clock, Random, Timer } from "../../core/runtime/runtime.ts";
import type { Tracer } from "../../core/runtime/trace.ts";
import { type Arrival, type Packet, PacketPool } from "./packet.ts";

/** Why a packet did not arrive. */
export type DropReason =
  /** Lost by a link by chance. */
  | "loss"
  /** The queue of a link was full. */
  | "queue"
  /** Longer than a link allows. */
  | "mtu"
  /** A link was down. */
  | "down"
  /** No hops left. */
  | "ttl"
  /** Nobody has the address. */
  | "unroutable"
  /** A router let nobody from there in. */
  | "filtered"
  /** A router lets no UDP through, or had no port left. */
  | "blocked"
  /** Sender and receiver were parted. */
  | "partition"
  /** No socket has the port. */
  | "closed";

/** What happened in the whole network, in packets. */
export type NetworkCounters = Record<"sent" | "delivered" | "duplicated" | DropReason, number>;

/** Order and numbers of the events in the hash. Appending keeps old hashes. */
const EVENTS = [
  "sent",
  "delivered",
  "duplicated",
  "loss",
  "queue",
  "mtu",
  "down",
  "ttl",
  "unroutable",
  "filtered",
  "blocked",
  "partition",
  "closed",
] as const;
const EVENT_NUMBER: Record<keyof NetworkCounters, number> = Object.fromEntries(
  EVENTS.map((event, index) => [event, index + 1]),
) as Record<keyof NetworkCounters, number>;

/** Payload bytes that go into the hash: as much as a UDX header and a bit. The whole would cost more than the rest. */
const HASHED_BYTES = 24;
const FNV_PRIME = 0x01000193;
const FNV_START = 0x811c9dc5;

/** See the head of the file. */
export class Engine {
  readonly clock: Clock;
  readonly random: Random;
  readonly pool: PacketPool = new PacketPool();
  readonly counters: NetworkCounters = Object.fromEntries(
    EVENTS.map((event) => [event, 0]),
  ) as NetworkCounters;
  /** Called when a link went down or up, or a partition began or healed. */
  onTopologyChange: () => void = () => {};
  readonly #trace: Tracer | undefined;
  readonly #packets = new Deadlines<Packet>();
  readonly #timer: Timer;
  #armedFor = Infinity;
  #hash = FNV_START;

  constructor(clock: Clock, random: Random, trace: Tracer | undefined) {
    this.clock = clock;
    this.random = random;
    this.#trace = trace;
    this.#timer = clock.schedule(Infinity, () => this.#deliverDue());
  }

  /** A hash of all events until now. */
  get traceHash(): number {
    return this.#hash >>> 0;
  }

  /** How many packets are on their way. */
  get inFlight(): number {
    return this.#packets.size;
  }

  /** Lets `packet` come to `next` at the moment `at`; during this call, if that is now and it has waited before. */
  pass(packet: Packet, next: Arrival, at: number): void {
    if (at <= this.clock.now()) next.arrive(packet);
    else this.hold(packet, next, at);
  }

  /** As {@linkcode pass}, but never during this call. */
  hold(packet: Packet, next: Arrival, at: number): void {
    packet.isFresh = false;
    packet.next = next;
    this.#packets.set(packet, at);
    if (at < this.#armedFor) this.#arm(at);
  }

  /** Counts and forgets `packet`. */
  drop(packet: Packet, reason: DropReason): void {
    this.note(reason, packet);
    this.pool.release(packet);
  }

  /** Counts and hashes an event. */
  note(event: keyof NetworkCounters, packet: Packet): void {
    this.counters[event]++;
    const now = this.clock.now();
    let hash = this.#mix(EVENT_NUMBER[event]);
    hash = Math.imul(hash ^ Math.round(now * 1000), FNV_PRIME);
    hash = mixAddress(hash, packet.from);
    hash = mixAddress(hash, packet.to);
    const { payload } = packet;
    hash = Math.imul(hash ^ payload.length, FNV_PRIME);
    const length = Math.min(payload.length, HASHED_BYTES);
    for (let i = 0; i < length; i++) hash = Math.imul(hash ^ payload[i]!, FNV_PRIME);
    this.#hash = hash;
    if (this.#trace !== undefined) {
      const data = {
        from: packet.from.toString(),
        to: packet.to.toString(),
        bytes: payload.length,
        ttl: packet.ttl,
      };
      this.#trace({ at: now, part: "network", what: event, data });
    }
  }

  #mix(value: number): number {
    return Math.imul(this.#hash ^ value, FNV_PRIME);
  }

  #arm(at: number): void {
    this.#armedFor = at;
    this.#timer.reset(at);
  }

  #deliverDue(): void {
    this.#armedFor = Infinity;
    const now = this.clock.now();
    // Only what is due already: what is sent meanwhile for the same moment comes after other timers of this moment.
    let left = this.#packets.size;
    while (left-- > 0) {
      const packet = this.#packets.popDue(now);
      if (packet === undefined) break;
      packet.next.arrive(packet);
    }
    if (this.#packets.next < this.#armedFor) this.#arm(this.#packets.next);
  }
}

function mixAddress(hash: number, address: SocketAddress): number {
  if (address.family === 4) {
    return Math.imul(Math.imul(hash ^ address.bits, FNV_PRIME) ^ address.port, FNV_PRIME);
  }
  const text = address.toString();
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), FNV_PRIME);
  return hash;
}
