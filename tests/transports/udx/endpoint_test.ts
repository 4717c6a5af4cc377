/** Endpoints: who gets a datagram, and what is left afterwards. */
import assert from "node:assert/strict";
import { SocketAddress } from "../../../encoding/address.ts";
import { DATA, DESTROY, END, HEARTBEAT, MESSAGE, SACK } from "../../../transports/udx/constants.ts";
import { test } from "../../harness.ts";
import { bytes, errorCode, packet, Reader } from "./support.ts";
import { connect, world } from "./world.ts";

test("U1 a stream receives on any socket of its endpoint, and ids are unique in it", async () => {
  const w = await world();
  const second = await w.a.endpoint.bind({ host: w.a.host.address });
  const { a, b, readerA } = connect(w);
  b.write(bytes(10));
  w.clock.run();
  // The peer's address is the same; the datagram only goes to another socket of ours.
  const wire = packet({ type: DATA, streamId: a.id, seq: 1, payload: bytes(5) });
  w.b.socket.send(wire, second.address);
  w.clock.run({ until: w.clock.now() + 100 });
  assert.equal(readerA.received, 15);
  assert.throws(() => w.a.endpoint.createStream({ id: a.id }), RangeError);
  await w.a.endpoint.close();
  await w.b.endpoint.close();
});

test("U2 a packet from elsewhere goes to the firewall, which may take it, connect, or drop the stream", async () => {
  const w = await world();
  const asked: string[] = [];
  let verdict = false;
  const stream = w.a.endpoint.createStream({
    id: 7,
    firewall: (_socket, from) => {
      asked.push(from.toString());
      return verdict;
    },
  });
  const reader = new Reader();
  stream.attach(reader);
  const send = (seq: number) => {
    w.b.socket.send(packet({ type: DATA, streamId: 7, seq, payload: bytes(5) }), w.a.socket.address);
    w.clock.run({ until: w.clock.now() + 10 });
  };
  send(0);
  assert.deepEqual([asked.length, reader.received, w.a.socket.counters.strays], [1, 0, 1]);
  verdict = true;
  send(0);
  assert.deepEqual([asked.length, reader.received], [2, 5]);
  stream.connect(w.a.socket, 9, w.b.socket.address);
  send(1);
  assert.deepEqual([asked.length, reader.received], [2, 10], "it is not asked about the remote");
  const unguarded = w.a.endpoint.createStream({ id: 8 });
  unguarded.attach(reader);
  w.b.socket.send(packet({ type: DATA, streamId: 8, payload: bytes(5) }), w.a.socket.address);
  w.clock.run({ until: w.clock.now() + 10 });
  assert.equal(reader.received, 10, "without a firewall all is dropped");
  const touchy = w.a.endpoint.createStream({
    id: 10,
    firewall: () => {
      touchy.destroy();
      return true;
    },
  });
  w.b.socket.send(packet({ type: DATA, streamId: 10, payload: bytes(5) }), w.a.socket.address);
  w.clock.run({ until: w.clock.now() + 10 });
  await w.a.endpoint.close();
  await w.b.endpoint.close();
});

test("a packet with the right id from a wrong source changes nothing, whatever its flags", async () => {
  const w = await world();
  const stranger = await w.network.host().bind({}, { onDatagram: () => assert.fail("nothing is answered") });
  const { a, readerA, readerB } = connect(w);
  a.write(bytes(100));
  w.clock.run({ until: 50 });
  const before = a.stats;
  const events = [readerA.received, readerA.ends, readerA.closes.length, readerA.messages.length];
  for (let type = 0; type < 256; type++) {
    for (const [seq, ack] of [[0, 0], [0, 1], [1, 5], [0xffffffff, 0]] as const) {
      const ranges = (type & SACK) !== 0 ? [[0, 1] as const] : [];
      const forged = packet({ type, streamId: a.id, seq, ack, ranges, window: 0, payload: bytes(3) });
      stranger.send(forged, w.a.socket.address);
    }
    w.clock.run({ until: w.clock.now() + 1 });
  }
  assert.deepEqual(a.stats, before);
  assert.deepEqual([readerA.received, readerA.ends, readerA.closes.length, readerA.messages.length], events);
  assert.equal(w.a.socket.counters.strays, 1024);
  a.write(bytes(100));
  w.clock.run({ until: w.clock.now() + 50 });
  assert.equal(readerB.received, 200);
  await w.a.endpoint.close();
  await w.b.endpoint.close();
});

test("U2 a packet that comes to another socket than the stream sends from is taken, and the firewall hears of it", async () => {
  const w = await world();
  const other = await w.a.endpoint.bind({ host: w.a.socket.address.host });
  const heard: unknown[] = [];
  const a = w.a.endpoint.createStream({
    firewall: (socket, from) => {
      heard.push([socket === other, `${from}`]);
      return false;
    },
  });
  const reader = new Reader();
  a.attach(reader);
  a.connect(w.a.socket, 77, w.b.socket.address);
  w.b.socket.send(packet({ type: DATA, streamId: a.id, payload: bytes(5) }), other.address);
  w.clock.run({ until: w.clock.now() + 10 });
  assert.equal(reader.received, 5);
  assert.deepEqual(heard, [[true, `${w.b.socket.address}`]]);
  await w.a.endpoint.close();
  await w.b.endpoint.close();
});

