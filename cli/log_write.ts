/**
 * `hypha log create`, `append` and `remove`: what changes the logs of a store.
 */
import { createReadStream } from "node:fs";
import process from "node:process";
import type { Hypercore } from "../core/hypercore.ts";
import { abortable } from "../core/runtime/async.ts";
import { HyphaError } from "../core/runtime/errors.ts";
import { concat, toHex } from "../encoding/mod.ts";
import { checkLogNetwork, LogNetwork, type LogNetworkOptions } from "./log_network.ts";
import { LogStore, parseWhich, type StoreOptions } from "./log_store.ts";
import { UsageError } from "./options.ts";
import type { Reporter } from "./reporter.ts";
import { untilAborted } from "./until_aborted.ts";

/** What `hypha log create` is told. */
export interface CreateOptions extends StoreOptions {
  /** What its blocks are encrypted with; true for a fresh key. */
  readonly encryptionKey?: Uint8Array | true;
}

/** What `hypha log append` is told. */
export interface AppendOptions extends LogNetworkOptions, StoreOptions {
  /** A file whose bytes are appended instead of lines. */
  readonly file?: string;
  /** Bytes of its blocks. */
  readonly blockSize: number;
  /** Whether peers may have it meanwhile, and afterwards until interrupted. */
  readonly live?: boolean;
}

/** What `hypha log remove` is told. */
export interface RemoveOptions extends StoreOptions {
  /** Whether also a log may go that is written here. */
  readonly force?: boolean;
}

const NEWLINE = 10;
/** Bytes of a line, which becomes one block. */
const MAX_LINE_BYTES = 8_000_000;
/** Bytes of a file that are appended at once. */
const BATCH_BYTES = 4 * 1024 * 1024;

/** Makes a log. */
export async function logCreate(name: string, options: CreateOptions, reporter: Reporter): Promise<void> {
  const which = parseWhich(name);
  if ("key" in which) throw new UsageError("A log is made with a name, which cannot be a key");
  const encryptionKey = options.encryptionKey === true
    ? crypto.getRandomValues(new Uint8Array(32))
    : options.encryptionKey;
  await using store = await LogStore.open(options, true);
  const { id: key, discoveryKey } = await store.create(which.name, encryptionKey);
  reporter.report({
    event: "created",
    key,
    discoveryKey: toHex(discoveryKey),
    name: which.name,
    ...(encryptionKey === undefined ? {} : { encryptionKey: toHex(encryptionKey) }),
  });
}

/** Appends the lines of standard input, or a file. Each report tells what is durable. */
export async function logAppend(
  name: string,
  options: AppendOptions,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  const which = parseWhich(name);
  if (options.live === true) checkLogNetwork(options, true);
  await using store = await LogStore.open(options, false);
  const core = await store.stored(which);
  if (!core.writable) {
    throw new HyphaError(
      "SESSION_NOT_WRITABLE",
      "This store does not write the log: only that can which made it",
    );
  }
  await using network = options.live === true
    ? await LogNetwork.open(store.logs, options, reporter, signal)
    : undefined;
  network?.join(core, true);
  if (network !== undefined && (options.hints === true || !options.dht)) {
    reporter.report({ event: "reachable", ticket: await network.ticket() });
  }
  const batches = options.file === undefined
    ? linesOf(process.stdin)
    : blocksOf(options.file, options.blockSize);
  await appendAll(core, batches, reporter, signal);
  if (network === undefined) return;
  reporter.note("Serving it to peers, until you interrupt...");
  await untilAborted(signal);
}

async function appendAll(
  core: Hypercore,
  batches: AsyncIterator<Uint8Array[]>,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  let [blocks, bytes, isTold] = [0, 0, false];
  const state = () => ({ event: "appended", key: core.id, length: core.length, blocks, bytes }) as const;
  try {
    for (;;) {
      const { value: batch, done } = await abortable(batches.next(), signal);
      if (done === true) break;
      await core.append(batch);
      blocks += batch.length;
      bytes += batch.reduce((sum, { length }) => sum + length, 0);
      isTold = reporter.progress(state());
    }
  } finally {
    // Also when interrupted: this much is in the log, and durable.
    if (!isTold) reporter.report(state());
  }
}

/** The lines of a stream, without their ends, as many at a time as have come. */
export async function* linesOf(input: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array[], void> {
  let rest: Uint8Array[] = [];
  let restBytes = 0;
  for await (const chunk of input) {
    const lines: Uint8Array[] = [];
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      lines.push(concat([...rest, chunk.subarray(start, end)]));
      rest = [];
      restBytes = 0;
      start = end + 1;
    }
    rest.push(chunk.slice(start));
    restBytes += chunk.length - start;
    if (restBytes > MAX_LINE_BYTES) {
      throw new TypeError(
        `A line is longer than ${MAX_LINE_BYTES} bytes: append what has no lines with --file`,
      );
    }
    if (lines.length > 0) yield lines;
  }
  if (restBytes > 0) yield [concat(rest)];
}

/** The bytes of a file in blocks of `blockSize`, some of them at a time. */
async function* blocksOf(path: string, blockSize: number): AsyncGenerator<Uint8Array[], void> {
  const file = createReadStream(path, { highWaterMark: blockSize });
  let batch: Uint8Array[] = [];
  try {
    for await (const chunk of file) {
      batch.push(new Uint8Array(chunk as Uint8Array));
      if (batch.length * blockSize < BATCH_BYTES) continue;
      yield batch;
      batch = [];
    }
  } catch (cause) {
    throw new TypeError(`Cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
  if (batch.length > 0) yield batch;
}

/** Removes a log from the store. */
export async function logRemove(name: string, options: RemoveOptions, reporter: Reporter): Promise<void> {
  const which = parseWhich(name);
  await using store = await LogStore.open(options, false);
  const core = await store.stored(which);
  if (core.writable && options.force !== true) {
    throw new UsageError(
      "This store is the only writer of the log: once removed, nobody can append to it again. " +
        "If that is what you want, say --force",
    );
  }
  const key = core.id;
  reporter.report({ event: "removed", key, bytes: await store.remove(core) });
}
