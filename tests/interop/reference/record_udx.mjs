// Records packets of the reference: `node record_udx.mjs > ../../vectors/udx.json`. A plain socket plays the peer and
// answers with packets made by hand, so that each kind is seen; ports and times are not part of what is recorded.
import dgram from "node:dgram";
import { once } from "node:events";
import { createRequire } from "node:module";
import UDX from "udx-native";

const require = createRequire(import.meta.url);
const [DATA, END, MESSAGE] = [1, 2, 8];
const LOCAL_ID = 0x01020304;
const REMOTE_ID = 0xa1b2c3d4;
const SEQ = 0xfffffffe;

const peer = dgram.createSocket("udp4");
peer.bind(0, "127.0.0.1");
await once(peer, "listening");
const seen = [];
let wake = () => {};
peer.on("message", (message) => {
  seen.push(message);
  wake();
});

/** The next packet that `wanted` accepts; others are skipped. */
async function next(wanted) {
  while (true) {
    while (seen.length > 0) {
      const packet = seen.shift();
      if (wanted(packet)) return packet;
    }
    await new Promise((resolve) => wake = resolve);
  }
}

const udx = new UDX();
const socket = udx.createSocket();
socket.bind(0, "127.0.0.1");
const stream = udx.createStream(LOCAL_ID, { seq: SEQ });
stream.on("error", () => {}).on("data", () => {});
stream.connect(socket, REMOTE_ID, peer.address().port, "127.0.0.1");

function answer(type, seq, ack, payload = Buffer.alloc(0), window = 4194304) {
  const packet = Buffer.alloc(20 + payload.length);
  packet.set([0xff, 1, type, 0]);
  packet.writeUInt32LE(LOCAL_ID, 4);
  packet.writeUInt32LE(window, 8);
  packet.writeUInt32LE(seq, 12);
  packet.writeUInt32LE(ack >>> 0, 16);
  payload.copy(packet, 20);
  peer.send(packet, socket.address().port, "127.0.0.1");
}

const packets = [];
function record(name, packet) {
  const type = packet[2];
  const dataOffset = packet[3];
  const ranges = [];
  if (type & 4) {
    for (let at = 20; at < packet.length; at += 8) {
      ranges.push([packet.readUInt32LE(at), packet.readUInt32LE(at + 4)]);
    }
  }
  packets.push({
    name,
    packet: packet.toString("hex"),
    type,
    dataOffset,
    streamId: packet.readUInt32LE(4),
    window: packet.readUInt32LE(8),
    seq: packet.readUInt32LE(12),
    ack: packet.readUInt32LE(16),
    ranges,
    payload: type & 4 ? "" : packet.subarray(20 + dataOffset).toString("hex"),
  });
}

const is = (type) => (packet) => packet[2] === type;
stream.write(Buffer.from("hello"));
record("data", await next(is(DATA)));
let acked = SEQ + 1;
answer(0, 0, acked);
// Probes come a little later: everything is acknowledged until one is seen.
let probe;
for (let i = 0; probe === undefined; i++) {
  stream.write(Buffer.alloc(1452, i));
  for (let bytes = 0; bytes < 1452;) {
    const packet = await next(is(DATA));
    if (packet[3] > 0) probe ??= packet;
    bytes += packet.length - 20 - packet[3];
    answer(0, 0, ++acked);
  }
}
record("data that probes the MTU", probe);
answer(DATA, 0, acked, Buffer.from("a"));
record("acknowledgement", await next(is(0)));
answer(DATA, 2, acked, Buffer.from("c"));
record("acknowledgement with one range", await next(is(4)));
answer(DATA, 3, acked, Buffer.from("d"));
answer(DATA, 6, acked, Buffer.from("g"));
record(
  "acknowledgement with two ranges",
  await next((packet) => packet[2] === 4 && packet.length === 36),
);
stream.trySend(Buffer.from("beside"));
record("unordered message", await next(is(MESSAGE)));
stream.setKeepalive(50);
record("heartbeat", await next(is(32)));
stream.setKeepalive(0);
stream.end(Buffer.from("bye"));
const end = await next((packet) => (packet[2] & END) !== 0);
record("data and end", end);
const other = udx.createStream(LOCAL_ID + 1);
other.connect(socket, REMOTE_ID, peer.address().port, "127.0.0.1");
other.end();
record("end without data", await next((packet) => packet[2] === END));
const third = udx.createStream(LOCAL_ID + 2);
third.connect(socket, REMOTE_ID, peer.address().port, "127.0.0.1");
third.destroy();
record("destroy", await next(is(16)));

const versions = { "udx-native": require("udx-native/package.json").version };
console.log(JSON.stringify({ versions, packets }, null, 1));
process.exit(0);
