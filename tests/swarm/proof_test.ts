/** Topics that both sides know and have proven, secrets of groups, and what a stranger can learn or do. */
import assert from "node:assert/strict";
import { concat, equals } from "../../encoding/bytes.ts";
import { decode, encode } from "../../encoding/codec.ts";
import type { Connection } from "../../core/stream/connection.ts";
import { string } from "../../encoding/strings.ts";
import {
  includesTag,
  packTags,
  topicKey,
  type TopicsMessage,
  topicsMessage,
  topicTag,
} from "../../swarm/topic_tags.ts";
import { Dialer } from "../../transports/dialer.ts";
import { MdnsDiscovery } from "../../transports/mdns/mod.ts";
import { MemoryTransport } from "../../transports/memory/mod.ts";
import type { Discovery } from "../../transports/transport.ts";
import { UdxTransport } from "../../transports/udx/mod.ts";
import { test } from "../harness.ts";
import {
  assertMesh,
  between,
  inWorld,
  keyPair,
  OTHER_TOPIC,
  type Peer,
  type PeerOptions,
  TOPIC,
  World,
} from "./rig.ts";

const SECRET = new Uint8Array(32).fill(0x99);
const THIRD_TOPIC = new Uint8Array(32).fill(0x44);
const channels: PeerOptions = { channels: true };

/** Makes `discovery` find everybody, as mDNS does. */
function blind(discovery: Discovery) {
  const everywhere = new Uint8Array(32);
  return {
    knowsTopics: false,
    announce: (
      _topic: Uint8Array,
      self: Parameters<Discovery["announce"]>[1],
      options: Parameters<Discovery["announce"]>[2],
    ) => discovery.announce(everywhere, self, options),
    lookup: (_topic: Uint8Array, options: Parameters<Discovery["lookup"]>[1]) =>
      discovery.lookup(everywhere, options),
  };
}

/** The topics that `a` believes to be proven by `b`, each as its first byte. */
function proven(a: Peer, b: Peer): (number | undefined)[] {
  const info = a.swarm.peer(b.swarm.keyPair.publicKey);
  return (info?.provenTopics ?? []).map((topic) => topic[0]).sort();
}

/** A bare peer that opens channels as it likes. */
function stranger(world: World, name: string, seed = 77): Dialer {
  const transport = new MemoryTransport(world.network.host({ name }));
  return new Dialer(world.runtime(name), { transports: [transport], keyPair: keyPair(seed) });
}

/** What the peer of `connection` shows; `show` answers it. */
function listenToTopics(connection: Connection) {
  const heard: TopicsMessage[] = [];
  const channel = connection.mux.createChannel({ protocol: "hypha/topics/1" })!;
  const message = channel.addMessage({
    codec: topicsMessage,
    onMessage: ({ isExplicit, tags }) => void heard.push({ isExplicit, tags: tags.slice() }),
  });
  channel.open();
  return { heard, show: (value: TopicsMessage) => message.send(value), channel };
}

test("both sides know and have proven the topics that they share, and no others", () =>
  inWorld(async (world) => {
    const [a, b] = world.crowd(2, channels);
    a!.swarm.join(TOPIC, { client: false });
    a!.swarm.join(OTHER_TOPIC, { client: false });
    b!.swarm.join(THIRD_TOPIC);
    b!.swarm.join(TOPIC, { server: false });
    await world.run(2_000);
    assertMesh([a!, b!]);
    assert.deepEqual([proven(a!, b!), proven(b!, a!)], [[0x42], [0x42]]);
    assert.deepEqual(a!.swarm.peer(b!.swarm.keyPair.publicKey)!.topics, [TOPIC]);
    // A topic that is joined later is proven on the connection that there is.
    b!.swarm.join(OTHER_TOPIC, { client: false });
    await world.run(100);
    assert.deepEqual([proven(a!, b!), proven(b!, a!)], [[0x42, 0x43], [0x42, 0x43]]);
    await world.until(a!.swarm.leave(TOPIC));
    await world.run(100);
    assert.deepEqual([proven(a!, b!), proven(b!, a!)], [[0x43], [0x43]]);
  }));

test("applications have their own channels beside, whoever comes first", () =>
  inWorld(async (world) => {
    const [a, b] = world.crowd(2, channels);
    const heard: string[] = [];
    for (const [{ swarm }, word] of [[a!, "from a"], [b!, "from b"]] as const) {
      swarm.on("connection", ({ detail: { connection } }) => {
        const channel = connection.mux.createChannel({ protocol: "chat" })!;
        const text = channel.addMessage({ codec: string, onMessage: (value) => void heard.push(value) });
        channel.open();
        text.send(word);
      });
      swarm.join(TOPIC);
    }
    await world.run(1_000);
    assert.deepEqual(heard.sort(), ["from a", "from b"]);
  }));

