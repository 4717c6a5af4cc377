/** What happens to the host: it gets other addresses, or it sleeps. There is no portable news of either: one has to look. */
import type { Clock, Timer } from "../../core/runtime/runtime.ts";
import { SLEEP_MS, TICK_MS } from "./constants.ts";

/** See the head of the file. */
export class Surroundings {
  readonly #clock: Clock;
  readonly #localHosts: (() => readonly string[]) | undefined;
  readonly #onChange: (hosts: readonly string[]) => void;
  readonly #timer: Timer;
  #hosts: readonly string[] = [];
  /** How far the wall clock is ahead of the monotonic one. */
  #wallAhead = 0;

  /** Does nothing before {@linkcode enter}. Without `localHosts`, addresses are not looked at. */
  constructor(
    clock: Clock,
    localHosts: (() => readonly string[]) | undefined,
    onChange: (hosts: readonly string[]) => void,
  ) {
    this.#clock = clock;
    this.#localHosts = localHosts;
    this.#onChange = onChange;
    this.#timer = clock.schedule(Infinity, () => this.#look());
  }

  /** Things are as they should be now. */
  enter(): void {
    this.#wallAhead = this.#clock.wallTime() - this.#clock.now();
    if (this.#localHosts === undefined) return;
    this.#hosts = this.#localHosts();
    this.#timer.reset(this.#clock.now() + TICK_MS);
  }

  /** Stops looking. */
  leave(): void {
    this.#timer.cancel();
  }

  /**
   * Whether the host has slept since this was last asked. Where the monotonic clock stands still meanwhile, the wall clock is
   * suddenly ahead of it. (Somebody who sets the wall clock looks the same, which does no harm.)
   */
  hasSlept(): boolean {
    const before = this.#wallAhead;
    this.#wallAhead = this.#clock.wallTime() - this.#clock.now();
    return this.#wallAhead - before > SLEEP_MS;
  }

  #look(): void {
    this.#timer.reset(this.#clock.now() + TICK_MS);
    const hosts = this.#localHosts!();
    if (hosts.join() === this.#hosts.join()) return;
    this.#hosts = hosts;
    this.#onChange(hosts);
  }
}
