/** Where a node is to be found in its local network. */
import { SocketAddress } from "../encoding/address.ts";
import type { DhtContext } from "./context.ts";

/** Local addresses that a peer is told: more would make the handshake long. */
const MAX_LOCAL_ADDRESSES = 4;

/** The IPv4 addresses of this host with the port of the server socket; the one that it is bound to, if it is bound to one. */
export function localAddresses(
  { sockets, network }: Pick<DhtContext, "sockets" | "network">,
): SocketAddress[] {
  const bound = sockets.server?.address;
  if (bound === undefined) return [];
  if (bound.host !== "0.0.0.0") return [bound];
  const hosts = (network.localHosts?.() ?? []).filter((host) => !host.includes(":"));
  return hosts.slice(0, MAX_LOCAL_ADDRESSES).map((host) => SocketAddress.of(host, bound.port));
}
