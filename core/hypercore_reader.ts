/** The half of a log's session that reads: what the log is, and its blocks. */
import { type Codec, encode } from "../encoding/codec.ts";
import { formatKey } from "../encoding/keys.ts";
import { codecOf } from "./block_coding.ts";
import { treeHash } from "./crypto/hash.ts";
import type { HypercoreEvents } from "./hypercore_events.ts";
import type { GetOptions, HypercoreInfo, WaitOptions } from "./hypercore_options.ts";
import { type Manifest, manifest as manifestCodec } from "./log/manifest.ts";
import { rootsOf, seekByte } from "./log/merkle_tree.ts";
import { type ByteStreamOptions, readBlocks, readBytes, type ReadStreamOptions } from "./read_streams.ts";
import type { ReplicationPeer } from "./replication/peer.ts";
import type { Range, RangeRequest } from "./replication/range_jobs.ts";
import type { KeyPair } from "./runtime/crypto_provider.ts";
import { HyphaError } from "./runtime/errors.ts";
import { TypedEventTarget } from "./runtime/events.ts";
import type { Session } from "./session.ts";
import { checkBlockIndex, checkBlockRange } from "./session_checks.ts";

/** What a session is made of, for `Hypercore` alone. */
export let stateOf: <T>(reader: HypercoreReader<T>) => Session<T>;

/** What of a session reads. */
export abstract class HypercoreReader<T> extends TypedEventTarget<HypercoreEvents> {
  readonly #state: Session<T>;

  static {
    stateOf = (reader) => reader.#state;
  }

  /** A session is made by `Hypercore`. */
  protected constructor(session: Session<T>) {
    super();
    this.#state = session;
  }

  // What it is

  /** The key of the log. */
  get key(): Uint8Array {
    return this.#state.log.state.key;
  }

  /** The key of the log as text. */
  get id(): string {
    return formatKey(this.key);
  }

  /** Under which peers look for the log. */
  get discoveryKey(): Uint8Array {
    return this.#state.log.state.discoveryKey;
  }

  /** What the log is; undefined until a peer tells. */
  get manifest(): Manifest | undefined {
    return this.#state.log.state.manifest;
  }

  /** What the log is, also as the bytes of which the key is the hash; undefined until a peer tells. */
  getManifest(options?: { readonly raw?: false }): Manifest | undefined;
  /** As bytes. */
  getManifest(options: { readonly raw: true }): Uint8Array | undefined;
  /** As either. */
  getManifest({ raw = false }: { readonly raw?: boolean } = {}): Manifest | Uint8Array | undefined {
    const { manifest } = this;
    return manifest && raw ? encode(manifestCodec, manifest) : manifest;
  }

  /** Who signs what is appended. */
  get keyPair(): KeyPair | undefined {
    return this.#state.keyPair ?? this.#state.log.state.keyPair;
  }

  /** The name of its branch; undefined if it is of the log itself. */
  get name(): string | undefined {
    return this.#state.branch.storage.overlayName;
  }

  /** How many blocks the log has. */
  get length(): number {
    return this.#state.view.tree.length;
  }

  /** How many of them are signed: all, or those that a branch, an atom or a snapshot has in common with the log as it is now. */
  get signedLength(): number {
    const { log, branch, view } = this.#state;
    return Math.min(view.sharedLength, log.signedLength(branch));
  }

  /** How many bytes its blocks have, padding of encryption excluded. */
  get byteLength(): number {
    const { byteLength, length } = this.#state.view.tree;
    return byteLength - length * this.padding;
  }

  /** How often the log was rewritten. */
  get fork(): number {
    return this.#state.view.tree.fork;
  }

  /** All blocks before this one are at hand. */
  get contiguousLength(): number {
    return this.#state.view.contiguousLength;
  }

