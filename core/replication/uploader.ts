/** Answers the requests of one peer: at once while there is room, else in their order, those with a priority first. */
import type { LogData, LogRequest } from "../log/proof_messages.ts";
import type { Proof } from "../log/proof.ts";
import { ProtocolError, StorageError } from "../runtime/errors.ts";
import { INVALID_REQUEST, MAX_INVALID_REQUESTS, MAX_QUEUED_REQUESTS, NOT_AVAILABLE } from "./constants.ts";
import type { NoData } from "./messages.ts";
import type { RateLimit } from "./rate_limit.ts";
import type { ReplicatedLog } from "./replicated_log.ts";
import type { TurnBudget } from "./turn_budget.ts";

/** Bytes of an answer beside its block, for each node and for the rest. */
const [NODE_BYTES, ANSWER_BYTES] = [40, 100];

/** What an {@linkcode Uploader} works with. */
export interface UploaderHost {
  /** How much may be sent in this turn. */
  readonly budget: TurnBudget;
  /** How much may be sent in a second. */
  readonly rate: RateLimit;
  /** Whether this peer is served at all. */
  readonly isUploading: boolean;
  /** Up to which length the peer will be when it has received all that was sent unasked. */
  readonly pushedLength: number;
  /** Sends an answer. */
  sendData(data: LogData): void;
  /** Sends a refusal. */
  sendNoData(noData: NoData): void;
  /** A block is on its way. */
  onUpload(index: number, bytes: number): void;
  /** A request that nobody could answer. */
  onInvalidRequest(request: LogRequest, error: ProtocolError): void;
  /** The peer is to be dropped. */
  fail(error: Error): void;
}

/** The serving side for one peer. */
export class Uploader {
  readonly #log: ReplicatedLog;
  readonly #host: UploaderHost;
  /** Requests that wait for room or for their proof, oldest first. */
  readonly #waiting = new Map<number, LogRequest>();
  /** Those of them that wait for room, without and with priority. */
  #queue: LogRequest[] = [];
  #next = 0;
  readonly #urgent: LogRequest[] = [];
  #invalidRequests = 0;
  #isClosed = false;

  constructor(log: ReplicatedLog, host: UploaderHost) {
    this.#log = log;
    this.#host = host;
  }

  /** How many requests wait. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** How many requests were none. */
  get invalidRequests(): number {
    return this.#invalidRequests;
  }

  /** Takes in a request. @throws {ProtocolError} if the peer asks too much, or too often for what nobody could answer. */
  receive(request: LogRequest): void {
    if (this.#waiting.size === 0 && this.#hasRoom) {
      this.#serve(request);
      return;
    }
    // The same id once more takes the place of the former.
    this.#waiting.delete(request.id);
    if (this.#waiting.size >= MAX_QUEUED_REQUESTS) {
      throw new ProtocolError("LIMIT_EXCEEDED", `More than ${MAX_QUEUED_REQUESTS} requests of the peer wait`);
    }
    this.#waiting.set(request.id, request);
    if (request.priority > 0) this.#urgent.push(request);
    else this.#queue.push(request);
    this.#compact();
    this.pump();
  }

  /** A request is not to be answered any more. */
  cancel(id: number): void {
    this.#waiting.delete(id);
    this.#compact();
  }

  /** Serves what waits, as far as there is room. */
  pump(): void {
    while (!this.#isClosed && this.#hasRoom) {
      const request = this.#take();
      if (request === undefined) return;
      this.#waiting.delete(request.id);
      this.#serve(request);
    }
    if (!this.#isClosed && this.#waiting.size > 0 && !this.#host.rate.hasRoom) this.#host.rate.wait();
  }

  /** Answers nothing any more. */
  close(): void {
    this.#isClosed = true;
    this.#waiting.clear();
    this.#urgent.length = this.#queue.length = this.#next = 0;
  }

  get #hasRoom(): boolean {
    return this.#host.budget.hasRoom && this.#host.rate.hasRoom;
  }

