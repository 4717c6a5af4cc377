/** W3 to W9: who is dialed when, how often, and which connection stays. */
import assert from "node:assert/strict";
import { ConnectError, type ErrorCode } from "../../core/runtime/errors.ts";
import type { Connection } from "../../core/stream/connection.ts";
import { Dialer } from "../../transports/dialer.ts";
import { MemoryTransport } from "../../transports/memory/mod.ts";
import type { PeerDialOptions, PeerDiscovery, PeerTransport } from "../../swarm/mod.ts";
import type { PeerRecord } from "../../transports/transport.ts";
import { test } from "../harness.ts";
import {
  assertMesh,
  assertTalk,
  between,
  ghost,
  inWorld,
  keyPair,
  orderedKeyPairs,
  type Peer,
  TOPIC,
  type World,
} from "./rig.ts";

/** A transport that fails at once, and notes when it was asked to dial. */
function refusing(world: World, code: ErrorCode = "CONNECTION_REFUSED") {
  const dials: { readonly at: number; readonly relayThrough: unknown }[] = [];
  const transport: PeerTransport = {
    scheme: "void",
    dial(_address: string, options: PeerDialOptions) {
      dials.push({ at: world.clock.now(), relayThrough: options.relayThrough });
      return Promise.reject(new ConnectError(code, "nobody there"));
    },
    listen: () => Promise.resolve({ addresses: [], [Symbol.asyncDispose]: () => Promise.resolve() }),
  };
  return { dials, transport };
}

/** Milliseconds between dials. */
function pauses(dials: readonly { readonly at: number }[]): number[] {
  return dials.slice(1).map(({ at }, i) => at - dials[i]!.at);
}

function assertBetween(value: number | undefined, low: number, high: number): void {
  assert.ok(value !== undefined && value >= low && value <= high, `${value} is not in ${low} to ${high}`);
}

/** The traces of `peer` called `what`. */
const traced = (peer: Peer, what: string) => peer.trace.filter((event) => event.what === what);

test("W3: three dials at a time, and no more than maxPeers connections are sought", () =>
  inWorld(async (world) => {
    const crowd = world.crowd(20);
    for (const { swarm } of crowd) swarm.join(TOPIC, { client: false });
    await world.run(1_000);
    const client = world.peer({ maxPeers: 8 });
    client.swarm.join(TOPIC, { server: false });
    let most = 0;
    await world.run(5_000, () => {
      most = Math.max(most, client.swarm.connecting);
      return false;
    });
    assert.equal(most, 3);
    assert.equal(client.swarm.connections.size, 8);
    client.shown[0]!.abort();
    await world.run(1_000);
    assert.equal(client.swarm.connections.size, 8, "another peer takes the place of the one that left");
  }));

test("W3: maxClientConnections counts what this side has dialed, maxServerConnections is kept", () =>
  inWorld(async (world) => {
    const servers = world.crowd(6, { maxServerConnections: 2 });
    for (const { swarm } of servers) swarm.join(TOPIC, { client: false });
    const clients = world.crowd(6, { maxClientConnections: 3 });
    for (const { swarm } of clients) swarm.join(TOPIC, { server: false });
    await world.run(20_000);
    for (const { swarm } of servers) assert.ok(swarm.connections.size <= 2, "too many at a server");
    for (const { swarm } of clients) assert.ok(swarm.connections.size <= 3, "too many at a client");
    const all = servers.reduce((sum, { swarm }) => sum + swarm.connections.size, 0);
    assert.equal(all, 12, "every place is taken");
    assert.ok(servers.some(({ swarm }) => swarm.stats.connects.server.refused > 0));
  }));

test("W3: the limit of a topic counts the peers that are connected already", () =>
  inWorld(async (world) => {
    const crowd = world.crowd(10);
    for (const { swarm } of crowd) swarm.join(TOPIC, { client: false });
    await world.run(1_000);
    const client = world.peer();
    const session = client.swarm.join(TOPIC, { server: false, limit: 4 });
    await world.run(5_000);
    assert.equal(client.swarm.connections.size, 4);
    await world.until(session.refresh());
    await world.run(5_000);
    assert.equal(client.swarm.connections.size, 4);
    await world.until(session.refresh({ limit: 6 }));
    await world.run(5_000);
    assert.equal(client.swarm.connections.size, 6);
  }));

