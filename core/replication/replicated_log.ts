/**
 * A log as replication sees it: what is known of it, what can be proven, and what it takes in.
 */
import type { ForkSearch } from "../log/fork_search.ts";
import type { Manifest } from "../log/manifest.ts";
import type { TreeState } from "../log/merkle_tree.ts";
import type { NodeReader } from "../log/node_reader.ts";
import type { Proof, ProofRequest } from "../log/proof.ts";
import type { Verifier } from "../log/verifier.ts";
import type { VerifiedProof } from "../log/verify_proof.ts";
import type { MaybePromise } from "../runtime/async.ts";
import type { Runtime } from "../runtime/runtime.ts";

/** Which blocks are there: as much of a `Bitfield` as is read. */
export interface HeldBlocks {
  /** Whether this block is there. */
  get(index: number): boolean;
  /** The first one at or behind `from` that is there, or -1. */
  firstSet(from: number): number;
  /** The first one at or behind `from` that is not there. */
  firstUnset(from: number): number;
  /** How many from `start` up to but without `end` are there. */
  count(start: number, end: number): number;
  /** The bytes of a page of 2^15 blocks, or undefined if nothing of it is there. */
  page(number: number): Uint8Array | undefined;
}

/** What a proof changed. */
export interface Applied {
  /** Whether the log became longer. */
  readonly isUpgrade: boolean;
  /** The block that came with it. */
  readonly block?: { readonly index: number; readonly value: Uint8Array } | undefined;
  /** Whether that block was not there before. */
  readonly isNew: boolean;
}

/** What happens to a log. */
export interface LogObserver {
  /** It grew (`ancestors` is the old length), or was cut or rewritten behind its first `ancestors` blocks. */
  onUpgrade?(
    change: { readonly ancestors: number; readonly oldLength: number; readonly oldFork: number },
  ): void;
  /** Blocks from `start` up to but without `end` have come, or are gone. */
  onBlocks?(start: number, end: number, isHeld: boolean): void;
}

/** One log. What it answers at once is used at once, in the same turn. */
export interface ReplicatedLog {
  /** Time, chance, cryptography. */
  readonly runtime: Runtime;
  /** 32 bytes. */
  readonly key: Uint8Array;
  /** 32 bytes; peers look for the log under it. */
  readonly discoveryKey: Uint8Array;
  /** Who may sign; undefined until the manifest is known. */
  readonly verifier: Verifier | undefined;
  /** What the log is. */
  readonly tree: TreeState;
  /** The blocks that are here. */
  readonly held: HeldBlocks;
  /** How many of its first blocks are all here. */
  readonly contiguousLength: number;
  /** Whether its writer was found to have signed two different logs: it is neither served nor changed. */
  readonly isFrozen: boolean;
  /** The nodes that are here. */
  readonly nodes: NodeReader;
  /**
   * Learns what the log is.
   *
   * @throws {ProtocolError} if it is another log's manifest.
   */
  adoptManifest(manifest: Manifest): MaybePromise<void>;
  /**
   * Answers a request; undefined if something for it is not here.
   *
   * @throws {ProtocolError} INVALID_OPERATION for what nobody could answer.
   */
  prove(request: ProofRequest): MaybePromise<Proof | undefined>;
  /**
   * Verifies and stores. The proof is given away; its nodes and its block may lie in one piece of memory.
   *
   * @throws {ProtocolError} if it proves nothing; {StorageError} if it cannot be stored.
   */
  apply(proof: Proof): MaybePromise<Applied>;
  /** A block that is here. */
  readBlock(index: number): MaybePromise<Uint8Array | undefined>;
  /** Begins to compare the log with a signed one of another fork. */
  beginReorg(proof: VerifiedProof): Promise<ForkSearch>;
  /** Becomes the other one, once the search is over. */
  commitReorg(search: ForkSearch): Promise<void>;
  /** See {@linkcode ReplicatedLog.isFrozen}. */
  freeze(): void;
  /** Tells `observer` until the function that is returned is called. */
  observe(observer: LogObserver): () => void;
}
