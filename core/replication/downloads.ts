/** Everything that is to be fetched of a log, and from whom. */
import { isLogLength } from "../log/flat_tree.ts";
import type { LogData } from "../log/proof_messages.ts";
import type { ProtocolError } from "../runtime/errors.ts";
import type { Timer } from "../runtime/runtime.ts";
import { type BlockJob, BlockJobs } from "./block_jobs.ts";
import type { ConflictProof } from "./conflict.ts";
import { HOTSWAP_MS } from "./constants.ts";
import { ForkJobs } from "./fork_jobs.ts";
import type { Inquiry } from "./in_flight.ts";
import type { NoData } from "./messages.ts";
import type { PeerMachine } from "./peer_machine.ts";
import { type Range, RangeJobs, type RangeRequest } from "./range_jobs.ts";
import { Receiver } from "./receiver.ts";
import type { ReplicatedLog } from "./replicated_log.ts";
import { Scheduler } from "./scheduler.ts";
import { type FoundByte, SeekJob, SeekJobs } from "./seek_jobs.ts";
import { Waiters } from "./waiters.ts";

/** What {@linkcode Downloads} work with. */
export interface DownloadsHost {
  /** The log. */
  readonly log: ReplicatedLog;
  /** All peers. */
  readonly peers: readonly PeerMachine[];
  /** Whether the log is in use. */
  readonly isDownloading: boolean;
  /** Whether logs that were rewritten are followed. */
  readonly allowFork: boolean;
  /** Whether the log is brought up to date without anybody asking for it. */
  readonly eagerUpgrade: boolean;
  /** Whether blocks are welcome that were not asked for. */
  readonly allowPush: boolean;
  /** Those whose channels are opening. */
  readonly opening: ReadonlySet<PeerMachine>;
  /** Whether nothing is asked but what is forced. */
  readonly pushOnly: boolean;
  /** Whether the latest block comes along with news. */
  readonly wantsLatestBlock: boolean;
  /** Whether more peers may turn up. */
  readonly mayFindPeers: boolean;
  /** Something is to be done at the end of the turn. */
  schedule(): void;
  /** A block has come. */
  onDownload(peer: PeerMachine, index: number, bytes: number): void;
  /** A peer has sent what proves nothing. */
  onVerificationError(peer: PeerMachine, error: ProtocolError): void;
  /** The log has two contents. */
  onConflict(proof: ConflictProof, peer: PeerMachine): void;
}

/** How a block is asked for. */
export interface BlockRequestOptions {
  /** More than 0, 1 by default, is answered by peers before all that is 0. */
  readonly priority?: number | undefined;
  /** Whether it is asked for even if nothing else is. */
  readonly isForced?: boolean | undefined;
  /** Gives up. */
  readonly signal?: AbortSignal | undefined;
}

/** The fetching side. */
export class Downloads {
  readonly #host: DownloadsHost;
  readonly #log: ReplicatedLog;
  readonly #blocks = new BlockJobs();
  readonly #ranges: RangeJobs;
  readonly #seeks: SeekJobs;
  readonly #forks: ForkJobs;
  readonly #scheduler: Scheduler;
  readonly #receiver: Receiver;
  readonly #upgrades = new Waiters<boolean>(() => this.#newsTimer.cancel());
  readonly #slowTimer: Timer;
  readonly #newsTimer: Timer;
  #askedInsteadAt = -Infinity;
  #storageError: unknown;
  #isStopped = false;

  constructor(host: DownloadsHost) {
    const { log } = host;
    this.#host = host;
    this.#log = log;
    this.#ranges = new RangeJobs(log);
    this.#seeks = new SeekJobs(log, () => host.schedule());
    this.#forks = new ForkJobs(log);
    this.#scheduler = this.#makeScheduler();
    this.#receiver = this.#makeReceiver();
    this.#slowTimer = log.runtime.clock.schedule(Infinity, () => this.#askInstead());
    this.#newsTimer = log.runtime.clock.schedule(Infinity, () => host.schedule());
  }

  /** Whether anything is on its way. */
  get isBusy(): boolean {
    return this.#host.peers.some(({ inFlight, arriving }) => inFlight.size + arriving > 0);
  }

  // What is wanted