test("W4: a peer that never answers is dialed after 5, 15 and 15 seconds, and then given up", () =>
  inWorld(async (world) => {
    const { dials, transport } = refusing(world);
    const lone = world.peer({
      transports: [transport],
      discoveries: [{
        async *lookup() {
          yield ghost(9, "void:1");
        },
        announce: () => Promise.reject(new Error("unused")),
      }],
    });
    const session = lone.swarm.join(TOPIC, { server: false });
    await world.run(300_000);
    const [first, second, third, ...more] = pauses(dials);
    assertBetween(first, 5_000, 6_000);
    assertBetween(second, 15_000, 17_000);
    assertBetween(third, 15_000, 17_000);
    assert.deepEqual(more, []);
    assert.equal(lone.swarm.peers.length, 0, "what is given up is forgotten");
    await world.until(session.refresh());
    assert.equal(dials.length, 5, "what is found again is dialed again");
  }));

test("W4: a peer that is too busy is dialed every few seconds, twenty times, before that counts as a failure", () =>
  inWorld(async (world) => {
    const { dials, transport } = refusing(world, "TRY_LATER");
    const lone = world.peer({
      transports: [transport],
      discoveries: [{
        async *lookup() {
          yield ghost(9, "void:1");
        },
        announce: () => Promise.reject(new Error("unused")),
      }],
    });
    lone.swarm.join(TOPIC, { server: false });
    await world.run(300_000);
    const all = pauses(dials);
    assert.equal(all.length, 20 + 3);
    for (const pause of all.slice(0, 20)) assertBetween(pause, 3_000, 5_000);
    assertBetween(all[20], 5_000, 6_000);
    assertBetween(all[22], 15_000, 17_000);
  }));

test("W3: with peers that were asked for by key, connections count twice, thrice or four times", async () => {
  for (const [explicit, most] of [[0, 12], [1, 6], [2, 4], [3, 4], [4, 4]] as const) {
    await inWorld(async (world) => {
      const crowd = world.crowd(16);
      for (const { swarm } of crowd) swarm.join(TOPIC, { client: false });
      const asked = world.crowd(explicit, { discoveries: [] });
      const client = world.peer({ maxPeers: 12 });
      for (const one of asked) client.swarm.joinPeer(await world.until(one.swarm.listen()));
      await world.run(1_000);
      client.swarm.join(TOPIC, { server: false });
      await world.run(5_000);
      assert.equal(client.swarm.connections.size, most, `${explicit} explicit`);
    }, `${explicit} explicit`);
  }
});

test("W4: a connection that breaks is back after a second, and its failures are forgotten once it lasts", () =>
  inWorld(async (world) => {
    const [a, b] = world.crowd(2);
    for (const { swarm } of [a!, b!]) swarm.join(TOPIC);
    await world.run(10_000);
    const dialer = [a!, b!].find((peer) => peer.shown.at(-1)!.isInitiator)!;
    const other = dialer === a ? b! : a!;
    for (const [low, high] of [[1_000, 1_600], [5_000, 6_100], [15_000, 17_100]] as const) {
      between(dialer, other)[0]!.abort();
      await world.run(100);
      const start = world.clock.now();
      await world.run(30_000, () => between(dialer, other).length > 0 && between(other, dialer).length > 0);
      assertBetween(world.clock.now() - start + 100, low, high);
    }
    await world.run(15_000);
    between(dialer, other)[0]!.abort();
    await world.run(2_000);
    assertMesh([a!, b!]);
  }));

