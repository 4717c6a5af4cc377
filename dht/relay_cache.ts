/** Which nodes relayed to a peer the last time: what makes a second connection faster than the first. */
import type { SocketAddress } from "../encoding/address.ts";
import { toHex } from "../encoding/text.ts";
import { MAX_CACHED_RELAYS, MAX_RELAY_CACHE } from "./constants.ts";

/** Remembers the relays of the peers that were connected to last. */
export class RelayAddressCache {
  readonly #maxPeers: number;
  readonly #peers = new Map<string, readonly SocketAddress[]>();

  /** An empty cache for `maxPeers` peers, 512 by default. */
  constructor(maxPeers: number = MAX_RELAY_CACHE) {
    this.#maxPeers = maxPeers;
  }

  /** How many peers are remembered. */
  get size(): number {
    return this.#peers.size;
  }

  /** Remembers the relays of a peer, 8 of them at the most, and forgets the peer that was longest unused if there are too many. */
  set(publicKey: Uint8Array, relays: readonly SocketAddress[]): void {
    const key = toHex(publicKey);
    this.#peers.delete(key);
    if (relays.length > 0) this.#peers.set(key, relays.slice(0, MAX_CACHED_RELAYS));
    if (this.#peers.size > this.#maxPeers) this.#peers.delete(this.#peers.keys().next().value!);
  }

  /** The relays of a peer; none if it is not remembered. */
  get(publicKey: Uint8Array): readonly SocketAddress[] {
    const key = toHex(publicKey);
    const relays = this.#peers.get(key);
    if (relays === undefined) return [];
    this.#peers.delete(key);
    this.#peers.set(key, relays);
    return relays;
  }
}
