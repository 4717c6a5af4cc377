/**
 * What is in a store, and whether it is what the writers of its logs have signed.
 */
import { isAboutLog, LogWalk, proveHead, treeOf, unsound } from "./log_walk.ts";
import { HeldBits } from "./held_bits.ts";
import type { CryptoProvider } from "./runtime/crypto_provider.ts";
import type { LogStorage, Store } from "./storage/storage.ts";

/** What can be told of a log without checking it. */
export interface LogStatistics {
  /** Its discovery key. */
  readonly discoveryKey: Uint8Array;
  /** Its key, if the store has it. */
  readonly key: Uint8Array | undefined;
  /** How often it was truncated. */
  readonly fork: number;
  /** How many blocks it has. */
  readonly length: number;
  /** How many of these are held. */
  readonly held: number;
  /** Bytes of those that are held. */
  readonly bytes: number;
  /** Whether the store has what it takes to write to it. */
  readonly isWritable: boolean;
  /** Its overlays. */
  readonly overlays: readonly string[];
}

/** What is wrong with a log, if anything. */
export interface LogCheck {
  /** Its discovery key. */
  readonly discoveryKey: Uint8Array;
  /** Its key, if the store has it. */
  readonly key: Uint8Array | undefined;
  /** How many blocks it has. */
  readonly length: number;
  /** How many of these are held, and were found to be what was signed. */
  readonly blocks: number;
  /** Bytes of these. */
  readonly bytes: number;
  /** What is wrong; undefined if all is well. */
  readonly problem: string | undefined;
}

/** What {@linkcode verifyStore} may be told. */
export interface VerifyOptions {
  /** Checks hashes and signatures. */
  readonly crypto: CryptoProvider;
  /** Ends it before the next piece of a log. */
  readonly signal?: AbortSignal;
}

/**
 * Checks all logs: each head against its signature, each node and each block that is held against the head, overlays against their
 * own heads. Takes little memory, and as long as it takes to read and hash all.
 *
 * @throws {StorageError} if the store cannot be read at all; what is wrong with a log is in what comes.
 * @throws the reason of `signal` when it aborts.
 */
export async function* verifyStore(store: Store, options: VerifyOptions): AsyncGenerator<LogCheck> {
  for await (const discoveryKey of store.list()) {
    yield await verifyLog(await store.open(discoveryKey), options);
  }
}

/** Checks one log of a store, as {@linkcode verifyStore} does. */
export async function verifyLog(log: LogStorage, { crypto, signal }: VerifyOptions): Promise<LogCheck> {
  const { discoveryKey } = log;
  let key: Uint8Array | undefined;
  let [length, blocks, bytes] = [0, 0, 0];
  const check = async (reader: LogStorage, tree: Parameters<typeof walkAll>[2]) => {
    const counts = await walkAll(crypto, reader, tree, signal);
    blocks += counts.blocks;
    bytes += counts.bytes;
  };
  try {
    key = (await log.auth())?.key;
    length = (await log.head())?.length ?? 0;
    await check(log, (await proveHead(crypto, log)).tree);
    for (const name of await log.overlays()) {
      const overlay = log.overlay(name);
      await check(overlay, await treeOf(crypto, overlay, await overlay.head()));
    }
    return { discoveryKey, key, length, blocks, bytes, problem: undefined };
  } catch (error) {
    if (!isAboutLog(error)) throw error;
    return { discoveryKey, key, length, blocks, bytes, problem: error.message };
  }
}

async function walkAll(
  crypto: CryptoProvider,
  log: LogStorage,
  tree: Awaited<ReturnType<typeof treeOf>>,
  signal: AbortSignal | undefined,
): Promise<{ blocks: number; bytes: number }> {
  let [blocks, bytes] = [0, 0];
  for await (const piece of new LogWalk(crypto, log, tree, async () => false).pieces()) {
    signal?.throwIfAborted();
    const [first] = piece.unproven;
    if (first !== undefined) {
      throw unsound(`block ${first.index} is held, but nodes that prove it are missing`);
    }
    blocks += piece.blocks.length;
    for (const { value } of piece.blocks) bytes += value.length;
  }
  return { blocks, bytes };
}

/** Tells of each log how large it is, from its head, bitfield and tree, without reading blocks. @throws {StorageError} */
export async function* statStore(store: Store): AsyncGenerator<LogStatistics> {
  for await (const discoveryKey of store.list()) {
    const log = await store.open(discoveryKey);
    const [auth, head] = [await log.auth(), await log.head()];
    const { fork = 0, length = 0 } = head ?? {};
    yield {
      discoveryKey,
      key: auth?.key,
      fork,
      length,
      ...await heldOf(log, length),
      isWritable: auth?.keyPair !== undefined,
      overlays: await log.overlays(),
    };
  }
}

async function heldOf(log: LogStorage, length: number): Promise<{ held: number; bytes: number }> {
  let [held, bytes] = [0, 0];
  for await (const page of new HeldBits(log).pages(length)) {
    held += page.held.length;
    for (const node of await log.nodes(page.held.map((index) => 2 * index))) bytes += node?.size ?? 0;
  }
  return { held, bytes };
}
