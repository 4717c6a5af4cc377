/** The part of a log's session that writes: blocks, and what is kept beside them. */
import { equals } from "../encoding/bytes.ts";
import { encodeBlock } from "./block_coding.ts";
import { requireKeyPair } from "./crypto/keys.ts";
import { CIPHER_KEY_BYTES, requireSize } from "./crypto/sizes.ts";
import type { AppendingOptions, EncryptionOption, WriteOptions } from "./hypercore_options.ts";
import { HypercoreReader, stateOf } from "./hypercore_reader.ts";
import type { Appended } from "./log/append_queue.ts";
import { commitDraft } from "./log/draft.ts";
import type { Marks } from "./log/marks.ts";
import type { Recovered, RecoverOptions } from "./log_recovery.ts";
import type { KeyPair } from "./runtime/crypto_provider.ts";
import type { Session } from "./session.ts";
import { checkBlockIndex, checkBlockRange } from "./session_checks.ts";
import { type LogCheck, verifyLog } from "./store_check.ts";
import { writeStream } from "./write_stream.ts";

/** Gaps between marked blocks that are dropped in one write. */
const SWEPT_GAPS = 256;

/** What of a session writes. */
export abstract class HypercoreWriter<T> extends HypercoreReader<T> {
  /**
   * Appends a value, or several at once. Resolves when it is as safe as the store promises; peers see it then. Appends that
   * wait together share the work. The first one gives peers that say that they have more a second to prove it.
   *
   * @throws {HyphaError} `SESSION_NOT_WRITABLE`, `SESSION_CLOSED`; `ROLLED_BACK` if peers have more that was signed before;
   * {TypeError} or {RangeError} for values that cannot be encoded, or if the log would be longer than `maxLength`;
   * {StorageError} if it could not be stored.
   */
  async append(
    values: T | Uint8Array | string | readonly (T | Uint8Array | string)[],
    options: AppendingOptions = {},
  ): Promise<Appended> {
    const session = stateOf(this);
    const { codec, options: { encodeBatch } } = session;
    const { maxLength, postappend } = options;
    const signing = session.signing(options);
    const checked = session.caughtUp();
    if (checked !== undefined) await checked;
    const list = (Array.isArray(values) ? values : [values]) as (T | Uint8Array | string)[];
    const encoded = encodeBatch === undefined ? list : encodeBatch(list as T[]);
    const blocks = encoded.map((value) => encodeBlock(codec, value));
    if (session.moving !== undefined) await this.#settled();
    const { branch, encryption: cipher } = session;
    const { length, byteLength } = await branch.append(blocks, { ...signing, cipher, maxLength, postappend });
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
    const session = stateOf(this);
    const signing = session.signing(options);
    await session.caughtUp();
    if (session.moving !== undefined) await this.#settled();
    await session.branch.truncate(length, options.fork ?? this.fork + 1, signing);
  }

  /** Drops blocks from the store; peers that have them can be asked for them again. Tells how many there were. */
  async clear(start: number, end: number = start + 1): Promise<{ readonly blocks: number }> {
    checkBlockRange(start, end);
    const { branch } = await this.#settled();
    return { blocks: await branch.clear([start, Math.min(end, Math.max(start, this.length))]) };
  }

  /**
   * Appends to this log what a branch of it has behind its end, up to `length` if given.
   *
   * @returns undefined if the branch does not begin with all of this log.
   */
  async commit<V>(
    branch: HypercoreReader<V>,
    options: WriteOptions & { readonly length?: number | undefined } = {},
  ): Promise<Appended | undefined> {
    const session = stateOf(this);
    const draft = stateOf(branch);
    const signing = session.signing(options);
    if (draft.log !== session.log) throw new TypeError("A session commits branches of its own log");
    await session.caughtUp();
    const most = options.length ?? branch.length;
    const appended = await commitDraft(session.branch, draft.branch, most, signing);
    await draft.log.followed(draft.branch);
    return appended;
  }

  // What is to stay

