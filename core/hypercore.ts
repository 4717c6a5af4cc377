/** Logs as applications hold them: sessions of a log in a store, that are read, written and replicated. */
import { parseKey } from "../encoding/keys.ts";
import { channelsOf, type ReplicationStream } from "./attach.ts";
import { observerOf } from "./hypercore_events.ts";
import type { HypercoreOptions, SessionOptions } from "./hypercore_options.ts";
import { type HypercoreReader, stateOf } from "./hypercore_reader.ts";
import { HypercoreWriter } from "./hypercore_writer.ts";
import type { LogChange } from "./log/pending_changes.ts";
import type { Applied } from "./log/log_state.ts";
import { missingNodes } from "./log/merkle_tree.ts";
import type { Proof, ProofRequest } from "./log/proof.ts";
import { openSharedLog } from "./open_log.ts";
import type { ConflictProof } from "./replication/conflict.ts";
import type { Extension, ExtensionOptions } from "./replication/extensions.ts";
import type { ReplicationPeer } from "./replication/peer.ts";
import type { SyncState } from "./replication/sync_state.ts";
import { ProtocolError } from "./runtime/errors.ts";
import { Session } from "./session.ts";
import { moveBranch } from "./session_move.ts";
import { checkBlockIndex, sessionClosed } from "./session_checks.ts";
import type { SharedLog } from "./shared_log.ts";
import type { Store } from "./storage/storage.ts";

/**
 * A session of a log. Values are bytes, or of what its `valueEncoding` says.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { Hypercore } from "./hypercore.ts";
 * import { MemoryStore } from "./storage/mod.ts";
 *
 * await using core = await Hypercore.open<{ name: string }>(new MemoryStore(), { valueEncoding: "json" });
 * await core.append([{ name: "first" }, { name: "second" }]);
 * assert.deepEqual(await core.get(1), { name: "second" });
 * ```
 */
export class Hypercore<T = Uint8Array> extends HypercoreWriter<T> implements AsyncDisposable {
  /** Whether it does not keep the log open. */
  readonly weak: boolean;
  readonly #monitored = new Set<string>();
  /** Ends that it wants the log to be fetched, if it does. */
  #deactivate: (() => void) | undefined;
  #closed: Promise<void> | undefined;

