/**
 * What is to be sent, what is on its way, and what got lost on it.
 */
import { assert } from "../../core/runtime/assert.ts";
import type { Slab } from "../../encoding/bytes.ts";
import { DATA, END, HEADER_BYTES, MAX_SEQ_AHEAD } from "./constants.ts";
import { DATA_OFFSET_AT, seqAdd, seqDiff, writeStreamId } from "./packet.ts";
import type { Path } from "./path.ts";

const NOTHING = new Uint8Array(0);
const INITIAL_RING = 16;

/** One packet that consumed a sequence number and is not yet acknowledged in order. */
export class SentPacket {
  /** The packet as last sent: header, padding if it is a probe, payload. */
  buffer: Uint8Array;
  /** Its sequence number. */
  readonly seq: number;
  /** `DATA`, `END` or both. */
  readonly type: number;
  /** Payload bytes. */
  readonly payloadBytes: number;
  /** Offset in the byte stream of the byte behind its payload. */
  readonly endOffset: number;
  /** Where it is sent, also when it is sent again: a change of the remote is for new packets, a redirection for all. */
  path: Path;
  /** Bytes of padding that make it a probe of the path's MTU; 0 = not a probe. */
  padding: number;
  /** When it was first sent. */
  firstSentAt = 0;
  /** When it was last sent. */
  sentAt = 0;
  /** How often it was sent. */
  transmits = 0;
  /** How many retransmission timeouts it has seen. */
  timeouts = 0;
  /** Acknowledged, in order or not. */
  isAcked = false;
  /** Acknowledged out of order. */
  isSacked = false;
  /** Given up for lost, and not sent again since. */
  isLost = false;

  // What the delivery rate was about when this packet was sent: see rate_sample.ts.
  /** Packets delivered before it was sent. */
  priorDelivered = 0;
  /** When the last of those was delivered. */
  priorDeliveredAt = 0;
  /** When the flight that it belongs to began. */
  flightStartedAt = 0;
  /** Whether the application, not the path, set the rate. */
  isAppLimited = false;

  /** Neighbours in the list that it is in. */
  previous: SentPacket | undefined;
  /** See {@linkcode previous}. */
  next: SentPacket | undefined;

  /** A packet that has not been sent yet. */
  constructor(
    seq: number,
    type: number,
    buffer: Uint8Array,
    padding: number,
    payloadBytes: number,
    endOffset: number,
    path: Path,
  ) {
    this.seq = seq;
    this.type = type;
    this.buffer = buffer;
    this.padding = padding;
    this.payloadBytes = payloadBytes;
    this.endOffset = endOffset;
    this.path = path;
  }

  /** Makes a probe an ordinary packet: the header moves to the end of what was padding, in place. */
  removePadding(): void {
    const padded = this.buffer;
    padded.copyWithin(this.padding, 0, HEADER_BYTES);
    this.buffer = padded.subarray(this.padding);
    this.buffer[DATA_OFFSET_AT] = 0;
    this.padding = 0;
  }
}

/** A list of packets in the order in which they were added. Each packet is in one list at the most. */
export class PacketList {
  /** The oldest. */
  first: SentPacket | undefined;
  /** The newest. */
  last: SentPacket | undefined;
  /** How many. */
  size = 0;

  /** Adds at the end. */
  push(packet: SentPacket): void {
    packet.previous = this.last;
    packet.next = undefined;
    if (this.last === undefined) this.first = packet;
    else this.last.next = packet;
    this.last = packet;
    this.size++;
  }

  /** Takes out of the middle. */
  remove(packet: SentPacket): void {
    if (packet.previous === undefined) this.first = packet.next;
    else packet.previous.next = packet.next;
    if (packet.next === undefined) this.last = packet.previous;
    else packet.next.previous = packet.previous;
    packet.previous = packet.next = undefined;
    this.size--;
  }
}

/** The sending half of a stream. */
export class SendQueue {
  /** Sent and believed to be on its way, in the order of sending. */
  readonly inFlight = new PacketList();
  /** Believed to be lost, in the order of finding out. */
  readonly lost = new PacketList();
  readonly #slab: Slab;
  #ring: (SentPacket | undefined)[] = new Array(INITIAL_RING).fill(undefined);
  #mask = INITIAL_RING - 1;
  #chunks: Uint8Array[] = [];
  #head = 0;
  #headOffset = 0;
  #unsentBytes = 0;
  #writtenOffset = 0;
  #sentOffset = 0;
  #cutOffset = 0;
  #ackedOffset = 0;
  #outstandingBytes = 0;
  #firstUnacked: number;
  #nextSeq: number;
  #sackedCount = 0;
  #end: "none" | "queued" | "sent" | "acked" = "none";

