/** W1, W2: joining and leaving topics, and finding peers. */
import assert from "node:assert/strict";
import { MemoryDiscovery, MemoryTransport } from "../../transports/memory/mod.ts";
import { test } from "../harness.ts";
import { assertMesh, assertTalk, between, inWorld, OTHER_TOPIC, TOPIC } from "./rig.ts";

test("W1: two peers that join a topic meet and talk", () =>
  inWorld(async (world) => {
    const [a, b] = world.crowd(2);
    a!.swarm.join(TOPIC);
    await world.run(500);
    b!.swarm.join(TOPIC);
    await world.run(500);
    assertMesh([a!, b!]);
    await assertTalk(world, a!, b!);
    assert.deepEqual(b!.swarm.connections.get(between(b!, a!)[0]!)!.topics, [TOPIC]);
  }));

test("W1: a server alone does not look, a client alone is not found", () =>
  inWorld(async (world) => {
    const [server, otherServer, client, otherClient] = world.crowd(4);
    for (const { swarm } of [server!, otherServer!]) swarm.join(TOPIC, { client: false });
    for (const { swarm } of [client!, otherClient!]) swarm.join(TOPIC, { server: false });
    await world.run(5_000);
    assert.equal(between(server!, otherServer!).length, 0);
    assert.equal(between(client!, otherClient!).length, 0);
    assertMesh([server!, client!]);
    assertMesh([otherServer!, otherClient!]);
    assert.equal(server!.swarm.stats.lookups.done, 0);
    assert.equal(client!.swarm.stats.announcements.done, 0);
  }));

test("W1: the swarm is in a topic as long as one session is, with the roles of all of them", () =>
  inWorld(async (world) => {
    const { swarm } = world.peer();
    const announced = () => world.network.directory.records(String.fromCharCode(...TOPIC)).length;
    const first = swarm.join(TOPIC, { server: false });
    const second = swarm.join(TOPIC, { client: false });
    await world.until(second.flushed());
    assert.deepEqual([first.isServer, first.isClient, second.isServer, second.isClient], [
      false,
      true,
      true,
      false,
    ]);
    assert.equal(announced(), 1);
    await world.until(second.close());
    assert.equal(announced(), 0);
    assert.deepEqual([swarm.topics.length, second.isClosed, first.isClosed], [1, true, false]);
    await world.until(first.refresh({ server: true }));
    assert.equal(announced(), 1);
    await world.until(first.close());
    assert.deepEqual([swarm.topics, announced()], [[], 0]);
    assert.throws(() => void swarm.join(TOPIC, { server: false, client: false }), TypeError);
    assert.throws(() => void swarm.join(new Uint8Array(31)), RangeError);
    await assert.rejects(first.refresh(), TypeError);
  }));

test("W1: a topic that is left and joined again at once is announced, and its connections stayed", () =>
  inWorld(async (world) => {
    const [a, b] = world.crowd(2);
    for (const { swarm } of [a!, b!]) swarm.join(TOPIC);
    await world.run(1_000);
    const before = between(a!, b!);
    void a!.swarm.leave(TOPIC);
    const session = a!.swarm.join(TOPIC);
    await world.until(session.flushed());
    assert.deepEqual(between(a!, b!), before);
    assert.equal(world.network.directory.records(String.fromCharCode(...TOPIC)).length, 2);
  }));

test("W1: a topic is not announced again before the announcement before is withdrawn", () =>
  inWorld(async (world) => {
    const log: string[] = [];
    const slow = async (what: string) => {
      log.push(`${what} begins`);
      await new Promise<void>((resolve) => world.clock.schedule(world.clock.now() + 700, resolve));
      log.push(`${what} ends`);
    };
    const { swarm } = world.peer({
      wrap: (discovery) => ({
        async announce() {
          await slow("announcing");
          return { [Symbol.asyncDispose]: () => slow("withdrawing") };
        },
        lookup: (topic, options) => discovery.lookup(topic, options),
      }),
    });
    const whole = ["announcing begins", "announcing ends", "withdrawing begins", "withdrawing ends"];
    for (const stay of [2_000, 300]) {
      // Left when it was announced, and left while it is being announced.
      swarm.join(TOPIC);
      await world.run(stay);
      void swarm.leave(TOPIC);
      await world.run(100);
    }
    swarm.join(TOPIC);
    await world.run(300);
    swarm.networkChanged();
    await world.run(5_000);
    await world.until(swarm.close());
    for (let at = 0; at < log.length; at += 4) assert.deepEqual(log.slice(at, at + 4), whole, log.join());
    assert.ok(log.length >= 8);
  }));

