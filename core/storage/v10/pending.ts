/**
 * The files of one log, and what is on its way to them. Changes are decided upon in memory, in the order of the reference; this
 * brings them to the disk in an order that survives a power cut at any point, and leaves the same bytes.
 */
import { concat } from "../../../encoding/bytes.ts";
import { encode } from "../../../encoding/codec.ts";
import { writeUint32 } from "../../../encoding/fixed.ts";
import type { TreeNode } from "../storage.ts";
import { PAGE_BYTES } from "./block_map.ts";
import { type OplogEntry, oplogEntry } from "./entry.ts";
import type { FileFolder, RandomAccessFile } from "../files.ts";
import { type ExternalHeader, type V10Header, v10Header } from "./header.ts";
import {
  activeSlot,
  encodeFrame,
  ENTRIES_START,
  flippedBits,
  FRESH_BITS,
  SLOT_BYTES,
  type SlotBits,
} from "./oplog.ts";

/** Bytes of a node in the file `tree`. Source: hypercore 10.38.2, `lib/merkle-tree.js`. */
export const NODE_BYTES = 40;

/** The files of one log. */
export interface LogFiles {
  readonly oplog: RandomAccessFile;
  readonly header: RandomAccessFile;
  readonly tree: RandomAccessFile;
  readonly bitfield: RandomAccessFile;
  readonly data: RandomAccessFile;
}

/** The names of the files of a log. */
export const LOG_FILES = ["oplog", "header", "tree", "bitfield", "data"] as const;

/** The files of the log in the folder at `path`, which ends with `/` or is empty. */
export function logFiles(folder: FileFolder, path: string): LogFiles {
  const [oplog, header, tree, bitfield, data] = LOG_FILES.map((name) => folder.file(path + name));
  return { oplog: oplog!, header: header!, tree: tree!, bitfield: bitfield!, data: data! };
}

/** Entries that belong together: there after a crash all or not at all. */
export type Chain = readonly OplogEntry[];

/** Files that must be safe before anything else is done. */
export type Barrier = readonly RandomAccessFile[];

interface HeaderFrame {
  readonly slot: 0 | 1;
  readonly bytes: Uint8Array;
}

/** Headers that are decided upon and not on the disk, and what they stand for in the other files. */
class HeaderGroup {
  /** How many. */
  count = 0;
  /** The last one for each place. */
  frames: HeaderFrame[] = [];
  /** Entries that they take in. They are written first, so that what is half written can be repeated. */
  readonly absorbed: Chain[] = [];
  readonly nodes = new Map<number, TreeNode>();
  readonly pages = new Map<number, Uint8Array>();
  external: { readonly start: number; readonly bytes: Uint8Array } | undefined;

  /** Adds what came after it. */
  add({ count, frames, absorbed, nodes, pages, external }: HeaderGroup): void {
    this.count += count;
    for (const { slot, bytes } of frames) {
      // What an earlier header left behind this one stays there, as if each had been written.
      const before = this.frames.find((one) => one.slot === slot)?.bytes;
      const rest = before?.subarray(Math.min(before.length, bytes.length)) ?? new Uint8Array(0);
      const others = this.frames.filter((one) => one.slot !== slot);
      this.frames = [...others, { slot, bytes: concat([bytes, rest]) }];
    }
    this.absorbed.push(...absorbed);
    for (const [index, node] of nodes) this.nodes.set(index, node);
    for (const [number, page] of pages) this.pages.set(number, page);
    this.external = external ?? this.external;
  }
}

/** What is decided and not on the disk. */
class Pending {
  /** See {@linkcode LogDisk.addHeader}. */
  readonly groups: HeaderGroup[] = [];
  /** Entries behind the last header. */
  tail: Chain[] = [];
}

/** Writes the files of one log. */
export class LogDisk {
  readonly files: LogFiles;
  #pending = new Pending();
  /** The bits of both places, as decided, and as they are on the disk; undefined if no header was ever written. */
  #bits: SlotBits;
  #diskBits: SlotBits | undefined;
  /** Where the next entry goes, on the disk. */
  #diskEnd: number;
  #isTailClean: boolean;
  #entryBytes: number;
  #external: ExternalHeader | undefined;
  #isDataDirty = false;
  #pendingBytes = 0;
  /** Whether a first header was decided upon and is not on its way to the disk. */
  #isFresh: boolean;
  readonly #onNodes: (nodes: ReadonlyMap<number, TreeNode>) => void;

