/** Connecting through blind relays in simulated networks: when there is no other way, and until there is one. */
import assert from "node:assert/strict";
import { DialError } from "../../dht/dial_error.ts";
import type { DhtConnection } from "../../dht/dht_connection.ts";
import type { RouterType } from "../../transports/memory/mod.ts";
import { test } from "../harness.ts";
import { ConnectWorld, hostOf, pingPong, relayOn } from "./connect_rig.ts";
import { crypto } from "./rpc/support.ts";

const NODES = 10;

async function withWorld(seed: string, body: (world: ConnectWorld) => Promise<void>): Promise<void> {
  const world = new ConnectWorld(seed);
  await world.dhtSwarm(NODES);
  await body(world);
  await world.close();
}

async function pass(world: ConnectWorld, ms: number): Promise<void> {
  await world.go(new Promise<void>((resolve) => world.clock.schedule(world.clock.now() + ms, resolve)));
}

/** Both ends of the only connection. */
function kinds(world: ConnectWorld, connection: DhtConnection): string[] {
  return [connection.path.kind, world.accepted.at(-1)!.path.kind];
}

for (const who of ["client", "server"] as const) {
  test(`H21 two symmetric NATs connect through the relay that the ${who} has named, and stay there`, async () => {
    await withWorld(`relay of ${who}`, async (world) => {
      const { relay, publicKey: relayThrough } = await relayOn(world);
      const [client, server] = [await world.peer("symmetric"), await world.peer("symmetric")];
      await world.listen(server, who === "server" ? { relayThrough } : {});
      const options = who === "client" ? { relayThrough } : {};
      const { connection, ms } = await world.connect(client, server, options);
      assert.deepEqual(kinds(world, connection), ["relayed", "relayed"]);
      assert(ms < 1000, `${ms} ms`);
      assert.deepEqual(client.stats.relaying, { attempts: 1, successes: 1, aborts: 0 });
      assert.deepEqual(server.stats.relaying, { attempts: 1, successes: 1, aborts: 0 });
      await pass(world, 60_000);
      await world.go(pingPong(connection));
      assert.deepEqual(kinds(world, connection), ["relayed", "relayed"]);
      assert.equal(relay.quotas.links, 1);
      await world.go(connection.close());
      await pass(world, 40_000);
      assert.deepEqual([relay.quotas.links, relay.sessions.size], [0, 0]);
      relay.destroy();
    });
  });
}

const UPGRADES: readonly (readonly [RouterType, RouterType])[] = [
  ["port-restricted-cone", "port-restricted-cone"],
  ["symmetric", "port-restricted-cone"],
  ["port-restricted-cone", "symmetric"],
];

for (const [clientType, serverType] of UPGRADES) {
  test(`H21 a ${clientType} and a ${serverType} peer leave their relay for a punched path in place`, async () => {
    await withWorld(`upgrade ${clientType} ${serverType}`, async (world) => {
      const { relay, publicKey: relayThrough } = await relayOn(world);
      const [client, server] = [await world.peer(clientType), await world.peer(serverType)];
      await world.listen(server);
      const { connection } = await world.connect(client, server, { relayThrough });
      const isGuessed = clientType === "symmetric" || serverType === "symmetric";
      if (isGuessed) assert.deepEqual(kinds(world, connection), ["relayed", "relayed"]);
      for (let i = 0; i < 40; i++) {
        await pass(world, 500);
        await world.go(pingPong(connection));
      }
      assert.deepEqual(kinds(world, connection), ["punched", "punched"]);
      assert.deepEqual([relay.quotas.links, world.accepted.length], [0, 1]);
      assert(Math.abs(connection.path.rttMs - 40) < 10, `${connection.path.rttMs}`);
      await world.go(connection.close());
      await pass(world, 40_000);
      assert.equal(relay.sessions.size, 0);
      relay.destroy();
    });
  });
}

test("H21 a server that never punches is reached through its relay", async () => {
  await withWorld("never punches", async (world) => {
    const { relay, publicKey: relayThrough } = await relayOn(world);
    const [client, server] = [await world.peer("full-cone"), await world.peer("full-cone")];
    await world.listen(server, { holepunch: false, relayThrough });
    const { connection, ms } = await world.connect(client, server);
    assert.deepEqual(kinds(world, connection), ["relayed", "relayed"]);
    assert(ms < 1000, `${ms} ms`);
    await world.go(connection.close());
    relay.destroy();
  });
});

