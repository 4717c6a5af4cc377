/**
 * Whether the network works, judged by how many requests are answered.
 *
 * Source: dht-rpc 6.27.0, lib/health.js. Each tick compares with the tick before; ticks with fewer than four outcomes say nothing.
 */

/** What the network is like. */
export type Health = "online" | "degraded" | "offline";

/** Ticks before the first verdict, bad ticks in a row until `degraded`, good ones until it is over. */
const TICKS = 4;
/** Ticks in a row without any reply until `offline`. */
const OFFLINE_TICKS = 2;
/** Outcomes in a tick below which it says nothing. */
const MIN_OUTCOMES = 4;

/** See the head of the file. */
export class NetworkHealth {
  #health: Health = "online";
  #ticks = 0;
  #replies = 0;
  #timeouts = 0;
  #silent = 0;
  #bad = 0;
  #good = 0;

  /** The present verdict. */
  get health(): Health {
    return this.#health;
  }

  /** A tick has passed, with so many replies and timeouts in all. True if the verdict changes. */
  update(replies: number, timeouts: number): boolean {
    const [newReplies, newTimeouts] = [replies - this.#replies, timeouts - this.#timeouts];
    this.#replies = replies;
    this.#timeouts = timeouts;
    this.#ticks++;
    if (this.#ticks < TICKS || newReplies + newTimeouts < MIN_OUTCOMES) return false;
    const before = this.#health;
    this.#judge(newReplies, newTimeouts);
    return this.#health !== before;
  }

  /** Forgets all but the totals. True if the verdict changes, which then is `online`. */
  reset(): boolean {
    const isChange = this.#health !== "online";
    this.#health = "online";
    this.#ticks =
      this.#silent =
      this.#bad =
      this.#good =
        0;
    return isChange;
  }

  #judge(replies: number, timeouts: number): void {
    const isSilent = replies === 0;
    const isBad = !isSilent && timeouts > replies;
    this.#silent = isSilent ? this.#silent + 1 : 0;
    this.#bad = isBad ? this.#bad + 1 : 0;
    this.#good = isSilent || isBad ? 0 : this.#good + 1;
    if (this.#silent >= OFFLINE_TICKS) this.#health = "offline";
    else if (!isSilent && this.#health === "offline") this.#health = "online";
    if (this.#health === "online" && this.#bad >= TICKS) this.#health = "degraded";
    else if (this.#health === "degraded" && this.#good >= TICKS) this.#health = "online";
  }
}
