/** What the links and the core of the simulated network do to packets; all figures are exact for their seed. */
import assert from "node:assert/strict";
import { SocketAddress } from "../../../encoding/address.ts";
import { SeededRandom, VirtualClock } from "../../../core/runtime/virtual.ts";
import type { TraceEvent } from "../../../core/runtime/trace.ts";
import {
  type LinkConditions,
  type SimulatedHost,
  SimulatedNetwork,
  type SimulatedNetworkOptions,
} from "../../../transports/memory/mod.ts";
import { test } from "../../harness.ts";

interface Arrived {
  readonly at: number;
  readonly index: number;
}

interface World {
  readonly clock: VirtualClock;
  readonly network: SimulatedNetwork;
  readonly a: SimulatedHost;
  readonly b: SimulatedHost;
}

/** Two public hosts; what `a` sends is subject to `uplink`, nothing else takes time. */
function world(uplink: LinkConditions, options: Partial<SimulatedNetworkOptions> = {}, seed = 1): World {
  const clock = new VirtualClock();
  const network = new SimulatedNetwork({
    clock,
    random: new SeededRandom(seed),
    wan: {},
    lan: {},
    ...options,
  });
  return { clock, network, a: network.host({ name: "a", uplink }), b: network.host({ name: "b" }) };
}

/** Sends `count` numbered packets of `bytes` bytes from a to b, one each `everyMs`. */
async function stream(w: World, count: number, everyMs: number, bytes = 100): Promise<Arrived[]> {
  const arrived: Arrived[] = [];
  const to = await w.b.bind({ port: 1 }, {
    onDatagram: (datagram) =>
      arrived.push({ at: w.clock.now(), index: new DataView(datagram.slice().buffer).getUint32(0) }),
  });
  const from = await w.a.bind({}, { onDatagram: () => {} });
  const address = SocketAddress.of(w.b.address, 1);
  const datagram = new Uint8Array(bytes);
  for (let i = 0; i < count; i++) {
    new DataView(datagram.buffer).setUint32(0, i);
    from.send(datagram, address);
    if (everyMs > 0) w.clock.run({ until: w.clock.now() + everyMs });
  }
  w.clock.run();
  await from.close();
  await to.close();
  return arrived;
}

const inversions = (arrived: readonly Arrived[]) =>
  arrived.filter(({ index }, i) => i > 0 && index < arrived[i - 1]!.index).length;
const within = (value: number, low: number, high: number, what: string) =>
  assert.ok(value >= low && value <= high, `${what}: ${value} is not in [${low}, ${high}]`);

test("a link without conditions delivers everything at once, in order, outside of the send call", async () => {
  const w = world({});
  let isSending = false;
  let received = 0;
  const to = await w.b.bind({ port: 1 }, {
    onDatagram: () => {
      assert.equal(isSending, false);
      received++;
    },
  });
  isSending = true;
  assert.equal(to.send(new Uint8Array(1), SocketAddress.of(w.b.address, 1)), true, "to itself");
  const from = await w.a.bind({}, { onDatagram: () => {} });
  from.send(new Uint8Array(1), SocketAddress.of(w.b.address, 1));
  isSending = false;
  w.clock.run();
  assert.equal(received, 2);
  assert.equal(w.clock.now(), 0);
});

test("latency delays each packet by the same time", async () => {
  const arrived = await stream(world({ latencyMs: 25.5 }), 10, 3);
  assert.deepEqual(arrived.map(({ at, index }) => at - index * 3), Array(10).fill(25.5));
});

test("jitter spreads arrivals evenly and keeps the order", async () => {
  const arrived = await stream(world({ latencyMs: 10, jitterMs: 10 }), 2000, 20);
  const delays = arrived.map(({ at, index }) => at - index * 20);
  within(Math.min(...delays), 10, 10.1, "least");
  within(Math.max(...delays), 19.9, 20, "most");
  within(delays.reduce((sum, delay) => sum + delay) / 2000, 14.8, 15.2, "mean");
  assert.equal(inversions(await stream(world({ jitterMs: 10 }), 2000, 0.1)), 0);
});

test("independent loss takes its share, in no bursts", async () => {
  const w = world({ loss: [1, 20] });
  const arrived = await stream(w, 20_000, 0);
  const lost = 20_000 - arrived.length;
  within(lost, 930, 1070, "5 % of 20,000");
  assert.equal(w.a.uplink.counters.lost, lost);
  assert.equal(w.network.counters.loss, lost);
  const bursts = arrived.filter(({ index }, i) => i > 0 && index > arrived[i - 1]!.index + 1).length;
  within(lost / bursts, 1.02, 1.09, "mean burst");
});

