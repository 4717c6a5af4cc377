/**
 * Network address translation and the stateful firewall that comes with it, as RFC 4787 classifies them. Pure: times and
 * addresses in, addresses out.
 */
import { SocketAddress } from "../../encoding/address.ts";
import type { Random } from "../../core/runtime/runtime.ts";
import { type Expiring, ExpiringMap } from "./expiring_map.ts";
import type { Dependence, RouterBehaviour } from "./router_types.ts";

/** A value that is equal for equal addresses. */
type Key = number | string;

/** What the router remembers about one inside socket and one of those it talks to. */
interface Flow extends Expiring {
  isAnswered: boolean;
}

/** One inside socket as it looks from outside; gone with the last of its flows. */
interface Mapping extends Expiring {
  readonly inside: SocketAddress;
  readonly outside: SocketAddress;
  /** By what the filter looks at. */
  readonly flows: ExpiringMap<Key, Flow>;
}

const FIRST_PORT = 1024;
const PORTS = 65_536 - FIRST_PORT;
/** Stands for no remote: the mapping of a socket that a new remote gets. */
const LATEST = 0;
/** The distance of `shifting` ports; any will do. */
const SHIFT = 20_011;

/** The address of a host without the port, as a key. */
export function hostKey(address: SocketAddress): Key {
  return address.family === 4 ? address.bits : address.host;
}

function select(dependence: Dependence, remote: SocketAddress): Key {
  if (dependence === "endpoint-independent") return 0;
  return dependence === "address-dependent" ? hostKey(remote) : remote.key;
}

/** The state of one router. */
export class Nat {
  readonly #behaviour: RouterBehaviour;
  readonly #random: Random;
  /** By inside address, then by what the mapping looks at. */
  readonly #byInside = new ExpiringMap<Key, ExpiringMap<Key, Mapping>>();
  readonly #byOutside = new ExpiringMap<Key, Mapping>();
  /** Flows that early packets from outside began, by outside address, then by remote address. */
  readonly #early = new ExpiringMap<Key, ExpiringMap<Key, Expiring>>();
  #host: string;
  #nextPort: number;

  /** A router with the outside address `host`. */
  constructor(behaviour: RouterBehaviour, host: string, random: Random) {
    this.#behaviour = behaviour;
    this.#host = host;
    this.#random = random;
    this.#nextPort = random.below(PORTS);
  }

  /** How many mappings there are, some of them perhaps expired. */
  get size(): number {
    return this.#byOutside.size;
  }

  /** Forgets everything, as after a restart; from now on the outside address is `host`. */
  reset(host: string): void {
    this.#host = host;
    this.#byInside.clear();
    this.#byOutside.clear();
    this.#early.clear();
  }

