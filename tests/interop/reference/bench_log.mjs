/**
 * Logs of the reference: the same as `tests/bench/log_bench.ts`, with hypercore 11 on RocksDB, or with hypercore 10 on files after
 * `--generation 10`. Neither ever syncs: what was appended survives the death of the process, and a power cut may take it. So
 * the cases that are "synced" are missing here.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { flagValue, Helper, placeOf, print, quick, residentBytes, serve } from "./bench_support.mjs";

const require = createRequire(import.meta.url);
const NoiseSecretStream = require("@hyperswarm/secret-stream");
const generation = flagValue("--generation") ?? "11";
const Hypercore = require(generation === "10" ? "hypercore-10" : "hypercore");
const SIZES = [[100, "100 B"], [4096, "4 KiB"], [65_536, "64 KiB"]];
const folder = mkdtempSync(join(tmpdir(), "hypha-bench-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
let opened = 0;

const countFor = (size, few, many) => quick ? 20 : size > 10_000 ? few : many;
const newPath = () => join(folder, `${opened++}`);

async function openLog(path = newPath(), key = null) {
  const log = new Hypercore(path, key, { compat: false });
  await log.ready();
  return log;
}

async function fill(log, size, count) {
  const value = Buffer.alloc(size, 5);
  const per = Math.min(count, 1000);
  for (let i = 0; i < count; i += per) {
    await log.append(Array.from({ length: Math.min(per, count - i) }, () => value));
  }
}

async function rate(name, count, work) {
  const start = performance.now();
  await work();
  print(name, "block/s", count * 1000 / (performance.now() - start), `${name} ${count}`);
}

// --- On disk

async function appends(size, label) {
  const value = Buffer.alloc(size, 5);
  const log = await openLog();
  const count = countFor(size, 500, 3000);
  await rate(`append ${label} one by one, no sync`, count, async () => {
    for (let i = 0; i < count; i++) await log.append(value);
  });
  await rate(`append ${label}, 64 at once, no sync`, count, async () => {
    for (let i = 0; i < count; i += 64) {
      await Promise.all(Array.from({ length: Math.min(64, count - i) }, () => log.append(value)));
    }
  });
  for (const per of [100, 1000]) {
    const batches = quick ? 1 : Math.max(1, Math.floor((size > 10_000 ? 2000 : 30_000) / per));
    const batch = Array.from({ length: per }, () => value);
    await rate(`append ${label} in batches of ${per}, no sync`, per * batches, async () => {
      for (let i = 0; i < batches; i++) await log.append(batch);
    });
  }
  await reads(log, size, label);
  await log.close();
}

async function reads(log, size, label) {
  const count = countFor(size, 2000, 20_000);
  const { length } = log;
  let bytes = 0;
  const get = async (i) => {
    const block = await log.get(placeOf(i, length));
    bytes += block.length;
  };
  for (let i = 0; i < length; i++) await log.get(i);
  await rate(`get ${label} at random, one at a time`, count, async () => {
    for (let i = 0; i < count; i++) await get(i);
  });
  await rate(`get ${label} at random, 64 at once`, count, async () => {
    for (let i = 0; i < count; i += 64) {
      await Promise.all(Array.from({ length: Math.min(64, count - i) }, (_, j) => get(i + j)));
    }
  });
  await rate(`read ${label} in order`, length, async () => {
    let held = 0;
    for await (const _ of log.createReadStream()) held++;
    if (held !== length) throw new Error(`${held} of ${length} blocks were read`);
  });
  if (bytes !== 2 * count * size) throw new Error("blocks are missing");
}

function folderBytes(path) {
  return readdirSync(path, { withFileTypes: true, recursive: true }).filter((item) => item.isFile())
    .reduce((sum, item) => sum + statSync(join(item.parentPath, item.name)).blocks * 512, 0);
}

async function opening() {
  for (
    const [size, label, count] of [[100, "100 B", quick ? 1000 : 100_000], [
      65_536,
      "64 KiB",
      quick ? 20 : 2000,
    ]]
  ) {
    const path = newPath();
    const log = await openLog(path);
    await fill(log, size, count);
    await log.close();
    print(`disk per block of ${label}`, "B", folderBytes(path) / count, `${count}`);
    if (size === 100) {
      const start = performance.now();
      const again = await openLog(path);
      const block = await again.get(count >> 1);
      if (again.length !== count || block.length !== 100) throw new Error("the log is not there");
      print("open a log of 100,000 blocks, first block", "ms", performance.now() - start, `${count}`);
      await again.close();
    }
    const helper = new Helper(
      import.meta.url,
      "--role",
      "memory",
      "--path",
      path,
      "--generation",
      generation,
    );
    const { bytes } = await helper.read();
    helper.end();
    print(`memory of an open log, after 1,000 gets of ${label}`, "MB", bytes / 1e6, `${count}`);
  }
}

/** A process that opens a log, reads a thousand blocks, and tells what that has taken. */
async function beMemory() {
  const before = await residentBytes();
  const log = await openLog(flagValue("--path"));
  for (let i = 0; i < 1000; i++) await log.get(placeOf(i, log.length));
  const bytes = Math.max(1, await residentBytes() - before);
  await serve({ bytes });
}

