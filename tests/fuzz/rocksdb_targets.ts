/**
 * Fuzz targets for `core/storage/rocksdb/` and `core/storage/v11/`: the files of another program, which may have rotted.
 *
 * What reads files throws a `StorageError` for what is wrong with them.
 */
import { DecodeError } from "../../encoding/codec.ts";
import { StorageError } from "../../core/runtime/errors.ts";
import { decodeBatch } from "../../core/storage/rocksdb/batch.ts";
import { decodeBlobPlace } from "../../core/storage/rocksdb/blob.ts";
import { dataBlock, indexBlock } from "../../core/storage/rocksdb/block.ts";
import { RocksDatabase } from "../../core/storage/rocksdb/database.ts";
import { decodeInternalKey } from "../../core/storage/rocksdb/fields.ts";
import { decodeFooter, FOOTER_BYTES } from "../../core/storage/rocksdb/footer.ts";
import { readLog } from "../../core/storage/rocksdb/log_file.ts";
import { decodeVersionEdit } from "../../core/storage/rocksdb/manifest.ts";
import {
  dataKey,
  decodeDataIndex,
  decodeLogKey,
  decodeUserDataKey,
  logKey,
} from "../../core/storage/v11/keys.ts";
import {
  decodeAuth,
  decodeDependency,
  decodeGroup,
  decodeHead,
  decodeHints,
  decodeLogPointers,
  decodeSessions,
  decodeStoreHead,
  decodeTreeNode,
} from "../../core/storage/v11/values.ts";
import { memoryFile, memoryFolder, recordedStore } from "../storage/rocksdb/recorded.ts";
import { batchOf } from "../storage/rocksdb/rocks_writer.ts";
import type { FuzzTarget } from "./target.ts";

const { files } = recordedStore();
const database = new RocksDatabase(memoryFolder(files), "corestore");
const all = [...database.scan(new Uint8Array(0))];
const isStorageError = (error: unknown) => error instanceof StorageError;

/** The values whose keys begin with `top`, and have `kind` behind a pointer of one byte. */
function valuesOf(top: number, kind?: number): Uint8Array[] {
  return all.filter(({ key }) => key[0] === top && (kind === undefined || key[2] === kind))
    .map(({ value }) => value.slice()).slice(0, 8);
}

const table = files.get([...files.keys()].find((name) => name.endsWith(".sst"))!)!;
const manifest = files.get("MANIFEST-000005")!;
const edits = [...readLog(memoryFile("MANIFEST", manifest), 0)].map(({ bytes }) => bytes.slice());
/** A block of four entries, of which two share what begins their keys. */
const block = Uint8Array.of(
  0,
  3,
  1,
  97,
  97,
  97,
  1,
  2,
  1,
  1,
  98,
  2,
  0,
  2,
  1,
  98,
  98,
  3,
  0,
  0,
  0,
  0,
  1,
  0,
  0,
  0,
);

/** Replaces one file of the recorded store with the input, and reads everything. */
function withFile(name: string): FuzzTarget {
  return {
    name: `RocksDatabase:${name}`,
    seeds: [files.get(name)!],
    expected: isStorageError,
    run: (input) => {
      const damaged = new RocksDatabase(memoryFolder(new Map([...files, [name, input]])), "corestore");
      let count = 0;
      for (const _ of damaged.scan(new Uint8Array(0))) if (++count > 10_000) break;
    },
  };
}

const value = (name: string, seeds: readonly Uint8Array[], run: (input: Uint8Array) => void): FuzzTarget => ({
  name,
  seeds,
  run,
});

/** Everything that reading a corestore 7 decodes. */
export const targets: readonly FuzzTarget[] = [
  value("decodeInternalKey", [Uint8Array.of(1, 2, 3, 1, 9, 0, 0, 0, 0, 0, 0)], decodeInternalKey),
  value("decodeBlobPlace", [Uint8Array.of(1, 10, 40, 200, 39, 0)], decodeBlobPlace),
  value("decodeVersionEdit", edits, decodeVersionEdit),
  value("decodeBatch", [batchOf(7, [
    { put: Uint8Array.of(1), value: Uint8Array.of(2, 3) },
    { delete: Uint8Array.of(4) },
    { from: Uint8Array.of(5), to: Uint8Array.of(6) },
  ])], (input) => {
    for (const _ of decodeBatch(input));
  }),
  value("dataBlock", [block], (input) => {
    for (const _ of dataBlock(input, 0).entries(Uint8Array.of(97, 97)));
  }),
  value("indexBlock", [Uint8Array.of(0, 1, 97, 0, 9, 0, 1, 98, 14, 9, 0, 0, 0, 0, 1, 0, 0, 0)], (input) => {
    for (const _ of indexBlock(input, 0, true).entries());
  }),
  {
    name: "decodeFooter",
    seeds: [table.slice(-FOOTER_BYTES)],
    expected: (error) => error instanceof DecodeError || isStorageError(error),
    run: (input) => {
      const bytes = new Uint8Array(FOOTER_BYTES);
      bytes.set(input.subarray(0, FOOTER_BYTES));
      decodeFooter(bytes, table.length - FOOTER_BYTES, "table");
    },
  },
  {
    name: "readLog",
    seeds: [manifest],
    expected: isStorageError,
    run: (input) => {
      for (const _ of readLog(memoryFile("log", input), 0));
    },
  },
  ...[...files.keys()].map(withFile),
  value("decodeLogKey", [logKey(new Uint8Array(32).fill(3))], decodeLogKey),
  value("decodeDataIndex", [3, 300, 2 ** 20, 2 ** 40].map((n) => dataKey(1, "block", n)), decodeDataIndex),
  value(
    "decodeUserDataKey",
    ["color", "a\0b"].map((name) => dataKey(1, "userData", name)),
    decodeUserDataKey,
  ),
  value("decodeStoreHead", valuesOf(0), decodeStoreHead),
  value("decodeLogPointers", valuesOf(1), decodeLogPointers),
  value("decodeAuth", valuesOf(3, 0), decodeAuth),
  value("decodeSessions", valuesOf(3, 1), decodeSessions),
  value("decodeGroup", [Uint8Array.of(1, ...new Uint8Array(32).fill(5)), Uint8Array.of(0)], decodeGroup),
  value("decodeHead", valuesOf(4, 0), decodeHead),
  value("decodeDependency", valuesOf(4, 1), decodeDependency),
  value("decodeHints", valuesOf(4, 2), decodeHints),
  value("decodeTreeNode", valuesOf(4, 4), (input) => void decodeTreeNode(input, input[0] ?? 0)),
];
