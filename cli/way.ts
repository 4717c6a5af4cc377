/**
 * By which way a connection goes, in a word.
 */
import { BlockList } from "node:net";
import { networkInterfaces } from "node:os";
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

/** Whether `address`, such as `tcp:10.0.0.1:5`, is private or shares a network with this host. Loopback does not count. */
export function isLanAddress(address: string): boolean {
  let parsed: SocketAddress;
  try {
    parsed = SocketAddress.parse(address.slice(address.indexOf(":") + 1));
  } catch {
    return false;
  }
  const { host, family, isPrivate, isLoopback } = parsed;
  return !isLoopback && (isPrivate || ownNetworks().check(host, family === 4 ? "ipv4" : "ipv6"));
}

/** The networks that this host's interfaces are on. */
function ownNetworks(): BlockList {
  const networks = new BlockList();
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { address, cidr, family } of addresses ?? []) {
      const bits = Number(cidr?.split("/")[1]);
      if (bits > 0) networks.addSubnet(address, bits, family === "IPv4" ? "ipv4" : "ipv6");
    }
  }
  return networks;
}
