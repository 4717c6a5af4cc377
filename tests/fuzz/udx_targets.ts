/** Fuzz targets of `transports/udx/`: packets, in any order and at any time, for a stream that is in use. */
import assert from "node:assert/strict";
import { ConnectError } from "../../core/runtime/errors.ts";
import { SeededRandom, VirtualClock } from "../../core/runtime/virtual.ts";
import { SocketAddress } from "../../encoding/address.ts";
import type { DatagramNetwork, DatagramReceiver, DatagramSocket } from "../../transports/datagram.ts";
import {
  DATA,
  DESTROY,
  END,
  HEADER_BYTES,
  HEARTBEAT,
  MESSAGE,
  RANGE_BYTES,
  SACK,
} from "../../transports/udx/constants.ts";
import { UdxEndpoint } from "../../transports/udx/endpoint.ts";
import { decodeOpening, encodeOpening, OpeningKind } from "../../transports/udx/opening.ts";
import {
  isPacket,
  newHeader,
  readHeader,
  readRangeEnd,
  readRangeStart,
  writeHeader,
  writeRange,
} from "../../transports/udx/packet.ts";
import type { UdxSocket } from "../../transports/udx/udx_socket.ts";
import type { UdxStream } from "../../transports/udx/udx_stream.ts";
import type { FuzzTarget } from "./target.ts";

const LOCAL = SocketAddress.of("10.0.0.1", 1000);
const REMOTE = SocketAddress.of("10.0.0.2", 2000);
/** Where the peer may move. */
const MOVED = SocketAddress.of("10.0.0.2", 2001);
const STRANGER = SocketAddress.of("10.0.0.3", 3000);
const STREAM_ID = 7;
/** Bytes that a stream may keep for its peer in these runs. */
const MAX_RECEIVE_BYTES = 64 * 1024;

/** A network with one socket, which swallows what it is given and lets the fuzzer play the rest of the world. */
class OneSocketNetwork implements DatagramNetwork {
  readonly maxDatagramBytes = 1472;
  receiver: DatagramReceiver | undefined;
  sent = 0;

  bind(_options: unknown, receiver: DatagramReceiver): Promise<DatagramSocket> {
    this.receiver = receiver;
    const close = () => Promise.resolve();
    const send = () => {
      this.sent++;
      return true;
    };
    return Promise.resolve({ address: LOCAL, canSetTtl: true, send, close, [Symbol.asyncDispose]: close });
  }
}

const clock = new VirtualClock();
const network = new OneSocketNetwork();
const endpoint = new UdxEndpoint({ clock, random: new SeededRandom("fuzz") }, network);
const socket: UdxSocket = await endpoint.bind();

/** One step of a script: a packet, a pause, or a command of this side. */
function* steps(script: Uint8Array): Generator<{ kind: number; body: Uint8Array }> {
  for (let at = 0; at + 2 <= script.length;) {
    const [kind, length] = [script[at]! & 7, script[at + 1]!];
    yield { kind, body: script.slice(at + 2, at + 2 + length) };
    at += 2 + length;
  }
}

/** Plays `script` on a fresh stream; each packet gets a correct beginning, the rest is the fuzzer's. */
function play(script: Uint8Array): string {
  const stream = endpoint.createStream({ id: STREAM_ID, maxReceiveBytes: MAX_RECEIVE_BYTES });
  try {
    return playOn(stream, script);
  } finally {
    stream.abandon(new ConnectError("ABORTED", "The next run needs a clean endpoint"));
  }
}

/** Has this side do something. */
function command(stream: UdxStream, kind: number, body: Uint8Array): void {
  if (kind === 3) stream.write(stream.alloc(body.length));
  else if (kind === 4) (body.length & 1) === 0 ? stream.pause() : stream.resume();
  else if (kind === 5) stream.end();
  else if (kind === 6) stream.send(body);
  else changeRemote(stream, (body.length & 1) === 0 ? REMOTE : MOVED);
}

function changeRemote(stream: UdxStream, address: SocketAddress): void {
  try {
    stream.changeRemote(socket, 1, address).catch(() => {});
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // it is changing already
  }
}

/** Plays `script` and returns in which order of magnitude the counters of the stream are. */
function playOn(stream: UdxStream, script: Uint8Array): string {
  let closes = 0;
  let received = 0;
  stream.connect(socket, 1, REMOTE);
  stream.attach({
    onData: (chunk) => received += chunk.length,
    onDrain() {},
    onEnd() {},
    onClose: () => closes++,
  });
  let delivered = 0;
  for (const { kind, body } of steps(script)) {
    if (kind <= 1) {
      body.set(Uint8Array.of(0xff, 1).subarray(0, body.length));
      if (body.length >= 8) new DataView(body.buffer).setUint32(4, STREAM_ID, true);
      delivered += body.length;
      network.receiver!.onDatagram(body, REMOTE);
    } else if (kind === 2) {
      clock.run({ until: clock.now() + 8 * (body[0] ?? 1), maxSteps: 100_000 });
    } else if (!stream.isClosed) {
      command(stream, kind, body);
    }
  }
  clock.run({ until: clock.now() + 1, maxSteps: 100_000 });
  assert.ok(received <= delivered, "a stream delivers no more than has come");
  const outcome = Object.values(stream.stats).map((value) =>
    typeof value === "number" ? Math.clz32(value) : value
  );
  stream.destroy();
  clock.run({ maxSteps: 1_000_000 });
  assert.equal(closes, 1, "a stream closes once");
  assert.equal(endpoint.streamCount, 0, "a stream that was dropped does not stay");
  return outcome.join();
}

