/**
 * How far the engine below has come: what is written in it with each transaction.
 */
import { type Codec, type Cursor, decodeExact, encode } from "../../../encoding/codec.ts";
import { uint } from "../../../encoding/varint.ts";

/** The name under which it is kept in the store's own layer. */
export const MARK = "deferred";

/** How far the engine below has come. */
export interface Mark {
  /** Only frames of this epoch follow. */
  readonly epoch: number;
  /** The number of the last frame that it holds. */
  readonly number: number;
  /** The position behind that frame. */
  readonly position: number;
}

/** A mark as bytes. */
export const mark: Codec<Mark> = {
  size: ({ epoch, number, position }: Mark) => uint.size(epoch) + uint.size(number) + uint.size(position),
  encode(cursor: Cursor, { epoch, number, position }: Mark) {
    for (const part of [epoch, number, position]) uint.encode(cursor, part);
  },
  decode: (cursor: Cursor): Mark => ({
    epoch: uint.decode(cursor),
    number: uint.decode(cursor),
    position: uint.decode(cursor),
  }),
};

/** A mark as bytes. */
export const encodeMark = (value: Mark): Uint8Array => encode(mark, value);
/** A mark from bytes; that of a new store if there are none. @throws {DecodeError} if they are no mark. */
export const decodeMark = (bytes: Uint8Array | undefined): Mark =>
  bytes === undefined ? { epoch: 0, number: 0, position: 0 } : decodeExact(mark, bytes);
