/**
 * Any store, but slow, or failing at a chosen call: what code above a store is tested with.
 */
import { StorageError } from "../runtime/errors.ts";
import type { Clock } from "../runtime/runtime.ts";
import type {
  Durability,
  LogAddress,
  LogAuth,
  LogHead,
  LogHints,
  LogReader,
  LogSnapshot,
  LogStorage,
  MaybePromise,
  Store,
  StoredBlock,
  StoreSize,
  TreeNode,
} from "./storage.ts";
import type { WriteBatch } from "./write_batch.ts";

/** One call of a store. */
export interface StoreCall {
  /** Whether it reads, writes or syncs. */
  readonly type: "read" | "write" | "sync";
  /** How many calls came before. */
  readonly number: number;
}

/** What a {@linkcode FaultyStore} may be told. */
export interface FaultyStoreOptions {
  /** Decides about each call; undefined lets it succeed. A call that fails does nothing. */
  readonly fault?: (call: StoreCall) => "EIO" | "ENOSPC" | undefined;
  /** With a clock, every call answers by a promise, this many milliseconds later. */
  readonly latency?: { readonly clock: Clock; readonly ms: number };
}

/** Passes calls on to a store, late, or not at all. */
export class FaultyStore implements Store {
  /** That of the store. */
  readonly durability: Durability;
  readonly #store: Store;
  readonly #options: FaultyStoreOptions;
  #calls = 0;
  #failure: StorageError | undefined;

  /** Takes `store` over. */
  constructor(store: Store, options: FaultyStoreOptions) {
    this.#store = store;
    this.durability = store.durability;
    this.#options = options;
  }

  /** How many calls there were. */
  get calls(): number {
    return this.#calls;
  }

  /** The log of a discovery key. */
  open(discoveryKey: Uint8Array): MaybePromise<LogStorage> {
    const log = this.#store.open(discoveryKey);
    return log instanceof Promise
      ? log.then((log) => new FaultyLog(this, log))
      : this.call("read", () => new FaultyLog(this, log));
  }

  /** The discovery keys of all logs; never fails. */
  list(): AsyncIterable<Uint8Array> {
    return this.#store.list();
  }

  /** A record. */
  record(name: string): MaybePromise<Uint8Array | undefined> {
    return this.call("read", () => this.#store.record(name));
  }