test("H21 what comes through the relay before the relay has said so is not taken for a direct way", async () => {
  for (let seed = 0; seed < 12; seed++) {
    // What the relay says to one side is overtaken by what it carries, or lost.
    const world = new ConnectWorld(`early ${seed}`, { latencyMs: 10, reorder: [1, 3], reorderMs: 200 });
    await world.dhtSwarm(NODES);
    const { relay, publicKey: relayThrough } = await relayOn(world);
    const [client, server] = [await world.peer("symmetric"), await world.peer("symmetric")];
    await world.listen(server, seed % 2 === 0 ? { relayThrough } : {});
    const { connection } = await world.connect(client, server, seed % 2 === 0 ? {} : { relayThrough });
    assert.deepEqual(kinds(world, connection), ["relayed", "relayed"], `seed ${seed}`);
    await world.go(connection.close());
    relay.destroy();
    await world.close();
  }
});

test("H21 nobody goes to the relay if a side can be reached", async () => {
  await withWorld("reachable", async (world) => {
    const { relay, publicKey: relayThrough } = await relayOn(world);
    const [client, server] = [await world.peer("symmetric"), await world.openPeer()];
    await world.listen(server, { relayThrough });
    const { connection } = await world.connect(client, server, { relayThrough });
    assert.deepEqual(kinds(world, connection), ["direct", "direct"]);
    await world.go(connection.close());
    await pass(world, 20_000);
    assert.equal(relay.stats.sessions.accepted, 0);
    relay.destroy();
  });
});

test("H21 peers that could be reached, and not by each other, meet at the relay that either has named", async () => {
  for (const who of ["client", "server"] as const) {
    await withWorld(`parted ${who}`, async (world) => {
      const { relay, publicKey: relayThrough } = await relayOn(world);
      const [client, server] = [await world.openPeer(), await world.openPeer()];
      await world.listen(server, who === "server" ? { relayThrough } : {});
      world.network.partition([hostOf(world, client)], [hostOf(world, server)]);
      const { connection, ms } = await world.connect(
        client,
        server,
        who === "client" ? { relayThrough } : {},
      );
      assert.deepEqual(kinds(world, connection), ["relayed", "relayed"]);
      assert(ms < 2500, `${ms} ms`);
      await world.go(connection.close());
      relay.destroy();
    });
  }
});

test("H21 a relay that is not there: the error says that there is no direct way, and why the relay is of no use", async () => {
  await withWorld("absent relay", async (world) => {
    const [client, server] = [await world.peer("symmetric"), await world.peer("symmetric")];
    await world.listen(server);
    const relayThrough = crypto.keyPair(new Uint8Array(32).fill(77)).publicKey;
    const { error, ms } = await world.failure(client, server.keyPair.publicKey, { relayThrough });
    assert(error instanceof DialError);
    assert.equal(error.code, "HOLEPUNCH_DOUBLE_RANDOMIZED_NATS");
    assert.match(
      error.message,
      /no direct way .* the relay is of no use: .* no node knows the peer.*try another relay/,
    );
    assert(ms < 3000, `${ms} ms`);
    assert.deepEqual(client.stats.relaying, { attempts: 1, successes: 0, aborts: 1 });
  });
});

test("a relay is named by a key of 32 bytes", async () => {
  await withWorld("bad relay", async (world) => {
    const client = await world.openPeer();
    const { error } = await world.failure(client, crypto.keyPair(new Uint8Array(32)).publicKey, {
      relayThrough: new Uint8Array(31),
    });
    assert.match(`${error}`, /TypeError: A relay is named by its public key of 32 bytes, not by 31/);
  });
});

test("D2 strangers make a server dial few relays at a time", async () => {
  await withWorld("relay flood", async (world) => {
    const server = await world.peer("symmetric");
    await world.listen(server);
    const client = await world.peer("symmetric");
    const dials = Array.from({ length: 40 }, (_, i) => {
      const seed = new Uint8Array(32).fill(i);
      // Relays that answer nothing, so that dials of them take their time.
      const relayThrough = crypto.keyPair(seed.fill(200, 1)).publicKey;
      return client.connect(server.keyPair.publicKey, { relayThrough }).catch(() => {});
    });
    await pass(world, 400);
    assert.equal(server.stats.relaying.attempts, 4, "for one address");
    await world.go(Promise.all(dials));
  });
});
