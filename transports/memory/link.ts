/**
 * One direction of a link: decides for each packet whether, when and how often it arrives.
 */
import type { Random } from "../../core/runtime/runtime.ts";
import { type LinkConditions, type LinkConfig, type Ratio, resolveConditions } from "./conditions.ts";
import type { Engine } from "./engine.ts";
import type { Arrival, Packet } from "./packet.ts";

/** What a link has done, in packets. */
export interface LinkCounters {
  /** Handed to the link. */
  sent: number;
  /** Lost by chance, in bursts or not. */
  lost: number;
  /** Lost because the queue was full, the packet too long or the link down. */
  dropped: number;
  /** Delivered twice. */
  duplicated: number;
  /** Overtaken by others. */
  reordered: number;
}

/** Packets that one link may hold at once: bounds what a clogged link keeps. */
const MAX_HELD = 100_000;

/** One direction of the link between a host or a router and its network. */
export interface SimulatedLink {
  /** What it has done. */
  readonly counters: Readonly<LinkCounters>;
  /** Whether everything is lost, as if the cable were out. */
  isDown: boolean;
  /** The least time from end to end, in milliseconds. */
  readonly latencyMs: number;
  /** Changes what the link does from now on. What is under way is not affected. */
  setConditions(conditions: LinkConditions): void;
  /** Holds everything back until `at` (milliseconds of the clock), then lets it go at once, in order. */
  clogUntil(at: number): void;
}

/** The link from the network's side. */
export class Link implements SimulatedLink, Arrival {
  readonly counters: LinkCounters = { sent: 0, lost: 0, dropped: 0, duplicated: 0, reordered: 0 };
  isDown = false;
  readonly #engine: Engine;
  readonly #random: Random;
  readonly #far: Arrival;
  #config: LinkConfig;
  #isBad = false;
  #freeAt = 0;
  #lastDue = 0;
  #held = 0;

  /** A link to `far`; `name` seeds its chance. */
  constructor(engine: Engine, name: string, conditions: LinkConditions, far: Arrival) {
    this.#engine = engine;
    this.#random = engine.random.fork(`link/${name}`);
    this.#config = resolveConditions(conditions);
    this.#far = far;
  }

  get latencyMs(): number {
    return this.#config.latencyMs;
  }

  setConditions(conditions: LinkConditions): void {
    this.#config = resolveConditions(conditions);
    this.#isBad = false;
  }

  clogUntil(at: number): void {
    this.#lastDue = Math.max(this.#lastDue, at);
  }

  /** Takes a packet to carry. */
  send(packet: Packet): void {
    const engine = this.#engine;
    this.counters.sent++;
    if (this.isDown) return this.#drop(packet, "down");
    const config = this.#config;
    const wireBytes = packet.wireBytes;
    if (wireBytes > config.mtuBytes) return this.#drop(packet, "mtu");
    if (this.#isLost(config)) {
      this.counters.lost++;
      return engine.drop(packet, "loss");
    }
    const now = engine.clock.now();
    let due = now;
    if (config.bytesPerMs !== Infinity) {
      const start = this.#freeAt > now ? this.#freeAt : now;
      if ((start - now) * config.bytesPerMs + wireBytes > config.queueBytes) {
        return this.#drop(packet, "queue");
      }
      this.#freeAt = start + wireBytes / config.bytesPerMs;
      due = this.#freeAt;
    }
    due += config.latencyMs;
    if (config.jitterUs > 0) due += this.#random.below(config.jitterUs + 1) / 1000;
    if (this.#happens(config.reorder)) {
      const quarter = config.reorderUs >>> 2;
      due += (quarter + this.#random.below(config.reorderUs - quarter + 1)) / 1000;
      this.counters.reordered++;
    } else if (due < this.#lastDue) {
      due = this.#lastDue;
    } else {
      this.#lastDue = due;
    }
    if (this.#happens(config.duplicate)) {
      this.counters.duplicated++;
      engine.note("duplicated", packet);
      this.#carry(engine.pool.copy(packet), due);
    }
    this.#carry(packet, due);
  }

  /** A packet is through. */
  arrive(packet: Packet): void {
    this.#held--;
    this.#far.arrive(packet);
  }

  #carry(packet: Packet, due: number): void {
    if (this.#held >= MAX_HELD) return this.#drop(packet, "queue");
    this.#held++;
    this.#engine.pass(packet, this, due);
  }

  #drop(packet: Packet, reason: "down" | "mtu" | "queue"): void {
    this.counters.dropped++;
    this.#engine.drop(packet, reason);
  }

  #isLost(config: LinkConfig): boolean {
    const burst = config.burstLoss;
    if (burst !== undefined) {
      if (this.#happens(this.#isBad ? burst.leave : burst.enter)) this.#isBad = !this.#isBad;
      if (this.#isBad && this.#happens(burst.loss)) return true;
    }
    return this.#happens(config.loss);
  }

  #happens(ratio: Ratio | undefined): boolean {
    return ratio !== undefined && this.#random.chance(ratio[0], ratio[1]);
  }
}
