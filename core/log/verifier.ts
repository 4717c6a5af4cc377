/** Who may say what a log is: checking the signatures of its signers, and making them. */
import { equals } from "../../encoding/bytes.ts";
import { decode, DecodeError } from "../../encoding/codec.ts";
import { SIGNATURE_BYTES } from "../crypto/sizes.ts";
import type { CryptoProvider, KeyPair } from "../runtime/crypto_provider.ts";
import { ProtocolError } from "../runtime/errors.ts";
import { isLogLength, upgradePath } from "./flat_tree.ts";
import { defaultManifest, isCompatKey, isKeyOf, type Manifest, type Prologue } from "./manifest.ts";
import type { TreeBatch, TreeNode } from "./merkle_tree.ts";
import { type NodeReader, readNodes } from "./node_reader.ts";
import {
  assembleSignature,
  compatSignable,
  multiSignature,
  multiSignatureV0,
  type SignatureInput,
  type SignaturePart,
  treeSignable,
} from "./signature.ts";

/** What {@linkcode Verifier} may be told. */
export interface VerifierOptions {
  /** Whether signatures were made before there were namespaces; only for logs whose key is that of their signer. */
  readonly isLegacy?: boolean;
}

/**
 * Checks and makes the signatures of one log.
 *
 * @example
 * ```ts
 * import { loadCryptoProvider } from "../crypto/provider.ts";
 * import { defaultManifest, manifestKey } from "./manifest.ts";
 * import { EMPTY_TREE, TreeBatch } from "./merkle_tree.ts";
 * import { Verifier } from "./verifier.ts";
 *
 * const crypto = await loadCryptoProvider();
 * const keyPair = crypto.keyPair(new Uint8Array(32));
 * const manifest = defaultManifest(keyPair.publicKey);
 * const verifier = new Verifier(crypto, manifestKey(crypto, manifest), manifest);
 * const batch = new TreeBatch(crypto, EMPTY_TREE);
 * batch.append(new TextEncoder().encode("hello"));
 * const signature = verifier.sign(batch, keyPair);
 * if (!verifier.verify(batch, signature)) throw new Error("never happens");
 * ```
 */
export class Verifier {
  /** The key of the log. */
  readonly key: Uint8Array;
  /** What the log is. */
  readonly manifest: Manifest;
  /** Whether the key is that of the only signer. */
  readonly isCompat: boolean;
  readonly #crypto: CryptoProvider;
  readonly #isLegacy: boolean;

  /**
   * Without manifest the key must be that of the only signer.
   *
   * @throws {ProtocolError} INVALID_SIGNATURE if the manifest is another log's.
   */
  constructor(
    crypto: CryptoProvider,
    key: Uint8Array,
    manifest: Manifest = defaultManifest(key),
    options: VerifierOptions = {},
  ) {
    if (!isKeyOf(crypto, key, manifest)) {
      throw new ProtocolError("INVALID_SIGNATURE", "the manifest is that of another log");
    }
    this.#crypto = crypto;
    this.key = key;
    this.manifest = manifest;
    this.isCompat = isCompatKey(key, manifest);
    this.#isLegacy = options.isLegacy ?? false;
  }

  /** What the log must begin with. */
  get prologue(): Prologue | undefined {
    return this.isCompat ? undefined : this.manifest.prologue;
  }

