/**
 * A host of the simulated network: addresses, ports, sockets.
 */
import { SocketAddress } from "../../encoding/address.ts";
import { ConnectError } from "../../core/runtime/errors.ts";
import type { Random } from "../../core/runtime/runtime.ts";
import type { BindOptions, DatagramNetwork, DatagramReceiver, DatagramSocket } from "../datagram.ts";
import type { NetworkInterface } from "../interfaces.ts";
import type { LinkConditions } from "./conditions.ts";
import type { Engine } from "./engine.ts";
import { Link, type SimulatedLink } from "./link.ts";
import { hostKey } from "./nat.ts";
import type { SimulatedNetwork } from "./network.ts";
import type { Arrival, Packet } from "./packet.ts";
import type { SimulatedRouter } from "./router.ts";
import { isMulticast, type Segment } from "./segment.ts";

/** What the network needs to know to make a {@linkcode Host}. */
export interface HostConfig {
  /** For the seed of its chance, and for messages. */
  readonly name: string;
  /** The network that it is in. */
  readonly network: SimulatedNetwork;
  /** Its addresses; IPv4, IPv6 or both. */
  readonly addresses: readonly string[];
  /** Where it is connected to. */
  readonly segment: Segment;
  /** The router that it is behind, if any. */
  readonly router: SimulatedRouter | undefined;
  /** The link from the host to the segment. */
  readonly uplink: LinkConditions;
  /** The link to the host. */
  readonly downlink: LinkConditions;
}

/** As plain Ethernet: 1500 bytes without the headers of IPv4 and UDP. */
const MAX_DATAGRAM_BYTES = 1472;
const DEFAULT_TTL = 64;
/** Routers do not forward multicast in any case; one hop is the usual default. */
const DEFAULT_MULTICAST_TTL = 1;
/** The dynamic ports of RFC 6335. */
const FIRST_EPHEMERAL_PORT = 49_152;
const EPHEMERAL_PORTS = 65_536 - FIRST_EPHEMERAL_PORT;

class SimulatedSocket implements DatagramSocket {
  readonly address: SocketAddress;
  readonly canSetTtl = true;
  readonly receiver: DatagramReceiver;
  readonly reuseAddress: boolean;
  readonly groups: Map<number | string, SocketAddress> = new Map();
  hearsItself = true;
  multicastTtl = DEFAULT_MULTICAST_TTL;
  readonly #host: Host;
  readonly #isDual: boolean;
  readonly #isWildcard: boolean;
  /** The source address of the latest datagram: the same for most that follow. */
  #source: SocketAddress | undefined;
  #isClosed = false;

  constructor(host: Host, address: SocketAddress, options: BindOptions, receiver: DatagramReceiver) {
    this.address = address;
    this.receiver = receiver;
    this.reuseAddress = options.reuseAddress ?? false;
    this.#host = host;
    this.#isWildcard = address.host === "0.0.0.0" || address.host === "::";
    this.#isDual = address.host === "::" && options.ipv6Only !== true;
  }

