/**
 * A simulated internet for datagrams: hosts, LANs, routers and a core, under any clock and one source of chance. The same
 * seed gives the same run, packet by packet, in every runtime.
 */
import { SocketAddress } from "../../encoding/address.ts";
import type { Clock, Random } from "../../core/runtime/runtime.ts";
import type { Tracer } from "../../core/runtime/trace.ts";
import type { LinkConditions } from "./conditions.ts";
import { Directory } from "./directory.ts";
import { Engine, type NetworkCounters } from "./engine.ts";
import { Host, type SimulatedHost } from "./host.ts";
import { Router, type SimulatedRouter } from "./router.ts";
import { ROUTER_TYPES, type RouterBehaviour, type RouterChain, type RouterType } from "./router_types.ts";
import { Segment } from "./segment.ts";

/** Options of a {@linkcode SimulatedNetwork}. */
export interface SimulatedNetworkOptions {
  /** What moves the packets; usually a `VirtualClock`. */
  readonly clock: Clock;
  /** What all chance comes from; usually a `SeededRandom`. */
  readonly random: Random;
  /** Conditions of links to the core unless a host or router has its own; 10 ms of latency by default. */
  readonly wan?: LinkConditions;
  /** Conditions of links within LANs unless a host has its own; 0.2 ms of latency by default. */
  readonly lan?: LinkConditions;
  /** Routers in the core: a packet needs more hops than that to get through. 8 by default. */
  readonly coreHops?: number;
  /** Is told all that happens. */
  readonly trace?: Tracer;
}

/** Both directions of a link, or each on its own. */
export interface LinkOptions {
  /** Both directions. */
  readonly link?: LinkConditions;
  /** Outwards, instead of `link`. */
  readonly uplink?: LinkConditions;
  /** Inwards, instead of `link`. */
  readonly downlink?: LinkConditions;
}

/** Options of {@linkcode SimulatedNetwork.host}. */
export interface HostOptions extends LinkOptions {
  /** A name that no other host or router has; seeds its chance. Numbered by default. */
  readonly name?: string;
  /** The router that it is behind; without one it is on the public internet. */
  readonly behind?: SimulatedRouter;
  /** Its addresses, IPv4, IPv6 or both; by default a free IPv4 address. */
  readonly addresses?: readonly string[];
}

/** Options of {@linkcode SimulatedNetwork.router}. */
export interface RouterOptions extends LinkOptions {
  /** A name that no other host or router has; seeds its chance. Numbered by default. */
  readonly name?: string;
  /** What kind of router it is; `port-restricted-cone` by default. */
  readonly type?: RouterType;
  /** What it does otherwise than its kind. */
  readonly behaviour?: Partial<RouterBehaviour>;
  /** The router that it is behind, as with carriers. */
  readonly behind?: SimulatedRouter;
  /** Its address outside; a free one by default. */
  readonly address?: string;
  /** The first three bytes of the addresses inside, as `192.168.1`; LANs may overlap. A free range by default. */
  readonly lanPrefix?: string;
}

/** A partition in force. */
export interface Partition {
  /** Ends it. */
  heal(): void;
}

/** What is kept apart: packets of hosts behind the links of `from`, on the links of `to`. */
interface Parted {
  readonly from: ReadonlySet<unknown>;
  readonly to: ReadonlySet<unknown>;
}

/** Hands out addresses below a prefix of three bytes, which counts up when it is full. */
class AddressRange {
  #bits: number;

  constructor(prefix: string) {
    this.#bits = SocketAddress.of(`${prefix}.9`, 0).bits;
  }