test("W5: crossing dials leave exactly one connection, dialed by the larger key", async () => {
  for (const lag of [0, 0, 0, 5, 11, 19, 20, 21, 25, 39, 41]) {
    await inWorld(async (world) => {
      const { larger, smaller } = orderedKeyPairs();
      const [a, b] = [world.peer({ keyPair: larger }), world.peer({ keyPair: smaller })];
      const [recordA, recordB] = [
        await world.until(a.swarm.listen()),
        await world.until(b.swarm.listen()),
      ];
      b.swarm.joinPeer(recordA);
      await world.run(lag);
      a.swarm.joinPeer(recordB);
      await world.run(1_000);
      assertMesh([a, b]);
      if (lag === 0) assert.ok(between(a, b)[0]!.isInitiator, "dialed by the larger key");
      await assertTalk(world, a, b);
      const { opened, closed } = a.swarm.stats.connects.client;
      await world.run(60_000);
      assert.deepEqual(
        [opened, closed],
        [a.swarm.stats.connects.client.opened, a.swarm.stats.connects.client.closed],
        "and then nothing moves any more",
      );
    }, `lag ${lag}`);
  }
});

test("W5: crossing dials of chatty peers leave exactly one connection as well", async () => {
  for (let lag = 0; lag < 60; lag += 7) {
    await inWorld(async (world) => {
      const pairs = orderedKeyPairs();
      const peers = [world.peer({ keyPair: pairs.smaller }), world.peer({ keyPair: pairs.larger })] as const;
      for (const { swarm } of peers) {
        swarm.on(
          "connection",
          ({ detail }) => void detail.connection.write(Uint8Array.of(1)).catch(() => {}),
        );
      }
      const records = [
        await world.until(peers[0].swarm.listen()),
        await world.until(peers[1].swarm.listen()),
      ] as const;
      peers[0].swarm.joinPeer(records[1]);
      await world.run(lag);
      peers[1].swarm.joinPeer(records[0]);
      await world.run(3_000);
      assertMesh(peers);
    }, `lag ${lag}`);
  }
});

test("W5: a peer that has lost its connection and dials again is believed", () =>
  inWorld(async (world) => {
    const { larger, smaller } = orderedKeyPairs();
    const server = world.peer({ keyPair: larger });
    const record = await world.until(server.swarm.listen());
    const dialer = (host: string) =>
      new Dialer(world.runtime(host), {
        transports: [new MemoryTransport(world.network.host({ name: host }))],
        keyPair: smaller,
        idleTimeoutMs: 0,
      });
    const first = await world.until(dialer("first").connect(record));
    await world.run(10_000);
    assert.deepEqual(server.shown.length, 1);
    const second = await world.until(dialer("second").connect(record));
    await world.run(5_000);
    assert.equal(server.shown.length, 2);
    assert.equal(server.swarm.connections.size, 1);
    await assert.rejects(world.until(first.closed));
    second.abort();
  }));

/** A swarm of ours with the smaller key whose dials are slow, as through a relay, and a peer that is not a swarm. */
function crossing(world: World, delayMs: number, found: () => PeerRecord | undefined) {
  const { larger, smaller } = orderedKeyPairs();
  const transport = new MemoryTransport(world.network.host({ name: "ours" }));
  const slow: PeerTransport = {
    scheme: transport.scheme,
    listen: (onLink, options) => transport.listen(onLink, options),
    async dial(address, options) {
      await new Promise<void>((resolve) => world.clock.schedule(world.clock.now() + delayMs, resolve));
      return await transport.dial(address, options);
    },
  };
  const discovery: PeerDiscovery = {
    async *lookup() {
      const record = await Promise.resolve(found());
      if (record !== undefined) yield record;
    },
    announce: () => Promise.resolve({ [Symbol.asyncDispose]: () => Promise.resolve() }),
  };
  const ours = world.peer({ keyPair: smaller, transports: [slow], discoveries: [discovery] });
  const theirs = new Dialer(world.runtime("theirs"), {
    transports: [new MemoryTransport(world.network.host({ name: "theirs" }))],
    keyPair: larger,
    idleTimeoutMs: 0,
  });
  return { ours, theirs };
}

