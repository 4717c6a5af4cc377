/**
 * Copying logs from one store to another, of whatever kind the two are, and proving on the way that they are what their
 * writers signed.
 */
import { equals } from "../encoding/bytes.ts";
import { LogCopy, type LogReport } from "./log_copy.ts";
import type { CryptoProvider } from "./runtime/crypto_provider.ts";
import { StorageError } from "./runtime/errors.ts";
import { PRIMARY_KEY_RECORD, type Store } from "./storage/storage.ts";
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
  /**
   * Whether blocks come along that cannot be proven, since nodes are missing; false by default, and a note tells how many were left
   * out. Hypercore 11 deletes such nodes when it clears from an odd index on, and so may have the only copy of blocks before it.
   */
  readonly keepsUnproven?: boolean;
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
 * - `withheld`: with the primary key, the target would write logs anew, from their start, that could not be copied.
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
 * A log comes as it would from a peer: first its head, which is signed, then nodes and blocks with their bits. So what an
 * interrupted copy leaves behind is a log that holds a part of its blocks, and says so; the next copy goes on there, and passes
 * over logs that are complete. What makes the target a writer comes last: of each log the key pair, of the store the primary key,
 * and that only when all logs are there. Nothing that the target has is overwritten: a log that has another content there is
 * reported, and left alone.
 *
 * Every head is checked against its signature, every node and every block against the head. Logs that fail are reported and not
 * copied any further; the others are. Overlays come along if the target can have them and their own blocks are not too many.
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
  const { crypto, isDryRun = false, keepsUnproven = false, maxBatchBytes = MAX_BATCH_BYTES } = options;
  const { signal, onProgress, onLog } = options;
  const logs: LogReport[] = [];
  for await (const discoveryKey of options.discoveryKeys ?? source.list()) {
    signal?.throwIfAborted();
    const [from, to] = [await source.open(discoveryKey), await target.open(discoveryKey)];
    const copy = new LogCopy(from, to, {
      crypto,
      target,
      isDryRun,
      keepsUnproven,
      maxBatchBytes,
      onBatch(length, blocks, bytes) {
        onProgress?.({ discoveryKey, length, blocks, bytes });
        signal?.throwIfAborted();
      },
    });
    const report = await copy.run();
    logs.push(report);
    onLog?.(report);
  }
  const records = options.discoveryKeys === undefined
    ? await copyRecords(source, target, logs.every(isThere), isDryRun)
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
  isComplete: boolean,
  isDryRun: boolean,
): Promise<{ name: string; verdict: RecordVerdict }[]> {
  // The primary key comes last: with it, who opens a log by its name writes to it, from its start if it is not there.
  const isLast = (name: string) => Number(name === PRIMARY_KEY_RECORD);
  const names = [...await source.recordNames("")].sort((a, b) => isLast(a) - isLast(b));
  const records: { name: string; verdict: RecordVerdict }[] = [];
  for (const name of names) {
    if (name === PRIMARY_KEY_RECORD && !isDryRun) await target.sync();
    const isWithheld = name === PRIMARY_KEY_RECORD && !isComplete;
    const verdict = isWithheld ? "withheld" : await copyRecord(source, target, name, isDryRun);
    records.push({ name, verdict });
  }
  return records;
}

async function copyRecord(
  source: Store,
  target: Store,
  name: string,
  isDryRun: boolean,
): Promise<RecordVerdict> {
  const value = (await source.record(name))!;
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
