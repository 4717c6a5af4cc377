/** Takes in what peers answer: verifies and stores it, gives it to those who wait, and deals with answers that are wrong. */
import type { Applied } from "../log/log_state.ts";
import type { LogData } from "../log/proof_messages.ts";
import type { Proof, UpgradeProof } from "../log/proof.ts";
import { HyphaError, ProtocolError, StorageError } from "../runtime/errors.ts";
import type { BlockJob, BlockJobs } from "./block_jobs.ts";
import { compareLogs, type ConflictProof } from "./conflict.ts";
import { INVALID_REQUEST, MAX_PUSHES, NOT_AVAILABLE } from "./constants.ts";
import type { ForkJob, ForkJobs } from "./fork_jobs.ts";
import type { Inquiry } from "./in_flight.ts";
import type { NoData } from "./messages.ts";
import type { PeerMachine } from "./peer_machine.ts";
import type { ReplicatedLog } from "./replicated_log.ts";
import type { Scheduler } from "./scheduler.ts";
import type { SeekJobs } from "./seek_jobs.ts";

/** What a {@linkcode Receiver} works with. */
export interface ReceiverHost {
  /** The log. */
  readonly log: ReplicatedLog;
  /** Whether blocks are welcome that were not asked for. */
  readonly allowPush: boolean;
  /** Blocks that are wanted or on their way. */
  readonly blocks: BlockJobs;
  /** Searches for bytes. */
  readonly seeks: SeekJobs;
  /** Ways to larger forks. */
  readonly forks: ForkJobs;
  /** Makes requests. */
  readonly scheduler: Scheduler;
  /** A request is over without its answer: what it was for is wanted again. */
  giveBack(inquiry: Inquiry): void;
  /** A block that nobody was asked for, or that was asked for by nobody who is known, is not wanted any more. */
  settle(job: BlockJob): void;
  /** Asks `peer` for more, at once. */
  askMore(peer: PeerMachine): void;
  /** Asks all peers for more, at the end of the turn. */
  schedule(): void;
  /** A block has come. */
  onDownload(peer: PeerMachine, index: number, bytes: number): void;
  /** A peer has sent what proves nothing. */
  onVerificationError(peer: PeerMachine, error: ProtocolError): void;
  /** The log has two contents. */
  onConflict(proof: ConflictProof, peer: PeerMachine): void;
  /** Something could not be stored. */
  onStorageError(error: unknown): void;
}

/** The receiving side for all peers. */
export class Receiver {
  readonly #host: ReceiverHost;
  readonly #log: ReplicatedLog;

  constructor(host: ReceiverHost) {
    this.#host = host;
    this.#log = host.log;
  }

