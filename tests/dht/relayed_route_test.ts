/** How a connection leaves its relay for a direct path: in place, without losing a byte. */
import assert from "node:assert/strict";
import { equals } from "../../encoding/bytes.ts";
import { SocketAddress } from "../../encoding/address.ts";
import { RelayedRoute, RelayUpgrade, type UpgradeEvent } from "../../dht/relay.ts";
import type { LinkConditions, RouterType } from "../../transports/memory/mod.ts";
import type { UdxStream } from "../../transports/udx/mod.ts";
import { test } from "../harness.ts";
import { bytes, Reader } from "../transports/udx/support.ts";
import { type RelayedClient, RelayWorld, TOKEN } from "./relay_rig.ts";

/** One of two peers that talk through the relay. */
interface End {
  readonly client: RelayedClient;
  readonly stream: UdxStream;
  readonly route: RelayedRoute;
  readonly reader: Reader;
  readonly states: string[];
  /** Where the other peer reaches it. */
  readonly outside: SocketAddress;
}

/** Two peers behind routers of their kinds, or on the open internet. */
async function meet(world: RelayWorld, ...routers: (RouterType | undefined)[]): Promise<[End, End]> {
  const clients = [];
  for (const router of routers) clients.push(await world.client(router === undefined ? {} : { router }));
  const states: string[][] = [[], []];
  const routes: RelayedRoute[] = [];
  const streams = clients.map((client, i) =>
    world.stream(client, { firewall: (socket, from) => routes[i]?.handleStrayPacket(socket, from) ?? false })
  );
  routes.push(
    ...await world.go(Promise.all(clients.map((client, i) =>
      RelayedRoute.open({
        clock: world.clock,
        relay: client.connection,
        stream: streams[i]!,
        remoteId: streams[1 - i]!.id,
        token: TOKEN,
        isInitiator: i === 0,
        onState: (state) => void states[i]!.push(state),
      })
    ))),
  );
  const ends = clients.map((client, i) => {
    const reader = new Reader();
    streams[i]!.attach(reader);
    const outside = client.served.path.address!;
    return { client, stream: streams[i]!, route: routes[i]!, reader, states: states[i]!, outside };
  });
  return [ends[0]!, ends[1]!];
}

/** Both write `length` bytes; `during` happens in the middle. */
async function exchange(
  world: RelayWorld,
  [a, b]: [End, End],
  length: number,
  during?: () => void,
): Promise<void> {
  a.reader.pump(a.stream, bytes(length, 1));
  b.reader.pump(b.stream, bytes(length, 2));
  if (during !== undefined) {
    await world.pass(150);
    assert.ok(a.reader.received + b.reader.received < 2 * length, "it is under way");
    during();
  }
  world.clock.run({
    until: world.clock.now() + 120_000,
    stop: () => a.reader.received >= length && b.reader.received >= length,
  });
  assert.deepEqual([a.reader.closes, b.reader.closes], [[], []]);
  assert.deepEqual([a.reader.received, b.reader.received], [length, length]);
  assert.ok(equals(a.reader.bytes, bytes(length, 2)) && equals(b.reader.bytes, bytes(length, 1)));
}

async function finish(world: RelayWorld, ends: [End, End]): Promise<void> {
  for (const { stream, route, reader } of ends) {
    route.close();
    assert.deepEqual(reader.closes, []);
    stream.destroy();
  }
  await world.close();
}

const PATHS: readonly (readonly [string, LinkConditions])[] = [
  ["a clean network", { latencyMs: 10 }],
  ["5 % loss", { latencyMs: 10, loss: [1, 20] }],
  ["10 % loss, jitter and reordering", {
    latencyMs: 10,
    jitterMs: 10,
    loss: [1, 10],
    reorder: [1, 10],
    reorderMs: 30,
  }],
];

