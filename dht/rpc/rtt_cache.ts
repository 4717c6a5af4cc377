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

/** Times in sixteenths of a millisecond, and `at` in milliseconds: integers, since fractions would take memory of their own. */
interface Rtt {
  average: number;
  deviation: number;
  at: number;
}

/** Round trips to all nodes that make a rule for others. */
const MIN_SAMPLES = 8;

function make(now: number, rtt: number): Rtt {
  const average = Math.round(16 * rtt);
  return { average, deviation: average >> 1, at: Math.floor(now) };
}

function update(rtt: Rtt, now: number, sample: number): void {
  const error = Math.round(16 * sample) - rtt.average;
  rtt.deviation += (Math.abs(error) - rtt.deviation) >> 2;
  rtt.average += error >> 3;
  rtt.at = Math.floor(now);
}

/** Milliseconds: the average and so many deviations more, within bounds. */
function bound({ average, deviation }: Rtt, deviations: number, max: number): number {
  return Math.min(Math.max((average + deviations * deviation) / 16, MIN_TIMEOUT_MS), max);
}

const isFresh = (rtt: Rtt, now: number) => now - rtt.at <= RTT_MAX_AGE_MS;

/** Round-trip times by address, the latest {@linkcode MAX_RTTS} of them. */
export class RttCache {
  readonly #random: Random;
  readonly #rtts = new Map<number | string, Rtt>();
  #overall: Rtt | undefined;
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
    this.#samples++;
    if (this.#overall === undefined) this.#overall = make(now, rtt);
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
    this.#rtts.set(key, make(now, rtt));
  }

  /** Milliseconds to wait for an answer to the try number `attempt`, counted from 1. */
  timeout(now: number, key: number | string, attempt: number): number {
    const first = this.#first(now, key);
    const later = Math.max(first, Math.min(first * 2 ** (attempt - 1), REQUEST_TIMEOUT_MS));
    return later + this.#random.below(TIMEOUT_JITTER_MS);
  }

  #first(now: number, key: number | string): number {
    const known = this.#rtts.get(key);
    if (known !== undefined && isFresh(known, now)) return bound(known, 2, MAX_TIMEOUT_MS);
    const overall = this.#overall;
    if (overall === undefined || this.#samples < MIN_SAMPLES || !isFresh(overall, now)) {
      return FIRST_TIMEOUT_MS;
    }
    return bound(overall, 4, REQUEST_TIMEOUT_MS);
  }
}