  /** All blocks before this one are at hand at some peer, as far as was heard. */
  get remoteContiguousLength(): number {
    return Math.min(this.length, this.#state.branch.remoteContiguousLength);
  }

  /** Bytes of padding in each block. */
  get padding(): number {
    return this.#state.encryption?.padding ?? 0;
  }

  /** Whether it can append. */
  get writable(): boolean {
    return this.#state.isWritable;
  }

  /** Whether it can be read. */
  get readable(): boolean {
    return !this.closed;
  }

  /** Whether it is open: one that a program has was opened. */
  get opened(): boolean {
    return !this.closed;
  }

  /** How often it has asked peers for a block. */
  get waits(): number {
    return this.#state.waits;
  }

  /** The topic of the group that the log is of; see `Corestore.notifyGroup`. */
  get group(): Uint8Array | undefined {
    return this.#state.log.group?.slice();
  }

  /** Whether it was closed. */
  get closed(): boolean {
    return this.#state.isClosed;
  }

  /** Whether it shows the log as it was. */
  get snapshotted(): boolean {
    return this.#state.isFixed;
  }

  /** The peers that the log is replicated with. */
  get peers(): readonly ReplicationPeer[] {
    return this.#state.log.replicator.peers;
  }

  /** Resolves at once: a session that one has is open. For programs that know hypercore. */
  async ready(): Promise<void> {}

  /** All that is known of the log at once. */
  async info(): Promise<HypercoreInfo> {
    const { key, discoveryKey, length, contiguousLength, byteLength, fork, padding } = this;
    const held = this.#state.branch.held.count(0, length);
    const { bytes: storeBytes } = await this.#state.log.store.size();
    return { key, discoveryKey, length, contiguousLength, byteLength, fork, padding, held, storeBytes };
  }

  // Reading

  /**
   * The value of a block. If it is not at hand, peers are asked until one has it. Bytes are not to be written to: a store in memory
   * hands out what it holds.
   *
   * @returns undefined if it is not at hand and is not to be waited for.
   * @throws {ConnectError} `REQUEST_TIMEOUT`; {HyphaError} `SESSION_CLOSED`, `SNAPSHOT_NOT_AVAILABLE`; {ProtocolError}
   * `DECODING_ERROR` if it is not of the encoding.
   */
  async get<V = T>(index: number, options: GetOptions<V> = {}): Promise<V | undefined> {
    const stored = await this.#state.stored(index, options);
    if (stored === undefined || options.raw === true) return stored as V | undefined;
    const { valueEncoding, decrypt = true } = options;
    const codec = valueEncoding === undefined
      ? this.#state.codec as unknown as Codec<V>
      : codecOf(valueEncoding);
    return this.#state.decode(codec, index, stored, decrypt);
  }

  /** Whether a block, or all from `start` up to but without `end`, are at hand. */
  async has(start: number, end: number = start + 1): Promise<boolean> {
    checkBlockRange(start, end);
    return await this.#state.view.has(start, end);
  }

  /**
   * Where a byte is: in which block, and at which byte of it. Asks peers if need be.
   *
   * @returns undefined if it cannot be told and is not to be waited for.
   */
  async seek(bytes: number, options: WaitOptions = {}): Promise<[block: number, offset: number] | undefined> {
    const session = this.#state;
    checkBlockIndex(bytes);
    session.checkOpen();
    const { nodes, tree } = session.view;
    const found = await seekByte(nodes, tree, bytes, this.padding);
    if (found?.isFound === true) return [found.block, found.offset];
    if (!session.mayWait(options)) return undefined;
    return await session.ask<[number, number] | undefined>(
      options,
      async ({ replicator }, signal) => {
        const { block, offset } = await replicator.requestSeek(bytes, this.padding, { signal });
        return [block, offset];
      },
      () => this.seek(bytes, options),
    );
  }

  /**
   * Asks peers whether the log has grown, and waits for the first of them if they are being looked for.
   *
   * @returns whether it has. False at once for who writes it, unless `force`, and for a snapshot.
   */
  async update(options: WaitOptions & { readonly force?: boolean | undefined } = {}): Promise<boolean> {
    return await this.#state.update(options, options.force === true);
  }

  /** Fetches blocks from peers: all, and those to come, by default. Ends with the session. */
  download(range: RangeRequest = {}): Range {
    this.#state.checkOpen();
    if (range.blocks === undefined) checkBlockRange(range.start ?? 0, range.end ?? Infinity);
    else for (const index of range.blocks) checkBlockIndex(index);
    return this.#state.download(range);
  }

  /** Reads blocks in order. */
  createReadStream(options: ReadStreamOptions = {}): AsyncIterableIterator<T> {
    this.#state.checkOpen();
    return readBlocks(this.#state.source(this.#state.codec), options);
  }

  /** Reads bytes in order, in chunks that are blocks or parts of them. */
  createByteStream(options: ByteStreamOptions = {}): AsyncIterableIterator<Uint8Array> {
    this.#state.checkOpen();
    const bytes = {
      byteLength: () => this.byteLength,
      seek: (at: number, wait: WaitOptions) => this.seek(at, wait),
    };
    return readBytes(this.#state.source<Uint8Array>(undefined), bytes, options);
  }

  /** The hash of the tree over the first `length` blocks; all by default. Peers are asked for what is not at hand. */
  async treeHash(length: number = this.length): Promise<Uint8Array> {
    const { nodes, tree } = this.#state.view;
    let roots = await rootsOf(nodes, tree, length);
    if (roots === undefined) {
      await this.get(length - 1, { raw: true });
      roots = await rootsOf(nodes, tree, length);
    }
    if (roots !== undefined) return treeHash(this.#state.log.state.runtime.crypto, roots);
    throw new HyphaError("BLOCK_NOT_AVAILABLE", `The tree of ${length} blocks is not here, nor at a peer`);
  }
}