test("W5: a peer that drops its own dial for ours, as hyperswarm does if it has moved bytes, stays connected", async () => {
  for (const delayMs of [30, 60, 100, 200]) {
    await inWorld(async (world) => {
      const known: { record?: PeerRecord } = {};
      const { ours, theirs } = crossing(world, delayMs, () => known.record);
      const own: Connection[] = [];
      const taken: Connection[] = [];
      const listener = await world.until(theirs.listen((connection) => {
        taken.push(connection);
        for (const one of own) one.abort();
      }));
      known.record = listener.record;
      ours.swarm.join(TOPIC);
      own.push(await world.until(theirs.connect(await world.until(ours.swarm.listen()))));
      await world.run(10_000);
      assert.equal(ours.swarm.connections.size, 1);
      assert.equal(taken.length, 1, "one dial was enough");
      const [connection] = [...ours.swarm.connections.keys()];
      assert.deepEqual(connection!.handshakeHash, taken[0]!.handshakeHash);
      for (const one of taken) one.abort();
      await world.until(listener.close());
    }, `${delayMs} ms`);
  }
});

test("W5: when both of two dials that crossed are lost, a peer that a topic brought is dialed again", () =>
  inWorld(async (world) => {
    let record: PeerRecord | undefined;
    const { ours, theirs } = crossing(world, 60, () => record);
    const own: Connection[] = [];
    const taken: Connection[] = [];
    const listener = await world.until(theirs.listen((connection) => {
      taken.push(connection);
      if (taken.length > 1) return;
      for (const one of [...own, connection]) one.abort();
    }));
    record = listener.record;
    ours.swarm.join(TOPIC);
    own.push(await world.until(theirs.connect(await world.until(ours.swarm.listen()))));
    // The peer is found three times within the first seconds, and then not for ten minutes.
    record = undefined;
    await world.run(10_000);
    assert.equal(ours.swarm.connections.size, 1);
    assert.equal(taken.length, 2);
    for (const one of taken) one.abort();
    await world.until(listener.close());
  }));

test("W5: the connections of one dial that lose its race do not throw out the one that wins", async () => {
  for (const isDialerLarger of [true, false]) {
    for (let lag = 0; lag < 50; lag += 3) {
      await inWorld(async (world) => {
        const { larger, smaller } = orderedKeyPairs();
        const host = world.network.host({ name: "two addresses" });
        const server = world.peer({
          keyPair: isDialerLarger ? smaller : larger,
          transports: [new MemoryTransport(host), new MemoryTransport(host)],
        });
        const { publicKey, addresses } = await world.until(server.swarm.listen());
        const client = world.peer({ keyPair: isDialerLarger ? larger : smaller });
        client.swarm.joinPeer({ publicKey, addresses: [addresses[0]!] });
        await world.run(lag);
        // While the dial is on, another address becomes known and is raced.
        client.swarm.joinPeer({ publicKey, addresses: [addresses[1]!] });
        await world.run(10_000);
        assertMesh([server, client]);
        assert.equal(client.swarm.stats.connects.client.closed, 0);
        assert.equal(server.shown.length, 1, "what loses is never shown");
      }, `lag ${lag}`);
    }
  }
});

test("W6: joinPeer dials by key and address, whatever the limits, and leavePeer ends that", () =>
  inWorld(async (world) => {
    const servers = world.crowd(3, { maxServerConnections: 0 });
    const client = world.peer({ maxPeers: 0, maxClientConnections: 0, discoveries: [] });
    for (const server of servers) {
      const record = await world.until(server.swarm.listen());
      server.swarm.joinPeer(client.swarm.keyPair.publicKey);
      client.swarm.joinPeer(record);
    }
    await world.run(1_000);
    assert.equal(client.swarm.connections.size, 3);
    assert.equal(client.swarm.explicitPeers.length, 3);
    between(client, servers[0]!)[0]!.abort();
    await world.run(3_000);
    assert.equal(client.swarm.connections.size, 3, "and connects again");
    client.swarm.leavePeer(servers[0]!.swarm.keyPair.publicKey);
    between(client, servers[0]!)[0]!.abort();
    await world.run(30_000);
    assert.equal(client.swarm.connections.size, 2);
  }));

