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
  #sources = new Map<number, Source>();
  /** Shared by all that come when there are too many to count one by one. */
  #others: Source = { requests: 0, excess: 0, forwards: 0, drainedAt: 0 };
  #period = -1;
  readonly #forwardsPerSecond: number;

  /** No counts yet. */
  constructor(forwardsPerSecond: number = FORWARDS_PER_SECOND) {
    this.#forwardsPerSecond = forwardsPerSecond;
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
      this.#others = { requests: 0, excess: 0, forwards: 0, drainedAt: now };
    }
    const known = this.#sources.get(host);
    if (known !== undefined) return known;
    if (this.#sources.size >= MAX_SOURCES) return this.#others;
    const source = { requests: 0, excess: 0, forwards: 0, drainedAt: now };
    this.#sources.set(host, source);
    return source;
  }
}
