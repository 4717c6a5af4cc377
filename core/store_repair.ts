/**
 * Mending a store without any peer, as far as that goes, and telling what only peers can mend.
 */
import { type BlockSpan, type Mended, mendLog } from "./log_repair.ts";
import { discoveryKey as discoveryKeyOf } from "./crypto/hash.ts";
import { readable } from "./lenient_reader.ts";
import { isAboutLog, proveHead, verifierOf } from "./log_walk.ts";
import { totalSize, TreeBatch } from "./log/merkle_tree.ts";
import { NO_HINTS } from "./log/stored_bits.ts";
import type { CryptoProvider } from "./runtime/crypto_provider.ts";
import { StorageError } from "./runtime/errors.ts";
import type { LogAuth, LogHead, LogStorage, Store } from "./storage/storage.ts";
import { WriteBatch } from "./storage/write_batch.ts";

/** What came of repairing a log, with its overlays. */
export interface LogRepair {
  /** Its discovery key. */
  readonly discoveryKey: Uint8Array;
  /** Its key, if the store has it. */
  readonly key: Uint8Array | undefined;
  /** How many blocks it has. */
  readonly length: number;
  /** Nodes that were computed again, or taken away since they are not what they should be. */
  readonly nodes: number;
  /** Blocks that were said to be held, and are not there or not what was signed. */
  readonly lost: number;
  /** Blocks that are there and were not said to be held. */
  readonly found: number;
  /** Blocks that were there and of no use. */
  readonly freed: number;
  /** Blocks that are held, and whose proof is lost: only peers have it. */
  readonly unproven: number;
  /** What is still wrong with it, and what to do; nothing, if all is well. */
  readonly problems: readonly string[];
}