test("a peer without channels of ours, as in the reference, is a peer like any other", () =>
  inWorld(async (world) => {
    const server = world.peer(channels);
    server.swarm.join(TOPIC);
    const connection = await world.until(
      stranger(world, "old").connect(await world.until(server.swarm.listen())),
    );
    let isOpen = false;
    connection.mux.pair({ protocol: "app" }, () => {
      const channel = connection.mux.createChannel({ protocol: "app", onOpen: () => void (isOpen = true) })!;
      channel.open();
    });
    server.swarm.on(
      "connection",
      ({ detail }) => detail.connection.mux.createChannel({ protocol: "app" })!.open(),
    );
    await world.run(20_000);
    assert.equal(server.swarm.connections.size, 1);
    assert.ok(isOpen);
    connection.abort();
  }));

test("a secret topic counts only for who knows the secret: others are not shown, and closed", () =>
  inWorld(async (world) => {
    const [member, friend, outsider, wrong] = world.crowd(4, channels);
    for (const { swarm } of [member!, friend!]) swarm.join(TOPIC, { secret: SECRET });
    wrong!.swarm.join(TOPIC, { secret: SECRET.slice().fill(1) });
    outsider!.swarm.join(TOPIC);
    await world.run(60_000);
    assertMesh([member!, friend!]);
    assert.deepEqual([proven(member!, friend!), proven(friend!, member!)], [[0x42], [0x42]]);
    for (const insider of [member!, friend!]) {
      for (const other of [outsider!, wrong!]) {
        assert.equal(between(insider, other).length + between(other, insider).length, 0);
        assert.equal(insider.shown.length, 1);
      }
      assert.ok(insider.swarm.stats.unproven > 0);
    }
    assert.throws(() => member!.swarm.join(TOPIC), TypeError);
    assert.throws(() => member!.swarm.join(OTHER_TOPIC, { secret: new Uint8Array(15) }), RangeError);
  }));

test("a connection with another purpose stays, without counting for the secret topic", () =>
  inWorld(async (world) => {
    const [member, half] = world.crowd(2, channels);
    member!.swarm.join(TOPIC, { secret: SECRET });
    member!.swarm.join(OTHER_TOPIC);
    half!.swarm.join(TOPIC);
    half!.swarm.join(OTHER_TOPIC);
    await world.run(30_000);
    assertMesh([member!, half!]);
    assert.deepEqual([proven(member!, half!), proven(half!, member!)], [[0x43], [0x43]]);
    assert.deepEqual(member!.swarm.peer(half!.swarm.keyPair.publicKey)!.topics, [OTHER_TOPIC]);
  }));

test("a stranger who is silent, or shows another one's tags, proves nothing and is closed in time", () =>
  inWorld(async (world) => {
    const [member, friend] = world.crowd(2, channels);
    for (const { swarm } of [member!, friend!]) swarm.join(TOPIC, { secret: SECRET });
    await world.run(1_000);
    const record = await world.until(member!.swarm.listen());
    const silent = await world.until(stranger(world, "silent", 70).connect(record));
    const mirror = await world.until(stranger(world, "mirror", 71).connect(record));
    void silent.mux.pair({ protocol: "hypha/topics/1" }, () => new Promise(() => {}));
    const topics = listenToTopics(mirror);
    await world.run(100);
    topics.show({ isExplicit: true, tags: topics.heard[0]!.tags });
    await world.run(9_000);
    await assert.rejects(world.until(mirror.closed, 10));
    await world.run(2_000);
    await assert.rejects(world.until(silent.closed, 10));
    assert.equal(member!.shown.length, 1);
  }));

test("tags tell a stranger nothing: neither topics, nor that two peers or connections share one", () =>
  inWorld(async (world) => {
    const [a, b] = world.crowd(2, channels);
    for (const { swarm } of [a!, b!]) swarm.join(TOPIC);
    a!.swarm.join(OTHER_TOPIC);
    a!.swarm.join(THIRD_TOPIC);
    const heard: Uint8Array[] = [];
    const connections: Connection[] = [];
    for (const [i, peer] of [a!, a!, b!].entries()) {
      const dialer = stranger(world, `spy${i}`, 80 + i);
      const connection = await world.until(dialer.connect(await world.until(peer.swarm.listen())));
      connections.push(connection);
      const topics = listenToTopics(connection);
      await world.run(1_000);
      assert.equal(topics.heard.length, 1);
      const { tags } = topics.heard[0]!;
      assert.equal(tags.length, 64, "one topic or three, it is four tags");
      for (let at = 0; at < 64; at += 16) heard.push(tags.subarray(at, at + 16));
      // Who knows the topic recognizes it: so nobody is proven to lack it by accident.
      const { crypto } = world.runtime("any");
      assert.ok(includesTag(tags, topicTag(crypto, TOPIC, false, connection.handshakeHash)));
      assert.ok(!includesTag(tags, topicTag(crypto, TOPIC, true, connection.handshakeHash)));
      const secret = topicKey(crypto, TOPIC, SECRET);
      assert.ok(!includesTag(tags, topicTag(crypto, secret, false, connection.handshakeHash)));
    }
    assert.equal(new Set(heard.map(String)).size, heard.length, "no tag comes twice");
    for (const connection of connections) connection.abort();
    await world.run(100);
  }));

