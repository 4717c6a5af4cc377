/** A node and its network: NAT, firewall, roles, bootstrap, sleep, the kept table. */
import assert from "node:assert/strict";
import { REFRESH_MS, STABLE_MS } from "../../../dht/rpc/constants.ts";
import type { Rpc } from "../../../dht/rpc/rpc.ts";
import type { RoutingTableStore } from "../../../dht/rpc/rpc_options.ts";
import { SocketAddress } from "../../../encoding/address.ts";
import type { RouterType } from "../../../transports/memory/mod.ts";
import { test } from "../../harness.ts";
import { PORT, SleepyClock, World } from "./support.ts";

async function open(world: World, node: Rpc): Promise<Rpc> {
  await world.go(node.open().then(() => node.ready()));
  return node;
}

const cases: readonly [type: RouterType | undefined, isReachable: boolean, host: boolean, port: boolean][] = [
  [undefined, true, true, true],
  ["open", true, true, true],
  ["public-firewall", false, true, true],
  ["full-cone", false, true, true],
  ["restricted-cone", false, true, true],
  ["port-restricted-cone", false, true, true],
  ["port-shifting", false, true, true],
  ["symmetric", false, true, false],
  ["carrier-grade", false, true, true],
  ["carrier-grade-symmetric", false, true, false],
  ["linux-poison", false, true, true],
];

for (const [type, isReachable, knowsHost, knowsPort] of cases) {
  test(`R14, R15: behind ${type ?? "nothing"} a node ${isReachable ? "is" : "is not"} reachable, and knows it`, async () => {
    const world = new World(type ?? "public");
    const nodes = await world.swarm(12);
    const hostOptions = type === undefined ? {} : { behind: world.network.router({ type }) };
    const node = await open(world, world.make({ bootstrap: [world.addressOf(nodes[0]!)], hostOptions }));
    await world.pass(10_000);
    assert.equal(node.firewalled, !isReachable);
    assert.equal(node.ephemeral, true, "the quick test says nothing about the role");
    const host = hostOptions.behind === undefined ? world.hosts.get(node)! : hostOptions.behind;
    if (knowsHost && type !== "open" && type !== "public-firewall" && !type?.startsWith("carrier")) {
      assert.equal(node.natAddress?.host, host.address);
    }
    assert.equal((node.natAddress?.port ?? 0) !== 0, knowsPort);
    assert.equal(node.remoteAddress() !== undefined, isReachable);
    await world.pass(STABLE_MS + 60_000);
    assert.equal(node.ephemeral, !isReachable, "a reachable node serves others in the end");
    await world.close();
  });
}

test("R15: a node that cannot send at all stays as it is and tries again", async () => {
  const world = new World("blocked");
  const nodes = await world.swarm(4);
  const behind = world.network.router({ type: "udp-blocked" });
  const node = await open(
    world,
    world.make({ bootstrap: [world.addressOf(nodes[0]!)], hostOptions: { behind } }),
  );
  await world.pass(60_000);
  assert.deepEqual([node.size, node.firewalled, node.natAddress], [0, true, undefined]);
  const { total } = node.stats.queries;
  await world.pass(120_000);
  assert.ok(node.stats.queries.total > total);
  await world.close();
});

test("R16: an adaptive node becomes persistent after 20 good minutes, with the id of its address, and others know it", async () => {
  const world = new World("adaptive");
  const nodes = await world.swarm(12);
  const node = await open(world, world.make({ bootstrap: [world.addressOf(nodes[0]!)] }));
  let persistentAt = 0;
  node.on("persistent", () => persistentAt = world.clock.now());
  const start = world.clock.now();
  await world.pass(STABLE_MS + 2 * REFRESH_MS);
  const minutes = (persistentAt - start) / 60_000;
  assert.ok(minutes > 19.9 && minutes < 20.2, `${minutes}`);
  assert.deepEqual(node.id, world.idOf(world.addressOf(node)));
  const known = nodes.filter((other) =>
    other.toArray().some((address) => address.equals(world.addressOf(node)))
  );
  assert.ok(known.length > 6, `${known.length}`);
  assert.equal(node.size, 12, "the table is rebuilt around the new id, and nothing is lost");
  await world.close();
});

