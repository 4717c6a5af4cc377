// UDX of the reference, driven by JSON lines: {"id": 1, "op": "bind", ...} is answered by {"id": 1, ...}.
// Sockets and streams have names that the driver chooses. Waiting operations answer when what they wait for has happened.
import { createHash } from "node:crypto";
import { createInterface } from "node:readline";
import UDX from "udx-native";
import { pattern } from "./pattern.mjs";

const udx = new UDX();
const sockets = new Map();
const streams = new Map();

function watch(stream) {
  const seen = {
    received: 0,
    hash: createHash("sha256"),
    messages: [],
    ended: false,
    closed: false,
    error: null,
  };
  const waiting = new Set();
  const look = () => {
    for (const check of waiting) check();
  };
  stream.on("message", (message) => {
    seen.messages.push(message.toString("hex"));
    look();
  });
  stream.on("end", () => {
    seen.ended = true;
    look();
  });
  stream.on("error", (error) => seen.error = error.code ?? error.message);
  stream.on("close", () => {
    seen.closed = true;
    look();
  });
  seen.read = () =>
    stream.on("data", (data) => {
      seen.received += data.length;
      seen.hash.update(data);
      look();
    });
  seen.until = (condition) =>
    new Promise((resolve) => {
      const check = () => {
        if (!condition()) return;
        waiting.delete(check);
        resolve();
      };
      waiting.add(check);
      check();
    });
  return seen;
}

function report({ received, hash, messages, ended, closed, error }) {
  return {
    received,
    hash: hash.copy().digest("hex"),
    messages,
    ended,
    closed,
    error,
  };
}

async function write(stream, seed, bytes, pieceBytes) {
  for (const chunk of pattern(seed, bytes)) {
    for (let at = 0; at < chunk.length; at += pieceBytes) {
      if (stream.destroying) return;
      if (stream.write(chunk.subarray(at, at + pieceBytes))) continue;
      await new Promise((resolve) => stream.once("drain", resolve).once("close", resolve));
    }
  }
}

const operations = {
  async bind({ socket, host = "127.0.0.1" }) {
    const bound = udx.createSocket();
    bound.bind(0, host);
    sockets.set(socket, bound);
    return { port: bound.address().port };
  },
  async stream(
    { stream, localId, seq = 0, firewall = "drop", reads = true, connectBack },
  ) {
    const made = udx.createStream(localId, {
      seq,
      firewall(socket, port, host) {
        entry.firewalled.push(`${host}:${port}`);
        if (connectBack !== undefined && !made.connected) {
          made.connect(socket, connectBack, port, host);
        }
        return firewall === "drop";
      },
    });
    const seen = watch(made);
    const entry = { made, seen, firewalled: [] };
    streams.set(stream, entry);
    if (reads) seen.read();
    return {};
  },
  async connect({ stream, socket, remoteId, port, ack = 0 }) {
    streams.get(stream).made.connect(
      sockets.get(socket),
      remoteId,
      port,
      "127.0.0.1",
      { ack },
    );
    return {};
  },
  async read({ stream }) {
    streams.get(stream).seen.read();
    return {};
  },
  async write({ stream, seed, bytes, pieceBytes = 65536 }) {
    await write(streams.get(stream).made, seed, bytes, pieceBytes);
    return {};
  },
  async flush({ stream }) {
    return { flushed: await streams.get(stream).made.flush() };
  },
  async end({ stream }) {
    streams.get(stream).made.end();
    return {};
  },
  async destroy({ stream }) {
    streams.get(stream).made.destroy();
    return {};
  },
  async send({ stream, message }) {
    return {
      sent: await streams.get(stream).made.send(Buffer.from(message, "hex")),
    };
  },
  async received({ stream, bytes }) {
    const { seen } = streams.get(stream);
    await seen.until(() => seen.received >= bytes || seen.closed);
    return report(seen);
  },
  async messages({ stream, count }) {
    const { seen } = streams.get(stream);
    await seen.until(() => seen.messages.length >= count || seen.closed);
    return report(seen);
  },
  async ended({ stream }) {
    const { seen } = streams.get(stream);
    await seen.until(() => seen.ended || seen.closed);
    return report(seen);
  },
  async closed({ stream }) {
    const { seen } = streams.get(stream);
    await seen.until(() => seen.closed);
    return report(seen);
  },
  async changeRemote({ stream, socket, remoteId, port }) {
    await streams.get(stream).made.changeRemote(
      sockets.get(socket),
      remoteId,
      port,
      "127.0.0.1",
    );
    return {};
  },
  async relay({ from, to }) {
    streams.get(from).made.relayTo(streams.get(to).made);
    streams.get(to).made.relayTo(streams.get(from).made);
    return {};
  },
  async keepalive({ stream, ms }) {
    streams.get(stream).made.setKeepalive(ms);
    return {};
  },
  async stats({ stream }) {
    const { made, seen, firewalled } = streams.get(stream);
    const {
      mtu,
      rtt,
      retransmits,
      rtoCount,
      fastRecoveries,
      inflight,
      packetsTransmitted,
      packetsReceived,
    } = made;
    return {
      ...report(seen),
      mtu,
      rtt,
      retransmits,
      rtoCount,
      fastRecoveries,
      inflight,
      packetsTransmitted,
      packetsReceived,
      firewalled,
    };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, op, ...rest } = JSON.parse(line);
  operations[op](rest).then(
    (answer) => console.log(JSON.stringify({ id, ...answer })),
    (error) =>
      console.log(
        JSON.stringify({ id, failure: String(error?.stack ?? error) }),
      ),
  );
}
process.exit(0);
