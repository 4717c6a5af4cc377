/**
 * Checks proofs of strangers against what is known of a log. What is proven comes back as changes to store; nothing is
 * believed before it hashes to a root that is known or signed. The work is bounded by the number of nodes, and that by the
 * codec.
 */
import { equals } from "../../encoding/bytes.ts";
import type { TreeNode } from "../crypto/hash.ts";
import type { CryptoProvider } from "../runtime/crypto_provider.ts";
import type { MaybePromise } from "../runtime/async.ts";
import { ProtocolError } from "../runtime/errors.ts";
import { MAX_PROOF_NODES } from "./constants.ts";
import { isLogLength, isNodeIndex, parent, rightSpan, sibling, upgradePath } from "./flat_tree.ts";
import { leafNode, parentNode, TreeBatch, type TreeState } from "./merkle_tree.ts";
import type { NodeReader } from "./node_reader.ts";
import type { Proof, UpgradeProof } from "./proof.ts";
import type { Prologue } from "./manifest.ts";
import type { Verifier } from "./verifier.ts";

/** A log about which something is to be proven. */
export interface KnownLog {
  /** Primitives. */
  readonly crypto: CryptoProvider;
  /** The nodes that are at hand. */
  readonly reader: NodeReader;
  /** What the log is, as far as is known. */
  readonly tree: TreeState;
  /** Who may sign it. */
  readonly verifier: Verifier;
}

/** What a proof proves. */
export interface VerifiedProof {
  /** The log with all that is new, and the nodes to store. */
  readonly tree: TreeBatch;
  /** The signature over it, to be stored with it; undefined if the proof made the log no longer. */
  readonly signature: Uint8Array | undefined;
  /** A block that belongs to the log, to be stored as well. A view of what was received. */
  readonly block: { readonly index: number; readonly value: Uint8Array } | undefined;
}

/**
 * Checks a proof of the fork that is known.
 *
 * An upgrade to what is known already, because another peer was faster, proves nothing and is no error. The result holds
 * views of what was received: copy what outlives that.
 *
 * @throws {ProtocolError} INVALID_OPERATION if the proof does not fit to what is known of the log or to itself, which may
 * also happen because the log has changed since the request; INVALID_CHECKSUM if it hashes to something else; INVALID_PROOF
 * if the log does not begin with its prologue; INVALID_SIGNATURE if its signers did not sign.
 */
export async function verifyProof(log: KnownLog, proof: Proof): Promise<VerifiedProof> {
  const { proven, loose } = verifyAgainst(log, proof);
  if (loose !== undefined) await checkKnown(log.reader, log.tree, loose);
  return proven;
}

/** A proof that holds if a node of it is that which is at hand. */
export interface LooseEnd {
  /** The node. */
  readonly node: TreeNode;
  /** Whether its hash was computed here, so that its size is right if the hash is. */
  readonly isComputed: boolean;
  /** What it proves. */
  readonly tree: TreeBatch;
}

/** {@linkcode verifyProof} but for one thing: whether the node `loose` is that which is at hand. */
export function verifyAgainst(
  { crypto, tree: known, verifier }: Omit<KnownLog, "reader">,
  proof: Proof,
): { readonly proven: VerifiedProof; readonly loose: LooseEnd | undefined } {
  const { upgrade, block } = proof;
  if (proof.fork !== known.fork) {
    throw invalid(`a proof of fork ${proof.fork} says nothing about fork ${known.fork}`);
  }
  const { root, nodes } = verifySubtree(crypto, proof);
  const tree = new TreeBatch(crypto, known);
  const isComputed = block !== undefined || nodes.length > 0;
  let loose = root && { node: root, isComputed, tree };
  if (upgrade && isNews(known, upgrade)) {
    if (applyUpgrade(tree, upgrade, root, verifier.prologue)) loose = undefined;
    requireSigned(verifier, tree, upgrade.signature);
  }
  tree.addProven(nodes);
  const signature = tree.isUpgrade ? upgrade?.signature : undefined;
  return { proven: { tree, signature, block: block && { index: block.index, value: block.value } }, loose };
}

