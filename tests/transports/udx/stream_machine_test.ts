/** One stream, packet by packet. */
import assert from "node:assert/strict";
import { SocketAddress } from "../../../encoding/address.ts";
import {
  ACK_EVERY_PACKETS,
  DATA,
  DEFAULT_WINDOW,
  DESTROY,
  END,
  HEADER_BYTES,
  HEARTBEAT,
  MESSAGE,
  SACK,
} from "../../../transports/udx/constants.ts";
import { test } from "../../harness.ts";
import { Bench, bytes, errorCode, packet, PEER } from "./support.ts";

const PAYLOAD = 1200 - 28 - HEADER_BYTES;

test("U3 what comes before connect is taken, and acknowledged on connect", () => {
  const bench = new Bench({}, false);
  assert.deepEqual(bench.receive({ type: DATA, payload: bytes(3) }), bytes(3));
  assert.deepEqual(bench.sent(), []);
  bench.connect();
  const [ack] = bench.sent();
  assert.deepEqual([ack!.type, ack!.ack, ack!.streamId], [0, 1, 2]);
});

test("U4 each data or end packet consumes one number, and acknowledgements none", () => {
  const bench = new Bench({ firstSeq: 100 });
  bench.write(PAYLOAD * 2 + 5);
  bench.machine.end();
  const packets = bench.sent();
  assert.deepEqual(packets.map(({ seq }) => seq), [100, 101, 102]);
  assert.deepEqual(packets.map(({ type }) => type), [DATA, DATA, DATA | END]);
  assert.deepEqual(packets.map(({ payload }) => payload.length), [
    PAYLOAD,
    PAYLOAD,
    5,
  ]);
  bench.receive({ type: DATA, payload: bytes(1) });
  const [ack] = bench.sent();
  assert.deepEqual([ack!.seq, ack!.ack, ack!.length], [103, 1, HEADER_BYTES]);
});

test("U4 a turn's packets get one acknowledgement, and many packets more than one", () => {
  const bench = new Bench();
  for (let seq = 0; seq < ACK_EVERY_PACKETS - 1; seq++) {
    bench.receive({ type: DATA, seq, payload: bytes(1) });
  }
  assert(!bench.machine.isAckUrgent);
  bench.receive({ type: DATA, seq: ACK_EVERY_PACKETS - 1, payload: bytes(1) });
  assert(bench.machine.isAckUrgent);
  assert.deepEqual(bench.sent().map(({ ack }) => ack), [ACK_EVERY_PACKETS]);
  assert.deepEqual(bench.sent(), []);
});

test("U4 data that leaves in the same turn acknowledges by itself, unless it may not arrive or goes elsewhere", () => {
  const bench = new Bench({ maxMtu: 1500 });
  bench.warmUp(10);
  bench.receive({ type: DATA, ack: 1, payload: bytes(1) });
  bench.write(10);
  assert.deepEqual(bench.sent().map(({ type, ack }) => [type, ack]), [[
    DATA,
    1,
  ]]);
  bench.receive({ type: DATA, seq: 1, ack: 2, payload: bytes(1) });
  bench.write(PAYLOAD);
  const [probe, ack] = bench.sent();
  assert.deepEqual(
    [probe!.padding > 0, ack?.type, ack?.ack],
    [true, 0, 2],
    "a probe of the MTU may not arrive",
  );
});

test("U4 acknowledgements carry no data, and data carries no ranges", () => {
  const bench = new Bench();
  bench.receive({ type: DATA, seq: 2, payload: bytes(1) });
  bench.write(10);
  const [ack, data] = bench.sent();
  assert.deepEqual([ack!.type, ack!.ranges, ack!.payload.length], [SACK, [[
    2,
    3,
  ]], 0]);
  assert.deepEqual([data!.type, data!.ranges, data!.payload], [
    DATA,
    [],
    bytes(10),
  ]);
});

