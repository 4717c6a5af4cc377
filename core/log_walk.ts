/**
 * Going through all that a store holds of a log, and proving it on the way: the head by its signature, the tree by the head,
 * the blocks by the tree.
 */
import { equals } from "../encoding/bytes.ts";
import { DecodeError, decodeExact } from "../encoding/codec.ts";
import { toHex } from "../encoding/text.ts";
import { discoveryKey as discoveryKeyOf, leafHash, treeHash } from "./crypto/hash.ts";
import { countLeaves, fullRoots, leftChild, leftSpan, rightChild, rightSpan } from "./log/flat_tree.ts";
import { HeldBits } from "./held_bits.ts";
import { manifest } from "./log/manifest.ts";
import { parentNode, totalSize, TreeBatch, type TreeNode, type TreeState } from "./log/merkle_tree.ts";
import { Verifier } from "./log/verifier.ts";
import type { CryptoProvider } from "./runtime/crypto_provider.ts";
import { ProtocolError, StorageError } from "./runtime/errors.ts";
import type { LogAuth, LogHead, LogReader, LogStorage, StoredBlock } from "./storage/storage.ts";

/** Leaves of a part of the tree that is read at once, with up to twice as many nodes. */
const CHUNK_BLOCKS = 1024;
/** Bytes of blocks that are read at once. */
const READ_BYTES = 2 ** 20;

/** What a log says of itself, and has proven. */
export interface ProvenLog {
  /** Its keys. */
  readonly auth: LogAuth;
  /** Its signed state; undefined if it has none, and so no blocks. */
  readonly head: LogHead | undefined;
  /** What the signature is about. */
  readonly tree: TreeState;
}

/** A part of what is held. */
export interface LogPiece {
  /** Nodes of the tree, which are proven: those above come first. */
  readonly nodes: readonly TreeNode[];
  /** Blocks that the bitfield says are held, and that are proven. */
  readonly blocks: readonly StoredBlock[];
  /** Blocks that it says are held, of which nothing tells whether they are what was written: nodes above them are missing. */
  readonly unproven: readonly StoredBlock[];
}

/** The error for a log that is not what it should be. */
export function unsound(what: string, cause?: unknown): StorageError {
  return new StorageError("STORE_CORRUPT", what, { cause });
}

/**
 * Checks the keys and the head of a log.
 *
 * @throws {StorageError} STORE_CORRUPT if something is wrong with them; NOT_SUPPORTED if its manifest is of a kind that is not
 * known; what the store throws.
 */
export async function proveHead(crypto: CryptoProvider, log: LogStorage): Promise<ProvenLog> {
  const auth = await log.auth();
  if (auth === undefined) throw unsound("the log has no keys");
  if (!equals(discoveryKeyOf(crypto, auth.key), log.discoveryKey)) {
    throw unsound("the log is stored under the discovery key of another key");
  }
  const verifier = verifierOf(crypto, auth);
  const head = await log.head();
  const tree = await treeOf(crypto, log, head);
  if (head !== undefined && (head.length > 0 || head.signature.length > 0)) {
    const batch = new TreeBatch(crypto, tree);
    if (!verifier.verify(batch, head.signature)) throw unsound("the signature of the head does not fit");
  }
  return { auth, head, tree };
}

/** Who checks the signatures of a log. @throws {StorageError} as {@linkcode proveHead}. */
export function verifierOf(crypto: CryptoProvider, auth: LogAuth): Verifier {
  try {
    if (auth.manifest === undefined) return new Verifier(crypto, auth.key);
    return new Verifier(crypto, auth.key, decodeExact(manifest, auth.manifest));
  } catch (error) {
    if (error instanceof ProtocolError) throw unsound("the manifest is that of another log", error);
    if (!(error instanceof DecodeError)) throw error;
    throw new StorageError("NOT_SUPPORTED", `the manifest is not understood: ${error.message}`, {
      cause: error,
    });
  }
}

/**
 * What the roots that are stored add up to.
 *
 * @throws {StorageError} STORE_CORRUPT if that is not what the head says.
 */
export async function treeOf(
  crypto: CryptoProvider,
  log: LogReader,
  head: LogHead | undefined,
): Promise<TreeState> {
  const { fork = 0, length = 0, rootHash } = head ?? {};
  const roots: TreeNode[] = [];
  for (const [i, node] of (await log.nodes(fullRoots(length))).entries()) {
    if (node === undefined) throw unsound(`the root ${fullRoots(length)[i]} of the tree is missing`);
    roots.push(node);
  }
  const hash = treeHash(crypto, roots);
  // A log that never had a block may have been written without the hash of nothing.
  const isBlank = length === 0 && rootHash?.length === 0;
  if (rootHash !== undefined && !isBlank && !equals(hash, rootHash)) {
    throw unsound("the roots of the tree do not add up to the hash of the head");
  }
  return { fork, length, byteLength: totalSize(roots), roots };
}

/** Whether a part of a log, whose blocks `held` are to be read, is of no interest. */
export type SkipBlocks = (start: number, held: readonly number[]) => Promise<boolean>;

/** The blocks below a node: the first, and that behind the last. */
function blocksBelow(index: number): [start: number, end: number] {
  return [leftSpan(index) / 2, rightSpan(index) / 2 + 1];
}

/** Goes through one log. */
export class LogWalk {
  readonly #crypto: CryptoProvider;
  readonly #log: LogReader;
  readonly #tree: TreeState;
  readonly #skip: SkipBlocks;
  readonly #bits: HeldBits;

