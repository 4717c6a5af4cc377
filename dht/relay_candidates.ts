/** The relays of one dial: whom to ask next, who is being asked, who was. Bounded, whoever names them. */
import type { SocketAddress } from "../encoding/address.ts";
import { MAX_CANDIDATES } from "./connect_constants.ts";

/** A node that may pass a handshake on. */
export interface RelayCandidate {
  /** The node. */
  readonly address: SocketAddress;
  /** The socket to ask from, if it matters. */
  readonly socket: object | undefined;
}

/** See the head of the file. */
export class RelayCandidates {
  readonly #seen = new Set<number | string>();
  readonly #waiting: RelayCandidate[] = [];
  readonly #asked = new Map<number, RelayCandidate>();
  #tried = 0;

  /** How many were asked so far. */
  get tried(): number {
    return this.#tried;
  }

  /** Whether nobody is being asked, and nobody waits to be. */
  get isIdle(): boolean {
    return this.#asked.size === 0 && this.#waiting.length === 0;
  }

  /** Adds a node, unless it is known or there are enough. */
  add(address: SocketAddress, socket?: object): void {
    if (address.port === 0 || this.#seen.has(address.key) || this.#seen.size >= MAX_CANDIDATES) return;
    // A way that worked before may lead to a relay that is also found in other ways.
    if (socket === undefined) this.#seen.add(address.key);
    this.#waiting.push({ address, socket });
  }

  /** Whom to ask now, and the number of that request; undefined if `parallel` are being asked already, or nobody waits. */
  next(parallel: number): { readonly id: number; readonly candidate: RelayCandidate } | undefined {
    if (this.#asked.size >= parallel) return undefined;
    const candidate = this.#waiting.shift();
    if (candidate === undefined) return undefined;
    const id = this.#tried++;
    this.#asked.set(id, candidate);
    return { id, candidate };
  }

  /** The request `id` has been answered, or will not be; whom it asked, unless that is known already. */
  settle(id: number): RelayCandidate | undefined {
    const candidate = this.#asked.get(id);
    this.#asked.delete(id);
    return candidate;
  }
}
