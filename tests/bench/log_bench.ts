/**
 * Logs in a SQLite store. "no sync" is what the reference promises: what was appended survives the death of the process, and a
 * power cut may take it. "synced" survives that too; the reference cannot. `interop/reference/bench_log.mjs` does the same with
 * hypercore 11, and with hypercore 10 after `--generation 10`.
 *
 *     deno run -A tests/bench/log_bench.ts [--quick]
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { Hypercore } from "../../core/hypercore.ts";
import { type Durability, openSqliteStore } from "../../core/storage/mod.ts";
import { type Connection, openConnection } from "../../core/stream/connection.ts";
import type { Duplex } from "../../core/stream/duplex.ts";
import { duplexPair } from "../../core/stream/duplex_pair.ts";
import { SocketAddress } from "../../encoding/address.ts";
import { fromHex, toHex } from "../../encoding/text.ts";
import { udpNetwork } from "../../transports/udp/mod.ts";
import { UdxEndpoint } from "../../transports/udx/mod.ts";
import { flagValue, Helper, HOST, placeOf, print, quick, residentBytes, runtime, serve } from "./support.ts";

const SIZES = [[100, "100 B"], [4096, "4 KiB"], [65_536, "64 KiB"]] as const;
const folder = mkdtempSync(join(tmpdir(), "hypha-bench-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
let opened = 0;

const countFor = (size: number, few: number, many: number) => quick ? 20 : size > 10_000 ? few : many;
const newPath = () => join(folder, `${opened++}.sqlite`);

/** A log, and what closes it and its store. */
interface Opened {
  readonly log: Hypercore;
  close(): Promise<void>;
}

async function openLog(
  path = newPath(),
  key?: Uint8Array,
  durability: Durability = "normal",
): Promise<Opened> {
  const store = await openSqliteStore(path, { durability });
  const log = await Hypercore.open(store, { key, runtime });
  return {
    log,
    async close() {
      await log.close();
      await store.close();
    },
  };
}

async function fill(log: Hypercore, size: number, count: number): Promise<void> {
  const value = new Uint8Array(size).fill(5);
  const per = Math.min(count, 1000);
  for (let i = 0; i < count; i += per) {
    await log.append(Array.from({ length: Math.min(per, count - i) }, () => value));
  }
}

async function rate(name: string, count: number, work: () => Promise<void>): Promise<void> {
  const start = performance.now();
  await work();
  print(name, "block/s", count * 1000 / (performance.now() - start), `${name} ${count}`);
}

/** Calls `work` `count` times, 64 of them in one go. */
async function by64(count: number, work: (index: number) => Promise<unknown>): Promise<void> {
  for (let i = 0; i < count; i += 64) {
    await Promise.all(Array.from({ length: Math.min(64, count - i) }, (_, j) => work(i + j)));
  }
}

// --- On disk

async function singles(log: Hypercore, size: number, label: string, promise: string): Promise<void> {
  const value = new Uint8Array(size).fill(5);
  const count = countFor(size, 500, 3000);
  await rate(`append ${label} one by one, ${promise}`, count, async () => {
    for (let i = 0; i < count; i++) await log.append(value);
  });
  await rate(`append ${label}, 64 at once, ${promise}`, count, () => by64(count, () => log.append(value)));
}

async function appends(size: number, label: string): Promise<void> {
  const { log, close } = await openLog();
  await singles(log, size, label, "no sync");
  for (const per of [100, 1000]) {
    const batches = quick ? 1 : Math.max(1, Math.floor((size > 10_000 ? 2000 : 30_000) / per));
    const batch = Array.from({ length: per }, () => new Uint8Array(size).fill(5));
    await rate(`append ${label} in batches of ${per}, no sync`, per * batches, async () => {
      for (let i = 0; i < batches; i++) await log.append(batch);
    });
  }
  await reads(log, size, label);
  await close();
}

async function reads(log: Hypercore, size: number, label: string): Promise<void> {
  const count = countFor(size, 2000, 20_000);
  const { length } = log;
  let bytes = 0;
  const get = async (i: number) => {
    const block = await log.get(placeOf(i, length));
    bytes += block!.length;
  };
  for (let i = 0; i < length; i++) await log.get(i);
  await rate(`get ${label} at random, one at a time`, count, async () => {
    for (let i = 0; i < count; i++) await get(i);
  });
  await rate(`get ${label} at random, 64 at once`, count, () => by64(count, get));
  await rate(`read ${label} in order`, length, async () => {
    let held = 0;
    for await (const _ of log.createReadStream()) held++;
    if (held !== length) throw new Error(`${held} of ${length} blocks were read`);
  });
  if (bytes !== 2 * count * size) throw new Error("blocks are missing");
}

async function durable(): Promise<void> {
  const { log, close } = await openLog(newPath(), undefined, "full");
  await singles(log, 100, "100 B", "synced");
  await close();
}

/** What the files of a store take on the disk. */
function storeBytes(path: string): number {
  return readdirSync(folder).map((name) => join(folder, name)).filter((file) => file.startsWith(path))
    .reduce((sum, file) => sum + statSync(file).blocks * 512, 0);
}

