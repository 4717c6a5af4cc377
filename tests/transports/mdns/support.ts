/** What the mDNS tests share: multicast that stays within this host, and hosts with several interfaces. */
import { once } from "node:events";
import { createSocket } from "node:dgram";
import { ConnectError } from "../../../core/runtime/errors.ts";
import type {
  BindOptions,
  DatagramNetwork,
  DatagramReceiver,
  DatagramSocket,
} from "../../../transports/datagram.ts";
import type { NetworkInterface } from "../../../transports/interfaces.ts";
import type { SimulatedHost } from "../../../transports/memory/mod.ts";
import { NodeUdpNetwork } from "../../../transports/udp/mod.ts";

const LOOPBACK: NetworkInterface = { name: "lo", host: "127.0.0.1", family: 4, isInternal: true };

/** The host's UDP, as if it had no interface but loopback. */
export function multicastUdp(): DatagramNetwork {
  const network = new NodeUdpNetwork();
  return {
    maxDatagramBytes: network.maxDatagramBytes,
    interfaces: () => [LOOPBACK],
    bind: (options, receiver) => network.bind(options, receiver),
  };
}

/** Why multicast does not work on the loopback interface of this host, if so. */
export async function multicastProblem(): Promise<string | undefined> {
  const socket = createSocket({ type: "udp4", reuseAddr: true });
  try {
    socket.bind(0);
    await once(socket, "listening");
    socket.addMembership("239.255.53.53", LOOPBACK.host);
    socket.setMulticastInterface(LOOPBACK.host);
    const heard = once(socket, "message", { signal: AbortSignal.timeout(1000) });
    socket.send("hello", socket.address().port, "239.255.53.53");
    await heard;
    return undefined;
  } catch (error) {
    return `multicast does not work on loopback here: ${error}`;
  } finally {
    socket.close();
    await once(socket, "close");
  }
}

/** One machine with an interface on each of several simulated networks, named `eth0`, `eth1`... */
export class MultiHomed implements DatagramNetwork {
  readonly maxDatagramBytes = 1472;
  /** The interfaces that are up. */
  hosts: readonly SimulatedHost[];

  constructor(...hosts: readonly SimulatedHost[]) {
    this.hosts = hosts;
  }

  interfaces(): readonly NetworkInterface[] {
    return this.hosts.flatMap(({ addresses }, i) =>
      addresses.map((host) => ({ name: `eth${i}`, host, family: 4, isInternal: false }))
    );
  }

  async bind(options: BindOptions, receiver: DatagramReceiver): Promise<DatagramSocket> {
    const { host = "0.0.0.0" } = options;
    if (host === "0.0.0.0") {
      const sockets = await Promise.all(this.hosts.map((one) => one.bind(options, receiver)));
      return new AllInterfaces(this.hosts, sockets);
    }
    const owner = this.hosts.find(({ addresses }) => addresses.includes(host));
    if (owner === undefined) throw new ConnectError("ADDRESS_UNUSABLE", `No interface has ${host}`);
    return await owner.bind(options, receiver);
  }
}

/** A socket bound to all addresses of a {@linkcode MultiHomed}. */
class AllInterfaces implements DatagramSocket {
  readonly address;
  readonly canSetTtl = true;
  readonly #hosts: readonly SimulatedHost[];
  readonly #sockets: readonly DatagramSocket[];

  constructor(hosts: readonly SimulatedHost[], sockets: readonly DatagramSocket[]) {
    this.#hosts = hosts;
    this.#sockets = sockets;
    this.address = sockets[0]!.address;
  }

  send(): boolean {
    return false;
  }

  joinMulticast(group: string, interfaceAddress: string): void {
    const index = this.#hosts.findIndex(({ addresses }) => addresses.includes(interfaceAddress));
    this.#sockets[index]!.joinMulticast!(group);
  }

  async close(): Promise<void> {
    await Promise.all(this.#sockets.map((socket) => socket.close()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
