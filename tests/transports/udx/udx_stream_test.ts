/** Streams over a simulated network: what an application sees. */
import assert from "node:assert/strict";
import { SocketAddress } from "../../../encoding/address.ts";
import { DESTROY, END, SEQUENCED } from "../../../transports/udx/constants.ts";
import type { LinkConditions } from "../../../transports/memory/mod.ts";
import type { UdxStreamOptions } from "../../../transports/udx/mod.ts";
import { test } from "../../harness.ts";
import { bytes, errorCode, parse, Reader } from "./support.ts";
import { connect, type Pair, type World, world } from "./world.ts";

/** Writes both ways, ends both, and lets it run. */
function exchange(w: World, pair: Pair, lengthA: number, lengthB: number): number {
  const [dataA, dataB] = [bytes(lengthA, 1), bytes(lengthB, 2)];
  pair.readerA.pump(pair.a, dataA, () => pair.a.end());
  pair.readerB.pump(pair.b, dataB, () => pair.b.end());
  const start = w.clock.now();
  w.clock.run({
    until: start + 600_000,
    stop: () => pair.readerA.closes.length + pair.readerB.closes.length === 2,
  });
  const taken = w.clock.now() - start;
  assert.deepEqual([pair.readerA.closes, pair.readerB.closes], [[undefined], [undefined]]);
  assert.deepEqual([pair.readerA.ends, pair.readerB.ends], [1, 1]);
  assert.deepEqual(pair.readerB.bytes, dataA);
  assert.deepEqual(pair.readerA.bytes, dataB);
  return taken;
}

async function finish(w: World): Promise<void> {
  w.clock.run({ until: w.clock.now() + 30_000 });
  assert.deepEqual([w.a.endpoint.streamCount, w.b.endpoint.streamCount], [0, 0]);
  await w.a.endpoint.close();
  await w.b.endpoint.close();
  assert.equal(w.clock.pending, 0);
}

const PATHS: readonly (readonly [string, LinkConditions, UdxStreamOptions])[] = [
  ["a clean path", { latencyMs: 10 }, {}],
  ["no delay at all", {}, {}],
  ["5 % loss", { latencyMs: 10, loss: [1, 20] }, {}],
  ["20 % loss and reordering", { latencyMs: 10, loss: [1, 5], reorder: [1, 10], reorderMs: 20 }, {}],
  ["everything twice", { latencyMs: 5, duplicate: [1, 1] }, {}],
  ["jitter and bursts of loss", {
    latencyMs: 30,
    jitterMs: 20,
    burstLoss: { enter: [1, 100], leave: [1, 5] },
  }, {}],
  ["numbers that wrap", { latencyMs: 2, loss: [1, 50] }, {
    firstSeq: 2 ** 32 - 9,
    firstRemoteSeq: 2 ** 32 - 9,
  }],
  ["a small window", { latencyMs: 20, loss: [1, 50] }, { maxReceiveBytes: 20_000 }],
  ["an MTU of 1300", { latencyMs: 5, mtuBytes: 1300 }, {}],
];

for (const [name, conditions, options] of PATHS) {
  test(`U4 a stream carries all bytes both ways over ${name}`, async () => {
    const w = await world(conditions);
    const pair = connect(w, options, options);
    exchange(w, pair, 300_000, 200_000);
    await finish(w);
  });
}

test("U14 the MTU that a path has is found, and a path that is no better than the base stays there", async () => {
  for (const [mtuBytes, low, high] of [[1500, 1500, 1500], [1300, 1285, 1300], [1200, 1200, 1200]] as const) {
    const w = await world({ latencyMs: 5, mtuBytes });
    const pair = connect(w);
    exchange(w, pair, 8_000_000, 1000);
    const { mtu } = pair.a.stats;
    assert(mtu >= low && mtu <= high, `${mtu} on a path of ${mtuBytes}`);
    await finish(w);
  }
});

