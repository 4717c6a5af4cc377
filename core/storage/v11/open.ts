/**
 * Opening the directories of corestore 7 and hypercore 11.
 */
import { openReadableFolder } from "../rocksdb/folder.ts";
import { V11Store } from "./store.ts";

/**
 * Opens the corestore 7 or hypercore 11 at `path`, the folder that has the database in `db/`, to read it.
 *
 * Nothing is written to it, and nobody else may write to it meanwhile: close the program that it belongs to.
 *
 * @throws {StorageError} STORE_UNKNOWN if it is something else, or was written by a version that is not known; STORE_CORRUPT,
 * READ_FAILED.
 */
export async function openV11Store(path: string): Promise<V11Store> {
  return new V11Store(await openReadableFolder(`${path}/db`));
}