  /** Whether enough signers say that this is the log. Bytes that are no signature are not one. */
  verify(tree: TreeBatch, signature: Uint8Array | undefined): boolean {
    const { prologue } = this;
    if (this.#version >= 1 && prologue !== undefined && tree.length <= prologue.length) {
      return tree.length === prologue.length && equals(tree.hash(), prologue.hash);
    }
    if (signature === undefined) return false;
    if (this.#isSingle) return this.#verifyOne(0, tree, signature);
    try {
      return this.#verifyMany(tree, signature);
    } catch (error) {
      if (error instanceof DecodeError || error instanceof ProtocolError) return false;
      throw error;
    }
  }

  /**
   * The signature of one signer. If there is only one, it is that of the log; else it is a part for {@linkcode
   * assembleSignature}.
   *
   * @throws {RangeError} if the key pair is none of a signer.
   */
  sign(tree: TreeBatch, { publicKey, secretKey }: KeyPair): Uint8Array {
    const { signers } = this.manifest;
    const place = signers.findIndex((signer) => equals(signer.publicKey, publicKey));
    if (place === -1) throw new RangeError("the key pair belongs to no signer of the log");
    const signature = this.#crypto.sign(this.signable(tree, place), secretKey);
    if (signers.length !== 1 || this.#version === 0) return signature;
    return assembleSignature(this.#version, [{ signer: 0, signature, patch: 0 }]);
  }

  /** What the signer at `place` signs for `tree`. */
  signable(tree: TreeBatch, place: number): Uint8Array {
    const { length, fork } = tree;
    if (this.isCompat) return compatSignable(tree.hash(), length, fork, this.#isLegacy);
    const context = this.#version === 0 ? this.manifest.signers[place]!.namespace : this.key;
    return treeSignable(context, tree.hash(), length, fork);
  }

  /** The version by which signatures are made. */
  get #version(): number {
    return this.isCompat ? 0 : this.manifest.version;
  }

  /** Whether a signature is that of the only signer and nothing else. */
  get #isSingle(): boolean {
    const { allowPatch, signers } = this.manifest;
    return this.isCompat || (this.#version === 0 && !allowPatch && signers.length === 1);
  }

  #verifyOne(place: number, tree: TreeBatch, signature: Uint8Array): boolean {
    const { publicKey } = this.manifest.signers[place]!;
    if (signature.length !== SIGNATURE_BYTES) return false;
    return this.#crypto.verify(this.signable(tree, place), signature, publicKey);
  }

  /** As many signatures as are needed are looked at, no more, and all of these must be good. */
  #verifyMany(tree: TreeBatch, signature: Uint8Array): boolean {
    const { quorum, signers, allowPatch } = this.manifest;
    const { proofs, patch } = this.#inflate(signature);
    if (quorum === 0 || proofs.length < quorum) return false;
    const used = new Set<number>();
    const nodes = new Map(patch.map((node) => [node.index, node]));
    for (const proof of proofs.slice(0, quorum)) {
      if (proof.signer >= signers.length || used.has(proof.signer)) return false;
      used.add(proof.signer);
      const signed = allowPatch && proof.patch > 0 ? patched(tree, proof.patch, nodes) : tree;
      if (signed === undefined || !this.#verifyOne(proof.signer, signed, proof.signature)) return false;
    }
    return true;
  }

  #inflate(signature: Uint8Array): { proofs: readonly SignaturePart[]; patch: readonly TreeNode[] } {
    if (this.#version >= 1) return decode(multiSignature, signature);
    const { proofs, patch } = decode(multiSignatureV0, signature);
    return { proofs: proofs.map((proof) => ({ ...proof, patch: proof.patch?.length ?? 0 })), patch };
  }
}

/** `tree` and `more` blocks, or undefined if there are not all nodes for that. */
function patched(
  tree: TreeBatch,
  more: number,
  nodes: ReadonlyMap<number, TreeNode>,
): TreeBatch | undefined {
  if (!isLogLength(tree.length + more)) return undefined;
  const longer = tree.extend();
  for (const index of upgradePath(tree.length, tree.length + more)) {
    const node = nodes.get(index);
    if (node === undefined) return undefined;
    longer.appendNode(node);
  }
  return longer;
}

/**
 * The part of the signer at `place`, who signed `signedLength` blocks, in a signature for the first `length` of them.
 * `signature` is what {@linkcode Verifier.sign} returned for a log of several signers.
 *
 * @returns undefined if a node between the two lengths is not in the reader.
 */
export async function signaturePart(
  reader: NodeReader,
  place: number,
  signature: Uint8Array,
  signedLength: number,
  length: number,
): Promise<SignatureInput | undefined> {
  const nodes = await readNodes(reader, upgradePath(length, signedLength));
  return nodes && { signer: place, signature, patch: Math.max(0, signedLength - length), nodes };
}
