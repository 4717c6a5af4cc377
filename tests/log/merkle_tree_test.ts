/** Trees, cuts, offsets and seeks, against the reference where it has them. */
import assert from "node:assert/strict";
import { spanningNodes } from "../../core/log/flat_tree.ts";
import {
  byteOffset,
  EMPTY_TREE,
  missingNodes,
  rootsOf,
  seekByte,
  TreeBatch,
  truncateTree,
} from "../../core/log/merkle_tree.ts";
import { concat } from "../../encoding/bytes.ts";
import { hex, pattern, testEach, wasm } from "../crypto/support.ts";
import { test } from "../harness.ts";
import { blockOf, MemoryLog, nodeOf, slowReader, vectors } from "./support.ts";

testEach("trees grow block by block and in batches to the reference's roots and hashes", (crypto) => {
  const batch = new TreeBatch(crypto, EMPTY_TREE);
  for (const { base, length, byteLength, hash, roots, added } of vectors.trees) {
    const isLarge = base !== undefined;
    const start = isLarge
      ? {
        ...EMPTY_TREE,
        ...base,
        roots: [{ index: 2 ** 32 - 1, size: base.byteLength, hash: pattern(32, base.n) }],
      }
      : { ...EMPTY_TREE };
    const one = isLarge ? new TreeBatch(crypto, start) : batch.extend();
    for (let i = 0; i < (isLarge ? 3 : 1); i++) one.append(blockOf(isLarge ? i : length - 1));
    assert.deepEqual(one.nodes.map(({ index }) => index), added);
    if (!isLarge) batch.append(blockOf(length - 1));
    for (const tree of isLarge ? [one] : [one, batch]) {
      assert.equal(tree.length, length);
      assert.equal(tree.byteLength, byteLength);
      assert.equal(hex(tree.hash()), hash);
      assert.deepEqual([...tree.roots], roots.map(nodeOf));
    }
  }
});

test("tree: a node that does not follow is refused, and so are more bytes than a number holds", () => {
  const batch = new TreeBatch(wasm, EMPTY_TREE);
  batch.append(blockOf(1));
  const hash = pattern(32, 1);
  for (const index of [0, 1, 4, 3, 2 ** 52]) {
    assert.throws(() => batch.appendNode({ index, size: 1, hash }), { code: "INVALID_OPERATION" });
  }
  assert.throws(() => batch.appendNode({ index: 2, size: 2 ** 53 - 1, hash }), { code: "INVALID_OPERATION" });
  assert.equal(batch.length, 1);
});

test("tree: a cut log is what it was, and what it grows to afterwards as well", async () => {
  for (const length of [1, 2, 7, 8, 21, 32, 33]) {
    for (const cut of [0, 1, 4, 7, 8, 16, 20].filter((cut) => cut <= length)) {
      const log = MemoryLog.of(length);
      const batch = await truncateTree(wasm, slowReader(log), log.tree, cut);
      assert.ok(batch);
      assert.equal(batch.fork, 1);
      assert.equal(batch.ancestors, cut);
      const was = MemoryLog.of(cut);
      assert.deepEqual([...batch.roots], [...was.tree.roots]);
      assert.equal(batch.byteLength, was.tree.byteLength);
      for (const index of log.nodes.keys()) if (index >= 2 * cut) log.nodes.delete(index);
      for (const index of spanningNodes(cut)) log.nodes.delete(index);
      assert.deepEqual(
        [...log.nodes.keys()].toSorted(),
        [...was.nodes.keys()].toSorted(),
        "no node too many",
      );
      log.store(batch);
      log.append([pattern(3, 9)]);
      was.append([pattern(3, 9)]);
      assert.deepEqual(log.tree, { ...was.tree, fork: 1 });
      assert.deepEqual(await rootsOf(log.reader, log.tree, cut), [...batch.roots]);
    }
  }
});

test("tree: a log cannot be cut to more than it has, nor where a root is missing", async () => {
  const log = MemoryLog.of(7);
  await assert.rejects(truncateTree(wasm, log.reader, log.tree, 8), RangeError);
  await assert.rejects(truncateTree(wasm, log.reader, log.tree, -1), RangeError);
  log.nodes.delete(1);
  assert.equal(await truncateTree(wasm, log.reader, log.tree, 3), undefined);
});

test("tree: each node begins where the blocks before it end", async () => {
  const log = MemoryLog.of(27);
  const starts = Array.from(
    { length: 28 },
    (_, i) => concat(Array.from({ length: i }, (_, j) => blockOf(j))).length,
  );
  for (let i = 0; i <= 27; i++) assert.equal(await byteOffset(slowReader(log), log.tree, 2 * i), starts[i]);
  assert.equal(await byteOffset(log.reader, log.tree, 11), starts[4]);
  await assert.rejects(byteOffset(log.reader, log.tree, 56), RangeError);
  log.nodes.delete(3);
  assert.equal(await byteOffset(log.reader, log.tree, 16), starts[8], "the root of it is known");
  log.nodes.delete(7);
  assert.equal(await byteOffset(log.reader, log.tree, 16), undefined);
});

test("tree: bytes are found where the reference finds them, with and without padding", async () => {
  const plain = MemoryLog.of(27);
  const padded = MemoryLog.of(27, 0, (i) => concat([new Uint8Array(8), blockOf(i)]));
  for (const [log, list, padding] of [[plain, vectors.seeks, 0], [padded, vectors.paddedSeeks, 8]] as const) {
    assert.ok(list.length > 50);
    for (const { bytes, found } of list) {
      const result = await seekByte(slowReader(log), log.tree, bytes, padding);
      const expected = found && { isFound: true, block: found[0], offset: found[1] };
      assert.deepEqual(result ?? null, expected, `byte ${bytes}`);
    }
  }
});

test("tree: without the nodes a seek says below which node it stands", async () => {
  const log = MemoryLog.of(27);
  const whole = await seekByte(log.reader, log.tree, 50);
  log.nodes.clear();
  assert.deepEqual(await seekByte(log.reader, log.tree, 50), { isFound: false, node: 15, offset: 50 });
  assert.deepEqual(await seekByte(log.reader, log.tree, 0), { isFound: true, block: 0, offset: 0 });
  assert.ok(whole?.isFound);
});

test("tree: what is missing above a block is counted up to what is there, or to the root", async () => {
  const log = MemoryLog.of(27);
  assert.equal(await missingNodes(log.reader, log.tree, 8), 0);
  log.nodes.delete(8);
  assert.equal(await missingNodes(slowReader(log), log.tree, 8), 1);
  for (const index of [9, 11, 7]) log.nodes.delete(index);
  assert.equal(await missingNodes(log.reader, log.tree, 8), 4);
  log.nodes.clear();
  assert.equal(await missingNodes(log.reader, log.tree, 8), 5);
  assert.equal(await missingNodes(log.reader, log.tree, 54), 0, "behind the end");
});
