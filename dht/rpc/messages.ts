/**
 * Requests and replies as bytes: one datagram each, `docs/spec/dht-rpc.md` section 2.
 *
 * Source: dht-rpc 6.27.0, lib/io.js.
 */
import { SocketAddress } from "../../encoding/address.ts";
import { ipv4Address } from "../../encoding/address_codecs.ts";
import { buffer, fixed32 } from "../../encoding/buffers.ts";
import { type Codec, type Cursor, DecodeError, encode } from "../../encoding/codec.ts";
import { uint16, uint8 } from "../../encoding/fixed.ts";
import { uint } from "../../encoding/varint.ts";
import { ID_BYTES, K, MAX_DATAGRAM_BYTES, REPLY_BYTE, REQUEST_BYTE } from "./constants.ts";

/** What requests and replies have in common. */
export interface MessageHeader {
  /** Ties a reply to its request; 16 bits. */
  readonly tid: number;
  /** The receiver, as the sender sees it: this is how nodes learn their own address. IPv4. */
  readonly to: SocketAddress;
  /** The id of the sender, 32 bytes; absent if it is ephemeral. */
  readonly id?: Uint8Array | undefined;
  /** 32 bytes that prove a round trip; absent if there are none. */
  readonly token?: Uint8Array | undefined;
  /** What the command makes of it. */
  readonly value?: Uint8Array | undefined;
}

/** A request. */
export interface RequestMessage extends MessageHeader {
  /** Whether `command` is one of the protocol itself. */
  readonly isInternal: boolean;
  /** The number of the command. */
  readonly command: number;
  /** 32 bytes: the key that the command is about. */
  readonly target?: Uint8Array | undefined;
}

/** A reply. */
export interface ReplyMessage extends MessageHeader {
  /** Nodes nearer to the target; empty if there are none. IPv4. At most 20 are read. */
  readonly closerNodes: readonly SocketAddress[];
  /** 0, or what went wrong. */
  readonly error: number;
}

const HAS_ID = 1;
const HAS_TOKEN = 2;
/** Of requests. */
const IS_INTERNAL = 4;
const HAS_TARGET = 8;
/** Of replies. */
const HAS_CLOSER_NODES = 4;
const HAS_ERROR = 8;
/** Of both. */
const HAS_VALUE = 16;

/** Kind, flags, tid and address. */
const HEADER_BYTES = 10;
const ADDRESS_BYTES = 6;

function headerSize(message: MessageHeader): number {
  return HEADER_BYTES + (message.id === undefined ? 0 : ID_BYTES) +
    (message.token === undefined ? 0 : ID_BYTES) +
    (message.value === undefined ? 0 : buffer.size(message.value));
}

function headerFlags(message: MessageHeader): number {
  return (message.id === undefined ? 0 : HAS_ID) | (message.token === undefined ? 0 : HAS_TOKEN) |
    (message.value === undefined ? 0 : HAS_VALUE);
}

function encodeHeader(cursor: Cursor, kind: number, flags: number, message: MessageHeader): void {
  uint8.encode(cursor, kind);
  uint8.encode(cursor, flags);
  uint16.encode(cursor, message.tid);
  ipv4Address.encode(cursor, message.to);
  if (message.id !== undefined) fixed32.encode(cursor, message.id);
  if (message.token !== undefined) fixed32.encode(cursor, message.token);
}

function decodeKind(cursor: Cursor, kind: number): number {
  const { start } = cursor;
  const found = uint8.decode(cursor);
  if (found !== kind) throw new DecodeError(`Expected a message of kind ${kind}, found ${found}`, start);
  return uint.decode(cursor);
}

/** A request as a datagram. Byte strings that are read are views of the datagram; what follows the last field is ignored. */
export const requestMessage: Codec<RequestMessage> = {
  size(message: RequestMessage): number {
    return headerSize(message) + uint.size(message.command) + (message.target === undefined ? 0 : ID_BYTES);
  },
  encode(cursor: Cursor, message: RequestMessage): void {
    const flags = headerFlags(message) | (message.isInternal ? IS_INTERNAL : 0) |
      (message.target === undefined ? 0 : HAS_TARGET);
    encodeHeader(cursor, REQUEST_BYTE, flags, message);
    uint.encode(cursor, message.command);
    if (message.target !== undefined) fixed32.encode(cursor, message.target);
    if (message.value !== undefined) buffer.encode(cursor, message.value);
  },
  decode(cursor: Cursor): RequestMessage {
    const flags = decodeKind(cursor, REQUEST_BYTE);
    return {
      tid: uint16.decode(cursor),
      to: ipv4Address.decode(cursor),
      id: (flags & HAS_ID) === 0 ? undefined : fixed32.decode(cursor),
      token: (flags & HAS_TOKEN) === 0 ? undefined : fixed32.decode(cursor),
      isInternal: (flags & IS_INTERNAL) !== 0,
      command: uint.decode(cursor),
      target: (flags & HAS_TARGET) === 0 ? undefined : fixed32.decode(cursor),
      value: (flags & HAS_VALUE) === 0 ? undefined : buffer.decode(cursor),
    };
  },
};

