/**
 * `hypha log seed`: serves what a store has of logs, fetches what it lacks of them, and follows them.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Hypercore } from "../core/hypercore.ts";
import { HyphaError, StorageError } from "../core/runtime/errors.ts";
import { checkLogNetwork, LogNetwork, type LogNetworkOptions } from "./log_network.ts";
import { LogStore, parseWhich, type StoreOptions, type Which } from "./log_store.ts";
import type { Reporter } from "./reporter.ts";
import { untilAborted } from "./until_aborted.ts";

/** What `hypha log seed` is told. */
export interface SeedOptions extends LogNetworkOptions, StoreOptions {}

/** Serves logs, all that are stored if none is named, until interrupted. */
export async function logSeed(
  texts: readonly string[],
  options: SeedOptions,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  const all = texts.map(parseWhich);
  checkLogNetwork(options, true);
  await using store = await LogStore.open(options, all.some((which) => "key" in which));
  const logs = await openLogs(store, all);
  await using network = await LogNetwork.open(store.logs, options, reporter, signal);
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  for (const core of logs) {
    await watch(core, await store.nameOf(core) ?? null, reporter, failed.reject);
    if (!core.writable) core.download();
    network.join(core, true);
  }
  if (options.hints === true || !options.dht) {
    reporter.report({ event: "reachable", ticket: await network.ticket() });
  }
  await Promise.race([untilAborted(signal), failed.promise]);
}

async function openLogs(store: LogStore, all: readonly Which[]): Promise<Hypercore[]> {
  const logs: Hypercore[] = [];
  for (const which of all) logs.push(await store.get(which));
  if (logs.length > 0) return logs;
  for await (const core of store.all()) logs.push(core);
  if (logs.length > 0) return logs;
  throw new StorageError("STORE_UNKNOWN", "The store has no logs: name one by its key, or make one first");
}

/** Reports how much of a log is here. */
async function watch(
  core: Hypercore,
  name: string | null,
  reporter: Reporter,
  fail: (error: Error) => void,
): Promise<void> {
  let { held } = await core.info();
  const state = () => ({ key: core.id, name, length: core.length, held, peers: core.peers.length });
  reporter.report({ event: "seeding", ...state() });
  let isCounting = false;
  const count = async () => {
    if (isCounting) return;
    isCounting = true;
    await sleep(reporter.intervalMs, undefined, { ref: false });
    isCounting = false;
    if (core.closed) return;
    ({ held } = await core.info());
    reporter.report({ event: "held", ...state() });
  };
  for (const news of ["download", "append", "truncate", "peer-add", "peer-remove"] as const) {
    core.on(news, () => void count().catch(fail));
  }
  core.on("storage-error", ({ detail: { error } }) => fail(error));
  core.on("conflict", () => {
    const text = `${core.id} was signed twice with different contents: it is not trusted any more`;
    fail(new HyphaError("INVALID_SIGNATURE", text));
  });
}