async function opening(): Promise<void> {
  for (const [size, label] of [[100, "100 B"], [65_536, "64 KiB"]] as const) {
    const count = size === 100 ? quick ? 1000 : 100_000 : quick ? 20 : 2000;
    const path = newPath();
    const { log, close } = await openLog(path);
    await fill(log, size, count);
    await close();
    print(`disk per block of ${label}`, "B", storeBytes(path) / count, `${count}`);
    const { key } = log;
    if (size === 100) {
      const start = performance.now();
      const again = await openLog(path, key);
      const block = await again.log.get(count >> 1);
      if (again.log.length !== count || block?.length !== 100) throw new Error("the log is not there");
      print("open a log of 100,000 blocks, first block", "ms", performance.now() - start, `${count}`);
      await again.close();
    }
    const helper = new Helper(import.meta.url, "--role", "memory", "--path", path, "--key", toHex(key));
    const { bytes } = await helper.read<{ bytes: number }>();
    helper.end();
    print(`memory of an open log, after 1,000 gets of ${label}`, "MB", bytes / 1e6, `${count}`);
  }
}

/** A process that opens a log, reads a thousand blocks, and tells what that has taken. */
async function beMemory(): Promise<never> {
  await import("node:sqlite"); // the reference has loaded its database by now
  const before = await residentBytes();
  const { log } = await openLog(flagValue("--path"), fromHex(flagValue("--key")!));
  for (let i = 0; i < 1000; i++) await log.get(placeOf(i, log.length));
  const bytes = Math.max(1, await residentBytes() - before);
  return await serve({ bytes });
}

// --- Between logs

function secretOver(duplex: Duplex, isInitiator: boolean): Promise<Connection> {
  const keyPair = runtime.crypto.keyPair(runtime.random.fill(new Uint8Array(32)));
  return openConnection(duplex, runtime, { isInitiator, keyPair });
}

async function fetchAll(reader: Hypercore, count: number): Promise<void> {
  await reader.update();
  await reader.download({ start: 0, end: count }).done();
  if (reader.contiguousLength !== count) throw new Error("blocks are missing");
}

async function replicateInMemory(size: number, label: string, count: number): Promise<void> {
  const writer = await openLog();
  await fill(writer.log, size, count);
  const reader = await openLog(newPath(), writer.log.key);
  const [near, far] = duplexPair();
  await rate(`replicate ${label} in memory, no sync`, count, async () => {
    const [a, b] = await Promise.all([secretOver(near, true), secretOver(far, false)]);
    writer.log.replicate(a);
    reader.log.replicate(b);
    await fetchAll(reader.log, count);
    a.abort();
    b.abort();
  });
  await reader.close();
  await writer.close();
}

const THEIR_IDS = 1_000_000;

async function bindUdx() {
  const endpoint = new UdxEndpoint(runtime, udpNetwork());
  const socket = await endpoint.bind({ host: HOST });
  return {
    port: socket.address.port,
    dial(id: number, remoteId: number, port: number, isInitiator: boolean): Promise<Connection> {
      const stream = endpoint.createStream({ id });
      stream.connect(socket, remoteId, SocketAddress.of(HOST, port));
      return secretOver(stream, isInitiator);
    },
    close: () => endpoint.close(),
  };
}

/** A process that has a log and shows it to as many connections as it is told of. */
async function beServer(): Promise<never> {
  const [size, count] = ["--size", "--count"].map((flag) => Number(flagValue(flag))) as [number, number];
  const { log } = await openLog();
  await fill(log, size, count);
  const udx = await bindUdx();
  return await serve({ port: udx.port, key: toHex(log.key) }, (line) => {
    const { port, id } = JSON.parse(line);
    void udx.dial(id + THEIR_IDS, id, port, false).then((connection) => log.replicate(connection));
    return {};
  });
}

async function withServer(
  size: number,
  count: number,
  peers: number,
  work: (reader: Hypercore) => Promise<void>,
): Promise<void> {
  const sizes = ["--size", String(size), "--count", String(count)];
  const helper = new Helper(import.meta.url, "--role", "server", ...sizes);
  const { port, key } = await helper.read<{ port: number; key: string }>();
  const udx = await bindUdx();
  const reader = await openLog(newPath(), fromHex(key));
  const connections = [];
  for (let id = 1; id <= peers; id++) {
    await helper.ask(JSON.stringify({ port: udx.port, id }));
    const connection = await udx.dial(id, id + THEIR_IDS, port, true);
    reader.log.replicate(connection);
    connections.push(connection);
  }
  await work(reader.log);
  for (const connection of connections) connection.abort();
  await reader.close();
  await udx.close();
  helper.end();
}

async function replicateBetweenProcesses(size: number, label: string, count: number): Promise<void> {
  const name = `replicate ${label} between two processes over UDX, no sync`;
  await withServer(size, count, 1, (reader) => rate(name, count, () => fetchAll(reader, count)));
}

async function sparseReads(peers: number, count: number, gets: number): Promise<void> {
  await withServer(100, count, peers, async (reader) => {
    await reader.update();
    while (reader.peers.length < peers) await new Promise((resolve) => setTimeout(resolve, 10));
    const from = `${peers} ${peers === 1 ? "peer" : "peers"}`;
    await rate(
      `sparse gets of 100 B, 64 at once, from ${from} over UDX, no sync`,
      gets,
      () => by64(gets, (i) => reader.get(i * 7919 % count)),
    );
  });
}

async function measure(): Promise<void> {
  for (const [size, label] of SIZES) await appends(size, label);
  await durable();
  await opening();
  const [small, large] = quick ? [200, 20] : [100_000, 2000];
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
process.exit(0);
