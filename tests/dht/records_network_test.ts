/** What nodes keep for others, in simulated networks of 32: rows H1, H4 to H7 and H13. */
import assert from "node:assert/strict";
import { ConnectError } from "../../core/runtime/errors.ts";
import { Command, RECORD_AGE_MS } from "../../dht/constants.ts";
import type { Dht } from "../../dht/dht.ts";
import { announcement, mutableValue } from "../../dht/messages.ts";
import { announceSignable, dhtNamespaces, targetOf } from "../../dht/signables.ts";
import type { SigningPurpose } from "../../dht/signers.ts";
import { SocketAddress } from "../../encoding/address.ts";
import { encode } from "../../encoding/codec.ts";
import { toHex } from "../../encoding/text.ts";
import { test } from "../harness.ts";
import { collect, type DhtNodeOptions, DhtWorld } from "./dht_world.ts";
import { crypto, Peer, PORT } from "./rpc/support.ts";
import { keyPair } from "./support.ts";

const SIZE = 32;
const bytes = (text: string) => new TextEncoder().encode(text);
const text = (value: Uint8Array | undefined) =>
  value === undefined ? undefined : new TextDecoder().decode(value);

async function failure(work: Promise<unknown>): Promise<ConnectError> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof ConnectError, String(error));
    return error;
  }
  throw new Error("it did not fail");
}

/** A network, a node that writes and a node that reads, both ephemeral. */
async function setting(
  options: DhtNodeOptions = {},
): Promise<{ world: DhtWorld; nodes: Dht[]; writer: Dht; reader: Dht }> {
  const world = new DhtWorld();
  const nodes = await world.dhtSwarm(SIZE, options);
  return { world, nodes, writer: await world.openDht(), reader: await world.openDht() };
}

/** The keys that a lookup finds. */
async function lookUp(dht: Dht, topic: Uint8Array): Promise<string[]> {
  const found = await collect(dht.lookup(topic));
  return found.map(({ publicKey }) => toHex(publicKey)).sort();
}

test("H1: an immutable value is found by all, until a certain time after it was last read", async () => {
  const valueAgeMs = 30 * 60_000;
  const { world, writer, reader } = await setting({ storage: { valueAgeMs } });
  const { hash, closestNodes } = await world.go(writer.records.immutablePut(bytes("hello")));
  assert.deepEqual(hash, targetOf(crypto, bytes("hello")));
  assert.equal(closestNodes.length, 20);
  assert.equal(text((await world.go(reader.records.immutableGet(hash)))?.value), "hello");
  assert.equal(await world.go(reader.records.immutableGet(world.target("nothing"))), undefined);
  await world.pass(valueAgeMs * 0.75);
  assert.equal(text((await world.go(reader.records.immutableGet(hash)))?.value), "hello");
  await world.pass(valueAgeMs * 0.75);
  assert.equal(text((await world.go(reader.records.immutableGet(hash)))?.value), "hello");
  await world.pass(valueAgeMs * 1.01);
  assert.equal(await world.go(reader.records.immutableGet(hash)), undefined);
  await world.close();
});

test("H1: what nodes keep is bounded, and one network has only its share", async () => {
  const world = new DhtWorld();
  const [node] = await world.dhtSwarm(1, { storage: { maxValues: 40 } });
  const [flooder, honest] = [await world.openDht(), await world.openDht()];
  const kept = await world.go(honest.records.immutablePut(bytes("mine")));
  for (let i = 0; i < 60; i++) await world.go(flooder.records.immutablePut(bytes(`flood ${i}`)));
  assert.equal(text((await world.go(honest.records.immutableGet(kept.hash)))?.value), "mine");
  let left = 0;
  for (let i = 0; i < 60; i++) {
    const hash = targetOf(crypto, bytes(`flood ${i}`));
    if (await world.go(flooder.records.immutableGet(hash)) !== undefined) left++;
  }
  assert.equal(left, 4, "a tenth of 40");
  assert.equal(node!.state, "open");
  await world.close();
});

