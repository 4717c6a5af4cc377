/**
 * One branch of a log, in memory as far as that is small and in a store for the rest: the log itself, or a draft of it. Changes are
 * made here and nowhere else, each in one atomic write, and are seen when they are written: those of a writer when they are synced.
 */
import { copyHash, treeHash } from "../crypto/hash.ts";
import { assert } from "../runtime/assert.ts";
import type { MaybePromise } from "../runtime/async.ts";
import { type StorageError, toError } from "../runtime/errors.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { LogHints, LogStorage, StoredBlock } from "../storage/storage.ts";
import { type LogWriter, WriteBatch } from "../storage/write_batch.ts";
import { type Appended, type AppendGroup, type AppendOptions, AppendQueue } from "./append_queue.ts";
import { BranchReader } from "./branch_reader.ts";
import { Bitfield } from "./bitfield.ts";
import { type BatchTarget, type BranchParts, damaged, headOf, type LogObserver } from "./branch_parts.ts";
import { checkRanges, clearableRanges, clearNodes } from "./clearable_nodes.ts";
import { EMPTY_TREE, rootsOf, totalSize, TreeBatch, type TreeState, truncateTree } from "./merkle_tree.ts";
import type { NodeReader } from "./node_reader.ts";
import type { PendingChanges } from "./pending_changes.ts";
import { TurnWriter } from "./turn_writer.ts";
import { cutPages, NO_HINTS, writePages } from "./stored_bits.ts";
import { readBranch } from "./stored_branch.ts";
import type { VerifiedProof } from "./verify_proof.ts";

/** Bytes of blocks that may wait to be written until the end of a turn. */
const MAX_PENDING_BYTES = 4 * 1024 * 1024;

/** A branch that nobody signs: a draft. */
export class LogBranch {
  /** Time and cryptography. */
  readonly runtime: Runtime;
  /** Where it is read; not to be written to by others. */
  readonly storage: LogStorage;
  /** The nodes of its tree that are at hand, also those that are verified but not written. */
  readonly nodes: NodeReader = (index) => this.#reader.node(index);
  /** Where it is written. */
  readonly target: BatchTarget;
  readonly #appends: AppendQueue;
  readonly #writer: TurnWriter;
  readonly #reader: BranchReader;
  readonly #observers = new Set<LogObserver>();
  #tree: TreeState = EMPTY_TREE;
  #signature: Uint8Array | undefined;
  #held = new Bitfield();
  #hints: LogHints = NO_HINTS;
  /** Settles when memory is what the store has again, after a failure. */
  #restored: Promise<void> | undefined;
  /** Settles when the changes that need the log for themselves are done, those that wait included. */
  #lock: Promise<void> | undefined;

