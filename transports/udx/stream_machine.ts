/**
 * The life of one UDX stream, without any I/O: packets and commands in, packets and events out.
 *
 * The two directions end on their own (`SendQueue.end`, `ReceiveQueue.hasEnded`); the stream as a whole goes through the
 * phases of {@linkcode StreamPhase}. How data gets to the peer is `sender.ts`, how it is put in order `receive_queue.ts`.
 */
import { assert } from "../../core/runtime/assert.ts";
import { ConnectError } from "../../core/runtime/errors.ts";
import type { Machine } from "../../core/runtime/machine.ts";
import type { SocketAddress } from "../../encoding/address.ts";
import type { Bbr } from "./bbr.ts";
import * as wire from "./constants.ts";
import { newHeader, type PacketHeader, readHeader, refreshHeader, seqDiff, writeHeader } from "./packet.ts";
import type { Path } from "./path.ts";
import { ReceiveQueue } from "./receive_queue.ts";
import { Route } from "./route.ts";
import type { RttEstimator } from "./rtt.ts";
import type { SentPacket } from "./send_queue.ts";
import { Sender } from "./sender.ts";
import {
  newPacketCounters,
  type PacketTransmit,
  type StreamConfig,
  type StreamCounters,
  type StreamEvent,
  type StreamPhase,
} from "./stream_types.ts";

const DRAIN: StreamEvent = { type: "drain" };
const ACKED: StreamEvent = { type: "acked" };
const REMOTE_CHANGED: StreamEvent = { type: "remoteChanged" };

/** One stream. The endpoint feeds it packets from accepted sources and sends what it is told to. */
export class StreamMachine implements Machine<StreamEvent> {
  readonly #config: StreamConfig;
  readonly #sender: Sender;
  readonly #receive: ReceiveQueue;
  readonly #route = new Route();
  readonly #header: PacketHeader = newHeader();
  /** Milliseconds without an answer after which the peer counts as gone. */
  patienceMs = wire.DEAD_AFTER_MS;
  readonly #events: StreamEvent[] = [];
  readonly #messages: Uint8Array[] = [];
  #phase: StreamPhase = "open";
  #advertisedWindow: number;
  #isAckOwed = false;
  #unansweredPackets = 0;
  #isDestroyOwed = false;
  #destroysSent = 0;
  #repeatDestroyAt = Infinity;
  #isHeartbeatOwed = false;
  #wantsDrain = false;
  /** When anything was last sent or received. */
  #activeAt = 0;
  #keepAliveAt = Infinity;
  #lingerUntil = Infinity;
  readonly #counts = newPacketCounters();
  #malformed = 0;

  /** A stream that is not connected yet; it may be written to, and packets that come early are taken. */
  constructor(config: StreamConfig) {
    this.#config = config;
    this.#sender = new Sender(config);
    this.#receive = new ReceiveQueue(config.firstRemoteSeq, config.maxReceiveBytes);
    this.#advertisedWindow = this.#receive.window;
  }

  // --- Looking ---

  /** The id of this side. */
  get id(): number {
    return this.#config.id;
  }

  /** Where the stream is in its life. */
  get phase(): StreamPhase {
    return this.#phase;
  }

  /** Where packets go; undefined until connected. */
  get path(): Path | undefined {
    return this.#route.path;
  }

  /** Round trips, in milliseconds. */
  get rtt(): RttEstimator {
    return this.#sender.rtt;
  }

  /** Congestion control. */
  get congestion(): Bbr {
    return this.#sender.congestion;
  }

  /** The MTU that is in use, in bytes, IP and UDP headers included. */
  get mtu(): number {
    return this.#sender.mtu;
  }

  /** Packets on their way. */
  get inFlight(): number {
    return this.#sender.queue.inFlight.size;
  }

  /** Whether any packet of the peer has come yet. */
  get hasHeard(): boolean {
    return this.#counts.packetsReceived > 0;
  }

  /** When the last packet came along the present path; `-Infinity` if none has. See {@linkcode Route.pathHeardAt}. */
  get pathHeardAt(): number {
    return this.#route.pathHeardAt;
  }

  /** Bytes that were written so far. */
  get writtenOffset(): number {
    return this.#sender.queue.writtenOffset;
  }

  /** Bytes of those that the peer has acknowledged. */
  get ackedOffset(): number {
    return this.#sender.queue.ackedOffset;
  }

  /** Whether this side's direction was ended: nothing more may be written. */
  get isEnding(): boolean {
    return this.#sender.queue.end !== "none";
  }