/**
 * Checks a proof of any fork by itself: an upgrade from 0 blocks, and what comes with it. This is how one learns that a
 * writer signed two different logs, and how a rewritten log is recognized.
 *
 * @throws {ProtocolError} as {@linkcode verifyProof}.
 */
export function verifyFromStart(crypto: CryptoProvider, verifier: Verifier, proof: Proof): VerifiedProof {
  const { upgrade, fork } = proof;
  if (upgrade?.start !== 0) throw invalid("the proof does not begin at the start");
  const tree = new TreeBatch(crypto, { fork, length: 0, byteLength: 0, roots: [] });
  if (!isNews(tree, upgrade)) throw invalid("the proof proves nothing");
  const { root, nodes } = verifySubtree(crypto, proof);
  if (!applyUpgrade(tree, upgrade, root, verifier.prologue) && root !== undefined) {
    throw new ProtocolError("INVALID_PROOF", `node ${root.index} is not below the signed roots`);
  }
  requireSigned(verifier, tree, upgrade.signature);
  tree.addProven(nodes);
  const { block } = proof;
  return { tree, signature: upgrade.signature, block: block && { index: block.index, value: block.value } };
}

function requireSigned(verifier: Verifier, tree: TreeBatch, signature: Uint8Array | undefined): void {
  if (verifier.verify(tree, signature)) return;
  throw new ProtocolError("INVALID_SIGNATURE", `nobody signed ${tree.length} blocks of fork ${tree.fork}`);
}

function invalid(why: string): ProtocolError {
  return new ProtocolError("INVALID_OPERATION", why);
}

/** Takes nodes in the order in which they came, save one that was computed and may come at any time. */
class NodeQueue {
  readonly #nodes: readonly TreeNode[];
  #next = 0;
  #computed: TreeNode | undefined;

  constructor(nodes: readonly TreeNode[], computed?: TreeNode) {
    if (nodes.length > MAX_PROOF_NODES) throw invalid(`${nodes.length} nodes are more than any proof needs`);
    this.#nodes = nodes;
    this.#computed = computed;
  }

  /** Whether the computed node is still there. */
  get hasComputed(): boolean {
    return this.#computed !== undefined;
  }

  get isEmpty(): boolean {
    return this.#next === this.#nodes.length && this.#computed === undefined;
  }

  /** Whether all that came was taken. */
  get isUsedUp(): boolean {
    return this.#next === this.#nodes.length;
  }

  take(index: number): TreeNode {
    const computed = this.#computed;
    if (computed?.index === index) {
      this.#computed = undefined;
      return computed;
    }
    const node = this.#nodes[this.#next++];
    if (node?.index !== index) throw invalid(`node ${index} was due, and ${node?.index ?? "none"} came`);
    return node;
  }
}

/** What a block, hash and seek together prove if their highest node is right. */
export interface Subtree {
  /** The highest node. */
  readonly root: TreeNode | undefined;
  /** Those below it. */
  readonly nodes: TreeNode[];
}

/** Computes what a block, hash and seek hash to. @throws {ProtocolError} INVALID_OPERATION if they do not fit together. */
export function verifySubtree(crypto: CryptoProvider, { block, hash, seek }: Proof): Subtree {
  if (block && hash) throw invalid("a proof is of a block or of a node, not of both");
  const nodes: TreeNode[] = [];
  const first = seek?.nodes[0];
  let root: TreeNode | undefined;
  if (first !== undefined) root = climb(crypto, first.index, new NodeQueue(seek!.nodes), nodes);
  if (block) {
    if (!isLogLength(block.index)) throw invalid(`no block has the number ${block.index}`);
    const leaf = leafNode(crypto, block.index, block.value);
    root = climb(crypto, leaf.index, new NodeQueue(block.nodes, root), nodes, leaf);
  } else if (hash) {
    root = climb(crypto, hash.index, new NodeQueue(hash.nodes, root), nodes);
  }
  return { root, nodes };
}

