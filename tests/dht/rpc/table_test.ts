/** The routing table, the NAT sampler, the health of the network, the window: the parts that are values. */
import assert from "node:assert/strict";
import { SeededRandom } from "../../../core/runtime/virtual.ts";
import {
  CREDIT_BURST_BYTES,
  K,
  MAX_RTTS,
  MAX_SOURCES,
  MIN_WINDOW,
  SHARED_CREDITS,
} from "../../../dht/rpc/constants.ts";
import { ClosestReplies } from "../../../dht/rpc/closest_replies.ts";
import { Fifo } from "../../../dht/rpc/fifo.ts";
import { Forwards } from "../../../dht/rpc/forwards.ts";
import { type Health, NetworkHealth } from "../../../dht/rpc/health.ts";
import { NatSampler } from "../../../dht/rpc/nat_sampler.ts";
import { RoutingNode } from "../../../dht/rpc/node.ts";
import { compareDistance } from "../../../dht/rpc/node_id.ts";
import type { Reply } from "../../../dht/rpc/outgoing_request.ts";
import { RequestWindow } from "../../../dht/rpc/request_window.ts";
import { RttCache } from "../../../dht/rpc/rtt_cache.ts";
import { SourceCredits } from "../../../dht/rpc/source_credits.ts";
import { RoutingTable } from "../../../dht/rpc/table.ts";
import { SocketAddress } from "../../../encoding/address.ts";
import { test } from "../../harness.ts";

const random = new SeededRandom("table");
const randomId = () => random.fill(new Uint8Array(32));
let hosts = 0;
/** A node in a /24 of its own. */
const nodeWith = (id: Uint8Array, host?: string) =>
  new RoutingNode(
    id,
    host === undefined ? SocketAddress.v4(0x14000001 + (hosts++ << 8), 1) : SocketAddress.of(host, ++hosts),
    0,
  );

test("R8: closest nodes are exactly those of the least distance, nearest first", () => {
  for (let round = 0; round < 20; round++) {
    const table = new RoutingTable(randomId());
    const nodes: RoutingNode[] = [];
    for (let i = 0; i < 400; i++) {
      const node = nodeWith(randomId());
      if (table.add(node) === "added") nodes.push(node);
    }
    assert.equal(table.size, nodes.length);
    const target = randomId();
    const wanted = nodes.toSorted((a, b) => compareDistance(target, a.id, b.id)).slice(0, K);
    assert.deepEqual(table.closest(target), wanted);
    assert.deepEqual(table.closest(target, 5), wanted.slice(0, 5));
    for (const node of nodes) assert.ok(table.remove(node));
    assert.equal(table.size, 0);
    assert.deepEqual(table.closest(target), []);
  }
});

test("R8: a bucket takes 20 nodes, no node twice, and not the table itself", () => {
  const own = new Uint8Array(32);
  const table = new RoutingTable(own);
  const far = (n: number) => Uint8Array.of(0x80 | n, ...new Uint8Array(31));
  for (let n = 0; n < K; n++) assert.equal(table.add(nodeWith(far(n))), "added");
  assert.equal(table.add(nodeWith(far(K))), "full");
  assert.equal(table.add(nodeWith(far(3))), "known");
  assert.equal(table.add(nodeWith(own)), "self");
  assert.equal(table.bucketOf(far(50)).length, K);
  assert.equal(table.remove(nodeWith(far(3))), false, "another object is another node");
});

test("diversity: two nodes of a /24 fit into a bucket and into a result, however many there are", () => {
  const table = new RoutingTable(new Uint8Array(32));
  const id = (row: number, n: number) => {
    const bytes = new Uint8Array(32);
    bytes[row >> 3] = 0x80 >> (row & 7);
    bytes[31] = n;
    return bytes;
  };
  for (let row = 0; row < 10; row++) {
    const results = [1, 2, 3, 4].map((n) => table.add(nodeWith(id(row, n), `9.9.9.${n}`)));
    assert.deepEqual(results, ["added", "added", "crowded", "crowded"]);
    assert.equal(table.add(nodeWith(id(row, 5))), "added");
  }
  const closest = table.closest(id(0, 0));
  assert.equal(closest.filter(({ address }) => address.host.startsWith("9.9.9.")).length, 2);
  assert.equal(closest.length, 12);
});

