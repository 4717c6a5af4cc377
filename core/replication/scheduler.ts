/**
 * Who is asked for what: of one peer, the next thing that it can help with. Seeks come first, then blocks that someone waits for,
 * ranges, logs that were rewritten, and news.
 */
import type { LogRequest } from "../log/proof_messages.ts";
import type { BlockJob, BlockJobs } from "./block_jobs.ts";
import { firstLacking, firstUnasked, wantAnyAround, wantMore } from "./block_search.ts";
import { ANSWER_WAIT_MS, HOTSWAP_MS, HOTSWAP_SCAN, MAX_HOTSWAPS } from "./constants.ts";
import type { ForkJob, ForkJobs } from "./fork_jobs.ts";
import type { Inquiry } from "./in_flight.ts";
import { type MissingLevels, missingLevels, nodeOf } from "./missing_levels.ts";
import type { PeerMachine } from "./peer_machine.ts";
import { randomBelow } from "./random_below.ts";
import type { RangeJob, RangeJobs } from "./range_jobs.ts";
import type { ReplicatedLog } from "./replicated_log.ts";
import type { SeekJob, SeekJobs } from "./seek_jobs.ts";
import type { Random } from "../runtime/runtime.ts";

/** What is to be fetched, and whether. */
export interface SchedulerHost {
  /** The log. */
  readonly log: ReplicatedLog;
  /** All peers. */
  readonly peers: readonly PeerMachine[];
  /** Whether anything is to be asked at all. */
  readonly canAsk: boolean;
  /** Whether only blocks that are forced are asked for. */
  readonly pushOnly: boolean;
  /** Whether it is of interest that the log became longer. */
  readonly wantsUpgrade: boolean;
  /** Whether the latest block is to come along with that. */
  readonly wantsLatestBlock: boolean;
  /** Whether logs that were rewritten are followed. */
  readonly allowFork: boolean;
  /** Blocks that are wanted or on their way. */
  readonly blocks: BlockJobs;
  /** Ranges that are wanted. */
  readonly ranges: RangeJobs;
  /** Searches for bytes. */
  readonly seeks: SeekJobs;
  /** Ways to larger forks. */
  readonly forks: ForkJobs;
}

/** What a request is for, before it has a number. */
interface Question {
  readonly fork?: number;
  readonly block?: BlockJob;
  readonly hash?: { readonly index: number; readonly nodes: number };
  readonly seek?: SeekJob;
  readonly upgrade?: { readonly start: number; readonly length: number };
  readonly forkJob?: ForkJob;
  readonly isManifestWanted?: boolean;
}

/** Requests to make before a peer is trusted again to answer in order, the first time. */
const DISTRUST = 256;

/** Makes requests, one at a time. */
export class Scheduler {
  readonly #host: SchedulerHost;
  readonly #log: ReplicatedLog;
  readonly #random: Random;
  /** The request that may make the log longer. */
  #upgrade: Inquiry | undefined;
  #nextRange = 0;
  #clears = 0;

  constructor(host: SchedulerHost) {
    this.#host = host;
    this.#log = host.log;
    this.#random = host.log.runtime.random.fork("replication");
  }

  /** Until when it is waited for the peer that is asked to prove that the log is longer; 0 if none is. */
  get upgradeUntil(): number {
    return this.#upgrade === undefined ? 0 : this.#upgrade.sentAt + ANSWER_WAIT_MS;
  }

