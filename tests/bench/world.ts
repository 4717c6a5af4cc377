/**
 * A network as wide as the world, under a virtual clock: hosts in ten cities, whose round trips are as measured. Nothing is
 * lost, and nobody is behind a router: what is left is distance. The same seed gives the same milliseconds.
 */
import type { Clock, Random } from "../../core/runtime/runtime.ts";
import { SocketAddress } from "../../encoding/address.ts";
import type {
  BindOptions,
  DatagramNetwork,
  DatagramReceiver,
  DatagramSocket,
} from "../../transports/datagram.ts";

/** Where hosts are. */
export const CITIES = [
  "Dallas",
  "Toronto",
  "Washington DC",
  "Frankfurt",
  "London",
  "Madrid",
  "Osaka",
  "Sydney",
  "Tokyo",
  "Sao Paulo",
] as const;

/**
 * Milliseconds there and back between data centres in these cities, each row from the diagonal on: averages of 27 July to
 * 25 August 2024, as IBM Cloud publishes them (its documentation of VPC, "Network latency"). The diagonal is the mean
 * between two data centres of Dallas.
 */
const ROUND_TRIPS: readonly (readonly number[])[] = [
  [2, 34, 31, 123, 113, 119, 150, 186, 143, 146],
  [2, 19, 93, 82, 108, 168, 215, 162, 129],
  [2, 91, 75, 87, 172, 214, 164, 118],
  [2, 13, 29, 232, 250, 233, 198],
  [2, 27, 244, 261, 243, 188],
  [2, 257, 275, 258, 209],
  [2, 122, 9, 293],
  [2, 115, 328],
  [2, 284],
  [2],
];
/** What the last mile adds in each direction at most, in milliseconds; the part of each host is drawn. */
const MAX_ACCESS_MS = 15;

/** Milliseconds there and back between two cities. */
export function roundTripMs(a: number, b: number): number {
  const [first, last] = a < b ? [a, b] : [b, a];
  return ROUND_TRIPS[first]![last - first]!;
}

/** One host: addresses that are equal differ in nothing but the port. */
class WorldHost implements DatagramNetwork {
  readonly maxDatagramBytes = 1472;
  readonly address: string;
  readonly city: number;
  readonly accessMs: number;
  readonly ports = new Map<number, WorldSocket>();
  readonly #world: World;
  #nextPort = 50_000;

  constructor(world: World, address: string, city: number, accessMs: number) {
    this.#world = world;
    this.address = address;
    this.city = city;
    this.accessMs = accessMs;
  }

  localHosts(): readonly string[] {
    return [this.address];
  }

  bind(options: BindOptions, receiver: DatagramReceiver): Promise<DatagramSocket> {
    const port = options.port || this.#nextPort++;
    const socket = new WorldSocket(this.#world, this, SocketAddress.of(this.address, port), receiver);
    this.ports.set(port, socket);
    return Promise.resolve(socket);
  }
}

class WorldSocket implements DatagramSocket {
  readonly canSetTtl = true;
  readonly address: SocketAddress;
  readonly receiver: DatagramReceiver;
  readonly #world: World;
  readonly #host: WorldHost;

  constructor(world: World, host: WorldHost, address: SocketAddress, receiver: DatagramReceiver) {
    this.#world = world;
    this.#host = host;
    this.address = address;
    this.receiver = receiver;
  }

  send(datagram: Uint8Array, to: SocketAddress): boolean {
    this.#world.carry(this.#host, this.address, datagram.slice(), to);
    return true;
  }

  close(): Promise<void> {
    this.#host.ports.delete(this.address.port);
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** See the head of the file. */
export class World {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #hosts = new Map<string, WorldHost>();

  /** A world without hosts. */
  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** A host in the city with that number, in a subnet of its own. */
  host(city: number): DatagramNetwork & { readonly address: string } {
    const n = this.#hosts.size;
    const accessMs = this.#random.below(10 * MAX_ACCESS_MS) / 10;
    const host = new WorldHost(this, `20.${n >> 8}.${n & 255}.1`, city, accessMs);
    this.#hosts.set(host.address, host);
    return host;
  }

  /** Brings a datagram to where it is to go, if anybody is there then. */
  carry(from: WorldHost, source: SocketAddress, datagram: Uint8Array, to: SocketAddress): void {
    const host = this.#hosts.get(to.host);
    if (host === undefined) return;
    const ms = roundTripMs(from.city, host.city) / 2 + from.accessMs + host.accessMs;
    this.#clock.schedule(
      this.#clock.now() + ms,
      () => host.ports.get(to.port)?.receiver.onDatagram(datagram, source),
    );
  }
}
