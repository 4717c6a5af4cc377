/**
 * A datagram on its way through the simulated network. Packets are taken from a pool and given back, so that millions of
 * them make no garbage.
 */
import type { SocketAddress } from "../../encoding/address.ts";
import type { DeadlineEntry } from "../../core/runtime/deadlines.ts";

/** Where a packet can come to. */
export interface Arrival {
  /** Takes over the packet: sends it on, or gives it back to the network. */
  arrive(packet: Packet): void;
}

/** Bytes of the IP and UDP headers, which count for rates and MTUs. */
const HEADER_BYTES = { 4: 28, 6: 48 } as const;
/** Payload that a packet has room for at first, which is enough for most DHT messages, and after it once carried more. */
const SMALL_BYTES = 256;
const LARGE_BYTES = 1500;
/** What a payload is overwritten with after its delivery, so that whoever keeps borrowed memory notices. */
const RETURNED = 0xdb;

const NOWHERE: Arrival = { arrive: () => {} };

/** One datagram. */
export class Packet implements DeadlineEntry {
  deadline = Infinity;
  deadlineIndex = -1;
  deadlineOrder = 0;
  /** The sender, as seen at this point of the path. */
  from!: SocketAddress;
  /** The receiver, as seen at this point of the path. */
  to!: SocketAddress;
  /** Hops left. */
  ttl = 0;
  /** The link to the host that sent it, which names the sender whatever NATs do. */
  origin: unknown;
  /** Whether it has not waited anywhere yet: it is then still inside the call that sent it. */
  isFresh = true;
  /** Where it comes to when it is due. */
  next: Arrival = NOWHERE;
  #buffer = new Uint8Array(SMALL_BYTES);
  #payload = this.#buffer.subarray(0, 0);

  /** The payload, valid until the packet is given back. */
  get payload(): Uint8Array {
    return this.#payload;
  }

  /** Length on the wire, with headers. */
  get wireBytes(): number {
    return this.#payload.length + HEADER_BYTES[this.to.family];
  }

  /** Makes the packet one from `from` to `to`, with a copy of `payload`. */
  set(payload: Uint8Array, from: SocketAddress, to: SocketAddress, ttl: number, origin: unknown): void {
    if (payload.length > this.#buffer.length) {
      this.#buffer = new Uint8Array(Math.max(payload.length, LARGE_BYTES));
      this.#payload = this.#buffer.subarray(0, 0);
    }
    if (payload.length !== this.#payload.length) this.#payload = this.#buffer.subarray(0, payload.length);
    this.#payload.set(payload);
    this.from = from;
    this.to = to;
    this.ttl = ttl;
    this.origin = origin;
    this.isFresh = true;
  }

  /** Spoils the payload. */
  spoil(): void {
    this.#payload.fill(RETURNED);
    this.next = NOWHERE;
    if (this.#buffer.length > LARGE_BYTES) {
      this.#buffer = new Uint8Array(LARGE_BYTES);
      this.#payload = this.#buffer.subarray(0, 0);
    }
  }
}

/** Packets that are not in use. */
export class PacketPool {
  readonly #free: Packet[] = [];

  /** A packet with undefined content. */
  take(): Packet {
    return this.#free.pop() ?? new Packet();
  }

  /** A second packet like `packet`. */
  copy(packet: Packet): Packet {
    const copy = this.take();
    copy.set(packet.payload, packet.from, packet.to, packet.ttl, packet.origin);
    copy.isFresh = packet.isFresh;
    return copy;
  }

  /** Gives a packet back. */
  release(packet: Packet): void {
    packet.spoil();
    this.#free.push(packet);
  }
}
