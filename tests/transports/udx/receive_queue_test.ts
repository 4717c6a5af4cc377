/** Reassembly, against a list, and its bounds. */
import assert from "node:assert/strict";
import { SeededRandom } from "../../../core/runtime/virtual.ts";
import { concat } from "../../../encoding/bytes.ts";
import {
  DATA,
  END,
  HEADER_BYTES,
  MAX_SACK_RANGES,
  MAX_SEQ_AHEAD,
} from "../../../transports/udx/constants.ts";
import { readRangeEnd, readRangeStart } from "../../../transports/udx/packet.ts";
import { ReceiveQueue } from "../../../transports/udx/receive_queue.ts";
import { test } from "../../harness.ts";
import { bytes } from "./support.ts";

function takeAll(queue: ReceiveQueue): Uint8Array {
  const chunks: Uint8Array[] = [];
  for (let chunk = queue.take(); chunk !== undefined; chunk = queue.take()) chunks.push(chunk.slice());
  return concat(chunks);
}

function rangesOf(queue: ReceiveQueue): [number, number][] {
  const packet = new Uint8Array(HEADER_BYTES + 8 * MAX_SACK_RANGES);
  const end = queue.writeRanges(packet, HEADER_BYTES);
  const ranges: [number, number][] = [];
  for (let at = HEADER_BYTES; at < end; at += 8) {
    ranges.push([readRangeStart(packet, at), readRangeEnd(packet, at)]);
  }
  return ranges;
}

test("U4 packets in any order, some twice, come out once and in order, across the wrap of the numbers", () => {
  const random = new SeededRandom(2);
  for (let round = 0; round < 30; round++) {
    const first = 2 ** 32 - random.below(200);
    const count = 300;
    const payloads = Array.from({ length: count }, (_, i) => bytes(1 + random.below(40), i));
    const order = payloads.flatMap((_, i) => random.chance(1, 5) ? [i, i] : [i]);
    for (let i = order.length - 1; i > 0; i--) {
      const j = Math.max(0, i - random.below(30));
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    const queue = new ReceiveQueue(first, 1 << 20);
    const got: Uint8Array[] = [];
    const seen = new Set<number>();
    const scratch = new Uint8Array(64);
    for (const index of order) {
      const payload = scratch.subarray(0, payloads[index]!.length);
      payload.set(payloads[index]!);
      const type = index === count - 1 ? DATA | END : DATA;
      const reception = queue.receive((first + index) >>> 0, type, payload);
      assert.equal(reception, seen.has(index) ? "duplicate" : "taken");
      seen.add(index);
      if (random.chance(1, 2)) got.push(takeAll(queue));
      queue.settle();
      scratch.fill(0xee);
    }
    got.push(takeAll(queue));
    assert.deepEqual(concat(got), concat(payloads));
    assert(queue.hasEnded && !queue.hasGaps && queue.readyBytes === 0);
  }
});

test("U5 the ranges tell exactly what waits out of order", () => {
  const random = new SeededRandom(3);
  const queue = new ReceiveQueue(0, 1 << 20);
  const waiting = new Set<number>();
  while (waiting.size < 60) {
    const seq = 1 + random.below(100);
    assert.equal(queue.receive(seq, DATA, bytes(1)), waiting.has(seq) ? "duplicate" : "taken");
    waiting.add(seq);
    const told = new Set<number>();
    let end = 0;
    for (const [start, stop] of rangesOf(queue)) {
      assert(start > end && stop > start, "ascending, apart, not empty");
      for (let i = start; i < stop; i++) told.add(i);
      end = stop;
    }
    assert.deepEqual(told, waiting);
  }
});

test("U5 with more gaps than fit, fifty ranges are told, the newest of them last", () => {
  const queue = new ReceiveQueue(0, 1 << 20);
  for (let i = 0; i < 80; i++) queue.receive(2 + 2 * i, DATA, bytes(1));
  let ranges = rangesOf(queue);
  assert.equal(ranges.length, 50);
  assert.deepEqual([ranges[0], ranges[48], ranges[49]], [[2, 3], [98, 99], [160, 161]]);
  queue.receive(121, DATA, bytes(1));
  ranges = rangesOf(queue);
  assert.deepEqual(ranges[49], [120, 123]);
});

test("U13 what lies too far ahead, behind the end, or beyond the window is dropped", () => {
  const queue = new ReceiveQueue(10, 10_000);
  assert.equal(queue.receive(10 + MAX_SEQ_AHEAD, DATA, bytes(1)), "dropped");
  assert.equal(queue.receive(9, DATA, bytes(1)), "duplicate");
  assert.equal(queue.receive(12, DATA | END, bytes(1)), "taken");
  assert.equal(queue.receive(13, DATA, bytes(1)), "dropped");
  assert.equal(queue.receive(11, DATA, bytes(10_000)), "dropped");
  assert.equal(queue.receive(10, DATA, bytes(1)), "taken");
  assert.equal(queue.receive(11, DATA, bytes(1)), "taken");
  assert(queue.hasEnded);
  assert.equal(queue.receive(13, DATA, bytes(1)), "dropped");
  const other = new ReceiveQueue(0, 10_000);
  other.receive(5, DATA, bytes(1));
  assert.equal(other.receive(3, END, bytes(0)), "dropped", "an end before what is here");
});

test("U13 a flood of tiny packets out of order fills the room as large ones would", () => {
  const queue = new ReceiveQueue(0, 1 << 20);
  let taken = 0;
  // Every second packet, from the far end: each is a range of its own, in front of all others.
  for (let seq = 60_000; seq > 0; seq -= 2) if (queue.receive(seq, DATA, bytes(1)) === "taken") taken++;
  assert(taken < (1 << 20) / 256, `${taken} packets are kept`);
});

test("U13 what nobody reads is bounded by twice the window, also when it comes byte by byte", () => {
  const window = 65_536;
  const queue = new ReceiveQueue(0, window);
  const random = new SeededRandom(4);
  let peak = 0;
  for (let i = 0; i < 1_000_000 && queue.nextSeq < 3 * window; i++) {
    queue.receive(queue.nextSeq + random.below(3), DATA, bytes(1));
    queue.settle();
    peak = Math.max(peak, queue.readyBytes);
  }
  assert(peak <= 2 * window);
  assert.equal(queue.receive(queue.nextSeq, DATA, bytes(1)), "dropped");
  assert.equal(takeAll(queue).length, peak);
  assert.equal(queue.receive(queue.nextSeq, DATA, bytes(1)), "taken");
});

test("U12 the window is what is free, and none at all when it is too small for the reference", () => {
  const queue = new ReceiveQueue(0, 10_000);
  assert.equal(queue.window, 10_000);
  queue.receive(0, DATA, bytes(5_000));
  queue.settle();
  assert.equal(queue.window, 5_000);
  queue.receive(1, DATA, bytes(1_000));
  assert.equal(queue.window, 0);
  takeAll(queue);
  assert.equal(queue.window, 10_000);
});
