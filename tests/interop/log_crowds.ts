/** A writer and its readers, of all kinds, and what they do at random. */
import assert from "node:assert/strict";
import { inOneSwarm, OVER_TCP, playAtRandom } from "./log_operations.ts";
import type { Generation } from "./driven_logs.ts";
import { LogRig } from "./log_rig.ts";
import { OurPeer } from "./our_logs.ts";

/** Ours in this process, ours on Node, or the reference. */
export type Side = "ours" | "node" | Generation;

/** Who writes and who reads, and what is done. */
export interface Crowd {
  readonly writer: Side;
  readonly readers: readonly Side[];
  readonly isForking: boolean;
  readonly isClearing?: boolean;
}

/** How often, and how much. */
export interface Playing {
  readonly seeds: number;
  /** Its number: whose logs lie on disk changes with it. */
  readonly n: number;
  readonly operations?: number;
  /** Whether they meet in a swarm, and not over TCP. */
  readonly isSwarm?: boolean;
}

/** The peer of a side; every other one of ours has its logs on disk. */
function peerOf(rig: LogRig, side: Side, place: number) {
  const medium = place % 2 === 0 ? "memory" : "sqlite";
  if (side === "ours") return rig.add(new OurPeer(medium));
  return side === "node" ? rig.onNode(medium) : rig.theirs(side);
}

/** A crowd in words. */
export function titleOf({ writer, readers, isForking, isClearing = false }: Crowd): string {
  const features = [...isForking ? ["forks"] : [], ...isClearing ? ["holes"] : []];
  const what = features.length === 0 ? "without forks" : `with ${features.join(" and ")}`;
  return `what is done at random to ${writer}, ${what}, reaches ${readers.join(", ")}`;
}

/** Plays as many random lists of operations as there are seeds. */
export async function playCrowd(
  crowd: Crowd,
  { seeds, n, operations = 60, isSwarm }: Playing,
): Promise<void> {
  const { writer, readers, isForking, isClearing = false } = crowd;
  await using rig = new LogRig();
  const network = isSwarm ? inOneSwarm(await rig.theirs(11).testnet()) : OVER_TCP;
  const peers = [writer, ...readers].map((side, place) => peerOf(rig, side, n + place));
  for (let seed = 0; seed < seeds; seed++) {
    const plan = { seed, readers: readers.length, operations, isForking, isClearing };
    // In a swarm those of the list before are still there, and a key has one log only.
    const lost = await playAtRandom(plan, peers[0]!, peers.slice(1), network, { seed: 1 + seed });
    if (typeof writer === "string") assert.equal(lost, 0, "a connection with ours was lost");
  }
}
