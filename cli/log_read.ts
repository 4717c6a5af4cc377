/**
 * `hypha log cat` and `tail`: the blocks of a log, from the store or from peers, on standard output.
 */
import process from "node:process";
import { setImmediate } from "node:timers";
import type { Hypercore } from "../core/hypercore.ts";
import { abortable } from "../core/runtime/async.ts";
import { ConnectError, HyphaError, ProtocolError } from "../core/runtime/errors.ts";
import { concat, toHex } from "../encoding/mod.ts";
import { checkLogNetwork, LogNetwork, type LogNetworkOptions } from "./log_network.ts";
import { LogStore, parseWhich, type StoreOptions, type Which } from "./log_store.ts";
import { UsageError } from "./options.ts";
import { printable, type Reporter } from "./reporter.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const NEWLINE = Uint8Array.of(10);
/** Bytes that wait for standard output before reading does. */
const MAX_WAITING_BYTES = 65_536;

/** What both are told. */
export interface ReadOptions extends LogNetworkOptions, StoreOptions {
  /** Whether to take only what is stored. */
  readonly offline?: boolean;
  /** What its blocks are encrypted with, if the store does not know. */
  readonly encryptionKey?: Uint8Array;
  /** For how many seconds a block is waited for. */
  readonly timeout: number;
  /** Whether blocks follow each other without newlines. */
  readonly raw?: boolean;
  /** Whether to report each block in JSON instead. */
  readonly json?: boolean;
}

/** What `hypha log cat` is told. */
export interface CatOptions extends ReadOptions {
  /** The first block. */
  readonly start: number;
  /** The block behind the last. */
  readonly end?: number;
}

/** What `hypha log tail` is told. */
export interface TailOptions extends ReadOptions {
  /** How many blocks. */
  readonly lines: number;
  /** Whether to go on as the log grows. */
  readonly follow?: boolean;
}

/** Prints blocks in their order. */
export async function logCat(
  text: string,
  options: CatOptions,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  await withLog(text, options, reporter, signal, async ({ core, hasPeers }) => {
    await printRange(core, options.start, options.end ?? core.length, hasPeers, options, reporter, signal);
  });
}

/** Prints the last blocks, and then perhaps what comes. */
export async function logTail(
  text: string,
  options: TailOptions,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  if (options.follow !== true) {
    await withLog(text, options, reporter, signal, async ({ core, hasPeers }) => {
      const start = Math.max(0, core.length - options.lines);
      await printRange(core, start, core.length, hasPeers, options, reporter, signal);
    });
    return;
  }
  const which = parseWhich(text);
  if (options.offline === true) throw new UsageError("To follow a log takes its peers: leave --offline out");
  checkLogNetwork(options, false);
  await using store = await LogStore.open(options, "key" in which);
  const core = await store.get(which, options);
  if (core.writable) {
    throw new UsageError(
      "This store writes the log, and only one command can use a store: follow it from another one",
    );
  }
  await using network = await LogNetwork.open(store.logs, options, reporter, signal);
  network.join(core, true);
  await follow(core, options, reporter, signal);
}

/** A log that is open, and whether anybody is there to be asked for what is missing. */
interface Found {
  readonly core: Hypercore;
  readonly hasPeers: boolean;
}

/** Opens a log, brings it up to date unless it is written here, and does something with it. */
async function withLog(
  text: string,
  options: ReadOptions,
  reporter: Reporter,
  signal: AbortSignal,
  work: (found: Found) => Promise<void>,
): Promise<void> {
  const which = parseWhich(text);
  await using store = await LogStore.open(options, "key" in which && options.offline !== true);
  const core = await openLog(store, which, options);
  if (core.writable || options.offline === true) return await work({ core, hasPeers: false });
  checkLogNetwork(options, false);
  await using network = await LogNetwork.open(store.logs, options, reporter, signal);
  const found = core.findingPeers();
  network.join(core, false);
  void network.flush().then(found, found);
  const isBehind = () => core.peers.some(({ remoteLength }) => remoteLength > core.length);
  while (await core.update({ signal }) && isBehind());
  const hasPeers = core.peers.length > 0;
  warn(core, hasPeers, reporter);
  await work({ core, hasPeers });
}

/** @throws {ConnectError} `PEER_NOT_FOUND` if nothing is known of the log. */
function warn(core: Hypercore, hasPeers: boolean, reporter: Reporter): void {
  if (hasPeers && core.length > 0) return;
  const code = "PEER_NOT_FOUND";
  if (!hasPeers && core.length === 0) {
    throw new ConnectError(
      code,
      "Nobody was found who has this log: is `hypha log seed` running where it is, and in the same network?",
    );
  }
  const message = hasPeers
    ? "Whoever was found has no blocks of this log either"
    : "Nobody was found who has this log: this is what is stored, which may not be the latest";
  reporter.report({ event: "warning", code, message });
}

