/** The blind relay as a server and as a client, in a simulated network. */
import assert from "node:assert/strict";
import { equals } from "../../encoding/bytes.ts";
import { openConnection } from "../../core/stream/connection.ts";
import { RELAY_PROTOCOL, relayPair, relayUnpair } from "../../dht/relay.ts";
import { test } from "../harness.ts";
import { bytes, Reader } from "../transports/udx/support.ts";
import { RelayWorld, TOKEN } from "./relay_rig.ts";
import { crypto } from "./rpc/support.ts";

function token(n: number): Uint8Array {
  return new Uint8Array(32).fill(n);
}

/** Whether `part` lies anywhere in `whole`. */
function contains(whole: Uint8Array, part: Uint8Array): boolean {
  for (let at = 0; at + part.length <= whole.length; at++) {
    if (equals(whole.subarray(at, at + part.length), part)) return true;
  }
  return false;
}

test("B3 two peers behind symmetric NATs talk through a relay, which sees nothing but ciphertext", async () => {
  const world = new RelayWorld({}, { latencyMs: 10, loss: [1, 50] });
  const [a, b] = [await world.client({ router: "symmetric" }), await world.client({ router: "symmetric" })];
  const secret = new TextEncoder().encode("nobody else may read this");
  let seen = 0;
  let isLeaked = false;
  world.onRelayed = (datagram) => {
    seen++;
    isLeaked ||= contains(datagram, secret);
  };
  const streams = await world.link([a, b]);
  const [near, far] = await world.go(
    Promise.all(streams.map((stream, i) =>
      openConnection(stream, world.runtime(`end ${i}`), {
        isInitiator: i === 0,
        keyPair: crypto.keyPair(token(20 + i)),
      })
    )),
  );
  await world.go(near!.write(secret));
  await world.go((async () => {
    for await (const chunk of far!) {
      assert.deepEqual(chunk, secret);
      break;
    }
  })());
  assert.deepEqual(near!.remotePublicKey, crypto.keyPair(token(21)).publicKey);
  assert.ok(seen > 4);
  assert.equal(isLeaked, false);
  assert.equal(world.relay.quotas.links, 1);
  await world.go(Promise.all([near!.close(), far!.close()]));
  await world.close();
});

test("B3 a relay carries all bytes both ways under loss, and counts what it carries for each key", async () => {
  const world = new RelayWorld({}, { latencyMs: 5, loss: [1, 50] });
  const [a, b] = [await world.client({ router: "symmetric" }), await world.client()];
  const [near, far] = await world.link([a, b]);
  const readers = [new Reader(), new Reader()];
  near.attach(readers[0]!);
  far.attach(readers[1]!);
  readers[0]!.pump(near, bytes(300_000, 1));
  readers[1]!.pump(far, bytes(100_000, 2));
  await world.pass(20_000);
  assert.deepEqual(readers[1]!.bytes, bytes(300_000, 1));
  assert.deepEqual(readers[0]!.bytes, bytes(100_000, 2));
  const [link] = a.session.links.values();
  const [sent, received] = link!.bytes;
  assert.deepEqual([a.session.account.bytes, b.session.account.bytes], [sent, received]);
  assert.equal(world.relay.stats.bytes, sent + received);
  assert.ok(sent > 300_000 && sent < 400_000, `${sent} bytes of the initiator`);
  assert.ok(received > 100_000 && received < 160_000, `${received} bytes of the responder`);
  near.destroy();
  await world.pass(1000);
  assert.equal(readers[1]!.closes.length, 1, "the other end is told");
  assert.equal(world.relay.quotas.links, 0);
  assert.equal(world.relay.stats.closed.stream, 1);
  await world.close();
});