test("U5 ranges are acknowledged; those that make no sense are counted and ignored", () => {
  const bench = new Bench();
  bench.write(PAYLOAD * 6);
  assert.equal(bench.sent().length, 6);
  const bad = [[3, 3], [4, 3], [5, 7], [0xfffffff0, 2], [100, 200], [
    0x7fffffff,
    0x80000000,
  ]] as const;
  bench.receive({ ranges: bad });
  assert.equal(bench.machine.counters.invalid, bad.length);
  assert.equal(bench.machine.inFlight, 6);
  bench.now += 100;
  bench.receive({ ranges: [[1, 2], [4, 5]] });
  assert.equal(bench.machine.inFlight, 4);
  bench.receive({ ranges: [[4, 5], [1, 2]] });
  assert.deepEqual([bench.machine.inFlight, bench.machine.counters.invalid], [
    4,
    bad.length + 1,
  ]);
  bench.receive({ ack: 6 });
  assert.equal(bench.machine.ackedOffset, PAYLOAD * 6);
});

test("U5 a packet may carry data and ranges at once", () => {
  const bench = new Bench();
  bench.write(PAYLOAD * 3);
  bench.sent();
  assert.deepEqual(
    bench.receive({ type: DATA, ranges: [[1, 3]], payload: bytes(7) }),
    bytes(7),
  );
  assert.equal(bench.machine.inFlight, 1);
});

test("U6 an acknowledgement of what was never sent is ignored, and the data beside it is taken", () => {
  const bench = new Bench();
  bench.write(10);
  bench.sent();
  assert.deepEqual(
    bench.receive({ type: DATA, ack: 2, payload: bytes(4) }),
    bytes(4),
  );
  assert.deepEqual([bench.machine.inFlight, bench.machine.counters.invalid], [
    1,
    1,
  ]);
  bench.receive({ ack: 1 });
  bench.receive({ ack: 0 });
  assert.equal(
    bench.machine.ackedOffset,
    10,
    "an older acknowledgement is harmless",
  );
});

test("U6 the peer's window is what the newest packet says, not the latest to arrive", () => {
  const bench = new Bench();
  bench.write(PAYLOAD);
  bench.sent();
  bench.receive({ seq: 7, ack: 1, window: 0 });
  bench.receive({ seq: 6, ack: 1, window: 100_000 });
  bench.write(PAYLOAD);
  assert.deepEqual(bench.sent(), []);
  bench.receive({ seq: 7, ack: 0, window: 100_000 });
  assert.deepEqual(bench.sent(), []);
  bench.receive({ seq: 7, ack: 1, window: 100_000 });
  assert.equal(bench.sent().length, 1);
});

test("U6 windows count from the peer's first number, also when that is just below the wrap", () => {
  const bench = new Bench({ firstRemoteSeq: 0xfffffff0 });
  bench.receive({ seq: 0xfffffff0, window: 0 });
  bench.write(10);
  assert.deepEqual(bench.sent(), []);
});

test("U7 a peer that never answers is given up after exactly 13 seconds, at the seventh timeout", () => {
  const bench = new Bench();
  const start = bench.now;
  bench.write(10);
  bench.sent();
  bench.pass(12_999);
  assert.equal(bench.machine.phase, "open");
  bench.pass(1);
  assert.equal(errorCode(bench.closeError), "TIMEOUT");
  assert.deepEqual([bench.machine.counters.timeouts, bench.now - start], [
    7,
    13_000,
  ]);
});

test("U7 repeated timeouts wait twice the timeout, and a sign of life begins anew", () => {
  const bench = new Bench();
  bench.write(10);
  const start = bench.now;
  bench.sent();
  const times = bench.pass(7_500).filter(({ packet }) => packet.type === DATA)
    .map(({ at }) => at - start);
  assert.deepEqual(times, [1000, 3000, 5000, 7000]);
  bench.receive({ ack: 0 });
  bench.pass(5_600);
  assert.equal(bench.machine.phase, "open", "it was heard six seconds ago");
});

