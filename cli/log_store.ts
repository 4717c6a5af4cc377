/**
 * The store of the commands that work with logs: a folder with one SQLite file in it, whose logs are found by name or by key.
 */
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { Corestore } from "../core/corestore.ts";
import type { Hypercore } from "../core/hypercore.ts";
import { HyphaError, StorageError, toError } from "../core/runtime/errors.ts";
import { MemoryStore, openSqliteStore, type Store, WriteBatch } from "../core/storage/mod.ts";
import { parseKey } from "../encoding/mod.ts";
import { storeFile } from "./store_folder.ts";

/** Which store is meant. */
export interface StoreOptions {
  /** Its folder, or the file in it; false for none, so that nothing stays. */
  readonly store: string | false;
}

/** How a log is opened. */
export interface OpenOptions {
  /** What its blocks are encrypted with, 32 bytes, where the store does not know it. */
  readonly encryptionKey?: Uint8Array | undefined;
  /** For how long a block is waited for that no peer sends, in milliseconds. */
  readonly timeoutMs?: number | undefined;
}

/** A log that a user named. */
export type Which = { readonly key: Uint8Array } | { readonly name: string };

/** User data of a log that says what it is called (corestore 6 and 7). */
const NAME = "corestore/name";
/** Records of names whose log was removed: its key pair must never sign something else. */
const REMOVED = "hypha/removed/";
const MAX_NAME_LENGTH = 200;

/** Reads a key or the name of a log. @throws {TypeError} for what can be neither. */
export function parseWhich(text: string): Which {
  if (/^(pear:\/\/|[0-9a-fA-F]{64}$|[ybndrfg8ejkmcpqxot1uwisza345h769]{52}$)/.test(text)) {
    return { key: parseKey(text) };
  }
  if (text.length <= MAX_NAME_LENGTH && /^[^\p{C}\s]([^\p{C}]*[^\p{C}\s])?$/u.test(text)) {
    return { name: text };
  }
  throw new TypeError(
    `${JSON.stringify(text)} is neither a key nor a name: names have 1 to ${MAX_NAME_LENGTH} letters, ` +
      "and no white space around them",
  );
}

/** See the head of the file. */
export class LogStore implements AsyncDisposable {
  /** The logs, for whoever replicates them. */
  readonly logs: Corestore;
  readonly #store: Store;

  private constructor(logs: Corestore, store: Store) {
    this.logs = logs;
    this.#store = store;
  }

  /** Opens the store. @throws {StorageError} that says what to do, also if it is not there and not to be made. */
  static async open({ store: path }: StoreOptions, isMade: boolean): Promise<LogStore> {
    const store = path === false ? new MemoryStore() : await openFile(path, isMade);
    try {
      return new LogStore(await Corestore.open(store), store);
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  /** A log: one that is stored here if it was called by name, else anybody's. @throws {StorageError} `STORE_UNKNOWN`. */
  async get(which: Which, options: OpenOptions = {}): Promise<Hypercore> {
    const { encryptionKey: encryption, timeoutMs } = options;
    const core = await this.logs.get({ ...which, encryption, timeoutMs });
    if ("key" in which || await this.isStored(core)) return core;
    const name = JSON.stringify(which.name);
    const text = `There is no log called ${name} in this store: make it with \`hypha log create\`, ` +
      "see what there is with `hypha log list`, or name another store with --store";
    throw new StorageError("STORE_UNKNOWN", text);
  }

  /** A log that is stored here. @throws {StorageError} `STORE_UNKNOWN`. */
  async stored(which: Which, options: OpenOptions = {}): Promise<Hypercore> {
    const core = await this.get(which, options);
    if (await this.isStored(core)) return core;
    const text = "The store has nothing of this log: fetch it with `hypha log cat` or `hypha log seed`";
    throw new StorageError("STORE_UNKNOWN", text);
  }

  /** Whether anything of a log is stored here. */
  async isStored({ discoveryKey }: Hypercore): Promise<boolean> {
    return await this.logs.getAuth(discoveryKey) !== undefined;
  }

  /** What a log is called here, if it has a name. */
  async nameOf(core: Hypercore): Promise<string | undefined> {
    const name = await core.getUserData(NAME);
    return name && new TextDecoder().decode(name);
  }

  /** All logs, in no certain order. */
  async *all(): AsyncIterable<Hypercore> {
    for await (const discoveryKey of this.logs.list()) yield await this.logs.get({ discoveryKey });
  }

  /**
   * Makes a log that this store writes, and keeps what its blocks are to be encrypted with.
   *
   * @throws {StorageError} `TARGET_EXISTS` if there is, or was, one of this name.
   */
  async create(name: string, encryptionKey?: Uint8Array): Promise<Hypercore> {
    const core = await this.logs.get({ name });
    const quoted = JSON.stringify(name);
    if (await this.isStored(core)) {
      throw new StorageError(
        "TARGET_EXISTS",
        `There is a log called ${quoted} already, its key is ${core.id}`,
      );
    }
    if (await this.#store.record(REMOVED + name) !== undefined) {
      const text =
        `A log called ${quoted} was removed, and peers may still have it. A new one of that name ` +
        "would have the same key and contradict it: choose another name";
      throw new StorageError("TARGET_EXISTS", text);
    }
    await core.setUserData(NAME, name); // along with which the keys are stored
    if (encryptionKey !== undefined) await core.setEncryptionKey(encryptionKey, { isStored: true });
    return core;
  }

  /** Removes a log, and makes sure that its name is not used again. Returns by how many bytes the store has shrunk. */
  async remove(core: Hypercore): Promise<number> {
    const name = core.writable ? await this.nameOf(core) : undefined;
    if (name !== undefined) {
      await this.#store.write(new WriteBatch().setRecord(REMOVED + name, core.key));
      await this.#store.sync();
    }
    return await this.logs.remove(core.key);
  }

  /** Closes all of it, durably. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.logs.close();
  }
}

async function openFile(path: string, isMade: boolean): Promise<Store> {
  const file = storeFile(path);
  if (!isMade && !existsSync(file)) {
    const text = `There is no store in ${path}: make a log there with \`hypha log create\`, ` +
      "or name another folder with --store";
    throw new StorageError("STORE_UNKNOWN", text);
  }
  try {
    // What signs the logs is in there.
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    return await openSqliteStore(file);
  } catch (cause) {
    if (!(cause instanceof HyphaError)) {
      const text = `${path} cannot hold a store: ${toError(cause).message}. Name another folder with --store`;
      throw new StorageError("WRITE_FAILED", text, { cause });
    }
    if (cause.code !== "STORE_IN_USE") throw cause;
    const text = `The store in ${path} is in use by another command, such as \`hypha log seed\`: ` +
      "end that one first, or name another folder with --store";
    throw new StorageError("STORE_IN_USE", text, { cause });
  }
}