test("B3 a key that sends faster than its quota is slowed, and loses nothing", async () => {
  const maxBytesPerSecondPerKey = 100_000;
  const world = new RelayWorld({ quotas: { maxBytesPerSecondPerKey } }, { latencyMs: 5 });
  const [near, far] = await world.link([await world.client(), await world.client()]);
  const [writer, reader] = [new Reader(), new Reader()];
  near.attach(writer);
  far.attach(reader);
  const start = world.clock.now();
  writer.pump(near, bytes(600_000, 1));
  await world.clock.run({ until: start + 4000 });
  assert.ok(world.relay.stats.bytes <= 4.5 * maxBytesPerSecondPerKey + 50_000, `${world.relay.stats.bytes}`);
  assert.ok(world.relay.stats.slowed > 0);
  await world.pass(60_000);
  assert.deepEqual(reader.bytes, bytes(600_000, 1));
  await world.close();
});

test("B3 a key that has used up its bytes loses its links, is told so, and gets others in the next period", async () => {
  const world = new RelayWorld({ quotas: { maxBytesPerKey: 50_000, periodMs: 100_000 } });
  const clients = [await world.client(), await world.client()] as const;
  const lost: string[] = [];
  const relayClients = [world.relayClient(clients[0]), world.relayClient(clients[1])] as const;
  const streams = [world.stream(clients[0]), world.stream(clients[1])];
  const ids = await world.go(Promise.all([0, 1].map((i) =>
    relayClients[i]!.pair({
      isInitiator: i === 0,
      token: TOKEN,
      stream: streams[i]!,
      onLost: ({ code, message }) => lost.push(`${i} ${code} ${message}`),
    })
  )));
  for (const i of [0, 1]) {
    streams[i]!.connect(clients[i]!.socket, ids[i]!, clients[i]!.connection.path.address!);
  }
  const reader = new Reader();
  streams[0]!.attach(reader);
  streams[1]!.attach(new Reader());
  streams[1]!.ping();
  reader.pump(streams[0]!, bytes(200_000, 1));
  await world.pass(5000);
  assert.equal(world.relay.stats.closed.bytes, 1);
  assert.deepEqual(lost.sort().map((line) => line.slice(0, 38)), [
    "0 RELAY_ABORTED The relay has closed t",
    "1 RELAY_ABORTED The relay has closed t",
  ]);
  // Who is close to the limit gets a link, and loses it with the next bytes.
  const { account } = clients[0].session;
  account.bytes = 50_000;
  await assert.rejects(world.link(clients, relayClients, token(8)), { code: "RELAY_ABORTED" });
  assert.equal(world.relay.stats.refused.bytes, 1);
  // Who comes with the same key again finds its bytes used.
  const again = await world.client({ key: 1 });
  assert.ok(again.session.account.bytes > 40_000);
  await world.pass(100_000);
  const later = [await world.client({ key: 1 }), await world.client({ key: 2 })] as const;
  await world.link(later, undefined, token(9));
  for (const stream of streams) stream.destroy();
  await world.close();
});

test("B3 one half waits for the other only for a while, and both sides know when it is over", async () => {
  const world = new RelayWorld({ pairingTimeoutMs: 3000 });
  const a = await world.client();
  const client = world.relayClient(a);
  const start = world.clock.now();
  const stream = world.stream(a);
  await assert.rejects(world.go(client.pair({ isInitiator: true, token: TOKEN, stream })), {
    code: "RELAY_ABORTED",
    message: /does not pair us/,
  });
  assert.ok(world.clock.now() - start < 3100);
  await assert.rejects(
    world.go(client.pair({ isInitiator: true, token: token(2), stream, timeoutMs: 1000 })),
    { code: "RELAY_ABORTED", message: /within 1000 ms/ },
  );
  const abort = new AbortController();
  const aborted = client.pair({ isInitiator: true, token: token(3), stream, signal: abort.signal });
  abort.abort(new Error("no longer"));
  await assert.rejects(aborted, { message: "no longer" });
  await world.pass(100);
  const { pairings } = world.relay.stats;
  assert.deepEqual(pairings, { requested: 3, matched: 0, cancelled: 2, expired: 1 });
  assert.deepEqual([world.relay.quotas.pending, client.size, a.session.pending.size], [0, 0, 0]);
  await world.close();
});

