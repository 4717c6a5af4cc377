/** The sending queue. */
import assert from "node:assert/strict";
import { Slab } from "../../../encoding/bytes.ts";
import { DATA, END, HEADER_BYTES, MAX_SEQ_AHEAD } from "../../../transports/udx/constants.ts";
import type { Path } from "../../../transports/udx/path.ts";
import { SendQueue, type SentPacket } from "../../../transports/udx/send_queue.ts";
import { test } from "../../harness.ts";
import { bytes, PEER } from "./support.ts";

const path: Path = { socket: {}, address: PEER, remoteId: 7 };

function send(queue: SendQueue, capacity: number, padding = 0): SentPacket {
  const packet = queue.pack(capacity, padding, path);
  queue.markSent(packet, 0);
  return packet;
}

function payload(packet: SentPacket): Uint8Array {
  return packet.buffer.subarray(HEADER_BYTES + packet.padding);
}

test("U21 small writes merge into one packet, large ones are split", () => {
  const queue = new SendQueue(0, new Slab());
  const data = bytes(2500);
  for (const [start, end] of [[0, 10], [10, 20], [20, 20], [20, 2500]]) queue.write(data.slice(start, end));
  assert.equal(queue.unsentBytes, 2500);
  const packets = [send(queue, 1000), send(queue, 1000), send(queue, 1000)];
  assert.deepEqual(packets.map((packet) => packet.payloadBytes), [1000, 1000, 500]);
  assert.deepEqual(packets.map((packet) => packet.seq), [0, 1, 2]);
  assert.deepEqual(packets.map(payload), [
    data.subarray(0, 1000),
    data.subarray(1000, 2000),
    data.subarray(2000),
  ]);
  assert.deepEqual([queue.hasUnsent, queue.outstandingBytes, queue.writtenOffset], [false, 2500, 2500]);
});

test("what is written before a cut shares no packet with what comes behind it", () => {
  const queue = new SendQueue(0, new Slab());
  queue.write(bytes(59));
  queue.cut();
  queue.write(bytes(20));
  queue.writeEnd();
  const packets = [send(queue, 1000), send(queue, 1000)];
  assert.deepEqual(packets.map(({ payloadBytes, type }) => [payloadBytes, type]), [[59, DATA], [
    20,
    DATA | END,
  ]]);
  assert.equal(queue.hasUnsent, false);
});

test("U16 the end rides on the last packet, or alone when there is no data", () => {
  const queue = new SendQueue(0, new Slab());
  queue.write(bytes(15));
  queue.writeEnd();
  assert.deepEqual([send(queue, 10).type, send(queue, 10).type], [DATA, DATA | END]);
  assert(!queue.hasUnsent);
  queue.advance();
  assert.equal(queue.end, "sent");
  queue.advance();
  assert.deepEqual([queue.end, queue.isIdle], ["acked", true]);
  const empty = new SendQueue(0, new Slab());
  empty.writeEnd();
  assert.equal(send(empty, 10).type, END);
});

test("acknowledgements out of order are counted until those in order catch up", () => {
  const queue = new SendQueue(0xfffffffe, new Slab());
  queue.write(bytes(40));
  const packets = [send(queue, 10), send(queue, 10), send(queue, 10), send(queue, 10)];
  queue.markAcked(packets[2]!, false);
  queue.markLost(packets[0]!);
  assert.deepEqual([queue.sackedCount, queue.inFlight.size, queue.lost.size], [1, 2, 1]);
  queue.markAcked(packets[0]!, true);
  queue.advance();
  queue.markAcked(packets[1]!, true);
  queue.advance();
  queue.advance();
  assert.deepEqual([queue.sackedCount, queue.inFlight.size, queue.lost.size], [0, 1, 0]);
  assert.deepEqual([queue.firstUnacked, queue.ackedOffset, queue.outstandingBytes], [1, 30, 10]);
  assert.equal(queue.get(0), undefined);
  assert.equal(queue.get(1), packets[3]);
  assert.equal(queue.get(2), undefined);
});

test("U14 a probe that is lost becomes an ordinary packet in place", () => {
  const queue = new SendQueue(0, new Slab());
  queue.write(bytes(100));
  const packet = send(queue, 100, 32);
  packet.buffer[3] = 32;
  assert.equal(packet.buffer.length, HEADER_BYTES + 132);
  assert.deepEqual(packet.buffer.slice(HEADER_BYTES, HEADER_BYTES + 32), new Uint8Array(32));
  queue.markLost(packet);
  assert.deepEqual([packet.buffer.length, packet.buffer[3], packet.padding], [HEADER_BYTES + 100, 0, 0]);
  assert.deepEqual(payload(packet), bytes(100));
});

test("U13 no more packets are out than a peer looks at, whatever it acknowledges out of order", () => {
  const queue = new SendQueue(0, new Slab());
  queue.write(bytes(MAX_SEQ_AHEAD));
  while (!queue.isFull) {
    const packet = send(queue, 1);
    if (packet.seq > 0) queue.markAcked(packet, false);
  }
  assert.deepEqual([queue.nextSeq, queue.inFlight.size], [MAX_SEQ_AHEAD, 1]);
});

test("a queue of many tiny chunks keeps its order and gives its memory back", () => {
  const queue = new SendQueue(0, new Slab());
  for (let i = 0; i < 5000; i++) queue.write(Uint8Array.of(i & 0xff));
  for (let i = 0; i < 50; i++) {
    const packet = send(queue, 100);
    assert.deepEqual(payload(packet), Uint8Array.from({ length: 100 }, (_, j) => (i * 100 + j) & 0xff));
  }
  queue.clear();
  assert.deepEqual([queue.isIdle, queue.outstandingBytes, queue.writtenOffset], [true, 0, 5000]);
});
