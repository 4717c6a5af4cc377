/**
 * What a store of logs is, at the logical level: logs by their discovery key, and of each its keys, head, blocks, tree nodes,
 * bitfield pages and user data. SQLite, memory, Hypercore's own files or an object store can each be one.
 *
 * A store knows nothing of hashing, signatures or encryption: blocks and bitfield pages are bytes to it. What it does promise is
 * that a batch is written whole or not at all, over any number of logs; that batches survive a crash in the order in which they
 * were written; and that after `sync` they survive what its durability names.
 */
import type { TreeNode } from "../crypto/hash.ts";
import type { MaybePromise } from "../runtime/async.ts";
import type { WriteBatch } from "./write_batch.ts";

export type { TreeNode } from "../crypto/hash.ts";
export type { MaybePromise } from "../runtime/async.ts";

/**
 * What {@linkcode Store.sync} waits for, and so what a crash can take. In each case a crash loses the latest batches only: what
 * is left is all batches up to some point, each of them whole.
 *
 * - `full`: the medium has it. Nothing synced is lost when the power fails.
 * - `normal`: the operating system has it. Nothing synced is lost when the process dies; a power cut may take the latest.
 * - `none`: nothing is waited for, and the medium is never asked. When the process dies nothing is lost that the operating
 *   system has; a power cut may take the whole store. For what can be fetched again.
 */
export type Durability = "full" | "normal" | "none";

/** The largest index of a block: the indexes of all tree nodes above it are safe integers. */
export const MAX_BLOCK_INDEX: number = 2 ** 51 - 1;
/** Most bytes of a block, a bitfield page or a value of user data. */
export const MAX_VALUE_BYTES: number = 2 ** 28;
/** Most UTF-16 units of a name: of user data, of a record, of an overlay. */
export const MAX_NAME_LENGTH = 1024;

/** The record of a store that holds the 32 bytes from which the key pairs of its named logs are derived. */
export const PRIMARY_KEY_RECORD = "primaryKey";

/** The user data of a log that holds the topic of its group, 32 bytes. */
export const GROUP_KEY = "hypha/group";
/** What the names of user data begin with that hold marks, as pages of a bitfield do, whose number follows. */
export const MARKS_KEY = "hypha/marks/";

/** What a log is known and written by; it changes seldom. */
export interface LogAuth {
  /** The key of the log, which is not its discovery key. */
  readonly key: Uint8Array;
  /** Bits that the log gives a meaning to, such as that it is a compat core. */
  readonly flags: number;
  /** The encoded manifest, once it is known. */
  readonly manifest?: Uint8Array | undefined;
  /** What the log is signed with, where this store is its writer. */
  readonly keyPair?: { readonly publicKey: Uint8Array; readonly secretKey: Uint8Array } | undefined;
  /** What its blocks are encrypted with. */
  readonly encryptionKey?: Uint8Array | undefined;
}

/** The signed state of a log. */
export interface LogHead {
  /** How often the log was truncated, in the writer's counting. */
  readonly fork: number;
  /** How many blocks it has, held here or not. */
  readonly length: number;
  /** The hash of the tree over these blocks. */
  readonly rootHash: Uint8Array;
  /** The signature or signatures over the tree. */
  readonly signature: Uint8Array;
  /** Bits that the log gives a meaning to. */
  readonly flags: number;
  /** When it was written, in Unix milliseconds; 0 if nobody said. */
  readonly timestamp: number;
}

/** What spares work and may be out of date; written without a signature. */
export interface LogHints {
  /** All blocks before this one are held. */
  readonly contiguousLength: number;
  /** All blocks before this one are held by some other peer. */
  readonly remoteContiguousLength: number;
  /** Whether the store was found damaged and the log must not be appended to until peers were asked. */
  readonly recovering: boolean;
}

/** A block and where it is. */
export interface StoredBlock {
  /** Its index in the log. */
  readonly index: number;
  /** Its bytes; not to be written to. */
  readonly value: Uint8Array;
}

/** Which data of which log: the log's own, or those of one of its overlays. */
export interface LogAddress {
  /** The discovery key of the log. */
  readonly discoveryKey: Uint8Array;
  /** The name of the overlay; undefined for the log itself. */
  readonly overlayName: string | undefined;
}

/**
 * Reads a log. An answer reflects every batch whose `write` has returned, and nothing of one that is under way.
 *
 * Bytes that are handed out must not be written to: a store may hand out its own. Indexes are safe integers from 0, pages are
 * counted from 0 in whatever size the log cuts its bitfield into. All methods throw or reject with a `StorageError` if the store
 * is closed or cannot read, and with a `RangeError` for what is no index.
 */
