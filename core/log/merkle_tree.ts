/**
 * The Merkle tree over the blocks of a log, of which only the roots are held: appending blocks, hashing the whole, cutting, and
 * finding bytes.
 */
import { HASH_BYTES, leafHash, parentHash, treeHash, type TreeNode } from "../crypto/hash.ts";
import type { CryptoProvider } from "../runtime/crypto_provider.ts";
import { ProtocolError } from "../runtime/errors.ts";
import {
  contains,
  countLeaves,
  fullRoots,
  isLogLength,
  leftChild,
  leftSpan,
  MAX_LOG_LENGTH,
  parent,
  rightChild,
  rightSpan,
} from "./flat_tree.ts";
import { type NodeReader, readNodes } from "./node_reader.ts";

export type { TreeNode } from "../crypto/hash.ts";

/** What a log is at one moment: all that its writer signs follows from this. */
export interface TreeState {
  /** How often the log was rewritten instead of continued. */
  readonly fork: number;
  /** How many blocks it has. */
  readonly length: number;
  /** How many bytes these have, padding of encryption included. */
  readonly byteLength: number;
  /** The roots of its tree, from left to right. */
  readonly roots: readonly TreeNode[];
}

/** A log without blocks. */
export const EMPTY_TREE: TreeState = { fork: 0, length: 0, byteLength: 0, roots: [] };

/** The leaf of the block `index`. */
export function leafNode(crypto: CryptoProvider, index: number, block: Uint8Array): TreeNode {
  return { index: 2 * index, size: block.length, hash: leafHash(crypto, block) };
}

/**
 * The parent of two siblings.
 *
 * @throws {ProtocolError} INVALID_OPERATION if one is no node, or they have more bytes than can be counted, 2^53 - 1.
 */
export function parentNode(crypto: CryptoProvider, a: TreeNode, b: TreeNode): TreeNode {
  requireNode(a);
  requireNode(b);
  const size = addSizes(a.size, b);
  return { index: (a.index + b.index) / 2, size, hash: parentHash(crypto, a, b) };
}

/** Hashes of other lengths could be cut anew where two of them are joined. */
function requireNode({ index, size, hash }: TreeNode): void {
  if (hash.length === HASH_BYTES && size >= 0) return;
  throw new ProtocolError(
    "INVALID_OPERATION",
    `node ${index} has ${size} bytes and a hash of ${hash.length}`,
  );
}

function addSizes(sum: number, { index, size }: TreeNode): number {
  if (Number.isSafeInteger(sum + size)) return sum + size;
  throw new ProtocolError("INVALID_OPERATION", `with node ${index} there are too many bytes to count`);
}

/** How many bytes are below `nodes`. */
export function totalSize(nodes: readonly TreeNode[]): number {
  return nodes.reduce((sum, { size }) => sum + size, 0);
}

/**
 * Changes to a log that are not made yet: start from a state, append or cut, then store {@linkcode TreeBatch.nodes} and
 * whatever else belongs to it in one atomic write.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { loadCryptoProvider } from "../crypto/provider.ts";
 * import { EMPTY_TREE, TreeBatch } from "./merkle_tree.ts";
 *
 * const batch = new TreeBatch(await loadCryptoProvider(), EMPTY_TREE);
 * for (const text of ["a", "b", "c"]) batch.append(new TextEncoder().encode(text));
 * assert.deepEqual(batch.roots.map(({ index }) => index), [1, 4]);
 * assert.deepEqual(batch.nodes.map(({ index }) => index), [0, 2, 1, 4]);
 * ```
 */
export class TreeBatch implements TreeState {
  /** What it started from. It may only be stored while the log is still that, or longer if no block is appended. */
  readonly base: TreeState;
  /** See {@linkcode TreeState}. A reader that was told of another fork sets it. */
  fork: number;
  /** How many blocks from the start are the same as in the base. */
  readonly ancestors: number;
  readonly #crypto: CryptoProvider;
  readonly #roots: TreeNode[];
  readonly #nodes: TreeNode[] = [];
  #length: number;
  #byteLength: number;
  #hash: Uint8Array | undefined;