  /** The next one that is not cancelled. */
  #take(): LogRequest | undefined {
    while (this.#urgent.length > 0) {
      const request = this.#urgent.pop()!;
      if (this.#waiting.get(request.id) === request) return request;
    }
    while (this.#next < this.#queue.length) {
      const request = this.#queue[this.#next++]!;
      if (this.#waiting.get(request.id) === request) return request;
    }
    this.#queue.length = this.#next = 0;
    return undefined;
  }

  /** Lets go of requests that were served or cancelled, so that the lists are not longer than twice what waits. */
  #compact(): void {
    const isWaiting = (request: LogRequest) => this.#waiting.get(request.id) === request;
    if (this.#queue.length > 2 * MAX_QUEUED_REQUESTS) {
      this.#queue = this.#queue.slice(this.#next).filter(isWaiting);
      this.#next = 0;
    }
    if (this.#urgent.length > 2 * MAX_QUEUED_REQUESTS) {
      this.#urgent.splice(0, this.#urgent.length, ...this.#urgent.filter(isWaiting));
    }
  }

  #serve(request: LogRequest): void {
    const refusal = this.#refusalOf(request);
    if (refusal !== undefined) {
      this.#host.sendNoData({ request: request.id, reason: refusal });
      this.#host.budget.spend(ANSWER_BYTES);
      return;
    }
    if (!request.block && !request.hash && !request.seek && !request.upgrade) {
      this.#answer(request, undefined);
      return;
    }
    let proof;
    try {
      proof = this.#log.prove(this.#adjust(request));
    } catch (error) {
      this.#onFailure(request, error);
      return;
    }
    if (proof instanceof Promise) this.#answerLater(request, proof);
    else this.#answer(request, proof);
  }

  /** Why a request is refused without looking closer, or undefined. */
  #refusalOf({ fork, block }: LogRequest): number | undefined {
    const { tree, held, isFrozen } = this.#log;
    if (!this.#host.isUploading) return 0;
    const isMissing = block !== undefined && block.index < tree.length && !held.get(block.index);
    return isFrozen || fork !== tree.fork || isMissing ? NOT_AVAILABLE : undefined;
  }

  /** Leaves out of an upgrade what is on its way to the peer already. */
  #adjust(request: LogRequest): LogRequest {
    const { upgrade } = request;
    const { pushedLength } = this.#host;
    const end = upgrade === undefined ? 0 : upgrade.start + upgrade.length;
    if (upgrade === undefined || pushedLength <= upgrade.start || pushedLength >= end) return request;
    return { ...request, upgrade: { start: pushedLength, length: end - pushedLength } };
  }

  #answerLater(request: LogRequest, proof: Promise<Proof | undefined>): void {
    this.#waiting.set(request.id, request);
    const isWanted = () => {
      const isCurrent = !this.#isClosed && this.#waiting.get(request.id) === request;
      if (isCurrent) this.#waiting.delete(request.id);
      return isCurrent;
    };
    void proof.then(
      (value) => isWanted() && this.#answer(request, value),
      (error) => {
        if (isWanted()) this.#onFailure(request, error);
      },
    ).then(() => this.pump());
  }

  #answer(request: LogRequest, proof: Proof | undefined): void {
    const { verifier, tree } = this.#log;
    const manifest = request.manifest && verifier?.isCompat === false ? verifier.manifest : undefined;
    if (proof === undefined && manifest === undefined) {
      this.#host.sendNoData({ request: request.id, reason: NOT_AVAILABLE });
      this.#host.budget.spend(ANSWER_BYTES);
      return;
    }
    const { fork = tree.fork, block, hash, seek, upgrade } = proof ?? {};
    this.#host.sendData({ request: request.id, fork, block, hash, seek, upgrade, manifest });
    if (this.#invalidRequests > 0) this.#invalidRequests--;
    this.#count(block?.value.length ?? 0, block?.nodes.length ?? 0);
    if (block !== undefined) this.#host.onUpload(block.index, block.value.length);
  }

  #count(blockBytes: number, nodes: number): void {
    const bytes = blockBytes + NODE_BYTES * nodes + ANSWER_BYTES;
    this.#host.budget.spend(bytes);
    this.#host.rate.take(bytes);
  }

  #onFailure(request: LogRequest, error: unknown): void {
    this.#host.budget.spend(ANSWER_BYTES);
    if (error instanceof StorageError) {
      this.#host.sendNoData({ request: request.id, reason: NOT_AVAILABLE });
      return;
    }
    if (!(error instanceof ProtocolError)) throw error;
    this.#invalidRequests++;
    this.#host.onInvalidRequest(request, error);
    this.#host.sendNoData({ request: request.id, reason: INVALID_REQUEST });
    if (this.#invalidRequests >= MAX_INVALID_REQUESTS) this.#host.fail(error);
  }
}
