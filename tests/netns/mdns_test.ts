/** Peers on a LAN of real kernels, with no way out of it: found by mDNS, connected by UDX, or by TCP where there is no UDP. */
import assert from "node:assert/strict";
import { test } from "../harness.ts";
import { Lan } from "./lan.ts";
import { netnsProblem, type Program } from "./namespaces.ts";

const skip = "Deno" in globalThis ? netnsProblem() : "starts programs with Deno";
const peer = new URL("peer.ts", import.meta.url);

async function withLan(size: number, body: (lan: Lan) => Promise<void>): Promise<void> {
  const lan = new Lan(size);
  try {
    await body(lan);
  } finally {
    await lan.close();
  }
}

/** Starts peers one after the other, so that each of them finds the earlier ones awake. */
async function startAll(lan: Lan, count: number): Promise<Program[]> {
  const programs: Program[] = [];
  for (let i = 0; i < count; i++) {
    programs.push(lan.start(i, peer, String(i + 1)));
    await programs[i]!.next("announced");
  }
  return programs;
}

test(
  "two hosts without a route meet in under a second, on the right interface although a VPN is up",
  async () => {
    await withLan(2, async (lan) => {
      lan.addVpn(0, "10.8.0.2", { multicast: false });
      lan.addVpn(1, "10.9.0.2", { multicast: true });
      const [, second] = await startAll(lan, 2);
      const { other, answer, ms, addresses } = await second!.next("met");
      assert.deepEqual([other, answer], [1, 1]);
      assert.ok(addresses.some((address: string) => address.startsWith("udx:10.99.0.1:")), addresses.join());
      assert.ok(!addresses.some((address: string) => address.includes("10.8.0.2")), addresses.join());
      assert.ok(ms < 1000, `they met after ${ms} ms`);
    });
  },
  { skip },
);

test(
  "two swarms of one topic meet in under a second without internet, and again after one has moved",
  async () => {
    await withLan(3, async (lan) => {
      const swarm = new URL("swarm_peer.ts", import.meta.url);
      lan.addVpn(0, "10.8.0.2", { multicast: false });
      const first = lan.start(0, swarm, "1", "mushrooms");
      lan.start(2, swarm, "3", "berries");
      await first.next("joined");
      const second = lan.start(1, swarm, "2", "mushrooms");
      const met = await second.next("connected");
      assert.deepEqual([met.other, met.topics], [1, 1]);
      assert.ok(met.ms < 1000, `they met after ${met.ms} ms`);
      assert.equal((await first.next("connected")).other, 2, "and not 3, who has another topic");

      lan.ip(1, "addr flush dev eth0", "addr add 10.99.0.77/24 dev eth0");
      await second.next("closed");
      const { other, addresses } = await first.next("connected");
      assert.equal(other, 2);
      assert.ok(addresses.some((address: string) => address.startsWith("udx:10.99.0.77:")), addresses.join());
    });
  },
  { skip },
);

test("five hosts all meet", async () => {
  await withLan(5, async (lan) => {
    const programs = await startAll(lan, 5);
    for (const [i, program] of programs.entries()) {
      const met: number[] = [];
      while (met.length < i) met.push((await program.next("met")).other);
      assert.deepEqual(met.sort(), [1, 2, 3, 4].slice(0, i));
    }
  });
}, { skip });

test("where UDP is blocked, all but mDNS itself, peers connect by TCP", async () => {
  await withLan(2, async (lan) => {
    lan.exec(1, "nft", "add table inet block");
    lan.exec(1, "nft", "add chain inet block out { type filter hook output priority 0; }");
    lan.exec(1, "nft", "add rule inet block out udp dport != 5353 counter drop");
    const [, second] = await startAll(lan, 2);
    const { answer } = await second!.next("met");
    assert.equal(answer, 1);
    assert.match(lan.exec(1, "nft", "list table inet block"), /counter packets [1-9]/);
  });
}, { skip });