test("U7 a packet that was sent twice gives no round trip", () => {
  const bench = new Bench();
  bench.write(10);
  bench.sent();
  bench.pass(3_000);
  bench.receive({ ack: 1 });
  assert(!bench.machine.rtt.hasSample);
  bench.write(10);
  bench.sent();
  bench.now += 30;
  bench.receive({ ack: 2 });
  assert.equal(bench.machine.rtt.smoothed, 30);
});

test("U8 after two silent round trips a probe leaves: new data if there is some, else the newest packet", () => {
  const bench = new Bench();
  bench.warmUp(100);
  bench.write(PAYLOAD * 2);
  bench.sent();
  const [probe] = bench.pass(220);
  assert.deepEqual([probe!.packet.seq, probe!.packet.payload.length], [
    2,
    PAYLOAD,
  ], "the newest again");
  bench.receive({ ack: 3 });
  bench.receive({ seq: 1, ack: 3, window: PAYLOAD });
  bench.write(PAYLOAD * 2);
  assert.equal(bench.sent().length, 1);
  const [next] = bench.pass(220);
  assert.equal(next?.packet.seq, 3, "the peer's window holds back what is new");
});

test("U9 a retransmission keeps number and bytes, and refreshes window and acknowledgement", () => {
  const bench = new Bench({ maxReceiveBytes: 100_000 });
  bench.write(PAYLOAD);
  const [first] = bench.sent();
  bench.machine.handlePacket(
    bench.now,
    packet({ type: DATA, payload: bytes(9_000) }),
  );
  bench.machine.settle();
  bench.sent();
  const again = bench.pass(1_100).map(({ packet }) => packet).find(({ type }) => type === DATA)!;
  assert.deepEqual([again.seq, again.payload], [first!.seq, first!.payload]);
  assert.deepEqual([first!.ack, again.ack], [0, 1]);
  assert.deepEqual([first!.window, again.window], [100_000, 91_000]);
});

test("U9 after a change of the remote, repetitions go where the packet went first", () => {
  const bench = new Bench();
  bench.write(10);
  bench.sent();
  const address = SocketAddress.of("11.2.2.2", 2222);
  bench.machine.changeRemote(bench.now, {
    socket: bench.socket,
    address,
    remoteId: 3,
  });
  bench.write(10);
  const [fresh] = bench.sent();
  assert.deepEqual([fresh!.to, fresh!.streamId], [address, 3]);
  const again = bench.pass(1_100).map(({ packet }) => packet).find(({ seq }) => seq === 0)!;
  assert.deepEqual([again.to, again.streamId], [PEER, 2]);
});

test("U12 the window is 4 MiB by default both ways", () => {
  const bench = new Bench();
  bench.write(1);
  assert.equal(bench.sent()[0]!.window, DEFAULT_WINDOW);
  assert.equal(DEFAULT_WINDOW, 4_194_304);
});

test("U12 a closed window is asked about with heartbeats: after a timeout, then every two", () => {
  const bench = new Bench();
  bench.warmUp(100);
  bench.receive({ seq: 1, ack: 1, window: 0 });
  const timeout = bench.machine.rtt.timeout;
  bench.write(PAYLOAD);
  assert.deepEqual(bench.sent(), []);
  const start = bench.now;
  const asked = bench.pass(timeout * 6);
  assert.deepEqual(asked.map(({ packet }) => packet.type), [
    HEARTBEAT,
    HEARTBEAT,
    HEARTBEAT,
  ]);
  assert.deepEqual(
    asked.map(({ at }) => Math.round(at - start)),
    [1, 3, 5].map((n) => Math.round(n * timeout)),
  );
  bench.receive({ seq: 1, ack: 1, window: 100_000 });
  assert.equal(bench.sent()[0]!.type, DATA);
  assert.equal(bench.machine.phase, "open");
});

