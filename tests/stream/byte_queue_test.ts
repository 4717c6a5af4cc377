import assert from "node:assert/strict";
import { ByteQueue } from "../../core/stream/byte_queue.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { test } from "../harness.ts";

test("byte queue: chunks come out in order and unchanged", () => {
  const queue = new ByteQueue(1_000_000);
  const random = new SeededRandom("queue");
  const model: Uint8Array[] = [];
  for (let step = 0; step < 5000; step++) {
    if (random.chance(11, 20)) {
      const chunk = random.fill(new Uint8Array(random.below(50)));
      queue.push(chunk);
      model.push(chunk);
    } else {
      assert.equal(queue.shift(), model.shift());
    }
    assert.equal(queue.length, model.length);
    assert.equal(queue.weight, model.reduce((sum, chunk) => sum + chunk.length + 128, 0));
  }
});

test("byte queue: push says when it is full, and keeps the chunk that filled it", () => {
  const queue = new ByteQueue(1000);
  assert.equal(queue.push(new Uint8Array(500)), true);
  assert.equal(queue.push(new Uint8Array(500)), false);
  assert.equal(queue.isFull, true);
  assert.equal(queue.length, 2);
  queue.shift();
  assert.equal(queue.isFull, false);
  assert.equal(queue.isHalfEmpty, false);
  queue.shift();
  assert.equal(queue.isHalfEmpty, true);
  assert.equal(queue.shift(), undefined);
});

test("byte queue: a flood of empty chunks fills it too", () => {
  const queue = new ByteQueue(65536);
  let count = 0;
  while (queue.push(new Uint8Array(0))) count++;
  assert.ok(count < 512, `${count} empty chunks`);
});

test("byte queue: clear drops everything", () => {
  const queue = new ByteQueue(1000);
  queue.push(new Uint8Array(5));
  queue.clear();
  assert.equal(queue.length, 0);
  assert.equal(queue.weight, 0);
  assert.equal(queue.shift(), undefined);
});
