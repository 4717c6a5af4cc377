/**
 * Finds lost packets by time (RACK-TLP, RFC 8985): a packet is lost if one sent sufficiently later has arrived. A probe
 * after two silent round trips, and a retransmission timeout after more, see to the packets at the end of a flight.
 */
import {
  DUP_THRESHOLD,
  INITIAL_RTO_MS,
  LONE_PACKET_SLACK_MS,
  MAX_BACKOFF_MS,
  MIN_PROBE_TIMEOUT_MS,
} from "./constants.ts";
import { seqAdd, seqDiff } from "./packet.ts";
import type { RttEstimator } from "./rtt.ts";
import type { SendQueue, SentPacket } from "./send_queue.ts";

/** `open`: nothing is wrong. `recovery`: RACK found losses. `loss`: a timeout found them. */
export type RecoveryState = "open" | "recovery" | "loss";

/** What a round of detection found. */
export interface DetectedLosses {
  /** Packets found lost. */
  count: number;
  /** Those of them that were probes of the MTU: no sign of congestion. */
  probes: number;
  /** When to look again, because a packet is late but not yet too late; `Infinity` = no need. */
  nextCheckAt: number;
}

/** Loss detection of one stream. */
export class LossDetector {
  readonly #queue: SendQueue;
  readonly #rtt: RttEstimator;
  readonly #detected: DetectedLosses = { count: 0, probes: 0, nextCheckAt: Infinity };
  #state: RecoveryState = "open";
  /** Recovery ends when all that was sent before it began is acknowledged. */
  #recoverySeq = 0;
  #hasReordering = false;
  /** The most recently sent packet that has arrived: when it was sent, its number, its round trip. */
  #rackSentAt = -Infinity;
  #rackSeq = 0;
  #rackRtt = 0;
  #highestAcked: number;
  /** The number of the probe that is not answered yet, or -1. */
  #probeSeq = -1;
  #backoff = 0;

  /** Watches over `queue` with the help of `rtt`. */
  constructor(queue: SendQueue, rtt: RttEstimator) {
    this.#queue = queue;
    this.#rtt = rtt;
    this.#highestAcked = queue.nextSeq;
  }

  /** What is going on. */
  get state(): RecoveryState {
    return this.#state;
  }

  /** Retransmission timeouts in a row without a sign of life. */
  get backoff(): number {
    return this.#backoff;
  }