export interface LogReader {
  /** The signed state; undefined if there is none. */
  head(): MaybePromise<LogHead | undefined>;
  /** The hints; undefined if there are none. */
  hints(): MaybePromise<LogHints | undefined>;
  /** A block; undefined if it is not held. An empty block is not undefined. */
  block(index: number): MaybePromise<Uint8Array | undefined>;
  /**
   * The first of the blocks that are held in [start, end), by index, without leaving one out: at least one if there is one, then
   * at most as many as fit into `maxBytes`. To go on, ask again from behind the last; an empty answer is the end.
   */
  blocks(start: number, end: number, maxBytes: number): MaybePromise<readonly StoredBlock[]>;
  /** A tree node; undefined if it is not held. */
  node(index: number): MaybePromise<TreeNode | undefined>;
  /** The tree nodes at `indexes`, in that order; undefined for those that are not held. */
  nodes(indexes: readonly number[]): MaybePromise<readonly (TreeNode | undefined)[]>;
  /** A page of the bitfield; undefined if it was never written, or was emptied. */
  bitfieldPage(page: number): MaybePromise<Uint8Array | undefined>;
  /** The pages that exist in [start, end), by number. */
  bitfieldPages(start: number, end: number): MaybePromise<readonly { page: number; value: Uint8Array }[]>;
  /** A value of user data; undefined if there is none. */
  userData(key: string): MaybePromise<Uint8Array | undefined>;
  /** The keys of user data that begin with `prefix`, in no certain order. */
  userDataKeys(prefix: string): MaybePromise<readonly string[]>;
}

/**
 * A log in a store, or an overlay of one. Holds nothing open: it is an address with methods, and reads as empty until the first
 * batch that names it was written.
 *
 * An **overlay** is a named, persistent branch of a log, which shares the log's blocks and nodes below some length and has its
 * own from there on. What is cleared or truncated in the log stays in its overlays. It begins with the bitfield and the user
 * data of what it branches from, and without head and hints. Overlays of overlays are overlays of the log.
 */
export interface LogStorage extends LogReader, LogAddress {
  /** The keys of the log, which its overlays share; undefined if the store does not have the log. */
  auth(): MaybePromise<LogAuth | undefined>;
  /** The overlay called `name`, which need not exist yet: its {@linkcode exists} tells. */
  overlay(name: string): LogStorage;
  /** The names of all overlays of the log, in no certain order. */
  overlays(): MaybePromise<readonly string[]>;
  /** Whether anything was ever written to it, since it was last removed. */
  exists(): MaybePromise<boolean>;
  /**
   * The log as it is now. Head, hints, bitfield, user data, and blocks and nodes below the length of the head stay readable
   * whatever happens to the log, until the log or overlay is removed; blocks that arrive later below a length that both share
   * are found as well. Dispose of it, or what was cleared keeps its room until the store is closed.
   */
  snapshot(): MaybePromise<LogSnapshot>;
}

/** A log at one point in time. */
export interface LogSnapshot extends LogReader, Disposable {}

/** How much a store holds. */
export interface StoreSize {
  /** Bytes that the store takes on its medium. */
  readonly bytes: number;
  /** Bytes of these that hold nothing and will be used next. */
  readonly freeBytes: number;
}

/** Logs at rest. */
export interface Store extends AsyncDisposable {
  /** What {@linkcode sync} waits for. */
  readonly durability: Durability;
  /**
   * The log of `discoveryKey`, 32 bytes, which need not exist yet. Writes nothing, however often it is asked.
   *
   * @throws {TypeError} if the key has another length.
   */
  open(discoveryKey: Uint8Array): MaybePromise<LogStorage>;
  /** The discovery keys of all logs, in no certain order. Logs that come or go meanwhile may be missing or not. */
  list(): AsyncIterable<Uint8Array>;
  /** A value of the store as a whole, such as the seed of its keys; undefined if there is none. */
  record(name: string): MaybePromise<Uint8Array | undefined>;
  /** The names of all records that begin with `prefix`, in no certain order. */
  recordNames(prefix: string): MaybePromise<readonly string[]>;
  /**
   * Writes a batch, whole or not at all. Batches take effect in the order of the calls. The batch and its bytes may be used
   * again when it has returned.
   *
   * @throws {StorageError} `DISK_FULL` if there is no room: nothing was written, and the same batch may succeed when there is.
   * Any other code: the store takes no more batches until it is opened again.
   */
  write(batch: WriteBatch): MaybePromise<void>;
  /**
   * Waits until all batches whose `write` has returned are as safe as {@linkcode durability} says. Calls that wait together
   * share the work.
   *
   * @throws {StorageError} if that is not certain. The store then takes no more batches until it is opened again: a medium that
   * failed to sync once may have dropped the bytes and report success the next time.
   */
  sync(): Promise<void>;
  /**
   * Removes a log with all its overlays, and gives back the room that it took. The log is gone as soon as the call returns its
   * promise; snapshots of it read as empty.
   *
   * @returns by how many bytes the store has shrunk, as the medium counts them.
   */
  remove(discoveryKey: Uint8Array): Promise<number>;
  /**
   * Gives all room that holds nothing back to the medium, in small steps between which other work goes on.
   *
   * @returns by how many bytes the store has shrunk; 0 if it cannot.
   */
  shrink(): Promise<number>;
  /** How much it holds. */
  size(): MaybePromise<StoreSize>;
  /**
   * Deletes what the store knows to be damaged, which nobody can read any more, so that it counts as missing, and brings back what
   * it can; tells what is damaged still. A store that checks nothing does not have it.
   *
   * @param discoveryKeyOf tells of the key of a log its discovery key.
   * @throws {StorageError} `STORE_CORRUPT` if it cannot be read in order: what can be read can be copied.
   */
  dropDamaged?(discoveryKeyOf: (key: Uint8Array) => Uint8Array): MaybePromise<readonly string[]>;
  /** Syncs and closes. What is called later fails with `STORE_CLOSED`; closing again does nothing. */
  close(): Promise<void>;
}
