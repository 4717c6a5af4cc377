/**
 * Something that is announced in the DHT again and again until it is taken back: the loop that `Announcer` and `TopicAnnouncement`
 * have in common.
 *
 * ```text
 *   idle --start--> running --suspend--> suspended          running:  +--> round ---> pause, check, pause, check ... --+
 *                    |   ^------resume------+  |                      +---- time is over, a check fails, refresh ------+
 *                    +--------stop--> stopped <+
 * ```
 */
import { AssertionError } from "../core/runtime/errors.ts";
import type { Clock, Timer } from "../core/runtime/runtime.ts";
import { MAX_ANNOUNCE_BACKOFF_MS, MIN_ANNOUNCE_BACKOFF_MS } from "./constants.ts";

/** See the head of the file. */
export abstract class Presence {
  readonly #clock: Clock;
  readonly #timer: Timer;
  #abort = new AbortController();
  #state: "idle" | "running" | "suspended" | "stopped" = "idle";
  /** All that was begun: what comes next waits for it. */
  #running: Promise<void> = Promise.resolve();
  #wantsRound = false;
  #failures = 0;
  #lastError: unknown;
  #wake: (() => void) | undefined;

  /** Nothing happens before {@linkcode start}. */
  constructor(clock: Clock) {
    this.#clock = clock;
    this.#timer = clock.schedule(Infinity, () => this.#wakeUp());
  }

  /** Announces; whether anybody took it. What it throws counts as no, and becomes {@linkcode lastError}. */
  protected abstract announce(signal: AbortSignal): Promise<boolean>;
  /** Whether it is still known to those who took it. */
  protected abstract check(signal: AbortSignal): Promise<boolean>;
  /** Takes it back wherever it may still be known. */
  protected abstract takeBack(): Promise<void>;
  /** Milliseconds between two checks. */
  protected abstract readonly checkMs: number;
  /** Milliseconds until the next round, if all goes well. */
  protected abstract nextRoundMs(): number;

  /** Announces for the first time, and from then on in the background. Resolves after the first round, even if nobody took it. */
  async start(): Promise<void> {
    if (this.#state !== "idle") return;
    this.#state = "running";
    const first = this.#round();
    this.#running = first.then(() => this.#run());
    await first;
  }

  /** Why nobody took the last round, for example because a signer refused; undefined if somebody did, or nobody was found. */
  get lastError(): unknown {
    return this.#lastError;
  }

  /** Announces anew as soon as possible. */
  refresh(): void {
    this.#wantsRound = true;
    this.#wakeUp();
  }

  /** The network works again: if the last round failed, the next is now. */
  notifyOnline(): void {
    if (this.#failures > 0) this.refresh();
  }

  /** Takes back what was announced, and rests. */
  suspend(): Promise<void> {
    return this.#rest("suspended", true);
  }

  /** Announces again after {@linkcode suspend}. */
  resume(): Promise<void> {
    if (this.#state === "suspended") {
      this.#state = "running";
      this.#abort = new AbortController();
      this.#running = this.#running.then(() => this.#run());
      this.refresh();
    }
    return Promise.resolve();
  }

  /** Ends, and takes back what was announced unless `isForced`. */
  stop(isForced: boolean = false): Promise<void> {
    return this.#rest("stopped", !isForced);
  }

  async #rest(state: "suspended" | "stopped", takesBack: boolean): Promise<void> {
    const wasRunning = this.#state === "running";
    if (this.#state !== "stopped") this.#state = state;
    this.#abort.abort();
    this.#wakeUp();
    if (wasRunning && takesBack) this.#running = this.#running.then(() => this.takeBack());
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#state === "running") {
      await this.#watch();
      if (this.#state === "running") await this.#round();
    }
  }

  async #round(): Promise<void> {
    this.#wantsRound = false;
    let isTaken = false;
    this.#lastError = undefined;
    try {
      isTaken = await this.announce(this.#abort.signal);
    } catch (error) {
      if (error instanceof AssertionError) throw error;
      this.#lastError = error;
    }
    this.#failures = isTaken ? 0 : this.#failures + 1;
  }

  /** Returns when it is time for another round. */
  async #watch(): Promise<void> {
    // Who is offline, or alone, must not ask the same few nodes over and over.
    const isLost = this.#failures > 0;
    const until = this.#clock.now() + (isLost ? backoff(this.#failures) : this.nextRoundMs());
    while (this.#clock.now() < until && !this.#mustEndWatch()) {
      await this.#pause(Math.min(until, this.#clock.now() + this.checkMs));
      if (!isLost && !this.#mustEndWatch() && !await this.check(this.#abort.signal)) return;
    }
  }

  #mustEndWatch(): boolean {
    return this.#state !== "running" || this.#wantsRound;
  }

  #pause(until: number): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#timer.reset(until);
    });
  }

  #wakeUp(): void {
    this.#timer.cancel();
    this.#wake?.();
    this.#wake = undefined;
  }
}

/** Milliseconds until the next try after so many that nobody took. */
function backoff(failures: number): number {
  return Math.min(MIN_ANNOUNCE_BACKOFF_MS * 2 ** (failures - 1), MAX_ANNOUNCE_BACKOFF_MS);
}