/** A step that delivers a packet. */
function packet(
  type: number,
  seq: number,
  ack: number,
  rest: Uint8Array = new Uint8Array(0),
  dataOffset = 0,
): number[] {
  const bytes = new Uint8Array(HEADER_BYTES + rest.length);
  writeHeader(bytes, type, dataOffset, STREAM_ID, 1 << 20, seq, ack);
  bytes.set(rest, HEADER_BYTES);
  return [0, bytes.length, ...bytes];
}

const ranges = new Uint8Array(16);
writeRange(ranges, writeRange(ranges, 0, 2, 3), 4, 6);
const payload = new Uint8Array(30).fill(1);
const write = [3, 100, ...new Uint8Array(100)];
const pause = [2, 1, 10];

const streamSeeds = [
  [
    ...packet(DATA, 0, 0, payload),
    ...packet(DATA, 1, 0, payload),
    ...packet(DATA | END, 2, 0, payload),
    ...pause,
  ],
  [
    ...packet(DATA, 2, 0, payload),
    ...packet(DATA, 1, 0, payload),
    ...pause,
    ...packet(DATA, 0, 0, payload),
    ...pause,
  ],
  [
    ...write,
    ...write,
    ...pause,
    ...write,
    ...packet(SACK, 0, 1, ranges),
    ...pause,
    ...packet(0, 0, 3),
    ...pause,
  ],
  [...packet(MESSAGE, 0, 0, payload), ...packet(HEARTBEAT, 0, 0), ...packet(DESTROY, 0, 0), ...pause],
  [...write, ...packet(DATA | SACK, 0, 0, Uint8Array.of(...ranges, ...payload), 16), ...pause],
].map((script) => Uint8Array.from(script));

/**
 * Plays datagrams, as they are, to an endpoint with a stream in use, one that waits for its peer and takes all, and two that
 * are the ends of a relay. What a stranger sends must not change the stream in use.
 */
function playDatagrams(script: Uint8Array): void {
  const used = endpoint.createStream({ id: STREAM_ID, maxReceiveBytes: MAX_RECEIVE_BYTES });
  const early = endpoint.createStream({ id: 8, maxReceiveBytes: MAX_RECEIVE_BYTES, firewall: () => true });
  const relays = [9, 10].map((id) => endpoint.createStream({ id }));
  for (const stream of [used, ...relays]) stream.connect(socket, 1, REMOTE);
  relays[0]!.relayTo(relays[1]!);
  relays[1]!.relayTo(relays[0]!);
  used.write(used.alloc(5000));
  clock.run({ until: clock.now() + 1, maxSteps: 100_000 });
  for (const { kind, body } of steps(script)) {
    const before = JSON.stringify(used.stats);
    network.receiver!.onDatagram(body, kind === 0 ? STRANGER : REMOTE);
    if (kind === 0) assert.equal(JSON.stringify(used.stats), before, "a stranger changes nothing");
    if (kind === 1) clock.run({ until: clock.now() + 50, maxSteps: 100_000 });
  }
  early.connect(socket, 1, REMOTE);
  clock.run({ until: clock.now() + 1, maxSteps: 100_000 });
  for (const stream of [used, early, ...relays]) stream.destroy();
  clock.run({ maxSteps: 1_000_000 });
  assert.equal(endpoint.streamCount, 0, "streams that were dropped do not stay");
}

/** Takes a packet apart and puts it together again. */
function roundTrip(input: Uint8Array): void {
  if (!isPacket(input)) return;
  const header = newHeader();
  const isValid = readHeader(input, header);
  assert.equal(isValid, HEADER_BYTES + input[3]! <= input.length);
  if (!isValid) return;
  assert.ok(header.rangesEnd <= input.length && header.payloadStart <= input.length, "within the packet");
  const copy = input.slice();
  const { type, streamId, window, seq, ack } = header;
  writeHeader(copy, type, input[3]!, streamId, window, seq, ack);
  for (let at = HEADER_BYTES; at + RANGE_BYTES <= header.rangesEnd;) {
    at = writeRange(copy, at, readRangeStart(copy, at), readRangeEnd(copy, at));
  }
  assert.deepEqual(copy, input);
}

const opening = {
  kind: OpeningKind.Open,
  dialerId: 1,
  listenerId: 2,
  nonce: new Uint8Array(16),
  cookie: new Uint8Array(32),
};

/** Everything of `transports/udx/` that reads what a stranger sent. */
export const targets: readonly FuzzTarget[] = [
  { name: "UdxStream", covers: ["StreamMachine", "ReceiveQueue"], seeds: streamSeeds, run: play },
  {
    name: "UdxEndpoint",
    seeds: [7, 8, 9, 11].map((id) =>
      Uint8Array.from(packet(DATA, 0, 0, payload).map((byte, i) => i === 6 ? id : byte))
    ),
    run: playDatagrams,
  },
  { name: "readHeader", seeds: streamSeeds.map((seed) => seed.slice(2, 2 + seed[1]!)), run: roundTrip },
  { name: "decodeOpening", seeds: [encodeOpening(opening)], run: (input) => void decodeOpening(input) },
];