test("U10 a bottleneck is used, and not flooded", async () => {
  const w = await world({ latencyMs: 20, bytesPerSecond: 1_250_000, queueBytes: 60_000 });
  const pair = connect(w);
  const taken = exchange(w, pair, 5_000_000, 0);
  assert(taken < 5_500, `${taken} ms for four seconds of bytes`);
  const { retransmits, packetsSent } = pair.a.stats;
  assert(retransmits < packetsSent / 10, `${retransmits} of ${packetsSent} packets were sent again`);
  await finish(w);
});

test("U3 bytes that are written before connect go out with it", async () => {
  const w = await world({ latencyMs: 1 });
  const a = w.a.endpoint.createStream({ id: 1 });
  const b = w.b.endpoint.createStream({ id: 2, firewall: () => true });
  const [readerA, readerB] = [new Reader(), new Reader()];
  a.attach(readerA);
  b.attach(readerB);
  assert(a.write(bytes(5000)));
  w.clock.run({ until: 100 });
  a.connect(w.a.socket, 2, w.b.socket.address);
  w.clock.run({ until: 200 });
  assert.deepEqual(readerB.bytes, bytes(5000));
  const before = a.stats.retransmits;
  b.connect(w.b.socket, 1, w.a.socket.address);
  w.clock.run({ until: 300 });
  assert(await a.flush());
  assert(before <= 1, "what was not answered was only probed");
  a.destroy();
  w.clock.run({ until: 30_000 });
  await finish(w);
});

test("U21 writes of one turn share packets, flush tells when all is acknowledged, and drain when to go on", async () => {
  const w = await world({ latencyMs: 10 });
  const { a, readerA, readerB } = connect(w);
  for (let i = 0; i < 100; i++) a.write(bytes(10, i));
  w.clock.run({ until: 5 });
  assert.equal(a.stats.packetsSent, 1);
  let flushed: boolean | undefined;
  void a.flush().then((isAcked) => flushed = isAcked);
  await Promise.resolve();
  assert.equal(flushed, undefined);
  w.clock.run({ until: 30 });
  await Promise.resolve();
  assert.equal(flushed, true);
  let accepted = 0;
  while (a.write(bytes(10_000))) accepted += 10_000;
  assert(accepted >= 250_000 && accepted < 300_000, `${accepted} bytes before the writer is asked to wait`);
  assert.equal(readerA.drains, 0);
  w.clock.run({ until: 1_000 });
  assert.equal(readerA.drains, 1);
  assert.equal(readerB.received, 1000 + accepted + 10_000);
  a.write(bytes(10));
  const lost = a.flush();
  a.destroy();
  assert.equal(await lost, false);
  assert.equal(await a.flush(), false);
  assert(!a.write(bytes(1)));
  await finish(w);
});

test("U12 a reader that pauses stops the writer within the window, and nothing is lost when it goes on", async () => {
  const w = await world({ latencyMs: 5, loss: [1, 30] });
  const pair = connect(w, {}, { maxReceiveBytes: 100_000 });
  pair.b.pause();
  const data = bytes(1_000_000, 3);
  pair.readerA.pump(pair.a, data, () => pair.a.end());
  w.clock.run({ until: 60_000 });
  assert.equal(pair.readerB.received, 0);
  assert(pair.a.stats.bytesSent < 250_000, `${pair.a.stats.bytesSent} bytes were sent`);
  assert.deepEqual(pair.readerA.closes, []);
  const { onData } = pair.readerB;
  let chunks = 0;
  pair.readerB.onData = function (chunk): void {
    onData.call(this, chunk);
    // Pauses in the middle of a run, too.
    if (++chunks % 10 !== 0) return;
    pair.b.pause();
    w.clock.schedule(w.clock.now() + 3, () => pair.b.resume());
  };
  pair.b.resume();
  w.clock.run({ until: 120_000 });
  assert.deepEqual(pair.readerB.bytes, data);
  pair.b.end();
  await finish(w);
});

