/**
 * Where a large value is: which of the files of a store, and where in it.
 */
import { type Codec, type Cursor, decodeExact, encode } from "../../../encoding/codec.ts";
import { uint32, uint64 } from "../../../encoding/fixed.ts";

/** A value in a file. */
export interface Place {
  /** The number of the file. */
  readonly file: number;
  /** Where it begins there, in bytes. */
  readonly offset: number;
  /** How many bytes it has. */
  readonly length: number;
  /** Its CRC-32. */
  readonly sum: number;
}

/** From how many bytes on a block is kept in a file. */
export const LARGE_BYTES = 4096;
/** Bytes of a place as the engine below keeps it. */
export const PLACE_BYTES = 20;

/** A place as the engine below keeps it. */
export const place: Codec<Place> = {
  size: () => PLACE_BYTES,
  encode(cursor: Cursor, { file, offset, length, sum }: Place) {
    uint32.encode(cursor, file);
    uint64.encode(cursor, offset);
    uint32.encode(cursor, length);
    uint32.encode(cursor, sum);
  },
  decode(cursor: Cursor): Place {
    return {
      file: uint32.decode(cursor),
      offset: uint64.decode(cursor),
      length: uint32.decode(cursor),
      sum: uint32.decode(cursor),
    };
  },
};

/** A place as bytes. */
export const encodePlace = (value: Place): Uint8Array => encode(place, value);
/** A place from bytes. @throws {DecodeError} if they are none. */
export const decodePlace = (bytes: Uint8Array): Place => decodeExact(place, bytes);
