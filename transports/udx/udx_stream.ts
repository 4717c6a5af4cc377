/**
 * A stream as the layer above holds it: a {@linkcode Duplex} over a {@linkcode StreamMachine}, driven by its endpoint.
 */
import { assert } from "../../core/runtime/assert.ts";
import type { DeadlineEntry } from "../../core/runtime/deadlines.ts";
import type { Duplex, Sink, UnorderedMessages } from "../../core/stream/duplex.ts";
import type { SocketAddress } from "../../encoding/address.ts";
import { DEAD_AFTER_MS } from "./constants.ts";
import { StreamMachine } from "./stream_machine.ts";
import type { PacketTransmit, StreamConfig, StreamCounters } from "./stream_types.ts";
import { isDestroy, writeStreamId } from "./packet.ts";
import type { UdxSocket } from "./udx_socket.ts";

/**
 * Decides about a packet for a stream that came from elsewhere than the stream sends to; true = take it. It may call `connect`,
 * `changeRemote` or `redirect` on the stream. The packet is lent until return. Also told of a packet that came to another socket
 * than the stream sends from: that is taken in any case.
 */
export type Firewall = (socket: UdxSocket, from: SocketAddress, packet: Uint8Array) => boolean;

/** What a stream needs of its endpoint. */
export interface StreamHost {
  /** The time. */
  now(): number;
  /** Has the stream send, and its deadline noted, at the end of the turn. */
  wake(stream: UdxStream): void;
  /** As {@linkcode wake}, but at once. */
  flush(stream: UdxStream): void;
  /** Takes the stream out of the endpoint for good. */
  remove(stream: UdxStream): void;
  /** A piece of memory to write into. */
  alloc(size: number): Uint8Array;
}

/** Packets that one stream may send before the others have their turn. */
const QUANTUM = 64;

/** Figures of a stream, for people and tests. */
export interface UdxStreamStats extends Readonly<StreamCounters> {
  /** Smoothed round trip in milliseconds; 0 = not measured. */
  readonly rtt: number;
  /** MTU in bytes, IP and UDP headers included. */
  readonly mtu: number;
  /** Congestion window in packets. */
  readonly congestionWindow: number;
  /** Packets in flight. */
  readonly inFlight: number;
  /** Phase of congestion control. */
  readonly congestionMode: string;
  /** Estimated bandwidth in bytes per second; 0 = not measured. */
  readonly bandwidth: number;
}

/** One reliable stream between two UDX endpoints. Made by `UdxEndpoint.createStream`. */
export class UdxStream implements Duplex, UnorderedMessages, DeadlineEntry {
  /** See {@linkcode DeadlineEntry}. */
  deadline: number = Infinity;
  /** See {@linkcode DeadlineEntry}. */
  deadlineIndex: number = -1;
  /** See {@linkcode DeadlineEntry}. */
  deadlineOrder = 0;
  /** Whether the endpoint will look at the stream at the end of this turn. Only the endpoint writes it. */
  isAwake = false;
  /** UDX is a stream of bytes: writes merge and split. */
  readonly framing = "bytes";
  /** Is told, at each timeout, for how many milliseconds the peer has not answered, two seconds or more: the path may be dead. */
  onSilence: ((ms: number) => void) | undefined;
  /** Unordered messages go beside the bytes. */
  readonly unordered: UnorderedMessages = this;
  readonly #machine: StreamMachine;
  readonly #host: StreamHost;
  readonly #firewall: Firewall | undefined;
  readonly #flushes: { offset: number; resolve: (isAcked: boolean) => void }[] = [];
  #sink: Sink | undefined;
  #relay: UdxStream | undefined;
  #admits: ((packetBytes: number) => boolean) | undefined;
  #remoteChanged: PromiseWithResolvers<void> | undefined;
  #isPaused = false;
  #isReading = false;
  #hasEnded = false;
  #closed: { readonly error: Error | undefined; readonly isOrderly: boolean } | undefined;
  #hasReportedClose = false;