test("B3 halves that were offered before, or by the same side, are ignored", async () => {
  const world = new RelayWorld();
  const [a, b, c] = [await world.client(), await world.client(), await world.client()];
  const [ofA, ofB, ofC] = [world.relayClient(a), world.relayClient(b), world.relayClient(c)];
  const first = ofA.pair({ isInitiator: true, token: TOKEN, stream: world.stream(a) });
  await world.pass(50);
  const second = ofB.pair({ isInitiator: true, token: TOKEN, stream: world.stream(b), timeoutMs: 2000 });
  await world.pass(50);
  assert.equal(world.relay.stats.refused.duplicate, 1);
  const third = ofC.pair({ isInitiator: false, token: TOKEN, stream: world.stream(c) });
  const ids = await world.go(Promise.all([first, third]));
  assert.equal(ids.length, 2);
  await assert.rejects(world.go(second), { code: "RELAY_ABORTED" });
  assert.equal(world.relay.quotas.links, 1);
  await assert.rejects(ofA.pair({ isInitiator: true, token: TOKEN, stream: world.stream(a) }), TypeError);
  await assert.rejects(
    ofA.pair({ isInitiator: true, token: token(1).subarray(1), stream: { id: 1 } }),
    TypeError,
  );
  await world.close();
});

test("B3 tokens can be neither hoarded nor guessed quickly: each key, each host and all together have limits", async () => {
  const world = new RelayWorld({
    quotas: {
      maxPendingPerKey: 3,
      maxPending: 5,
      maxRequestsPerSecond: 5,
      maxSessionsPerKey: 2,
      maxSessions: 4,
    },
  });
  const reasons: string[] = [];
  world.relay.on("refused", ({ detail }) => reasons.push(detail.reason));
  const [a, b] = [await world.client(), await world.client()];
  const hoard = (client: ReturnType<typeof world.relayClient>, from: number, count: number) =>
    Array.from(
      { length: count },
      (_, i) =>
        client.pair({ isInitiator: true, token: token(from + i), stream: { id: 1 } }).catch(({ code }) =>
          code
        ),
    );
  const ofA = hoard(world.relayClient(a), 0, 40);
  await world.pass(100);
  assert.equal(world.relay.quotas.pending, 3);
  assert.equal(reasons.filter((reason) => reason === "pending").length, 17);
  assert.equal(reasons.filter((reason) => reason === "requests").length, 20, "after a burst of four seconds");
  const ofB = hoard(world.relayClient(b), 50, 4);
  await world.pass(100);
  assert.equal(world.relay.quotas.pending, 5, "in all");
  // The same key over another connection has the same quota; and not too many of those.
  const again = await world.client({ key: 1 });
  hoard(world.relayClient(again), 90, 1);
  await world.pass(100);
  assert.equal(world.relay.quotas.pending, 5);
  const third = await world.client({ key: 1, isUnserved: true });
  assert.throws(() => world.relay.accept(third.served), { code: "LIMIT_EXCEEDED" });
  await world.pass(30_000);
  assert.equal(world.relay.quotas.pending, 0);
  const codes = await world.go(Promise.all([...ofA, ...ofB]));
  assert.deepEqual(new Set(codes), new Set(["RELAY_ABORTED"]));
  await world.close();
});

test("B3 links have a limit for each key, and who is refused is told at once, and so is the other", async () => {
  const world = new RelayWorld({ quotas: { maxLinksPerKey: 1 } });
  const clients = [await world.client(), await world.client()] as const;
  const relayClients = [world.relayClient(clients[0]), world.relayClient(clients[1])] as const;
  await world.link(clients, relayClients);
  const start = world.clock.now();
  await assert.rejects(world.link(clients, relayClients, token(1)), { code: "RELAY_ABORTED" });
  assert.ok(world.clock.now() - start < 100);
  relayClients[0].unpair(TOKEN);
  await world.pass(100);
  assert.deepEqual([world.relay.stats.closed.unpaired, world.relayEndpoint.streamCount], [1, 2]);
  await world.link(clients, relayClients, token(2));
  await world.close();
});

