/** What tests of logs share: logs in memory and the vectors that `record_log.mjs` wrote. */
import { EMPTY_TREE, TreeBatch, type TreeNode, type TreeState } from "../../core/log/merkle_tree.ts";
import type { NodeReader } from "../../core/log/node_reader.ts";
import type { ProofRequest } from "../../core/log/proof.ts";
import { pattern, readVectors, unhex, wasm } from "../crypto/support.ts";

/** The block that the recording script puts at `index`. */
export function blockOf(index: number): Uint8Array {
  return pattern((index * 5) % 17, index);
}

/** A log in memory. */
export class MemoryLog {
  /** What it is. */
  tree: TreeState = EMPTY_TREE;
  /** Its nodes. */
  readonly nodes: Map<number, TreeNode> = new Map();
  /** Reads them at once. */
  readonly reader: NodeReader = (index) => this.nodes.get(index);

  /** A log of the first `length` blocks. */
  static of(length: number, fork = 0, block: (index: number) => Uint8Array = blockOf): MemoryLog {
    const log = new MemoryLog();
    log.append(Array.from({ length }, (_, index) => block(index)));
    log.tree = { ...log.tree, fork };
    return log;
  }

  /** Appends blocks. */
  append(blocks: readonly Uint8Array[]): TreeBatch {
    const batch = new TreeBatch(wasm, this.tree);
    for (const block of blocks) batch.append(block);
    this.store(batch);
    return batch;
  }

  /** Makes changes. */
  store(batch: TreeBatch): void {
    for (const node of batch.nodes) this.nodes.set(node.index, node);
    const { fork, length, byteLength, roots } = batch;
    this.tree = { fork, length, byteLength, roots: [...roots] };
  }
}

/** Reads later what `log` reads at once. */
export function slowReader(log: MemoryLog): NodeReader {
  return (index) => Promise.resolve().then(() => log.nodes.get(index));
}

/** A node as it was recorded. */
export interface RecordedNode {
  readonly index: number;
  readonly size: number;
  readonly hash: string;
}

/** A recorded node. */
export function nodeOf({ index, size, hash }: RecordedNode): TreeNode {
  return { index, size, hash: unhex(hash) };
}

/** Options of a manifest as they were recorded. */
export interface RecordedOptions {
  readonly version?: number;
  readonly allowPatch?: boolean;
  readonly quorum?: number;
  readonly signers?: readonly { readonly publicKey: string; readonly namespace?: string }[];
  readonly prologue?: { readonly hash: string; readonly length: number };
  readonly linked?: readonly string[];
  readonly userData?: string;
}

/** `tests/vectors/log.json`. */
export interface LogVectors {
  readonly versions: Readonly<Record<string, string>>;
  readonly namespaces: readonly [name: string, value: string][];
  readonly flatTree: {
    readonly nodes: readonly {
      readonly index: number;
      readonly depth: number;
      readonly offset: number;
      readonly parent: number;
      readonly sibling: number;
      readonly children: readonly [number, number] | null;
      readonly spans: readonly [number, number];
      readonly leaves: number;
    }[];
    readonly roots: readonly { readonly length: number; readonly roots: readonly number[] }[];
  };
  readonly trees: readonly {
    readonly base?: { readonly length: number; readonly byteLength: number; readonly n: number };
    readonly length: number;
    readonly byteLength: number;
    readonly hash: string;
    readonly roots: readonly RecordedNode[];
    readonly added: readonly number[];
  }[];
  readonly manifests: readonly {
    readonly name: string;
    readonly options: RecordedOptions;
    readonly quorum: number;
    readonly bytes: string;
    readonly key: string;
  }[];
  readonly signatures: readonly RecordedSignature[];
  readonly proofs: readonly RecordedProof[];
  readonly requests: readonly { readonly value: Readonly<Record<string, unknown>>; readonly bytes: string }[];
  readonly seeks: readonly RecordedSeek[];
  readonly paddedSeeks: readonly RecordedSeek[];
  readonly encryptions: readonly {
    readonly isCompat: boolean;
    readonly isBlockKey: boolean;
    readonly blockKey?: string;
    readonly index: number;
    readonly fork: number;
    readonly length: number;
    readonly stored: string;
  }[];
  readonly bitfield: {
    readonly steps: readonly [number, number, boolean][];
    readonly queries: readonly [number, boolean, number, number, number, number][];
    readonly pages: readonly string[];
  };
}

/** A signature, and what both generations say about it. */
export interface RecordedSignature {
  readonly name: string;
  readonly key: string;
  readonly manifest: string;
  readonly isLegacy: boolean;
  readonly length: number;
  readonly fork: number;
  readonly signature: string | null;
  readonly valid: boolean;
}

/** A request, and the message that answers it, or none. */
export interface RecordedProof {
  readonly length: number;
  readonly fork: number;
  readonly padding: number;
  readonly prologue: number;
  readonly request: ProofRequest;
  readonly data: string | null;
}

/** A seek, and the block and the byte of it. */
export interface RecordedSeek {
  readonly bytes: number;
  readonly found: readonly [number, number] | null;
}

/** The recorded vectors. */
export const vectors: LogVectors = readVectors<LogVectors>("log.json");
