/** What strangers can make a whole node send, and how much of it they can make it keep: D1 to D3 with the commands of HyperDHT. */
import assert from "node:assert/strict";
import { Command, RelayMode } from "../../dht/constants.ts";
import type { Dht } from "../../dht/dht.ts";
import { peerHandshake, peerHolepunch } from "../../dht/handshake_messages.ts";
import { CREDIT_BURST_BYTES } from "../../dht/rpc/constants.ts";
import { encodeRequest, type RequestMessage } from "../../dht/rpc/messages.ts";
import { targetOf } from "../../dht/signables.ts";
import { SocketAddress } from "../../encoding/address.ts";
import { encode } from "../../encoding/codec.ts";
import { test } from "../harness.ts";
import { heldBytes } from "../heap.ts";
import { DhtWorld } from "./dht_world.ts";
import { crypto, Peer } from "./rpc/support.ts";
import { keyPair } from "./support.ts";

/** Milliseconds in which the credit of a source is counted. */
const PERIOD_MS = 10_000;

interface Stage {
  readonly world: DhtWorld;
  readonly client: Dht;
  readonly topic: Uint8Array;
}

/** A network in which everything can be found: a crowded topic, values of the greatest length, a peer who listens. */
async function stage(seed: string): Promise<Stage> {
  const world = new DhtWorld(seed);
  await world.dhtSwarm(30);
  const client = await world.openDht();
  const topic = world.target("topic");
  const relays = world.dhts.slice(1, 4).map((dht) => world.dhtAddress(dht));
  for (let i = 0; i < 24; i++) {
    await world.go(client.records.announce(topic, keyPair(i), relays).finished());
  }
  return { world, client, topic };
}

type Fields = Partial<RequestMessage> & { readonly command: number };

/** What to ask, and a node that can answer it. */
interface Question {
  readonly fields: Fields;
  readonly to: SocketAddress;
}

const value = new Uint8Array(1000).fill(7);
const noise = new Uint8Array(150).fill(9);
const fromClient = encode(peerHandshake, { mode: RelayMode.FromClient, noise });

/** By name: what one request may cost at the most, in bytes sent for each that came, and how to make it. */
const QUESTIONS: Readonly<Record<string, readonly [most: number, ask: (stage: Stage) => Promise<Question>]>> =
  {
    "LOOKUP of a crowded topic": [30, async ({ world, client, topic }) => {
      const query = client.records.lookup(topic);
      await world.go(query.finished());
      return { fields: { command: Command.Lookup, target: topic }, to: query.closestNodes[0]! };
    }],
    "LOOKUP of nothing": [4.6, ({ world }) => {
      const fields = { command: Command.Lookup, target: world.target("nothing") };
      return Promise.resolve({ fields, to: world.dhtAddress(world.dhts[5]!) });
    }],
    "FIND_PEER": [5.5, async ({ world, client }) => {
      await world.go(client.createServer().listen());
      const target = targetOf(crypto, client.keyPair.publicKey);
      const query = client.records.findPeer(client.keyPair.publicKey);
      await world.go(query.finished());
      return { fields: { command: Command.FindPeer, target }, to: query.closestNodes[0]! };
    }],
    "IMMUTABLE_GET": [40, async ({ world, client }) => {
      const { hash, closestNodes } = await world.go(client.records.immutablePut(value));
      return { fields: { command: Command.ImmutableGet, target: hash }, to: closestNodes[0]! };
    }],
    "MUTABLE_GET": [40, async ({ world, client }) => {
      const keys = keyPair(99);
      const { closestNodes } = await world.go(client.records.mutablePut(keys, value));
      const fields = {
        command: Command.MutableGet,
        target: targetOf(crypto, keys.publicKey),
        value: Uint8Array.of(0),
      };
      return { fields, to: closestNodes[0]! };
    }],
    "ANNOUNCE with a false token": [4.6, ({ world, topic }) => {
      const token = new Uint8Array(32);
      const fields = { command: Command.Announce, target: topic, token, value: new Uint8Array(10) };
      return Promise.resolve({ fields, to: world.dhtAddress(world.dhts[5]!) });
    }],
    "PEER_HANDSHAKE for nobody": [1.5, ({ world }) => {
      const fields = { command: Command.PeerHandshake, target: world.target("nobody"), value: fromClient };
      return Promise.resolve({ fields, to: world.dhtAddress(world.dhts[5]!) });
    }],
    "PEER_HOLEPUNCH for nobody": [0, ({ world }) => {
      const punch = { mode: RelayMode.FromClient, id: 1, payload: new Uint8Array(100) };
      const fields = {
        command: Command.PeerHolepunch,
        target: world.target("nobody"),
        value: encode(peerHolepunch, punch),
      };
      return Promise.resolve({ fields, to: world.dhtAddress(world.dhts[5]!) });
    }],
  };

