/**
 * Proofs that blocks, nodes and new lengths belong to a log: what may be asked for, and the making of an answer.
 *
 * Which nodes an answer has follows from the request and the length alone, so both sides know the same list and the nodes
 * travel in an order in which each can be used at once.
 */
import type { TreeNode } from "../crypto/hash.ts";
import type { MaybePromise } from "../runtime/async.ts";
import { ProtocolError } from "../runtime/errors.ts";
import {
  contains,
  countLeaves,
  fullRoots,
  isLogLength,
  isNodeIndex,
  leftChild,
  leftSpan,
  parent,
  rightChild,
  rightSpan,
  siblingPath,
  upgradePath,
} from "./flat_tree.ts";
import type { Manifest, Prologue } from "./manifest.ts";
import { byteOffset, type TreeState, unpaddedSize } from "./merkle_tree.ts";
import { type NodeReader, readNodes } from "./node_reader.ts";

/** What is asked for. Anything may be together but a seek and a block or hash behind the start of an upgrade. */
export interface ProofRequest {
  /** A block: its number, and how many nodes above it the asker does not have. */
  readonly block?: { readonly index: number; readonly nodes: number } | undefined;
  /** A node by its number in the flat tree, likewise. Not together with a block. */
  readonly hash?: { readonly index: number; readonly nodes: number } | undefined;
  /** The block that has this byte, where each has `padding` bytes that do not count. */
  readonly seek?: { readonly bytes: number; readonly padding: number } | undefined;
  /** The way from `start` blocks to `length` more. */
  readonly upgrade?: { readonly start: number; readonly length: number } | undefined;
}

/** What answers a {@linkcode ProofRequest}, of one fork of a log. */
export interface Proof {
  /** The fork. */
  readonly fork: number;
  /** A block, and the siblings on its way up. */
  readonly block?: BlockProof | undefined;
  /** A node, the first of `nodes`, and the siblings on its way up. */
  readonly hash?: HashProof | undefined;
  /** A node at whose end or below which the byte is, and the siblings on its way up. */
  readonly seek?: SeekProof | undefined;
  /** More blocks, signed. */
  readonly upgrade?: UpgradeProof | undefined;
  /** What the log is, if that was asked for. */
  readonly manifest?: Manifest | undefined;
}

/** See {@linkcode Proof}. */
export interface BlockProof {
  /** Its number. */
  readonly index: number;
  /** The block as it is stored. */
  readonly value: Uint8Array;
  /** From the lowest to the highest. */
  readonly nodes: readonly TreeNode[];
}

/** See {@linkcode Proof}. */
export interface HashProof {
  /** Its number in the flat tree. */
  readonly index: number;
  /** From the lowest to the highest. */
  readonly nodes: readonly TreeNode[];
}

/** See {@linkcode Proof}. */
export interface SeekProof {
  /** What was asked for. */
  readonly bytes: number;
  /** From the lowest to the highest. */
  readonly nodes: readonly TreeNode[];
}

/** See {@linkcode Proof}. */
export interface UpgradeProof {
  /** From how many blocks. */
  readonly start: number;
  /** How many more. */
  readonly length: number;
  /** What follows the roots of `start` blocks up to those of `start + length`, without what is proven along with it. */
  readonly nodes: readonly TreeNode[];
  /** What follows these, up to the length that is signed. */
  readonly additionalNodes: readonly TreeNode[];
  /** By the signers of the log, over all of it. None for a prologue. */
  readonly signature?: Uint8Array | undefined;
}

/** A log of which proofs are made. */
export interface SignedTree extends TreeState {
  /** By its signers, over this state; none if it is a prologue. */
  readonly signature?: Uint8Array | undefined;
  /** What it begins with, if its manifest says so: nobody can use a part of that. */
  readonly prologue?: Prologue | undefined;
}

function invalid(why: string): ProtocolError {
  return new ProtocolError("INVALID_OPERATION", why);
}

/** Which nodes an answer has. */
export interface Plan {
  node?: number[];
  seek?: number[];
  readonly upgrade: number[];
  readonly additional: number[];
}

/** The block or node that is asked for. */
interface Target {
  readonly isBlock: boolean;
  readonly index: number;
  readonly levels: number;
}

function targetOf({ block, hash }: ProofRequest): Target | undefined {
  if (block) {
    if (!isLogLength(block.index)) throw invalid(`no block has the number ${block.index}`);
    return { isBlock: true, index: 2 * block.index, levels: block.nodes };
  }
  if (hash && !isNodeIndex(hash.index)) throw invalid(`no node has the number ${hash.index}`);
  return hash && { isBlock: false, index: hash.index, levels: hash.nodes };
}