// --- Between logs

async function replicateInMemory(size, label, count) {
  const writer = await openLog();
  await fill(writer, size, count);
  const reader = await openLog(newPath(), writer.key);
  const [a, b] = [writer.replicate(true), reader.replicate(false)];
  for (const stream of [a, b]) stream.on("error", () => {});
  await rate(`replicate ${label} in memory, no sync`, count, async () => {
    a.pipe(b).pipe(a);
    await reader.update({ wait: true });
    await reader.download({ start: 0, end: count }).done();
  });
  if (reader.contiguousLength !== count) throw new Error("blocks are missing");
  a.destroy();
  b.destroy();
  await reader.close();
  await writer.close();
}

/** A UDX stream to a port of this host with a secret stream on it. */
function secretOver(udx, socket, { isInitiator, id, remoteId, port }) {
  const raw = udx.createStream(id);
  raw.connect(socket, remoteId, port, "127.0.0.1");
  const stream = new NoiseSecretStream(isInitiator, raw);
  stream.on("error", () => {});
  return stream;
}

async function bindUdx() {
  const UDX = require("udx-native");
  const udx = new UDX();
  const socket = udx.createSocket();
  socket.bind(0, "127.0.0.1");
  return { udx, socket, port: socket.address().port };
}

const THEIR_IDS = 1_000_000;

/** A process that has a log and shows it to as many connections as it is told of. */
async function beServer() {
  const [size, count] = ["--size", "--count"].map((flag) => Number(flagValue(flag)));
  const log = await openLog();
  await fill(log, size, count);
  const { udx, socket, port } = await bindUdx();
  await serve({ port, key: log.key.toString("hex") }, (line) => {
    const { port, id } = JSON.parse(line);
    log.replicate(secretOver(udx, socket, { isInitiator: false, id: id + THEIR_IDS, remoteId: id, port }));
    return {};
  });
}

async function withServer(size, count, peers, work) {
  const sizes = ["--size", String(size), "--count", String(count), "--generation", generation];
  const helper = new Helper(import.meta.url, "--role", "server", ...sizes);
  const { port, key } = await helper.read();
  const { udx, socket, port: ownPort } = await bindUdx();
  const reader = await openLog(newPath(), Buffer.from(key, "hex"));
  const streams = [];
  for (let id = 1; id <= peers; id++) {
    await helper.ask(JSON.stringify({ port: ownPort, id }));
    const stream = secretOver(udx, socket, { isInitiator: true, id, remoteId: id + THEIR_IDS, port });
    reader.replicate(stream);
    streams.push(stream);
  }
  await work(reader);
  for (const stream of streams) stream.destroy();
  await reader.close();
  await socket.close();
  helper.end();
}

const replicateBetweenProcesses = (size, label, count) =>
  withServer(
    size,
    count,
    1,
    (reader) =>
      rate(`replicate ${label} between two processes over UDX, no sync`, count, async () => {
        await reader.update({ wait: true });
        await reader.download({ start: 0, end: count }).done();
      }),
  );

const sparseReads = (peers, count, gets) =>
  withServer(100, count, peers, async (reader) => {
    await reader.update({ wait: true });
    while (reader.peers.length < peers) await new Promise((resolve) => setTimeout(resolve, 10));
    const name = `sparse gets of 100 B, 64 at once, from ${peers} ${
      peers === 1 ? "peer" : "peers"
    } over UDX, no sync`;
    await rate(name, gets, async () => {
      for (let i = 0; i < gets; i += 64) {
        const at = (j) => (i + j) * 7919 % count;
        await Promise.all(Array.from({ length: Math.min(64, gets - i) }, (_, j) => reader.get(at(j))));
      }
    });
  });

async function measure() {
  for (const [size, label] of SIZES) await appends(size, label);
  await opening();
  const small = quick ? 200 : 100_000;
  const large = quick ? 20 : 2000;
  for (const replicate of [replicateInMemory, replicateBetweenProcesses]) {
    await replicate(100, "100 B", small);
    await replicate(65_536, "64 KiB", large);
  }
  for (const peers of [1, 5]) await sparseReads(peers, small, quick ? 64 : 10_000);
}

const role = flagValue("--role");
if (role === "memory") await beMemory();
else if (role === "server") await beServer();
else await measure();
process.exit();
