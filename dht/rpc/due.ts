/** Things with a deadline that know what to do when it comes. */
import type { DeadlineEntry, Deadlines } from "../../core/runtime/deadlines.ts";

/** An entry of a heap of deadlines. */
export interface Due extends DeadlineEntry {
  /** The deadline has come; the entry is out of the heap. */
  onDue(now: number): void;
}

/** A named deadline. */
export class Alarm implements Due {
  /** See {@linkcode DeadlineEntry}. */
  deadline: number = Infinity;
  /** See {@linkcode DeadlineEntry}. */
  deadlineIndex: number = -1;
  /** See {@linkcode DeadlineEntry}. */
  deadlineOrder: number = 0;
  /** See {@linkcode Due}. */
  readonly onDue: (now: number) => void;
  readonly #deadlines: Deadlines<Due>;

  /** An alarm in `deadlines`, not set. */
  constructor(deadlines: Deadlines<Due>, onDue: (now: number) => void) {
    this.#deadlines = deadlines;
    this.onDue = onDue;
  }

  /** Sets it for the moment `at`. */
  set(at: number): void {
    this.#deadlines.set(this, at);
  }

  /** Unsets it. */
  cancel(): void {
    this.#deadlines.delete(this);
  }
}
