/**
 * How long to wait for an answer: by the round trips to the same node before; else by those to all nodes, but no longer than a
 * second; 0.6 s while nothing is known.
 *
 * Source of the smoothing: adaptive-timeout, which is RFC 6298 with other gains. Unlike there, later tries wait for twice as long
 * as the one before, but not for longer than a second.
 */
import type { Random } from "../../core/runtime/runtime.ts";
import {
  FIRST_TIMEOUT_MS,
  MAX_RTTS,
  MAX_TIMEOUT_MS,
  MIN_TIMEOUT_MS,
  REQUEST_TIMEOUT_MS,
  RTT_MAX_AGE_MS,
  TIMEOUT_JITTER_MS,
} from "./constants.ts";

interface Rtt {
  average: number;
  deviation: number;
  at: number;
}

/** Round trips to all nodes that make a rule for others. */
const MIN_SAMPLES = 8;

function update(rtt: Rtt, now: number, sample: number): void {
  rtt.deviation += (Math.abs(rtt.average - sample) - rtt.deviation) / 4;
  rtt.average += (sample - rtt.average) / 8;
  rtt.at = now;
}

const isFresh = (rtt: Rtt, now: number) => now - rtt.at <= RTT_MAX_AGE_MS;
const clamp = (value: number, min: number, max: number) => Math.min(Math.max(value, min), max);

/** Round-trip times by address, the latest {@linkcode MAX_RTTS} of them. */
export class RttCache {
  readonly #random: Random;
  readonly #rtts = new Map<number | string, Rtt>();
  readonly #overall: Rtt = { average: 0, deviation: 0, at: -Infinity };
  #samples = 0;

  /** An empty cache that takes its jitter from `random`. */
  constructor(random: Random) {
    this.#random = random;
  }

  /** How many hosts are remembered. */
  get size(): number {
    return this.#rtts.size;
  }

  /** A round trip to the address with the key `key` took `rtt` milliseconds. */
  put(now: number, key: number | string, rtt: number): void {
    if (this.#samples++ === 0) Object.assign(this.#overall, { average: rtt, deviation: rtt / 2, at: now });
    else update(this.#overall, now, rtt);
    const known = this.#rtts.get(key);
    if (known !== undefined) {
      update(known, now, rtt);
      return;
    }
    if (this.#rtts.size >= MAX_RTTS) {
      for (const oldest of this.#rtts.keys()) {
        this.#rtts.delete(oldest);
        break;
      }
    }
    this.#rtts.set(key, { average: rtt, deviation: rtt / 2, at: now });
  }

  /** Milliseconds to wait for an answer to the try number `attempt`, counted from 1. */
  timeout(now: number, key: number | string, attempt: number): number {
    const first = this.#first(now, key);
    const later = Math.max(first, Math.min(first * 2 ** (attempt - 1), REQUEST_TIMEOUT_MS));
    return later + this.#random.below(TIMEOUT_JITTER_MS);
  }
  #first(now: number, key: number | string): number {
    const known = this.#rtts.get(key);
    if (known !== undefined && isFresh(known, now)) {
      return clamp(known.average + 2 * known.deviation, MIN_TIMEOUT_MS, MAX_TIMEOUT_MS);
    }
    const overall = this.#overall;
    if (this.#samples < MIN_SAMPLES || !isFresh(overall, now)) return FIRST_TIMEOUT_MS;
    return clamp(overall.average + 4 * overall.deviation, MIN_TIMEOUT_MS, REQUEST_TIMEOUT_MS);
  }
}
