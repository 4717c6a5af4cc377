import assert from "node:assert/strict";
import { macrotask } from "../../../core/runtime/system.ts";
import { SeededRandom, VirtualClock } from "../../../core/runtime/virtual.ts";
import type { DatagramNetwork } from "../../../transports/datagram.ts";
import { MdnsDiscovery } from "../../../transports/mdns/mod.ts";
import {
  type LinkConditions,
  type SimulatedHost,
  SimulatedNetwork,
  type SimulatedRouter,
} from "../../../transports/memory/mod.ts";
import type { PeerRecord } from "../../../transports/transport.ts";
import { test } from "../../harness.ts";
import { MultiHomed } from "./support.ts";

const TOPIC = new Uint8Array(32).fill(9);

/** A peer that announces itself and collects all that it finds, with the moment of each finding. */
class Node {
  readonly discovery: MdnsDiscovery;
  readonly found = new Map<number, { readonly at: number; readonly addresses: readonly string[] }>();
  readonly announcement: Promise<AsyncDisposable>;

  constructor(world: World, network: DatagramNetwork, id: number, address = "udx:0.0.0.0:4000") {
    const runtime = { clock: world.clock, random: world.random.fork(`node ${id}`) };
    this.discovery = new MdnsDiscovery(runtime, network);
    const self = { publicKey: new Uint8Array(32).fill(id), addresses: [address] };
    this.announcement = this.discovery.announce(TOPIC, self);
    void this.#collect(world.clock);
  }

  async #collect(clock: VirtualClock): Promise<void> {
    for await (const { publicKey, addresses } of this.discovery.peers()) {
      this.found.set(publicKey[0]!, { at: clock.now(), addresses });
    }
  }

  /** The ids that it found, sorted. */
  get ids(): string {
    return [...this.found.keys()].sort().join();
  }
}

class World {
  readonly clock = new VirtualClock();
  readonly random: SeededRandom;
  readonly network: SimulatedNetwork;
  readonly nodes: Node[] = [];
  readonly #hosts = new Map<Node, DatagramNetwork>();

  constructor(lan: LinkConditions = {}, seed = 1) {
    this.random = new SeededRandom(seed);
    this.network = new SimulatedNetwork({ clock: this.clock, random: this.random.fork("network"), lan });
  }

  join(network: DatagramNetwork, id: number, address?: string): Node {
    const node = new Node(this, network, id, address);
    this.nodes.push(node);
    this.#hosts.set(node, network);
    return node;
  }

  async run(ms: number): Promise<void> {
    await this.clock.runAsync(macrotask, { until: this.clock.now() + ms });
  }

  /** What a lookup by `discovery` yields. */
  async lookup(discovery: MdnsDiscovery): Promise<PeerRecord[]> {
    const records: PeerRecord[] = [];
    let isDone = false;
    void (async () => {
      for await (const record of discovery.lookup(TOPIC)) records.push(record);
      isDone = true;
    })();
    await this.clock.runAsync(macrotask, { until: this.clock.now() + 60_000, stop: () => isDone });
    assert.ok(isDone, "a lookup ends");
    return records;
  }

  async close(...discoveries: readonly MdnsDiscovery[]): Promise<void> {
    const all = [...discoveries, ...this.nodes.map(({ discovery }) => discovery)];
    const closing = Promise.all(all.map((discovery) => discovery.close()));
    await this.run(1000);
    await closing;
    this.clock.run({ until: this.clock.now() + 10_000 });
    assert.equal(this.clock.pending, 0, "no timer is left");
  }
}

const idsWithout = (count: number, id: number) =>
  Array.from({ length: count }, (_, i) => i + 1).filter((other) => other !== id).join();

