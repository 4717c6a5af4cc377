/**
 * Reading RocksDB: its parts against what is known of them, the whole against a map, and all of it damaged.
 */
import assert from "node:assert/strict";
import { compare, concat } from "../../../encoding/bytes.ts";
import { toHex } from "../../../encoding/text.ts";
import { StorageError } from "../../../core/runtime/errors.ts";
import { SeededRandom } from "../../../core/runtime/virtual.ts";
import { BlockCache } from "../../../core/storage/rocksdb/block_cache.ts";
import { crc32c } from "../../../core/storage/rocksdb/crc32c.ts";
import { RocksDatabase } from "../../../core/storage/rocksdb/database.ts";
import { readLog, readRecordPart } from "../../../core/storage/rocksdb/log_file.ts";
import { RangeDeletions } from "../../../core/storage/rocksdb/tombstones.ts";
import { xxh3Low } from "../../../core/storage/rocksdb/xxh3.ts";
import { test } from "../../harness.ts";
import { memoryFile, memoryFolder, recordedStore } from "./recorded.ts";
import { batchOf, type Change, databaseOf, fragment, logOf } from "./rocks_writer.ts";

const text = (value: string) => new TextEncoder().encode(value);

/** Lengths, and the lower half of XXH3 of as many bytes, as the `xxhash` package for Python has it. */
const XXH3: readonly (readonly [number, number])[] = [
  [0, 953390274],
  [1, 356037056],
  [3, 2255922175],
  [4, 1718334292],
  [7, 623883214],
  [8, 3366686711],
  [9, 375698955],
  [15, 2309123687],
  [16, 88331071],
  [17, 2085238562],
  [31, 872823744],
  [32, 3206805664],
  [33, 2070404992],
  [64, 3342278427],
  [65, 3050375119],
  [96, 2325683609],
  [97, 572480403],
  [128, 2806027238],
  [129, 559373675],
  [160, 1879880703],
  [200, 95870288],
  [240, 76486495],
  [241, 3027286844],
  [256, 2917620665],
  [1023, 1295201993],
  [1024, 1580177039],
  [1025, 464629159],
  [1088, 1407951187],
  [1089, 2562533694],
  [2048, 579064957],
  [2049, 1779477520],
  [8200, 2584640515],
];

test("checksums are those of others, for inputs of all lengths that are treated differently", () => {
  assert.equal(crc32c(text("123456789")), 0xe3069283);
  assert.equal(crc32c(text("56789"), crc32c(text("1234"))), 0xe3069283);
  for (const [length, expected] of XXH3) {
    const bytes = Uint8Array.from({ length }, (_, i) => (i * 7 + length * 13 + (i >> 8) * 3) & 255);
    assert.equal(xxh3Low(bytes), expected, `of ${length} bytes`);
  }
});

/** Records whose lengths make them end at, before and behind the ends of blocks. */
const RECORDS = [0, 1, 100, 32_600, 20, 32_768, 5, 100_000, 65_500, 7, 300].map((length, n) =>
  Uint8Array.from({ length }, (_, i) => (i * 31 + n) & 255)
);

test("the records of a log come back as they were, and in parts", () => {
  const file = memoryFile("a.log", logOf(RECORDS));
  const read = [...readLog(file, 0)].map(({ bytes, offset }) => ({ bytes: bytes.slice(), offset }));
  assert.deepEqual(read.map(({ bytes }) => bytes), RECORDS);
  const random = new SeededRandom("parts");
  for (const { bytes, offset } of read) {
    for (let n = 0; n < 50; n++) {
      const start = random.uint32() % (bytes.length + 1);
      const length = random.uint32() % (bytes.length - start + 1);
      const part = readRecordPart(file, new BlockCache(n % 2 === 0 ? 0 : 1e6), offset, start, length);
      assert.deepEqual(part, bytes.slice(start, start + length));
    }
  }
});

test("a log that is cut off anywhere has the records before, and says that it was cut", () => {
  const whole = logOf(RECORDS.slice(0, 6));
  const ends = [...readLog(memoryFile("a.log", logOf([...RECORDS.slice(0, 6), text("x")])), 0)]
    .map(({ offset }) => offset).slice(1);
  for (let size = 0; size < whole.length; size += size % 32_768 < 60 ? 1 : 977) {
    const read = [...readLog(memoryFile("a.log", whole.slice(0, size)), 0)];
    assert.equal(read.length, ends.filter((end) => end <= size).length, `cut to ${size} bytes`);
  }
});

