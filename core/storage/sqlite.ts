/**
 * The default store on disk: one SQLite file, by the `node:sqlite` that both runtimes bring.
 */
import { StorageError, toError } from "../runtime/errors.ts";
import type { DeferredEngine } from "./deferred/engine.ts";
import { MARK } from "./deferred/mark.ts";
import { openDeferred } from "./deferred/open.ts";
import { transact } from "./engine.ts";
import { HostFolder } from "./host_folder.ts";
import { LayeredStore } from "./layered_store.ts";
import { NO_LAYER } from "./layers.ts";
import { APPLICATION_ID, CREATE, PREPARE, SCHEMA_VERSION, upgradeFrom } from "./schema.ts";
import { SqliteEngine } from "./sqlite_engine.ts";
import type { SqliteDatabase } from "./sqlite_host.ts";
import { isWalTorn } from "./sqlite_wal.ts";
import { toStorageError } from "./sqlite_errors.ts";
import type { Durability } from "./storage.ts";

/** What {@linkcode openSqliteStore} may be told. */
export interface SqliteStoreOptions {
  /**
   * What `sync` waits for, `full` by default. In the words of SQLite, `full` and `normal` are a write-ahead log with
   * `synchronous = NORMAL`, for `full` synced by the store, and `none` is `synchronous = OFF`.
   */
  readonly durability?: Durability;
  /** Whether a file that is not there is made; true by default. */
  readonly create?: boolean;
}

/** Pages in the log before they are moved to the file: 16 MiB. Four times SQLite's, which spares batches of large blocks half. */
const CHECKPOINT_PAGES = 4000;
/** Files with large blocks that are open at a time. */
const MAX_OPEN_FILES = 16;
/** Memory for pages, in KiB. Most that is read again is found in packs that are kept, and does not need pages. */
const CACHE_KIBIBYTES = 2_000;

const LEVELS: Record<Durability, string> = { full: "NORMAL", normal: "NORMAL", none: "OFF" };

/**
 * A store in a SQLite file, with blocks from 4 KiB on in files beside it, whose names are its own with `-values-` and a number.
 * While it is open there are also files ending in `-wal` and `-pending`, which are a part of the store. When it is closed, it can
 * be copied or moved as it is: the one file, and those with values if there are any.
 */
export class SqliteStore extends LayeredStore {
  readonly #engine: SqliteEngine;
  readonly #deferred: DeferredEngine | undefined;
  /** Whether something was found that is not whole when it was opened. */
  readonly #isTorn: boolean;

  /** Is made by {@linkcode openSqliteStore}. */
  constructor(
    engine: SqliteEngine,
    deferred: DeferredEngine | undefined,
    { durability, isTorn }: { readonly durability: Durability; readonly isTorn: boolean },
  ) {
    super(deferred ?? engine, durability);
    this.#engine = engine;
    this.#deferred = deferred;
    this.#isTorn = isTorn || deferred?.isTorn === true;
  }

