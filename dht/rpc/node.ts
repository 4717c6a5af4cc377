/** A node that this node knows, and when it heard of it. */
import type { SocketAddress } from "../../encoding/address.ts";
import { SAMPLE_MS } from "./constants.ts";
import { idPrefix, subnetOf } from "./node_id.ts";

/**
 * An entry of the routing table. Times are whole milliseconds of the clock in use: fractions, or an infinity, would cost 16 bytes
 * each.
 */
export class RoutingNode {
  /** Its id, 32 bytes. */
  readonly id: Uint8Array;
  /** The beginning of the id: see {@linkcode idPrefix}. */
  readonly prefix: number;
  /** Its address. */
  readonly address: SocketAddress;
  /** Its /24, or -1: see {@linkcode subnetOf}. */
  readonly subnet: number;
  /** When it came into the table. */
  addedAt: number;
  /** When it was last heard of, or asked whether it is there. */
  pingedAt: number;
  /** When it last told this node its address. */
  sampledAt: number = -SAMPLE_MS;
  /** How often it has answered; 0 if it is here because the program named it. */
  replies: number = 0;
  /** Whether others said that it is down, and it was not heard of since. */
  isDoubted: boolean = false;

  /** A node that was heard of at `now`. */
  constructor(id: Uint8Array, address: SocketAddress, now: number) {
    this.id = id;
    this.prefix = idPrefix(id);
    this.address = address;
    this.subnet = subnetOf(address);
    this.addedAt = this.pingedAt = Math.floor(now);
  }
}