  /** The block `index`, when it is here. Rejects with the signal's reason, a `StorageError`, or a `RangeError` if there is none. */
  async block(index: number, options: BlockRequestOptions): Promise<Uint8Array> {
    const { priority = 1, isForced = false, signal } = options;
    requireNumber("the number of a block", index);
    if (signal?.aborted === true) throw signal.reason;
    if (this.#log.held.get(index)) {
      const value = await this.#log.readBlock(index);
      if (value !== undefined) return value;
    }
    const job = this.#blocks.obtain(index);
    job.priority = Math.max(job.priority, priority);
    job.isForced ||= isForced;
    const promise = job.waiters(() => this.#onGivenUp(job)).add(signal);
    if (job.inquiries.length === 0 && !job.isArriving) this.#blocks.enqueue(job);
    this.#host.schedule();
    return await promise;
  }

  /** The block that has the byte `bytes`. */
  async seek(bytes: number, padding: number, signal: AbortSignal | undefined): Promise<FoundByte> {
    requireNumber("a byte", bytes);
    requireNumber("padding", padding);
    if (signal?.aborted === true) throw signal.reason;
    const seek: SeekJob = new SeekJob(bytes, padding, () => {
      this.#seeks.delete(seek);
      if (seek.inquiry !== undefined) this.#cancel(seek.inquiry);
    });
    const found = seek.wait(signal);
    this.#seeks.add(seek);
    return await found;
  }

  /** Whether the log became longer; false when all peers have said how theirs stand and none has more. */
  upgrade(signal: AbortSignal | undefined): Promise<boolean> {
    const promise = this.#upgrades.add(signal);
    this.#host.schedule();
    return promise;
  }

  /** A range of blocks. @throws {RangeError} if no log has such blocks. */
  range(request: RangeRequest): Range {
    const { start = 0, end = Infinity, blocks = [] } = request;
    for (const index of [start, ...blocks]) requireNumber("the number of a block", index);
    if (end !== Infinity) requireNumber("the end of a range", end);
    const range = this.#ranges.add(request);
    for (const peer of this.#host.peers) peer.touch();
    this.#host.schedule();
    return range;
  }

  // What happens

  /** The log grew, or is another one. */
  onUpgrade(isContinued: boolean): void {
    if (!isContinued) {
      for (const peer of this.#host.peers) for (const inquiry of [...peer.inFlight]) this.#cancel(inquiry);
      if (!this.#forks.isCommitting) this.#forks.reset();
      this.#ranges.reset();
    }
    for (const peer of this.#host.peers) {
      peer.touch();
      this.#compareOnce(peer);
    }
    this.#forks.prune(this.#host.peers);
    this.#seeks.refresh();
    this.#resolveUpgrades(true);
    this.#host.schedule();
  }

  /** Blocks are here, or no longer. */
  onBlocks(start: number, end: number, isHeld: boolean): void {
    if (!isHeld) { // what was fetched and cleared is not fetched again by the same range
      this.#scheduler.onCleared();
      for (const peer of this.#host.peers) peer.touch();
      this.#host.schedule();
      return;
    }
    this.#ranges.onHeld(start, end);
    if (this.#blocks.size < end - start) {
      for (const job of [...this.#blocks]) if (job.index >= start && job.index < end) this.#onHeld(job);
      return;
    }
    for (let index = start; index < end; index++) {
      const job = this.#blocks.get(index);
      if (job !== undefined) this.#onHeld(job);
    }
  }

  /** A peer has told of blocks that it has. */
  onRange(peer: PeerMachine, start: number, end: number): void {
    const isFew = end - start <= this.#blocks.queued;
    let isWanted = !isFew && this.#blocks.queued > 0;
    for (let index = start; isFew && index < end && !isWanted; index++) {
      isWanted = this.#blocks.get(index)?.isQueued === true;
    }
    if (isWanted) peer.touch();
    this.#host.schedule();
  }

  /** A peer is gone. */
  onPeerGone(peer: PeerMachine): void {
    for (const inquiry of [...peer.inFlight]) {
      this.#scheduler.release(inquiry);
      this.#giveBack(inquiry);
    }
    this.#ranges.forget(peer);
    this.#seeks.forget(peer);
    this.#forks.prune(this.#host.peers, peer);
    this.#host.schedule();
  }

  /** A peer has said how its log stands. */
  onSync(peer: PeerMachine): void {
    peer.touch();
    this.#forks.prune(this.#host.peers);
    this.#compareOnce(peer);
  }

  /** A peer has answered. */
  onData(peer: PeerMachine, data: LogData): void {
    this.#receiver.receive(peer, data);
  }

  /** A peer has refused. */
  onNoData(peer: PeerMachine, noData: NoData): void {
    this.#receiver.refuse(peer, noData);
  }

  /** Something could not be stored: what was asked is given up, and nothing more is until {@linkcode Downloads.retryStorage}. */
  onStorageError(error: unknown): void {
    this.#storageError = error;
    this.#rejectAll(error);
    this.#ranges.reset();
  }

  /** Nothing is asked any more, for good. */
  stop(): void {
    this.#isStopped = true;
  }

  /** Something could be stored again. */
  retryStorage(): void {
    this.#storageError = undefined;
  }

  // What is done

  /** Asks all peers for as much as they can help with, in turns. */
  ask(): void {
    let peers = shuffled(this.#host.peers, (bound) => this.#log.runtime.random.below(bound));
    while (peers.length > 0) peers = peers.filter((peer) => this.#scheduler.askNext(peer));
    this.#settleUpgrades();
    if (this.#host.peers.length > 1) {
      this.#slowTimer.reset(Math.max(this.#scheduler.slowAt, this.#askedInsteadAt + HOTSWAP_MS));
    }
  }

  /** Gives everything up. */
  close(error: unknown): void {
    this.#slowTimer.cancel();
    this.#newsTimer.cancel();
    this.#rejectAll(error);
    this.#ranges.close();
    this.#upgrades.reject(error);
  }

  #makeScheduler(): Scheduler {
    // deno-lint-ignore no-this-alias
    const downloads = this;
    const host = this.#host;
    return new Scheduler({
      ...{
        log: host.log,
        peers: host.peers,
        blocks: this.#blocks,
        ranges: this.#ranges,
        seeks: this.#seeks,
        forks: this.#forks,
      },
      allowFork: host.allowFork,
      get canAsk() {
        return downloads.#storageError === undefined && !downloads.#isStopped && !host.log.isFrozen &&
          host.log.damage === undefined;
      },
      get pushOnly() {
        return host.pushOnly;
      },
      get wantsUpgrade() {
        return (host.isDownloading && host.eagerUpgrade) || downloads.#upgrades.size > 0;
      },
      get wantsLatestBlock() {
        return host.wantsLatestBlock || downloads.#ranges.isLive;
      },
    });
  }

  #makeReceiver(): Receiver {
    const host = this.#host;
    return new Receiver({
      ...{ log: host.log, blocks: this.#blocks, seeks: this.#seeks, forks: this.#forks },
      scheduler: this.#scheduler,
      get allowPush() {
        return host.allowPush;
      },
      giveBack: (inquiry) => this.#giveBack(inquiry),
      settle: (job) => this.#settle(job),
      askMore: (peer) => this.#askMore(peer),
      schedule: () => host.schedule(),
      onDownload: (peer, index, bytes) => host.onDownload(peer, index, bytes),
      onVerificationError: (peer, error) => host.onVerificationError(peer, error),
      onConflict: (proof, peer) => host.onConflict(proof, peer),
      onStorageError: (error) => this.onStorageError(error),
    });
  }

  /** One peer has answered: it can do more, and nothing else has changed for the others. */
  #askMore(peer: PeerMachine): void {
    while (this.#scheduler.askNext(peer));
    if (peer.inFlight.size === 0) this.#host.schedule();
  }

  #askInstead(): void {
    this.#askedInsteadAt = this.#log.runtime.clock.now();
    for (const peer of this.#host.peers) {
      peer.cork();
      while (this.#scheduler.askInstead(peer));
      peer.uncork();
    }
    this.#host.schedule();
  }

  /** A block is here that someone may wait for. */
  #onHeld(job: BlockJob): void {
    if (job.isArriving) return;
    if (!job.isAwaited) {
      this.#settle(job);
      return;
    }
    const value = this.#log.readBlock(job.index);
    if (value instanceof Promise) {
      value.then((block) => this.#resolve(job, block), (error) => job.reject(error));
    } else {
      this.#resolve(job, value);
    }
  }

  #resolve(job: BlockJob, block: Uint8Array | undefined): void {
    if (block === undefined) return;
    job.resolve(block);
    this.#settle(job);
  }

  /** A block is here or not wanted any more: whoever is still asked for it need not answer. */
  #settle(job: BlockJob): void {
    this.#blocks.delete(job);
    for (const inquiry of [...job.inquiries]) this.#cancel(inquiry);
  }

  #onGivenUp(job: BlockJob): void {
    if (job.isArriving) return;
    this.#settle(job);
    this.#ranges.rewind();
    for (const peer of this.#host.peers) peer.touch();
    this.#host.schedule();
  }

  #cancel(inquiry: Inquiry): void {
    if (inquiry.isOver) return;
    inquiry.peer.send("cancel", inquiry.id);
    this.#scheduler.release(inquiry);
    this.#giveBack(inquiry);
  }

  /** Puts back what a request was for, if it is still wanted. */
  #giveBack({ job }: Inquiry): void {
    if (job === undefined || this.#blocks.get(job.index) !== job || job.inquiries.length > 0) return;
    if (job.isArriving) return;
    if (job.isAwaited) {
      this.#blocks.enqueue(job);
    } else {
      this.#blocks.delete(job);
      this.#ranges.rewind();
    }
    for (const peer of this.#host.peers) peer.touch();
  }

  #rejectAll(error: unknown): void {
    for (const job of [...this.#blocks]) {
      job.reject(error);
      this.#settle(job);
    }
    this.#seeks.reject(error);
  }

  /** One that is not longer is compared with once, since nothing else would ever tell that it has another log. */
  #compareOnce(peer: PeerMachine): void {
    if (this.#log.damage !== undefined) return this.#receiver.requestProof(peer);
    const { length } = this.#log.tree;
    if (peer.isCompared || !peer.isOpen || !peer.sync.isSameFork || peer.remoteLength === 0 || length === 0) {
      return;
    }
    if (peer.remoteLength > length || !peer.sync.remote.isUploading || !peer.isDownloading) return;
    if (this.#log.isFrozen || !this.#host.isDownloading || this.#host.pushOnly) return;
    // A hypercore 10 that follows a fork takes its new nodes for missing until they are written, and hangs up when it is asked.
    if (peer.sync.hasForked) return;
    this.#receiver.requestProof(peer);
  }

  #settleUpgrades(): void {
    if (this.#upgrades.size === 0 || this.#host.mayFindPeers || this.#forks.isCommitting) return;
    const now = this.#log.runtime.clock.now();
    const ends = [...this.#host.opening, ...this.#host.peers].map((peer) => this.#newsUntil(peer));
    const left = [...ends, this.#scheduler.upgradeUntil].filter((end) => end > now);
    if (left.length === 0) this.#resolveUpgrades(false);
    else this.#newsTimer.reset(Math.min(...left));
  }

  #resolveUpgrades(isLonger: boolean): void {
    this.#newsTimer.cancel();
    this.#upgrades.resolve(isLonger);
  }

  /** Until when `peer` may turn out to have news; 0 if it has none. */
  #newsUntil(peer: PeerMachine): number {
    if (peer.isPaused || !peer.isDownloading || this.#host.pushOnly) return 0;
    const { remoteFork: fork, remoteLength, sync, inFlight: { answerUntil } } = peer;
    if (!sync.isSynced || sync.isSameFork) return Math.min(sync.newsUntil, answerUntil);
    if (!this.#host.allowFork || fork <= this.#log.tree.fork || remoteLength === 0) return 0;
    const job = this.#forks.get(fork);
    const isHelping = job === undefined || job.isBusy || job.inquiry !== undefined || job.canAsk(peer);
    return isHelping ? answerUntil : 0;
  }
}

function requireNumber(what: string, value: number): void {
  if (!isLogLength(value)) throw new RangeError(`${what} is a whole number from 0 to 2^52 - 1, not ${value}`);
}

/** In a random order. */
function shuffled<T>(list: readonly T[], below: (bound: number) => number): T[] {
  const result = [...list];
  for (let i = result.length - 1; i > 0; i--) {
    const other = below(i + 1);
    [result[i], result[other]] = [result[other]!, result[i]!];
  }
  return result;
}
