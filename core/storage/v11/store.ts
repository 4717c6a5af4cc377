/**
 * The directories of corestore 7 and hypercore 11 as a store that is only read.
 */
import { StorageError } from "../../runtime/errors.ts";
import { RocksDatabase } from "../rocksdb/database.ts";
import { type ReadableFolder, unknown } from "../rocksdb/files.ts";
import {
  type Durability,
  type LogStorage,
  PRIMARY_KEY_RECORD,
  type Store,
  type StoreSize,
} from "../storage.ts";
import { checkName } from "../write_batch.ts";
import { decodeStored, V11Log } from "./log.ts";
import { decodeLogKey, headKey, LOG_RANGE } from "./keys.ts";
import { decodeStoreHead, MAX_VERSION } from "./values.ts";

/** The family of columns in which everything is. */
const COLUMN_FAMILY = "corestore";

/**
 * A corestore 7 as a {@linkcode Store}. It takes no batches. The directory must not be in use by another program: nothing
 * can keep it from writing there, and what is read meanwhile may be damaged. {@linkcode hasChanged} tells if it was.
 *
 * Its one record is the seed of its keys. What a log is called is in its user data, as in corestore 6. Named sessions are overlays.
 * Marks, groups and local data have no place in a store, and are left out.
 */
export class V11Store implements Store {
  /** Nothing is ever waited for. */
  readonly durability: Durability = "none";
  readonly #folder: ReadableFolder;
  readonly #database: RocksDatabase;
  readonly #seed: Uint8Array | undefined;
  #isClosed = false;

  /** Opens the database in `folder`. @throws {StorageError} as {@linkcode RocksDatabase}. */
  constructor(folder: ReadableFolder) {
    this.#folder = folder;
    this.#database = new RocksDatabase(folder, COLUMN_FAMILY);
    try {
      const bytes = this.#database.get(headKey);
      const head = bytes && decodeStored(folder.path, bytes, decodeStoreHead);
      if (head !== undefined && head.version > MAX_VERSION) {
        throw unknown(folder.path, `the store has the version ${head.version}, ${MAX_VERSION} is known`);
      }
      this.#seed = head?.seed;
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  /** The log of a discovery key. @throws {TypeError} if the key has another length than 32. */
  open(discoveryKey: Uint8Array): LogStorage {
    this.#open();
    if (discoveryKey.length !== 32) {
      throw new TypeError(`A discovery key has 32 bytes, not ${discoveryKey.length}`);
    }
    const source = { path: this.#folder.path, database: () => this.#open() };
    return new V11Log(source, discoveryKey.slice(), undefined);
  }

  /** The discovery keys of all logs. */
  async *list(): AsyncIterable<Uint8Array> {
    for (const { key } of this.#open().scan(...LOG_RANGE)) {
      yield decodeStored(this.#folder.path, key, decodeLogKey);
    }
  }

  /** A record: there is one, `PRIMARY_KEY_RECORD`. */
  record(name: string): Uint8Array | undefined {
    this.#open();
    checkName(name);
    return name === PRIMARY_KEY_RECORD ? this.#seed : undefined;
  }

  /** The names of all records that begin with `prefix`. */
  recordNames(prefix: string): string[] {
    this.#open();
    return this.#seed !== undefined && PRIMARY_KEY_RECORD.startsWith(prefix) ? [PRIMARY_KEY_RECORD] : [];
  }

  /** Writes nothing. @throws {StorageError} NOT_SUPPORTED, whatever is to be written. */
  write(): never {
    throw readOnly();
  }

  /** Does nothing: nothing was written. */
  async sync(): Promise<void> {
    this.#open();
  }

  /** Removes nothing. @throws {StorageError} NOT_SUPPORTED, whatever is to be removed. */
  async remove(): Promise<never> {
    throw readOnly();
  }

  /** Gives nothing back. @throws {StorageError} NOT_SUPPORTED. */
  async shrink(): Promise<never> {
    throw readOnly();
  }

  /** The bytes of its files. */
  size(): StoreSize {
    this.#open();
    let bytes = 0;
    for (const name of this.#folder.names()) {
      const file = this.#folder.open(name);
      bytes += file?.size ?? 0;
      file?.close();
    }
    return { bytes, freeBytes: 0 };
  }

  /** Whether another program has written to the directory since it was opened. */
  hasChanged(): boolean {
    this.#open();
    return this.#database.hasChanged();
  }

  /** Closes its files. */
  async close(): Promise<void> {
    if (!this.#isClosed) this.#database.close();
    this.#isClosed = true;
  }

  /** Closes its files. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #open(): RocksDatabase {
    if (this.#isClosed) throw new StorageError("STORE_CLOSED", "The store is closed: open it again");
    return this.#database;
  }
}

function readOnly(): StorageError {
  const text = "This store is only read: copy it into another one to write to that";
  return new StorageError("NOT_SUPPORTED", text);
}