test("diversity: private and loopback addresses are free of the rule, so that testnets work", () => {
  const table = new RoutingTable(new Uint8Array(32));
  for (let n = 0; n < K; n++) {
    assert.equal(
      table.add(nodeWith(Uint8Array.of(0x80 + 6 * n, ...new Uint8Array(31)), "127.0.0.1")),
      "added",
    );
  }
  assert.equal(table.closest(randomId()).length, K);
});

/** An id at a fraction of all distances from the key of zeros. */
function idAt(fraction: number): Uint8Array {
  const id = randomId();
  new DataView(id.buffer).setUint32(0, fraction * 2 ** 32);
  return id;
}

test("E1: the number of nodes in a network shows in the table, give or take a third", () => {
  for (const size of [100, 1000, 5000]) {
    const table = new RoutingTable(randomId());
    assert.equal(table.networkSize, Infinity, "nothing is known");
    for (let i = 0; i < size; i++) table.add(nodeWith(randomId()));
    assert.equal(table.networkSize, Infinity, "the nearest may be missing");
    table.isSaturated = true;
    assert.ok(
      table.networkSize > 0.6 * size && table.networkSize < 1.6 * size,
      `${table.networkSize} of ${size}`,
    );
  }
});

test("E1: of nodes that crowd around a key three count, and of honest ones all", () => {
  const key = new Uint8Array(32);
  const reply = (id: Uint8Array): Reply => {
    const from = SocketAddress.v4(0x14000001 + (hosts++ << 8), 1);
    return { from, id, to: from, closerNodes: [], error: 0, token: undefined, value: undefined, rttMs: 1 };
  };
  const closest = new ClosestReplies(key, 1000);
  const honest = Array.from({ length: 30 }, (_, i) => reply(idAt((i + 1) / 1000)));
  for (const one of honest) closest.add(one, one.id!);
  assert.deepEqual(closest.replies, honest.slice(0, K));
  const crowd = Array.from({ length: 500 }, (_, i) => reply(idAt(i / 1e7)));
  for (const one of crowd) {
    if (closest.wouldTake(one.id!, 0)) closest.add(one, one.id!);
  }
  assert.deepEqual(closest.replies.slice(0, 3), crowd.slice(0, 3));
  assert.ok(closest.replies.filter((one) => honest.includes(one)).length >= 14);
  assert.equal(closest.isFull, true);
  assert.ok(!closest.isCloser(idAt(0.03)));
});

test("R14: the sampler agrees with all of up to 3, all but one of 7, all but two of 11, all but three of more", () => {
  const [a, b, c] = [1, 2, 3].map((n) => SocketAddress.of("5.5.5.5", n));
  const other = SocketAddress.of("6.6.6.6", 1);
  const fill = (...samples: SocketAddress[]) => {
    const sampler = new NatSampler();
    for (const sample of samples) sampler.add(sample);
    return sampler.address?.toString();
  };
  const times = (n: number, address: SocketAddress) => Array<SocketAddress>(n).fill(address);
  assert.equal(fill(), undefined);
  assert.equal(fill(a!), "5.5.5.5:1");
  assert.equal(fill(a!, b!), "5.5.5.5:0", "the same host at changing ports");
  assert.equal(fill(a!, other), undefined);
  assert.equal(fill(a!, a!, other), undefined);
  assert.equal(fill(a!, a!, a!, other), "5.5.5.5:1");
  assert.equal(fill(a!, b!, c!, other), "5.5.5.5:0");
  assert.equal(fill(...times(6, a!), other, other), "5.5.5.5:1");
  assert.equal(fill(...times(5, a!), ...times(2, other)), undefined);
  assert.equal(fill(...times(13, a!), ...times(3, other)), "5.5.5.5:1");
  assert.equal(fill(...times(12, a!), ...times(4, other)), undefined);
  assert.equal(fill(...times(16, other), ...times(13, a!)), "5.5.5.5:1", "only the latest 16 count");
});

