/** What a session of a log is made of, behind its public face. */
import type { Codec } from "../encoding/codec.ts";
import { codecOf, decodeBlock, Encryption } from "./block_coding.ts";
import type {
  EncryptionOption,
  GetOptions,
  SessionOptions,
  WaitOptions,
  WriteOptions,
} from "./hypercore_options.ts";
import type { EncryptionProvider } from "./hypercore_options.ts";
import type { AppendOptions } from "./log/append_queue.ts";
import type { LogBranch } from "./log/log_branch.ts";
import { LogState } from "./log/log_state.ts";
import { LiveView, type LogView, SnapshotView } from "./log_views.ts";
import type { BlockSource } from "./read_streams.ts";
import type { Range, RangeRequest } from "./replication/range_jobs.ts";
import { Requests } from "./requests.ts";
import { abortable } from "./runtime/async.ts";
import type { KeyPair } from "./runtime/crypto_provider.ts";
import {
  checkBlockIndex,
  isSessionMoved,
  notWritable,
  sessionClosed,
  sessionMoved,
} from "./session_checks.ts";
import type { SharedLog } from "./shared_log.ts";

/** Which branch of a log is read, and in which way. */
export interface Place {
  /** What it shares with other sessions. */
  readonly log: SharedLog;
  /** What it writes to. */
  readonly branch: LogBranch;
  /** What it reads. */
  readonly view: LogView;
  /** What is to be done when it is not read any more. */
  readonly onLeave: readonly (() => void)[];
}

/** Something that is done where the session is, and done again where it is moved to. */
interface Binding {
  readonly bind: () => () => void;
  unbind: () => void;
}

/** A session of a log. */
export class Session<T> {
  /** How it was opened. */
  readonly options: SessionOptions<T>;
  /** How values become blocks. */
  readonly codec: Codec<T> | undefined;
  /** What it waits for from peers. */
  readonly requests: Requests;
  /** Whether it marks the blocks that it reads. */
  isMarking: boolean;
  /** How often it has asked peers for a block. */
  waits = 0;
  /** What encrypts blocks. */
  encryption: EncryptionProvider | undefined;
  /** Who signs, if not the writer of the log. */
  keyPair: KeyPair | undefined;
  /** Settles when it is not being moved any more. */
  moving: Promise<void> | undefined;
  /** Is told that it was moved to a branch of which so many blocks are those that it had. */
  onMove: (ancestors: number, oldLength: number) => void = () => {};
  #place: Place;
  #encryptionOption: EncryptionOption | undefined;
  readonly #bindings = new Set<Binding>();
  readonly #onClose = new Set<() => void>();
  #isClosed = false;

