/** What the benchmarks of the network share: the work of `tests/bench/support.ts`, with the reference. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import DHT from "hyperdht";
import createTestnet from "hyperdht/testnet.js";

export const quick = process.argv.includes("--quick");
export const HOST = "127.0.0.1";

export function flagValue(flag) {
  const index = process.argv.indexOf(flag);
  return index === -1 ? undefined : process.argv[index + 1] ?? "";
}

/** FNV-1a. */
function hashOf(text) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}

export function print(name, unit, value, work) {
  console.log(JSON.stringify({ case: name, unit, value: Number(value.toPrecision(4)), hash: hashOf(work) }));
}

export function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share / 100))];
}

export function printTimes(name, values, work) {
  print(`${name}, p50`, "ms", percentile(values, 50), work);
  print(`${name}, p99`, "ms", percentile(values, 99), work);
}

export async function timeEach(count, parallel, work) {
  const times = [];
  let next = 0;
  const worker = async () => {
    while (next < count) {
      const index = next++;
      const start = performance.now();
      await work(index);
      times.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  return times;
}

export async function within(ms, work) {
  let timer;
  const late = new Promise((resolve) => timer = setTimeout(() => resolve(false), ms));
  const isInTime = await Promise.race([work.then(() => true, () => false), late]);
  clearTimeout(timer);
  return isInTime;
}

export function cpuSince(start) {
  const { user, system } = process.cpuUsage(start);
  return user + system;
}

export function bytesOf(label, n) {
  const bytes = new Uint8Array(32).map((_, i) =>
    Math.imul(Math.imul(n + 1, label) + i, 0x9e3779b1 + 2 * i) >>> 13
  );
  return Buffer.from(bytes);
}

/** Resident bytes, after as much as possible was given back. */
export async function residentBytes() {
  for (let i = 0; i < 3; i++) {
    globalThis.gc({ type: "major", execution: "sync", flavor: "last-resort" });
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return process.memoryUsage().rss;
}

export async function openDht(port, options = {}, isReady = true) {
  const dht = new DHT({ bootstrap: [{ host: HOST, port }], host: HOST, port: 0, ...options });
  if (isReady) await dht.fullyBootstrapped();
  return dht;
}

export async function openNetwork(count) {
  const testnet = await createTestnet(count);
  return { port: testnet.bootstrap[0].port, nodes: testnet.nodes };
}

/** Another process that runs the same benchmark in another role. */
export class Helper {
  constructor(url, ...args) {
    const all = ["--expose-gc", fileURLToPath(url), ...args, ...(quick ? ["--quick"] : [])];
    this.process = spawn(process.execPath, all, { stdio: ["pipe", "pipe", "inherit"] });
    this.lines = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
  }

  async read() {
    const { value, done } = await this.lines.next();
    if (done) throw new Error("A helper of the benchmark has ended too early");
    return JSON.parse(value);
  }

  ask(line) {
    this.process.stdin.write(`${line}\n`);
    return this.read();
  }

  end() {
    this.process.stdin.end();
  }
}

/** The other end of a `Helper`. */
export async function serve(hello, answer = () => null) {
  console.log(JSON.stringify(hello));
  for await (const line of createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await answer(line)));
  }
  process.exit(0);
}

/** As `placeOf` in `tests/bench/support.ts`. */
export function placeOf(n, length) {
  let x = Math.imul(n + 1, 0x9e3779b1);
  x = Math.imul(x ^ x >>> 16, 0x85ebca6b);
  x = Math.imul(x ^ x >>> 13, 0xc2b2ae35);
  return ((x ^ x >>> 16) >>> 0) % length;
}