test("a log that is damaged in its middle is an error that names the file and the place", () => {
  const whole = logOf(RECORDS);
  for (let at = 0; at < whole.length - 400; at += 911) {
    const bytes = whole.slice();
    bytes[at]! ^= 4;
    assert.throws(() => [...readLog(memoryFile("a.log", bytes), 0)], (error: StorageError) => {
      assert.equal(error.code, error.message.includes("type") ? "STORE_UNKNOWN" : "STORE_CORRUPT");
      assert.match(error.message, /^a\.log is damaged at byte \d+: |^a\.log cannot be read/);
      return true;
    }, `byte ${at}`);
  }
  for (const broken of [[fragment(3, text("a"))], [fragment(2, text("a")), fragment(1, text("b"))]]) {
    assert.throws(() => [...readLog(memoryFile("a.log", concat(broken)), 0)], { code: "STORE_CORRUPT" });
  }
});

test("a log that is compressed is refused", () => {
  const bytes = concat([fragment(9, Uint8Array.of(7, 0, 0, 0)), fragment(1, text("a"))]);
  assert.throws(() => [...readLog(memoryFile("a.log", bytes), 0)], { code: "STORE_UNKNOWN" });
});

test("of ranges that were deleted the latest counts, wherever they overlap", () => {
  const random = new SeededRandom("ranges");
  for (let run = 0; run < 200; run++) {
    const deletions = Array.from({ length: 1 + random.uint32() % 12 }, () => ({
      start: Uint8Array.of(random.uint32() % 40),
      end: Uint8Array.of(random.uint32() % 40),
      sequence: random.uint32() % 100,
    }));
    const known = new RangeDeletions(deletions);
    for (let key = 0; key < 42; key++) {
      const over = deletions.filter(({ start, end }) => start[0]! <= key && key < end[0]!);
      const expected = Math.max(-1, ...over.map(({ sequence }) => sequence));
      assert.equal(known.sequenceOf(Uint8Array.of(key)), expected);
      assert.equal(known.sequenceOf(Uint8Array.of(key, 0)), expected);
    }
  }
  assert.equal(new RangeDeletions([]).sequenceOf(text("a")), -1);
});

/** A key among few, so that changes meet. */
const keyOf = (n: number) => text(`key ${String(n % 60).padStart(2, "0")}`);

function randomChanges(random: SeededRandom, model: Map<string, Uint8Array>): Change[] {
  return Array.from({ length: 1 + random.uint32() % 8 }, (): Change => {
    const [key, other] = [keyOf(random.uint32()), keyOf(random.uint32())];
    const kind = random.uint32() % 10;
    if (kind < 7) {
      const value = random.fill(new Uint8Array(random.uint32() % 4 === 0 ? 5000 : 10));
      model.set(toHex(key), value);
      return { put: key, value };
    }
    if (kind < 9) {
      model.delete(toHex(key));
      return { delete: key };
    }
    for (const known of [...model.keys()]) {
      if (known >= toHex(key) && known < toHex(other)) model.delete(known);
    }
    return { from: key, to: other };
  });
}

test("what is in the log of a database is what a map would have after the same changes", () => {
  for (let seed = 0; seed < 20; seed++) {
    const random = new SeededRandom(`database ${seed}`);
    const model = new Map<string, Uint8Array>();
    const batches: Uint8Array[] = [];
    for (let sequence = 1; batches.length < 60;) {
      const changes = randomChanges(random, model);
      batches.push(batchOf(sequence, changes));
      sequence += changes.length;
    }
    const database = new RocksDatabase(memoryFolder(databaseOf(logOf(batches))), "corestore");
    const expected = [...model].sort(([a], [b]) => a < b ? -1 : 1);
    const read = [...database.scan(new Uint8Array(0))];
    assert.deepEqual(read.map(({ key, value }) => [toHex(key), value]), expected);
    for (let n = 0; n < 60; n++) assert.deepEqual(database.get(keyOf(n)), model.get(toHex(keyOf(n))));
    const within = [...database.scan(keyOf(10), keyOf(20))].map(({ key }) => toHex(key));
    const range = [toHex(keyOf(10)), toHex(keyOf(20))] as const;
    assert.deepEqual(within, expected.map(([key]) => key).filter((key) => key >= range[0] && key < range[1]));
  }
});