test("H4: a topic leads to those who announced it, with their relays, until they take it back", async () => {
  const { world, writer, reader } = await setting();
  const topic = world.target("topic");
  const [first, second] = [keyPair(1), keyPair(2)];
  const relays = [1, 2, 3, 4].map((n) => SocketAddress.parse(`11.0.0.${n}:5`));
  await world.go(writer.records.announce(topic, first, relays).finished());
  await world.go(reader.records.announce(topic, second).finished());
  const found = await world.go(collect(reader.records.lookup(topic)));
  const record = found[0]!.peers.find(({ publicKey }) => toHex(publicKey) === toHex(first.publicKey));
  assert.deepEqual(record?.relayAddresses.map(String), ["11.0.0.1:5", "11.0.0.2:5", "11.0.0.3:5"]);
  const both = [first, second].map(({ publicKey }) => toHex(publicKey)).sort();
  assert.deepEqual(await world.go(lookUp(reader, topic)), both);
  await world.go(writer.records.unannounce(topic, first));
  assert.deepEqual(await world.go(lookUp(reader, topic)), [toHex(second.publicKey)]);
  await world.pass(RECORD_AGE_MS + 1000);
  assert.deepEqual(await world.go(lookUp(reader, topic)), []);
  await world.close();
});

test("H4: nobody takes back what another has announced", async () => {
  const { world, writer, reader } = await setting();
  const topic = world.target("topic");
  await world.go(writer.records.announce(topic, keyPair(1)).finished());
  const forger = {
    publicKey: keyPair(1).publicKey,
    sign: (message: Uint8Array) => crypto.sign(message, keyPair(2).secretKey),
  };
  await world.go(reader.records.unannounce(topic, forger));
  assert.deepEqual(await world.go(lookUp(reader, topic)), [toHex(keyPair(1).publicKey)]);
  await world.close();
});

test("H4: clear removes an announcement from nodes that are no longer the nearest", async () => {
  const { world, nodes, writer, reader } = await setting();
  const topic = world.target("topic");
  await world.go(writer.records.announce(topic, keyPair(1)).finished());
  const before = nodes.reduce((sum, { stats }) => sum + stats.served.records, 0);
  const query = writer.records.announce(topic, keyPair(1), [], { clear: true });
  await world.go(query.finished());
  assert.equal(query.closestReplies.length, 20);
  const served = nodes.reduce((sum, { stats }) => sum + stats.served.records, 0) - before;
  assert.ok(served >= 60, `20 lookups, 20 removals, 20 announcements, not ${served}`);
  assert.deepEqual(await world.go(lookUp(reader, topic)), [toHex(keyPair(1).publicKey)]);
  await world.close();
});

test("H4: a bump goes with a topic, unless it is too far in the future", async () => {
  const { world, writer, reader } = await setting();
  const topic = world.target("topic");
  const now = world.clock.wallTime();
  await world.go(writer.records.announce(topic, keyPair(1), [], { bump: now }).finished());
  await world.go(writer.records.announce(topic, keyPair(2), [], { bump: now + 120_000 }).finished());
  const found = await world.go(collect(reader.records.lookup(topic)));
  assert.ok(found.length >= 20);
  assert.ok(found.every(({ bump }) => bump === now));
  await world.close();
});

