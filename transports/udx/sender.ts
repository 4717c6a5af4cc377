/**
 * The sending half of a stream: which packet may leave when, and what acknowledgements say about it. It joins the parts
 * that each know one thing: the queue, the round trip, loss detection, delivery rate, congestion control, pacing, MTU.
 */
import type { Slab } from "../../encoding/bytes.ts";
import { Bbr } from "./bbr.ts";
import * as wire from "./constants.ts";
import { LossDetector } from "./loss.ts";
import { MtuProber } from "./mtu.ts";
import { Pacer } from "./pacing.ts";
import { type PacketHeader, readRangeEnd, readRangeStart, seqDiff, writeHeader } from "./packet.ts";
import type { Path } from "./path.ts";
import { DeliveryRate } from "./rate_sample.ts";
import { RttEstimator } from "./rtt.ts";
import { SendQueue, type SentPacket } from "./send_queue.ts";

/** What a sender is made with. */
export interface SenderConfig {
  /** The first sequence number. */
  readonly firstSeq: number;
  /** The first sequence number of the peer. */
  readonly firstRemoteSeq: number;
  /** The largest MTU to try, in bytes, IP and UDP headers included. */
  readonly maxMtu: number;
  /** Where packets are built. */
  readonly slab: Slab;
}

/** Counters of a sender. */
export interface SenderCounters {
  /** Data packets sent again. */
  retransmits: number;
  /** Times that losses were found by RACK. */
  fastRecoveries: number;
  /** Retransmission timeouts. */
  timeouts: number;
  /** Acknowledgements and ranges that made no sense. */
  invalid: number;
}

/** The sending half of a stream. */
export class Sender {
  /** Counters. */
  readonly counters: SenderCounters = { retransmits: 0, fastRecoveries: 0, timeouts: 0, invalid: 0 };
  /** What is to be sent, and what was. */
  readonly queue: SendQueue;
  /** Round trips. */
  readonly rtt = new RttEstimator();
  /** Congestion control. */
  readonly congestion = new Bbr();
  readonly #maxMtu: number;
  readonly #loss: LossDetector;
  readonly #rate = new DeliveryRate();
  readonly #pacer = new Pacer();
  #mtu: MtuProber;
  /** What the peer takes, and the sequence and acknowledgement numbers that said so (RFC 9293's SND.WL1, WL2). */
  #peerWindow: number = wire.DEFAULT_WINDOW;
  #windowSeq: number;
  #windowAck: number;
  #isProbeOwed = false;
  #isHeartbeatOwed = false;
  #lastHeardAt = 0;

  // The deadlines, in milliseconds of the clock; `Infinity` = not set.
  /** Nothing was heard for too long: the first unacknowledged packet is lost. */
  #retransmitAt = Infinity;
  /** Nothing was heard for two round trips: probe the end of the flight. */
  #probeAt = Infinity;
  /** A packet that is late by now counts as lost then. */
  #reorderingAt = Infinity;
  /** The peer's window is closed: ask whether it has opened. */
  #windowAt = Infinity;
  /** The pacer lets the next packet out. */
  #pacingAt = Infinity;

  /** A sender that has sent nothing. */
  constructor(config: SenderConfig) {
    this.queue = new SendQueue(config.firstSeq, config.slab);
    this.#loss = new LossDetector(this.queue, this.rtt);
    this.#maxMtu = config.maxMtu;
    this.#mtu = new MtuProber(config.maxMtu);
    this.#windowSeq = config.firstRemoteSeq;
    this.#windowAck = config.firstSeq;
  }

  /** The MTU in use, in bytes, IP and UDP headers included. */
  get mtu(): number {
    return this.#mtu.current;
  }

  /** The longest payload of a packet on `path`, in bytes. */
  maxPayload(path: Path | undefined): number {
    return this.#mtu.current - wire.IP_UDP_BYTES[path?.address.family ?? 4] - wire.HEADER_BYTES;
  }

  /** Begins anew what is only true of one path. */
  onPathChanged(): void {
    this.#mtu = new MtuProber(this.#maxMtu);
  }

  /** All that is unacknowledged went nowhere: it goes along `path` instead, as if for the first time. */
  redirect(path: Path): void {
    this.onPathChanged();
    this.queue.redirect(path);
    this.#retransmitAt = this.#probeAt = this.#reorderingAt = Infinity;
  }

  /** Forgets all that is under way. */
  clear(): void {
    this.queue.clear();
    this.#retransmitAt =
      this.#probeAt =
      this.#reorderingAt =
      this.#windowAt =
      this.#pacingAt =
        Infinity;
    this.#isProbeOwed = this.#isHeartbeatOwed = false;
  }

  // --- Acknowledgements ---

