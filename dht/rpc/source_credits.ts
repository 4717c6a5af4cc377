/**
 * What an IPv4 host may cost before it has proven that it receives what is sent to it. Whoever forges its source address can turn
 * replies, which are longer than requests, against somebody else; so an unproven host gets three bytes for each of its own and, in
 * each period of ten seconds, 16 KiB more. After that replies are cut to that measure.
 */
import {
  AMPLIFICATION,
  CREDIT_BURST_BYTES,
  CREDIT_PERIOD_MS,
  FORWARDS_PER_SECOND,
  MAX_REQUESTS_PER_PERIOD,
  MAX_SOURCES,
  SHARED_CREDITS,
} from "./constants.ts";

interface Source {
  requests: number;
  /** Bytes sent to it less {@linkcode AMPLIFICATION} times the bytes that came from it. */
  excess: number;
  /** Messages to third parties that it caused, and when the count was last drained. */
  forwards: number;
  drainedAt: number;
}

/** Counts by source. */
export class SourceCredits {
  /** By host; those that come when there are too many share counts, which have negative names. */
  #sources = new Map<number, Source>();
  #period = -1;
  readonly #forwardsPerSecond: number;
  readonly #salt: number;

  /** No counts yet. `salt`, of 32 bits, decides which hosts share a count: nobody should be able to choose with whom. */
  constructor(forwardsPerSecond: number = FORWARDS_PER_SECOND, salt: number = 0) {
    this.#forwardsPerSecond = forwardsPerSecond;
    this.#salt = salt;
  }

  /** How many sources are counted now. */
  get size(): number {
    return this.#sources.size;
  }

  /** A request of `bytes` bytes came from `host`. False if it sends too many: do not look at it. */
  admit(now: number, host: number, bytes: number): boolean {
    const source = this.#get(now, host);
    if (source.requests >= MAX_REQUESTS_PER_PERIOD) return false;
    source.requests++;
    source.excess -= AMPLIFICATION * bytes;
    return true;
  }

  /** How many bytes may be sent to `host` now. */
  allowance(now: number, host: number): number {
    return CREDIT_BURST_BYTES - this.#get(now, host).excess;
  }

  /** Bytes are sent to `host`. */
  spend(now: number, host: number, bytes: number): void {
    this.#get(now, host).excess += bytes;
  }

  /** Whether `host` may cause one more message to a third party; counts it if so. */
  forward(now: number, host: number): boolean {
    const source = this.#get(now, host);
    const drained = (now - source.drainedAt) * this.#forwardsPerSecond / 1000;
    source.forwards = Math.max(0, source.forwards - drained);
    source.drainedAt = now;
    if (source.forwards + 1 > this.#forwardsPerSecond) return false;
    source.forwards++;
    return true;
  }

  #get(now: number, host: number): Source {
    const period = Math.floor(now / CREDIT_PERIOD_MS);
    if (period !== this.#period) {
      this.#period = period;
      this.#sources = new Map();
    }
    let name = host;
    let source = this.#sources.get(name);
    if (source === undefined && this.#sources.size >= MAX_SOURCES) {
      name = this.#sharedName(host);
      source = this.#sources.get(name);
    }
    if (source === undefined) {
      source = { requests: 0, excess: 0, forwards: 0, drainedAt: now };
      this.#sources.set(name, source);
    }
    return source;
  }

  #sharedName(host: number): number {
    let hash = Math.imul(host ^ this.#salt, 0x9e3779b1);
    hash = Math.imul(hash ^ hash >>> 15, 0x85ebca77);
    return -1 - ((hash ^ hash >>> 13) >>> 0) % SHARED_CREDITS;
  }
}
