/**
 * A table whose entries expire: they are gone when their time has come, and taken out before the table grows for nothing.
 */

/** What can be in an {@linkcode ExpiringMap}. */
export interface Expiring {
  /** When it is gone, in milliseconds of the clock in use; may be moved while it is in the table. */
  expiresAt: number;
}

/** Below this many entries a table is not searched for expired ones. */
const SWEEP_FROM = 256;

/** See the head of the file. */
export class ExpiringMap<Key, Value extends Expiring> implements Expiring {
  readonly #entries = new Map<Key, Value>();
  #sweepAt = SWEEP_FROM;

  /** How many entries there are, some of them perhaps expired. */
  get size(): number {
    return this.#entries.size;
  }

  /** When the last entry is gone, so that tables can be in tables. */
  get expiresAt(): number {
    let last = -Infinity;
    for (const { expiresAt } of this.#entries.values()) last = Math.max(last, expiresAt);
    return last;
  }

  /** The entry of `key`, if it has not expired at `now`. */
  get(key: Key, now: number): Value | undefined {
    const value = this.#entries.get(key);
    return value !== undefined && value.expiresAt > now ? value : undefined;
  }

  /** The entry of `key`, expired or not: for tables in tables, whose {@linkcode expiresAt} is a search. */
  peek(key: Key): Value | undefined {
    return this.#entries.get(key);
  }

  /** Sets the entry of `key`. */
  set(key: Key, value: Value, now: number): void {
    if (this.#entries.size >= this.#sweepAt) this.#sweep(now);
    this.#entries.set(key, value);
  }

  /** Takes everything out. */
  clear(): void {
    this.#entries.clear();
  }

  #sweep(now: number): void {
    for (const [key, { expiresAt }] of this.#entries) if (expiresAt <= now) this.#entries.delete(key);
    this.#sweepAt = Math.max(SWEEP_FROM, 2 * this.#entries.size);
  }
}
