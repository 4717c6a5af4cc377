/** Loss detection: RACK-TLP. */
import assert from "node:assert/strict";
import { Slab } from "../../../encoding/bytes.ts";
import { MAX_BACKOFF_MS } from "../../../transports/udx/constants.ts";
import { LossDetector } from "../../../transports/udx/loss.ts";
import { RttEstimator } from "../../../transports/udx/rtt.ts";
import { SendQueue, type SentPacket } from "../../../transports/udx/send_queue.ts";
import { test } from "../../harness.ts";
import { bytes, PEER } from "./support.ts";

/** A queue with `count` packets that were sent one each millisecond from 0 on, on a path of 40 ms. */
function flight(count: number, padding = 0) {
  const queue = new SendQueue(0, new Slab());
  const rtt = new RttEstimator();
  rtt.sample(0, 40);
  const loss = new LossDetector(queue, rtt);
  const path = { socket: {}, address: PEER, remoteId: 1 };
  queue.write(bytes(count));
  const packets: SentPacket[] = [];
  for (let i = 0; i < count; i++) {
    const packet = queue.pack(1, padding, path);
    queue.markSent(packet, i);
    packets.push(packet);
  }
  const ack = (now: number, ...seqs: number[]) => {
    for (const seq of seqs) {
      const packet = packets[seq]!;
      loss.onAcked(packet, now - packet.sentAt);
      queue.markAcked(packet, seq === queue.firstUnacked);
      if (seq === queue.firstUnacked) queue.advance();
    }
    return loss.detect(now);
  };
  return { queue, rtt, loss, packets, ack };
}

test("U8 a packet is lost when one that was sent later has arrived and reordering no longer explains it", () => {
  const { ack, queue } = flight(4);
  // Packet 2 arrives: 0 and 1 may still be under way, for a quarter of the shortest round trip.
  let found = ack(42, 2);
  assert.deepEqual([found.count, found.nextCheckAt], [0, 50]);
  found = ack(50);
  assert.deepEqual([found.count, found.nextCheckAt], [1, 51]);
  assert.deepEqual([queue.lost.size, queue.lost.first!.seq], [1, 0]);
  assert.equal(ack(51).count, 1);
  assert.equal(queue.inFlight.first!.seq, 3, "what was sent after it is not judged");
});

test("U8 three packets out of order end the patience, unless reordering was seen", () => {
  const { ack } = flight(8);
  assert.equal(ack(43, 3).count, 0);
  assert.equal(ack(44, 4).count, 0);
  assert.equal(ack(45, 5).count, 3);
  const patient = flight(8);
  patient.ack(42, 2);
  patient.ack(43, 1);
  assert.equal(patient.ack(45, 4, 5, 6).count, 0, "a packet that was late is reordering");
});

test("U8 lost probes of the MTU are counted apart, so that they alone start no recovery", () => {
  const { ack, packets } = flight(5, 32);
  ack(44, 4);
  const found = ack(60);
  assert.deepEqual([found.count, found.probes], [4, 4]);
  assert.equal(packets[0]!.padding, 0, "it is sent again without padding");
});

test("U8 the answer to the original after a retransmission tells nothing about the retransmission", () => {
  const { ack, queue, packets } = flight(3);
  ack(42, 2);
  assert.equal(ack(60).count, 2);
  queue.markSent(packets[0]!, 61);
  queue.markSent(packets[1]!, 62);
  ack(63, 0);
  assert.equal(
    ack(1000).count,
    0,
    "answered within less than the shortest round trip: it was not lost at all",
  );
});

test("U8 a probe waits two round trips, not longer than the timeout, and only while nothing is wrong", () => {
  const { loss, ack, rtt } = flight(5);
  assert.equal(loss.probeTimeout, 80);
  ack(41, 3);
  assert.equal(loss.probeTimeout, Infinity, "not with packets out of order");
  const lone = flight(1);
  assert.equal(lone.loss.probeTimeout, 82, "a lone packet may be answered late");
  lone.loss.onProbeSent(lone.packets[0]!);
  assert.equal(lone.loss.probeTimeout, Infinity, "not before the last one is answered");
  lone.loss.onProbeAcked(1);
  assert.equal(lone.loss.probeTimeout, 82);
  const queue = new SendQueue(0, new Slab());
  assert.equal(new LossDetector(queue, new RttEstimator()).probeTimeout, 1000);
  assert(rtt.timeout >= 250);
});

test("U7 a timeout marks the first packet and those as old, and waits twice as long each time", () => {
  const { loss, queue, rtt } = flight(4);
  assert.equal(loss.timeout, rtt.timeout);
  const { oldest } = loss.onTimeout(1000);
  assert.deepEqual([oldest.seq, oldest.timeouts, loss.state], [0, 1, "loss"]);
  assert.equal(queue.lost.size, 4);
  assert.equal(loss.timeout, 2 * rtt.timeout);
  loss.onTimeout(2000);
  loss.onTimeout(3000);
  loss.onTimeout(4000);
  assert.equal(loss.timeout, MAX_BACKOFF_MS);
  assert(!loss.onAdvanced(1), "the recovery goes on until all of it is acknowledged");
  assert.equal(loss.timeout, rtt.timeout);
  assert(loss.onAdvanced(4));
  assert.equal(loss.state, "open");
});