/** What the verdict is after ticks with so many replies and timeouts. */
function healthAfter(...ticks: readonly (readonly [replies: number, timeouts: number])[]): Health {
  const health = new NetworkHealth();
  let [replies, timeouts] = [0, 0];
  for (const [more, late] of ticks) health.update(replies += more, timeouts += late);
  return health.health;
}
const repeat = <T>(n: number, tick: T) => Array<T>(n).fill(tick);

test("R18: the network is offline after two ticks without any reply, and online with the first one", () => {
  const start = repeat(4, [5, 0] as const);
  assert.equal(healthAfter(...start, [0, 5]), "online");
  assert.equal(healthAfter(...start, [0, 5], [0, 5]), "offline");
  assert.equal(
    healthAfter(...start, [0, 5], [1, 1], [0, 5]),
    "offline",
    "ticks with few outcomes say nothing",
  );
  assert.equal(healthAfter(...start, [0, 5], [0, 5], [5, 0]), "online");
});

test("R18: it is degraded after four ticks with mostly timeouts, and recovers after four good ones", () => {
  const start = repeat(4, [5, 0] as const);
  const [bad, good] = [[2, 5] as const, [5, 2] as const];
  assert.equal(healthAfter(...start, ...repeat(3, bad)), "online");
  assert.equal(healthAfter(...start, ...repeat(4, bad)), "degraded");
  assert.equal(healthAfter(...start, ...repeat(3, bad), good, ...repeat(3, bad)), "online");
  assert.equal(healthAfter(...start, ...repeat(4, bad), ...repeat(3, good)), "degraded");
  assert.equal(healthAfter(...start, ...repeat(4, bad), ...repeat(4, good)), "online");
  assert.equal(healthAfter(...start, ...repeat(4, bad), ...repeat(2, [0, 9] as const)), "offline");
});

test("R18: nothing is said before the fourth tick, nor after a reset", () => {
  assert.equal(healthAfter(...repeat(3, [0, 50] as const)), "online");
  const health = new NetworkHealth();
  for (let i = 1; i < 9; i++) health.update(0, i * 10);
  assert.equal(health.health, "offline");
  assert.equal(health.reset(), true);
  assert.equal(health.health, "online");
  assert.equal(health.reset(), false);
});

test("R5: the window begins at 80, grows with answers while it is used, shrinks with timeouts, never below 80", () => {
  const window = new RequestWindow(1000);
  assert.equal(window.size, MIN_WINDOW);
  for (let i = 0; i < 50; i++) window.onAnswer(i, 10);
  assert.equal(window.size, MIN_WINDOW, "a window that is not used does not grow");
  for (let i = 0; i < 200; i++) window.onAnswer(i, window.size);
  assert.equal(window.size, MIN_WINDOW + 200);
  for (let i = 0; i < 300; i++) window.onAnswer(i, window.size);
  for (let i = 0; i < 50; i++) window.onTimeout();
  assert.equal(window.size, MIN_WINDOW + 400);
  for (let i = 0; i < 5000; i++) window.onAnswer(i, window.size);
  assert.equal(window.size, 1000);
  window.onAnswer(100_000, 1000);
  assert.equal(window.size, MIN_WINDOW + 1, "what was learned is forgotten after ten idle seconds");
  for (let i = 0; i < 500; i++) window.onTimeout();
  assert.equal(window.size, MIN_WINDOW);
});

test("R4: the first timeout follows the RTT, between 0.3 and 4 s; later ones double, up to a second", () => {
  const rtts = new RttCache({ below: () => 0 } as never);
  assert.deepEqual(
    [1, 2, 3].map((attempt) => rtts.timeout(0, 1, attempt)),
    [600, 1000, 1000],
    "nothing is known",
  );
  for (let i = 0; i < 20; i++) rtts.put(0, 1, 20);
  assert.deepEqual([1, 2, 3, 4].map((attempt) => rtts.timeout(0, 1, attempt)), [300, 600, 1000, 1000]);
  for (let i = 0; i < 50; i++) rtts.put(0, 2, 2500);
  assert.ok(Math.abs(rtts.timeout(0, 2, 1) - 2500) < 50);
  assert.equal(rtts.timeout(0, 2, 3), rtts.timeout(0, 2, 1));
  rtts.put(0, 3, 60_000);
  assert.equal(rtts.timeout(0, 3, 1), 4000);
  assert.equal(
    rtts.timeout(0, 99, 1),
    1000,
    "others are waited for as the average needs it, but for a second at most",
  );
  assert.equal(rtts.timeout(600_001, 1, 1), 600, "what is older than ten minutes is not believed");
  for (let key = 10; key < 10_000; key++) rtts.put(0, key, 1);
  assert.equal(rtts.size, MAX_RTTS);
});

