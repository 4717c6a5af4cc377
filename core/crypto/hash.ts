/**
 * The hashes of a log: BLAKE2b-256 of blocks, of pairs of subtrees and of all roots, each with its own first byte so that
 * none can pass for another; and the discovery key, under which a log or topic is looked for without telling its key.
 *
 * Source: hypercore-crypto 3.7.0.
 */
import { Slab } from "../../encoding/bytes.ts";
import { writeUint32 } from "../../encoding/fixed.ts";
import type { CryptoProvider } from "../runtime/crypto_provider.ts";
import { PUBLIC_KEY_BYTES, requireSize } from "./sizes.ts";

/** Bytes of every hash that travels or is stored. */
export const HASH_BYTES = 32;

const LEAF = 0;
const PARENT = 1;
const ROOTS = 2;
/** "hypercore" */
const DISCOVERY_NAME = Uint8Array.of(0x68, 0x79, 0x70, 0x65, 0x72, 0x63, 0x6f, 0x72, 0x65);

/** Where hashes of nodes are made, which are no secret and are kept and forgotten with those of their neighbours. */
const nodeHashes = new Slab(128 * HASH_BYTES);
/** What is hashed before a block, or two nodes. */
const nodeHead = new Uint8Array(9);

/** A node of the Merkle tree over the blocks of a log. */
export interface TreeNode {
  /** Its number in the flat tree: leaf i is 2i, parents lie between their children. */
  readonly index: number;
  /** How many bytes the blocks below it have. */
  readonly size: number;
  /** 32 bytes. */
  readonly hash: Uint8Array;
}

/**
 * BLAKE2b-256 of the concatenated `parts`, keyed by `key` (16 to 64 bytes) if given.
 *
 * @throws {RangeError} for a key of another size.
 *
 * @example
 * ```ts
 * import { blake2b } from "./hash.ts";
 * import { loadCryptoProvider } from "./provider.ts";
 *
 * const crypto = await loadCryptoProvider();
 * const whole = blake2b(crypto, [Uint8Array.of(1, 2, 3)]);
 * const pieces = blake2b(crypto, [Uint8Array.of(1), Uint8Array.of(2, 3)]);
 * if (whole[0] !== pieces[0]) throw new Error("never happens");
 * ```
 */
export function blake2b(crypto: CryptoProvider, parts: readonly Uint8Array[], key?: Uint8Array): Uint8Array {
  const out = new Uint8Array(HASH_BYTES);
  crypto.hash(out, parts, key);
  return out;
}

/** The hash of a block: of byte 0, its size as u64 and itself. */
export function leafHash(crypto: CryptoProvider, block: Uint8Array): Uint8Array {
  return nodeHash(crypto, LEAF, block.length, block);
}

/** The hash of two subtrees: of byte 1, the sum of their sizes as u64, and their hashes in the order of their indexes. */
export function parentHash(crypto: CryptoProvider, a: TreeNode, b: TreeNode): Uint8Array {
  const [left, right] = a.index <= b.index ? [a, b] : [b, a];
  return nodeHash(crypto, PARENT, a.size + b.size, left.hash, right.hash);
}

/** A copy of the hash of a node, which outlives the message or the file that it is in. */
export function copyHash(hash: Uint8Array): Uint8Array {
  const copy = nodeHashes.alloc(hash.length);
  copy.set(hash);
  return copy;
}

function nodeHash(
  crypto: CryptoProvider,
  type: number,
  size: number,
  ...parts: readonly Uint8Array[]
): Uint8Array {
  const out = nodeHashes.alloc(HASH_BYTES);
  nodeHead[0] = type;
  writeUint64(nodeHead, 1, size);
  crypto.hash(out, [nodeHead, ...parts]);
  return out;
}

/** The hash of a whole log: of byte 2, and of hash, index as u64 and size as u64 of each root, from left to right. */
export function treeHash(crypto: CryptoProvider, roots: readonly TreeNode[]): Uint8Array {
  const entry = HASH_BYTES + 16;
  const input = new Uint8Array(1 + roots.length * entry);
  input[0] = ROOTS;
  let at = 1;
  for (const { hash, index, size } of roots) {
    requireSize("the hash of a root", hash, HASH_BYTES);
    input.set(hash, at);
    writeUint64(input, at + HASH_BYTES, index);
    writeUint64(input, at + HASH_BYTES + 8, size);
    at += entry;
  }
  return blake2b(crypto, [input]);
}

/**
 * The name under which peers look for the log or topic of a 32-byte public key: "hypercore" hashed with the key as key.
 *
 * @throws {RangeError} if the key is not 32 bytes.
 */
export function discoveryKey(crypto: CryptoProvider, publicKey: Uint8Array): Uint8Array {
  requireSize("publicKey", publicKey, PUBLIC_KEY_BYTES);
  return blake2b(crypto, [DISCOVERY_NAME], publicKey);
}

function writeUint64(into: Uint8Array, at: number, value: number): void {
  writeUint32(into, at, value);
  writeUint32(into, at + 4, Math.floor(value / 2 ** 32));
}