  /** `end` is behind the last entry that is valid; `onNodes` is told what the file `tree` has now. */
  constructor(
    files: LogFiles,
    found: { bits: SlotBits; end: number; external: ExternalHeader | undefined } | undefined,
    onNodes: (nodes: ReadonlyMap<number, TreeNode>) => void,
  ) {
    this.files = files;
    this.#bits = found?.bits ?? FRESH_BITS;
    this.#diskBits = found?.bits;
    this.#diskEnd = found?.end ?? ENTRIES_START;
    this.#isTailClean = found === undefined;
    this.#isFresh = found === undefined;
    this.#entryBytes = this.#diskEnd - ENTRIES_START;
    this.#external = found?.external;
    this.#onNodes = onNodes;
  }

  /** Bytes of the entries behind the last header. */
  get entryBytes(): number {
    return this.#entryBytes;
  }

  /** Bytes that wait in memory, about. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Whether nothing waits. */
  get isClean(): boolean {
    const { tail, groups } = this.#pending;
    return tail.length === 0 && groups.length === 0 && !this.#isDataDirty;
  }

  /** Whether the next header must be on the disk before another one is decided upon. */
  get isUrgent(): boolean {
    return this.#pending.groups.some(({ external }) => external !== undefined);
  }

  /** Writes blocks, at once: they are where nothing is that anybody could still need. */
  writeData(offset: number, values: readonly Uint8Array[]): void {
    this.#isDataDirty = true;
    this.files.data.write(offset, values.length === 1 ? values[0]! : concat(values));
  }

  /** Decides on entries. */
  addEntries(chain: Chain): void {
    if (chain.length === 0) return;
    this.#pending.tail.push(chain);
    for (const entry of chain) {
      const size = 8 + oplogEntry.size(entry);
      this.#entryBytes += size;
      this.#pendingBytes += size;
    }
  }

