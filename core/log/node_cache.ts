/** Tree nodes that were read or written lately. */
import type { TreeNode } from "../crypto/hash.ts";

/** Nodes that are kept of one log, twice: 150 bytes each. Enough for the paths to some hundred places of a log. */
const MAX_NODES = 512;

/**
 * The nodes that were used last. There are two generations: what is used moves to the younger one, and when that is full, the
 * older one goes. This costs a third of what an order of use does.
 */
export class NodeCache {
  #young = new Map<number, TreeNode>();
  #old = new Map<number, TreeNode>();

  /** A node, if it is kept. */
  get(index: number): TreeNode | undefined {
    const young = this.#young.get(index);
    if (young !== undefined) return young;
    const old = this.#old.get(index);
    if (old !== undefined) this.put(old);
    return old;
  }

  /** Keeps a node, whose hash must not be a view of something large. */
  put(node: TreeNode): void {
    if (this.#young.size >= MAX_NODES) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(node.index, node);
  }
}
