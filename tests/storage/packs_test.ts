/** Values that follow each other share rows: what is read is what was put, whatever is overwritten and deleted in between. */
import assert from "node:assert/strict";
import { join } from "node:path";
import type { Entry } from "../../core/storage/engine.ts";
import { MemoryStore, openSqliteStore, type Store, WriteBatch } from "../../core/storage/mod.ts";
import { PackCache } from "../../core/storage/pack_cache.ts";
import { MAX_PACK_BYTES, MAX_PACK_COUNT, packsOf, Unpacked } from "../../core/storage/packs.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { test } from "../harness.ts";
import { inFolder } from "./support.ts";

const hash = new Uint8Array(32).fill(5);
const key = new Uint8Array(32).fill(1);
const valueOf = (size: number, n: number) => new Uint8Array(size).map((_, i) => (i + n) % 251);

test("values are packed up to a number, a size, a gap and a border, and come out as they went in", () => {
  const entries = (from: number, to: number, size = 10): Entry[] =>
    Array.from({ length: to - from }, (_, i) => ({ index: from + i, value: valueOf(size, from + i) }));
  const all = [
    ...entries(0, 300),
    ...entries(400, 401),
    ...entries(1000, 1100),
    ...entries(2000, 2010, 1000),
  ];
  const packs = [...packsOf(all, 1024)];
  const unpacked = packs.flatMap((pack) => [...new Unpacked(pack).entries(0, Infinity)]);
  assert.deepEqual(unpacked, all);
  for (const { first, count, value } of packs) {
    assert.ok(count <= MAX_PACK_COUNT && (count === 1 || value.length <= MAX_PACK_BYTES));
    assert.equal(
      Math.floor(first / 1024),
      Math.floor((first + count - 1) / 1024),
      "no pack reaches over the border",
    );
  }
  assert.ok(packs.length < 20, `${packs.length} packs`);
});

test("packs that were read are found by any of their values, and no more are kept than may be", () => {
  const packOf = (first: number, count: number) => {
    const [pack] = packsOf(
      Array.from({ length: count }, (_, i) => ({ index: first + i, value: valueOf(10, i) })),
      2 ** 20,
    );
    return new Unpacked(pack!);
  };
  const cache = new PackCache(100_000);
  const packs = Array.from({ length: 1000 }, (_, i) => packOf(100 * i, 90));
  for (const pack of packs) {
    cache.add(pack);
    for (const id of [pack.first, pack.first + 40, pack.end - 1]) assert.equal(cache.find(id), pack);
    for (const id of [pack.first - 1, pack.end]) assert.equal(cache.find(id), undefined);
    // What is used again and again is not forgotten.
    assert.equal(cache.find(5), packs[0]);
  }
  const kept = packs.filter(({ first }) => cache.find(first) !== undefined);
  const bytes = kept.reduce((sum, { byteLength }) => sum + byteLength, 0);
  assert.ok(bytes > 30_000 && bytes < 100_000, `${bytes} bytes`);
  cache.clear();
  assert.ok(packs.every(({ first }) => cache.find(first) === undefined));
});

test("who changes a block that was read changes nothing but that copy", () =>
  inFolder(async (folder) => {
    const store = await openSqliteStore(join(folder, "logs.sqlite"));
    const log = await store.open(key);
    const batch = new WriteBatch();
    for (let i = 0; i < 20; i++) batch.log(log).putBlock(i, valueOf(i < 10 ? 50 : 2000, i));
    await store.write(batch);
    await store.close();
    const again = await openSqliteStore(join(folder, "logs.sqlite"));
    const read = await again.open(key);
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 20; i++) {
        const block = (await read.block(i))!;
        assert.deepEqual(block, valueOf(i < 10 ? 50 : 2000, i));
        block.fill(0);
      }
    }
    await again.close();
  }));

/** Does the same to both stores, and compares what they say. */
async function compare(random: SeededRandom, stores: readonly Store[]): Promise<void> {
  const logs = await Promise.all(stores.map((store) => store.open(key)));
  for (let round = 0; round < 150; round++) {
    const [start, count, size] = [
      random.below(600),
      random.below(200),
      random.below(4) === 0 ? 2000 : random.below(60),
    ];
    const kind = random.below(6);
    for (const [i, store] of stores.entries()) {
      const batch = new WriteBatch();
      const writer = batch.log(logs[i]!);
      if (kind <= 1) { for (let n = 0; n < count; n++) writer.putBlock(start + n, valueOf(size, round + n)); }
      else if (kind === 2) {
        for (let n = count; n > 0; n--) writer.putNode({ index: start + 2 * n, size: n, hash });
      } else if (kind === 3) {
        writer.putBlock(start, valueOf(size, round)).putBlock(start + 1, valueOf(size, round + 9));
      } else if (kind === 4) writer.clear(start, start + count).clearNodes(start, start + count);
      else writer.truncate(start + 300);
      await store.write(batch);
    }
    const [from, to, bytes] = [random.below(700), random.below(900), random.below(3) === 0 ? 5000 : 1e9];
    const [ours, theirs] = await Promise.all(logs.map(async (log) => ({
      one: await log.block(from),
      many: (await log.blocks(Math.min(from, to), Math.max(from, to), bytes)).map((
        { index, value },
      ) => [index, [...value]]),
      nodes: await log.nodes([from, to, from + 1]),
    })));
    assert.deepEqual(
      ours!.one && [...ours!.one],
      theirs!.one && [...theirs!.one],
      `block ${from} in round ${round}`,
    );
    assert.deepEqual(ours!.many, theirs!.many, `blocks from ${from} in round ${round}`);
    assert.deepEqual(ours!.nodes.map((node) => node?.size), theirs!.nodes.map((node) => node?.size));
  }
}

test("a store with packs answers as one without, after random changes", () =>
  inFolder(async (folder) => {
    for (let seed = 0; seed < 6; seed++) {
      const sqlite = await openSqliteStore(join(folder, `${seed}.sqlite`), { durability: "none" });
      const memory = new MemoryStore();
      await compare(new SeededRandom(`packs ${seed}`), [sqlite, memory]);
      assert.deepEqual(sqlite.verify(), []);
      await sqlite.close();
    }
  }));

test("a store of version 1, with a row for each value, is brought up to date and read", () =>
  inFolder(async (folder) => {
    const path = join(folder, "old.sqlite");
    const store = await openSqliteStore(path);
    const log = await store.open(key);
    // None follows another, or they would share a row.
    for (let i = 0; i < 10; i += 2) await store.write(oneBlock(log, i));
    await store.close();
    const { DatabaseSync } = await import("node:sqlite");
    const database = new DatabaseSync(path);
    for (const table of ["block", "node", "page"]) database.exec(`ALTER TABLE ${table} DROP COLUMN count`);
    database.exec("DROP TABLE place");
    database.exec("PRAGMA user_version = 1");
    database.close();
    const again = await openSqliteStore(path);
    const old = await again.open(key);
    assert.deepEqual(await old.block(4), valueOf(10, 4));
    assert.deepEqual(again.verify(), []);
    await again.write(oneBlock(old, 5));
    assert.deepEqual(await old.block(5), valueOf(10, 5));
    await again.close();
  }));

function oneBlock(log: Awaited<ReturnType<Store["open"]>>, index: number): WriteBatch {
  const batch = new WriteBatch();
  batch.log(log).putBlock(index, valueOf(10, index));
  return batch;
}
