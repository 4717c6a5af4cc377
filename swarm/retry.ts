/**
 * When a peer is dialed again, and who is dialed first: functions without memory.
 */
import type { Random } from "../core/runtime/runtime.ts";
import {
  BACKOFF_JITTERS_MS,
  LOYAL_BACKOFF_MS,
  LOYAL_JITTER_MS,
  MAX_ATTEMPTS,
  MAX_EXPLICIT_ATTEMPTS,
  MAX_LOYAL_ATTEMPTS,
} from "./constants.ts";

/** What the decision depends on. */
export interface DialHistory {
  /** Dials that failed and connections that did not last, since the last one that did. */
  readonly attempts: number;
  /** Whether the peer was connected once. */
  readonly isProven: boolean;
  /** Whether the application asked for this very peer. */
  readonly isExplicit: boolean;
}

/** From 0, dialed last, to 4, dialed first. */
export type PeerPriority = 0 | 1 | 2 | 3 | 4;

const PRIORITIES: readonly PeerPriority[] = [2, 4, 3, 1];

/** A peer that failed once or twice comes before a new one, and that before one that fails and fails. */
export function priorityOf(attempts: number): PeerPriority {
  return PRIORITIES[attempts] ?? 0;
}

/**
 * Milliseconds until the next dial, or undefined if the peer is given up until it is found again. `backoffs` are the pauses,
 * short to very long.
 */
export function retryDelayMs(
  history: DialHistory,
  random: Random,
  backoffs: readonly [number, number, number, number],
): number | undefined {
  const { attempts, isProven, isExplicit } = history;
  const after = (level: 0 | 1 | 2 | 3) => backoffs[level] + random.below(BACKOFF_JITTERS_MS[level] + 1);
  if (isExplicit) {
    if (attempts >= MAX_EXPLICIT_ATTEMPTS) return after(3);
    return attempts * backoffs[0] + random.below(BACKOFF_JITTERS_MS[0] + 1);
  }
  if (attempts === 0) return after(0);
  if (attempts <= MAX_ATTEMPTS) {
    const level = isProven ? attempts - 1 : attempts;
    return after(level < 2 ? level as 0 | 1 : 2);
  }
  if (!isProven || attempts > MAX_LOYAL_ATTEMPTS) return undefined;
  return LOYAL_BACKOFF_MS + random.below(LOYAL_JITTER_MS + 1);
}
