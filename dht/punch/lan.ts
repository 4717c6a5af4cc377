/** Which local address of a peer is worth a try: the one that looks most like one of ours. */
import type { SocketAddress } from "../../encoding/address.ts";

/** How many leading bytes of two IPv4 addresses are equal, 3 at the most. */
function commonBytes(a: SocketAddress, b: SocketAddress): number {
  const difference = a.bits ^ b.bits;
  return Math.min(3, Math.clz32(difference) >>> 3);
}

/**
 * The address of `theirs` that shares most leading bytes with one of `ours`, the first of equals; undefined if none shares even
 * one. Reserved and IPv6 addresses do not count. (hyperdht 6.34.0, lib/holepuncher.js, `matchAddress`.)
 */
export function matchLanAddress(
  ours: readonly SocketAddress[],
  theirs: readonly SocketAddress[],
): SocketAddress | undefined {
  let best: SocketAddress | undefined;
  let most = 0;
  for (const mine of ours) {
    for (const candidate of theirs) {
      if (mine.family !== 4 || candidate.family !== 4 || candidate.isReserved) continue;
      const common = commonBytes(mine, candidate);
      if (common > most) [best, most] = [candidate, common];
    }
  }
  return best;
}

/** Where to look for a peer in the local network: at the likeliest of its addresses; undefined if we or it have none. */
export function lanTarget(
  ours: readonly SocketAddress[],
  theirs: readonly SocketAddress[],
): SocketAddress | undefined {
  if (ours.length === 0) return undefined;
  return matchLanAddress(ours, theirs) ?? theirs.find(({ isReserved }) => !isReserved);
}
