// A bad path between two ports of this host: loses, delays and thereby reorders datagrams, by a seed.
//
//     left  <-->  [leftPort | proxy | rightPort]  <-->  right
import dgram from "node:dgram";
import { once } from "node:events";
import { createInterface } from "node:readline";

let state = 1;
let conditions = { loss: 0, late: 0, lateMs: 0, maxBytes: 65535 };
const counts = { forwarded: 0, lost: 0, late: 0, tooBig: 0 };
const sides = { left: { socket: undefined, port: 0 }, right: { socket: undefined, port: 0 } };

function chance(probability) {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) / 2 ** 32 < probability;
}

function forward(datagram, side) {
  if (datagram.length > conditions.maxBytes) {
    counts.tooBig++;
    return;
  }
  if (chance(conditions.loss)) {
    counts.lost++;
    return;
  }
  counts.forwarded++;
  const send = () => side.socket.send(datagram, side.port, "127.0.0.1");
  if (!chance(conditions.late)) return send();
  counts.late++;
  setTimeout(send, conditions.lateMs);
}

async function open(from, to) {
  from.socket = dgram.createSocket("udp4");
  from.socket.on("message", (datagram) => forward(datagram, to));
  from.socket.bind(0, "127.0.0.1");
  await once(from.socket, "listening");
  from.socket.setRecvBufferSize(1 << 20);
  return from.socket.address().port;
}

const operations = {
  async open({ left, right, seed = 1, ...wanted }) {
    state = seed;
    conditions = { ...conditions, ...wanted };
    sides.left.port = left;
    sides.right.port = right;
    return { leftPort: await open(sides.left, sides.right), rightPort: await open(sides.right, sides.left) };
  },
  async set(wanted) {
    conditions = { ...conditions, ...wanted };
    return {};
  },
  async counts() {
    return counts;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, op, ...rest } = JSON.parse(line);
  console.log(JSON.stringify({ id, ...(await operations[op](rest)) }));
}
process.exit(0);
