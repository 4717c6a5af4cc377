/** Many logs in one store, opened by name or by key, and replicated together on each connection. */
import { equals } from "../encoding/bytes.ts";
import { parseKey } from "../encoding/keys.ts";
import type { ReplicationStream } from "./attach.ts";
import { childNamespace, namedKeyPair, ROOT_NAMESPACE } from "./corestore_keys.ts";
import { discoveryKey } from "./crypto/hash.ts";
import { requireSize } from "./crypto/sizes.ts";
import { type GroupNotifier, GroupNotifiers, type GroupUpdate } from "./group_notifier.ts";
import { Hypercore } from "./hypercore.ts";
import type { HypercoreOptions } from "./hypercore_options.ts";
import { Atom } from "./log/atom.ts";
import { checkTopic } from "./log/group.ts";
import { createManifest, defaultManifest, manifestKey } from "./log/manifest.ts";
import { identityOf, type LogIdentity, sharedOptions } from "./open_log.ts";
import { OpenLogs } from "./open_logs.ts";
import type { KeyPair } from "./runtime/crypto_provider.ts";
import { StorageError } from "./runtime/errors.ts";
import { TypedEventTarget } from "./runtime/events.ts";
import type { Runtime } from "./runtime/runtime.ts";
import { sessionClosed } from "./session_checks.ts";
import { type LogCheck, verifyLog } from "./store_check.ts";
import { type LogAuth, PRIMARY_KEY_RECORD, type Store } from "./storage/storage.ts";
import { WriteBatch } from "./storage/write_batch.ts";
import { loadSystemRuntime } from "./system_runtime.ts";

/** User data that says what a log is called, as in corestore 6. */
const [NAME, NAMESPACE] = ["corestore/name", "corestore/namespace"];

/** Options of a {@linkcode Corestore}. */
export interface CorestoreOptions {
  /** From which key pairs of named logs are derived, 32 bytes; by default that of the store, or a new one. */
  readonly primaryKey?: Uint8Array | undefined;
  /** Keeps the names of one part of a program apart from those of others, 32 bytes; see {@linkcode Corestore.namespace}. */
  readonly namespace?: Uint8Array | undefined;
  /** Whether logs may be written; true by default. */
  readonly writable?: boolean | undefined;
  /** Whether logs are fetched from peers while they are open; true by default. */
  readonly active?: boolean | undefined;
  /** Time, chance and cryptography; the system's by default. */
  readonly runtime?: Runtime | undefined;
}

/** Which log is meant, and how it is opened. */
export interface CoreOptions<T = Uint8Array> extends Omit<HypercoreOptions<T>, "name" | "runtime"> {
  /** The name of a log that this store writes. */
  readonly name?: string | undefined;
  /** The key of a log, as bytes or text. */
  readonly key?: Uint8Array | string | undefined;
  /** The discovery key of a log that is stored already, as bytes or text. */
  readonly discoveryKey?: Uint8Array | string | undefined;
  /** Whether it lives in memory only; false by default. */
  readonly ephemeral?: boolean | undefined;
  /** A branch of that name: see `SessionOptions.name`. */
  readonly branch?: string | undefined;
}

/** Names and payloads of the events of a store. */
export interface CorestoreEvents {
  /** A log was opened, by this program or for a peer that asked for it. */
  "core-open": { readonly key: Uint8Array; readonly discoveryKey: Uint8Array };
  /** A log of a group has grown, or was cut. */
  "group-active": GroupUpdate & { readonly topic: Uint8Array };
}

/**
 * Logs of a store. The store is closed with it.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { Corestore } from "./corestore.ts";
 * import { MemoryStore } from "./storage/mod.ts";
 *
 * await using store = await Corestore.open(new MemoryStore());
 * const notes = await store.get({ name: "notes", valueEncoding: "utf-8" });
 * await notes.append("hello");
 * const again = await store.get<string>({ name: "notes", valueEncoding: "utf-8" });
 * assert.equal(await again.get(0), "hello");
 * ```
 */
