/**
 * How often a node punches at random ports: hundreds of packets and sockets are a burden for home routers, and would be a weapon in
 * the hands of a peer that asks for them again and again.
 */
import { MAX_RANDOM_PUNCHES, RANDOM_INTERVAL_MS, RANDOM_PAUSE_MS } from "./constants.ts";

/** Options of a {@linkcode PunchBudget}. */
export interface PunchBudgetOptions {
  /** At a time; 1 by default. */
  readonly maxRandomPunches?: number;
  /** Milliseconds from the end of one to the start of the next; 20,000 by default, 4,000 after one that came to a connection. */
  readonly randomIntervalMs?: number;
  /** Do not punch at random ports within the first interval after this moment. */
  readonly deferredSince?: number;
}

/** Shared by all connection attempts of a node. */
export class PunchBudget {
  readonly #max: number;
  readonly #intervalMs: number;
  #running = 0;
  readonly #pauseMs: number;
  /** When the next may start. */
  #nextStart: number;

  /** A budget that is unused. */
  constructor(options: PunchBudgetOptions = {}) {
    this.#max = options.maxRandomPunches ?? MAX_RANDOM_PUNCHES;
    this.#intervalMs = options.randomIntervalMs ?? RANDOM_INTERVAL_MS;
    this.#pauseMs = Math.min(this.#intervalMs, RANDOM_PAUSE_MS);
    this.#nextStart = (options.deferredSince ?? -Infinity) + this.#intervalMs;
  }

  /** How many run. */
  get running(): number {
    return this.#running;
  }

  /** Starts a punch at random ports if that is allowed now; each that started must be {@linkcode end}ed. */
  tryStart(now: number): boolean {
    if (this.#running >= this.#max || now < this.#nextStart) return false;
    this.#running++;
    return true;
  }

  /**
   * Ends one. `hasPunched` tells whether packets have gone out: otherwise the next may start at once. `isConnected` tells whether
   * it has come to a connection.
   */
  end(now: number, hasPunched: boolean, isConnected: boolean = false): void {
    this.#running--;
    if (hasPunched) this.#nextStart = now + (isConnected ? this.#pauseMs : this.#intervalMs);
  }

  /** Begins a new interval, as after a suspension. */
  defer(now: number): void {
    this.#nextStart = now + this.#intervalMs;
  }
}
