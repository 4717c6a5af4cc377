/** Whole nodes that connect through NATs of all kinds; the full matrix is `deno task sim nat`. */
import assert from "node:assert/strict";
import { test } from "../harness.ts";
import { type LineName, type NatPair, runNatPair } from "./scenarios/nat_pair.ts";

async function run(pair: Omit<NatPair, "seed">, seed = "0") {
  const report = await runNatPair({ ...pair, seed });
  assert.deepEqual(report.complaints, [], `${pair.client} to ${pair.server}`);
  return report;
}

const HOMES: readonly LineName[] = ["full cone", "port-restricted", "port-shifting, carrier", "linux-poison"];

test("H19: who is behind any NAT reaches an open peer directly, and is reached by one, in three half round trips", async () => {
  for (const home of ["open", ...HOMES, "symmetric", "symmetric carrier"] as const) {
    for (const [client, server] of [["open", home], [home, "open"]] as const) {
      const { way, ms } = await run({ client, server });
      assert.deepEqual([way, Math.round(ms / 10)], ["direct", 15], `${client} to ${server}`);
    }
  }
});

test("H19: any two NATs that keep their port are punched through in five half round trips", async () => {
  for (const client of HOMES) {
    for (const server of HOMES) {
      const { way, ms } = await run({ client, server });
      assert.equal(way, "punched", `${client} to ${server}`);
      assert.ok(ms < 260, `${client} to ${server}: ${ms}`);
    }
  }
});

test("H19: ports of symmetric NATs are guessed within seconds, at home and at carriers, from both sides", async () => {
  for (const random of ["symmetric", "symmetric, carrier", "symmetric carrier"] as const) {
    for (const [client, server] of [[random, "port-restricted"], ["carrier", random]] as const) {
      const { way, ms } = await run({ client, server });
      assert.equal(way, "guessed");
      assert.ok(ms < 6000, `${client} to ${server}: ${ms}`);
    }
  }
});

test("H19: who cannot meet learns the cause: two symmetric NATs at once, without UDP in under two seconds", async () => {
  const double = await run({ client: "symmetric", server: "symmetric carrier" });
  assert.equal(double.failure?.code, "HOLEPUNCH_DOUBLE_RANDOMIZED_NATS");
  assert.ok(double.ms < 300, String(double.ms));
  for (const pair of [["UDP blocked", "open"], ["open", "UDP blocked"]] as const) {
    const { failure, ms } = await run({ client: pair[0], server: pair[1] });
    assert.equal(failure?.code, "PEER_NOT_FOUND");
    assert.ok(ms < 2000, String(ms));
  }
});

test("N2: routers that an early packet confuses meet although they are close to each other", async () => {
  const pair = { client: "linux-poison", server: "linux-poison", coreHops: 1 } as const;
  for (const seed of ["0", "1", "2"]) assert.ok((await run(pair, seed)).ms < 1500);
});

test("N2: home routers meet although one packet in ten is lost, in bursts", async () => {
  const wan = { latencyMs: 25, burstLoss: { enter: [1, 27], leave: [1, 3] } } as const;
  const pair = { client: "port-restricted", server: "port-restricted", wan } as const;
  for (const seed of ["0", "1", "2", "3", "4"]) await run(pair, seed);
});

test("sim: a seed decides all that happens between two nodes and their routers", async () => {
  const pair = { client: "symmetric", server: "port-restricted" } as const;
  const [first, again, other] = [await run(pair, "a"), await run(pair, "a"), await run(pair, "b")];
  assert.deepEqual(first, again);
  assert.notEqual(first.hash, other.hash);
});
