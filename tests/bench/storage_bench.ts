/**
 * Stores on disk. "no sync" is what the reference promises: what was written survives the death of the process, and a power cut
 * may take it. "synced" survives that too; the reference cannot.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Durability,
  type LogStorage,
  openSqliteStore,
  type Store,
  WriteBatch,
} from "../../core/storage/mod.ts";
import { placeOf, print, quick } from "./support.ts";

const folder = mkdtempSync(join(tmpdir(), "hypha-bench-"));
const SIZES = [[100, "100 B"], [4096, "4 KiB"], [65_536, "64 KiB"]] as const;
const hash = new Uint8Array(32).fill(7);
const signature = new Uint8Array(64).fill(9);
const key = new Uint8Array(32).fill(1);
let opened = 0;

/** A block, its leaf, and for every other one a parent, as a log appends them. */
function put(batch: WriteBatch, log: LogStorage, index: number, value: Uint8Array): void {
  const writer = batch.log(log).putBlock(index, value).putNode({
    index: 2 * index,
    size: value.length,
    hash,
  });
  if (index % 2 === 1) writer.putNode({ index: 2 * index - 1, size: 2 * value.length, hash });
}

async function append(
  store: Store,
  log: LogStorage,
  from: number,
  count: number,
  value: Uint8Array,
): Promise<void> {
  const batch = new WriteBatch();
  for (let i = from; i < from + count; i++) put(batch, log, i, value);
  batch.log(log).setHead({
    fork: 0,
    length: from + count,
    rootHash: hash,
    signature,
    flags: 0,
    timestamp: 0,
  });
  await store.write(batch);
}

async function newStore(durability: Durability): Promise<{ store: Store; log: LogStorage; path: string }> {
  const path = join(folder, `${opened++}.sqlite`);
  const store = await openSqliteStore(path, { durability });
  return { store, log: await store.open(key), path };
}

async function rate(name: string, count: number, work: () => Promise<void>): Promise<void> {
  const start = performance.now();
  await work();
  print(name, "block/s", count * 1000 / (performance.now() - start), `${name} ${count}`);
}

async function writes(size: number, label: string): Promise<void> {
  const value = new Uint8Array(size).fill(5);
  const { store, log } = await newStore("normal");
  const count = quick ? 20 : size > 10_000 ? 500 : 3000;
  let length = 0;
  await rate(`write ${label} one by one, no sync`, count, async () => {
    for (let i = 0; i < count; i++) await append(store, log, length++, 1, value);
  });
  for (const per of [100, 1000]) {
    const batches = quick ? 1 : Math.max(1, Math.floor((size > 10_000 ? 2000 : 30_000) / per));
    await rate(`write ${label} in batches of ${per}, no sync`, per * batches, async () => {
      for (let i = 0; i < batches; i++, length += per) await append(store, log, length, per, value);
    });
  }
  await reads(log, length, label, size);
  await store.close();
}

async function reads(log: LogStorage, length: number, label: string, size: number): Promise<void> {
  const count = quick ? 20 : size > 10_000 ? 2000 : 20_000;
  let bytes = 0;
  const get = async (i: number) => {
    const block = await log.block(placeOf(i, length));
    bytes += block!.length;
  };
  for (let i = 0; i < length; i += 1) await log.block(i);
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
    for (let at = 0;;) {
      const blocks = await log.blocks(at, length, 2 ** 20);
      if (blocks.length === 0) break;
      held += blocks.length;
      at = blocks.at(-1)!.index + 1;
    }
    if (held !== length) throw new Error(`${held} of ${length} blocks were read`);
  });
  if (bytes !== 2 * count * size) throw new Error("blocks are missing");
}

async function durable(): Promise<void> {
  const value = new Uint8Array(100).fill(5);
  const { store, log } = await newStore("full");
  const count = quick ? 10 : 500;
  let length = 0;
  await rate("write 100 B one by one, synced", count, async () => {
    for (let i = 0; i < count; i++) {
      await append(store, log, length++, 1, value);
      await store.sync();
    }
  });
  await rate("write 100 B, 64 at once, synced", 64 * count, async () => {
    for (let i = 0; i < count; i++) {
      const one = async () => {
        await append(store, log, length++, 1, value);
        await store.sync();
      };
      await Promise.all(Array.from({ length: 64 }, one));
    }
  });
  await store.close();
}

/** Opens a store whose log has 100,000 blocks, and asks for its head and a block. */
async function opening(): Promise<void> {
  const value = new Uint8Array(100).fill(5);
  const count = quick ? 1000 : 100_000;
  const { store, log, path } = await newStore("normal");
  for (let i = 0; i < count; i += 1000) await append(store, log, i, 1000, value);
  await store.close();
  const files = readdirSync(folder).map((name) => join(folder, name)).filter((file) => file.startsWith(path));
  const bytes = files.reduce((sum, file) => sum + statSync(file).size, 0);
  print("disk per block of 100 B", "B", bytes / count, `${count}`);
  const start = performance.now();
  const again = await openSqliteStore(path, { durability: "normal" });
  const head = await again.open(key).head();
  const block = await again.open(key).block(count >> 1);
  if (head?.length !== count || block?.length !== 100) throw new Error("the log is not there");
  print("open a log of 100,000 blocks, first block", "ms", performance.now() - start, `${count}`);
  await again.close();
}

for (const [size, label] of SIZES) await writes(size, label);
await durable();
await opening();
rmSync(folder, { recursive: true });
