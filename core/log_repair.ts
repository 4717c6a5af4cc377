/**
 * Mending one log without any peer: nodes are computed again from what is below them, and what cannot be proven to be what was
 * signed, or is not there, is no longer said to be held, so that it is fetched again.
 */
import { CHUNK_LEAVES, TreeMender } from "./tree_repair.ts";
import { LenientReader } from "./lenient_reader.ts";
import { equals } from "../encoding/bytes.ts";
import { leafHash, treeHash } from "./crypto/hash.ts";
import { Bitfield } from "./log/bitfield.ts";
import { PAGE_BITS } from "./log/constants.ts";
import { countLeaves, leftSpan, parent, rightSpan } from "./log/flat_tree.ts";
import type { TreeNode } from "./log/merkle_tree.ts";
import { NO_HINTS, writePages } from "./log/stored_bits.ts";
import type { CryptoProvider } from "./runtime/crypto_provider.ts";
import type { LogHead, LogHints, LogStorage, MaybePromise } from "./storage/storage.ts";
import { type LogWriter, WriteBatch } from "./storage/write_batch.ts";

/** Bytes of blocks that are read at once. */
const READ_BYTES = 2 ** 20;

/** A range of blocks, from `start` up to but without `end`. */
export interface BlockSpan {
  /** The first. */
  readonly start: number;
  /** The one behind the last. */
  readonly end: number;
}

/** What came of mending a log. */
export interface Mended {
  /** Nodes that were computed again, or taken away since they are not what they should be. */
  readonly nodes: number;
  /** Blocks that were said to be held, and are not there or not what was signed. */
  readonly lost: readonly BlockSpan[];
  /** Blocks that are there and were not said to be held. */
  readonly found: number;
  /** Blocks that were there and of no use. */
  readonly freed: number;
  /** Blocks that are held, and whose proof is lost: only peers have it. */
  readonly unproven: readonly BlockSpan[];
  /** Of these, one for each gap in the tree: with its proof, the gap is closed. */
  readonly keys: readonly number[];
  /** Whether it is not even known which roots the log has: only peers know. */
  readonly isRootless: boolean;
}

/** What {@linkcode mendLog} works with. */
export interface MendOptions {
  /** Hashes. */
  readonly crypto: CryptoProvider;
  /** Writes what is mended; if there is nothing, nothing is written. */
  readonly write: (batch: WriteBatch) => MaybePromise<void>;
  /** Whether a head has the signature that its log needs; the head of an overlay has none, and needs none. */
  readonly isSigned: (head: LogHead, roots: readonly TreeNode[]) => boolean;
  /** Ends it before the next part of the log. */
  readonly signal?: AbortSignal | undefined;
}

/** Mends `log`, whose head is `head`. @throws {StorageError} if the store cannot be read or written at all. */
export function mendLog(log: LogStorage, head: LogHead, options: MendOptions): Promise<Mended> {
  return new LogMender(log, head, options).run();
}

class LogMender {
  readonly #log: LogStorage;
  readonly #head: LogHead;
  readonly #options: MendOptions;
  readonly #reader: LenientReader;
  readonly #tree: TreeMender;
  #held = new Bitfield();
  #hints: LogHints = NO_HINTS;
  #changed: [start: number, end: number][] = [];
  #batch = new WriteBatch();
  readonly #lost: BlockSpan[] = [];
  readonly #unproven: { start: number; end: number }[] = [];
  readonly #keys: number[] = [];
  /** Nodes whose children nobody here can tell, and of whose blocks it is not decided which are there. */
  readonly #gaps: TreeNode[] = [];
  readonly #counts = { nodes: 0, found: 0, freed: 0 };

  constructor(log: LogStorage, head: LogHead, options: MendOptions) {
    this.#log = log;
    this.#head = head;
    this.#options = options;
    this.#reader = new LenientReader(log);
    this.#tree = new TreeMender(options.crypto, this.#reader);
  }

