/**
 * The three deadlines of a secret stream on one timer: being open, saying something, hearing something.
 *
 * Traffic only moves a deadline later, so it writes down the time and leaves the timer alone: the timer finds out when
 * it fires and arms itself for the rest. A message then costs one look at the clock, and none if nothing is timed.
 */
import type { Clock, Timer } from "../runtime/runtime.ts";

/** What has come: the stream is not open in time, nothing was said, nothing was heard. */
export type SecretDeadline = "open" | "keepAlive" | "idle";

/** When a secret stream has to act. Durations are in milliseconds; 0 is never. */
export class SecretDeadlines {
  readonly #clock: Clock;
  readonly #timer: Timer;
  readonly #onDue: (what: SecretDeadline) => void;
  #openAt = Infinity;
  #keepAliveMs = 0;
  #idleMs = 0;
  #sentAt = 0;
  #heardAt = 0;
  #speaks = false;
  #listens = false;
  #armedAt = Infinity;
  #cancelled = false;

  /** Calls `onDue` for each deadline that is missed, one at a time. */
  constructor(clock: Clock, onDue: (what: SecretDeadline) => void) {
    this.#clock = clock;
    this.#onDue = onDue;
    this.#timer = clock.schedule(Infinity, () => this.#onTimer());
  }

  /** From now on the stream must be open within `ms`. */
  expectOpen(ms: number): void {
    this.#openAt = ms > 0 ? this.#clock.now() + ms : Infinity;
    this.#arm();
  }

  /** The stream is open. */
  opened(): void {
    this.#openAt = Infinity;
  }

  /** `keepAlive` is due when nothing was sent for `ms`. */
  set keepAliveMs(ms: number) {
    this.#keepAliveMs = ms;
    this.#sentAt = this.#clock.now();
    this.#arm();
  }

  /** `idle` is due when nothing was heard for `ms`. */
  set idleMs(ms: number) {
    this.#idleMs = ms;
    this.#heardAt = this.#clock.now();
    this.#arm();
  }

  /** Whether this side can send: without, no keepalive is due. */
  set speaks(value: boolean) {
    this.#speaks = value;
    this.keepAliveMs = this.#keepAliveMs;
  }

  /** Whether this side reads: without, silence is its own doing. */
  set listens(value: boolean) {
    this.#listens = value;
    this.idleMs = this.#idleMs;
  }

  /** Something was sent. */
  sent(): void {
    if (this.#keepAliveMs > 0) this.#sentAt = this.#clock.now();
  }

  /** Something was heard. */
  heard(): void {
    if (this.#idleMs > 0) this.#heardAt = this.#clock.now();
  }

  /** Nothing is due any more. */
  cancel(): void {
    this.#cancelled = true;
    this.#timer.cancel();
  }

  get #keepAliveAt(): number {
    return this.#speaks && this.#keepAliveMs > 0 ? this.#sentAt + this.#keepAliveMs : Infinity;
  }

  get #idleAt(): number {
    return this.#listens && this.#idleMs > 0 ? this.#heardAt + this.#idleMs : Infinity;
  }

  #arm(): void {
    const next = Math.min(this.#openAt, this.#keepAliveAt, this.#idleAt);
    if (next >= this.#armedAt || this.#cancelled) return;
    this.#armedAt = next;
    this.#timer.reset(next);
  }

  #onTimer(): void {
    this.#armedAt = Infinity;
    const now = this.#clock.now();
    if (this.#openAt <= now) {
      this.#openAt = Infinity;
      this.#onDue("open");
    } else if (this.#idleAt <= now) {
      this.#heardAt = now;
      this.#onDue("idle");
    } else if (this.#keepAliveAt <= now) {
      this.#sentAt = now;
      this.#onDue("keepAlive");
    }
    this.#arm();
  }
}
