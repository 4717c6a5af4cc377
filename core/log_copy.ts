/**
 * Copying one log from a store to another.
 */
import { equals } from "../encoding/bytes.ts";
import { isAboutLog, type LogPiece, LogWalk, proveHead, type ProvenLog, treeOf } from "./log_walk.ts";
import { treeHash } from "./crypto/hash.ts";
import { HeldBits } from "./held_bits.ts";
import { PAGE_BITS } from "./log/constants.ts";
import { rootsOf } from "./log/merkle_tree.ts";
import { overlayChange } from "./overlay_copy.ts";
import type { CryptoProvider } from "./runtime/crypto_provider.ts";
import { StorageError } from "./runtime/errors.ts";
import type { LogAuth, LogStorage, Store } from "./storage/storage.ts";
import { type LogWriter, WriteBatch } from "./storage/write_batch.ts";

/**
 * What came of a log.
 *
 * - `copied`, or, in a dry run, would be: the target has now all that the source has of it.
 * - `present`: the target had all of it.
 * - `damaged`: the source does not hold what was signed. What was proven before that was found may have been copied.
 * - `conflict`: the target has something else under the same key, which it keeps.
 * - `unsupported`: the target cannot hold it, or it is of a kind that cannot be checked.
 */
export type LogVerdict = "copied" | "present" | "damaged" | "conflict" | "unsupported";

/** What came of one log. */
export interface LogReport {
  /** Its discovery key. */
  readonly discoveryKey: Uint8Array;
  /** Its key, if the source has it. */
  readonly key: Uint8Array | undefined;
  /** How many blocks it has. */
  readonly length: number;
  /** How many of its blocks the source holds. */
  readonly held: number;
  /** How many of its blocks were written, or would be. */
  readonly blocks: number;
  /** Bytes of these. */
  readonly bytes: number;
  /** What came of it. */
  readonly verdict: LogVerdict;
  /** Why it was not copied. */
  readonly reason: string | undefined;
  /** What of it was left out, though it was copied. */
  readonly notes: readonly string[];
}

/** What a copy of a log needs. */
export interface LogCopyConfig {
  readonly crypto: CryptoProvider;
  /** Where to. */
  readonly target: Store;
  readonly isDryRun: boolean;
  readonly maxBatchBytes: number;
  /** Whether blocks come along of which it cannot be told whether they are right. */
  readonly keepsUnproven: boolean;
  /** Is called after each batch; what it throws ends the copy. */
  readonly onBatch: (length: number, blocks: number, bytes: number) => void;
}

/** Nodes after which a batch is written. */
const MAX_BATCH_NODES = 8192;

/** A log of the target has other content. */
class Conflict extends Error {}

/** Copies one log, once. */
export class LogCopy {
  readonly #from: LogStorage;
  readonly #to: LogStorage;
  readonly #config: LogCopyConfig;
  readonly #notes: string[] = [];
  readonly #targetBits: HeldBits;
  #key: Uint8Array | undefined;
  #length = 0;
  #held = 0;
  #blocks = 0;
  #bytes = 0;
  #unproven = 0;
  #hasChanged = false;
  #batch = new WriteBatch();
  /** The page of the target's bitfield that is being filled, and whether it was since it was last written. */
  #isPageNew = false;
  #page: { readonly number: number; readonly bytes: Uint8Array } | undefined;

  /** Copies `from`, which is of another store, to `to`. */
  constructor(from: LogStorage, to: LogStorage, config: LogCopyConfig) {
    this.#from = from;
    this.#to = to;
    this.#config = config;
    this.#targetBits = new HeldBits(to);
  }