  /**
   * Reads all of it, and tells what is damaged; nothing if all is well. A batch that was found cut short when the store was opened
   * is told, too: a power cut may have done it before anybody was told that it is safe. Blocks the program for as long as it takes
   * to read the files.
   */
  verify(): string[] {
    const torn = this.#isTorn ? ["its latest changes were not whole, and may be lost"] : [];
    return [...torn, ...this.#damage()];
  }

  /**
   * Deletes what is not what was written, which nobody can read any more, so that it counts as missing, and brings back logs that
   * only the catalog has lost; tells what is damaged still. Blocks the program as {@linkcode verify} does. `repairStore` calls it,
   * and then mends what can be.
   *
   * @throws {StorageError} `STORE_CORRUPT` if the file itself is no longer in order: what can be read of it can be copied.
   */
  dropDamaged(discoveryKeyOf: (key: Uint8Array) => Uint8Array): string[] {
    this.size();
    const engine = this.#deferred ?? this.#engine;
    transact(engine, () => {
      engine.delete(NO_LAYER, "page", 0, 0); // so that nothing waits in front
      this.#engine.dropDamaged();
      for (const { layer, index } of [...this.#deferred?.damagedBlocks() ?? []]) {
        engine.delete(layer, "block", index, index + 1);
      }
    });
    const left = this.#damage();
    try {
      this.adoptLogs(discoveryKeyOf);
    } catch (error) {
      if (left.length === 0) throw error; // else it cannot be told what belongs to a log
    }
    return left;
  }

  #damage(): string[] {
    this.size(); // which fails if the store is closed
    const blocks = [...this.#deferred?.damagedBlocks() ?? []];
    return [...this.#engine.problems(), ...blocks.map(nameOf)];
  }
}

/**
 * Opens the store in the file at `path`, and makes it if need be.
 *
 * Under Deno it needs to read and write the folder of that file. Where only the file is granted, nothing prompts, and all goes
 * through SQLite, which is slower and holds up the program while it syncs; a store that has other files is refused then.
 *
 * @throws {StorageError} `STORE_IN_USE` while another process, or this one, has it open; `STORE_UNKNOWN` if it is something else,
 * or was written by a later version; `STORE_CORRUPT`, `READ_FAILED`, `WRITE_FAILED`, `DISK_FULL`.
 *
 * @example
 * ```ts
 * import { openSqliteStore } from "./sqlite.ts";
 *
 * const path = Deno.makeTempDirSync() + "/logs.sqlite";
 * await using store = await openSqliteStore(path, { durability: "normal" });
 * console.assert(store.record("seed") === undefined);
 * ```
 */
export async function openSqliteStore(path: string, options: SqliteStoreOptions = {}): Promise<SqliteStore> {
  const { durability = "full", create = true } = options;
  const [{ DatabaseSync }, fs, { crc32 }, { basename, dirname }] = await Promise.all([
    import("node:sqlite"),
    import("node:fs"),
    import("node:zlib"),
    import("node:path"),
  ]);
  if (!create && !fs.existsSync(path)) {
    throw new StorageError("STORE_UNKNOWN", `There is no store ${path}: name another file, or create it`);
  }
  let database: SqliteDatabase | undefined;
  let log: number | undefined;
  try {
    const folder = dirname(path);
    const isGranted = mayUse(folder);
    const how = { durability, isTorn: isGranted && isLogTorn(fs, `${path}-wal`) };
    database = new DatabaseSync(path) as SqliteDatabase;
    prepare(database, path, durability === "full" && !isGranted ? "FULL" : LEVELS[durability]);
    // SQLite locks the file itself, and a lock goes when any descriptor is closed: only the log may be opened beside it.
    if (isGranted && durability !== "none") log = fs.openSync(`${path}-wal`, "r+");
    const engine = new SqliteEngine({
      database,
      path,
      crc32,
      sync: () => log === undefined ? Promise.resolve() : syncFile(fs.fdatasync, log, path),
      rest: () => new Promise((resolve) => setImmediate(resolve)),
      close: () => log !== undefined && fs.closeSync(log),
    });
    if (!isGranted) {
      if (engine.getNamed(NO_LAYER, MARK) !== undefined) throw notGranted(path);
      return new SqliteStore(engine, undefined, how);
    }
    const deferred = await openDeferred({
      below: engine,
      folder: new HostFolder({
        fs,
        path: folder,
        maxOpenFiles: MAX_OPEN_FILES,
        mustSync: durability !== "none",
        readOnly: false,
        unlock: () => {},
      }),
      name: basename(path),
      durability,
      crc32: (bytes, start) => bytes.length === 0 ? start : crc32(bytes, start),
    });
    return new SqliteStore(engine, deferred, how);
  } catch (error) {
    if (log !== undefined) fs.closeSync(log);
    database?.close();
    throw toStorageError(error, path, "READ_FAILED");
  }
}

function nameOf({ layer, index }: { readonly layer: number; readonly index: number }): string {
  return `layer ${layer}: block ${index}`;
}

/** Locks the database, and brings its tables about. */
function prepare(database: SqliteDatabase, path: string, level: string): void {
  const query = (sql: string) => Object.values(database.prepare(sql).get() as Record<string, number>)[0];
  database.exec(`PRAGMA locking_mode = EXCLUSIVE; ${PREPARE}; PRAGMA busy_timeout = 0`);
  const [application, version] = [query("PRAGMA application_id"), query("PRAGMA user_version")];
  if (
    application !== APPLICATION_ID && (version !== 0 || query("SELECT count(*) FROM sqlite_schema") !== 0)
  ) {
    throw new StorageError("STORE_UNKNOWN", `${path} is no store but some other database: name another file`);
  }
  if (version! > SCHEMA_VERSION) {
    const text = `The store ${path} has version ${version}, ${SCHEMA_VERSION} is known: use a later hypha`;
    throw new StorageError("STORE_UNKNOWN", text);
  }
  database.exec(
    `PRAGMA journal_mode = WAL; PRAGMA synchronous = ${level}; PRAGMA cache_size = -${CACHE_KIBIBYTES};
    PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`,
  );
  // Even an empty transaction takes the lock, which then stays.
  const changes = version === 0 ? CREATE : version === SCHEMA_VERSION ? "" : upgradeFrom(version!);
  database.exec(`BEGIN IMMEDIATE; ${changes} COMMIT`);
}

function isLogTorn(fs: typeof import("node:fs"), path: string): boolean {
  if (!fs.existsSync(path)) return false;
  const descriptor = fs.openSync(path, "r");
  try {
    const read = (offset: number, length: number) => {
      const bytes = new Uint8Array(length);
      return bytes.subarray(0, fs.readSync(descriptor, bytes, 0, length, offset));
    };
    return isWalTorn({ size: fs.fstatSync(descriptor).size, read });
  } finally {
    fs.closeSync(descriptor);
  }
}

function syncFile(
  sync: (descriptor: number, done: (error: Error | null) => void) => void,
  descriptor: number,
  path: string,
): Promise<void> {
  return new Promise((resolve, reject) => {
    sync(descriptor, (error) => {
      if (error === null || error === undefined) return resolve();
      const { message } = toError(error);
      const text = `The store ${path} could not be synced: ${message}. Look at its disk, then open it again`;
      reject(new StorageError("WRITE_FAILED", text, { cause: error }));
    });
  });
}

function notGranted(path: string): StorageError {
  const text = `The store ${path} has other files beside it: grant to read and write its folder as well`;
  return new StorageError("READ_FAILED", text);
}

/** Whether a folder may be read and written without asking anybody. */
function mayUse(path: string): boolean {
  if (!("Deno" in globalThis)) return true;
  return (["read", "write"] as const).every((name) =>
    Deno.permissions.querySync({ name, path }).state === "granted"
  );
}
