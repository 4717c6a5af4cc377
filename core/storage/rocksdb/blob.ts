/**
 * Large values, which are in files of their own; a table only says where.
 */
import { equals } from "../../../encoding/bytes.ts";
import { Cursor, DecodeError } from "../../../encoding/codec.ts";
import { readUint32, uint64 } from "../../../encoding/fixed.ts";
import { crc32c, maskCrc } from "./crc32c.ts";
import { takeVarint } from "./fields.ts";
import { damaged, type OpenFiles, unknown } from "./files.ts";

/** Bytes before the key of a value: the length of the key and of the value, when it expires, sums of these and of it. */
const HEADER_BYTES = 32;
const HEADER_SUM_AT = 24;
const SUM_AT = 28;
/** The kind of a place that is not in the table itself, and has no time at which it expires. */
const PLACE_IN_FILE = 1;
/** Most bytes of a value: more than a store may hold. */
const MAX_BLOB_BYTES = 2 ** 30;

/** Where a large value is. */
export interface BlobPlace {
  /** What the name of the file is made of. */
  readonly file: number;
  /** Its first byte, behind the key. */
  readonly offset: number;
  /** Its bytes. */
  readonly size: number;
  /** How it is compressed; 0 is not at all. */
  readonly compression: number;
}

/** Decodes where a value is. @throws {DecodeError} if that is of another kind. */
export function decodeBlobPlace(bytes: Uint8Array): BlobPlace {
  const cursor = new Cursor(bytes);
  const kind = bytes[cursor.take(1)]!;
  if (kind !== PLACE_IN_FILE) throw new DecodeError(`Expected a value in a file, found the kind ${kind}`, 0);
  const place = { file: takeVarint(cursor), offset: takeVarint(cursor), size: takeVarint(cursor) };
  return { ...place, compression: bytes[cursor.take(1)]! };
}

/**
 * Reads the value of `key`.
 *
 * @throws {StorageError} STORE_CORRUPT if something else is there; STORE_UNKNOWN if it is compressed.
 */
export function readBlob(files: OpenFiles, key: Uint8Array, place: BlobPlace): Uint8Array {
  const { file: number, offset, size, compression } = place;
  const name = `${String(number).padStart(6, "0")}.blob`;
  if (compression !== 0) throw unknown(name, `a value is compressed, by method ${compression}`);
  const file = files.get(name);
  const at = offset - key.length - HEADER_BYTES;
  if (at < 0 || size > MAX_BLOB_BYTES || offset + size > file.size) {
    throw damaged(name, offset, `a value of ${size} bytes is not there`);
  }
  const bytes = file.read(at, HEADER_BYTES + key.length + size);
  const cursor = new Cursor(bytes);
  const fits = maskCrc(crc32c(bytes.subarray(0, HEADER_SUM_AT))) === readUint32(bytes, HEADER_SUM_AT) &&
    uint64.decode(cursor) === key.length && uint64.decode(cursor) === size &&
    equals(bytes.subarray(HEADER_BYTES, HEADER_BYTES + key.length), key) &&
    maskCrc(crc32c(bytes.subarray(HEADER_BYTES))) === readUint32(bytes, SUM_AT);
  if (!fits) throw damaged(name, at, "the checksum of a value does not fit");
  return bytes.subarray(HEADER_BYTES + key.length);
}
