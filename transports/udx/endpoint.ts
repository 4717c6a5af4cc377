/**
 * One instance of UDX: sockets, the streams that use them, and the loop that drives the streams.
 *
 * A packet finds its stream by the 32-bit id that this side chose for it, on whichever socket it comes: a stream can
 * move from one socket to another.
 */
import { Deadlines } from "../../core/runtime/deadlines.ts";
import { ConnectError } from "../../core/runtime/errors.ts";
import type { Clock, Random, Runtime, Timer } from "../../core/runtime/runtime.ts";
import { Slab } from "../../encoding/bytes.ts";
import { SocketAddress } from "../../encoding/address.ts";
import type { BindOptions, DatagramNetwork } from "../datagram.ts";
import { DEFAULT_WINDOW, IP_UDP_BYTES, MAX_MTU } from "./constants.ts";
import { isPacket, readStreamId } from "./packet.ts";
import type { PacketTransmit } from "./stream_types.ts";
import { type Firewall, type StreamHost, UdxStream } from "./udx_stream.ts";
import { addCounters, newCounters, type SocketCounters, UdxSocket } from "./udx_socket.ts";

/** Options of a new stream. */
export interface UdxStreamOptions {
  /** The id of this side, if it was agreed on before; else a free one is drawn at random. */
  readonly id?: number;
  /** The first sequence number of this side, if it was agreed on; 0 by default. */
  readonly firstSeq?: number;
  /** The first sequence number of the peer, if it was agreed on; 0 by default. */
  readonly firstRemoteSeq?: number;
  /** Decides about packets from elsewhere than the stream's remote; by default all are dropped. */
  readonly firewall?: Firewall;
  /** Bytes that the peer may send ahead of the reader; 4 MiB by default. Up to twice that is kept. */
  readonly maxReceiveBytes?: number;
  /** Milliseconds of silence after which a heartbeat is sent; none by default. */
  readonly keepAliveMs?: number;
}

/** Options of an endpoint. */
export interface UdxEndpointOptions {
  /** Streams that may live at once; 65,536 by default. */
  readonly maxStreams?: number;
}

