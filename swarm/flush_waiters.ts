/**
 * Who waits until all peers that were found by some moment have had their turn.
 */
import type { Peer } from "./peer.ts";

/** See the head of the file. */
export class FlushWaiters {
  readonly #waiters = new Set<{ readonly peers: Set<Peer>; readonly resolve: () => void }>();

  /** Resolves when none of `peers` is queued or being dialed any more; {@linkcode check} finds out. */
  wait(peers: Iterable<Peer>): Promise<void> {
    return new Promise((resolve) => this.#waiters.add({ peers: new Set(peers), resolve }));
  }

  /** Lets those go whose peers have had their turn; all of them if `isStuck`: nobody will have a turn for now. */
  check(isStuck: boolean): void {
    for (const waiter of this.#waiters) {
      for (const peer of waiter.peers) if (!isPending(peer)) waiter.peers.delete(peer);
      if (waiter.peers.size > 0 && !isStuck) continue;
      this.#waiters.delete(waiter);
      waiter.resolve();
    }
  }
}

function isPending({ phase }: Peer): boolean {
  return phase === "queued" || phase === "dialing";
}