test("U22 what is no packet of a live stream goes to the socket's owner", async () => {
  const w = await world();
  const seen: number[] = [];
  w.a.socket.onDatagram = (datagram) => seen.push(datagram.length);
  const { a } = connect(w);
  w.b.socket.send(bytes(1), w.a.socket.address);
  w.b.socket.send(packet({ streamId: a.id ^ 1 }), w.a.socket.address);
  w.b.socket.send(packet({ streamId: a.id }), w.a.socket.address);
  w.b.socket.send(bytes(0), w.a.socket.address);
  w.clock.run({ until: 10 });
  assert.deepEqual(seen, [1, 20, 0]);
  assert(w.a.socket.canSetTtl);
  assert(!w.a.socket.send(bytes(1), SocketAddress.of("11.0.0.1", 0)));
  assert.equal(w.a.socket.counters.sendsDropped, 1);
  await w.a.endpoint.close();
  await w.b.endpoint.close();
  assert.throws(() => w.a.socket.address, TypeError);
  await assert.rejects(w.a.endpoint.bind(), TypeError);
});

test("U22 closing a socket drops the streams that use it, with a reason", async () => {
  const w = await world();
  const other = await w.a.endpoint.bind({ host: w.a.host.address });
  const { readerA } = connect(w);
  await other.close();
  assert.equal(readerA.closes.length, 0);
  await w.a.socket.close();
  assert.equal(errorCode(readerA.closes[0]), "SOCKET_CLOSED");
  assert.equal(w.a.endpoint.streamCount, 0);
  await w.a.endpoint.close();
  await w.b.endpoint.close();
});

test("U23 what the socket counted is what its streams and others sent and received on it", async () => {
  const w = await world();
  const { a, b } = connect(w);
  a.write(bytes(50_000));
  b.write(bytes(20_000));
  w.clock.run({ until: 5_000 });
  w.a.socket.send(bytes(10), w.b.socket.address);
  w.clock.run({ until: 6_000 });
  const { counters } = w.a.socket;
  assert.equal(counters.bytesSent, a.stats.bytesSent + 10);
  assert.equal(counters.datagramsSent, a.stats.packetsSent + 1);
  assert.equal(counters.bytesReceived, a.stats.bytesReceived);
  assert.equal(w.b.socket.counters.bytesReceived, counters.bytesSent);
  assert(a.stats.rtt >= 0 && a.stats.congestionWindow > 0 && a.stats.mtu >= 1200);
  await w.a.endpoint.close();
  await w.b.endpoint.close();
});

test("no more streams than agreed", async () => {
  const w = await world({}, { endpoint: { maxStreams: 3 } });
  for (let i = 0; i < 3; i++) w.a.endpoint.createStream();
  assert.throws(() => w.a.endpoint.createStream(), RangeError);
  await w.a.endpoint.close();
  await w.b.endpoint.close();
});

test("a thousand streams that open, talk and close leave nothing behind", async () => {
  const w = await world({ latencyMs: 1, loss: [1, 50] });
  const drops = [0, 0];
  for (let i = 0; i < 1000; i++) {
    const { a, b, readerA, readerB } = connect(w);
    a.write(bytes(100, i));
    b.write(bytes(200, i));
    if (i % 3 === 0) {
      w.clock.run({ until: w.clock.now() + 5 });
      (i % 2 === 0 ? a : b).destroy();
      drops[0]!++;
    } else {
      a.end();
      b.end();
      readerA.onEnded = () => drops[1]!++;
    }
    if (i % 100 === 99) {
      w.clock.run({ until: w.clock.now() + 60_000 });
      assert.deepEqual([readerA.closes.length, readerB.closes.length], [1, 1]);
      assert.deepEqual([w.a.endpoint.streamCount, w.b.endpoint.streamCount], [0, 0]);
    }
  }
  assert.deepEqual(drops, [334, 666]);
  w.clock.run({ until: w.clock.now() + 60_000 });
  await w.a.endpoint.close();
  await w.b.endpoint.close();
  assert.equal(w.clock.pending, 0);
});

test("closing an endpoint tells the peers at once", async () => {
  const w = await world();
  const { readerA, readerB } = connect(w);
  w.clock.run({ until: 10 });
  await w.a.endpoint.close();
  assert.equal(errorCode(readerA.closes[0]), "CONNECTION_CLOSED");
  w.clock.run({ until: 100 });
  assert.equal(errorCode(readerB.closes[0]), "CONNECTION_RESET");
  assert.equal(w.b.endpoint.streamCount, 0);
  await w.b.endpoint.close();
  assert.equal(w.clock.pending, 0);
  assert.equal(DATA | END | MESSAGE | DESTROY | HEARTBEAT | SACK, 63);
});
