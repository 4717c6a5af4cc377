/** Logs that were rewritten: what peers have of a larger fork is verified, compared, and taken over. */
import type { ForkQuestion, ForkSearch } from "../log/fork_search.ts";
import type { LogData } from "../log/proof_messages.ts";
import { verifyFromStart } from "../log/verify_proof.ts";
import { Verifier } from "../log/verifier.ts";
import { wantAnyAround } from "./block_search.ts";
import type { Inquiry } from "./in_flight.ts";
import type { PeerMachine } from "./peer_machine.ts";
import type { ReplicatedLog } from "./replicated_log.ts";

/** Questions of one fork about ranges of which nobody is known to hold a block: more than a tree has levels. */
const MAX_BLIND_QUESTIONS = 64;

/** The way to one larger fork. */
export class ForkJob {
  /** Which. */
  readonly fork: number;
  /** What is being compared, once the new log is verified. */
  search: ForkSearch | undefined;
  /** The request that is on its way. */
  inquiry: Inquiry | undefined;
  /** Whether an answer is being worked on. */
  isBusy = false;
  /** Peers that could not help, and in which state of theirs. */
  readonly refusals: Map<PeerMachine, number> = new Map();

  constructor(fork: number) {
    this.fork = fork;
  }

  /** Whether this peer could help as far as is known. */
  canAsk(peer: PeerMachine): boolean {
    return this.refusals.get(peer) !== peer.version;
  }

  /** Whether the log of this peer reaches as far as what is asked next. */
  isWithin(peer: PeerMachine): boolean {
    const question = this.search?.question;
    if (question === undefined) return true;
    return peer.remoteFork === this.fork && question.start + 2 ** question.nodes <= peer.remoteLength;
  }
}

/** The ways to all larger forks of which there are peers. */
export class ForkJobs {
  readonly #log: ReplicatedLog;
  readonly #jobs = new Map<number, ForkJob>();
  #isCommitting = false;
  /** Of the latest fork: where it was asked for nodes below which no block is held, as far as is known. */
  #blind = { fork: 0, starts: new Set<number>() };

  constructor(log: ReplicatedLog) {
    this.#log = log;
  }

  /** Whether the log is becoming another one right now: nothing is asked meanwhile. */
  get isCommitting(): boolean {
    return this.#isCommitting;
  }

  /** The way to `fork`. */
  obtain(fork: number): ForkJob {
    let job = this.#jobs.get(fork);
    if (job === undefined) {
      job = new ForkJob(fork);
      this.#jobs.set(fork, job);
    }
    return job;
  }

  /** The way to `fork`, if there is one. */
  get(fork: number): ForkJob | undefined {
    return this.#jobs.get(fork);
  }

  /** Forgets a peer, and ways that no peer is on. */
  prune(peers: readonly PeerMachine[], gone?: PeerMachine): void {
    for (const job of this.#jobs.values()) {
      if (gone !== undefined) job.refusals.delete(gone);
      const isNeeded = job.isBusy || peers.some(({ remoteFork }) => remoteFork === job.fork);
      if (!isNeeded) this.#jobs.delete(job.fork);
    }
  }

  /** Of which block to ask `peer` for the hash, to answer `question`; undefined if there is nothing to ask it for now. */
  blockToAsk(job: ForkJob, { start, end }: ForkQuestion, peer: PeerMachine): number | undefined {
    const block = peer.blocks.firstSet(start);
    if (block !== -1 && block < Math.min(end, peer.remoteLength)) return block;
    if (wantAnyAround(peer, start, start, end)) return undefined;
    // Who has cleared all blocks there may have their nodes still. One that hangs up when it is asked is not asked again.
    if (this.#mayAskBlindly(job.fork, start)) return start;
    void this.#settle(job);
    return undefined;
  }

  /** Whether a question about a range of which nobody is known to hold a block may be asked: once for each. */
  #mayAskBlindly(fork: number, start: number): boolean {
    if (fork !== this.#blind.fork) this.#blind = { fork, starts: new Set() };
    const { starts } = this.#blind;
    if (starts.has(start) || starts.size >= MAX_BLIND_QUESTIONS) return false;
    starts.add(start);
    return true;
  }

  /** Ends a comparison where it stands: what is not known to be the same is taken for another. Does not reject. */
  async #settle(job: ForkJob): Promise<void> {
    if (job.search === undefined || job.isBusy) return;
    job.search.settle();
    job.isBusy = true;
    try {
      await this.#commit(job, job.search);
    } catch {
      /* the log has changed meanwhile: it begins anew */
    } finally {
      job.isBusy = false;
    }
  }

  /** Begins anew: what was compared was compared with another log. */
  reset(): void {
    this.#jobs.clear();
  }

  /**
   * Works on an answer; whether it was of use.
   *
   * @throws {ProtocolError} if it is wrong; {StorageError} if the log cannot be changed.
   */
  async receive(job: ForkJob, data: LogData): Promise<boolean> {
    job.isBusy = true;
    try {
      if (job.search !== undefined) {
        if (!await job.search.update(data)) return false;
      } else {
        if (data.upgrade === undefined) return false;
        job.search = await this.#begin(data);
      }
      if (job.search.question === undefined) await this.#commit(job, job.search);
      return true;
    } finally {
      job.isBusy = false;
    }
  }

  async #begin(data: LogData): Promise<ForkSearch> {
    const { runtime: { crypto }, key } = this.#log;
    if (this.#log.verifier === undefined && data.manifest) await this.#log.adoptManifest(data.manifest);
    const verifier = this.#log.verifier ?? new Verifier(crypto, key);
    const proof = verifyFromStart(crypto, verifier, data);
    if (this.#log.verifier === undefined) await this.#log.adoptManifest(verifier.manifest);
    return await this.#log.beginReorg(proof);
  }

  async #commit(job: ForkJob, search: ForkSearch): Promise<void> {
    this.#isCommitting = true;
    try {
      await this.#log.commitReorg(search);
    } finally {
      this.#isCommitting = false;
      this.#jobs.delete(job.fork);
    }
  }
}
