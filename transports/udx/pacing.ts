/**
 * Spreads packets over time: a token bucket in bytes. Hosts wake a program at best once a millisecond, so a wake-up may
 * send what has come due since the last one, and no more than a small burst beyond.
 */

/** Bytes that may always be sent at once: what a short exchange needs must not wait for a timer. */
const MIN_BURST_BYTES = 16 * 1500;
/** Time whose bytes may pile up while the program was busy elsewhere, in milliseconds. */
const MAX_BURST_MS = 4;
/** A wait shorter than this is not worth a timer, in milliseconds. */
const MIN_WAIT_MS = 1;

/** Decides when the next packet may leave. */
export class Pacer {
  #tokens = MIN_BURST_BYTES;
  #updatedAt = -Infinity;

  /** When a packet may leave at `rate` bytes per millisecond: `now`, or later. */
  nextSendTime(now: number, rate: number): number {
    this.#refill(now, rate);
    if (this.#tokens > 0) return now;
    return now + Math.max(MIN_WAIT_MS, -this.#tokens / rate);
  }

  /** Pays for a packet. The last one of a burst may overdraw. */
  onSent(bytes: number): void {
    this.#tokens -= bytes;
  }

  #refill(now: number, rate: number): void {
    if (now <= this.#updatedAt) return;
    const burst = Math.max(MIN_BURST_BYTES, rate * MAX_BURST_MS);
    this.#tokens = this.#updatedAt === -Infinity
      ? burst
      : Math.min(burst, this.#tokens + (now - this.#updatedAt) * rate);
    this.#updatedAt = now;
  }
}