test("W6: an explicit peer is dialed five times, a second later each time, and then every ten minutes", () =>
  inWorld(async (world) => {
    const { dials, transport } = refusing(world);
    const { swarm } = world.peer({ transports: [transport], discoveries: [] });
    swarm.joinPeer(ghost(9, "void:1"));
    swarm.joinPeer(swarm.keyPair.publicKey);
    assert.equal(swarm.explicitPeers.length, 1, "joining oneself does nothing");
    await world.run(40_000);
    const soon = pauses(dials);
    assert.equal(soon.length, 4);
    for (const [i, pause] of soon.entries()) assertBetween(pause, (i + 1) * 1_000, (i + 1) * 1_000 + 500);
    await world.run(1_500_000);
    for (const pause of pauses(dials).slice(4)) assertBetween(pause, 600_000, 720_000);
    assert.ok(dials.length >= 7);
    swarm.leavePeer(keyPair(9).publicKey);
    assert.equal(swarm.peers.length, 0);
  }));

test("W6: a peer is dialed by its key alone where a transport can find it", () =>
  inWorld(async (world) => {
    const server = world.peer();
    const record = await world.until(server.swarm.listen());
    const host = world.network.host({ name: "finder" });
    const memory = new MemoryTransport(host);
    const client = world.peer({
      discoveries: [],
      transports: [
        Object.assign(memory, {
          addressOf: (publicKey: Uint8Array) =>
            publicKey[0] === record.publicKey[0] ? record.addresses[0]! : "x:",
        }),
      ],
    });
    client.swarm.joinPeer(record.publicKey);
    await world.run(1_000);
    assertMesh([server, client]);
  }));

test("W7: what the firewall denies is banned for ever, without asking again, on both ways", () =>
  inWorld(async (world) => {
    const [a, b] = world.crowd(2);
    let asked = 0;
    const fortress = world.peer({
      firewall: (publicKey) => {
        asked++;
        return publicKey[0] !== a!.swarm.keyPair.publicKey[0];
      },
    });
    const banned: Uint8Array[] = [];
    fortress.swarm.on("ban", ({ detail }) => void banned.push(detail.peer.publicKey));
    for (const { swarm } of world.peers) swarm.join(TOPIC);
    await world.run(60_000);
    assertMesh([a!, b!]);
    assertMesh([a!, fortress]);
    assert.equal(between(fortress, b!).length, 0);
    assert.deepEqual(banned, [b!.swarm.keyPair.publicKey]);
    assert.equal(fortress.swarm.stats.bannedPeers, 1);
    const before = asked;
    b!.swarm.joinPeer({
      publicKey: fortress.swarm.keyPair.publicKey,
      addresses: fortress.swarm.stats.updates > 0 ? [`memory:${fortress.name}:3`] : [],
    });
    await world.run(10_000);
    assert.equal(asked, before);
    fortress.swarm.unban(b!.swarm.keyPair.publicKey);
  }));

test("W7: a firewall may think; one that throws or sleeps keeps out this time only", () =>
  inWorld(async (world) => {
    const slow = (ms: number, answer: () => boolean) => () =>
      new Promise<boolean>((resolve, reject) => {
        world.clock.schedule(world.clock.now() + ms, () => {
          try {
            resolve(answer());
          } catch (error) {
            reject(error);
          }
        });
      });
    const later = world.peer({ firewall: slow(300, () => false) });
    const never = world.peer({ firewall: () => new Promise(() => {}) });
    const broken = world.peer({
      firewall: () => {
        throw new Error("a fault of the application");
      },
    });
    const client = world.peer();
    for (const server of [later, never, broken]) {
      client.swarm.joinPeer(await world.until(server.swarm.listen()));
    }
    await world.run(250);
    assert.equal(later.shown.length, 0);
    await world.run(30_000);
    assertMesh([later, client]);
    assert.deepEqual([never.shown.length, broken.shown.length], [0, 0]);
    assert.deepEqual([never.swarm.stats.bannedPeers, broken.swarm.stats.bannedPeers], [0, 0]);
    assert.ok(broken.swarm.stats.connects.server.refused > 1);
  }));