  /**
   * Begins to mark the blocks that this session, and sessions made of it from now on, read: {@linkcode sweep} drops the others.
   * Marks of before are forgotten. They are kept with the log, so that what one session marks another one sweeps, also after
   * the store was closed.
   *
   * @throws {TypeError} if it marks already, or is of a branch or an atom.
   *
   * @example
   * ```ts
   * import assert from "node:assert/strict";
   * import { Hypercore } from "./hypercore.ts";
   * import { MemoryStore } from "./storage/mod.ts";
   *
   * await using core = await Hypercore.open(new MemoryStore());
   * await core.append(["a", "b", "c"]);
   * await core.startMarking();
   * await core.get(1);
   * assert.deepEqual(await core.sweep(), { blocks: 2 });
   * assert.equal(await core.has(1), true);
   * ```
   */
  async startMarking(): Promise<void> {
    const session = await this.#settled();
    if (session.isMarking) throw new TypeError("The session marks already: sweep first, or clear the marks");
    await this.#marks(session).clear();
    session.isMarking = true;
  }

  /**
   * Marks a block, or all from `start` up to but without `end`, as far as the log has them, without reading them.
   *
   * @throws {TypeError} if the session is of a branch or an atom.
   */
  async markBlock(start: number, end: number = start + 1): Promise<void> {
    checkBlockRange(start, end);
    await this.#marks(await this.#settled()).add(start, end);
  }

  /** Forgets all marks, and marks no more. */
  async clearMarkings(): Promise<void> {
    const session = await this.#settled();
    await this.#marks(session).clear();
    session.isMarking = false;
  }

  /**
   * Drops all blocks that are not marked from the store, forgets the marks, and ends marking. Tells how many there were. What is
   * appended meanwhile stays.
   *
   * @throws {TypeError} if nothing was marked: all would be dropped; or if the session is a snapshot, or of a branch or an atom.
   */
  async sweep(): Promise<{ readonly blocks: number }> {
    const session = await this.#settled();
    const { branch, isFixed } = session;
    if (isFixed) throw new TypeError("A snapshot is not swept: sweep the log");
    const marked = await this.#marks(session).bits();
    if (marked.firstSet(0) === -1) throw new TypeError("Mark the blocks that are to stay first");
    const { length } = branch; // what is appended meanwhile stays
    let blocks = 0;
    for (let at = 0; at < length;) {
      const gaps: [start: number, end: number][] = [];
      while (at < length && gaps.length < SWEPT_GAPS) {
        const next = marked.firstSet(at);
        const end = next === -1 ? length : Math.min(next, length);
        if (at < end) gaps.push([at, end]);
        at = next === -1 ? length : marked.firstUnset(next);
      }
      blocks += await branch.clear(...gaps);
    }
    await this.clearMarkings();
    return { blocks };
  }

  // What is kept beside the blocks

  /**
   * Sets a value that is stored beside the blocks and not replicated, or removes it. Names that begin with `hypha/` are taken.
   *
   * @throws {RangeError} for a name or a value that no store takes.
   */
  async setUserData(key: string, value: Uint8Array | string | undefined): Promise<void> {
    const { branch } = await this.#settled();
    const bytes = typeof value === "string" ? new TextEncoder().encode(value) : value;
    const stored = await branch.storage.userData(key);
    if (stored === bytes || (stored !== undefined && bytes !== undefined && equals(stored, bytes))) return;
    await branch.setUserData(key, bytes);
  }

  /** A value that is stored beside the blocks. */
  async getUserData(key: string): Promise<Uint8Array | undefined> {
    return await stateOf(this).branch.storage.userData(key);
  }

