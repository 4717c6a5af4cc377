/** Reading the blocks and nodes of a branch: those that wait to be written, those used lately, and those that are stored. */
import type { TreeNode } from "../crypto/hash.ts";
import type { MaybePromise } from "../runtime/async.ts";
import type { StorageError } from "../runtime/errors.ts";
import type { LogReader, StoredBlock } from "../storage/storage.ts";
import { NodeCache } from "./node_cache.ts";
import { readOrReport } from "./stored_branch.ts";
import type { TurnWriter } from "./turn_writer.ts";

/** What a {@linkcode BranchReader} works with. */
export interface BranchReaderHost {
  /** A block is not there, or, with an error, cannot be read. */
  onNoBlock(index: number, error: StorageError | undefined): void;
  /** A node cannot be read. */
  onDamage(error: StorageError): void;
}

/** Reads one branch. What is damaged counts as missing. */
export class BranchReader {
  readonly #storage: LogReader;
  readonly #writer: TurnWriter;
  readonly #host: BranchReaderHost;
  #cache = new NodeCache();

  /** Reads what is in `storage`, or waits in `writer` to be written. */
  constructor(storage: LogReader, writer: TurnWriter, host: BranchReaderHost) {
    this.#storage = storage;
    this.#writer = writer;
    this.#host = host;
  }

  /** Forgets what was used lately. */
  forget(): void {
    this.#cache = new NodeCache();
  }

  /** Remembers nodes that were written. */
  keep(nodes: Iterable<TreeNode>): void {
    for (const node of nodes) this.#cache.put(node);
  }

  /** A block. */
  block(index: number): MaybePromise<Uint8Array | undefined> {
    const waiting = this.#writer.block(index);
    if (waiting !== undefined) return waiting;
    let error: StorageError | undefined;
    const stored = readOrReport(() => this.#storage.block(index), (damage) => void (error = damage));
    const check = (block: Uint8Array | undefined) => {
      if (block === undefined) this.#host.onNoBlock(index, error);
      return block;
    };
    return stored instanceof Promise ? stored.then(check) : check(stored);
  }

  /** A run of blocks that wait; or else blocks that are stored, as `LogReader.blocks` has them, but none if one is damaged. */
  blocks(start: number, end: number, maxBytes: number): MaybePromise<readonly StoredBlock[]> {
    const waiting = this.#writer.blocks(start, end, maxBytes);
    if (waiting.length > 0) return waiting;
    const read = readOrReport(() => this.#storage.blocks(start, end, maxBytes), () => {});
    return read instanceof Promise ? read.then((blocks) => blocks ?? []) : read ?? [];
  }

  /** A node. */
  node(index: number): MaybePromise<TreeNode | undefined> {
    const known = this.#writer.node(index) ?? this.#cache.get(index);
    if (known !== undefined) return known;
    const stored = readOrReport(() => this.#storage.node(index), (error) => this.#host.onDamage(error));
    const cache = this.#cache; // what is read may be out of date when it comes, and then so is the cache
    const keep = (node: TreeNode | undefined) => {
      if (node !== undefined) cache.put(node);
      return node;
    };
    return stored instanceof Promise ? stored.then(keep) : keep(stored);
  }
}
