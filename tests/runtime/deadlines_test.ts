/** The heap of deadlines, against a sorted list. */
import assert from "node:assert/strict";
import { type DeadlineEntry, Deadlines } from "../../core/runtime/deadlines.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { test } from "../harness.ts";

interface Named extends DeadlineEntry {
  readonly name: number;
}

function entry(name: number): Named {
  return { name, deadline: Infinity, deadlineIndex: -1, deadlineOrder: 0 };
}

function drain(deadlines: Deadlines<Named>, now: number = Number.MAX_VALUE): number[] {
  const names: number[] = [];
  for (let due = deadlines.popDue(now); due !== undefined; due = deadlines.popDue(now)) names.push(due.name);
  return names;
}

test("deadlines: an empty set is never due", () => {
  const deadlines = new Deadlines<Named>();
  assert.equal(deadlines.next, Infinity);
  assert.equal(deadlines.size, 0);
  assert.equal(deadlines.popDue(Number.MAX_VALUE), undefined);
});

test("deadlines: entries come out in order of time, and not before it", () => {
  const deadlines = new Deadlines<Named>();
  for (const at of [30, 10, 20]) deadlines.set(entry(at), at);
  assert.equal(deadlines.next, 10);
  assert.deepEqual(drain(deadlines, 9), []);
  assert.deepEqual(drain(deadlines, 20), [10, 20]);
  assert.equal(deadlines.size, 1);
});

test("deadlines: of equal deadlines the one set first is due first", () => {
  const deadlines = new Deadlines<Named>();
  const entries = Array.from({ length: 50 }, (_, i) => entry(i));
  for (const one of entries) deadlines.set(one, 5);
  assert.deepEqual(drain(deadlines), entries.map((one) => one.name));
});

test("deadlines: setting an entry again moves it behind its equals", () => {
  const deadlines = new Deadlines<Named>();
  const [a, b] = [entry(0), entry(1)];
  deadlines.set(a, 5);
  deadlines.set(b, 5);
  deadlines.set(a, 5);
  assert.deepEqual(drain(deadlines), [1, 0]);
});

test("deadlines: Infinity takes an entry out, and deleting twice is harmless", () => {
  const deadlines = new Deadlines<Named>();
  const one = entry(1);
  deadlines.set(one, 5);
  deadlines.set(one, Infinity);
  assert.equal(one.deadline, Infinity);
  assert.equal(one.deadlineIndex, -1);
  deadlines.delete(one);
  assert.equal(deadlines.size, 0);
  deadlines.set(one, 7);
  assert.equal(deadlines.next, 7);
});

test("deadlines: ten thousand random operations agree with a sorted list", () => {
  const random = new SeededRandom("deadlines");
  const deadlines = new Deadlines<Named>();
  const entries = Array.from({ length: 64 }, (_, i) => entry(i));
  const model = new Map<Named, { at: number; order: number }>();
  const first = () => [...model].sort(([, x], [, y]) => x.at - y.at || x.order - y.order)[0];
  for (let step = 0; step < 10_000; step++) {
    const one = entries[random.below(entries.length)]!;
    switch (random.below(4)) {
      case 0:
        deadlines.delete(one);
        model.delete(one);
        break;
      case 1: {
        const due = deadlines.popDue(8);
        const expected = first();
        assert.equal(due, expected !== undefined && expected[1].at <= 8 ? expected[0] : undefined);
        if (due !== undefined) model.delete(due);
        break;
      }
      default: {
        const at = random.below(16); // few values, so that ties are common
        deadlines.set(one, at);
        model.set(one, { at, order: step });
      }
    }
    assert.equal(deadlines.size, model.size);
    assert.equal(deadlines.next, first()?.[1].at ?? Infinity);
  }
});