  /** Does it. @throws what the target throws, or what `onBatch` does. */
  async run(): Promise<LogReport> {
    try {
      const proven = await this.#ofSource(() => this.#prove());
      const isKnown = await this.#compareHeads(proven);
      await this.#copyHead(proven, isKnown);
      if (!isKnown || await this.#isAnyMissing()) await this.#copyPieces(proven);
      await this.#finish(proven);
      return this.#report(this.#hasChanged ? "copied" : "present");
    } catch (error) {
      if (error instanceof Conflict) return this.#report("conflict", error.message);
      if (error instanceof Unreadable) {
        const { code, message } = error.cause;
        const isUnknown = code === "NOT_SUPPORTED" || code === "STORE_UNKNOWN";
        return this.#report(isUnknown ? "unsupported" : "damaged", message);
      }
      if (isUnsupported(error)) return this.#report("unsupported", error.message);
      throw error;
    }
  }

  async #prove(): Promise<ProvenLog> {
    const auth = await this.#from.auth();
    this.#key = auth?.key;
    this.#length = (await this.#from.head())?.length ?? 0;
    this.#held = await new HeldBits(this.#from).count(this.#length);
    const proven = await proveHead(this.#config.crypto, this.#from);
    return proven;
  }

  /** Whether the target has the head of the source, or a later one of the same history. @throws {Conflict} */
  async #compareHeads({ auth, head, tree }: ProvenLog): Promise<boolean> {
    const { crypto } = this.#config;
    const there = await this.#to.auth();
    if (there !== undefined && !equals(there.key, auth.key)) {
      throw new Conflict("the target has another key for it");
    }
    const headThere = await this.#to.head();
    if (headThere === undefined || (headThere.length === 0 && headThere.fork === 0)) {
      return head === undefined;
    }
    if (head === undefined) return true;
    if (headThere.fork !== head.fork) {
      throw new Conflict(`the target has fork ${headThere.fork} of it, the source fork ${head.fork}`);
    }
    const treeThere = await treeOf(crypto, this.#to, headThere);
    const isBehind = headThere.length < head.length;
    const [longer, reader, length] = isBehind
      ? [tree, this.#from, headThere.length] as const
      : [treeThere, this.#to, head.length] as const;
    const roots = await this.#ofSource(() => rootsOf((index) => reader.node(index), longer, length));
    const shorter = isBehind ? treeThere : tree;
    if (roots === undefined || !equals(treeHash(crypto, roots), treeHash(crypto, shorter.roots))) {
      throw new Conflict(`the target has ${headThere.length} blocks of another history of it`);
    }
    return !isBehind;
  }

  /** Makes the target a reader of the log: with its keys comes at once what was signed, so that nobody begins it anew. */
  async #copyHead({ auth, head, tree }: ProvenLog, isKnown: boolean): Promise<void> {
    const writer = this.#writer();
    if (await this.#to.auth() === undefined) {
      writer.setAuth({ ...auth, keyPair: undefined, encryptionKey: undefined });
    }
    if (!isKnown && head !== undefined) {
      writer.setHead(head);
      for (const root of tree.roots) writer.putNode(root);
    }
    await this.#flush();
  }

  /** Whether the source holds blocks that the target does not. */
  async #isAnyMissing(): Promise<boolean> {
    const pages = new HeldBits(this.#from).pages(this.#length);
    for (;;) {
      const { value, done } = await this.#ofSource(() => pages.next());
      if (done === true) return false;
      if (!await this.#isHeldThere(value.held[0]!, value.held)) return true;
    }
  }

  /** Whether the target holds all of `held`, which are on one page, and not before `start`. */
  async #isHeldThere(start: number, held: readonly number[]): Promise<boolean> {
    const there = new Set(await this.#targetBits.between(start, held.at(-1)! + 1));
    return held.every((index) => there.has(index));
  }

  async #copyPieces({ tree }: ProvenLog): Promise<void> {
    const skip = (start: number, held: readonly number[]) => this.#isHeldThere(start, held);
    const pieces = new LogWalk(this.#config.crypto, this.#from, tree, skip).pieces();
    for (;;) {
      const { value, done } = await this.#ofSource(() => pieces.next());
      if (done === true) break;
      await this.#add(value);
    }
    if (this.#unproven > 0) {
      const fate = this.#config.keepsUnproven ? "are unproven" : "were left out";
      this.#notes.push(`${this.#unproven} blocks ${fate}, since nodes that would prove them are missing`);
    }
    await this.#flush();
  }

  async #add({ nodes, blocks, unproven }: LogPiece): Promise<void> {
    const writer = this.#writer();
    for (const node of nodes) writer.putNode(node);
    this.#unproven += unproven.length;
    for (const { index, value } of this.#config.keepsUnproven ? [...blocks, ...unproven] : blocks) {
      const page = await this.#turnTo(Math.floor(index / PAGE_BITS));
      const bit = index % PAGE_BITS;
      if ((page[bit >>> 3]! & (1 << (bit & 7))) !== 0) continue;
      page[bit >>> 3]! |= 1 << (bit & 7);
      this.#isPageNew = true;
      this.#writer().putBlock(index, value);
      this.#blocks++;
      this.#bytes += value.length;
    }
    const { operations, byteLength } = this.#writer();
    if (byteLength >= this.#config.maxBatchBytes || operations.length >= MAX_BATCH_NODES) await this.#flush();
  }

  /** The page of the target's bitfield with this number, to be written to. */
  async #turnTo(number: number): Promise<Uint8Array> {
    if (this.#page?.number === number) return this.#page.bytes;
    this.#putPage();
    const bytes = (await new HeldBits(this.#to).page(number)).slice();
    this.#page = { number, bytes };
    return bytes;
  }

  #putPage(): void {
    if (this.#isPageNew) this.#writer().putBitfieldPage(this.#page!.number, this.#page!.bytes.slice());
    this.#isPageNew = false;
  }

  /** Gives the target what else belongs to the log, and at last makes it a writer, if the source is one. */
  async #finish({ auth, head }: ProvenLog): Promise<void> {
    await this.#copyUserData();
    for (const name of await this.#ofSource(() => this.#from.overlays())) await this.#copyOverlay(name);
    if (head !== undefined) await this.#copyHints();
    const there = await this.#to.auth() ?? { ...auth, keyPair: undefined, encryptionKey: undefined };
    const merged: LogAuth = {
      ...there,
      // Such as that a log is not to be trusted any more: whoever knows it is right.
      flags: there.flags | auth.flags,
      manifest: there.manifest ?? auth.manifest,
      keyPair: there.keyPair ?? auth.keyPair,
      encryptionKey: there.encryptionKey ?? auth.encryptionKey,
    };
    const isNew = (["flags", "manifest", "keyPair", "encryptionKey"] as const).some((one) =>
      merged[one] !== there[one]
    );
    if (isNew) await this.#writeAuth(merged);
  }

  async #copyUserData(): Promise<void> {
    for (const key of await this.#ofSource(() => this.#from.userDataKeys(""))) {
      const value = await this.#ofSource(() => this.#from.userData(key));
      const there = await this.#to.userData(key);
      if (value === undefined || (there !== undefined && equals(there, value))) continue;
      if (there !== undefined) this.#notes.push(`user data ${key} are others in the target, and stay`);
      else await this.#attempt((batch) => batch.log(this.#to).setUserData(key, value), `user data ${key}`);
    }
  }

  async #copyOverlay(name: string): Promise<void> {
    const { crypto } = this.#config;
    const change = await this.#ofSource(() => overlayChange(crypto, this.#from, this.#to, name));
    if (typeof change === "string") this.#notes.push(`overlay ${name} was left out: ${change}`);
    else if (change !== undefined) await this.#attempt(change, `overlay ${name}`);
  }

  async #copyHints(): Promise<void> {
    const hints = await this.#ofSource(() => this.#from.hints());
    const there = await this.#to.hints();
    const length = (await this.#to.head())?.length ?? this.#length;
    const contiguousLength = await new HeldBits(this.#to).contiguousLength(length);
    const remoteContiguousLength = Math.max(
      hints?.remoteContiguousLength ?? 0,
      there?.remoteContiguousLength ?? 0,
    );
    const recovering = (there ?? hints)?.recovering ?? false;
    if (there !== undefined && there.contiguousLength === contiguousLength) return;
    if (!this.#hasChanged && contiguousLength === 0) return;
    await this.#attempt(
      (batch) => batch.log(this.#to).setHints({ contiguousLength, remoteContiguousLength, recovering }),
      "hints",
    );
  }

  async #writeAuth(auth: LogAuth): Promise<void> {
    if (auth.encryptionKey !== undefined) {
      if (await this.#attempt((batch) => batch.log(this.#to).setAuth(auth), "the encryption key")) return;
    }
    this.#writer().setAuth({ ...auth, encryptionKey: undefined });
    await this.#flush();
  }

  /** Writes something that not every target can hold; if not, a note says so. */
  async #attempt(change: (batch: WriteBatch) => void, what: string): Promise<boolean> {
    await this.#flush();
    change(this.#batch);
    try {
      await this.#flush();
      return true;
    } catch (error) {
      if (!isUnsupported(error)) throw error;
      this.#batch = new WriteBatch();
      if (!this.#notes.some((note) => note.startsWith(what))) this.#notes.push(`${what}: ${error.message}`);
      return false;
    }
  }

  async #flush(): Promise<void> {
    this.#putPage();
    this.#page = undefined;
    if (this.#batch.logs.every(({ operations }) => operations.length === 0)) return;
    if (!this.#config.isDryRun) await this.#config.target.write(this.#batch);
    // Nodes alone are written again wherever blocks cannot be proven, and are no news.
    this.#hasChanged ||= this.#batch.logs.some(({ operations }) =>
      operations.some(({ type }) => type !== "node")
    );
    this.#batch = new WriteBatch();
    this.#config.onBatch(this.#length, this.#blocks, this.#bytes);
  }

  #writer(): LogWriter {
    return this.#batch.log(this.#to);
  }

  /** Reads from the source: what fails there is about the log, and the copy goes on with others. */
  async #ofSource<T>(read: () => T | Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      throw isAboutLog(error) ? new Unreadable(error) : error;
    }
  }

  #report(verdict: LogVerdict, reason?: string): LogReport {
    return {
      discoveryKey: this.#from.discoveryKey,
      key: this.#key,
      length: this.#length,
      held: this.#held,
      blocks: this.#blocks,
      bytes: this.#bytes,
      verdict,
      reason,
      notes: this.#notes,
    };
  }
}

/** The source does not hold the log as it should. */
class Unreadable extends Error {
  override readonly cause: StorageError;

  constructor(cause: StorageError) {
    super(cause.message);
    this.cause = cause;
  }
}

function isUnsupported(error: unknown): error is StorageError {
  return error instanceof StorageError && error.code === "NOT_SUPPORTED";
}
