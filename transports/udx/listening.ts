/**
 * The listening side of the opening exchange. What a stranger can make it remember is bounded, and expires.
 */
import type { Runtime, Timer } from "../../core/runtime/runtime.ts";
import { equals } from "../../encoding/bytes.ts";
import type { SocketAddress } from "../../encoding/address.ts";
import type { UdxEndpoint } from "./endpoint.ts";
import { COOKIE_BYTES, decodeOpening, encodeOpening, type Opening, OpeningKind } from "./opening.ts";
import type { UdxSocket } from "./udx_socket.ts";
import type { UdxStream } from "./udx_stream.ts";

/** How long an accepted dialer may take until its first packet, in milliseconds. */
const HALF_OPEN_MS = 10_000;
/** Half-open streams from which on a dialer must prove that it receives at its address. */
const CHALLENGE_FROM = 64;
/** Half-open streams at the most; and of one address. */
const MAX_HALF_OPEN = 1024;
const MAX_HALF_OPEN_PER_HOST = 64;
/** How long a cookie is valid at least; at the most twice as long. In milliseconds. */
const COOKIE_MS = 60_000;
const NO_COOKIE = new Uint8Array(COOKIE_BYTES);

/** A stream that was promised to a dialer of whom no packet has come yet. */
interface HalfOpen {
  readonly stream: UdxStream;
  readonly nonce: Uint8Array;
  readonly host: string;
  readonly expiresAt: number;
}

/** What a {@linkcode Listening} has turned away, for people and tests. */
export interface ListeningCounters {
  /** Dialers that were asked to prove their address. */
  challenged: number;
  /** Dialers that were told to try later. */
  refused: number;
  /** Dialers that never sent a packet. */
  expired: number;
}

/** Accepts streams on one socket. */
export class Listening {
  /** Counters. */
  readonly counters: ListeningCounters = { challenged: 0, refused: 0, expired: 0 };
  readonly #runtime: Runtime;
  readonly #endpoint: UdxEndpoint;
  readonly #socket: UdxSocket;
  readonly #onStream: (stream: UdxStream) => void;
  readonly #halfOpen = new Map<string, HalfOpen>();
  readonly #perHost = new Map<string, number>();
  readonly #timer: Timer;
  #secret: Uint8Array;
  #previousSecret: Uint8Array;
  #secretUntil: number;

  /** Accepts what dials `socket`, and hands each stream over with its first packet. */
  constructor(
    runtime: Runtime,
    endpoint: UdxEndpoint,
    socket: UdxSocket,
    onStream: (stream: UdxStream) => void,
  ) {
    this.#runtime = runtime;
    this.#endpoint = endpoint;
    this.#socket = socket;
    this.#onStream = onStream;
    this.#secret = this.#previousSecret = this.#drawSecret();
    this.#secretUntil = runtime.clock.now() + COOKIE_MS;
    this.#timer = runtime.clock.schedule(Infinity, () => this.#expire());
    socket.onDatagram = (datagram, from) => this.#onDatagram(datagram, from);
  }

  /** Streams that were promised and have not spoken. */
  get halfOpenCount(): number {
    return this.#halfOpen.size;
  }

  /** Accepts no more, and forgets who has not spoken. */
  close(): void {
    this.#socket.onDatagram = undefined;
    this.#timer.cancel();
    for (const { stream } of this.#halfOpen.values()) stream.destroy();
    this.#halfOpen.clear();
    this.#perHost.clear();
  }

  #onDatagram(datagram: Uint8Array, from: SocketAddress): void {
    const opening = decodeOpening(datagram);
    if (opening === undefined || opening.kind !== OpeningKind.Open) return;
    const key = `${from}/${opening.dialerId}`;
    const known = this.#halfOpen.get(key);
    // The same question again: our answer got lost.
    if (known !== undefined) {
      if (equals(known.nonce, opening.nonce)) {
        this.#answer(opening, from, OpeningKind.Accept, known.stream.id);
      }
      return;
    }
    if (this.#halfOpen.size >= CHALLENGE_FROM && !this.#isProven(opening, from)) {
      this.counters.challenged++;
      this.#answer(opening, from, OpeningKind.Challenge, 0, this.#cookie(opening, from, this.#secret));
      return;
    }
    const ofHost = this.#perHost.get(from.host) ?? 0;
    if (this.#halfOpen.size >= MAX_HALF_OPEN || ofHost >= MAX_HALF_OPEN_PER_HOST || !this.#endpoint.hasRoom) {
      this.counters.refused++;
      this.#answer(opening, from, OpeningKind.Refuse, 0);
      return;
    }
    this.#accept(opening, from, key);
  }

  #accept(opening: Opening, from: SocketAddress, key: string): void {
    const stream = this.#endpoint.createStream({
      firewall: (socket, source) => {
        if (socket !== this.#socket || !source.equals(from) || stream.isConnected) return false;
        this.#forget(key);
        stream.connect(socket, opening.dialerId, from);
        this.#onStream(stream);
        return true;
      },
    });
    const expiresAt = this.#runtime.clock.now() + HALF_OPEN_MS;
    this.#halfOpen.set(key, { stream, nonce: opening.nonce, host: from.host, expiresAt });
    this.#perHost.set(from.host, (this.#perHost.get(from.host) ?? 0) + 1);
    if (this.#halfOpen.size === 1) this.#timer.reset(expiresAt);
    this.#answer(opening, from, OpeningKind.Accept, stream.id);
  }

  #answer(
    opening: Opening,
    to: SocketAddress,
    kind: number,
    listenerId: number,
    cookie: Uint8Array = NO_COOKIE,
  ): void {
    this.#socket.send(encodeOpening({ ...opening, kind, listenerId, cookie }), to);
  }

  #forget(key: string): HalfOpen | undefined {
    const half = this.#halfOpen.get(key);
    if (half === undefined) return undefined;
    this.#halfOpen.delete(key);
    const left = this.#perHost.get(half.host)! - 1;
    if (left === 0) this.#perHost.delete(half.host);
    else this.#perHost.set(half.host, left);
    return half;
  }

  #expire(): void {
    const now = this.#runtime.clock.now();
    // In the order of insertion, which is that of expiry.
    for (const [key, half] of this.#halfOpen) {
      if (half.expiresAt > now) {
        this.#timer.reset(half.expiresAt);
        return;
      }
      this.counters.expired++;
      this.#forget(key);
      half.stream.destroy();
    }
  }

  #drawSecret(): Uint8Array {
    return this.#runtime.random.fill(new Uint8Array(32));
  }

  #cookie({ dialerId, nonce }: Opening, from: SocketAddress, secret: Uint8Array): Uint8Array {
    const text = new TextEncoder().encode(`${from}/${dialerId}`);
    const cookie = new Uint8Array(COOKIE_BYTES);
    this.#runtime.crypto.hash(cookie, [text, nonce], secret);
    return cookie;
  }

  #isProven(opening: Opening, from: SocketAddress): boolean {
    const now = this.#runtime.clock.now();
    if (now >= this.#secretUntil) {
      const isRecent = now < this.#secretUntil + COOKIE_MS;
      this.#previousSecret = isRecent ? this.#secret : this.#drawSecret();
      this.#secret = this.#drawSecret();
      this.#secretUntil = now + COOKIE_MS;
    }
    return equals(opening.cookie, this.#cookie(opening, from, this.#secret)) ||
      equals(opening.cookie, this.#cookie(opening, from, this.#previousSecret));
  }
}