  /**
   * Takes what a packet with `header` says about what was sent.
   *
   * @returns whether anything was acknowledged in order.
   */
  handleAck(now: number, header: PacketHeader, packet: Uint8Array, path: Path | undefined): boolean {
    const queue = this.queue;
    const { ack } = header;
    if (seqDiff(ack, queue.nextSeq) > 0) {
      this.counters.invalid++;
      return false;
    }
    this.#lastHeardAt = now;
    const progress = seqDiff(ack, queue.firstUnacked);
    if (progress >= 0) this.#updateWindow(header);
    const sample = this.#rate.begin(queue.inFlight.size);
    this.#takeRanges(now, header, packet, path);
    for (let i = 0; i < progress; i++) {
      const oldest = queue.get(queue.firstUnacked)!;
      if (!oldest.isAcked) this.#onPacketAcked(oldest, now, true, path);
      queue.advance();
    }
    if (sample.acked > 0 || progress > 0) this.#onAcked(now, ack, progress);
    return progress > 0;
  }

  #updateWindow({ seq, ack, window }: PacketHeader): void {
    const isNewer = seqDiff(seq, this.#windowSeq) > 0 ||
      (seq === this.#windowSeq && seqDiff(ack, this.#windowAck) >= 0);
    if (!isNewer) return;
    this.#peerWindow = window;
    this.#windowSeq = seq;
    this.#windowAck = ack;
    if (window > 0) this.#windowAt = Infinity;
  }

  #takeRanges(now: number, header: PacketHeader, packet: Uint8Array, path: Path | undefined): void {
    const queue = this.queue;
    let previousEnd = queue.firstUnacked;
    for (let at = wire.HEADER_BYTES; at + wire.RANGE_BYTES <= header.rangesEnd; at += wire.RANGE_BYTES) {
      const start = readRangeStart(packet, at);
      const end = readRangeEnd(packet, at);
      // Ascending and disjoint, so that no packet can make us walk the queue twice.
      const isValid = seqDiff(start, previousEnd) >= 0 && seqDiff(start, queue.nextSeq) < 0 &&
        seqDiff(end, start) > 0 && seqDiff(end, queue.nextSeq) <= 0;
      if (!isValid) {
        this.counters.invalid++;
        continue;
      }
      for (let seq = start; seq !== end; seq = (seq + 1) >>> 0) {
        const sent = queue.get(seq)!;
        if (!sent.isAcked) this.#onPacketAcked(sent, now, false, path);
      }
      previousEnd = end;
    }
  }

