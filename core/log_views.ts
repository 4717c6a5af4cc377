/** What a session reads: a branch as it changes, or as it was. */
import type { NodeReader } from "./log/node_reader.ts";
import type { LogBranch } from "./log/log_branch.ts";
import { rootsOf, totalSize, type TreeState } from "./log/merkle_tree.ts";
import { damaged } from "./log/branch_parts.ts";
import type { MaybePromise } from "./runtime/async.ts";
import { HyphaError } from "./runtime/errors.ts";
import type { LogSnapshot, StoredBlock } from "./storage/storage.ts";

/** What a session reads. */
export interface LogView extends Disposable {
  /** What the log is in it. */
  readonly tree: TreeState;
  /** The nodes at hand. */
  readonly nodes: NodeReader;
  /** All blocks before this one are at hand, as far as is known. */
  readonly contiguousLength: number;
  /** Before this block it is what the branch is now. */
  readonly sharedLength: number;
  /** A block as it is stored, if it is at hand. */
  readBlock(index: number): MaybePromise<Uint8Array | undefined>;
  /** Blocks as they are stored, as `LogReader.blocks` has it. */
  readBlocks(start: number, end: number, maxBytes: number): MaybePromise<readonly StoredBlock[]>;
  /** Whether all blocks from `start` up to but without `end` are at hand. */
  has(start: number, end: number): MaybePromise<boolean>;
  /** @throws {HyphaError} `SNAPSHOT_NOT_AVAILABLE` if peers cannot be asked for this block any more. */
  requireShared(index: number): void;
}

/** A branch as it changes. */
export class LiveView implements LogView {
  readonly #branch: LogBranch;

  /** A view of `branch`. */
  constructor(branch: LogBranch) {
    this.#branch = branch;
  }

  get tree(): TreeState {
    return this.#branch.tree;
  }

  get nodes(): NodeReader {
    return this.#branch.nodes;
  }

  get contiguousLength(): number {
    return this.#branch.contiguousLength;
  }

  get sharedLength(): number {
    return this.#branch.length;
  }

  readBlock(index: number): MaybePromise<Uint8Array | undefined> {
    return this.#branch.readBlock(index);
  }

  readBlocks(start: number, end: number, maxBytes: number): MaybePromise<readonly StoredBlock[]> {
    return this.#branch.readBlocks(start, end, maxBytes);
  }

  has(start: number, end: number): boolean {
    return this.#branch.held.firstUnset(start) >= end;
  }

  requireShared(): void {}

  [Symbol.dispose](): void {}
}

/** A branch as it was. */
export class SnapshotView implements LogView {
  readonly tree: TreeState;
  readonly nodes: NodeReader;
  readonly #branch: LogBranch;
  readonly #snapshot: LogSnapshot;
  readonly #unobserve: () => void;
  /** Before this block the branch is still what it was. */
  #shared: number;

  private constructor(branch: LogBranch, snapshot: LogSnapshot, tree: TreeState) {
    this.#branch = branch;
    this.#snapshot = snapshot;
    this.tree = tree;
    this.#shared = tree.length;
    this.nodes = (index) => snapshot.node(index);
    this.#unobserve = branch.observe({
      onUpgrade: ({ ancestors }) => void (this.#shared = Math.min(this.#shared, ancestors)),
    });
  }

  /** The first `length` blocks of `branch` as it is now; all by default. @throws {RangeError} if it is not that long. */
  static async take(branch: LogBranch, length?: number): Promise<SnapshotView> {
    return await branch.hold(async () => {
      const { tree } = branch;
      const snapshot = await branch.storage.snapshot();
      if (length === undefined || length === tree.length) return new SnapshotView(branch, snapshot, tree);
      const roots = await rootsOf(branch.nodes, tree, length);
      if (roots === undefined) throw damaged("nodes of its tree are missing");
      const cut = { fork: tree.fork, length, byteLength: totalSize(roots), roots };
      return new SnapshotView(branch, snapshot, cut);
    });
  }

  get contiguousLength(): number {
    return Math.min(this.sharedLength, this.#branch.contiguousLength);
  }

  get sharedLength(): number {
    return Math.min(this.tree.length, this.#shared);
  }

  readBlock(index: number): MaybePromise<Uint8Array | undefined> {
    return index < this.tree.length ? this.#snapshot.block(index) : undefined;
  }

  readBlocks(start: number, end: number, maxBytes: number): MaybePromise<readonly StoredBlock[]> {
    return this.#snapshot.blocks(start, Math.min(end, this.tree.length), maxBytes);
  }

  async has(start: number, end: number): Promise<boolean> {
    if (end <= this.#shared && this.#branch.held.firstUnset(start) >= end) return true;
    for (let index = start; index < end; index++) {
      if (await this.readBlock(index) === undefined) return false;
    }
    return true;
  }

  requireShared(index: number): void {
    if (index < this.#shared) return;
    throw new HyphaError(
      "SNAPSHOT_NOT_AVAILABLE",
      `Block ${index} is not in the snapshot, or is not here and the log was cut before it: take a new snapshot`,
    );
  }

  /** The branch goes on as another one, of which no more than the first `length` blocks are the same. */
  endAt(length: number): this {
    this.#shared = Math.min(this.#shared, length);
    return this;
  }

  [Symbol.dispose](): void {
    this.#unobserve();
    this.#snapshot[Symbol.dispose]();
  }
}