  /** Used by the endpoint. */
  constructor(host: StreamHost, config: StreamConfig, firewall: Firewall | undefined) {
    this.#host = host;
    this.#machine = new StreamMachine(config);
    this.#firewall = firewall;
  }

  // --- Looking ---

  /** The id of this side, which the peer must know to connect. */
  get id(): number {
    return this.#machine.id;
  }

  /** Whether the stream has a remote. */
  get isConnected(): boolean {
    return this.#machine.path !== undefined;
  }

  /** Whether the stream is over, or was dropped. */
  get isClosed(): boolean {
    return this.#machine.phase !== "open";
  }

  /** Whether any packet of the peer has come yet. */
  get hasHeard(): boolean {
    return this.#machine.hasHeard;
  }

  /**
   * When, by the clock of the endpoint, the peer was last heard from {@linkcode remoteAddress}; `-Infinity` if never. After a
   * move this tells whether the new path carries packets of the peer.
   */
  get pathHeardAt(): number {
    return this.#machine.pathHeardAt;
  }

  /** The peer's address; undefined until connected. */
  get remoteAddress(): SocketAddress | undefined {
    return this.#machine.path?.address;
  }

  /** Whether the stream sends, or may have to send again, from `socket`. */
  uses(socket: UdxSocket): boolean {
    return this.#machine.uses(socket);
  }

  /** The socket that the stream sends from; undefined until connected. */
  get socket(): UdxSocket | undefined {
    return this.#machine.path?.socket as UdxSocket | undefined;
  }

  /** The longest unordered message that fits one packet of the path, in bytes. */
  get maxMessageBytes(): number {
    return this.#machine.maxMessageBytes;
  }

  /** Milliseconds without an answer after which the peer counts as gone; 13,000 if not set, and not less. */
  set patienceMs(ms: number) {
    this.#machine.patienceMs = Math.max(ms, DEAD_AFTER_MS);
  }

  /** The smoothed round trip; undefined before there was one. */
  get roundTripMs(): number | undefined {
    return this.#machine.rtt.smoothed || undefined;
  }

  /** Figures of the moment. */
  get stats(): UdxStreamStats {
    const { counters, rtt, congestion, mtu, inFlight } = this.#machine;
    return {
      ...{ ...counters, rtt: rtt.smoothed, mtu, inFlight },
      congestionWindow: congestion.window,
      congestionMode: congestion.mode,
      bandwidth: congestion.bandwidth * mtu * 1000,
    };
  }

  // --- Remote ---

