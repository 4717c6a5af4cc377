/**
 * The host's UDP: the best way that the program may use without asking for anything more.
 */
import type { DatagramNetwork } from "../datagram.ts";
import { DenoUdpNetwork, hasListenDatagram } from "./deno.ts";
import { NodeUdpNetwork } from "./node.ts";

/** What the sockets must be able to do. */
export interface UdpNetworkOptions {
  /** They must honour the TTL of a send on IPv4, as hole punching needs it. */
  readonly needTtl?: boolean;
  /** They must be able to join multicast groups. */
  readonly needMulticast?: boolean;
}

/** UDP, and what it can do here. */
export interface UdpNetwork extends DatagramNetwork {
  /** What it is built on: `node:dgram` or `Deno.listenDatagram`. */
  readonly name: string;
  /** Whether sockets bound to IPv4 honour the TTL of a send. */
  readonly canSetTtl: boolean;
  /** Whether sockets can join multicast groups. */
  readonly canJoinMulticast: boolean;
}

/**
 * The UDP of this host. `Deno.listenDatagram` carries about 2.5 times as many datagrams as `node:dgram` does in Deno, and
 * is taken where the program runs with `--unstable-net` and needs nothing that it lacks; else it is `node:dgram`.
 *
 * @example
 * ```ts
 * import { udpNetwork } from "./mod.ts";
 *
 * const network = udpNetwork({ needTtl: true });
 * await using socket = await network.bind({ host: "127.0.0.1" }, { onDatagram: () => {} });
 * console.assert(network.canSetTtl && socket.canSetTtl && socket.address.port > 0);
 * ```
 */
export function udpNetwork(options: UdpNetworkOptions = {}): UdpNetwork {
  const needsNode = options.needTtl === true || options.needMulticast === true;
  return hasListenDatagram() && !needsNode ? new DenoUdpNetwork() : new NodeUdpNetwork();
}

export { DenoUdpNetwork, hasListenDatagram, NodeUdpNetwork };
export {
  InterfaceWatcher,
  localHosts,
  lookupHost,
  type NetworkInterface,
  networkInterfaces,
} from "../interfaces.ts";
