/**
 * Sockets to punch from: a fresh one for each attempt, shared with the streams that come of it, and few enough that strangers
 * cannot use up what the system has.
 *
 * A socket is **half-open** until its connection is confirmed. All half-open ones together, those for one key and those for one
 * host are capped; those of our own dials, which no stranger can cause or use up, and the many of a birthday punch have caps of
 * their own.
 */
import { ConnectError } from "../../core/runtime/errors.ts";
import type { Clock, Timer } from "../../core/runtime/runtime.ts";
import type { SocketAddress } from "../../encoding/address.ts";
import { toHex } from "../../encoding/text.ts";
import {
  BIRTHDAY_SOCKETS,
  LINGER_MS,
  MAX_DIAL_SOCKETS,
  MAX_HALF_OPEN_SOCKETS,
  MAX_RANDOM_PUNCHES,
  MAX_SOCKETS_PER_HOST,
  MAX_SOCKETS_PER_KEY,
  PUNCH_BYTES,
} from "./constants.ts";

/** A socket as the pool needs it; `UdxSocket` is one. */
export interface PunchSocket {
  /** The local address. */
  readonly address: SocketAddress;
  /** Whether {@linkcode send} honours `ttl`. */
  readonly canSetTtl: boolean;
  /** Takes what is no packet of a stream. */
  onDatagram: ((datagram: Uint8Array, from: SocketAddress) => void) | undefined;
  /** Sends a datagram; false = dropped here. */
  send(datagram: Uint8Array, to: SocketAddress, ttl?: number): boolean;
}

/** Where sockets come from; `UdxEndpoint` is one. */
export interface SocketBinder<Socket extends PunchSocket> {
  /** Binds a socket to a port that the system chooses. */
  bind(): Promise<Socket>;
  /** Closes a socket as soon as no stream uses it. */
  closeWhenIdle(socket: Socket): Promise<void>;
}

/** Options of a {@linkcode SocketPool}. */
export interface SocketPoolOptions<Socket extends PunchSocket> {
  /** Takes datagrams of more than one byte: what the DHT answers to requests from these sockets. */
  onMessage(lease: SocketLease<Socket>, datagram: Uint8Array, from: SocketAddress): void;
  /** Half-open sockets for peers that dial, at the most; 32 by default. */
  readonly maxHalfOpen?: number;
  /** Of these, for one key; 4 by default. */
  readonly maxPerKey?: number;
  /** Of these, for one host; 16 by default. */
  readonly maxPerHost?: number;
  /** Half-open sockets of own dials at the most; 256 by default. */
  readonly maxDialing?: number;
  /** Sockets of birthday punches at the most; 256 by default. */
  readonly maxExtra?: number;
  /** Milliseconds that a reusable socket stays open after its use; 3000 by default. */
  readonly lingerMs?: number;
}

/** For whom a socket is. */
export interface SocketPurpose {
  /** The key of the peer. */
  readonly publicKey: Uint8Array;
  /** The peer as it is seen, if that is known. */
  readonly host?: string | undefined;
  /** Whether this side dials. */
  readonly isDial?: boolean;
  /** Whether it is one of the many of a birthday punch. */
  readonly isExtra?: boolean;
}

/** Where a peer was reached: over the same socket it is reached again at once. */
export interface Route<Socket extends PunchSocket> {
  /** The socket. */
  readonly lease: SocketLease<Socket>;
  /** The peer's address. */
  readonly address: SocketAddress;
}

/** The right to use one socket of the pool. */
export class SocketLease<Socket extends PunchSocket> {
  /** The socket. */
  readonly socket: Socket;
  /** Takes punches. */
  onPunch: (from: SocketAddress) => void = () => {};
  readonly #pool: LeaseKeeper;
  #users = 1;
  #linger: Timer | undefined;
  #isHalfOpen = true;
  #isReusable = false;
  #isClosed = false;

  /** Made by {@linkcode SocketPool.acquire}. */
  constructor(socket: Socket, pool: LeaseKeeper) {
    this.socket = socket;
    this.#pool = pool;
  }

