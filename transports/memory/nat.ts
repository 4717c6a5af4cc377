/**
 * Network address translation and the stateful firewall that comes with it, as RFC 4787 classifies them. Pure: times and
 * addresses in, addresses out.
 */
import { SocketAddress } from "../../encoding/address.ts";
import type { Random } from "../../core/runtime/runtime.ts";
import type { Dependence, RouterBehaviour } from "./router_types.ts";

/** A value that is equal for equal addresses. */
type Key = number | string;

/** What the router remembers about one inside socket and those it talks to. */
interface Flow {
  expiresAt: number;
  isAnswered: boolean;
}

/** One inside socket as it looks from outside. */
interface Mapping {
  readonly inside: SocketAddress;
  readonly outside: SocketAddress;
  /** By what the filter looks at. */
  readonly flows: Map<Key, Flow>;
  /** When the last of the flows expires. */
  expiresAt: number;
}

const FIRST_PORT = 1024;
const PORTS = 65_536 - FIRST_PORT;
/** The distance of `shifting` ports; any will do. */
const SHIFT = 20_011;
/** Below this many entries a table is not searched for expired ones. */
const SWEEP_FROM = 256;

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
  #host: string;
  #byInside = new Map<Key, Map<Key, Mapping>>();
  #byOutside = new Map<Key, Mapping>();
  /** Flows that early packets from outside began: outside address, then remote address, to when they expire. */
  #early = new Map<Key, Map<Key, number>>();
  #nextPort: number;
  #sweepAt = SWEEP_FROM;

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
    let flow = mapping.flows.get(key);
    if (flow === undefined || flow.expiresAt <= now) {
      flow = { expiresAt: 0, isAnswered: false };
      mapping.flows.set(key, flow);
    }
    this.#refresh(mapping, flow, now);
    return mapping.outside;
  }

  /** A packet comes in from `remote` to `outside`: where it goes to inside, or undefined if it is not let in. */
  inbound(remote: SocketAddress, outside: SocketAddress, now: number): SocketAddress | undefined {
    const { filtering } = this.#behaviour;
    const mapping = this.#byOutside.get(outside.key);
    if (mapping === undefined || mapping.expiresAt <= now) {
      if (!this.#translates(outside) && filtering === "endpoint-independent") return outside;
      this.#noteEarly(remote, outside, now);
      return undefined;
    }
    const flow = mapping.flows.get(select(filtering, remote));
    if (flow === undefined || flow.expiresAt <= now) {
      this.#noteEarly(remote, outside, now);
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
    const translates = this.#translates(inside);
    let mappings = this.#byInside.get(inside.key);
    if (mappings === undefined) {
      mappings = new Map();
      this.#byInside.set(inside.key, mappings);
    }
    if (translates && movedByEarlyInbound) {
      const moved = mappings.get(remote.key);
      if (moved !== undefined && moved.expiresAt > now) return moved;
      const usual = SocketAddress.of(this.#host, inside.port);
      if (this.#isEarly(remote, usual, now)) return this.#map(mappings, remote.key, inside, now, usual);
    }
    const key = translates && kind !== "none" ? select(kind, remote) : 0;
    const mapping = mappings.get(key);
    if (mapping !== undefined && mapping.expiresAt > now) return mapping;
    return this.#map(mappings, key, inside, now, undefined);
  }

  #map(
    mappings: Map<Key, Mapping>,
    key: Key,
    inside: SocketAddress,
    now: number,
    avoid: SocketAddress | undefined,
  ): Mapping | undefined {
    const old = mappings.get(key);
    if (old !== undefined && this.#byOutside.get(old.outside.key) === old) {
      this.#byOutside.delete(old.outside.key);
    }
    const outside = this.#translates(inside) ? this.#allocate(inside, now, avoid) : inside;
    if (outside === undefined) return undefined;
    const mapping = { inside, outside, flows: new Map(), expiresAt: now };
    mappings.set(key, mapping);
    this.#byOutside.set(outside.key, mapping);
    if (this.#byOutside.size >= this.#sweepAt) this.#sweep(now);
    return mapping;
  }

  #allocate(inside: SocketAddress, now: number, avoid: SocketAddress | undefined): SocketAddress | undefined {
    let port = this.#firstChoice(inside.port);
    for (let tries = 0; tries < PORTS; tries++) {
      const outside = SocketAddress.of(this.#host, FIRST_PORT + port);
      const taken = this.#byOutside.get(outside.key);
      if ((taken === undefined || taken.expiresAt <= now) && avoid?.equals(outside) !== true) return outside;
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

  #isEarly(remote: SocketAddress, outside: SocketAddress, now: number): boolean {
    return (this.#early.get(outside.key)?.get(remote.key) ?? -Infinity) > now;
  }

  #noteEarly(remote: SocketAddress, outside: SocketAddress, now: number): void {
    if (!this.#behaviour.movedByEarlyInbound) return;
    let remotes = this.#early.get(outside.key);
    if (remotes === undefined) {
      remotes = new Map();
      this.#early.set(outside.key, remotes);
    }
    remotes.set(remote.key, now + this.#behaviour.unansweredMs);
  }

  /** Takes out what has expired, so that a long run does not grow without end. */
  #sweep(now: number): void {
    for (const [insideKey, mappings] of this.#byInside) {
      for (const [key, mapping] of mappings) {
        if (mapping.expiresAt > now) continue;
        mappings.delete(key);
        if (this.#byOutside.get(mapping.outside.key) === mapping) this.#byOutside.delete(mapping.outside.key);
      }
      if (mappings.size === 0) this.#byInside.delete(insideKey);
    }
    for (const [outsideKey, remotes] of this.#early) {
      for (const [key, expiresAt] of remotes) if (expiresAt <= now) remotes.delete(key);
      if (remotes.size === 0) this.#early.delete(outsideKey);
    }
    this.#sweepAt = Math.max(SWEEP_FROM, 2 * this.#byOutside.size);
  }
}