test("W7: a ban by hand drops the connection and keeps it from coming back", () =>
  inWorld(async (world) => {
    const [a, b] = world.crowd(2);
    for (const { swarm } of [a!, b!]) swarm.join(TOPIC);
    await world.run(1_000);
    a!.swarm.ban(b!.swarm.keyPair.publicKey);
    await world.run(60_000);
    assert.equal(between(a!, b!).length + between(b!, a!).length, 0);
    a!.swarm.unban(b!.swarm.keyPair.publicKey);
    for (const { swarm } of [a!, b!]) swarm.networkChanged();
    await world.run(10_000);
    assertMesh([a!, b!]);
  }));

test("W8: relays are offered after a failure that they can mend, at once; a function decides for itself", () =>
  inWorld(async (world) => {
    const relays = [keyPair(50).publicKey];
    const codes = [
      "HOLEPUNCH_ABORTED",
      "HOLEPUNCH_DOUBLE_RANDOMIZED_NATS",
      "CANNOT_HOLEPUNCH",
      "REMOTE_NOT_HOLEPUNCHABLE",
    ] as const;
    for (const code of codes) {
      const failing = refusing(world, code);
      const { swarm } = world.peer({
        transports: [failing.transport],
        discoveries: [],
        relayThrough: relays,
      });
      swarm.joinPeer(ghost(9, "void:1"));
      await world.run(3_000);
      const offered = failing.dials.slice(0, 3).map(({ relayThrough }) => relayThrough);
      assert.deepEqual(offered, [undefined, relays, relays], code);
      assertBetween(pauses(failing.dials)[0], 0, 1_500);
    }

    const plain = refusing(world);
    const asked: boolean[] = [];
    const chooser = world.peer({
      transports: [plain.transport],
      discoveries: [],
      relayThrough: ({ isForced }) => {
        asked.push(isForced);
        return relays;
      },
    });
    chooser.swarm.joinPeer(ghost(9, "void:1"));
    await world.run(100);
    assert.deepEqual(plain.dials.map(({ relayThrough }) => relayThrough), [relays]);
    assert.deepEqual(asked, [false]);

    const random = refusing(world);
    const behind = world.peer({
      transports: [Object.assign(random.transport, { isNatRandom: true })],
      discoveries: [],
      relayThrough: relays,
    });
    behind.swarm.joinPeer(ghost(9, "void:1"));
    await world.run(100);
    assert.deepEqual(random.dials.map(({ relayThrough }) => relayThrough), [relays]);
  }));

test("W9: flush waits for announcements and for every peer that was found", () =>
  inWorld(async (world) => {
    const crowd = world.crowd(8);
    for (const { swarm } of crowd) swarm.join(TOPIC, { client: false });
    await world.run(1_000);
    const client = world.peer();
    client.swarm.join(TOPIC);
    await world.until(client.swarm.flush(), 3_000);
    assert.equal(client.swarm.connections.size, 8);
  }));

test("W9: flush does not hang: with nothing to do, at the limit, early, suspended, or while closing", () =>
  inWorld(async (world) => {
    const [idle, full, early, asleep, closing] = [
      world.peer(),
      world.peer({ maxPeers: 1 }),
      world.peer({ maxParallel: 0 }),
      world.peer(),
      world.peer(),
    ];
    await world.until(idle.swarm.flush(), 10);
    for (const { swarm } of [full, early, asleep, closing]) swarm.join(TOPIC);
    await world.until(early.swarm.flush(), 1_000);
    await world.until(full.swarm.flush(), 1_000);
    for (const { swarm } of world.peers) swarm.joinPeer(ghost(9));
    const flushes = Promise.all([asleep, closing].map(({ swarm }) => swarm.flush()));
    const ends = Promise.all([asleep.swarm.suspend(), closing.swarm.close()]);
    await world.until(flushes, 1_000);
    await world.until(ends);
    await world.until(asleep.swarm.flush(), 10);
    await world.until(full.swarm.flush(), 10_000);
  }));

