/** Whole nodes in simulated networks: ways to write a peer down (H13), ups and downs (H24), raw streams (H25), topics, roles. */
import assert from "node:assert/strict";
import { ConnectError } from "../../core/runtime/errors.ts";
import { formatDhtAddress, parseDhtAddress } from "../../dht/address.ts";
import { BOOTSTRAP_NODES, RECORD_AGE_MS } from "../../dht/constants.ts";
import { Dht } from "../../dht/dht.ts";
import { isWorthAsking, rpcOptions } from "../../dht/dht_options.ts";
import { SocketAddress } from "../../encoding/address.ts";
import { concat } from "../../encoding/bytes.ts";
import { toHex, toZbase32 } from "../../encoding/text.ts";
import { test } from "../harness.ts";
import { collect, DhtWorld } from "./dht_world.ts";
import { PORT, World } from "./rpc/support.ts";
import { keyPair } from "./support.ts";

const SIZE = 32;
const bytes = (text: string) => new TextEncoder().encode(text);

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "none";
  } catch (error) {
    assert.ok(error instanceof ConnectError, String(error));
    return error.code;
  }
}

test("H13: a peer is read from bytes, hexadecimal and z-base-32, with or without relays, and nothing else", () => {
  const { publicKey } = keyPair(1);
  const relays = [1, 2].map((n) => SocketAddress.parse(`11.0.0.${n}:49737`));
  const long = concat([publicKey, Uint8Array.of(1, 2, 11, 0, 0, 1, 0x49, 0xc2, 11, 0, 0, 2, 0x49, 0xc2)]);
  const forms = [
    publicKey,
    toHex(publicKey),
    toZbase32(publicKey),
    `dht:${toZbase32(publicKey)}`,
    `pear://${toZbase32(publicKey)}/a/b`,
  ];
  for (const form of [...forms, { publicKey, relayAddresses: [] }]) {
    assert.deepEqual(parseDhtAddress(form).publicKey, publicKey);
    assert.deepEqual(parseDhtAddress(form).relayAddresses, []);
  }
  for (
    const form of [
      long,
      toHex(long),
      toZbase32(long),
      formatDhtAddress({ publicKey, relayAddresses: relays }),
    ]
  ) {
    assert.deepEqual(parseDhtAddress(form).publicKey, publicKey);
    assert.deepEqual(parseDhtAddress(form).relayAddresses.map(String), relays.map(String));
  }
  const many = Array.from({ length: 20 }, (_, i) => SocketAddress.parse(`11.0.0.${i + 1}:1`));
  assert.equal(
    parseDhtAddress(formatDhtAddress({ publicKey, relayAddresses: many })).relayAddresses.length,
    8,
  );
  const bad = [
    "",
    "dht:",
    "x",
    toHex(publicKey).slice(2),
    "dht:" + "!".repeat(52),
    long.subarray(0, 40),
    new Uint8Array(31),
  ];
  for (const form of bad) assert.throws(() => parseDhtAddress(form), TypeError);
  assert.throws(() => parseDhtAddress({ publicKey: new Uint8Array(33), relayAddresses: [] }), TypeError);
});

test("by default a node enters the public network, and steers clear of nodes known to mislead", () => {
  assert.equal(rpcOptions({}).bootstrap, BOOTSTRAP_NODES);
  assert.equal(rpcOptions({}).port, PORT);
  assert.equal(rpcOptions({ bootstrap: false }).bootstrap, false);
  assert.equal(isWorthAsking(SocketAddress.parse("35.233.47.252:9400")), false);
  assert.equal(isWorthAsking(SocketAddress.parse("35.233.47.252:9401")), true);
  assert.equal(isWorthAsking(SocketAddress.parse("150.136.142.116:1")), false);
});

test("the identity comes from a key pair or a seed, or is drawn", () => {
  const world = new World();
  const host = world.host();
  const make = (options = {}) => new Dht(world.runtime, host, options).keyPair.publicKey;
  const seed = new Uint8Array(32).fill(1);
  assert.deepEqual(make({ seed }), world.runtime.crypto.keyPair(seed).publicKey);
  assert.deepEqual(make({ seed, keyPair: keyPair(2) }), keyPair(2).publicKey);
  assert.equal(make().length, 32);
  assert.throws(() => make({ seed: new Uint8Array(31) }), RangeError);
  assert.throws(() => make({ connectionKeepAliveMs: -1 }), RangeError);
  assert.throws(() => make({ pluginTimeoutMs: 0 }), RangeError);
});

