/** Fuzz targets of `core/log/`: all that is read of a stranger's log, and that nothing false is believed of it. */
import assert from "node:assert/strict";
import { createWasmProvider } from "../../core/crypto/provider_js.ts";
import { Bitfield } from "../../core/log/bitfield.ts";
import { codecOf, decodeBlock } from "../../core/block_coding.ts";
import { BlockCipher } from "../../core/log/encryption.ts";
import { createManifest, manifest, manifestKey } from "../../core/log/manifest.ts";
import { EMPTY_TREE, TreeBatch, type TreeNode } from "../../core/log/merkle_tree.ts";
import { planProof, type Proof, questionOf } from "../../core/log/proof.ts";
import { logData, logRequest } from "../../core/log/proof_messages.ts";
import { assembleSignature, multiSignature, multiSignatureV0 } from "../../core/log/signature.ts";
import { treeNode } from "../../core/crypto/tree_node.ts";
import { verifyAgainst, verifyFromStart } from "../../core/log/verify_proof.ts";
import { Verifier } from "../../core/log/verifier.ts";
import { ProtocolError } from "../../core/runtime/errors.ts";
import { type Codec, Cursor, decode, DecodeError, decodeExact, encode } from "../../encoding/codec.ts";
import type { FuzzTarget } from "./target.ts";

const crypto = await createWasmProvider();
const bytes = (length: number, n: number) => new Uint8Array(length).fill(n);
const pairs = [1, 2, 3].map((n) => crypto.keyPair(bytes(32, n)));

function codecTarget<T>(name: string, codec: Codec<T>, seeds: readonly T[], covers?: string[]): FuzzTarget {
  return {
    name,
    covers: covers ?? [],
    seeds: seeds.map((value) => encode(codec, value)),
    run(input: Uint8Array): void {
      const again = encode(codec, codec.decode(new Cursor(input)));
      assert.deepEqual(encode(codec, decodeExact(codec, again)), again);
    },
  };
}

// --- A log of which the first blocks are known

const LENGTH = 13;
const blocks = Array.from({ length: LENGTH }, (_, i) => bytes(i, i));
const whole = new TreeBatch(crypto, EMPTY_TREE);
for (const block of blocks) whole.append(block);
const nodes = new Map<number, TreeNode>(whole.nodes.map((node) => [node.index, node]));
const known = new TreeBatch(crypto, EMPTY_TREE);
for (const block of blocks.slice(0, 5)) known.append(block);

const [single, several] = [{ signers: [pairs[0]!] }, { allowPatch: true, signers: pairs }].map(
  createManifest,
);
const [verifier, jointVerifier] = [single!, several!].map((of) =>
  new Verifier(crypto, manifestKey(crypto, of), of)
);
const signature = verifier!.sign(whole, pairs[0]!);
const node = (index: number) => nodes.get(index)!;

const block = { index: 6, value: blocks[6]!, nodes: [node(14), node(9), node(3)] };
const fromStart: Proof = {
  fork: 0,
  block,
  upgrade: { start: 0, length: 8, nodes: [], additionalNodes: [node(19), node(24)], signature },
};
const further: Proof = {
  fork: 0,
  seek: { bytes: 20, nodes: [node(12), node(14)] },
  upgrade: { start: 5, length: 8, nodes: [node(10), node(19), node(24)], additionalNodes: [], signature },
};
const older: Proof = { fork: 0, hash: { index: 2, nodes: [node(2), node(0), node(5)] } };

/** What a proof that was accepted says is what its writer wrote. */
function assertTrue(tree: TreeBatch, proof: Proof): void {
  if (tree.isUpgrade) assert.deepEqual([...tree.roots], [...whole.roots]);
  if (tree.isUpgrade && proof.block) assert.deepEqual(proof.block.value, blocks[proof.block.index]);
}

const messages = [fromStart, further, older].map((proof) => encode(logData, { request: 1, ...proof }));
const isRefusal = (error: unknown) => error instanceof DecodeError || error instanceof ProtocolError;

const requests = [
  { id: 1, fork: 0, block: { index: 3, nodes: 2 }, manifest: true, priority: 1 },
  {
    id: 2,
    fork: 0,
    hash: { index: 17, nodes: 1 },
    upgrade: { start: 3, length: 9 },
    manifest: false,
    priority: 0,
  },
  {
    id: 3,
    fork: 9,
    seek: { bytes: 30, padding: 8 },
    upgrade: { start: 0, length: 13 },
    manifest: false,
    priority: 0,
  },
];

// --- Signatures

const joint = (length: number, patch: number) => {
  const tree = new TreeBatch(crypto, EMPTY_TREE);
  for (const each of blocks.slice(0, length + patch)) tree.append(each);
  return jointVerifier!.sign(tree, pairs[patch > 0 ? 1 : 0]!);
};
const inputs = [
  { signer: 0, signature: joint(5, 0), patch: 0 },
  { signer: 1, signature: joint(5, 7), patch: 7, nodes: [node(10), node(13), node(19)] },
];
const prologue = { hash: bytes(32, 4), length: 3 };
const manifests = [
  single!,
  several!,
  createManifest({ version: 0, signers: pairs }),
  createManifest({ version: 0, signers: [pairs[0]!] }),
  createManifest({ version: 0, prologue: { ...prologue, length: 0 } }),
  createManifest({ signers: pairs, prologue, linked: [bytes(32, 5)], userData: bytes(3, 6) }),
];