for (const [name, conditions] of PATHS) {
  for (const seed of [1, 2, 3]) {
    test(`H21 both ends move to a punched path in place, over ${name}, and no byte is lost (${seed})`, async () => {
      const world = new RelayWorld({}, conditions, seed);
      const ends = await meet(world, "port-restricted-cone", "port-restricted-cone");
      const [a, b] = ends;
      let carried = 0;
      await exchange(world, ends, 1_500_000, () => {
        assert.ok(a.route.move(a.client.socket, b.outside));
        assert.ok(b.route.move(b.client.socket, a.outside));
        assert.equal(a.route.move(a.client.socket, b.outside), false, "once");
        carried = world.relay.stats.bytes;
      });
      assert.ok(world.relay.stats.bytes - carried < 1_500_000, "the rest went directly");
      await world.pass(20_000);
      for (const { route, states, stream } of ends) {
        assert.deepEqual(states, ["moving", "direct", "done"]);
        assert.equal(route.isDirect, true);
        assert.notEqual(stream.remoteAddress?.host, world.relayHost.address);
      }
      assert.equal(world.relay.sessions.size, 0, "nobody uses the relay any more");
      const packets = world.relay.stats.packets;
      await exchange(
        world,
        [
          { ...a, reader: follow(a) },
          { ...b, reader: follow(b) },
        ],
        100_000,
      );
      assert.equal(world.relay.stats.packets, packets);
      await finish(world, ends);
    });
  }
}

/** A reader of what comes from now on. */
function follow({ reader }: End): Reader {
  const next = new Reader();
  reader.onData = (chunk) => next.onData(chunk);
  reader.onDrain = () => next.onDrain();
  return next;
}

test("H21 one end moves, and the other follows its first direct packet", async () => {
  const world = new RelayWorld({}, { latencyMs: 10, loss: [1, 20] });
  const ends = await meet(world, "port-restricted-cone", undefined);
  const [a, b] = ends;
  await exchange(world, ends, 300_000, () => assert.ok(a.route.move(a.client.socket, b.outside)));
  await world.pass(20_000);
  assert.deepEqual([a.states, b.states], [["moving", "direct", "done"], ["moving", "direct", "done"]]);
  assert.ok(b.stream.remoteAddress?.equals(a.outside));
  await finish(world, ends);
});

test("H21 a direct path that does not carry is given up, and what went there is sent through the relay", async () => {
  const world = new RelayWorld({}, { latencyMs: 10, loss: [1, 50] });
  const ends = await meet(world, "symmetric", "symmetric");
  const [a, b] = ends;
  await exchange(world, ends, 300_000, () => {
    a.route.move(a.client.socket, b.outside);
    b.route.move(b.client.socket, a.outside);
  });
  await world.pass(10_000);
  for (const { route, states, stream } of ends) {
    assert.deepEqual(states, ["moving", "relayed"]);
    assert.equal(route.isDirect, false);
    assert.equal(stream.remoteAddress?.host, world.relayHost.address);
  }
  assert.equal(world.relay.quotas.links, 1);
  await finish(world, ends);
});

test("H21 a direct path that breaks right after the move is left again for the relay", async () => {
  const world = new RelayWorld({}, { latencyMs: 10 });
  const ends = await meet(world, undefined, undefined);
  const [a, b] = ends;
  a.reader.pump(a.stream, bytes(2_000_000, 1));
  b.reader.pump(b.stream, bytes(2_000_000, 2));
  await world.pass(100);
  a.route.move(a.client.socket, b.outside);
  // Only one direction of it works.
  const partition = world.network.partition([b.client.host], [a.client.host], "a-to-b");
  world.clock.run({
    until: world.clock.now() + 120_000,
    stop: () => a.reader.received + b.reader.received >= 4_000_000,
  });
  assert.ok(equals(a.reader.bytes, bytes(2_000_000, 2)) && equals(b.reader.bytes, bytes(2_000_000, 1)));
  partition.heal();
  await finish(world, ends);
});