test("what is no database, or has no such family, is refused", () => {
  const open = (files: ReadonlyMap<string, Uint8Array>, family = "corestore") => () =>
    new RocksDatabase(memoryFolder(files), family);
  const files = databaseOf(logOf([]));
  assert.throws(open(new Map()), { code: "STORE_UNKNOWN" });
  assert.throws(open(files, "other"), { code: "STORE_UNKNOWN" });
  assert.throws(open(new Map([...files, ["CURRENT", text("../secret\n")]])), { code: "STORE_CORRUPT" });
  assert.throws(open(new Map([...files, ["CURRENT", text("MANIFEST-000009\n")]])), { code: "STORE_CORRUPT" });
  const merge = concat([batchOf(1, []).slice(0, 8), Uint8Array.of(1, 0, 0, 0, 6, 1, 1, 65, 1, 66)]);
  assert.throws(open(databaseOf(logOf([merge]))), { code: "STORE_CORRUPT" });
});

test("a database tells whether it was written to since it was opened", () => {
  const files = databaseOf(logOf([]));
  const database = new RocksDatabase(memoryFolder(files), "corestore");
  assert.equal(database.hasChanged(), false);
  files.set("MANIFEST-000005", concat([files.get("MANIFEST-000005")!, new Uint8Array(9)]));
  assert.equal(database.hasChanged(), true);
});

/** All keys and values, or the error. */
function contents(files: ReadonlyMap<string, Uint8Array>): string | StorageError {
  try {
    const database = new RocksDatabase(memoryFolder(files), "corestore");
    const parts: string[] = [];
    for (const { key, value } of database.scan(new Uint8Array(0))) {
      parts.push(`${toHex(key)}=${toHex(value)}`);
    }
    return parts.join();
  } catch (error) {
    assert.ok(error instanceof StorageError, `${error}`);
    return error;
  }
}

/** Where the last record of a log says how long it is: if that is wrong, the log looks like one that was cut off there. */
function lastLength(name: string, bytes: Uint8Array): number {
  if (!/\.log$|^MANIFEST/.test(name)) return -1;
  return [...readLog(memoryFile(name, bytes), 0)].at(-1)!.offset + 4;
}

test("whatever byte is damaged, one reads what was written, or an error that names the file", () => {
  const { files } = recordedStore();
  const whole = contents(files);
  assert.equal(typeof whole, "string");
  let errors = 0;
  for (const [name, original] of files) {
    const exempt = lastLength(name, original);
    for (
      let at = 0;
      at < original.length;
      at += at < original.length - 60 && original.length > 600 ? 61 : 1
    ) {
      const bytes = original.slice();
      bytes[at]! ^= 1 << (at % 8);
      const read = contents(new Map([...files, [name, bytes]]));
      if (read === whole || at === exempt || at === exempt + 1) continue;
      assert.ok(read instanceof StorageError, `${name}: byte ${at} went unnoticed`);
      assert.ok(["STORE_CORRUPT", "STORE_UNKNOWN", "READ_FAILED"].includes(read.code));
      assert.ok(read.message.includes(name.slice(0, 6)) || name === "CURRENT", read.message);
      errors++;
    }
  }
  assert.ok(errors > 500);
});

test("whatever table or blob file is cut short or gone, one reads an error", () => {
  const { files } = recordedStore();
  for (const [name, bytes] of files) {
    if (!/\.(sst|blob)$/.test(name)) continue;
    const gone = new Map(files);
    gone.delete(name);
    assert.ok(contents(gone) instanceof StorageError, `${name} is gone`);
    for (let size = 0; size < bytes.length - 33; size += 509) {
      const read = contents(new Map([...files, [name, bytes.slice(0, size)]]));
      // Values that were overwritten since may be missing.
      const isUnused = name.endsWith(".blob") && read === contents(files);
      assert.ok(isUnused || read instanceof StorageError, `${name} was cut to ${size} bytes`);
    }
  }
});

test("keys come in order, each once", () => {
  const database = new RocksDatabase(memoryFolder(recordedStore().files), "corestore");
  const keys = [...database.scan(new Uint8Array(0))].map(({ key }) => key);
  assert.ok(keys.length > 100);
  for (let i = 1; i < keys.length; i++) assert.ok(compare(keys[i - 1]!, keys[i]!) < 0);
  for (const key of keys) assert.notEqual(database.get(key), undefined);
});
