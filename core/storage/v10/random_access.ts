/**
 * The store in a folder of the host.
 */
import { loadCryptoProvider } from "../../crypto/provider.ts";
import type { CryptoProvider } from "../../runtime/crypto_provider.ts";
import { StorageError, toError } from "../../runtime/errors.ts";
import { HostFolder, run } from "../host_folder.ts";
import type { Durability } from "../storage.ts";
import { type V10Layout, V10Store } from "./store.ts";

/** What {@linkcode openV10Store} may be told. */
export interface V10StoreOptions {
  /** What `sync` waits for, `full` by default: see `docs/storage.md`. */
  readonly durability?: Durability;
  /** Whether a folder that is not there is made; true by default. */
  readonly create?: boolean;
  /**
   * Whether nothing in the folder is changed, not even by a lock: for importing it. Nobody may write to it meanwhile. False by
   * default.
   */
  readonly readOnly?: boolean;
  /** How the folder is laid out. By default as it is found, and logs in `cores/` where nothing is found. */
  readonly layout?: V10Layout;
  /** Most files that are open at the same time, 256 by default; a log in use has up to five. */
  readonly maxOpenFiles?: number;
  /** Hashes trees; by default the fastest that is to be had. */
  readonly crypto?: CryptoProvider;
}

/** The file that is locked while the store is open. It stays empty, and stays. */
const LOCK_FILE = "hypha.lock";
const DEFAULT_MAX_OPEN_FILES = 256;

/**
 * Opens the store in the folder at `path`, and makes it if need be: a folder of corestore 6, or of one log of hypercore 10.
 *
 * The lock excludes other processes of hypha, and goes with the process. It does not exclude programs of the reference: never open
 * a folder with both at a time.
 *
 * @throws {StorageError} `STORE_IN_USE` while another process, or this one, has it open; `STORE_UNKNOWN` if it is something else;
 * `READ_FAILED`, `WRITE_FAILED`.
 *
 * @example
 * ```ts
 * import { openV10Store } from "./random_access.ts";
 *
 * const path = Deno.makeTempDirSync();
 * await using store = await openV10Store(path, { durability: "normal" });
 * console.assert(store.record("primaryKey") === undefined);
 * ```
 */
export async function openV10Store(path: string, options: V10StoreOptions = {}): Promise<V10Store> {
  const { durability = "full", readOnly = false, create = !readOnly, maxOpenFiles = DEFAULT_MAX_OPEN_FILES } =
    options;
  const fs = await import("node:fs");
  if (!create && !fs.existsSync(path)) {
    throw new StorageError("STORE_UNKNOWN", `There is no folder ${path}: name another one, or create it`);
  }
  const crypto = options.crypto ?? await loadCryptoProvider();
  if (create) run(path, "WRITE_FAILED", () => fs.mkdirSync(path, { recursive: true }));
  const unlock = readOnly ? () => {} : await lock(path);
  try {
    const isSingle = fs.existsSync(`${path}/oplog`);
    const isUsed = isSingle || fs.existsSync(`${path}/cores`);
    if (
      options.layout !== undefined && isSingle !== (options.layout === "single") && isUsed
    ) {
      const text = `The folder ${path} is laid out as ${
        isSingle ? "one log" : "a corestore"
      }, not as was asked`;
      throw new StorageError("STORE_UNKNOWN", text);
    }
    const folder = new HostFolder({
      fs,
      path,
      maxOpenFiles,
      mustSync: durability !== "none",
      readOnly,
      unlock,
    });
    return new V10Store({
      ...{ folder, crypto, durability, isReadOnly: readOnly },
      layout: options.layout ?? (isSingle ? "single" : "corestore"),
    });
  } catch (error) {
    unlock();
    throw error;
  }
}

/**
 * Locks a folder by the means of SQLite, which knows how to do that on each system so that the lock goes with the process. The
 * file is not removed afterwards: somebody else may be waiting for it.
 */
async function lock(path: string): Promise<() => void> {
  const { DatabaseSync } = await import("node:sqlite");
  let database: InstanceType<typeof DatabaseSync> | undefined;
  try {
    database = new DatabaseSync(`${path}/${LOCK_FILE}`);
    database.exec("PRAGMA busy_timeout = 0; PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY");
    database.exec("BEGIN EXCLUSIVE");
  } catch (cause) {
    database?.close();
    const { message } = toError(cause);
    const isLocked = /locked/.test(message);
    const text = isLocked
      ? `The store ${path} is in use, by another process or elsewhere in this one: close it there first`
      : `The store ${path} cannot be locked: ${message}. See to the rights of its folder`;
    throw new StorageError(isLocked ? "STORE_IN_USE" : "WRITE_FAILED", text, { cause });
  }
  const held = database;
  return () => held.close();
}