/** What {@linkcode repairStore} may be told. */
export interface RepairOptions {
  /** Checks hashes and signatures. */
  readonly crypto: CryptoProvider;
  /** Whether nothing is written, only told; false by default. What the store itself finds damaged is not told then. */
  readonly isDryRun?: boolean | undefined;
  /** Ends it before the next part of a log. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Mends all logs of a store that is not in use. What the store knows to be damaged is dropped. Nodes are computed again where what
 * is below them is there, and proves to be right by what is above them. Blocks that are gone, or are not what was signed, are no
 * longer said to be held, so that they are fetched from peers like others. Nothing that is right is lost, and nothing is signed.
 *
 * @throws {StorageError} if the store cannot be read or written at all, or, at the end, if something of it that is about no log is
 * damaged: what can be read of it may be copied, see `copyStore`.
 * @throws the reason of `signal` when it aborts.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { loadCryptoProvider, repairStore } from "./mod.ts";
 * import { MemoryStore } from "./storage/mod.ts";
 *
 * await using store = new MemoryStore(); // or: await openSqliteStore("logs.sqlite")
 * for await (const log of repairStore(store, { crypto: await loadCryptoProvider() })) {
 *   assert.deepEqual(log.problems, []);
 * }
 * ```
 */
export async function* repairStore(store: Store, options: RepairOptions): AsyncGenerator<LogRepair> {
  const { crypto, isDryRun = false } = options;
  let left: readonly string[] = [];
  if (!isDryRun) {
    await noteLostHeads(store);
    left = await store.dropDamaged?.((key) => discoveryKeyOf(crypto, key)) ?? [];
  }
  for await (const discoveryKey of store.list()) {
    yield await repairLog(store, await store.open(discoveryKey), options);
  }
  if (!isDryRun) await store.sync();
  if (left.length === 0) return;
  const text = `What cannot be mended is damaged: ${
    left.join(", ")
  }. Import what can be read of the store into another one`;
  throw new StorageError("STORE_CORRUPT", text);
}

/** A log whose head goes must not be taken for one that was never written to. */
async function noteLostHeads(store: Store): Promise<void> {
  for await (const discoveryKey of store.list()) {
    const log = await store.open(discoveryKey);
    if (await isReadable(log) || await readable(() => log.auth()) === undefined) continue;
    const batch = new WriteBatch();
    batch.log(log).setHints({ ...NO_HINTS, recovering: true });
    await store.write(batch);
  }
}

async function isReadable(log: LogStorage): Promise<boolean> {
  return await readable(async () => [await log.head()]) !== undefined;
}

async function repairLog(store: Store, log: LogStorage, options: RepairOptions): Promise<LogRepair> {
  const { discoveryKey } = log;
  const sum = { nodes: 0, lost: 0, found: 0, freed: 0, unproven: 0 };
  const problems: string[] = [];
  let [key, length]: [Uint8Array | undefined, number] = [undefined, 0];
  const mend = async (part: LogStorage, head: LogHead | undefined, auth: LogAuth) => {
    const mended = head && await mendPart(store, part, head, auth, options);
    if (mended === undefined) return;
    for (const name of ["nodes", "found", "freed"] as const) sum[name] += mended[name];
    for (const name of ["lost", "unproven"] as const) sum[name] += countOf(mended[name]);
    problems.push(...problemsOf(part, mended, auth));
  };
  try {
    const auth = await log.auth();
    if (auth === undefined) {
      problems.push("its keys are lost: open it by its key, which stores them again");
    } else {
      key = auth.key;
      const head = await log.head();
      length = head?.length ?? 0;
      if (head === undefined && (await log.hints())?.recovering === true) {
        problems.push("how long it is is lost, and its signature: open it and connect to a peer that has it");
      }
      await mend(log, head, auth);
      if (head !== undefined && problems.length === 0 && options.isDryRun !== true) {
        await proveHead(options.crypto, log);
      }
      for (const name of await log.overlays()) {
        const overlay = log.overlay(name);
        const overlayHead = await overlay.head();
        if (overlayHead === undefined) {
          problems.push(`branch ${name}: how long it is is lost: begin it anew, with overwrite`);
        }
        await mend(overlay, overlayHead, auth);
      }
    }
  } catch (error) {
    if (!isAboutLog(error)) throw error;
    problems.push(`${error.message}`);
  }
  return { discoveryKey, key, length, ...sum, problems };
}

async function mendPart(
  store: Store,
  part: LogStorage,
  head: LogHead,
  auth: LogAuth,
  { crypto, isDryRun = false, signal }: RepairOptions,
): Promise<Mended> {
  const verifier = verifierOf(crypto, auth);
  return await mendLog(part, head, {
    crypto,
    signal,
    write: (batch) => isDryRun ? undefined : store.write(batch),
    isSigned({ fork, length, signature }, roots) {
      if (part.overlayName !== undefined) return false;
      const tree = { fork, length, byteLength: totalSize(roots), roots };
      return verifier.verify(new TreeBatch(crypto, tree), signature);
    },
  });
}

/** How many blocks `spans` have. */
export function countOf(spans: readonly BlockSpan[]): number {
  return spans.reduce((sum, { start, end }) => sum + end - start, 0);
}

function problemsOf({ overlayName }: LogStorage, mended: Mended, auth: LogAuth): string[] {
  const where = overlayName === undefined ? "" : `branch ${overlayName}: `;
  const problems: string[] = [];
  const who = auth.keyPair === undefined ? "a peer" : "a peer that has a copy";
  if (mended.isRootless) {
    problems.push(`the roots of its tree are lost: open it and connect to ${who}, which brings them back`);
  }
  const lost = countOf(mended.lost);
  if (lost > 0) {
    problems.push(`${lost} blocks are lost: open it and connect to ${who}, then read them`);
  }
  const unproven = countOf(mended.unproven);
  if (unproven > 0) {
    problems.push(`${unproven} blocks cannot be proven: call recover while it is connected to ${who}`);
  }
  return problems.map((problem) => where + problem);
}

/**
 * Removes branches that are nothing: such as have no length, since a program died while it made them, or since that is lost.
 *
 * @returns how many there were.
 * @throws {StorageError} as every store; `STORE_CORRUPT` if a log cannot be read: repair the store first.
 */
export async function removeUnreachable(store: Store): Promise<number> {
  let removed = 0;
  for await (const discoveryKey of store.list()) {
    const log = await store.open(discoveryKey);
    for (const name of await log.overlays()) {
      const overlay = log.overlay(name);
      if (await overlay.head() !== undefined) continue;
      const batch = new WriteBatch();
      batch.log(overlay).removeOverlay();
      await store.write(batch);
      removed++;
    }
  }
  return removed;
}
