/**
 * Logs as RocksDB writes them, of changes and of what files there are: records cut into fragments that do not cross blocks of
 * 32 KiB, each with a checksum.
 */
import { readUint32 } from "../../../encoding/fixed.ts";
import type { BlockCache } from "./block_cache.ts";
import { crc32c, maskCrc } from "./crc32c.ts";
import { damaged, type ReadableFile, unknown } from "./files.ts";

const BLOCK_BYTES = 32768;
/** Checksum, length and type; logs that reuse a file have their number in it as well. */
const HEADER_BYTES = 7;
const RECYCLABLE_HEADER_BYTES = 11;
/** Bytes that are read at once. */
const CHUNK_BYTES: number = 16 * BLOCK_BYTES;

const FULL = 1;
const FIRST = 2;
const LAST = 4;
/** Added to the four above where a file is used again. */
const RECYCLABLE = 4;
const COMPRESSION = 9;
/** Types from here on may be passed over. */
const IGNORABLE = 128;

/** A record, and where to find it again. */
export interface LogRecord {
  /** Its bytes; not to be kept, nor written to. */
  readonly bytes: Uint8Array;
  /** Where its first fragment begins in the file. */
  readonly offset: number;
}

interface Fragment {
  readonly type: number;
  readonly payload: Uint8Array;
  readonly offset: number;
}

/**
 * The records of a log in order. A record that the end of the file cuts short was never acknowledged, and is left out.
 *
 * @returns whether there was such a record.
 * @throws {StorageError} STORE_CORRUPT if anything else is wrong; STORE_UNKNOWN if it is compressed.
 */
