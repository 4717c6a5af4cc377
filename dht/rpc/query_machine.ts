/**
 * An iterative lookup: asks the nodes nearest to a target for nearer ones until there are none.
 *
 * Source: dht-rpc 6.27.0, lib/query.js, and S/Kademlia (I. Baumgart, S. Mies, 2007) for what liars make necessary: the nearest
 * known node is asked first, at most two nodes of an IPv4 /24 are in the result, and who names only dead ends is believed last.
 */
import type { SocketAddress } from "../../encoding/address.ts";
import type { BootstrapListener } from "./bootstrap_nodes.ts";
import { type Candidate, CandidateList, Patience } from "./candidates.ts";
import { ClosestReplies } from "./closest_replies.ts";
import { CACHED_CONCURRENCY, K, MAX_AWAITED_SENDS } from "./constants.ts";
import type { RpcContext } from "./context.ts";
import type { RoutingNode } from "./node.ts";
import type { OutgoingRequest, Reply, RequestFailure, RequestOwner } from "./outgoing_request.ts";

/** What a query asks, and how. */
export interface QueryConfig {
  /** The key, 32 bytes. */
  readonly target: Uint8Array;
  /** The number of the command that each node is asked. */
  readonly command: number;
  /** Whether it is one of the protocol itself. */
  readonly isInternal: boolean;
  /** What goes with the command. */
  readonly value: Uint8Array | undefined;
  /** Requests out at once. */
  readonly concurrency: number;
  /** Resends of each request. */
  readonly retries: number;
  /** Whether its requests ignore the window and are not sent again. */
  readonly isForced: boolean;
  /** Nodes to begin with, such as those of an earlier query. */
  readonly nodes: readonly SocketAddress[];
  /** Whether no others than `nodes` are asked. */
  readonly onlyNodes: boolean;
  /** Whether bootstrap nodes are asked even if the table has enough nodes. */
  readonly withBootstrap: boolean;
  /** Whether it yields to other traffic. */
  readonly isBackground: boolean;
}

/** Who made a query. Called while the machine handles input. */
export interface QueryObserver {
  /** A node answered without an error. */
  onReply(now: number, query: QueryMachine, reply: Reply): void;
  /** It is over; with a reason if it was stopped. */
  onEnd(now: number, query: QueryMachine, reason: RequestFailure | undefined): void;
}

/** What a query needs of the node. */
export interface QueryHost extends RpcContext {
  /** Who is known, and how many nodes the network seems to have; `Infinity` = not known. */
  readonly keeper: { readonly table: { readonly networkSize: number } };
  /** Nodes of the routing table near `target`. */
  closest(target: Uint8Array, count: number): RoutingNode[];
  /** Whether `id` is the node itself. */
  isSelf(id: Uint8Array): boolean;
  /** Tells the bootstrap nodes, at once or later. */
  resolveBootstrap(now: number, listener: BootstrapListener): void;
  /** The node at `address` does not answer. */
  onDown(now: number, address: SocketAddress): void;
  /** Tells `referrer` that the node at `down`, which it named, does not answer. */
  hintDown(now: number, referrer: SocketAddress, down: SocketAddress): void;
}

/** Other requests in flight below which a background query goes at full speed. */
const QUIET_REQUESTS = 3;
/** Answers of cached nodes below which the table is asked as well. */
const MIN_CACHED_SUCCESSES = K / 4;

/** See the head of the file. */
export class QueryMachine implements RequestOwner, BootstrapListener {
  /** What it asks. */
  readonly config: QueryConfig;
  /** Answers without an error. */
  successes: number = 0;
  /** Answers with an error, and requests without an answer. */
  errors: number = 0;
  readonly #host: QueryHost;
  readonly #observer: QueryObserver;
  readonly #candidates: CandidateList;
  readonly #closest: ClosestReplies;
  readonly #visits = new Map<OutgoingRequest, Candidate>();
  #concurrency: number;
  /** How many visits there are of each {@linkcode Patience}. */
  readonly #visitsBy: [number, number, number, number] = [0, 0, 0, 0];
  #isCautious = false;
  #usedTable = false;
  #isResolving = false;
  #isPaused = false;
  #isEnded = false;