test("D1: a source gets three times its bytes and 16 KiB in ten seconds, however it spreads its requests", () => {
  const credits = new SourceCredits();
  let [bytesIn, bytesOut] = [0, 0];
  for (let i = 0; i < 4000; i++) {
    assert.ok(credits.admit(i, 7, 43));
    bytesIn += 43;
    if (credits.allowance(i, 7) < 1200) continue;
    credits.spend(i, 7, 1200);
    bytesOut += 1200;
  }
  assert.ok(bytesOut <= 3 * bytesIn + CREDIT_BURST_BYTES);
  assert.ok(bytesOut > 3 * bytesIn);
  assert.equal(credits.allowance(10_000, 7), CREDIT_BURST_BYTES, "a new period");
});

test("D3: sources beyond the number that is counted share credits with few others, and all are forgotten in time", () => {
  const credits = new SourceCredits(undefined, 5);
  for (let host = 0; host < MAX_SOURCES + 100_000; host++) credits.admit(0, host, 10);
  assert.equal(credits.size, MAX_SOURCES + SHARED_CREDITS);
  credits.spend(0, MAX_SOURCES + 1, 50_000);
  const others = Array.from({ length: 10_000 }, (_, i) => credits.allowance(0, 2 * MAX_SOURCES + i));
  const poor = others.filter((allowance) => allowance < 0).length;
  assert.ok(poor > 0 && poor < 40, `${poor} of 10,000 share the credit that is used up`);
  let admitted = 0;
  for (let i = 0; i < 10_000; i++) if (credits.admit(0, 5, 10)) admitted++;
  assert.ok(admitted < 5000, "a source that sends too many is not looked at");
  credits.admit(10_000, 1, 10);
  assert.equal(credits.size, 1);
});

test("D2: a source causes ten messages to third parties at once and ten a second from then on", () => {
  const credits = new SourceCredits();
  const burst = Array.from({ length: 20 }, () => credits.forward(0, 1)).filter(Boolean).length;
  assert.equal(burst, 10);
  let later = 0;
  for (let ms = 1; ms <= 5000; ms++) if (credits.forward(ms, 1)) later++;
  assert.ok(later >= 49 && later <= 51, `${later}`);
});

test("D2: forwards are remembered for ten seconds, and no more than 4096 of them", () => {
  const forwards = new Forwards();
  const [a, b] = [SocketAddress.of("1.1.1.1", 1), SocketAddress.of("1.1.1.1", 2)];
  forwards.add(0, a, 5);
  assert.ok(forwards.has(9999, a, 5));
  assert.ok(!forwards.has(10_000, a, 5));
  assert.ok(!forwards.has(0, a, 6) && !forwards.has(0, b, 5));
  for (let i = 0; i < 10_000; i++) forwards.add(1, SocketAddress.v4(i, 1), i & 0xffff);
  assert.ok(forwards.size <= 4096);
  forwards.add(60_000, a, 1);
  assert.equal(forwards.size, 1);
});

test("a queue gives what it was given, in order, and does not keep what is gone", () => {
  const queue = new Fifo<{ n: number }>();
  let [pushed, taken] = [0, 0];
  for (let round = 0; round < 5000; round++) {
    for (let i = 0; i < 3; i++) queue.push({ n: pushed++ });
    for (let i = 0; i < (round < 2500 ? 2 : 4); i++) {
      const item = queue.shift();
      if (item !== undefined) assert.equal(item.n, taken++);
    }
    assert.equal(queue.length, pushed - taken);
  }
  queue.clear();
  assert.equal(queue.shift(), undefined);
});