test("U12 bytes that nobody has read when both sides have ended wait for the reader, longer than the stream lingers", async () => {
  const w = await world({ latencyMs: 5 });
  const { a, b, readerA, readerB } = connect(w);
  b.pause();
  a.write(bytes(5_000));
  a.end();
  b.end();
  w.clock.run({ until: 60_000 });
  assert.deepEqual([readerA.closes, readerB.closes, w.b.endpoint.streamCount], [[undefined], [], 0]);
  b.resume();
  assert.deepEqual([readerB.bytes, readerB.ends, readerB.closes], [bytes(5_000), 1, [undefined]]);
  const other = connect(w);
  other.b.pause();
  other.a.write(bytes(5_000));
  other.a.end();
  other.b.end();
  w.clock.run({ until: 120_000 });
  other.b.destroy();
  assert.deepEqual([other.readerB.received, other.readerB.closes], [0, [undefined]], "or for nobody");
  await finish(w);
});

/** Loses the packets that `isLost` picks, among those that come to `w.b`. */
function loseAtB(w: World, isLost: (type: number) => boolean): void {
  w.b.network.isLost = (datagram) => isLost(parse(datagram).type);
}

test("U16 half-open: one side may end long before the other", async () => {
  const w = await world({ latencyMs: 5 });
  const { a, b, readerA, readerB } = connect(w);
  a.end();
  w.clock.run({ until: 100_000 });
  assert.deepEqual([readerB.ends, readerB.closes, readerA.closes], [1, [], []]);
  b.write(bytes(10_000));
  w.clock.run({ until: 200_000 });
  assert.equal(readerA.received, 10_000);
  assert(!a.write(bytes(1)));
  b.end();
  await finish(w);
  assert.deepEqual([readerA.closes, readerB.closes], [[undefined], [undefined]]);
});

test("U20 a relay carries packets unread, both ways, and closes with either side", async () => {
  for (const isAbrupt of [false, true]) {
    const w = await world({ latencyMs: 3, loss: [1, 50] });
    const relayHost = w.network.host({ name: "relay" });
    const { UdxEndpoint } = await import("../../../transports/udx/mod.ts");
    const { SeededRandom } = await import("../../../core/runtime/virtual.ts");
    const relay = new UdxEndpoint({ clock: w.clock, random: new SeededRandom("relay") }, relayHost);
    const socket = await relay.bind({ host: relayHost.address });
    const ends = [w.a, w.b].map(({ endpoint, socket: own }) => {
      const stream = endpoint.createStream();
      const middle = relay.createStream();
      const reader = new Reader();
      const relayReader = new Reader();
      stream.attach(reader);
      middle.attach(relayReader);
      stream.connect(own, middle.id, socket.address);
      middle.connect(socket, stream.id, own.address);
      return { stream, middle, reader, relayReader };
    });
    const [x, y] = ends;
    x!.middle.relayTo(y!.middle);
    y!.middle.relayTo(x!.middle);
    x!.reader.pump(x!.stream, bytes(300_000, 1));
    y!.reader.pump(y!.stream, bytes(300_000, 2));
    w.clock.run({ until: 20_000 });
    assert.deepEqual(x!.reader.bytes, bytes(300_000, 2));
    assert.deepEqual(y!.reader.bytes, bytes(300_000, 1));
    assert.equal(x!.middle.stats.packetsSent + y!.middle.stats.packetsSent, 0, "nothing of its own");
    if (isAbrupt) x!.stream.destroy();
    else x!.middle.destroy();
    w.clock.run({ until: 21_000 });
    assert.equal(relay.streamCount, 0);
    assert.deepEqual([x!.relayReader.closes.length, y!.relayReader.closes.length], [1, 1]);
    y!.stream.destroy();
    x!.stream.destroy();
    await relay.close();
    await finish(w);
  }
});

test("U19 a stream moves to another socket and address under loss, and no byte is lost", async () => {
  const w = await world({ latencyMs: 10, loss: [1, 10] });
  const [nextA, nextB] = [
    await w.a.endpoint.bind({ host: w.a.host.address }),
    await w.b.endpoint.bind({ host: w.b.host.address }),
  ];
  const { a, b, readerA, readerB } = connect(w);
  const [dataA, dataB] = [bytes(1_000_000, 1), bytes(1_000_000, 2)];
  readerA.pump(a, dataA);
  readerB.pump(b, dataB);
  w.clock.run({ until: 60 });
  b.expectRemote(nextA.address);
  const moved = a.changeRemote(nextA, b.id, nextB.address);
  assert.throws(() => void a.changeRemote(nextA, b.id, nextB.address), TypeError);
  w.clock.run({ until: 100 });
  void b.changeRemote(nextB, a.id, nextA.address);
  w.clock.run({ until: 60_000 });
  await moved;
  assert.deepEqual(readerB.bytes, dataA);
  assert.deepEqual(readerA.bytes, dataB);
  assert.deepEqual([a.socket, b.socket], [nextA, nextB]);
  assert(a.stats.mtu >= 1200);
  a.end();
  b.end();
  await finish(w);
});