  get #writer(): LogWriter {
    return this.#batch.log(this.#log);
  }

  async run(): Promise<Mended> {
    const { length, rootHash } = this.#head;
    await this.#readBits();
    let roots = await this.#tree.roots(length, (nodes) => this.#tree.hasHash(nodes, rootHash));
    if (roots === undefined) {
      roots = await this.#tree.roots(length, (nodes) => this.#options.isSigned(this.#head, nodes));
      if (roots === undefined) return this.#result(true);
      this.#writer.setHead({ ...this.#head, rootHash: treeHash(this.#options.crypto, roots.nodes) });
    }
    this.#put(roots.mended);
    for (const root of roots.nodes) await this.#below(root, undefined);
    await this.#freeRest();
    this.#writeBits();
    await this.#flush();
    return this.#result(false);
  }

  #result(isRootless: boolean): Mended {
    return { ...this.#counts, lost: this.#lost, unproven: this.#unproven, keys: this.#keys, isRootless };
  }

  /** What is said to be held, as far as it can be read. */
  async #readBits(): Promise<void> {
    const { length } = this.#head;
    for (const { page, value } of await this.#reader.pages(0, Math.ceil(length / PAGE_BITS))) {
      if (value.length <= PAGE_BITS / 8) this.#held.setPage(page, value);
    }
    this.#hints = await this.#reader.hints() ?? NO_HINTS;
    this.#held.setRange(0, Math.min(length, this.#hints.contiguousLength), true);
    const last = this.#held.lastSet(Number.MAX_SAFE_INTEGER);
    if (last >= length) this.#held.setRange(length, last + 1, false);
  }

  /** Goes down from `node`, which is right; the leaves of a chunk are collected in `leaves`. */
  async #below(node: TreeNode, leaves: Map<number, TreeNode> | undefined): Promise<void> {
    const [start, end] = blocksBelow(node);
    const isChunk = leaves === undefined && countLeaves(node.index) <= CHUNK_LEAVES;
    const proven = isChunk ? new Map<number, TreeNode>() : leaves;
    if (node.index % 2 === 0) proven!.set(start, node);
    else {
      const isNeeded = this.#isHeld(start, end);
      const { nodes, mended, wrong } = await this.#tree.below(node, isNeeded);
      this.#put(mended);
      for (const index of wrong) this.#writer.clearNodes(index, index + 1);
      this.#counts.nodes += wrong.length;
      if (nodes === undefined && isNeeded) this.#gaps.push(node);
      if (nodes !== undefined) { for (const child of nodes) await this.#below(child, proven); }
      else if (proven === undefined) await this.#checkBlocks(start, end, new Map());
    }
    if (!isChunk) return;
    await this.#flush(); // hypercore 10's files need nodes that are right to find blocks
    await this.#checkBlocks(start, end, proven!);
    await this.#flush();
    this.#options.signal?.throwIfAborted();
  }

  /** Makes sure that the next block below a gap, when it comes with its proof, comes with all that is missing. */
  #leaveGaps(): void {
    for (const node of this.#gaps.splice(0)) {
      const [start, end] = blocksBelow(node);
      if (this.#isHeld(start, end)) this.#openWay(this.#held.firstSet(start), node);
      else {
        for (const span of this.#lost) {
          for (let at = Math.max(start, span.start); at < Math.min(end, span.end); at++) {
            this.#clearWay(at, node);
          }
        }
      }
    }
  }

  #openWay(key: number, node: TreeNode): void {
    this.#keys.push(key);
    this.#clearWay(key, node);
  }

  /** Takes away what is known between a block and a node above it. */
  #clearWay(index: number, node: TreeNode): void {
    for (let at = 2 * index; at !== node.index; at = parent(at)) this.#writer.clearNodes(at, at + 1);
  }

  #isHeld(start: number, end: number): boolean {
    const first = this.#held.firstSet(start);
    return first !== -1 && first < end;
  }

  #put(nodes: readonly TreeNode[]): void {
    for (const node of nodes) this.#writer.putNode(node);
    this.#counts.nodes += nodes.length;
  }

  /** Compares the blocks in [start, end) with their leaves, as far as these are known. */
  async #checkBlocks(start: number, end: number, leaves: ReadonlyMap<number, TreeNode>): Promise<void> {
    let next = start;
    for await (const { index, value } of this.#reader.blocks(start, end, READ_BYTES)) {
      this.#lose(next, index);
      next = index + 1;
      const leaf = leaves.get(index);
      const isHeld = this.#held.get(index);
      if (leaf === undefined) {
        if (isHeld) this.#noteUnproven(index);
      } else if (leaf.size === value.length && equals(leafHash(this.#options.crypto, value), leaf.hash)) {
        if (!isHeld) this.#find(index);
      } else if (isHeld) this.#lose(index, index + 1);
      else this.#free(index, index + 1);
    }
    this.#lose(next, end);
    this.#leaveGaps();
  }

  /** None of the blocks in [start, end) is there. */
  #lose(start: number, end: number): void {
    for (let at = this.#held.firstSet(start); at !== -1 && at < end; at = this.#held.firstSet(at)) {
      const stop = Math.min(end, this.#held.firstUnset(at));
      this.#lost.push({ start: at, end: stop });
      this.#held.setRange(at, stop, false);
      // Says so to stores that keep no bitfield beside the blocks, and drops what cannot be read.
      this.#writer.clear(at, stop);
      this.#changed.push([at, stop]);
    }
  }

  #find(index: number): void {
    this.#counts.found++;
    this.#held.set(index, true);
    this.#change(index);
  }

  #free(start: number, end: number): void {
    this.#counts.freed += end - start;
    this.#writer.clear(start, end);
  }

  #change(index: number): void {
    const last = this.#changed.at(-1);
    if (last?.[1] === index) last[1]++;
    else this.#changed.push([index, index + 1]);
  }

  #noteUnproven(index: number): void {
    const last = this.#unproven.at(-1);
    if (last?.end === index) last.end++;
    else this.#unproven.push({ start: index, end: index + 1 });
  }

  /** What is behind the end belongs to nothing. */
  async #freeRest(): Promise<void> {
    for await (const { index } of this.#reader.blocks(this.#head.length, Infinity, READ_BYTES)) {
      this.#free(index, index + 1);
    }
  }

  #writeBits(): void {
    const contiguousLength = this.#held.firstUnset(0);
    const before = this.#hints.contiguousLength;
    if (this.#changed.length === 0 && contiguousLength === before) return;
    this.#writer.setHints({ ...this.#hints, contiguousLength });
    // What is held from the start needs no pages, unless it was told by the hints and no longer is.
    if (contiguousLength < before) this.#changed.push([contiguousLength, before]);
    const ranges = this.#changed.map(([start, end]) => [Math.max(start, contiguousLength), end] as const);
    writePages(this.#writer, this.#held, ranges.filter(([start, end]) => start < end));
  }

  async #flush(): Promise<void> {
    const batch = this.#batch;
    this.#batch = new WriteBatch();
    if (batch.logs.some(({ operations }) => operations.length > 0)) await this.#options.write(batch);
  }
}

/** The blocks below a node: the first, and that behind the last. */
function blocksBelow({ index }: TreeNode): [start: number, end: number] {
  return [leftSpan(index) / 2, rightSpan(index) / 2 + 1];
}