/** Computes the node above all that is in the queue, beginning at `index`. What is below it is added to `below`. */
function climb(
  crypto: CryptoProvider,
  index: number,
  queue: NodeQueue,
  below: TreeNode[],
  start?: TreeNode,
): TreeNode {
  if (!isNodeIndex(index)) throw invalid(`no node has the number ${index}`);
  let node = start ?? queue.take(index);
  while (!queue.isEmpty) {
    if (!isNodeIndex(parent(node.index))) throw invalid(`no log reaches above node ${node.index}`);
    const other = queue.take(sibling(node.index));
    below.push(node, other);
    node = parentNode(crypto, node, other);
  }
  return node;
}

/** Whether the upgrade goes beyond what is known. */
function isNews(known: TreeState, { start, length }: UpgradeProof): boolean {
  const end = start + length;
  if (!isLogLength(start) || !isLogLength(end)) throw invalid(`no log has ${end} blocks`);
  return end > known.length;
}

/** Appends an upgrade to `tree`; whether `root` was a part of it. */
function applyUpgrade(
  tree: TreeBatch,
  upgrade: UpgradeProof,
  root: TreeNode | undefined,
  prologue: Prologue | undefined,
): boolean {
  const { start, length, additionalNodes } = upgrade;
  const isInPrologue = prologue !== undefined && start < prologue.length;
  if (isInPrologue && (start !== 0 || length !== prologue.length)) {
    throw new ProtocolError("INVALID_PROOF", "the upgrade has only a part of the prologue");
  }
  const queue = new NodeQueue(upgrade.nodes, root);
  for (const index of upgradePath(tree.length, start + length)) tree.appendNode(queue.take(index));
  if (!queue.isUsedUp) throw invalid("the upgrade has more nodes than it needs");
  if (isInPrologue && !equals(tree.hash(), prologue.hash)) {
    throw new ProtocolError("INVALID_PROOF", "the log does not begin with its prologue");
  }
  if (additionalNodes.length > MAX_PROOF_NODES) throw invalid("there are too many additional nodes");
  for (const node of additionalNodes) {
    if (!isNodeIndex(node.index)) throw invalid(`no node has the number ${node.index}`);
    tree.appendNode(node);
  }
  return root !== undefined && !queue.hasComputed;
}

/**
 * Compares the node at the end of a proof with the one that is at hand, whose size is put right if need be: of two siblings that a
 * peer has sent without a block below them, only the sum of their sizes was proven.
 *
 * Answers, or throws, at once if the reader does.
 *
 * @throws {ProtocolError} INVALID_OPERATION if none is at hand; INVALID_CHECKSUM if it is another one.
 */
export function checkKnown(reader: NodeReader, known: TreeState, loose: LooseEnd): MaybePromise<void> {
  const { index } = loose.node;
  // Behind the end there may still be nodes from before the log was cut.
  const isBehind = rightSpan(index) >= 2 * known.length;
  const stored = isBehind ? undefined : known.roots.find((node) => node.index === index) ?? reader(index);
  return stored instanceof Promise
    ? stored.then((node) => compareNodes(node, loose))
    : compareNodes(stored, loose);
}

function compareNodes(stored: TreeNode | undefined, { node, isComputed, tree }: LooseEnd): void {
  const { index, size, hash } = node;
  if (stored === undefined) throw invalid(`the proof ends at node ${index}, which is not known`);
  const isSameSize = stored.size === size;
  if (!equals(stored.hash, hash) || (!isSameSize && !isComputed)) {
    throw new ProtocolError("INVALID_CHECKSUM", `node ${index} is another one`);
  }
  if (!isSameSize) tree.addProven([node]);
}