export class Corestore extends TypedEventTarget<CorestoreEvents> implements AsyncDisposable {
  /** Its namespace. */
  readonly ns: Uint8Array;
  readonly #logs: OpenLogs;
  readonly #primaryKey: Uint8Array;
  readonly #options: CorestoreOptions;
  readonly #isRoot: boolean;
  readonly #children = new Set<Corestore>();
  readonly #unobserve: () => void;
  readonly #notifiers = new GroupNotifiers();
  /** Lets the one that it was made of forget it. */
  #onClosed = () => {};
  readonly #cores = new Set<Hypercore<never>>();
  #closed: Promise<void> | undefined;

  private constructor(logs: OpenLogs, primaryKey: Uint8Array, options: CorestoreOptions, isRoot: boolean) {
    super();
    this.#logs = logs;
    this.#primaryKey = primaryKey;
    this.#options = options;
    this.#isRoot = isRoot;
    this.ns = options.namespace ?? ROOT_NAMESPACE;
    this.#unobserve = logs.observe({
      onOpen: ({ state: { key, discoveryKey } }) => this.emit("core-open", { key, discoveryKey }),
      onGroupActive: (topic, { state: { key, length, tree } }) => {
        this.emit("group-active", { topic, key, length, fork: tree.fork });
        this.#notifiers.tell(topic, { key, length, fork: tree.fork });
      },
    });
  }

  /**
   * The logs of a store, which it takes over.
   *
   * @throws {StorageError} `STORE_UNKNOWN` if the store has another primary key than that of the options.
   */
  static async open(store: Store, options: CorestoreOptions = {}): Promise<Corestore> {
    const runtime = options.runtime ?? await loadSystemRuntime();
    const stored = await store.record(PRIMARY_KEY_RECORD);
    const random = () => runtime.random.fork("primary key").fill(new Uint8Array(32));
    const primaryKey = options.primaryKey ?? stored ?? random();
    requireSize("primaryKey", primaryKey, 32);
    if (stored !== undefined && !equals(stored, primaryKey)) {
      throw new StorageError("STORE_UNKNOWN", "The store has another primary key: open it without one");
    }
    if (stored === undefined) {
      await store.write(new WriteBatch().setRecord(PRIMARY_KEY_RECORD, primaryKey));
      await store.sync();
    }
    return new Corestore(new OpenLogs(store, runtime), primaryKey, options, true);
  }

  /** Whether it was closed. */
  get closed(): boolean {
    return this.#closed !== undefined;
  }

  /** Resolves at once. For programs that know corestore. */
  async ready(): Promise<void> {}

  /**
   * A session of a log: by its name, which this store writes, or by its key, which may be anybody's.
   *
   * @throws {TypeError} if it is not said which; {StorageError} `STORE_UNKNOWN` for a discovery key that is not stored; as
   * `Hypercore.open`.
   */
  async get<T = Uint8Array>(which: Uint8Array | string | CoreOptions<T>): Promise<Hypercore<T>> {
    if (this.closed) throw sessionClosed();
    const options: CoreOptions<T> = which instanceof Uint8Array || typeof which === "string"
      ? { key: which }
      : which;
    const { writable = this.#options.writable, active = this.#options.active, branch, ephemeral = false } =
      options;
    const { name, ...rest } = options;
    const identity = await this.#identify(options);
    const userData = name === undefined
      ? options.userData
      : { ...options.userData, [NAME]: new TextEncoder().encode(name), [NAMESPACE]: this.ns };
    const log = await this.#logs.open({ ...sharedOptions(options), ...identity, userData }, ephemeral);
    const core = await Hypercore.of<T>(log, {
      ...rest,
      keyPair: identity.keyPair,
      name: branch,
      writable,
      active,
    });
    if (this.closed) {
      await core.close();
      throw sessionClosed();
    }
    const tracked = core as unknown as Hypercore<never>;
    this.#cores.add(tracked);
    core.on("close", () => void this.#cores.delete(tracked));
    return core;
  }

  /** The same store with a namespace for names of its own within this one. */
  namespace(name: string | Uint8Array, options: Omit<CorestoreOptions, "namespace"> = {}): Corestore {
    return this.session({ ...options, namespace: childNamespace(this.#logs.runtime.crypto, this.ns, name) });
  }

  /** The same store once more; what was opened through it is closed with it. */
  session(options: CorestoreOptions = {}): Corestore {
    if (this.closed) throw sessionClosed();
    const child = new Corestore(this.#logs, this.#primaryKey, {
      ...this.#options,
      namespace: this.ns,
      ...options,
    }, false);
    this.#children.add(child);
    child.#onClosed = () => void this.#children.delete(child);
    return child;
  }

  /** Collects what sessions that are opened with it write, to any number of logs, until `flush` writes it all at once. */
  atom(): Atom {
    return new Atom(this.#logs.store);
  }

  /** The key pair of a name in a namespace; in this one by default. */
  createKeyPair(name: string | Uint8Array, namespace: Uint8Array = this.ns): KeyPair {
    requireSize("namespace", namespace, 32);
    return namedKeyPair(this.#logs.runtime.crypto, this.#primaryKey, namespace, name);
  }

  /**
   * Tells of the logs of a group, which are those that were opened with its topic, 32 bytes, as their `group`, or for which
   * `setGroup` was called: when one of them changes, and which have changed since some time. Destroy it when it is not needed.
   *
   * @throws {RangeError} for a topic of another size.
   *
   * @example
   * ```ts
   * import assert from "node:assert/strict";
   * import { Corestore } from "./corestore.ts";
   * import { MemoryStore } from "./storage/mod.ts";
   *
   * await using store = await Corestore.open(new MemoryStore());
   * const chat = new Uint8Array(32).fill(1);
   * using notifier = store.notifyGroup(chat);
   * const lengths: number[] = [];
   * notifier.on("update", ({ detail }) => lengths.push(detail.length));
   * const log = await store.get({ name: "my messages", group: chat });
   * await log.append("hello");
   * assert.deepEqual(lengths, [1]);
   * for await (const key of notifier.updates()) assert.deepEqual(key, log.key);
   * ```
   */
  notifyGroup(topic: Uint8Array): GroupNotifier {
    if (this.closed) throw sessionClosed();
    checkTopic(topic);
    return this.#notifiers.add(this.#logs.store, topic);
  }

  /** The discovery keys of all stored logs, or of those that were named in this namespace. */
  async *list(namespace?: Uint8Array): AsyncIterable<Uint8Array> {
    const { store } = this.#logs;
    for await (const key of store.list()) {
      const own = namespace && await (await store.open(key)).userData(NAMESPACE);
      if (namespace === undefined || (own && equals(own, namespace))) yield key;
    }
  }

  /** The keys of a stored log; undefined if it is not stored. */
  async getAuth(discoveryKey: Uint8Array): Promise<LogAuth | undefined> {
    return await (await this.#logs.store.open(discoveryKey)).auth();
  }

  /** Replicates on a connection all logs that are in use, now and later, and those that the peer asks for and that are stored. */
  replicate(stream: ReplicationStream): void {
    if (this.closed) throw sessionClosed();
    this.#logs.replicate(stream);
  }

  /** More peers may turn up: `update` of each log waits for the first one, until what is returned is called. */
  findingPeers(): () => void {
    return this.#logs.addFindingPeers();
  }

  /**
   * Checks all stored logs one after the other, as `Hypercore.audit` does one. Logs that are open take no changes while it is their
   * turn.
   *
   * @throws the reason of the signal when it aborts; {StorageError} if the store cannot be read at all.
   */
  async *audit(options: { readonly signal?: AbortSignal } = {}): AsyncIterableIterator<LogCheck> {
    const { store, runtime: { crypto } } = this.#logs;
    for await (const key of store.list()) {
      const verify = async () => await verifyLog(await store.open(key), { crypto, ...options });
      const log = await this.#logs.opened(key);
      yield await (log === undefined ? verify() : log.state.hold(verify));
    }
  }

  /** Closes a log, and removes it with all its branches. Returns by how many bytes the store has shrunk. */
  async remove(key: Uint8Array | string): Promise<number> {
    const which = discoveryKey(this.#logs.runtime.crypto, parseKey(key));
    await this.#logs.close(which);
    return await this.#logs.store.remove(which);
  }

  /**
   * A log with the blocks that `core` has now, which has no writer and never changes.
   *
   * @throws {RangeError} if `core` is empty.
   */
  async staticify<T>(core: Hypercore<T>): Promise<Hypercore<T>> {
    const { length } = core;
    if (length === 0) throw new RangeError("A log without blocks cannot be made one that never changes");
    const manifest = createManifest({ prologue: { hash: await core.treeHash(length), length } });
    const copy = await this.get<T>({ manifest });
    if (copy.length > 0) return copy;
    const blocks: Uint8Array[] = [];
    for (let index = 0; index < length; index++) {
      blocks.push((await core.get<Uint8Array>(index, { raw: true }))!);
    }
    await copy.append(blocks);
    return copy;
  }

  /** Makes safe what was written, and fetches nothing from peers until {@linkcode Corestore.resume}. */
  async suspend(): Promise<void> {
    this.#logs.isSuspended = true;
    await this.#logs.store.sync();
  }

  /** Ends {@linkcode Corestore.suspend}. */
  resume(): void {
    this.#logs.isSuspended = false;
  }

  /** Closes what was opened through it; with the first one, the store as well. */
  close(): Promise<void> {
    return this.#closed ??= this.#close();
  }

  /** Closes it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#unobserve();
    this.#notifiers.clear();
    this.#onClosed();
    await Promise.all([...this.#children].map((child) => child.close()));
    await Promise.all([...this.#cores].map((core) => core.close()));
    if (!this.#isRoot) return;
    await this.#logs.closeAll();
    await this.#logs.store.close();
  }

  async #identify(options: Omit<CoreOptions, "valueEncoding" | "encodeBatch">): Promise<LogIdentity> {
    const { name, key, discoveryKey } = options;
    const { runtime } = this.#logs;
    if (name !== undefined) return await this.#identifyName(this.createKeyPair(name), options);
    const identity = identityOf(runtime, { ...options, key: key === undefined ? undefined : parseKey(key) });
    if (identity !== undefined) return identity;
    if (discoveryKey === undefined) {
      throw new TypeError("Say which log: by name, key, keyPair, manifest or discoveryKey");
    }
    const auth = await this.getAuth(parseKey(discoveryKey));
    if (auth === undefined) {
      throw new StorageError("STORE_UNKNOWN", "No log of that discovery key is stored: give its key");
    }
    return { key: auth.key, manifest: undefined, keyPair: auth.keyPair };
  }

  /** What a name stands for is the log that is stored under it, in whichever form it was made; else a new one. */
  async #identifyName(
    keyPair: KeyPair,
    options: Omit<CoreOptions, "valueEncoding" | "encodeBatch">,
  ): Promise<LogIdentity> {
    const { compat = false, manifest, key } = options;
    const { crypto } = this.#logs.runtime;
    if (manifest !== undefined || key !== undefined) {
      return identityOf(this.#logs.runtime, {
        manifest,
        keyPair,
        compat,
        key: key === undefined ? undefined : parseKey(key),
      })!;
    }
    const own = defaultManifest(keyPair.publicKey);
    const latest = { key: manifestKey(crypto, own), manifest: own, keyPair };
    const old = { key: keyPair.publicKey, manifest: own, keyPair };
    const [first, second] = compat ? [old, latest] : [latest, old];
    for (const identity of [first, second]) {
      if (await this.getAuth(discoveryKey(crypto, identity.key)) !== undefined) return identity;
    }
    return first;
  }
}
