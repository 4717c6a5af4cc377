/**
 * What happened inside, as typed values instead of text: tests assert on it, tools draw it, nobody pays when nobody
 * listens.
 */
import type { Clock } from "./runtime.ts";

/** One thing that happened. */
export interface TraceEvent {
  /** When, in milliseconds of the clock in use. */
  readonly at: number;
  /** Which part it happened in: for example `udx`. */
  readonly part: string;
  /** What happened: a short constant such as `rto` or `state`. */
  readonly what: string;
  /** The particulars: numbers and short texts only, so that a trace can be hashed and compared. */
  readonly data: Readonly<Record<string, number | string | boolean>>;
}

/** Takes trace events. */
export type Tracer = (event: TraceEvent) => void;

/** The most recent events, oldest first: what an error report carries. */
export class TraceLog {
  readonly #capacity: number;
  readonly #clock: Clock;
  readonly #events: TraceEvent[] = [];
  #next = 0;

  /** Keeps the last `capacity` events, timed by `clock`. */
  constructor(clock: Clock, capacity: number = 256) {
    this.#clock = clock;
    this.#capacity = capacity;
  }

  /** Notes an event. */
  add(part: string, what: string, data: TraceEvent["data"] = {}): void {
    this.#events[this.#next] = { at: this.#clock.now(), part, what, data };
    this.#next = (this.#next + 1) % this.#capacity;
  }

  /** The events, oldest first. */
  toArray(): TraceEvent[] {
    if (this.#events.length < this.#capacity) return [...this.#events];
    return [...this.#events.slice(this.#next), ...this.#events.slice(0, this.#next)];
  }
}
