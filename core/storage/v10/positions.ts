/**
 * Where the nodes of a Merkle tree are, as far as files need it: leaf i is node 2i, parents lie between their children. Numbers go
 * beyond 2^32.
 */
import type { TreeNode } from "../storage.ts";

/** How many leaves are below a node. */
export function leavesBelow(index: number): number {
  let leaves = 1;
  for (let i = index; i % 2 === 1; i = (i - 1) / 2) leaves *= 2;
  return leaves;
}

/** The other child of the node above a node. */
export function siblingOf(index: number): number {
  const step = 2 * leavesBelow(index);
  const place = (index - step / 2 + 1) / step;
  return place % 2 === 0 ? index + step : index - step;
}

/** The number of the last leaf below a node, as a node. */
export function lastLeaf(index: number): number {
  return index + leavesBelow(index) - 1;
}

/** The roots of a tree of `length` leaves, from left to right. */
export function rootsOf(length: number): number[] {
  const roots: number[] = [];
  let size = 1;
  while (2 * size <= length) size *= 2;
  for (let first = 0; first < length; size /= 2) {
    if (first + size > length) continue;
    roots.push(2 * first + size - 1);
    first += size;
  }
  return roots;
}

/**
 * The nodes before 2 * `length` that lie above the leaf before it and above the one behind, the lowest first: what is there of
 * them becomes untrue when the tree is cut. The last is that which begins with the tree, where it does.
 */
export function spanningNodes(length: number): number[] {
  const head = 2 * length;
  const nodes: number[] = [];
  if (length === 0) return nodes;
  for (let index = head - 2, leaves = 1;; leaves *= 2) {
    const offset = (index - leaves + 1) / (2 * leaves);
    if (index < head && index + leaves > head) nodes.push(index);
    if (offset === 0) return nodes;
    index = Math.floor(offset / 2) * 4 * leaves + 2 * leaves - 1;
  }
}

/**
 * How many bytes come before the block `index`, which is below one of `roots`; undefined if a node that this depends on is not
 * there.
 */
export function offsetOf(
  index: number,
  roots: readonly TreeNode[],
  node: (index: number) => TreeNode | undefined,
): number | undefined {
  let [offset, first] = [0, 0];
  for (const root of roots) {
    const leaves = leavesBelow(root.index);
    if (index >= first + leaves) {
      offset += root.size;
      first += leaves;
      continue;
    }
    for (let at = root.index, half = leaves / 2; half >= 1; half /= 2) {
      if (index < first + half) {
        at -= half;
        continue;
      }
      const left = node(at - half);
      if (left === undefined) return undefined;
      offset += left.size;
      first += half;
      at += half;
    }
    return offset;
  }
  return offset;
}