export function* readLog(file: ReadableFile, logNumber: number): Generator<LogRecord, boolean> {
  const parts: Uint8Array[] = [];
  let begin = -1;
  for (const { type, payload, offset } of readFragments(file, logNumber)) {
    const isStart = type === FULL || type === FIRST;
    if (isStart !== (begin === -1)) {
      throw damaged(file.name, offset, isStart ? "a record without end" : "a record without beginning");
    }
    if (type === FULL) {
      yield { bytes: payload, offset };
      continue;
    }
    if (type === FIRST) begin = offset;
    parts.push(payload.slice());
    if (type !== LAST) continue;
    yield { bytes: join(parts), offset: begin };
    parts.length = 0;
    begin = -1;
  }
  return begin !== -1;
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function* readFragments(file: ReadableFile, logNumber: number): Generator<Fragment> {
  for (let chunkAt = 0; chunkAt < file.size; chunkAt += CHUNK_BYTES) {
    const chunk = file.read(chunkAt, Math.min(CHUNK_BYTES, file.size - chunkAt));
    for (let blockAt = 0; blockAt < chunk.length; blockAt += BLOCK_BYTES) {
      const block = chunk.subarray(blockAt, blockAt + BLOCK_BYTES);
      for (let at = 0; block.length - at >= HEADER_BYTES;) {
        const offset = chunkAt + blockAt + at;
        const fragment = parseFragment(file, block, at, offset, logNumber);
        if (fragment === "end") return;
        if (fragment === "padding") break;
        at += fragment.length;
        if (fragment.type === COMPRESSION) throwIfCompressed(file, fragment.payload);
        else if (fragment.type < IGNORABLE) yield { type: fragment.type, payload: fragment.payload, offset };
      }
    }
  }
}

/** A fragment; or that the rest of the block, or all that follows, is nothing. */
function parseFragment(
  file: ReadableFile,
  block: Uint8Array,
  at: number,
  offset: number,
  logNumber: number,
): { type: number; payload: Uint8Array; length: number } | "end" | "padding" {
  const type = block[at + 6]!;
  const size = block[at + 4]! | block[at + 5]! << 8;
  if (type === 0 && size === 0) return "padding";
  const isRecyclable = type > RECYCLABLE && type <= 2 * RECYCLABLE;
  const headerBytes = isRecyclable ? RECYCLABLE_HEADER_BYTES : HEADER_BYTES;
  const end = at + headerBytes + size;
  if (end > block.length) {
    if (block.length < BLOCK_BYTES && !isFollowed(block, at + 1)) return "end";
    throw damaged(file.name, offset, "a record reaches over the end of its block");
  }
  if (maskCrc(crc32c(block.subarray(at + 6, end))) !== readUint32(block, at)) {
    throw damaged(file.name, offset, "the checksum of a record does not fit");
  }
  if (isRecyclable && readUint32(block, at + HEADER_BYTES) !== logNumber % 2 ** 32) return "end";
  const plain = isRecyclable ? type - RECYCLABLE : type;
  if (plain > LAST && plain !== COMPRESSION && plain < IGNORABLE) {
    throw unknown(file.name, `a record has the type ${type}, which is not known`);
  }
  return { type: plain, payload: block.subarray(at + headerBytes, end), length: headerBytes + size };
}

/** Whether a whole record is in the block at or behind `from`: then what comes before it was not cut off, but damaged. */
function isFollowed(block: Uint8Array, from: number): boolean {
  for (let at = from; at + HEADER_BYTES <= block.length; at++) {
    const type = block[at + 6]!;
    const end = at + HEADER_BYTES + (block[at + 4]! | block[at + 5]! << 8);
    if (type === 0 || type > LAST || end > block.length) continue;
    if (maskCrc(crc32c(block.subarray(at + 6, end))) === readUint32(block, at)) return true;
  }
  return false;
}

function throwIfCompressed(file: ReadableFile, payload: Uint8Array): void {
  if (payload.length < 4 || readUint32(payload, 0) !== 0) throw unknown(file.name, "it is compressed");
}

/** Fragments of logs that were read again, by their places. */
export type FragmentCache = BlockCache<Uint8Array>;

/**
 * Reads a part of a record again: the `length` bytes from `start` of the one whose first fragment is at `offset`.
 *
 * @throws {StorageError} STORE_CORRUPT if it is not what it was.
 */
export function readRecordPart(
  file: ReadableFile,
  cache: FragmentCache,
  offset: number,
  start: number,
  length: number,
): Uint8Array {
  const part = new Uint8Array(length);
  const type = file.read(offset + 6, 1)[0]!;
  const isRecyclable = type > RECYCLABLE && type <= 2 * RECYCLABLE;
  const headerBytes = isRecyclable ? RECYCLABLE_HEADER_BYTES : HEADER_BYTES;
  // Every fragment but the last fills its block, so that one can tell where a byte is without reading those before.
  let at = offset;
  let skipped = 0;
  const firstBytes = BLOCK_BYTES - offset % BLOCK_BYTES - headerBytes;
  if (start >= firstBytes) {
    const blocks = Math.floor((start - firstBytes) / (BLOCK_BYTES - headerBytes));
    at += headerBytes + firstBytes + blocks * BLOCK_BYTES;
    skipped = firstBytes + blocks * (BLOCK_BYTES - headerBytes);
  }
  for (let done = 0; done < length;) {
    const payload = cache.get(`${file.name}:${at}`, () => {
      const block = readFragment(file, at, headerBytes);
      return { block, bytes: block.length };
    });
    const from = start + done - skipped;
    const piece = payload.subarray(from, from + length - done);
    if (piece.length === 0) throw damaged(file.name, at, "a record is shorter than it was");
    part.set(piece, done);
    done += piece.length;
    skipped += payload.length;
    at += headerBytes + payload.length;
  }
  return part;
}

function readFragment(file: ReadableFile, at: number, headerBytes: number): Uint8Array {
  const rest = Math.min(BLOCK_BYTES - at % BLOCK_BYTES, file.size - at);
  const bytes = file.read(at, Math.max(rest, headerBytes));
  const end = headerBytes + (bytes[4]! | bytes[5]! << 8);
  if (end > bytes.length || maskCrc(crc32c(bytes.subarray(6, end))) !== readUint32(bytes, 0)) {
    throw damaged(file.name, at, "the checksum of a record does not fit");
  }
  return bytes.subarray(headerBytes, end);
}
