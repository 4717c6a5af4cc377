/** What each kind of simulated router does, seen from both sides. */
import assert from "node:assert/strict";
import { SocketAddress } from "../../../encoding/address.ts";
import { ExpiringMap } from "../../../transports/memory/expiring_map.ts";
import { ROUTER_TYPES, type RouterType } from "../../../transports/memory/mod.ts";
import { test } from "../../harness.ts";
import { type Classification, classify, Ear, probeWorld } from "./probe.ts";

const EI = "endpoint-independent";
const AD = "address-dependent";
const APD = "address-and-port-dependent";

const base: Classification = {
  mapping: EI,
  filtering: APD,
  keepsPort: true,
  earlyInboundChangesPort: false,
  hairpins: false,
};
const expected: Record<RouterType, Classification> = {
  "open": { ...base, mapping: "none", filtering: EI, hairpins: true },
  "public-firewall": { ...base, mapping: "none", hairpins: true },
  "full-cone": { ...base, filtering: EI },
  "restricted-cone": { ...base, filtering: AD },
  "port-restricted-cone": base,
  "port-shifting": { ...base, keepsPort: false },
  "symmetric": { ...base, mapping: APD, keepsPort: false },
  "carrier-grade": base,
  "carrier-grade-symmetric": { ...base, mapping: APD, keepsPort: false },
  "linux-poison": { ...base, earlyInboundChangesPort: true },
  "udp-blocked": { ...base, mapping: "blocked", filtering: "blocked", keepsPort: false },
};

for (const type of Object.keys(ROUTER_TYPES) as RouterType[]) {
  test(`a router of the type ${type} shows its mapping, filter and port to a probe`, async () => {
    const world = probeWorld();
    const router = world.network.router({ type });
    const client = world.network.host({ behind: router });
    const outside = ROUTER_TYPES[type].router.mapping === "none"
      ? client.address
      : (router.carrier ?? router).address;
    assert.deepEqual(await classify(world, client, outside), expected[type]);
  });
}

for (const mapping of [EI, AD, APD] as const) {
  for (const filtering of [EI, AD, APD] as const) {
    test(`mapping ${mapping} and filtering ${filtering} combine freely, with hairpinning`, async () => {
      const world = probeWorld();
      const router = world.network.router({
        behaviour: { mapping, filtering, ports: "random", hairpin: true },
      });
      const client = world.network.host({ behind: router });
      const seen = await classify(world, client, router.address);
      // With a port for each destination, the port that the peer sees is not the one that the server saw.
      const hairpins = filtering === EI || mapping === EI;
      assert.deepEqual(seen, { ...base, mapping, filtering, keepsPort: false, hairpins });
    });
  }
}

test("an unanswered mapping lives 30 seconds, an answered one 120", async () => {
  const { clock, network, a } = probeWorld();
  const client = network.host({ behind: network.router() });
  const inside = await Ear.open(client, 5000);
  const server = await Ear.open(a, 1);
  const to = SocketAddress.of(a.address, 1);
  let seen = inside.reach(clock, to, server)!;
  clock.run({ until: clock.now() + 28_000 });
  assert.ok(server.reach(clock, seen, inside), "a reply after 29 s gets in");
  clock.run({ until: clock.now() + 118_000 });
  assert.ok(server.reach(clock, seen, inside), "the reply renewed the mapping for 120 s");
  clock.run({ until: clock.now() + 120_000 });
  assert.equal(server.reach(clock, seen, inside), undefined);
  seen = inside.reach(clock, to, server)!;
  clock.run({ until: clock.now() + 29_500 });
  assert.equal(server.reach(clock, seen, inside), undefined, "30 s without an answer are too long");
});

test("a flushed router lets nobody in until the inside sends again", async () => {
  const { clock, network, a } = probeWorld();
  const router = network.router({ type: "symmetric" });
  const inside = await Ear.open(network.host({ behind: router }));
  const server = await Ear.open(a, 1);
  const to = SocketAddress.of(a.address, 1);
  const first = inside.reach(clock, to, server)!;
  router.flush();
  assert.equal(server.reach(clock, first, inside), undefined);
  const second = inside.reach(clock, to, server)!;
  assert.notEqual(second.port, first.port);
  assert.ok(server.reach(clock, second, inside));
});