test("burst loss takes its share in bursts of the mean length asked for", async () => {
  // Entered once in 200 packets and left once in 5: a share of 5/205 = 2.44 %.
  const arrived = await stream(world({ burstLoss: { enter: [1, 200], leave: [1, 5] } }), 50_000, 0);
  const lost = 50_000 - arrived.length;
  within(lost, 1100, 1350, "2.44 % of 50,000");
  const bursts = arrived.filter(({ index }, i) => i > 0 && index > arrived[i - 1]!.index + 1).length;
  within(lost / bursts, 4.5, 5.5, "mean burst");
});

test("a burst may lose less than everything", async () => {
  const burstLoss = { enter: [1, 1], leave: [0, 1], loss: [1, 4] } as const;
  within((await stream(world({ burstLoss }), 10_000, 0)).length, 7350, 7650, "3/4 of 10,000");
});

test("reordering makes its share of packets late, and others overtake them", async () => {
  const w = world({ latencyMs: 5, reorder: [1, 50], reorderMs: 8 });
  const arrived = await stream(w, 10_000, 1);
  assert.equal(arrived.length, 10_000);
  const late = arrived.filter(({ at, index }) => at - index > 5.001);
  within(late.length, 160, 240, "2 % of 10,000");
  assert.equal(w.a.uplink.counters.reordered, late.length);
  within(Math.min(...late.map(({ at, index }) => at - index)), 7, 7.1, "late by a quarter at least");
  within(Math.max(...late.map(({ at, index }) => at - index)), 12.8, 13, "late by reorderMs at most");
  within(inversions(arrived), late.length - 20, late.length, "inversions");
});

test("duplication delivers its share of packets twice", async () => {
  const w = world({ duplicate: [1, 10] });
  const arrived = await stream(w, 10_000, 0);
  within(arrived.length, 10_900, 11_100, "10 % of 10,000 twice");
  assert.equal(w.network.counters.duplicated, arrived.length - 10_000);
  assert.equal(new Set(arrived.map(({ index }) => index)).size, 10_000);
});

test("a rate spaces packets by their length with headers, and its queue drops the tail", async () => {
  // 972 + 28 bytes at 100,000 bytes a second: one packet each 10 ms; 5 wait.
  const w = world({ bytesPerSecond: 100_000, queueBytes: 5000, latencyMs: 1 });
  const arrived = await stream(w, 20, 0, 972);
  assert.deepEqual(arrived.map(({ at }) => at), [11, 21, 31, 41, 51]);
  assert.equal(w.network.counters.queue, 15);
  const paced = await stream(world({ bytesPerSecond: 100_000, queueBytes: 5000 }), 20, 10, 972);
  assert.equal(paced.length, 20);
});

test("a packet longer than the MTU of a link is lost, one of that length is not", async () => {
  assert.equal((await stream(world({ mtuBytes: 1300 }), 1, 0, 1272)).length, 1);
  const w = world({ mtuBytes: 1300 });
  assert.equal((await stream(w, 1, 0, 1273)).length, 0);
  assert.equal(w.network.counters.mtu, 1);
  assert.equal((await stream(world({}), 1, 0, 1473)).length, 0, "1500 by default");
});

test("a clogged link holds everything back and then lets it go in order", async () => {
  const w = world({ latencyMs: 1 });
  w.a.uplink.clogUntil(500);
  const arrived = await stream(w, 10, 10);
  assert.deepEqual(arrived.map(({ at, index }) => [at, index]), [...Array(10).keys()].map((i) => [500, i]));
});

test("conditions can change while packets are under way", async () => {
  const w = world({ latencyMs: 100 });
  const arrived: number[] = [];
  await w.b.bind({ port: 1 }, { onDatagram: (datagram) => arrived.push(datagram[0]!) });
  const from = await w.a.bind({}, { onDatagram: () => {} });
  const to = SocketAddress.of(w.b.address, 1);
  from.send(Uint8Array.of(1), to);
  w.a.uplink.setConditions({ loss: [1, 1] });
  from.send(Uint8Array.of(2), to);
  w.a.uplink.setConditions({});
  w.clock.run();
  from.send(Uint8Array.of(3), to);
  w.clock.run();
  assert.deepEqual(arrived, [1, 3]);
});

