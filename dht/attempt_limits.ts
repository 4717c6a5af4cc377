/**
 * What strangers may cost a node that can be dialed: attempts that are remembered, in all, in the name of one address and over one
 * relay; handshakes that are looked into within a second; and dials to blind relays. Shared by all servers of a node.
 */
import {
  MAX_ATTEMPTS,
  MAX_ATTEMPTS_PER_HOST,
  MAX_ATTEMPTS_PER_RELAY,
  MAX_COUNTED_HOSTS,
  MAX_HANDSHAKES_PER_HOST,
  MAX_HANDSHAKES_PER_RELAY,
  MAX_HANDSHAKES_PER_SECOND,
  MAX_RELAY_DIALS,
  MAX_RELAY_DIALS_PER_HOST,
} from "./connect_constants.ts";

/** Options of {@linkcode AttemptLimits}. */
export interface AttemptLimitsOptions {
  /** Attempts in all; 4096 by default. */
  readonly maxAttempts?: number;
  /** Attempts in the name of one address; 256 by default. */
  readonly maxPerHost?: number;
  /** Attempts over one relay; 2048 by default. */
  readonly maxPerRelay?: number;
  /** Handshakes within a second; 512 by default. */
  readonly maxPerSecond?: number;
  /** Of these, those of one address; 64 by default. */
  readonly maxPerSecondAndHost?: number;
  /** Of these, those over one relay; 128 by default. */
  readonly maxPerSecondAndRelay?: number;
  /** Dials to relays under way for peers that have not proven themselves; 32 by default. */
  readonly maxRelayDials?: number;
  /** Of these, in the name of one address; 4 by default. */
  readonly maxRelayDialsPerHost?: number;
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
  readonly #maxPerSecondAndHost: number;
  readonly #maxPerSecondAndRelay: number;
  readonly #byHost = new Counts();
  readonly #byRelay = new Counts();
  readonly #maxRelayDials: number;
  readonly #maxRelayDialsPerHost: number;
  readonly #relayDialsByHost = new Counts();
  #attempts = 0;
  #relayDials = 0;
  /** Handshakes since `#second`, by address, and all of them. */
  readonly #recent = new Map<string, number>();
  #allRecent = 0;
  #second = -Infinity;

  /** Limits that nobody has used yet. */
  constructor(options: AttemptLimitsOptions = {}) {
    this.#maxAttempts = options.maxAttempts ?? MAX_ATTEMPTS;
    this.#maxPerHost = options.maxPerHost ?? MAX_ATTEMPTS_PER_HOST;
    this.#maxPerRelay = options.maxPerRelay ?? MAX_ATTEMPTS_PER_RELAY;
    this.#maxPerSecond = options.maxPerSecond ?? MAX_HANDSHAKES_PER_SECOND;
    this.#maxPerSecondAndHost = options.maxPerSecondAndHost ?? MAX_HANDSHAKES_PER_HOST;
    this.#maxPerSecondAndRelay = options.maxPerSecondAndRelay ?? MAX_HANDSHAKES_PER_RELAY;
    this.#maxRelayDials = options.maxRelayDials ?? MAX_RELAY_DIALS;
    this.#maxRelayDialsPerHost = options.maxRelayDialsPerHost ?? MAX_RELAY_DIALS_PER_HOST;
  }

  /** Attempts that are remembered. */
  get size(): number {
    return this.#attempts;
  }

  /** Whether a handshake from `host`, which `relay` has passed on, may cost cryptography now. Counts it if so. */
  mayLookInto(now: number, host: string, relay: string | undefined): boolean {
    if (now - this.#second >= 1000) {
      this.#second = now;
      this.#recent.clear();
      this.#allRecent = 0;
    }
    const from = relay ?? host;
    const name = this.#recent.has(from) || this.#recent.size < MAX_COUNTED_HOSTS ? from : "others";
    const count = this.#recent.get(name) ?? 0;
    const most = relay === undefined ? this.#maxPerSecondAndHost : this.#maxPerSecondAndRelay;
    if (count >= most || this.#allRecent >= this.#maxPerSecond) return false;
    if (this.#byHost.of(host) >= this.#maxPerHost) return false;
    this.#recent.set(name, count + 1);
    this.#allRecent++;
    return true;
  }

  /** What there are too many of to start another attempt; undefined if there is room. */
  shortage(host: string, relay: string | undefined): "host" | "relay" | "all" | undefined {
    if (this.#byHost.of(host) >= this.#maxPerHost) return "host";
    if (relay !== undefined && this.#byRelay.of(relay) >= this.#maxPerRelay) return "relay";
    return this.#attempts >= this.#maxAttempts ? "all" : undefined;
  }

  /** Counts an attempt in the name of `host`, which `relay` has passed on. Only if there is no {@linkcode shortage}. */
  start(host: string, relay: string | undefined): CountedAttempt {
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

  /**
   * Counts the dialing of a relay for a peer at `host` that has not proven itself; undefined if there are too many.
   *
   * @returns a function to be called once when the dial is over, or the peer has proven itself.
   */
  tryDialRelay(host: string): (() => void) | undefined {
    if (this.#relayDials >= this.#maxRelayDials) return undefined;
    if (this.#relayDialsByHost.of(host) >= this.#maxRelayDialsPerHost) return undefined;
    this.#relayDials++;
    this.#relayDialsByHost.add(host, 1);
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#relayDials--;
      this.#relayDialsByHost.add(host, -1);
    };
  }
}