test("H5: an announcement is renewed by the token whose hash it carried, once, and garbage is not answered", async () => {
  const world = new DhtWorld();
  const [node] = await world.dhtSwarm(1);
  const [writer, reader] = [await world.openDht(), await world.openDht()];
  const topic = world.target("topic");
  const to = world.dhtAddress(node!);
  const last = world.target("refresh");
  const owner = keyPair(1);
  const ask = (command: number, token?: Uint8Array, value?: Uint8Array) =>
    world.go(writer.rpc.request({ command, target: topic, token, value }, to, { retries: 0 }));
  const { token, id } = await ask(Command.Lookup);
  const peer = { publicKey: owner.publicKey, relayAddresses: [] };
  const refresh = targetOf(crypto, last);
  const context = { target: topic, nodeId: id!, token: token! };
  const signable = announceSignable(crypto, dhtNamespaces(crypto).announce, context, peer, refresh);
  const signature = crypto.sign(signable, owner.secretKey);
  await ask(Command.Announce, token, encode(announcement, { peer, refresh, signature, bump: 0 }));
  await world.pass(RECORD_AGE_MS * 0.75);
  const fresh = (await ask(Command.Lookup)).token;
  const renewal = encode(announcement, { refresh: last, bump: 0 });
  assert.equal((await ask(Command.Announce, fresh, renewal)).error, 0);
  assert.equal(
    (await failure(ask(Command.Announce, fresh, renewal))).code,
    "REQUEST_TIMEOUT",
    "it is used up",
  );
  assert.equal((await failure(ask(Command.Announce, fresh, Uint8Array.of(2)))).code, "REQUEST_TIMEOUT");
  await world.pass(RECORD_AGE_MS * 0.75);
  assert.deepEqual(await world.go(lookUp(reader, topic)), [toHex(owner.publicKey)]);
  await world.close();
});

test("H6: the newest mutable value wins, the first will do, and old or different ones are refused with a reason", async () => {
  const { world, writer, reader } = await setting();
  const owner = keyPair(3);
  const put = (value: string, seq: number) =>
    world.go(writer.records.mutablePut(owner, bytes(value), { seq }));
  const { signature, closestNodes } = await put("one", 1);
  assert.equal(signature.length, 64);
  assert.equal(closestNodes.length, 20);
  await put("two", 2);
  const found = await world.go(reader.records.mutableGet(owner.publicKey));
  assert.deepEqual([text(found?.value), found?.seq], ["two", 2]);
  const first = await world.go(reader.records.mutableGet(owner.publicKey, { latest: false }));
  assert.equal(text(first?.value), "two");
  assert.equal(await world.go(reader.records.mutableGet(owner.publicKey, { seq: 3 })), undefined);
  const older = await failure(put("old", 1));
  assert.equal(older.code, "REQUEST_REFUSED");
  assert.match(older.message, /newer value/);
  assert.match((await failure(put("other", 2))).message, /another value with this sequence number/);
  await put("two", 2);
  await world.close();
});

test("H6: a value with a forged signature is not returned, whatever its number", async () => {
  const { world, nodes, reader } = await setting();
  const owner = keyPair(3);
  await world.go(reader.records.mutablePut(owner, bytes("true"), { seq: 1 }));
  const target = targetOf(crypto, owner.publicKey);
  // The nearest nodes lie from now on.
  const peers: Peer[] = [];
  const lie = encode(mutableValue, { seq: 99, value: bytes("false"), signature: new Uint8Array(64) });
  const query = reader.records.findPeerAt(target);
  await world.go(query.finished());
  const liars = query.closestNodes.slice(0, 10).map(String);
  for (const node of nodes.filter((one) => liars.includes(String(world.dhtAddress(one))))) {
    await world.go(node.close());
    const host = world.dhtHosts.get(node)!;
    const peer = await Peer.open(world, PORT, host);
    peer.onRequest = ({ tid }, from) =>
      peer.reply(from, tid, { id: peer.id, value: lie, token: new Uint8Array(32) });
    peers.push(peer);
  }
  const found = await world.go(reader.records.mutableGet(owner.publicKey));
  assert.deepEqual([text(found?.value), found?.seq], ["true", 1]);
  for (const { socket } of peers) await socket.close();
  await world.close();
});
test("H6: anybody can put a value again, so that it is where it belongs and lives on", async () => {
  const { world, nodes, writer, reader } = await setting();
  const owner = keyPair(3);
  const only = { nodes: [world.dhtAddress(nodes[5]!)], onlyNodes: true };
  await world.go(writer.records.mutablePut(owner, bytes("kept"), { seq: 7, ...only }));
  const asked: number[] = [];
  const refresh = ({ seq }: { readonly seq: number }) => asked.push(seq) > 1;
  const get = (options = {}) => world.go(reader.records.mutableGet(owner.publicKey, options));
  assert.equal(text((await get({ refresh, ...only }))?.value), "kept", "found, and not wanted again");
  assert.equal(text((await get({ refresh }))?.value), "kept", "found, and put at the nearest nodes");
  assert.deepEqual(asked, [7, 7]);
  await world.go(nodes[5]!.close());
  assert.equal(text((await get())?.value), "kept");
  await world.close();
});

