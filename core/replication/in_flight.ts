/** What one peer was asked for and has not answered, and how much that may be. */
import type { LogRequest } from "../log/proof_messages.ts";
import type { BlockJob } from "./block_jobs.ts";
import { ANSWER_WAIT_MS, SCALE_RTT_MS, UNKNOWN_RTT_FACTOR, WINDOW_BYTES } from "./constants.ts";
import type { ForkJob } from "./fork_jobs.ts";
import type { PeerMachine } from "./peer_machine.ts";
import type { SeekJob } from "./seek_jobs.ts";

/** A request that is on its way, and what it is for. */
export interface Inquiry {
  /** Of whom. */
  readonly peer: PeerMachine;
  /** Its id. */
  readonly id: number;
  /** What is asked, once the missing nodes were counted. */
  request: LogRequest;
  /** The block for which it is. */
  readonly job: BlockJob | undefined;
  /** The seek for which it is. */
  readonly seek: SeekJob | undefined;
  /** The fork for which it is. */
  readonly fork: ForkJob | undefined;
  /** When it was made, in milliseconds of the clock. */
  readonly sentAt: number;
  /** How often blocks had been cleared here by then. */
  readonly clears: number;
  /** Whether it counts on answers to earlier requests of the same peer. */
  isTrusting: boolean;
  /** Whether it is over: answered, cancelled, or its peer gone. */
  isOver: boolean;
}

/** How much may be asked of a peer at a time. */
export interface WindowOptions {
  /** Least and most requests. */
  readonly inflightRange: readonly [min: number, max: number];
  /** The round trip to the peer in milliseconds, if the connection knows it. */
  readonly roundTripMs: (() => number | undefined) | undefined;
}

/** The requests to one peer. An id is never used twice, so an answer that comes late cannot be taken for another. */
export class InFlight implements Iterable<Inquiry> {
  readonly #inquiries = new Map<number, Inquiry>();
  readonly #options: WindowOptions;
  #nextId = 1;
  #averageBytes = 0;

  constructor(options: WindowOptions) {
    this.#options = options;
  }

  /** How many there are. */
  get size(): number {
    return this.#inquiries.size;
  }

  /** All, oldest first. */
  [Symbol.iterator](): Iterator<Inquiry> {
    return this.#inquiries.values();
  }

  /** The id of the next request. */
  takeId(): number {
    return this.#nextId++;
  }

  /** One more. */
  add(inquiry: Inquiry): void {
    this.#inquiries.set(inquiry.id, inquiry);
  }

  /** The one with this id. */
  get(id: number): Inquiry | undefined {
    return this.#inquiries.get(id);
  }

  /** One is over. */
  delete(inquiry: Inquiry): void {
    this.#inquiries.delete(inquiry.id);
  }

  /** Until when it is waited for the first answer about a longer log, or another fork; Infinity if none is on its way. */
  get answerUntil(): number {
    for (const { request, fork, sentAt } of this) {
      if (fork !== undefined || request?.upgrade !== undefined) return sentAt + ANSWER_WAIT_MS;
    }
    return Infinity;
  }

  /** A block of that many bytes has come. */
  measure(bytes: number): void {
    this.#averageBytes += (bytes - this.#averageBytes) / (this.#averageBytes === 0 ? 1 : 16);
  }

  /**
   * How many there may be when `peers` serve the log: as many as the round trip needs, more where blocks are small (without blocks
   * to go by, the former), and not more than what may come in a second.
   */
  limit(peers: number, maxBytesPerSecond: number): number {
    const [min, max] = this.#options.inflightRange;
    const average = this.#averageBytes;
    const byBytes = average > 0 ? Math.floor(WINDOW_BYTES / average) : 0;
    const wanted = Math.max(min, Math.min(max, Math.max(this.#byRoundTrip(min, peers), byBytes)));
    if (maxBytesPerSecond === Infinity) return wanted;
    return Math.min(wanted, average > 0 ? Math.ceil(maxBytesPerSecond / average) : min);
  }

  #byRoundTrip(min: number, peers: number): number {
    const rttMs = this.#options.roundTripMs?.();
    if (rttMs === undefined) return min * UNKNOWN_RTT_FACTOR;
    if (rttMs <= SCALE_RTT_MS) return min;
    return Math.round(min * rttMs / SCALE_RTT_MS * Math.min(1, 2 / peers));
  }
}