test("B3 packets for a link are taken only from the host that its client's session comes from", async () => {
  const world = new RelayWorld();
  const [a, b] = [await world.client(), await world.client()];
  const [ofA, ofB] = [world.relayClient(a), world.relayClient(b)];
  const [near, far] = [world.stream(a), world.stream(b)];
  const [idA, idB] = await world.go(Promise.all([
    ofA.pair({ isInitiator: true, token: TOKEN, stream: near }),
    ofB.pair({ isInitiator: false, token: TOKEN, stream: far }),
  ]));
  const thief = await world.client();
  const stolen = world.stream(thief);
  const relay = a.connection.path.address!;
  stolen.connect(thief.socket, idA!, relay);
  stolen.write(bytes(100));
  await world.pass(500);
  assert.ok(world.relay.stats.strays > 0);
  assert.equal(world.relay.stats.packets, 0);
  near.connect(a.socket, idA!, relay);
  far.connect(b.socket, idB!, relay);
  const reader = new Reader();
  far.attach(reader);
  far.ping();
  near.write(bytes(1000, 3));
  await world.pass(5000);
  assert.deepEqual(reader.bytes, bytes(1000, 3));
  await world.close();
});

test("B3 a client may come to its link from another port than to its session", async () => {
  const world = new RelayWorld();
  const [a, b] = [await world.client({ router: "symmetric" }), await world.client()];
  const [ofA, ofB] = [world.relayClient(a), world.relayClient(b)];
  const [near, far] = [world.stream(a), world.stream(b)];
  const [idA, idB] = await world.go(Promise.all([
    ofA.pair({ isInitiator: true, token: TOKEN, stream: near }),
    ofB.pair({ isInitiator: false, token: TOKEN, stream: far }),
  ]));
  const socket = await a.endpoint.bind({ host: a.host.address });
  near.connect(socket, idA!, a.connection.path.address!);
  far.connect(b.socket, idB!, b.connection.path.address!);
  const readers = [new Reader(), new Reader()];
  near.attach(readers[0]!);
  far.attach(readers[1]!);
  near.write(bytes(50_000, 3));
  far.write(bytes(50_000, 4));
  await world.pass(5000);
  assert.deepEqual(readers.map((reader) => reader.bytes), [bytes(50_000, 4), bytes(50_000, 3)]);
  await world.close();
});

test("B3 the end of a session takes its pairings and links with it, and leaves those of others", async () => {
  const world = new RelayWorld();
  const clients = [await world.client(), await world.client(), await world.client()] as const;
  const [a, b, c] = clients;
  const [ofA, ofB, ofC] = clients.map((client) => world.relayClient(client));
  await world.link([a, b], [ofA!, ofB!]);
  await world.link([b, c], [ofB!, ofC!], token(1));
  const waiting = ofA!.pair({ isInitiator: true, token: token(2), stream: world.stream(a) });
  await world.pass(50);
  a.connection.abort();
  await assert.rejects(world.go(waiting), { code: "RELAY_ABORTED" });
  await world.pass(100);
  assert.deepEqual([world.relay.quotas.links, world.relay.quotas.pending, world.relay.sessions.size], [
    1,
    0,
    2,
  ]);
  assert.equal(world.relay.stats.closed.session, 1);
  ofB!.close();
  await world.go(b.session.closed);
  assert.deepEqual([world.relay.quotas.links, world.relay.sessions.size], [0, 1]);
  await world.close();
});

test("B3 an ending session waits for its pairings, no longer than they live, and takes no others", async () => {
  const world = new RelayWorld({ pairingTimeoutMs: 2000 });
  const [a, b] = [await world.client(), await world.client()];
  const [ofA, ofB] = [world.relayClient(a), world.relayClient(b)];
  const early = ofA.pair({ isInitiator: true, token: TOKEN, stream: world.stream(a) });
  early.catch(() => {});
  await world.pass(50);
  const closing = world.relay.close();
  await world.go(ofB.closed);
  assert.equal(a.session.isOpen, true, "it waits");
  const late = ofA.pair({ isInitiator: true, token: token(1), stream: world.stream(a) });
  await assert.rejects(world.go(late), { code: "RELAY_ABORTED" });
  assert.equal(world.relay.stats.refused.ending, 1);
  const start = world.clock.now();
  await world.go(closing);
  assert.ok(world.clock.now() - start < 2100);
  await assert.rejects(world.go(early), { code: "RELAY_ABORTED" });
  assert.throws(() => world.relay.accept(a.served), TypeError);
  await world.close();
});

