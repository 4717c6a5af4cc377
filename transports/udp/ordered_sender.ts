/**
 * Sends datagrams in the order in which they were given, each with its own time to live, although the host's send call
 * finishes later and its TTL belongs to the socket and not to the datagram.
 *
 * Two traps of the hosts make this necessary. A TTL that is set, used and reset in one turn applies its last value to
 * every datagram still on its way. And Deno sends a burst on a fresh socket backwards: until the event loop has once seen
 * that the socket is writable, all sends wait, and the youngest is woken first; the same happens to what exceeds some
 * hundreds of sends in one turn.
 */
import type { SocketAddress } from "../../encoding/address.ts";

/** The host's own calls. */
export interface RawSender {
  /** Sends, and calls `onSent` later, in the order of the calls, whether it worked or not. May throw. */
  send(datagram: Uint8Array, to: SocketAddress, onSent: () => void): void;
  /** Sets the TTL of what is sent from now on. */
  setTtl(ttl: number): void;
}

interface Waiting {
  readonly datagram: Uint8Array;
  readonly to: SocketAddress;
  readonly ttl: number;
}

/** The hops that a datagram lives when nothing else is asked for: the default of Linux, macOS and the reference. */
export const DEFAULT_TTL = 64;
/** Datagrams that the host may have at once; Deno 2.9 keeps the order of about 380 in one turn. */
const MAX_IN_FLIGHT = 256;
/** Datagrams and bytes that wait here at most; what comes on top is dropped, as a full kernel queue would. */
const MAX_WAITING = 1024;
const MAX_WAITING_BYTES = 1 << 20;

/** See the head of the file. */
export class OrderedSender {
  readonly #raw: RawSender;
  readonly #onSent: () => void;
  #waiting: Waiting[] = [];
  #firstWaiting = 0;
  #waitingBytes = 0;
  #inFlight = 0;
  #maxInFlight = 1;
  #ttl = DEFAULT_TTL;
  #onIdle: (() => void) | undefined;

  /** Sends through `raw`. */
  constructor(raw: RawSender) {
    this.#raw = raw;
    this.#onSent = () => this.#handleSent();
  }

  /** Sends `datagram` now, or queues a copy of it; false = dropped. */
  send(datagram: Uint8Array, to: SocketAddress, ttl: number): boolean {
    if (this.#onIdle !== undefined) return false;
    if (this.#firstWaiting === this.#waiting.length && this.#mayGo(ttl)) return this.#go(datagram, to, ttl);
    if (this.#waiting.length - this.#firstWaiting >= MAX_WAITING) return false;
    if (this.#waitingBytes + datagram.length > MAX_WAITING_BYTES) return false;
    this.#waiting.push({ datagram: datagram.slice(), to, ttl });
    this.#waitingBytes += datagram.length;
    return true;
  }

  /** Takes no more, and calls `onIdle` when all that was taken is out; during this call, if that is so already. */
  close(onIdle: () => void): void {
    this.#onIdle = onIdle;
    if (this.#inFlight === 0) onIdle();
  }

  #mayGo(ttl: number): boolean {
    return this.#inFlight === 0 || (ttl === this.#ttl && this.#inFlight < this.#maxInFlight);
  }

  #go(datagram: Uint8Array, to: SocketAddress, ttl: number): boolean {
    this.#inFlight++;
    try {
      if (ttl !== this.#ttl) {
        this.#raw.setTtl(ttl);
        this.#ttl = ttl;
      }
      this.#raw.send(datagram, to, this.#onSent);
      return true;
    } catch {
      this.#inFlight--;
      return false;
    }
  }

  #handleSent(): void {
    this.#inFlight--;
    this.#maxInFlight = MAX_IN_FLIGHT;
    while (this.#firstWaiting < this.#waiting.length) {
      const { datagram, to, ttl } = this.#waiting[this.#firstWaiting]!;
      if (!this.#mayGo(ttl)) return;
      this.#firstWaiting++;
      this.#waitingBytes -= datagram.length;
      this.#go(datagram, to, ttl);
    }
    if (this.#firstWaiting > 0) {
      this.#waiting = [];
      this.#firstWaiting = 0;
    }
    if (this.#inFlight === 0) this.#onIdle?.();
  }
}
