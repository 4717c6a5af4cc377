/**
 * Writes the logs of a RocksDB database, so that tests can read what was never written by one.
 */
import { encode } from "../../../encoding/codec.ts";
import { concat } from "../../../encoding/bytes.ts";
import { uint32, uint64 } from "../../../encoding/fixed.ts";
import { crc32c, maskCrc } from "../../../core/storage/rocksdb/crc32c.ts";

const BLOCK = 32768;
const HEADER = 7;

/** One fragment of a log. */
export function fragment(type: number, payload: Uint8Array): Uint8Array {
  const body = concat([Uint8Array.of(type), payload]);
  const length = Uint8Array.of(payload.length & 255, payload.length >>> 8);
  return concat([encode(uint32, maskCrc(crc32c(body))), length, body]);
}

/** A log with these records. */
export function logOf(records: readonly Uint8Array[]): Uint8Array {
  const parts: Uint8Array[] = [];
  let at = 0;
  const push = (bytes: Uint8Array) => {
    parts.push(bytes);
    at += bytes.length;
  };
  for (const record of records) {
    let rest = record;
    for (let isFirst = true;; isFirst = false) {
      const left = BLOCK - at % BLOCK;
      if (left < HEADER) {
        push(new Uint8Array(left));
        continue;
      }
      const piece = rest.subarray(0, left - HEADER);
      rest = rest.subarray(piece.length);
      const isLast = rest.length === 0;
      push(fragment(isFirst ? (isLast ? 1 : 2) : (isLast ? 4 : 3), piece));
      if (isLast) break;
    }
  }
  return concat(parts);
}

/** An integer in groups of seven bits. */
export function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push(value % 128 + 128);
  return Uint8Array.of(...bytes, value);
}

/** A length and bytes. */
export function prefixed(bytes: Uint8Array): Uint8Array {
  return concat([varint(bytes.length), bytes]);
}

/** One change of family 1. */
export type Change =
  | { readonly put: Uint8Array; readonly value: Uint8Array }
  | { readonly delete: Uint8Array }
  | { readonly from: Uint8Array; readonly to: Uint8Array };

/** A batch whose first change has the number `sequence`. */
export function batchOf(sequence: number, changes: readonly Change[]): Uint8Array {
  const records = changes.map((change) => {
    if ("put" in change) return [Uint8Array.of(5, 1), prefixed(change.put), prefixed(change.value)];
    if ("delete" in change) return [Uint8Array.of(4, 1), prefixed(change.delete)];
    return [Uint8Array.of(14, 1), prefixed(change.from), prefixed(change.to)];
  });
  return concat([encode(uint64, sequence), encode(uint32, changes.length), ...records.flat()]);
}

/** The files of a database of one family, `corestore`, that has nothing but the log number 4. */
export function databaseOf(log: Uint8Array): Map<string, Uint8Array> {
  const text = (value: string) => new TextEncoder().encode(value);
  const comparator = concat([varint(1), prefixed(text("leveldb.BytewiseComparator"))]);
  const family = concat([varint(200), varint(1), varint(201), prefixed(text("corestore")), comparator]);
  const position = concat([varint(200), varint(1), varint(2), varint(4)]);
  return new Map([
    ["CURRENT", text("MANIFEST-000005\n")],
    ["MANIFEST-000005", logOf([comparator, family, position])],
    ["000004.log", log],
  ]);
}