for (const [name, [most, ask]] of Object.entries(QUESTIONS)) {
  test(`D1: ${name} is answered with at most ${most} times its bytes, and three times in the long run`, async () => {
    const setting = await stage(name);
    const { world } = setting;
    const { fields, to } = await ask(setting);
    const peer = await Peer.open(world);
    const request = { isInternal: false, ...fields };
    const bytes = peer.send(to, request);
    await world.pass(1000);
    assert.ok(peer.repliedBytes <= most * bytes, `${peer.repliedBytes} for ${bytes} bytes`);
    assert.ok(most === 0 || peer.repliedBytes > 0, "it is answered at all");
    await world.pass(PERIOD_MS - world.clock.now() % PERIOD_MS + 1);
    peer.heard.length = 0;
    let asked = 0;
    for (let i = 0; i < 4000; i++) {
      asked += peer.send(to, request);
      if (i % 20 === 0) await world.pass(10);
    }
    await world.pass(1000);
    assert.ok(peer.repliedBytes <= 3 * asked + CREDIT_BURST_BYTES, `${peer.repliedBytes} for ${asked} bytes`);
    await peer.socket.close();
    await world.close();
  });
}

test("D2: handshakes for somebody else are passed on ten times a second, answers to nobody who did not ask", async () => {
  const { world, client } = await stage("forwarding");
  const server = client.createServer();
  await world.go(server.listen());
  const relay = world.dhts.find((dht) =>
    dht !== client && server.relayAddresses.some((address) => address.equals(world.dhtAddress(dht)))
  )!;
  const to = world.dhtAddress(relay);
  const target = targetOf(crypto, client.keyPair.publicKey);
  const [flooder, forger, victim] = [await Peer.open(world), await Peer.open(world), await Peer.open(world)];
  const before = relay.health().received.refusedForwards;
  for (let second = 0; second < 3; second++) {
    for (let i = 0; i < 500; i++) {
      flooder.send(to, { command: Command.PeerHandshake, isInternal: false, target, value: fromClient });
    }
    const back = encode(peerHandshake, { mode: RelayMode.FromServer, noise, peerAddress: victim.address });
    for (let i = 0; i < 500; i++) {
      forger.send(to, { command: Command.PeerHandshake, isInternal: false, target, value: back });
    }
    await world.pass(1000);
  }
  assert.deepEqual(victim.heard, []);
  const refused = relay.health().received.refusedForwards - before;
  assert.ok(refused >= 1500 - 45, `${refused} refused`);
  for (const { socket } of [flooder, forger, victim]) await socket.close();
  await world.close();
});

test("D3: 500,000 requests in ten seconds, of one host and of 100,000, leave no memory behind, and others are served", async () => {
  const { world, topic } = await stage("requests");
  const victim = world.dhts[7]!;
  const to = world.dhtAddress(victim);
  const socket = victim.rpc.serverSocket!;
  const messages = [
    { command: Command.Lookup, isInternal: false, target: topic },
    { command: 2, isInternal: true, target: topic },
    { command: Command.Announce, isInternal: false, target: topic, value: new Uint8Array(150) },
    { command: Command.PeerHandshake, isInternal: false, target: topic, value: fromClient },
    { command: Command.PeerHolepunch, isInternal: false, target: topic, value: new Uint8Array(100) },
  ].map((fields, tid) => encodeRequest({ tid, to, ...fields }));
  const one = SocketAddress.of("31.0.0.1", 4000);
  const flood = (from: (i: number) => SocketAddress) => {
    for (let i = 0; i < 25_000; i++) {
      victim.rpc.handleDatagram(socket, messages[i % messages.length]!, from(i));
    }
  };
  flood(() => one);
  await world.pass(500);
  const before = heldBytes();
  // Each newcomer comes after the flood of its half second, in a period whose first sources were all the flood's.
  await world.pass(PERIOD_MS - world.clock.now() % PERIOD_MS + 1);
  let served = 0;
  for (let half = 0; half < 20; half++) {
    flood((i) => half % 2 === 1 ? one : SocketAddress.v4(0x32000000 + half * 50_000 + i * 7, 4000));
    const newcomer = await Peer.open(world);
    if (await newcomer.ask(to, { command: 2, isInternal: true, target: topic }) !== undefined) served++;
    await newcomer.socket.close();
  }
  assert.equal(served, 20, "honest newcomers that were answered");
  assert.ok(heldBytes() - before < 64 * 2 ** 20, `${heldBytes() - before} bytes more`);
  await world.pass(PERIOD_MS);
  const peer = await Peer.open(world);
  assert.equal((await peer.ask(to, { command: Command.Lookup, isInternal: false, target: topic }))?.error, 0);
  await peer.socket.close();
  await world.close();
});
