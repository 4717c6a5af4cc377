/** Row H3: how a peer keeps itself to be found, in simulated networks of 32 nodes. */
import assert from "node:assert/strict";
import { Announcer } from "../../dht/announcer.ts";
import { ANNOUNCE_MS, ANNOUNCE_PING_MS, RECORD_AGE_MS } from "../../dht/constants.ts";
import type { Dht } from "../../dht/dht.ts";
import { targetOf } from "../../dht/signables.ts";
import type { Identity } from "../../dht/signers.ts";
import { SocketAddress } from "../../encoding/address.ts";
import { toHex } from "../../encoding/text.ts";
import { test } from "../harness.ts";
import { collect, type DhtNodeOptions, DhtWorld } from "./dht_world.ts";
import { crypto, PORT } from "./rpc/support.ts";
import { keyPair } from "./support.ts";

const SIZE = 32;
const MINUTE = 60_000;
const owner = keyPair(9);

interface Setting {
  readonly world: DhtWorld;
  readonly nodes: readonly Dht[];
  readonly peer: Dht;
  readonly reader: Dht;
  readonly announcer: Announcer;
}

function announcerOf(world: DhtWorld, dht: Dht, identity: Identity = owner): Announcer {
  const host = { runtime: world.runtime, rpc: dht.rpc, client: dht.records, stats: dht.stats };
  return new Announcer(host, identity, targetOf(crypto, owner.publicKey));
}

async function setting(options: DhtNodeOptions = {}, size = SIZE): Promise<Setting> {
  const world = new DhtWorld();
  const nodes = await world.dhtSwarm(size);
  const [peer, reader] = [await world.openDht(options), await world.openDht()];
  return { world, nodes, peer, reader, announcer: announcerOf(world, peer) };
}

/** The nodes that return the way to the peer. */
async function knownBy({ world, reader }: Setting): Promise<string[]> {
  const found = await world.go(collect(reader.records.findPeer(owner.publicKey)));
  assert.ok(found.every(({ peer }) => toHex(peer.publicKey) === toHex(owner.publicKey)));
  return found.map(({ from }) => String(from)).sort();
}

const relaysOf = (announcer: Announcer) =>
  announcer.relays.map(({ relayAddress }) => String(relayAddress)).sort();
const nodeAt = ({ world, nodes }: Setting, address: string) =>
  nodes.find((node) => String(world.dhtAddress(node)) === address)!;

test("H3: a peer announces itself to the three nodes nearest to its key, and they see where it is", async () => {
  const all = await setting();
  const { world, peer, announcer, reader } = all;
  await world.go(announcer.start());
  const query = reader.records.findPeer(owner.publicKey);
  await world.go(query.finished());
  const nearest = query.closestNodes.slice(0, 3).map(String);
  assert.deepEqual(relaysOf(announcer), [...nearest].sort());
  assert.deepEqual(await knownBy(all), [...nearest].sort());
  const { address } = world.dhtHosts.get(peer)!;
  assert.ok(announcer.relays.every(({ peerAddress }) => peerAddress.host === address));
  assert.equal(announcer.relayAddresses.length, 3);
  assert.ok(announcer.relays.every(({ relayAddress }) => announcer.isRelay(relayAddress)));
  assert.equal(announcer.isRelay(world.dhtAddress(reader)), false);
  await world.go(announcer.stop());
  assert.deepEqual(await knownBy(all), [], "it has said goodbye");
  await world.close();
});

test("H3: a peer that others reach names itself first", async () => {
  const all = await setting({ ephemeral: false });
  const { world, peer, announcer } = all;
  await world.go(announcer.start());
  assert.equal(String(announcer.relayAddresses[0]), String(world.dhtAddress(peer)));
  assert.equal(announcer.relayAddresses.length, 3);
  await world.go(announcer.stop());
  await world.close();
});

test("H3: pings keep the NAT open, and rounds keep the records alive", async () => {
  const world = new DhtWorld();
  const nodes = await world.dhtSwarm(SIZE);
  const router = world.network.router({ type: "port-restricted-cone" });
  const peer = await world.openDht({ at: world.network.host({ behind: router }) });
  const all = { world, nodes, peer, reader: await world.openDht(), announcer: announcerOf(world, peer) };
  await world.go(all.announcer.start());
  const before = { ...peer.stats.announcing };
  await world.pass(RECORD_AGE_MS + 5 * MINUTE);
  const { pings, rounds } = peer.stats.announcing;
  const expected = 3 * 25 * MINUTE / ANNOUNCE_PING_MS;
  assert.ok(pings - before.pings > 0.9 * expected && pings - before.pings <= expected, `${pings} pings`);
  assert.ok(Math.abs(rounds - before.rounds - 25 * MINUTE / ANNOUNCE_MS) <= 1, `${rounds} rounds`);
  assert.deepEqual(await knownBy(all), relaysOf(all.announcer));
  // Each of its nodes can write to the peer unasked: what it is kept for.
  for (const { relayAddress, peerAddress } of all.announcer.relays) {
    const reply = await world.go(nodeAt(all, String(relayAddress)).rpc.ping(peerAddress, { retries: 0 }));
    assert.equal(String(reply.from), String(peerAddress));
  }
  await world.go(all.announcer.stop());
  await world.close();
});

test("H3: a node that is lost is replaced within seconds", async () => {
  const all = await setting();
  const { world, peer, announcer } = all;
  await world.go(announcer.start());
  const lost = relaysOf(announcer)[0]!;
  await world.go(nodeAt(all, lost).close());
  await world.pass(20_000);
  assert.equal(announcer.relays.length, 3);
  assert.equal(relaysOf(announcer).includes(lost), false);
  assert.ok(peer.stats.announcing.lostRelays >= 1);
  assert.equal(
    announcer.isRelay(SocketAddress.parse(lost)),
    true,
    "messages of it may still be on their way",
  );
  assert.deepEqual(await knownBy(all), relaysOf(announcer));
  await world.go(announcer.stop());
  await world.close();
});