  /** A query that does nothing before {@linkcode start}. */
  constructor(host: QueryHost, config: QueryConfig, observer: QueryObserver) {
    this.#host = host;
    this.config = config;
    this.#observer = observer;
    this.#concurrency = this.#slowConcurrency();
    this.#closest = new ClosestReplies(config.target, host.keeper.table.networkSize);
    this.#candidates = new CandidateList(config.target, this.#closest);
  }

  /** Replies of the nodes nearest to the target that have an id, nearest first, at most 20. */
  get closestReplies(): readonly Reply[] {
    return this.#closest.replies;
  }

  /** Whether it is over. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** How many addresses were looked at: bounded. */
  get seen(): number {
    return this.#candidates.seen;
  }

  /** Begins. */
  start(now: number): void {
    for (const address of this.config.nodes) this.#addAddress(address);
    if (!this.config.onlyNodes) {
      const unproven = this.#candidates.pending >= K ? 0 : this.#addFromTable();
      if (this.#candidates.pending - unproven < K || this.config.withBootstrap) {
        this.#isResolving = true;
        this.#host.resolveBootstrap(now, this);
      }
    }
    this.#advance(now);
  }

  /** Stops asking more nodes, because nobody reads the replies, or goes on. */
  setPaused(now: number, isPaused: boolean): void {
    this.#isPaused = isPaused;
    if (!isPaused) this.#advance(now);
  }

  /**
   * Ends it, with `reason` if it was not finished. If it was, the requests that were not worth waiting for go on: what they show
   * about who is down is of use to the table and to those who named the node.
   */
  end(now: number, reason: RequestFailure | undefined): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#host.stats.queries.active--;
    this.#observer.onEnd(now, this, reason);
    if (reason === undefined) return;
    for (const request of [...this.#visits.keys()]) this.#host.cancel(now, request);
  }

  /** See {@linkcode BootstrapListener}. */
  onBootstrapNode(now: number, address: SocketAddress): void {
    if (this.#isEnded) return;
    this.#addAddress(address);
    this.#advance(now);
  }

  /** See {@linkcode BootstrapListener}. */
  onBootstrapEnd(now: number): void {
    this.#isResolving = false;
    this.#advance(now);
  }

  /** See {@linkcode RequestOwner}. */
  onReply(now: number, request: OutgoingRequest, reply: Reply): void {
    const candidate = this.#leave(request);
    if (candidate === undefined || this.#isEnded) return;
    this.#candidates.markAlive(candidate);
    if (reply.error === 0) {
      this.successes++;
      if (reply.id !== undefined) this.#closest.add(reply, reply.id);
    } else {
      this.errors++;
    }
    if (!this.config.onlyNodes) this.#addCloser(now, candidate, reply.closerNodes);
    if (this.successes + this.errors >= this.config.concurrency) this.#isCautious = false;
    if (this.config.isBackground) {
      const isQuiet = this.#host.inFlight < QUIET_REQUESTS;
      this.#concurrency = isQuiet ? this.config.concurrency : this.#slowConcurrency();
    }
    if (reply.error === 0) this.#observer.onReply(now, this, reply);
    this.#advance(now);
  }

  /** See {@linkcode RequestOwner}. */
  onFailure(now: number, request: OutgoingRequest, reason: RequestFailure): void {
    const candidate = this.#leave(request);
    if (candidate === undefined) return;
    if (reason === "timeout") this.#onDead(now, candidate);
    if (this.#isEnded) return;
    this.errors++;
    if (reason === "timeout" || reason === "cancelled") this.#advance(now);
    else this.end(now, reason);
  }

  /** See {@linkcode RequestOwner}. */
  onSlow(now: number, request: OutgoingRequest): void {
    const candidate = this.#visits.get(request);
    if (candidate === undefined) return;
    if (request.attempts === 1) {
      this.#setPatience(candidate, candidate.isUnproven ? Patience.Last : Patience.Spare);
      this.#candidates.markSlow(candidate);
    }
    if (request.attempts === MAX_AWAITED_SENDS) this.#setPatience(candidate, Patience.None);
    this.#advance(now);
  }

  #slowConcurrency(): number {
    const { isBackground, concurrency } = this.config;
    return isBackground ? Math.min(concurrency, Math.max(2, concurrency >> 3)) : concurrency;
  }

  #leave(request: OutgoingRequest): Candidate | undefined {
    const candidate = this.#visits.get(request);
    if (candidate === undefined) return undefined;
    this.#visits.delete(request);
    this.#visitsBy[candidate.patience]--;
    return candidate;
  }

  #setPatience(visited: Candidate, patience: Patience): void {
    this.#visitsBy[visited.patience]--;
    visited.patience = patience;
    this.#visitsBy[patience]++;
  }

  /** Whether an answer that may still come is worth the time. */
  get #isWaiting(): boolean {
    const [full, spare, last] = this.#visitsBy;
    return full > 0 || (!this.#closest.isFull && (spare > 0 || (last > 0 && this.successes === 0)));
  }

  #onDead(now: number, candidate: Candidate): void {
    this.#candidates.markDead(candidate);
    this.#host.onDown(now, candidate.address);
    for (const { address } of candidate.referrers) this.#host.hintDown(now, address, candidate.address);
  }

