/**
 * How fast packets are delivered, measured per acknowledgement (draft-cheng-iccrg-delivery-rate-estimation, as in Linux
 * `tcp_rate.c`). Counted in packets and milliseconds.
 */
import type { SentPacket } from "./send_queue.ts";

/** What one acknowledgement tells about the path. One object is reused. */
export interface RateSample {
  /** Packets that this acknowledgement newly delivered. */
  acked: number;
  /** Packets that were newly found lost with it. */
  losses: number;
  /** Packets delivered over {@linkcode intervalMs}; 0 = the sample is not valid. */
  delivered: number;
  /** The time that it took, the longer of sending them and of hearing of them. */
  intervalMs: number;
  /** Packets that had been delivered when the newest acknowledged one was sent. */
  priorDelivered: number;
  /** Packets that were in flight before. */
  priorInFlight: number;
  /** The round trip of the newest acknowledged packet that was sent once; -1 = none. */
  rtt: number;
  /** Whether the application kept the path from being full. */
  isAppLimited: boolean;
}

/** The delivery rate's bookkeeping for one stream. */
export class DeliveryRate {
  readonly #sample: RateSample = {
    acked: 0,
    losses: 0,
    delivered: 0,
    intervalMs: 0,
    priorDelivered: 0,
    priorInFlight: 0,
    rtt: -1,
    isAppLimited: false,
  };
  #delivered = 0;
  #deliveredAt = 0;
  #flightStartedAt = 0;
  #appLimitedUntil = 0;
  // Of the newest packet in the acknowledgement under way.
  #newest: SentPacket | undefined;

  /** Packets delivered so far. */
  get delivered(): number {
    return this.#delivered;
  }

  /** When the last packet was delivered. */
  get deliveredAt(): number {
    return this.#deliveredAt;
  }

  /** Whether the application limits the rate now. */
  get isAppLimited(): boolean {
    return this.#appLimitedUntil > this.#delivered;
  }

  /** Notes that there was room to send and nothing to send, with `inFlight` packets out. */
  markAppLimited(inFlight: number): void {
    this.#appLimitedUntil = Math.max(this.#delivered + inFlight, 1);
  }

  /** Stamps a packet that is sent now; `isFirst` when nothing else is in flight. */
  onSent(packet: SentPacket, now: number, isFirst: boolean): void {
    if (isFirst) this.#flightStartedAt = this.#deliveredAt = now;
    packet.priorDelivered = this.#delivered;
    packet.priorDeliveredAt = this.#deliveredAt;
    packet.flightStartedAt = this.#flightStartedAt;
    packet.isAppLimited = this.isAppLimited;
  }

  /** Begins a sample, with `inFlight` packets out. */
  begin(inFlight: number): RateSample {
    const sample = this.#sample;
    sample.acked =
      sample.losses =
      sample.delivered =
      sample.intervalMs =
        0;
    sample.priorInFlight = inFlight;
    sample.rtt = -1;
    this.#newest = undefined;
    return sample;
  }

  /** Adds a packet that has arrived. */
  onAcked(packet: SentPacket, now: number): void {
    this.#delivered++;
    this.#deliveredAt = now;
    this.#sample.acked++;
    const newest = this.#newest;
    if (
      newest === undefined || packet.priorDelivered > newest.priorDelivered ||
      (packet.priorDelivered === newest.priorDelivered && packet.sentAt >= newest.sentAt)
    ) this.#newest = packet;
  }

  /** Completes the sample; `minRttMs` is the least time in which a sample can be believed. */
  finish(now: number, minRttMs: number): RateSample {
    const sample = this.#sample;
    const newest = this.#newest;
    this.#newest = undefined;
    if (this.#appLimitedUntil !== 0 && this.#delivered > this.#appLimitedUntil) this.#appLimitedUntil = 0;
    if (newest === undefined) return sample;
    this.#flightStartedAt = newest.sentAt;
    sample.priorDelivered = newest.priorDelivered;
    sample.isAppLimited = newest.isAppLimited;
    if (newest.transmits === 1) sample.rtt = now - newest.sentAt;
    const sendMs = newest.sentAt - newest.flightStartedAt;
    const ackMs = now - newest.priorDeliveredAt;
    sample.intervalMs = Math.max(sendMs, ackMs);
    // An interval below the shortest round trip comes from a spurious retransmission: it would claim any rate.
    const isSound = sample.intervalMs > 0 && (newest.transmits === 1 || sample.intervalMs >= minRttMs);
    sample.delivered = isSound ? this.#delivered - newest.priorDelivered : 0;
    return sample;
  }
}