  /** The log whose tree is `tree`; blocks for which `skip` says so are not read. */
  constructor(crypto: CryptoProvider, log: LogReader, tree: TreeState, skip: SkipBlocks) {
    this.#crypto = crypto;
    this.#log = log;
    this.#tree = tree;
    this.#skip = skip;
    this.#bits = new HeldBits(log);
  }

  /**
   * All nodes that lead to a root, and all blocks that the bitfield says are held, in pieces that take little memory.
   *
   * @throws {StorageError} STORE_CORRUPT if a node or a block is not what it should be, or is missing; what the store throws.
   */
  async *pieces(): AsyncGenerator<LogPiece> {
    for (const root of this.#tree.roots) yield* this.#below(root);
  }

  async *#below(node: TreeNode): AsyncGenerator<LogPiece> {
    if (countLeaves(node.index) <= CHUNK_BLOCKS) return yield* this.#chunk(node);
    const [left, right] = await this.#log.nodes([leftChild(node.index), rightChild(node.index)]);
    if (left === undefined || right === undefined) return yield* this.#unproven(node.index);
    this.#checkParent(node, left, right);
    yield { nodes: [left, right], blocks: [], unproven: [] };
    yield* this.#below(left);
    yield* this.#below(right);
  }

  async *#chunk(root: TreeNode): AsyncGenerator<LogPiece> {
    const [start, end] = blocksBelow(root.index);
    const proven = await this.#provenBelow(root);
    const nodes = [...proven.values()].slice(1);
    if (nodes.length > 0) yield { nodes, blocks: [], unproven: [] };
    yield* this.#blocks(await this.#bits.between(start, end), end, proven);
  }

  /** What is held below a node whose children are missing: there may be much, or, in a log that is held in parts, nothing. */
  async *#unproven(index: number): AsyncGenerator<LogPiece> {
    const [start, end] = blocksBelow(index);
    for (let at = await this.#bits.firstBetween(start, end); at !== undefined;) {
      const next = Math.min(end, (Math.floor(at / CHUNK_BLOCKS) + 1) * CHUNK_BLOCKS);
      yield* this.#blocks(await this.#bits.between(at, next), next, new Map());
      at = next < end ? await this.#bits.firstBetween(next, end) : undefined;
    }
  }

  /** The blocks `held`, which end before `end`. */
  async *#blocks(
    held: readonly number[],
    end: number,
    proven: ReadonlyMap<number, TreeNode>,
  ): AsyncGenerator<LogPiece> {
    if (held.length === 0 || await this.#skip(held[0]!, held)) return;
    for (let next = 0; next < held.length;) {
      const piece: { nodes: TreeNode[]; blocks: StoredBlock[]; unproven: StoredBlock[] } = {
        nodes: [],
        blocks: [],
        unproven: [],
      };
      const before = next;
      for (const block of await this.#log.blocks(held[next]!, end, READ_BYTES)) {
        // Those in between that the bitfield does not know are of no use, and harm nobody.
        if (next === held.length || block.index < held[next]!) continue;
        if (block.index !== held[next]) break;
        const leaf = proven.get(2 * block.index);
        if (leaf !== undefined) this.#checkBlock(block, leaf);
        (leaf === undefined ? piece.unproven : piece.blocks).push(block);
        next++;
      }
      if (next === before) {
        throw unsound(`block ${held[next]} is missing, though the bitfield says that it is held`);
      }
      yield piece;
    }
  }

  /** The nodes below `root` that belong to it, itself first. */
  async #provenBelow(root: TreeNode): Promise<Map<number, TreeNode>> {
    const [first, last] = [leftSpan(root.index), rightSpan(root.index)];
    const indexes = Array.from({ length: last - first + 1 }, (_, i) => first + i);
    const stored = await this.#log.nodes(indexes);
    const proven = new Map([[root.index, root]]);
    for (const [index, node] of proven) {
      if (index % 2 === 0) continue;
      const [left, right] = [stored[leftChild(index) - first], stored[rightChild(index) - first]];
      if (left === undefined || right === undefined) continue;
      this.#checkParent(node, left, right);
      proven.set(left.index, left);
      proven.set(right.index, right);
    }
    return proven;
  }

  #checkParent(node: TreeNode, left: TreeNode, right: TreeNode): void {
    let parent: TreeNode;
    try {
      parent = parentNode(this.#crypto, left, right);
    } catch (error) {
      if (error instanceof ProtocolError) throw unsound(`nodes below ${node.index} are none`, error);
      throw error;
    }
    if (parent.size !== node.size || !equals(parent.hash, node.hash)) {
      throw unsound(`the nodes ${left.index} and ${right.index} do not add up to ${node.index}`);
    }
  }

  #checkBlock({ index, value }: StoredBlock, leaf: TreeNode): void {
    if (leaf.size !== value.length || !equals(leafHash(this.#crypto, value), leaf.hash)) {
      throw unsound(`block ${index} is not what was written: the tree has ${toHex(leaf.hash)}`);
    }
  }
}

/** Whether `error` says that a log cannot be read as it is, and not that the caller or the store has come to an end. */
export function isAboutLog(error: unknown): error is StorageError {
  return error instanceof StorageError &&
    (error.code === "STORE_CORRUPT" || error.code === "READ_FAILED" || error.code === "NOT_SUPPORTED" ||
      error.code === "STORE_UNKNOWN");
}
