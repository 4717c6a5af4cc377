/** How much may be sent to a peer before it is the turn of others, and before the pipe has said whether it has room. */
import type { Clock } from "../runtime/runtime.ts";
import { MAX_TURN_BYTES } from "./constants.ts";

/** What is asked for room. */
export interface Pipe {
  /** Whether there was room after the last write. */
  readonly isDrained: boolean;
}

/** The budget of one peer. */
export class TurnBudget {
  readonly #clock: Clock;
  readonly #pipe: Pipe;
  readonly #onRoom: () => void;
  #spent = 0;
  #isArmed = false;

  /** Calls `onRoom` in the next turn after something was spent. */
  constructor(clock: Clock, pipe: Pipe, onRoom: () => void) {
    this.#clock = clock;
    this.#pipe = pipe;
    this.#onRoom = onRoom;
  }

  /** Whether more may be sent now. If not, `onRoom` is called, or the pipe drains. */
  get hasRoom(): boolean {
    return this.#spent < MAX_TURN_BYTES && this.#pipe.isDrained;
  }

  /** `bytes` were sent. */
  spend(bytes: number): void {
    this.#spent += bytes;
    if (this.#isArmed) return;
    this.#isArmed = true;
    this.#clock.defer(() => {
      this.#isArmed = false;
      this.#spent = 0;
      this.#onRoom();
    });
  }
}
