/**
 * The peers of the link, as they were announced: for each, what each sender's address said of it, and until when. Bounded in
 * every direction, because anybody on the link can send anything.
 */
import { MAX_PEERS, MAX_PEERS_OF_SENDER, MAX_SIGHTINGS, REFRESH_AT } from "./constants.ts";

/** What one sender said of a peer. */
interface Sighting {
  readonly sender: string;
  readonly addresses: readonly string[];
  readonly seenAt: number;
  expiresAt: number;
  /** How many of {@linkcode REFRESH_AT} were followed by a question. */
  refreshes: number;
}

/** See the head of the file. */
export class PeerCache {
  /** By key in z-base-32; the latest sighting of a peer comes last. */
  readonly #peers = new Map<string, Sighting[]>();
  /** How many peers each sender is a witness of. */
  readonly #senders = new Map<string, number>();

  /** How many peers are known. */
  get size(): number {
    return this.#peers.size;
  }

  /** The keys of all peers. */
  ids(): Iterable<string> {
    return this.#peers.keys();
  }

  /** The addresses of a peer, those that were heard last first; undefined if it is not known. */
  addresses(id: string): string[] | undefined {
    const sightings = this.#peers.get(id);
    return sightings && [...new Set(sightings.toReversed().flatMap(({ addresses }) => addresses))];
  }

  /** Until when a peer is known, at least by one sender; 0 if it is not. */
  expiresAt(id: string): number {
    return Math.max(0, ...(this.#peers.get(id) ?? []).map(({ expiresAt }) => expiresAt));
  }

  /** Notes what `sender` says. @returns "full" if there is no room, else whether the peer or an address of it is new. */
  see(
    now: number,
    id: string,
    sender: string,
    addresses: readonly string[],
    ttlMs: number,
  ): "full" | "known" | "new" {
    const sightings = this.#peers.get(id) ?? [];
    const known = new Set(sightings.flatMap(({ addresses }) => addresses));
    const index = sightings.findIndex((sighting) => sighting.sender === sender);
    if (index < 0 && !this.#admit(id, sender)) return "full";
    if (index >= 0) sightings.splice(index, 1);
    else if (sightings.length === MAX_SIGHTINGS) this.#release(sightings.shift()!.sender);
    sightings.push({ sender, addresses, seenAt: now, expiresAt: now + ttlMs, refreshes: 0 });
    const isNew = !this.#peers.has(id) || addresses.some((address) => !known.has(address));
    this.#peers.set(id, sightings);
    return isNew ? "new" : "known";
  }

  /** Lets what `sender` said of a peer expire at `at`. What others said stays: nobody takes leave for another host. */
  takeLeave(id: string, sender: string, at: number): void {
    const sighting = this.#peers.get(id)?.find((one) => one.sender === sender);
    if (sighting === undefined) return;
    sighting.expiresAt = Math.min(sighting.expiresAt, at);
    sighting.refreshes = REFRESH_AT.length;
  }

  /** Notes that the question for all peers was sent. */
  markAsked(now: number): void {
    for (const sightings of this.#peers.values()) {
      for (const sighting of sightings) while (refreshAt(sighting) <= now) sighting.refreshes++;
    }
  }

  /** Forgets what has expired. */
  expire(now: number): void {
    for (const [id, sightings] of this.#peers) {
      const rest = sightings.filter((sighting) => {
        if (sighting.expiresAt > now) return true;
        this.#release(sighting.sender);
        return false;
      });
      if (rest.length === 0) this.#peers.delete(id);
      else if (rest.length < sightings.length) this.#peers.set(id, rest);
    }
  }

  /** When the next sighting expires. */
  nextExpiry(): number {
    return this.#earliest(({ expiresAt }) => expiresAt);
  }

  /** When to ask again so that no sighting of a living peer expires. */
  nextRefresh(): number {
    return this.#earliest(refreshAt);
  }

  #earliest(timeOf: (sighting: Sighting) => number): number {
    let earliest = Infinity;
    for (const sightings of this.#peers.values()) {
      for (const sighting of sightings) earliest = Math.min(earliest, timeOf(sighting));
    }
    return earliest;
  }

  #admit(id: string, sender: string): boolean {
    const count = this.#senders.get(sender) ?? 0;
    if (count >= MAX_PEERS_OF_SENDER) return false;
    if (!this.#peers.has(id) && this.#peers.size >= MAX_PEERS) return false;
    this.#senders.set(sender, count + 1);
    return true;
  }

  #release(sender: string): void {
    const count = this.#senders.get(sender)! - 1;
    if (count === 0) this.#senders.delete(sender);
    else this.#senders.set(sender, count);
  }
}

function refreshAt({ seenAt, expiresAt, refreshes }: Sighting): number {
  const percent = REFRESH_AT[refreshes];
  return percent === undefined ? Infinity : seenAt + (expiresAt - seenAt) * percent / 100;
}
