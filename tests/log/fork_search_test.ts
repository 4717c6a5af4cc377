/** What survives when a log is rewritten, found by asking for hashes. */
import assert from "node:assert/strict";
import { MAX_PROOF_NODES } from "../../core/log/constants.ts";
import { spanningNodes } from "../../core/log/flat_tree.ts";
import { ForkSearch } from "../../core/log/fork_search.ts";
import { verifyFromStart } from "../../core/log/verify_proof.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { pattern, wasm } from "../crypto/support.ts";
import { test } from "../harness.ts";
import { Reader, Writer } from "./signed_log.ts";
import { blockOf, MemoryLog } from "./support.ts";

/** An old log, and a new one of which the first blocks are the same. */
function rewritten(oldLength: number, newLength: number, common: number): { old: MemoryLog; writer: Writer } {
  const writer = new Writer(undefined, 1);
  writer.write(newLength, (index) => index < common ? blockOf(index) : pattern(6, index + 50));
  return { old: MemoryLog.of(oldLength), writer };
}

async function begin(old: MemoryLog, writer: Writer): Promise<ForkSearch> {
  const proof = await writer.answer({ upgrade: { start: 0, length: writer.tree.length } });
  return ForkSearch.begin(wasm, old.reader, old.tree, verifyFromStart(wasm, writer.verifier, proof));
}

test("fork search: whatever two logs have in common is found in as many questions as the tree has levels", async () => {
  const random = new SeededRandom("forks");
  for (let round = 0; round < 150; round++) {
    const below = (bound: number) => random.uint32() % bound;
    const [oldLength, newLength] = [1 + below(60), 1 + below(60)];
    const common = below(Math.min(oldLength, newLength) + 1);
    const { old, writer } = rewritten(oldLength, newLength, common);
    const search = await begin(old, writer);
    let asked = 0;
    for (let question = search.question; question; question = search.question) {
      assert.ok(++asked <= 6, "each question goes down by at least one level");
      const index = 2 * (question.start + below(question.end - question.start));
      assert.ok(await search.update(await writer.answer({ hash: { index, nodes: question.nodes } })));
    }
    const shared = common === oldLength || common === newLength ? common : undefined;
    assert.equal(search.ancestors, shared ?? common, `${oldLength} ${newLength} ${common}`);
    const batch = await search.finish();
    assert.ok(batch);
    assert.equal(batch.ancestors, search.ancestors);
    for (const node of old.nodes.keys()) if (node >= 2 * batch.ancestors) old.nodes.delete(node);
    for (const node of spanningNodes(batch.ancestors)) old.nodes.delete(node);
    old.store(batch);
    assert.deepEqual(old.tree, writer.tree);
    for (const [index, node] of old.nodes) assert.deepEqual(node, writer.nodes.get(index), `${index}`);
  }
});

test("fork search: answers of another log, or to another question, change nothing", async () => {
  const { old, writer } = rewritten(16, 16, 5);
  const other = new Writer(undefined, 1);
  other.write(16, (index) => pattern(7, index + 90));
  const search = await begin(old, writer);
  const { question } = search;
  assert.deepEqual(question, { start: 0, end: 16, nodes: 4 });
  assert.equal(await search.update(await other.answer({ hash: { index: 0, nodes: 4 } })), false);
  assert.equal(await search.update(await writer.answer({ hash: { index: 0, nodes: 3 } })), false);
  assert.equal(await search.update({ fork: 1 }), false);
  assert.deepEqual(search.question, question);
  const bare = await writer.answer({ hash: { index: 15, nodes: 0 } });
  assert.equal(await search.update({ ...bare, hash: { index: 15, nodes: [writer.nodes.get(15)!] } }), false);
  const wrong = { fork: 1, hash: { index: 3, nodes: [] } };
  await assert.rejects(search.update(wrong), { code: "INVALID_OPERATION" });
});

test("fork search: where the old log has holes, less survives, and what is made is right", async () => {
  const { old, writer } = rewritten(32, 32, 20);
  const all = new Map(old.nodes);
  for (const index of [15, 7, 23, 31]) old.nodes.delete(index);
  const search = await begin(old, writer);
  for (let question = search.question; question; question = search.question) {
    await search.update(
      await writer.answer({ hash: { index: 2 * question.end - 2, nodes: question.nodes } }),
    );
  }
  assert.ok(search.ancestors < 20);
  const batch = await search.finish();
  if (batch) assert.deepEqual([...batch.roots], writer.tree.roots);
  assert.ok(all.size > old.nodes.size);
});

test("fork search: a log that is fetched anew has nothing in common and needs no questions", async () => {
  const writer = new Writer(undefined, 3);
  writer.write(9);
  const reader = new Reader(writer.verifier);
  const search = await begin(reader, writer);
  assert.equal(search.question, undefined);
  assert.equal(search.ancestors, 0);
  assert.deepEqual([...(await search.finish())!.roots], writer.tree.roots);
});

test("fork search: a peer that answers with more nodes than a way down has is refused", async () => {
  const { old, writer } = rewritten(16, 16, 5);
  const search = await begin(old, writer);
  const node = writer.nodes.get(0)!;
  const nodes = new Array(MAX_PROOF_NODES + 1).fill(node);
  await assert.rejects(search.update({ fork: 1, hash: { index: 0, nodes } }), { code: "INVALID_OPERATION" });
});