  /** Asks `peer` for one thing; false if there is nothing that it can help with now. */
  askNext(peer: PeerMachine): boolean {
    if (!this.#hasRoom(peer)) return false;
    if (this.#host.pushOnly) return this.#askBlock(peer);
    return this.#askSeek(peer) || this.#askBlock(peer) || this.#askRange(peer) || this.#askFork(peer) ||
      this.#askUpgrade(peer) || this.#askManifest(peer);
  }

  /** Asks `peer` for one block that another peer is slow to send; false if there is none. */
  askInstead(peer: PeerMachine): boolean {
    if (!this.#hasRoom(peer) || this.#host.pushOnly) return false;
    const before = this.#log.runtime.clock.now() - HOTSWAP_MS;
    let left = HOTSWAP_SCAN;
    for (const job of this.#host.blocks) {
      if (left-- === 0) break;
      const { inquiries } = job;
      if (inquiries.length === 0 || inquiries.length >= MAX_HOTSWAPS || job.isArriving) continue;
      if (inquiries.some((one) => one.peer === peer || one.sentAt > before)) continue;
      if (!peer.has(job.index) || job.index >= peer.sync.usableLength) continue;
      peer.stats.hotswaps++;
      this.#ask(peer, { block: job });
      return true;
    }
    return false;
  }

  /** When the oldest block on its way is slow, or Infinity. */
  get slowAt(): number {
    for (const { inquiries } of this.#host.blocks) {
      if (inquiries.length > 0 && inquiries.length < MAX_HOTSWAPS) {
        return inquiries[inquiries.length - 1]!.sentAt + HOTSWAP_MS;
      }
    }
    return this.#upgrade === undefined ? Infinity : this.#upgrade.sentAt + HOTSWAP_MS;
  }

  /** A request is over, whatever came of it. What it was for and is still wanted is to be asked for again. */
  release(inquiry: Inquiry): void {
    if (inquiry.isOver) return;
    inquiry.isOver = true;
    const { peer, job, seek, fork, request } = inquiry;
    peer.inFlight.delete(inquiry);
    const node = nodeOf(request);
    if (node !== undefined) peer.expectedNodes.delete(node.index, node.nodes);
    if (job !== undefined) {
      const place = job.inquiries.indexOf(inquiry);
      if (place !== -1) job.inquiries.splice(place, 1);
    }
    if (seek?.inquiry === inquiry) seek.inquiry = undefined;
    if (fork?.inquiry === inquiry) fork.inquiry = undefined;
    if (this.#upgrade === inquiry) {
      this.#upgrade = undefined;
    }
  }

  /** Nodes may be gone that answers count on which are on their way. */
  onCleared(): void {
    this.#clears++;
  }

  /** Whether nodes may be gone since this was asked. */
  isOutrun(inquiry: Inquiry): boolean {
    return inquiry.clears !== this.#clears;
  }

  /** A peer turned out not to answer in order: for a while, and longer each time, nothing is made to depend on that. */
  distrust(peer: PeerMachine): void {
    if (peer.distrust > 0) return;
    peer.distrust = DISTRUST * 2 ** peer.distrusts;
    peer.distrusts++;
  }

  #hasRoom(peer: PeerMachine): boolean {
    if (!peer.canAsk || !this.#host.canAsk || this.#host.forks.isCommitting) return false;
    return peer.inFlight.size + peer.arriving < peer.inFlightLimit(this.#host.peers.length);
  }

  // What to ask

  #askSeek(peer: PeerMachine): boolean {
    if (this.#host.seeks.size === 0 || !peer.sync.isSameFork) return false;
    for (const seek of this.#host.seeks) {
      if (!seek.isLocated || seek.inquiry !== undefined || seek.refusals.get(peer) === peer.version) continue;
      if (seek.node === undefined ? this.#askSeekBehind(peer, seek) : this.#askSeekBelow(peer, seek)) {
        return true;
      }
    }
    return false;
  }

  /** The byte is behind the end: a longer log may have it. */
  #askSeekBehind(peer: PeerMachine, seek: SeekJob): boolean {
    const upgrade = this.#upgradeOf(peer);
    if (upgrade === undefined) return false;
    this.#ask(peer, { seek, upgrade });
    return true;
  }

  /** The byte is below a node: any hash below it brings the nodes in between. */
  #askSeekBelow(peer: PeerMachine, seek: SeekJob): boolean {
    const { start, end: regionEnd } = seek.region;
    const end = Math.min(regionEnd, peer.sync.usableLength);
    if (start >= end) return false;
    const from = start + randomBelow(this.#random, end - start);
    const block = firstLacking(this.#log, peer, from, end) ?? firstLacking(this.#log, peer, start, from);
    if (block === undefined) {
      wantAnyAround(peer, from, start, end);
      return false;
    }
    this.#ask(peer, { seek, hash: { index: 2 * block, nodes: seek.levels } });
    return true;
  }

  #askBlock(peer: PeerMachine): boolean {
    const { blocks } = this.#host;
    if (blocks.queued === 0 || !peer.sync.isSameFork) return false;
    for (let job = blocks.next(peer.blockCursor); job !== undefined; job = blocks.next(peer.blockCursor)) {
      if (this.#askQueued(peer, job)) return true;
    }
    return false;
  }

  #askQueued(peer: PeerMachine, job: BlockJob): boolean {
    const { index, isForced } = job;
    if (this.#host.pushOnly && !isForced) return false;
    if (!peer.has(index)) {
      if (index < peer.remoteLength) peer.want(index);
      return false;
    }
    if (index < peer.sync.usableLength) {
      this.#ask(peer, { block: job });
      return true;
    }
    const upgrade = index >= this.#log.tree.length && index < peer.remoteLength && this.#upgradeOf(peer);
    if (!upgrade) return false;
    this.#ask(peer, { block: job, upgrade });
    return true;
  }

  #askRange(peer: PeerMachine): boolean {
    const ranges = this.#host.ranges.all;
    if (ranges.length === 0 || peer.idleVersion === peer.version || !peer.sync.isSameFork) return false;
    for (let i = 0; i < ranges.length; i++) {
      const range = ranges[(this.#nextRange + i) % ranges.length]!;
      if (!this.#askOfRange(peer, range)) continue;
      this.#nextRange = (this.#nextRange + i + 1) % ranges.length;
      return true;
    }
    peer.idleVersion = peer.version;
    return false;
  }

  #askOfRange(peer: PeerMachine, range: RangeJob): boolean {
    const cursor = range.cursor(peer);
    if (cursor.idleAt === peer.version) return false;
    const block = range.blocks ? this.#findInList(peer, range, range.blocks) : this.#findInRange(peer, range);
    if (block === undefined) {
      cursor.idleAt = peer.version;
      return false;
    }
    this.#ask(peer, { block: this.#host.blocks.obtain(block) });
    return true;
  }

  /** From where the last search ended to the end, then from the start. */
  #findInRange(peer: PeerMachine, range: RangeJob): number | undefined {
    const cursor = range.cursor(peer);
    const { start } = range;
    const end = Math.min(range.end, peer.sync.usableLength);
    if (start >= end) return undefined;
    if (cursor.at < start || cursor.at >= end) {
      const isFresh = cursor.at === -1 && !range.linear;
      cursor.at = isFresh ? start + randomBelow(this.#random, end - start) : start;
    }
    const find = (from: number, to: number) => firstUnasked(this.#log, this.#host.blocks, peer, from, to);
    const block = find(cursor.at, end) ?? find(start, cursor.at);
    if (block === undefined) wantMore(this.#log, peer, start, Math.min(range.end, this.#log.tree.length));
    else cursor.at = block + 1;
    return block;
  }

  #findInList(peer: PeerMachine, range: RangeJob, list: readonly number[]): number | undefined {
    const cursor = range.cursor(peer);
    const usable = peer.sync.usableLength;
    let [at, left] = [Math.max(cursor.at, range.start), range.end - range.start];
    for (; left > 0; left--, at++) {
      if (at >= range.end) at = range.start;
      const block = list[at]!;
      if (block >= usable || this.#log.held.get(block) || this.#host.blocks.get(block) !== undefined) {
        continue;
      }
      if (!peer.has(block)) {
        if (!peer.wants.has(block) && peer.wants.hasRoom) peer.want(block);
        continue;
      }
      cursor.at = at + 1;
      return block;
    }
    return undefined;
  }

  #askFork(peer: PeerMachine): boolean {
    const { remoteFork: fork, remoteLength: length } = peer;
    if (!this.#host.allowFork || fork <= this.#log.tree.fork || length === 0) return false;
    if (!this.#host.wantsUpgrade) return false;
    const forkJob = this.#host.forks.obtain(fork);
    if (forkJob.inquiry !== undefined || forkJob.isBusy || !forkJob.canAsk(peer)) return false;
    if (!forkJob.isWithin(peer)) {
      const isLonger = (other: PeerMachine) => forkJob.isWithin(other) && forkJob.canAsk(other);
      if (this.#host.peers.some((other) => other.isServing && isLonger(other))) return false;
      forkJob.search = undefined; // whose log it was is gone, or cannot tell: a shorter one will do
    }
    if (forkJob.search === undefined) {
      const isManifestWanted = this.#log.verifier === undefined;
      this.#ask(peer, { fork, forkJob, upgrade: { start: 0, length }, isManifestWanted });
      return true;
    }
    const question = forkJob.search.question;
    if (question === undefined) return false;
    const block = this.#host.forks.blockToAsk(forkJob, question, peer);
    if (block === undefined) return false;
    this.#ask(peer, { fork, forkJob, hash: { index: 2 * block, nodes: question.nodes } });
    return true;
  }

  #askUpgrade(peer: PeerMachine): boolean {
    if (!this.#host.wantsUpgrade) return false;
    const upgrade = this.#upgradeOf(peer);
    if (upgrade === undefined) return false;
    const block = this.#latestBlock(peer);
    this.#ask(peer, block === undefined ? { upgrade } : { upgrade, block });
    return true;
  }

  /** The newest block of a peer, if it is of interest. */
  #latestBlock(peer: PeerMachine): BlockJob | undefined {
    const latest = peer.remoteLength - 1;
    if (!this.#host.wantsLatestBlock || !peer.has(latest)) return undefined;
    return this.#host.blocks.get(latest) === undefined ? this.#host.blocks.obtain(latest) : undefined;
  }

  /** The manifest of a log that is empty as yet. */
  #askManifest(peer: PeerMachine): boolean {
    const { hasManifest } = peer.sync.remote;
    if (this.#log.verifier !== undefined || !hasManifest || peer.remoteLength > 0) return false;
    if (peer.inFlight.size > 0) return false;
    this.#ask(peer, { isManifestWanted: true });
    return true;
  }

  /** The way to the length of the peer, if it can prove that, and nobody is asked. */
  #upgradeOf(peer: PeerMachine): Question["upgrade"] {
    if (!peer.sync.canUpgradeUs || !this.#mayAskForUpgrade(peer)) return undefined;
    if (peer.inFlight.answerUntil !== Infinity) return undefined;
    const { length } = this.#log.tree;
    return { start: length, length: peer.remoteLength - length };
  }

  /** One peer at a time; another one if that one is slow. */
  #mayAskForUpgrade(peer: PeerMachine): boolean {
    if (this.#upgrade === undefined) return true;
    const { sentAt } = this.#upgrade;
    return this.#upgrade.peer !== peer && sentAt + HOTSWAP_MS <= this.#log.runtime.clock.now();
  }

  // Asking

  #ask(peer: PeerMachine, question: Question): void {
    const { tree, runtime } = this.#log;
    const { block: job, seek, forkJob: fork } = question;
    const inquiry: Inquiry = {
      peer,
      id: peer.inFlight.takeId(),
      request: undefined!,
      job,
      seek,
      fork,
      sentAt: runtime.clock.now(),
      clears: this.#clears,
      isTrusting: false,
      isOver: false,
    };
    peer.inFlight.add(inquiry);
    job?.inquiries.push(inquiry);
    if (job !== undefined) this.#host.blocks.dequeue(job);
    if (seek !== undefined) seek.inquiry = inquiry;
    if (fork !== undefined) fork.inquiry = inquiry;
    const upgrade = question.upgrade ?? this.#rider(peer, question);
    if (upgrade !== undefined && fork === undefined) this.#upgrade = inquiry;
    if (job === undefined || job.index >= tree.length) {
      this.#send(inquiry, question, upgrade, { levels: 0, isTrusting: false });
      return;
    }
    const missing = this.#missingLevels(peer, job);
    if (missing instanceof Promise) {
      inquiry.request = this.#requestOf(inquiry, question, upgrade, 0);
      void missing.then((levels) => inquiry.isOver || this.#send(inquiry, question, upgrade, levels));
    } else {
      this.#send(inquiry, question, upgrade, missing);
    }
  }

  /** What else may be learned along with a request. */
  #rider(peer: PeerMachine, { forkJob }: Question): Question["upgrade"] {
    return forkJob === undefined && this.#host.wantsUpgrade ? this.#upgradeOf(peer) : undefined;
  }

  #missingLevels(peer: PeerMachine, { index, priority }: BlockJob) {
    // What has a priority may overtake what was asked before it.
    const canTrust = peer.distrust === 0 && priority === 0;
    if (peer.distrust > 0) peer.distrust--;
    const { nodes, tree } = this.#log;
    return missingLevels(nodes, tree.length, 2 * index, canTrust ? peer.expectedNodes : undefined);
  }

  #requestOf(
    { id, peer, job }: Inquiry,
    { fork, hash, seek, isManifestWanted = false }: Question,
    upgrade: Question["upgrade"],
    nodes: number,
  ): LogRequest {
    return {
      id,
      fork: fork ?? this.#log.tree.fork,
      block: job && { index: job.index, nodes },
      hash,
      seek: seek && peer.canSeek ? { bytes: seek.bytes, padding: seek.padding } : undefined,
      upgrade,
      manifest: isManifestWanted || (this.#log.verifier === undefined && peer.sync.remote.hasManifest),
      priority: job?.priority ?? 0,
    };
  }

  #send(
    inquiry: Inquiry,
    question: Question,
    upgrade: Question["upgrade"],
    { levels, isTrusting }: MissingLevels,
  ): void {
    const { peer } = inquiry;
    const request = this.#requestOf(inquiry, question, upgrade, levels);
    inquiry.request = request;
    inquiry.isTrusting = isTrusting;
    const node = nodeOf(request);
    if (node !== undefined) peer.expectedNodes.add(node.index, node.nodes);
    peer.send("request", request);
  }
}
