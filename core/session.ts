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
import type { Bitfield } from "./log/bitfield.ts";
import type { LogBranch } from "./log/log_branch.ts";
import { LogState } from "./log/log_state.ts";
import { LiveView, type LogView, SnapshotView } from "./log_views.ts";
import type { BlockSource } from "./read_streams.ts";
import type { Range, RangeRequest } from "./replication/range_jobs.ts";
import { Requests } from "./requests.ts";
import { abortable } from "./runtime/async.ts";
import type { KeyPair } from "./runtime/crypto_provider.ts";
import { checkBlockIndex, notWritable, sessionClosed } from "./session_checks.ts";
import type { SharedLog } from "./shared_log.ts";

/** Which branch of a log is read, and in which way. */
interface Place {
  readonly branch: LogBranch;
  readonly view: LogView;
  readonly onClose: (() => void)[];
}

/** A session of a log. */
export class Session<T> {
  /** What it shares with other sessions. */
  readonly log: SharedLog;
  /** What it writes to. */
  readonly branch: LogBranch;
  /** What it reads. */
  readonly view: LogView;
  /** How it was opened. */
  readonly options: SessionOptions<T>;
  /** How values become blocks. */
  readonly codec: Codec<T> | undefined;
  /** What it waits for from peers. */
  readonly requests: Requests;
  /** Which blocks were read since it began to mark them; undefined if it does not. */
  marks: Bitfield | undefined;
  /** What encrypts blocks. */
  encryption: EncryptionProvider | undefined;
  /** Who signs, if not the writer of the log. */
  keyPair: KeyPair | undefined;
  readonly #ranges = new Set<Range>();
  readonly #onClose: (() => void)[];
  #isClosed = false;

  private constructor(log: SharedLog, options: SessionOptions<T>, { branch, view, onClose }: Place) {
    this.log = log;
    this.branch = branch;
    this.view = view;
    this.options = options;
    this.codec = codecOf(options.valueEncoding);
    this.keyPair = options.keyPair;
    this.requests = new Requests(log.state.runtime.clock);
    this.#onClose = onClose;
  }

  /** Opens a session of `log`, which shows and does what its `parent` does where the options do not say. */
  static async open<T>(
    log: SharedLog,
    options: SessionOptions<T>,
    parent?: Session<unknown>,
  ): Promise<Session<T>> {
    const { wait, writable, timeoutMs } = parent?.options ?? {};
    const all = { wait, writable, timeoutMs, ...definedOf(options) };
    const session = new Session<T>(log, all, await openPlace(log, all, parent));
    session.keyPair ??= parent?.keyPair;
    session.marks = parent?.marks;
    session.setEncryption(options.encryption ?? parent?.encryption ?? log.state.encryptionKey);
    return session;
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

  /** Sets how blocks are encrypted. @throws {RangeError} for a key of another size than 32 bytes. */
  setEncryption(option: EncryptionOption | undefined): void {
    this.encryption = option && ("encrypt" in option ? option : new Encryption(this.log.state, option));
  }

  /** @throws {HyphaError} `SESSION_CLOSED`. */
  checkOpen(): void {
    if (this.#isClosed) throw sessionClosed();
  }

  /** Runs `work` when it is closed. */
  onClose(work: () => void): void {
    this.#onClose.push(work);
  }

  /** Gives up all that it waits for. */
  close(reason: unknown = sessionClosed()): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.requests.cancel(reason);
    for (const range of [...this.#ranges]) range.destroy();
    this.view[Symbol.dispose]();
    for (const work of this.#onClose.splice(0)) work();
  }

  /** The bytes of a block as they are stored, from here or from peers. */
  async stored(index: number, options: GetOptions<unknown>): Promise<Uint8Array | undefined> {
    checkBlockIndex(index);
    this.checkOpen();
    this.marks?.set(index, true);
    let stored = this.view.readBlock(index);
    if (stored instanceof Promise) stored = await stored;
    if (stored !== undefined || !this.mayWait(options)) return stored;
    this.view.requireShared(index);
    options.onwait?.(index);
    const { priority } = options;
    const { replicator } = this.log;
    const fetched = await this.requests.wait(
      (signal) => replicator.requestBlock(index, { signal, priority }),
      this.waiting(options),
    );
    this.view.requireShared(index);
    return fetched;
  }

  /** The value of a block that is stored as `stored`. */
  decode<V>(codec: Codec<V> | undefined, index: number, stored: Uint8Array, isDecrypted: boolean): V {
    const block = isDecrypted && this.encryption ? this.encryption.decrypt(index, stored) : stored;
    return decodeBlock(codec, block, index);
  }

  /** What streams of blocks read. */
  source<V>(codec: Codec<V> | undefined): BlockSource<V> {
    return {
      view: this.view,
      decodeStored: (index, stored) => this.decode(codec, index, stored, true),
      get: async (index, options) => {
        const stored = await this.stored(index, options);
        return stored && this.decode(codec, index, stored, true);
      },
      changed: (signal) => this.changed(signal),
      prefetch: (start, end) => {
        if (!this.mayWait({})) return () => {};
        const range = this.download({ start, end, isLinear: true });
        return () => range.destroy();
      },
    };
  }

  /** Fetches blocks from peers. */
  download(request: RangeRequest): Range {
    const range = this.log.replicator.requestRange(request);
    this.#ranges.add(range);
    void range.done().catch(() => {}).finally(() => this.#ranges.delete(range));
    return range;
  }

  /** Resolves when the branch is another one than now. */
  async changed(signal?: AbortSignal): Promise<void> {
    this.checkOpen();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const unobserve = this.branch.observe({ onUpgrade: () => resolve() });
    this.onClose(() => reject(sessionClosed()));
    try {
      await abortable(promise, signal);
    } finally {
      unobserve();
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

async function openPlace<T>(
  log: SharedLog,
  options: SessionOptions<T>,
  parent?: Session<unknown>,
): Promise<Place> {
  const { name, snapshot = false, checkout, exclusive = false, atom } = options;
  const onClose: (() => void)[] = [];
  try {
    if (exclusive) onClose.push(await log.lock());
    let branch = parent?.branch ?? log.state;
    if (name !== undefined) {
      branch = await log.openBranch(branch, name, options);
      onClose.push(() => log.closeBranch(name));
    }
    if (atom !== undefined) branch = await atom.open(branch);
    const isFixed = snapshot || parent?.isFixed === true || (checkout !== undefined && name === undefined);
    if (!isFixed) return { branch, view: new LiveView(branch), onClose };
    const length = checkout ?? (parent?.isFixed ? parent.view.tree.length : undefined);
    return { branch, view: await SnapshotView.take(branch, length), onClose };
  } catch (error) {
    for (const work of onClose) work();
    throw error;
  }
}

function definedOf<O extends object>(options: O): O {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as O;
}