  /** Call {@linkcode load} before anything else. */
  constructor({ runtime, storage, target }: BranchParts) {
    this.runtime = runtime;
    this.storage = storage;
    this.target = target;
    this.#writer = new TurnWriter({
      clock: runtime.clock,
      write: (changes) => this.target.write(this.#batchOf(changes)),
      onWritten: (changes) => this.#onWritten(changes),
      onFailure: (error) => this.#onFailure(error),
    });
    this.#reader = new BranchReader(storage, this.#writer, {
      onNoBlock: (index, error) => this.#lose(index, error),
      onDamage: (error) => this.tell((observer) => observer.onRepairing?.(error)),
    });
    this.#appends = new AppendQueue((work) => this.exclusive(work), (group) => this.#append(group));
  }

  /** What the log is. */
  get tree(): TreeState {
    return this.#tree;
  }

  /** How many blocks it has. */
  get length(): number {
    return this.#tree.length;
  }

  /** The signature over it; undefined if it is empty or nobody signs it. */
  get signature(): Uint8Array | undefined {
    return this.#signature;
  }

  /** Which blocks are at hand. Not to be changed. */
  get held(): Bitfield {
    return this.#held;
  }

  /** All blocks before this one are at hand. */
  get contiguousLength(): number {
    return this.#hints.contiguousLength;
  }

  /** Whether peers have to be asked for what was signed before anything is signed again. */
  get isRecovering(): boolean {
    return this.#hints.recovering;
  }

  /** Nothing is signed that peers were not asked about. */
  async endRecovering(): Promise<void> {
    await this.exclusive(() => {
      this.#hints = { ...this.#hints, recovering: false };
      return this.write((writer) => void writer.setHints(this.#hints));
    });
    this.tell((observer) => observer.onRepaired?.());
  }

  /** All blocks before this one are at hand at some peer, as far as was heard. */
  get remoteContiguousLength(): number {
    return this.#hints.remoteContiguousLength;
  }

  set remoteContiguousLength(value: number) {
    // It is written along with the next change: it is but a hint.
    this.#hints = { ...this.#hints, remoteContiguousLength: value };
  }

  /** Whether changes of peers have to wait. */
  get isLocked(): boolean {
    return this.#lock !== undefined || this.#restored !== undefined;
  }

  /** Resolves when changes of peers need not wait. */
  async unlocked(): Promise<void> {
    while (this.isLocked) await (this.#lock ?? this.#restored);
  }

  /** Reads what is stored. @throws {StorageError} `STORE_CORRUPT` if it does not fit together. */
  async load(): Promise<void> {
    const { tree, signature, held, hints, damage } = await readBranch(this.runtime.crypto, this.storage);
    if (damage !== undefined) this.admit(damage);
    this.#tree = tree;
    this.#signature = signature;
    this.#held = held;
    this.#hints = hints;
    this.#writer.drop();
    this.#reader.forget();
  }

  /** The same branch over another store: what an `Atom` makes drafts with. */
  async reopen(parts: BranchParts): Promise<LogBranch> {
    const branch = new LogBranch(parts);
    await branch.load();
    return branch;
  }

  /** Reads again what was written by others, while it was held, behind its first `ancestors` blocks, and tells of it. */
  async refresh(ancestors: number): Promise<void> {
    const { length: oldLength, fork: oldFork } = this.#tree;
    await this.load();
    const isOther = this.length !== oldLength || this.#tree.fork !== oldFork;
    if (isOther) this.tell((observer) => observer.onUpgrade?.({ ancestors, oldLength, oldFork }));
    if (this.length > ancestors) this.tell((observer) => observer.onBlocks?.(ancestors, this.length, true));
  }

  /** Tells `observer` what happens; returns how to stop that. */
  observe(observer: LogObserver): () => void {
    this.#observers.add(observer);
    return () => void this.#observers.delete(observer);
  }

  /** A block as it is stored; undefined if it is not at hand, or turns out to be damaged: then it is not held any more. */
  readBlock(index: number): MaybePromise<Uint8Array | undefined> {
    return this.#reader.block(index);
  }

  /** Blocks as `LogReader.blocks` has them, those that wait in runs of their own; none if one of them is damaged. */
  readBlocks(start: number, end: number, maxBytes: number): MaybePromise<readonly StoredBlock[]> {
    return this.#reader.blocks(start, end, maxBytes);
  }

  /** The hash of the tree over the first `length` blocks; undefined if a node is not at hand. */
  async treeHash(length: number = this.length): Promise<Uint8Array | undefined> {
    const roots = await rootsOf(this.nodes, this.#tree, length);
    return roots && treeHash(this.runtime.crypto, roots);
  }

  /** Appends blocks. Those of appends that wait together are signed, written and synced together. */
  append(blocks: readonly Uint8Array[], options: AppendOptions = {}): Promise<Appended> {
    return this.#appends.add(blocks, options);
  }

  /**
   * Cuts the log to `length` blocks, and calls it `fork`; then it is signed as `options` say.
   *
   * @throws {RangeError} if it is not that long; {StorageError} if the tree is damaged.
   */
  truncate(length: number, fork: number, options: AppendOptions = {}): Promise<void> {
    return this.exclusive(async () => {
      const tree = await truncateTree(this.runtime.crypto, this.nodes, this.#tree, length, fork);
      if (tree === undefined) throw damaged("nodes of its tree are missing");
      await this.replace(tree, this.sign(tree, options), true);
    });
  }

  /**
   * Drops blocks, and nodes that nothing needs then, in one write: those of ranges from left to right, each from its start up to
   * but without its end. Returns how many blocks.
   */
  clear(...ranges: (readonly [start: number, end: number])[]): Promise<number> {
    checkRanges(ranges);
    return this.exclusive(async () => {
      const cleared = clearableRanges(this.#held, this.length, ranges);
      if (cleared.length === 0) return 0;
      const count = cleared.reduce((sum, [start, end]) => sum + this.#held.count(start, end), 0);
      for (const [start, end] of cleared) this.#held.setRange(start, end, false);
      const { contiguousLength } = this.#hints;
      const [first] = cleared[0]!;
      const hints = { ...this.#hints, contiguousLength: Math.min(contiguousLength, first) };
      await this.write((writer) => {
        writer.setHints(hints);
        for (const [start, end] of cleared) {
          writer.clear(start, end);
          if (this.mayForgetNodes) clearNodes(writer, this.#held, this.length, start, end);
        }
        writePages(writer, this.#held, [[first, contiguousLength], ...cleared]);
      });
      this.#hints = hints;
      this.#reader.forget();
      for (const [start, end] of cleared) this.tell((observer) => observer.onBlocks?.(start, end, false));
      return count;
    });
  }

  /** Makes a branch called `name` of the first `length` blocks. @throws {RangeError} if there are not that many. */
  branchOff(name: string, length: number): Promise<void> {
    return this.exclusive(async () => {
      const roots = await rootsOf(this.nodes, this.#tree, length);
      if (roots === undefined) throw damaged("nodes of its tree are missing");
      const tree = { fork: this.#tree.fork, length, byteLength: totalSize(roots), roots };
      await this.write((writer, batch) => {
        writer.createOverlay(name, length);
        const branch = batch.log(this.storage.overlay(name));
        branch.setHead(headOf(this.runtime, tree, undefined));
        branch.setHints({ ...this.#hints, contiguousLength: Math.min(length, this.contiguousLength) });
      });
    });
  }

  /** Sets a value of user data, or removes it; it is synced. */
  async setUserData(key: string, value: Uint8Array | undefined): Promise<void> {
    await this.exclusive(() => this.write((writer) => void writer.setUserData(key, value)));
    await this.target.sync();
  }

  /** Resolves when all that was verified is written and synced. */
  async sync(): Promise<void> {
    await this.exclusive(() => Promise.resolve());
    await this.target.sync();
  }

  /** Runs `work`, which changes nothing by itself, while nothing else does, when all that was verified before is written. */
  hold<T>(work: () => Promise<T>): Promise<T> {
    return this.exclusive(work);
  }

  /** Runs `work` while nothing else changes the log, when all that was verified before is written. */
  protected async exclusive<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#lock;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#lock = promise;
    try {
      if (before !== undefined) await before;
      while (this.#writer.isBusy) await this.#writer.flush();
      await this.#restored;
      return await work();
    } finally {
      if (this.#lock === promise) this.#lock = undefined;
      resolve();
    }
  }

  /** The signature over `tree`, if somebody signs. */
  protected sign(_tree: TreeBatch, _options: AppendOptions): Uint8Array | undefined {
    return undefined;
  }

  /** Whether nodes that no block at hand needs can be had from peers again, should the log be cut among them. */
  protected get mayForgetNodes(): boolean {
    return false;
  }

  /** Adds to a batch what belongs into the first one. */
  protected prepare(_writer: LogWriter): void {}

  /** Writes one batch; if that fails, memory is what the store has. Within {@linkcode exclusive}. */
  protected async write(fill: (writer: LogWriter, batch: WriteBatch) => MaybePromise<void>): Promise<void> {
    try {
      const batch = new WriteBatch();
      const writer = batch.log(this.storage);
      this.prepare(writer);
      await fill(writer, batch);
      await this.target.write(batch);
    } catch (error) {
      await this.#restore();
      throw error;
    }
  }

  /** Makes `tree`, which is a cut or another log, what the log is. Within {@linkcode exclusive}. */
  protected async replace(
    tree: TreeBatch,
    signature: Uint8Array | undefined,
    isSynced: boolean,
  ): Promise<void> {
    const { ancestors } = tree;
    const change = { ancestors, oldLength: this.length, oldFork: this.#tree.fork, isProven: !isSynced };
    const contiguousLength = Math.min(this.contiguousLength, ancestors);
    if (this.length > ancestors) this.#held.setRange(ancestors, this.length, false);
    const hints = { ...this.#hints, contiguousLength };
    await this.write(async (writer) => {
      writer.truncate(ancestors);
      for (const node of tree.nodes) writer.putNode(node);
      writer.setHead(headOf(this.runtime, tree, signature));
      writer.setHints(hints);
      await cutPages(writer, this.storage, this.#held, ancestors);
    });
    if (isSynced) await this.target.sync();
    this.#hints = hints;
    this.#reader.forget();
    this.#setTree(tree, signature);
    this.tell((observer) => observer.onUpgrade?.(change));
  }

  /**
   * Takes what was proven against the log as it is now, to be written at the end of the turn.
   *
   * @returns whether the block in it is news.
   */
  protected accept({ tree, signature, block }: VerifiedProof): boolean {
    assert(!this.isLocked, "nobody else changes the log");
    const pending = this.#writer.changes();
    if (tree.isUpgrade) {
      pending.upgrade ??= { ancestors: this.length, oldLength: this.length, oldFork: this.#tree.fork };
      this.#setTree(tree, signature?.slice());
    }
    for (const node of tree.nodes) pending.addNode(node);
    const isNew = block !== undefined && !this.#held.get(block.index);
    if (isNew) {
      pending.addBlock(block.index, block.value);
      this.#held.set(block.index, true);
    }
    if (pending.byteLength > MAX_PENDING_BYTES) void this.#writer.flush();
    return isNew;
  }

  #batchOf(pending: PendingChanges): WriteBatch {
    pending.contiguousLength = this.#held.firstUnset(this.contiguousLength);
    const batch = new WriteBatch();
    const writer = batch.log(this.storage);
    this.prepare(writer);
    if (pending.upgrade !== undefined) writer.setHead(headOf(this.runtime, this.#tree, this.#signature));
    pending.writeTo(writer, this.#held, this.#hints);
    return batch;
  }

  #onWritten(pending: PendingChanges): void {
    this.#hints = { ...this.#hints, contiguousLength: pending.contiguousLength };
    this.#reader.keep(pending.nodes.values());
    const { upgrade } = pending;
    if (upgrade !== undefined) this.tell((observer) => observer.onUpgrade?.({ ...upgrade, isProven: true }));
    for (const [start, end] of pending.ranges()) {
      this.tell((observer) => observer.onBlocks?.(start, end, true));
    }
  }

  async #onFailure(error: unknown): Promise<void> {
    await this.#restore();
    this.tell((observer) => observer.onFailure?.(toError(error)));
  }

  /** Makes memory what the store has. If that cannot be read either, the log is as good as closed. */
  async #restore(): Promise<void> {
    this.#restored = this.load().catch(() => {}); // whoever asks next is told by the store
    await this.#restored;
    this.#restored = undefined;
  }

  async #append({ lists, options }: AppendGroup): Promise<Appended[]> {
    const tree = new TreeBatch(this.runtime.crypto, this.#tree);
    const stored: Uint8Array[] = [];
    const appended = lists.map((blocks) => {
      for (const block of blocks) {
        const bytes = options.cipher?.encrypt(tree.length, tree.fork, block) ?? block;
        tree.append(bytes);
        stored.push(bytes);
      }
      return { length: tree.length, byteLength: tree.byteLength };
    });
    const { maxLength = Infinity, base = this.#tree } = options;
    if (base !== this.#tree) throw new RangeError("the log has changed meanwhile: look again");
    if (tree.length > maxLength) {
      throw new RangeError(`the log would have ${tree.length} blocks, and may have ${maxLength}`);
    }
    if (stored.length > 0) await this.#appendStored(tree, stored, this.sign(tree, options));
    return appended;
  }

  async #appendStored(
    tree: TreeBatch,
    blocks: readonly Uint8Array[],
    signature: Uint8Array | undefined,
  ): Promise<void> {
    const oldLength = this.length;
    const change = { ancestors: oldLength, oldLength, oldFork: this.#tree.fork };
    const isContiguous = this.contiguousLength === oldLength;
    const hints = isContiguous ? { ...this.#hints, contiguousLength: tree.length } : this.#hints;
    await this.write((writer) => {
      blocks.forEach((block, i) => writer.putBlock(oldLength + i, block));
      for (const node of tree.nodes) writer.putNode(node);
      writer.setHead(headOf(this.runtime, tree, signature));
      writer.setHints(hints);
      if (isContiguous) return;
      this.#held.setRange(oldLength, tree.length, true);
      writePages(writer, this.#held, [[oldLength, tree.length]]);
    });
    await this.target.sync();
    this.#held.setRange(oldLength, tree.length, true);
    this.#hints = hints;
    this.#reader.keep(tree.nodes);
    this.#setTree(tree, signature);
    this.tell((observer) => observer.onUpgrade?.(change));
    this.tell((observer) => observer.onBlocks?.(oldLength, tree.length, true));
  }

  #setTree({ fork, length, byteLength, roots }: TreeState, signature: Uint8Array | undefined): void {
    const own = roots.map(({ index, size, hash }) => ({ index, size, hash: copyHash(hash) }));
    this.#tree = { fork, length, byteLength, roots: own };
    this.#signature = signature;
  }

  /** Something is wrong with the head or the roots. */
  protected admit(damage: StorageError): void {
    throw damage;
  }

  /** A block that is held is gone: it is to be fetched again. */
  #lose(index: number, error = damaged(`block ${index} is missing`)): void {
    if (!this.#held.get(index) || this.isLocked) return;
    this.tell((observer) => observer.onRepairing?.(error));
    this.clear([index, index + 1]).catch(() => {}); // the store tells of its failures itself
  }

  /** Tells all observers. */
  protected tell(news: (observer: LogObserver) => void): void {
    for (const observer of [...this.#observers]) news(observer);
  }
}
