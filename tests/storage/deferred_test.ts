/**
 * The engine in front of engines: files of values that are given back, damaged or missing, and the ring. Power cuts in general
 * are in `crash_test.ts`.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { Ring, type RingParts } from "../../core/storage/deferred/ring.ts";
import {
  type DiskFault,
  type FileFolder,
  type LogStorage,
  openSqliteStore,
  PowerFailure,
  SimulatedDisk,
  type SimulatedFile,
  type Store,
  WriteBatch,
} from "../../core/storage/mod.ts";
import { bytes, head, key, node } from "../../core/storage/testing_basics.ts";
import { testStore } from "../../core/storage/testing.ts";
import { test } from "../harness.ts";
import { openDeferredOn } from "./deferred_support.ts";
import { inFolder } from "./support.ts";
import { SimulatedFolder } from "./v10/simulated_folder.ts";

const BYTES = 5000;

/** Appends large blocks to some logs, a batch for each log. */
async function putLogs(
  store: Store,
  first: number,
  last: number,
  count: number,
  size = BYTES,
): Promise<void> {
  for (let n = first; n <= last; n++) {
    const batch = new WriteBatch();
    const writer = batch.log(await store.open(key(n))).setAuth({ key: key(n), flags: 0 }).setHead(
      head(count),
    );
    for (let i = 0; i < count; i++) writer.putBlock(i, bytes(100 * n + i, size)).putNode(node(2 * i));
    await store.write(batch);
  }
}

async function assertLog(store: Store, n: number, count: number, size = BYTES): Promise<void> {
  const log = await store.open(key(n));
  assert.equal((await log.head())?.length, count, `log ${n}`);
  for (let i = 0; i < count; i++) {
    assert.deepEqual(
      Uint8Array.from((await log.block(i))!),
      bytes(100 * n + i, size),
      `block ${i} of log ${n}`,
    );
  }
}