  /** Notes that `packet` has arrived, with the round trip since it was last sent. */
  onAcked(packet: SentPacket, rtt: number): void {
    const wasRetransmitted = packet.transmits > 1;
    const end = seqAdd(packet.seq, 1);
    // A retransmission that is answered within less than the shortest round trip: the answer is to the original.
    if (!wasRetransmitted || rtt >= this.#rtt.shortest) {
      this.#rackRtt = rtt;
      if (isSentAfter(packet.sentAt, packet.seq, this.#rackSentAt, this.#rackSeq)) {
        this.#rackSentAt = packet.sentAt;
        this.#rackSeq = packet.seq;
      }
    }
    if (seqDiff(end, this.#highestAcked) > 0) this.#highestAcked = end;
    else if (seqDiff(end, this.#highestAcked) < 0 && !wasRetransmitted) this.#hasReordering = true;
  }

  /** Notes that everything before `ack` has arrived; true if a recovery ends with it. */
  onAdvanced(ack: number): boolean {
    this.#backoff = 0;
    if (this.#state === "open" || seqDiff(ack, this.#recoverySeq) < 0) return false;
    this.#state = "open";
    return true;
  }

  /** How long a gap may be taken for reordering, in milliseconds (RFC 8985, 6.2 step 4). */
  get #reorderWindow(): number {
    if (!this.#hasReordering && (this.#state !== "open" || this.#queue.sackedCount >= DUP_THRESHOLD)) {
      return 0;
    }
    return Math.min(this.#rtt.shortest / 4, this.#rtt.smoothed);
  }

  /** Marks the packets that are lost by now. */
  detect(now: number): DetectedLosses {
    const detected = this.#detected;
    detected.count = detected.probes = 0;
    detected.nextCheckAt = Infinity;
    const patience = this.#rackRtt + this.#reorderWindow;
    let packet = this.#queue.inFlight.first;
    while (packet !== undefined && packet.sentAt <= this.#rackSentAt) {
      const next = packet.next;
      if (isSentAfter(this.#rackSentAt, this.#rackSeq, packet.sentAt, packet.seq)) {
        const lateAt = packet.sentAt + patience;
        if (lateAt > now) {
          detected.nextCheckAt = Math.min(detected.nextCheckAt, lateAt);
        } else {
          detected.count++;
          if (packet.padding > 0) detected.probes++;
          this.#queue.markLost(packet);
        }
      }
      packet = next;
    }
    return detected;
  }

  /** Begins a recovery if none is under way; true if it does. */
  enterRecovery(): boolean {
    if (this.#state !== "open") return false;
    this.#state = "recovery";
    this.#recoverySeq = this.#queue.nextSeq;
    this.#probeSeq = -1;
    return true;
  }

  /**
   * A retransmission timeout: the first unacknowledged packet is lost, and all that are as old (RFC 8985, 6.3).
   *
   * @returns the first unacknowledged packet, and how many MTU probes were among the lost.
   */
  onTimeout(now: number): { oldest: SentPacket; probes: number } {
    const queue = this.#queue;
    this.#state = "loss";
    this.#recoverySeq = queue.nextSeq;
    this.#probeSeq = -1;
    this.#backoff++;
    const oldest = queue.get(queue.firstUnacked)!;
    const patience = this.#rackRtt + this.#reorderWindow;
    let probes = 0;
    let packet = queue.inFlight.first;
    while (packet !== undefined) {
      const next = packet.next;
      if (packet === oldest || packet.sentAt + patience <= now) {
        if (packet.padding > 0) probes++;
        queue.markLost(packet);
      }
      packet = next;
    }
    oldest.timeouts++;
    return { oldest, probes };
  }

  /** How long the retransmission timer runs now, in milliseconds. */
  get timeout(): number {
    const timeout = this.#rtt.timeout;
    if (this.#backoff === 0) return timeout;
    return Math.min(timeout * 2 ** this.#backoff, Math.max(2 * timeout, MAX_BACKOFF_MS));
  }

  /** How long to wait for any answer before a probe is sent, in milliseconds; `Infinity` = no probe (RFC 8985, 7.2). */
  get probeTimeout(): number {
    if (this.#state !== "open" || this.#queue.sackedCount > 0 || this.#probeSeq !== -1) return Infinity;
    if (!this.#rtt.hasSample) return INITIAL_RTO_MS;
    const lone = this.#queue.inFlight.size === 1 ? LONE_PACKET_SLACK_MS : 0;
    const timeout = Math.max(2 * this.#rtt.smoothed + lone, MIN_PROBE_TIMEOUT_MS);
    return Math.min(timeout, this.#rtt.timeout);
  }

  /** Notes that a probe left: `packet`, new or sent again. */
  onProbeSent(packet: SentPacket): void {
    this.#probeSeq = packet.seq;
  }

  /**
   * Looks at an acknowledgement up to `ack`: once it covers the probe, another may be sent. RFC 8985, 7.4.2 goes on to
   * ask whether the probe repaired a loss that should slow the sender down; BBR does not slow down for one loss.
   */
  onProbeAcked(ack: number): void {
    if (this.#probeSeq !== -1 && seqDiff(ack, this.#probeSeq) > 0) this.#probeSeq = -1;
  }
}

function isSentAfter(sentAt1: number, seq1: number, sentAt2: number, seq2: number): boolean {
  return sentAt1 > sentAt2 || (sentAt1 === sentAt2 && seqDiff(seq1, seq2) > 0);
}