  /**
   * Decides on a header, which takes in all entries so far, and on what it stands for in the other files.
   *
   * Headers that wait are written as one, the last two of them in their places, if they are odd in number: then there is an order
   * in which at any point either the old header counts, with all entries since, or the last one. Of an even number the last goes
   * by itself. A new log has no old header; all of its first ones are one group.
   */
  addHeader(
    header: V10Header,
    nodes: ReadonlyMap<number, TreeNode>,
    pages: ReadonlyMap<number, Uint8Array>,
  ): void {
    this.#bits = flippedBits(this.#bits);
    const slot = activeSlot(this.#bits);
    const group = new HeaderGroup();
    group.count = 1;
    group.frames.push({ slot, bytes: this.#encodeHeader(header, this.#bits[slot], group) });
    group.absorbed.push(...this.#pending.tail);
    for (const [index, node] of nodes) group.nodes.set(index, node);
    for (const [number, page] of pages) group.pages.set(number, page);
    this.#pending.tail = [];
    this.#entryBytes = 0;
    this.#pendingBytes += 100 * nodes.size + PAGE_BYTES;
    const { groups } = this.#pending;
    const [first, second] = groups;
    if (first === undefined) groups.push(group);
    else if (this.#isFresh) first.add(group);
    else if (second === undefined) groups.push(group);
    else {
      first.add(second);
      first.add(group);
      groups.length = 1;
    }
  }

  /**
   * Brings to the disk what waits. Each value that comes is a barrier: what it names must be safe before the generator is asked
   * to go on. What is decided upon meanwhile waits for the next time.
   */
  *commit(isDurable: boolean): Generator<Barrier> {
    const { oplog, data } = this.files;
    const pending = this.#pending;
    this.#pending = new Pending();
    if (pending.groups.length > 0) this.#isFresh = false;
    this.#pendingBytes = 0;
    if (this.#isDataDirty) {
      this.#isDataDirty = false;
      yield [data];
    }
    for (const group of pending.groups) yield* this.#writeHeaders(group);
    if (pending.tail.length === 0) return;
    this.#append(pending.tail);
    if (isDurable) yield [oplog];
  }

  /** Writes entries for what is about to be destroyed, right now. Everything else must be on the disk. */
  *writeAhead(chain: Chain): Generator<Barrier> {
    if (this.#isDataDirty) {
      this.#isDataDirty = false;
      yield [this.files.data];
    }
    this.#append([chain]);
    this.#entryBytes = this.#diskEnd - ENTRIES_START;
    yield [this.files.oplog];
  }

  #encodeHeader(header: V10Header, bit: number, group: HeaderGroup): Uint8Array {
    let external = this.#external;
    if (external === undefined && v10Header.size(header) + 8 <= SLOT_BYTES) {
      return encodeFrame(v10Header, header, bit);
    }
    const bytes = encode(v10Header, header);
    external ??= { start: 0, length: 0 };
    // Never over the one that counts until this does.
    const start = bytes.length <= external.start
      ? 0
      : Math.ceil((external.start + external.length) / SLOT_BYTES) * SLOT_BYTES;
    this.#external = { start, length: bytes.length };
    group.external = { start, bytes };
    return encodeFrame(v10Header, this.#external, bit);
  }

  *#writeHeaders({ absorbed, frames, nodes, pages, external }: HeaderGroup): Generator<Barrier> {
    const { oplog, tree, bitfield, header } = this.files;
    if (absorbed.length > 0 && this.#diskBits !== undefined) {
      this.#append(absorbed);
      yield [oplog];
    }
    const barrier: RandomAccessFile[] = [];
    for (const [number, page] of pages) bitfield.write(number * PAGE_BYTES, page);
    if (pages.size > 0) barrier.push(bitfield);
    writeNodes(tree, nodes);
    this.#onNodes(nodes);
    if (nodes.size > 0) barrier.push(tree);
    if (external !== undefined) {
      header.write(external.start, external.bytes);
      barrier.push(header);
    }
    if (barrier.length > 0) yield barrier;
    for (const { slot, bytes } of this.#inSafeOrder(frames)) {
      oplog.write(slot * SLOT_BYTES, bytes);
      yield [oplog];
    }
    oplog.truncate(ENTRIES_START);
    this.#diskBits = this.#bitsAfter(frames);
    this.#diskEnd = ENTRIES_START;
    this.#isTailClean = true;
  }

  /**
   * One or two headers, the last that were decided upon, so that at any point there is one that counts and is whole: the last one
   * or the one from before.
   *
   * The place that does not count goes first, with the last header. Either its new bit makes it count at once; or its bit is as
   * before, and the other place, which is then written over where it stands, counts until it is torn or has its new bit. The
   * entries of the old header have the other bit than the new ones. In a new log nothing counts until the last header is there.
   */
  #inSafeOrder(frames: readonly HeaderFrame[]): readonly HeaderFrame[] {
    return frames.toReversed();
  }

  /** The bits on the disk when `frames` were written; more may have been decided upon since. */
  #bitsAfter(frames: readonly HeaderFrame[]): SlotBits {
    const last = frames.at(-1)!;
    const other = frames.findLast(({ slot }) => slot !== last.slot);
    const bitOf = (one: HeaderFrame) => one.bytes[4]! & 1;
    const bit = bitOf(last);
    const otherBit = other !== undefined
      ? bitOf(other)
      : this.#diskBits?.[1 - last.slot as 0 | 1] ?? (last.slot === 0 ? bit : 1 - bit);
    return last.slot === 0 ? [bit, otherBit] : [otherBit, bit];
  }

  #append(chains: readonly Chain[]): void {
    const { oplog } = this.files;
    if (!this.#isTailClean && oplog.size() > this.#diskEnd) oplog.truncate(this.#diskEnd);
    this.#isTailClean = true;
    const bit = activeSlot(this.#diskBits!);
    const frames = concat(
      chains.flatMap((chain) =>
        chain.map((entry, i) => encodeFrame(oplogEntry, entry, bit, i < chain.length - 1))
      ),
    );
    oplog.write(this.#diskEnd, frames);
    this.#diskEnd += frames.length;
  }
}

/** Writes nodes at their places, neighbours together. */
function writeNodes(tree: RandomAccessFile, nodes: ReadonlyMap<number, TreeNode>): void {
  const sorted = [...nodes.values()].sort((a, b) => a.index - b.index);
  for (let from = 0; from < sorted.length;) {
    let to = from + 1;
    while (to < sorted.length && sorted[to]!.index === sorted[to - 1]!.index + 1) to++;
    const bytes = new Uint8Array((to - from) * NODE_BYTES);
    for (let i = from; i < to; i++) {
      const { size, hash } = sorted[i]!;
      writeUint32(bytes, (i - from) * NODE_BYTES, size);
      writeUint32(bytes, (i - from) * NODE_BYTES + 4, Math.floor(size / 2 ** 32));
      bytes.set(hash, (i - from) * NODE_BYTES + 8);
    }
    tree.write(sorted[from]!.index * NODE_BYTES, bytes);
    from = to;
  }
}
