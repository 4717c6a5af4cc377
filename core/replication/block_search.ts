/** Which blocks a peer can help with, and what it is to be asked to tell of the others. */
import type { BlockJobs } from "./block_jobs.ts";
import { RANGE_WANTS, WANT_BLOCKS } from "./constants.ts";
import type { PeerMachine } from "./peer_machine.ts";
import type { ReplicatedLog } from "./replicated_log.ts";

/** The first block from `start` up to `end` that the peer has and that is not here. */
export function firstLacking(
  { held }: ReplicatedLog,
  { blocks }: PeerMachine,
  start: number,
  end: number,
): number | undefined {
  for (let at = start; at < end;) {
    const theirs = blocks.firstSet(at);
    if (theirs === -1 || theirs >= end) return undefined;
    at = held.firstUnset(theirs);
    if (at === theirs) return at;
  }
  return undefined;
}

/** The first block from `start` up to `end` that the peer has, that is not here, and that nobody is asked for. */
export function firstUnasked(
  log: ReplicatedLog,
  jobs: BlockJobs,
  peer: PeerMachine,
  start: number,
  end: number,
): number | undefined {
  for (let at = start; at < end; at++) {
    const found = firstLacking(log, peer, at, end);
    if (found === undefined || jobs.get(found) === undefined) return found;
    at = found;
  }
  return undefined;
}

/** Asks which blocks the peer has in the next regions of which it has not told. */
export function wantMore({ held }: ReplicatedLog, peer: PeerMachine, start: number, end: number): void {
  const last = Math.min(end, peer.remoteLength);
  let left = RANGE_WANTS;
  for (let at = Math.max(start, peer.remoteContiguousLength); at < last && left > 0 && peer.wants.hasRoom;) {
    at = held.firstUnset(at);
    if (at >= last) return;
    const wholeEnd = (Math.floor(at / WANT_BLOCKS) + 1) * WANT_BLOCKS;
    const isNew = !peer.wants.has(at);
    if (isNew) peer.want(at, Math.min(last, wholeEnd) - at);
    const next = peer.wants.endOf(at);
    if (isNew && next === wholeEnd) left--;
    at = next;
  }
}

/** Asks for any block that the peer has in one region of those from `start` up to `end`; false if that was done before. */
export function wantAnyAround(peer: PeerMachine, at: number, start: number, end: number): boolean {
  const wholeStart = Math.floor(at / WANT_BLOCKS) * WANT_BLOCKS;
  return peer.wantAny(Math.max(start, wholeStart), Math.min(end, wholeStart + WANT_BLOCKS));
}
