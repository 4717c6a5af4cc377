/**
 * A router between a LAN and the world: addresses, hops, translation, filter.
 */
import { SocketAddress } from "../../encoding/address.ts";
import type { LinkConditions } from "./conditions.ts";
import type { Engine } from "./engine.ts";
import { Link, type SimulatedLink } from "./link.ts";
import { hostKey, Nat } from "./nat.ts";
import type { Arrival, Packet } from "./packet.ts";
import type { RouterBehaviour } from "./router_types.ts";
import type { Gateway, Segment } from "./segment.ts";

/** What the network needs to know to make a {@linkcode Router}. */
export interface RouterConfig {
  /** For the seed of its chance, and for messages. */
  readonly name: string;
  /** How it treats UDP. */
  readonly behaviour: RouterBehaviour;
  /** Its address outside. */
  readonly address: string;
  /** Where it is connected to outside. */
  readonly outer: Segment;
  /** What is behind it. */
  readonly lan: Segment;
  /** The link to there, from inside to outside. */
  readonly uplink: LinkConditions;
  /** The link from there. */
  readonly downlink: LinkConditions;
}

/** One router. */
export interface SimulatedRouter {
  /** Its name. */
  readonly name: string;
  /** The carrier's router in front of it, if there is one. */
  readonly carrier: SimulatedRouter | undefined;
  /** The link outwards. */
  readonly uplink: SimulatedLink;
  /** The link inwards. */
  readonly downlink: SimulatedLink;
  /** Its address outside, as text. */
  readonly address: string;
  /** How many mappings or firewall entries it holds, some of them perhaps expired. */
  readonly mappingCount: number;
  /** Cuts or mends the link to the outside. */
  setDown(isDown: boolean): void;
  /** Forgets all mappings, as a restart or a carrier's timeout does. */
  flush(): void;
  /** Gets another address outside, and forgets all mappings. */
  renumber(address: string): void;
}

/** The router from the network's side. */
export class Router implements SimulatedRouter, Gateway {
  readonly name: string;
  readonly carrier: SimulatedRouter | undefined;
  readonly uplink: Link;
  readonly downlink: Link;
  /** What is behind it. */
  readonly lan: Segment;
  readonly #engine: Engine;
  readonly #behaviour: RouterBehaviour;
  readonly #outer: Segment;
  readonly #nat: Nat;
  #address: SocketAddress;

  /** A router that is connected to `config.outer`. */
  constructor(engine: Engine, config: RouterConfig, carrier: SimulatedRouter | undefined) {
    this.name = config.name;
    this.carrier = carrier;
    this.lan = config.lan;
    this.lan.gateway = this;
    this.#engine = engine;
    this.#behaviour = config.behaviour;
    this.#outer = config.outer;
    this.#address = SocketAddress.of(config.address, 0);
    this.#nat = new Nat(config.behaviour, config.address, engine.random.fork(`router/${config.name}`));
    const inbound: Arrival = { arrive: (packet) => this.#forwardIn(packet) };
    this.uplink = new Link(engine, `${config.name}/up`, config.uplink, config.outer);
    this.downlink = new Link(engine, `${config.name}/down`, config.downlink, inbound);
    config.outer.add(this.#address, this.downlink);
  }

  get address(): string {
    return this.#address.host;
  }

  get mappingCount(): number {
    return this.#nat.size;
  }

  setDown(isDown: boolean): void {
    this.uplink.isDown = isDown;
    this.downlink.isDown = isDown;
    this.#engine.onTopologyChange();
  }

  flush(): void {
    this.#nat.reset(this.address);
  }

  renumber(address: string): void {
    this.#outer.remove(this.#address);
    this.#address = SocketAddress.of(address, 0);
    this.#outer.add(this.#address, this.downlink);
    this.flush();
  }

  announces(address: SocketAddress): boolean {
    return address.family === 6 || this.#behaviour.mapping === "none";
  }

  announce(address: SocketAddress, isHere: boolean): void {
    if (isHere) this.#outer.add(address, this.downlink);
    else this.#outer.remove(address);
  }

  forwardOut(packet: Packet): void {
    if (this.#behaviour.blocksUdp) return this.#engine.drop(packet, "blocked");
    if (--packet.ttl <= 0) return this.#engine.drop(packet, "ttl");
    const outside = this.#nat.outbound(packet.from, packet.to, this.#engine.clock.now());
    if (outside === undefined) return this.#engine.drop(packet, "blocked");
    packet.from = outside;
    if (hostKey(packet.to) !== hostKey(this.#address)) return this.uplink.send(packet);
    if (this.#behaviour.hairpin) this.#admit(packet);
    else this.#engine.drop(packet, "filtered");
  }

  #forwardIn(packet: Packet): void {
    if (this.#behaviour.blocksUdp) return this.#engine.drop(packet, "blocked");
    if (--packet.ttl <= 0) return this.#engine.drop(packet, "ttl");
    this.#admit(packet);
  }

  #admit(packet: Packet): void {
    const inside = this.#nat.inbound(packet.from, packet.to, this.#engine.clock.now());
    if (inside === undefined) return this.#engine.drop(packet, "filtered");
    packet.to = inside;
    this.lan.deliver(packet);
  }
}