  next(segment: Segment): string {
    while (true) {
      this.#bits++;
      const last = this.#bits & 0xff;
      const address = SocketAddress.v4(this.#bits, 0);
      if (last !== 0 && last !== 255 && segment.isFree(address)) return address.host;
    }
  }
}

/** The host and the routers between it and the core. */
function path(host: SimulatedHost): (SimulatedHost | SimulatedRouter)[] {
  const members: (SimulatedHost | SimulatedRouter)[] = [host];
  for (let router = host.router; router !== undefined; router = router.carrier) members.push(router);
  return members;
}

const DEFAULT_WAN: LinkConditions = { latencyMs: 10 };
const DEFAULT_LAN: LinkConditions = { latencyMs: 0.2 };
const DEFAULT_CORE_HOPS = 8;
/** Public addresses: neither private nor reserved, so that protocols treat them as real. */
const PUBLIC_PREFIX = "11.0.0";

/**
 * See the head of the file.
 *
 * @example Two hosts behind home routers, with 1 % of loss; time moves only when told to.
 * ```ts
 * import { SeededRandom, VirtualClock } from "../../core/runtime/virtual.ts";
 * import { SocketAddress } from "../../encoding/address.ts";
 * import { SimulatedNetwork } from "./network.ts";
 *
 * const clock = new VirtualClock();
 * const network = new SimulatedNetwork({
 *   clock,
 *   random: new SeededRandom(1),
 *   wan: { latencyMs: 20, jitterMs: 5, loss: [1, 100] },
 * });
 * const server = network.host();
 * const client = network.host({ behind: network.router({ type: "symmetric" }) });
 *
 * let seen = "";
 * const to = await server.bind({ port: 4000 }, { onDatagram: (_, from) => seen = from.host });
 * const from = await client.bind({}, { onDatagram: () => {} });
 * from.send(new Uint8Array(100), SocketAddress.of(server.address, to.address.port));
 * clock.run();
 * console.assert(seen === client.router?.address);
 * ```
 */
export class SimulatedNetwork {
  /** The clock that moves the packets. */
  readonly clock: Clock;
  /** Listeners, announcements and links of the memory transports. */
  readonly directory: Directory = new Directory();
  readonly #engine: Engine;
  readonly #wan: LinkConditions;
  readonly #lan: LinkConditions;
  readonly #core: Segment;
  readonly #lans = new Map<SimulatedRouter, Segment>();
  readonly #ranges = new Map<Segment, AddressRange>();
  readonly #hosts: Host[] = [];
  readonly #names = new Set<string>();
  readonly #partitions = new Set<Parted>();
  #lanCount = 0;
  #carrierCount = 0;

  /** An empty network. */
  constructor(options: SimulatedNetworkOptions) {
    this.clock = options.clock;
    this.#engine = new Engine(options.clock, options.random.fork("network"), options.trace);
    this.#wan = options.wan ?? DEFAULT_WAN;
    this.#lan = options.lan ?? DEFAULT_LAN;
    this.#engine.onTopologyChange = () => this.directory.breakLinks((a, b) => this.isConnected(a, b));
    this.#core = this.#segment(options.coreHops ?? DEFAULT_CORE_HOPS, PUBLIC_PREFIX);
  }

  /** What has happened, in packets. */
  get counters(): Readonly<NetworkCounters> {
    return this.#engine.counters;
  }

  /** A hash of everything that has happened: times, addresses, sizes, beginnings of payloads. Equal runs have equal hashes. */
  get traceHash(): number {
    return this.#engine.traceHash;
  }

  /** How many packets are on their way. */
  get inFlight(): number {
    return this.#engine.inFlight;
  }

  /** All hosts, in the order in which they were made. */
  get hosts(): readonly SimulatedHost[] {
    return this.#hosts;
  }

  /**
   * Adds a host.
   *
   * @throws {ConnectError} `ADDRESS_IN_USE`.
   * @throws {TypeError} if an address is none.
   * @throws {RangeError} if a name is taken.
   */
  host(options: HostOptions = {}): SimulatedHost {
    const segment = this.#segmentBehind(options.behind);
    const host = new Host(this.#engine, {
      name: this.#name(options.name ?? `host${this.#hosts.length}`),
      network: this,
      addresses: options.addresses ?? [this.#ranges.get(segment)!.next(segment)],
      segment,
      router: options.behind,
      ...this.#links(options, options.behind === undefined ? this.#wan : this.#lan),
    });
    this.#hosts.push(host);
    return host;
  }

  /** Adds a router, and the carrier's router in front of it if its type says so. */
  router(options: RouterOptions = {}): SimulatedRouter {
    const chain: RouterChain = ROUTER_TYPES[options.type ?? "port-restricted-cone"];
    const name = this.#name(options.name ?? `router${this.#names.size}`);
    const behaviour = { ...chain.router, ...options.behaviour };
    const lan = this.#lanCount++;
    const usualPrefix = behaviour.mapping === "none"
      ? `11.${128 + (lan >>> 8)}.${lan & 255}`
      : `192.168.${lan & 255}`;
    const prefix = options.lanPrefix ?? usualPrefix;
    if (chain.carrier === undefined) return this.#router(name, behaviour, prefix, options.behind, options);
    const carrierPrefix = `100.64.${this.#carrierCount++ & 255}`;
    const carrier = this.#router(`${name}/carrier`, chain.carrier, carrierPrefix, options.behind, options);
    return this.#router(name, behaviour, prefix, carrier, {});
  }