  send(datagram: Uint8Array, to: SocketAddress, ttl?: number): boolean {
    if (this.#isClosed || to.port === 0) return false;
    const source = this.#sourceFor(to);
    if (source === undefined) return false;
    const isGroup = isMulticast(to);
    this.#host.transmit(datagram, source, to, ttl ?? (isGroup ? this.multicastTtl : DEFAULT_TTL));
    return true;
  }

  sendBatch(batch: readonly Uint8Array[], count: number, to: SocketAddress): number {
    for (let i = 0; i < count; i++) if (!this.send(batch[i]!, to)) return i;
    return count;
  }

  joinMulticast(group: string): void {
    const address = SocketAddress.of(group, 0);
    if (!isMulticast(address)) {
      throw new ConnectError(
        "ADDRESS_UNUSABLE",
        `${group} is not a multicast group: use 224.0.0.0/4 or ff00::/8`,
      );
    }
    this.groups.set(hostKey(address), address);
    this.#host.updateGroup(address);
  }

  setMulticast(options: { readonly ttl?: number; readonly loopback?: boolean }): void {
    this.multicastTtl = options.ttl ?? this.multicastTtl;
    this.hearsItself = options.loopback ?? this.hearsItself;
  }

  close(): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true;
      this.#host.release(this);
    }
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Whether a packet for `to` is for this socket, given that the port is right. */
  accepts(to: SocketAddress): boolean {
    if (isMulticast(to)) return this.groups.has(hostKey(to));
    if (this.#isWildcard) return to.family === this.address.family || this.#isDual;
    return hostKey(to) === hostKey(this.address);
  }

  /** Whether both cannot have the same port. */
  clashesWith(other: SimulatedSocket): boolean {
    if (this.reuseAddress && other.reuseAddress) return false;
    if (this.#isWildcard) {
      return this.#isDual || other.#isDual || this.address.family === other.address.family;
    }
    return other.accepts(this.address);
  }

  #sourceFor(to: SocketAddress): SocketAddress | undefined {
    if (to.family !== this.address.family && !this.#isDual) return undefined;
    const host = this.#isWildcard ? this.#host.sourceHost(to) : this.address;
    if (host === undefined || !this.#host.has(host)) return undefined;
    const last = this.#source;
    if (last !== undefined && hostKey(last) === hostKey(host)) return last;
    this.#source = SocketAddress.of(host.host, this.address.port);
    return this.#source;
  }
}

/** One host, with sockets like those of a real one. */
export interface SimulatedHost extends DatagramNetwork {
  /** Its name. */
  readonly name: string;
  /** The network that it is in. */
  readonly network: SimulatedNetwork;
  /** The router that it is behind, if any. */
  readonly router: SimulatedRouter | undefined;
  /** The link from the host to its network. */
  readonly uplink: SimulatedLink;
  /** The link to the host. */
  readonly downlink: SimulatedLink;
  /** Its addresses, as text. */
  readonly addresses: readonly string[];
  /** Its first address. */
  readonly address: string;
  /** Cuts or mends its link. */
  setDown(isDown: boolean): void;
  /**
   * Gets other addresses on the same network, as when it roams. Sockets bound to all addresses go on, those bound to an old
   * one send and receive no more.
   *
   * @throws {ConnectError} `ADDRESS_IN_USE` if another host has one of them.
   */
  renumber(addresses: readonly string[]): void;
}

/** The host from the network's side. */
export class Host implements SimulatedHost, Arrival {
  readonly maxDatagramBytes: number = MAX_DATAGRAM_BYTES;
  readonly name: string;
  readonly network: SimulatedNetwork;
  readonly router: SimulatedRouter | undefined;
  readonly uplink: Link;
  readonly downlink: Link;
  readonly #engine: Engine;
  readonly #random: Random;
  readonly #segment: Segment;
  readonly #sockets = new Map<number, SimulatedSocket[]>();
  #addresses: readonly SocketAddress[] = [];

  /** A host that is connected to `config.segment`. */
  constructor(engine: Engine, config: HostConfig) {
    this.name = config.name;
    this.network = config.network;
    this.router = config.router;
    this.#engine = engine;
    this.#random = engine.random.fork(`host/${config.name}`);
    this.#segment = config.segment;
    this.uplink = new Link(engine, `${config.name}/up`, config.uplink, config.segment);
    this.downlink = new Link(engine, `${config.name}/down`, config.downlink, this);
    this.renumber(config.addresses);
  }

  get addresses(): readonly string[] {
    return this.#addresses.map((address) => address.host);
  }

  get address(): string {
    return this.#addresses[0]?.host ?? "0.0.0.0";
  }

  setDown(isDown: boolean): void {
    this.uplink.isDown = isDown;
    this.downlink.isDown = isDown;
    this.#engine.onTopologyChange();
  }

  renumber(addresses: readonly string[]): void {
    const parsed = addresses.map((address) => SocketAddress.of(address, 0));
    for (const address of parsed) {
      if (this.has(address) || this.#segment.isFree(address)) continue;
      throw new ConnectError("ADDRESS_IN_USE", `Another host of this network has ${address.host}`);
    }
    for (const address of this.#addresses) this.#segment.remove(address);
    this.#addresses = parsed;
    for (const address of parsed) this.#segment.add(address, this.downlink);
  }

  localHosts(): readonly string[] {
    return this.addresses;
  }

  /** One interface, which has all addresses. */
  interfaces(): readonly NetworkInterface[] {
    return this.#addresses.map(({ host, family }) => ({ name: "eth0", host, family, isInternal: false }));
  }

  bind(options: BindOptions, receiver: DatagramReceiver): Promise<DatagramSocket> {
    try {
      return Promise.resolve(this.#bind(options, receiver));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Takes a packet that is for this host. */
  arrive(packet: Packet): void {
    // A network without delay: the receiver must not run inside of the sender's call.
    if (packet.isFresh) return this.#engine.hold(packet, this, this.#engine.clock.now());
    const sockets = this.#sockets.get(packet.to.port) ?? [];
    const isGroup = isMulticast(packet.to);
    let isTaken = false;
    for (const socket of isGroup ? [...sockets] : sockets) {
      if (!socket.accepts(packet.to)) continue;
      if (isGroup && packet.origin === this.downlink && !socket.hearsItself) continue;
      if (!isTaken) this.#engine.note("delivered", packet);
      isTaken = true;
      socket.receiver.onDatagram(packet.payload, packet.from);
      if (!isGroup) break;
    }
    if (isTaken) this.#engine.pool.release(packet);
    else this.#engine.drop(packet, "closed");
  }

  /** Sends from a socket of this host. */
  transmit(datagram: Uint8Array, from: SocketAddress, to: SocketAddress, ttl: number): void {
    const packet = this.#engine.pool.take();
    packet.set(datagram, from, to, ttl, this.downlink);
    this.#engine.note("sent", packet);
    if (this.has(to)) return this.arrive(packet);
    if (isMulticast(to)) this.arrive(this.#engine.pool.copy(packet));
    this.uplink.send(packet);
  }

  /** The address from which to send to `to`. */
  sourceHost(to: SocketAddress): SocketAddress | undefined {
    if (to.isLoopback) return to;
    return this.#addresses.find((address) => address.family === to.family);
  }

  /** Whether `address` is one of this host's. */
  has(address: SocketAddress): boolean {
    if (address.isLoopback) return true;
    const key = hostKey(address);
    return this.#addresses.some((own) => hostKey(own) === key);
  }

  /** Tells the network whether a socket of this host is in `group`. */
  updateGroup(group: SocketAddress): void {
    const key = hostKey(group);
    for (const sockets of this.#sockets.values()) {
      if (sockets.some((socket) => socket.groups.has(key))) {
        this.#segment.join(group, this.downlink);
        return;
      }
    }
    this.#segment.leave(group, this.downlink);
  }

  /** Frees the port of a closed socket. */
  release(socket: SimulatedSocket): void {
    const { port } = socket.address;
    const rest = (this.#sockets.get(port) ?? []).filter((other) => other !== socket);
    if (rest.length === 0) this.#sockets.delete(port);
    else this.#sockets.set(port, rest);
    for (const group of socket.groups.values()) this.updateGroup(group);
  }

  #bind(options: BindOptions, receiver: DatagramReceiver): SimulatedSocket {
    const local = SocketAddress.of(options.host ?? "0.0.0.0", options.port ?? 0);
    if (local.host !== "0.0.0.0" && local.host !== "::" && !this.has(local)) {
      throw new ConnectError("ADDRESS_UNUSABLE", `${this.name} does not have the address ${local.host}`);
    }
    if (local.port === 0) return this.#bindAny(local, options, receiver);
    const socket = new SimulatedSocket(this, local, options, receiver);
    if (this.#add(socket)) return socket;
    throw new ConnectError(
      "ADDRESS_IN_USE",
      `Another socket of ${this.name} has ${local}: choose another port, or 0`,
    );
  }

  #bindAny(local: SocketAddress, options: BindOptions, receiver: DatagramReceiver): SimulatedSocket {
    const start = this.#random.below(EPHEMERAL_PORTS);
    for (let i = 0; i < EPHEMERAL_PORTS; i++) {
      const port = FIRST_EPHEMERAL_PORT + (start + i) % EPHEMERAL_PORTS;
      if (this.#sockets.has(port)) continue;
      const socket = new SimulatedSocket(this, SocketAddress.of(local.host, port), options, receiver);
      this.#add(socket);
      return socket;
    }
    throw new ConnectError("ADDRESS_IN_USE", `${this.name} has no free port`);
  }

  #add(socket: SimulatedSocket): boolean {
    const sockets = this.#sockets.get(socket.address.port) ?? [];
    if (sockets.some((other) => socket.clashesWith(other))) return false;
    this.#sockets.set(socket.address.port, [...sockets, socket]);
    return true;
  }
}
