/** What a branch of a log stands on, and who stands on it. */
import { treeHash } from "../crypto/hash.ts";
import type { MaybePromise } from "../runtime/async.ts";
import { StorageError } from "../runtime/errors.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { LogHead, LogStorage } from "../storage/storage.ts";
import type { WriteBatch } from "../storage/write_batch.ts";
import { TreeBatch, type TreeState } from "./merkle_tree.ts";
import type { LogChange } from "./pending_changes.ts";

/** Where batches go: a store, or what collects them for one. */
export interface BatchTarget {
  /** See `Store.write`. */
  write(batch: WriteBatch): MaybePromise<void>;
  /** See `Store.sync`. */
  sync(): Promise<void>;
}

/** Who wants to know what happens to a branch. Called when it is written; must not throw. */
export interface LogObserver {
  /** The log grew, or was cut and maybe grew again. */
  onUpgrade?(change: LogChange): void;
  /** Blocks from `start` up to but without `end` came, or were cleared. */
  onBlocks?(start: number, end: number, isHeld: boolean): void;
  /** It became known what the log is. */
  onManifest?(): void;
  /** Something that is stored turned out to be damaged, or is being mended. */
  onRepairing?(error: StorageError): void;
  /** What was damaged is whole again. */
  onRepaired?(): void;
  /** What a peer has sent does not mend what is damaged. */
  onRepairFailed?(error: Error): void;
  /** What was verified could not be written, and is forgotten again. */
  onFailure?(error: Error): void;
}

/** What a branch is made of. */
export interface BranchParts {
  /** Time and cryptography. */
  readonly runtime: Runtime;
  /** Where it is read. */
  readonly storage: LogStorage;
  /** Where it is written. */
  readonly target: BatchTarget;
}

/** The error for what cannot be read back as it was written. */
export function damaged(why: string): StorageError {
  const text =
    `The log is damaged: ${why}. Remove it and fetch it again from its peers, or open a copy from before`;
  return new StorageError("STORE_CORRUPT", text);
}

/** What is stored of a tree and its signature. */
export function headOf(
  { clock, crypto }: Runtime,
  tree: TreeState,
  signature: Uint8Array = new Uint8Array(0),
): LogHead {
  const { fork, length, roots } = tree;
  const rootHash = tree instanceof TreeBatch ? tree.hash() : treeHash(crypto, roots);
  return { fork, length, rootHash, signature, flags: 0, timestamp: clock.wallTime() };
}
