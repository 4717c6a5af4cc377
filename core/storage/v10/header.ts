/**
 * The header of an oplog: what a log was when its files were last brought up to date.
 */
import { buffer, fixed32, writeBytes } from "../../../encoding/buffers.ts";
import { type Codec, type Cursor, DecodeError } from "../../../encoding/codec.ts";
import { array } from "../../../encoding/lists.ts";
import { string } from "../../../encoding/strings.ts";
import { fromHex } from "../../../encoding/text.ts";
import { concat } from "../../../encoding/bytes.ts";
import { uint } from "../../../encoding/varint.ts";
import { type UserDatum, userDatum } from "./entry.ts";

/** Where in the file `header` a header is that has no room in the oplog. */
export interface ExternalHeader {
  /** Its first byte. */
  readonly start: number;
  /** How many it has. */
  readonly length: number;
}

/** The signed tree. */
export interface TreeHeader {
  /** The fork. */
  readonly fork: number;
  /** How many blocks it has. */
  readonly length: number;
  /** Its hash; empty if nothing was ever signed. */
  readonly rootHash: Uint8Array;
  /** Over all of it; empty for none. */
  readonly signature: Uint8Array;
}

/** A fork that happened. */
export interface ReorgHint {
  /** The fork before. */
  readonly from: number;
  /** The fork after. */
  readonly to: number;
  /** How many blocks are the same in both. */
  readonly ancestors: number;
}

/** What a log is. */
export interface V10Header {
  /** Its key. */
  readonly key: Uint8Array;
  /** The bytes of its manifest, of version 0 or 1. */
  readonly manifest: Uint8Array | undefined;
  /** What it is signed with. A secret key that is not known is empty. */
  readonly keyPair: { readonly publicKey: Uint8Array; readonly secretKey: Uint8Array } | undefined;
  /** In the order in which they came. */
  readonly userData: readonly UserDatum[];
  /** The signed tree. */
  readonly tree: TreeHeader;
  /** The latest forks, at most four. */
  readonly reorgs: readonly ReorgHint[];
  /** All blocks before this one are held. */
  readonly contiguousLength: number;
}

const IS_EXTERNAL = 1;
const HAS_MANIFEST = 2;
const HAS_KEY_PAIR = 4;

/** Bytes of a signer: algorithm, namespace, public key. */
const SIGNER_BYTES = 65;
/** What a manifest of version 0 with one signer begins with: version, hash, kind, algorithm, the namespace of all such logs. */
const MANIFEST_V0_START = concat([
  Uint8Array.of(0, 0, 1, 0),
  fromHex("4144eea531e483d54e0c14f4ca68e0644f355343ff6fcb0f005200e12cd747cb"),
]);

/** A manifest of version 0 or 1, of which nothing is looked at but where it ends. Later versions hypercore 10 cannot read. */
export const manifestBytes: Codec<Uint8Array> = {
  size: (value) => value.length,
  encode: writeBytes,
  decode(cursor: Cursor): Uint8Array {
    const { start } = cursor;
    const version = decodeUpTo(cursor, 1, "version of a manifest");
    if (version === 0) skipVersion0(cursor);
    else {
      const flags = uint.decode(cursor);
      decodeUpTo(cursor, 0, "hash");
      uint.decode(cursor);
      cursor.take(uint.decode(cursor) * SIGNER_BYTES);
      if ((flags & 2) !== 0) {
        cursor.take(32);
        uint.decode(cursor);
      }
    }
    return cursor.buffer.subarray(start, cursor.start);
  },
};

function skipVersion0(cursor: Cursor): void {
  decodeUpTo(cursor, 0, "hash");
  const kind = decodeUpTo(cursor, 2, "kind of a manifest");
  if (kind === 0) cursor.take(32);
  if (kind === 1) cursor.take(SIGNER_BYTES);
  if (kind !== 2) return;
  uint.decode(cursor);
  uint.decode(cursor);
  cursor.take(uint.decode(cursor) * SIGNER_BYTES);
}

function decodeUpTo(cursor: Cursor, max: number, what: string): number {
  const at = cursor.start;
  const value = uint.decode(cursor);
  if (value > max) throw new DecodeError(`Expected a ${what} of at most ${max}, found ${value}`, at);
  return value;
}

const keyPair: Codec<{ readonly publicKey: Uint8Array; readonly secretKey: Uint8Array }> = {
  size: ({ publicKey, secretKey }) => buffer.size(publicKey) + buffer.size(secretKey),
  encode(cursor: Cursor, { publicKey, secretKey }): void {
    buffer.encode(cursor, publicKey);
    buffer.encode(cursor, secretKey);
  },
  decode: (cursor: Cursor) => ({ publicKey: buffer.decode(cursor), secretKey: buffer.decode(cursor) }),
};

