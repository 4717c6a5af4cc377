/** One log and many peers: fetches from them what is wanted, gives them what they want, and tells what happens. */
import { ConnectError } from "../runtime/errors.ts";
import type { Timer } from "../runtime/runtime.ts";
import type { Mux } from "../stream/mux.ts";
import { type Attachment, Attachments } from "./attachments.ts";
import { capability, guarded } from "./capability.ts";
import type { ConflictProof } from "./conflict.ts";
import { IN_FLIGHT_RANGE, LINGER_MS } from "./constants.ts";
import { type BlockRequestOptions, Downloads } from "./downloads.ts";
import { type Extension, type ExtensionOptions, Extensions } from "./extensions.ts";
import { News } from "./news.ts";
import { PeerChannel } from "./peer_channel.ts";
import type { PeerSession, ReplicationPeer } from "./peer.ts";
import type { PeerHost } from "./peer_host.ts";
import { PeerMachine } from "./peer_machine.ts";
import { pushBlock } from "./pusher.ts";
import type { Range, RangeRequest } from "./range_jobs.ts";
import type { ReplicatedLog } from "./replicated_log.ts";
import type { FoundByte } from "./seek_jobs.ts";
import type { ReplicatorObserver, ReplicatorOptions } from "./replicator_options.ts";
import { type SyncState, syncState } from "./sync_state.ts";

export type { ReplicatorObserver, ReplicatorOptions } from "./replicator_options.ts";

/** Replicates one log. */
export class Replicator {
  readonly #log: ReplicatedLog;
  readonly #observer: ReplicatorObserver;
  readonly #lingerRange: readonly [min: number, max: number];
  readonly #attachments: Attachments;
  readonly #peers: PeerMachine[] = [];
  /** Channels that the other side has not opened yet. */
  readonly #opening = new Set<PeerMachine>();
  readonly #extensions = new Extensions(this.#peers);
  readonly #news = new News();
  readonly #changed = new Set<PeerMachine>();
  readonly #peerHost: PeerHost;
  readonly #downloads: Downloads;
  readonly #lingerTimer: Timer;
  readonly #unobserve: () => void;
  #isDownloading = false;
  /** What peers are told: stays true for a while after the log is no longer in use. */
  #isActive = false;
  #allowPush: boolean;
  #pushOnly: boolean;
  /** Whether the latest block comes along when the log is brought up to date. */
  wantsLatestBlock: boolean;
  #findingPeers = 0;
  #hadPeers = false;
  #isScheduled = false;
  #isLogChanged = false;
  #isConflicting = false;
  #isClosed = false;

