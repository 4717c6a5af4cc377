/**
 * `hypha store`: stores of logs by hand, of every kind that hypha knows.
 */
import { existsSync, statSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import {
  copyStore,
  discoveryKey,
  loadCryptoProvider,
  type LogReport,
  removeUnreachable,
  repairStore,
  statStore,
  verifyStore,
} from "../core/mod.ts";
import { HyphaError, StorageError } from "../core/runtime/errors.ts";
import {
  MemoryStore,
  openSqliteStore,
  openV10Store,
  openV11Store,
  SqliteStore,
  type Store,
  V10Store,
  V11Store,
} from "../core/storage/mod.ts";
import { formatKey, parseKey, toHex } from "../encoding/mod.ts";
import { UsageError } from "./options.ts";
import type { Reporter } from "./reporter.ts";
import { storeFile } from "./store_folder.ts";
import { counted, formatBytes } from "./units.ts";

/** What is known of a log, as it is reported. */
export interface LogLine {
  readonly event: "log";
  /** Its key, or null if the store does not know it. */
  readonly key: string | null;
  readonly discoveryKey: string;
  readonly length: number;
  /** How many blocks are held, were copied, or were found to be right. */
  readonly blocks: number;
  /** Bytes of these. */
  readonly bytes: number;
  /** What came of it: a verdict of `copyStore`, `sound`, `repaired` or `damaged`, or, of what was only counted, nothing. */
  readonly verdict?: string;
  /** Why, or what was left out. */
  readonly reason?: string;
  readonly fork?: number;
  readonly isWritable?: boolean;
  readonly overlays?: readonly string[];
}

/** What is known of a store as a whole. */
export interface StoreLine {
  readonly event: "store";
  readonly path: string;
  readonly kind: StoreKind;
  readonly logs: number;
  readonly blocks: number;
  readonly bytes: number;
  /** Bytes on the disk, and those of them that hold nothing. */
  readonly size: number;
  readonly free: number;
}

/** What came of repairing a log. */
export interface RepairLine {
  readonly event: "repaired";
  /** Its key, or null if the store does not know it. */
  readonly key: string | null;
  readonly discoveryKey: string;
  readonly length: number;
  /** Nodes that were mended. */
  readonly nodes: number;
  /** Blocks that are gone, that were found, that were of no use, and that cannot be proven. */
  readonly lost: number;
  readonly found: number;
  readonly freed: number;
  readonly unproven: number;
  /** `sound`, `repaired` or, if nothing was to be written, `repairable`, or `damaged`. */
  readonly verdict: string;
  /** What is still wrong, and what to do. */
  readonly problems: readonly string[];
}

/** What came of a record of a store. */
export interface RecordLine {
  readonly event: "record";
  readonly name: string;
  readonly verdict: string;
}

/** The kinds of stores: a SQLite file of hypha, a folder of corestore 6 or hypercore 10, one of corestore 7 or hypercore 11. */
export type StoreKind = "sqlite" | "v10" | "v11";

/** What `hypha store import` is told. */
export interface ImportOptions {
  /** The folder or the file of the store. */
  readonly store: string;
  /** Whether nothing is written. */
  readonly dryRun?: boolean;
  /** Whether blocks come along that cannot be proven. */
  readonly keepUnproven?: boolean;
}

/** What `hypha store export` is told. */
export interface ExportOptions extends ImportOptions {
  /** The kind of store to write. */
  readonly to: string;
}

/** A store that is open, and what it is. */
interface OpenedStore {
  readonly kind: StoreKind;
  readonly store: Store;
}

/** Of what kind the store at `path` is. @throws {StorageError} STORE_UNKNOWN if it is none. */
function kindOf(path: string): StoreKind {
  if (!existsSync(path)) {
    throw new StorageError("STORE_UNKNOWN", `There is nothing at ${path}: name another store`);
  }
  if (!statSync(path).isDirectory()) return "sqlite";
  if (existsSync(storeFile(path))) return "sqlite";
  if (existsSync(join(path, "db", "CURRENT"))) return "v11";
  if (existsSync(join(path, "cores")) || existsSync(join(path, "oplog"))) return "v10";
  const text = `${path} is a folder without a store: name the one that has cores/, oplog or db/ in it`;
  throw new StorageError("STORE_UNKNOWN", text);
}

/** Opens a store that is there already. */
async function openStore(path: string, readOnly = true): Promise<OpenedStore> {
  const kind = kindOf(path);
  if (kind === "v11") return { kind, store: await openV11Store(path) };
  if (kind === "v10") return { kind, store: await openV10Store(path, { readOnly }) };
  return { kind, store: await openSqliteStore(storeFile(path), { create: false }) };
}

/** Copies all logs of another store, of whatever kind, into a store of hypha. */
export async function storeImport(
  path: string,
  options: ImportOptions,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  const { store: source } = await openStore(path);
  await using _source = source;
  // What is not there is not made to try something.
  const file = storeFile(options.store);
  const isMissing = options.dryRun === true && !existsSync(file);
  if (!isMissing) await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  await using target = isMissing ? new MemoryStore() : await openSqliteStore(file);
  await copyAll(source, target, undefined, options, reporter, signal);
}

/** Copies logs of a store of hypha, all or those of `keys`, into a folder for hypercore 10, or another file. */
export async function storeExport(
  path: string,
  keys: readonly string[],
  options: ExportOptions,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  if (options.to !== "v10" && options.to !== "sqlite") {
    throw new UsageError(
      `--to is v10, for a folder of corestore 6, or sqlite, for a file; not ${options.to}`,
    );
  }
  const crypto = await loadCryptoProvider();
  const wanted = keys.length === 0 ? undefined : keys.map((key) => discoveryKey(crypto, parseKey(key)));
  const { store: source } = await openStore(options.store);
  await using _source = source;
  await using target = options.to === "v10" ? await openV10Store(path) : await openSqliteStore(path);
  await copyAll(source, target, wanted, options, reporter, signal);
}

async function copyAll(
  source: Store,
  target: Store,
  discoveryKeys: readonly Uint8Array[] | undefined,
  { dryRun = false, keepUnproven = false }: ImportOptions,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  const { logs, records } = await copyStore(source, target, {
    crypto: await loadCryptoProvider(),
    isDryRun: dryRun,
    keepsUnproven: keepUnproven,
    signal,
    onLog: (log) => reporter.report(copyLine(log)),
    ...(discoveryKeys === undefined ? {} : { discoveryKeys }),
  });
  for (const { name, verdict } of records) reporter.report({ event: "record", name, verdict });
  const failed = logs.filter(({ verdict }) => verdict !== "copied" && verdict !== "present");
  const bytes = logs.reduce((sum, log) => sum + log.bytes, 0);
  reporter.note(
    `${logs.length - failed.length} of ${counted(logs.length, "log")}, ${formatBytes(bytes)} ${
      dryRun ? "to copy" : "copied"
    }`,
  );
  if (source instanceof V11Store && source.hasChanged()) {
    const message = "The source was written to meanwhile: close the program that does, and import again";
    reporter.report({ event: "warning", code: "SOURCE_CHANGED", message });
  }
  if (failed.length > 0) {
    throw new HyphaError(
      "STORE_CORRUPT",
      `${failed.length} of ${counted(logs.length, "log")} could not be copied: see above`,
    );
  }
}

function copyLine({ key, discoveryKey, length, blocks, bytes, verdict, reason, notes }: LogReport): LogLine {
  const why = [...reason === undefined ? [] : [reason], ...notes].join("; ");
  return {
    event: "log",
    ...namesOf(key, discoveryKey),
    length,
    blocks,
    bytes,
    verdict,
    ...(why === "" ? {} : { reason: why }),
  };
}

function namesOf(
  key: Uint8Array | undefined,
  discoveryKey: Uint8Array,
): { key: string | null; discoveryKey: string } {
  return { key: key === undefined ? null : formatKey(key), discoveryKey: toHex(discoveryKey) };
}

/** Checks all logs of a store. */
export async function storeVerify(path: string, reporter: Reporter, signal: AbortSignal): Promise<void> {
  const { store } = await openStore(path);
  await using _store = store;
  let [count, damaged] = [0, 0];
  for await (const log of verifyStore(store, { crypto: await loadCryptoProvider(), signal })) {
    signal.throwIfAborted();
    const { key, discoveryKey, length, blocks, bytes, problem } = log;
    count++;
    if (problem !== undefined) damaged++;
    reporter.report({
      event: "log",
      ...namesOf(key, discoveryKey),
      length,
      blocks,
      bytes,
      verdict: problem === undefined ? "sound" : "damaged",
      ...(problem === undefined ? {} : { reason: problem }),
    });
  }
  // What is lost without a trace in a log, such as its name, shows in the files.
  const problems = store instanceof SqliteStore || store instanceof V10Store ? store.verify() : [];
  for (const problem of problems) {
    reporter.report({ event: "warning", code: "STORE_CORRUPT", message: `${path}: ${problem}` });
  }
  if (damaged > 0) {
    throw new HyphaError("STORE_CORRUPT", `damaged: ${damaged} of ${counted(count, "log")}, see above`);
  }
  if (problems.length > 0) {
    throw new HyphaError(
      "STORE_CORRUPT",
      "the logs are sound, but not all that was stored is there: see above",
    );
  }
  reporter.note(`${counted(count, "log")}, all as signed`);
}

/** Tells what is in a store. */
export async function storeStat(path: string, reporter: Reporter, signal: AbortSignal): Promise<void> {
  const { kind, store } = await openStore(path);
  await using _store = store;
  let [logs, blocks, bytes] = [0, 0, 0];
  for await (const log of statStore(store)) {
    signal.throwIfAborted();
    const { key, discoveryKey, held, ...others } = log;
    logs++;
    blocks += held;
    bytes += log.bytes;
    reporter.report({ event: "log", ...namesOf(key, discoveryKey), ...others, blocks: held });
  }
  const size = await store.size();
  reporter.report({
    event: "store",
    path,
    kind,
    logs,
    blocks,
    bytes,
    size: size.bytes,
    free: size.freeBytes,
  });
}

/** Mends what can be mended without peers, and tells what only they can. */
export async function storeRepair(
  path: string,
  { dryRun = false }: { readonly dryRun?: boolean },
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  const { kind, store } = await openStore(path, dryRun);
  await using _store = store;
  if (kind === "v11") {
    throw new UsageError("A store of hypercore 11 is only read: import it, and repair what it becomes");
  }
  let [count, damaged] = [0, 0];
  const options = { crypto: await loadCryptoProvider(), isDryRun: dryRun, signal };
  for await (const log of repairStore(store, options)) {
    const { key, discoveryKey, length, nodes, lost, found, freed, unproven, problems } = log;
    count++;
    if (problems.length > 0) damaged++;
    const isSound = nodes + lost + found + freed + unproven + problems.length === 0;
    reporter.report({
      event: "repaired",
      ...namesOf(key, discoveryKey),
      ...{ length, nodes, lost, found, freed, unproven, problems },
      verdict: isSound ? "sound" : problems.length > 0 ? "damaged" : dryRun ? "repairable" : "repaired",
    });
  }
  if (damaged > 0) {
    throw new HyphaError(
      "STORE_CORRUPT",
      `${damaged} of ${counted(count, "log")} cannot be mended without peers: see above`,
    );
  }
  reporter.note(`${counted(count, "log")}, all as signed`);
}

/** Removes what no log leads to, and makes the files of a store as small as what is in them. */
export async function storeGc(path: string, reporter: Reporter): Promise<void> {
  if (kindOf(path) !== "sqlite") {
    throw new UsageError("Only a store of hypha, which is a file, can be made smaller");
  }
  await using store = await openSqliteStore(storeFile(path), { create: false });
  const before = store.size().bytes;
  const removed = await removeUnreachable(store);
  await store.shrink();
  const size = store.size().bytes;
  reporter.report({ event: "freed", path, bytes: Math.max(0, before - size), size, removed });
}
