/** Reading the blocks and nodes of a branch: those that wait to be written, that were used lately, and that are stored. */
import type { TreeNode } from "../crypto/hash.ts";
import type { MaybePromise } from "../runtime/async.ts";
import type { StorageError } from "../runtime/errors.ts";
import type { LogReader, StoredBlock } from "../storage/storage.ts";
import { NodeCache } from "./node_cache.ts";
import { readOrReport } from "./stored_branch.ts";
import type { TurnWriter } from "./turn_writer.ts";

/** What a {@linkcode BranchReader} works with. */
export interface BranchReaderHost {
  /** Where it is stored. */
  readonly storage: LogReader;
  /** What waits to be written. */
  readonly writer: TurnWriter;
  /** A block is not there, or, with an error, cannot be read. */
  onNoBlock(index: number, error: StorageError | undefined): void;
  /** A node cannot be read. */
  onDamage(error: StorageError): void;
}

/** Reads one branch. What is damaged counts as missing. */
export class BranchReader {
  readonly #host: BranchReaderHost;
  #cache = new NodeCache();

  constructor(host: BranchReaderHost) {
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
    const { writer, storage } = this.#host;
    const waiting = writer.block(index);
    if (waiting !== undefined) return waiting;
    let error: StorageError | undefined;
    const stored = readOrReport(() => storage.block(index), (damage) => void (error = damage));
    const check = (block: Uint8Array | undefined) => {
      if (block === undefined) this.#host.onNoBlock(index, error);
      return block;
    };
    return stored instanceof Promise ? stored.then(check) : check(stored);
  }

  /** A run of blocks that wait; or else blocks that are stored, as `LogReader.blocks` has them, but none if one is damaged. */
  blocks(start: number, end: number, maxBytes: number): MaybePromise<readonly StoredBlock[]> {
    const waiting = this.#host.writer.blocks(start, end, maxBytes);
    if (waiting.length > 0) return waiting;
    const read = readOrReport(() => this.#host.storage.blocks(start, end, maxBytes), () => {});
    return read instanceof Promise ? read.then((blocks) => blocks ?? []) : read ?? [];
  }

  /** A node. */
  node(index: number): MaybePromise<TreeNode | undefined> {
    const { writer, storage } = this.#host;
    const known = writer.node(index) ?? this.#cache.get(index);
    if (known !== undefined) return known;
    const stored = readOrReport(() => storage.node(index), (error) => this.#host.onDamage(error));
    const cache = this.#cache; // what is read may be out of date when it comes, and then so is the cache
    const keep = (node: TreeNode | undefined) => {
      if (node !== undefined) cache.put(node);
      return node;
    };
    return stored instanceof Promise ? stored.then(keep) : keep(stored);
  }
}
