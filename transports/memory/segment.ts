/**
 * A place where addresses are known: the internet's core, or one LAN. Hands packets to the link behind which their
 * receiver is.
 */
import type { SocketAddress } from "../../encoding/address.ts";
import type { Engine } from "./engine.ts";
import type { Link } from "./link.ts";
import { hostKey } from "./nat.ts";
import type { Arrival, Packet } from "./packet.ts";

/** What a LAN has at its border. */
export interface Gateway {
  /** Takes a packet that is for nobody in the LAN. */
  forwardOut(packet: Packet): void;
  /** Whether outside the same address is in use as inside, so that packets for `host` come here. */
  announces(address: SocketAddress): boolean;
  /** Tells the outside that `address` is, or is no longer, here. */
  announce(address: SocketAddress, isHere: boolean): void;
}

/** Whether a partition keeps a packet from a link. */
export type IsParted = (packet: Packet, link: Link) => boolean;

/** Whether `address` is a multicast group: 224.0.0.0/4 or ff00::/8. */
export function isMulticast(address: SocketAddress): boolean {
  return address.family === 4 ? address.bits >>> 28 === 14 : address.host.startsWith("ff");
}

/** See the head of the file. */
export class Segment implements Arrival {
  /** The way out, if there is one. */
  gateway: Gateway | undefined;
  readonly #engine: Engine;
  readonly #hops: number;
  readonly #isParted: IsParted;
  readonly #links = new Map<number | string, Link>();
  readonly #groups = new Map<number | string, Set<Link>>();

  /** A place with `hops` routers inside; `isParted` may stop a packet for a link. */
  constructor(engine: Engine, hops: number, isParted: IsParted) {
    this.#engine = engine;
    this.#hops = hops;
    this.#isParted = isParted;
  }

  /** Whether nobody has `address` here. */
  isFree(address: SocketAddress): boolean {
    return !this.#links.has(hostKey(address));
  }

  /** From now on `address` is behind `link`. */
  add(address: SocketAddress, link: Link): void {
    this.#links.set(hostKey(address), link);
    if (this.gateway?.announces(address) === true) this.gateway.announce(address, true);
  }

  /** From now on nobody has `address`. */
  remove(address: SocketAddress): void {
    this.#links.delete(hostKey(address));
    if (this.gateway?.announces(address) === true) this.gateway.announce(address, false);
  }

  /** The host behind `link` wants what is sent to `group`. */
  join(group: SocketAddress, link: Link): void {
    const key = hostKey(group);
    let links = this.#groups.get(key);
    if (links === undefined) {
      links = new Set();
      this.#groups.set(key, links);
    }
    links.add(link);
  }

  /** The reverse of {@linkcode join}. */
  leave(group: SocketAddress, link: Link): void {
    this.#groups.get(hostKey(group))?.delete(link);
  }

  /** Takes a packet from a member: it is for another one, or for the gateway. */
  arrive(packet: Packet): void {
    if (isMulticast(packet.to)) return this.#spread(packet);
    if (this.gateway === undefined || this.#links.has(hostKey(packet.to))) this.deliver(packet);
    else this.gateway.forwardOut(packet);
  }

  /** Hands a packet to the member that it is for. */
  deliver(packet: Packet): void {
    const link = this.#links.get(hostKey(packet.to));
    if (packet.ttl <= this.#hops) return this.#engine.drop(packet, "ttl");
    packet.ttl -= this.#hops;
    if (link === undefined) return this.#engine.drop(packet, "unroutable");
    if (this.#isParted(packet, link)) return this.#engine.drop(packet, "partition");
    link.send(packet);
  }

  /** Multicast stays within the segment. */
  #spread(packet: Packet): void {
    for (const link of this.#groups.get(hostKey(packet.to)) ?? []) {
      if (link !== packet.origin) link.send(this.#engine.pool.copy(packet));
    }
    this.#engine.pool.release(packet);
  }
}
