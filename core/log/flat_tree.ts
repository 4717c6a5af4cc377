/**
 * Arithmetic of flat trees: binary trees over the leaves of a log whose nodes are numbered so that leaf i is 2i and every
 * parent lies between its children. No tree is held anywhere; a number is all there is to a node.
 *
 * Leaves have depth 0. The node of depth d that is the o-th from the left, from 0, is o * 2^(d + 1) + 2^d - 1. Numbers are
 * exact up to 2^53, so nothing here uses 32-bit operations on an index but for its low bits.
 */

/** Most blocks that a log may have: 2^52 - 1, which keeps the numbers of all nodes exact. */
export const MAX_LOG_LENGTH: number = 2 ** 52 - 1;

const TWO_32 = 2 ** 32;
/** Numbers below this, and twice as many, are 31-bit integers. */
const SMALL = 2 ** 29;

/** Whether `index` is a node all of whose leaves a log may have. Everything else here is only defined for such nodes. */
export function isNodeIndex(index: number): boolean {
  return Number.isSafeInteger(index) && index >= 0 && rightSpan(index) <= 2 * (MAX_LOG_LENGTH - 1);
}

/** Whether `length` is a number of blocks that a log may have. */
export function isLogLength(length: number): boolean {
  return Number.isInteger(length) && length >= 0 && length <= MAX_LOG_LENGTH;
}

/** How many levels `index` is above the leaves. */
export function depth(index: number): number {
  return Math.log2(countLeaves(index));
}

/** How many leaves are below `index`; 1 for a leaf. */
export function countLeaves(index: number): number {
  // That is the lowest bit of `index` that is not set. For small numbers 32 bits are enough and faster.
  if (index < SMALL) return ~index & (index + 1);
  const low = index % TWO_32;
  if (low === TWO_32 - 1) return TWO_32 * countLeaves((index - low) / TWO_32);
  return (~low & (low + 1)) >>> 0;
}

/** The leftmost leaf below `index`. */
export function leftSpan(index: number): number {
  return index - countLeaves(index) + 1;
}

/** The rightmost leaf below `index`. */
export function rightSpan(index: number): number {
  return index + countLeaves(index) - 1;
}

/** Whether `other` is `index` or below it. */
export function contains(index: number, other: number): boolean {
  return Math.abs(index - other) < countLeaves(index);
}

/** Whether `index` is the left one of two siblings. */
export function isLeft(index: number): boolean {
  if (index < SMALL) return (index & (2 * countLeaves(index))) === 0;
  return Math.floor(index / (2 * countLeaves(index))) % 2 === 0;
}

/** The other child of the same parent. */
export function sibling(index: number): number {
  const step = 2 * countLeaves(index);
  return isLeft(index) ? index + step : index - step;
}

/** The node above. */
export function parent(index: number): number {
  const step = countLeaves(index);
  return isLeft(index) ? index + step : index - step;
}

/** The left one of the two nodes below `index`, which is no leaf. */
export function leftChild(index: number): number {
  return index - countLeaves(index) / 2;
}

/** The right one of the two nodes below `index`, which is no leaf. */
export function rightChild(index: number): number {
  return index + countLeaves(index) / 2;
}

/**
 * The roots of a log of `length` blocks from left to right: the largest complete trees that together have its leaves.
 *
 * @throws {RangeError} unless it is a length that a log may have.
 */
export function fullRoots(length: number): number[] {
  return upgradePath(0, length);
}

/**
 * The nodes that turn the roots of `from` blocks into the roots of `to` blocks when they are appended from left to right: the
 * largest complete trees that together have the leaves in between, where neither reaches over `from` to the left nor over `to`
 * to the right. At most 104 of them; none if `to` is not larger.
 *
 * @throws {RangeError} unless both are lengths that a log may have.
 */
export function upgradePath(from: number, to: number): number[] {
  if (!isLogLength(from) || !isLogLength(to)) throw new RangeError(`no lengths of a log: ${from}, ${to}`);
  const path: number[] = [];
  for (let at = from; at < to;) {
    let leaves = 1;
    while (at % (2 * leaves) === 0 && at + 2 * leaves <= to) leaves *= 2;
    path.push(2 * at + leaves - 1);
    at += leaves;
  }
  return path;
}

/** The siblings that one needs to climb from `index` to the node `root` above it, from the lowest to the highest. */
export function siblingPath(index: number, root: number): number[] {
  const path: number[] = [];
  for (let at = index; at !== root; at = parent(at)) path.push(sibling(at));
  return path;
}

/**
 * The complete trees of a log that reach over the end of its first `length` blocks: what such nodes say is no longer true
 * when the log is cut there. They begin before that end, and all other nodes that are no longer true are at or behind 2 *
 * `length`.
 */
export function spanningNodes(length: number): number[] {
  const nodes: number[] = [];
  if (length === 0) return nodes;
  const head = 2 * length;
  for (let at = head - 2; at < head || leftSpan(at) > 0; at = parent(at)) {
    if (at < head && rightSpan(at) >= head) nodes.push(at);
  }
  return nodes;
}
