/**
 * Logs at rest: the interface of a store, a store in memory, and one in a SQLite file.
 *
 * @example
 * ```ts
 * import { MemoryStore, WriteBatch } from "./mod.ts";
 *
 * await using store = new MemoryStore();
 * const log = await store.open(new Uint8Array(32));
 * const batch = new WriteBatch();
 * batch.log(log).putBlock(0, new TextEncoder().encode("hello")).setUserData("by", Uint8Array.of(1));
 * await store.write(batch);
 * await store.sync();
 * console.assert((await log.block(0))?.length === 5);
 * ```
 *
 * @module
 */
export type { Engine, Entry, Kind, TransactionSize } from "./engine.ts";
export { FaultyStore, type FaultyStoreOptions, type StoreCall } from "./faulty_store.ts";
export { LayeredStore } from "./layered_store.ts";
export { MemoryStore, type MemoryStoreOptions } from "./memory.ts";
export {
  type CrashMode,
  type DiskCall,
  type DiskFault,
  PowerFailure,
  SimulatedDisk,
  type SimulatedDiskOptions,
  SimulatedFile,
} from "./simulated_disk.ts";
export { openSqliteStore, SqliteStore, type SqliteStoreOptions } from "./sqlite.ts";
export {
  type Durability,
  GROUP_KEY,
  type LogAddress,
  type LogAuth,
  type LogHead,
  type LogHints,
  type LogReader,
  type LogSnapshot,
  type LogStorage,
  MARKS_KEY,
  MAX_BLOCK_INDEX,
  MAX_NAME_LENGTH,
  MAX_VALUE_BYTES,
  type MaybePromise,
  PRIMARY_KEY_RECORD,
  type Store,
  type StoredBlock,
  type StoreSize,
  type TreeNode,
} from "./storage.ts";
export { openV11Store } from "./v11/open.ts";
export { V11Store } from "./v11/store.ts";
export type { FileFolder, RandomAccessFile } from "./files.ts";
export { openV10Store, type V10StoreOptions } from "./v10/random_access.ts";
export { type V10Layout, V10Store, type V10StoreConfig } from "./v10/store.ts";
export { type LogOperation, LogWriter, WriteBatch } from "./write_batch.ts";