test("R16: a node that was told its role keeps it", async () => {
  const world = new World("fixed");
  const nodes = await world.swarm(12);
  const options = { bootstrap: [world.addressOf(nodes[0]!)] };
  const never = await open(world, world.make({ ...options, ephemeral: true }));
  const notAdaptive = await open(world, world.make({ ...options, adaptive: false }));
  const always = await open(world, world.make({ ...options, ephemeral: false }));
  assert.equal(always.ephemeral, false);
  await world.pass(STABLE_MS + 120_000);
  assert.deepEqual([never.ephemeral, notAdaptive.ephemeral, always.ephemeral], [true, true, false]);
  await world.close();
});

test("R16: the first node of a private network gets its id as soon as others tell it its address", async () => {
  const world = new World("private");
  const first = await open(world, world.make({ ephemeral: false, firewalled: false, bootstrap: false }));
  assert.equal(first.ephemeral, true);
  const bootstrap = [world.addressOf(first)];
  const others: Rpc[] = [];
  for (let i = 0; i < 3; i++) {
    others.push(await open(world, world.make({ ephemeral: false, firewalled: false, bootstrap })));
  }
  await world.pass(REFRESH_MS * 2);
  assert.equal(first.ephemeral, false);
  assert.deepEqual(first.id, world.idOf(world.addressOf(first)));
  assert.ok(first.size > 0);
  await world.close();
});

test("R16: a bootstrapper is persistent at once, on its port, and refuses addresses that nobody can write to", async () => {
  const world = new World("bootstrapper");
  const node = await world.bootstrapper();
  assert.equal(node.ephemeral, false);
  assert.equal(node.remoteAddress()?.toString(), world.addressOf(node).toString());
  const { Rpc } = await import("../../../dht/rpc/rpc.ts");
  for (
    const address of [{ host: "0.0.0.0", port: 1 }, { host: "::1", port: 1 }, { host: "1.2.3.4", port: 0 }]
  ) {
    assert.throws(
      () => Rpc.bootstrapper(world.runtime, { bind: () => Promise.reject() }, address),
      TypeError,
    );
  }
  await world.close();
});

test("R17: names are looked up, suggested addresses are tried first, and what fails is tried again later", async () => {
  const world = new World("names");
  const nodes = await world.swarm(8);
  const asked: string[] = [];
  const lookup = (host: string, port: number) => {
    asked.push(host);
    if (host !== "good.example") return Promise.reject(new Error("unknown"));
    return Promise.resolve(SocketAddress.of(world.addressOf(nodes[0]!).host, port));
  };
  const join = async (...bootstrap: string[]) => {
    asked.length = 0;
    const start = world.clock.now();
    const node = await open(world, world.make({ bootstrap, lookup, ephemeral: true }));
    return { node, ms: world.clock.now() - start };
  };
  const { host } = world.addressOf(nodes[0]!);
  assert.equal((await join(`good.example:${PORT}`)).node.size, 8);
  assert.deepEqual(asked, ["good.example"]);
  assert.equal((await join(`${host}@bad.example:${PORT}`)).node.size, 8);
  assert.deepEqual(asked, [], "the suggested address answered");
  const fallback = await join(`20.99.99.1@good.example:${PORT}`);
  assert.equal(fallback.node.size, 8);
  assert.ok(
    fallback.ms < 2000,
    `the name is looked up while the address may still answer: ${fallback.ms} ms`,
  );
  const lost = await join(`bad.example:${PORT}`);
  assert.equal(lost.node.size, 0);
  await world.pass(200_000);
  assert.ok(asked.length > 1);
  assert.equal((await join(`bad.example:${PORT}`, `good.example:${PORT}`)).node.size, 8);
  await world.close();
});

test("R17: without bootstrap nodes a node waits to be found, or begins with the nodes that it is given", async () => {
  const world = new World("no bootstrap");
  const nodes = await world.swarm(8);
  const waiting = await open(world, world.make({ bootstrap: false }));
  assert.equal(waiting.size, 0);
  const given = await open(world, world.make({ nodes: [world.addressOf(nodes[3]!)], ephemeral: true }));
  assert.equal(given.size, 8);
  assert.equal(given.toArray({ limit: 3 }).length, 3);
  assert.equal(given.toArray({ limit: 0 }).length, 0);
  waiting.addNode(world.addressOf(nodes[2]!));
  waiting.refresh();
  await world.pass(1000);
  assert.equal(waiting.size, 8);
  await world.close();
});

