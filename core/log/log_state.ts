/**
 * A log: its keys, and the branch that its signers sign. What peers prove comes in here, and what they ask for is proven.
 */
import { equals } from "../../encoding/bytes.ts";
import { decodeExact, encode } from "../../encoding/codec.ts";
import { discoveryKey } from "../crypto/hash.ts";
import type { MaybePromise } from "../runtime/async.ts";
import type { KeyPair } from "../runtime/crypto_provider.ts";
import { HyphaError, ProtocolError, type StorageError, toError } from "../runtime/errors.ts";
import type { LogAuth } from "../storage/storage.ts";
import type { LogWriter } from "../storage/write_batch.ts";
import type { AppendOptions } from "./append_queue.ts";
import { type BranchParts, damaged, headOf } from "./branch_parts.ts";
import { ForkSearch } from "./fork_search.ts";
import { LogBranch } from "./log_branch.ts";
import { type Manifest, manifest as manifestCodec } from "./manifest.ts";
import { EMPTY_TREE, TreeBatch, truncateTree } from "./merkle_tree.ts";
import { type Proof, proofOf, type ProofRequest, type ProofWithoutValue, type SignedTree } from "./proof.ts";
import { NO_HINTS } from "./stored_bits.ts";
import { isDamaged, rolledBack } from "./refusals.ts";
import { readOrReport } from "./stored_branch.ts";
import { Verifier } from "./verifier.ts";
import { checkKnown, type VerifiedProof, verifyAgainst, verifyFromStart } from "./verify_proof.ts";

/** The log must not be trusted or served any more: its signers have signed two that differ. */
const FROZEN = 1;

/** What is known of a log when it is opened; what is stored already goes first. */
export interface LogStateOptions {
  /** The key of the log, 32 bytes. */
  readonly key: Uint8Array;
  /** What it is, if that is known. */
  readonly manifest?: Manifest | undefined;
  /** Who signs what is appended here. */
  readonly keyPair?: KeyPair | undefined;
  /** User data that is written along with the first thing that is stored of it. */
  readonly userData?: Readonly<Record<string, Uint8Array>> | undefined;
  /** Whether signatures were made before there were namespaces. */
  readonly isLegacy?: boolean | undefined;
}

/** What came of a proof. */
export interface Applied {
  /** Whether the log has grown by it. */
  readonly isUpgrade: boolean;
  /** The block in it, as it came: a view of what was received. */
  readonly block: { readonly index: number; readonly value: Uint8Array } | undefined;
  /** Whether that block was not at hand before. */
  readonly isNew: boolean;
}

/** One log in a store. */
export class LogState extends LogBranch {
  /** Its key. */
  readonly key: Uint8Array;
  /** Under which peers look for it. */
  readonly discoveryKey: Uint8Array;
  readonly #options: LogStateOptions;
  #auth: LogAuth;
  #verifier: Verifier | undefined;
  /** Whether the store has all that {@linkcode prepare} would write, and whether it has anything. */
  #isStored = false;
  #isNew = true;
  /** The latest log that was shown here with a signature, whether it could be stored or not. Shared with drafts of this log. */
  #shown = { fork: 0, length: 0 };
  #damage: StorageError | undefined;

  private constructor(parts: BranchParts, options: LogStateOptions) {
    super(parts);
    this.key = options.key;
    this.discoveryKey = discoveryKey(parts.runtime.crypto, options.key);
    this.#options = options;
    this.#auth = { key: options.key, flags: 0 };
  }

  /**
   * Opens a log. Writes nothing.
   *
   * @throws {ProtocolError} `INVALID_SIGNATURE` if the manifest is another log's; {StorageError} `STORE_CORRUPT` if what is
   * stored does not fit together.
   */
  static async open(parts: BranchParts, options: LogStateOptions): Promise<LogState> {
    const log = new LogState(parts, options);
    await log.load();
    return log;
  }

  /** What the log is; undefined until a peer tells. */
  get manifest(): Manifest | undefined {
    return this.#verifier?.manifest;
  }

  /** Who checks its signatures; undefined until it is known what the log is. */
  get verifier(): Verifier | undefined {
    return this.#verifier;
  }

  /** Whether nobody but one signer can make it longer. */
  get hasOneSigner(): boolean {
    return this.#verifier?.manifest.signers.length === 1;
  }

  /** Who signs what is appended here, if anybody. */
  get keyPair(): KeyPair | undefined {
    return this.#auth.keyPair;
  }

  /** What its blocks are encrypted with, if that was stored. */
  get encryptionKey(): Uint8Array | undefined {
    return this.#auth.encryptionKey;
  }

