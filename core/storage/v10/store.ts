/**
 * A store in folders as hypercore 10 and corestore 6 have them, byte for byte.
 */
import { DecodeError } from "../../../encoding/codec.ts";
import { fromHex, toHex } from "../../../encoding/text.ts";
import { discoveryKey as discoveryKeyOf } from "../../crypto/hash.ts";
import type { CryptoProvider } from "../../runtime/crypto_provider.ts";
import { HyphaError, StorageError, toError } from "../../runtime/errors.ts";
import { GroupSync } from "../group_sync.ts";
import {
  type Durability,
  type LogStorage,
  type MaybePromise,
  PRIMARY_KEY_RECORD,
  type Store,
  type StoreSize,
} from "../storage.ts";
import { checkName, LogWriter, type WriteBatch } from "../write_batch.ts";
import { type Change, changeOf, isDestructive, unsupported } from "./change.ts";
import type { FileFolder, RandomAccessFile } from "../files.ts";
import { V10Log } from "./log.ts";
import { LogState } from "./log_state.ts";
import { decodeOplog } from "./oplog.ts";
import { type Barrier, LOG_FILES, logFiles } from "./pending.ts";

/**
 * How the folder is laid out: logs in `cores/`, as corestore 6 does it, or the files of one log in the folder itself, as hypercore
 * 10 does it that is given a folder.
 */
export type V10Layout = "corestore" | "single";

/** What a {@linkcode V10Store} is made of. */
export interface V10StoreConfig {
  /** Where the files are. */
  readonly folder: FileFolder;
  /** Hashes trees. */
  readonly crypto: CryptoProvider;
  /** What `sync` waits for. */
  readonly durability: Durability;
  /** How the folder is laid out. */
  readonly layout: V10Layout;
  /** Whether nothing is written; false by default. */
  readonly isReadOnly?: boolean | undefined;
}

const PRIMARY_KEY_FILE = "primary-key";
const PRIMARY_KEY_BYTES = 32;
/** Logs that are kept in memory though nothing waits in them. */
const MAX_IDLE_LOGS = 128;
/** Bytes of entries and nodes of one log that wait for a `sync` before a batch waits for them. */
const MAX_PENDING_BYTES = 4 * 2 ** 20;

/** A log, and what a batch says about it. */
interface Prepared {
  readonly name: string;
  readonly state: LogState;
  readonly change: Change;
  readonly writer: LogWriter;
}

/** A {@linkcode Store} in the folders of hypercore 10. Is made by `openV10Store`, or over any {@linkcode FileFolder}. */
export class V10Store implements Store {
  /** What `sync` waits for. */
  readonly durability: Durability;
  readonly #config: V10StoreConfig;
  readonly #primaryKey: RandomAccessFile;
  readonly #logs = new Map<string, LogState>();
  readonly #group: GroupSync;
  /** Ends when all that came before in it has: commits, and batches that have to wait. */
  #lane: Promise<void> = Promise.resolve();
  #waiting = 0;
  readonly #removed = new Set<string>();
  #isClosed = false;
  #failure: StorageError | undefined;

  /** Takes the folder over. */
  constructor(config: V10StoreConfig) {
    this.#config = config;
    this.durability = config.durability;
    this.#primaryKey = config.folder.file(PRIMARY_KEY_FILE);
    this.#group = new GroupSync(() => this.#inLane(() => this.#commitAll()));
  }