test("R17: bootstrap nodes and ports that make no sense are refused at once", () => {
  const world = new World("nonsense");
  for (const bootstrap of ["no port", "host:", "host:0", "host:70000", "a@b@c:1", "not-an-ip@host:1"]) {
    assert.throws(() => world.make({ bootstrap: [bootstrap] }), TypeError, bootstrap);
  }
  for (const port of [-1, 70_000, 1.5, [5, 5], [9, 3]] as const) {
    assert.throws(() => world.make({ port }), RangeError, String(port));
  }
  assert.throws(() => world.make({ concurrency: 0 }), RangeError);
});

/** A store in memory that can fail. */
class MemoryTable implements RoutingTableStore {
  nodes: readonly SocketAddress[] = [];
  saves = 0;
  isBroken = false;

  load(): Promise<readonly SocketAddress[]> {
    return this.isBroken ? Promise.reject(new Error("no disk")) : Promise.resolve(this.nodes);
  }

  save(nodes: readonly SocketAddress[]): Promise<void> {
    if (this.isBroken) return Promise.reject(new Error("no disk"));
    this.saves++;
    this.nodes = nodes;
    return Promise.resolve();
  }
}

test("store: a node that kept its table finds back without any bootstrap node, in less than a second", async () => {
  const world = new World("store", { latencyMs: 40 });
  const nodes = await world.swarm(60);
  const store = new MemoryTable();
  const hostOptions = { behind: world.network.router() };
  const bootstrap = [world.addressOf(nodes[0]!)];
  const cold = await open(world, world.make({ bootstrap, store, ephemeral: true, hostOptions }));
  await world.go(cold.close());
  assert.ok(store.nodes.length >= 20 && store.nodes.length <= 200);
  await world.go(nodes[0]!.close());
  for (const node of nodes.slice(1, 15)) await world.go(node.close());
  const warm = world.make({ bootstrap, store, ephemeral: true, hostOptions });
  const start = world.clock.now();
  await world.go(warm.open());
  const query = warm.findNode(world.target("warm"));
  await world.go((async () => {
    for await (const reply of query) if (reply.id !== undefined) break;
  })());
  assert.ok(world.clock.now() - start < 1000);
  await world.go(warm.ready());
  assert.ok(warm.size >= 20);
  await world.close();
});

test("store: kept nodes that are gone hold up neither the start nor the first query", async () => {
  const world = new World("gone", { latencyMs: 20 });
  const nodes = await world.swarm(60);
  const bootstrap = [world.addressOf(nodes[0]!)];
  const timesOf = async (living: number, gone: number): Promise<{ queryMs: number; readyMs: number }> => {
    const alive = nodes.slice(1, 1 + living).map((node) => world.addressOf(node));
    const dead = Array.from({ length: gone }, (_, i) => SocketAddress.v4(0xc6336401 + 256 * i, 999));
    const store = new MemoryTable();
    store.nodes = Array.from({ length: 40 }, (_, i) => [dead[i], alive[i]]).flat().filter((one) =>
      one !== undefined
    );
    const hostOptions = { behind: world.network.router() };
    const node = world.make({ bootstrap, store, ephemeral: true, hostOptions });
    const start = world.clock.now();
    await world.go(node.open());
    const queried = node.findNode(world.target("gone")).finished().then(() => world.clock.now());
    const ready = node.ready().then(() => world.clock.now());
    const [queriedAt, readyAt] = await world.go(Promise.all([queried, ready]));
    await world.go(node.close());
    return { queryMs: queriedAt - start, readyMs: readyAt - start };
  };
  const without = await timesOf(0, 0);
  const withLiving = await timesOf(40, 0);
  assert.ok(
    withLiving.queryMs < without.queryMs,
    `${withLiving.queryMs} ms, ${without.queryMs} ms without a store`,
  );
  for (const [living, gone] of [[40, 10], [40, 40], [8, 5], [0, 40]] as const) {
    const { queryMs, readyMs } = await timesOf(living, gone);
    const text = `${living} living, ${gone} gone: query ${queryMs} ms, ready ${readyMs} ms; without a store `;
    assert.ok(queryMs <= without.queryMs + 1, text + `${without.queryMs} ms`);
    assert.ok(readyMs <= without.readyMs + 1, text + `${without.readyMs} ms`);
  }
  await world.close();
});

