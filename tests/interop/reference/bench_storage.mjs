/** Stores of the reference on disk: the same as `tests/bench/storage_bench.ts`. It has no sync, so that those cases are missing. */
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Storage from "hypercore-storage";
import { placeOf, print, quick } from "./bench_support.mjs";

const folder = mkdtempSync(join(tmpdir(), "hypha-bench-"));
const SIZES = [[100, "100 B"], [4096, "4 KiB"], [65_536, "64 KiB"]];
const hash = Buffer.alloc(32, 7);
const signature = Buffer.alloc(64, 9);
const key = Buffer.alloc(32, 1);
let opened = 0;

async function append(core, from, count, value) {
  const tx = core.write();
  for (let i = from; i < from + count; i++) {
    tx.putBlock(i, value);
    tx.putTreeNode({ index: 2 * i, size: value.length, hash });
    if (i % 2 === 1) tx.putTreeNode({ index: 2 * i - 1, size: 2 * value.length, hash });
  }
  tx.setHead({ fork: 0, length: from + count, rootHash: hash, signature });
  await tx.flush();
}

async function newStore() {
  const path = join(folder, `${opened++}`);
  const store = new Storage(path);
  const core = await store.createCore({ key, discoveryKey: key });
  return { store, core, path };
}

async function rate(name, count, work) {
  const start = performance.now();
  await work();
  print(name, "block/s", count * 1000 / (performance.now() - start), `${name} ${count}`);
}

async function writes(size, label) {
  const value = Buffer.alloc(size, 5);
  const { store, core } = await newStore();
  const count = quick ? 20 : size > 10_000 ? 500 : 3000;
  let length = 0;
  await rate(`write ${label} one by one, no sync`, count, async () => {
    for (let i = 0; i < count; i++) await append(core, length++, 1, value);
  });
  for (const per of [100, 1000]) {
    const batches = quick ? 1 : Math.max(1, Math.floor((size > 10_000 ? 2000 : 30_000) / per));
    await rate(`write ${label} in batches of ${per}, no sync`, per * batches, async () => {
      for (let i = 0; i < batches; i++, length += per) await append(core, length, per, value);
    });
  }
  await reads(core, length, label, size);
  await store.close();
}

/** Gets of one turn go to the storage thread together, as hypercore sends them. */
async function get(core, index) {
  const rx = core.read();
  const block = rx.getBlock(index);
  rx.tryFlush();
  return (await block).length;
}

async function reads(core, length, label, size) {
  const count = quick ? 20 : size > 10_000 ? 2000 : 20_000;
  let bytes = 0;
  for (let i = 0; i < length; i++) await get(core, i);
  await rate(`get ${label} at random, one at a time`, count, async () => {
    for (let i = 0; i < count; i++) bytes += await get(core, placeOf(i, length)); // one at a time: nothing is lost
  });
  await rate(`get ${label} at random, 64 at once`, count, async () => {
    for (let i = 0; i < count; i += 64) {
      const rx = core.read();
      const blocks = Array.from(
        { length: Math.min(64, count - i) },
        (_, j) => rx.getBlock(placeOf(i + j, length)),
      );
      rx.tryFlush();
      for (const block of await Promise.all(blocks)) bytes += block.length;
    }
  });
  await rate(`read ${label} in order`, length, async () => {
    let held = 0;
    for await (const _ of core.createBlockStream({ gte: 0, lt: length })) held++;
    if (held !== length) throw new Error(`${held} of ${length} blocks were read`);
  });
  if (bytes !== 2 * count * size) throw new Error("blocks are missing");
}

function folderBytes(path) {
  return readdirSync(path, { withFileTypes: true, recursive: true }).filter((item) => item.isFile())
    .reduce((sum, item) => sum + statSync(join(item.parentPath, item.name)).size, 0);
}

async function opening() {
  const value = Buffer.alloc(100, 5);
  const count = quick ? 1000 : 100_000;
  const { store, core, path } = await newStore();
  for (let i = 0; i < count; i += 1000) await append(core, i, 1000, value);
  await store.close();
  print("disk per block of 100 B", "B", folderBytes(path) / count, `${count}`);
  const start = performance.now();
  const again = new Storage(path);
  const resumed = await again.resumeCore(key);
  const rx = resumed.read();
  const [head, block] = [rx.getHead(), rx.getBlock(count >> 1)];
  rx.tryFlush();
  if ((await head).length !== count || (await block).length !== 100) throw new Error("the log is not there");
  print("open a log of 100,000 blocks, first block", "ms", performance.now() - start, `${count}`);
  await again.close();
}

for (const [size, label] of SIZES) await writes(size, label);
await opening();
rmSync(folder, { recursive: true });