test("a thousand tags at most are sent and taken, in order, padded to a power of two", () => {
  const { crypto, random } = new World().runtime("tags");
  const tag = (n: number) => topicTag(crypto, keyPair(n % 250).publicKey, n < 250, Uint8Array.of(n));
  for (const [count, padded] of [[0, 4], [4, 4], [5, 8], [100, 128], [1_025, 1_024]] as const) {
    const tags = Array.from({ length: count }, (_, n) => tag(n));
    const packed = packTags(tags, random);
    assert.equal(packed.length, padded * 16);
    for (const [i, one] of tags.entries()) assert.equal(includesTag(packed, one), i < 1_024);
    const message = { isExplicit: count > 4, tags: packed };
    assert.deepEqual(decode(topicsMessage, encode(topicsMessage, message)), message);
  }
  const many = { isExplicit: false, tags: new Uint8Array(1_025 * 16) };
  assert.throws(() => decode(topicsMessage, encode(topicsMessage, many)), { name: "DecodeError" });
  const unsorted = concat([new Uint8Array(16).fill(2), new Uint8Array(16).fill(1)]);
  const wrong = encode(topicsMessage, { isExplicit: false, tags: unsorted });
  assert.throws(() => decode(topicsMessage, wrong), { name: "DecodeError" });
  assert.throws(() => decode(topicsMessage, Uint8Array.of(0, 5, 1)), { name: "DecodeError" });
});

test("peers that a blind discovery finds are sorted by their topics, unseen by the application", () =>
  inWorld(async (world) => {
    const peers = world.crowd(6, { channels: true, wrap: blind });
    for (const [i, { swarm }] of peers.entries()) swarm.join(i % 2 === 0 ? TOPIC : OTHER_TOPIC);
    await world.run(20_000);
    const [even, odd] = [0, 1].map((rest) => peers.filter((_, i) => i % 2 === rest));
    assertMesh(even!);
    assertMesh(odd!);
    for (const peer of peers) assert.equal(peer.swarm.connections.size, 2);
    const before = peers[0]!.swarm.stats.connects.client.attempted;
    await world.run(300_000);
    assert.equal(peers[0]!.swarm.stats.connects.client.attempted, before, "strangers are not dialed again");
    // Until they have something in common.
    peers[1]!.swarm.join(TOPIC);
    await world.run(5_000);
    assertMesh([...even!, peers[1]!]);
  }));

test("who asked for this very peer is let in, whatever its topics, by who sorts by topic as well", () =>
  inWorld(async (world) => {
    const [a, b] = world.crowd(2, { channels: true, wrap: blind });
    a!.swarm.join(TOPIC);
    b!.swarm.joinPeer(await world.until(a!.swarm.listen()));
    await world.run(2_000);
    assertMesh([a!, b!]);
  }));

test("W13: peers of one LAN meet by multicast DNS and UDX, with nothing else, sorted by topic", () =>
  inWorld(async (world) => {
    const lan = world.network.router();
    const closables: { close(): Promise<void> }[] = [];
    const join = (name: string, topic: Uint8Array) => {
      const host = world.network.host({ name, behind: lan });
      const transport = new UdxTransport(world.runtime(name), host);
      const mdns = Object.assign(new MdnsDiscovery(world.runtime(name), host), { knowsTopics: false });
      closables.push(transport, mdns);
      const peer = world.peer({ channels: true, transports: [transport], discoveries: [mdns] });
      peer.swarm.join(topic);
      return peer;
    };
    const [a, b, other] = [join("a", TOPIC), join("b", TOPIC), join("other", OTHER_TOPIC)];
    await world.run(10_000);
    assertMesh([a, b]);
    assert.equal(other.swarm.connections.size, 0);
    await world.until(Promise.all(world.peers.map(({ swarm }) => swarm.close())));
    await world.until(Promise.all(closables.map((closable) => closable.close())));
  }));

test("what needs channels says so", () => {
  const world = new World();
  assert.throws(() => world.peer({ wrap: blind }), { name: "TypeError", message: /channels: true/ });
  const { swarm } = new World().peer();
  assert.throws(() => swarm.join(TOPIC, { secret: SECRET }), {
    name: "TypeError",
    message: /channels: true/,
  });
  assert.ok(!equals(topicKey(world.runtime("x").crypto, TOPIC, SECRET), TOPIC));
});
