/**
 * What the signers of a log sign, and how several signatures become one. A signer may have signed a longer log than is signed
 * together; then the nodes between the two lengths are part of the signature, its patch.
 */
import { fixed64 } from "../../encoding/buffers.ts";
import { concat, equals } from "../../encoding/bytes.ts";
import { type Codec, type Cursor, encode } from "../../encoding/codec.ts";
import { uint64 } from "../../encoding/fixed.ts";
import { array } from "../../encoding/lists.ts";
import { uint } from "../../encoding/varint.ts";
import type { TreeNode } from "../crypto/hash.ts";
import { MAX_PATCH_NODES, MAX_PROOF_NODES, MAX_SIGNERS } from "./constants.ts";
import { LOG_NAMESPACES } from "./namespaces.ts";
import { rightSpan } from "./flat_tree.ts";
import { bounded } from "./manifest.ts";
import { treeNode } from "../crypto/tree_node.ts";

/** What ends all that is signed. */
const place: Codec<{ length: number; fork: number }> = {
  size: () => 16,
  encode(cursor, { length, fork }) {
    uint64.encode(cursor, length);
    uint64.encode(cursor, fork);
  },
  decode: (cursor) => ({ length: uint64.decode(cursor), fork: uint64.decode(cursor) }),
};

/**
 * What is signed, 112 bytes: the namespace of trees, the context, the tree hash, length and fork as u64. The context is the
 * key of the log, or, for manifests of version 0, the namespace of the signer.
 */
export function treeSignable(
  context: Uint8Array,
  treeHash: Uint8Array,
  length: number,
  fork: number,
): Uint8Array {
  return concat([LOG_NAMESPACES.tree, context, treeHash, encode(place, { length, fork })]);
}

/**
 * What is signed if the key of the log is that of its signer: the same without context; and without namespace if `isLegacy`.
 */
export function compatSignable(
  treeHash: Uint8Array,
  length: number,
  fork: number,
  isLegacy = false,
): Uint8Array {
  const head = isLegacy ? [] : [LOG_NAMESPACES.tree];
  return concat([...head, treeHash, encode(place, { length, fork })]);
}

/** The signature of one signer. */
export interface SignaturePart {
  /** Its place in the manifest. */
  readonly signer: number;
  /** 64 bytes. */
  readonly signature: Uint8Array;
  /** How many blocks more than the others it signed. */
  readonly patch: number;
}

/** The signatures of several signers, and the nodes of all their patches. */
export interface MultiSignature {
  /** Of different signers. At most 1024. */
  readonly proofs: readonly SignaturePart[];
  /** Each once. At most 4096. */
  readonly patch: readonly TreeNode[];
}

const part: Codec<SignaturePart> = {
  size: ({ signer, patch }: SignaturePart) => uint.size(signer) + 64 + uint.size(patch),
  encode(cursor: Cursor, { signer, signature, patch }: SignaturePart): void {
    uint.encode(cursor, signer);
    fixed64.encode(cursor, signature);
    uint.encode(cursor, patch);
  },
  decode: (cursor: Cursor): SignaturePart => ({
    signer: uint.decode(cursor),
    signature: fixed64.decode(cursor),
    patch: uint.decode(cursor),
  }),
};

const parts = bounded(array(part), MAX_SIGNERS, "signatures");
const patchNodes = bounded(array(treeNode), MAX_PATCH_NODES, "nodes of patches");

/** The signature of a log whose manifest has a version from 1. */
export const multiSignature: Codec<MultiSignature> = {
  size: ({ proofs, patch }: MultiSignature) => parts.size(proofs) + patchNodes.size(patch),
  encode(cursor: Cursor, { proofs, patch }: MultiSignature): void {
    parts.encode(cursor, proofs);
    patchNodes.encode(cursor, patch);
  },
  decode: (cursor: Cursor): MultiSignature => ({
    proofs: parts.decode(cursor),
    patch: patchNodes.decode(cursor),
  }),
};

/** A patch of version 0: from where, how many blocks, and which of all nodes are its own. */
export interface PatchV0 {
  /** The first block behind its last node. */
  readonly start: number;
  /** How many blocks its signer signed beyond the others. */
  readonly length: number;
  /** The places of its nodes among those of all patches. */
  readonly nodes: readonly number[];
}

