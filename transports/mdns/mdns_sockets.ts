/**
 * The sockets of mDNS: one for each version of IP that hears all interfaces, and one for each interface and version that sends
 * there. A socket that hears cannot tell by which interface a message came, and need not: answers go to all.
 */
import { ConnectError, toError } from "../../core/runtime/errors.ts";
import type { SocketAddress } from "../../encoding/address.ts";
import type { DatagramNetwork, DatagramReceiver, DatagramSocket } from "../datagram.ts";
import type { NetworkInterface } from "../interfaces.ts";
import { GROUP, MULTICAST_TTL } from "./constants.ts";
import { groupInterfaces, type Place } from "./service.ts";

/** Hears nothing: what comes to a socket that sends was not sent to the group. */
const DEAF = { onDatagram: () => {} } as const;

/** See the head of the file. */
export class MdnsSockets {
  /** The interfaces that can be sent to. */
  readonly places: readonly Place[];
  readonly #senders: ReadonlyMap<Place, DatagramSocket>;
  readonly #sockets: readonly DatagramSocket[];

  private constructor(senders: ReadonlyMap<Place, DatagramSocket>, sockets: readonly DatagramSocket[]) {
    this.places = [...senders.keys()];
    this.#senders = senders;
    this.#sockets = sockets;
  }

  /**
   * Opens what can be opened on `interfaces`, or on the system's default one if they are not known.
   *
   * @throws {ConnectError} if that is nothing.
   */
  static async open(
    network: DatagramNetwork,
    interfaces: readonly NetworkInterface[],
    port: number,
    receiver: DatagramReceiver,
  ): Promise<MdnsSockets> {
    const opening = new Opening(network, port, receiver);
    const known = groupInterfaces(interfaces);
    for (const { name, hosts } of known) {
      const ipv4 = hosts.find((host) => !host.includes(":"));
      if (ipv4 !== undefined) await opening.add({ family: 4, hosts }, ipv4, ipv4);
      // A socket of IPv6 is told the interface by name; bound to the interface's own address it would need a zone.
      if (hosts.some((host) => host.includes(":"))) {
        await opening.add({ family: 6, hosts }, "::", `::%${name}`);
      }
    }
    if (known.length === 0) await opening.addDefault();
    if (opening.senders.size === 0) {
      await Promise.all(opening.sockets.map((socket) => socket.close()));
      throw opening.failure;
    }
    return new MdnsSockets(opening.senders, opening.sockets);
  }

  /** Sends to the group at `place`. */
  send(place: Place, datagram: Uint8Array, to: SocketAddress): void {
    this.#senders.get(place)?.send(datagram, to);
  }

  /** Closes all sockets, after what was sent is out. */
  async close(): Promise<void> {
    await Promise.all(this.#sockets.map((socket) => socket.close()));
  }
}

/** Collects sockets; what fails is left out. */
class Opening {
  readonly senders = new Map<Place, DatagramSocket>();
  readonly sockets: DatagramSocket[] = [];
  failure: Error = new ConnectError("ADDRESS_UNUSABLE", "There is no network interface");
  readonly #network: DatagramNetwork;
  readonly #port: number;
  readonly #receiver: DatagramReceiver;
  readonly #ears = new Map<4 | 6, DatagramSocket>();

  constructor(network: DatagramNetwork, port: number, receiver: DatagramReceiver) {
    this.#network = network;
    this.#port = port;
    this.#receiver = receiver;
  }

  /** Listens on an interface, which `multicastInterface` names, and makes a socket at `host` that sends there. */
  async add(place: Place, host: string, multicastInterface: string): Promise<void> {
    try {
      const ear = await this.#ear(place.family);
      ear.joinMulticast?.(GROUP[place.family], multicastInterface);
      const sender = await this.#bind(host, DEAF);
      sender.setMulticast?.({
        ttl: MULTICAST_TTL,
        loopback: true,
        interfaceAddress: multicastInterface,
      });
      this.senders.set(place, sender);
    } catch (error) {
      this.failure = toError(error);
    }
  }

  /** Leaves the choice of the interface to the system. */
  async addDefault(): Promise<void> {
    try {
      const ear = await this.#ear(4);
      ear.joinMulticast?.(GROUP[4]);
      ear.setMulticast?.({ ttl: MULTICAST_TTL, loopback: true });
      this.senders.set({ family: 4, hosts: [] }, ear);
    } catch (cause) {
      const message =
        "Multicast works on no interface that this program knows: without a default route it needs the list " +
        "of interfaces, in Deno --allow-sys=networkInterfaces";
      this.failure = new ConnectError("ADDRESS_UNUSABLE", message, { cause });
    }
  }

  async #ear(family: 4 | 6): Promise<DatagramSocket> {
    let ear = this.#ears.get(family);
    if (ear === undefined) {
      ear = await this.#bind(family === 4 ? "0.0.0.0" : "::", this.#receiver);
      this.#ears.set(family, ear);
    }
    return ear;
  }

  async #bind(host: string, receiver: DatagramReceiver): Promise<DatagramSocket> {
    const options = { host, port: this.#port, reuseAddress: true, ipv6Only: host === "::" };
    const socket = await this.#network.bind(options, receiver);
    this.sockets.push(socket);
    return socket;
  }
}