/** A reply as a datagram. Byte strings that are read are views of the datagram; what follows the last field is ignored. */
export const replyMessage: Codec<ReplyMessage> = {
  size(message: ReplyMessage): number {
    const count = message.closerNodes.length;
    return headerSize(message) + (count === 0 ? 0 : uint.size(count) + count * ADDRESS_BYTES) +
      (message.error === 0 ? 0 : uint.size(message.error));
  },
  encode(cursor: Cursor, message: ReplyMessage): void {
    const { closerNodes, error } = message;
    const flags = headerFlags(message) | (closerNodes.length === 0 ? 0 : HAS_CLOSER_NODES) |
      (error === 0 ? 0 : HAS_ERROR);
    encodeHeader(cursor, REPLY_BYTE, flags, message);
    if (closerNodes.length > 0) {
      uint.encode(cursor, closerNodes.length);
      for (let i = 0; i < closerNodes.length; i++) ipv4Address.encode(cursor, closerNodes[i]!);
    }
    if (error !== 0) uint.encode(cursor, error);
    if (message.value !== undefined) buffer.encode(cursor, message.value);
  },
  decode(cursor: Cursor): ReplyMessage {
    const flags = decodeKind(cursor, REPLY_BYTE);
    return {
      tid: uint16.decode(cursor),
      to: ipv4Address.decode(cursor),
      id: (flags & HAS_ID) === 0 ? undefined : fixed32.decode(cursor),
      token: (flags & HAS_TOKEN) === 0 ? undefined : fixed32.decode(cursor),
      closerNodes: (flags & HAS_CLOSER_NODES) === 0 ? [] : decodeAddresses(cursor),
      error: (flags & HAS_ERROR) === 0 ? 0 : uint.decode(cursor),
      value: (flags & HAS_VALUE) === 0 ? undefined : buffer.decode(cursor),
    };
  },
};

/** The first {@linkcode K} addresses; the others are stepped over, as no honest node sends more. */
function decodeAddresses(cursor: Cursor): SocketAddress[] {
  const at = cursor.start;
  const count = uint.decode(cursor);
  if (count * ADDRESS_BYTES > cursor.remaining) {
    throw new DecodeError(`Expected ${count} addresses, found ${cursor.remaining} bytes`, at);
  }
  const addresses: SocketAddress[] = [];
  for (let i = 0; i < count && i < K; i++) addresses.push(ipv4Address.decode(cursor));
  cursor.take((count - addresses.length) * ADDRESS_BYTES);
  return addresses;
}

/** How many closer nodes of `message` fit if the reply may have `limit` bytes. */
export function fittingNodes(message: ReplyMessage, limit: number): number {
  const rest = limit - (replyMessage.size({ ...message, closerNodes: [] }) + 1);
  return Math.min(message.closerNodes.length, Math.max(0, Math.floor(rest / ADDRESS_BYTES)));
}

/** The bytes of a request. */
export function encodeRequest(message: RequestMessage): Uint8Array {
  return encode(requestMessage, message);
}

/** The bytes of a reply. */
export function encodeReply(message: ReplyMessage): Uint8Array {
  return encode(replyMessage, message);
}

/** `bytes`, if one datagram may carry them. @throws {RangeError} if they are too many. */
export function checkLength(bytes: Uint8Array): Uint8Array {
  checkSize(bytes.length);
  return bytes;
}

function checkSize(size: number): void {
  if (size <= MAX_DATAGRAM_BYTES) return;
  throw new RangeError(
    `A message of ${size} bytes does not fit into ${MAX_DATAGRAM_BYTES} bytes: send a shorter value`,
  );
}

const ANYBODY = SocketAddress.v4(0, 0);
const NO_ID = new Uint8Array(ID_BYTES);

/** Checks that one datagram may carry a request that says this. @throws {RangeError} if not. */
export function checkRequestLength(request: Omit<RequestMessage, "tid" | "to" | "id">): void {
  const { isInternal, command, target, token, value } = request;
  const message = { tid: 0, to: ANYBODY, id: NO_ID, isInternal, command, target, token, value };
  checkSize(requestMessage.size(message));
}

/** The tid of a datagram that begins as a message; -1 if it is too short to have one. */
export function readTid(datagram: Uint8Array): number {
  return datagram.length < HEADER_BYTES ? -1 : datagram[2]! | datagram[3]! << 8;
}
