/** How far a log and its peers are. */
import type { ReplicationPeer } from "./peer.ts";
import type { PeerMachine } from "./peer_machine.ts";
import type { ReplicatedLog } from "./replicated_log.ts";

/** How far one side is, in blocks. */
export interface SideState {
  /** How many blocks it has. */
  readonly have: number;
  /** How many it lacks that the others have: for a peer, those that are here; for this side, those that any peer has told of. */
  readonly want: number;
  /** How long its log is. */
  readonly total: number;
}

/** {@linkcode SideState} of a peer. */
export interface PeerState extends SideState {
  /** Which. */
  readonly peer: ReplicationPeer;
  /** Whether it has said how its log stands; otherwise all is 0. */
  readonly isKnown: boolean;
}

/** {@linkcode SideState} of all. */
export interface SyncState extends SideState {
  /** Each peer. */
  readonly peers: readonly PeerState[];
}

/** How many blocks of a walk are looked at one by one before it is given up as too patchy to be worth it. */
const MAX_STEPS = 100_000;

/** Where the runs of blocks begin and end that one side has. */
interface Blocks {
  firstSet(from: number): number;
  firstUnset(from: number): number;
  count(start: number, end: number): number;
}

/** How far all sides are. Costs a walk over the gaps of each peer's blocks. */
export function syncState(log: ReplicatedLog, peers: readonly PeerMachine[]): SyncState {
  const same = peers.filter(({ sync }) => sync.isSynced && sync.isSameFork);
  const { held, tree } = log;
  const total = Math.max(tree.length, ...same.map(({ remoteLength }) => remoteLength));
  const states = peers.map((peer): PeerState => {
    if (!same.includes(peer)) {
      return { peer, isKnown: peer.isKnown, have: 0, want: 0, total: peer.remoteLength };
    }
    const have = peer.blocks.count(0, peer.remoteLength);
    const want = countWithout(held, peer.blocks, tree.length);
    return { peer, isKnown: true, have, want, total: peer.remoteLength };
  });
  const want = countOffered(held, same.map(({ blocks }) => blocks), total);
  return { have: held.count(0, tree.length), want, total, peers: states };
}

/** How many blocks before `end` are in `blocks` and not in `others`. */
function countWithout(blocks: Blocks, others: Blocks, end: number): number {
  let count = 0;
  let steps = MAX_STEPS;
  for (let at = blocks.firstSet(0); at !== -1 && at < end && steps > 0; steps--) {
    const stop = Math.min(end, blocks.firstUnset(at));
    count += stop - at - others.count(at, stop);
    at = blocks.firstSet(stop);
  }
  return count;
}

/** How many blocks before `end` are in any of `all` and not in `held`. */
function countOffered(held: Blocks, all: readonly Blocks[], end: number): number {
  let count = 0;
  let steps = MAX_STEPS;
  for (let at = 0; at < end && steps > 0; steps--) {
    const starts = all.map((blocks) => blocks.firstSet(at)).filter((first) => first !== -1);
    if (starts.length === 0) break;
    const start = Math.min(...starts);
    const stop = Math.min(end, Math.max(...all.map((blocks) => blocks.firstUnset(start))));
    if (stop <= start) break;
    count += stop - start - held.count(start, stop);
    at = stop;
  }
  return count;
}