test("two peers on a LAN find each other in under a second, whenever the second one comes", async () => {
  for (let seed = 0; seed < 40; seed++) {
    const world = new World({}, seed);
    const lan = world.network.router();
    const a = world.join(world.network.host({ behind: lan }), 1);
    await world.run(seed * 50);
    const joinedAt = world.clock.now();
    const hostB = world.network.host({ behind: lan });
    const b = world.join(hostB, 2);
    await world.run(5000);
    assert.deepEqual([a.ids, b.ids], ["2", "1"], `seed ${seed}`);
    const took = Math.max(a.found.get(2)!.at, b.found.get(1)!.at) - joinedAt;
    assert.ok(took < 600, `seed ${seed}: ${took} ms`);
    assert.deepEqual(a.found.get(2)!.addresses, [`udx:${hostB.address}:4000`]);
    await world.close();
  }
});

test("five peers that start together all find each other in under a second", async () => {
  const world = new World();
  const lan = world.network.router();
  for (let id = 1; id <= 5; id++) world.join(world.network.host({ behind: lan }), id);
  await world.run(1000);
  for (const [i, { ids }] of world.nodes.entries()) assert.equal(ids, idsWithout(5, i + 1));
  await world.close();
});

test("a LAN that loses a third of all packets only delays the finding", async () => {
  for (let seed = 0; seed < 10; seed++) {
    const world = new World({ latencyMs: 1, loss: [1, 6] }, seed);
    const lan = world.network.router();
    for (let id = 1; id <= 3; id++) world.join(world.network.host({ behind: lan }), id);
    await world.run(15_000);
    for (const [i, { ids }] of world.nodes.entries()) assert.equal(ids, idsWithout(3, i + 1), `seed ${seed}`);
    await world.close();
  }
});

test("two LANs know nothing of each other, and nothing leaves them", async () => {
  const world = new World();
  const [here, there] = [world.network.router(), world.network.router()];
  const outside = world.join(world.network.host(), 9);
  for (let id = 1; id <= 2; id++) world.join(world.network.host({ behind: here }), id);
  for (let id = 3; id <= 4; id++) world.join(world.network.host({ behind: there }), id);
  await world.run(10_000);
  assert.deepEqual(world.nodes.map(({ ids }) => ids), ["", "2", "1", "4", "3"]);
  assert.equal(outside.discovery.counters.received, outside.discovery.counters.sent, "it hears itself only");
  await world.close();
});

test("a farewell is heard, and a lookup soon finds the others only", async () => {
  const world = new World();
  const lan = world.network.router();
  const [a, b, c] = [1, 2, 3].map((id) => world.join(world.network.host({ behind: lan }), id));
  await world.run(5000);
  const announcement = await b!.announcement;
  void announcement[Symbol.asyncDispose]();
  await world.run(1100);
  assert.deepEqual((await world.lookup(a!.discovery)).map(({ publicKey }) => publicKey[0]), [3]);
  void c!.discovery.close();
  await world.run(1100);
  assert.deepEqual(await world.lookup(a!.discovery), []);
  await world.close();
});

test("a peer that dies without a farewell is forgotten when its records expire", async () => {
  const world = new World();
  const lan = world.network.router();
  const a = world.join(world.network.host({ behind: lan }), 1);
  const hostB = world.network.host({ behind: lan });
  world.join(hostB, 2);
  await world.run(10_000);
  hostB.setDown(true);
  assert.equal((await world.lookup(a.discovery)).length, 1);
  await world.run(121_000);
  assert.equal((await world.lookup(a.discovery)).length, 0);
  hostB.setDown(false);
  await world.close();
});

test("peers stay known for hours, at a few packets a minute", async () => {
  const world = new World();
  const lan = world.network.router();
  for (let id = 1; id <= 3; id++) world.join(world.network.host({ behind: lan }), id);
  await world.run(10_000);
  const before = world.nodes.map(({ discovery }) => discovery.counters.sent);
  await world.run(2 * 3_600_000);
  for (const [i, { discovery }] of world.nodes.entries()) {
    const perMinute = (discovery.counters.sent - before[i]!) / 120;
    assert.ok(perMinute < 3, `${perMinute} packets a minute`);
    assert.equal((await world.lookup(discovery)).length, 2);
  }
  await world.close();
});