const treeHeader: Codec<TreeHeader> = {
  size: ({ fork, length, rootHash, signature }) =>
    uint.size(fork) + uint.size(length) + buffer.size(rootHash) + buffer.size(signature),
  encode(cursor: Cursor, { fork, length, rootHash, signature }: TreeHeader): void {
    uint.encode(cursor, fork);
    uint.encode(cursor, length);
    buffer.encode(cursor, rootHash);
    buffer.encode(cursor, signature);
  },
  decode: (cursor: Cursor): TreeHeader => ({
    fork: uint.decode(cursor),
    length: uint.decode(cursor),
    rootHash: buffer.decode(cursor),
    signature: buffer.decode(cursor),
  }),
};

const reorgHint: Codec<ReorgHint> = {
  size: ({ from, to, ancestors }) => uint.size(from) + uint.size(to) + uint.size(ancestors),
  encode(cursor: Cursor, { from, to, ancestors }: ReorgHint): void {
    uint.encode(cursor, from);
    uint.encode(cursor, to);
    uint.encode(cursor, ancestors);
  },
  decode: (cursor: Cursor): ReorgHint => ({
    from: uint.decode(cursor),
    to: uint.decode(cursor),
    ancestors: uint.decode(cursor),
  }),
};

const userDataList = array(userDatum);
const reorgList = array(reorgHint);

/** Hints; the second of them is missing in old logs. */
const decodeHints = (cursor: Cursor): Pick<V10Header, "reorgs" | "contiguousLength"> => ({
  reorgs: reorgList.decode(cursor),
  contiguousLength: cursor.remaining > 0 ? uint.decode(cursor) : 0,
});

/** A header of version 0: logs of the first releases, which one key pair signs. It is written as version 1. */
function decodeVersion0(cursor: Cursor): V10Header {
  const at = cursor.start;
  const [hash, , signature] = [string.decode(cursor), string.decode(cursor), string.decode(cursor)];
  if (hash !== "blake2b" || signature !== "ed25519") {
    throw new DecodeError(`Expected blake2b and ed25519, found ${hash} and ${signature}`, at);
  }
  const userData = userDataList.decode(cursor);
  const tree = treeHeader.decode(cursor);
  const signer = keyPair.decode(cursor);
  if (signer.publicKey.length !== 32) throw new DecodeError("Expected a public key of 32 bytes", at);
  return {
    key: signer.publicKey,
    manifest: concat([MANIFEST_V0_START, signer.publicKey]),
    keyPair: signer.secretKey.length > 0 ? signer : undefined,
    userData,
    tree,
    ...decodeHints(cursor),
  };
}

/** A header, or where it is. Source: hypercore 10.38.2, `lib/messages.js`. */
export const v10Header: Codec<V10Header | ExternalHeader> = {
  size(value: V10Header | ExternalHeader): number {
    if ("start" in value) return 2 + uint.size(value.start) + uint.size(value.length);
    const { manifest, keyPair: pair, userData, tree, reorgs, contiguousLength } = value;
    return 2 + 32 + (manifest ? manifestBytes.size(manifest) : 0) + (pair ? keyPair.size(pair) : 0) +
      userDataList.size(userData) + treeHeader.size(tree) + reorgList.size(reorgs) +
      uint.size(contiguousLength);
  },
  encode(cursor: Cursor, value: V10Header | ExternalHeader): void {
    uint.encode(cursor, 1);
    if ("start" in value) {
      uint.encode(cursor, IS_EXTERNAL);
      uint.encode(cursor, value.start);
      uint.encode(cursor, value.length);
      return;
    }
    const { key, manifest, keyPair: pair, userData, tree, reorgs, contiguousLength } = value;
    uint.encode(cursor, (manifest ? HAS_MANIFEST : 0) | (pair ? HAS_KEY_PAIR : 0));
    fixed32.encode(cursor, key);
    if (manifest) manifestBytes.encode(cursor, manifest);
    if (pair) keyPair.encode(cursor, pair);
    userDataList.encode(cursor, userData);
    treeHeader.encode(cursor, tree);
    reorgList.encode(cursor, reorgs);
    uint.encode(cursor, contiguousLength);
  },
  decode(cursor: Cursor): V10Header | ExternalHeader {
    const version = decodeUpTo(cursor, 1, "version of a header");
    if (version === 0) return decodeVersion0(cursor);
    const flags = uint.decode(cursor);
    if ((flags & IS_EXTERNAL) !== 0) return { start: uint.decode(cursor), length: uint.decode(cursor) };
    return {
      key: fixed32.decode(cursor),
      manifest: flags & HAS_MANIFEST ? manifestBytes.decode(cursor) : undefined,
      keyPair: flags & HAS_KEY_PAIR ? keyPair.decode(cursor) : undefined,
      userData: userDataList.decode(cursor),
      tree: treeHeader.decode(cursor),
      ...decodeHints(cursor),
    };
  },
};
