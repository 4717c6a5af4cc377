/** What proofs prove, and that nothing else is believed. */
import assert from "node:assert/strict";
import { createManifest, defaultManifest, manifestKey } from "../../core/log/manifest.ts";
import { missingNodes, rootsOf, seekByte, TreeBatch, type TreeNode } from "../../core/log/merkle_tree.ts";
import type { Proof, ProofRequest } from "../../core/log/proof.ts";
import { verifyFromStart, verifyProof } from "../../core/log/verify_proof.ts";
import { Verifier } from "../../core/log/verifier.ts";
import { ProtocolError } from "../../core/runtime/errors.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { pattern, wasm } from "../crypto/support.ts";
import { test } from "../harness.ts";
import { keyPairOf, Reader, Writer } from "./signed_log.ts";

async function fetch(reader: Reader, writer: Writer, request: ProofRequest): Promise<Proof> {
  const proof = await writer.answer(request);
  reader.apply(await verifyProof(reader.known, proof));
  return proof;
}

test("proof: a log that is fetched in any order and as it grows ends up as its writer's", async () => {
  for (let round = 0; round < 25; round++) {
    const random = new SeededRandom(`fetch ${round}`);
    const below = (bound: number) => random.uint32() % bound;
    const writer = new Writer();
    const reader = new Reader(writer.verifier);
    writer.write(1 + below(50));
    for (let step = 0; step < 150; step++) {
      if (below(10) === 0) writer.write(1 + below(20));
      const { length } = reader.tree;
      const more = writer.tree.length - length;
      const isUpgrading = more > 0 && (length === 0 || below(3) === 0);
      const upgrade = isUpgrading ? { start: length, length: 1 + below(more) } : undefined;
      const index = below(length + (upgrade?.length ?? 0));
      const nodes = index < length ? await missingNodes(reader.reader, reader.tree, 2 * index) : 0;
      await fetch(reader, writer, { block: { index, nodes }, upgrade });
    }
    if (reader.tree.length < writer.tree.length) {
      const start = reader.tree.length;
      await fetch(reader, writer, { upgrade: { start, length: writer.tree.length - start } });
    }
    for (let index = 0; index < writer.blocks.length; index++) {
      const nodes = await missingNodes(reader.reader, reader.tree, 2 * index);
      await fetch(reader, writer, { block: { index, nodes } });
      assert.deepEqual(reader.blocks.get(index), writer.blocks[index]);
    }
    assert.deepEqual(reader.tree, writer.tree);
    assert.deepEqual(reader.signature, writer.signature);
    for (const [index, node] of reader.nodes) assert.deepEqual(node, writer.nodes.get(index));
  }
});

test("proof: a size that only a sum was proven of is put right by the block", async () => {
  const writer = new Writer();
  writer.write(8);
  const reader = new Reader(writer.verifier);
  await fetch(reader, writer, { upgrade: { start: 0, length: 8 } });
  const proof = await writer.answer({ hash: { index: 4, nodes: 3 } });
  const [first, second, ...rest] = proof.hash!.nodes;
  const shifted = [{ ...first!, size: first!.size + 1 }, { ...second!, size: second!.size - 1 }, ...rest];
  reader.apply(await verifyProof(reader.known, { ...proof, hash: { index: 4, nodes: shifted } }));
  assert.notDeepEqual(reader.nodes.get(4), writer.nodes.get(4));
  // A hash by itself says nothing of its size.
  const bare = { fork: 0, hash: { index: 4, nodes: [writer.nodes.get(4)!] } };
  await assert.rejects(verifyProof(reader.known, bare), { code: "INVALID_CHECKSUM" });
  for (const index of [2, 3]) await fetch(reader, writer, { block: { index, nodes: 0 } });
  for (const [index, node] of reader.nodes) assert.deepEqual(node, writer.nodes.get(index));
});

test("proof: a seek over a network ends at the block, by as many requests as it takes", async () => {
  const writer = new Writer();
  writer.write(60);
  for (let bytes = 0; bytes < writer.tree.byteLength; bytes += 7) {
    const reader = new Reader(writer.verifier);
    await fetch(reader, writer, { seek: { bytes, padding: 0 }, upgrade: { start: 0, length: 60 } });
    let found = await seekByte(reader.reader, reader.tree, bytes);
    for (let asked = 0; found && !found.isFound; asked++) {
      assert.ok(asked < 6);
      const nodes = await missingNodes(reader.reader, reader.tree, found.node);
      await fetch(reader, writer, { hash: { index: found.node, nodes }, seek: { bytes, padding: 0 } });
      found = await seekByte(reader.reader, reader.tree, bytes);
    }
    assert.deepEqual(found, await seekByte(writer.reader, writer.tree, bytes));
  }
});

