/**
 * The end of a table, which says how to read the rest, and how its blocks are summed.
 */
import { Cursor, DecodeError } from "../../../encoding/codec.ts";
import { readUint32, uint32 } from "../../../encoding/fixed.ts";
import { BLOCK_TRAILER_BYTES, type BlockHandle, takeHandle } from "./block.ts";
import { crc32c, maskCrc } from "./crc32c.ts";
import { unknown } from "./files.ts";
import { xxh3Low } from "./xxh3.ts";

/** Bytes of the end: the kind of sums, what the version makes of 40 bytes, the version, the magic number. */
export const FOOTER_BYTES = 53;
/** Where the version is. */
const VERSION_AT = 41;
/** `0x88e241b785f4cff7`, the lower half first. */
const MAGIC: readonly [number, number] = [0x85f4cff7, 0x88e241b7];
/** What begins the 40 bytes from version 6 on. */
const EXTENDED_MAGIC = 0x007a003e;
/** The version that sums the end and names the place in each sum. */
const VERSION_WITH_CONTEXT = 6;
const MIN_VERSION = 3;
const MAX_VERSION = 7;

/** Kinds of sums (`ChecksumType`). */
const SUM_NONE = 0;
const SUM_CRC32C = 1;
const SUM_XXH3 = 4;
/** What the last byte of a block is multiplied by (`table/format.cc`). */
const LAST_BYTE_PRIME = 0x6b9083d9;

/** What the end of a table says. */
export interface Footer {
  /** The version of the table. */
  readonly version: number;
  /** How blocks are summed. */
  readonly sumType: number;
  /** What is mixed into sums, so that a block of another file or place is not taken for this one; 0 for nothing. */
  readonly context: number;
  /** The index of what is beside the data. */
  readonly metaIndex: BlockHandle;
}

/**
 * Decodes the last {@linkcode FOOTER_BYTES} of a table, which begin at `offset`.
 *
 * @throws {DecodeError} if they are not the end of a table.
 * @throws {StorageError} STORE_UNKNOWN if it has another version than 6 or 7 or is summed otherwise.
 */
export function decodeFooter(bytes: Uint8Array, offset: number, name: string): Footer {
  const cursor = new Cursor(bytes);
  const sumType = bytes[cursor.take(1)]!;
  if (readUint32(bytes, VERSION_AT + 4) !== MAGIC[0] || readUint32(bytes, VERSION_AT + 8) !== MAGIC[1]) {
    throw new DecodeError("Expected the magic number of a table", VERSION_AT + 4);
  }
  const version = readUint32(bytes, VERSION_AT);
  if (version < MIN_VERSION || version > MAX_VERSION) {
    throw unknown(name, `the table has the version ${version}`);
  }
  if (sumType !== SUM_NONE && sumType !== SUM_CRC32C && sumType !== SUM_XXH3) {
    throw unknown(name, `the table is summed by method ${sumType}`);
  }
  if (version < VERSION_WITH_CONTEXT) {
    return { version, sumType, context: 0, metaIndex: takeHandle(cursor) };
  }
  if (uint32.decode(cursor) !== EXTENDED_MAGIC) throw new DecodeError("Expected the end of a table", 1);
  const sum = uint32.decode(cursor);
  const context = uint32.decode(cursor);
  const size = uint32.decode(cursor);
  const metaIndex = { offset: offset - BLOCK_TRAILER_BYTES - size, size };
  if (metaIndex.offset < 0) throw new DecodeError("Expected an index that fits into the file", 13);
  const footer = { version, sumType, context, metaIndex };
  const unsummed = bytes.slice();
  unsummed.fill(0, 5, 9);
  if (sum !== (sumOf(footer, offset, unsummed) ?? sum)) {
    throw new DecodeError("The checksum of the end of the table does not fit", 5);
  }
  return footer;
}

/** The sum of a block at `offset`, `bytes` with the byte that tells how it is compressed; undefined if none is made. */
export function sumOf({ sumType, context }: Footer, offset: number, bytes: Uint8Array): number | undefined {
  if (sumType === SUM_NONE) return undefined;
  const place = (offset % 2 ** 32 + Math.floor(offset / 2 ** 32)) >>> 0;
  const modifier = context === 0 ? 0 : (context ^ place) >>> 0;
  const plain = sumType === SUM_CRC32C ? maskCrc(crc32c(bytes)) : xxh3WithLast(bytes);
  return (plain + modifier) >>> 0;
}

function xxh3WithLast(bytes: Uint8Array): number {
  if (bytes.length === 0) return 0;
  const last = bytes.length - 1;
  return (xxh3Low(bytes.subarray(0, last)) ^ Math.imul(bytes[last]!, LAST_BYTE_PRIME)) >>> 0;
}
