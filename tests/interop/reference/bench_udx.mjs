// The reference at the work of ../../bench/udx_bench.ts: `node bench_udx.mjs [--quick]`.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import UDX from "udx-native";

const IS_CHILD = process.argv.includes("--child");
const QUICK = process.argv.includes("--quick");
const CHUNK_BYTES = 65536;
const CHILD_ID_OFFSET = 1_000_000;

const udx = new UDX();
const socket = udx.createSocket();
socket.bind(0, "127.0.0.1");

function connect(port, first, count) {
  const [mine, theirs] = IS_CHILD ? [CHILD_ID_OFFSET, 0] : [0, CHILD_ID_OFFSET];
  return Array.from({ length: count }, (_, index) => {
    const stream = udx.createStream(first + index + mine);
    stream.on("error", () => {});
    stream.connect(socket, first + index + theirs, port, "127.0.0.1");
    return stream;
  });
}

function cpuSeconds() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

async function runChild() {
  const answer = (value) => console.log(JSON.stringify(value));
  answer({ port: socket.address().port });
  for await (const line of createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    let received = 0;
    for (const stream of connect(order.port, order.first, order.count)) {
      stream.on("data", (data) => {
        if (order.behaviour === "echo") stream.write(data);
        received += data.length;
        if (order.bytes !== null && received >= order.bytes) {
          order.bytes = null;
          answer({ cpu: cpuSeconds() });
        }
      });
    }
    answer({ cpu: cpuSeconds() });
  }
  process.exit(0);
}

const child = IS_CHILD ? undefined : spawn(process.execPath, [process.argv[1], "--child"], {
  stdio: ["pipe", "pipe", "inherit"],
});
const lines = child &&
  createInterface({ input: child.stdout })[Symbol.asyncIterator]();
let childPort = 0;
let nextId = 1;

async function nextAnswer() {
  return JSON.parse((await lines.next()).value);
}

async function open(count, bytes, behaviour) {
  const first = nextId;
  nextId += count;
  child.stdin.write(
    `${
      JSON.stringify({
        port: socket.address().port,
        first,
        count,
        bytes,
        behaviour,
      })
    }\n`,
  );
  const { cpu } = await nextAnswer();
  return { streams: connect(childPort, first, count), cpu };
}

function pump(stream, bytes, pieceBytes) {
  const piece = Buffer.alloc(pieceBytes, 7);
  const more = () => {
    while (bytes > 0) {
      bytes -= pieceBytes;
      if (!stream.write(piece)) return;
    }
  };
  stream.on("drain", more);
  more();
}

async function bulk(count, bytes, pieceBytes) {
  const { streams, cpu } = await open(count, bytes, "swallow");
  const start = { time: performance.now(), cpu: cpuSeconds() };
  for (const stream of streams) {
    stream.resume();
    pump(stream, bytes / count, pieceBytes);
  }
  const done = await nextAnswer();
  const time = (performance.now() - start.time) / 1000;
  const used = cpuSeconds() - start.cpu + done.cpu - cpu;
  for (const stream of streams) stream.destroy();
  return { time, cpu: used };
}

async function pingPong(count) {
  const { streams: [stream] } = await open(1, null, "echo");
  const times = [];
  await new Promise((resolve) => {
    let start = 0;
    const send = () => {
      start = performance.now();
      stream.write(Buffer.of(1));
    };
    stream.on("data", () => {
      times.push((performance.now() - start) * 1000);
      if (times.length === count) resolve();
      else send();
    });
    send();
  });
  stream.destroy();
  return times.sort((a, b) => a - b);
}

async function memory(count) {
  const before = process.memoryUsage().rss;
  const { streams } = await open(count, null, "echo");
  await new Promise((resolve) => {
    let left = count;
    for (const stream of streams) {
      stream.on("data", () => {
        if (--left === 0) resolve();
      });
      stream.write(Buffer.of(1));
    }
  });
  await new Promise((resolve) => setTimeout(resolve, 200));
  const used = (process.memoryUsage().rss - before) / count;
  for (const stream of streams) stream.destroy();
  return Math.max(used, 0);
}

function print(name, unit, value, work) {
  console.log(
    JSON.stringify({
      case: name,
      unit,
      value: Number(value.toPrecision(4)),
      hash: work.toString(16),
    }),
  );
}

async function measure() {
  childPort = (await nextAnswer()).port;
  const bytes = CHUNK_BYTES * 16 * (QUICK ? 4 : 256);
  await bulk(1, bytes / 4, CHUNK_BYTES);
  for (const count of [1, 16]) {
    const { time, cpu } = await bulk(count, bytes, CHUNK_BYTES);
    print(`bulk over ${count}`, "MB/s", bytes / 1e6 / time, bytes);
    print(
      `bulk over ${count}: CPU of both sides`,
      "s/GB",
      cpu / (bytes / 1e9),
      bytes,
    );
  }
  const messages = QUICK ? 10_000 : 400_000;
  const { time } = await bulk(1, messages * 100, 100);
  print("writes of 100 bytes", "writes/s", messages / time, messages);
  const times = await pingPong(QUICK ? 100 : 20_000);
  print("ping-pong, median", "us", times[times.length >> 1], times.length);
  print(
    "ping-pong, 99th percentile",
    "us",
    times[Math.floor(times.length * 0.99)],
    times.length,
  );
  const streams = QUICK ? 200 : 2_000;
  print("memory of an idle stream", "B", await memory(streams), streams);
  child.stdin.end();
  process.exit(0);
}

if (IS_CHILD) await runChild();
else await measure();
