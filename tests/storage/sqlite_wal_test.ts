/** What the log of SQLite tells: that all of it is whole, or that something is not. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { openSqliteStore, WriteBatch } from "../../core/storage/mod.ts";
import { isWalTorn } from "../../core/storage/sqlite_wal.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { test } from "../harness.ts";
import { inFolder } from "./support.ts";

const FRAME_BYTES = 24 + 4096;

const isTorn = (bytes: Uint8Array) =>
  isWalTorn({ size: bytes.length, read: (offset, length) => bytes.subarray(offset, offset + length) });

/** The log after some batches, after every so many of them. */
async function logs(folder: string, batches: number, every = 1): Promise<Uint8Array[]> {
  const path = join(folder, "logs.sqlite");
  const store = await openSqliteStore(path);
  const log = await store.open(new Uint8Array(32).fill(1));
  const read: Uint8Array[] = [];
  for (let n = 0; n < batches; n++) {
    const batch = new WriteBatch();
    for (let i = 0; i < 100; i++) batch.log(log).putBlock(100 * n + i, new Uint8Array(300).fill(n));
    await store.write(batch);
    if ((n + 1) % every === 0) read.push(Uint8Array.from(readFileSync(`${path}-wal`)));
  }
  await store.close();
  return read;
}

test("the log of SQLite is whole after batches, also where it goes over what was there before", () =>
  inFolder(async (folder) => {
    const all = await logs(folder, 700, 50);
    const sizes = all.map(({ length }) => length);
    assert.ok(sizes.at(-1) === sizes.at(-2), "it is long enough to begin anew");
    for (const bytes of all) assert.equal(isTorn(bytes), false);
  }));

test("a bit that flips in the log of SQLite, and an end that is cut, are noticed", () =>
  inFolder(async (folder) => {
    const bytes = (await logs(folder, 3)).at(-1)!;
    assert.equal((bytes.length - 32) % FRAME_BYTES, 0);
    const random = new SeededRandom(5);
    for (let round = 0; round < 2000; round++) {
      const rotten = bytes.slice();
      // Each part of the headers often, and anything else.
      const frame = 32 + FRAME_BYTES * random.below((bytes.length - 32) / FRAME_BYTES);
      const at = [random.below(32), frame + random.below(24), random.below(bytes.length)][round % 3]!;
      rotten[at]! ^= 1 << random.below(8);
      assert.equal(isTorn(rotten), true, `byte ${at}`);
    }
    for (let frames = 0; 32 + frames * FRAME_BYTES <= bytes.length; frames++) {
      const end = 32 + frames * FRAME_BYTES;
      assert.equal(isTorn(bytes.subarray(0, end)), false, "a log that ends with a frame");
      if (end < bytes.length) assert.equal(isTorn(bytes.subarray(0, end + 24 + random.below(4096))), true);
    }
    assert.equal(isTorn(new Uint8Array(0)), false);
    assert.equal(isTorn(new Uint8Array(10)), true);
  }));

test("bytes that are no log of SQLite are none, whatever they are", () => {
  const random = new SeededRandom(6);
  for (let round = 0; round < 500; round++) {
    const bytes = Uint8Array.from({ length: 4 + random.below(200) }, () => random.below(256));
    if (round % 2 === 0) bytes.set([0x37, 0x7f, 0x06, 0x82 + round % 4 / 2]);
    assert.equal(isTorn(bytes), true);
  }
});
