/**
 * The file `oplog`: two places for the header, which are written in turn, and behind them the entries that came after it. Each is
 * a frame with a checksum, so that what was torn is told from what is whole.
 */
import { type Codec, decode, DecodeError, encode } from "../../../encoding/codec.ts";
import { readUint32, writeUint32 } from "../../../encoding/fixed.ts";
import { type OplogEntry, oplogEntry } from "./entry.ts";
import { type ExternalHeader, type V10Header, v10Header } from "./header.ts";

/** Bytes of each place for a header. Source: hypercore 10.38.2, `lib/oplog.js`. */
export const SLOT_BYTES = 4096;
/** Where entries begin. */
export const ENTRIES_START: number = 2 * SLOT_BYTES;
/** Checksum and length. */
const FRAME_BYTES = 8;
/** The length of a frame shares 32 bits with two flags. */
const MAX_PAYLOAD_BYTES = 2 ** 30 - 1;

const BIT = 1;
const PARTIAL = 2;

/** The bits of both places: their sum, modulo 2, is the place that counts, and the bit of all entries that belong to it. */
export type SlotBits = readonly [first: number, second: number];

/** The bits that a new log begins with, which make it write the first place first. */
export const FRESH_BITS: SlotBits = [1, 0];

/** The place that counts. */
export function activeSlot(bits: SlotBits): 0 | 1 {
  return (bits[0] + bits[1]) % 2 === 0 ? 0 : 1;
}

/** The bits after the other place was written. */
export function flippedBits([first, second]: SlotBits): SlotBits {
  return first === second ? [first, 1 - second] : [1 - first, second];
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let i = 0; i < 8; i++) value = (value >>> 1) ^ (value & 1 ? 0xedb88320 : 0);
  return value;
});

/** CRC-32 of IEEE 802.3 over `bytes[start..end)`. */
function crc32(bytes: Uint8Array, start: number, end: number): number {
  let value = 0xffffffff;
  for (let i = start; i < end; i++) value = (value >>> 8) ^ CRC_TABLE[(value ^ bytes[i]!) & 0xff]!;
  return (value ^ 0xffffffff) >>> 0;
}

/** A frame: CRC-32 of all behind it, length and flags, payload. @throws {RangeError} if the payload is too long. */
export function encodeFrame<T>(codec: Codec<T>, value: T, bit: number, isPartial = false): Uint8Array {
  const payload = encode(codec, value);
  if (payload.length > MAX_PAYLOAD_BYTES) {
    throw new RangeError(`${payload.length} bytes are too many to write`);
  }
  const frame = new Uint8Array(FRAME_BYTES + payload.length);
  writeUint32(frame, 4, payload.length * 4 + (isPartial ? PARTIAL : 0) + bit * BIT);
  frame.set(payload, FRAME_BYTES);
  writeUint32(frame, 0, crc32(frame, 4, frame.length));
  return frame;
}

interface Frame<T> {
  readonly value: T;
  readonly bit: number;
  readonly isPartial: boolean;
  readonly end: number;
}

/** The frame at `at`; undefined if there is none that is whole and makes sense. */
function readFrame<T>(codec: Codec<T>, bytes: Uint8Array, at: number): Frame<T> | undefined {
  if (at + FRAME_BYTES > bytes.length) return undefined;
  const word = readUint32(bytes, at + 4);
  const end = at + FRAME_BYTES + Math.floor(word / 4);
  if (end > bytes.length || crc32(bytes, at + 4, end) !== readUint32(bytes, at)) return undefined;
  try {
    const value = decode(codec, bytes.subarray(at + FRAME_BYTES, end));
    return { value, bit: word & BIT, isPartial: (word & PARTIAL) !== 0, end };
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

/** What an oplog holds. */
export interface Oplog {
  /** The bits of both places. */
  readonly bits: SlotBits;
  /** The header that counts. */
  readonly header: V10Header | ExternalHeader;
  /** What came after it, whole chains only, and where each ends. */
  readonly entries: readonly {
    readonly entry: OplogEntry;
    readonly end: number;
    readonly isPartial: boolean;
  }[];
  /** Whether a header or an entry is there that is not whole: writing it was cut short, or it has rotted since. */
  readonly isTorn: boolean;
}

/**
 * Reads an oplog; undefined if no header was ever written whole.
 *
 * @throws {DecodeError} if there was one, and both places are damaged.
 */
export function decodeOplog(bytes: Uint8Array): Oplog | undefined {
  const first = readFrame(v10Header, bytes, 0);
  const second = readFrame(v10Header, bytes, SLOT_BYTES);
  if (first === undefined && second === undefined) {
    if (bytes.length < ENTRIES_START) return undefined;
    throw new DecodeError("Expected a header in at least one of its two places", 0);
  }
  // Where one is torn it was being written, hence the other one counts.
  const bits: SlotBits = [first?.bit ?? 1 - second!.bit, second?.bit ?? first!.bit];
  const active = activeSlot(bits);
  const entries: Oplog["entries"][number][] = [];
  let isTorn = [first, second].some((slot, i) =>
    slot === undefined && !isBlank(bytes, i * SLOT_BYTES, SLOT_BYTES)
  );
  for (let at = ENTRIES_START;;) {
    const frame = readFrame(oplogEntry, bytes, at);
    if (frame === undefined) isTorn ||= !isBlank(bytes, at, bytes.length);
    if (frame === undefined || frame.bit !== active) break;
    entries.push({ entry: frame.value, end: frame.end, isPartial: frame.isPartial });
    at = frame.end;
  }
  while (entries.at(-1)?.isPartial) entries.pop();
  return { bits, header: (active === 0 ? first : second)!.value, entries, isTorn };
}

function isBlank(bytes: Uint8Array, start: number, size: number): boolean {
  return bytes.subarray(start, start + size).every((byte) => byte === 0);
}