test("proof: an upgrade that another peer was faster with is no error, and its block counts", async () => {
  const writer = new Writer();
  writer.write(11);
  const reader = new Reader(writer.verifier);
  await fetch(reader, writer, { upgrade: { start: 0, length: 11 } });
  writer.write(6);
  const request: ProofRequest = { block: { index: 3, nodes: 3 }, upgrade: { start: 11, length: 6 } };
  const late = await writer.answer(request);
  await fetch(reader, writer, { upgrade: { start: 11, length: 6 } });
  const before = reader.tree;
  const proven = await verifyProof(reader.known, late);
  assert.equal(proven.tree.isUpgrade, false);
  assert.equal(proven.signature, undefined);
  reader.apply(proven);
  assert.deepEqual(reader.tree, before);
  assert.deepEqual(reader.blocks.get(3), writer.blocks[3]);
});

test("proof: a log is upgraded to what was signed, also if only a part of it was asked for", async () => {
  const writer = new Writer();
  writer.write(29);
  for (let length = 1; length <= 29; length++) {
    const reader = new Reader(writer.verifier);
    await fetch(reader, writer, { upgrade: { start: 0, length } });
    assert.deepEqual(reader.tree, writer.tree, `${length}`);
  }
});

test("proof: nodes from before a cut prove nothing", async () => {
  const writer = new Writer();
  writer.write(8);
  const reader = new Reader(writer.verifier);
  await fetch(reader, writer, { upgrade: { start: 0, length: 8 } });
  const old = await writer.answer({ block: { index: 6, nodes: 3 } });
  reader.tree = { ...reader.tree, length: 4, roots: (await rootsOf(writer.reader, writer.tree, 4))! };
  await assert.rejects(verifyProof(reader.known, old), { code: "INVALID_OPERATION" });
});

test("proof: another fork, another writer and another log are told apart", async () => {
  const writer = new Writer();
  writer.write(9);
  const request = { upgrade: { start: 0, length: 9 } };
  const proof = await writer.answer(request);
  await assert.rejects(verifyProof(new Reader(writer.verifier, 1).known, proof), {
    code: "INVALID_OPERATION",
  });
  const stranger = new Writer(defaultManifest(keyPairOf(2).publicKey));
  await assert.rejects(verifyProof(new Reader(stranger.verifier).known, proof), {
    code: "INVALID_SIGNATURE",
  });
  const reader = new Reader(writer.verifier);
  reader.apply(await verifyProof(reader.known, proof));
  const other = new Writer();
  other.write(9, (index) => pattern(5, index + 100));
  const foreign = await other.answer({ block: { index: 2, nodes: 3 } });
  await assert.rejects(verifyProof(reader.known, foreign), { code: "INVALID_CHECKSUM" });
});

test("proof: from the start, a proof of any fork stands by itself, and shows a writer that signed twice", async () => {
  const [one, two] = [new Writer(), new Writer()];
  one.write(9);
  two.write(9, (index) => pattern(5, index + 100));
  const request: ProofRequest = { upgrade: { start: 0, length: 9 }, block: { index: 4, nodes: 0 } };
  const [first, second] = [await one.answer(request), await two.answer(request)];
  const [a, b] = [first, second].map((proof) => verifyFromStart(wasm, one.verifier, proof));
  assert.equal(a!.tree.length, b!.tree.length);
  assert.notDeepEqual(a!.tree.hash(), b!.tree.hash());
  assert.deepEqual(a!.block?.value, one.blocks[4]);
  const mixed = { ...first, block: second.block };
  assert.throws(() => verifyFromStart(wasm, one.verifier, mixed), { code: "INVALID_SIGNATURE" });
  const late = await one.answer({ upgrade: { start: 3, length: 6 } });
  assert.throws(() => verifyFromStart(wasm, one.verifier, late), { code: "INVALID_OPERATION" });
  const stray = {
    ...await one.answer({ upgrade: { start: 0, length: 9 } }),
    block: { ...second.block!, nodes: [] },
  };
  assert.throws(() => verifyFromStart(wasm, one.verifier, stray), { code: "INVALID_PROOF" });
});

test("proof: a prologue is believed without a signature if it is whole, and needed if it is not there", async () => {
  const start = new Writer();
  start.write(8);
  const prologue = { length: 8, hash: new TreeBatch(wasm, start.tree).hash() };
  const manifest = createManifest({ prologue, signers: [keyPairOf(1)] });
  const writer = new Writer(manifest);
  writer.write(8);
  writer.signature = undefined;
  const reader = new Reader(writer.verifier);
  await fetch(reader, writer, { upgrade: { start: 0, length: 3 } });
  assert.deepEqual(reader.tree, writer.tree);
  writer.write(3);
  await fetch(reader, writer, { upgrade: { start: 8, length: 3 } });
  assert.deepEqual(reader.tree, writer.tree);

  // Signed, but another beginning: the signers may not do that.
  const liar = new Writer(manifest);
  liar.write(11, (index) => pattern(5, index + 100));
  const proof = await liar.answer({ upgrade: { start: 0, length: 11 } });
  await assert.rejects(verifyProof(new Reader(writer.verifier).known, proof), { code: "INVALID_PROOF" });
  const upgrade = { ...proof.upgrade!, length: 11, nodes: [...liar.tree.roots], additionalNodes: [] };
  const around: Proof = { ...proof, upgrade };
  await assert.rejects(verifyProof(new Reader(writer.verifier).known, around), { code: "INVALID_PROOF" });
});

