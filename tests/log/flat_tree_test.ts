/** Flat trees against the reference, and beyond 2^32 against arithmetic that cannot overflow. */
import assert from "node:assert/strict";
import * as flat from "../../core/log/flat_tree.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { test } from "../harness.ts";
import { vectors } from "./support.ts";

test("flat tree: nodes are where the reference has them", () => {
  for (const { index, depth, parent, sibling, children, spans, leaves } of vectors.flatTree.nodes) {
    assert.equal(flat.depth(index), depth, `${index}`);
    assert.equal(flat.parent(index), parent, `${index}`);
    assert.equal(flat.sibling(index), sibling, `${index}`);
    assert.deepEqual([flat.leftSpan(index), flat.rightSpan(index)], spans, `${index}`);
    assert.equal(flat.countLeaves(index), leaves, `${index}`);
    if (children) assert.deepEqual([flat.leftChild(index), flat.rightChild(index)], children, `${index}`);
    assert.ok(flat.isNodeIndex(index));
  }
  for (const { length, roots } of vectors.flatTree.roots) assert.deepEqual(flat.fullRoots(length), roots);
});

/** The node of this depth and offset. */
const nodeAt = (depth: number, offset: bigint) =>
  Number((offset << BigInt(depth + 1)) + (1n << BigInt(depth)) - 1n);

test("flat tree: nodes of any depth are right up to 2^53", () => {
  const random = new SeededRandom("flat tree");
  for (let i = 0; i < 5000; i++) {
    const depth = i % 52;
    const most = 2n ** 52n / 2n ** BigInt(depth + 1);
    const raw = BigInt(random.uint32()) * 2n ** 32n + BigInt(random.uint32());
    const offset = raw % (most < 1n ? 1n : most);
    const index = nodeAt(depth, offset);
    if (!flat.isNodeIndex(index)) continue;
    assert.equal(flat.depth(index), depth);
    assert.equal(flat.isLeft(index), offset % 2n === 0n);
    const first = BigInt(2) * offset * 2n ** BigInt(depth);
    assert.equal(BigInt(flat.leftSpan(index)), first);
    assert.equal(BigInt(flat.rightSpan(index)), first + 2n ** BigInt(depth + 1) - 2n);
    if (depth > 0) {
      assert.equal(flat.leftChild(index), nodeAt(depth - 1, 2n * offset));
      assert.equal(flat.rightChild(index), nodeAt(depth - 1, 2n * offset + 1n));
      assert.equal(flat.parent(flat.leftChild(index)), index);
      assert.equal(flat.parent(flat.rightChild(index)), index);
      assert.equal(flat.sibling(flat.leftChild(index)), flat.rightChild(index));
      assert.equal(flat.sibling(flat.rightChild(index)), flat.leftChild(index));
    }
    assert.ok(flat.contains(index, index) && flat.contains(index, flat.leftSpan(index)));
    assert.ok(!flat.contains(index, flat.rightSpan(index) + 1));
  }
});

test("flat tree: what no log can have is no node, and no length", () => {
  for (const index of [-1, 0.5, NaN, Infinity, 2 ** 53 - 1, 2 ** 53, 2 ** 52 - 1, 2 ** 53 - 2]) {
    assert.equal(flat.isNodeIndex(index), false, `${index}`);
  }
  assert.ok(flat.isNodeIndex(2 ** 53 - 4) && flat.isNodeIndex(2 ** 51 - 1));
  for (const length of [-1, 0.5, NaN, 2 ** 52]) {
    assert.throws(() => flat.fullRoots(length), RangeError);
    assert.throws(() => flat.upgradePath(0, length), RangeError);
  }
  assert.ok(flat.fullRoots(flat.MAX_LOG_LENGTH).length === 52);
  assert.ok(flat.upgradePath(1, flat.MAX_LOG_LENGTH).length <= 104);
});

test("flat tree: an upgrade appends exactly the leaves in between, each complete tree as large as it can be", () => {
  for (let from = 0; from < 40; from++) {
    for (let to = 0; to < 40; to++) {
      const path = flat.upgradePath(from, to);
      const leaves = path.flatMap((index) =>
        Array.from({ length: flat.countLeaves(index) }, (_, i) => flat.leftSpan(index) / 2 + i)
      );
      assert.deepEqual(leaves, Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i));
      for (const index of path) {
        const above = flat.parent(index);
        assert.ok(flat.leftSpan(above) < 2 * from || flat.rightSpan(above) >= 2 * to);
      }
    }
  }
});

test("flat tree: cutting a log invalidates what begins before the cut and ends behind it", () => {
  for (let length = 0; length < 70; length++) {
    const expected: number[] = [];
    for (let index = 0; index < 2 * length; index++) {
      if (flat.leftSpan(index) < 2 * length && flat.rightSpan(index) >= 2 * length) expected.push(index);
    }
    assert.deepEqual(flat.spanningNodes(length).toSorted((a, b) => a - b), expected, `${length}`);
  }
  assert.deepEqual(flat.spanningNodes(4), [7], "a left tree that was full and is below a root that is not");
});