/** The node `levels` above `index`, all of which must be before `head`. */
function climb(index: number, levels: number, head: number): number {
  let at = index;
  for (let i = 0; i < levels && rightSpan(at) < head; i++) at = parent(at);
  if (rightSpan(at) >= head) throw invalid(`${levels} levels above node ${index} is behind the end`);
  return at;
}

/** Plans the way from the target, or else from `seekRoot`, up to `root`. A seek besides a target joins its way on the side. */
function planPath(plan: Plan, target: Target | undefined, seekRoot: number | undefined, root: number): void {
  if (target === undefined) {
    plan.seek = [seekRoot!, ...siblingPath(seekRoot!, root)];
    return;
  }
  plan.node = target.isBlock ? [] : [target.index];
  for (const side of siblingPath(target.index, root)) {
    const isJoin = seekRoot !== undefined && side !== seekRoot && contains(side, seekRoot);
    if (isJoin) plan.seek = [seekRoot, ...siblingPath(seekRoot, side)];
    else plan.node.push(side);
  }
}

/** What {@linkcode makeProof} answers: all but the block itself, which is elsewhere. */
export type ProofWithoutValue = Omit<Proof, "block"> & {
  /** A block proof, to which its value is to be added. */
  readonly block?: HashProof | undefined;
};

/**
 * Answers `request` about the log `tree`, whose nodes `reader` has.
 *
 * @returns undefined if a node is not there, as is normal for a log of which only parts were fetched.
 * @throws {ProtocolError} INVALID_OPERATION for what nobody could answer about a log of this length.
 */
export async function makeProof(
  reader: NodeReader,
  tree: SignedTree,
  request: ProofRequest,
): Promise<ProofWithoutValue | undefined> {
  return await proofOf(reader, tree, request);
}

/** {@linkcode makeProof}, which answers, or throws, at once if the reader answers at once and there is no seek. */
export function proofOf(
  reader: NodeReader,
  tree: SignedTree,
  request: ProofRequest,
): MaybePromise<ProofWithoutValue | undefined> {
  const question = questionOf(tree, request);
  const { upgrade } = question;
  const read: NodeReader = (index) => tree.roots.find((root) => root.index === index) ?? reader(index);
  const sought = request.seek && seekFor(read, tree, question, request.seek);
  if (sought === undefined) return fulfil(read, planProof(tree, question, undefined), tree, request, upgrade);
  return sought.then((seekRoot) => {
    if (seekRoot === "missing") return undefined;
    return fulfil(read, planProof(tree, question, seekRoot), tree, request, upgrade);
  });
}

/** A request as it is understood. */
export interface Question {
  readonly target: Target | undefined;
  /** The highest node of the way from the target, which must be in what the asker has; none if an upgrade proves the target. */
  readonly root: number | undefined;
  readonly upgrade: { readonly start: number; readonly length: number } | undefined;
  /** How long the log is that the answer is about. */
  readonly end: number;
}

/** Understands a request. @throws {ProtocolError} INVALID_OPERATION if nobody could answer it about a log of this length. */
export function questionOf(tree: SignedTree, request: ProofRequest): Question {
  const upgrade = request.upgrade && widen(request.upgrade, tree.prologue);
  const start = upgrade?.start ?? 0;
  const end = upgrade ? upgrade.start + upgrade.length : tree.length;
  if (!(start < end && end <= tree.length)) {
    throw invalid(`a log of ${tree.length} blocks cannot prove the way from ${start} to ${end}`);
  }
  const target = targetOf(request);
  const isBefore = target !== undefined && (!upgrade || rightSpan(target.index) < 2 * start);
  if (target && !isBefore && request.seek) {
    throw invalid("a seek cannot be together with a block or hash that is part of an upgrade");
  }
  const root = isBefore ? climb(target.index, target.levels, 2 * end) : undefined;
  return { target, root, upgrade, end };
}

/** The node at which a seek ends, if there is one: below the root of the target, or else anywhere in an upgrade. */
function seekFor(
  reader: NodeReader,
  tree: TreeState,
  { root, upgrade, end }: Question,
  seek: Seek,
): Promise<number | "missing" | undefined> | undefined {
  if (root !== undefined) return seekWithin(reader, tree, root, seek);
  return upgrade && seekFromStart(reader, end, seek);
}

/** The whole of a prologue instead of a part of it; what comes after it is in the additional nodes. */
function widen(upgrade: { start: number; length: number }, prologue: Prologue | undefined): typeof upgrade {
  const isWithin = prologue !== undefined && upgrade.start < prologue.length;
  return isWithin ? { start: 0, length: prologue.length } : upgrade;
}