/** All proofs like `proof` that differ in one number, byte, or the presence of one thing. */
function* mutations(proof: Proof): Iterable<[what: string, mutated: Proof]> {
  const numbers = [0, 1, 2, 5, 2 ** 32, 2 ** 52 - 1, 2 ** 53 - 1];
  function* ofValue(value: unknown, path: string): Iterable<[string, unknown]> {
    if (typeof value === "number") {
      for (const other of [...numbers, value + 1, value + 2, Math.max(0, value - 1)]) {
        if (other !== value) yield [`${path} = ${other}`, other];
      }
    } else if (value instanceof Uint8Array) {
      for (const at of [0, value.length >> 1, value.length - 1]) {
        if (at < 0 || at >= value.length) continue;
        const copy = value.slice();
        copy[at]! ^= 1 << (at % 8);
        yield [`${path}[${at}]`, copy];
      }
      yield [`${path} shorter`, value.slice(1)];
      yield [`${path} longer`, new Uint8Array(value.length + 1)];
    } else if (Array.isArray(value)) {
      for (const [i, item] of value.entries()) {
        for (const [what, other] of ofValue(item, `${path}.${i}`)) yield [what, value.with(i, other)];
        yield [`${path} without ${i}`, value.toSpliced(i, 1)];
        yield [`${path} with ${i} twice`, value.toSpliced(i, 0, item)];
      }
      yield [`${path} with more`, [...value, { index: 1, size: 1, hash: pattern(32, 1) } satisfies TreeNode]];
    } else if (typeof value === "object" && value !== null) {
      for (const [key, inner] of Object.entries(value)) {
        if (key === "request") continue;
        for (const [what, other] of ofValue(inner, `${path}.${key}`)) {
          yield [what, { ...value, [key]: other }];
        }
        const isOptional = path === "proof" || key === "signature";
        if (isOptional && inner !== undefined) {
          yield [`${path} without ${key}`, { ...value, [key]: undefined }];
        }
      }
    }
  }
  for (const [what, mutated] of ofValue(proof, "proof")) yield [what, mutated as Proof];
}

/** Mutations after which a proof may still prove something true: it says less, or what nobody looks at. */
const HARMLESS =
  /^proof without (block|hash|seek|upgrade)$|seek\.bytes|upgrade\.(start|length)|additionalNodes/;

test("proof: whatever is changed in a proof, nothing false is believed", async () => {
  const writer = new Writer();
  writer.write(21);
  const requests: ProofRequest[] = [
    { upgrade: { start: 0, length: 21 }, block: { index: 20, nodes: 0 } },
    { upgrade: { start: 0, length: 14 }, seek: { bytes: 40, padding: 0 } },
    { upgrade: { start: 13, length: 8 }, block: { index: 3, nodes: 3 } },
    { upgrade: { start: 13, length: 3 }, hash: { index: 5, nodes: 2 } },
    { block: { index: 3, nodes: 3 }, seek: { bytes: 3, padding: 0 } },
    { hash: { index: 3, nodes: 1 }, seek: { bytes: 17, padding: 0 } },
  ];
  let tried = 0;
  for (const request of requests) {
    const proof = await writer.answer(request);
    const reader = new Reader(writer.verifier);
    const start = request.upgrade?.start ?? 13;
    if (start > 0) {
      const short = new Writer();
      short.write(13);
      await fetch(reader, short, { upgrade: { start: 0, length: 13 } });
    }
    assert.ok(await verifyProof(reader.known, proof));
    for (const [what, mutated] of mutations(proof)) {
      tried++;
      const result = await verifyProof(reader.known, mutated).catch((error) => error);
      if (result instanceof Error) {
        assert.ok(result instanceof ProtocolError, `${what}: ${result.stack}`);
        continue;
      }
      assert.match(what, HARMLESS, JSON.stringify(request));
      for (const node of result.tree.nodes) assert.deepEqual(node, writer.nodes.get(node.index), what);
      if (result.block) assert.deepEqual(result.block.value, writer.blocks[result.block.index], what);
      if (result.tree.isUpgrade) assert.deepEqual([...result.tree.roots], writer.tree.roots, what);
    }
  }
  assert.ok(tried > 500, `${tried}`);
});

test("proof: a verifier of another log is not made", () => {
  const manifest = defaultManifest(keyPairOf(1).publicKey);
  assert.throws(() => new Verifier(wasm, pattern(32, 1), manifest), { code: "INVALID_SIGNATURE" });
  assert.ok(new Verifier(wasm, keyPairOf(1).publicKey, manifest).isCompat);
  assert.ok(!new Verifier(wasm, manifestKey(wasm, manifest), manifest).isCompat);
});
