/** A node as a transport: the suite that all transports pass, and its use through a `Dialer`. */
import assert from "node:assert/strict";
import { macrotask } from "../../core/runtime/system.ts";
import type { Connection } from "../../core/stream/connection.ts";
import type { DhtConnection } from "../../dht/dht_connection.ts";
import { Dialer } from "../../transports/dialer.ts";
import {
  type ConformanceCase,
  testTransport,
  type TransportUnderTest,
  virtualTime,
} from "../../transports/testing.ts";
import { test } from "../harness.ts";
import { DhtWorld } from "./dht_world.ts";
import { keyPair } from "./support.ts";

async function underTest(): Promise<TransportUnderTest> {
  const world = new DhtWorld();
  await world.dhtSwarm(8);
  const [dialer, listener] = [await world.openDht(), await world.openDht()];
  return {
    ...{ dialer, listener },
    vacantAddress: dialer.addressOf(keyPair(99).publicKey),
    invalidAddresses: ["dht:", "dht:x", "dht:" + "y".repeat(51)],
    until: virtualTime(world.clock, macrotask),
    [Symbol.asyncDispose]: () => world.close(),
  };
}

const cases: readonly ConformanceCase[] = testTransport(underTest);
for (const { name, run } of cases) test(`as a transport: ${name}`, run);

test("a dialer uses the connection that the node has made, with the right peer and as the right one", async () => {
  const world = new DhtWorld();
  await world.dhtSwarm(8);
  const [near, far] = [await world.openDht(), await world.openDht()];
  const [client, server, stranger] = [keyPair(1), keyPair(2), keyPair(3)];
  const denied: Uint8Array[] = [];
  const accepted: Connection[] = [];
  const listening = new Dialer(world.runtime, {
    transports: [far.forIdentity({
      keyPair: server,
      isDenied: (publicKey) => publicKey[0] === stranger.publicKey[0] && denied.push(publicKey) > 0,
    })],
    keyPair: server,
  });
  const listener = await world.go(listening.listen((connection) => void accepted.push(connection)));
  assert.match(listener.record.addresses[0]!, /^dht:[a-z0-9]{52,}$/);
  const dialerOf = (pair: typeof client) =>
    new Dialer(world.runtime, { transports: [near.forIdentity({ keyPair: pair })], keyPair: pair });
  const connection = await world.go(dialerOf(client).connect(listener.record));
  assert.deepEqual(connection.remotePublicKey, server.publicKey);
  await world.pass(1000);
  assert.deepEqual(accepted.map(({ remotePublicKey }) => remotePublicKey), [client.publicKey]);
  await world.go(accepted[0]!.write(Uint8Array.of(7)));
  const reading = (async () => {
    for await (const chunk of connection) return chunk;
    return undefined;
  })();
  assert.deepEqual(await world.go(reading), Uint8Array.of(7));
  const wrong = { publicKey: stranger.publicKey, addresses: listener.record.addresses };
  await assert.rejects(world.go(dialerOf(client).connect(wrong)), { code: "WRONG_PEER" });
  await assert.rejects(world.go(dialerOf(stranger).connect(listener.record)));
  assert.ok(denied.length > 0);
  await world.go(Promise.all([connection.close(), ...accepted.map((one) => one.close())]));
  await world.go(listener.close());
  await assert.rejects(world.go(dialerOf(client).connect(listener.record)));
  await world.close();
});

test("H25: a raw stream follows the way of a connection, and is gone with the node", async () => {
  const world = new DhtWorld();
  await world.dhtSwarm(8);
  const [near, far] = [await world.openDht(), await world.openDht()];
  const server = far.createServer();
  const arrived = Promise.withResolvers<DhtConnection>();
  server.on("connection", ({ detail }) => arrived.resolve(detail.connection));
  await world.go(server.listen());
  const mine = await world.go(near.connect(far.keyPair.publicKey));
  const theirs = await world.go(arrived.promise);
  const [a, b] = [near.createRawStream(), far.createRawStream()];
  near.connectRawStream(mine, a, b.id);
  far.connectRawStream(theirs, b, a.id);
  const heard: number[] = [];
  const sink = { onDrain() {}, onEnd() {}, onClose() {} };
  b.attach({ ...sink, onData: (chunk) => heard.push(...chunk) });
  a.attach({ ...sink, onData() {} });
  a.write(Uint8Array.of(1, 2, 3));
  await world.pass(1000);
  assert.deepEqual(heard, [1, 2, 3]);
  await world.go(near.suspend());
  assert.equal(a.isClosed, true);
  await world.pass(1000);
  assert.equal(b.isClosed, true);
  await world.close();
});