  /** A queue whose first packet is `seq`; packets are built in pieces of `slab`. */
  constructor(seq: number, slab: Slab) {
    this.#firstUnacked = this.#nextSeq = seq;
    this.#slab = slab;
  }

  /** The lowest sequence number that is not acknowledged. */
  get firstUnacked(): number {
    return this.#firstUnacked;
  }

  /** The sequence number of the next new packet. */
  get nextSeq(): number {
    return this.#nextSeq;
  }

  /** Whether all that was sent is acknowledged. */
  get isIdle(): boolean {
    return this.#firstUnacked === this.#nextSeq;
  }

  /** Whether so many packets wait for an earlier one that the peer would not take another. */
  get isFull(): boolean {
    return seqDiff(this.#nextSeq, this.#firstUnacked) >= MAX_SEQ_AHEAD;
  }

  /** Bytes that wait for their first sending. */
  get unsentBytes(): number {
    return this.#unsentBytes;
  }

  /** Payload bytes between the first unacknowledged packet and the newest. */
  get outstandingBytes(): number {
    return this.#outstandingBytes;
  }

  /** Bytes that were ever written. */
  get writtenOffset(): number {
    return this.#writtenOffset;
  }

  /** Bytes that were acknowledged without a gap. */
  get ackedOffset(): number {
    return this.#ackedOffset;
  }

  /** Packets that were acknowledged out of order. */
  get sackedCount(): number {
    return this.#sackedCount;
  }

  /** How far the END of this side has come. */
  get end(): "none" | "queued" | "sent" | "acked" {
    return this.#end;
  }

  /** Whether there is something that was never sent. */
  get hasUnsent(): boolean {
    return this.#unsentBytes > 0 || this.#end === "queued";
  }

  /** Appends bytes to the stream. The chunk is kept until it is packed. */
  write(chunk: Uint8Array): void {
    assert(this.#end === "none", "no byte is written behind the end");
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#unsentBytes += chunk.length;
    this.#writtenOffset += chunk.length;
  }

  /** What was written so far shares no packet with what comes. */
  cut(): void {
    this.#cutOffset = this.#writtenOffset;
  }

  /** Ends the stream behind what was written. */
  writeEnd(): void {
    if (this.#end === "none") this.#end = "queued";
  }

  /** Packs up to `capacity` bytes of what is unsent behind `padding` bytes, as the next packet. */
  pack(capacity: number, padding: number, path: Path): SentPacket {
    let payloadBytes = Math.min(capacity, this.#unsentBytes);
    if (this.#sentOffset < this.#cutOffset) {
      payloadBytes = Math.min(payloadBytes, this.#cutOffset - this.#sentOffset);
    }
    const buffer = this.#slab.alloc(HEADER_BYTES + padding + payloadBytes);
    if (padding > 0) buffer.fill(0, HEADER_BYTES, HEADER_BYTES + padding);
    this.#copy(buffer, HEADER_BYTES + padding, payloadBytes);
    this.#unsentBytes -= payloadBytes;
    this.#sentOffset += payloadBytes;
    let type = payloadBytes > 0 ? DATA : 0;
    if (this.#end === "queued" && this.#unsentBytes === 0) {
      this.#end = "sent";
      type |= END;
    }
    assert(type !== 0, "a packet carries data or the end");
    const packet = new SentPacket(this.#nextSeq, type, buffer, padding, payloadBytes, this.#sentOffset, path);
    this.#nextSeq = seqAdd(this.#nextSeq, 1);
    this.#outstandingBytes += payloadBytes;
    this.#store(packet);
    return packet;
  }

  #copy(into: Uint8Array, at: number, bytes: number): void {
    while (bytes > 0) {
      const chunk = this.#chunks[this.#head]!;
      const part = Math.min(bytes, chunk.length - this.#headOffset);
      if (part === chunk.length) into.set(chunk, at);
      else into.set(chunk.subarray(this.#headOffset, this.#headOffset + part), at);
      at += part;
      bytes -= part;
      this.#headOffset += part;
      if (this.#headOffset === chunk.length) this.#dropHead();
    }
  }

  #dropHead(): void {
    this.#chunks[this.#head++] = NOTHING;
    this.#headOffset = 0;
    if (this.#head === this.#chunks.length) {
      this.#chunks.length = this.#head = 0;
    } else if (this.#head >= 1024 && this.#head * 2 >= this.#chunks.length) {
      this.#chunks.splice(0, this.#head);
      this.#head = 0;
    }
  }

  #store(packet: SentPacket): void {
    if (seqDiff(this.#nextSeq, this.#firstUnacked) > this.#ring.length) this.#grow();
    this.#ring[packet.seq & this.#mask] = packet;
  }

  #grow(): void {
    const old = this.#ring;
    const oldMask = this.#mask;
    this.#ring = new Array(old.length * 2).fill(undefined);
    this.#mask = this.#ring.length - 1;
    for (let i = 0; i < old.length; i++) {
      const seq = seqAdd(this.#firstUnacked, i);
      this.#ring[seq & this.#mask] = old[seq & oldMask];
    }
  }

  /** The packet with this number, if it is neither older than all unacknowledged ones nor still to come. */
  get(seq: number): SentPacket | undefined {
    if (seqDiff(seq, this.#firstUnacked) < 0 || seqDiff(seq, this.#nextSeq) >= 0) return undefined;
    return this.#ring[seq & this.#mask];
  }

  /** Notes that `packet` left for the first time or again. */
  markSent(packet: SentPacket, now: number): void {
    if (packet.isLost) this.lost.remove(packet);
    else if (packet.transmits > 0) this.inFlight.remove(packet);
    packet.isLost = false;
    packet.sentAt = now;
    if (packet.transmits === 0) packet.firstSentAt = now;
    packet.transmits++;
    this.inFlight.push(packet);
  }

  /** Notes that `packet` is believed to be lost. */
  markLost(packet: SentPacket): void {
    this.inFlight.remove(packet);
    this.lost.push(packet);
    packet.isLost = true;
    if (packet.padding > 0) packet.removePadding();
  }

  /** Notes that `packet` has arrived; `inOrder` tells an acknowledgement from a SACK. */
  markAcked(packet: SentPacket, inOrder: boolean): void {
    assert(!packet.isAcked, "a packet is acknowledged once");
    if (packet.isLost) this.lost.remove(packet);
    else this.inFlight.remove(packet);
    packet.isAcked = true;
    packet.buffer = NOTHING;
    if (inOrder) return;
    packet.isSacked = true;
    this.#sackedCount++;
  }

  /** Moves on behind the first unacknowledged packet, which has arrived, and returns it. */
  advance(): SentPacket {
    const slot = this.#firstUnacked & this.#mask;
    const packet = this.#ring[slot]!;
    this.#ring[slot] = undefined;
    this.#firstUnacked = seqAdd(this.#firstUnacked, 1);
    this.#ackedOffset = packet.endOffset;
    this.#outstandingBytes -= packet.payloadBytes;
    if (packet.isSacked) this.#sackedCount--;
    if ((packet.type & END) !== 0) this.#end = "acked";
    return packet;
  }

  /** Sends all that is unacknowledged again, along `path`. */
  redirect(path: Path): void {
    for (let seq = this.#firstUnacked; seq !== this.#nextSeq; seq = seqAdd(seq, 1)) {
      const packet = this.get(seq)!;
      packet.path = path;
      // The peer may be another stream from there, as at the two ends of a relay.
      writeStreamId(packet.buffer, path.remoteId);
      if (!packet.isAcked && !packet.isLost) this.markLost(packet);
    }
  }

  /** Forgets all that is unsent or unacknowledged: the stream is gone. */
  clear(): void {
    this.#chunks = [];
    this.#head =
      this.#headOffset =
      this.#unsentBytes =
      this.#outstandingBytes =
        0;
    this.#ring = new Array(INITIAL_RING).fill(undefined);
    this.#mask = INITIAL_RING - 1;
    this.#firstUnacked = this.#nextSeq;
    this.#sackedCount = 0;
    for (const list of [this.inFlight, this.lost]) {
      list.first = list.last = undefined;
      list.size = 0;
    }
  }
}