/** Chooses the nodes of the answer. @throws {ProtocolError} INVALID_OPERATION if the target is not where it should be. */
export function planProof(
  tree: TreeState,
  { target, root, upgrade, end }: Question,
  seekRoot: number | undefined,
): Plan {
  const plan: Plan = { upgrade: [], additional: [] };
  if (root !== undefined) planPath(plan, target, seekRoot, root);
  if (upgrade) {
    // What the upgrade proves along with the new roots.
    const joined = root !== undefined ? undefined : target?.index ?? seekRoot;
    for (const index of upgradePath(upgrade.start, end)) {
      if (joined !== undefined && contains(index, joined)) planPath(plan, target, joined, index);
      else plan.upgrade.push(index);
    }
    plan.additional.push(...upgradePath(end, tree.length));
  }
  if (target && plan.node === undefined) throw invalid(`node ${target.index} is not part of the upgrade`);
  return plan;
}

function fulfil(
  reader: NodeReader,
  plan: Plan,
  tree: SignedTree,
  request: ProofRequest,
  upgrade: Question["upgrade"],
): MaybePromise<ProofWithoutValue | undefined> {
  const { node = [], seek = [] } = plan;
  const nodes = readNodes(reader, [...node, ...seek, ...plan.upgrade, ...plan.additional]);
  const finish = (found: TreeNode[] | undefined) => found && assemble(found, plan, tree, request, upgrade);
  return nodes instanceof Promise ? nodes.then(finish) : finish(nodes);
}

/** Puts the nodes of the plan, which are in its order, into their places. */
function assemble(
  nodes: readonly TreeNode[],
  plan: Plan,
  tree: SignedTree,
  { block, hash, seek }: ProofRequest,
  upgrade: Question["upgrade"],
): ProofWithoutValue {
  const { node: nodePlan = [], seek: seekPlan = [] } = plan;
  let at = 0;
  const take = (count: number) => nodes.slice(at, at += count);
  const [nodeNodes, seekNodes] = [take(nodePlan.length), take(seekPlan.length)];
  return {
    fork: tree.fork,
    block: block && { index: block.index, nodes: nodeNodes },
    hash: block ? undefined : hash && { index: hash.index, nodes: nodeNodes },
    seek: seek && plan.seek && { bytes: seek.bytes, nodes: seekNodes },
    upgrade: upgrade && {
      ...{ start: upgrade.start, length: upgrade.length },
      ...{ nodes: take(plan.upgrade.length), additionalNodes: take(plan.additional.length) },
      signature: tree.signature,
    },
  };
}

type Seek = { readonly bytes: number; readonly padding: number };

/** Where the byte is in a log of `end` blocks; undefined if it is behind them. */
async function seekFromStart(
  reader: NodeReader,
  end: number,
  { bytes, padding }: Seek,
): Promise<number | "missing" | undefined> {
  const roots = await readNodes(reader, fullRoots(end));
  if (roots === undefined) return "missing";
  let left = bytes;
  for (const root of roots) {
    const size = unpaddedSize(root, padding);
    if (left === size) return root.index;
    if (left < size) return await seekDown(reader, root.index, left, padding);
    left -= size;
  }
  return undefined;
}

/** Where the byte is below `root`, which a stranger claims. */
async function seekWithin(
  reader: NodeReader,
  tree: TreeState,
  root: number,
  { bytes, padding }: Seek,
): Promise<number | "missing"> {
  const [node, before] = await Promise.all([reader(root), byteOffset(reader, tree, root)]);
  if (node === undefined || before === undefined) return "missing";
  const offset = before - padding * leftSpan(root) / 2;
  if (offset === bytes) return root;
  if (bytes < offset || bytes - offset >= unpaddedSize(node, padding)) {
    throw invalid(`byte ${bytes} is not below node ${root}`);
  }
  return await seekDown(reader, root, bytes - offset, padding);
}

/** The lowest node below `root` that is at hand and in which the byte is, or one that ends before it. */
async function seekDown(reader: NodeReader, root: number, bytes: number, padding: number): Promise<number> {
  let at = root;
  let left = bytes;
  while (countLeaves(at) > 1 && left > 0) {
    const child = await reader(leftChild(at));
    if (child === undefined) break;
    const size = unpaddedSize(child, padding);
    if (left === size) return child.index;
    at = left < size ? child.index : rightChild(at);
    if (left > size) left -= size;
  }
  return at;
}
