/**
 * All peers that the swarm knows of, by key; bounded, since anybody can announce any number of them.
 */
import { toHex } from "../encoding/text.ts";
import { MAX_BANS, MAX_KNOWN_PEERS } from "./constants.ts";
import { Peer } from "./peer.ts";

/** See the head of the file. */
export class PeerBook implements Iterable<Peer> {
  readonly #ownId: string;
  readonly #onTopic: (peer: Peer, topic: Uint8Array) => void;
  readonly #peers = new Map<string, Peer>();
  /** Oldest first. Bans outlive what else is known of a peer. */
  readonly #bans = new Set<string>();

  /** A book without the owner of `ownKey`. Calls `onTopic` whenever a peer turns out to have a topic. */
  constructor(ownKey: Uint8Array, onTopic: (peer: Peer, topic: Uint8Array) => void) {
    this.#ownId = toHex(ownKey);
    this.#onTopic = onTopic;
  }

  /** How many peers are known, banned ones aside. */
  get size(): number {
    return this.#peers.size;
  }

  /** How many are banned. */
  get banCount(): number {
    return this.#bans.size;
  }

  /** Whether this is the key of the swarm itself. */
  isOwn(publicKey: Uint8Array): boolean {
    return toHex(publicKey) === this.#ownId;
  }

  /** What is known of a peer. */
  get(publicKey: Uint8Array): Peer | undefined {
    return this.#peers.get(toHex(publicKey));
  }

  /**
   * What is known of a peer, from now on at least its key; undefined for the swarm itself, and when the book is full, unless
   * `isNeeded`.
   */
  obtain(publicKey: Uint8Array, isNeeded: boolean): Peer | undefined {
    const id = toHex(publicKey);
    const known = this.#peers.get(id);
    if (known !== undefined || id === this.#ownId) return known;
    if (!isNeeded && this.#peers.size >= MAX_KNOWN_PEERS) return undefined;
    const peer = new Peer(publicKey);
    peer.isBanned = this.#bans.has(id);
    peer.on("topic", (event) => this.#onTopic(peer, event.detail));
    this.#peers.set(id, peer);
    return peer;
  }

  /** Whether a peer is banned. */
  isBanned(publicKey: Uint8Array): boolean {
    return this.#bans.has(toHex(publicKey));
  }

  /** Bans `peer`. */
  ban(peer: Peer): void {
    peer.isBanned = true;
    this.#bans.add(peer.id);
    if (this.#bans.size > MAX_BANS) this.#lift(this.#bans.values().next().value!);
  }

  /** Lifts a ban. */
  unban(publicKey: Uint8Array): void {
    this.#lift(toHex(publicKey));
  }

  /** Forgets `peer`, if nothing goes on with it, nobody has asked for it, and it is not to be remembered as unrelated. */
  forgetIfIdle(peer: Peer): void {
    if (peer.phase === "idle" && !peer.isExplicit && !peer.isUnrelated) this.#peers.delete(peer.id);
  }

  /** The peers, in the order in which they became known. */
  [Symbol.iterator](): Iterator<Peer> {
    return this.#peers.values();
  }

  #lift(id: string): void {
    this.#bans.delete(id);
    const peer = this.#peers.get(id);
    if (peer !== undefined) peer.isBanned = false;
  }
}