test("a peer that starts again elsewhere is told of with its new address first", async () => {
  const world = new World();
  const lan = world.network.router();
  const a = world.join(world.network.host({ behind: lan }), 1);
  const host = world.network.host({ behind: lan });
  const first = world.join(host, 2);
  await world.run(3000);
  void first.discovery.close();
  await world.run(100);
  world.join(host, 2, "udx:0.0.0.0:5000");
  await world.run(1000);
  assert.deepEqual(a.found.get(2)!.addresses, [`udx:${host.address}:5000`]);
  await world.close();
});

test("with a VPN up, peers on the LAN are told the address there, and those on the VPN the other", async () => {
  const world = new World();
  const [lan, vpn] = [world.network.router(), world.network.router({ lanPrefix: "10.8.0" })];
  const [onLan, onVpn] = [world.network.host({ behind: lan }), world.network.host({ behind: vpn })];
  const everywhere = world.join(new MultiHomed(onVpn, onLan), 1);
  const both = world.join(
    new MultiHomed(world.network.host({ behind: vpn }), world.network.host({ behind: lan })),
    4,
    `udx:${onVpn.address}:1`,
  );
  const friend = world.join(world.network.host({ behind: lan }), 2);
  const colleague = world.join(world.network.host({ behind: vpn }), 3);
  await world.run(2000);
  assert.deepEqual(friend.found.get(1)!.addresses, [`udx:${onLan.address}:4000`]);
  assert.deepEqual(colleague.found.get(1)!.addresses, [`udx:${onVpn.address}:4000`]);
  assert.equal(everywhere.ids, "2,3,4");
  assert.equal(both.ids, "1,2,3");
  assert.deepEqual(
    new Set(both.found.get(1)!.addresses),
    new Set([`udx:${onLan.address}:4000`, `udx:${onVpn.address}:4000`]),
  );
  await world.close();
});

test("an address of one interface is not told on another", async () => {
  const world = new World();
  const [lan, vpn] = [world.network.router(), world.network.router({ lanPrefix: "10.8.0" })];
  const [onLan, onVpn] = [world.network.host({ behind: lan }), world.network.host({ behind: vpn })];
  world.join(new MultiHomed(onVpn, onLan), 1, `udx:${onVpn.address}:4000`);
  const friend = world.join(world.network.host({ behind: lan }), 2);
  const colleague = world.join(world.network.host({ behind: vpn }), 3);
  await world.run(5000);
  assert.equal(friend.ids, "");
  assert.deepEqual(colleague.found.get(1)!.addresses, [`udx:${onVpn.address}:4000`]);
  await world.close();
});

test("an interface that comes later is used within seconds", async () => {
  const world = new World();
  const [home, cafe] = [world.network.router(), world.network.router()];
  const machine = new MultiHomed(world.network.host({ behind: home }));
  const roaming = world.join(machine, 1);
  const atHome = world.join(world.network.host({ behind: home }), 2);
  const atCafe = world.join(world.network.host({ behind: cafe }), 3);
  await world.run(2000);
  assert.deepEqual([roaming.ids, atHome.ids, atCafe.ids], ["2", "1", ""]);
  const watching = new AbortController();
  let changes = 0;
  roaming.discovery.watchNetwork(() => changes++, watching);
  machine.hosts = [world.network.host({ behind: cafe })];
  await world.run(7000);
  assert.deepEqual([roaming.ids, atCafe.ids], ["2,3", "1"]);
  assert.equal(changes, 1);
  watching.abort();
  machine.hosts = [world.network.host({ behind: home })];
  await world.run(7000);
  assert.equal(changes, 1, "nobody is told any more");
  await world.close();
});

test("programs on one host find each other", async () => {
  const world = new World();
  const host = world.network.host({ behind: world.network.router() });
  const a = world.join(host, 1, "udx:0.0.0.0:4000");
  const b = world.join(host, 2, "udx:0.0.0.0:4001");
  await world.run(1000);
  assert.deepEqual(a.found.get(2)!.addresses, [`udx:${host.address}:4001`]);
  assert.deepEqual(b.found.get(1)!.addresses, [`udx:${host.address}:4000`]);
  await world.close();
});

