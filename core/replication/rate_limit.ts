/** How many bytes may go one way in a second. */
import type { Clock, Timer } from "../runtime/runtime.ts";

/** A budget that fills with time, up to what a second gives, and may be overdrawn once. */
export class RateLimit {
  readonly #clock: Clock;
  readonly #timer: Timer;
  #bytesPerSecond = Infinity;
  #budget = Infinity;
  #filledAt = 0;

  /** No limit; `onRoom` is called when there is room again after {@linkcode RateLimit.wait}. */
  constructor(clock: Clock, onRoom: () => void) {
    this.#clock = clock;
    this.#timer = clock.schedule(Infinity, onRoom);
  }

  /** Bytes a second; `Infinity` for no limit. */
  get bytesPerSecond(): number {
    return this.#bytesPerSecond;
  }

  set bytesPerSecond(value: number) {
    if (!(value > 0)) throw new RangeError(`a rate is more than 0 bytes a second, not ${value}`);
    this.#bytesPerSecond = value;
    this.#budget = value;
    this.#filledAt = this.#clock.now();
  }

  /** Whether anything may go now. */
  get hasRoom(): boolean {
    if (this.#bytesPerSecond === Infinity) return true;
    this.#fill();
    return this.#budget > 0;
  }

  /** `bytes` went. */
  take(bytes: number): void {
    if (this.#bytesPerSecond === Infinity) return;
    this.#fill();
    this.#budget -= bytes;
  }

  /** Asks to be told when there is room. */
  wait(): void {
    this.#fill();
    const missingMs = (1 - this.#budget) * 1000 / this.#bytesPerSecond;
    this.#timer.reset(this.#clock.now() + Math.max(1, missingMs));
  }

  /** Nothing is told any more. */
  close(): void {
    this.#timer.cancel();
  }

  #fill(): void {
    const now = this.#clock.now();
    const gained = (now - this.#filledAt) * this.#bytesPerSecond / 1000;
    this.#budget = Math.min(this.#bytesPerSecond, this.#budget + gained);
    this.#filledAt = now;
  }
}
