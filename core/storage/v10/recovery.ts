/**
 * What a log was, read from its files: the header that counts, and all that came after it.
 */
import { DecodeError, decodeExact } from "../../../encoding/codec.ts";
import { readUint32 } from "../../../encoding/fixed.ts";
import { treeHash } from "../../crypto/hash.ts";
import type { CryptoProvider } from "../../runtime/crypto_provider.ts";
import { StorageError } from "../../runtime/errors.ts";
import type { TreeNode } from "../storage.ts";
import { BlockMap } from "./block_map.ts";
import type { OplogEntry, TreeUpgrade } from "./entry.ts";
import { type ExternalHeader, type V10Header, v10Header } from "./header.ts";
import { decodeOplog, ENTRIES_START, type SlotBits } from "./oplog.ts";
import { type LogFiles, NODE_BYTES } from "./pending.ts";
import { rootsOf, spanningNodes } from "./positions.ts";

/** A log in memory: all but its blocks and those of its nodes that are in the file `tree`. */
export interface LoadedLog {
  header: V10Header;
  /** Nodes that are not in the file `tree`; those without bytes and hash are no longer there. */
  readonly unflushed: Map<number, TreeNode>;
  readonly blocks: BlockMap;
  roots: readonly TreeNode[];
  /** To how many blocks the file `tree` is to be cut before it is written to again: what lies behind is of another fork. */
  cut: number | undefined;
}

/** Where the files of a log are, as the disk knows it. */
export interface FoundOplog {
  readonly bits: SlotBits;
  readonly end: number;
  readonly external: ExternalHeader | undefined;
}

/** A node that is no longer there. */
export function blankNode(index: number): TreeNode {
  return { index, size: 0, hash: new Uint8Array(32) };
}

/** Whether a node is there. */
export function isBlank({ size, hash }: TreeNode): boolean {
  return size === 0 && hash.every((byte) => byte === 0);
}

/** A node of `log`, wherever it is; undefined if it is not there. */
export function findNode(log: LoadedLog, files: LogFiles, index: number): TreeNode | undefined {
  const known = log.unflushed.get(index);
  if (known !== undefined) return isBlank(known) ? undefined : known;
  if (log.cut !== undefined && index >= 2 * log.cut) return undefined;
  return readNode(files, index);
}

function readNode({ tree }: LogFiles, index: number): TreeNode | undefined {
  const bytes = tree.read(index * NODE_BYTES, NODE_BYTES);
  if (bytes.length < NODE_BYTES) return undefined;
  const size = readUint32(bytes, 0) + readUint32(bytes, 4) * 2 ** 32;
  const node = { index, size, hash: bytes.slice(8) };
  return isBlank(node) ? undefined : node;
}

/**
 * Reads a log; undefined if there is none in these files. Nothing is written.
 *
 * @throws {StorageError} STORE_CORRUPT if what is there makes no log.
 */
export function loadLog(
  files: LogFiles,
  crypto: CryptoProvider,
  what: string,
): { log: LoadedLog; found: FoundOplog } | undefined {
  const bytes = files.oplog.read(0, files.oplog.size());
  try {
    const oplog = decodeOplog(bytes);
    if (oplog === undefined) return undefined;
    const external = "start" in oplog.header ? oplog.header : undefined;
    const header = "start" in oplog.header ? readExternal(files, oplog.header) : oplog.header;
    const { size, read } = { size: files.bitfield.size(), read: files.bitfield.read.bind(files.bitfield) };
    const { entries } = oplog;
    const log: LoadedLog = {
      header: detach(header),
      unflushed: new Map(),
      blocks: BlockMap.load(size, read),
      roots: [],
      cut: undefined,
    };
    for (const { entry } of entries) replay(log, entry);
    settle(log, files, crypto, entries.some(({ entry }) => entry.treeUpgrade !== undefined));
    const end = entries.at(-1)?.end ?? ENTRIES_START;
    return { log, found: { bits: oplog.bits, end, external } };
  } catch (cause) {
    if (!(cause instanceof DecodeError)) throw cause;
    const text =
      `The log ${what} cannot be read: ${cause.message}. Restore its folder, or fetch it again from its peers`;
    throw new StorageError("STORE_CORRUPT", text, { cause });
  }
}

function readExternal({ header }: LogFiles, { start, length }: ExternalHeader): V10Header {
  const bytes = header.read(start, Math.min(length, header.size()));
  const value = decodeExact(v10Header, bytes);
  if ("start" in value) throw new DecodeError("Expected a header, found where one is", 0);
  return value;
}