test("conditions that make no sense are refused with their name", () => {
  const w = world({});
  const set = (conditions: LinkConditions) => () => w.a.uplink.setConditions(conditions);
  assert.throws(set({ latencyMs: -1 }), {
    name: "RangeError",
    message: /latencyMs must be 0 or more, not -1/,
  });
  assert.throws(set({ jitterMs: NaN }), /jitterMs/);
  assert.throws(set({ loss: [0.5, 1] }), /loss must be two integers/);
  assert.throws(set({ duplicate: [2, 1] }), /duplicate must be two integers/);
  assert.throws(set({ bytesPerSecond: 0 }), /bytesPerSecond must be above 0/);
});

test("a partition stops packets in the direction it is asked for until it heals", async () => {
  const w = world({});
  assert.equal((await stream(w, 1, 0)).length, 1);
  const oneWay = w.network.partition([w.b], [w.a], "a-to-b");
  assert.equal((await stream(w, 1, 0)).length, 1);
  const both = w.network.partition([w.b], [w.a]);
  assert.equal((await stream(w, 1, 0)).length, 0);
  both.heal();
  oneWay.heal();
  assert.equal((await stream(w, 1, 0)).length, 1);
  const other = w.network.partition([w.a], [w.b], "a-to-b");
  assert.equal((await stream(w, 1, 0)).length, 0);
  assert.equal(w.network.counters.partition, 2);
  other.heal();
});

test("a partition of a router takes all hosts behind it and its carrier along", async () => {
  const w = world({});
  const router = w.network.router({ type: "carrier-grade" });
  const inside = w.network.host({ behind: router });
  const hidden: World = { ...w, a: inside };
  assert.equal((await stream(hidden, 1, 0)).length, 1);
  for (const member of [router, router.carrier!, inside]) {
    const partition = w.network.partition([member], [w.b]);
    assert.equal((await stream(hidden, 1, 0)).length, 0);
    partition.heal();
  }
  assert.equal((await stream(hidden, 1, 0)).length, 1);
});

test("a link that is down loses everything, and works again when up", async () => {
  const w = world({});
  w.b.setDown(true);
  assert.equal((await stream(w, 3, 0)).length, 0);
  assert.equal(w.network.counters.down, 3);
  w.b.setDown(false);
  assert.equal((await stream(w, 3, 0)).length, 3);
});

test("a host that moves is reached at its new address alone", async () => {
  const w = world({});
  const old = w.b.address;
  let received = 0;
  await w.b.bind({ port: 7 }, { onDatagram: () => received++ });
  const bound = await w.b.bind({ host: old, port: 8 }, { onDatagram: () => received++ });
  w.b.renumber(["11.9.9.9"]);
  const from = await w.a.bind({}, { onDatagram: () => {} });
  from.send(new Uint8Array(1), SocketAddress.of(old, 7));
  from.send(new Uint8Array(1), SocketAddress.of("11.9.9.9", 8));
  w.clock.run();
  assert.equal(received, 0);
  assert.equal(bound.send(new Uint8Array(1), SocketAddress.of(w.a.address, 1)), false);
  from.send(new Uint8Array(1), SocketAddress.of("11.9.9.9", 7));
  w.clock.run();
  assert.equal(received, 1);
  assert.throws(() => w.a.renumber(["11.9.9.9"]), { code: "ADDRESS_IN_USE" });
});

test("a packet needs more hops than the core has routers", async () => {
  const w = world({}, { coreHops: 5 });
  let received = 0;
  await w.b.bind({ port: 1 }, { onDatagram: () => received++ });
  const from = await w.a.bind({}, { onDatagram: () => {} });
  for (const ttl of [1, 5, 6, 64]) from.send(new Uint8Array(1), SocketAddress.of(w.b.address, 1), ttl);
  w.clock.run();
  assert.equal(received, 2);
  assert.equal(w.network.counters.ttl, 2);
});

