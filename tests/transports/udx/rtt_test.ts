/** Round-trip estimation. */
import assert from "node:assert/strict";
import { RttEstimator } from "../../../transports/udx/rtt.ts";
import { test } from "../../harness.ts";

test("U7 the first sample sets the smoothed round trip, later ones move it by an eighth and a quarter", () => {
  const rtt = new RttEstimator();
  assert.deepEqual([rtt.hasSample, rtt.smoothed, rtt.timeout, rtt.shortest], [false, 0, 1000, Infinity]);
  rtt.sample(0, 400);
  assert.deepEqual([rtt.smoothed, rtt.variance, rtt.timeout], [400, 200, 1200]);
  rtt.sample(1, 480);
  assert.deepEqual([rtt.smoothed, rtt.variance], [410, 170]);
  assert.equal(rtt.timeout, 410 + 4 * 170);
  assert.deepEqual([rtt.latest, rtt.shortest], [480, 400]);
});

test("U7 the timeout keeps within its bounds", () => {
  const rtt = new RttEstimator();
  for (let i = 0; i < 50; i++) rtt.sample(i, 1);
  assert.equal(rtt.timeout, 250);
  const slow = new RttEstimator();
  slow.sample(0, 29_000);
  assert.equal(slow.timeout, 30_000);
});

test("U7 a sample of a machine that slept is cut to what is plausible", () => {
  const rtt = new RttEstimator();
  for (let i = 0; i < 50; i++) rtt.sample(i, 100);
  const before = rtt.smoothed + 5 * rtt.variance;
  rtt.sample(3_600_000, 3_600_000);
  assert(rtt.latest <= before);
  assert(rtt.timeout <= 1000, `${rtt.timeout}`);
});

test("the shortest round trip is forgotten after five minutes", () => {
  const rtt = new RttEstimator();
  rtt.sample(0, 10);
  rtt.sample(200_000, 50);
  assert.equal(rtt.shortest, 10);
  rtt.sample(301_000, 60);
  assert.equal(rtt.shortest, 50);
});