test("store: if nobody has answered, nodes that never did are waited for as long as any", async () => {
  const world = new World("patient", { latencyMs: 400 });
  const nodes = await world.swarm(8);
  const store = new MemoryTable();
  store.nodes = [world.addressOf(nodes[1]!)];
  const node = await open(world, world.make({ bootstrap: false, store, ephemeral: true }));
  assert.equal(node.size, 8);
  await world.close();
});

test("store: one that fails is reported and otherwise ignored; an empty table does not overwrite a kept one", async () => {
  const world = new World("broken store");
  const nodes = await world.swarm(8);
  const store = new MemoryTable();
  store.isBroken = true;
  const node = world.make({ bootstrap: [world.addressOf(nodes[0]!)], store, ephemeral: true });
  const problems: string[] = [];
  node.on("problem", ({ detail }) => problems.push(detail.what));
  await open(world, node);
  assert.equal(node.size, 8);
  await world.go(node.close());
  assert.deepEqual(problems, ["load", "save", "save"]);
  store.isBroken = false;
  store.nodes = [world.addressOf(nodes[1]!)];
  const lonely = world.make({ store: { load: () => Promise.resolve([]), save: (all) => store.save(all) } });
  await open(world, lonely);
  await world.go(lonely.close());
  assert.equal(store.nodes.length, 1);
  await world.close();
});

test("store: the table is stored from time to time, not only at the end", async () => {
  const world = new World("often");
  const nodes = await world.swarm(8);
  const store = new MemoryTable();
  await open(world, world.make({ bootstrap: [world.addressOf(nodes[0]!)], store, ephemeral: true }));
  await world.pass(3_600_000);
  assert.ok(store.saves >= 5 && store.saves <= 10, `${store.saves}`);
  await world.close();
});

for (const way of ["both clocks", "the wall clock alone"]) {
  test(`S4: after eight hours of sleep, seen by ${way}, a node is ephemeral and has a fresh table in seconds`, async () => {
    const world = new World("sleep");
    const nodes = await world.swarm(40);
    const clock = new SleepyClock(world.clock);
    const node = await open(world, world.make({ bootstrap: [world.addressOf(nodes[0]!)], clock }));
    await world.pass(STABLE_MS + 60_000);
    assert.equal(node.ephemeral, false);
    const told: string[] = [];
    for (const name of ["wakeup", "ephemeral"] as const) node.on(name, () => told.push(name));
    const dead = node.toArray().slice(0, 10);
    const others = nodes.slice(1).filter((other) =>
      dead.some((address) => address.equals(world.addressOf(other)))
    );
    await world.go(Promise.all(others.map((other) => other.close())));
    const host = world.hosts.get(node)!;
    host.setDown(true);
    if (way === "both clocks") await clock.sleep(() => world.pass(8 * 3_600_000));
    else world.clock.jumpWallTime(8 * 3_600_000);
    host.setDown(false);
    const queries = node.stats.queries.total;
    await world.pass(10_000);
    assert.deepEqual(told, ["ephemeral", "wakeup"]);
    assert.ok(node.stats.queries.total > queries, "it has looked around");
    await world.pass(300_000);
    const gone = new Set(others.map((other) => world.addressOf(other).key));
    assert.ok(gone.size >= 9 && !node.toArray().some(({ key }) => gone.has(key)));
    assert.equal(node.ephemeral, true);
    await world.pass(4 * STABLE_MS);
    assert.equal(node.ephemeral, false, "and serves others again when it has proven itself");
    await world.close();
  });
}

test("S4: a wall clock that jumps back, stands still or leaps ten years hurts nobody", async () => {
  const world = new World("clock");
  const nodes = await world.swarm(10);
  const year = 365 * 86_400_000;
  for (const jump of [-3_600_000, 3_600_000, -10 * year, 10 * year]) {
    world.clock.jumpWallTime(jump);
    await world.pass(30_000);
    const query = nodes[3]!.findNode(world.target(`jump ${jump}`));
    await world.go(query.finished());
    assert.equal(query.closestReplies.length, 9);
  }
  assert.ok(nodes.every((node) => !node.ephemeral), "a role that was asked for is kept");
  await world.close();
});

