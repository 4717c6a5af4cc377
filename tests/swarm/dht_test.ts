/** The swarm over HyperDHT, all in the simulator: nothing but `dht` is passed, its abilities do the rest. */
import assert from "node:assert/strict";
import { macrotask } from "../../core/runtime/system.ts";
import type { Dht } from "../../dht/mod.ts";
import { Swarm, type SwarmOptions } from "../../swarm/mod.ts";
import { DhtWorld } from "../dht/dht_world.ts";
import { test } from "../harness.ts";
import { TOPIC } from "./rig.ts";

interface Member {
  readonly dht: Dht;
  readonly swarm: Swarm;
}

/** A network of `nodes` nodes, and `count` swarms at nodes of their own. */
async function setUp(nodes: number, count: number, options: Partial<SwarmOptions> = {}) {
  const world = new DhtWorld();
  await world.dhtSwarm(nodes);
  const members: Member[] = [];
  for (let i = 0; i < count; i++) {
    const dht = await world.openDht({ hostOptions: { behind: world.network.router() } });
    const runtime = { ...world.runtime, random: world.runtime.random.fork(`swarm ${i}`) };
    members.push({ dht, swarm: new Swarm(runtime, { dht, ...options }) });
  }
  const end = async () => {
    await world.go(Promise.all(members.map(({ swarm }) => swarm.close())));
    await world.close();
  };
  return { world, members, end };
}

/** Lets `ms` pass, or less if `stop` says so. */
async function pass({ clock }: DhtWorld, ms: number, stop: () => boolean = () => false): Promise<void> {
  await clock.runAsync(macrotask, { until: clock.now() + ms, stop });
}

const key = ({ swarm }: Member) => swarm.keyPair.publicKey;

function isConnected(a: Member, b: Member): boolean {
  return [...a.swarm.connections.values()].some(({ publicKey }) =>
    publicKey.every((byte, i) => byte === key(b)[i])
  );
}

test("over a DHT: peers behind routers who join a topic at the same moment meet within a second", async () => {
  const { world, members, end } = await setUp(16, 8);
  for (let i = 0; i < members.length; i += 2) {
    const [a, b] = [members[i]!, members[i + 1]!];
    const topic = new Uint8Array(32).fill(i + 1);
    for (const { swarm } of [a, b]) swarm.join(topic);
    await pass(world, 1_000, () => isConnected(a, b) && isConnected(b, a));
    assert.ok(isConnected(a, b) && isConnected(b, a), `pair ${i} did not meet`);
  }
  await end();
});

test("over a DHT: a crowd on slow lines meets, since no dial is given up there to begin another", async () => {
  const world = new DhtWorld();
  await world.dhtSwarm(10);
  const link = { latencyMs: 1, bytesPerSecond: 10_500, queueBytes: 16_000 };
  const swarms: Swarm[] = [];
  while (swarms.length < 36) {
    const dht = await world.openDht({ hostOptions: { link } });
    const random = world.runtime.random.fork(`swarm ${swarms.length}`);
    swarms.push(new Swarm({ ...world.runtime, random }, { dht }));
  }
  for (const swarm of swarms) swarm.join(TOPIC);
  const lonely = () => swarms.filter(({ connections }) => connections.size < 8).length;
  await pass(world, 60_000, () => lonely() === 0);
  assert.equal(lonely(), 0);
  await world.go(Promise.all(swarms.map((swarm) => swarm.close())));
  await pass(world, 10_000);
  await world.close();
});

test("over a DHT: a peer is joined by its key alone, and proven topics and secrets work as elsewhere", async () => {
  const { world, members, end } = await setUp(10, 3, { channels: true });
  const [a, b, c] = members as [Member, Member, Member];
  await world.go(a.swarm.listen());
  c.swarm.joinPeer(key(a));
  const secret = new Uint8Array(32).fill(9);
  for (const { swarm } of [a, b]) swarm.join(TOPIC, { secret });
  await pass(world, 10_000);
  assert.ok(isConnected(a, b));
  assert.deepEqual(a.swarm.peer(key(b))?.provenTopics, [TOPIC]);
  assert.ok(!isConnected(a, c), "who does not know the secret has no business there");
  await end();
});

test("over a DHT: a suspended swarm takes its node to sleep, and both are back in seconds", async () => {
  const { world, members, end } = await setUp(10, 2);
  const [a, b] = members as [Member, Member];
  for (const { swarm } of members) swarm.join(TOPIC);
  await pass(world, 10_000);
  assert.ok(isConnected(a, b));
  await world.go(a.swarm.suspend());
  assert.equal(a.dht.state, "suspended");
  await pass(world, 600_000);
  assert.ok(!isConnected(b, a));
  await world.go(a.swarm.resume());
  assert.equal(a.dht.state, "open");
  await pass(world, 15_000);
  assert.ok(isConnected(a, b) && isConnected(b, a));
  await end();
});