/** The header in memory of its own: what was decoded are views of the whole file. */
function detach(header: V10Header): V10Header {
  const { key, manifest, keyPair, userData, tree } = header;
  return {
    ...header,
    key: key.slice(),
    manifest: manifest?.slice(),
    keyPair: keyPair && { publicKey: keyPair.publicKey.slice(), secretKey: keyPair.secretKey.slice() },
    userData: userData.map(({ key, value }) => ({ key, value: value?.slice() })),
    tree: { ...tree, rootHash: tree.rootHash.slice(), signature: tree.signature.slice() },
  };
}

/** Makes the change that an entry stands for. */
function replay(log: LoadedLog, { userData, treeNodes, treeUpgrade, bitfield }: OplogEntry): void {
  if (userData !== undefined) {
    const { key, value } = userData;
    log.header = { ...log.header, userData: withUserData(log.header.userData, key, value?.slice()) };
  }
  if (bitfield !== undefined) {
    const { start, length, isDrop } = bitfield;
    log.blocks.setRange(start, start + length, !isDrop);
    updateContiguous(log, start, start + length, isDrop);
  }
  // The nodes of a reorganisation lie where the cut takes away others, hence after it.
  if (treeUpgrade !== undefined) cutTree(log, treeUpgrade);
  for (const node of treeNodes ?? []) log.unflushed.set(node.index, { ...node, hash: node.hash.slice() });
  if (treeUpgrade !== undefined) {
    const { fork, length, signature } = treeUpgrade;
    log.header = { ...log.header, tree: { ...log.header.tree, fork, length, signature: signature.slice() } };
  }
}

/** Takes away what an upgrade makes untrue, and remembers the fork. */
export function cutTree(log: LoadedLog, { fork, ancestors }: TreeUpgrade): void {
  const { tree, reorgs } = log.header;
  if (tree.length > 0 && tree.fork !== fork) {
    const kept = reorgs.slice(-3);
    while (kept.length > 0 && kept.at(-1)!.ancestors > ancestors) kept.pop();
    log.header = { ...log.header, reorgs: [...kept, { from: tree.fork, to: fork, ancestors }] };
  }
  if (ancestors >= tree.length) return;
  for (const index of spanningNodes(ancestors)) log.unflushed.set(index, blankNode(index));
  for (const index of log.unflushed.keys()) if (index >= 2 * ancestors) log.unflushed.delete(index);
  log.cut = Math.min(log.cut ?? Infinity, ancestors);
}

/** User data with one value set or removed, in the order of the reference. */
export function withUserData(
  list: V10Header["userData"],
  key: string,
  value: Uint8Array | undefined,
): V10Header["userData"] {
  const isThere = list.some((one) => one.key === key);
  if (value === undefined) return list.filter((one) => one.key !== key);
  return isThere ? list.map((one) => one.key === key ? { key, value } : one) : [...list, { key, value }];
}

/** Keeps the hint of how many blocks are held from the start on, after [start, end) came or went. */
export function updateContiguous(log: LoadedLog, start: number, end: number, isDrop: boolean): void {
  let { contiguousLength } = log.header;
  if (isDrop) contiguousLength = end > start ? Math.min(contiguousLength, start) : contiguousLength;
  else if (contiguousLength >= start && contiguousLength <= end) {
    contiguousLength = log.blocks.firstUnset(end);
  }
  if (contiguousLength !== log.header.contiguousLength) log.header = { ...log.header, contiguousLength };
}

/** Finds the roots, and with them the hash, which entries do not say; and what is not held after all. */
function settle(log: LoadedLog, files: LogFiles, crypto: CryptoProvider, isUpgraded: boolean): void {
  const { length } = log.header.tree;
  log.roots = findRoots(log, files, length);
  if (isUpgraded) {
    const rootHash = treeHash(crypto, log.roots);
    log.header = { ...log.header, tree: { ...log.header.tree, rootHash } };
  }
  const beyond = log.blocks.firstSet(length);
  if (beyond !== -1) log.blocks.setRange(beyond, Infinity, false);
  const first = Math.min(length, log.blocks.firstUnset(0));
  const { contiguousLength } = log.header;
  if (contiguousLength === 0 || contiguousLength > first) {
    log.header = { ...log.header, contiguousLength: first };
  }
}

function findRoots(log: LoadedLog, files: LogFiles, length: number): TreeNode[] {
  return rootsOf(length).map((index) => {
    const node = findNode(log, files, index);
    if (node !== undefined) return node;
    throw new DecodeError(
      `Expected the root ${index} of ${length} blocks in the file tree`,
      index * NODE_BYTES,
    );
  });
}