test("where the interfaces are not known, the default one is used and the sender's address told", async () => {
  const world = new World();
  const lan = world.network.router();
  const blind = (host: SimulatedHost): DatagramNetwork => ({
    maxDatagramBytes: 1472,
    bind: (options, receiver) => host.bind(options, receiver),
  });
  const join = (router: SimulatedRouter, id: number) => {
    const host = world.network.host({ behind: router });
    return { host, node: world.join(blind(host), id, "udx:127.0.0.1:4000") };
  };
  const [a, b] = [join(lan, 1), join(lan, 2)];
  await world.run(1000);
  assert.deepEqual(a.node.found.get(2)!.addresses, [`udx:${b.host.address}:4000`]);
  await world.close();
});

test("a lookup without an announcement finds peers and tells nobody of its own", async () => {
  const world = new World();
  const lan = world.network.router();
  const a = world.join(world.network.host({ behind: lan }), 1);
  const runtime = { clock: world.clock, random: world.random };
  const seeker = new MdnsDiscovery(runtime, world.network.host({ behind: lan }));
  assert.equal((await world.lookup(seeker)).length, 1);
  assert.equal(a.ids, "");
  await world.close(seeker);
});

test("two announcements of one peer end one after the other", async () => {
  const world = new World();
  const lan = world.network.router();
  const a = world.join(world.network.host({ behind: lan }), 1);
  const b = world.join(world.network.host({ behind: lan }), 2);
  const second = await b.discovery.announce(new Uint8Array(32), {
    publicKey: new Uint8Array(32).fill(2),
    addresses: ["tcp:0.0.0.0:4001"],
  });
  await world.run(1000);
  assert.equal(a.found.get(2)!.addresses.length, 2);
  void (await b.announcement)[Symbol.asyncDispose]();
  await world.run(5000);
  assert.match((await world.lookup(a.discovery))[0]!.addresses.join(), /^tcp:[^,]*$/);
  void second[Symbol.asyncDispose]();
  await world.run(1100);
  assert.deepEqual(await world.lookup(a.discovery), []);
  await world.close();
});

test("wrong lengths are range errors, and a closed discovery says so", async () => {
  const world = new World();
  const runtime = { clock: world.clock, random: world.random };
  const discovery = new MdnsDiscovery(runtime, world.network.host());
  const self = { publicKey: new Uint8Array(32), addresses: [] };
  await assert.rejects(discovery.announce(new Uint8Array(31), self), RangeError);
  await assert.rejects(discovery.lookup(new Uint8Array(33)).next(), RangeError);
  await assert.rejects(discovery.announce(TOPIC, { ...self, publicKey: new Uint8Array(5) }), RangeError);
  await world.close(discovery);
  await assert.rejects(discovery.announce(TOPIC, self), { code: "SOCKET_CLOSED" });
  await assert.rejects(discovery.peers().next(), { code: "SOCKET_CLOSED" });
});

test("where no socket can be opened the error says why, and the next try may succeed", async () => {
  const world = new World();
  const host = world.network.host({ behind: world.network.router() });
  let isBroken = true;
  const network: DatagramNetwork = {
    maxDatagramBytes: 1472,
    bind: (options, receiver) => {
      return isBroken ? Promise.reject(new Error("no sockets today")) : host.bind(options, receiver);
    },
  };
  const discovery = new MdnsDiscovery({ clock: world.clock, random: world.random }, network);
  const self = { publicKey: new Uint8Array(32), addresses: ["udx:0.0.0.0:1"] };
  await assert.rejects(discovery.announce(TOPIC, self), { code: "ADDRESS_UNUSABLE" });
  isBroken = false;
  await discovery.announce(TOPIC, self);
  await world.close(discovery);
});
