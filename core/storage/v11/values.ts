/**
 * The values of hypercore 11's database (`hypercore-storage/encoding/spec/hyperschema`).
 */
import { buffer, fixed32, optionalBuffer } from "../../../encoding/buffers.ts";
import { Cursor, DecodeError } from "../../../encoding/codec.ts";
import { uint64 } from "../../../encoding/fixed.ts";
import { decodeCount } from "../../../encoding/lists.ts";
import { string } from "../../../encoding/strings.ts";
import { uint } from "../../../encoding/varint.ts";
import type { LogAuth, LogHead, LogHints, TreeNode } from "../storage.ts";
import { toWireManifest } from "./manifest_v0.ts";

/** The latest version of a store, and of a log in it, that is known. */
export const MAX_VERSION = 2;

/** What is known of the store as a whole. */
export interface StoreHead {
  /** Its version. */
  readonly version: number;
  /** What the keys of its logs are made of. */
  readonly seed: Uint8Array | undefined;
}

/** Decodes the head of a store. One of a version that is not known has nothing but that. @throws {DecodeError} */
export function decodeStoreHead(bytes: Uint8Array): StoreHead {
  const cursor = new Cursor(bytes);
  const version = uint.decode(cursor);
  if (version > MAX_VERSION) return { version, seed: undefined };
  let hasSeed: boolean;
  if (version === MAX_VERSION) {
    for (let i = 0; i < 3; i++) uint.decode(cursor); // how many cores, data and groups there are
    hasSeed = (uint.decode(cursor) & 1) !== 0;
  } else {
    const flags = uint.decode(cursor);
    if ((flags & 1) !== 0) { for (let i = 0; i < 2; i++) uint.decode(cursor); }
    hasSeed = (flags & 2) !== 0;
  }
  return { version, seed: hasSeed ? fixed32.decode(cursor).slice() : undefined };
}

/** Where a log is in the database. */
export interface LogPointers {
  /** The version by which it is stored; 0 if it is still in a folder of its own. */
  readonly version: number;
  /** Where its keys are. */
  readonly core: number;
  /** Where its blocks are. */
  readonly data: number;
  /** What it is called, and within which namespace of 32 bytes. */
  readonly alias: { readonly name: string; readonly namespace: Uint8Array } | undefined;
}

/** Decodes where a log is. @throws {DecodeError} */
export function decodeLogPointers(bytes: Uint8Array): LogPointers {
  const cursor = new Cursor(bytes);
  const [version, core, data] = [uint.decode(cursor), uint.decode(cursor), uint.decode(cursor)];
  const hasAlias = (uint.decode(cursor) & 1) !== 0;
  const alias = hasAlias
    ? { name: string.decode(cursor), namespace: fixed32.decode(cursor).slice() }
    : undefined;
  return { version, core, data, alias };
}

/** Decodes the keys of a log. @throws {DecodeError} */
export function decodeAuth(bytes: Uint8Array): { readonly auth: LogAuth; readonly discoveryKey: Uint8Array } {
  const cursor = new Cursor(bytes);
  const key = fixed32.decode(cursor).slice();
  const discoveryKey = fixed32.decode(cursor).slice();
  const flags = uint.decode(cursor);
  const manifest = (flags & 1) !== 0 ? toWireManifest(buffer.decode(cursor)) : undefined;
  const keyPair = (flags & 2) !== 0 ? takeKeyPair(cursor) : undefined;
  const encryptionKey = (flags & 4) !== 0 ? buffer.decode(cursor).slice() : undefined;
  return { auth: { key, flags: 0, manifest, keyPair, encryptionKey }, discoveryKey };
}

function takeKeyPair(cursor: Cursor): LogAuth["keyPair"] {
  const publicKey = buffer.decode(cursor).slice();
  const secretKey = optionalBuffer.decode(cursor)?.slice();
  return secretKey && { publicKey, secretKey };
}

/** Decodes the signed state of a log. @throws {DecodeError} */
export function decodeHead(bytes: Uint8Array): LogHead {
  const cursor = new Cursor(bytes);
  const fork = uint.decode(cursor);
  const length = uint.decode(cursor);
  const rootHash = fixed32.decode(cursor).slice();
  const signature = optionalBuffer.decode(cursor)?.slice() ?? new Uint8Array(0);
  const flags = cursor.remaining > 0 ? uint.decode(cursor) : 0;
  const timestamp = (flags & 1) !== 0 ? uint64.decode(cursor) : 0;
  return { fork, length, rootHash, signature, flags: 0, timestamp };
}

/** Decodes the hints of a log. @throws {DecodeError} */
export function decodeHints(bytes: Uint8Array): LogHints {
  const cursor = new Cursor(bytes);
  const flags = uint.decode(cursor);
  const take = (bit: number) => (flags & bit) !== 0 ? uint.decode(cursor) : 0;
  return { contiguousLength: take(1), remoteContiguousLength: take(2), recovering: take(4) !== 0 };
}

/** Decodes the named sessions of a log, which are its overlays. @throws {DecodeError} */
export function decodeSessions(bytes: Uint8Array): { readonly name: string; readonly data: number }[] {
  const cursor = new Cursor(bytes);
  const count = decodeCount(cursor);
  return Array.from({ length: count }, () => ({ name: string.decode(cursor), data: uint.decode(cursor) }));
}

/** Decodes the topic of the group that a log is of. @throws {DecodeError} */
export function decodeGroup(bytes: Uint8Array): Uint8Array | undefined {
  const cursor = new Cursor(bytes);
  return (uint.decode(cursor) & 1) !== 0 ? fixed32.decode(cursor).slice() : undefined;
}

/** Below some length, data are those of others. */
export interface Dependency {
  /** Whose. */
  readonly data: number;
  /** How many blocks from the start. */
  readonly length: number;
}

/** Decodes what data depend on. @throws {DecodeError} */
export function decodeDependency(bytes: Uint8Array): Dependency {
  const cursor = new Cursor(bytes);
  return { data: uint.decode(cursor), length: uint.decode(cursor) };
}

/** Decodes a tree node. @throws {DecodeError} if it is not that of `index`. */
export function decodeTreeNode(bytes: Uint8Array, index: number): TreeNode {
  const cursor = new Cursor(bytes);
  if (uint.decode(cursor) !== index) throw new DecodeError(`Expected the node ${index}`, 0);
  return { index, size: uint.decode(cursor), hash: fixed32.decode(cursor).slice() };
}