function deferredUnderTest() {
  const disk = new SimulatedDisk({ random: new SeededRandom(1) });
  return Promise.resolve({
    open: () => openDeferredOn(disk, 20_000),
    isLasting: true,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
}

for (const { name, run } of testStore(deferredUnderTest)) {
  // The lock is the business of the file below.
  if (!name.includes("once at a time")) test(`deferred: ${name}`, run);
}

test("what is removed is given back though a power cut comes at any time, and what is left stays", async () => {
  const LOGS = 6;
  const work = async (disk: SimulatedDisk, acknowledged: { step: number }) => {
    const store = await openDeferredOn(disk);
    await putLogs(store, 1, LOGS, 4);
    await store.sync();
    acknowledged.step = 1;
    for (let n = 1; n < LOGS; n++) await store.remove(key(n));
    await store.sync();
    acknowledged.step = 2;
    await store.shrink();
    await store.close();
    acknowledged.step = 3;
  };
  const disk = (fault?: (call: { number: number }) => DiskFault | undefined) =>
    new SimulatedDisk({ random: new SeededRandom(1), ...(fault && { fault }) });
  const whole = disk();
  await work(whole, { step: 0 });
  const values = whole.names.filter((name) => name.includes("values"));
  assert.ok(values.length === 1 && whole.file(values[0]!).size === 4 * BYTES, `${values} are left`);
  for (let at = 1; at < whole.calls; at++) {
    const cut = disk(({ number }) => number === at ? "power" : undefined);
    const acknowledged = { step: 0 };
    await work(cut, acknowledged).catch((error) => assert.ok(error instanceof PowerFailure, `${error}`));
    for (const mode of ["all", "none", "prefix", "any"] as const) {
      const found = cut.afterCrash(mode, { random: new SeededRandom(at) });
      const store = await openDeferredOn(found);
      if (acknowledged.step > 0) await assertLog(store, LOGS, 4);
      if (acknowledged.step > 1) assert.equal(await (await store.open(key(1))).exists(), false);
      for (let n = 1; n < LOGS; n++) {
        if (await (await store.open(key(n))).exists()) await assertLog(store, n, 4);
        await store.remove(key(n));
      }
      await store.shrink();
      const { bytes: size } = store.size();
      assert.ok(size < 8 * BYTES, `cut at ${at}, ${mode}: ${size} bytes are left`);
      await store.close();
    }
  }
});

test("waste that others share a file with is given back, and reads go on meanwhile", () =>
  inFolder(async (folder) => {
    const store = await openSqliteStore(join(folder, "logs.sqlite"));
    await putLogs(store, 1, 8, 10, 20_000);
    const { bytes: before } = store.size();
    const removed = Promise.all([1, 3, 5, 7].map((n) => store.remove(key(n))));
    for (let round = 0; round < 20; round++) {
      for (const n of [2, 4, 6, 8]) await assertLog(store, n, 10, 20_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await removed;
    const { bytes: after } = store.size();
    assert.ok(before - after > 700_000, `${before - after} bytes were given back`);
    for (const n of [2, 4, 6, 8]) await assertLog(store, n, 10, 20_000);
    await store.close();
    const again = await openSqliteStore(join(folder, "logs.sqlite"));
    for (const n of [2, 4, 6, 8]) await assertLog(again, n, 10, 20_000);
    assert.deepEqual(again.verify(), []);
    await again.close();
  }));

test("bits that flip in a file of values are noticed, and never read as data", () =>
  inFolder(async (folder) => {
    const path = join(folder, "logs.sqlite");
    const store = await openSqliteStore(path);
    await putLogs(store, 1, 1, 20);
    await store.close();
    const file = `${path}-values-1`;
    const content = readFileSync(file);
    assert.equal(content.length, 20 * BYTES);
    const random = new SeededRandom(1);
    for (let i = 0; i < 200; i++) {
      const at = random.below(content.length);
      const rotten = Uint8Array.from(content);
      rotten[at]! ^= 1 << random.below(8);
      writeFileSync(file, rotten);
      const opened = await openSqliteStore(path);
      const index = Math.floor(at / BYTES);
      const log = opened.open(key(1));
      await assert.rejects(async () => await log.block(index), {
        name: "StorageError",
        code: "STORE_CORRUPT",
      });
      assert.deepEqual(opened.verify(), [`layer 1: block ${index}`]);
      const other = (index + 1) % 20;
      assert.deepEqual(Uint8Array.from((await log.block(other))!), bytes(100 + other, BYTES));
      await opened.close();
    }
  }));

test("a file of values that is missing is named", () =>
  inFolder(async (folder) => {
    const path = join(folder, "logs.sqlite");
    const store = await openSqliteStore(path);
    await putLogs(store, 1, 1, 2);
    await store.close();
    renameSync(`${path}-values-1`, `${path}-elsewhere`);
    const opened = await openSqliteStore(path);
    await assert.rejects(async () => await opened.open(key(1)).block(0), {
      code: "STORE_CORRUPT",
      message: /logs\.sqlite-values-1 .* is missing: bring it back/,
    });
    await opened.close();
  }));

test("a store that was closed has no ring, and small blocks need no other file", () =>
  inFolder(async (folder) => {
    const store = await openSqliteStore(join(folder, "logs.sqlite"));
    await putLogs(store, 1, 3, 5, 100);
    assert.ok(readdirSync(folder).includes("logs.sqlite-pending"));
    await store.close();
    assert.deepEqual(readdirSync(folder), ["logs.sqlite"]);
  }));

test("who writes faster than the medium syncs is told to wait, and what is written is there meanwhile", async () => {
  const disk = new SimulatedDisk({ random: new SeededRandom(1) });
  const folder = new SimulatedFolder(disk);
  let release = () => {};
  let isSlow = true;
  const held = new Promise<void>((resolve) => release = resolve);
  const slow: FileFolder = {
    file(path) {
      const file = folder.file(path);
      const sync = async () => {
        if (isSlow) await held;
        await file.sync();
      };
      return { ...file, sync };
    },
    names: (path) => folder.names(path),
    remove: (path) => folder.remove(path),
    close: () => folder.close(),
  };
  const store = await openDeferredOn(disk, 20_000, slow);
  const log = await store.open(key(1));
  let relief: Promise<void> | undefined;
  let count = 0;
  for (; relief === undefined && count < 1000; count++) {
    const written = store.write(appended(log, count));
    if (written !== undefined) relief = Promise.resolve(written);
  }
  assert.ok(relief !== undefined && count < 300, `after ${count} batches nobody was told to wait`);
  assert.equal((await log.block(count - 1))?.length, BYTES);
  let isRelieved = false;
  void relief.then(() => isRelieved = true);
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(isRelieved, false);
  isSlow = false;
  release();
  await relief;
  assert.equal(store.write(appended(log, count)), undefined);
  for (let i = 0; i <= count; i++) assert.deepEqual(await log.block(i), bytes(i, BYTES));
  await store.close();
});

function appended(log: LogStorage, index: number): WriteBatch {
  const batch = new WriteBatch();
  batch.log(log).setHead(head(index + 1)).putBlock(index, bytes(index, BYTES)).putNode(node(2 * index));
  return batch;
}

/** What a ring in a simulated file needs. */
function ringParts(file: SimulatedFile, capacity: number): RingParts {
  return {
    file: {
      size: () => file.size,
      read: (offset, length) => file.read().subarray(offset, offset + length),
      write: (offset, bytes) => file.write(offset, bytes),
      truncate: (size) => file.truncate(size),
      sync: () => Promise.resolve(),
    },
    capacity,
    crc32: (bytes) => bytes.reduce((sum, byte) => Math.imul(sum ^ byte, 0x01000193), 7) >>> 0,
  };
}

test("a ring whose bytes have rotted ends there, and never makes up a frame", () => {
  const random = new SeededRandom(3);
  for (let round = 0; round < 300; round++) {
    const disk = new SimulatedDisk({ random });
    const file = disk.file("ring");
    const parts = ringParts(file, 1000);
    const start = random.below(5000);
    const ring = new Ring(parts, start);
    const bodies: number[] = [];
    for (let number = 1;; number++) {
      const size = 24 + 1 + random.below(150);
      if (!ring.hasRoom(size)) break;
      bodies.push(size - 24);
      ring.write(new Uint8Array(size).fill(number), { epoch: 5, number });
    }
    assert.ok(bodies.length > 3);
    const read = () => [...new Ring(parts, start).frames({ epoch: 5, number: 0 })];
    assert.deepEqual(read().map(({ body }) => body.length), bodies);
    assert.deepEqual([...new Ring(parts, start).frames({ epoch: 4, number: 0 })], []);
    assert.equal(ring.isTorn({ epoch: 5, number: bodies.length + 1 }), false);
    const at = random.below(file.size);
    file.write(at, Uint8Array.of(file.read()[at]! ^ 1 << random.below(8)));
    const left = read();
    for (const { number, body } of left) {
      assert.equal(body.length, bodies[number - 1]);
      assert.ok(body.every((byte) => byte === number), `frame ${number} is not what was written`);
    }
    const rotten = new Ring(parts, start);
    for (const _ of rotten.frames({ epoch: 5, number: 0 })) { /* up to the one that has rotted */ }
    assert.equal(rotten.isTorn({ epoch: 5, number: left.length + 1 }), left.length < bodies.length);
    // A header that is another one altogether is missed if whole frames come after it.
    file.write(start % 1000, new Uint8Array(24).fill(0xaa));
    const id = { epoch: 5, number: 1 };
    assert.equal(
      new Ring(parts, start).isTorn(id),
      left.length > 1 || at < start % 1000 || bodies.length > 2,
    );
  }
});

test("a ring of which nothing was torn says so, whatever is left of earlier rounds", () => {
  const random = new SeededRandom(4);
  const file = new SimulatedDisk({ random }).file("ring");
  const parts = ringParts(file, 1024);
  const ring = new Ring(parts, 0);
  for (let number = 1; number < 3000; number++) {
    // Frames of one size come to the same places with numbers that differ in one bit.
    ring.write(new Uint8Array(number < 2000 ? 32 : 25 + random.below(100)), { epoch: 0, number });
    ring.release(ring.head);
    assert.equal(ring.isTorn({ epoch: 0, number: number + 1 }), false, `before frame ${number + 1}`);
  }
});
