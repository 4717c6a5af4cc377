/** Logs as applications hold them: sessions of a log in a store, that are read, written and replicated. */
import { parseKey } from "../encoding/keys.ts";
import { channelsOf, type ReplicationStream } from "./attach.ts";
import { encodeBlock } from "./block_coding.ts";
import { observerOf } from "./hypercore_events.ts";
import type {
  EncryptionOption,
  HypercoreOptions,
  SessionOptions,
  WriteOptions,
} from "./hypercore_options.ts";
import { HypercoreReader, stateOf } from "./hypercore_reader.ts";
import type { Appended } from "./log/append_queue.ts";
import { Bitfield } from "./log/bitfield.ts";
import { commitDraft } from "./log/draft.ts";
import type { LogChange } from "./log/pending_changes.ts";
import type { Applied } from "./log/log_state.ts";
import { missingNodes } from "./log/merkle_tree.ts";
import type { Proof, ProofRequest } from "./log/proof.ts";
import { openSharedLog } from "./open_log.ts";
import type { ConflictProof } from "./replication/conflict.ts";
import type { Extension, ExtensionOptions } from "./replication/extensions.ts";
import type { ReplicationPeer } from "./replication/peer.ts";
import type { SyncState } from "./replication/sync_state.ts";
import type { KeyPair } from "./runtime/crypto_provider.ts";
import { ProtocolError } from "./runtime/errors.ts";
import { Session } from "./session.ts";
import { checkBlockIndex, checkBlockRange, sessionClosed } from "./session_checks.ts";
import type { SharedLog } from "./shared_log.ts";
import type { Store } from "./storage/storage.ts";
import { writeStream } from "./write_stream.ts";

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
export class Hypercore<T = Uint8Array> extends HypercoreReader<T> implements AsyncDisposable {
  /** Whether it does not keep the log open. */
  readonly weak: boolean;
  readonly #monitored = new Set<string>();
  #isActive: boolean;
  #closed: Promise<void> | undefined;

