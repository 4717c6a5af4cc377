/** Bitfields, against the reference and against a plain set of numbers. */
import assert from "node:assert/strict";
import { blake2b } from "../../core/crypto/hash.ts";
import { Bitfield } from "../../core/log/bitfield.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { hex, wasm } from "../crypto/support.ts";
import { test } from "../harness.ts";
import { vectors } from "./support.ts";

test("bitfield: the same steps have the reference's answers and pages", () => {
  const bits = new Bitfield();
  const { steps, queries, pages } = vectors.bitfield;
  for (const [start, end, value] of steps) bits.setRange(start, end, value);
  for (const [at, get, firstSet, firstUnset, lastSet, lastUnset] of queries) {
    assert.equal(bits.get(at), get, `${at}`);
    assert.equal(bits.firstSet(at), firstSet, `${at}`);
    assert.equal(bits.firstUnset(at), firstUnset, `${at}`);
    assert.equal(bits.lastSet(at), lastSet, `${at}`);
    assert.equal(bits.lastUnset(at), lastUnset, `${at}`);
  }
  pages.forEach((hash, i) => {
    assert.equal(hex(blake2b(wasm, [bits.page(i) ?? new Uint8Array(4096)])), hash, `page ${i}`);
  });
});

/** Answers as a list of booleans gives them, where `offset` is added to all numbers. */
function assertLike(bits: Bitfield, model: readonly boolean[], offset: number, at: number): void {
  const local = at - offset;
  const find = (value: boolean) => model.findIndex((bit, i) => i >= local && bit === value);
  const findLast = (value: boolean) => model.findLastIndex((bit, i) => i <= local && bit === value);
  const orNone = (found: number) => found === -1 ? -1 : offset + found;
  assert.equal(bits.get(at), model[local]);
  assert.equal(bits.firstSet(at), orNone(find(true)));
  assert.equal(bits.lastSet(at), orNone(findLast(true)));
  const firstUnset = find(false);
  assert.equal(bits.firstUnset(at), offset + (firstUnset === -1 ? model.length : firstUnset));
  const lastUnset = findLast(false);
  assert.equal(bits.lastUnset(at), lastUnset === -1 ? offset - 1 : offset + lastUnset);
}

for (const offset of [0, 2 ** 45]) {
  test(`bitfield: from ${offset}, anything that is set and unset is counted and found`, () => {
    for (let round = 0; round < 3; round++) {
      const random = new SeededRandom(`bitfield ${offset} ${round}`);
      const below = (bound: number) => random.uint32() % bound;
      const size = 4 * 32768;
      const model = new Array<boolean>(size).fill(false);
      let bits = new Bitfield();
      for (let step = 0; step < 60; step++) {
        const isAligned = below(3) === 0;
        const start = isAligned ? below(4) * 32768 : below(size);
        const end = isAligned
          ? start + (1 + below(4 - start / 32768)) * 32768
          : start + below(Math.min(size - start, 20000));
        const value = below(2) === 0;
        bits.setRange(offset + start, offset + end, value);
        model.fill(value, start, end);
        if (step % 20 === 19) bits = copyOf(bits);
        assertLike(bits, model, offset, offset + below(size));
        const [from, to] = [below(size), below(size)];
        const expected = model.slice(from, Math.max(from, to)).filter(Boolean).length;
        assert.equal(bits.count(offset + from, offset + Math.max(from, to)), expected);
        assert.ok(bits.entryCount <= 5);
      }
    }
  });
}

/** The same bits by way of pages. */
function copyOf(bits: Bitfield): Bitfield {
  const copy = new Bitfield();
  for (const [first, end] of bits.pages()) {
    for (let page = first; page < end; page++) copy.setPage(page, bits.page(page)!);
  }
  return copy;
}

test("bitfield: a complete log of any length is one entry, and stays it", () => {
  const bits = new Bitfield();
  bits.setRange(0, 2 ** 52 - 1, true);
  assert.ok(bits.entryCount <= 2);
  assert.equal(bits.count(0, 2 ** 52 - 1), 2 ** 52 - 1);
  assert.equal(bits.firstUnset(0), 2 ** 52 - 1);
  for (const at of [2 ** 33, 2 ** 40 + 1, 5]) assert.equal(bits.set(at, false), true);
  assert.ok(bits.entryCount <= 8);
  assert.equal(bits.firstUnset(6), 2 ** 33);
  assert.equal(bits.lastUnset(2 ** 41), 2 ** 40 + 1);
  for (const at of [2 ** 33, 2 ** 40 + 1, 5]) assert.equal(bits.set(at, true), true);
  assert.ok(bits.entryCount <= 2);

  const grown = new Bitfield();
  for (let i = 0; i < 100_000; i++) assert.equal(grown.set(i, true), true);
  assert.equal(grown.set(5, true), false);
  assert.equal(grown.entryCount, 2);
  assert.deepEqual([...grown.pages()], [[0, 3], [3, 4]]);
});

test("bitfield: an empty one has nothing, and what is unset again takes no memory", () => {
  const bits = new Bitfield();
  assert.deepEqual([bits.firstSet(0), bits.lastSet(100), bits.firstUnset(7), bits.lastUnset(7)], [
    -1,
    -1,
    7,
    7,
  ]);
  assert.equal(bits.page(0), undefined);
  for (let i = 0; i < 20; i++) bits.set(i * 10 ** 9, true);
  assert.equal(bits.entryCount, 20);
  for (let i = 0; i < 20; i++) bits.set(i * 10 ** 9, false);
  assert.equal(bits.entryCount, 0);
});

test("bitfield: numbers that no log has are refused", () => {
  const bits = new Bitfield();
  for (const [start, end] of [[-1, 1], [0, 2 ** 52], [5, 4], [0.5, 1], [0, NaN]] as const) {
    assert.throws(() => bits.setRange(start, end, true), RangeError);
  }
  assert.throws(() => bits.setPage(-1, new Uint8Array(1)), RangeError);
  assert.throws(() => bits.setPage(2 ** 37, new Uint8Array(1)), RangeError);
  assert.throws(() => bits.setPage(0, new Uint8Array(4097)), RangeError);
});
