/** Punching through simulated NATs of all kinds: what must work works, in time, and what cannot says so at once. */
import assert from "node:assert/strict";
import { ROUTER_TYPES, type RouterType } from "../../transports/memory/mod.ts";
import { test } from "../harness.ts";
import { type PunchReport, type PunchScenario, runPunch } from "./punch_world.ts";

const RANDOM: readonly RouterType[] = ["symmetric", "carrier-grade-symmetric"];
const CONSISTENT = (Object.keys(ROUTER_TYPES) as RouterType[]).filter((type) =>
  type !== "udp-blocked" && !RANDOM.includes(type)
);
const HOME = "port-restricted-cone";
const LOSSY: PunchScenario["wan"] = {
  latencyMs: 50,
  jitterMs: 10,
  burstLoss: { enter: [1, 57], leave: [1, 3] },
};

async function runAll(scenario: Omit<PunchScenario, "seed">, seeds: number): Promise<PunchReport[]> {
  const reports: PunchReport[] = [];
  for (let seed = 0; seed < seeds; seed++) reports.push(await runPunch({ ...scenario, seed }));
  for (const [seed, { left }] of reports.entries()) assert.equal(left, 0, `seed ${seed} leaves something`);
  return reports;
}

/** All connect. Returns the times, shortest first. */
async function times(scenario: Omit<PunchScenario, "seed">, seeds: number): Promise<number[]> {
  const reports = await runAll(scenario, seeds);
  const ms = reports.map(({ connectedMs, failure }, seed) => {
    assert.ok(
      connectedMs !== undefined,
      `${scenario.client} to ${scenario.server}, seed ${seed}: ${failure}`,
    );
    return connectedMs;
  });
  return ms.sort((a, b) => a - b);
}

const median = (sorted: readonly number[]) => sorted[sorted.length >> 1]!;

for (const client of CONSISTENT) {
  test(`H19: from ${client} to all NATs that keep their port it takes 350 ms at a latency of 25`, async () => {
    for (const server of CONSISTENT) {
      const sorted = await times({ client, server }, 3);
      assert.ok(sorted.at(-1)! < 350, `${server}: ${sorted.at(-1)}`);
    }
  });
}

for (const random of RANDOM) {
  test(`H19: ${random} and a home router meet in under 2 s, mostly, and in any case in 6`, async () => {
    for (const home of [HOME, "linux-poison", "carrier-grade"] as const) {
      for (const [client, server] of [[home, random], [random, home]] as const) {
        const sorted = await times({ client, server }, 20);
        assert.ok(median(sorted) < 2000, `${client} to ${server}: ${median(sorted)}`);
        assert.ok(sorted.at(-1)! < 6000, `${client} to ${server}: ${sorted.at(-1)}`);
      }
    }
  });
}

test("H19: two random NATs are told at once that only a relay helps", async () => {
  for (const client of RANDOM) {
    for (const server of RANDOM) {
      for (const { failure, failedMs, punches } of await runAll({ client, server }, 3)) {
        assert.equal(failure, "HOLEPUNCH_DOUBLE_RANDOMIZED_NATS");
        assert.ok(failedMs! < 300, String(failedMs));
        assert.ok(punches <= 2, String(punches));
      }
    }
  }
});

test("H19: a router that an early packet confuses is met from fresh sockets on both sides", async () => {
  for (const [client, server] of [["linux-poison", "linux-poison"], [HOME, "linux-poison"]] as const) {
    const short = await times({ client, server, coreHops: 1 }, 20);
    assert.ok(short.at(-1)! < 1500, `${client} to ${server}: ${short.at(-1)}`);
    await times({ client, server, canSetTtl: false }, 20);
  }
});

test("H19: ports are guessed through a router that early packets confuse, too, more often than not", async () => {
  for (const [client, server] of [["linux-poison", "symmetric"], ["symmetric", "linux-poison"]] as const) {
    for (const condition of [{ coreHops: 1 }, { canSetTtl: false }]) {
      const reports = await runAll({ client, server, ...condition }, 8);
      const connected = reports.filter(({ connectedMs }) => connectedMs !== undefined).length;
      assert.ok(connected >= 6, `${client} to ${server}: ${connected} of 8`);
      for (const { failure } of reports) assert.match(failure ?? "HOLEPUNCH_ABORTED", /HOLEPUNCH_ABORTED/);
    }
  }
});

test("N2: home routers meet at 5 % loss in bursts, every time", async () => {
  const sorted = await times({ client: HOME, server: HOME, wan: LOSSY }, 20);
  assert.ok(median(sorted) < 1000, String(median(sorted)));
});

test("N2: ports are guessed at 5 % loss in bursts, every time", async () => {
  for (const [client, server] of [[HOME, "symmetric"], ["symmetric", HOME]] as const) {
    const sorted = await times({ client, server, wan: LOSSY }, 10);
    assert.ok(median(sorted) < 4000, String(median(sorted)));
  }
});

test("H15: with too few nodes to learn a NAT from, the punch fails with a reason", async () => {
  for (const { failure, failedMs } of await runAll({ client: HOME, server: HOME, nodes: 2 }, 2)) {
    assert.match(failure!, /HOLEPUNCH_PROBE_TIMEOUT|REMOTE_ABORTED/);
    assert.ok(failedMs! < 5000, String(failedMs));
  }
});

test("sim: a punch of one seed is the same each time", async () => {
  const scenario = { client: HOME, server: "symmetric", seed: 5, wan: LOSSY } as const;
  const [first, again, other] = [
    await runPunch(scenario),
    await runPunch(scenario),
    await runPunch({ ...scenario, seed: 6 }),
  ];
  assert.deepEqual(first, again);
  assert.notDeepEqual(first, other);
});