test("U12 a small window is obeyed to the byte, also when it is smaller than a packet", () => {
  const bench = new Bench();
  bench.write(1);
  bench.sent();
  bench.receive({ seq: 1, ack: 1, window: 3 * PAYLOAD + 100 });
  bench.write(PAYLOAD * 10);
  assert.equal(
    bench.sent().length,
    3,
    "a remainder waits while anything is out",
  );
  bench.receive({ seq: 1, ack: 4, window: 100 });
  assert.deepEqual(bench.sent().map(({ payload }) => payload.length), [100]);
});

test("U12 a reader that catches up announces the room, and does not swallow an acknowledgement that is owed", () => {
  const bench = new Bench({ maxReceiveBytes: 40_000 });
  for (let seq = 0; seq < 39; seq++) {
    bench.machine.handlePacket(
      bench.now,
      packet({ type: DATA, seq, payload: bytes(1000) }),
    );
    bench.machine.settle();
  }
  assert.equal(bench.sent().at(-1)!.window, 0);
  assert.equal(bench.read().length, 39_000);
  const [announcement] = bench.sent();
  assert.deepEqual([announcement!.type, announcement!.window], [0, 40_000]);
});

test("U14 probes are ordinary data with zeros in front, up to 1500 bytes with IP and UDP headers", () => {
  const bench = new Bench({ maxMtu: 1500 });
  bench.warmUp(10);
  const sizes: number[] = [];
  for (let i = 0; i < 40; i++) {
    bench.write(1472);
    for (const data of bench.sent()) {
      if (data.padding > 0) sizes.push(data.length + 28);
      bench.now += 1;
      bench.receive({ ack: data.seq + 1 });
    }
  }
  assert.deepEqual(sizes, [1448, 1500]);
  assert.equal(bench.machine.mtu, 1500);
});

test("U15 a heartbeat follows a time of silence when all is acknowledged, and the peer's is answered", () => {
  const bench = new Bench({ keepAliveMs: 5_000 });
  bench.warmUp(10);
  const start = bench.now;
  const beats = bench.pass(16_000);
  assert.deepEqual(
    beats.map(({ at, packet }) => [at - start, packet.type]),
    [5, 10, 15].map((s) => [s * 1000, HEARTBEAT]),
  );
  bench.receive({ type: HEARTBEAT, ack: 1 });
  assert.deepEqual(bench.sent().map(({ type, ack }) => [type, ack]), [[0, 0]]);
  assert.deepEqual(bench.pass(4_999), []);
});

test("U16 both directions end on their own, and when both have ended the stream lingers and then is gone", () => {
  const bench = new Bench();
  bench.write(5);
  bench.machine.end();
  assert.equal(bench.sent()[0]!.type, DATA | END);
  bench.receive({ ack: 1 });
  assert.deepEqual([bench.machine.phase, bench.machine.isEnding], [
    "open",
    true,
  ]);
  assert.deepEqual(
    bench.receive({ type: DATA, ack: 1, payload: bytes(3) }),
    bytes(3),
  );
  bench.receive({ type: END, seq: 1, ack: 1 });
  assert.deepEqual([bench.machine.phase, bench.closeError], [
    "lingering",
    undefined,
  ]);
  assert.deepEqual(
    bench.sent().map(({ type, ack }) => [type, ack]),
    [[0, 2]],
    "the last acknowledgement",
  );
  bench.now += 1000;
  bench.receive({ type: END, seq: 1, ack: 1 });
  bench.receive({ ack: 1 });
  assert.deepEqual(
    bench.sent().map(({ ack }) => ack),
    [2],
    "it was lost: once more",
  );
  bench.receive({ type: MESSAGE, ack: 1 });
  assert.deepEqual(bench.sent(), []);
  bench.pass(13_000);
  assert.equal(bench.machine.phase, "gone");
  assert.deepEqual(bench.eventTypes.filter((type) => type !== "acked"), [
    "close",
    "gone",
  ]);
});

