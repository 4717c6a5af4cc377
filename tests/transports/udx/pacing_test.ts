/** The token bucket. */
import assert from "node:assert/strict";
import { Pacer } from "../../../transports/udx/pacing.ts";
import { test } from "../../harness.ts";

/** Sends packets of 1000 bytes for `ms` milliseconds at `rate`, woken as asked, and returns how many bytes left when. */
function run(pacer: Pacer, rate: number, from: number, ms: number): number[] {
  const perMs: number[] = new Array(ms).fill(0);
  for (let now = from; now < from + ms;) {
    const at = pacer.nextSendTime(now, rate);
    if (at > now) {
      now = at;
      continue;
    }
    pacer.onSent(1000);
    perMs[Math.floor(now - from)]! += 1000;
  }
  return perMs;
}

test("U11 the rate holds over time, whatever the bursts", () => {
  for (const rate of [100, 5000, 100_000]) {
    const sent = run(new Pacer(), rate, 0, 1000).reduce((sum, bytes) => sum + bytes, 0);
    const burst = Math.max(24_000, rate * 4);
    assert(sent <= rate * 1000 + burst + 1000, `${sent} at ${rate}`);
    assert(sent >= rate * 1000 - 2000, `${sent} at ${rate}`);
  }
});

test("U11 a short exchange never waits, and a pause does not save up more than a burst", () => {
  const pacer = new Pacer();
  for (let i = 0; i < 16; i++) {
    assert.equal(pacer.nextSendTime(0, 1), 0);
    pacer.onSent(1500);
  }
  assert(pacer.nextSendTime(0, 1) > 0);
  const sent = run(pacer, 1000, 1_000_000, 1);
  assert(sent[0]! <= 25_000, `${sent[0]}`);
});

test("U11 a clock that stands still or goes back is harmless", () => {
  const pacer = new Pacer();
  pacer.nextSendTime(1000, 100);
  for (let i = 0; i < 30; i++) pacer.onSent(1000);
  assert(pacer.nextSendTime(500, 100) > 500);
  assert(pacer.nextSendTime(1000, 100) > 1000);
});
