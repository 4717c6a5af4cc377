/**
 * By which way a connection goes, in a word.
 */
import type { Connection } from "../core/stream/connection.ts";
import { DhtConnection, type PathKind } from "../dht/mod.ts";
import { formatKey, SocketAddress } from "../encoding/mod.ts";

/** How a connection goes. */
export interface Way {
  /** The key of the peer. */
  readonly peer: string;
  /** Directly, within the local network, through a punched hole or by a relay. */
  readonly path: PathKind;
  /** Where the peer is. */
  readonly address: string;
}

/** The way of `connection` at present. */
export function wayOf(connection: Connection): Way {
  const peer = formatKey(connection.remotePublicKey);
  if (connection instanceof DhtConnection) {
    const { kind, address } = connection.path;
    return { peer, path: kind, address: String(address ?? "") };
  }
  const address = connection.remoteAddress ?? "";
  return { peer, path: isLanAddress(address) ? "lan" : "direct", address };
}

/** Whether `address`, such as `tcp:10.0.0.1:5`, is one of the local network. */
export function isLanAddress(address: string): boolean {
  try {
    const { isPrivate, isLoopback } = SocketAddress.parse(address.slice(address.indexOf(":") + 1));
    return isPrivate && !isLoopback;
  } catch {
    return false;
  }
}