  /** An answer has come. */
  receive(peer: PeerMachine, data: LogData): void {
    const { upgrade } = data;
    if (data.request === 0 && upgrade?.start === 0 && !this.#isPush(peer, data)) {
      void this.#compare(peer, { ...data, upgrade });
      return;
    }
    const inquiry = peer.inFlight.get(data.request);
    if (inquiry === undefined) {
      if (this.#isPush(peer, data)) this.#take(peer, undefined, data);
      return;
    }
    this.#host.scheduler.release(inquiry);
    peer.spend(data.block?.value.length ?? 0);
    if (inquiry.fork !== undefined) void this.#takeFork(peer, inquiry, inquiry.fork, data);
    else if (!isAnswer(inquiry, data)) this.#refuse(peer, inquiry, 0);
    else this.#take(peer, inquiry, data);
  }

  /** A refusal has come. */
  refuse(peer: PeerMachine, { request, reason }: NoData): void {
    const inquiry = peer.inFlight.get(request);
    if (inquiry === undefined) return;
    this.#host.scheduler.release(inquiry);
    this.#refuse(peer, inquiry, reason);
  }

  /** Asks `peer` to show the log that it has, to compare it. */
  requestProof(peer: PeerMachine): void {
    const { damage, tree } = this.#log;
    // Of a log that has lost its head nobody knows how long it is.
    const { length, fork } = damage !== undefined && tree.length === 0
      ? { length: peer.remoteLength, fork: peer.remoteFork }
      : tree;
    const shorter = Math.min(length, peer.remoteLength);
    if (shorter === 0 || peer.remoteFork !== fork || (damage !== undefined && shorter < length)) return;
    peer.isCompared = true;
    peer.comparisons++;
    peer.send("request", {
      ...{ id: 0, fork, manifest: false, priority: 0 },
      upgrade: { start: 0, length: shorter },
    });
  }

  /** Whether this came unasked and is welcome. An upgrade from 0 of what is known is not: it is there to be compared. */
  #isPush(peer: PeerMachine, { request, fork, upgrade, block }: LogData): boolean {
    const { tree } = this.#log;
    if (request !== 0 || !this.#host.allowPush || fork !== tree.fork || peer.isPaused) return false;
    if (this.#log.damage !== undefined) return false;
    if (peer.arriving >= MAX_PUSHES) return false;
    const isNews = upgrade !== undefined && upgrade.start + upgrade.length > tree.length;
    return isNews || (block !== undefined && upgrade?.start !== 0);
  }

  #take(peer: PeerMachine, inquiry: Inquiry | undefined, data: LogData): void {
    const job = this.#jobOf(inquiry, data);
    peer.arriving++;
    if (job !== undefined) job.isArriving = true;
    // If its log is another one, this fails.
    if (data.upgrade !== undefined) peer.isCompared = true;
    let applied;
    try {
      applied = this.#apply(data);
    } catch (error) {
      this.#fail(peer, inquiry, job, error);
      return;
    }
    if (!(applied instanceof Promise)) {
      this.#finish(peer, inquiry, job, data, applied);
      this.#host.askMore(peer);
      return;
    }
    void applied.then((value) => {
      this.#finish(peer, inquiry, job, data, value);
      this.#host.schedule();
    }, (error) => this.#fail(peer, inquiry, job, error));
  }

  /** The job of a block that has come; one that was pushed is not to be asked for meanwhile. */
  #jobOf(inquiry: Inquiry | undefined, { block }: LogData): BlockJob | undefined {
    return inquiry === undefined ? block && this.#host.blocks.obtain(block.index) : inquiry.job;
  }

  #apply(data: LogData): Applied | Promise<Applied> {
    const { manifest } = data;
    if (manifest === undefined || this.#log.verifier !== undefined) return this.#applyProof(data);
    const adopted = this.#log.adoptManifest(manifest);
    return adopted instanceof Promise ? adopted.then(() => this.#applyProof(data)) : this.#applyProof(data);
  }

  #applyProof(data: LogData): Applied | Promise<Applied> {
    const { fork, block, hash, seek, upgrade } = data;
    if (!block && !hash && !seek && !upgrade) return { isUpgrade: false, block: undefined, isNew: false };
    return this.#log.apply({ fork, block, hash, seek, upgrade });
  }

  /** It is verified and stored. */
  #finish(
    peer: PeerMachine,
    inquiry: Inquiry | undefined,
    job: BlockJob | undefined,
    data: LogData,
    applied: Applied,
  ): void {
    peer.arriving--;
    if (job !== undefined) {
      job.isArriving = false;
      const { block } = applied;
      if (block !== undefined) job.resolve(block.value);
      this.#host.settle(job);
    }
    if (data.block !== undefined) {
      const bytes = data.block.value.length;
      peer.countDownload(bytes);
      this.#host.onDownload(peer, data.block.index, bytes);
    } else if (inquiry !== undefined && !applied.isUpgrade && this.#isWanting(inquiry)) {
      peer.countRefusal();
      this.#noteRefusal(peer, inquiry);
    }
    this.#host.seeks.refresh();
  }