test("H6: who has the secret key elsewhere signs there, and sees what is signed", async () => {
  const { world, writer, reader } = await setting();
  const owner = keyPair(4);
  const seen: SigningPurpose[] = [];
  const signer = {
    publicKey: owner.publicKey,
    async sign(message: Uint8Array, purpose: SigningPurpose): Promise<Uint8Array> {
      await Promise.resolve();
      seen.push(purpose);
      return crypto.sign(message, owner.secretKey);
    },
  };
  await world.go(writer.records.mutablePut(signer, bytes("signed"), { seq: 1 }));
  assert.deepEqual(seen, [{ type: "mutablePut", seq: 1, value: bytes("signed") }]);
  assert.equal(text((await world.go(reader.records.mutableGet(owner.publicKey)))?.value), "signed");
  const topic = world.target("topic");
  await world.go(writer.records.announce(topic, signer).finished());
  assert.deepEqual(await world.go(lookUp(reader, topic)), [toHex(owner.publicKey)]);
  assert.equal(seen.filter(({ type }) => type === "announce").length, 20, "once for each node");
  const unwilling = { publicKey: owner.publicKey, sign: () => Promise.reject(new Error("not today")) };
  await assert.rejects(world.go(writer.records.mutablePut(unwilling, bytes("no"))), /not today/);
  await world.close();
});

test("H7: values too long to arrive are refused here and there", async () => {
  const world = new DhtWorld();
  const [node] = await world.dhtSwarm(1, { storage: { maxValueBytes: 100 } });
  const writer = await world.openDht();
  await assert.rejects(writer.records.immutablePut(new Uint8Array(1025)), RangeError);
  await assert.rejects(writer.records.immutablePut(new Uint8Array(0)), RangeError);
  await assert.rejects(writer.records.mutablePut(keyPair(1), new Uint8Array(1025)), RangeError);
  const error = await failure(world.go(writer.records.immutablePut(new Uint8Array(101))));
  assert.match(error.message, /too long/);
  assert.equal(node!.state, "open");
  await world.close();
});

test("nobody to ask is an error, nothing found is not", async () => {
  const world = new DhtWorld();
  const alone = await world.openDht();
  const value = bytes("x");
  assert.equal((await failure(world.go(alone.records.immutablePut(value)))).code, "TOO_FEW_NODES");
  assert.equal(
    (await failure(world.go(alone.records.immutableGet(world.target("x"))))).code,
    "TOO_FEW_NODES",
  );
  assert.equal(
    (await failure(world.go(alone.records.mutableGet(keyPair(1).publicKey)))).code,
    "TOO_FEW_NODES",
  );
  await world.close();
});

test("H2: a node returns the way to a peer to those who ask for its key, and nothing for other keys", async () => {
  const { world, writer, reader } = await setting();
  const owner = keyPair(5);
  const target = targetOf(crypto, owner.publicKey);
  const relays = [SocketAddress.parse("11.0.0.1:5")];
  await world.go(writer.records.announce(target, owner, relays).finished());
  const found = await world.go(collect(reader.records.findPeer(owner.publicKey)));
  assert.ok(found.length >= 20);
  assert.ok(found.every(({ peer }) => toHex(peer.publicKey) === toHex(owner.publicKey)));
  assert.deepEqual(found[0]!.peer.relayAddresses.map(String), ["11.0.0.1:5"]);
  assert.deepEqual(
    await world.go(lookUp(reader, target)),
    [toHex(owner.publicKey)],
    "a lookup finds it as well",
  );
  assert.deepEqual(await world.go(collect(reader.records.findPeer(keyPair(6).publicKey))), []);
  await world.go(writer.records.unannounce(target, owner));
  assert.deepEqual(await world.go(collect(reader.records.findPeer(owner.publicKey))), []);
  await world.close();
});
