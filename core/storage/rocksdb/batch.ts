/**
 * Batches of changes, as they are written to a log.
 */
import { Cursor, DecodeError } from "../../../encoding/codec.ts";
import { uint32, uint64 } from "../../../encoding/fixed.ts";
import { takeBytes, takeVarint, VALUE_TYPES } from "./fields.ts";

/** What a record of a batch is (`db/dbformat.h`). Those of families have the number of one in front. */
const RECORD = {
  deletion: 0x0,
  value: 0x1,
  logData: 0x3,
  familyDeletion: 0x4,
  familyValue: 0x5,
  singleDeletion: 0x7,
  familySingleDeletion: 0x8,
  noop: 0xd,
  familyRangeDeletion: 0xe,
  rangeDeletion: 0xf,
  familyBlobIndex: 0x10,
  blobIndex: 0x11,
} as const;

/** One change. */
export interface BatchRecord {
  /** One of {@linkcode VALUE_TYPES}. */
  readonly type: number;
  /** Which column family; 0 is the default one. */
  readonly columnFamily: number;
  /** The key; for the deletion of a range, its begin. A view of the batch. */
  readonly key: Uint8Array;
  /** The value; for the deletion of a range its end, which is not included; else empty. A view of the batch. */
  readonly value: Uint8Array;
  /** Where the value begins in the batch. */
  readonly valueOffset: number;
  /** The number of the write. */
  readonly sequence: number;
}

const TYPES: Readonly<Record<number, number>> = {
  [RECORD.deletion]: VALUE_TYPES.deletion,
  [RECORD.familyDeletion]: VALUE_TYPES.deletion,
  [RECORD.singleDeletion]: VALUE_TYPES.singleDeletion,
  [RECORD.familySingleDeletion]: VALUE_TYPES.singleDeletion,
  [RECORD.value]: VALUE_TYPES.value,
  [RECORD.familyValue]: VALUE_TYPES.value,
  [RECORD.rangeDeletion]: VALUE_TYPES.rangeDeletion,
  [RECORD.familyRangeDeletion]: VALUE_TYPES.rangeDeletion,
  [RECORD.blobIndex]: VALUE_TYPES.blobIndex,
  [RECORD.familyBlobIndex]: VALUE_TYPES.blobIndex,
};
const OF_FAMILIES: ReadonlySet<number> = new Set<number>([
  RECORD.familyDeletion,
  RECORD.familyValue,
  RECORD.familySingleDeletion,
  RECORD.familyRangeDeletion,
  RECORD.familyBlobIndex,
]);

/**
 * The changes of a batch, in order.
 *
 * @throws {DecodeError} if it is not what a batch is, has another number of changes than it says, or one of a kind that
 * is not known: merges, transactions, wide columns.
 */
export function* decodeBatch(bytes: Uint8Array): Generator<BatchRecord> {
  const cursor = new Cursor(bytes);
  const first = uint64.decode(cursor);
  const count = uint32.decode(cursor);
  let done = 0;
  while (cursor.remaining > 0) {
    const at = cursor.start;
    const tag = bytes[cursor.take(1)]!;
    if (tag === RECORD.noop) continue;
    if (tag === RECORD.logData) {
      takeBytes(cursor);
      continue;
    }
    const type = TYPES[tag];
    if (type === undefined) throw new DecodeError(`A change of the kind ${tag} is not known`, at);
    const columnFamily = OF_FAMILIES.has(tag) ? takeVarint(cursor) : 0;
    const key = takeBytes(cursor);
    const hasValue = type !== VALUE_TYPES.deletion && type !== VALUE_TYPES.singleDeletion;
    const value = hasValue ? takeBytes(cursor) : bytes.subarray(0, 0);
    const valueOffset = cursor.start - value.length;
    yield { type, columnFamily, key, value, valueOffset, sequence: first + done++ };
  }
  if (done !== count) throw new DecodeError(`Expected ${count} changes, found ${done}`, 8);
}
