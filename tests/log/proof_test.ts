/** Proofs as both generations of the reference make them, byte for byte. */
import assert from "node:assert/strict";
import { concat } from "../../encoding/bytes.ts";
import { decodeExact, encode } from "../../encoding/codec.ts";
import { makeProof, type Proof, type ProofRequest, type SignedTree } from "../../core/log/proof.ts";
import { logData, type LogRequest, logRequest } from "../../core/log/proof_messages.ts";
import { ProtocolError } from "../../core/runtime/errors.ts";
import { hex, pattern, unhex } from "../crypto/support.ts";
import { test } from "../harness.ts";
import { blockOf, MemoryLog, slowReader, vectors } from "./support.ts";
import { withValue } from "./signed_log.ts";

for (const [how, readerOf] of [["at once", (log: MemoryLog) => log.reader], ["later", slowReader]] as const) {
  test(`proof: with nodes that come ${how}, every request has the reference's answer, or none`, async () => {
    let answered = 0;
    for (const { length, fork, padding, prologue, request, data } of vectors.proofs) {
      const block = (index: number) => concat([new Uint8Array(padding), blockOf(index)]);
      const log = MemoryLog.of(length, fork, block);
      const of = prologue > 0 ? { length: prologue, hash: pattern(32, 1) } : undefined;
      const tree: SignedTree = { ...log.tree, signature: pattern(64, 1), prologue: of };
      const what = JSON.stringify({ length, request });
      const answer = makeProof(readerOf(log), tree, request);
      if (data === null) {
        await assert.rejects(answer, { name: "ProtocolError", code: "INVALID_OPERATION" }, what);
        continue;
      }
      const proof = await answer;
      assert.ok(proof, what);
      const message = { request: 7, ...withValue(proof, block) };
      assert.equal(hex(encode(logData, message)), data, what);
      assert.equal(hex(encode(logData, decodeExact(logData, unhex(data)))), data, what);
      answered++;
    }
    assert.ok(answered > 250 && answered < vectors.proofs.length);
  });
}

test("proof: requests are the reference's bytes", () => {
  for (const { value, bytes } of vectors.requests) {
    assert.equal(hex(encode(logRequest, value as unknown as LogRequest)), bytes);
    const read = decodeExact(logRequest, unhex(bytes));
    const given = Object.fromEntries(Object.entries(read).filter(([, field]) => field !== undefined));
    assert.deepEqual(given, value);
  }
});

test("proof: a log with holes has no answer where nodes are missing, and the others stay", async () => {
  const log = MemoryLog.of(16);
  log.nodes.delete(11);
  const ask = (request: ProofRequest) => makeProof(log.reader, log.tree, request);
  assert.equal(await ask({ block: { index: 1, nodes: 3 } }), undefined);
  assert.ok(await ask({ block: { index: 1, nodes: 2 } }));
  assert.ok(await ask({ upgrade: { start: 0, length: 16 } }));
  assert.equal(await ask({ upgrade: { start: 4, length: 12 } }), undefined);
  assert.equal(await ask({ hash: { index: 11, nodes: 0 }, seek: { bytes: 1, padding: 0 } }), undefined);
});

test("proof: requests that no log can answer are errors of the peer, however large their numbers", async () => {
  const log = MemoryLog.of(13);
  const huge = 2 ** 53 - 1;
  const requests: ProofRequest[] = [
    { block: { index: huge, nodes: 0 } },
    { block: { index: 2 ** 52 - 2, nodes: huge } },
    { block: { index: 13, nodes: 0 } },
    { block: { index: 0, nodes: huge } },
    { hash: { index: huge, nodes: 0 } },
    { hash: { index: 2 ** 53 - 2, nodes: huge } },
    { hash: { index: 15, nodes: 0 } },
    { upgrade: { start: 0, length: huge } },
    { upgrade: { start: huge, length: huge } },
    { upgrade: { start: 13, length: 0 } },
    { upgrade: { start: 12, length: 2 } },
    { block: { index: 12, nodes: 0 }, upgrade: { start: 0, length: 12 } },
    { hash: { index: 7, nodes: 0 }, upgrade: { start: 3, length: 9 } },
    { hash: { index: 3, nodes: 0 }, seek: { bytes: huge, padding: huge } },
    { hash: { index: 3, nodes: 0 }, seek: { bytes: 10 ** 6, padding: 0 } },
    { block: { index: 3, nodes: 0 }, seek: { bytes: 1, padding: 0 }, upgrade: { start: 1, length: 12 } },
  ];
  for (const request of requests) {
    const error = await makeProof(log.reader, log.tree, request).then(() => undefined, (thrown) => thrown);
    assert.ok(error instanceof ProtocolError, JSON.stringify(request));
    assert.equal(error.code, "INVALID_OPERATION");
  }
  await assert.rejects(makeProof(log.reader, new MemoryLog().tree, {}), { code: "INVALID_OPERATION" });
});

test("proof: lists of more nodes than a tree can have levels are not decoded", () => {
  const node = { index: 1, size: 1, hash: pattern(32, 1) };
  const proof: Proof = { fork: 0, hash: { index: 1, nodes: new Array(129).fill(node) } };
  const bytes = encode(logData, { request: 1, ...proof });
  assert.throws(() => decodeExact(logData, bytes), { name: "DecodeError" });
});
