/**
 * The fields that RocksDB's records are made of.
 */
import { type Cursor, DecodeError } from "../../../encoding/codec.ts";

/** Bytes of what follows the user's key in an internal one. */
export const KEY_SUFFIX_BYTES = 8;

/** What an entry of a table or a batch is, as RocksDB numbers it (`db/dbformat.h`). */
export const VALUE_TYPES = {
  deletion: 0x0,
  value: 0x1,
  singleDeletion: 0x7,
  rangeDeletion: 0xf,
  blobIndex: 0x11,
} as const;

/** Reads an integer in groups of seven bits, the lowest first. */
export function takeVarint(cursor: Cursor): number {
  const at = cursor.start;
  let value = 0;
  for (let scale = 1; scale < 2 ** 64; scale *= 128) {
    const byte = cursor.buffer[cursor.take(1)]!;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) {
      if (Number.isSafeInteger(value)) return value;
      break;
    }
  }
  throw new DecodeError("Expected an integer below 2^53", at);
}

/** Reads such an integer that may be negative: the lowest bit is the sign. */
export function takeSignedVarint(cursor: Cursor): number {
  const value = takeVarint(cursor);
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}

/** Reads a length and that many bytes, as a view. */
export function takeBytes(cursor: Cursor): Uint8Array {
  const at = cursor.take(takeVarint(cursor));
  return cursor.buffer.subarray(at, cursor.start);
}

/** An internal key: the user's, with the version and what is there. */
export interface InternalKey {
  /** The user's key. */
  readonly key: Uint8Array;
  /** The number of the write; larger is later. Infinite in the bounds of ranges. */
  readonly sequence: number;
  /** One of {@linkcode VALUE_TYPES}. */
  readonly type: number;
}

/** Takes an internal key apart. @throws {DecodeError} if it is too short. */
export function decodeInternalKey(bytes: Uint8Array): InternalKey {
  const at = bytes.length - KEY_SUFFIX_BYTES;
  if (at < 0) throw new DecodeError("Expected a key with its version", 0);
  let sequence = 0;
  for (let i = 7; i >= 1; i--) sequence = sequence * 256 + bytes[at + i]!;
  return {
    key: bytes.subarray(0, at),
    sequence: Number.isSafeInteger(sequence) ? sequence : Infinity,
    type: bytes[at]!,
  };
}