test("R18: a node whose link goes down is offline in seconds, and online again with the first answers", async () => {
  const world = new World("offline");
  const nodes = await world.swarm(20);
  const node = await open(world, world.make({ bootstrap: [world.addressOf(nodes[0]!)], ephemeral: true }));
  let updates = 0;
  node.on("networkUpdate", () => updates++);
  const busy = world.clock.schedule(world.clock.now() + 1000, function again() {
    for (const other of nodes.slice(0, 5)) {
      void node.ping(world.addressOf(other), { retries: 0 }).catch(() => {});
    }
    busy.reset(world.clock.now() + 1000);
  });
  await world.pass(30_000);
  assert.deepEqual([node.online, node.degraded, updates], [true, false, 0]);
  const host = world.hosts.get(node)!;
  host.setDown(true);
  await world.pass(16_000);
  assert.deepEqual([node.online, updates], [false, 1]);
  host.setDown(false);
  await world.pass(11_000);
  assert.deepEqual([node.online, node.degraded, updates], [true, false, 2]);
  busy.cancel();
  await world.close();
});

test("R19: a suspended node is silent, its work fails, and what is asked meanwhile is sent when it resumes", async () => {
  const world = new World("suspend");
  const nodes = await world.swarm(20);
  const node = await open(world, world.make({ bootstrap: [world.addressOf(nodes[0]!)], ephemeral: true }));
  const nobody = SocketAddress.of("20.99.0.1", 1);
  const ping = node.ping(nobody).catch((error) => error.code);
  const query = node.findNode(world.target("s"), { nodes: [nobody], onlyNodes: true }).finished().catch((e) =>
    e.code
  );
  await world.pass(20);
  await world.go(node.suspend());
  await world.go(node.suspend());
  const codes = await world.go(Promise.all([ping, query]));
  assert.deepEqual([...codes, node.suspended], ["IO_SUSPENDED", "IO_SUSPENDED", true]);
  const { sent } = world.network.counters;
  const later = node.ping(world.addressOf(nodes[1]!));
  const found = node.findNode(world.target("later"));
  await world.pass(3_600_000 / 60);
  assert.ok(world.network.counters.sent - sent < 2000);
  await world.go(node.resume());
  assert.equal((await world.go(later)).from.toString(), world.addressOf(nodes[1]!).toString());
  await world.go(found.finished());
  assert.equal(found.closestReplies.length, 20);
  await world.close();
});

test("R19: opening, suspending, resuming and closing in any order and at once ends well", async () => {
  const world = new World("orders");
  const nodes = await world.swarm(4);
  for (let i = 0; i < 24; i++) {
    const node = world.make({ bootstrap: [world.addressOf(nodes[0]!)], ephemeral: true });
    const random = world.random.fork(`order ${i}`);
    const acts = [() => node.open(), () => node.suspend(), () => node.resume(), () => node.close()];
    const work: Promise<unknown>[] = [];
    for (let step = 0; step < 6; step++) {
      work.push(
        acts[random.below(step < 4 ? 3 : 4)]!().catch((error) => assert.equal(error.code, "NODE_DESTROYED")),
      );
      if (random.chance(1, 2)) await world.pass(random.below(30));
    }
    work.push(node.close());
    await world.go(Promise.all(work));
    assert.equal(node.serverSocket, undefined);
  }
  await world.close();
});

test("R19: a node that is suspended at any moment of its start still gets ready, and leaves nothing behind", async () => {
  for (let ms = 0; ms < 400; ms += 13) {
    const world = new World(`suspended after ${ms}`);
    const nodes = await world.swarm(6);
    const node = world.make({ bootstrap: [world.addressOf(nodes[0]!)], ephemeral: false });
    const ready = node.ready();
    await world.pass(ms);
    await world.go(node.suspend());
    await world.pass(5000);
    await world.go(node.resume());
    await world.go(ready);
    await world.pass(60_000);
    assert.ok(node.size > 0);
    assert.deepEqual([node.stats.requests.active, node.stats.queries.active], [0, 0]);
    await world.close();
    assert.deepEqual([node.stats.requests.active, node.stats.queries.active], [0, 0]);
  }
});