  /** Replicates `log` with nobody as yet. */
  constructor(log: ReplicatedLog, options: ReplicatorOptions = {}) {
    const { clock } = log.runtime;
    this.#log = log;
    this.#observer = options.observer ?? {};
    this.#lingerRange = options.lingerMs ?? LINGER_MS;
    this.#allowPush = options.allowPush ?? false;
    this.#pushOnly = options.pushOnly ?? false;
    this.wantsLatestBlock = options.allowLatestBlock ?? false;
    this.#attachments = new Attachments({
      discoveryKey: log.discoveryKey,
      clock,
      open: (attachment) => this.#open(attachment),
    });
    this.#peerHost = this.#makePeerHost(options.inflightRange ?? IN_FLIGHT_RANGE);
    this.#downloads = this.#makeDownloads(options);
    this.#lingerTimer = clock.schedule(Infinity, () => this.#setActive(false));
    this.#unobserve = log.observe({
      onUpgrade: ({ ancestors, oldLength }) => this.#onLogUpgrade(ancestors, ancestors === oldLength),
      onBlocks: (start, end, isHeld) => this.#onLogBlocks(start, end, isHeld),
      onFailure: (error) => this.#downloads.onStorageError(error),
    });
  }

  /** The peers whose channels are open. */
  get peers(): readonly ReplicationPeer[] {
    return this.#peers;
  }

  /** Whether anything is going on: peers, or channels that are opening. */
  get isIdle(): boolean {
    return this.#peers.length === 0 && this.#opening.size === 0;
  }

  /** Whether the log is in use, so that peers are asked for news. Lingers for a while when it is switched off. */
  get isDownloading(): boolean {
    return this.#isDownloading;
  }

  set isDownloading(value: boolean) {
    if (this.#isClosed || this.#isDownloading === value) return;
    this.#isDownloading = value;
    if (value) {
      this.#lingerTimer.cancel();
      this.#downloads.retryStorage();
      this.#setActive(true);
      this.#schedule();
      return;
    }
    const [min, max] = this.#lingerRange;
    const { clock, random } = this.#log.runtime;
    if (max === 0) this.#setActive(false);
    else this.#lingerTimer.reset(clock.now() + min + random.below(max - min + 1));
  }

  /** Whether blocks are welcome that were not asked for. */
  get allowPush(): boolean {
    return this.#allowPush;
  }

  set allowPush(value: boolean) {
    this.#allowPush = value;
    this.#refreshSyncs();
  }

  /** Whether nothing is asked of peers, but for what is forced. */
  get pushOnly(): boolean {
    return this.#pushOnly;
  }

  set pushOnly(value: boolean) {
    this.#pushOnly = value;
    for (const peer of this.#peers) peer.touch();
    this.#schedule();
  }

  // Connections

  /** Replicates the log on a connection, from now on and until {@linkcode Replicator.detach}. */
  attach(mux: Mux, session: PeerSession): void {
    if (!this.#isClosed) this.#attachments.add(mux, session);
  }

  /** Whether the log is replicated on a connection. */
  isAttached(mux: Mux): boolean {
    return this.#attachments.has(mux);
  }

  /** Stops replicating the log on a connection. */
  detach(mux: Mux): void {
    this.#attachments.remove(mux);
    for (const peer of [...this.#peers, ...this.#opening]) if (peer.mux === mux) peer.close();
  }

  /** Ends it all. Requests are rejected with `reason`. Resolves when all channels are closed. */
  async close(reason: unknown = new ConnectError("ABORTED", "The log was closed")): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#lingerTimer.cancel();
    this.#unobserve();
    this.#attachments.close();
    this.#downloads.close(reason);
    const peers = [...this.#peers, ...this.#opening];
    for (const peer of peers) peer.close();
    await Promise.all(peers.map((peer) => peer.closed()));
  }

  // What is wanted

  /**
   * The block `index` as it is stored, when it is here. Waits until some peer has it, or the signal aborts. Rejects with a
   * `RangeError` if no log has such a block.
   */
  requestBlock(index: number, options: BlockRequestOptions = {}): Promise<Uint8Array> {
    return this.#downloads.block(index, options);
  }

  /** Where the byte `bytes` is, of blocks of which the first `padding` bytes do not count. */
  requestSeek(
    bytes: number,
    padding: number,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<FoundByte> {
    return this.#downloads.seek(bytes, padding, options.signal);
  }

  /**
   * Resolves with true as soon as the log has changed; with false when no peer has more, as far as they have said within 5 seconds
   * how theirs stand, and proven within 30 that it is longer.
   */
  requestUpgrade(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<boolean> {
    return this.#downloads.upgrade(options.signal);
  }

  /** Fetches a range of blocks. @throws {RangeError} if no log has such blocks. */
  requestRange(request: RangeRequest): Range {
    return this.#downloads.range(request);
  }

  /** More peers may turn up: {@linkcode Replicator.requestUpgrade} waits for the first one, until what is returned is called. */
  addFindingPeers(): () => void {
    this.#findingPeers++;
    let isDone = false;
    return () => {
      if (isDone) return;
      isDone = true;
      this.#findingPeers--;
      this.#schedule();
    };
  }

  /** Sends a block to all peers that take it unasked. */
  async push(index: number): Promise<void> {
    await Promise.all(this.#peers.map((peer) => pushBlock(this.#log, peer, index)));
  }

  /** Lets applications talk to each other along with the log. */
  registerExtension<T, Input = T>(name: string, options: ExtensionOptions<T, Input>): Extension<Input> {
    return this.#extensions.register(name, options);
  }

  /** How far the log and its peers are. */
  syncState(): SyncState {
    return syncState(this.#log, this.#peers);
  }

  // Peers

  #open({ mux, session }: Attachment): void {
    if (this.#isClosed || this.#isConflicting || this.#log.isFrozen) return;
    const { crypto } = this.#log.runtime;
    const { isInitiator, handshakeHash } = session;
    const own = capability(crypto, isInitiator, this.#log.key, handshakeHash);
    const theirs = capability(crypto, !isInitiator, this.#log.key, handshakeHash);
    const handshake = { canSeek: true, capability: own };
    PeerChannel.open(mux, this.#log.discoveryKey, handshake, (channel) => {
      const fail = (error: Error) => mux.destroy(error);
      const peer = new PeerMachine(this.#peerHost, channel, mux, session, fail);
      this.#opening.add(peer);
      return guarded(peer.handlers, theirs);
    });
  }

  #makePeerHost(inflightRange: readonly [min: number, max: number]): PeerHost {
    // deno-lint-ignore no-this-alias
    const replicator = this;
    const observer = this.#observer;
    return {
      log: this.#log,
      inflightRange,
      get isDownloading() {
        return replicator.#isActive;
      },
      get allowPush() {
        return replicator.#allowPush && replicator.#isDownloading;
      },
      onOpen: (peer) => this.#onOpen(peer),
      onClose: (peer, isRemote) => this.#onClose(peer, isRemote),
      onSync: (peer) => this.#onSync(peer),
      onNews: (peer) => this.#onPeerNews(peer),
      onRange: (peer, start, end) => {
        this.#downloads.onRange(peer, start, end);
        this.#changed.add(peer);
      },
      onData: (peer, data) => this.#downloads.onData(peer, data),
      onNoData: (peer, noData) => this.#downloads.onNoData(peer, noData),
      onExtension: (peer, name, message) => this.#extensions.receive(name, message, peer),
      onUpload: (peer, index, bytes) => observer.onUpload?.(index, bytes, peer),
      onInvalidRequest: (peer, request, error) => observer.onInvalidRequest?.(error, request, peer),
    };
  }

  #makeDownloads({ allowFork = true, eagerUpgrade = true }: ReplicatorOptions): Downloads {
    // deno-lint-ignore no-this-alias
    const replicator = this;
    const observer = this.#observer;
    return new Downloads({
      ...{ log: this.#log, peers: this.#peers, opening: this.#opening, allowFork, eagerUpgrade },
      get isDownloading() {
        return replicator.#isDownloading;
      },
      get pushOnly() {
        return replicator.#pushOnly;
      },
      get wantsLatestBlock() {
        return replicator.wantsLatestBlock;
      },
      get allowPush() {
        return replicator.#allowPush;
      },
      get mayFindPeers() {
        return replicator.#findingPeers > 0 && !replicator.#hadPeers;
      },
      schedule: () => this.#schedule(),
      onDownload: (peer, index, bytes) => observer.onDownload?.(index, bytes, peer),
      onVerificationError: (peer, error) => observer.onVerificationError?.(error, peer),
      onConflict: (proof, peer) => this.#onConflict(proof, peer),
    });
  }

  #onOpen(peer: PeerMachine): void {
    this.#opening.delete(peer);
    this.#peers.push(peer);
    this.#hadPeers = true;
    peer.begin();
    this.#observer.onPeerAdd?.(peer);
    this.#schedule();
  }

  #onClose(peer: PeerMachine, isRemote: boolean): void {
    this.#schedule();
    if (peer.mux.isDestroyed) this.#attachments.remove(peer.mux);
    if (this.#opening.delete(peer)) return;
    const place = this.#peers.indexOf(peer);
    if (place === -1) return;
    this.#peers.splice(place, 1);
    this.#changed.delete(peer);
    this.#downloads.onPeerGone(peer);
    this.#observer.onPeerRemove?.(peer);
    // Both sides had nothing to do when the peer closed; if that is no longer so here, begin again.
    const { isDownloading, isUploading } = peer.sync.remote;
    if (isRemote && !isDownloading && isUploading && this.#isDownloading) this.#attachments.reopen(peer.mux);
  }

  #onSync(peer: PeerMachine): void {
    this.#closeIfIdle(peer);
    if (!peer.isOpen) return;
    this.#downloads.onSync(peer);
    this.#onPeerNews(peer);
  }

  #onPeerNews(peer: PeerMachine): void {
    this.#changed.add(peer);
    this.#schedule();
  }

  /** Two who want nothing of each other need no channel. */
  #closeIfIdle(peer: PeerMachine): void {
    const { isSynced, remote } = peer.sync;
    if (!this.#isActive && isSynced && !remote.isDownloading && !this.#downloads.isBusy) peer.close();
  }

  #setActive(value: boolean): void {
    if (this.#isActive === value) return;
    this.#isActive = value;
    this.#refreshSyncs();
    if (value) this.#attachments.reopenAll();
    else for (const peer of [...this.#peers]) this.#closeIfIdle(peer);
    this.#schedule();
  }

  #refreshSyncs(): void {
    for (const peer of this.#peers) peer.sync.refresh();
  }

  /** The log is not what its writer says any more: everyone is told why, and nothing more is done with it. */
  #onConflict(proof: ConflictProof, from: PeerMachine): void {
    if (this.#isConflicting || this.#log.isFrozen) return;
    this.#isConflicting = true;
    this.#downloads.stop();
    void this.#log.freeze().catch(() => {}); // the store tells of its failures itself
    this.#observer.onConflict?.(proof, from);
    for (const peer of [...this.#peers]) {
      peer.cork();
      if (peer.remoteLength > 0 && peer.sync.isSameFork) peer.send("data", { request: 0, ...proof.own });
      peer.close();
      peer.uncork();
    }
    for (const peer of [...this.#opening]) peer.close();
  }

  // The log

  #onLogUpgrade(ancestors: number, isContinued: boolean): void {
    if (!isContinued) {
      for (const peer of this.#peers) peer.cut(ancestors);
      this.#refreshSyncs();
    }
    this.#isLogChanged = true;
    this.#downloads.onUpgrade(isContinued);
    this.#schedule();
  }

  #onLogBlocks(start: number, end: number, isHeld: boolean): void {
    this.#news.add(start, end, isHeld);
    if (!isHeld) { for (const { sync } of this.#peers) sync.forgetRoots(); } // cleared blocks take nodes with them
    this.#downloads.onBlocks(start, end, isHeld);
    this.#schedule();
  }

  /** Does at the end of the turn what has become possible in it. */
  #schedule(): void {
    if (this.#isScheduled || this.#isClosed) return;
    this.#isScheduled = true;
    this.#log.runtime.clock.defer(() => {
      this.#isScheduled = false;
      if (!this.#isClosed) this.#pass();
    });
  }

  #pass(): void {
    for (const peer of this.#peers) peer.cork();
    const corked = [...this.#peers];
    try {
      this.#tell();
      this.#downloads.ask();
    } finally {
      for (const peer of corked) peer.uncork();
    }
    if (!this.#isActive) { for (const peer of [...this.#peers]) this.#closeIfIdle(peer); }
    this.#tellChanges();
  }

  /** Tells peers of news of the log. */
  #tell(): void {
    const news = this.#news.take();
    // Before the new length, so that a hypercore that takes the latest block along knows that it is here when it asks.
    for (const { start, end, isHeld } of news) {
      for (const peer of this.#peers) if (!this.#log.isFrozen) peer.announce(start, end, isHeld);
    }
    // Blocks bring nodes, and with them the roots of those who are behind.
    if (this.#isLogChanged || news.length > 0) this.#refreshSyncs();
    this.#isLogChanged = false;
  }

  #tellChanges(): void {
    if (this.#changed.size === 0) return;
    const changed = [...this.#changed];
    this.#changed.clear();
    for (const peer of changed) {
      if (!peer.isKnown) continue;
      this.#noteContiguous(peer);
      this.#observer.onPeerState?.(peer);
    }
  }

  /** How much of the log some peer has without a gap, as far as the log is known here. */
  #noteContiguous({ sync, remoteContiguousLength }: PeerMachine): void {
    const length = Math.min(remoteContiguousLength, this.#log.tree.length);
    if (sync.isSameFork && length > this.#log.remoteContiguousLength) {
      this.#log.remoteContiguousLength = length;
      this.#observer.onRemoteContiguousLength?.(length);
    }
  }
}
