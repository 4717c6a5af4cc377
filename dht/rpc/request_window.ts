/**
 * How many requests may be out without an answer. It begins with what the reference allows itself at most, grows by one with each
 * answer while it is in use, and shrinks by two with each timeout: where a third of all requests is lost it does not grow.
 *
 * The reference counts sends in slots of 750 ms. That caps the rate by a timer once the slots are full: 177 lookups/s with 32 in
 * flight where 4 in flight make 1,415.
 */
import { MIN_WINDOW, WINDOW_IDLE_MS } from "./constants.ts";

/** See the head of the file. */
export class RequestWindow {
  readonly #max: number;
  #size: number;
  #lastAnswerAt = -Infinity;

  /** A window that grows to `max` requests. */
  constructor(max: number) {
    this.#max = max;
    this.#size = Math.min(MIN_WINDOW, max);
  }

  /** How many requests may be out. */
  get size(): number {
    return this.#size;
  }

  /** An answer came when `inFlight` requests were out. */
  onAnswer(now: number, inFlight: number): void {
    if (now - this.#lastAnswerAt > WINDOW_IDLE_MS) this.reset();
    this.#lastAnswerAt = now;
    if (2 * inFlight >= this.#size) this.#size = Math.min(this.#max, this.#size + 1);
  }

  /** A request was not answered in time. */
  onTimeout(): void {
    this.#size = Math.max(Math.min(MIN_WINDOW, this.#max), this.#size - 2);
  }

  /** Forgets all answers. */
  reset(): void {
    this.#size = Math.min(MIN_WINDOW, this.#max);
  }
}
