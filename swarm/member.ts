/**
 * The connections of a swarm: at most one for each peer.
 */
import type { Timer } from "../core/runtime/runtime.ts";
import type { Connection } from "../core/stream/connection.ts";
import type { Peer } from "./peer.ts";
import type { TopicProof } from "./topic_proof.ts";

/** A connection and what the swarm notes about it. */
export interface Member {
  /** Who is at the other end. */
  readonly peer: Peer;
  /** The connection. */
  readonly connection: Connection;
  /** When it was opened, in milliseconds. */
  readonly openedAt: number;
  /** Whether the peer dialed it while, or after, this side did so, so that neither side may have another dial on. */
  readonly hasCrossed: boolean;
  /** Whether the application has been given it; not before the peer has proven a topic, where that is asked for. */
  isShown: boolean;
  /** How both sides show their topics, if connections carry channels. */
  proof: TopicProof | undefined;
  /** Ends the patience with a peer that has proven nothing. */
  patience: Timer | undefined;
}

/** See the head of the file. */
export class MemberSet implements Iterable<Member> {
  readonly #members = new Map<Peer, Member>();
  #clients = 0;

  /** How many connections there are. */
  get size(): number {
    return this.#members.size;
  }

  /** How many of them this side has dialed. */
  get clients(): number {
    return this.#clients;
  }

  /** How many of them others have dialed. */
  get servers(): number {
    return this.#members.size - this.#clients;
  }

  /** The connection to `peer`. */
  get(peer: Peer): Member | undefined {
    return this.#members.get(peer);
  }

  /** Adds a connection to a peer that has none. */
  add(member: Member): void {
    this.#members.set(member.peer, member);
    if (member.connection.isInitiator) this.#clients++;
  }

  /** Removes a connection; false if it is not, or no longer, in. */
  delete(member: Member): boolean {
    if (this.#members.get(member.peer) !== member) return false;
    this.#members.delete(member.peer);
    if (member.connection.isInitiator) this.#clients--;
    return true;
  }

  /** All connections, oldest first. */
  [Symbol.iterator](): Iterator<Member> {
    return this.#members.values();
  }
}
