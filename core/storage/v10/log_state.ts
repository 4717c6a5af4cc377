/**
 * One log in its files, as it is in memory: reads it, and makes changes in the order, and at the points, of the reference.
 */
import { equals } from "../../../encoding/bytes.ts";
import { leafHash, parentHash } from "../../crypto/hash.ts";
import { StorageError } from "../../runtime/errors.ts";
import type { CryptoProvider } from "../../runtime/crypto_provider.ts";
import type { LogHead, StoredBlock, TreeNode } from "../storage.ts";
import { BlockMap } from "./block_map.ts";
import { type Change, unsupported } from "./change.ts";
import type { BitfieldUpdate, TreeUpgrade } from "./entry.ts";
import type { V10Header } from "./header.ts";
import { type Barrier, LogDisk, type LogFiles, NODE_BYTES } from "./pending.ts";
import { copyNode, isSame, type Plan, planChange } from "./plan.ts";
import { lastLeaf, offsetOf, siblingOf } from "./positions.ts";
import { cutTree, findNode, type LoadedLog, loadLog, updateContiguous, withUserData } from "./recovery.ts";
import type { SnapshotState } from "./snapshot.ts";

/** Changes between two headers. Source: hypercore 10.38.2, `lib/core.js`. */
const CHANGES_PER_HEADER = 4;
/** Bytes of entries from which on a header is written. Source: the same. */
const MAX_ENTRY_BYTES = 65536;
/** Nodes that are remembered, since finding a block needs those on the way to it. */
const MAX_CACHED_NODES = 4096;

const NOTHING = new Uint8Array(0);

/** A log of a `V10Store`, read from its files, or new. */
export class LogState {
  readonly #log: LoadedLog;
  readonly #disk: LogDisk;
  readonly #crypto: CryptoProvider;
  readonly #cache = new Map<number, TreeNode>();
  /** Nodes that were found to belong to the roots. */
  readonly #proven = new Map<number, TreeNode>();
  /** Those that see the log as it was. */
  readonly snapshots: Set<SnapshotState> = new Set();
  #untilHeader = 1;
  #isManifestNew = false;
  #isFresh = false;
  #newNodes = new Map<number, TreeNode>();

  private constructor(log: LoadedLog, disk: LogDisk, crypto: CryptoProvider) {
    this.#log = log;
    this.#disk = disk;
    this.#crypto = crypto;
  }

  /** Reads a log; undefined if there is none. @throws {StorageError} STORE_CORRUPT, READ_FAILED. */
  static load(files: LogFiles, crypto: CryptoProvider, what: string): LogState | undefined {
    const loaded = loadLog(files, crypto, what);
    if (loaded === undefined) return undefined;
    return LogState.#make(loaded.log, files, crypto, loaded.found);
  }

  /** A new log, of which nothing is on the disk yet. What an older one left there is emptied when something is. */
  static create(files: LogFiles, crypto: CryptoProvider, { auth }: Change): LogState {
    if (auth === undefined) {
      throw unsupported("a log without keys", "set them in the first batch that writes to it");
    }
    const { key, manifest, keyPair } = auth;
    const header: V10Header = {
      key: key.slice(),
      manifest: manifest?.slice(),
      keyPair: keyPair && { publicKey: keyPair.publicKey.slice(), secretKey: keyPair.secretKey.slice() },
      userData: [],
      tree: { fork: 0, length: 0, rootHash: NOTHING, signature: NOTHING },
      reorgs: [],
      contiguousLength: 0,
    };
    const log: LoadedLog = {
      header,
      unflushed: new Map(),
      blocks: new BlockMap(),
      roots: [],
      cut: undefined,
    };
    const state = LogState.#make(log, files, crypto, undefined);
    state.#isFresh = true;
    state.#disk.addHeader(header, new Map(), new Map());
    return state;
  }