  /** Connects to stream `remoteId` at `address`, by way of `socket`. Once. */
  connect(socket: UdxSocket, remoteId: number, address: SocketAddress): void {
    if (this.isConnected) throw new TypeError("The stream is connected already: use changeRemote");
    socket.checkUsable(this.#host);
    this.#machine.connect({ socket, address, remoteId });
    this.#host.wake(this);
  }

  /**
   * Moves the stream to another remote without losing a byte. New packets go there from now on; the promise resolves when
   * all that went the old way is acknowledged. Packets are taken from the old remote until the peer has moved too.
   *
   * @throws {TypeError} if the stream is not connected, or is moving already.
   */
  changeRemote(socket: UdxSocket, remoteId: number, address: SocketAddress): Promise<void> {
    if (!this.isConnected) throw new TypeError("The stream is not connected yet: use connect");
    if (this.#remoteChanged !== undefined) {
      throw new TypeError("The remote is changing already: await that first");
    }
    socket.checkUsable(this.#host);
    const changed = this.#remoteChanged = Promise.withResolvers<void>();
    changed.promise.catch(() => {});
    this.#machine.changeRemote(this.#host.now(), { socket, address, remoteId });
    this.#handleEvents();
    this.#host.wake(this);
    return changed.promise;
  }

  /**
   * Moves the stream to another remote because the present one leads nowhere: what is not acknowledged yet goes there
   * again, and packets are taken only from there. On a path that works, `changeRemote` is better.
   *
   * @throws {TypeError} if the stream is not connected.
   */
  redirect(socket: UdxSocket, remoteId: number, address: SocketAddress): void {
    if (!this.isConnected) throw new TypeError("The stream is not connected yet: use connect");
    socket.checkUsable(this.#host);
    if (this.isClosed) return;
    this.#machine.redirect({ socket, address, remoteId });
    this.#handleEvents();
    this.#host.wake(this);
  }

  /** Takes packets from `address` as well, for a peer that will move there before we do. */
  expectRemote(address: SocketAddress): void {
    this.#machine.expectAddress(address);
  }

  /**
   * Makes this stream a relay's end: packets for it go on to `destination`'s remote, unread, with only the stream id
   * rewritten. For both directions, call it on both ends. When one end goes, so does the other. With `admits`, each packet is
   * asked for, by its length in bytes: false = it is dropped.
   */
  relayTo(destination: UdxStream, admits?: (packetBytes: number) => boolean): void {
    this.#relay = destination;
    this.#admits = admits;
  }

  // --- Duplex ---

  /** See {@linkcode Duplex.attach}. */
  attach(sink: Sink): void {
    assert(this.#sink === undefined, "a stream has one sink");
    this.#sink = sink;
    this.#read();
    this.#host.wake(this);
  }

  /** See {@linkcode Duplex.alloc}. */
  alloc(size: number): Uint8Array {
    return this.#host.alloc(size);
  }

  /** See {@linkcode Duplex.write}. A write before `connect` waits for it. */
  write(chunk: Uint8Array): boolean {
    if (this.#machine.phase !== "open" || this.#machine.isEnding) return false;
    const hasRoom = this.#machine.write(chunk);
    this.#host.wake(this);
    return hasRoom;
  }

  /** What was written so far shares no packet with what comes: for who has sent that packet before, in another way. */
  cut(): void {
    this.#machine.cut();
  }

  /** See {@linkcode Duplex.pause}. */
  pause(): void {
    this.#isPaused = true;
  }

  /** See {@linkcode Duplex.resume}. */
  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#read();
    this.#host.wake(this);
  }

  /** See {@linkcode Duplex.end}. */
  end(): void {
    this.#machine.end();
    this.#host.wake(this);
  }

  /** See {@linkcode Duplex.destroy}. */
  destroy(error?: Error): void {
    // A relay's end has nobody to tell: its peers talk to each other.
    if (this.#relay === undefined) this.#machine.destroy(this.#host.now(), error);
    else this.#machine.forget(this.#host.now(), error);
    // Both directions had ended, and nobody will read the rest.
    if (this.#closed?.isOrderly === true) this.#closed = { error, isOrderly: false };
    this.#handleEvents();
    this.#host.wake(this);
  }

  /** Sends an unordered message, at most {@linkcode maxMessageBytes} long; false = dropped here. */
  send(message: Uint8Array): boolean {
    const isQueued = this.#machine.sendMessage(message);
    this.#host.wake(this);
    return isQueued;
  }

  /** Asks the peer for a sign of life, without any data. */
  ping(): void {
    this.#machine.ping();
    this.#host.wake(this);
  }

  /** Resolves when all that was written before is acknowledged: true; or when that cannot be any more: false. */
  flush(): Promise<boolean> {
    if (this.#machine.ackedOffset === this.#machine.writtenOffset) return Promise.resolve(true);
    if (this.#machine.phase !== "open") return Promise.resolve(false);
    return new Promise((resolve) => this.#flushes.push({ offset: this.#machine.writtenOffset, resolve }));
  }

  // --- For the endpoint ---

  /** Takes a packet that carries this stream's id. */
  handlePacket(now: number, packet: Uint8Array, socket: UdxSocket, from: SocketAddress): void {
    const machine = this.#machine;
    if (machine.accepts(now, from)) {
      // The peer sends to another socket than the one that it hears us from: whoever looks for a path may want to know.
      if (machine.path!.socket !== socket) this.#firewall?.(socket, from, packet);
    } else {
      if (from.port === 0 || this.#firewall === undefined || !this.#firewall(socket, from, packet)) {
        socket.countStray();
        return;
      }
    }
    if (this.#relay !== undefined) {
      this.#forward(packet, this.#relay);
      return;
    }
    machine.handlePacket(now, packet);
    this.#read();
    machine.settle();
    this.#handleEvents();
    if (machine.isAckUrgent) this.#host.flush(this);
    else this.#host.wake(this);
  }

  /** The moment at which {@linkcode handleTimeout} is due. */
  nextTimeout(): number {
    return this.#machine.nextTimeout();
  }

  /** Tells that a deadline has come. */
  handleTimeout(now: number): void {
    this.#machine.handleTimeout(now);
  }

  /** Sends what may be sent now; true if there is more for the next turn. */
  transmit(now: number, out: PacketTransmit): boolean {
    let left = QUANTUM;
    let socket: UdxSocket | undefined;
    while (left > 0 && this.#machine.pollTransmit(now, out)) {
      if (socket !== out.socket) {
        socket?.flush();
        socket = out.socket as UdxSocket;
      }
      socket.transmit(out);
      left--;
    }
    socket?.flush();
    this.#handleEvents();
    return left === 0;
  }

  /** The endpoint closes: the stream is dropped, without waiting for anybody. */
  abandon(error: Error): void {
    this.#machine.forget(this.#host.now(), error);
    this.#handleEvents();
  }

  #forward(packet: Uint8Array, to: UdxStream): void {
    const path = to.#machine.path;
    if (path !== undefined && this.#admits?.(packet.length) !== false) {
      // The datagram may be reused as soon as we return: what is sent is a copy.
      const copy = this.#host.alloc(packet.length);
      copy.set(packet);
      writeStreamId(copy, path.remoteId);
      (path.socket as UdxSocket).send(copy, path.address);
    }
    if (isDestroy(packet)) this.destroy();
  }

  #read(): void {
    // A sink that resumes, or destroys, from within onData must not start a second loop.
    if (this.#isReading || this.#sink === undefined) return;
    this.#isReading = true;
    let chunk: Uint8Array | undefined;
    while (
      !this.#isPaused && this.#closed?.error === undefined && (chunk = this.#machine.take()) !== undefined
    ) {
      this.#sink.onData(chunk);
    }
    this.#isReading = false;
    this.#reportEnd();
  }

  #reportEnd(): void {
    const sink = this.#sink;
    if (sink === undefined || this.#isReading) return;
    if (this.#machine.hasReadAll && !this.#hasEnded && this.#closed?.error === undefined) {
      this.#hasEnded = true;
      sink.onEnd();
    }
    this.#reportClose();
  }

  #reportClose(): void {
    const closed = this.#closed;
    if (closed === undefined || this.#hasReportedClose || this.#sink === undefined || this.#isReading) return;
    if (closed.isOrderly && !this.#hasEnded) return;
    this.#hasReportedClose = true;
    this.#sink.onClose(closed.error);
  }

  #handleEvents(): void {
    let event;
    while ((event = this.#machine.pollEvent()) !== undefined) {
      switch (event.type) {
        case "drain":
          this.#sink?.onDrain();
          break;
        case "acked":
          this.#settleFlushes();
          break;
        case "message":
          this.#sink?.onUnordered?.(event.message);
          break;
        case "silence":
          this.onSilence?.(event.ms);
          break;
        case "remoteChanged":
          this.#remoteChanged?.resolve();
          this.#remoteChanged = undefined;
          break;
        case "close":
          this.#onClosed(event.error, event.isOrderly);
          break;
        case "gone":
          this.#host.remove(this);
          break;
      }
    }
    this.#reportEnd();
  }

  #settleFlushes(): void {
    while (this.#flushes.length > 0 && this.#flushes[0]!.offset <= this.#machine.ackedOffset) {
      this.#flushes.shift()!.resolve(true);
    }
  }

  #onClosed(error: Error | undefined, isOrderly: boolean): void {
    this.#closed = { error, isOrderly };
    this.#settleFlushes();
    for (const flush of this.#flushes.splice(0)) flush.resolve(false);
    this.#remoteChanged?.reject(error ?? new Error("The stream was closed while its remote changed"));
    this.#remoteChanged = undefined;
    const relay = this.#relay;
    this.#relay = undefined;
    relay?.destroy();
  }
}