  /** The names of records. */
  recordNames(prefix: string): MaybePromise<readonly string[]> {
    return this.call("read", () => this.#store.recordNames(prefix));
  }

  /** Writes a batch. */
  write(batch: WriteBatch): MaybePromise<void> {
    return this.call("write", () => this.#store.write(batch));
  }

  /** Syncs. */
  async sync(): Promise<void> {
    await this.call("sync", () => this.#store.sync());
  }

  /** Removes a log. */
  async remove(discoveryKey: Uint8Array): Promise<number> {
    return await this.call("write", () => this.#store.remove(discoveryKey));
  }

  /** Gives room back. */
  async shrink(): Promise<number> {
    return await this.call("write", () => this.#store.shrink());
  }

  /** How much the store holds; never fails. */
  size(): MaybePromise<StoreSize> {
    return this.#store.size();
  }

  /** Closes the store. */
  close(): Promise<void> {
    return this.#store.close();
  }

  /** Closes the store. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Does `work` as the options have it. Is called by logs. */
  call<T>(type: StoreCall["type"], work: () => MaybePromise<T>): MaybePromise<T> {
    const { latency } = this.#options;
    if (latency === undefined) return this.#now(type, work);
    const { clock, ms } = latency;
    return new Promise<void>((resolve) => clock.schedule(clock.now() + ms, resolve))
      .then(() => this.#now(type, work));
  }

  #now<T>(type: StoreCall["type"], work: () => MaybePromise<T>): MaybePromise<T> {
    if (type !== "read" && this.#failure !== undefined) {
      throw new StorageError(this.#failure.code, "The store failed before", { cause: this.#failure });
    }
    const fault = this.#options.fault?.({ type, number: this.#calls++ });
    if (fault === undefined) return work();
    if (fault === "ENOSPC" && type === "write") throw new StorageError("DISK_FULL", "There is no room left");
    if (type === "read") throw new StorageError("READ_FAILED", "The store failed to read");
    this.#failure = new StorageError("WRITE_FAILED", `The store failed to ${type}`);
    throw this.#failure;
  }
}

class FaultyReader implements LogReader {
  protected readonly store: FaultyStore;
  readonly #reader: LogReader;

  constructor(store: FaultyStore, reader: LogReader) {
    this.store = store;
    this.#reader = reader;
  }

  head(): MaybePromise<LogHead | undefined> {
    return this.store.call("read", () => this.#reader.head());
  }

  hints(): MaybePromise<LogHints | undefined> {
    return this.store.call("read", () => this.#reader.hints());
  }

  block(index: number): MaybePromise<Uint8Array | undefined> {
    return this.store.call("read", () => this.#reader.block(index));
  }

  blocks(start: number, end: number, maxBytes: number): MaybePromise<readonly StoredBlock[]> {
    return this.store.call("read", () => this.#reader.blocks(start, end, maxBytes));
  }

  node(index: number): MaybePromise<TreeNode | undefined> {
    return this.store.call("read", () => this.#reader.node(index));
  }

  nodes(indexes: readonly number[]): MaybePromise<readonly (TreeNode | undefined)[]> {
    return this.store.call("read", () => this.#reader.nodes(indexes));
  }

  bitfieldPage(page: number): MaybePromise<Uint8Array | undefined> {
    return this.store.call("read", () => this.#reader.bitfieldPage(page));
  }

  bitfieldPages(start: number, end: number): MaybePromise<readonly { page: number; value: Uint8Array }[]> {
    return this.store.call("read", () => this.#reader.bitfieldPages(start, end));
  }

  userData(key: string): MaybePromise<Uint8Array | undefined> {
    return this.store.call("read", () => this.#reader.userData(key));
  }

  userDataKeys(prefix: string): MaybePromise<readonly string[]> {
    return this.store.call("read", () => this.#reader.userDataKeys(prefix));
  }
}

class FaultyLog extends FaultyReader implements LogStorage {
  readonly discoveryKey: Uint8Array;
  readonly overlayName: string | undefined;
  readonly #log: LogStorage;

  constructor(store: FaultyStore, log: LogStorage) {
    super(store, log);
    this.#log = log;
    const { discoveryKey, overlayName }: LogAddress = log;
    this.discoveryKey = discoveryKey;
    this.overlayName = overlayName;
  }

  auth(): MaybePromise<LogAuth | undefined> {
    return this.store.call("read", () => this.#log.auth());
  }

  overlay(name: string): LogStorage {
    return new FaultyLog(this.store, this.#log.overlay(name));
  }

  overlays(): MaybePromise<readonly string[]> {
    return this.store.call("read", () => this.#log.overlays());
  }

  exists(): MaybePromise<boolean> {
    return this.store.call("read", () => this.#log.exists());
  }

  snapshot(): MaybePromise<LogSnapshot> {
    const wrap = (snapshot: LogSnapshot): LogSnapshot => new FaultySnapshot(this.store, snapshot);
    return this.store.call("read", () => {
      const snapshot = this.#log.snapshot();
      return snapshot instanceof Promise ? snapshot.then(wrap) : wrap(snapshot);
    });
  }
}

class FaultySnapshot extends FaultyReader implements LogSnapshot {
  readonly #snapshot: LogSnapshot;

  constructor(store: FaultyStore, snapshot: LogSnapshot) {
    super(store, snapshot);
    this.#snapshot = snapshot;
  }

  [Symbol.dispose](): void {
    this.#snapshot[Symbol.dispose]();
  }
}
