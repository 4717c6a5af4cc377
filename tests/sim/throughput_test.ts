import assert from "node:assert/strict";
import { test } from "../harness.ts";
import { PATH_TESTS, runPath } from "./throughput.ts";

const [lossy, , , shortQueue] = PATH_TESTS;

test("UDX fills nine tenths of a long path that loses 1 %, and keeps its queue short", async () => {
  const { utilisation, rttMs } = await runPath({ ...lossy!, seconds: 15 });
  assert.ok(utilisation > 0.9, `${utilisation}`);
  assert.ok(rttMs < 1.5 * lossy!.rttMs, `${rttMs} ms`);
});

test("UDX fills a long path whose queue is short", async () => {
  const { utilisation, retransmitted } = await runPath({ ...shortQueue!, seconds: 15 });
  assert.ok(utilisation > 0.85, `${utilisation}`);
  assert.ok(retransmitted < 0.1, `${retransmitted}`);
});

test("two flows that begin one after the other come to share a path", async () => {
  const twoFlows = PATH_TESTS.find(({ flows }) => flows === 2)!;
  const { fairness, utilisation } = await runPath(twoFlows);
  assert.ok(fairness > 0.9, `${fairness}`);
  assert.ok(utilisation > 0.9, `${utilisation}`);
});
