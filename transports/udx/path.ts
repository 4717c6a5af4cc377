/**
 * Where packets go: from a socket of this side to a stream at an address of the other.
 */
import type { SocketAddress } from "../../encoding/address.ts";

/** One way to the peer. A stream has one at a time, and while it changes, two. */
export interface Path {
  /** The socket; the machine compares it and hands it back, and knows nothing else of it. */
  readonly socket: object;
  /** The peer's address as this side sees it. */
  readonly address: SocketAddress;
  /** The id that the stream has over there: packets carry the id of their receiver. */
  readonly remoteId: number;
}