test("the first node of a network is persistent at once, and the network grows from it", async () => {
  const world = new DhtWorld();
  const [first] = await world.dhtSwarm(1);
  assert.equal(first!.rpc.ephemeral, false);
  assert.deepEqual(first!.rpc.id, world.idOf(world.dhtAddress(first!)));
  const second = await world.openDht({ ephemeral: false });
  assert.equal(second.rpc.ephemeral, false);
  await world.pass(1000);
  assert.equal(first!.rpc.size, 1);
  assert.throws(() => Dht.bootstrapper(world.runtime, world.host(), { host: "0.0.0.0", port: 1 }), TypeError);
  assert.throws(
    () => Dht.bootstrapper(world.runtime, world.host(), { host: "11.0.0.1", port: 0 }),
    TypeError,
  );
  await world.close();
});

test("the health of a node goes into JSON and back, and tells what matters", async () => {
  const world = new DhtWorld();
  const nodes = await world.dhtSwarm(SIZE);
  const writer = await world.openDht();
  await world.go(writer.records.immutablePut(bytes("12345")));
  const all = nodes.map((node) => node.health());
  assert.deepEqual(JSON.parse(JSON.stringify(all)), all);
  assert.ok(
    all.every(({ isReady, isPersistent, network }) => isReady && isPersistent && network === "online"),
  );
  assert.ok(all.every((health) => health.nodes > 10 && health.localAddress === "0.0.0.0:49737"));
  assert.equal(all.reduce((sum, { storedValueBytes }) => sum + storedValueBytes, 0), 20 * 5);
  assert.equal(all[0]!.publicAddress, String(world.dhtAddress(nodes[0]!)));
  const { isPersistent, id, publicKey } = writer.health();
  assert.deepEqual([isPersistent, id, publicKey], [false, null, toHex(writer.keyPair.publicKey)]);
  await world.close();
  assert.equal(writer.health().state, "closed");
});

test("a node that is not persistent stores nothing", async () => {
  const world = new DhtWorld();
  const [first] = await world.dhtSwarm(1);
  const ephemeral = await world.openDht({ firewalled: false });
  const only = { nodes: [world.dhtAddress(ephemeral)], onlyNodes: true };
  const writer = await world.openDht();
  assert.equal(await codeOf(world.go(writer.records.immutablePut(bytes("x"), only))), "TOO_FEW_NODES");
  assert.equal(ephemeral.stats.served.records, 0);
  assert.equal(first!.state, "open");
  await world.close();
});

test("topics: those who announce are found with what it takes to dial them, until they stop", async () => {
  const world = new DhtWorld();
  await world.dhtSwarm(SIZE);
  const [one, two, reader] = [await world.openDht(), await world.openDht(), await world.openDht()];
  const topic = world.target("topic");
  const relayAddresses = [SocketAddress.parse("11.0.0.1:5")];
  const self = ({ keyPair: { publicKey } }: Dht) => ({
    publicKey,
    addresses: ["tcp:1.2.3.4:5", formatDhtAddress({ publicKey, relayAddresses })],
  });
  const first = await world.go(one.announce(topic, self(one)));
  const second = await world.go(two.announce(topic, self(two)));
  await world.pass(2 * RECORD_AGE_MS);
  const found = await world.go(collect(reader.lookup(topic)));
  const expected = [one, two].map((dht) =>
    formatDhtAddress({ publicKey: dht.keyPair.publicKey, relayAddresses })
  );
  assert.deepEqual(found.flatMap(({ addresses }) => addresses).sort(), expected.sort());
  assert.deepEqual(found.map(({ publicKey }) => publicKey.length), [32, 32]);
  await world.go(Promise.resolve(first[Symbol.asyncDispose]()));
  assert.equal((await world.go(collect(reader.lookup(topic)))).length, 1);
  await world.go(two.close());
  assert.equal((await world.go(collect(reader.lookup(topic)))).length, 0, "a node that closes says goodbye");
  await world.go(Promise.resolve(second[Symbol.asyncDispose]()));
  const stranger = { publicKey: keyPair(8).publicKey, addresses: [] };
  await assert.rejects(world.go(one.announce(topic, stranger)), TypeError);
  await world.close();
});