test("a renumbered router is seen from its new address, and its old one is nobody's", async () => {
  const { clock, network, a } = probeWorld();
  const router = network.router();
  const inside = await Ear.open(network.host({ behind: router }));
  const server = await Ear.open(a, 1);
  const to = SocketAddress.of(a.address, 1);
  const first = inside.reach(clock, to, server)!;
  router.renumber("11.7.7.7");
  assert.equal(inside.reach(clock, to, server)?.host, "11.7.7.7");
  const before = network.counters.unroutable;
  server.reach(clock, first, inside);
  assert.equal(network.counters.unroutable, before + 1);
});

test("two hosts with the same inside port get different outside ports", async () => {
  const { clock, network, a } = probeWorld();
  const router = network.router();
  const server = await Ear.open(a, 1);
  const to = SocketAddress.of(a.address, 1);
  const one = await Ear.open(network.host({ behind: router }), 5000);
  const two = await Ear.open(network.host({ behind: router }), 5000);
  const [first, second] = [one.reach(clock, to, server)!, two.reach(clock, to, server)!];
  assert.equal(first.port, 5000);
  assert.equal(second.port, 5001);
  assert.ok(server.reach(clock, second, two));
  assert.equal(two.heard.length, 1);
});

test("sequential ports follow each other", async () => {
  const { clock, network, a } = probeWorld();
  const router = network.router({ behaviour: { ports: "sequential", mapping: APD } });
  const server = [await Ear.open(a, 1), await Ear.open(a, 2)] as const;
  const inside = await Ear.open(network.host({ behind: router }));
  const first = inside.reach(clock, SocketAddress.of(a.address, 1), server[0])!;
  const second = inside.reach(clock, SocketAddress.of(a.address, 2), server[1])!;
  assert.equal(second.port, first.port + 1);
});

test("LANs with the same addresses do not get in each other's way", async () => {
  const { clock, network, a } = probeWorld();
  const lanPrefix = "192.168.1";
  const [left, right] = [network.router({ lanPrefix }), network.router({ lanPrefix })];
  const server = await Ear.open(a, 1);
  const hosts = [network.host({ behind: left }), network.host({ behind: right })] as const;
  assert.equal(hosts[0].address, hosts[1].address);
  const ears = [await Ear.open(hosts[0], 5000), await Ear.open(hosts[1], 5000)] as const;
  assert.equal(ears[0].reach(clock, SocketAddress.of(a.address, 1), server)?.host, left.address);
  assert.equal(ears[1].reach(clock, SocketAddress.of(a.address, 1), server)?.host, right.address);
});

test("hosts of one LAN reach each other directly and others of the same number never", async () => {
  const { clock, network } = probeWorld();
  const [left, right] = [network.router(), network.router({ lanPrefix: "192.168.0" })];
  const [one, two] = [network.host({ behind: left }), network.host({ behind: left })];
  const stranger = network.host({ behind: right, addresses: [two.address] });
  const ears = [await Ear.open(one, 1), await Ear.open(two, 1), await Ear.open(stranger, 1)] as const;
  assert.equal(ears[0].reach(clock, SocketAddress.of(two.address, 1), ears[1])?.host, one.address);
  assert.equal(ears[2].heard.length, 0);
});

test("a low TTL opens the sender's own NAT and dies before the peer's", async () => {
  const { clock, network } = probeWorld();
  const [left, right] = [network.router({ type: "carrier-grade" }), network.router({ type: "linux-poison" })];
  const [a, b] = [network.host({ behind: left }), network.host({ behind: right })];
  const [earA, earB] = [await Ear.open(a, 6000), await Ear.open(b, 7000)];
  const [outsideA, outsideB] = [
    SocketAddress.of(left.carrier!.address, 6000),
    SocketAddress.of(right.address, 7000),
  ];
  assert.equal(earA.reach(clock, outsideB, earB, 5), undefined);
  assert.equal(network.counters.ttl, 1);
  assert.equal(network.counters.filtered, 0);
  assert.deepEqual(
    earB.reach(clock, outsideA, earA)?.toString(),
    outsideB.toString(),
    "it was let in, unmoved",
  );
  assert.ok(earA.reach(clock, outsideB, earB));
});