  /** Whether the log is still not as long as a request would have made it: an answer that is right and proves less is a refusal. */
  #isWanting({ request: { fork, upgrade } }: Inquiry): boolean {
    const { tree } = this.#log;
    return upgrade !== undefined && fork === tree.fork && upgrade.start + upgrade.length > tree.length;
  }

  /** It is wrong, or cannot be stored. */
  #fail(
    peer: PeerMachine,
    inquiry: Inquiry | undefined,
    job: BlockJob | undefined,
    error: unknown,
  ): void {
    peer.arriving--;
    if (job !== undefined) job.isArriving = false;
    if (!(error instanceof HyphaError)) throw error;
    if (error instanceof StorageError) this.#host.onStorageError(error);
    else if (error instanceof ProtocolError) this.#onInvalid(peer, inquiry, error);
    if (inquiry !== undefined) this.#host.giveBack(inquiry);
    else if (job !== undefined) this.#host.settle(job);
    this.#host.schedule();
  }

  #onInvalid(peer: PeerMachine, inquiry: Inquiry | undefined, error: ProtocolError): void {
    const { scheduler } = this.#host;
    const isUnfit = error.code === "INVALID_OPERATION";
    // The log may have become another one since the request, or longer, or an answer that this one counted on has not come.
    const isStale = inquiry !== undefined && this.#isStale(inquiry, isUnfit);
    const isUnlucky = inquiry?.isTrusting === true && isUnfit;
    if (isUnlucky) scheduler.distrust(peer);
    if (isStale || isUnlucky) return;
    // Those who push may be mistaken about what is known here, and what was known may be cleared.
    if (isUnfit && (inquiry === undefined || scheduler.isOutrun(inquiry))) return;
    // Of hypercore 11 so are answers: it begins where its pushes ended.
    if (isUnfit && this.#host.allowPush) {
      peer.countRefusal();
      return;
    }
    peer.pause();
    this.#host.onVerificationError(peer, error);
    if (error.code !== "INVALID_OPERATION") this.requestProof(peer);
  }

  #isStale({ request: { fork, upgrade } }: Inquiry, isUnfit: boolean): boolean {
    const { tree } = this.#log;
    return fork !== tree.fork || (isUnfit && upgrade !== undefined && upgrade.start < tree.length);
  }

  #refuse(peer: PeerMachine, inquiry: Inquiry, reason: number): void {
    // One that answers nobody, or has become another log since, does not say what it has.
    const isTold = peer.isRemoteUploading && peer.remoteFork === inquiry.request.fork;
    if (reason === NOT_AVAILABLE || reason === INVALID_REQUEST) peer.countRefusal();
    if (isTold) this.#noteRefusal(peer, inquiry);
    this.#host.giveBack(inquiry);
    this.#host.schedule();
  }

  /** The same is not asked of the same peer again; where it was several things, the most particular one is to blame. */
  #noteRefusal(peer: PeerMachine, { job, seek, fork, request }: Inquiry): void {
    if (job !== undefined) peer.onMissing(job.index);
    else if (seek !== undefined) seek.refusals.set(peer, peer.version);
    else if (fork !== undefined) fork.refusals.set(peer, peer.version);
    else if (request.upgrade !== undefined) peer.sync.refuseUpgrade();
  }

  async #takeFork(peer: PeerMachine, inquiry: Inquiry, job: ForkJob, data: LogData): Promise<void> {
    // Sizes are proven by what is below them: nothing else than the hash of a block will do.
    if (data.fork !== job.fork || job.isBusy || data.hash?.index !== inquiry.request.hash?.index) {
      this.#refuse(peer, inquiry, 0);
      return;
    }
    peer.arriving++;
    try {
      if (!await this.#host.forks.receive(job, data)) this.#refuse(peer, inquiry, 0);
    } catch (error) {
      if (error instanceof StorageError) this.#host.onStorageError(error);
      else if (error instanceof ProtocolError) this.#onInvalidFork(peer, inquiry, error);
      else throw error;
    } finally {
      peer.arriving--;
    }
    this.#host.schedule();
  }

  #onInvalidFork(peer: PeerMachine, { fork }: Inquiry, error: ProtocolError): void {
    fork?.refusals.set(peer, peer.version);
    // The log may have grown while it was compared: then it is compared anew.
    if (fork?.search !== undefined && fork.search.question === undefined) {
      this.#host.forks.reset();
      return;
    }
    peer.pause();
    this.#host.onVerificationError(peer, error);
  }

  /** A peer shows the log that it has. */
  async #compare(peer: PeerMachine, data: Proof & { readonly upgrade: UpgradeProof }): Promise<void> {
    if (this.#log.isFrozen || peer.comparisons === 0) return;
    peer.comparisons--;
    try {
      if (this.#log.damage !== undefined) {
        const { block: _, hash: __, seek: ___, ...proof } = data;
        await this.#log.restore(proof);
        peer.touch();
        this.#host.schedule();
        return;
      }
      const compared = await compareLogs(this.#log, data);
      if (this.#log.isFrozen) return;
      if (compared.outcome === "conflict") this.#host.onConflict(compared.proof, peer);
      else if (compared.outcome === "same") peer.forgive();
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      peer.pause();
      this.#host.onVerificationError(peer, error);
    }
    this.#host.schedule();
  }
}

/** Whether `data` is what was asked for, all of it. */
function isAnswer({ request }: Inquiry, { fork, block, hash, seek, upgrade, manifest }: LogData): boolean {
  if (fork !== request.fork) return false;
  if (block?.index !== request.block?.index || hash?.index !== request.hash?.index) return false;
  if (seek !== undefined && seek.bytes !== request.seek?.bytes) return false;
  if (upgrade !== undefined && request.upgrade === undefined) return false;
  const isNothing = !block && !hash && !seek && !upgrade;
  return !isNothing || (manifest !== undefined && request.manifest && isManifestOnly(request));
}

function isManifestOnly({ block, hash, seek, upgrade }: Inquiry["request"]): boolean {
  return !block && !hash && !seek && !upgrade;
}
