/**
 * What peers say about a log, but for requests and proofs: those are in `core/log/proof_messages.ts`.
 *
 * Byte by byte in `docs/spec/hypercore.md`. Source: hypercore 11.37.1 and 10.38.2, lib/messages.js.
 */
import { fixed32, rawBuffer } from "../../encoding/buffers.ts";
import { Slab } from "../../encoding/bytes.ts";
import { type Codec, Cursor, DecodeError } from "../../encoding/codec.ts";
import { string } from "../../encoding/strings.ts";
import { uint } from "../../encoding/varint.ts";
import { type LogData, logData } from "../log/proof_messages.ts";
import { MAX_BITFIELD_WORDS, MAX_EXTENSION_NAME_BYTES } from "./constants.ts";

/** The first words of each side. */
export interface Handshake {
  /** Whether it understands requests for seeks. */
  readonly canSeek: boolean;
  /** The proof that it knows the key of the log; see `capability.ts`. */
  readonly capability: Uint8Array;
}

/** The handshake: flags and 32 bytes, which are copied. */
export const handshake: Codec<Handshake> = {
  size: () => 33,
  encode(cursor: Cursor, { canSeek, capability }: Handshake): void {
    uint.encode(cursor, canSeek ? 1 : 0);
    fixed32.encode(cursor, capability);
  },
  decode(cursor: Cursor): Handshake {
    const flags = uint.decode(cursor);
    return { canSeek: (flags & 1) !== 0, capability: fixed32.decode(cursor).slice() };
  },
};

/** How a peer's log stands, and what the peer knows and does. */
export interface Sync {
  /** Its fork. */
  readonly fork: number;
  /** Its length. */
  readonly length: number;
  /** The length that it believes the other side to have; 0 if the forks differ. */
  readonly remoteLength: number;
  /** Whether it can prove the way from there to its own length. */
  readonly canUpgrade: boolean;
  /** Whether it answers requests. */
  readonly isUploading: boolean;
  /** Whether it makes requests. */
  readonly isDownloading: boolean;
  /** Whether it knows the manifest, and the key is not that of the signer. */
  readonly hasManifest: boolean;
  /** Whether it takes blocks that it has not asked for. */
  readonly allowPush: boolean;
}

/** The message `sync`. */
export const sync: Codec<Sync> = {
  size: ({ fork, length, remoteLength }: Sync) =>
    1 + uint.size(fork) + uint.size(length) + uint.size(remoteLength),
  encode(cursor: Cursor, value: Sync): void {
    uint.encode(
      cursor,
      (value.canUpgrade ? 1 : 0) | (value.isUploading ? 2 : 0) | (value.isDownloading ? 4 : 0) |
        (value.hasManifest ? 8 : 0) | (value.allowPush ? 16 : 0),
    );
    uint.encode(cursor, value.fork);
    uint.encode(cursor, value.length);
    uint.encode(cursor, value.remoteLength);
  },
  decode(cursor: Cursor): Sync {
    const flags = uint.decode(cursor);
    return {
      fork: uint.decode(cursor),
      length: uint.decode(cursor),
      remoteLength: uint.decode(cursor),
      canUpgrade: (flags & 1) !== 0,
      isUploading: (flags & 2) !== 0,
      isDownloading: (flags & 4) !== 0,
      hasManifest: (flags & 8) !== 0,
      allowPush: (flags & 16) !== 0,
    };
  },
};

/** A request that is not to be answered any more: the message `cancel` is its id. */
export const cancel: Codec<number> = {
  size: (request: number) => uint.size(request),
  encode: (cursor: Cursor, request: number): void => uint.encode(cursor, request),
  decode: (cursor: Cursor): number => uint.decode(cursor),
};

/** A request that cannot be answered. */
export interface NoData {
  /** Its id. */
  readonly request: number;
  /** Why: `NOT_AVAILABLE`, `INVALID_REQUEST`, or 0 if nothing is said, as hypercore 10 never does. */
  readonly reason: number;
}

/** The message `noData`. */
export const noData: Codec<NoData> = {
  size: ({ request, reason }: NoData) => uint.size(request) + 1 + (reason > 0 ? uint.size(reason) : 0),
  encode(cursor: Cursor, { request, reason }: NoData): void {
    uint.encode(cursor, request);
    uint.encode(cursor, reason > 0 ? 1 : 0);
    if (reason > 0) uint.encode(cursor, reason);
  },
  decode(cursor: Cursor): NoData {
    const request = uint.decode(cursor);
    const flags = cursor.remaining > 0 ? uint.decode(cursor) : 0;
    return { request, reason: (flags & 1) !== 0 ? uint.decode(cursor) : 0 };
  },
};

