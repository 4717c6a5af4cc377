/**
 * What strangers may cost a blind relay: sessions, waiting pairings, links, bytes and bandwidth; for each key, for each host,
 * and in all. Pure: the time is handed in.
 *
 * Keys cost nothing, so what counts for a key alone keeps honest clients fair to each other; the limits for hosts and in all are
 * what protects the relay.
 */
import { toHex } from "../encoding/text.ts";

/** Options of a relay's quotas. The reference has none. */
export interface RelayQuotaOptions {
  /** Sessions in all; 4096 by default. */
  readonly maxSessions?: number | undefined;
  /** Sessions of one key; 64 by default. The reference dials the relay anew for each of its connections. */
  readonly maxSessionsPerKey?: number | undefined;
  /** Sessions from one address; 256 by default. */
  readonly maxSessionsPerHost?: number | undefined;
  /** Pairings that wait for their other half, in all; 4096 by default. */
  readonly maxPending?: number | undefined;
  /** The same of one key; 64 by default. */
  readonly maxPendingPerKey?: number | undefined;
  /** Requests of one key within a second, with as many saved up as four seconds give; 16 by default. */
  readonly maxRequestsPerSecond?: number | undefined;
  /** Links in all; 1024 by default. */
  readonly maxLinks?: number | undefined;
  /** Links of one key; 64 by default. */
  readonly maxLinksPerKey?: number | undefined;
  /** Bytes within a second, in all; 16 MiB by default. What is above is dropped, and the two ends slow down. */
  readonly maxBytesPerSecond?: number | undefined;
  /** The same of one key; 2 MiB by default. */
  readonly maxBytesPerSecondPerKey?: number | undefined;
  /** Bytes of one key within {@linkcode RelayQuotaOptions.periodMs}; 16 GiB by default. Beyond, its links are closed. */
  readonly maxBytesPerKey?: number | undefined;
  /** How long a key has to wait for its next bytes, in milliseconds; a day by default. */
  readonly periodMs?: number | undefined;
}

/** {@linkcode RelayQuotaOptions} with every choice made. */
export type RelayQuotaConfig = { readonly [Name in keyof RelayQuotaOptions]-?: number };

const KIB = 1024;
const MIB = 1024 * KIB;
const DEFAULTS: RelayQuotaConfig = {
  maxSessions: 4096,
  maxSessionsPerKey: 64,
  maxSessionsPerHost: 256,
  maxPending: 4096,
  maxPendingPerKey: 64,
  maxRequestsPerSecond: 16,
  maxLinks: 1024,
  maxLinksPerKey: 64,
  maxBytesPerSecond: 16 * MIB,
  maxBytesPerSecondPerKey: 2 * MIB,
  maxBytesPerKey: 16 * 1024 * MIB,
  periodMs: 24 * 60 * 60 * 1000,
};
/** Seconds of requests that a key may save up: a peer that dials many others at once. */
const REQUEST_BURST_S = 4;
/** Seconds of bandwidth that may be saved up: BBR sends in bursts of a few round trips. */
const BANDWIDTH_BURST_S = 0.5;
/** A bucket holds at least some full packets, or nothing would ever pass. */
const MIN_BANDWIDTH_BURST = 16 * 1500;
/** Keys without a session whose bytes are remembered: 8192 take about a megabyte. */
const MAX_IDLE_ACCOUNTS = 8192;

/** Why a relay has turned something away. */
export type RelayRefusal =
  /** Too many sessions, of the key, from the address or in all. */
  | "sessions"
  /** Too many requests of the key within a short time, or it does not read the answers. */
  | "requests"
  /** Too many pairings wait, of the key or in all. */
  | "pending"
  /** Too many links, of either key or in all. */
  | "links"
  /** The key has used up its bytes. */
  | "bytes"
  /** The same half was offered before. */
  | "duplicate"
  /** The session is about to end. */
  | "ending";

/** What may be done within a time, with a reserve for bursts. */
export class TokenBucket {
  readonly #perMs: number;
  readonly #capacity: number;
  #level: number;
  #filledAt = -Infinity;

  /** A full bucket of `capacity` that gets `perSecond` a second. */
  constructor(perSecond: number, capacity: number) {
    this.#perMs = perSecond / 1000;
    this.#capacity = this.#level = capacity;
  }

  /** Whether there are `amount` now. */
  has(now: number, amount: number): boolean {
    if (now > this.#filledAt) {
      const gained = (now - this.#filledAt) * this.#perMs;
      this.#level = Math.min(this.#capacity, this.#level + gained);
      this.#filledAt = now;
    }
    return this.#level >= amount;
  }

  /** Takes `amount`, which {@linkcode has} has found to be there. */
  take(amount: number): void {
    this.#level -= amount;
  }
}

/** What one key uses. */
export class RelayAccount {
  /** The key, as hex. */
  readonly key: string;
  /** Sessions that are open. */
  sessions = 0;
  /** Pairings that wait. */
  pending = 0;
  /** Links that it is an end of. */
  links = 0;
  /** Bytes that it sent within the present period. */
  bytes = 0;
  /** When the present period began. */
  periodStart: number;
  /** What it may ask for. */
  readonly requests: TokenBucket;
  /** What it may send. */
  readonly bandwidth: TokenBucket;