test("topics: an aborted announcement is taken back, and forced to close a node takes nothing back", async () => {
  const world = new DhtWorld();
  await world.dhtSwarm(SIZE);
  const [one, two, reader] = [await world.openDht(), await world.openDht(), await world.openDht()];
  const topic = world.target("topic");
  const self = ({ keyPair: { publicKey } }: Dht) => ({ publicKey, addresses: [] });
  const abort = new AbortController();
  const announcing = one.announce(topic, self(one), { signal: abort.signal });
  await world.pass(65);
  abort.abort(new Error("enough"));
  await assert.rejects(world.go(announcing), /enough/);
  await world.pass(5000);
  assert.deepEqual(await world.go(collect(reader.lookup(topic))), []);
  await world.go(two.announce(topic, self(two)));
  await world.go(two.close({ force: true }));
  assert.equal((await world.go(collect(reader.lookup(topic)))).length, 1);
  await world.close();
});

test("H24: a suspended node is silent, keeps no announcement, and comes back as it was", async () => {
  const world = new DhtWorld();
  const nodes = await world.dhtSwarm(SIZE);
  const [dht, reader] = [await world.openDht({ ephemeral: false }), await world.openDht()];
  const topic = world.target("topic");
  const news: string[] = [];
  for (const name of ["suspend", "resume", "close"] as const) dht.on(name, () => news.push(name));
  await world.go(dht.announce(topic, { publicKey: dht.keyPair.publicKey, addresses: [] }));
  const raw = dht.createRawStream();
  await world.go(Promise.all([dht.suspend(), dht.suspend()]));
  assert.equal(dht.state, "suspended");
  assert.equal(raw.isClosed, true);
  assert.deepEqual(await world.go(collect(reader.lookup(topic))), []);
  const sent = world.network.counters.sent;
  await world.pass(1000);
  const others = world.network.counters.sent - sent;
  const { total } = dht.rpc.stats.requests;
  await world.pass(10 * 60_000);
  assert.equal(dht.rpc.stats.requests.total, total, `it asks nothing, ${others} packets of others aside`);
  await world.go(Promise.all([dht.resume(), dht.resume()]));
  await world.pass(5000);
  assert.equal(dht.state, "open");
  assert.equal(dht.rpc.serverSocket?.address.port, PORT);
  assert.equal((await world.go(collect(reader.lookup(topic)))).length, 1);
  const { hash } = await world.go(dht.records.immutablePut(bytes("again")));
  assert.ok(await world.go(reader.records.immutableGet(hash)));
  await world.go(Promise.all([dht.suspend(), dht.resume(), dht.suspend(), dht.close(), dht.close()]));
  assert.equal(dht.state, "closed");
  assert.equal(news.at(-1), "close");
  assert.equal(nodes[0]!.state, "open");
  await world.close();
});

test("H24: a closed node refuses everything with a reason", async () => {
  const world = new DhtWorld();
  await world.dhtSwarm(4);
  const dht = await world.openDht();
  const pending = codeOf(dht.rpc.ping(SocketAddress.parse("30.0.0.1:1")));
  await world.go(dht.close());
  assert.equal(await world.go(pending), "REQUEST_DESTROYED");
  const self = { publicKey: dht.keyPair.publicKey, addresses: [] };
  assert.equal(await codeOf(world.go(dht.announce(world.target("x"), self))), "NODE_DESTROYED");
  assert.equal(await codeOf(world.go(dht.records.immutablePut(bytes("x")))), "NODE_DESTROYED");
  assert.equal(await codeOf(world.go(dht.open())), "none", "it was open once");
  assert.throws(() => dht.createRawStream(), ConnectError);
  assert.throws(() => dht.createServer(), ConnectError);
  assert.throws(() => dht.register({ name: "x", version: 1, onRequest: () => undefined }), ConnectError);
  await world.close();
});

test("H24: a request under way when the node is suspended fails, one made meanwhile is sent on resume", async () => {
  const world = new DhtWorld();
  const [first] = await world.dhtSwarm(1);
  const dht = await world.openDht();
  const lost = codeOf(dht.rpc.ping(SocketAddress.parse("30.0.0.1:1")));
  await world.go(dht.suspend());
  assert.equal(await world.go(lost), "IO_SUSPENDED");
  const waiting = dht.rpc.ping(world.dhtAddress(first!));
  await world.pass(10_000);
  await world.go(dht.resume());
  assert.equal(String((await world.go(waiting)).from), String(world.dhtAddress(first!)));
  await world.close();
});