test("multicast reaches the members in the LAN, the sender only if it wants, and nobody else", async () => {
  const w = world({});
  const router = w.network.router();
  const hosts = Array.from({ length: 4 }, () => w.network.host({ behind: router }));
  const outside = w.network.host({ behind: w.network.router() });
  const heard: string[] = [];
  const sockets = await Promise.all([...hosts, outside].map(async (host) => {
    const socket = await host.bind({ port: 5353, reuseAddress: true }, {
      onDatagram: () => heard.push(host.name),
    });
    if (host !== hosts[3]) socket.joinMulticast!("224.0.0.251");
    return socket;
  }));
  const group = SocketAddress.of("224.0.0.251", 5353);
  sockets[0]!.send(new Uint8Array(1), group);
  w.clock.run();
  assert.deepEqual(heard.sort(), hosts.slice(0, 3).map(({ name }) => name).sort());
  heard.length = 0;
  sockets[0]!.setMulticast!({ loopback: false });
  await sockets[1]!.close();
  sockets[0]!.send(new Uint8Array(1), group);
  w.clock.run();
  assert.deepEqual(heard, [hosts[2]!.name]);
  assert.throws(() => sockets[0]!.joinMulticast!("10.0.0.1"), { code: "ADDRESS_UNUSABLE" });
});

test("two sockets share a port for multicast only if both agree", async () => {
  const w = world({});
  const receiver = { onDatagram: () => {} };
  await w.a.bind({ port: 5353, reuseAddress: true }, receiver);
  await w.a.bind({ port: 5353, reuseAddress: true }, receiver);
  await assert.rejects(w.a.bind({ port: 5353 }, receiver), { name: "ConnectError", code: "ADDRESS_IN_USE" });
  await assert.rejects(w.a.bind({ host: "10.1.2.3" }, receiver), { code: "ADDRESS_UNUSABLE" });
  await assert.rejects(w.a.bind({ host: "localhost" }, receiver), TypeError);
});

test("memory that a receiver keeps is spoilt after it returns", async () => {
  const w = world({});
  let kept = new Uint8Array();
  await w.b.bind({ port: 1 }, { onDatagram: (datagram) => kept = datagram as Uint8Array<ArrayBuffer> });
  const from = await w.a.bind({}, { onDatagram: () => {} });
  from.send(Uint8Array.of(1, 2, 3), SocketAddress.of(w.b.address, 1));
  w.clock.run();
  assert.deepEqual([...kept], [0xdb, 0xdb, 0xdb]);
});

/** A busy half minute; its hash must be the same in every runtime. */
async function busyRun(seed: number, trace?: (event: TraceEvent) => void): Promise<SimulatedNetwork> {
  const wan: LinkConditions = {
    latencyMs: 12.5,
    jitterMs: 7.3,
    loss: [1, 50],
    burstLoss: { enter: [1, 300], leave: [1, 4] },
    reorder: [1, 30],
    duplicate: [1, 40],
    bytesPerSecond: 40_000,
    queueBytes: 3000,
  };
  const w = world(wan, { wan, ...(trace === undefined ? {} : { trace }) }, seed);
  const random = new SeededRandom(seed);
  const hosts = [
    w.a,
    w.b,
    ...(["symmetric", "full-cone", "linux-poison"] as const).map((type) =>
      w.network.host({ behind: w.network.router({ type, link: wan }) })
    ),
  ];
  const sockets = await Promise.all(hosts.map((host) => host.bind({ port: 9 }, { onDatagram: () => {} })));
  for (let i = 0; i < 3000; i++) {
    const [from, to] = [random.below(hosts.length), random.below(hosts.length)];
    const host = hosts[to]!;
    const address = SocketAddress.of(host.router?.address ?? host.address, 9);
    sockets[from]!.send(random.fill(new Uint8Array(random.below(1480))), address, 1 + random.below(64));
    w.clock.run({ until: w.clock.now() + random.below(20) });
  }
  w.clock.run();
  return w.network;
}

test("the same seed gives the same run in every runtime, another seed another one", async () => {
  const run = await busyRun(7);
  assert.equal(run.traceHash, (await busyRun(7)).traceHash);
  assert.notEqual(run.traceHash, (await busyRun(8)).traceHash);
  assert.equal(run.traceHash.toString(16), "d2cd3641");
});

test("every packet that was sent is accounted for, and a tracer is told each event", async () => {
  const events: TraceEvent[] = [];
  const { counters, inFlight } = await busyRun(3, (event) => events.push(event));
  const { sent, duplicated, ...ends } = counters;
  assert.equal(inFlight, 0);
  assert.equal(Object.values(ends).reduce((sum, count) => sum + count), sent + duplicated);
  assert.equal(events.length, 2 * (sent + duplicated));
  for (const event of ["loss", "queue", "ttl", "filtered", "delivered"] as const) {
    assert.ok(counters[event] > 0, event);
  }
});
