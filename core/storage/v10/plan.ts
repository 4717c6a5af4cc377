/**
 * What a change means for one log: what comes of the tree, where blocks go, and the entries that say so.
 */
import { equals } from "../../../encoding/bytes.ts";
import type { TreeNode } from "../storage.ts";
import { type BlockRun, type Change, unsupported } from "./change.ts";
import type { BitfieldUpdate, OplogEntry, TreeUpgrade, UserDatum } from "./entry.ts";
import type { V10Header } from "./header.ts";
import { lastLeaf, offsetOf, rootsOf } from "./positions.ts";
import { isBlank, withUserData } from "./recovery.ts";

/** Most nodes of an entry: what any array may have. */
const MAX_NODES = 0x100000;

/** A change with all that was worked out for it; nothing has happened yet. */
export interface Plan {
  readonly change: Change;
  readonly chain: readonly OplogEntry[];
  readonly upgrade: TreeUpgrade | undefined;
  readonly roots: readonly TreeNode[];
  readonly placed: readonly { readonly offset: number; readonly run: BlockRun }[];
  readonly userData: readonly UserDatum[];
  readonly updates: readonly BitfieldUpdate[];
}

/** Finds a node of a log. */
type FindNode = (index: number) => TreeNode | undefined;

/**
 * Works out what a change means of a log that is now as `header` and `roots` say, and whose nodes `find` finds. What is kept is
 * copied, but for blocks.
 *
 * @throws {StorageError} NOT_SUPPORTED for what the files cannot hold.
 * @throws {TypeError} for another key than the log has.
 * @throws {RangeError} for a block that does not fit its node.
 */
export function planChange(
  change: Change,
  header: V10Header,
  roots: readonly TreeNode[],
  find: FindNode,
): Plan {
  if (change.auth !== undefined && !equals(change.auth.key, header.key)) {
    throw new TypeError("The key of a log cannot change: remove the log first");
  }
  const { length } = header.tree;
  const ancestors = Math.min(change.truncate ?? length, length);
  const upgrade = upgradeOf(change, header, ancestors);
  const nodes = new Map(change.nodes.map((node) => [node.index, copyNode(node)]));
  const isCut = (index: number) => ancestors < length && lastLeaf(index) >= 2 * ancestors;
  const findNew = (index: number) => nodes.get(index) ?? (isCut(index) ? undefined : find(index));
  const newLength = upgrade?.length ?? length;
  const newRoots = upgrade === undefined ? roots : findRoots(newLength, findNew);
  const placed = change.runs.map((run) => place(run, newLength, newRoots, findNew));
  const userData = changedUserData(change, header);
  const updates = updatesOf(change, ancestors, length);
  if (nodes.size > MAX_NODES) {
    throw unsupported(`${nodes.size} nodes in one batch`, "write fewer blocks at once");
  }
  const treeNodes = nodes.size > 0 || upgrade !== undefined ? [...nodes.values()] : undefined;
  const chain = chainOf(userData, treeNodes, upgrade, updates);
  return { change, chain, upgrade, roots: newRoots, placed, userData, updates };
}

function upgradeOf(
  { head, truncate }: Change,
  { tree }: V10Header,
  ancestors: number,
): TreeUpgrade | undefined {
  if (head === undefined) {
    if (truncate === undefined) return undefined;
    throw unsupported("a log that is cut and not signed anew", "set its head in the same batch");
  }
  const { fork, length, rootHash, signature } = head;
  if (length < ancestors) {
    throw unsupported(`a head of ${length} blocks over ${ancestors}`, "truncate the log in the same batch");
  }
  const isSame = fork === tree.fork && length === tree.length && equals(signature, tree.signature) &&
    equals(rootHash, tree.rootHash);
  if (isSame && truncate === undefined) return undefined;
  return { fork, ancestors, length, signature: signature.slice() };
}

/** What of the user data is not so already. */
function changedUserData(change: Change, { userData }: V10Header): UserDatum[] {
  let current = userData;
  return change.userData.filter(({ key, value }) => {
    const before = current.find((one) => one.key === key)?.value;
    if (isSame(before, value)) return false;
    current = withUserData(current, key, value);
    return true;
  }).map(({ key, value }) => ({ key, value: value?.slice() }));
}

function updatesOf({ truncate, clears, runs }: Change, ancestors: number, length: number): BitfieldUpdate[] {
  const updates: BitfieldUpdate[] = [];
  if (truncate !== undefined) updates.push({ isDrop: true, start: ancestors, length: length - ancestors });
  for (const { start, end } of clears) {
    const last = Math.min(end, Math.max(length, start));
    if (start < last) updates.push({ isDrop: true, start, length: last - start });
  }
  for (const { start, values } of runs) updates.push({ isDrop: false, start, length: values.length });
  return updates;
}

/** Whether both are the same bytes, or both nothing. */
export function isSame(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === undefined || b === undefined ? a === b : equals(a, b);
}

/** A node in memory of its own. */
export function copyNode({ index, size, hash }: TreeNode): TreeNode {
  return { index, size, hash: hash.slice() };
}

function findRoots(length: number, find: FindNode): TreeNode[] {
  return rootsOf(length).map((index) => {
    const node = find(index);
    if (node !== undefined && !isBlank(node)) return node;
    throw unsupported(`${length} blocks without the root ${index}`, "put the nodes in the same batch");
  });
}

function place(
  run: BlockRun,
  length: number,
  roots: readonly TreeNode[],
  find: FindNode,
): { offset: number; run: BlockRun } {
  const { start, values } = run;
  if (start + values.length > length) {
    throw unsupported(`block ${start + values.length - 1} of ${length}`, "set the head in the same batch");
  }
  const offset = offsetOf(start, roots, find);
  for (const [i, value] of values.entries()) {
    const leaf = find(2 * (start + i));
    if (leaf === undefined || offset === undefined) {
      throw unsupported(`block ${start + i} without its nodes`, "put the nodes in the same batch");
    }
    if (leaf.size === value.length) continue;
    throw new RangeError(`Block ${start + i} has ${value.length} bytes, but its node says ${leaf.size}`);
  }
  return { offset: offset!, run };
}

/** As few entries as can say it: each has room for one value of user data and one change of which blocks are held. */
function chainOf(
  userData: readonly UserDatum[],
  treeNodes: readonly TreeNode[] | undefined,
  treeUpgrade: TreeUpgrade | undefined,
  updates: readonly BitfieldUpdate[],
): OplogEntry[] {
  const count = Math.max(userData.length, updates.length, treeNodes === undefined ? 0 : 1);
  return Array.from({ length: count }, (_, i) => ({
    userData: userData[i],
    treeNodes: i === 0 ? treeNodes : undefined,
    treeUpgrade: i === 0 ? treeUpgrade : undefined,
    bitfield: updates[i],
  }));
}
