/**
 * Round-trip times: the smoothed one and its variance (RFC 6298), the shortest of late, and the timeout they lead to.
 */
import {
  INITIAL_RTO_MS,
  MAX_RTO_MS,
  MIN_RTO_MS,
  RACK_MIN_RTT_WINDOW_MS,
  RTT_OUTLIER_MS,
} from "./constants.ts";
import { WindowedMax } from "./windowed_max.ts";

/** What is known of a path's round trip. All in milliseconds. */
export class RttEstimator {
  readonly #shortest = new WindowedMax(RACK_MIN_RTT_WINDOW_MS, -Infinity);
  #smoothed = 0;
  #variance = 0;
  #latest = 0;
  #timeout = INITIAL_RTO_MS;

  /** Whether there was a sample yet. */
  get hasSample(): boolean {
    return this.#smoothed > 0;
  }

  /** The smoothed round trip; 0 before the first sample. */
  get smoothed(): number {
    return this.#smoothed;
  }

  /** The mean deviation. */
  get variance(): number {
    return this.#variance;
  }

  /** The most recent sample. */
  get latest(): number {
    return this.#latest;
  }

  /** The shortest of the last five minutes; `Infinity` before the first sample. */
  get shortest(): number {
    return -this.#shortest.value;
  }

  /** How long an unanswered packet is waited for. */
  get timeout(): number {
    return this.#timeout;
  }

  /** Takes a sample of a packet that was sent only once (Karn's rule). */
  sample(now: number, rtt: number): void {
    // A machine that slept must not believe in a round trip of minutes.
    const outlier = this.#smoothed + 5 * this.#variance;
    if (this.hasSample && rtt > RTT_OUTLIER_MS && rtt > outlier) rtt = outlier;
    rtt = Math.min(Math.max(rtt, 0.001), MAX_RTO_MS);
    this.#latest = rtt;
    this.#shortest.update(now, -rtt);
    if (this.#smoothed === 0) {
      this.#smoothed = rtt;
      this.#variance = rtt / 2;
    } else {
      this.#variance = 0.75 * this.#variance + 0.25 * Math.abs(this.#smoothed - rtt);
      this.#smoothed = 0.875 * this.#smoothed + 0.125 * rtt;
    }
    this.#timeout = Math.min(Math.max(this.#smoothed + 4 * this.#variance, MIN_RTO_MS), MAX_RTO_MS);
  }
}