  /** The log of a discovery key. @throws {TypeError} if the key has another length than 32. */
  open(discoveryKey: Uint8Array): LogStorage {
    this.#checkOpen();
    if (discoveryKey.length !== 32) {
      throw new TypeError(`A discovery key has 32 bytes, not ${discoveryKey.length}`);
    }
    return new V10Log((key) => this.#find(key), discoveryKey.slice(), undefined);
  }

  /** The discovery keys of all logs. */
  async *list(): AsyncIterable<Uint8Array> {
    this.#checkOpen();
    const names = new Set(this.#logs.keys());
    for (const name of this.#namesOnDisk()) names.add(name);
    for (const name of names) if (this.#logs.has(name) || this.#isOnDisk(name)) yield fromHex(name);
  }

  /** A record: there is one, {@linkcode PRIMARY_KEY_RECORD}, and only where logs are in `cores/`. */
  record(name: string): Uint8Array | undefined {
    this.#checkOpen();
    checkName(name);
    if (name !== PRIMARY_KEY_RECORD || this.#config.layout === "single") return undefined;
    const bytes = this.#primaryKey.read(0, PRIMARY_KEY_BYTES);
    return bytes.length === PRIMARY_KEY_BYTES ? bytes : undefined;
  }

  /** The names of all records that begin with `prefix`. */
  recordNames(prefix: string): string[] {
    const isThere = PRIMARY_KEY_RECORD.startsWith(prefix) && this.record(PRIMARY_KEY_RECORD) !== undefined;
    return isThere ? [PRIMARY_KEY_RECORD] : [];
  }

  /**
   * Writes a batch: at once, unless it takes something away or much waits for a `sync`. For each log it is whole or not there, but
   * not for several together; what else a batch cannot promise here is in `docs/storage.md`.
   *
   * @throws {StorageError} as every store; NOT_SUPPORTED for what hypercore 10's files cannot hold. Then nothing was written.
   */
  write(batch: WriteBatch): MaybePromise<void> {
    this.#checkWritable();
    const mustWait = batch.logs.some(isDestructive) && this.durability !== "none";
    if (mustWait || this.#waiting > 0) return this.#wait(() => this.#writeLater(batch));
    const prepared = this.#prepare(batch);
    try {
      for (const one of prepared) drain(this.#apply(one));
    } catch (error) {
      throw this.#fail(error, prepared.length > 1 || prepared.some(({ writer }) => isDestructive(writer)));
    }
    return this.#afterWrite(prepared.map(({ state }) => state));
  }

  /** Waits until all that was written is as safe as it gets. @throws {StorageError} as every store. */
  async sync(): Promise<void> {
    this.#checkWritable();
    await this.#group.run();
  }

  /** Removes a log; returns how many bytes its files had. */
  async remove(discoveryKey: Uint8Array): Promise<number> {
    this.#checkWritable();
    if (this.#find(discoveryKey) === undefined) return 0;
    const { folder } = this.#config;
    const [name, path] = [toHex(discoveryKey), this.#pathOf(discoveryKey)];
    this.#logs.delete(name);
    this.#removed.add(name);
    let bytes = 0;
    await this.#wait(async () => {
      // Without its oplog there is no log, whatever else is left of it.
      for (const file of LOG_FILES) {
        bytes += folder.file(path + file).size();
        folder.remove(path + file);
      }
      if (path !== "") folder.remove(path);
      this.#removed.delete(name);
    });
    return bytes;
  }

  /** Gives nothing back, since blocks lie where the lengths of those before them say. */
  async shrink(): Promise<number> {
    this.#checkWritable();
    return 0;
  }

  /** How much it holds: the lengths of all files. */
  size(): StoreSize {
    this.#checkOpen();
    const { folder } = this.#config;
    let bytes = 0;
    for (const name of new Set([...this.#logs.keys(), ...this.#namesOnDisk()])) {
      const path = this.#pathOf(fromHex(name));
      for (const file of LOG_FILES) bytes += folder.file(path + file).size();
    }
    return { bytes, freeBytes: 0 };
  }

  /**
   * Looks at the files `oplog` of all logs, which have checksums, and says which are not whole. That may be from a power cut; in a
   * store that was closed it is damage, and the log reads as it was some changes before. Blocks and nodes are for `verifyStore`.
   */
  verify(): string[] {
    this.#checkOpen();
    const problems: string[] = [];
    for (const name of this.#namesOnDisk()) {
      const { oplog } = logFiles(this.#config.folder, this.#pathOf(fromHex(name)));
      try {
        const { isTorn = false } = decodeOplog(oplog.read(0, oplog.size())) ?? {};
        if (!isTorn && this.#find(fromHex(name))?.isShortened !== true) continue;
        problems.push(
          `log ${name}: a part of its file oplog is not whole, so that its latest changes may be lost`,
        );
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
        problems.push(`log ${name}: its file oplog is damaged`);
      }
    }
    return problems;
  }

  /** Syncs and closes. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    try {
      if (this.#config.isReadOnly !== true && this.#failure === undefined) await this.sync();
      else await this.#lane.catch(() => {});
    } finally {
      if (!this.#isClosed) this.#config.folder.close();
      this.#isClosed = true;
    }
  }

  /** Closes. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #writeLater(batch: WriteBatch): Promise<void> {
    this.#checkWritable();
    const prepared = this.#prepare(batch);
    try {
      for (const one of prepared) await this.#runAll(this.#apply(one));
    } catch (error) {
      throw this.#fail(error, true);
    }
    const states = prepared.map(({ state }) => state);
    if (this.durability === "none") this.#commitNow(states);
    else await this.#commit(states.filter(isFull));
  }

  /** Makes the changes of one log. */
  *#apply({ state, change, writer, name }: Prepared): Generator<Barrier> {
    if (isDestructive(writer)) yield* state.replace(state.plan(change));
    else state.add(state.plan(change));
    this.#logs.set(name, state);
  }

  /** Looks at all of a batch before anything of it is written, but for the record. */
  #prepare(batch: WriteBatch): Prepared[] {
    const record = this.#checkRecords(batch);
    const prepared = mergedWriters(batch).map((writer): Prepared => {
      const { discoveryKey } = writer.address;
      const change = changeOf(writer);
      const state = this.#find(discoveryKey) ?? this.#create(discoveryKey, change);
      state.plan(change);
      return { state, change, writer, name: toHex(discoveryKey) };
    });
    if (record !== undefined) this.#primaryKey.write(0, record);
    return prepared;
  }

  #afterWrite(states: readonly LogState[]): MaybePromise<void> {
    if (this.durability === "none") return this.#commitNow(states);
    const full = states.filter(isFull);
    if (full.length > 0) return this.#wait(() => this.#commit(full));
  }

  #commitNow(states: readonly LogState[]): void {
    try {
      for (const state of states) drain(state.commit(false));
    } catch (error) {
      throw this.#fail(error, true);
    }
  }

  async #commitAll(): Promise<void> {
    await this.#commit([...this.#logs.values()]);
    this.#forgetIdle();
    if (this.durability === "full" && this.#config.layout === "corestore") {
      await this.#primaryKey.sync();
    }
  }

  async #commit(states: readonly LogState[]): Promise<void> {
    try {
      await Promise.all(states.map((state) => this.#runAll(state.commit(this.durability === "full"))));
    } catch (error) {
      throw this.#fail(error, true);
    }
  }

  async #runAll(steps: Generator<Barrier>): Promise<void> {
    for (const files of steps) await Promise.all(files.map((file) => file.sync()));
  }

  /** Does `work` when it is its turn; batches that come meanwhile come after it. */
  async #wait(work: () => Promise<void>): Promise<void> {
    this.#waiting++;
    try {
      await this.#inLane(work);
    } finally {
      this.#waiting--;
    }
  }

  #inLane(work: () => Promise<void>): Promise<void> {
    const done = this.#lane.then(work);
    this.#lane = done.catch(() => {});
    return done;
  }

  #find(discoveryKey: Uint8Array): LogState | undefined {
    this.#checkOpen();
    const name = toHex(discoveryKey);
    const known = this.#logs.get(name);
    if (known !== undefined || this.#removed.has(name)) return known;
    const { folder, crypto, layout } = this.#config;
    if (layout === "single" && this.#logs.size > 0) return undefined;
    const state = LogState.load(logFiles(folder, this.#pathOf(discoveryKey)), crypto, name);
    if (state === undefined) return undefined;
    if (layout === "single" && toHex(discoveryKeyOf(crypto, state.header.key)) !== name) return undefined;
    this.#forgetIdle();
    this.#logs.set(name, state);
    return state;
  }

  #create(discoveryKey: Uint8Array, change: Change): LogState {
    const { folder, layout, crypto } = this.#config;
    const files = logFiles(folder, this.#pathOf(discoveryKey));
    if (layout === "single" && (this.#logs.size > 0 || LogState.load(files, crypto, "") !== undefined)) {
      throw unsupported("a second log in a folder of one", "open another folder for it");
    }
    return LogState.create(files, crypto, change);
  }

  #checkRecords({ records }: WriteBatch): Uint8Array | undefined {
    for (const { name, value } of records) {
      if (name !== PRIMARY_KEY_RECORD || this.#config.layout === "single") {
        throw unsupported(`the record ${name}`, "keep it in another store");
      }
      if (value?.length !== PRIMARY_KEY_BYTES) throw new RangeError("A primary key has 32 bytes, and stays");
    }
    return records.at(-1)?.value;
  }

  #isOnDisk(name: string): boolean {
    const path = this.#pathOf(fromHex(name));
    return !this.#removed.has(name) && this.#config.folder.file(`${path}oplog`).size() > 0;
  }

  #pathOf(discoveryKey: Uint8Array): string {
    if (this.#config.layout === "single") return "";
    const name = toHex(discoveryKey);
    return `cores/${name.slice(0, 2)}/${name.slice(2, 4)}/${name}/`;
  }

  /** The names of folders that look like logs. */
  #namesOnDisk(): string[] {
    const { folder, layout, crypto } = this.#config;
    if (layout === "single") {
      const state = this.#logs.values().next().value ?? LogState.load(logFiles(folder, ""), crypto, "");
      return state === undefined ? [] : [toHex(discoveryKeyOf(crypto, state.header.key))];
    }
    const isPart = (name: string) => /^[0-9a-f]{2}$/.test(name);
    return folder.names("cores").filter(isPart).flatMap((first) =>
      folder.names(`cores/${first}`).filter(isPart).flatMap((second) =>
        folder.names(`cores/${first}/${second}`).filter((name) =>
          /^[0-9a-f]{64}$/.test(name) && name.startsWith(first + second)
        )
      )
    );
  }

  #forgetIdle(): void {
    for (const [name, state] of this.#logs) {
      if (this.#logs.size <= MAX_IDLE_LOGS) return;
      if (state.isClean && state.snapshots.size === 0) this.#logs.delete(name);
    }
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new StorageError("STORE_CLOSED", "The store is closed: open it again");
  }

  #checkWritable(): void {
    this.#checkOpen();
    if (this.#config.isReadOnly === true) {
      throw new StorageError(
        "NOT_SUPPORTED",
        "The store was opened for reading: open it otherwise to write to it",
      );
    }
    if (this.#failure === undefined) return;
    const text = `The store takes no more batches since it failed: ${this.#failure.message}. Open it again`;
    throw new StorageError(this.#failure.code, text, { cause: this.#failure });
  }

  /** What to throw: the error, if nothing has happened; else the store is at its end, and says so. */
  #fail(error: unknown, mayBeHalfDone: boolean): unknown {
    const isHarmless = !mayBeHalfDone && error instanceof HyphaError && error.code === "DISK_FULL";
    if (isHarmless || error instanceof TypeError || error instanceof RangeError) return error;
    if (error instanceof StorageError && error.code === "NOT_SUPPORTED") return error;
    if (error instanceof StorageError && error.code !== "DISK_FULL") {
      this.#failure ??= error;
      return error;
    }
    const cause = toError(error);
    const failure = new StorageError("WRITE_FAILED", `${cause.message}. Open the store again`, { cause });
    this.#failure ??= failure;
    return failure;
  }
}

/** Goes through all steps without waiting for anything. */
function drain(steps: Generator<Barrier>): void {
  while (!steps.next().done);
}

function isFull(state: LogState): boolean {
  return state.isUrgent || state.pendingBytes > MAX_PENDING_BYTES;
}

/** One writer for each log, whatever it was named by. */
function mergedWriters({ logs }: WriteBatch): LogWriter[] {
  const merged = new Map<string, LogWriter>();
  for (const writer of logs) {
    const { address, operations } = writer;
    const name = `${toHex(address.discoveryKey)} ${address.overlayName ?? ""}`;
    const before = merged.get(name);
    merged.set(name, before === undefined ? writer : new LogWriter(address));
    if (before === undefined) continue;
    for (const one of [...before.operations, ...operations]) merged.get(name)!.operations.push(one);
  }
  return [...merged.values()];
}
