/**
 * Where the nodes of a tree are kept, as the code that works with trees sees it: a function from a number to a node.
 */
import type { TreeNode } from "../crypto/hash.ts";
import type { MaybePromise } from "../runtime/async.ts";

/**
 * The node with this number, or undefined if it is not there: what has not been fetched, or lies behind the end. It may
 * answer at once or later. What it answers is believed.
 */
export type NodeReader = (index: number) => MaybePromise<TreeNode | undefined>;

/** The nodes with these numbers, or undefined if one is missing. Waits only if the reader does. */
export function readNodes(
  reader: NodeReader,
  indexes: readonly number[],
): MaybePromise<TreeNode[] | undefined> {
  const answers = indexes.map(reader);
  const isWaiting = answers.some((answer) => answer instanceof Promise);
  return isWaiting ? Promise.all(answers).then(allOrNone) : allOrNone(answers as (TreeNode | undefined)[]);
}

function allOrNone(nodes: readonly (TreeNode | undefined)[]): TreeNode[] | undefined {
  return nodes.includes(undefined) ? undefined : nodes as TreeNode[];
}