  /** Whether the socket is closed, or will be once its streams are. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Tells that the connection is confirmed: the socket is no burden on the caps any more. */
  confirm(): void {
    if (!this.#isHalfOpen || this.#isClosed) return;
    this.#isHalfOpen = false;
    this.#pool.onConfirm();
  }

  /** Lets the socket linger after its use, so that a connection to the same peer can be made from it. */
  setReusable(isReusable: boolean): void {
    this.#isReusable = isReusable;
  }

  /** Takes part in the use; each user releases. False if the socket is closed already. */
  retain(): boolean {
    if (this.#isClosed) return false;
    this.#users++;
    this.#linger?.cancel();
    return true;
  }

  /** Ends one use. After the last the socket is closed, at once or after it has lingered. */
  release(): void {
    if (this.#isClosed || --this.#users > 0) return;
    this.onPunch = () => {};
    if (this.#isReusable && !this.#isHalfOpen) this.#linger = this.#pool.schedule(() => this.close());
    else this.close();
  }

  /** Closes the socket once no stream uses it, whoever has retained it. */
  close(): void {
    if (this.#isClosed) return;
    this.confirm();
    this.#isClosed = true;
    this.#linger?.cancel();
    this.onPunch = () => {};
    this.#pool.onClose();
  }
}

/** What a lease needs of its pool. */
interface LeaseKeeper {
  onConfirm(): void;
  onClose(): void;
  schedule(onDue: () => void): Timer;
}

/** Counts by name; forgets a name with its last count. */
class Tally {
  readonly #counts = new Map<string, number>();

  get(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  add(name: string, count: number): void {
    const sum = this.get(name) + count;
    if (sum === 0) this.#counts.delete(name);
    else this.#counts.set(name, sum);
  }
}

/** What a socket counts for, how many may, and whose they are. */
type Account = [name: string, most: number, whose: string];

const ALL = "all";
const DIALS = "dials";
const EXTRA = "extra";

/** See the head of the file. */
export class SocketPool<Socket extends PunchSocket> {
  readonly #clock: Clock;
  readonly #binder: SocketBinder<Socket>;
  readonly #options: SocketPoolOptions<Socket>;
  readonly #leases = new Set<SocketLease<Socket>>();
  readonly #routes = new Map<string, Route<Socket>>();
  readonly #halfOpen = new Tally();
  readonly #closing = new Set<Promise<void>>();
  #isClosed = false;

  /** A pool without sockets. */
  constructor(
    runtime: { readonly clock: Clock },
    binder: SocketBinder<Socket>,
    options: SocketPoolOptions<Socket>,
  ) {
    this.#clock = runtime.clock;
    this.#binder = binder;
    this.#options = options;
  }

  /** Sockets that are not closed. */
  get size(): number {
    return this.#leases.size;
  }

  /** Sockets for peers that dial whose connection is not confirmed, without those of birthday punches. */
  get halfOpenCount(): number {
    return this.#halfOpen.get(ALL);
  }

  /**
   * Binds a fresh socket.
   *
   * @throws {ConnectError} `LIMIT_EXCEEDED` if there are too many half-open ones, and what binding throws.
   */
  async acquire(purpose: SocketPurpose): Promise<SocketLease<Socket>> {
    if (this.#isClosed) throw new TypeError("The pool is closed: make another");
    const account = this.#charge(purpose);
    const settle = () => account.forEach((name) => this.#halfOpen.add(name, -1));
    let socket: Socket;
    try {
      socket = await this.#binder.bind();
    } catch (error) {
      settle();
      throw error;
    }
    const lease = new SocketLease(socket, {
      onConfirm: settle,
      onClose: () => this.#onClose(lease),
      schedule: (onDue) =>
        this.#clock.schedule(this.#clock.now() + (this.#options.lingerMs ?? LINGER_MS), onDue),
    });
    socket.onDatagram = (datagram, from) => {
      if (datagram.length === PUNCH_BYTES) lease.onPunch(from);
      else this.#options.onMessage(lease, datagram, from);
    };
    this.#leases.add(lease);
    if (this.#isClosed) lease.close();
    return lease;
  }

  /** Remembers where the peer of a key was reached; forgotten with the socket. */
  addRoute(publicKey: Uint8Array, lease: SocketLease<Socket>, address: SocketAddress): void {
    if (lease.isClosed) return;
    lease.setReusable(true);
    this.#routes.set(toHex(publicKey), { lease, address });
  }

  /** Where the peer of a key was reached. */
  route(publicKey: Uint8Array): Route<Socket> | undefined {
    return this.#routes.get(toHex(publicKey));
  }

  /** Forgets where the peer of a key was reached: it no longer answers there. */
  dropRoute(publicKey: Uint8Array): void {
    const key = toHex(publicKey);
    this.#routes.get(key)?.lease.setReusable(false);
    this.#routes.delete(key);
  }

  /** Closes all sockets as soon as their streams are closed; resolves when those without streams are. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const lease of [...this.#leases]) lease.close();
    await Promise.all(this.#closing);
  }

  /** Puts a socket on the accounts that it counts for, and returns their names. */
  #charge(purpose: SocketPurpose): string[] {
    const accounts = this.#accounts(purpose);
    for (const [name, most, whose] of accounts) {
      if (this.#halfOpen.get(name) < most) continue;
      throw new ConnectError(
        "LIMIT_EXCEEDED",
        `${most} sockets ${whose} wait for a connection already: try again when one is made or has failed`,
      );
    }
    for (const [name] of accounts) this.#halfOpen.add(name, 1);
    return accounts.map(([name]) => name);
  }

  #accounts({ publicKey, host, isDial = false, isExtra = false }: SocketPurpose): Account[] {
    const { maxHalfOpen, maxPerKey, maxPerHost, maxDialing, maxExtra } = this.#options;
    if (isExtra) return [[EXTRA, maxExtra ?? BIRTHDAY_SOCKETS * MAX_RANDOM_PUNCHES, "for guessing ports"]];
    if (isDial) return [[DIALS, maxDialing ?? MAX_DIAL_SOCKETS, "of our own dials"]];
    const accounts: Account[] = [
      [ALL, maxHalfOpen ?? MAX_HALF_OPEN_SOCKETS, "in all"],
      [`key ${toHex(publicKey)}`, maxPerKey ?? MAX_SOCKETS_PER_KEY, "of one peer"],
    ];
    if (host !== undefined) {
      accounts.push([`host ${host}`, maxPerHost ?? MAX_SOCKETS_PER_HOST, `of peers at ${host}`]);
    }
    return accounts;
  }

  #onClose(lease: SocketLease<Socket>): void {
    this.#leases.delete(lease);
    for (const [key, route] of this.#routes) if (route.lease === lease) this.#routes.delete(key);
    const closing = this.#binder.closeWhenIdle(lease.socket).finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }
}