test("a stream whose path leads nowhere is redirected, and what went there goes the new way", async () => {
  const w = await world({ latencyMs: 10 });
  const [a, b] = [w.a.endpoint.createStream(), w.b.endpoint.createStream()];
  const [readerA, readerB] = [new Reader(), new Reader()];
  a.attach(readerA);
  b.attach(readerB);
  assert.throws(() => a.redirect(w.a.socket, b.id, w.b.socket.address), TypeError);
  a.connect(w.a.socket, b.id, SocketAddress.parse("11.0.0.200:9"));
  b.connect(w.b.socket, a.id, SocketAddress.parse("11.0.0.200:9"));
  const [dataA, dataB] = [bytes(50_000, 1), bytes(50_000, 2)];
  a.write(dataA.slice());
  b.write(dataB.slice());
  w.clock.run({ until: 2500 });
  assert.equal(readerB.bytes.length, 0);
  const start = w.clock.now();
  a.redirect(w.a.socket, b.id, w.b.socket.address);
  b.redirect(w.b.socket, a.id, w.a.socket.address);
  w.clock.run({ until: start + 400 });
  assert.deepEqual(readerB.bytes, dataA, "without waiting for a timeout");
  assert.deepEqual(readerA.bytes, dataB);
  a.end();
  b.end();
  await finish(w);
});

test("U15 keepalives cross an idle stream, and find out nothing by themselves", async () => {
  const w = await world({ latencyMs: 10 });
  const { a, b, readerA } = connect(w, { keepAliveMs: 5_000 });
  w.clock.run({ until: 60_000 });
  assert(b.stats.packetsReceived >= 11, `${b.stats.packetsReceived} heartbeats`);
  assert(a.stats.packetsReceived >= 11);
  b.destroy();
  w.clock.run({ until: 80_000 });
  assert.equal(readerA.closes.length, 1);
  await finish(w);
});

test("U17 when the DESTROY is lost, the next packet is answered with another", async () => {
  const w = await world({ latencyMs: 5 });
  const { a, b, readerB } = connect(w);
  w.clock.run({ until: 10 });
  loseAtB(w, (type) => (type & DESTROY) !== 0);
  a.destroy();
  w.clock.run({ until: 100 });
  assert.deepEqual(readerB.closes, []);
  loseAtB(w, () => false);
  b.write(bytes(1));
  w.clock.run({ until: 200 });
  assert.equal(errorCode(readerB.closes[0]), "CONNECTION_RESET");
  await finish(w);
});

test("U16 when the last acknowledgement is lost, the other side closes in order all the same", async () => {
  const w = await world({ latencyMs: 5 });
  const { a, b, readerA, readerB } = connect(w);
  let ends = 0;
  a.write(bytes(10));
  b.write(bytes(10));
  w.clock.run({ until: 100 });
  a.end();
  w.clock.run({ until: 200 });
  // a has ended and lingers after b's END; the acknowledgement of that is lost twice.
  loseAtB(w, (type) => (type & SEQUENCED) === 0 && ends++ < 2);
  b.end();
  w.clock.run({ until: 20_000 });
  assert.deepEqual([readerA.closes, readerB.closes, ends >= 2], [[undefined], [undefined], true]);
  assert.equal(END, 2);
  await finish(w);
});

