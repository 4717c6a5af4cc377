/**
 * Mending the tree of a log without any peer: what a node should be follows from what is below it, and whether it is that from
 * what is above it.
 */
import { equals } from "../encoding/bytes.ts";
import { treeHash } from "./crypto/hash.ts";
import type { LenientReader } from "./lenient_reader.ts";
import { countLeaves, fullRoots, leftChild, leftSpan, rightChild, rightSpan } from "./log/flat_tree.ts";
import { leafNode, parentNode, type TreeNode } from "./log/merkle_tree.ts";
import type { CryptoProvider } from "./runtime/crypto_provider.ts";
import { ProtocolError } from "./runtime/errors.ts";

/** Leaves of a part of the tree that is read at once. */
export const CHUNK_LEAVES = 1024;

/** What is found out about the two nodes below one that is right. */
export interface Children {
  /** They are these; undefined if nobody here can tell what they are. */
  readonly nodes: readonly [TreeNode, TreeNode] | undefined;
  /** Those of them that are to be written. */
  readonly mended: readonly TreeNode[];
  /** Those that are stored and not what they should be. */
  readonly wrong: readonly number[];
}

/** Finds out what the nodes of one tree are. */
export class TreeMender {
  readonly #crypto: CryptoProvider;
  readonly #reader: LenientReader;
  #first = 0;
  #window: readonly (TreeNode | undefined)[] = [];

  /** Mends the tree that `reader` reads. */
  constructor(crypto: CryptoProvider, reader: LenientReader) {
    this.#crypto = crypto;
    this.#reader = reader;
  }

  /**
   * The roots of `length` blocks.
   *
   * @param isRight says whether a guess is right.
   * @returns undefined if no guess is.
   */
  async roots(
    length: number,
    isRight: (roots: readonly TreeNode[]) => boolean,
  ): Promise<{ readonly nodes: TreeNode[]; readonly mended: TreeNode[] } | undefined> {
    const indexes = fullRoots(length);
    const stored = await Promise.all(indexes.map((index) => this.#stored(index)));
    for (const isFromBlocks of [undefined, false, true]) {
      const guess: (TreeNode | undefined)[] = [];
      for (const [i, index] of indexes.entries()) {
        guess.push(
          isFromBlocks === undefined ? stored[i] : await this.#derive(index, isFromBlocks) ?? stored[i],
        );
      }
      const nodes = guess.filter((node) => node !== undefined);
      if (nodes.length < indexes.length || !isRight(nodes)) continue;
      return { nodes, mended: nodes.filter((node, i) => !isSame(node, stored[i])) };
    }
    return undefined;
  }

  /** What is below `node`, which is right and no leaf. Where nothing is needed, nothing is missing. */
  async below(node: TreeNode, isNeeded: boolean): Promise<Children> {
    const [left, right] = [leftChild(node.index), rightChild(node.index)];
    await this.#load(node.index);
    const stored = [await this.#stored(left), await this.#stored(right)] as const;
    if (!isNeeded && stored[0] === undefined && stored[1] === undefined) {
      return { nodes: undefined, mended: [], wrong: [] };
    }
    const guesses = [[stored[0]], [stored[1]]] as [(TreeNode | undefined)[], (TreeNode | undefined)[]];
    for (const isFromBlocks of [undefined, false, true]) {
      if (isFromBlocks !== undefined) {
        guesses[0].push(await this.#derive(left, isFromBlocks));
        guesses[1].push(await this.#derive(right, isFromBlocks));
      }
      for (const one of guesses[0]) {
        for (const other of guesses[1]) {
          if (one === undefined || other === undefined || !this.#isParent(node, one, other)) continue;
          const nodes = [one, other] as const;
          return { nodes, mended: nodes.filter((child, i) => !isSame(child, stored[i])), wrong: [] };
        }
      }
    }
    return { nodes: undefined, mended: [], wrong: stored.flatMap((child) => child?.index ?? []) };
  }

  /** Whether `roots` have the hash `hash`. */
  hasHash(roots: readonly TreeNode[], hash: Uint8Array): boolean {
    return equals(treeHash(this.#crypto, roots), hash);
  }

  /** The node at `index` as it follows from those below it, or from the blocks below it; undefined if too little is left. */
  async #derive(index: number, isFromBlocks: boolean): Promise<TreeNode | undefined> {
    if (index % 2 === 0) {
      const block = await this.#reader.block(index / 2);
      return block && leafNode(this.#crypto, index / 2, block);
    }
    const children: TreeNode[] = [];
    for (const child of [leftChild(index), rightChild(index)]) {
      const node = isFromBlocks
        ? await this.#derive(child, true) ?? await this.#stored(child)
        : await this.#stored(child) ?? await this.#derive(child, false);
      if (node === undefined) return undefined;
      children.push(node);
    }
    return this.#parentOf(children[0]!, children[1]!);
  }

  #parentOf(left: TreeNode, right: TreeNode): TreeNode | undefined {
    try {
      return parentNode(this.#crypto, left, right);
    } catch (error) {
      if (error instanceof ProtocolError) return undefined; // what is stored is no node at all
      throw error;
    }
  }

  #isParent(node: TreeNode, left: TreeNode, right: TreeNode): boolean {
    return isSame(node, this.#parentOf(left, right));
  }

  #stored(index: number): Promise<TreeNode | undefined> {
    const place = index - this.#first;
    if (place >= 0 && place < this.#window.length) return Promise.resolve(this.#window[place]);
    return this.#reader.node(index);
  }

  /** Reads what is below a node at once, if that is not much. */
  async #load(index: number): Promise<void> {
    const [first, last] = [leftSpan(index), rightSpan(index)];
    if (countLeaves(index) > CHUNK_LEAVES) return;
    if (first >= this.#first && last < this.#first + this.#window.length) return;
    const indexes = Array.from({ length: last - first + 1 }, (_, i) => first + i);
    this.#window = await this.#reader.nodes(indexes);
    this.#first = first;
  }
}

/** Whether two nodes are equal. */
function isSame(a: TreeNode, b: TreeNode | undefined): boolean {
  return b !== undefined && a.size === b.size && equals(a.hash, b.hash);
}