/** A region of which the sender wants, or no longer wants, to hear which blocks are there. */
export interface Want {
  /** Its first block. */
  readonly start: number;
  /** How many. */
  readonly length: number;
  /** Whether any one block of it will do. */
  readonly isAny: boolean;
}

/** The messages `want` and `unwant`. */
export const want: Codec<Want> = {
  size: ({ start, length, isAny }: Want) => uint.size(start) + uint.size(length) + (isAny ? 1 : 0),
  encode(cursor: Cursor, { start, length, isAny }: Want): void {
    uint.encode(cursor, start);
    uint.encode(cursor, length);
    if (isAny) uint.encode(cursor, 1);
  },
  decode(cursor: Cursor): Want {
    const [start, length] = [uint.decode(cursor), uint.decode(cursor)];
    const flags = cursor.remaining > 0 ? uint.decode(cursor) : 0;
    return { start, length, isAny: (flags & 1) !== 0 };
  },
};

/** Which blocks of a region are there. */
export interface BitfieldMessage {
  /** The first block, a multiple of 32. */
  readonly start: number;
  /** Bit n % 8 of byte n / 8, counted from the lowest, is block start + n; a multiple of 4 bytes. A view of what was received. */
  readonly bytes: Uint8Array;
}

/** The message `bitfield`. */
export const bitfield: Codec<BitfieldMessage> = {
  size: ({ start, bytes }: BitfieldMessage) => uint.size(start) + uint.size(bytes.length / 4) + bytes.length,
  encode(cursor: Cursor, { start, bytes }: BitfieldMessage): void {
    uint.encode(cursor, start);
    uint.encode(cursor, bytes.length / 4);
    rawBuffer.encode(cursor, bytes);
  },
  decode(cursor: Cursor): BitfieldMessage {
    const start = uint.decode(cursor);
    const at = cursor.start;
    const words = uint.decode(cursor);
    if (words > MAX_BITFIELD_WORDS) {
      throw new DecodeError(`Expected at most ${MAX_BITFIELD_WORDS} words of a bitfield, found ${words}`, at);
    }
    const from = cursor.take(4 * words);
    return { start, bytes: cursor.buffer.subarray(from, cursor.start) };
  },
};

/** Blocks that the sender has from now on, or has no longer. */
export interface BlockRange {
  /** Whether they are gone. */
  readonly isDrop: boolean;
  /** The first. */
  readonly start: number;
  /** How many. */
  readonly length: number;
}

/** The message `range`. */
export const range: Codec<BlockRange> = {
  size: ({ start, length }: BlockRange) => 1 + uint.size(start) + (length === 1 ? 0 : uint.size(length)),
  encode(cursor: Cursor, { isDrop, start, length }: BlockRange): void {
    uint.encode(cursor, (isDrop ? 1 : 0) | (length === 1 ? 2 : 0));
    uint.encode(cursor, start);
    if (length !== 1) uint.encode(cursor, length);
  },
  decode(cursor: Cursor): BlockRange {
    const flags = uint.decode(cursor);
    const start = uint.decode(cursor);
    return { isDrop: (flags & 1) !== 0, start, length: (flags & 2) !== 0 ? 1 : uint.decode(cursor) };
  },
};

/** Something that applications say to each other along with a log. */
export interface ExtensionMessage {
  /** Of which extension; empty for that of the message before. */
  readonly name: string;
  /** What; a view of what was received. */
  readonly message: Uint8Array;
}

/** The message `extension`. */
export const extension: Codec<ExtensionMessage> = {
  size: ({ name, message }: ExtensionMessage) => string.size(name) + message.length,
  encode(cursor: Cursor, { name, message }: ExtensionMessage): void {
    string.encode(cursor, name);
    rawBuffer.encode(cursor, message);
  },
  decode(cursor: Cursor): ExtensionMessage {
    const at = cursor.start;
    const name = string.decode(cursor);
    if (cursor.start - at > MAX_EXTENSION_NAME_BYTES) {
      throw new DecodeError("Expected a shorter name of an extension", at);
    }
    return { name, message: rawBuffer.decode(cursor) };
  },
};

/** Where small messages are copied to: they are forgotten soon, as what they bring is written. */
const received = new Slab(2 ** 14);

/**
 * The message `data` as it is received: copied as a whole, since what it proves outlives the frame. So its parts lie in one piece
 * of memory.
 */
export const ownedData: Codec<LogData> = {
  size: logData.size,
  encode: logData.encode,
  decode(cursor: Cursor): LogData {
    const at = cursor.take(cursor.remaining);
    const copy = received.alloc(cursor.start - at);
    copy.set(cursor.buffer.subarray(at, cursor.start));
    return logData.decode(new Cursor(copy));
  },
};