  /**
   * Makes the log one of a group, under a topic of 32 bytes; see `Corestore.notifyGroup`. It stays in it for good.
   *
   * @throws {HyphaError} `STORAGE_CONFLICT` if it is of another group; {RangeError} for a topic of another size.
   */
  async setGroup(topic: Uint8Array): Promise<void> {
    await (await this.#settled()).log.setGroup(topic);
  }

  /** Sets who signs what this session appends; undefined for the writer of the log. @throws {RangeError} for what is none. */
  setKeyPair(keyPair: KeyPair | undefined): void {
    if (keyPair !== undefined) requireKeyPair("keyPair", keyPair);
    stateOf(this).keyPair = keyPair;
  }

  /**
   * Sets how this session encrypts and decrypts; with undefined, with the key that is stored with the log, if there is one.
   *
   * @throws {RangeError} for a key of another size than 32 bytes.
   */
  setEncryption(encryption: EncryptionOption | undefined): void {
    stateOf(this).setEncryption(encryption);
  }

  /**
   * Sets with which key this session encrypts and decrypts. If it `isStored`, it is kept with the log as well, and all sessions
   * that are opened from then on have it; without a key, that one is removed.
   *
   * @throws {RangeError} for a key of another size than 32 bytes; {TypeError} for a block key that is to be stored: a store keeps
   * keys from which those of logs are derived; {StorageError} `NOT_SUPPORTED` if the store keeps none.
   *
   * @example
   * ```ts
   * import assert from "node:assert/strict";
   * import { Corestore } from "./corestore.ts";
   * import { MemoryStore } from "./storage/mod.ts";
   *
   * await using store = await Corestore.open(new MemoryStore());
   * await using diary = await store.get<string>({ name: "diary", valueEncoding: "utf-8" });
   * await diary.setEncryptionKey(new Uint8Array(32).fill(7), { isStored: true });
   * await diary.append("nobody reads this");
   * await using again = await store.get<string>({ name: "diary", valueEncoding: "utf-8" });
   * assert.equal(await again.get(0), "nobody reads this");
   * ```
   */
  async setEncryptionKey(
    key: Uint8Array | undefined,
    options: { readonly isBlockKey?: boolean | undefined; readonly isStored?: boolean | undefined } = {},
  ): Promise<void> {
    const { isBlockKey = false, isStored = false } = options;
    if (key !== undefined) requireSize("The encryption key", key, CIPHER_KEY_BYTES);
    if (isStored && isBlockKey) {
      throw new TypeError("The key of the blocks themselves is not stored: give it to each session");
    }
    const session = await this.#settled();
    if (isStored) await session.log.state.setEncryptionKey(key?.slice());
    session.setEncryption(key && { key, isBlockKey });
  }

  // The store

  /**
   * Checks all that is stored of the log: its head against the signature, each node and block that is here against the head, and
   * its branches. Changes nothing. The log takes no changes meanwhile.
   *
   * @throws the reason of the signal when it aborts; {StorageError} if the store cannot be read at all.
   */
  async audit(options: { readonly signal?: AbortSignal } = {}): Promise<LogCheck> {
    const { log: { state, store } } = await this.#settled();
    const { crypto } = state.runtime;
    return await state.hold(async () => {
      return await verifyLog(await store.open(state.discoveryKey), { crypto, ...options });
    });
  }

  /** Whether it is damaged, or is being recovered: then nothing can be appended. Blocks that are not damaged can be read. */
  get recovering(): boolean {
    return stateOf(this).log.recovery.isGoingOn;
  }

  /**
   * Makes the log whole: looks at all that is stored of it, mends what can be, and fetches from peers what is gone, until no peer
   * has more of it. As long as it is damaged, or has lost its head, it is neither proven to others nor signed, and a peer is waited
   * for; a log that can be made whole here needs none.
   *
   * Roots that are lost are brought back by peers without it, too, and blocks that turn out to be damaged when they are read.
   *
   * @throws the reason of the signal when it aborts; {StorageError} if the store cannot be read or written.
   *
   * @example
   * ```ts ignore
   * log.on("repairing", ({ detail: { error } }) => console.warn(error.message));
   * if (log.recovering) await log.recover({ signal: AbortSignal.timeout(60_000) });
   * ```
   */
  async recover(options: RecoverOptions = {}): Promise<Recovered> {
    const session = await this.#settled();
    return await session.requests.wait(
      (signal) => session.log.recovery.run({ ...options, signal }),
      { signal: options.signal, timeoutMs: 0 },
    );
  }

  /**
   * Gives room that what was cleared, cut or removed has left free in the store back to the medium. Until then it is used for
   * what is written next.
   *
   * @returns by how many bytes the store has shrunk; 0 where a store cannot.
   */
  async compact(): Promise<number> {
    return await (await this.#settled()).log.store.shrink();
  }

  #marks({ log, branch }: Session<T>): Marks {
    if (branch === log.state) return log.marks;
    throw new TypeError("Blocks of the log itself are marked: not those of a branch, nor in an atom");
  }

  /** What the session is made of, when it is open and not on its way to another log. */
  async #settled(): Promise<Session<T>> {
    const session = stateOf(this);
    session.checkOpen();
    while (session.moving !== undefined) await session.moving;
    session.checkOpen();
    return session;
  }
}
