/**
 * One append-only log without storage and network: its tree, proofs that blocks and lengths belong to it, who may sign it,
 * which blocks are there, and how they are encrypted; byte for byte those of hypercore 10 and 11.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { loadCryptoProvider } from "../mod.ts";
 * import {
 *   defaultManifest,
 *   EMPTY_TREE,
 *   makeProof,
 *   manifestKey,
 *   TreeBatch,
 *   type TreeNode,
 *   Verifier,
 *   verifyProof,
 * } from "./mod.ts";
 *
 * const crypto = await loadCryptoProvider();
 * const keyPair = crypto.keyPair(new Uint8Array(32).fill(1));
 * const manifest = defaultManifest(keyPair.publicKey);
 * const verifier = new Verifier(crypto, manifestKey(crypto, manifest), manifest);
 *
 * // Somebody writes.
 * const blocks = ["one", "two", "three"].map((text) => new TextEncoder().encode(text));
 * const written = new TreeBatch(crypto, EMPTY_TREE);
 * for (const block of blocks) written.append(block);
 * const signature = verifier.sign(written, keyPair);
 * const nodes = new Map<number, TreeNode>(written.nodes.map((node) => [node.index, node]));
 *
 * // Somebody else learns of the log and of its second block at once.
 * const request = { block: { index: 1, nodes: 0 }, upgrade: { start: 0, length: 3 } };
 * const { fork, length, byteLength, roots } = written;
 * const proof = await makeProof((index) => nodes.get(index), { fork, length, byteLength, roots, signature }, request);
 * assert.ok(proof?.block);
 * const known = { crypto, verifier, tree: EMPTY_TREE, reader: () => undefined };
 * const proven = await verifyProof(known, { ...proof, block: { ...proof.block, value: blocks[1]! } });
 * assert.equal(proven.tree.length, 3);
 * assert.equal(proven.block?.index, 1);
 * ```
 *
 * @module
 */
// The tree
export * as flatTree from "./flat_tree.ts";
export {
  byteOffset,
  EMPTY_TREE,
  leafNode,
  missingNodes,
  parentNode,
  rootsOf,
  seekByte,
  type SeekResult,
  totalSize,
  TreeBatch,
  type TreeNode,
  type TreeState,
  truncateTree,
} from "./merkle_tree.ts";
export type { NodeReader } from "./node_reader.ts";
export { treeNode } from "../crypto/tree_node.ts";

// Proofs
export {
  type BlockProof,
  type HashProof,
  makeProof,
  type Proof,
  type ProofRequest,
  type ProofWithoutValue,
  type SeekProof,
  type SignedTree,
  type UpgradeProof,
} from "./proof.ts";
export { type LogData, logData, type LogRequest, logRequest } from "./proof_messages.ts";
export { type KnownLog, type VerifiedProof, verifyFromStart, verifyProof } from "./verify_proof.ts";
export { type ForkQuestion, ForkSearch } from "./fork_search.ts";

// Who may sign
export {
  createManifest,
  defaultManifest,
  isCompatKey,
  isKeyOf,
  type Manifest,
  manifest,
  manifestKey,
  type ManifestOptions,
  type Prologue,
  type Signer,
} from "./manifest.ts";
export {
  assembleSignature,
  compatSignable,
  type MultiSignature,
  multiSignature,
  type MultiSignatureV0,
  multiSignatureV0,
  type PatchV0,
  signableLength,
  type SignatureInput,
  type SignaturePart,
  type SignaturePartV0,
  treeSignable,
} from "./signature.ts";
export { signaturePart, Verifier, type VerifierOptions } from "./verifier.ts";

// Logs in stores
export { type Applied, LogState, type LogStateOptions } from "./log_state.ts";
export { LogBranch } from "./log_branch.ts";
export { Atom } from "./atom.ts";
export type { BatchTarget, BranchParts, LogObserver } from "./branch_parts.ts";
export type { LogChange } from "./pending_changes.ts";
export type { Appended, AppendOptions } from "./append_queue.ts";
export type { Runtime } from "../runtime/runtime.ts";
export type { LogStorage } from "../storage/storage.ts";
export type { WriteBatch } from "../storage/write_batch.ts";

// Blocks
export { Bitfield } from "./bitfield.ts";
export { BlockCipher, type BlockCipherOptions, blockEncryptionKey } from "./encryption.ts";
export { BLOCK_PADDING, PAGE_BITS } from "./constants.ts";
export { LOG_NAMESPACES, type LogNamespace } from "./namespaces.ts";
export type { MaybePromise } from "../runtime/async.ts";
export type { Codec, Cursor } from "../../encoding/codec.ts";
export type { CryptoProvider, KeyPair } from "../runtime/crypto_provider.ts";