test("a mapping that an early packet has moved is the one that later remotes see, as with Linux", async () => {
  const { clock, network, a, b } = probeWorld();
  const router = network.router({ type: "linux-poison" });
  const inside = await Ear.open(network.host({ behind: router }), 7000);
  const [before, early, later] = [await Ear.open(a, 1), await Ear.open(a, 2), await Ear.open(b, 3)];
  const see = (ear: Ear, host: string, port: number) =>
    inside.reach(clock, SocketAddress.of(host, port), ear)!.port;
  assert.equal(see(before, a.address, 1), 7000);
  assert.equal(early.reach(clock, SocketAddress.of(router.address, 7000), inside), undefined);
  const moved = see(early, a.address, 2);
  assert.notEqual(moved, 7000);
  assert.equal(see(later, b.address, 3), moved);
  assert.equal(see(before, a.address, 1), 7000, "who was there before is not concerned");
});

test("IPv6 is filtered by routers but not translated", async () => {
  const { clock, network } = probeWorld();
  const server = network.host({ addresses: ["2a02:1::1"] });
  const client = network.host({ behind: network.router(), addresses: ["192.168.0.77", "2a02:2::1"] });
  const outsider = await server.bind({ host: "::", port: 1 }, { onDatagram: (_, from) => seen.push(from) });
  const seen: SocketAddress[] = [];
  const heard: SocketAddress[] = [];
  const inside = await client.bind({ host: "::", port: 1 }, { onDatagram: (_, from) => heard.push(from) });
  const to = SocketAddress.of("2a02:2::1", 1);
  outsider.send(new Uint8Array(1), to);
  clock.run();
  assert.equal(heard.length, 0);
  assert.equal(network.counters.filtered, 1);
  inside.send(new Uint8Array(1), SocketAddress.of("2a02:1::1", 1));
  clock.run();
  outsider.send(new Uint8Array(1), to);
  clock.run();
  assert.deepEqual(seen.map(String), ["[2a02:2::1]:1"]);
  assert.deepEqual(heard.map(String), ["[2a02:1::1]:1"]);
});

test("a router's table does not grow with mappings that have expired", async () => {
  const { clock, network, a } = probeWorld();
  const router = network.router({ type: "symmetric" });
  const inside = await Ear.open(network.host({ behind: router }));
  for (let i = 0; i < 10_000; i++) {
    inside.socket.send(new Uint8Array(1), SocketAddress.of(a.address, 1 + i));
    clock.run({ until: clock.now() + 100 });
  }
  assert.ok(router.mappingCount < 1500, `${router.mappingCount} entries for 300 live ones`);
});

test("tables that strangers can fill do not grow with what has expired", () => {
  const map = new ExpiringMap<number, { expiresAt: number }>();
  for (let now = 0; now < 100_000; now++) map.set(now, { expiresAt: now + 100 }, now);
  assert.ok(map.size <= 512, `${map.size} entries for 100 live ones`);
  assert.equal(map.get(99_999, 100_098)?.expiresAt, 100_099);
  assert.equal(map.get(99_999, 100_099), undefined);
  assert.equal(map.expiresAt, 100_099);
});

test("a packet for a host that left the LAN is dropped and does not bounce", async () => {
  const { clock, network, a } = probeWorld();
  const client = network.host({ behind: network.router() });
  const inside = await Ear.open(client);
  const server = await Ear.open(a, 1);
  const seen = inside.reach(clock, SocketAddress.of(a.address, 1), server)!;
  client.renumber(["192.168.0.99"]);
  server.reach(clock, seen, inside);
  assert.equal(network.counters.unroutable, 1);
  assert.equal(network.inFlight, 0);
  assert.ok(inside.reach(clock, SocketAddress.of(a.address, 1), server), "the wildcard socket goes on");
});
