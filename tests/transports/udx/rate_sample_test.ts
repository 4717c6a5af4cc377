/** Delivery rate samples. */
import assert from "node:assert/strict";
import { DeliveryRate } from "../../../transports/udx/rate_sample.ts";
import { SentPacket } from "../../../transports/udx/send_queue.ts";
import { test } from "../../harness.ts";
import { PEER } from "./support.ts";

const path = { socket: {}, address: PEER, remoteId: 1 };

/** Sends one packet each millisecond, acknowledged `rtt` later, all of `merge` at once; returns the rates seen. */
function run(rtt: number, count: number, merge: number): number[] {
  const rate = new DeliveryRate();
  const packets: SentPacket[] = [];
  const rates: number[] = [];
  let acked = 0;
  for (let now = 0; acked < count; now++) {
    if (now < count) {
      const packet = new SentPacket(now, 1, new Uint8Array(0), 0, 0, 0, path);
      rate.onSent(packet, now, packets.length === acked);
      packet.sentAt = now;
      packet.transmits = 1;
      packets.push(packet);
    }
    const due = Math.min(now - rtt + 1, count);
    if (due - acked < merge && due !== count) continue;
    rate.begin(packets.length - acked);
    while (acked < due) rate.onAcked(packets[acked++]!, now);
    const sample = rate.finish(now, rtt);
    if (sample.delivered > 0) rates.push(sample.delivered / sample.intervalMs);
  }
  return rates;
}

test("U10 the rate of a steady sender is measured, also when acknowledgements come merged", () => {
  for (const merge of [1, 10]) {
    const rates = run(20, 200, merge);
    const last = rates.slice(-5);
    assert(last.every((rate) => rate > 0.9 && rate < 1.2), `${last}`);
    assert(Math.max(...rates) < 1.6, "never far more than was sent");
  }
});

test("U10 samples say whether the application was the limit, until what was out then has arrived", () => {
  const rate = new DeliveryRate();
  assert(!rate.isAppLimited);
  rate.markAppLimited(2);
  assert(rate.isAppLimited);
  const packets = [0, 1, 2].map((seq) => {
    const packet = new SentPacket(seq, 1, new Uint8Array(0), 0, 0, 0, path);
    rate.onSent(packet, seq, seq === 0);
    packet.sentAt = seq;
    packet.transmits = 1;
    return packet;
  });
  for (const packet of packets) {
    rate.begin(1);
    rate.onAcked(packet, 10 + packet.seq);
    assert(rate.finish(10 + packet.seq, 1).isAppLimited);
  }
  assert(!rate.isAppLimited);
});

test("U10 a spurious retransmission gives no rate, and no round trip", () => {
  const rate = new DeliveryRate();
  const packet = new SentPacket(0, 1, new Uint8Array(0), 0, 0, 0, path);
  rate.onSent(packet, 0, true);
  rate.onSent(packet, 100, true);
  packet.sentAt = 100;
  packet.transmits = 2;
  rate.begin(1);
  rate.onAcked(packet, 101);
  const sample = rate.finish(101, 40);
  assert.deepEqual([sample.delivered, sample.rtt, sample.acked], [0, -1, 1]);
});