test("U16 a peer that forgot a finished stream at once, so that its last acknowledgement is missing, is no error", () => {
  const bench = new Bench();
  bench.receive({ type: END });
  bench.machine.end();
  bench.sent();
  bench.pass(14_000);
  assert.equal(bench.closeError, undefined);
});

test("U16 an end that was sent with the last bytes and is never acknowledged is an error: they may be lost", () => {
  const bench = new Bench();
  bench.receive({ type: END });
  bench.write(5);
  bench.machine.end();
  bench.sent();
  bench.pass(14_000);
  assert.equal(errorCode(bench.closeError), "TIMEOUT");
});

test("U17 a dropped stream says so once, and again to each packet that still comes, but not forever", () => {
  const bench = new Bench();
  bench.write(10);
  bench.sent();
  bench.machine.destroy(bench.now, new Error("enough"));
  const [destroy] = bench.sent();
  assert.deepEqual([destroy!.type, destroy!.seq], [DESTROY, 1]);
  assert.equal(bench.closeError?.message, "enough");
  let answers = 0;
  for (let i = 0; i < 100; i++) {
    bench.receive({ type: DATA, seq: i, payload: bytes(1) });
    answers += bench.sent().length;
  }
  assert.equal(answers, 15);
  bench.pass(13_000);
  assert.equal(bench.machine.phase, "gone");
  assert.equal(bench.machine.nextTimeout(), Infinity);
});

test("U17 a DESTROY is believed if its number is not older than what was taken", () => {
  const bench = new Bench();
  bench.receive({ type: DATA, payload: bytes(1) });
  bench.receive({ type: DESTROY, seq: 0 });
  assert.equal(bench.machine.phase, "open");
  bench.receive({ type: DESTROY, seq: 1 });
  assert.deepEqual([bench.machine.phase, errorCode(bench.closeError)], [
    "gone",
    "CONNECTION_RESET",
  ]);
  assert.deepEqual(bench.sent(), [], "it is not answered");
  const unconnected = new Bench({}, false);
  unconnected.machine.destroy(0);
  assert.deepEqual([unconnected.machine.phase, unconnected.sent()], [
    "gone",
    [],
  ]);
});

test("U18 unordered messages need no number, may be empty, and must fit a packet", () => {
  const bench = new Bench();
  assert.equal(bench.machine.maxMessageBytes, PAYLOAD);
  assert(bench.machine.sendMessage(bytes(0)));
  assert(bench.machine.sendMessage(bytes(PAYLOAD)));
  assert(!bench.machine.sendMessage(bytes(PAYLOAD + 1)));
  const packets = bench.sent();
  assert.deepEqual(
    packets.map(({ type, seq, payload }) => [type, seq, payload.length]),
    [
      [MESSAGE, 0, 0],
      [MESSAGE, 0, PAYLOAD],
    ],
  );
  for (let i = 0; i < 300; i++) bench.machine.sendMessage(bytes(1));
  assert.equal(bench.sent().length, 256);
  assert.equal(bench.machine.counters.messagesDropped, 1 + 44);
});

test("U18 a message is delivered before earlier data, and its header counts", () => {
  const bench = new Bench();
  bench.write(10);
  bench.sent();
  bench.receive({ type: MESSAGE, seq: 5, ack: 1, payload: bytes(4) });
  assert(bench.eventTypes.includes("message"));
  const message = bench.events.find((event) => event.type === "message");
  assert(message?.type === "message");
  assert.deepEqual(message.message, bytes(4));
  assert.equal(bench.machine.ackedOffset, 10);
});