  #onPacketAcked(packet: SentPacket, now: number, inOrder: boolean, path: Path | undefined): void {
    this.#loss.onAcked(packet, now - packet.sentAt);
    if (packet.padding > 0 && packet.path === path) this.#mtu.onProbeAcked();
    this.queue.markAcked(packet, inOrder);
    this.#rate.onAcked(packet, now);
  }

  #onAcked(now: number, ack: number, progress: number): void {
    const queue = this.queue;
    const sample = this.#rate.finish(now, this.rtt.shortest);
    this.#mtu.onAck();
    if (sample.rtt >= 0) this.rtt.sample(now, sample.rtt);
    this.#loss.onProbeAcked(ack);
    if (progress > 0 && this.#loss.onAdvanced(ack)) this.congestion.onRecoveryEnd();
    sample.losses = this.#detectLosses(now, sample.acked);
    this.congestion.onAck(now, sample, this.#rate.delivered, queue.inFlight.size, this.#mtu.current);
    // Also when all of it was acknowledged out of order before: an idle queue has no timers.
    this.#retransmitAt = queue.isIdle ? Infinity : now + this.#loss.timeout;
    this.#probeAt = queue.isIdle ? Infinity : now + this.#loss.probeTimeout;
  }

  /** Finds losses, and has the congestion control told of them. */
  #detectLosses(now: number, acked: number): number {
    const found = this.#loss.detect(now);
    this.#reorderingAt = found.nextCheckAt;
    for (let i = 0; i < found.probes; i++) this.#mtu.onProbeLost();
    if (found.count > found.probes && this.#loss.enterRecovery()) {
      this.counters.fastRecoveries++;
      this.congestion.onRecoveryStart(this.queue.inFlight.size, acked);
    }
    return found.count;
  }

  // --- Time ---

  /** When {@linkcode handleTimeout} wants to be called. */
  nextTimeout(): number {
    return Math.min(this.#retransmitAt, this.#probeAt, this.#reorderingAt, this.#windowAt, this.#pacingAt);
  }

  /**
   * Does what is due.
   *
   * @returns the oldest packet, if it has timed out: {@linkcode silenceOf} tells for how long the peer has not answered.
   */
  handleTimeout(now: number): SentPacket | undefined {
    if (this.#pacingAt <= now) this.#pacingAt = Infinity;
    if (this.#reorderingAt <= now) this.#detectLosses(now, 0);
    if (this.#probeAt <= now) {
      this.#probeAt = Infinity;
      this.#isProbeOwed = true;
    }
    if (this.#windowAt <= now) {
      this.#windowAt = now + 2 * this.rtt.timeout;
      this.#isHeartbeatOwed = true;
    }
    return this.#retransmitAt <= now ? this.#onRetransmitTimeout(now) : undefined;
  }

  #onRetransmitTimeout(now: number): SentPacket | undefined {
    this.counters.timeouts++;
    const { oldest, probes } = this.#loss.onTimeout(now);
    for (let i = 0; i < probes; i++) this.#mtu.onProbeLost();
    this.congestion.onTimeout();
    this.#reorderingAt = this.#probeAt = Infinity;
    this.#isProbeOwed = false;
    this.#retransmitAt = now + this.#loss.timeout;
    return oldest;
  }

  /** Milliseconds without a sign of life since `packet` went out. Rounded, because the moments are sums of fractions. */
  silenceOf(packet: SentPacket, now: number): number {
    return Math.ceil(now - Math.max(this.#lastHeardAt, packet.firstSentAt));
  }

  // --- Sending ---

  /** Whether a heartbeat should ask for the peer's window; asks once. */
  takeHeartbeat(): boolean {
    const isOwed = this.#isHeartbeatOwed;
    this.#isHeartbeatOwed = false;
    return isOwed;
  }

  /**
   * The next sequenced packet that may leave now, new or again; undefined when there is none. It counts as sent. Its
   * header is complete but for window and acknowledgement.
   */
  poll(now: number, path: Path): SentPacket | undefined {
    const queue = this.queue;
    const lost = queue.lost.first;
    if (this.#isProbeOwed) {
      this.#isProbeOwed = false;
      const probe = this.#pollProbe(now, path);
      if (probe !== undefined) return probe;
    }
    if (lost === undefined && !queue.hasUnsent) {
      if (queue.inFlight.size < this.congestion.window) this.#rate.markAppLimited(queue.inFlight.size);
      return undefined;
    }
    if (queue.inFlight.size >= this.congestion.window) return undefined;
    this.#pacingAt = this.#pacer.nextSendTime(now, this.congestion.pacingRate);
    if (this.#pacingAt > now) return undefined;
    this.#pacingAt = Infinity;
    // The window is for new data: what is sent again was allowed once.
    const packet = lost ?? this.#pack(now, path, true);
    return packet && this.#markSent(now, packet);
  }

  /** A tail loss probe heeds neither window: new data if there is some, else the newest packet again. */
  #pollProbe(now: number, path: Path): SentPacket | undefined {
    const queue = this.queue;
    const packet = (queue.hasUnsent ? this.#pack(now, path, false) : undefined) ?? queue.lost.first ??
      queue.inFlight.last;
    if (packet === undefined) return undefined;
    this.#markSent(now, packet);
    this.#loss.onProbeSent(packet);
    this.#probeAt = Infinity;
    return packet;
  }

  /** Packs new data, if the peer takes it. */
  #pack(now: number, path: Path, mayProbeMtu: boolean): SentPacket | undefined {
    const queue = this.queue;
    const payload = this.maxPayload(path);
    const wanted = Math.min(payload, queue.unsentBytes);
    const room = Math.max(this.#peerWindow - queue.outstandingBytes, 0);
    // Less than wanted is sent only where nothing else would bring news of the window.
    const isClosed = queue.isFull || (wanted > room && (room === 0 || !queue.isIdle));
    if (isClosed) {
      this.#rate.markAppLimited(queue.inFlight.size);
      if (queue.isIdle && this.#windowAt === Infinity) this.#windowAt = now + this.rtt.timeout;
      return undefined;
    }
    const probesMtu = mayProbeMtu && this.#mtu.wantsProbe && wanted === payload && room >= payload;
    const padding = probesMtu ? this.#mtu.probeSize - this.#mtu.current : 0;
    if (probesMtu) this.#mtu.onProbeSent();
    if (queue.isIdle && this.#rate.isAppLimited) this.congestion.onRestart(now);
    const packet = queue.pack(Math.min(wanted, room), padding, path);
    writeHeader(packet.buffer, packet.type, padding, path.remoteId, 0, packet.seq, 0);
    return packet;
  }

  #markSent(now: number, packet: SentPacket): SentPacket {
    if (packet.transmits > 0) {
      this.counters.retransmits++;
      if (packet.padding > 0) {
        packet.removePadding();
        this.#mtu.onProbeLost();
      }
    }
    this.#rate.onSent(packet, now, this.queue.inFlight.size === 0);
    this.queue.markSent(packet, now);
    this.#pacer.onSent(packet.buffer.length);
    this.#windowAt = Infinity;
    if (this.#retransmitAt === Infinity) this.#retransmitAt = now + this.#loss.timeout;
    this.#probeAt = now + this.#loss.probeTimeout;
    return packet;
  }
}
