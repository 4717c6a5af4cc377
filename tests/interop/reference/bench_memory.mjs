/** What an idle encrypted connection of the reference costs: the same as `tests/bench/memory_bench.ts`. */
import process from "node:process";
import UDX from "udx-native";
import NoiseSecretStream from "@hyperswarm/secret-stream";

const PAIRS = process.argv.includes("--quick") ? 50 : 1500;
const AT_ONCE = 25;

const udx = new UDX();
const [near, far] = [udx.createSocket(), udx.createSocket()];
near.bind(0, "127.0.0.1");
far.bind(0, "127.0.0.1");
const keyPair = NoiseSecretStream.keyPair(Buffer.alloc(32, 1));
const kept = [];
let nextId = 1;

async function openPair() {
  const [a, b] = [udx.createStream(nextId++), udx.createStream(nextId++)];
  a.connect(near, b.id, far.address().port, "127.0.0.1");
  b.connect(far, a.id, near.address().port, "127.0.0.1");
  const client = new NoiseSecretStream(true, a, { keyPair });
  const server = new NoiseSecretStream(false, b, { keyPair });
  kept.push(client, server);
  server.on("data", () => server.write(Buffer.from([2])));
  client.write(Buffer.from([1]));
  await new Promise((resolve) => client.on("data", resolve));
}

async function openPairs(count) {
  for (let left = count; left > 0; left -= AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(left, AT_ONCE) }, openPair));
  }
}

async function residentBytes() {
  for (let i = 0; i < 5; i++) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return process.memoryUsage().rss;
}

await openPairs(AT_ONCE);
const before = await residentBytes();
await openPairs(PAIRS);
const after = await residentBytes();
const value = Math.max(after - before, 0) / PAIRS / 1000;
const hash = kept.length.toString(16).padStart(8, "0");
console.log(
  JSON.stringify({ case: "idle connection, both ends", unit: "kB", value: Number(value.toFixed(1)), hash }),
);
process.exit(0);
