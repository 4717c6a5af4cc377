/**
 * The result of a query as it grows: the nearest nodes that have answered, at most two of an IPv4 /24, and only so many as there
 * can be so near.
 */
import { equals } from "../../encoding/bytes.ts";
import { K, MAX_NEAR_REPLIES, MAX_PER_SUBNET } from "./constants.ts";
import { CrowdLimit } from "./crowd.ts";
import { compareDistance, NO_SUBNET, subnetOf } from "./node_id.ts";
import type { Reply } from "./outgoing_request.ts";

/** Replies sorted by the distance of their nodes to a target. */
export class ClosestReplies {
  readonly #target: Uint8Array;
  readonly #crowd: CrowdLimit;
  /** All that are near enough, nearest first. */
  readonly #near: Reply[] = [];
  /** Those that count. */
  #replies: Reply[] = [];

  /** No replies yet, in a network of `nodes`; `Infinity` if that is not known. */
  constructor(target: Uint8Array, nodes: number = Infinity) {
    this.#target = target;
    this.#crowd = new CrowdLimit(target, nodes);
  }

  /** The replies that count, nearest first, at most 20. */
  get replies(): readonly Reply[] {
    return this.#replies;
  }

  /** Whether there are as many as there can be. */
  get isFull(): boolean {
    return this.#replies.length >= K;
  }

  /** Whether a node with this id would be among the nearest, were it alone in its subnet. */
  isCloser(id: Uint8Array): boolean {
    const last = this.#replies.at(-1);
    return !this.isFull || compareDistance(this.#target, id, last!.id!) < 0;
  }

  /** Whether a node with this id in this subnet would be among the nearest. */
  wouldTake(id: Uint8Array, subnet: number): boolean {
    if (!this.isCloser(id)) return false;
    const farthest = this.#farthestOf(subnet);
    return farthest === -1 || compareDistance(this.#target, id, this.#near[farthest]!.id!) < 0;
  }

  /** Adds a reply of the node `id`, if it is among the nearest. */
  add(reply: Reply, id: Uint8Array): void {
    const subnet = subnetOf(reply.from);
    if (!this.wouldTake(id, subnet)) return;
    const near = this.#near;
    if (near.some((other) => equals(other.id!, id))) return;
    const farthest = this.#farthestOf(subnet);
    if (farthest !== -1) near.splice(farthest, 1);
    let at = near.length;
    while (at > 0 && compareDistance(this.#target, id, near[at - 1]!.id!) < 0) at--;
    near.splice(at, 0, reply);
    this.#count();
  }

  #count(): void {
    const near = this.#near;
    this.#replies = [];
    let end = 0;
    let surplus = -1;
    while (end < near.length && !this.isFull) {
      const reply = near[end]!;
      if (this.#replies.length + 1 <= this.#crowd.at(reply.id!)) this.#replies.push(reply);
      else surplus = end;
      end++;
    }
    near.length = end;
    if (end > MAX_NEAR_REPLIES && surplus !== -1) near.splice(surplus, 1);
  }

  /** Where the farthest node of a subnet is that has its share already; -1 if it has not. */
  #farthestOf(subnet: number): number {
    if (subnet === NO_SUBNET) return -1;
    let farthest = -1;
    let count = 0;
    for (let i = 0; i < this.#near.length; i++) {
      if (subnetOf(this.#near[i]!.from) !== subnet) continue;
      farthest = i;
      count++;
    }
    return count < MAX_PER_SUBNET ? -1 : farthest;
  }
}