async function openLog(store: LogStore, which: Which, options: ReadOptions): Promise<Hypercore> {
  const { encryptionKey, timeout, offline } = options;
  const how = { encryptionKey, timeoutMs: timeout * 1000 };
  return offline === true ? await store.stored(which, how) : await store.get(which, how);
}

async function printRange(
  core: Hypercore,
  start: number,
  end: number,
  hasPeers: boolean,
  options: ReadOptions,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  const stop = Math.min(end, core.length);
  await using reader = await core.session({ wait: hasPeers, timeoutMs: options.timeout * 1000 });
  let at = Math.min(start, stop);
  for await (const value of reader.createReadStream({ start: at, end: stop, signal })) {
    await print(at++, value, options, reporter);
  }
  await output.drained();
  if (at < stop) {
    throw new HyphaError(
      "BLOCK_NOT_AVAILABLE",
      `Block ${at} is not in the store, and nobody is there to be asked for it`,
    );
  }
}

/** Prints the last blocks of what is known, and all that follow. Where the writer cuts the log, printing begins again. */
async function follow(
  core: Hypercore,
  options: TailOptions,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<never> {
  let at = -1;
  let news = Promise.withResolvers<void>();
  let cut = new AbortController();
  let either = AbortSignal.any([signal, cut.signal]);
  core.on("append", () => news.resolve());
  core.on("conflict", () => news.reject(contradiction()));
  core.on("truncate", ({ detail: { ancestors, fork } }) => {
    if (at > ancestors) at = ancestors;
    reporter.report({ event: "rewritten", key: core.id, length: ancestors, fork });
    news.resolve();
    cut.abort();
    cut = new AbortController();
    either = AbortSignal.any([signal, cut.signal]);
  });
  for (;;) {
    if (at === -1 && core.length > 0) {
      at = Math.max(0, core.length - options.lines);
      core.download({ start: at, linear: true });
    }
    if (at === -1 || at >= core.length) {
      await abortable(news.promise, signal);
      news = Promise.withResolvers();
      continue;
    }
    const isCut = cut.signal;
    const value = await core.get(at, { signal: either }).catch((error) => {
      if (!isCut.aborted) throw error;
    });
    if (value !== undefined && !isCut.aborted) await print(at++, value, options, reporter);
  }
}

function contradiction(): ProtocolError {
  return new ProtocolError(
    "INVALID_SIGNATURE",
    "The log was signed twice with different contents: it is not trusted any more",
  );
}

/** Prints a block; resolves when more may come. */
async function print(
  index: number,
  value: Uint8Array,
  { json, raw }: ReadOptions,
  reporter: Reporter,
): Promise<void> {
  if (json === true) {
    const text = textOf(value);
    const content = text === undefined ? { hex: toHex(value) } : { text };
    reporter.report({ event: "block", index, bytes: value.length, ...content });
    return;
  }
  if (raw === true) return await output.write(value);
  // A terminal must not obey what strangers wrote.
  const line = output.isTerminal ? encoder.encode(printable(decoder.decode(value))) : value;
  await output.write(line, NEWLINE);
}

function textOf(value: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(value);
  } catch {
    return undefined;
  }
}

/** Standard output, which takes what comes within a turn at once. That nobody reads it interrupts the command. */
class Output {
  /** Whether it is a terminal, which takes a call of the system to find out. */
  readonly isTerminal = process.stdout.isTTY;
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  #flushing: Promise<void> | undefined;

  /** Writes bytes, which are then its own; resolves when there is room for more. */
  async write(...chunks: Uint8Array[]): Promise<void> {
    for (const chunk of chunks) {
      this.#chunks.push(chunk);
      this.#bytes += chunk.length;
    }
    this.#flushing ??= this.#flush();
    if (this.#bytes > MAX_WAITING_BYTES) await this.#flushing;
  }

  /** Resolves when all is written. */
  async drained(): Promise<void> {
    await this.#flushing;
  }

  async #flush(): Promise<void> {
    await new Promise<void>((resolve) => void setImmediate(resolve));
    while (this.#chunks.length > 0) {
      const chunk = concat(this.#chunks);
      this.#chunks = [];
      this.#bytes = 0;
      await new Promise<void>((resolve) => process.stdout.write(chunk, () => resolve()));
    }
    this.#flushing = undefined;
  }
}

const output = new Output();