test("B3 a client that ends waits for what it has asked for, and keeps the link until it closes", async () => {
  const world = new RelayWorld();
  const [a, b] = [await world.client(), await world.client()];
  const [ofA, ofB] = [world.relayClient(a), world.relayClient(b)];
  const id = ofA.pair({ isInitiator: true, token: TOKEN, stream: world.stream(a) });
  const ended = ofA.end();
  await assert.rejects(ofA.pair({ isInitiator: true, token: token(1), stream: { id: 1 } }), TypeError);
  await world.pass(100);
  assert.equal(a.session.isOpen, true);
  void ofB.pair({ isInitiator: false, token: TOKEN, stream: world.stream(b) });
  assert.ok(await world.go(id) >= 0);
  await world.go(ended);
  await world.close();
});

test("B3 sessions that are never opened, or have nothing to do, end by themselves; so do silent links", async () => {
  const world = new RelayWorld({ sessionIdleMs: 1000, linkIdleMs: 5000 });
  const silent = await world.client();
  const idle = await world.client();
  world.relayClient(idle);
  await world.pass(500);
  assert.deepEqual([silent.session.isOpen, idle.session.isOpen, world.relay.sessions.size], [false, true, 2]);
  await world.pass(1000);
  assert.equal(world.relay.sessions.size, 0);
  const clients = [await world.client(), await world.client()] as const;
  const [near] = await world.link(clients);
  near.write(bytes(10));
  await world.pass(4000);
  assert.equal(world.relay.quotas.links, 1);
  await world.pass(60_000);
  assert.deepEqual([world.relay.quotas.links, world.relay.stats.closed.idle, world.relay.sessions.size], [
    0,
    1,
    0,
  ]);
  await world.close();
});

test("B3 a connection is served once, and an endpoint that is full refuses links", async () => {
  const world = new RelayWorld();
  const [a, b] = [await world.client(), await world.client()];
  assert.throws(() => world.relay.accept(a.served), TypeError);
  assert.equal(world.relay.quotas.sessions, 2);
  const ofA = world.relayClient(a);
  assert.throws(() => world.relayClient(a), TypeError);
  const ofB = world.relayClient(b);
  const { createStream } = world.relayEndpoint;
  let left = 1;
  world.relayEndpoint.createStream = function (options) {
    if (left-- === 0) throw new RangeError("full");
    return createStream.call(this, options);
  };
  const before = world.relayEndpoint.streamCount;
  const halves = [
    ofA.pair({ isInitiator: true, token: TOKEN, stream: { id: 1 } }),
    ofB.pair({ isInitiator: false, token: TOKEN, stream: { id: 2 } }),
  ];
  for (const half of halves) half.catch(() => {});
  for (const half of halves) await assert.rejects(world.go(half), { code: "RELAY_ABORTED" });
  assert.equal(world.relay.stats.refused.links, 1);
  assert.equal(world.relayEndpoint.streamCount, before);
  await world.close();
});

test("B3 a stream id that is none breaks the connection", async () => {
  const world = new RelayWorld();
  const a = await world.client();
  const channel = a.connection.mux.createChannel({ protocol: RELAY_PROTOCOL, id: a.connection.publicKey })!;
  const pair = channel.addMessage({ codec: relayPair });
  channel.addMessage({ codec: relayUnpair });
  channel.open();
  pair.send({ isInitiator: true, token: TOKEN, streamId: 2 ** 32, seq: 0 });
  await world.go(assert.rejects(a.served.closed, { code: "DECODING_ERROR" }));
  assert.equal(world.relay.sessions.size, 0);
  await world.close();
});