  #addAddress(address: SocketAddress): void {
    if (this.#candidates.find(address) !== undefined) return;
    this.#candidates.add(address, this.#host.idOf(address), undefined);
  }

  /** Returns how many of those that it adds never answered this node. */
  #addFromTable(): number {
    this.#usedTable = true;
    let unproven = 0;
    for (
      const { address, id, replies } of this.#host.closest(this.config.target, K - this.#candidates.pending)
    ) {
      if (this.#candidates.find(address) !== undefined) continue;
      this.#candidates.add(address, id, undefined, replies === 0);
      if (replies === 0) unproven++;
    }
    return unproven;
  }

  /** A list is sorted: what follows a node that is too far away is as well. */
  #addCloser(now: number, referrer: Candidate, addresses: readonly SocketAddress[]): void {
    for (const address of addresses) {
      if (address.port === 0 || !this.#host.config.filterNode(address)) continue;
      const known = this.#candidates.find(address);
      if (known !== undefined) {
        if (known.state === "dead") this.#host.hintDown(now, referrer.address, address);
        else this.#candidates.refer(known, referrer);
        if (!this.#closest.isCloser(known.id)) return;
        continue;
      }
      const id = this.#host.idOf(address);
      if (this.#host.isSelf(id)) continue;
      if (!this.#closest.isCloser(id)) return;
      this.#candidates.add(address, id, referrer);
    }
  }

  #advance(now: number): void {
    if (this.#isPaused || this.#isEnded) return;
    this.#visitMore(now);
    if (this.#candidates.pending > 0 || this.#isResolving || this.#isEnded) return;
    if (this.#isWaiting) return;
    if (!this.#usedTable && !this.config.onlyNodes && this.successes < MIN_CACHED_SUCCESSES) {
      this.#addFromTable();
      this.#advance(now);
      return;
    }
    this.end(now, undefined);
  }

  #visitMore(now: number): void {
    const limit = this.#isCautious ? CACHED_CONCURRENCY : this.#concurrency;
    while (this.#visitsBy[Patience.Full] < limit) {
      const candidate = this.#candidates.take();
      if (candidate === undefined) break;
      this.#visit(now, candidate);
    }
    // With nodes of an earlier query the nearest of them get a chance before many others are asked.
    if (!this.#usedTable && this.successes + this.errors === 0) this.#isCautious = true;
  }

  #visit(now: number, candidate: Candidate): void {
    const { command, isInternal, target, value, retries, isForced } = this.config;
    const options = { to: candidate.address, command, isInternal, target, value, retries, isForced };
    const request = this.#host.request(now, options, this);
    if (request.state === "done") return this.end(now, "overloaded");
    this.#visits.set(request, candidate);
    this.#visitsBy[candidate.patience]++;
  }
}
