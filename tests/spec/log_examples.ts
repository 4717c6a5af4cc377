/** How the examples of `docs/spec/hypercore.md` are made: from the values that the page names, with our own code. */
import { discoveryKey } from "../../core/crypto/hash.ts";
import { BlockCipher, blockEncryptionKey } from "../../core/log/encryption.ts";
import { createManifest, defaultManifest, manifest, manifestKey } from "../../core/log/manifest.ts";
import { EMPTY_TREE, TreeBatch, type TreeNode } from "../../core/log/merkle_tree.ts";
import { makeProof, type ProofRequest } from "../../core/log/proof.ts";
import { logData, logRequest } from "../../core/log/proof_messages.ts";
import { assembleSignature, multiSignature, multiSignatureV0 } from "../../core/log/signature.ts";
import { capability } from "../../core/replication/capability.ts";
import {
  bitfield,
  extension,
  handshake,
  noData,
  range,
  sync,
  want,
} from "../../core/replication/messages.ts";
import { treeNode } from "../../core/crypto/tree_node.ts";
import { signaturePart, Verifier } from "../../core/log/verifier.ts";
import { type Codec, encode } from "../../encoding/codec.ts";
import { seed, utf8, wasm } from "../crypto/support.ts";

// deno-lint-ignore no-explicit-any
type AnyCodec = Codec<any, any>;

/** The blocks of the log on the page. */
const BLOCKS = ["a", "bc", "def", "ghij", "klmno"].map(utf8);
const pairs = [1, 2, 3].map((n) => wasm.keyPair(seed(n)));

function treeOf(length: number): TreeBatch {
  const batch = new TreeBatch(wasm, EMPTY_TREE);
  for (const block of BLOCKS.slice(0, length)) batch.append(block);
  return batch;
}

const tree = treeOf(5);
const nodes = new Map<number, TreeNode>(tree.nodes.map((node) => [node.index, node]));
const reader = (index: number) => nodes.get(index);

const single = defaultManifest(pairs[0]!.publicKey);
const key = manifestKey(wasm, single);
const verifier = new Verifier(wasm, key, single);
const compat = new Verifier(wasm, pairs[0]!.publicKey);
const signature = verifier.sign(tree, pairs[0]!);

/** The signature of the first and the third of three, where the first signed all blocks and they sign four together. */
async function jointSignature(version: number): Promise<Uint8Array> {
  const of = createManifest({ version, signers: pairs, allowPatch: true });
  const joint = new Verifier(wasm, manifestKey(wasm, of), of);
  const parts = [[0, 5], [2, 4]].map(async ([place, length]) => {
    const own = joint.sign(treeOf(length!), pairs[place!]!);
    return (await signaturePart(reader, place!, own, length!, 4))!;
  });
  return assembleSignature(version, await Promise.all(parts));
}

async function answer(id: number, request: ProofRequest): Promise<Uint8Array> {
  const { fork, length, byteLength, roots } = tree;
  const { block, ...rest } =
    (await makeProof(reader, { fork, length, byteLength, roots, signature }, request))!;
  return encode(logData, {
    request: id,
    ...rest,
    block: block && { ...block, value: BLOCKS[block.index]! },
  });
}

const first = { upgrade: { start: 0, length: 5 }, block: { index: 1, nodes: 0 } };
const second = { block: { index: 3, nodes: 2 } };
const third = { hash: { index: 5, nodes: 1 }, seek: { bytes: 2, padding: 0 } };
const ask = (id: number, request: ProofRequest, isManifestWanted = false) =>
  encode(logRequest, { id, fork: 0, manifest: isManifestWanted, priority: 0, ...request });

const encryptionKey = seed(7);
const full = createManifest({
  version: 2,
  quorum: 1,
  signers: [{ ...pairs[0]!, namespace: seed(8) }, pairs[1]!],
  prologue: { hash: tree.hash(), length: 5 },
  linked: [key],
  userData: utf8("hi"),
});

const state = {
  ...{ fork: 1, length: 9, remoteLength: 253, canUpgrade: true, isUploading: true, isDownloading: true },
  ...{ hasManifest: false, allowPush: false },
};

/** Name, what reads it, bytes. */
export const logExamples: readonly (readonly [string, AnyCodec | undefined, Uint8Array])[] = [
  ["log-leaf-hash", undefined, reader(2)!.hash],
  ["log-parent-hash", undefined, reader(1)!.hash],
  ["log-node", treeNode, encode(treeNode, reader(3)!)],
  ["log-tree-hash", undefined, tree.hash()],
  ["log-manifest", manifest, encode(manifest, single)],
  ["log-key", undefined, key],
  ["log-discovery-key", undefined, discoveryKey(wasm, key)],
  ["log-manifest-full", manifest, encode(manifest, full)],
  ["log-manifest-v0", manifest, encode(manifest, createManifest({ version: 0, signers: [pairs[0]!] }))],
  ["log-signable", undefined, verifier.signable(tree, 0)],
  ["log-signable-compat", undefined, compat.signable(tree, 0)],
  ["log-signature", multiSignature, signature],
  ["log-signature-compat", undefined, compat.sign(tree, pairs[0]!)],
  ["log-signature-joint", multiSignature, await jointSignature(1)],
  ["log-signature-joint-v0", multiSignatureV0, await jointSignature(0)],
  ["log-request-upgrade", logRequest, ask(1, first, true)],
  ["log-data-upgrade", logData, await answer(1, first)],
  ["log-request-block", logRequest, ask(2, second)],
  ["log-data-block", logData, await answer(2, second)],
  ["log-request-seek", logRequest, ask(3, third)],
  ["log-data-seek", logData, await answer(3, third)],
  [
    "log-handshake",
    handshake,
    encode(handshake, {
      canSeek: true,
      capability: capability(wasm, true, key, new Uint8Array(64).fill(6)),
    }),
  ],
  ["log-sync", sync, encode(sync, state)],
  ["log-no-data", noData, encode(noData, { request: 5, reason: 1 })],
  ["log-want", want, encode(want, { start: 0, length: 2 ** 21, isAny: false })],
  ["log-want-any", want, encode(want, { start: 32, length: 64, isAny: true })],
  ["log-bitfield", bitfield, encode(bitfield, { start: 32, bytes: Uint8Array.of(5, 0, 0, 0x80) })],
  ["log-range", range, encode(range, { isDrop: false, start: 0, length: 1000 })],
  ["log-range-one", range, encode(range, { isDrop: true, start: 7, length: 1 })],
  ["log-extension", extension, encode(extension, { name: "hello", message: utf8("hi!") })],
  ["log-block-key", undefined, blockEncryptionKey(wasm, { key, encryptionKey })],
  [
    "log-block-encrypted",
    undefined,
    new BlockCipher(wasm, { key, encryptionKey }).encrypt(4, 1, utf8("klmno")),
  ],
];