  /** A packet goes out from `inside` to `remote`: where it seems to come from, or undefined if no port is free. */
  outbound(inside: SocketAddress, remote: SocketAddress, now: number): SocketAddress | undefined {
    const mapping = this.#mappingFor(inside, remote, now);
    if (mapping === undefined) return undefined;
    const key = select(this.#behaviour.filtering, remote);
    let flow = mapping.flows.get(key, now);
    if (flow === undefined) {
      flow = { expiresAt: 0, isAnswered: false };
      mapping.flows.set(key, flow, now);
    }
    this.#refresh(mapping, flow, now);
    return mapping.outside;
  }

  /** A packet comes in from `remote` to `outside`: where it goes to inside, or undefined if it is not let in. */
  inbound(remote: SocketAddress, outside: SocketAddress, now: number): SocketAddress | undefined {
    const { filtering } = this.#behaviour;
    if (!this.#translates(outside) && filtering === "endpoint-independent") return outside;
    const mapping = this.#byOutside.get(outside.key, now);
    const flow = mapping?.flows.get(select(filtering, remote), now);
    if (mapping === undefined || flow === undefined) {
      if (this.#behaviour.movedByEarlyInbound) this.#noteEarly(remote, outside, now);
      return undefined;
    }
    flow.isAnswered = true;
    this.#refresh(mapping, flow, now);
    return mapping.inside;
  }

  /** IPv6 is never translated. */
  #translates(address: SocketAddress): boolean {
    return this.#behaviour.mapping !== "none" && address.family === 4;
  }

  #refresh(mapping: Mapping, flow: Flow, now: number): void {
    flow.expiresAt = now + (flow.isAnswered ? this.#behaviour.answeredMs : this.#behaviour.unansweredMs);
    if (flow.expiresAt > mapping.expiresAt) mapping.expiresAt = flow.expiresAt;
  }

  #mappingFor(inside: SocketAddress, remote: SocketAddress, now: number): Mapping | undefined {
    const { mapping: kind, movedByEarlyInbound } = this.#behaviour;
    const mappings = this.#byInside.peek(inside.key);
    if (kind === "none" || inside.family === 6) {
      return mappings?.get(0, now) ?? this.#map(inside, 0, inside, now);
    }
    if (movedByEarlyInbound) return this.#masqueradeFor(inside, remote, now);
    const key = select(kind, remote);
    return mappings?.get(key, now) ?? this.#map(inside, key, this.#allocate(inside, now), now);
  }

  /**
   * As Linux does it: a remote keeps its mapping; a new one gets the latest of the socket, unless that remote has been noticed
   * there. So a mapping that has moved for one remote has moved for all that come later.
   */
  #masqueradeFor(inside: SocketAddress, remote: SocketAddress, now: number): Mapping | undefined {
    const mappings = entry(this.#byInside, inside.key, now);
    const known = mappings.get(remote.key, now);
    if (known !== undefined) return known;
    const isTaken = (at: SocketAddress) => this.#early.peek(at.key)?.get(remote.key, now) !== undefined;
    const usual = SocketAddress.of(this.#host, inside.port);
    let mapping = mappings.get(LATEST, now);
    if (mapping === undefined || isTaken(mapping.outside)) {
      const outside = this.#allocate(inside, now, isTaken(usual) ? usual : undefined);
      mapping = this.#map(inside, LATEST, outside, now);
    }
    if (mapping !== undefined) mappings.set(remote.key, mapping, now);
    return mapping;
  }

  #map(
    inside: SocketAddress,
    key: Key,
    outside: SocketAddress | undefined,
    now: number,
  ): Mapping | undefined {
    if (outside === undefined) return undefined;
    const mapping: Mapping = { inside, outside, flows: new ExpiringMap(), expiresAt: now };
    entry(this.#byInside, inside.key, now).set(key, mapping, now);
    this.#byOutside.set(outside.key, mapping, now);
    return mapping;
  }

  /** A free outside address for `inside`, not `avoid`. */
  #allocate(inside: SocketAddress, now: number, avoid?: SocketAddress): SocketAddress | undefined {
    let port = this.#firstChoice(inside.port);
    for (let tries = 0; tries < PORTS; tries++) {
      const outside = SocketAddress.of(this.#host, FIRST_PORT + port);
      const isTaken = this.#byOutside.get(outside.key, now) !== undefined;
      if (!isTaken && avoid?.equals(outside) !== true) return outside;
      port = (port + 1) % PORTS;
    }
    return undefined;
  }

  /** A port, counted from {@linkcode FIRST_PORT}. */
  #firstChoice(insidePort: number): number {
    const inside = (insidePort + PORTS - FIRST_PORT) % PORTS;
    switch (this.#behaviour.ports) {
      case "preserving":
        return inside;
      case "shifting":
        return (inside + SHIFT) % PORTS;
      case "sequential":
        this.#nextPort = (this.#nextPort + 1) % PORTS;
        return this.#nextPort;
      case "random":
        return this.#random.below(PORTS);
    }
  }

  #noteEarly(remote: SocketAddress, outside: SocketAddress, now: number): void {
    const flow = { expiresAt: now + this.#behaviour.unansweredMs };
    entry(this.#early, outside.key, now).set(remote.key, flow, now);
  }
}

/** The table at `key` of `tables`, a new one if there is none. */
function entry<Value extends Expiring>(
  tables: ExpiringMap<Key, ExpiringMap<Key, Value>>,
  key: Key,
  now: number,
): ExpiringMap<Key, Value> {
  let table = tables.peek(key);
  if (table === undefined) {
    table = new ExpiringMap();
    tables.set(key, table, now);
  }
  return table;
}