  static #make(
    log: LoadedLog,
    files: LogFiles,
    crypto: CryptoProvider,
    found: ConstructorParameters<typeof LogDisk>[1],
  ): LogState {
    const disk = new LogDisk(files, found, (nodes) => {
      for (const [index, node] of nodes) if (log.unflushed.get(index) === node) log.unflushed.delete(index);
    });
    const state = new LogState(log, disk, crypto);
    // Nodes that came out of entries are written with the next header, as all that come.
    state.#newNodes = new Map(log.unflushed);
    return state;
  }

  /** What the log is. */
  get header(): V10Header {
    return this.#log.header;
  }

  /** Which blocks it has. */
  get blockMap(): BlockMap {
    return this.#log.blocks;
  }

  /** Whether all of it is on the disk. */
  get isClean(): boolean {
    return this.#disk.isClean;
  }

  /** Whether the file `tree` has nodes of blocks that the head does not know, and that were not cut off. */
  get isShortened(): boolean {
    const { length } = this.header.tree;
    return this.#log.cut === undefined &&
      this.#disk.files.tree.size() > Math.max(0, 2 * length - 1) * NODE_BYTES;
  }

  /** Bytes that wait in memory, about. */
  get pendingBytes(): number {
    return this.#disk.pendingBytes;
  }

  /** Whether what was decided must be brought to the disk before the next batch. */
  get isUrgent(): boolean {
    return this.#disk.isUrgent;
  }

  /** The signed state; undefined if nothing was ever signed. */
  head(): LogHead | undefined {
    const { fork, length, rootHash, signature } = this.header.tree;
    if (length === 0 && fork === 0 && signature.length === 0 && rootHash.length === 0) return undefined;
    return { fork, length, rootHash, signature, flags: 0, timestamp: 0 };
  }

  /** Whether it holds a block. */
  has(index: number): boolean {
    return index < this.header.tree.length && this.#log.blocks.get(index);
  }

  /** A block. */
  block(index: number): Uint8Array | undefined {
    if (!this.has(index)) return undefined;
    const { size } = this.#mustFind(2 * index);
    const value = this.#readData(this.#offset(index), size);
    this.#check(index, value);
    return value;
  }

  /** The first of the blocks in [start, end), as `LogReader.blocks` has it. */
  blocks(start: number, end: number, maxBytes: number): StoredBlock[] {
    const { length } = this.header.tree;
    const first = this.#log.blocks.firstSet(start);
    if (first === -1 || first >= Math.min(end, length)) return [];
    const until = Math.min(end, length);
    const offset = this.#offset(first);
    const sizes: number[] = [];
    for (let index = first, sum = 0; index < until && this.#log.blocks.get(index); index++) {
      const { size } = this.#mustFind(2 * index);
      if (sizes.length > 0 && sum + size > maxBytes) break;
      sizes.push(size);
      sum += size;
    }
    const bytes = this.#readData(offset, sizes.reduce((sum, size) => sum + size, 0));
    let at = 0;
    const blocks = sizes.map((size, i) => ({ index: first + i, value: bytes.subarray(at, at += size) }));
    for (const { index, value } of blocks) this.#check(index, value);
    return blocks;
  }

  /** A node of the signed tree. */
  node(index: number): TreeNode | undefined {
    return lastLeaf(index) < 2 * this.header.tree.length ? this.#find(index) : undefined;
  }

  /** Works out what a change means. @throws whatever is wrong with it; then nothing has happened. */
  plan(change: Change): Plan {
    return planChange(change, this.header, this.#log.roots, (index) => this.#find(index));
  }

  /** Makes a change that takes nothing away. @throws {StorageError} if the disk fails; then nothing has happened. */
  add(plan: Plan): void {
    if (this.#isFresh) this.#emptyFiles();
    for (const { offset, run } of plan.placed) this.#disk.writeData(offset, run.values);
    this.#disk.addEntries(plan.chain);
    this.#apply(plan);
    const isAuthNew = plan.change.auth !== undefined && this.#setAuth(plan.change.auth);
    const isDue = plan.chain.length > 0 && this.#isHeaderDue();
    if (isDue || isAuthNew) this.#writeHeader();
  }

  /**
   * Makes a change that takes something away. Each value that comes is a barrier, as in `LogDisk.commit`; the change is to be
   * read when the generator has ended, or a little before.
   */
  *replace(plan: Plan): Generator<Barrier> {
    const { change, placed, chain, updates } = plan;
    if (this.#isFresh) this.#emptyFiles();
    yield* this.commit(true);
    this.#cutFile();
    // Blocks that come in the place of those that are cut off must not be there before the cut is.
    if (change.truncate === undefined) {
      for (const { offset, run } of placed) this.#disk.writeData(offset, run.values);
    }
    const isSplit = change.truncate !== undefined && placed.length > 0;
    const first = isSplit ? chain.slice(0, 1) : chain;
    if (first.length > 0) yield* this.#disk.writeAhead(first);
    this.#keepForSnapshots(change, updates);
    this.#apply(plan);
    const isAuthNew = change.auth !== undefined && this.#setAuth(change.auth);
    this.#cutFile();
    if (isSplit) {
      for (const { offset, run } of placed) this.#disk.writeData(offset, run.values);
      this.#disk.addEntries(chain.slice(1));
    }
    if (change.truncate !== undefined || isAuthNew) return this.#writeHeader();
    this.#emptyData(change);
    if (first.length > 0 && this.#isHeaderDue()) this.#writeHeader();
  }

  /** Brings to the disk what waits: see `LogDisk.commit`. */
  *commit(isDurable: boolean): Generator<Barrier> {
    if (this.isClean) return;
    this.#cutFile();
    yield* this.#disk.commit(isDurable);
  }

  #apply({ change, upgrade, roots, userData, updates }: Plan): void {
    const log = this.#log;
    for (const { key, value } of userData) {
      log.header = { ...log.header, userData: withUserData(log.header.userData, key, value?.slice()) };
    }
    for (const { start, length, isDrop } of updates) {
      log.blocks.setRange(start, start + length, !isDrop);
      updateContiguous(log, start, start + length, isDrop);
    }
    if (upgrade !== undefined) this.#upgrade(upgrade, change.head!.rootHash.slice(), roots);
    for (const node of change.nodes) {
      const copy = copyNode(node);
      this.#cache.delete(node.index);
      log.unflushed.set(node.index, copy);
      this.#newNodes.set(node.index, copy);
    }
  }

  #upgrade(upgrade: TreeUpgrade, rootHash: Uint8Array, roots: readonly TreeNode[]): void {
    const log = this.#log;
    const { fork, length, signature, ancestors } = upgrade;
    if (ancestors < this.header.tree.length) {
      cutTree(log, upgrade);
      this.#newNodes = new Map(log.unflushed);
      this.#cache.clear();
      this.#proven.clear();
    } else if (fork !== this.header.tree.fork) cutTree(log, upgrade);
    log.header = { ...log.header, tree: { fork, length, rootHash, signature } };
    log.roots = roots;
  }

  /** Cuts the file `tree`, if that is due: the entry that says so is on the disk. */
  #cutFile(): void {
    const { cut } = this.#log;
    if (cut === undefined) return;
    this.#disk.files.tree.truncate(cut === 0 ? 0 : (2 * cut - 1) * NODE_BYTES);
    this.#log.cut = undefined;
  }

  /** Cuts the file `data` where cleared blocks end it. The next blocks go to their places all the same, behind a hole. */
  #emptyData({ clears }: Change): void {
    const { data } = this.#disk.files;
    const { length } = this.header.tree;
    for (const clear of clears) {
      const start = this.#log.blocks.lastSet(clear.start) + 1;
      const next = this.#log.blocks.firstSet(Math.min(clear.end, Math.max(length, clear.start)));
      const end = next === -1 ? length : next;
      if (start >= end || start >= length) continue;
      const from = this.#offset(start);
      if (end === length && from < data.size()) data.truncate(from);
    }
  }

  /** Copies what snapshots see and the log is about to lose. */
  #keepForSnapshots({ truncate }: Change, updates: readonly BitfieldUpdate[]): void {
    for (const snapshot of this.snapshots) {
      for (const [i, { isDrop, start, length }] of updates.entries()) {
        if (isDrop) snapshot.keep(this, start, start + length, i === 0 && truncate !== undefined);
      }
    }
  }

  #emptyFiles(): void {
    const { tree, bitfield, data, header } = this.#disk.files;
    for (const file of [tree, bitfield, data, header]) if (file.size() > 0) file.truncate(0);
    this.#isFresh = false;
  }

  #isHeaderDue(): boolean {
    if (--this.#untilHeader <= 0 || this.#disk.entryBytes >= MAX_ENTRY_BYTES) {
      this.#untilHeader = CHANGES_PER_HEADER;
      return true;
    }
    const isDue = this.#isManifestNew;
    this.#isManifestNew = false;
    return isDue;
  }

  #writeHeader(): void {
    this.#disk.addHeader(this.header, this.#newNodes, this.#log.blocks.takeChanged());
    this.#newNodes = new Map();
  }

  #setAuth({ manifest, keyPair }: NonNullable<Change["auth"]>): boolean {
    const { header } = this.#log;
    const isUnchanged = isSame(manifest, header.manifest) &&
      isSame(keyPair?.publicKey, header.keyPair?.publicKey) &&
      isSame(keyPair?.secretKey, header.keyPair?.secretKey);
    if (isUnchanged) return false;
    if (!isSame(manifest, header.manifest)) this.#isManifestNew = true;
    this.#log.header = {
      ...header,
      manifest: manifest?.slice(),
      keyPair: keyPair && { publicKey: keyPair.publicKey.slice(), secretKey: keyPair.secretKey.slice() },
    };
    return true;
  }

  #find(index: number): TreeNode | undefined {
    const cached = this.#cache.get(index);
    if (cached !== undefined) return cached;
    const node = findNode(this.#log, this.#disk.files, index);
    if (node === undefined) return undefined;
    if (this.#cache.size >= MAX_CACHED_NODES) this.#cache.clear();
    this.#cache.set(index, node);
    return node;
  }

  #mustFind(index: number): TreeNode {
    const node = this.#find(index);
    if (node !== undefined) return node;
    throw this.#damaged(`node ${index} is missing above a block that is held`);
  }

  #offset(index: number): number {
    const offset = offsetOf(index, this.#log.roots, (node) => this.#find(node));
    if (offset === undefined) throw this.#damaged(`nodes before block ${index} are missing`);
    return offset;
  }

  #readData(offset: number, size: number): Uint8Array {
    const bytes = size === 0 ? NOTHING : this.#disk.files.data.read(offset, size);
    if (bytes.length === size) return bytes;
    throw this.#damaged(`the file data ends before byte ${offset + size}`);
  }

  /**
   * Nothing else in these files tells whether a block, or a size of those before it, is still what was written: so what it hashes
   * to is followed up to a root, or to what was proven before.
   */
  #check(index: number, value: Uint8Array): void {
    const leaf = this.#mustFind(2 * index);
    let node: TreeNode = { index: 2 * index, size: value.length, hash: leafHash(this.#crypto, value) };
    const way: TreeNode[] = [];
    for (;;) {
      const known = this.#proven.get(node.index) ?? this.#log.roots.find((root) => root.index === node.index);
      if (known !== undefined) {
        if (isSameNode(known, node)) break;
        throw this.#damaged(`block ${index}, or a node beside its way to the root, is not what was written`);
      }
      const other = this.#find(siblingOf(node.index));
      if (other === undefined) { // the reference deletes nodes that it needs when it clears from an odd block on
        if (equals(leaf.hash, way[0]?.hash ?? node.hash)) return;
        throw this.#damaged(`block ${index} is not what was written`);
      }
      way.push(node, other);
      const [left, right] = node.index < other.index ? [node, other] : [other, node];
      const hash = parentHash(this.#crypto, left, right);
      node = { index: (left.index + right.index) / 2, size: left.size + right.size, hash };
    }
    if (this.#proven.size + way.length > MAX_CACHED_NODES) this.#proven.clear();
    for (const one of way) this.#proven.set(one.index, one);
  }

  #damaged(what: string): StorageError {
    const text = `The log is damaged: ${what}. Clear the block, and fetch it again from its peers`;
    return new StorageError("STORE_CORRUPT", text);
  }
}

function isSameNode(a: TreeNode, b: TreeNode): boolean {
  return a.size === b.size && equals(a.hash, b.hash);
}
