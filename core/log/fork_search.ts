/**
 * How much of a log survives when it was rewritten: the search for the last block that the old and the new one have in
 * common, of which a peer is asked no more than one path of hashes at a time.
 */
import { equals } from "../../encoding/bytes.ts";
import type { CryptoProvider } from "../runtime/crypto_provider.ts";
import { assert } from "../runtime/assert.ts";
import { depth, leftChild, leftSpan, rightChild, rightSpan, upgradePath } from "./flat_tree.ts";
import { rootsOf, totalSize, TreeBatch, type TreeNode, type TreeState } from "./merkle_tree.ts";
import type { NodeReader } from "./node_reader.ts";
import type { Proof } from "./proof.ts";
import { type VerifiedProof, verifySubtree } from "./verify_proof.ts";

/** What a {@linkcode ForkSearch} needs to be told next. */
export interface ForkQuestion {
  /** The hash of any one block from here ... */
  readonly start: number;
  /** ... up to but without here, */
  readonly end: number;
  /** and so many nodes above it. */
  readonly nodes: number;
}

/**
 * The search. Begin it with what `verifyFromStart` made of a proof of the new log, ask peers for {@linkcode
 * ForkSearch.question} until there is none, then make the changes of {@linkcode ForkSearch.finish}.
 */
export class ForkSearch {
  /** How many blocks from the start are known to be the same in both. */
  get ancestors(): number {
    return this.#ancestors;
  }

  /** The signature over the new log. */
  readonly signature: Uint8Array | undefined;
  readonly #crypto: CryptoProvider;
  readonly #reader: NodeReader;
  readonly #known: TreeState;
  readonly #signed: TreeBatch;
  /** What is proven of the new log: its roots, and no more than one path for each level that the search goes down. */
  readonly #nodes: Map<number, TreeNode>;
  /** The lowest node that is known to be another than in the old log while all before it is the same. */
  #difference: TreeNode | undefined;
  #ancestors = 0;

  private constructor(crypto: CryptoProvider, reader: NodeReader, known: TreeState, proof: VerifiedProof) {
    const { tree, signature } = proof;
    this.signature = signature?.slice();
    this.#crypto = crypto;
    this.#reader = reader;
    this.#known = known;
    this.#signed = tree;
    this.#nodes = new Map([...tree.nodes, ...tree.roots].map((node) => [node.index, node]));
    this.#ancestors = tree.length;
  }

  /** Begins with the roots of the new log. `known` is the old one, whose nodes `reader` has. */
  static async begin(
    crypto: CryptoProvider,
    reader: NodeReader,
    known: TreeState,
    proof: VerifiedProof,
  ): Promise<ForkSearch> {
    const search = new ForkSearch(crypto, reader, known, proof);
    for (const root of proof.tree.roots) {
      if (await search.#sameAs(root) !== undefined) continue;
      await search.#descend(root);
      break;
    }
    return search;
  }

  /** What to ask a peer that has the new log, or undefined if the search is over. */
  get question(): ForkQuestion | undefined {
    const difference = this.#difference;
    if (difference === undefined) return undefined;
    const { index } = difference;
    const end = Math.min(this.#known.length, rightSpan(index) / 2 + 1);
    return { start: leftSpan(index) / 2, end, nodes: depth(index) };
  }

  /**
   * Takes in an answer. Only one at a time: wait for it before the next.
   *
   * @returns whether it was one; what does not belong to the new log, or says nothing new, is ignored.
   * @throws {ProtocolError} INVALID_OPERATION if it does not even fit to itself.
   */
  async update(proof: Proof): Promise<boolean> {
    const difference = this.#difference;
    const { root, nodes } = verifySubtree(this.#crypto, proof);
    if (difference === undefined || root?.index !== difference.index) return false;
    if (!equals(root.hash, difference.hash)) return false;
    for (const node of nodes) this.#nodes.set(node.index, node);
    await this.#descend(difference);
    return this.#difference !== difference;
  }

  /** Ends the search where it stands: blocks of which it is not known whether they are the same are taken for others. */
  settle(): void {
    this.#difference = undefined;
  }

  /**
   * The changes that turn the old log into the new one, once there is no question left. Blocks from its `ancestors` on are gone:
   * all of them if the nodes that prove what the two have in common were dropped.
   */
  async finish(): Promise<TreeBatch> {
    assert(this.#difference === undefined, "a search is finished when it is over");
    const roots = await rootsOf(this.#reader, this.#known, this.#ancestors) ?? [];
    const batch = this.#extend(roots, roots.length === 0 ? 0 : this.#ancestors);
    // The sizes of nodes at hand may be wrong where only a sum of them was proven: then nothing of the old log is of use.
    return equals(batch.hash(), this.#signed.hash()) ? batch : this.#extend([], 0);
  }

  /** The new log from the first `length` blocks on, whose roots are these. */
  #extend(roots: TreeNode[], length: number): TreeBatch {
    const common = { fork: this.#signed.fork, length, byteLength: totalSize(roots), roots };
    const batch = new TreeBatch(this.#crypto, this.#known, common);
    for (const index of upgradePath(length, this.#signed.length)) {
      const node = this.#nodes.get(index);
      assert(node !== undefined, "the way down had all nodes on its right");
      batch.appendNode(node);
    }
    return batch;
  }

  /** Goes down from `start`, which is different, as far as the new log's nodes are known. */
  async #descend(start: TreeNode): Promise<void> {
    let at = start;
    while (at.index % 2 === 1) {
      const [left, right] = [leftChild(at.index), rightChild(at.index)].map((index) =>
        this.#nodes.get(index)
      );
      if (left === undefined || right === undefined) break;
      const old = await this.#sameAs(left);
      // Of the two, only the sum of the sizes may be proven.
      if (old !== undefined) {
        this.#nodes.set(right.index, { ...right, size: Math.max(0, at.size - old.size) });
      }
      at = old === undefined ? left : this.#nodes.get(right.index)!;
    }
    this.#ancestors = leftSpan(at.index) / 2;
    const isOver = at.index % 2 === 0 || this.#ancestors >= this.#known.length;
    this.#difference = isOver ? undefined : at;
  }

  /** The same node of the old log, if it has it. */
  async #sameAs({ index, hash }: TreeNode): Promise<TreeNode | undefined> {
    if (rightSpan(index) >= 2 * this.#known.length) return undefined;
    const old = this.#known.roots.find((root) => root.index === index) ?? await this.#reader(index);
    return old !== undefined && equals(old.hash, hash) ? old : undefined;
  }
}