  /** Whether the peer has ended its direction and all of it was taken. */
  get hasReadAll(): boolean {
    return this.#receive.hasEnded && this.#receive.readyBytes === 0;
  }

  /** Whether an acknowledgement should not wait for the end of the turn. */
  get isAckUrgent(): boolean {
    return this.#unansweredPackets >= wire.ACK_EVERY_PACKETS;
  }

  /** The longest unordered message that fits one packet, in bytes. */
  get maxMessageBytes(): number {
    return this.#sender.maxPayload(this.#route.path);
  }

  /** Counters. */
  get counters(): StreamCounters {
    const invalid = this.#sender.counters.invalid + this.#malformed;
    return { ...this.#sender.counters, ...this.#counts, invalid };
  }

  /** Whether the stream sends, or may have to send again, from `socket`. */
  uses(socket: object): boolean {
    return this.#route.uses(socket);
  }

  /** Whether a packet from `address` is this stream's. See {@linkcode Route.accepts}. */
  accepts(now: number, address: SocketAddress): boolean {
    return this.#route.accepts(now, address);
  }

  // --- Commands ---

  /** Gives the stream its remote. What was received or written before goes out now. */
  connect(path: Path): void {
    this.#route.connect(path);
  }

  /** Accepts packets from `address` as well, before {@linkcode StreamMachine.changeRemote} moves there. */
  expectAddress(address: SocketAddress): void {
    this.#route.expect(address);
  }

  /**
   * Sends new packets along another path from now on. `remoteChanged` is reported when all that went the old way is
   * acknowledged.
   */
  changeRemote(now: number, path: Path): void {
    this.#route.change(now, path, this.#sender.queue.nextSeq);
    this.#sender.onPathChanged();
    this.#checkRemoteChanged();
  }

  /** Gives up the path for another: what is unacknowledged goes there too. Reports `remoteChanged` if a change was under way. */
  redirect(path: Path): void {
    this.#route.redirect(path);
    this.#sender.redirect(path);
    this.#events.push(REMOTE_CHANGED);
  }

  /** Appends bytes, which are given away; false = wait for `drain` before more. */
  write(chunk: Uint8Array): boolean {
    assert(this.#phase === "open", "a closed stream is not written to");
    this.#sender.queue.write(chunk);
    this.#wantsDrain = this.#sender.queue.unsentBytes >= wire.WRITE_HIGH_WATER;
    return !this.#wantsDrain;
  }

  /** What was written so far shares no packet with what comes. */
  cut(): void {
    this.#sender.queue.cut();
  }

  /** Ends this side's direction behind what was written. */
  end(): void {
    if (this.#phase === "open") this.#sender.queue.writeEnd();
  }

  /** Queues an unordered message, which is given away; false = dropped. */
  sendMessage(message: Uint8Array): boolean {
    const fits = message.length <= this.maxMessageBytes && this.#messages.length < wire.MAX_QUEUED_MESSAGES;
    if (!fits || this.#phase !== "open" || this.#route.path === undefined) {
      this.#counts.messagesDropped++;
      return false;
    }
    this.#messages.push(message);
    return true;
  }

  /** Sends a heartbeat, which the peer acknowledges. */
  ping(): void {
    if (this.#phase === "open") this.#isHeartbeatOwed = true;
  }

  /** Drops the stream: tells the peer, forgets everything, and reports `close` with `error`. */
  destroy(now: number, error?: Error): void {
    if (this.#phase !== "open") return;
    this.#isDestroyOwed = true;
    this.#leave("dropped", now, error);
  }

  /** Stops answering the peer: there is nobody to answer, or nothing to answer with. */
  forget(now: number, error?: Error): void {
    if (this.#phase === "open") this.#leave("gone", now, error);
    else if (this.#phase !== "gone") this.#becomeGone();
  }

  // --- Receiving ---

  /** Takes a packet whose source was accepted. What it brings in order is ready for {@linkcode take} at once. */
  handlePacket(now: number, packet: Uint8Array): void {
    const header = this.#header;
    this.#counts.packetsReceived++;
    this.#counts.bytesReceived += packet.length;
    this.#activeAt = now;
    if (!readHeader(packet, header)) {
      this.#malformed++;
      return;
    }
    if (this.#phase !== "open") {
      this.#answerLate(now, header);
      return;
    }
    if ((header.type & wire.SEQUENCED) !== 0) {
      this.#oweAck();
      const payload = packet.subarray(header.payloadStart);
      if (this.#receive.receive(header.seq, header.type, payload) === "dropped") this.#counts.overflows++;
    }
    if ((header.type & wire.HEARTBEAT) !== 0) this.#oweAck();
    if ((header.type & wire.DESTROY) !== 0 && seqDiff(header.seq, this.#receive.nextSeq) >= 0) {
      this.#leave("gone", now, new ConnectError("CONNECTION_RESET", "The peer dropped the stream"));
      return;
    }
    if ((header.type & wire.MESSAGE) !== 0) {
      this.#events.push({ type: "message", message: packet.slice(header.payloadStart) });
    }
    if (this.#sender.handleAck(now, header, packet, this.#route.path)) {
      this.#events.push(ACKED);
      this.#checkRemoteChanged();
    }
    // The peer's END may still have to be acknowledged, and once more if that gets lost: linger.
    if (this.#sender.queue.end === "acked" && this.#receive.hasEnded) this.#leave("lingering", now);
  }

  /** A packet for a stream that is over: its sender has missed our last one. */
  #answerLate(now: number, { type }: PacketHeader): void {
    if ((type & wire.DESTROY) !== 0) this.forget(now);
    else if (this.#phase === "lingering") {
      this.#isAckOwed ||= (type & (wire.SEQUENCED | wire.HEARTBEAT)) !== 0;
    } else if (this.#phase === "dropped") this.#isDestroyOwed = this.#destroysSent < wire.MAX_DESTROY_PACKETS;
  }

  /** The next bytes in order, borrowed until {@linkcode settle}; undefined when there are none. */
  take(): Uint8Array | undefined {
    const chunk = this.#receive.take();
    // A reader that has caught up tells a sender that was held back.
    const opened = this.#receive.window - this.#advertisedWindow;
    if (this.#phase === "open" && opened >= this.#config.maxReceiveBytes / 4) this.#isAckOwed = true;
    return chunk;
  }

  /** The packet that was handed in last is about to be reused: copies what was not taken of it. */
  settle(): void {
    this.#receive.settle();
  }

  #oweAck(): void {
    this.#isAckOwed = true;
    this.#unansweredPackets++;
  }

  #checkRemoteChanged(): void {
    if (this.#route.onAcked(this.#sender.queue.firstUnacked)) this.#events.push(REMOTE_CHANGED);
  }

  /** Leaves the open phase; the application hears of it once. */
  #leave(phase: "lingering" | "dropped" | "gone", now: number, error?: Error): void {
    this.#phase = phase;
    this.#events.push({ type: "close", error, isOrderly: phase === "lingering" });
    this.#sender.clear();
    this.#messages.length = 0;
    this.#keepAliveAt = Infinity;
    this.#isHeartbeatOwed = false;
    if (phase !== "lingering") this.#receive.clear();
    // A stream that was never connected has nobody to answer.
    if (phase === "gone" || this.#route.path === undefined) this.#becomeGone();
    else this.#lingerUntil = now + wire.LINGER_MS;
  }

  #becomeGone(): void {
    this.#phase = "gone";
    this.#lingerUntil = this.#repeatDestroyAt = Infinity;
    this.#isAckOwed = this.#isDestroyOwed = false;
    this.#events.push({ type: "gone" });
  }

  // --- Time ---

  /** See {@linkcode Machine.nextTimeout}. */
  nextTimeout(): number {
    return Math.min(this.#sender.nextTimeout(), this.#keepAliveAt, this.#repeatDestroyAt, this.#lingerUntil);
  }

  /** See {@linkcode Machine.handleTimeout}. */
  handleTimeout(now: number): void {
    if (this.#lingerUntil <= now) this.#becomeGone();
    if (this.#repeatDestroyAt <= now) {
      this.#repeatDestroyAt = Infinity;
      this.#isDestroyOwed = true;
    }
    if (this.#keepAliveAt <= now) {
      const quietUntil = this.#activeAt + this.#config.keepAliveMs;
      this.#keepAliveAt = quietUntil > now ? quietUntil : Infinity;
      this.#isHeartbeatOwed = quietUntil <= now && this.#sender.queue.isIdle;
    }
    const unanswered = this.#sender.handleTimeout(now);
    if (unanswered !== undefined) this.#onUnanswered(now, unanswered);
  }

  #onUnanswered(now: number, unanswered: SentPacket): void {
    const silence = this.#sender.silenceOf(unanswered, now);
    if (silence >= wire.SILENCE_MS) this.#events.push({ type: "silence", ms: silence });
    if (unanswered.timeouts < wire.MAX_TIMEOUTS || silence < this.patienceMs) return;
    // A peer of the reference kind forgets a finished stream at once: if its last acknowledgement gets lost, there is
    // nobody left to repeat it. All bytes of both sides have arrived then, so this is an orderly end.
    if (unanswered.type === wire.END && this.#receive.hasEnded) return this.#leave("lingering", now);
    const text = `The peer has not answered for ${silence} ms: it is gone, or the path to it is`;
    this.destroy(now, new ConnectError("TIMEOUT", text));
  }

  // --- Events ---

  /** See {@linkcode Machine.pollEvent}. */
  pollEvent(): StreamEvent | undefined {
    if (this.#wantsDrain && this.#phase === "open" && this.#sender.queue.unsentBytes < wire.WRITE_LOW_WATER) {
      this.#wantsDrain = false;
      return DRAIN;
    }
    return this.#events.shift();
  }

  // --- Sending ---

  /** Fills `out` with the next packet that may leave now; false when there is none. */
  pollTransmit(now: number, out: PacketTransmit): boolean {
    const path = this.#route.path;
    if (path === undefined || this.#phase === "gone") return false;
    if (this.#isDestroyOwed) {
      this.#isDestroyOwed = false;
      this.#destroysSent++;
      const mayRepeat = this.#destroysSent < wire.DESTROY_REPEATS;
      this.#repeatDestroyAt = mayRepeat ? now + this.#sender.rtt.timeout : Infinity;
      return this.#emit(now, out, path, this.#control(path, wire.DESTROY));
    }
    const message = this.#messages.shift();
    if (message !== undefined) {
      const packet = this.#control(path, wire.MESSAGE, message.length);
      packet.set(message, wire.HEADER_BYTES);
      return this.#emit(now, out, path, packet);
    }
    if (this.#isAckOwed && this.#receive.hasGaps) {
      return this.#emit(now, out, path, this.#acknowledgement(path));
    }
    const data = this.#phase === "open" ? this.#sender.poll(now, path) : undefined;
    if (data !== undefined) {
      refreshHeader(data.buffer, this.#advertise(), this.#receive.nextSeq);
      // Data says what has come as well as an acknowledgement does, if it takes the same way and can be trusted to arrive.
      if (data.path === path && data.padding === 0) this.#settleAck();
      return this.#emit(now, out, data.path, data.buffer);
    }
    if (this.#isAckOwed) return this.#emit(now, out, path, this.#acknowledgement(path));
    if (this.#phase !== "open") return false;
    if (this.#isHeartbeatOwed || this.#sender.takeHeartbeat()) {
      this.#isHeartbeatOwed = false;
      return this.#emit(now, out, path, this.#control(path, wire.HEARTBEAT));
    }
    this.#armKeepAlive();
    return false;
  }

  #settleAck(): void {
    this.#isAckOwed = false;
    this.#unansweredPackets = 0;
  }

  #acknowledgement(path: Path): Uint8Array {
    this.#settleAck();
    if (!this.#receive.hasGaps) return this.#control(path, 0);
    const packet = this.#control(path, wire.SACK, wire.MAX_SACK_RANGES * wire.RANGE_BYTES);
    return packet.subarray(0, this.#receive.writeRanges(packet, wire.HEADER_BYTES));
  }

  /** A packet without a sequence number of its own, with room for a body. */
  #control(path: Path, type: number, bodyBytes = 0): Uint8Array {
    const packet = this.#config.slab.alloc(wire.HEADER_BYTES + bodyBytes);
    const { nextSeq } = this.#sender.queue;
    writeHeader(packet, type, 0, path.remoteId, this.#advertise(), nextSeq, this.#receive.nextSeq);
    return packet;
  }

  #advertise(): number {
    return this.#advertisedWindow = this.#receive.window;
  }

  #emit(now: number, out: PacketTransmit, path: Path, packet: Uint8Array): boolean {
    out.buffer = packet;
    out.length = packet.length;
    out.to = path.address;
    out.socket = path.socket;
    out.ttl = 0;
    this.#activeAt = now;
    this.#counts.packetsSent++;
    this.#counts.bytesSent += packet.length;
    return true;
  }

  #armKeepAlive(): void {
    if (this.#config.keepAliveMs === Infinity || this.#keepAliveAt !== Infinity) return;
    if (this.#sender.queue.isIdle) this.#keepAliveAt = this.#activeAt + this.#config.keepAliveMs;
  }
}
