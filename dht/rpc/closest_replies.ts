/** The result of a query as it grows: the nearest nodes that have answered, at most two of an IPv4 /24. */
import { equals } from "../../encoding/bytes.ts";
import { K, MAX_PER_SUBNET } from "./constants.ts";
import { compareDistance, NO_SUBNET, subnetOf } from "./node_id.ts";
import type { Reply } from "./outgoing_request.ts";

/** Replies sorted by the distance of their nodes to a target. */
export class ClosestReplies {
  readonly #target: Uint8Array;
  readonly #replies: Reply[] = [];

  /** No replies yet. */
  constructor(target: Uint8Array) {
    this.#target = target;
  }

  /** The replies, nearest first. */
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
    return farthest === -1 || compareDistance(this.#target, id, this.#replies[farthest]!.id!) < 0;
  }

  /** Adds a reply of the node `id`, if it is among the nearest. */
  add(reply: Reply, id: Uint8Array): void {
    const subnet = subnetOf(reply.from);
    if (!this.wouldTake(id, subnet)) return;
    if (this.#replies.some((other) => equals(other.id!, id))) return;
    const farthest = this.#farthestOf(subnet);
    if (farthest !== -1) this.#replies.splice(farthest, 1);
    let at = this.#replies.length;
    while (at > 0 && compareDistance(this.#target, id, this.#replies[at - 1]!.id!) < 0) at--;
    this.#replies.splice(at, 0, reply);
    if (this.#replies.length > K) this.#replies.pop();
  }

  /** Where the farthest node of a subnet is that has its share already; -1 if it has not. */
  #farthestOf(subnet: number): number {
    if (subnet === NO_SUBNET) return -1;
    let farthest = -1;
    let count = 0;
    for (let i = 0; i < this.#replies.length; i++) {
      if (subnetOf(this.#replies[i]!.from) !== subnet) continue;
      farthest = i;
      count++;
    }
    return count < MAX_PER_SUBNET ? -1 : farthest;
  }
}
