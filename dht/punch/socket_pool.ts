/**
 * Sockets to punch from: a fresh one for each attempt, shared with the streams that come of it, and few enough that strangers
 * cannot use up what the system has.
 *
 * A socket is **half-open** until a connection on it is confirmed. There is a cap on the half-open ones; beyond it attempts share
 * them, so that who hoards attempts keeps nobody out: punches are told apart by the host that they come from. Attempts of one key
 * and of one host are capped as well. The sockets of own dials, which no stranger can cause or use up, and the many of a birthday
 * punch have caps of their own and are not shared.
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
  MAX_SAMPLES,
  MAX_SOCKETS_PER_HOST,
  MAX_SOCKETS_PER_KEY,
  MIN_SAMPLES,
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
  /** Leases of half-open sockets for one key; 4 by default. */
  readonly maxPerKey?: number;
  /** Leases of half-open sockets for one host; 16 by default. */
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

/** How a node of the DHT sees a socket. */
export interface SocketSample {
  /** The socket as the node sees it. */
  readonly seenAs: SocketAddress;
  /** The node. */
  readonly node: SocketAddress;
}

/** A socket with all who use it. */
class SharedSocket<Socket extends PunchSocket> {
  readonly socket: Socket;
  readonly leases = new Set<SocketLease<Socket>>();
  readonly samples: SocketSample[] = [];
  /** Ends its count among the half-open ones. */
  readonly settle: () => void;
  readonly isPrivate: boolean;
  isHalfOpen = true;

  constructor(socket: Socket, isPrivate: boolean, settle: () => void) {
    this.socket = socket;
    this.isPrivate = isPrivate;
    this.settle = settle;
  }

  /** Whether an attempt whose peer is at `host` can take part: what the NAT does is known, and punches will be told apart. */
  isOpenTo(host: string | undefined): boolean {
    if (this.isPrivate || !this.isHalfOpen || host === undefined || this.samples.length < MIN_SAMPLES) {
      return false;
    }
    for (const lease of this.leases) if (lease.host === host) return false;
    return true;
  }

  /** A punch belongs to whoever expects it from there; one from elsewhere to whoever was first. */
  onPunch(from: SocketAddress): void {
    const [first] = this.leases;
    let owner = first;
    if (this.leases.size > 1) {
      for (const lease of this.leases) if (lease.host === from.host) owner = lease;
    }
    owner?.onPunch(from);
  }

  /** Is confirmed, or closed. */
  end(): void {
    if (this.isHalfOpen) this.settle();
    this.isHalfOpen = false;
  }
}

/** The right to use one socket of the pool. */
export class SocketLease<Socket extends PunchSocket> {
  /** The socket. */
  readonly socket: Socket;
  /** Where the peer is seen, if that is known. */
  readonly host: string | undefined;
  /** Takes punches. */
  onPunch: (from: SocketAddress) => void = () => {};
  readonly #keeper: LeaseKeeper;
  #users = 1;
  #linger: Timer | undefined;
  #isHalfOpen = true;
  #isReusable = false;
  #isClosed = false;

  /** Made by {@linkcode SocketPool.acquire}. */
  constructor(socket: Socket, host: string | undefined, keeper: LeaseKeeper) {
    this.socket = socket;
    this.host = host;
    this.#keeper = keeper;
  }

  /** Whether the lease is over. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** What nodes that were asked before, by others who share the socket, see of it. Empty when called again. */
  takeSamples(): readonly SocketSample[] {
    return this.#keeper.takeSamples();
  }

  /** Remembers for others how a node sees the socket. */
  addSample(sample: SocketSample): void {
    this.#keeper.addSample(sample);
  }

