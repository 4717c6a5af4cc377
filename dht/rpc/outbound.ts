/**
 * The requests of this node that are out or wait: window, shares of destinations, transaction ids, timeouts, matching of replies.
 */
import type { Deadlines } from "../../core/runtime/deadlines.ts";
import type { Random } from "../../core/runtime/runtime.ts";
import type { SocketAddress } from "../../encoding/address.ts";
import { Command, MAX_PER_DESTINATION, MAX_QUEUED, REQUEST_TIMEOUT_MS } from "./constants.ts";
import type { Due } from "./due.ts";
import { Fifo } from "./fifo.ts";
import {
  type OutgoingOptions,
  OutgoingRequest,
  type RequestFailure,
  type RequestOwner,
  type RpcPort,
} from "./outgoing_request.ts";
import { RequestWindow } from "./request_window.ts";
import { RttCache } from "./rtt_cache.ts";
import type { RpcStats } from "./stats.ts";

/** What the requests need of the node. */
export interface OutboundHost {
  /** The socket for requests that name none; undefined while there is none, and then they wait. */
  readonly socket: RpcPort | undefined;
  /** Deadlines of the node. */
  readonly deadlines: Deadlines<Due>;
  /** Counters of the node. */
  readonly stats: RpcStats;
  /** Encodes `request` to be sent from `socket`. */
  encode(request: OutgoingRequest, socket: RpcPort): Uint8Array;
  /** Sends bytes. */
  transmit(bytes: Uint8Array, to: SocketAddress, socket: RpcPort, ttl: number): void;
}

/** Settings of the requests. */
export interface OutboundConfig {
  /** Unanswered requests at most. */
  readonly maxWindow: number;
  /** Whether timeouts follow the RTT. */
  readonly adaptiveTimeout: boolean;
}

/** One address that is being asked. */
interface Destination {
  inFlight: number;
  readonly waiting: OutgoingRequest[];
}

const TIDS = 65_536;
/** Above this many requests in flight a free id is no longer found quickly. */
const MAX_IN_FLIGHT = TIDS / 2;

/** See the head of the file. */
export class Outbound {
  readonly #host: OutboundHost;
  readonly #random: Random;
  readonly #isAdaptive: boolean;
  readonly #window: RequestWindow;
  readonly #rtts: RttCache;
  readonly #byTid = new Map<number, OutgoingRequest>();
  readonly #destinations = new Map<number | string, Destination>();
  /** What waits for the window. */
  readonly #queue = new Fifo<OutgoingRequest>();
  /** Requests that are neither done nor sent, wherever they wait. */
  #waiting = 0;
  #isClosed = false;
  readonly #onTimeoutBound = (now: number, request: OutgoingRequest) => this.#onTimeout(now, request);

  /** No requests yet. */
  constructor(host: OutboundHost, random: Random, config: OutboundConfig) {
    this.#host = host;
    this.#random = random;
    this.#isAdaptive = config.adaptiveTimeout;
    this.#window = new RequestWindow(config.maxWindow);
    this.#rtts = new RttCache(random);
  }

  /** Requests that wait for an answer. */
  get inFlight(): number {
    return this.#byTid.size;
  }

  /** Requests that wait to be sent. */
  get queued(): number {
    return this.#waiting;
  }

  /** Requests that may wait for an answer. */
  get windowSize(): number {
    return this.#window.size;
  }

