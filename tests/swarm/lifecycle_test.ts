/** W3, W10, W11, S2, S4, L1: crowds, bad networks, sleep, and what is left behind. */
import assert from "node:assert/strict";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { test } from "../harness.ts";
import { assertMesh, assertTalk, between, ghost, inWorld, type Peer, TOPIC } from "./rig.ts";

/** Whether all of `peers` are connected with all others. */
function isMesh(peers: readonly Peer[]): boolean {
  return peers.every(({ swarm }) => swarm.connections.size === peers.length - 1);
}

test("twenty peers that join at once are all connected with each other", () =>
  inWorld(async (world) => {
    const peers = world.crowd(20);
    for (const { swarm } of peers) swarm.join(TOPIC);
    await world.run(5_000);
    assertMesh(peers);
  }));

test("S2: a crowd with churn is whole again half a minute after the last change", () =>
  inWorld(async (world) => {
    const random = new SeededRandom("churn");
    const living = world.crowd(8);
    for (const { swarm } of living) swarm.join(TOPIC);
    for (let round = 0; round < 20; round++) {
      await world.run(random.below(4_000));
      const index = random.below(living.length);
      const victim = living[index]!;
      switch (random.below(3)) {
        case 0:
          living.splice(index, 1);
          void victim.swarm.close();
          break;
        case 1:
          for (const connection of victim.swarm.connections.keys()) connection.abort();
          break;
        default: {
          const born = world.peer();
          born.swarm.join(TOPIC);
          living.push(born);
        }
      }
    }
    await world.run(30_000);
    assertMesh(living);
  }));

test("S2: after a partition of two minutes all are connected again within half a minute", () =>
  inWorld(async (world) => {
    const peers = world.crowd(6);
    for (const { swarm } of peers) swarm.join(TOPIC);
    await world.run(20_000);
    const hosts = peers.map(({ host }) => host);
    const partition = world.network.partition(hosts.slice(0, 3), hosts.slice(3));
    await world.run(120_000);
    assertMesh(peers.slice(0, 3));
    assert.equal(between(peers[0]!, peers[5]!).length, 0);
    partition.heal();
    await world.run(30_000, () => isMesh(peers));
    assertMesh(peers);
  }));

test("W10: a change of the network is met by new announcements, lookups and dials", () =>
  inWorld(async (world) => {
    const [a, b] = world.crowd(2);
    for (const { swarm } of [a!, b!]) swarm.join(TOPIC);
    await world.run(20_000);
    const parted = world.network.partition([a!.host], [b!.host]);
    await world.run(3_600_000);
    parted.heal();
    const { announcements, lookups } = a!.swarm.stats;
    const [announced, lookedUp] = [announcements.done, lookups.done];
    a!.swarm.networkChanged();
    await world.run(2_000);
    assert.equal(announcements.done, announced + 1);
    assert.ok(lookups.done > lookedUp);
    assertMesh([a!, b!]);
  }));

test("W10: connections speak up at once after a change, and then keep their old pace", () =>
  inWorld(async (world) => {
    const [a, b] = world.crowd(2);
    for (const { swarm } of [a!, b!]) swarm.join(TOPIC);
    await world.run(22_500);
    const connection = between(a!, b!)[0]!;
    const before = connection.rawBytesWritten;
    a!.swarm.networkChanged();
    await world.run(100);
    const after = connection.rawBytesWritten;
    assert.ok(after > before);
    await world.run(60_000);
    assert.ok(connection.rawBytesWritten - after <= 13 * (after - before));
  }));

test("W10: who waits for a long pause to end is dialed at once", () =>
  inWorld(async (world) => {
    const [server, client] = world.crowd(2, { discoveries: [] });
    const record = await world.until(server!.swarm.listen());
    const parted = world.network.partition([server!.host], [client!.host]);
    client!.swarm.joinPeer(record);
    await world.run(90_000);
    assert.equal(client!.swarm.peer(record.publicKey)!.phase, "waiting");
    parted.heal();
    await world.run(30_000);
    assert.equal(client!.swarm.connections.size, 0);
    client!.swarm.networkChanged();
    await world.run(200);
    assertMesh([server!, client!]);
  }));

test("W10: a transport or discovery that watches the network is heard, until the swarm is closed", () =>
  inWorld(async (world) => {
    const watchers: { onChange: () => void; signal: AbortSignal }[] = [];
    const peer = world.peer({
      wrap: (discovery) => ({
        announce: (topic, self, options) => discovery.announce(topic, self, options),
        lookup: (topic, options) => discovery.lookup(topic, options),
        watchNetwork: (onChange: () => void, { signal }: { signal: AbortSignal }) =>
          void watchers.push({ onChange, signal }),
      }),
    });
    peer.swarm.join(TOPIC);
    await world.run(5_000);
    const before = peer.swarm.stats.announcements.done;
    watchers[0]!.onChange();
    await world.run(1_000);
    assert.equal(peer.swarm.stats.announcements.done, before + 1);
    await world.until(peer.swarm.close());
    assert.ok(watchers[0]!.signal.aborted);
  }));