  /** Tells that the connection is confirmed: the socket is no burden on the caps any more, and nobody else comes to share it. */
  confirm(): void {
    if (this.#isClosed) return;
    this.#settle(true);
  }

  /** Lets the socket linger after its use, so that a connection to the same peer can be made from it. */
  setReusable(isReusable: boolean): void {
    this.#isReusable = isReusable;
  }

  /** Takes part in the use; each user releases. False if the lease is over already. */
  retain(): boolean {
    if (this.#isClosed) return false;
    this.#users++;
    this.#linger?.cancel();
    return true;
  }

  /** Ends one use. After the last the lease is over, at once or after the socket has lingered. */
  release(): void {
    if (this.#isClosed || --this.#users > 0) return;
    this.onPunch = () => {};
    if (this.#isReusable && !this.#isHalfOpen) this.#linger = this.#keeper.schedule(() => this.close());
    else this.close();
  }

  /** Ends the lease, whoever has retained it. With the last one the socket is closed, once no stream uses it. */
  close(): void {
    if (this.#isClosed) return;
    this.#settle(false);
    this.#isClosed = true;
    this.#linger?.cancel();
    this.onPunch = () => {};
    this.#keeper.onClose();
  }

  #settle(isConfirmed: boolean): void {
    if (!this.#isHalfOpen) return;
    this.#isHalfOpen = false;
    this.#keeper.onSettle(isConfirmed);
  }
}

/** What a lease needs of its pool. */
interface LeaseKeeper {
  onSettle(isConfirmed: boolean): void;
  onClose(): void;
  schedule(onDue: () => void): Timer;
  takeSamples(): readonly SocketSample[];
  addSample(sample: SocketSample): void;
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

const ALL = "all";
const DIALS = "dials";
const EXTRA = "extra";

/** See the head of the file. */
export class SocketPool<Socket extends PunchSocket> {
  readonly #clock: Clock;
  readonly #binder: SocketBinder<Socket>;
  readonly #options: SocketPoolOptions<Socket>;
  readonly #shares = new Set<SharedSocket<Socket>>();
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
    return this.#shares.size;
  }

  /** Sockets for peers that dial whose connection is not confirmed, without those of birthday punches. */
  get halfOpenCount(): number {
    return this.#halfOpen.get(ALL);
  }

  /** Whether an attempt whose peer is at `host` would get a socket. */
  hasRoom(host: string): boolean {
    const { maxPerHost = MAX_SOCKETS_PER_HOST } = this.#options;
    if (this.#halfOpen.get(hostAccount(host)) >= maxPerHost) return false;
    return !this.#isFull || this.#findShare(host) !== undefined;
  }

  /**
   * Binds a fresh socket, or shares one if there are too many.
   *
   * @throws {ConnectError} `LIMIT_EXCEEDED` if there is none to be shared, and what binding throws.
   */
  async acquire(purpose: SocketPurpose): Promise<SocketLease<Socket>> {
    if (this.#isClosed) throw new TypeError("The pool is closed: make another");
    const settle = this.#charge(accountsOf(purpose, this.#options));
    const { host, isDial = false, isExtra = false } = purpose;
    const isPrivate = isDial || isExtra;
    if (!isPrivate && this.#isFull) {
      const share = this.#findShare(host);
      if (share !== undefined) return this.#lease(share, host, settle, share.samples);
    }
    let settleSocket = () => {};
    try {
      if (!isPrivate) settleSocket = this.#charge([[ALL, this.#maxHalfOpen, "in all"]]);
      const socket = await this.#binder.bind();
      const share = new SharedSocket(socket, isPrivate, settleSocket);
      this.#shares.add(share);
      const lease = this.#lease(share, host, settle, []);
      socket.onDatagram = (datagram, from) => {
        if (datagram.length === PUNCH_BYTES) share.onPunch(from);
        else this.#options.onMessage(lease, datagram, from);
      };
      if (this.#isClosed) lease.close();
      return lease;
    } catch (error) {
      settle();
      settleSocket();
      throw error;
    }
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
    for (const share of [...this.#shares]) for (const lease of [...share.leases]) lease.close();
    await Promise.all(this.#closing);
  }

  get #maxHalfOpen(): number {
    return this.#options.maxHalfOpen ?? MAX_HALF_OPEN_SOCKETS;
  }

  get #isFull(): boolean {
    return this.#halfOpen.get(ALL) >= this.#maxHalfOpen;
  }

  /** The half-open socket with the fewest users that an attempt whose peer is at `host` can share. */
  #findShare(host: string | undefined): SharedSocket<Socket> | undefined {
    let best: SharedSocket<Socket> | undefined;
    for (const share of this.#shares) {
      if (share.leases.size < (best?.leases.size ?? Infinity) && share.isOpenTo(host)) best = share;
    }
    return best;
  }

  #lease(
    share: SharedSocket<Socket>,
    host: string | undefined,
    settle: () => void,
    known: readonly SocketSample[],
  ): SocketLease<Socket> {
    let samples = known.slice();
    const lease: SocketLease<Socket> = new SocketLease(share.socket, host, {
      onSettle: (isConfirmed) => {
        settle();
        if (isConfirmed) share.end();
      },
      onClose: () => this.#onClose(share, lease),
      schedule: (onDue) =>
        this.#clock.schedule(this.#clock.now() + (this.#options.lingerMs ?? LINGER_MS), onDue),
      takeSamples: () => {
        const taken = samples;
        samples = [];
        return taken;
      },
      addSample: (sample) => void (share.samples.length < MAX_SAMPLES && share.samples.push(sample)),
    });
    share.leases.add(lease);
    return lease;
  }

  /** Adds one to each account; what is returned takes it back. */
  #charge(accounts: readonly Account[]): () => void {
    for (const [name, most, whose] of accounts) {
      if (this.#halfOpen.get(name) < most) continue;
      throw new ConnectError(
        "LIMIT_EXCEEDED",
        `${most} sockets ${whose} wait for a connection already: try again when one is made or has failed`,
      );
    }
    for (const [name] of accounts) this.#halfOpen.add(name, 1);
    return () => accounts.forEach(([name]) => this.#halfOpen.add(name, -1));
  }

  #onClose(share: SharedSocket<Socket>, lease: SocketLease<Socket>): void {
    for (const [key, route] of this.#routes) if (route.lease === lease) this.#routes.delete(key);
    share.leases.delete(lease);
    if (share.leases.size > 0) return;
    share.end();
    this.#shares.delete(share);
    const closing = this.#binder.closeWhenIdle(share.socket).finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }
}

/** What is counted: its name, how many there may be, and whose they are. */
type Account = readonly [name: string, most: number, whose: string];

const hostAccount = (host: string) => `host ${host}`;

/** The accounts of an attempt, that of its socket apart. */
function accountsOf(
  { publicKey, host, isDial = false, isExtra = false }: SocketPurpose,
  { maxPerKey, maxPerHost, maxDialing, maxExtra }: Pick<
    SocketPoolOptions<PunchSocket>,
    "maxPerKey" | "maxPerHost" | "maxDialing" | "maxExtra"
  >,
): Account[] {
  if (isExtra) {
    return [[EXTRA, maxExtra ?? BIRTHDAY_SOCKETS * MAX_RANDOM_PUNCHES, "for guessing ports"]];
  }
  if (isDial) return [[DIALS, maxDialing ?? MAX_DIAL_SOCKETS, "of our own dials"]];
  const accounts: Account[] = [
    [`key ${toHex(publicKey)}`, maxPerKey ?? MAX_SOCKETS_PER_KEY, "of one peer"],
  ];
  if (host !== undefined) {
    accounts.push([hostAccount(host), maxPerHost ?? MAX_SOCKETS_PER_HOST, `of peers at ${host}`]);
  }
  return accounts;
}