/** How many bits stand for one of a script, so that a few bytes reach over pages. */
const UNIT = 700;

/** A script is steps of kind, start and end. */
function playBits(script: Uint8Array): string {
  const bits = new Bitfield();
  const model = new Uint8Array(256);
  const sum = () => UNIT * model.reduce((a, b) => a + b, 0);
  for (let at = 0; at + 3 <= script.length && at < 60; at += 3) {
    const [kind, first, second] = [script[at]!, script[at + 1]!, script[at + 2]!];
    const [start, end] = [Math.min(first, second), Math.max(first, second)];
    bits.setRange(start * UNIT, end * UNIT, kind % 2 === 0);
    model.fill(kind % 2 === 0 ? 1 : 0, start, end);
    assert.equal(bits.count(0, 256 * UNIT), sum());
    assert.equal(bits.get(start * UNIT), model[start] === 1);
    assert.ok(bits.entryCount <= 7);
  }
  const [set, unset] = [model.indexOf(1), model.indexOf(0)];
  assert.equal(bits.firstSet(0), set === -1 ? -1 : set * UNIT);
  assert.equal(bits.firstUnset(0), unset * UNIT);
  return `${bits.entryCount}`;
}

/** All targets of this folder. */
export const targets: readonly FuzzTarget[] = [
  codecTarget("treeNode", treeNode, [node(3), { index: 2 ** 52, size: 2 ** 40, hash: bytes(32, 1) }], [
    "bounded",
  ]),
  codecTarget("manifest", manifest, manifests),
  codecTarget("multiSignature", multiSignature, [decode(multiSignature, assembleSignature(1, inputs))]),
  codecTarget("multiSignatureV0", multiSignatureV0, [decode(multiSignatureV0, assembleSignature(0, inputs))]),
  codecTarget("logRequest", logRequest, requests),
  codecTarget("logData", logData, [
    { request: 1, ...fromStart },
    { request: 2, ...further },
    { request: 0, ...older, manifest: several },
  ]),
  {
    name: "verifyFromStart",
    seeds: messages.slice(0, 1),
    run(input: Uint8Array): void {
      const proof = decode(logData, input);
      assertTrue(verifyFromStart(crypto, verifier!, proof).tree, proof);
    },
    expected: isRefusal,
  },
  {
    name: "verifyAgainst",
    seeds: messages.slice(1),
    run(input: Uint8Array): string {
      const proof = decode(logData, input);
      const { proven, loose } = verifyAgainst({ crypto, tree: known, verifier: verifier! }, proof);
      if (loose === undefined) assertTrue(proven.tree, proof);
      return `${proven.tree.isUpgrade} ${loose === undefined}`;
    },
    expected: isRefusal,
  },
  {
    name: "planProof",
    covers: ["questionOf"],
    seeds: requests.map((request) => encode(logRequest, request)),
    run(input: Uint8Array): void {
      const request = decode(logRequest, input);
      const seekRoot = request.seek && request.seek.bytes % (2 * LENGTH);
      const { target, root, ...rest } = questionOf(whole, request);
      const joined = root === undefined || seekRoot === undefined ? seekRoot : root;
      const plan = planProof(whole, { target, root, ...rest }, joined);
      const count =
        [plan.node, plan.seek, plan.upgrade, plan.additional].flatMap((list) => list ?? []).length;
      assert.ok(count <= 20, `${count} nodes of a tree of ${LENGTH} blocks`);
    },
    expected: isRefusal,
  },
  {
    name: "Verifier",
    seeds: [assembleSignature(1, inputs), signature],
    run(input: Uint8Array): string {
      return [verifier!, jointVerifier!].map((one) => one.verify(known, input)).join();
    },
  },
  {
    name: "BlockCipher",
    seeds: [bytes(8, 1), bytes(40, 2)],
    run(input: Uint8Array): void {
      const cipher = new BlockCipher(crypto, { key: bytes(32, 1), encryptionKey: bytes(32, 2) });
      if (input.length >= cipher.padding) cipher.decrypt(5, input);
      assert.deepEqual(cipher.decrypt(9, cipher.encrypt(9, 1, input)), input);
    },
  },
  { name: "Bitfield", seeds: [Uint8Array.of(0, 0, 255, 1, 9, 100, 0, 50, 60), bytes(30, 7)], run: playBits },
  {
    name: "decodeBlock",
    covers: ["codecOf"],
    seeds: [new TextEncoder().encode(`{"a":1}`), new TextEncoder().encode(`"text"`)],
    run(input: Uint8Array): void {
      for (const encoding of ["json", "utf-8", "binary"] as const) decodeBlock(codecOf(encoding), input, 3);
    },
    expected: (error) => error instanceof ProtocolError && error.code === "DECODING_ERROR",
  },
];