test("W1: topics are apart: only those who share one meet", () =>
  inWorld(async (world) => {
    const [a, b, c] = world.crowd(3);
    a!.swarm.join(TOPIC);
    b!.swarm.join(OTHER_TOPIC);
    c!.swarm.join(TOPIC);
    c!.swarm.join(OTHER_TOPIC);
    await world.run(5_000);
    assert.equal(between(a!, b!).length, 0);
    assertMesh([a!, c!]);
    assertMesh([b!, c!]);
  }));

test("W2: pairs that join at the same moment all meet within a second", async () => {
  for (let seed = 0; seed < 30; seed++) {
    await inWorld(async (world) => {
      const peers = world.crowd(2, {
        // As in a DHT: an announcement is found some time after it was begun, a lookup sees what was there at its start.
        wrap: (discovery) => ({
          async announce(topic, self, options) {
            const random = world.runtime(`announce ${self.publicKey}`).random;
            const delay = 20 + random.below(400);
            await new Promise<void>((resolve) => world.clock.schedule(world.clock.now() + delay, resolve));
            return await discovery.announce(topic, self, options);
          },
          lookup: (topic, options) => discovery.lookup(topic, options),
        }),
      });
      for (const { swarm } of peers) swarm.join(TOPIC);
      await world.run(1_000);
      assertMesh(peers);
    }, `pair ${seed}`);
  }
});

test("W2: lookups are many at first, and then ten to twelve minutes apart", () =>
  inWorld(async (world) => {
    const { swarm } = world.peer();
    swarm.join(TOPIC);
    await world.run(60_000);
    const soon = swarm.stats.lookups.done;
    assert.ok(soon >= 4 && soon <= 8, `${soon} lookups`);
    await world.run(3_600_000);
    const later = swarm.stats.lookups.done - soon;
    assert.ok(later >= 5 && later <= 6, `${later} lookups in an hour`);
    assert.equal(swarm.stats.announcements.done, 1);
  }));

test("W2: refresh finds who came without being seen", () =>
  inWorld(async (world) => {
    const client = world.peer();
    const session = client.swarm.join(TOPIC, { server: false });
    await world.run(60_000);
    const server = world.peer();
    server.swarm.join(TOPIC, { client: false });
    await world.run(5_000);
    assert.equal(between(client, server).length, 0);
    await world.until(session.refresh());
    await world.run(500);
    assertMesh([client, server]);
  }));

test("W2: a discovery that fails is asked again, one that hangs is given up, and neither holds up another", () =>
  inWorld(async (world) => {
    let failures = 2;
    const broken = {
      async announce(): Promise<AsyncDisposable> {
        if (failures-- > 0) throw new Error("not now");
        return { [Symbol.asyncDispose]: () => Promise.resolve() };
      },
      // deno-lint-ignore require-yield
      async *lookup(): AsyncGenerator<never> {
        await new Promise(() => {});
      },
    };
    const [a, b] = world.crowd(2);
    const host = world.network.host({ name: "odd" });
    const odd = world.peer({
      transports: [new MemoryTransport(host)],
      discoveries: [broken, new MemoryDiscovery(host)],
    });
    for (const { swarm } of [a!, b!, odd]) swarm.join(TOPIC);
    await world.run(3_000);
    assertMesh([a!, b!, odd]);
    const flushed = odd.swarm.flush();
    await world.until(flushed, 31_000);
    await world.run(60_000);
    assert.equal(odd.swarm.stats.announcements.failed, 2);
    assert.equal(odd.swarm.stats.announcements.done, 2);
  }));

test("W2: a discovery that throws at once, or finds peers without end, does no harm", () =>
  inWorld(async (world) => {
    let found = 0;
    const announce = (): Promise<AsyncDisposable> => {
      throw new Error("announcing is not for me");
    };
    const peer = world.peer({
      maxParallel: 0,
      discoveries: [
        {
          announce,
          lookup: () => {
            throw new Error("looking is not for me");
          },
        },
        {
          announce,
          async *lookup() {
            while (true) {
              const publicKey = new Uint8Array(32);
              new DataView(publicKey.buffer).setUint32(0, ++found);
              yield { publicKey, addresses: ["memory:nowhere:1"] };
            }
          },
        },
      ],
    });
    peer.swarm.join(TOPIC);
    await world.until(peer.swarm.flush(), 1_000);
    assert.ok(peer.swarm.stats.announcements.failed >= 2);
    assert.ok(peer.swarm.stats.lookups.failed >= 1);
    assert.equal(found, 4_096);
    assert.equal(peer.swarm.peers.length, 4_096);
    await world.run(5_000);
    assert.equal(peer.swarm.peers.length, 4_096);
    assert.ok(peer.swarm.stats.droppedPeers > 0);
  }));
