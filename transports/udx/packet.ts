/**
 * The packet of UDX: a 20-byte header, little-endian throughout, then SACK ranges or padding, then payload.
 *
 * ```text
 *  0 magic | 1 version | 2 type | 3 data offset | 4 stream id | 8 receive window | 12 seq | 16 ack | 20 ...
 * ```
 */
import { DESTROY, HEADER_BYTES, MAGIC, RANGE_BYTES, SACK, VERSION } from "./constants.ts";

/** Where the byte is that counts what lies between header and payload. */
export const DATA_OFFSET_AT = 3;

/** A header taken apart. One object is reused for many packets. */
export interface PacketHeader {
  /** Type bits: `DATA`, `END`, `SACK`, `MESSAGE`, `DESTROY`, `HEARTBEAT`; 0 = a pure acknowledgement. */
  type: number;
  /** The id that the receiver of the packet chose for its stream. */
  streamId: number;
  /** Bytes that the sender of the packet is ready to take. */
  window: number;
  /** Sequence number, counted in packets. */
  seq: number;
  /** The next sequence number that the sender of the packet expects. */
  ack: number;
  /** Where the SACK ranges end; they begin behind the header. */
  rangesEnd: number;
  /** Where the payload begins. */
  payloadStart: number;
}

/** An empty header to be filled by {@linkcode readHeader}. */
export function newHeader(): PacketHeader {
  return {
    type: 0,
    streamId: 0,
    window: 0,
    seq: 0,
    ack: 0,
    rangesEnd: HEADER_BYTES,
    payloadStart: HEADER_BYTES,
  };
}

function readUint32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16 | bytes[at + 3]! << 24) >>> 0;
}

function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

/** Whether `datagram` is a UDX packet at all; anything else on the socket belongs to somebody else. */
export function isPacket(datagram: Uint8Array): boolean {
  return datagram.length >= HEADER_BYTES && datagram[0] === MAGIC && datagram[1] === VERSION;
}

/** Whether the sender of `packet` drops its stream. */
export function isDestroy(packet: Uint8Array): boolean {
  return (packet[2]! & DESTROY) !== 0;
}

/** The stream id of a packet: all that a demultiplexer needs. */
export function readStreamId(packet: Uint8Array): number {
  return readUint32(packet, 4);
}

/** Rewrites the stream id in place, as a relay does. */
export function writeStreamId(packet: Uint8Array, streamId: number): void {
  writeUint32(packet, 4, streamId);
}

/**
 * Takes a packet apart into `into`.
 *
 * @returns false if the data offset points behind the end; then nothing behind the header may be used.
 */
export function readHeader(packet: Uint8Array, into: PacketHeader): boolean {
  const dataOffset = packet[DATA_OFFSET_AT]!;
  const rest = packet.length - HEADER_BYTES;
  into.type = packet[2]!;
  into.streamId = readUint32(packet, 4);
  into.window = readUint32(packet, 8);
  into.seq = readUint32(packet, 12);
  into.ack = readUint32(packet, 16);
  into.payloadStart = HEADER_BYTES + dataOffset;
  // Without a data offset the ranges reach to the end of the packet, which then has no payload.
  const hasOffset = dataOffset > 0 && dataOffset < rest;
  into.rangesEnd = (into.type & SACK) === 0 ? HEADER_BYTES : hasOffset ? into.payloadStart : packet.length;
  if ((into.type & SACK) !== 0 && !hasOffset) into.payloadStart = packet.length;
  return dataOffset <= rest;
}

/** Writes a header at the start of `packet`. */
export function writeHeader(
  packet: Uint8Array,
  type: number,
  dataOffset: number,
  streamId: number,
  window: number,
  seq: number,
  ack: number,
): void {
  packet[0] = MAGIC;
  packet[1] = VERSION;
  packet[2] = type;
  packet[DATA_OFFSET_AT] = dataOffset;
  writeUint32(packet, 4, streamId);
  writeUint32(packet, 8, window);
  writeUint32(packet, 12, seq);
  writeUint32(packet, 16, ack);
}

/** Brings the fields that age, window and acknowledgement, up to date before a packet is sent again. */
export function refreshHeader(packet: Uint8Array, window: number, ack: number): void {
  writeUint32(packet, 8, window);
  writeUint32(packet, 16, ack);
}

/** First number of the SACK range at `at`. */
export function readRangeStart(packet: Uint8Array, at: number): number {
  return readUint32(packet, at);
}

/** The number behind the last of the SACK range at `at`. */
export function readRangeEnd(packet: Uint8Array, at: number): number {
  return readUint32(packet, at + 4);
}

/** Writes the SACK range [`start`, `end`) at `at` and returns where the next one goes. */
export function writeRange(packet: Uint8Array, at: number, start: number, end: number): number {
  writeUint32(packet, at, start);
  writeUint32(packet, at + 4, end);
  return at + RANGE_BYTES;
}

/** `a - b` on the circle of 32-bit sequence numbers: positive if `a` comes after `b`. */
export function seqDiff(a: number, b: number): number {
  return (a - b) | 0;
}

/** `seq + n` on the circle of 32-bit sequence numbers. */
export function seqAdd(seq: number, n: number): number {
  return (seq + n) >>> 0;
}
