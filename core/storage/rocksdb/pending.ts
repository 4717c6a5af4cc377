/**
 * What is in the logs of a database and not yet in its tables.
 */
import { compare, Slab } from "../../../encoding/bytes.ts";
import { DecodeError } from "../../../encoding/codec.ts";
import { BlockCache } from "./block_cache.ts";
import { type BatchRecord, decodeBatch } from "./batch.ts";
import type { Entry } from "./entry.ts";
import { VALUE_TYPES } from "./fields.ts";
import { damaged, type OpenFiles } from "./files.ts";
import { type FragmentCache, readLog, readRecordPart } from "./log_file.ts";
import { type RangeDeletion, RangeDeletions } from "./tombstones.ts";

/** Values up to this many bytes are kept; longer ones are read from the log again, which may have gigabytes of them. */
const MAX_KEPT_BYTES = 256;
/** Bytes of logs that are kept when they were read again. */
const CACHE_BYTES = 2 ** 20;

interface PendingEntry {
  readonly key: Uint8Array;
  readonly sequence: number;
  readonly type: number;
  readonly value: Uint8Array | ValuePlace;
}

/** Where a value is in a log. */
interface ValuePlace {
  readonly file: string;
  /** Where the record of its batch begins. */
  readonly record: number;
  /** Where it begins in the batch. */
  readonly start: number;
  readonly length: number;
}

/** The latest changes of one column family. */
export class PendingChanges {
  readonly #files: OpenFiles;
  readonly #cache: FragmentCache = new BlockCache(CACHE_BYTES);
  readonly #entries: readonly PendingEntry[];
  readonly #deletions: RangeDeletions;

  /**
   * Reads the logs `numbers`, in order, for the family `id`.
   *
   * @throws {StorageError} STORE_CORRUPT if they are damaged, or one that is not the last is cut short.
   */
  constructor(files: OpenFiles, numbers: readonly number[], id: number) {
    this.#files = files;
    const entries: PendingEntry[] = [];
    const slab = new Slab();
    const deletions: RangeDeletion[] = [];
    for (const number of numbers) {
      const name = logName(number);
      const isCut = readChanges(files, name, number, id, slab, entries, deletions);
      if (isCut && number !== numbers.at(-1)) {
        throw damaged(name, files.get(name).size, "the log is cut short, and others follow");
      }
    }
    // By key, the latest first; only that one counts.
    entries.sort((a, b) => compare(a.key, b.key) || b.sequence - a.sequence);
    this.#entries = entries.filter(({ key }, i) => i === 0 || compare(entries[i - 1]!.key, key) !== 0);
    this.#deletions = new RangeDeletions(deletions);
  }

  /** The changes of keys from `start` on, by key. */
  *entries(start: Uint8Array): Generator<Entry> {
    for (let i = this.#find(start); i < this.#entries.length; i++) {
      const { key, sequence, type, value } = this.#entries[i]!;
      yield { key, sequence, type, value: () => value instanceof Uint8Array ? value : this.#read(value) };
    }
  }

  /** When `key` was deleted together with others; -1 if it never was. */
  deletedAt(key: Uint8Array): number {
    return this.#deletions.sequenceOf(key);
  }

  #read({ file, record, start, length }: ValuePlace): Uint8Array {
    return readRecordPart(this.#files.get(file), this.#cache, record, start, length);
  }

  #find(key: Uint8Array): number {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compare(this.#entries[middle]!.key, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** The name of a log. */
function logName(number: number): string {
  return `${String(number).padStart(6, "0")}.log`;
}

/** Adds the changes of one log; true if its end is cut off. */
function readChanges(
  files: OpenFiles,
  name: string,
  number: number,
  id: number,
  slab: Slab,
  entries: PendingEntry[],
  deletions: RangeDeletion[],
): boolean {
  const records = readLog(files.get(name), number);
  for (;;) {
    const { value: record, done } = records.next();
    if (done) return record;
    const { bytes, offset } = record;
    try {
      for (const change of decodeBatch(bytes)) {
        if (change.columnFamily !== id) continue;
        const { key, value, sequence, type } = change;
        if (type === VALUE_TYPES.rangeDeletion) {
          deletions.push({ start: key.slice(), end: value.slice(), sequence });
        } else {entries.push({
            key: copy(slab, key),
            sequence,
            type,
            value: keep(slab, change, name, offset),
          });}
      }
    } catch (error) {
      if (error instanceof DecodeError) throw damaged(name, offset, error.message, error);
      throw error;
    }
  }
}

function keep(
  slab: Slab,
  { value, valueOffset }: BatchRecord,
  file: string,
  record: number,
): Uint8Array | ValuePlace {
  if (value.length <= MAX_KEPT_BYTES) return copy(slab, value);
  return { file, record, start: valueOffset, length: value.length };
}

/** A copy among others: hundreds of thousands of small arrays, each with memory of its own, keep the collector busy. */
function copy(slab: Slab, bytes: Uint8Array): Uint8Array {
  const copied = slab.alloc(bytes.length);
  copied.set(bytes);
  return copied;
}