  private constructor(options: SessionOptions<T>, place: Place, parent: Session<unknown> | undefined) {
    this.options = options;
    this.codec = codecOf(options.valueEncoding);
    this.keyPair = options.keyPair ?? parent?.keyPair;
    this.isMarking = parent?.isMarking ?? false;
    this.requests = new Requests(place.log.state.runtime.clock);
    this.#place = place;
    this.setEncryption(options.encryption ?? (parent && parent.#encryptionOption));
  }

  /** Opens a session of `log`, which shows and does what its `parent` does where the options do not say. */
  static async open<T>(
    log: SharedLog,
    options: SessionOptions<T>,
    parent?: Session<unknown>,
  ): Promise<Session<T>> {
    const { wait, writable, timeoutMs, onwait, onseq } = parent?.options ?? {};
    const all = { wait, writable, timeoutMs, onwait, onseq, ...definedOf(options) };
    for (;;) {
      if (parent?.moving !== undefined) await parent.moving;
      const place = await openPlace(parent?.log ?? log, all, parent);
      try {
        const hasMoved = parent?.moving !== undefined || (parent?.log ?? log) !== place.log;
        if (!hasMoved) return new Session<T>(all, place, parent);
      } catch (error) {
        dispose(place);
        throw error;
      }
      dispose(place);
    }
  }

  /** What it shares with other sessions. */
  get log(): SharedLog {
    return this.#place.log;
  }

  /** What it writes to. */
  get branch(): LogBranch {
    return this.#place.branch;
  }

  /** What it reads. */
  get view(): LogView {
    return this.#place.view;
  }

  /** Whether it was closed. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Whether it shows the log as it was. */
  get isFixed(): boolean {
    return this.view instanceof SnapshotView;
  }

  /** Whether it can append. */
  get isWritable(): boolean {
    const { state } = this.log;
    if (this.#isClosed || this.isFixed || this.options.writable === false || state.isFrozen) return false;
    return !(this.branch instanceof LogState) || (this.keyPair ?? state.keyPair) !== undefined;
  }

  /**
   * Sets how blocks are encrypted; with undefined, in the way that the log was stored with, if in any.
   *
   * @throws {RangeError} for a key of another size than 32 bytes.
   */
  setEncryption(option: EncryptionOption | undefined): void {
    const { state } = this.log;
    const chosen = option ?? state.encryptionKey;
    this.encryption = chosen && ("encrypt" in chosen ? chosen : new Encryption(state, chosen));
    this.#encryptionOption = option;
  }

  /** @throws {HyphaError} `SESSION_CLOSED`. */
  checkOpen(): void {
    if (this.#isClosed) throw sessionClosed();
  }

  /** Runs `work` when it is closed, unless what is returned was called before. */
  onClose(work: () => void): () => void {
    this.#onClose.add(work);
    return () => void this.#onClose.delete(work);
  }

  /**
   * Calls `bind` for the log that it is of, and again for each one that it is moved to. What `bind` returns undoes it, when the
   * session is moved or closed, or when what this returns is called.
   */
  bind(bind: () => () => void): () => void {
    const binding: Binding = { bind, unbind: bind() };
    this.#bindings.add(binding);
    return () => {
      if (this.#bindings.delete(binding)) binding.unbind();
    };
  }

  /** Gives up all that it waits for. */
  close(reason: unknown = sessionClosed()): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.requests.cancel(reason);
    for (const { unbind } of [...this.#bindings].reverse()) unbind();
    this.#bindings.clear();
    for (const work of [...this.#onClose]) work();
    this.#onClose.clear();
    dispose(this.#place);
  }

  /** Moves it elsewhere, where it goes on with all that it does: `moveBranch` calls this. */
  moveTo(place: Place): void {
    const bindings = [...this.#bindings];
    for (const { unbind } of [...bindings].reverse()) unbind();
    for (const work of this.#place.onLeave) work();
    this.#place = place;
    this.isMarking = false; // the marks are those of the log that it was of
    this.setEncryption(this.#encryptionOption);
    for (const binding of bindings) if (this.#bindings.has(binding)) binding.unbind = binding.bind();
    this.requests.cancel(sessionMoved());
  }

  /** A block is read. */
  #note(index: number): void {
    this.options.onseq?.(index);
    if (this.isMarking) this.log.marks.addSoon(index);
  }

  /** The bytes of a block as they are stored, from here or from peers. With `isAgain`, the session was moved meanwhile. */
  async stored(
    index: number,
    options: GetOptions<unknown>,
    isAgain = false,
  ): Promise<Uint8Array | undefined> {
    checkBlockIndex(index);
    this.checkOpen();
    if (!isAgain) this.#note(index);
    let stored = this.view.readBlock(index);
    if (stored instanceof Promise) stored = await stored;
    if (stored !== undefined || !this.mayWait(options)) return stored;
    this.view.requireShared(index);
    this.waits++;
    options.onwait?.(index);
    this.options.onwait?.(index);
    const { priority, force: isForced } = options;
    return await this.ask(options, async ({ replicator }, signal) => {
      const fetched = await replicator.requestBlock(index, { signal, priority, isForced });
      this.view.requireShared(index);
      return fetched;
    }, () => this.stored(index, options, true));
  }

  /** Asks peers for something; asks `again` if the session is moved meanwhile. */
  async ask<R>(
    options: WaitOptions,
    request: (log: SharedLog, signal: AbortSignal) => Promise<R>,
    again: () => Promise<R>,
  ): Promise<R> {
    const { log } = this;
    try {
      return await this.requests.wait((signal) => request(log, signal), this.waiting(options));
    } catch (error) {
      if (!isSessionMoved(error)) throw error;
      return await again();
    }
  }

  /** The value of a block that is stored as `stored`. */
  decode<V>(codec: Codec<V> | undefined, index: number, stored: Uint8Array, isDecrypted: boolean): V {
    const block = isDecrypted && this.encryption ? this.encryption.decrypt(index, stored) : stored;
    return decodeBlock(codec, block, index);
  }

  /** What streams of blocks read. */
  source<V>(codec: Codec<V> | undefined): BlockSource<V> {
    const view = () => this.view;
    return {
      get view() {
        return view();
      },
      decodeStored: (index, stored) => {
        this.#note(index);
        return this.decode(codec, index, stored, true);
      },
      get: async (index, options) => {
        const stored = await this.stored(index, options);
        return stored && this.decode(codec, index, stored, true);
      },
      update: async (options) => this.mayWait(options) && await this.update(options),
      changed: (signal) => this.changed(signal),
      prefetch: (start, end, options) => {
        if (!this.mayWait(options)) return () => {};
        const range = this.download({ start, end, linear: true });
        return () => range.destroy();
      },
    };
  }

  /** Asks peers whether the log has grown, unless it cannot, or is written here and `isForced` is not set. */
  async update(options: WaitOptions, isForced = false): Promise<boolean> {
    this.checkOpen();
    if (this.isFixed || (this.isWritable && !isForced) || options.wait === false) return false;
    return await this.ask(
      options,
      ({ replicator }, signal) => replicator.requestUpgrade({ signal }),
      () => this.update(options, isForced),
    );
  }

  /** Fetches blocks from peers. */
  download(request: RangeRequest): Range {
    return new SessionRange(this as Session<unknown>, request);
  }

  /** Resolves when the branch is another one than now. */
  async changed(signal?: AbortSignal): Promise<void> {
    this.checkOpen();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const { branch } = this;
    const unbind = this.bind(() => {
      if (this.branch !== branch) resolve();
      return this.branch.observe({ onUpgrade: () => resolve() });
    });
    const forget = this.onClose(() => reject(sessionClosed()));
    try {
      await abortable(promise, signal);
    } finally {
      unbind();
      forget();
    }
  }

  /** Whether to ask peers for what is not at hand. */
  mayWait({ wait }: WaitOptions): boolean {
    return wait ?? this.options.wait ?? true;
  }

  /** How long to wait for them. */
  waiting({ timeoutMs, signal }: WaitOptions): WaitOptions {
    return { timeoutMs: timeoutMs ?? this.options.timeoutMs, signal };
  }

  /** Before the log is written for the first time; see `SharedLog.caughtUp`. */
  caughtUp(): Promise<void> | undefined {
    return this.branch instanceof LogState ? this.log.caughtUp() : undefined;
  }

  /** Who signs. @throws {HyphaError} `SESSION_NOT_WRITABLE` if the session is for reading. */
  signing({ signature, keyPair = this.keyPair }: WriteOptions): AppendOptions {
    this.checkOpen();
    if (this.isFixed || this.options.writable === false) throw notWritable();
    return { signature, keyPair };
  }
}

/** Blocks that are fetched for a session, wherever it is. */
class SessionRange implements Range {
  #range!: Range;
  readonly #unbind: () => void;

  constructor(session: Session<unknown>, request: RangeRequest) {
    this.#unbind = session.bind(() => {
      const range = this.#range = session.log.replicator.requestRange(request);
      void range.done().catch(() => {}).finally(() => this.#range === range && this.#unbind());
      return () => range.destroy();
    });
  }

  async done(): Promise<boolean> {
    for (;;) {
      const range = this.#range;
      const isComplete = await range.done();
      if (range === this.#range) return isComplete;
    }
  }

  destroy(): void {
    this.#unbind();
  }
}

function dispose({ view, onLeave }: Place): void {
  view[Symbol.dispose]();
  for (const work of onLeave) work();
}

async function openPlace<T>(
  log: SharedLog,
  options: SessionOptions<T>,
  parent?: Session<unknown>,
): Promise<Place> {
  const { name, snapshot = false, checkout, exclusive = false, atom } = options;
  const onLeave: (() => void)[] = [];
  try {
    if (exclusive) onLeave.push(await log.lock());
    let branch = parent?.branch ?? log.state;
    const used = name ?? branch.storage.overlayName;
    if (name !== undefined) branch = await log.openBranch(branch, name, options);
    else if (used !== undefined) log.useBranch(used);
    if (used !== undefined) onLeave.push(() => log.closeBranch(used));
    if (atom !== undefined) {
      const drafted = branch = await atom.open(branch);
      onLeave.push(() => log.unfollow(drafted));
      await log.follow(drafted);
    }
    const isFixed = snapshot || parent?.isFixed === true || (checkout !== undefined && name === undefined);
    if (!isFixed) return { log, branch, view: new LiveView(branch), onLeave };
    const length = checkout ?? (parent?.isFixed ? parent.view.tree.length : undefined);
    return { log, branch, view: await SnapshotView.take(branch, length), onLeave };
  } catch (error) {
    for (const work of onLeave) work();
    throw error;
  }
}

function definedOf<O extends object>(options: O): O {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as O;
}