test("W9: flush does not wait for peers for whom there is no room", () =>
  inWorld(async (world) => {
    for (const { swarm } of world.crowd(5)) swarm.join(TOPIC, { client: false });
    await world.run(1_000);
    const { swarm } = world.peer({ maxPeers: 2 });
    swarm.join(TOPIC, { server: false });
    await world.until(swarm.flush(), 3_000);
    assert.equal(swarm.connections.size, 2);
    assert.equal(swarm.peers.filter(({ phase }) => phase === "queued").length, 3);
  }));

test("W12: what happened is counted and traced, and events tell of it", () =>
  inWorld(async (world) => {
    const [a, b] = world.crowd(2);
    let updates = 0;
    const topics: Uint8Array[] = [];
    b!.swarm.on("update", () => void updates++);
    b!.swarm.on("topic", ({ detail }) => void topics.push(detail.topic));
    a!.swarm.join(TOPIC, { client: false });
    await world.run(1_000);
    b!.swarm.join(TOPIC, { server: false });
    b!.swarm.joinPeer(ghost(9));
    await world.run(10_000);
    between(b!, a!)[0]!.abort();
    await world.run(500);
    const { stats } = b!.swarm;
    const { attempted, failed, opened, closed } = stats.connects.client;
    assert.deepEqual([opened, closed], [1, 1]);
    assert.ok(failed >= 1 && attempted >= failed + opened);
    assert.deepEqual(a!.swarm.stats.connects.server, { opened: 1, closed: 1, refused: 0 });
    assert.deepEqual(topics, [TOPIC]);
    assert.equal(stats.updates, updates);
    assert.ok(updates > 3);
    assert.match(String(traced(b!, "dial failed")[0]!.data["error"]), /^TIMEOUT: There is no way/);
    assert.ok(traced(b!, "lookup").length > 1);
  }));

test("W12: a connection that nobody listens to breaks without ending the process", () =>
  inWorld(async (world) => {
    const peers = world.crowd(5);
    for (const { swarm } of peers) swarm.join(TOPIC);
    await world.run(1_000);
    const parted = world.network.partition([peers[0]!.host], peers.slice(1).map(({ host }) => host));
    for (const { shown } of peers) shown[0]!.abort(new Error("out of nowhere"));
    await world.run(30_000);
    parted.heal();
    await world.run(30_000);
    assertMesh(peers);
  }));

test("W12: every loop gets all connections that are open and then the new ones, and ends with the swarm", () =>
  inWorld(async (world) => {
    const hub = world.peer();
    const record = await world.until(hub.swarm.listen());
    const crowd = world.crowd(4, { discoveries: [] });
    const collect = async (into: Uint8Array[]) => {
      for await (const { remotePublicKey } of hub.swarm) into.push(remotePublicKey);
    };
    const [first, second]: [Uint8Array[], Uint8Array[]] = [[], []];
    const loops = [collect(first)];
    crowd[0]!.swarm.joinPeer(record);
    crowd[1]!.swarm.joinPeer(record);
    await world.run(1_000);
    crowd[1]!.swarm.leavePeer(record.publicKey);
    between(crowd[1]!, hub)[0]!.abort();
    await world.run(1_000);
    loops.push(collect(second));
    crowd[2]!.swarm.joinPeer(record);
    await world.run(1_000);
    for await (const connection of hub.swarm) {
      assert.equal(connection, between(hub, crowd[0]!)[0]);
      break;
    }
    const [zero, one, two] = crowd.map(({ swarm }) => swarm.keyPair.publicKey);
    assert.deepEqual(first, [zero, one, two]);
    assert.deepEqual(second, [zero, two]);
    await world.until(hub.swarm.close());
    await world.until(Promise.all(loops));
    for await (const _ of hub.swarm) assert.fail("a closed swarm has no connections");
    assert.throws(() => hub.swarm.join(TOPIC), TypeError);
  }));

test("W13: peers of one network meet by address and key, with no discovery at all", () =>
  inWorld(async (world) => {
    const [server, client] = [world.peer({ discoveries: [] }), world.peer({ discoveries: [] })];
    client.swarm.joinPeer(await world.until(server.swarm.listen()));
    await world.run(100);
    assertMesh([server, client]);
    await assertTalk(world, client, server);
  }));