  private constructor(session: Session<T>) {
    super(session);
    const { weak = false, active = !weak, pushOnly = false } = session.options;
    this.weak = weak;
    session.bind(() => {
      const { log } = session;
      log.addSession(this);
      return () => log.removeSession(this);
    });
    this.setActive(active);
    session.bind(() => {
      if (pushOnly) session.log.replicator.pushOnly = true;
      return session.log.observe({ onConflict: (proof, peer) => this.#onConflict(proof, peer) });
    });
    session.bind(() => session.log.state.observe({ onManifest: () => this.emit("manifest", undefined) }));
    session.onMove = (ancestors, oldLength) => this.#onMove(ancestors, oldLength);
    if (session.isFixed) return;
    session.bind(() =>
      session.branch.observe({
        onUpgrade: (change) => this.#onUpgrade(change),
        onFailure: (error) => this.emit("storage-error", { error }),
        onRepairing: (error) => this.emit("repairing", { error }),
        onRepaired: () => this.emit("repaired", undefined),
        onRepairFailed: (error) => this.emit("repair-failed", { error }),
      })
    );
  }

  /**
   * Opens a log of a store, which must not be open elsewhere: without a key, one that is new, and whose key pair the store
   * keeps. Several logs in one store are what a `Corestore` is for. The store stays open when the log is closed.
   *
   * @throws {TypeError} or {RangeError} for what cannot be; {ProtocolError} `INVALID_SIGNATURE` if the manifest is another
   * log's; {StorageError} if what is stored does not fit together.
   */
  static async open<T = Uint8Array>(
    store: Store,
    options: HypercoreOptions<T> & { readonly key?: Uint8Array | string | undefined } = {},
  ): Promise<Hypercore<T>> {
    const key = options.key === undefined ? undefined : parseKey(options.key);
    let log: SharedLog | undefined = undefined;
    const onIdle = () => void log?.close();
    log = await openSharedLog(store, { ...options, key }, onIdle);
    return await Hypercore.of(log, options);
  }

  /** A session of a log that is open; what makes logs for others, such as `Corestore`, calls this. */
  static async of<T>(
    log: SharedLog,
    options: SessionOptions<T> & Pick<HypercoreOptions, "group">,
  ): Promise<Hypercore<T>> {
    const core = new Hypercore<T>(await Session.open<T>(log, options));
    try {
      if (options.group !== undefined) await core.setGroup(options.group);
      return core;
    } catch (error) {
      await core.close();
      throw error;
    }
  }

  get #state(): Session<T> {
    return stateOf(this);
  }

  // Proofs

  /** What a signer signs for a log of `length` blocks. */
  async signable(length: number = this.length, fork: number = this.fork, signer = 0): Promise<Uint8Array> {
    return await this.#state.log.state.signable(length, fork, signer);
  }

  /** How many nodes above a block a peer has to be asked for. */
  async missingNodes(index: number): Promise<number> {
    checkBlockIndex(index);
    const { state } = this.#state.log;
    return await missingNodes(state.nodes, state.tree, 2 * index);
  }

  /** Proves what is asked for; undefined if not all of it is at hand. @throws {ProtocolError} for what nobody can prove. */
  async proof(request: ProofRequest): Promise<Proof | undefined> {
    return await this.#state.log.state.prove(request);
  }

  /**
   * Checks a proof from the start of the log by itself, whatever is known here, and takes nothing of it.
   *
   * @returns the fork, length and tree hash that were signed.
   * @throws {ProtocolError} if it proves nothing.
   */
  verifyFullyRemote(
    proof: Proof,
  ): { readonly fork: number; readonly length: number; readonly treeHash: Uint8Array } {
    const { tree } = this.#state.log.state.verifyFromStart(proof);
    return { fork: tree.fork, length: tree.length, treeHash: tree.hash() };
  }

  /** Checks a proof, and takes what it proves. @throws {ProtocolError} if it proves nothing. */
  async applyProof(proof: Proof): Promise<Applied> {
    return await this.#state.log.state.apply(proof);
  }

  // Sessions

  /**
   * Another session of the same log, which shows and does what this one does where the options do not say.
   *
   * @throws {HyphaError} `SESSION_CLOSED`; {RangeError} for a checkout that is longer than the log.
   */
  async session<V = T>(options: SessionOptions<V> = {}): Promise<Hypercore<V>> {
    this.#state.checkOpen();
    const { valueEncoding = this.#state.options.valueEncoding } = options;
    const inherited = { ...options, valueEncoding } as SessionOptions<V>;
    return new Hypercore<V>(
      await Session.open<V>(this.#state.log, inherited, this.#state as Session<unknown>),
    );
  }

  /** A session that shows the log as it is now, or its first `checkout` blocks, whatever comes. */
  snapshot<V = T>(options: SessionOptions<V> = {}): Promise<Hypercore<V>> {
    return this.session({ ...options, snapshot: true });
  }

  /** Whether the log is fetched from peers because of this session. */
  setActive(active: boolean): void {
    if (active === (this.#deactivate !== undefined) || this.closed) return;
    if (active) {
      this.#deactivate = this.#state.bind(() => {
        const { log } = this.#state;
        log.changeActivity(1);
        return () => log.changeActivity(-1);
      });
    } else {
      this.#deactivate!();
      this.#deactivate = undefined;
    }
  }

  /** Whether the latest block comes along when the log is brought up to date; for all sessions of the log. */
  setAlwaysLatestBlock(isAlways: boolean): void {
    this.#state.checkOpen();
    this.#state.log.replicator.wantsLatestBlock = isAlways;
  }

  /**
   * Makes the branch that this session is of a branch of another log, under the same name: with the first `length` blocks of
   * `target`, all by default. All sessions of the branch, snapshots included, are of the other log from then on, and go on there
   * with what they wait for; the event `migrate` tells them. What the branch had behind `length` is not taken along, and stays in
   * the log that it was of. If the other log has a branch of that name, that one is cut to `length` and taken. Sessions that
   * marked what they read mark no more.
   *
   * @throws {TypeError} if this is no session of a branch, or is one of an atom or a snapshot, or `target` is of the same log;
   * {RangeError} if `target`, or its branch of that name, is not that long; {HyphaError} `SESSION_CLOSED`.
   *
   * @example
   * ```ts
   * import assert from "node:assert/strict";
   * import { Corestore } from "./corestore.ts";
   * import { MemoryStore } from "./storage/mod.ts";
   *
   * await using store = await Corestore.open(new MemoryStore());
   * await using first = await store.get<string>({ name: "first", valueEncoding: "utf-8" });
   * await using second = await store.get<string>({ name: "second", valueEncoding: "utf-8" });
   * await second.append(["a", "b"]);
   * await using view = await first.session({ name: "view" });
   * await view.moveTo(second);
   * assert.deepEqual(view.key, second.key);
   * assert.equal(await view.get(1), "b");
   * ```
   */
  async moveTo<V>(
    target: HypercoreReader<V>,
    options: { readonly length?: number | undefined } = {},
  ): Promise<void> {
    const { length = target.length } = options;
    checkBlockIndex(length);
    await moveBranch(this.#state, stateOf(target), length);
  }

  /**
   * Closes the session. The log closes with its last one, but for those that are weak.
   *
   * @param options.error what requests that are under way are rejected with; `SESSION_CLOSED` by default.
   */
  close({ error = sessionClosed() }: { readonly error?: unknown } = {}): Promise<void> {
    return this.#closed ??= this.#close(error);
  }

  /** Closes the session. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Closes all sessions of the log and removes it from the store. Returns by how many bytes the store has shrunk. */
  async purge(): Promise<number> {
    const { store, discoveryKey } = { store: this.#state.log.store, discoveryKey: this.discoveryKey };
    await this.#state.log.close();
    return await store.remove(discoveryKey);
  }

  // Peers

  /** Replicates the log on a connection, from now on until either ends. */
  replicate(stream: ReplicationStream): void {
    this.#state.checkOpen();
    const { mux, session } = channelsOf(stream);
    this.#state.log.replicator.attach(mux, session);
  }

  /** More peers may turn up: `update` waits for the first one, until what is returned is called, or the session closed. */
  findingPeers(): () => void {
    this.#state.checkOpen();
    return this.#state.bind(() => this.#state.log.replicator.addFindingPeers());
  }

  /** How far this side and its peers are: what each has, wants and knows of. */
  syncState(): SyncState {
    return this.#state.log.replicator.syncState();
  }

  /** Sends a block to all peers that take blocks unasked. */
  async push(index: number): Promise<void> {
    checkBlockIndex(index);
    await this.#state.log.replicator.push(index);
  }

  /**
   * Lets applications talk to each other along with the log, while this session is open.
   *
   * @throws {TypeError} if the log has an extension of that name; {RangeError} if the name is empty or too long.
   *
   * @example
   * ```ts
   * import { Hypercore } from "./hypercore.ts";
   * import { MemoryStore } from "./storage/mod.ts";
   *
   * await using core = await Hypercore.open(new MemoryStore());
   * const chat = core.registerExtension<string>("chat", {
   *   encoding: "utf-8",
   *   onmessage: (text, peer) => chat.send(`you said ${text}`, peer),
   * });
   * chat.broadcast("hello");
   * ```
   */
  registerExtension<M = Uint8Array, Input = M>(
    name: string,
    options: ExtensionOptions<M, Input>,
  ): Extension<Input> {
    this.#state.checkOpen();
    let extension!: Extension<Input>;
    const unbind = this.#state.bind(() => {
      extension = this.#state.log.replicator.registerExtension(name, options);
      return () => extension.destroy();
    });
    return {
      name,
      send: (message, peer) => extension.send(message, peer),
      broadcast: (message) => extension.broadcast(message),
      destroy: unbind,
    };
  }

  /** Listens; what nobody listens to is not even looked at. */
  override addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void {
    super.addEventListener(type, listener, options);
    if (this.#monitored.has(type) || this.closed) return;
    const observer = observerOf(type, (name, detail) => this.emit(name, detail));
    if (observer === undefined) return;
    this.#monitored.add(type);
    this.#state.bind(() => this.#state.log.observe(observer));
  }

  async #close(error: unknown): Promise<void> {
    this.#state.close(error);
    await this.#state.branch.hold(() => Promise.resolve());
    this.emit("close", undefined);
  }

  #onUpgrade({ ancestors, oldLength, oldFork, isProven }: LogChange): void {
    if (isProven === true && this.keyPair !== undefined && this.#state.log.state.hasOneSigner) {
      const { fork, length } = this;
      this.emit("rollback", { oldFork, oldLength, fork, length });
    }
    if (ancestors < oldLength) this.emit("truncate", { ancestors, fork: this.fork });
    if (this.length > ancestors) this.emit("append", { length: this.length });
  }

  #onMove(ancestors: number, oldLength: number): void {
    this.emit("migrate", { key: this.key });
    if (!this.snapshotted) this.#onUpgrade({ ancestors, oldLength, oldFork: this.fork });
  }

  #onConflict(proof: ConflictProof, peer: ReplicationPeer): void {
    this.emit("conflict", { proof, peer });
    const text = "Two logs that differ were signed with its keys: neither can be trusted";
    void this.close({ error: new ProtocolError("INVALID_SIGNATURE", text) });
  }
}