  /** Makes a request and sends it as soon as it may be. */
  send(now: number, options: OutgoingOptions, owner: RequestOwner): OutgoingRequest {
    const request = new OutgoingRequest(options, owner, this.#onTimeoutBound);
    const { stats } = this.#host;
    stats.requests.active++;
    stats.requests.total++;
    if (options.isInternal) stats.countSent(options.command);
    if (this.#isClosed || this.#waiting >= MAX_QUEUED) {
      request.state = "done";
      stats.requests.active--;
      owner.onFailure(now, request, this.#isClosed ? "closed" : "overloaded");
      return request;
    }
    this.#waiting++;
    this.#submit(now, request);
    return request;
  }

  /** The request that a reply with `tid` from `from`, come in on `socket`, answers; undefined if there is none. */
  find(tid: number, from: SocketAddress, socket: RpcPort): OutgoingRequest | undefined {
    const request = this.#byTid.get(tid);
    if (request === undefined || !request.to.equals(from)) return undefined;
    const { isInternal, command } = request.options;
    const mayDiffer = isInternal && command === Command.PingNat;
    return request.socket === socket || mayDiffer ? request : undefined;
  }

  /** `request` was answered. */
  settle(now: number, request: OutgoingRequest): void {
    const { stats } = this.#host;
    stats.requests.replies++;
    if (request.options.isInternal) stats.countAnswered(request.options.command);
    // after Karn: which of several tries an answer belongs to is unknown
    if (request.attempts === 1) this.#rtts.put(now, request.to.key, now - request.sentAt);
    this.#window.onAnswer(now, this.#byTid.size);
    this.#finish(request);
  }

  /** Gives up `request`, if it is not done. */
  cancel(now: number, request: OutgoingRequest, reason: RequestFailure): void {
    if (request.state === "done") return;
    this.#finish(request);
    request.owner.onFailure(now, request, reason);
  }

  /** Gives up all requests. Those that their owners make in return wait, or fail at once if the reason is `closed`. */
  cancelAll(now: number, reason: RequestFailure): void {
    this.#isClosed = reason === "closed";
    const all = [...this.#byTid.values()];
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) all.push(next);
    for (const { waiting } of this.#destinations.values()) all.push(...waiting);
    for (const request of all) this.cancel(now, request, reason);
    this.#window.reset();
  }

  /** Sends what waits and may go. To be called after each input. */
  pump(now: number): void {
    while (this.#queue.length > 0 && this.#mayGo()) {
      const request = this.#queue.shift();
      if (request?.state === "waiting") this.#submit(now, request);
    }
  }

  #mayGo(): boolean {
    return this.#host.socket !== undefined && this.#byTid.size < this.#window.size;
  }

  #submit(now: number, request: OutgoingRequest): void {
    const socket = request.options.socket ?? this.#host.socket;
    const isForced = request.options.isForced === true && this.#byTid.size < MAX_IN_FLIGHT;
    if (socket === undefined || !(isForced || this.#mayGo())) {
      this.#queue.push(request);
      return;
    }
    const key = request.to.key;
    let destination = this.#destinations.get(key);
    if (destination === undefined) {
      destination = { inFlight: 0, waiting: [] };
      this.#destinations.set(key, destination);
    }
    if (destination.inFlight >= MAX_PER_DESTINATION && !isForced) {
      destination.waiting.push(request);
      return;
    }
    destination.inFlight++;
    this.#waiting--;
    request.state = "sent";
    request.tid = this.#drawTid();
    request.sentAt = now;
    request.socket = socket;
    this.#byTid.set(request.tid, request);
    request.bytes = this.#host.encode(request, socket);
    this.#transmit(now, request);
  }

  /** Drawn and not counted up: who wants to forge an answer has to guess it. */
  #drawTid(): number {
    let tid: number;
    do tid = this.#random.below(TIDS); while (this.#byTid.has(tid));
    return tid;
  }

  #transmit(now: number, request: OutgoingRequest): void {
    const { to, ttl, timeoutMs } = request.options;
    request.attempts++;
    this.#host.transmit(request.bytes!, to, request.socket!, ttl ?? 0);
    const wait = timeoutMs ??
      (this.#isAdaptive ? this.#rtts.timeout(now, to.key, request.attempts) : REQUEST_TIMEOUT_MS);
    this.#host.deadlines.set(request, now + wait);
  }

  #onTimeout(now: number, request: OutgoingRequest): void {
    this.#window.onTimeout();
    const { requests } = this.#host.stats;
    if (request.attempts <= request.retries) {
      requests.retries++;
      request.owner.onSlow?.(now, request);
      if (request.state === "sent") this.#transmit(now, request);
      return;
    }
    requests.timeouts++;
    this.cancel(now, request, "timeout");
  }

  #finish(request: OutgoingRequest): void {
    const { state } = request;
    request.state = "done";
    this.#host.stats.requests.active--;
    this.#host.deadlines.delete(request);
    request.bytes = undefined;
    if (state === "waiting") {
      // Never sent: it stays in its queue, where it is stepped over.
      this.#waiting--;
      return;
    }
    if (request.tid !== -1) this.#byTid.delete(request.tid);
    const key = request.to.key;
    const destination = this.#destinations.get(key);
    if (destination === undefined) return;
    destination.inFlight--;
    let next: OutgoingRequest | undefined;
    do next = destination.waiting.shift(); while (next !== undefined && next.state === "done");
    if (next !== undefined) this.#queue.push(next);
    if (destination.inFlight <= 0 && destination.waiting.length === 0) this.#destinations.delete(key);
  }
}