test("H21 a relay that goes while the path is direct is not missed, one that goes before ends the stream", async () => {
  const world = new RelayWorld({}, { latencyMs: 10 });
  const ends = await meet(world, undefined, undefined);
  const [a, b] = ends;
  await exchange(world, ends, 200_000, () => {
    a.route.move(a.client.socket, b.outside);
    world.clock.run({ until: world.clock.now() + 100 });
    world.relay.destroy();
  });
  assert.deepEqual([a.route.state, b.route.state], ["done", "done"]);
  await finish(world, ends);

  const other = new RelayWorld({}, { latencyMs: 10 });
  const [c, d] = await meet(other, undefined, undefined);
  other.relay.destroy();
  await other.pass(5000);
  assert.deepEqual([c.route.state, c.reader.closes], ["stranded", []]);
  // There is still time for a hole.
  assert.ok(c.route.move(c.client.socket, d.outside));
  c.reader.pump(c.stream, bytes(10_000, 1));
  await other.pass(3000);
  assert.ok(equals(d.reader.bytes, bytes(10_000, 1)));
  await finish(other, [c, d]);

  const third = new RelayWorld({}, { latencyMs: 10 });
  const [e] = await meet(third, undefined, undefined);
  third.relay.destroy();
  await third.pass(12_000);
  assert.equal((e.reader.closes[0] as { code?: string }).code, "RELAY_ABORTED");
  e.route.close();
  await third.close();
});

test("H21 a route that is not wanted any more, or that no peer comes to, gives the relay back", async () => {
  const world = new RelayWorld();
  const client = await world.client();
  const stream = world.stream(client);
  const common = { clock: world.clock, stream, remoteId: 1, token: TOKEN, isInitiator: true };
  const opening = RelayedRoute.open({ ...common, relay: client.connection, timeoutMs: 1000 });
  await assert.rejects(world.go(opening), { code: "RELAY_ABORTED" });
  await world.go(client.connection.closed);
  const other = await world.client();
  const abort = new AbortController();
  const aborted = RelayedRoute.open({ ...common, relay: other.connection, signal: abort.signal });
  await world.pass(100);
  assert.equal(world.relay.quotas.pending, 1);
  abort.abort(new Error("a hole was faster"));
  await assert.rejects(world.go(aborted), { message: "a hole was faster" });
  await world.go(other.connection.closed);
  assert.equal(world.relay.quotas.pending, 0);
  stream.destroy();
  await world.close();
});

test("H21 the machine stays with the relay as long as the peer sends through it", () => {
  let heardAt = -Infinity;
  const upgrade = new RelayUpgrade(() => heardAt);
  const path = { socket: {}, address: SocketAddress.of("11.0.0.1", 1) };
  const types = () => {
    const found: string[] = [];
    let event: UpgradeEvent | undefined;
    while ((event = upgrade.pollEvent()) !== undefined) found.push(event.type);
    return found;
  };
  assert.equal(upgrade.nextTimeout(), Infinity);
  assert.equal(upgrade.handlePath(1000, path), true);
  assert.deepEqual(types(), ["change"]);
  upgrade.handleTimeout(upgrade.nextTimeout());
  assert.deepEqual(types(), ["nudge"]);
  heardAt = 1100;
  upgrade.handleTimeout(1100);
  assert.deepEqual([types(), upgrade.state], [["nudge", "redirect", "nudge"], "direct"]);
  for (let now = 2000; now < 40_000; now += 2000) {
    heardAt = now - 100;
    upgrade.handleRelayPacket(now);
    assert.equal(upgrade.state, "direct");
  }
  upgrade.handleRelayPacket(42_000);
  assert.deepEqual([types(), upgrade.state], [["goBack"], "relayed"]);
  upgrade.handlePath(50_000, path);
  heardAt = 50_010;
  upgrade.handleTimeout(50_010);
  for (let now = upgrade.nextTimeout(); upgrade.state === "direct"; now = upgrade.nextTimeout()) {
    upgrade.handleTimeout(now);
  }
  assert.deepEqual([types().at(-1), upgrade.state, upgrade.nextTimeout()], ["dropRelay", "done", Infinity]);
  upgrade.handleRelayLost(60_000);
  assert.equal(upgrade.handlePath(60_000, path), false);
  assert.deepEqual(types(), []);
});
