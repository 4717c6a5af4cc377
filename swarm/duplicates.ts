/**
 * Which of two connections to one peer stays. Both sides decide by what both know, and so decide alike.
 */
import { RACE_MS } from "./constants.ts";

/** A connection, or a dial that may become one, that is there already. */
export interface Incumbent {
  /** Whether this side dialed it. */
  readonly isInitiator: boolean;
  /** How long it has been open, in milliseconds. */
  readonly ageMs: number;
  /** Whether bytes came and went. */
  readonly hasMovedBytes: boolean;
  /** Whether it is not open yet: still a dial. */
  readonly isDialing: boolean;
}

/**
 * What becomes of the connection that the peer has just opened: `refuse` it; let it `replace` the incumbent; or let it `wait`
 * until the incumbent fails, or has not been vindicated in time.
 */
export type DuplicateVerdict = "refuse" | "replace" | "wait";

/**
 * Decides about a connection that the peer dialed while there is an `incumbent`.
 *
 * Source: the rule of hyperswarm 4.17.2. When both dial at once, what the larger key dialed stays. When the incumbent has
 * worked already, the newcomer replaces it: nobody dials whom he is connected to, so the peer must have lost it. Refined for
 * two races in which that rule may drop both connections: within {@linkcode RACE_MS} the larger key decides even if bytes have
 * moved, and a second connection of one and the same dial waits for the peer to drop the one that it does not want.
 */
export function judgeDuplicate(incumbent: Incumbent, isLocalKeyLarger: boolean): DuplicateVerdict {
  const isRace = incumbent.ageMs < RACE_MS;
  if (incumbent.isDialing) return isLocalKeyLarger ? "wait" : "replace";
  if (!incumbent.isInitiator) return isRace ? "wait" : "replace";
  if (!isRace && incumbent.hasMovedBytes) return "replace";
  return isLocalKeyLarger ? "refuse" : "replace";
}