  /** Whether two logs that differ were signed: it is neither changed nor served any more. */
  get isFrozen(): boolean {
    return (this.#auth.flags & FROZEN) !== 0;
  }

  /** What is wrong with its head or roots: until peers have brought them back it is neither changed nor served. */
  get damage(): StorageError | undefined {
    return this.#damage;
  }

  /** Reads what is stored. */
  override async load(): Promise<void> {
    this.#damage = undefined;
    const { key, manifest, keyPair } = this.#options;
    const auth = await this.storage.auth();
    this.#isNew = auth === undefined;
    if (auth !== undefined && !equals(auth.key, key)) throw damaged("it has another key");
    const stored = auth?.manifest && decodeExact(manifestCodec, auth.manifest);
    this.#auth = { ...auth, key, flags: auth?.flags ?? 0, keyPair: auth?.keyPair ?? keyPair };
    const known = stored ?? this.#verifier?.manifest ?? manifest;
    if (known !== undefined) this.#setVerifier(this.#verifierOf(known));
    this.#isStored = auth !== undefined && stored === known;
    await super.load();
    // The head goes with the first block: who has blocks and no head has lost it.
    if (auth !== undefined && this.length === 0 && this.tree.fork === 0 && await this.#hasBlocks()) {
      this.#damage ??= damaged("its head is lost");
    }
  }

  /** The same log over another store. */
  override async reopen(parts: BranchParts): Promise<LogState> {
    const { keyPair, manifest } = this;
    const log = await LogState.open(parts, { ...this.#options, keyPair, manifest });
    log.#shown = this.#shown;
    return log;
  }

  /** Stores its keys even if there is nothing else to be stored yet. */
  async store(): Promise<void> {
    if (!this.#isStored) await this.exclusive(() => this.write(() => {}));
  }

  /**
   * Learns what the log is.
   *
   * @throws {ProtocolError} `INVALID_SIGNATURE` if it is another log's manifest.
   */
  adoptManifest(manifest: Manifest): MaybePromise<void> {
    if (this.#verifier !== undefined) return;
    this.#setVerifier(this.#verifierOf(ownManifest(manifest)));
    this.tell((observer) => observer.onManifest?.());
    if (!this.#isStored) return; // then it is written with the first batch
    this.#isStored = false;
    return this.store();
  }

  /** Makes it a log that is not trusted any more. */
  async freeze(): Promise<void> {
    await this.#change({ flags: this.#auth.flags | FROZEN });
    await this.sync();
  }

  /** Stores what its blocks are encrypted with. */
  async setEncryptionKey(encryptionKey: Uint8Array | undefined): Promise<void> {
    await this.#change({ encryptionKey });
    await this.sync();
  }

  /**
   * What the signer at place `signer` signs for the first `length` blocks as fork `fork`.
   *
   * @throws {HyphaError} `BLOCK_NOT_AVAILABLE` if a node is not at hand, or what the log is.
   */
  async signable(length: number, fork: number, signer: number): Promise<Uint8Array> {
    const tree = await truncateTree(this.runtime.crypto, this.nodes, this.tree, length, fork);
    if (tree !== undefined && this.#verifier !== undefined) return this.#verifier.signable(tree, signer);
    throw new HyphaError(
      "BLOCK_NOT_AVAILABLE",
      "It is not known yet what there is to sign: fetch the log first",
    );
  }

  /** Answers a request; undefined if not all of the answer is at hand. @throws {ProtocolError} as `makeProof`. */
  prove(request: ProofRequest): MaybePromise<Proof | undefined> {
    const { block } = request;
    if (this.isFrozen || this.#damage !== undefined || (block !== undefined && !this.held.get(block.index))) {
      return undefined;
    }
    const proof = proofOf(this.nodes, this.#signedTree(), request);
    if (block === undefined) return proof as MaybePromise<Proof | undefined>;
    const value = this.readBlock(block.index);
    if (!(proof instanceof Promise) && !(value instanceof Promise)) return join(proof, value);
    return Promise.all([proof, value]).then(([found, bytes]) => join(found, bytes));
  }

  /**
   * Checks a proof, which is given away, and takes what it proves, which is written at the end of the turn: observers are told
   * then. Answers, or throws, at once if the store does and nothing else is changing the log.
   *
   * @throws {ProtocolError} as `verifyProof`, or if the log is frozen.
   */
  apply(proof: Proof): MaybePromise<Applied> {
    if (this.isLocked) return this.unlocked().then(() => this.apply(proof));
    if (this.isFrozen || this.#damage !== undefined) {
      const why = this.isFrozen ? "was signed twice and is not trusted" : "is damaged";
      throw new ProtocolError("INVALID_OPERATION", `the log ${why}`);
    }
    const verifier = this.#verifier ?? this.#verifierOf(proof.manifest);
    const known = this.tree;
    const { proven, loose } = verifyAgainst({ crypto: this.runtime.crypto, tree: known, verifier }, proof);
    const checked = loose && checkKnown(this.nodes, known, loose);
    if (!(checked instanceof Promise)) return this.#accept(verifier, proven);
    return checked.then(() =>
      this.isLocked || this.tree !== known ? this.apply(proof) : this.#accept(verifier, proven)
    );
  }

  /** Checks a proof from the start of the log by itself, and takes nothing. @throws {ProtocolError} as `verifyFromStart`. */
  verifyFromStart(proof: Proof): VerifiedProof {
    const verifier = this.#verifier ?? this.#verifierOf(proof.manifest);
    const proven = verifyFromStart(this.runtime.crypto, verifier, proof);
    this.#noteShown(proven);
    return proven;
  }

  /**
   * Takes what the log has lost, its roots or even its head, from a proof of it from its start.
   *
   * @returns whether it is whole now; if not, it is not this peer that can help, as a log of another length cannot.
   * @throws {ProtocolError} if the proof is none; {StorageError} if it could not be written.
   */
  restore(proof: Proof): Promise<boolean> {
    return this.exclusive(async () => {
      const damage = this.#damage;
      if (damage === undefined) return true;
      this.tell((observer) => observer.onRepairing?.(damage));
      const isWhole = await this.#restoreFrom(proof).catch((error) => {
        this.tell((observer) => observer.onRepairFailed?.(toError(error)));
        throw error;
      });
      if (!isWhole) {
        const error = new ProtocolError("INVALID_PROOF", "the peer has another log, or a part of it");
        this.tell((observer) => observer.onRepairFailed?.(error));
        return false;
      }
      this.#tellWhole();
      return true;
    });
  }

  /** Reads what was mended while it was held, without the blocks that are `lost`. */
  async reload(lost: readonly { readonly start: number; readonly end: number }[]): Promise<void> {
    const before = this.#damage;
    await this.load();
    for (const { start, end } of lost) this.tell((observer) => observer.onBlocks?.(start, end, false));
    if (before !== undefined && this.#damage === undefined) this.#tellWhole();
  }

  /** Begins to find out how much stays of this log if it becomes what `proof` proved from its start. */
  beginReorg(proof: VerifiedProof): Promise<ForkSearch> {
    return ForkSearch.begin(this.runtime.crypto, this.nodes, this.tree, proof);
  }

  /**
   * Makes the log what a search that is over has found.
   *
   * @throws {ProtocolError} `INVALID_OPERATION` if the log has changed meanwhile.
   */
  commitReorg(search: ForkSearch): Promise<void> {
    return this.exclusive(async () => {
      const tree = await search.finish();
      const { base } = tree;
      if (
        this.isFrozen || base.fork !== this.tree.fork || base.length !== this.length || tree.fork <= base.fork
      ) {
        throw new ProtocolError("INVALID_OPERATION", "the log has changed while its forks were compared");
      }
      await this.replace(tree, search.signature, false);
    });
  }

  /**
   * Signs `tree`.
   *
   * @throws {HyphaError} `SESSION_NOT_WRITABLE`; `ROLLED_BACK` if it would contradict what was signed before; {RangeError} if
   * the signature is none.
   */
  protected override sign(tree: TreeBatch, options: AppendOptions): Uint8Array | undefined {
    this.#checkShown(tree);
    const verifier = this.#verifier;
    const { signature, keyPair = this.keyPair } = options;
    if (this.#damage !== undefined || this.isRecovering) throw isDamaged(this.#damage);
    if (this.isFrozen || verifier === undefined) throw this.#notWritable();
    const { prologue, manifest } = verifier;
    if (prologue !== undefined && tree.length <= prologue.length && manifest.version >= 1) {
      if (verifier.verify(tree, undefined)) return undefined;
      throw new RangeError(
        `the log begins with a prologue of ${prologue.length} blocks, which these are not`,
      );
    }
    if (signature === undefined && keyPair === undefined) throw this.#notWritable();
    const signed = signature ?? verifier.sign(tree, keyPair!);
    const isOwn = signature === undefined && manifest.signers.length === 1;
    if (isOwn || verifier.verify(tree, signed)) return signed;
    throw new RangeError(
      `${tree.length} blocks of fork ${tree.fork} need the signatures of ${manifest.quorum} signers`,
    );
  }

  /** A writer has nobody to ask. */
  protected override get mayForgetNodes(): boolean {
    return this.keyPair === undefined;
  }

  /** Adds the keys to the first batch. */
  protected override prepare(writer: LogWriter): void {
    if (this.#isStored) return;
    this.#isStored = true;
    writer.setAuth(this.#auth);
    if (!this.#isNew) return;
    this.#isNew = false;
    for (const [key, value] of Object.entries(this.#options.userData ?? {})) writer.setUserData(key, value);
  }

  /** The damage is known; what becomes of it is up to peers. */
  protected override admit(damage: StorageError): void {
    this.#damage = damage;
  }

  /** It can be proven again. */
  #tellWhole(): void {
    const { length, tree: { fork } } = this;
    this.tell((observer) => observer.onUpgrade?.({ ancestors: length, oldLength: length, oldFork: fork }));
    if (!this.isRecovering) this.tell((observer) => observer.onRepaired?.());
  }

  async #hasBlocks(): Promise<boolean> {
    const blocks = await readOrReport(() => this.storage.blocks(0, Infinity, 1), () => {});
    return blocks === undefined || blocks.length > 0;
  }

  async #restoreFrom(proof: Proof): Promise<boolean> {
    const { crypto } = this.runtime;
    const verifier = this.#verifier ?? this.#verifierOf(proof.manifest);
    const { tree, signature } = verifyFromStart(crypto, verifier, proof);
    const head = await readOrReport(() => this.storage.head(), () => {});
    if (head === undefined) {
      await this.#restoreHead(tree, signature);
    } else {
      const roots = new TreeBatch(crypto, EMPTY_TREE);
      for (const node of proof.upgrade?.nodes ?? []) roots.appendNode(node);
      const isSame = proof.fork === head.fork && roots.length === head.length;
      if (!isSame || !equals(roots.hash(), head.rootHash)) return false;
      await this.write((writer) => void roots.nodes.forEach((node) => writer.putNode(node)));
    }
    await this.target.sync();
    await this.load();
    return this.#damage === undefined;
  }

  /** Nothing tells which of the blocks that are stored belong to what a peer has: they are to be looked at, or fetched again. */
  async #restoreHead(tree: TreeBatch, signature: Uint8Array | undefined): Promise<void> {
    const pages = await readOrReport(() => this.storage.bitfieldPages(0, Infinity), () => {}) ?? [];
    await this.write((writer) => {
      for (const node of tree.nodes) writer.putNode(node);
      for (const { page } of pages) writer.putBitfieldPage(page, new Uint8Array(0));
      writer.setHead(headOf(this.runtime, tree, signature));
      writer.setHints({ ...NO_HINTS, recovering: this.keyPair !== undefined });
    });
  }

  async #change(change: Partial<LogAuth>): Promise<void> {
    await this.exclusive(() => {
      this.#auth = { ...this.#auth, ...change };
      this.#isStored = false;
      return this.write(() => {});
    });
  }

  #accept(verifier: Verifier, proven: VerifiedProof): Applied {
    if (this.#verifier === undefined && proven.tree.isUpgrade) {
      this.#setVerifier(this.#verifierOf(ownManifest(verifier.manifest)));
      this.#isStored = false;
      this.tell((observer) => observer.onManifest?.());
    }
    this.#noteShown(proven);
    const { block } = proven;
    return { isUpgrade: proven.tree.isUpgrade, block, isNew: this.accept(proven) };
  }

  #noteShown({ tree: { isUpgrade, fork, length } }: VerifiedProof): void {
    const shown = this.#shown;
    if (!isUpgrade || fork < shown.fork || (fork === shown.fork && length <= shown.length)) return;
    shown.fork = fork;
    shown.length = length;
  }

  /** A log that was signed goes on behind its end, or with a fork of which nothing was signed. */
  #checkShown({ fork, ancestors, base }: TreeBatch): void {
    const shown = this.#shown;
    const isNext = fork === base.fork && ancestors === base.length;
    const isBehind = fork === shown.fork && (!isNext || base.length < shown.length);
    if (fork < shown.fork || (isBehind && shown.length > 0)) throw rolledBack(shown, base);
  }

  #verifierOf(manifest: Manifest | undefined): Verifier {
    const { isLegacy = false } = this.#options;
    return new Verifier(this.runtime.crypto, this.key, manifest, { isLegacy });
  }

  #setVerifier(verifier: Verifier): void {
    this.#verifier = verifier;
    this.#auth = { ...this.#auth, manifest: encode(manifestCodec, verifier.manifest) };
  }

  #signedTree(): SignedTree {
    return { ...this.tree, signature: this.signature, prologue: this.#verifier?.prologue };
  }

  #notWritable(): HyphaError {
    const why = this.isFrozen ? "two logs that differ were signed with its keys" : "its key pair is not here";
    return new HyphaError("SESSION_NOT_WRITABLE", `The log cannot be written: ${why}`);
  }
}

/** A copy that outlives the message it came in. */
function ownManifest(manifest: Manifest): Manifest {
  return decodeExact(manifestCodec, encode(manifestCodec, manifest));
}

function join(proof: ProofWithoutValue | undefined, value: Uint8Array | undefined): Proof | undefined {
  if (proof?.block === undefined || value === undefined) return undefined;
  return { ...proof, block: { ...proof.block, value } };
}