test("U7 a path that dies is noticed after 13 seconds at the soonest, and both sides hear of it", async () => {
  const w = await world({ latencyMs: 10 });
  const { a, b, readerA, readerB } = connect(w);
  a.write(bytes(1000));
  w.clock.run({ until: 1_000 });
  w.b.host.setDown(true);
  a.write(bytes(1000));
  b.write(bytes(1000));
  w.clock.run({ until: 13_900 });
  assert.deepEqual([readerA.closes, readerB.closes], [[], []]);
  w.clock.run({ until: 20_000 });
  for (const reader of [readerA, readerB]) {
    assert.equal(errorCode(reader.closes[0]), "TIMEOUT");
  }
  await finish(w);
});

test("U18 messages of a stream go beside its bytes, each once or never", async () => {
  const w = await world({ latencyMs: 5, loss: [1, 10] });
  const { a, b, readerB } = connect(w);
  for (let i = 0; i < 100; i++) {
    assert(a.send(bytes(100, i)));
    w.clock.run({ until: w.clock.now() + 1 });
  }
  w.clock.run({ until: 1_000 });
  assert(readerB.messages.length > 70 && readerB.messages.length < 100, `${readerB.messages.length}`);
  const seeds = readerB.messages.map((message) => message[0]!);
  assert.equal(new Set(seeds).size, seeds.length);
  assert.equal(readerB.received, 0);
  assert(a.maxMessageBytes >= 1152);
  assert.equal(a.unordered, a);
  a.destroy();
  b.destroy();
  await finish(w);
});

test("U24 framing stays with the layers above: the same bytes go out however they were written", async () => {
  const outcomes: number[] = [];
  for (const piece of [100_000, 1000, 7]) {
    const w = await world({ latencyMs: 5 });
    const { a, b, readerB } = connect(w);
    assert.equal(a.framing, "bytes");
    const data = bytes(100_000);
    for (let at = 0; at < data.length; at += piece) a.write(data.slice(at, at + piece));
    w.clock.run({ until: 2_000 });
    assert.deepEqual(readerB.bytes, data);
    outcomes.push(a.stats.packetsSent);
    a.destroy();
    b.destroy();
    await finish(w);
  }
  assert.deepEqual(outcomes, [outcomes[0], outcomes[0], outcomes[0]]);
});

test("the same seed gives the same run", async () => {
  const runs: unknown[] = [];
  for (let i = 0; i < 2; i++) {
    const w = await world({ latencyMs: 10, jitterMs: 5, loss: [1, 10], reorder: [1, 10] }, { seed: 9 });
    const pair = connect(w);
    const taken = exchange(w, pair, 500_000, 500_000);
    runs.push([taken, pair.a.stats, pair.b.stats]);
    await finish(w);
  }
  assert.deepEqual(runs[0], runs[1]);
});

test("a caller's mistakes are told apart from the network's", async () => {
  const w = await world();
  const { a } = connect(w);
  assert.throws(() => a.connect(w.a.socket, 1, w.b.socket.address), TypeError);
  const stream = w.a.endpoint.createStream();
  assert.throws(() => void stream.changeRemote(w.a.socket, 1, w.b.socket.address), TypeError);
  assert.throws(() => stream.connect(w.b.socket, 1, SocketAddress.of("11.0.0.1", 1)), TypeError);
  await w.a.endpoint.close();
  assert.throws(() => w.a.endpoint.createStream(), TypeError);
  await w.b.endpoint.close();
});

test("H21 a stream that is redirected to a stream of another id takes along what nobody has acknowledged", async () => {
  const w = await world({ latencyMs: 5 });
  const a = w.a.endpoint.createStream();
  const b = w.b.endpoint.createStream();
  const readers = [new Reader(), new Reader()];
  a.attach(readers[0]!);
  b.attach(readers[1]!);
  a.connect(w.a.socket, b.id ^ 1, w.b.socket.address);
  b.connect(w.b.socket, a.id, w.a.socket.address);
  a.write(bytes(5000, 1));
  w.clock.run({ until: 100 });
  assert.deepEqual([readers[1]!.received, a.pathHeardAt], [0, -Infinity]);
  a.redirect(w.a.socket, b.id, w.b.socket.address);
  w.clock.run({ until: 1000 });
  assert.deepEqual(readers[1]!.bytes, bytes(5000, 1));
  assert.ok(a.pathHeardAt > 100 && b.pathHeardAt > 100);
  a.end();
  b.end();
  await finish(w);
});
