/**
 * Whether there are more nodes around a key than there can be. Ids are hashes, so nodes are spread evenly; but who owns some
 * addresses can try all their ports and choose those whose ids lie around one key. With ten addresses in different networks he owns
 * all 20 nearest nodes of it, each of them much nearer than the nearest node that is there by chance.
 *
 * The number of nodes in the network, which the own routing table shows, says how many are to be expected within a distance. Of
 * nodes that are nearer than that only a few count. (As "Content Censorship in the InterPlanetary File System", S. Sridhar et al.,
 * 2023, finds such attacks; the rule here is simpler, and bounds what even a patient attacker gets: to hold all 20 places he has to
 * take ever farther ones, and within the distance at which the last of them lies there are six others.)
 */
import { CROWD_BASE, CROWD_FACTOR } from "./constants.ts";

/** Bytes of a distance that are looked at. */
const BYTES = 6;

/** The distance of two keys as a part of all distances, from 0 to 1. */
export function distanceFraction(a: Uint8Array, b: Uint8Array): number {
  let fraction = 0;
  for (let i = BYTES - 1; i >= 0; i--) fraction = (fraction + (a[i]! ^ b[i]!)) / 256;
  return fraction;
}

/** See the head of the file. */
export class CrowdLimit {
  readonly #target: Uint8Array;
  readonly #nodes: number;

  /** For nodes around `target` in a network of `nodes`; `Infinity` if that is not known, and then there is no limit. */
  constructor(target: Uint8Array, nodes: number) {
    this.#target = target;
    this.#nodes = nodes;
  }

  /** How many nodes that are as near as `id`, or nearer, count. */
  at(id: Uint8Array): number {
    if (this.#nodes === Infinity) return Infinity;
    return CROWD_BASE + CROWD_FACTOR * this.#nodes * distanceFraction(this.#target, id);
  }
}
