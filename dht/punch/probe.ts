/**
 * The ways to punch: when which socket sends the one byte to which address, with how many hops to live.
 *
 * Both NATs consistent: both sides send to the other until something comes through. One random: that side opens 256 sockets towards
 * the other, which guesses ports until it hits one (the birthday paradox).
 */
import type { Random } from "../../core/runtime/runtime.ts";
import { SocketAddress } from "../../encoding/address.ts";
import {
  CONSISTENT_SCHEDULE_MS,
  FAST_PROBE_MS,
  FAST_PROBES,
  FIRST_RANDOM_PORT,
  FULL_TTL,
  LOW_TTL,
  LOW_TTL_ROUNDS,
  OPEN_SOCKET_MS,
  RANDOM_PROBES,
  RENEW_SOCKETS_MS,
  SLOW_PROBE_MS,
  UNVERIFIED_EVERY,
} from "./constants.ts";
import type { Targets } from "./targets.ts";

/** A punch to be sent, filled in by a {@linkcode Probe}. The datagram is one byte, 0. */
export interface PunchTransmit {
  /** The number of the socket. */
  socket: number;
  /** Where to. */
  to: SocketAddress;
  /** Hops to live; 0 = the socket's default. */
  ttl: number;
}

/** One way to punch. */
export interface Probe {
  /** When there is something to send; `Infinity` once there will be nothing more. */
  readonly nextAt: number;
  /** Fills `out` with a punch that is due; false if none is. */
  poll(now: number, out: PunchTransmit): boolean;
}

/** A timer that fired late must not be followed by a flood: this many milliseconds are made up for. */
const MAX_CATCH_UP_MS = 100;

/** Both NATs are consistent. */
export class ConsistentProbe implements Probe {
  readonly #targets: Targets;
  #socket: number;
  #start: number;
  #step = 0;
  #index = 0;

  /** Begins at `start` from `socket`. */
  constructor(start: number, socket: number, targets: Targets) {
    this.#start = start;
    this.#socket = socket;
    this.#targets = targets;
  }

  get nextAt(): number {
    return this.#start + (CONSISTENT_SCHEDULE_MS[this.#step] ?? Infinity);
  }

  /** Begins anew at `start`, because the other side has other addresses, or this side another socket. */
  restart(start: number, socket: number): void {
    this.#start = start;
    this.#socket = socket;
    this.#step = 0;
    this.#index = 0;
  }

  poll(now: number, out: PunchTransmit): boolean {
    while (this.nextAt <= now) {
      const target = this.#targets.list[this.#index++];
      if (target === undefined) {
        this.#step++;
        this.#index = 0;
      } else if (target.address.port !== 0 && (target.isVerified || this.#isTurnOfUnverified)) {
        [out.socket, out.to, out.ttl] = [this.#socket, target.address, FULL_TTL];
        return true;
      }
    }
    return false;
  }

  get #isTurnOfUnverified(): boolean {
    return (this.#step + 1) % UNVERIFIED_EVERY === 0;
  }
}

/** Ports from the first that NATs hand out to the last. */
const RANDOM_PORTS = 65_536 - FIRST_RANDOM_PORT;

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

/** The other NAT is random: guesses ports of a host, none twice. */
export class RandomPortProbe implements Probe {
  readonly #socket: number;
  readonly #host: string;
  readonly #first: number;
  readonly #stride: number;
  #count = 0;
  #nextAt: number;

  /** Begins at `start` from `socket`. */
  constructor(start: number, socket: number, host: string, random: Random) {
    this.#nextAt = start;
    this.#socket = socket;
    this.#host = host;
    this.#first = random.below(RANDOM_PORTS);
    // Steps of a width that has no factor in common with the number of ports come by every port once, without a list of them.
    let stride = 1 + random.below(RANDOM_PORTS - 1);
    while (gcd(stride, RANDOM_PORTS) !== 1) stride = 1 + random.below(RANDOM_PORTS - 1);
    this.#stride = stride;
  }

  get nextAt(): number {
    return this.#nextAt;
  }

  poll(now: number, out: PunchTransmit): boolean {
    if (this.#nextAt > now) return false;
    const port = FIRST_RANDOM_PORT + (this.#first + this.#count * this.#stride) % RANDOM_PORTS;
    [out.socket, out.to, out.ttl] = [this.#socket, SocketAddress.of(this.#host, port), FULL_TTL];
    this.#count++;
    const pause = this.#count < FAST_PROBES ? FAST_PROBE_MS : SLOW_PROBE_MS;
    this.#nextAt = Math.max(this.#nextAt, now - MAX_CATCH_UP_MS) + pause;
    if (this.#count >= RANDOM_PROBES) this.#nextAt = Infinity;
    return true;
  }
}

/**
 * This NAT is random: opens many of its ports towards the other side, and keeps them open.
 *
 * The packets are to die on the way at first: a router that sees one from a port before its own side has sent there may use
 * another port for the answer (Linux does if it accepts packets itself).
 */
export class BirthdayProbe implements Probe {
  readonly #to: SocketAddress;
  #sockets: number[] = [];
  #openingTtl: number = LOW_TTL;
  readonly #start: number;
  #renewals = 0;
  #opened = 0;
  #openAt: number;
  #turn = 0;
  #round = 1;
  #keepAt: number;
  #left: number = RANDOM_PROBES;

  /** Begins at `start`, towards `to`; sockets come by {@linkcode add}. */
  constructor(start: number, to: SocketAddress) {
    this.#openAt = start;
    this.#keepAt = start + MAX_CATCH_UP_MS;
    this.#start = start;
    this.#to = to;
  }

  get nextAt(): number {
    const openAt = this.#opened < this.#sockets.length ? this.#openAt : Infinity;
    return Math.min(openAt, this.#opened === 0 || this.#left === 0 ? Infinity : this.#keepAt);
  }

  /** When the sockets should be replaced; `Infinity` once they have been often enough. */
  get renewAt(): number {
    return this.#start + (RENEW_SOCKETS_MS[this.#renewals] ?? Infinity);
  }

  /** Forgets all sockets; those that come now send packets that are to arrive. */
  renew(now: number): void {
    this.#sockets = [];
    this.#opened = 0;
    this.#turn = 0;
    this.#round = LOW_TTL_ROUNDS + 1;
    this.#openingTtl = FULL_TTL;
    this.#openAt = now;
    this.#renewals++;
  }

  /** Takes one more socket. */
  add(socket: number): void {
    this.#sockets.push(socket);
  }

  poll(now: number, out: PunchTransmit): boolean {
    if (this.nextAt > now) return false;
    out.to = this.#to;
    if (this.#opened < this.#sockets.length && this.#openAt <= now) {
      out.socket = this.#sockets[this.#opened++]!;
      out.ttl = this.#openingTtl;
      this.#openAt = Math.max(this.#openAt, now - MAX_CATCH_UP_MS) + OPEN_SOCKET_MS;
      return true;
    }
    if (this.#turn >= this.#opened) {
      this.#turn = 0;
      this.#round++;
    }
    out.socket = this.#sockets[this.#turn++]!;
    out.ttl = this.#round <= LOW_TTL_ROUNDS ? LOW_TTL : FULL_TTL;
    this.#left--;
    this.#keepAt = Math.max(this.#keepAt, now - MAX_CATCH_UP_MS) + SLOW_PROBE_MS;
    return true;
  }
}
