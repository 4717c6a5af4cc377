/**
 * Who waits for whom: openings of both sides under one name, paired in the order in which they came.
 */
import { toHex } from "../../encoding/text.ts";
import type { ChannelName, MuxChannel } from "./channel.ts";
import type { PendingOpen } from "./mux_pending.ts";

/** All that is open or wants to be under one name. */
export class Pairing {
  /** Under which keys it is known. */
  readonly keys: Set<string> = new Set();
  /** Our numbers that wait for the peer, oldest first; some may be of closed channels. */
  readonly outgoing: number[] = [];
  /** Openings of the peer that wait for us, oldest first. */
  readonly incoming: PendingOpen[] = [];
  /** Pair callbacks under way. */
  notifying = 0;
  /** Channels of ours that are not closed. */
  channels = 0;
  /** The one opened last, unless it is closed. */
  last: MuxChannel | undefined;

  /** Whether it can be forgotten. */
  get isIdle(): boolean {
    return this.channels === 0 && this.notifying === 0 && this.outgoing.length === 0 &&
      this.incoming.length === 0;
  }
}

/** The {@linkcode Pairing}s of a mux by name. */
export class Pairings {
  readonly #byKey = new Map<string, Pairing>();

  /** The pairing of a name, if there is one. */
  get(name: ChannelName): Pairing | undefined {
    return this.#byKey.get(keyOf(name));
  }

  /** The pairing of a name or one of its aliases, from now on known under all of them. */
  obtain(name: ChannelName & { readonly aliases?: readonly string[] }): Pairing {
    const { id, aliases = [] } = name;
    const keys = [name.protocol, ...aliases].map((protocol) => keyOf({ protocol, id }));
    const known = keys.find((key) => this.#byKey.has(key));
    const pairing = known === undefined ? new Pairing() : this.#byKey.get(known)!;
    for (const key of keys) {
      if (this.#byKey.has(key)) continue;
      pairing.keys.add(key);
      this.#byKey.set(key, pairing);
    }
    return pairing;
  }

  /** Lets go of `pairing` if nothing depends on it. */
  forgetIfIdle(pairing: Pairing): void {
    if (!pairing.isIdle) return;
    for (const key of pairing.keys) this.#byKey.delete(key);
    pairing.keys.clear();
  }

  /** Lets go of all. */
  clear(): void {
    this.#byKey.clear();
  }
}

/** A name as one text. The last `##` parts it, as an id in hex has none. */
export function keyOf(name: ChannelName): string {
  return `${name.protocol}##${name.id ? toHex(name.id) : ""}`;
}