test("H3: nodes that are no longer the nearest are told that they are left", async () => {
  const all = await setting();
  const { world, peer, announcer } = all;
  await world.go(announcer.start());
  const before = relaysOf(announcer);
  const newcomers = Array.from({ length: 32 }, () => world.makeDht({ ephemeral: false }));
  await world.go(Promise.all(newcomers.map((dht) => dht.open().then(() => dht.ready()))));
  announcer.refresh();
  await world.pass(10_000);
  const left = before.filter((node) => !relaysOf(announcer).includes(node));
  assert.ok(left.length > 0, "the seed has nearer newcomers");
  assert.deepEqual(await knownBy(all), relaysOf(announcer));
  assert.equal(peer.stats.announcing.unannounced, left.length);
  await world.go(announcer.stop());
  await world.close();
});

test("H3: a peer that becomes reachable announces itself again, from the socket that counts now", async () => {
  const all = await setting({ quickFirewall: false, isAdaptive: true });
  const { world, peer, announcer } = all;
  await world.go(announcer.start());
  assert.ok(announcer.relays.every(({ peerAddress }) => peerAddress.port !== PORT));
  await world.pass(30 * MINUTE);
  assert.equal(peer.rpc.firewalled, false);
  assert.ok(announcer.relays.every(({ peerAddress }) => peerAddress.port === PORT));
  await world.go(announcer.stop());
  await world.close();
});

test("H3: a peer whose router gets another address is announced from there with the next ping", async () => {
  const world = new DhtWorld();
  await world.dhtSwarm(SIZE);
  const router = world.network.router();
  const peer = await world.openDht({ hostOptions: { behind: router } });
  const announcer = announcerOf(world, peer);
  await world.go(announcer.start());
  const seenAt = () => new Set(announcer.relays.map(({ peerAddress }) => peerAddress.host));
  assert.deepEqual(seenAt(), new Set([router.address]));
  router.renumber("11.200.0.1");
  await world.pass(ANNOUNCE_PING_MS + 3000);
  assert.deepEqual(seenAt(), new Set(["11.200.0.1"]));
  const before = peer.stats.announcing.rounds;
  await world.pass(MINUTE);
  assert.equal(peer.stats.announcing.rounds, before, "once");
  await world.go(announcer.stop());
  await world.close();
});

test("H3: who is offline tries again at growing distances, and at once when the network is back", async () => {
  const all = await setting();
  const { world, peer, announcer } = all;
  await world.go(announcer.start());
  const { rounds } = peer.stats.announcing;
  const host = world.dhtHosts.get(peer)!;
  const others = [...world.dhtHosts.values()].filter((other) => other !== host);
  const partition = world.network.partition([host], others);
  await world.pass(30 * MINUTE);
  const tries = peer.stats.announcing.rounds - rounds;
  assert.ok(tries >= 5 && tries <= 40, `${tries} rounds in 30 minutes`);
  partition.heal();
  await world.pass(2 * MINUTE);
  assert.equal(announcer.relays.length, 3);
  assert.deepEqual(await knownBy(all), relaysOf(announcer));
  await world.go(announcer.stop());
  await world.close();
});

test("H3: a network of one node is asked no more often than a large one", async () => {
  const all = await setting({}, 1);
  const { world, peer, announcer } = all;
  await world.go(announcer.start());
  assert.equal(announcer.relays.length, 1);
  await world.pass(10 * MINUTE);
  assert.ok(peer.stats.announcing.rounds <= 4, `${peer.stats.announcing.rounds} rounds`);
  await world.go(announcer.stop());
  await world.close();
});

test("H3: a peer that is suspended is not to be found until it is resumed; forced to stop, it does not say so", async () => {
  const all = await setting();
  const { world, announcer } = all;
  await world.go(announcer.start());
  await world.go(announcer.suspend());
  assert.deepEqual(await knownBy(all), []);
  await world.pass(10 * MINUTE);
  assert.deepEqual(await knownBy(all), []);
  announcer.resume();
  await world.pass(5000);
  assert.equal((await knownBy(all)).length, 3);
  await world.go(announcer.stop(true));
  assert.equal((await knownBy(all)).length, 3);
  await world.close();
});

test("H3: suspended in the middle of a round, it takes back what it has told anybody", async () => {
  for (const delayMs of [5, 25, 45, 65]) {
    const all = await setting();
    const { world, announcer } = all;
    const starting = announcer.start();
    await world.pass(delayMs);
    await world.go(Promise.all([starting, announcer.suspend()]));
    assert.deepEqual(await knownBy(all), [], `after ${delayMs} ms`);
    await world.go(announcer.stop());
    await world.close();
  }
});

test("H3: a signer may keep the secret key elsewhere, and when it refuses, the announcer says so and tries again", async () => {
  const all = await setting();
  const { world, peer } = all;
  let isWilling = false;
  const announcer = announcerOf(world, peer, {
    publicKey: owner.publicKey,
    sign: async (message) => {
      await Promise.resolve();
      if (!isWilling) throw new Error("no signature today");
      return crypto.sign(message, owner.secretKey);
    },
  });
  await world.go(announcer.start());
  assert.match(String(announcer.lastError), /no signature today/);
  assert.deepEqual(await knownBy(all), []);
  isWilling = true;
  await world.pass(10_000);
  assert.equal(announcer.lastError, undefined);
  assert.deepEqual(await knownBy(all), relaysOf(announcer));
  await world.go(announcer.stop());
  await world.close();
});