  /** Made by {@linkcode RelayQuotas}. */
  constructor(key: string, now: number, config: RelayQuotaConfig) {
    this.key = key;
    this.periodStart = now;
    const { maxRequestsPerSecond, maxBytesPerSecondPerKey } = config;
    this.requests = new TokenBucket(maxRequestsPerSecond, maxRequestsPerSecond * REQUEST_BURST_S);
    this.bandwidth = bandwidthOf(maxBytesPerSecondPerKey);
  }
}

/** See the head of the file. */
export class RelayQuotas {
  /** The limits. */
  readonly config: RelayQuotaConfig;
  readonly #accounts = new Map<string, RelayAccount>();
  /** The keys without a session, the one that left first at the front. */
  readonly #idle = new Set<string>();
  readonly #hosts = new Map<string, number>();
  readonly #bandwidth: TokenBucket;
  #sessions = 0;
  #pending = 0;
  #links = 0;

  /** Nobody uses anything yet. @throws {RangeError} if a limit is not a number of 0 or more. */
  constructor(options: RelayQuotaOptions = {}) {
    const config: Record<string, number> = { ...DEFAULTS };
    for (const [name, value] of Object.entries(options)) {
      if (value === undefined) continue;
      if (!(value >= 0)) throw new RangeError(`${name} must be 0 or more, not ${value}`);
      config[name] = value;
    }
    this.config = config as RelayQuotaConfig;
    this.#bandwidth = bandwidthOf(this.config.maxBytesPerSecond);
  }

  /** Sessions that are open. */
  get sessions(): number {
    return this.#sessions;
  }

  /** Pairings that wait. */
  get pending(): number {
    return this.#pending;
  }

  /** Links. */
  get links(): number {
    return this.#links;
  }

  /** Keys that are remembered. */
  get accounts(): number {
    return this.#accounts.size;
  }

  /** Counts a session of a key, from an address if that is known; undefined if there are too many. */
  openSession(now: number, publicKey: Uint8Array, host: string | undefined): RelayAccount | undefined {
    const key = toHex(publicKey);
    const known = this.#accounts.get(key);
    const ofHost = host === undefined ? 0 : this.#hosts.get(host) ?? 0;
    const { maxSessions, maxSessionsPerKey, maxSessionsPerHost } = this.config;
    const isFull = this.#sessions >= maxSessions || (known?.sessions ?? 0) >= maxSessionsPerKey ||
      ofHost >= maxSessionsPerHost;
    if (isFull) return undefined;
    this.#sessions++;
    if (host !== undefined) this.#hosts.set(host, ofHost + 1);
    const account = known ?? new RelayAccount(key, now, this.config);
    account.sessions++;
    this.#accounts.set(key, account);
    this.#idle.delete(key);
    return account;
  }

  /** Ends what {@linkcode openSession} began. The account stays, so that who comes again finds its bytes used. */
  closeSession(account: RelayAccount, host: string | undefined): void {
    this.#sessions--;
    if (host !== undefined) {
      const left = this.#hosts.get(host)! - 1;
      if (left === 0) this.#hosts.delete(host);
      else this.#hosts.set(host, left);
    }
    if (--account.sessions > 0) return;
    this.#idle.add(account.key);
    if (this.#idle.size <= MAX_IDLE_ACCOUNTS) return;
    const [oldest] = this.#idle;
    this.#idle.delete(oldest!);
    this.#accounts.delete(oldest!);
  }

  /** Counts a request; false if the key asks too often. */
  request(now: number, { requests }: RelayAccount): boolean {
    if (!requests.has(now, 1)) return false;
    requests.take(1);
    return true;
  }

  /** Counts a pairing that waits; false if there are too many. */
  openPending(account: RelayAccount): boolean {
    const { maxPending, maxPendingPerKey } = this.config;
    if (this.#pending >= maxPending || account.pending >= maxPendingPerKey) return false;
    this.#pending++;
    account.pending++;
    return true;
  }

  /** Ends what {@linkcode openPending} began. */
  closePending(account: RelayAccount): void {
    this.#pending--;
    account.pending--;
  }

  /** Counts a link between two keys; why not, if there are too many. */
  openLink(now: number, a: RelayAccount, b: RelayAccount): RelayRefusal | undefined {
    const { maxLinks, maxLinksPerKey, maxBytesPerKey } = this.config;
    const isFull = this.#links >= maxLinks || a.links >= maxLinksPerKey || b.links >= maxLinksPerKey;
    if (isFull) return "links";
    if (this.#bytesOf(now, a) >= maxBytesPerKey || this.#bytesOf(now, b) >= maxBytesPerKey) return "bytes";
    this.#links++;
    a.links++;
    b.links++;
    return undefined;
  }

  /** Ends what {@linkcode openLink} began. */
  closeLink(a: RelayAccount, b: RelayAccount): void {
    this.#links--;
    a.links--;
    b.links--;
  }

  /** Whether a packet of `account` may pass: `slow` = not now, `spent` = not within this period. It is counted if so. */
  send(now: number, account: RelayAccount, bytes: number): "pass" | "slow" | "spent" {
    if (this.#bytesOf(now, account) + bytes > this.config.maxBytesPerKey) return "spent";
    if (!account.bandwidth.has(now, bytes) || !this.#bandwidth.has(now, bytes)) return "slow";
    account.bandwidth.take(bytes);
    this.#bandwidth.take(bytes);
    account.bytes += bytes;
    return "pass";
  }

  #bytesOf(now: number, account: RelayAccount): number {
    if (now - account.periodStart >= this.config.periodMs) {
      account.periodStart = now;
      account.bytes = 0;
    }
    return account.bytes;
  }
}

function bandwidthOf(bytesPerSecond: number): TokenBucket {
  return new TokenBucket(bytesPerSecond, Math.max(bytesPerSecond * BANDWIDTH_BURST_S, MIN_BANDWIDTH_BURST));
}