  /** No changes to `base` yet, or, with `from`, the cut to a state that `base` once was: see {@linkcode truncateTree}. */
  constructor(crypto: CryptoProvider, base: TreeState, from: TreeState = base) {
    this.#crypto = crypto;
    this.base = base;
    this.fork = from.fork;
    this.ancestors = from.length;
    this.#roots = [...from.roots];
    this.#length = from.length;
    this.#byteLength = from.byteLength;
  }

  /** How many blocks the log will have. */
  get length(): number {
    return this.#length;
  }

  /** How many bytes it will have. */
  get byteLength(): number {
    return this.#byteLength;
  }

  /** The roots of its tree. */
  get roots(): readonly TreeNode[] {
    return this.#roots;
  }

  /** The nodes that are to be stored, each once. */
  get nodes(): readonly TreeNode[] {
    return this.#nodes;
  }

  /** Whether what the log's writer signs is another than for the base. */
  get isUpgrade(): boolean {
    return this.#length !== this.base.length || this.fork !== this.base.fork ||
      this.ancestors !== this.base.length;
  }

  /** The hash of the whole tree, 32 bytes. */
  hash(): Uint8Array {
    return this.#hash ??= treeHash(this.#crypto, this.#roots);
  }

  /**
   * Appends one block; it is not kept.
   *
   * @throws {RangeError} if the log is as long as one may be.
   */
  append(block: Uint8Array): void {
    if (this.#length >= MAX_LOG_LENGTH) throw new RangeError(`a log has at most ${MAX_LOG_LENGTH} blocks`);
    this.appendNode(leafNode(this.#crypto, this.#length, block));
  }

  /**
   * Appends all blocks below `node`, which begins where the log ends.
   *
   * @throws {ProtocolError} INVALID_OPERATION if it is no node, begins elsewhere, or has more bytes than can be counted.
   */
  appendNode(node: TreeNode): void {
    const leaves = countLeaves(node.index);
    if (node.index - leaves + 1 !== 2 * this.#length || !isLogLength(this.#length + leaves)) {
      throw new ProtocolError(
        "INVALID_OPERATION",
        `node ${node.index} does not follow block ${this.#length}`,
      );
    }
    requireNode(node);
    this.#byteLength = addSizes(this.#byteLength, node);
    this.#hash = undefined;
    this.#length += leaves;
    this.#nodes.push(node);
    let last = node;
    // Two roots side by side become one as often as the new length can be halved.
    for (let size = leaves; this.#length % (2 * size) === 0; size *= 2) {
      last = parentNode(this.#crypto, this.#roots.pop()!, last);
      this.#nodes.push(last);
    }
    this.#roots.push(last);
  }

  /** Takes in nodes that are proven to belong to the blocks below the roots. */
  addProven(nodes: readonly TreeNode[]): void {
    for (const node of nodes) this.#nodes.push(node);
  }

  /** Changes that start from what this is now. */
  extend(): TreeBatch {
    const { fork, length, byteLength } = this;
    return new TreeBatch(this.#crypto, { fork, length, byteLength, roots: [...this.#roots] });
  }
}

/**
 * Cuts a log to its first `length` blocks; `fork` is by default the next one. To be deleted when it is stored: all nodes at and
 * behind 2 * `length`, and `spanningNodes(length)`.
 *
 * @returns undefined if a root is not in the reader.
 * @throws {RangeError} if the log is not that long.
 */
export async function truncateTree(
  crypto: CryptoProvider,
  reader: NodeReader,
  tree: TreeState,
  length: number,
  fork: number = tree.fork + 1,
): Promise<TreeBatch | undefined> {
  const roots = await rootsOf(reader, tree, length);
  if (roots === undefined) return undefined;
  return new TreeBatch(crypto, tree, { fork, length, byteLength: totalSize(roots), roots });
}

/**
 * The roots that a log had when it had `length` blocks, or undefined if one is not in the reader.
 *
 * @throws {RangeError} if it never had that many.
 */
export async function rootsOf(
  reader: NodeReader,
  tree: TreeState,
  length: number,
): Promise<TreeNode[] | undefined> {
  if (!(length <= tree.length)) throw new RangeError(`the log has ${tree.length} blocks, not ${length}`);
  const known = new Map(tree.roots.map((root) => [root.index, root]));
  return await readNodes((index) => known.get(index) ?? reader(index), fullRoots(length));
}

/**
 * How many bytes come before the node `index`, or undefined if a node that this depends on is not in the reader. 2 * length
 * stands for the end.
 *
 * @throws {RangeError} if the node is not in the tree.
 */
export async function byteOffset(
  reader: NodeReader,
  tree: TreeState,
  index: number,
): Promise<number | undefined> {
  if (index === 2 * tree.length) return tree.byteLength;
  const target = leftSpan(index);
  let offset = 0;
  for (const root of tree.roots) {
    if (!contains(root.index, target)) {
      offset += root.size;
      continue;
    }
    const before: number[] = [];
    for (let at = root.index; leftSpan(at) !== target;) {
      const left = leftChild(at);
      if (!contains(left, target)) before.push(left);
      at = contains(left, target) ? left : rightChild(at);
    }
    const nodes = await readNodes(reader, before);
    return nodes && offset + totalSize(nodes);
  }
  throw new RangeError(`node ${index} is not in a tree of ${tree.length} blocks`);
}

/** Where a byte is, as far as the nodes at hand tell. */
export type SeekResult =
  /** In this block, at this byte of it; at the end of the log, in the block behind the last. */
  | { readonly isFound: true; readonly block: number; readonly offset: number }
  /** Below this node, at this byte of it: its children are needed to say more. */
  | { readonly isFound: false; readonly node: number; readonly offset: number };

/**
 * Finds the block that has the byte `bytes`, counted without the `padding` bytes that encryption put before each block.
 * Where a block begins with it, no more is looked at, so this may be one of several blocks without bytes.
 *
 * @returns undefined for a byte behind the end.
 */
export async function seekByte(
  reader: NodeReader,
  tree: TreeState,
  bytes: number,
  padding = 0,
): Promise<SeekResult | undefined> {
  let left = bytes;
  for (const root of tree.roots) {
    const size = unpaddedSize(root, padding);
    if (left < size || left === 0) return await seekBelow(reader, root.index, left, padding);
    left -= size;
  }
  return left === 0 ? { isFound: true, block: tree.length, offset: 0 } : undefined;
}

async function seekBelow(
  reader: NodeReader,
  root: number,
  bytes: number,
  padding: number,
): Promise<SeekResult> {
  let at = root;
  let left = bytes;
  while (at % 2 === 1 && left > 0) {
    const child = await reader(leftChild(at));
    if (child === undefined) return { isFound: false, node: at, offset: left };
    const size = unpaddedSize(child, padding);
    at = left < size ? child.index : rightChild(at);
    if (left >= size) left -= size;
  }
  return { isFound: true, block: leftSpan(at) / 2, offset: left };
}

/** How many bytes are below `node` without the `padding` of each block. */
export function unpaddedSize(node: TreeNode, padding: number): number {
  return padding === 0 ? node.size : node.size - padding * countLeaves(node.index);
}

/**
 * How many nodes on the way from `index` up to its root have to be asked for, because none of them is at hand: what a
 * request for a block or a hash says.
 */
export async function missingNodes(reader: NodeReader, tree: TreeState, index: number): Promise<number> {
  const head = 2 * tree.length;
  let count = 0;
  for (let at = index; rightSpan(at) < head; at = parent(at)) {
    if (await reader(at) !== undefined) break;
    count++;
  }
  return count;
}
