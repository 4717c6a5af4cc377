/**
 * `hypha log info` and `list`: what is known of the logs of a store.
 */
import type { Hypercore } from "../core/hypercore.ts";
import { toHex } from "../encoding/mod.ts";
import { listLine, type LogInfo } from "./log_reports.ts";
import { LogStore, parseWhich, type StoreOptions } from "./log_store.ts";
import type { Reporter } from "./reporter.ts";

/** Tells what is known of a log that is stored. */
export async function logInfo(text: string, options: StoreOptions, reporter: Reporter): Promise<void> {
  const which = parseWhich(text);
  await using store = await LogStore.open(options, false);
  reporter.report(await infoOf(store, await store.stored(which)));
}

/** Tells of all logs of the store. */
export async function logList(
  options: StoreOptions & { readonly json?: boolean },
  reporter: Reporter,
): Promise<void> {
  await using store = await LogStore.open(options, false);
  for await (const core of store.all()) {
    const info = await infoOf(store, core);
    if (options.json === true) reporter.report(info);
    else reporter.note(listLine(info));
    await core.close();
  }
}

async function infoOf(store: LogStore, core: Hypercore): Promise<LogInfo> {
  const { length, byteLength, held, contiguousLength, fork, padding, storeBytes } = await core.info();
  return {
    event: "info",
    key: core.id,
    discoveryKey: toHex(core.discoveryKey),
    name: await store.nameOf(core) ?? null,
    length,
    byteLength,
    held,
    contiguousLength,
    fork,
    isWritable: core.writable,
    isEncrypted: padding > 0,
    storeBytes,
  };
}
