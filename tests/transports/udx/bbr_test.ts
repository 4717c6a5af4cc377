/** Congestion control, on a path of one bottleneck and a queue, in whole packets. */
import assert from "node:assert/strict";
import { Bbr } from "../../../transports/udx/bbr.ts";
import { DeliveryRate } from "../../../transports/udx/rate_sample.ts";
import { SentPacket } from "../../../transports/udx/send_queue.ts";
import { test } from "../../harness.ts";
import { PEER } from "./support.ts";

const PACKET_BYTES = 1200;
const path = { socket: {}, address: PEER, remoteId: 1 };

/** A sender that always has data, a bottleneck of `rate` packets per millisecond, and `rtt` milliseconds there and back. */
class Bottleneck {
  readonly bbr = new Bbr();
  readonly rates = new DeliveryRate();
  readonly modes = new Set<string>();
  now = 0;
  delivered = 0;
  longestQueue = 0;
  #tokens = 0;
  #freeAt = 0;
  #inFlight: { readonly packet: SentPacket; readonly ackAt: number }[] = [];
  #seq = 0;

  readonly rate: number;
  readonly rtt: number;

  constructor(rate: number, rtt: number) {
    this.rate = rate;
    this.rtt = rtt;
  }

  run(ms: number): void {
    for (const end = this.now + ms; this.now < end; this.now++) {
      this.#acknowledge();
      this.#send();
      this.modes.add(this.bbr.mode);
    }
  }

  #acknowledge(): void {
    const sample = this.rates.begin(this.#inFlight.length);
    while (this.#inFlight.length > 0 && this.#inFlight[0]!.ackAt <= this.now) {
      this.rates.onAcked(this.#inFlight.shift()!.packet, this.now);
      this.delivered++;
    }
    if (sample.acked === 0) return;
    this.rates.finish(this.now, this.rtt);
    this.bbr.onAck(this.now, sample, this.rates.delivered, this.#inFlight.length, PACKET_BYTES);
  }

  #send(): void {
    this.#tokens = Math.min(this.#tokens + this.bbr.pacingRate, 4 * this.bbr.pacingRate);
    while (this.#tokens > 0 && this.#inFlight.length < this.bbr.window) {
      const packet = new SentPacket(this.#seq++, 1, new Uint8Array(0), 0, 0, 0, path);
      this.rates.onSent(packet, this.now, this.#inFlight.length === 0);
      packet.sentAt = this.now;
      packet.transmits = 1;
      this.#freeAt = Math.max(this.#freeAt, this.now) + 1 / this.rate;
      this.longestQueue = Math.max(this.longestQueue, (this.#freeAt - this.now) * this.rate);
      this.#inFlight.push({ packet, ackAt: this.#freeAt + this.rtt });
      this.#tokens -= PACKET_BYTES;
    }
  }
}

test("U10 it begins with ten packets at the reference's rate, and grows at once", () => {
  const bbr = new Bbr();
  assert.deepEqual([bbr.window, bbr.pacingRate, bbr.mode], [10, 25_000, "startup"]);
  const link = new Bottleneck(5, 40);
  link.run(45);
  assert(link.bbr.window >= 20, `${link.bbr.window} after one round trip`);
});

for (const [rate, rtt] of [[0.1, 200], [1, 50], [10, 20], [20, 5], [5, 100]] as const) {
  test(`U10 a path of ${rate} packets per ms and ${rtt} ms is filled, and its queue stays short`, () => {
    const link = new Bottleneck(rate, rtt);
    link.run(rtt * 30);
    assert(["probe-bandwidth", "probe-rtt"].includes(link.bbr.mode), link.bbr.mode);
    const before = link.delivered;
    link.run(rtt * 100);
    const achieved = (link.delivered - before) / (rtt * 100);
    assert(achieved > 0.85 * rate, `${achieved} packets per ms`);
    const { bandwidth, minRtt, window } = link.bbr;
    assert(Math.abs(bandwidth - rate) < 0.3 * rate, `${bandwidth}`);
    assert(minRtt >= rtt && minRtt < 1.6 * rtt + 15, `${minRtt}`);
    assert(window >= 4);
    assert(link.modes.has("startup") && link.modes.has("drain"));
  });
}

test("U10 the shortest round trip is measured anew each ten seconds, with four packets out", () => {
  const link = new Bottleneck(1, 20);
  link.run(9_000);
  assert(!link.modes.has("probe-rtt"));
  let smallest = Infinity;
  for (let i = 0; i < 3_000; i++) {
    link.run(1);
    if (link.bbr.mode === "probe-rtt") smallest = Math.min(smallest, link.bbr.window);
  }
  assert(link.modes.has("probe-rtt"));
  assert.equal(smallest, 4);
  assert.equal(link.bbr.mode, "probe-bandwidth", "and goes on afterwards");
  const before = link.delivered;
  link.run(2_000);
  assert(link.delivered - before > 1_700);
});

test("U10 a loss holds what is in flight for a round, a timeout starts with one packet, and both are made good", () => {
  const link = new Bottleneck(1, 50);
  link.run(2_000);
  const steady = link.bbr.window;
  link.bbr.onRecoveryStart(20, 3);
  assert.equal(link.bbr.window, 23);
  link.bbr.onRecoveryEnd();
  assert.equal(link.bbr.window, steady);
  link.bbr.onTimeout();
  assert.equal(link.bbr.window, 2);
  link.bbr.onRecoveryEnd();
  assert.equal(link.bbr.window, steady);
});

test("U10 a rate that the application held down does not lower the estimate", () => {
  const link = new Bottleneck(1, 50);
  link.run(2_000);
  const before = link.bbr.bandwidth;
  const sample = link.rates.begin(1);
  Object.assign(sample, { acked: 1, delivered: 1, intervalMs: 1000, priorInFlight: 1, isAppLimited: true });
  for (let i = 0; i < 50; i++) {
    sample.priorDelivered = link.rates.delivered + i;
    link.bbr.onAck(link.now + i * 1000, sample, link.rates.delivered + i + 1, 1, PACKET_BYTES);
  }
  assert.equal(link.bbr.bandwidth, before);
});
