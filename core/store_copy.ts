/**
 * Copying logs from one store to another, of whatever kind the two are, and proving on the way that they are what their
 * writers signed.
 */
import { equals } from "../encoding/bytes.ts";
import { LogCopy, type LogReport } from "./log_copy.ts";
import type { CryptoProvider } from "./runtime/crypto_provider.ts";
import { StorageError } from "./runtime/errors.ts";
import { ALIAS_PREFIX, PRIMARY_KEY_RECORD } from "./storage/record_names.ts";
import type { Store } from "./storage/storage.ts";
import { WriteBatch } from "./storage/write_batch.ts";

export type { LogReport, LogVerdict } from "./log_copy.ts";

/** How far a copy is. */
export interface CopyProgress {
  /** The discovery key of the log that is being copied. */
  readonly discoveryKey: Uint8Array;
  /** How many blocks the log has. */
  readonly length: number;
  /** How many of its blocks were written. */
  readonly blocks: number;
  /** Bytes of these. */
  readonly bytes: number;
}

/** What {@linkcode copyStore} may be told. */
export interface CopyOptions {
  /** Checks hashes and signatures. */
  readonly crypto: CryptoProvider;
  /** The discovery keys of the logs to copy. By default all logs are, and with them the records of the store. */
  readonly discoveryKeys?: readonly Uint8Array[];
  /** Whether everything is read and proven and nothing is written. */
  readonly isDryRun?: boolean;
  /** Bytes of blocks after which a batch is written; 1 MiB by default. */
  readonly maxBatchBytes?: number;
  /** Ends the copy after the batch that is being written; another copy goes on there. */
  readonly signal?: AbortSignal;
  /** Is told after each batch. */
  readonly onProgress?: (progress: CopyProgress) => void;
  /** Is told what came of each log. */
  readonly onLog?: (report: LogReport) => void;
}

/**
 * What came of a record.
 *
 * - `copied`, or, in a dry run, would be; `present`: it was there already.
 * - `conflict`: the target has another value, which it keeps.
 * - `unsupported`: the target cannot hold it.
 * - `withheld`: it is of use only with logs that were not copied, or would make the target write these anew from their start.
 */
export type RecordVerdict = "copied" | "present" | "conflict" | "unsupported" | "withheld";

/** What came of a copy. */
export interface CopyReport {
  /** Of each log, in the order in which the source lists them. */
  readonly logs: readonly LogReport[];
  /** Of each record of the store. */
  readonly records: readonly { readonly name: string; readonly verdict: RecordVerdict }[];
}

/** Bytes of blocks after which a batch is written: the memory that a copy takes is a few times that. */
const MAX_BATCH_BYTES = 2 ** 20;

/**
 * Copies logs with all that belongs to them from `source` to `target`. The source is only read.
 *
 * A log comes as it would from a peer: first its head, which is signed, then nodes and blocks with their bits. So what an interrupted
 * copy leaves behind is a log that holds a part of its blocks, and says so; the next copy goes on there, and passes over logs that
 * are complete. What makes the target a writer comes last: of each log the key pair, of the store the primary key, and that only when
 * all logs are there. Nothing that the target has is overwritten: a log that has another content there is reported, and left alone.
 *
 * Every head is checked against its signature, every node and every block against the head. Logs that fail are reported and not
 * copied any further; the others are. Overlays are not copied.
 *
 * @throws {StorageError} if the target fails; what is wrong with a log of the source is in the report.
 * @throws the reason of `signal` when it aborts.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { copyStore, loadCryptoProvider } from "./mod.ts";
 * import { MemoryStore } from "./storage/mod.ts";
 *
 * await using source = new MemoryStore(); // or: await openV11Store("old-corestore")
 * await using target = new MemoryStore(); // or: await openSqliteStore("logs.sqlite")
 * const { logs } = await copyStore(source, target, { crypto: await loadCryptoProvider() });
 * assert.ok(logs.every(({ verdict }) => verdict === "copied" || verdict === "present"));
 * ```
 */
export async function copyStore(source: Store, target: Store, options: CopyOptions): Promise<CopyReport> {
  const { crypto, isDryRun = false, maxBatchBytes = MAX_BATCH_BYTES, signal, onProgress, onLog } = options;
  const logs: LogReport[] = [];
  const named = new Map<string, Uint8Array>();
  for await (const discoveryKey of options.discoveryKeys ?? source.list()) {
    signal?.throwIfAborted();
    const [from, to] = [await source.open(discoveryKey), await target.open(discoveryKey)];
    const copy = new LogCopy(from, to, {
      crypto,
      target,
      isDryRun,
      maxBatchBytes,
      onBatch(length, blocks, bytes) {
        onProgress?.({ discoveryKey, length, blocks, bytes });
        signal?.throwIfAborted();
      },
    });
    const report = await copy.run();
    if (copy.alias !== undefined && isThere(report)) named.set(copy.alias, discoveryKey);
    logs.push(report);
    onLog?.(report);
  }
  const records = options.discoveryKeys === undefined
    ? await copyRecords(source, target, named, logs, isDryRun)
    : [];
  if (!isDryRun) await target.sync();
  return { logs, records };
}

function isThere({ verdict }: LogReport): boolean {
  return verdict === "copied" || verdict === "present";
}

async function copyRecords(
  source: Store,
  target: Store,
  named: ReadonlyMap<string, Uint8Array>,
  logs: readonly LogReport[],
  isDryRun: boolean,
): Promise<{ name: string; verdict: RecordVerdict }[]> {
  const values = new Map(named);
  for (const name of await source.recordNames("")) values.set(name, (await source.record(name))!);
  const isHere = (key: Uint8Array) => logs.some((log) => isThere(log) && equals(log.discoveryKey, key));
  // The primary key comes last: with it, who opens a log by its name writes to it.
  const names = [...values.keys()].sort((a, b) =>
    Number(a === PRIMARY_KEY_RECORD) - Number(b === PRIMARY_KEY_RECORD)
  );
  const records: { name: string; verdict: RecordVerdict }[] = [];
  for (const name of names) {
    const value = values.get(name)!;
    const isOfUse = name === PRIMARY_KEY_RECORD
      ? logs.every(isThere)
      : !name.startsWith(ALIAS_PREFIX) || isHere(value);
    if (name === PRIMARY_KEY_RECORD && !isDryRun) await target.sync();
    const verdict = isOfUse ? await copyRecord(target, name, value, isDryRun) : "withheld";
    records.push({ name, verdict });
  }
  return records;
}

async function copyRecord(
  target: Store,
  name: string,
  value: Uint8Array,
  isDryRun: boolean,
): Promise<RecordVerdict> {
  const there = await target.record(name);
  if (there !== undefined) return equals(there, value) ? "present" : "conflict";
  if (isDryRun) return "copied";
  try {
    await target.write(new WriteBatch().setRecord(name, value));
    return "copied";
  } catch (error) {
    if (error instanceof StorageError && error.code === "NOT_SUPPORTED") return "unsupported";
    throw error;
  }
}
