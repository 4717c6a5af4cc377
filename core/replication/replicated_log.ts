/**
 * A log as replication sees it: what is known of it, what can be proven, and what it takes in. A `LogState` is one.
 *
 * What it answers at once is used at once, in the same turn. Proofs that it is given are its own; their nodes and their block may
 * lie in one piece of memory.
 */
import type { LogState } from "../log/log_state.ts";

/** As much of a log as is replicated. */
export type ReplicatedLog = Pick<
  LogState,
  // what it is
  | "runtime"
  | "key"
  | "discoveryKey"
  | "verifier"
  | "tree"
  | "held"
  | "contiguousLength"
  | "remoteContiguousLength"
  | "isFrozen"
  | "damage"
  | "nodes"
  | "observe"
  // what it answers
  | "prove"
  | "readBlock"
  // what it learns
  | "adoptManifest"
  | "apply"
  | "restore"
  | "beginReorg"
  | "commitReorg"
  | "freeze"
>;
