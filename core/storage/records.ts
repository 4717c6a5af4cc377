/**
 * How the small records of a log are written as bytes, in every store that has no form of its own.
 */
import { buffer, fixed32 } from "../../encoding/buffers.ts";
import { type Allocator, type Codec, Cursor, DecodeError } from "../../encoding/codec.ts";
import { uint } from "../../encoding/varint.ts";
import { HASH_BYTES } from "../crypto/hash.ts";
import type { LogAuth, LogHead, LogHints, TreeNode } from "./storage.ts";

/** The version of the records below. Another one is refused, since it says something that is not understood. */
const VERSION = 1;

const HAS_MANIFEST = 1;
const HAS_KEY_PAIR = 2;
const HAS_ENCRYPTION_KEY = 4;

function decodeVersion(cursor: Cursor): void {
  const version = uint.decode(cursor);
  if (version !== VERSION) throw new DecodeError(`Version ${version} of a record is not known`, cursor.start);
}

/** The keys of a log. */
export const logAuth: Codec<LogAuth> = {
  size({ key, flags, manifest, keyPair, encryptionKey }) {
    return uint.size(VERSION) + uint.size(7) + uint.size(flags) + buffer.size(key) +
      (manifest === undefined ? 0 : buffer.size(manifest)) +
      (keyPair === undefined ? 0 : buffer.size(keyPair.publicKey) + buffer.size(keyPair.secretKey)) +
      (encryptionKey === undefined ? 0 : buffer.size(encryptionKey));
  },
  encode(cursor, { key, flags, manifest, keyPair, encryptionKey }) {
    uint.encode(cursor, VERSION);
    uint.encode(
      cursor,
      (manifest === undefined ? 0 : HAS_MANIFEST) | (keyPair === undefined ? 0 : HAS_KEY_PAIR) |
        (encryptionKey === undefined ? 0 : HAS_ENCRYPTION_KEY),
    );
    uint.encode(cursor, flags);
    buffer.encode(cursor, key);
    if (manifest !== undefined) buffer.encode(cursor, manifest);
    if (keyPair !== undefined) {
      buffer.encode(cursor, keyPair.publicKey);
      buffer.encode(cursor, keyPair.secretKey);
    }
    if (encryptionKey !== undefined) buffer.encode(cursor, encryptionKey);
  },
  decode(cursor) {
    decodeVersion(cursor);
    const has = uint.decode(cursor);
    const flags = uint.decode(cursor);
    const key = buffer.decode(cursor);
    const manifest = (has & HAS_MANIFEST) !== 0 ? buffer.decode(cursor) : undefined;
    const keyPair = (has & HAS_KEY_PAIR) !== 0
      ? { publicKey: buffer.decode(cursor), secretKey: buffer.decode(cursor) }
      : undefined;
    const encryptionKey = (has & HAS_ENCRYPTION_KEY) !== 0 ? buffer.decode(cursor) : undefined;
    return { key, flags, manifest, keyPair, encryptionKey };
  },
};

/** The head of a log. */
export const logHead: Codec<LogHead> = {
  size({ fork, length, rootHash, signature, flags, timestamp }) {
    return uint.size(VERSION) + uint.size(fork) + uint.size(length) + buffer.size(rootHash) +
      buffer.size(signature) + uint.size(flags) + uint.size(timestamp);
  },
  encode(cursor, { fork, length, rootHash, signature, flags, timestamp }) {
    uint.encode(cursor, VERSION);
    uint.encode(cursor, fork);
    uint.encode(cursor, length);
    buffer.encode(cursor, rootHash);
    buffer.encode(cursor, signature);
    uint.encode(cursor, flags);
    uint.encode(cursor, timestamp);
  },
  decode(cursor) {
    decodeVersion(cursor);
    return {
      fork: uint.decode(cursor),
      length: uint.decode(cursor),
      rootHash: buffer.decode(cursor),
      signature: buffer.decode(cursor),
      flags: uint.decode(cursor),
      timestamp: uint.decode(cursor),
    };
  },
};

/** The hints of a log. */
export const logHints: Codec<LogHints> = {
  size: ({ contiguousLength, remoteContiguousLength }) =>
    uint.size(VERSION) + uint.size(contiguousLength) + uint.size(remoteContiguousLength) + uint.size(1),
  encode(cursor, { contiguousLength, remoteContiguousLength, recovering }) {
    uint.encode(cursor, VERSION);
    uint.encode(cursor, contiguousLength);
    uint.encode(cursor, remoteContiguousLength);
    uint.encode(cursor, recovering ? 1 : 0);
  },
  decode(cursor) {
    decodeVersion(cursor);
    return {
      contiguousLength: uint.decode(cursor),
      remoteContiguousLength: uint.decode(cursor),
      recovering: (uint.decode(cursor) & 1) !== 0,
    };
  },
};

/** What a tree node is beyond its index. */
export const nodeValue: Codec<{ size: number; hash: Uint8Array }> = {
  size: ({ size }) => uint.size(size) + 32,
  encode(cursor, { size, hash }) {
    uint.encode(cursor, size);
    fixed32.encode(cursor, hash);
  },
  decode: (cursor) => ({ size: uint.decode(cursor), hash: fixed32.decode(cursor) }),
};

/** The bytes of a node without its index, as {@linkcode nodeValue} has them: by hand, since there are two for each block. */
export function encodeNode({ size, hash }: TreeNode, allocator: Allocator): Uint8Array {
  const bytes = allocator.alloc(uint.size(size) + HASH_BYTES);
  const cursor = new Cursor(bytes);
  uint.encode(cursor, size);
  bytes.set(hash, cursor.start);
  return bytes;
}