  private constructor(session: Session<T>) {
    super(session);
    const { log, branch, options } = session;
    const { weak = false, active = !weak } = options;
    this.weak = weak;
    this.#isActive = active;
    log.addSession(this);
    if (active) log.changeActivity(1);
    session.onClose(log.observe({ onConflict: (proof, peer) => this.#onConflict(proof, peer) }));
    if (session.isFixed) return;
    session.onClose(branch.observe({
      onUpgrade: (change) => this.#onUpgrade(change),
      onFailure: (error) => this.emit("storage-error", { error }),
    }));
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
  static async of<T>(log: SharedLog, options: SessionOptions<T>): Promise<Hypercore<T>> {
    return new Hypercore<T>(await Session.open<T>(log, options));
  }

  get #state(): Session<T> {
    return stateOf(this);
  }

  // Writing

  /**
   * Appends a value, or several at once. Resolves when it is as safe as the store promises; peers see it then. Appends that
   * wait together share the work. The first one gives peers that say that they have more a second to prove it.
   *
   * @throws {HyphaError} `SESSION_NOT_WRITABLE`, `SESSION_CLOSED`; `ROLLED_BACK` if peers have more that was signed before;
   * {TypeError} or {RangeError} for values that cannot be encoded; {StorageError} if it could not be stored.
   */
  async append(
    values: T | Uint8Array | string | readonly (T | Uint8Array | string)[],
    options: WriteOptions & { readonly maxLength?: number | undefined } = {},
  ): Promise<Appended> {
    const { branch, codec, encryption: cipher } = this.#state;
    const signing = this.#state.signing(options);
    const checked = this.#state.caughtUp();
    if (checked !== undefined) await checked;
    const list = (Array.isArray(values) ? values : [values]) as (T | Uint8Array | string)[];
    const blocks = list.map((value) => encodeBlock(codec, value));
    const { length, byteLength } = await branch.append(blocks, {
      ...signing,
      cipher,
      maxLength: options.maxLength,
    });
    return { length, byteLength: byteLength - length * this.padding };
  }

  /** Appends what is written to it. */
  createWriteStream(): WritableStream<T | Uint8Array | string> {
    return writeStream((values) => this.append(values));
  }

  /**
   * Cuts the log to `length` blocks; what comes then is another fork of it, which readers follow.
   *
   * @throws {RangeError} if it is not that long; as {@linkcode append}.
   */
  async truncate(
    length = 0,
    options: WriteOptions & { readonly fork?: number | undefined } = {},
  ): Promise<void> {
    checkBlockIndex(length);
    await this.#state.caughtUp();
    await this.#state.branch.truncate(length, options.fork ?? this.fork + 1, this.#state.signing(options));
  }

  /** Drops blocks from the store; peers that have them can be asked for them again. Tells how many there were. */
  async clear(start: number, end: number = start + 1): Promise<{ readonly blocks: number }> {
    checkBlockRange(start, end);
    this.#state.checkOpen();
    return { blocks: await this.#state.branch.clear(start, Math.min(end, Math.max(start, this.length))) };
  }

  /** Begins to mark the blocks that this session, and sessions made of it from now on, read: {@linkcode sweep} drops the others. */
  startMarking(): void {
    this.#state.marks = new Bitfield();
  }

  /** Marks a block, or all from `start` up to but without `end`, without reading them. */
  markBlock(start: number, end: number = start + 1): void {
    checkBlockRange(start, end);
    (this.#state.marks ??= new Bitfield()).setRange(start, end, true);
  }

  /** Forgets all marks, and marks no more. */
  clearMarkings(): void {
    this.#state.marks = undefined;
  }

  /**
   * Drops all blocks that are not marked from the store, and ends marking. Tells how many there were.
   *
   * @throws {TypeError} if nothing was marked: all would be dropped.
   */
  async sweep(): Promise<{ readonly blocks: number }> {
    const { marks, branch } = this.#state;
    if (marks === undefined || marks.firstSet(0) === -1) {
      throw new TypeError("Mark the blocks that are to stay first");
    }
    let blocks = 0;
    for (let at = 0; at < branch.length;) {
      const next = marks.firstSet(at);
      const end = next === -1 ? branch.length : Math.min(next, branch.length);
      if (at < end) blocks += await branch.clear(at, end);
      at = next === -1 ? branch.length : marks.firstUnset(next);
    }
    this.clearMarkings();
    return { blocks };
  }

  /**
   * Appends to this log what a branch of it has behind its end, up to `length` if given.
   *
   * @returns undefined if the branch does not begin with all of this log.
   * @throws as {@linkcode append}.
   */
  async commit<V>(
    branch: Hypercore<V>,
    options: WriteOptions & { readonly length?: number | undefined } = {},
  ): Promise<Appended | undefined> {
    if (stateOf(branch).log !== this.#state.log) {
      throw new TypeError("A session commits branches of its own log");
    }
    const { branch: own } = this.#state;
    await this.#state.caughtUp();
    return await commitDraft(
      own,
      stateOf(branch).branch,
      options.length ?? branch.length,
      this.#state.signing(options),
    );
  }

  /** Sets a value that is stored beside the blocks and not replicated, or removes it. */
  async setUserData(key: string, value: Uint8Array | string | undefined): Promise<void> {
    this.#state.checkOpen();
    const bytes = typeof value === "string" ? new TextEncoder().encode(value) : value;
    await this.#state.branch.setUserData(key, bytes);
  }

  /** A value that is stored beside the blocks. */
  async getUserData(key: string): Promise<Uint8Array | undefined> {
    return await this.#state.branch.storage.userData(key);
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

  /** Sets who signs what this session appends. */
  setKeyPair(keyPair: KeyPair | undefined): void {
    this.#state.keyPair = keyPair;
  }

  /** Sets how this session encrypts and decrypts. @throws {RangeError} for a key of another size than 32 bytes. */
  setEncryption(encryption: EncryptionOption | undefined): void {
    this.#state.setEncryption(encryption);
  }

  /** Whether the log is fetched from peers because of this session. */
  setActive(active: boolean): void {
    if (active === this.#isActive || this.closed) return;
    this.#isActive = active;
    this.#state.log.changeActivity(active ? 1 : -1);
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
    const done = this.#state.log.replicator.addFindingPeers();
    this.#state.onClose(done);
    return done;
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

  /** Lets applications talk to each other along with the log, while this session is open. */
  registerExtension<M, Input = M>(name: string, options: ExtensionOptions<M, Input>): Extension<Input> {
    this.#state.checkOpen();
    const extension = this.#state.log.replicator.registerExtension(name, options);
    this.#state.onClose(() => extension.destroy());
    return extension;
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
    this.#state.onClose(this.#state.log.observe(observer));
  }

  async #close(error: unknown): Promise<void> {
    if (this.#isActive) this.#state.log.changeActivity(-1);
    this.#isActive = false;
    this.#state.close(error);
    this.#state.log.removeSession(this);
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

  #onConflict(proof: ConflictProof, peer: ReplicationPeer): void {
    this.emit("conflict", { proof, peer });
    const text = "Two logs that differ were signed with its keys: neither can be trusted";
    void this.close({ error: new ProtocolError("INVALID_SIGNATURE", text) });
  }
}
