/** Signatures: what the reference accepts and refuses, and what it would make. */
import assert from "node:assert/strict";
import { decodeExact, encode } from "../../encoding/codec.ts";
import { createManifest, manifest, manifestKey } from "../../core/log/manifest.ts";
import { TreeBatch } from "../../core/log/merkle_tree.ts";
import {
  assembleSignature,
  compatSignable,
  multiSignature,
  signableLength,
  treeSignable,
} from "../../core/log/signature.ts";
import { signaturePart, Verifier } from "../../core/log/verifier.ts";
import { hex, pattern, seed, testEach, unhex, wasm } from "../crypto/support.ts";
import { test } from "../harness.ts";
import { keyPairOf } from "./signed_log.ts";
import { MemoryLog, type RecordedSignature, vectors } from "./support.ts";

function verifierOf({ key, manifest: bytes, isLegacy }: RecordedSignature, crypto = wasm): Verifier {
  return new Verifier(crypto, unhex(key), decodeExact(manifest, unhex(bytes)), { isLegacy });
}

const treeOf = (length: number, fork: number, crypto = wasm) =>
  new TreeBatch(crypto, MemoryLog.of(length, fork).tree);

testEach("signatures are good or bad as both generations of the reference say", (crypto) => {
  for (const recorded of vectors.signatures) {
    const { name, length, fork, signature, valid } = recorded;
    const tree = treeOf(length, fork, crypto);
    const given = signature === null ? undefined : unhex(signature);
    assert.equal(verifierOf(recorded, crypto).verify(tree, given), valid, name);
  }
  assert.ok(vectors.signatures.some(({ valid }) => !valid));
});

test("verifier: the only signer makes the reference's signature", () => {
  let made = 0;
  for (const recorded of vectors.signatures) {
    const { name, length, fork, signature, valid } = recorded;
    const verifier = verifierOf(recorded);
    if (!valid || verifier.manifest.signers.length !== 1 || verifier.manifest.allowPatch) continue;
    assert.equal(hex(verifier.sign(treeOf(length, fork), keyPairOf(1))), signature, name);
    made++;
  }
  assert.ok(made >= 17);
});

/** The parts of recorded signatures: place, and how many blocks each signed. */
const PARTS: Readonly<Record<string, readonly (readonly [number, number?])[]>> = {
  "two sign": [[0], [1]],
  "others sign": [[2], [1]],
  "three sign": [[2], [0], [1]],
  "no patch": [[0], [2]],
  "one patch": [[0, 9], [2]],
  "two patches that share nodes": [[0, 13], [2, 19]],
  "two equal patches": [[0, 13], [1, 13]],
  "signs more": [[0, 11]],
  "all sign": [[0], [1], [2]],
};

test("verifier: parts of several signers join to the reference's signature, with patches", async () => {
  let made = 0;
  for (const recorded of vectors.signatures) {
    const { name, length, fork, signature } = recorded;
    const parts = PARTS[name.split(", ").at(-1)!];
    if (parts === undefined || name.startsWith("prologue")) continue;
    const verifier = verifierOf(recorded);
    const inputs = [];
    for (const [place, signed = length] of parts) {
      const log = MemoryLog.of(signed, fork);
      const { secretKey } = keyPairOf(place + 1);
      const own = wasm.sign(verifier.signable(new TreeBatch(wasm, log.tree), place), secretKey);
      inputs.push((await signaturePart(log.reader, place, own, signed, length))!);
    }
    assert.equal(hex(assembleSignature(verifier.manifest.version, inputs)), signature, name);
    made++;
  }
  assert.equal(made, 17);
});

test("verifier: of several signers each makes a part, and a stranger none", () => {
  const signers = [keyPairOf(1), keyPairOf(2)];
  const of = createManifest({ signers });
  const verifier = new Verifier(wasm, manifestKey(wasm, of), of);
  const tree = treeOf(5, 0);
  const [a, b] = signers.map((pair) => verifier.sign(tree, pair));
  assert.equal(a!.length, 64);
  const whole = assembleSignature(1, [{ signer: 0, signature: a!, patch: 0 }, {
    signer: 1,
    signature: b!,
    patch: 0,
  }]);
  assert.ok(verifier.verify(tree, whole));
  assert.throws(() => verifier.sign(tree, keyPairOf(3)), RangeError);
});

test("verifier: bytes that are no signature are bad ones, not errors", () => {
  for (
    const options of [
      { signers: [keyPairOf(1)] },
      { version: 0, signers: [keyPairOf(1)] },
      { version: 0, allowPatch: true, signers: [keyPairOf(1)] },
    ]
  ) {
    const made = createManifest(options);
    const verifier = new Verifier(wasm, manifestKey(wasm, made), made);
    for (const length of [0, 1, 63, 64, 65, 68, 200]) {
      for (const fill of [0, 1, 255]) {
        assert.equal(verifier.verify(treeOf(3, 0), new Uint8Array(length).fill(fill)), false);
      }
    }
  }
});

test("verifier: a patch of impossible length or with foreign nodes is a bad signature", () => {
  const of = createManifest({ allowPatch: true, signers: [keyPairOf(1)] });
  const verifier = new Verifier(wasm, manifestKey(wasm, of), of);
  const tree = treeOf(4, 0);
  const signature = wasm.sign(verifier.signable(treeOf(6, 0), 0), keyPairOf(1).secretKey);
  const nodes = [...MemoryLog.of(6).nodes.values()].filter(({ index }) => index === 9);
  const join = (patch: number, list: typeof nodes) =>
    encode(multiSignature, { proofs: [{ signer: 0, signature, patch }], patch: list });
  assert.ok(verifier.verify(tree, join(2, nodes)));
  for (const patch of [0, 1, 3, 2 ** 52, 2 ** 53 - 1]) assert.ok(!verifier.verify(tree, join(patch, nodes)));
  assert.ok(!verifier.verify(tree, join(2, [])));
  assert.ok(!verifier.verify(tree, join(2, [{ ...nodes[0]!, size: 2 ** 53 - 1 }])));
  assert.ok(!verifier.verify(tree, join(2, [{ ...nodes[0]!, hash: pattern(32, 3) }])));
});

test("verifier: what is signed has 112, 80 or 48 bytes", () => {
  assert.equal(treeSignable(seed(1), seed(2), 3, 4).length, 112);
  assert.equal(hex(compatSignable(seed(2), 3, 4)).slice(-32), "03000000000000000400000000000000");
  assert.equal(compatSignable(seed(2), 3, 4).length, 80);
  assert.equal(compatSignable(seed(2), 3, 4, true).length, 48);
});

test("verifier: together, signers reach what a quorum of them has signed", () => {
  assert.deepEqual([1, 2, 3, 4].map((quorum) => signableLength([5, 9, 7], quorum)), [9, 7, 5, 0]);
  assert.equal(signableLength([5, 9], 0), 9, "a quorum of 0 is taken for 1");
  assert.equal(signableLength([], 1), 0);
});