/** The signature of one signer in version 0. */
export interface SignaturePartV0 {
  /** Its place in the manifest. */
  readonly signer: number;
  /** 64 bytes. */
  readonly signature: Uint8Array;
  /**
   * The blocks that it signed beyond the others: the first behind its last node, how many, and its nodes among those of all.
   */
  readonly patch?: PatchV0 | undefined;
}

/** What {@linkcode MultiSignature} is in version 0. */
export interface MultiSignatureV0 {
  /** Of different signers. At most 1024. */
  readonly proofs: readonly SignaturePartV0[];
  /** The nodes of all patches, each once. At most 4096. */
  readonly patch: readonly TreeNode[];
}

const places = bounded(array(uint), MAX_PROOF_NODES, "nodes of a patch");

const partV0: Codec<SignaturePartV0> = {
  size({ signer, patch }: SignaturePartV0): number {
    const patchSize = patch ? uint.size(patch.start) + uint.size(patch.length) + places.size(patch.nodes) : 0;
    return 1 + uint.size(signer) + 64 + patchSize;
  },
  encode(cursor: Cursor, { signer, signature, patch }: SignaturePartV0): void {
    uint.encode(cursor, patch ? 1 : 0);
    uint.encode(cursor, signer);
    fixed64.encode(cursor, signature);
    if (!patch) return;
    uint.encode(cursor, patch.start);
    uint.encode(cursor, patch.length);
    places.encode(cursor, patch.nodes);
  },
  decode(cursor: Cursor): SignaturePartV0 {
    const hasPatch = (uint.decode(cursor) & 1) !== 0;
    const [signer, signature] = [uint.decode(cursor), fixed64.decode(cursor)];
    if (!hasPatch) return { signer, signature };
    const [start, length] = [uint.decode(cursor), uint.decode(cursor)];
    return { signer, signature, patch: { start, length, nodes: places.decode(cursor) } };
  },
};

const partsV0 = bounded(array(partV0), MAX_SIGNERS, "signatures");

/** The signature of a log whose manifest has the version 0 and is not the plain one of a single signer. */
export const multiSignatureV0: Codec<MultiSignatureV0> = {
  size: ({ proofs, patch }: MultiSignatureV0) => partsV0.size(proofs) + patchNodes.size(patch),
  encode(cursor: Cursor, { proofs, patch }: MultiSignatureV0): void {
    partsV0.encode(cursor, proofs);
    patchNodes.encode(cursor, patch);
  },
  decode: (cursor: Cursor): MultiSignatureV0 => ({
    proofs: partsV0.decode(cursor),
    patch: patchNodes.decode(cursor),
  }),
};

/** What a signer hands to whoever joins signatures. */
export interface SignatureInput extends SignaturePart {
  /** What follows the roots of the length that is signed together, up to the length that this one signed. */
  readonly nodes?: readonly TreeNode[] | undefined;
}

/** Joins signatures of different signers, for a manifest of `version`. */
export function assembleSignature(version: number, inputs: readonly SignatureInput[]): Uint8Array {
  if (version === 0) return assembleV0(inputs);
  const patch = new Map<number, TreeNode>();
  for (const node of inputs.flatMap(({ nodes = [] }) => nodes)) {
    if (!patch.has(node.index)) patch.set(node.index, node);
  }
  return encode(multiSignature, { proofs: inputs, patch: [...patch.values()] });
}

/**
 * How many blocks a quorum of signers can sign together, if they have signed `lengths` blocks each: the longest log that as
 * many of them reach. 0 if there are too few.
 */
export function signableLength(lengths: readonly number[], quorum: number): number {
  return lengths.toSorted((a, b) => b - a)[Math.max(quorum, 1) - 1] ?? 0;
}

function assembleV0(inputs: readonly SignatureInput[]): Uint8Array {
  const patch: TreeNode[] = [];
  const place = (node: TreeNode) => {
    const found = patch.findIndex(({ index, size, hash }) =>
      index === node.index && size === node.size && equals(hash, node.hash)
    );
    return found === -1 ? patch.push(node) - 1 : found;
  };
  const proofs = inputs.map(({ signer, signature, patch: length, nodes = [] }): SignaturePartV0 => {
    if (length === 0) return { signer, signature };
    const start = rightSpan(nodes.at(-1)!.index) / 2 + 1;
    return { signer, signature, patch: { start, length, nodes: nodes.map(place) } };
  });
  return encode(multiSignatureV0, { proofs, patch });
}
