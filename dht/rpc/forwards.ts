/**
 * Which requests were passed on for whom, so that an answer that comes back this way is passed on only to those who asked for one.
 * Otherwise anybody could have this node send anything to anybody.
 */
import type { SocketAddress } from "../../encoding/address.ts";
import { FORWARD_MS, MAX_FORWARDS } from "./constants.ts";

/** Forwarded requests of the last ten seconds. */
export class Forwards {
  /** By who asked and transaction id: the moment until which it may be answered. Oldest first. */
  readonly #until = new Map<string, number>();

  /** How many are remembered. */
  get size(): number {
    return this.#until.size;
  }

  /** The request `tid` of `asker` is passed on. */
  add(now: number, asker: SocketAddress, tid: number): void {
    const key = keyOf(asker, tid);
    this.#until.delete(key);
    for (const [old, until] of this.#until) {
      if (until > now && this.#until.size < MAX_FORWARDS) break;
      this.#until.delete(old);
    }
    this.#until.set(key, now + FORWARD_MS);
  }

  /** Whether `asker` waits for an answer to its request `tid`. */
  has(now: number, asker: SocketAddress, tid: number): boolean {
    return (this.#until.get(keyOf(asker, tid)) ?? -Infinity) > now;
  }
}

function keyOf(asker: SocketAddress, tid: number): string {
  return `${asker.key}/${tid}`;
}