test("U19 the change is reported when all that went before is acknowledged, or at once if nothing is out", () => {
  const bench = new Bench();
  const address = SocketAddress.of("11.2.2.2", 2222);
  const path = { socket: bench.socket, address, remoteId: 3 };
  bench.machine.changeRemote(bench.now, path);
  assert.deepEqual(bench.eventTypes, ["remoteChanged"]);
  bench.write(10);
  bench.sent();
  bench.machine.changeRemote(bench.now, { ...path, remoteId: 4 });
  bench.write(10);
  bench.sent();
  bench.receive({ ack: 0 });
  assert.equal(bench.eventTypes.length, 1);
  bench.receive({ ack: 1 });
  bench.receive({ ack: 2 });
  assert.equal(
    bench.eventTypes.filter((type) => type === "remoteChanged").length,
    2,
  );
});

test("U19 packets are taken from the old address until the peer has moved as well, and no longer than they keep coming", () => {
  const bench = new Bench();
  const next = SocketAddress.of("11.2.2.2", 2222);
  assert(!bench.machine.accepts(bench.now, next));
  bench.machine.expectAddress(next);
  assert(bench.machine.accepts(bench.now, next), "it was announced");
  bench.machine.changeRemote(bench.now, {
    socket: bench.socket,
    address: next,
    remoteId: 3,
  });
  bench.now += 3_600_000;
  assert(
    bench.machine.accepts(bench.now, PEER),
    "the peer has not been heard from the new address",
  );
  assert(bench.machine.accepts(bench.now, next));
  bench.now += 12_000;
  assert(bench.machine.accepts(bench.now, PEER));
  bench.now += 12_000;
  assert(bench.machine.accepts(bench.now, PEER));
  bench.now += 13_001;
  assert(!bench.machine.accepts(bench.now, PEER));
  assert(!bench.machine.accepts(bench.now, SocketAddress.of("11.2.2.2", 2223)));
});

test("U23 counters count UDX bytes and packets, both ways", () => {
  const bench = new Bench();
  bench.write(100);
  bench.sent();
  bench.receive({ type: DATA, payload: bytes(50) });
  bench.sent();
  const { bytesSent, packetsSent, bytesReceived, packetsReceived } = bench.machine.counters;
  assert.deepEqual([bytesSent, packetsSent], [
    HEADER_BYTES + 100 + HEADER_BYTES,
    2,
  ]);
  assert.deepEqual([bytesReceived, packetsReceived], [HEADER_BYTES + 50, 1]);
});

test("a peer that acknowledges everything out of order, and then in order, leaves no timer behind", () => {
  const bench = new Bench();
  bench.write(PAYLOAD * 2);
  bench.sent();
  bench.receive({ ranges: [[0, 2]] });
  bench.receive({ ack: 2 });
  assert.equal(bench.machine.nextTimeout(), Infinity);
  bench.pass(60_000);
  assert.equal(bench.machine.phase, "open");
});

test("a data offset behind the end is counted, and nothing of the packet is believed", () => {
  const bench = new Bench();
  bench.write(1);
  bench.sent();
  const bad = packet({ type: DATA | DESTROY, ack: 1, payload: bytes(5) });
  bad[3] = 6;
  bench.machine.handlePacket(bench.now, bad);
  assert.deepEqual([
    bench.machine.phase,
    bench.machine.counters.invalid,
    bench.machine.inFlight,
  ], [
    "open",
    1,
    1,
  ]);
  assert.deepEqual(bench.sent(), []);
});

test("a replayed packet delivers nothing twice", () => {
  const bench = new Bench();
  const recorded = [
    packet({ type: DATA, seq: 0, payload: bytes(5, 1) }),
    packet({ type: DATA, seq: 1, payload: bytes(5, 2) }),
    packet({ type: DATA | END, seq: 2, payload: bytes(5, 3) }),
  ];
  let received = 0;
  for (let round = 0; round < 3; round++) {
    for (const datagram of recorded) {
      bench.machine.handlePacket(bench.now, datagram);
      received += bench.read().length;
    }
  }
  assert.equal(received, 15);
});
