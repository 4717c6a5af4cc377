/** The search for the MTU. */
import assert from "node:assert/strict";
import { MtuProber } from "../../../transports/udx/mtu.ts";
import { test } from "../../harness.ts";

/** Searches on a path that carries `real` bytes, losing every probe that is longer; returns the sizes tried. */
function search(prober: MtuProber, real: number): number[] {
  const tried: number[] = [];
  prober.onAck();
  while (prober.wantsProbe) {
    assert(tried.length < 40, "the search ends");
    tried.push(prober.probeSize);
    prober.onProbeSent();
    assert(!prober.wantsProbe, "one probe at a time");
    if (tried.at(-1)! <= real) prober.onProbeAcked();
    else prober.onProbeLost();
  }
  return tried;
}

test("U14 the largest size is tried first, in steps that padding can make", () => {
  const prober = new MtuProber(1500);
  assert(!prober.wantsProbe, "not before anything has got through");
  assert.deepEqual(search(prober, 1500), [1448, 1500]);
  assert.equal(prober.current, 1500);
});

test("U14 every size of a path is found to 16 bytes, and never exceeded", () => {
  for (let real = 1200; real <= 1500; real += 7) {
    const prober = new MtuProber(1500);
    search(prober, real);
    assert(prober.current <= real && prober.current > real - 17, `${prober.current} for ${real}`);
  }
});

test("U14 a size is given up after three lost probes, not after one", () => {
  const prober = new MtuProber(1400);
  prober.onAck();
  for (const [lost, wanted] of [[1, 1400], [2, 1400], [3, 1300]] as const) {
    prober.onProbeSent();
    prober.onProbeLost();
    assert.equal(prober.probeSize, wanted, `after ${lost}`);
  }
});

test("U14 nothing is probed where there is nothing to find", () => {
  const prober = new MtuProber(1000);
  prober.onAck();
  assert(!prober.wantsProbe);
  assert.equal(prober.current, 1200);
  prober.onProbeLost();
  prober.onProbeAcked();
  assert.equal(prober.current, 1200);
});