  /**
   * Keeps all packets between `a` and `b` (hosts, or routers with all that is behind them) from arriving, or only those from
   * `a` to `b`, until the result is healed.
   */
  partition(
    a: readonly (SimulatedHost | SimulatedRouter)[],
    b: readonly (SimulatedHost | SimulatedRouter)[],
    direction: "both" | "a-to-b" = "both",
  ): Partition {
    const [linksOfA, linksOfB] = [this.#linksOf(a), this.#linksOf(b)];
    const parts = [{ from: linksOfA, to: linksOfB }];
    if (direction === "both") parts.push({ from: linksOfB, to: linksOfA });
    for (const part of parts) this.#partitions.add(part);
    this.#engine.onTopologyChange();
    return {
      heal: () => {
        for (const part of parts) this.#partitions.delete(part);
        this.#engine.onTopologyChange();
      },
    };
  }

  /** Whether packets from `a` to `b` and back have a way: nothing in between is down or parted. NATs are not considered. */
  isConnected(a: SimulatedHost, b: SimulatedHost): boolean {
    if (a === b) return true;
    if (this.#isParted(a.downlink, b.downlink) || this.#isParted(b.downlink, a.downlink)) return false;
    return [...path(a), ...path(b)].every(({ uplink, downlink }) => !uplink.isDown && !downlink.isDown);
  }

  /** The time that a packet takes from `a` to `b` if nothing holds it up, in milliseconds. */
  latencyMs(a: SimulatedHost, b: SimulatedHost): number {
    if (a === b) return 0;
    if (a.router === b.router) return a.uplink.latencyMs + b.downlink.latencyMs;
    const [up, down] = [path(a), path(b)];
    return up.reduce((sum, { uplink }) => sum + uplink.latencyMs, 0) +
      down.reduce((sum, { downlink }) => sum + downlink.latencyMs, 0);
  }

  #router(
    name: string,
    behaviour: RouterBehaviour,
    lanPrefix: string,
    carrier: SimulatedRouter | undefined,
    options: LinkOptions & { readonly address?: string },
  ): SimulatedRouter {
    const outer = this.#segmentBehind(carrier);
    const lan = this.#segment(0, lanPrefix);
    const router = new Router(this.#engine, {
      name,
      behaviour,
      address: options.address ?? this.#ranges.get(outer)!.next(outer),
      outer,
      lan,
      ...this.#links(options, carrier === undefined ? this.#wan : this.#lan),
    }, carrier);
    this.#lans.set(router, lan);
    return router;
  }

  #segmentBehind(router: SimulatedRouter | undefined): Segment {
    if (router === undefined) return this.#core;
    const segment = this.#lans.get(router);
    if (segment === undefined) throw new RangeError(`${router.name} is a router of another network`);
    return segment;
  }

  #segment(hops: number, prefix: string): Segment {
    const segment = new Segment(this.#engine, hops, (packet, link) => this.#isParted(packet.origin, link));
    this.#ranges.set(segment, new AddressRange(prefix));
    return segment;
  }

  #links(options: LinkOptions, usual: LinkConditions): { uplink: LinkConditions; downlink: LinkConditions } {
    return {
      uplink: options.uplink ?? options.link ?? usual,
      downlink: options.downlink ?? options.link ?? usual,
    };
  }

  #name(name: string): string {
    if (this.#names.has(name)) throw new RangeError(`The network already has a ${name}: choose another name`);
    this.#names.add(name);
    return name;
  }

  #isParted(from: unknown, to: unknown): boolean {
    for (const part of this.#partitions) if (part.from.has(from) && part.to.has(to)) return true;
    return false;
  }

  #hostsOf(members: readonly (SimulatedHost | SimulatedRouter)[]): Host[] {
    const set = new Set<unknown>(members);
    return this.#hosts.filter((host) => path(host).some((member) => set.has(member)));
  }

  #linksOf(members: readonly (SimulatedHost | SimulatedRouter)[]): Set<unknown> {
    return new Set<unknown>([...members, ...this.#hostsOf(members)].map((member) => member.downlink));
  }
}
