/**
 * Where a stream sends, and from where it takes packets: which is not the same while a stream moves.
 */
import { assert } from "../../core/runtime/assert.ts";
import type { SocketAddress } from "../../encoding/address.ts";
import { LINGER_MS } from "./constants.ts";
import { seqDiff } from "./packet.ts";
import type { Path } from "./path.ts";

/** The path of one stream, and what is left of the one before. */
export class Route {
  #path: Path | undefined;
  #previous: Path | undefined;
  #previousUntil = 0;
  #pathHeardAt = -Infinity;
  /** While the remote changes: the number up to which packets went along the previous path. */
  #changeSeq: number | undefined;
  /** Where else the peer was announced to come from. */
  #expected: SocketAddress | undefined;

  /** Where new packets go; undefined until connected. */
  get path(): Path | undefined {
    return this.#path;
  }

  /** When the last packet came from where new packets go; `-Infinity` if none has come from there. */
  get pathHeardAt(): number {
    return this.#pathHeardAt;
  }

  /** Whether packets leave, or may have to leave again, from `socket`. */
  uses(socket: object): boolean {
    return this.#path?.socket === socket || this.#previous?.socket === socket;
  }

  /**
   * Whether a packet from `address` is the stream's: it came from where the stream sends to, or from where it has been told
   * that the peer will be. The address that was left is good until the peer has been heard from the new one, and then as
   * long as repetitions may come from it. On which socket it came says nothing: a peer on its way repeats from its new
   * address to our old one.
   */
  accepts(now: number, address: SocketAddress): boolean {
    const path = this.#path;
    if (path === undefined) return false;
    if (path.address.equals(address)) {
      this.#pathHeardAt = now;
      return true;
    }
    if (this.#expected?.equals(address) === true) return true;
    const previous = this.#previous;
    if (previous === undefined || !previous.address.equals(address)) return false;
    if (this.#changeSeq === undefined && this.#pathHeardAt !== -Infinity && now > this.#previousUntil) {
      this.#previous = undefined;
      return false;
    }
    this.#previousUntil = now + LINGER_MS;
    return true;
  }

  /** Sets the first path. */
  connect(path: Path): void {
    assert(this.#path === undefined, "a stream is connected once; afterwards its remote changes");
    this.#path = path;
  }

  /** Accepts packets from `address` as well, before {@linkcode Route.change} moves there. */
  expect(address: SocketAddress): void {
    this.#expected = address;
  }

  /** Moves to `path` with the packet `nextSeq`. */
  change(now: number, path: Path, nextSeq: number): void {
    assert(this.#path !== undefined, "a stream is connected before its remote changes");
    this.#previous = this.#path;
    this.#previousUntil = now + LINGER_MS;
    this.#pathHeardAt = -Infinity;
    this.#path = path;
    this.#expected = undefined;
    this.#changeSeq = nextSeq;
  }

  /** Gives up the path for another, from which alone packets are taken from now on. */
  redirect(path: Path): void {
    assert(this.#path !== undefined, "a stream is connected before it is redirected");
    this.#path = path;
    this.#previous = this.#expected = this.#changeSeq = undefined;
    this.#pathHeardAt = -Infinity;
  }

  /** Notes that all before `firstUnacked` has arrived; true if a change of the remote is complete with it. */
  onAcked(firstUnacked: number): boolean {
    if (this.#changeSeq === undefined || seqDiff(firstUnacked, this.#changeSeq) < 0) return false;
    this.#changeSeq = undefined;
    return true;
  }
}
