/** The addresses that a query has heard of: which to visit next, and whose word counts. */
import type { SocketAddress } from "../../encoding/address.ts";
import type { ClosestReplies } from "./closest_replies.ts";
import { MAX_CANDIDATES, MAX_DEAD_ENDS, MAX_REFERRERS, MAX_VISITS_PER_SUBNET } from "./constants.ts";
import { compareDistance, NO_SUBNET, subnetOf } from "./node_id.ts";

/** How far a query waits for the answer of one that it has asked: less and less as tries go unanswered. */
export const Patience = {
  /** To the end. It takes one of the places of those that are asked at once; all others lend theirs. */
  Full: 0,
  /** As long as the result is not complete. */
  Spare: 1,
  /** As long as nobody has answered. */
  Last: 2,
  /** Not at all. */
  None: 3,
} as const;
/** See the value of the same name. */
export type Patience = (typeof Patience)[keyof typeof Patience];

/** An address in a query. */
export interface Candidate {
  /** Where it is. */
  readonly address: SocketAddress;
  /** Its id, by its address. */
  readonly id: Uint8Array;
  /** Its /24: see {@linkcode subnetOf}. */
  readonly subnet: number;
  /** Whether it never answered this node, which kept it from an earlier run: it may be long gone. */
  readonly isUnproven: boolean;
  /** Who named it, the first few. */
  readonly referrers: Candidate[];
  /** Where it stands: not asked yet, asked, answered, or given up. */
  state: "pending" | "visited" | "alive" | "dead";
  /** Of a visited one: how far the query waits for it. */
  patience: Patience;
  /** Nodes that it alone named and that did not answer, or not at once. */
  deadEnds: number;
  /** Whether a node that it named has answered. */
  isUseful: boolean;
}

/** See the head of the file. */
export class CandidateList {
  readonly #target: Uint8Array;
  readonly #closest: ClosestReplies;
  readonly #all = new Map<number | string, Candidate>();
  /** Farthest first: the next is the last. */
  readonly #pending: Candidate[] = [];
  readonly #visitsBySubnet = new Map<number, number>();

  /** An empty list; `closest` says what is worth a visit. */
  constructor(target: Uint8Array, closest: ClosestReplies) {
    this.#target = target;
    this.#closest = closest;
  }

  /** How many may be visited. */
  get pending(): number {
    return this.#pending.length;
  }

  /** How many there are. */
  get seen(): number {
    return this.#all.size;
  }

  /** The candidate at `address`. */
  find(address: SocketAddress): Candidate | undefined {
    return this.#all.get(address.key);
  }

  /** Adds a node that is not in the list, named by `referrer` if it was named. Does nothing when the list is full. */
  add(
    address: SocketAddress,
    id: Uint8Array,
    referrer: Candidate | undefined,
    isUnproven: boolean = false,
  ): void {
    if (this.#all.size >= MAX_CANDIDATES) return;
    const candidate: Candidate = {
      address,
      id,
      subnet: subnetOf(address),
      isUnproven,
      referrers: referrer === undefined ? [] : [referrer],
      state: "pending",
      patience: isUnproven ? Patience.Spare : Patience.Full,
      deadEnds: 0,
      isUseful: false,
    };
    this.#all.set(address.key, candidate);
    let low = 0;
    let high = this.#pending.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compareDistance(this.#target, this.#pending[middle]!.id, id) > 0) low = middle + 1;
      else high = middle;
    }
    this.#pending.splice(low, 0, candidate);
  }

  /** `referrer` named `candidate` too. */
  refer(candidate: Candidate, referrer: Candidate): void {
    if (candidate.state === "alive") referrer.isUseful = true;
    else if (candidate.referrers.length < MAX_REFERRERS) candidate.referrers.push(referrer);
  }

  /** Takes the nearest one that is worth a visit. */
  take(): Candidate | undefined {
    const put: Candidate[] = [];
    let found: Candidate | undefined;
    while (found === undefined) {
      const next = this.#pending.pop();
      if (next === undefined) break;
      if (!this.#isWorthIt(next)) continue;
      if (isDoubtful(next)) put.push(next);
      else found = next;
    }
    // Those of doubtful word come last, and not at all when the result is complete without them.
    if (found === undefined && !this.#closest.isFull) found = put.shift();
    else if (found === undefined) put.length = 0;
    while (put.length > 0) this.#pending.push(put.pop()!);
    if (found !== undefined) this.#visit(found);
    return found;
  }

  /** `candidate` has answered. */
  markAlive(candidate: Candidate): void {
    candidate.state = "alive";
    for (const referrer of candidate.referrers) referrer.isUseful = true;
  }

  /** `candidate` did not answer its first request in time. */
  markSlow(candidate: Candidate): void {
    if (candidate.referrers.length === 1) candidate.referrers[0]!.deadEnds++;
  }

  /** `candidate` did not answer. */
  markDead(candidate: Candidate): void {
    candidate.state = "dead";
  }

  #visit(candidate: Candidate): void {
    candidate.state = "visited";
    const { subnet } = candidate;
    if (subnet !== NO_SUBNET) {
      this.#visitsBySubnet.set(subnet, (this.#visitsBySubnet.get(subnet) ?? 0) + 1);
    }
  }

  #isWorthIt({ id, subnet }: Candidate): boolean {
    if (subnet !== NO_SUBNET && (this.#visitsBySubnet.get(subnet) ?? 0) >= MAX_VISITS_PER_SUBNET) {
      return false;
    }
    return this.#closest.wouldTake(id, subnet);
  }
}

/** Whether it was named only by nodes that have named nothing but dead ends. */
function isDoubtful({ referrers }: Candidate): boolean {
  return referrers.length > 0 &&
    referrers.every((referrer) => referrer.deadEnds >= MAX_DEAD_ENDS && !referrer.isUseful);
}
