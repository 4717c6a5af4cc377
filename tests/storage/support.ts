/**
 * What the tests of stores share.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  openSqliteStore,
  openV10Store,
  type SqliteStoreOptions,
  type V10StoreOptions,
} from "../../core/storage/mod.ts";
import type { StoreUnderTest } from "../../core/storage/testing.ts";

/** A folder that goes away afterwards. */
export async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "hypha-storage-"));
  try {
    await body(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A store in a SQLite file of its own. */
export async function sqliteUnderTest(options: SqliteStoreOptions = {}): Promise<StoreUnderTest> {
  const folder = await mkdtemp(join(tmpdir(), "hypha-storage-"));
  return {
    open: () => openSqliteStore(join(folder, "logs.sqlite"), options),
    isLasting: true,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

/** A store in a folder of hypercore 10's files. */
export async function v10UnderTest(options: V10StoreOptions = {}): Promise<StoreUnderTest> {
  const folder = await mkdtemp(join(tmpdir(), "hypha-storage-"));
  return {
    open: () => openV10Store(folder, options),
    isLasting: true,
    holdsOnlySignedLogs: true,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}
