/**
 * A socket that an endpoint shares between its streams and whoever speaks other protocols on the same port.
 */
import type { SocketAddress } from "../../encoding/address.ts";
import type { DatagramSocket } from "../datagram.ts";

/** Counters of a socket, in UDP payload bytes. */
export interface SocketCounters {
  /** Datagrams handed to the network. */
  datagramsSent: number;
  /** Their bytes. */
  bytesSent: number;
  /** Datagrams that the network did not take. */
  sendsDropped: number;
  /** Datagrams received. */
  datagramsReceived: number;
  /** Their bytes. */
  bytesReceived: number;
  /** Packets for a stream that came from where the stream does not talk to. */
  strays: number;
}

/** Counters that stand at 0. */
export function newCounters(): SocketCounters {
  return {
    datagramsSent: 0,
    bytesSent: 0,
    sendsDropped: 0,
    datagramsReceived: 0,
    bytesReceived: 0,
    strays: 0,
  };
}

/** Adds `counters` to `sum`. */
export function addCounters(sum: SocketCounters, counters: SocketCounters): void {
  for (const name of Object.keys(sum) as (keyof SocketCounters)[]) sum[name] += counters[name];
}

/** Packets that are handed to the network at once, at the most: as many as Linux takes in one call of any kind. */
const MAX_BATCH = 64;

/** Takes datagrams that are not packets of a live stream. Borrowed until return. */
export type DatagramHandler = (datagram: Uint8Array, from: SocketAddress) => void;

/** A bound socket of an endpoint. Made by `UdxEndpoint.bind`. */
export class UdxSocket implements AsyncDisposable {
  /** Counters. */
  readonly counters: SocketCounters = newCounters();
  /** Takes what is no packet of a live stream; without it such datagrams are dropped. */
  onDatagram: DatagramHandler | undefined;
  readonly #owner: object;
  readonly #onClose: (socket: UdxSocket) => void;
  #socket: DatagramSocket | undefined;
  /** Packets for one address that wait for `flush`. */
  readonly #batch: Uint8Array[] = [];
  #batchTo: SocketAddress | undefined;

  /** Used by the endpoint. */
  constructor(owner: object, onClose: (socket: UdxSocket) => void) {
    this.#owner = owner;
    this.#onClose = onClose;
  }

  /** The local address. */
  get address(): SocketAddress {
    if (this.#socket === undefined) throw new TypeError("The socket is closed");
    return this.#socket.address;
  }

  /** Whether {@linkcode send} honours `ttl`. */
  get canSetTtl(): boolean {
    return this.#socket?.canSetTtl ?? false;
  }

  /** Used by the endpoint: the socket below. */
  open(socket: DatagramSocket): void {
    this.#socket = socket;
  }

  /** Used by streams: whether they may use this socket. */
  checkUsable(owner: object): void {
    if (this.#owner !== owner) {
      throw new TypeError("The socket belongs to another endpoint: bind one of this endpoint");
    }
    if (this.#socket === undefined) throw new TypeError("The socket is closed: bind another");
  }

  /** Sends a datagram of another protocol. False = dropped here. */
  send(datagram: Uint8Array, to: SocketAddress, ttl?: number): boolean {
    const isSent = this.#socket?.send(datagram, to, ttl) ?? false;
    if (isSent) {
      this.counters.datagramsSent++;
      this.counters.bytesSent += datagram.length;
    } else {
      this.counters.sendsDropped++;
    }
    return isSent;
  }

  /**
   * Used by streams: sends a packet, or keeps it for the next {@linkcode flush} if the network can send several at once.
   * What the network does not take is found out as any other loss.
   */
  transmit({ buffer, to }: { readonly buffer: Uint8Array; readonly to: SocketAddress }): void {
    if (this.#socket?.sendBatch === undefined) {
      this.send(buffer, to);
      return;
    }
    if (this.#batch.length === MAX_BATCH || this.#batchTo !== to) this.flush();
    this.#batchTo = to;
    this.#batch.push(buffer);
  }

  /** Used by streams: sends what {@linkcode transmit} has kept. */
  flush(): void {
    const batch = this.#batch;
    const to = this.#batchTo;
    if (batch.length === 0 || to === undefined) return;
    const taken = this.#socket?.sendBatch?.(batch, batch.length, to) ?? 0;
    this.counters.datagramsSent += taken;
    for (let i = 0; i < taken; i++) this.counters.bytesSent += batch[i]!.length;
    this.counters.sendsDropped += batch.length - taken;
    batch.length = 0;
    this.#batchTo = undefined;
  }

  /** Used by the endpoint: counts a datagram. */
  countReceived(datagram: Uint8Array): void {
    this.counters.datagramsReceived++;
    this.counters.bytesReceived += datagram.length;
  }

  /** Used by streams: counts a packet from a wrong source. */
  countStray(): void {
    this.counters.strays++;
  }

  /** Closes the socket. Streams that still use it are dropped with an error. */
  async close(): Promise<void> {
    const socket = this.#socket;
    if (socket === undefined) return;
    this.#onClose(this);
    this.#socket = undefined;
    await socket.close();
  }

  /** See {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