/** Drives streams over sockets. */
export class UdxEndpoint implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #network: DatagramNetwork;
  readonly #maxStreams: number;
  readonly #slab = new Slab();
  readonly #sockets = new Set<UdxSocket>();
  /** Sockets that close with their last stream. */
  readonly #retired = new Set<UdxSocket>();
  readonly #streams = new Map<number, UdxStream>();
  readonly #deadlines = new Deadlines<UdxStream>();
  readonly #timer: Timer;
  readonly #host: StreamHost;
  readonly #transmit: PacketTransmit = {
    buffer: new Uint8Array(0),
    length: 0,
    to: SocketAddress.v4(0, 0),
    ttl: 0,
    socket: this,
  };
  #awake: UdxStream[] = [];
  readonly #closedCounters: SocketCounters = newCounters();
  #isTurnDue = false;
  #isClosed = false;

  /** An endpoint that binds its sockets on `network`. */
  constructor(
    runtime: Pick<Runtime, "clock" | "random">,
    network: DatagramNetwork,
    options: UdxEndpointOptions = {},
  ) {
    this.#clock = runtime.clock;
    this.#random = runtime.random;
    this.#network = network;
    this.#maxStreams = options.maxStreams ?? 65_536;
    this.#timer = this.#clock.schedule(Infinity, () => this.#onTimeout());
    this.#host = {
      now: () => this.#clock.now(),
      wake: (stream) => this.#wake(stream),
      flush: (stream) => this.#flush(stream),
      remove: (stream) => this.#remove(stream),
      alloc: (size) => this.#slab.alloc(size),
    };
  }

  /** Streams that are alive, those included that only linger. */
  get streamCount(): number {
    return this.#streams.size;
  }

  /** Whether another stream may be made. */
  get hasRoom(): boolean {
    return this.#streams.size < this.#maxStreams;
  }

  /** The counters of all sockets together, of closed ones too. */
  get counters(): SocketCounters {
    const sum = { ...this.#closedCounters };
    for (const socket of this.#sockets) addCounters(sum, socket.counters);
    return sum;
  }

  /** The sockets. */
  get sockets(): ReadonlySet<UdxSocket> {
    return this.#sockets;
  }

  /** Binds a socket. See {@linkcode DatagramNetwork.bind} for the errors. */
  async bind(options: BindOptions = {}): Promise<UdxSocket> {
    this.#checkOpen();
    const socket = new UdxSocket(this.#host, (closing) => this.#onSocketClose(closing));
    const bound = await this.#network.bind(options, {
      onDatagram: (datagram, from) => this.#onDatagram(socket, datagram, from),
      onError: () => void socket.close(),
    });
    if (this.#isClosed) {
      await bound.close();
      this.#checkOpen();
    }
    socket.open(bound);
    this.#sockets.add(socket);
    return socket;
  }

  /**
   * Makes a stream that is not connected yet.
   *
   * @throws {RangeError} if the id is taken, or there are too many streams.
   */
  createStream(options: UdxStreamOptions = {}): UdxStream {
    this.#checkOpen();
    if (!this.hasRoom) {
      throw new RangeError(`There are ${this.#maxStreams} streams already: close some, or raise maxStreams`);
    }
    const id = options.id ?? this.#drawId();
    if (this.#streams.has(id)) {
      throw new RangeError(`Stream id ${id} is in use: leave the choice to the endpoint`);
    }
    const config = {
      id,
      firstSeq: options.firstSeq ?? 0,
      firstRemoteSeq: options.firstRemoteSeq ?? 0,
      maxReceiveBytes: options.maxReceiveBytes ?? DEFAULT_WINDOW,
      keepAliveMs: options.keepAliveMs ?? Infinity,
      maxMtu: Math.min(MAX_MTU, this.#network.maxDatagramBytes + IP_UDP_BYTES[4]),
      slab: this.#slab,
    };
    const stream = new UdxStream(this.#host, config, options.firewall);
    this.#streams.set(id, stream);
    return stream;
  }

  /** Closes `socket` as soon as no stream uses it; resolves at once if some still do. */
  async closeWhenIdle(socket: UdxSocket): Promise<void> {
    this.#retired.add(socket);
    if (!this.#isInUse(socket)) await socket.close();
  }

  #isInUse(socket: UdxSocket): boolean {
    for (const stream of this.#streams.values()) if (stream.socket === socket) return true;
    return false;
  }

  /** Drops all streams at once, and tells their peers as far as one packet each can. */
  dropStreams(error: Error): void {
    for (const stream of [...this.#streams.values()]) this.#drop(stream, error);
  }

  /** Drops a stream; what it still owes its peer, an acknowledgement or the news of the end, goes out before. */
  #drop(stream: UdxStream, error: Error): void {
    stream.destroy(error);
    stream.transmit(this.#clock.now(), this.#transmit);
    stream.abandon(error);
  }

  /** Drops all streams and closes all sockets. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.dropStreams(new ConnectError("CONNECTION_CLOSED", "The endpoint was closed"));
    this.#isClosed = true;
    this.#timer.cancel();
    await Promise.all([...this.#sockets].map((socket) => socket.close()));
  }

  /** See {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new TypeError("The endpoint is closed: make another");
  }

  #drawId(): number {
    let id: number;
    do id = this.#random.uint32(); while (this.#streams.has(id));
    return id;
  }

  #onDatagram(socket: UdxSocket, datagram: Uint8Array, from: SocketAddress): void {
    socket.countReceived(datagram);
    if (isPacket(datagram)) {
      const stream = this.#streams.get(readStreamId(datagram));
      if (stream !== undefined) {
        stream.handlePacket(this.#clock.now(), datagram, socket, from);
        return;
      }
    }
    socket.onDatagram?.(datagram, from);
  }

  #onSocketClose(socket: UdxSocket): void {
    if (this.#sockets.delete(socket)) addCounters(this.#closedCounters, socket.counters);
    this.#retired.delete(socket);
    for (const stream of [...this.#streams.values()]) {
      if (!stream.uses(socket)) continue;
      this.#drop(stream, new ConnectError("SOCKET_CLOSED", "The socket that the stream used was closed"));
    }
  }

  #remove(stream: UdxStream): void {
    this.#streams.delete(stream.id);
    this.#deadlines.delete(stream);
    for (const socket of this.#retired) if (!this.#isInUse(socket)) void socket.close();
  }

  #wake(stream: UdxStream): void {
    if (stream.isAwake || this.#isClosed) return;
    stream.isAwake = true;
    this.#awake.push(stream);
    if (this.#isTurnDue) return;
    this.#isTurnDue = true;
    this.#clock.defer(() => this.#turn());
  }

  #flush(stream: UdxStream): void {
    if (stream.transmit(this.#clock.now(), this.#transmit)) this.#wake(stream);
    this.#noteDeadline(stream);
  }

  #turn(): void {
    this.#isTurnDue = false;
    if (this.#isClosed) return;
    const awake = this.#awake;
    this.#awake = [];
    const now = this.#clock.now();
    for (const stream of awake) {
      stream.isAwake = false;
      if (stream.transmit(now, this.#transmit)) this.#wake(stream);
      this.#noteDeadline(stream);
    }
    // Nothing to wait for leaves the timer as it is: one idle wake-up costs less than disarming it after each exchange.
    if (this.#deadlines.size > 0) this.#timer.reset(this.#deadlines.next);
  }

  #noteDeadline(stream: UdxStream): void {
    if (this.#streams.get(stream.id) === stream) this.#deadlines.set(stream, stream.nextTimeout());
  }

  #onTimeout(): void {
    const now = this.#clock.now();
    let stream: UdxStream | undefined;
    while ((stream = this.#deadlines.popDue(now)) !== undefined) {
      stream.handleTimeout(now);
      this.#wake(stream);
    }
    this.#turn();
  }
}
