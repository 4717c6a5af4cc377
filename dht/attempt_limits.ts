/**
 * What strangers may cost a node that can be dialed: attempts that are remembered, in all, in the name of one address and over one
 * relay; and handshakes that are looked into within a second. Shared by all servers of a node.
 */
import {
  MAX_ATTEMPTS,
  MAX_ATTEMPTS_PER_HOST,
  MAX_ATTEMPTS_PER_RELAY,
  MAX_COUNTED_HOSTS,
  MAX_HANDSHAKES_PER_SECOND,
} from "./connect_constants.ts";

/** Options of {@linkcode AttemptLimits}. */
export interface AttemptLimitsOptions {
  /** Attempts in all; 4096 by default. */
  readonly maxAttempts?: number;
  /** Attempts in the name of one address; 256 by default. */
  readonly maxPerHost?: number;
  /** Attempts over one relay; 2048 by default. */
  readonly maxPerRelay?: number;
  /** Handshakes of one address within a second; 64 by default. */
  readonly maxPerSecond?: number;
}

/** One attempt that counts until it is ended. */
export interface CountedAttempt {
  /** It is proven, and no longer counts for its address and its relay. */
  settle(): void;
  /** It is forgotten. */
  end(): void;
}

/** A count for each name; forgets a name with its last count. */
class Counts {
  readonly #counts = new Map<string, number>();

  of(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  add(name: string, count: number): void {
    const sum = this.of(name) + count;
    if (sum === 0) this.#counts.delete(name);
    else this.#counts.set(name, sum);
  }
}

/** See the head of the file. */
export class AttemptLimits {
  readonly #maxAttempts: number;
  readonly #maxPerHost: number;
  readonly #maxPerRelay: number;
  readonly #maxPerSecond: number;
  readonly #byHost = new Counts();
  readonly #byRelay = new Counts();
  #attempts = 0;
  /** Handshakes since `#second`, by address. */
  readonly #recent = new Map<string, number>();
  #second = -Infinity;

  /** Limits that nobody has used yet. */
  constructor(options: AttemptLimitsOptions = {}) {
    this.#maxAttempts = options.maxAttempts ?? MAX_ATTEMPTS;
    this.#maxPerHost = options.maxPerHost ?? MAX_ATTEMPTS_PER_HOST;
    this.#maxPerRelay = options.maxPerRelay ?? MAX_ATTEMPTS_PER_RELAY;
    this.#maxPerSecond = options.maxPerSecond ?? MAX_HANDSHAKES_PER_SECOND;
  }

  /** Attempts that are remembered. */
  get size(): number {
    return this.#attempts;
  }

  /** Whether a handshake from `host` may cost cryptography now. Counts it. */
  mayLookInto(now: number, host: string): boolean {
    if (now - this.#second >= 1000) {
      this.#second = now;
      this.#recent.clear();
    }
    const name = this.#recent.has(host) || this.#recent.size < MAX_COUNTED_HOSTS ? host : "others";
    const count = (this.#recent.get(name) ?? 0) + 1;
    this.#recent.set(name, count);
    return count <= this.#maxPerSecond;
  }

  /** Counts an attempt in the name of `host`, which `relay` has passed on; undefined if there are too many. */
  tryStart(host: string, relay: string | undefined): CountedAttempt | undefined {
    if (this.#attempts >= this.#maxAttempts || this.#byHost.of(host) >= this.#maxPerHost) return undefined;
    if (relay !== undefined && this.#byRelay.of(relay) >= this.#maxPerRelay) return undefined;
    const count = (by: number) => {
      this.#byHost.add(host, by);
      if (relay !== undefined) this.#byRelay.add(relay, by);
    };
    this.#attempts++;
    count(1);
    let [isSettled, isEnded] = [false, false];
    const settle = () => {
      if (!isSettled) count(-1);
      isSettled = true;
    };
    return {
      settle,
      end: () => {
        settle();
        if (!isEnded) this.#attempts--;
        isEnded = true;
      },
    };
  }
}
