/** Tree nodes that were read or written lately. */
import type { TreeNode } from "../crypto/hash.ts";

/** Nodes that are kept of one log: 150 bytes each. Enough for the paths to some hundred places of a log. */
const MAX_NODES = 1024;

/** As many nodes as fit, of which the oldest goes first. */
export class NodeCache {
  readonly #nodes = new Map<number, TreeNode>();

  /** A node, if it is kept. */
  get(index: number): TreeNode | undefined {
    return this.#nodes.get(index);
  }

  /** Keeps a node, whose hash must not be a view of something large. */
  put(node: TreeNode): void {
    const nodes = this.#nodes;
    if (nodes.size >= MAX_NODES && !nodes.has(node.index)) {
      for (const oldest of nodes.keys()) {
        nodes.delete(oldest);
        break;
      }
    }
    nodes.set(node.index, node);
  }

  /** Forgets all. */
  clear(): void {
    this.#nodes.clear();
  }
}