test("W11, S4: after eight hours of sleep a swarm is announced in ten seconds and connected in fifteen", () =>
  inWorld(async (world) => {
    const [sleeper, ...others] = world.crowd(4);
    for (const { swarm } of world.peers) swarm.join(TOPIC);
    await world.run(20_000);
    await world.until(sleeper!.swarm.suspend());
    assert.ok(sleeper!.swarm.isSuspended);
    assert.equal(sleeper!.swarm.connections.size, 0);
    const announced = () => world.network.directory.records(String.fromCharCode(...TOPIC)).length;
    assert.equal(announced(), 3);
    const attempts = sleeper!.swarm.stats.connects.client.attempted;
    await world.run(8 * 3_600_000);
    assert.equal(sleeper!.swarm.stats.connects.client.attempted, attempts, "nothing is dialed in sleep");
    assertMesh(others);
    await world.until(sleeper!.swarm.resume());
    await world.run(10_000);
    assert.equal(announced(), 4);
    await world.run(5_000);
    assertMesh(world.peers);
    await assertTalk(world, sleeper!, others[0]!);
  }));

test("W11: what is joined in sleep begins on waking, and orders given in any order end in the last", () =>
  inWorld(async (world) => {
    const [a, b] = world.crowd(2);
    b!.swarm.join(TOPIC);
    const steps = [a!.swarm.suspend(), a!.swarm.suspend(), a!.swarm.resume(), a!.swarm.suspend()];
    await world.until(Promise.all(steps));
    a!.swarm.join(TOPIC);
    a!.swarm.joinPeer(ghost(9));
    await world.run(10_000);
    assert.equal(a!.swarm.stats.connects.client.attempted, 0);
    await world.until(Promise.all([a!.swarm.resume(), a!.swarm.resume()]));
    await world.run(2_000);
    assertMesh([a!, b!]);
  }));

test("W11: what can sleep sleeps after the connections and wakes before the announcements", () =>
  inWorld(async (world) => {
    const log: string[] = [];
    const [a, b] = [
      world.peer({
        wrap: (discovery) => ({
          async announce(topic, self, options) {
            log.push("announce");
            return await discovery.announce(topic, self, options);
          },
          lookup: (topic, options) => discovery.lookup(topic, options),
          suspend: () => Promise.resolve(void log.push(`suspend with ${a!.swarm.connections.size}`)),
          resume: () => Promise.resolve(void log.push("resume")),
        }),
      }),
      world.peer(),
    ];
    for (const { swarm } of [a, b]) swarm.join(TOPIC);
    await world.run(1_000);
    await world.until(a.swarm.suspend());
    await world.until(a.swarm.resume());
    await world.run(3_000);
    assert.deepEqual(log, ["announce", "suspend with 0", "resume", "announce"]);
  }));

test("L1: a thousand times joining and leaving, with peers or without, leaves nothing", () =>
  inWorld(async (world) => {
    const [a, b] = world.crowd(2);
    await world.until(a!.swarm.listen());
    const topic = new Uint8Array(32);
    const pending = world.clock.pending;
    for (let i = 0; i < 1_000; i++) {
      new DataView(topic.buffer).setUint32(0, i % 700);
      const session = a!.swarm.join(topic);
      if (i % 10 === 0) b!.swarm.join(topic);
      if (i % 3 === 0) await world.run(i % 50);
      void session.close();
      if (i % 10 === 0) void b!.swarm.leave(topic);
    }
    await world.run(1_000);
    for (const { swarm } of [a!, b!]) {
      for (const connection of swarm.connections.keys()) connection.abort();
    }
    await world.run(120_000);
    assert.deepEqual([a!.swarm.topics.length, a!.swarm.peers.length, b!.swarm.peers.length], [0, 0, 0]);
    assert.equal(world.clock.pending, pending);
  }));

test("L1: connections that come and go, hundreds of them, leave nothing", () =>
  inWorld(async (world) => {
    const [a, b] = world.crowd(2);
    const record = await world.until(a!.swarm.listen());
    for (let i = 0; i < 250; i++) {
      b!.swarm.joinPeer(record);
      await world.run(200);
      assert.equal(a!.swarm.connections.size, 1);
      b!.swarm.leavePeer(record.publicKey);
      const closing = between(i % 2 === 0 ? a! : b!, i % 2 === 0 ? b! : a!)[0]!;
      if (i % 3 === 0) closing.abort();
      else void closing.close();
      await world.run(6_000);
      assert.deepEqual([a!.swarm.peers.length, b!.swarm.peers.length], [0, 0]);
    }
  }));

test("L3: closing at any moment ends in time, withdraws all and leaves nothing", async () => {
  for (let after = 0; after < 400; after += 13) {
    await inWorld(async (world) => {
      const peers = world.crowd(4);
      for (const { swarm } of peers) swarm.join(TOPIC);
      await world.run(after);
      await world.until(Promise.all(peers.slice(0, 2).map(({ swarm }) => swarm.close())), 2_000);
      await world.run(100);
    }, after);
  }
});

test("L3: closing does not wait for peers that do not end, nor for discoveries that do not answer", () =>
  inWorld(async (world) => {
    const stubborn = world.peer();
    const record = await world.until(stubborn.swarm.listen());
    const busy = world.peer({
      wrap: (discovery) => ({
        announce: () => Promise.resolve({ [Symbol.asyncDispose]: () => new Promise<void>(() => {}) }),
        lookup: (topic, options) => discovery.lookup(topic, options),
      }),
    });
    // Who reads and never ends leaves the other side half open.
    stubborn.swarm.on("connection", ({ detail }) =>
      detail.connection.duplex.attach({
        onData() {},
        onDrain() {},
        onEnd() {},
        onClose() {},
      }));
    busy.swarm.join(TOPIC);
    busy.swarm.joinPeer(record);
    await world.run(1_000);
    assert.equal(busy.swarm.connections.size, 1);
    await world.until(busy.swarm.close(), 3_100);
    assert.equal(busy.swarm.connections.size, 0);
  }));
