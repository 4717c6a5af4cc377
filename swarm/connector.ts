/**
 * Dials peers: in order of priority, a few at a time, within the limits, and again after a pause when that fails.
 */
import { Deadlines } from "../core/runtime/deadlines.ts";
import { ConnectError, HyphaError, toError } from "../core/runtime/errors.ts";
import type { Runtime, Timer } from "../core/runtime/runtime.ts";
import type { Connection } from "../core/stream/connection.ts";
import type { Dialer } from "../transports/dialer.ts";
import { BUSY_BACKOFF_MS, BUSY_JITTER_MS, MAX_BUSY } from "./constants.ts";
import { DialAttempt } from "./dial_attempt.ts";
import type { Firewall, FirewallVerdict } from "./firewall.ts";
import type { SwarmConfig } from "./options.ts";
import type { Peer } from "./peer.ts";
import { PeerQueue } from "./peer_queue.ts";
import { retryDelayMs } from "./retry.ts";

/** What the connector needs of the swarm. */
export interface ConnectorHost {
  readonly runtime: Runtime;
  readonly config: SwarmConfig;
  readonly firewall: Firewall;
  /** Connections that are open, and those among them that this side has dialed. */
  counts(): { readonly all: number; readonly client: number };
  /** How many peers the application has asked for by key. */
  explicitCount(): number;
  /** Whether the peer is still to be dialed. */
  isWanted(peer: Peer): boolean;
  /** Where to dial the peer, and with what. */
  route(peer: Peer): { readonly dialer: Dialer; readonly addresses: readonly string[] };
  /** A dial begins. */
  onDialing(peer: Peer): void;
  /** A dial has won. */
  onDialed(peer: Peer, connection: Connection): void;
  /** A dial has come through after the peer's own: see {@linkcode Connector.yieldTo}. */
  onCrossed(peer: Peer, connection: Connection): void;
  /** A dial has failed; true if the peer is connected nonetheless. */
  onFailed(peer: Peer, error: Error, verdict: FirewallVerdict): boolean;
  /** The peer is left alone from now on. */
  onIdle(peer: Peer): void;
  /** The queue has moved. */
  onChange(): void;
}

/** What a dial ends with when one of both sides is too busy. */
const BUSY_CODE = "TRY_LATER";

/** Failures of a dial that a relay may mend (hyperswarm 4.17.2, and ours). */
const RELAY_CODES: ReadonlySet<unknown> = new Set([
  BUSY_CODE,
  "HOLEPUNCH_ABORTED",
  "HOLEPUNCH_DOUBLE_RANDOMIZED_NATS",
  "CANNOT_HOLEPUNCH",
  "REMOTE_NOT_HOLEPUNCHABLE",
]);

/** See the head of the file. */
export class Connector {
  readonly #host: ConnectorHost;
  readonly #explicit: PeerQueue<Peer>;
  readonly #others: PeerQueue<Peer>;
  readonly #attempts = new Map<Peer, DialAttempt>();
  /** Dials of peers whose own dial was faster. */
  readonly #crossed = new Map<Peer, DialAttempt>();
  readonly #retries = new Deadlines<Peer>();
  readonly #timer: Timer;
  #isActive = true;
  #isDraining = false;

  /** A connector with nothing to do. */
  constructor(host: ConnectorHost) {
    const { random, clock } = host.runtime;
    this.#host = host;
    this.#explicit = new PeerQueue(random.fork("explicit queue"));
    this.#others = new PeerQueue(random.fork("queue"));
    this.#timer = clock.schedule(Infinity, () => this.#onRetry());
  }

  /** Dials under way. */
  get dialing(): number {
    return this.#attempts.size;
  }

  /** Whether peers wait for their turn and will have it. */
  get canProceed(): boolean {
    if (!this.#isActive || this.#host.config.maxParallel === 0) return false;
    return this.#explicit.size > 0 || (this.#others.size > 0 && this.#hasRoom());
  }

  /** Dials `peer`, which was found at the addresses `fresh` that were not known, as soon as it is its turn. */
  want(peer: Peer, fresh: readonly string[]): void {
    if (!this.#isActive || peer.isBanned) return;
    if (peer.phase === "dialing") this.#attempts.get(peer)?.add(fresh);
    else if (peer.phase === "idle") this.#enqueue(peer);
    else if (peer.phase === "waiting" && (fresh.length > 0 || peer.isExplicit)) this.#enqueue(peer);
  }

  /** Dials `peer`, whose dial has failed or whose connection is gone, after a pause, if it is wanted. */
  retry(peer: Peer, isBusy: boolean = false): void {
    const { runtime: { random, clock }, config } = this.#host;
    const isDue = this.#isActive && peer.isReconnecting && !peer.isBanned && this.#host.isWanted(peer);
    const usual = () => retryDelayMs(peer, random, config.backoffsMs);
    const delay = !isDue ? undefined : isBusy ? BUSY_BACKOFF_MS + random.below(BUSY_JITTER_MS) : usual();
    if (delay === undefined) {
      this.#drop(peer);
      return;
    }
    peer.move("waiting");
    this.#retries.set(peer, clock.now() + delay);
    this.#timer.reset(this.#retries.next);
  }

  /** Ends whatever goes on with `peer`, and leaves its phase to the caller. */
  take(peer: Peer): void {
    this.#queueOf(peer).delete(peer);
    this.#retries.delete(peer);
    for (const dials of [this.#attempts, this.#crossed]) {
      const attempt = dials.get(peer);
      dials.delete(peer);
      attempt?.cancel(new ConnectError("ABORTED", "The dial was given up"));
    }
  }

  /**
   * As {@linkcode take}, for a peer whose own dial was faster. A dial that is on goes on beside, because the peer may drop its own
   * for it: hyperswarm 4.17.2 does, with the larger key, if its own has moved bytes by the time at which ours arrives.
   */
  yieldTo(peer: Peer): void {
    const attempt = this.#attempts.get(peer);
    if (attempt?.isStarted === true) this.#attempts.delete(peer);
    this.take(peer);
    if (attempt?.isStarted === true) this.#crossed.set(peer, attempt);
  }

  /** Lets go of `peer` if it is no longer wanted. */
  dropIfUnwanted(peer: Peer): void {
    if (peer.phase === "connected" || peer.phase === "idle" || this.#host.isWanted(peer)) return;
    this.#drop(peer);
    this.drain();
  }

  /** Sets whether `joinPeer` asked for the peer. */
  setExplicit(peer: Peer, isExplicit: boolean): void {
    const isQueued = peer.queueIndex !== -1;
    this.#queueOf(peer).delete(peer);
    peer.isExplicit = isExplicit;
    if (isQueued) this.#queueOf(peer).add(peer);
  }

  /** Dials all who wait for a pause to end as soon as it is their turn: the network may be better now. */
  hurry(peers: Iterable<Peer>): void {
    for (const peer of peers) if (peer.phase === "waiting") this.#enqueue(peer);
  }

  /** Gives up all dials and pauses. */
  suspend(peers: Iterable<Peer>): void {
    this.#isActive = false;
    this.#timer.cancel();
    for (const peer of [...this.#crossed.keys()]) this.take(peer);
    for (const peer of [...peers]) if (peer.phase !== "connected" && peer.phase !== "idle") this.#drop(peer);
  }

  /** Dials again from now on. */
  resume(): void {
    this.#isActive = true;
  }

  /** Dials whose turn it is. */
  drain(): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    while (this.#isActive && this.#attempts.size < this.#host.config.maxParallel) {
      const peer = this.#explicit.shift() ?? (this.#hasRoom() ? this.#others.shift() : undefined);
      if (peer === undefined) break;
      if (this.#host.isWanted(peer)) this.#dial(peer);
      else {
        peer.move("idle");
        this.#host.onIdle(peer);
      }
    }
    this.#isDraining = false;
    this.#host.onChange();
  }

  #hasRoom(): boolean {
    const { config } = this.#host;
    const { all, client } = this.#host.counts();
    const explicit = this.#host.explicitCount();
    const factor = explicit === 0 ? 1 : explicit < 2 ? 2 : explicit < 4 ? 3 : 4;
    const dialing = this.#attempts.size;
    return factor * (all + dialing) < config.maxPeers && client + dialing < config.maxClientConnections;
  }

  #queueOf(peer: Peer): PeerQueue<Peer> {
    return peer.isExplicit ? this.#explicit : this.#others;
  }

  #enqueue(peer: Peer): void {
    this.#retries.delete(peer);
    peer.move("queued");
    peer.rank();
    this.#queueOf(peer).add(peer);
    this.drain();
  }

  #drop(peer: Peer): void {
    this.take(peer);
    peer.move("idle");
    this.#host.onIdle(peer);
  }

  #onRetry(): void {
    const now = this.#host.runtime.clock.now();
    for (let peer = this.#retries.popDue(now); peer !== undefined; peer = this.#retries.popDue(now)) {
      this.#enqueue(peer);
    }
    this.#timer.reset(this.#retries.next);
  }

  #dial(peer: Peer): void {
    this.take(peer);
    const attempt = new DialAttempt(peer.publicKey);
    this.#attempts.set(peer, attempt);
    peer.move("dialing");
    this.#host.onDialing(peer);
    const verdict = this.#host.firewall.check(peer.publicKey);
    if (typeof verdict === "string") this.#start(peer, attempt, verdict);
    else void verdict.then((later) => this.#start(peer, attempt, later));
  }

  #start(peer: Peer, attempt: DialAttempt, verdict: FirewallVerdict): void {
    if (this.#attempts.get(peer) !== attempt) return;
    attempt.result.then(
      (connection) => this.#onDialed(peer, attempt, connection),
      (error) => this.#onFailed(peer, attempt, toError(error), verdict),
    );
    if (verdict === "allow") {
      const { dialer, addresses } = this.#host.route(peer);
      attempt.start(dialer, addresses);
    } else {
      attempt.cancel(new ConnectError("CONNECTION_REFUSED", "The firewall forbids to dial the peer"));
    }
  }

  #onDialed(peer: Peer, attempt: DialAttempt, connection: Connection): void {
    if (this.#attempts.get(peer) !== attempt) {
      if (this.#crossed.get(peer) !== attempt) return connection.abort();
      this.#crossed.delete(peer);
      return this.#host.onCrossed(peer, connection);
    }
    this.#attempts.delete(peer);
    peer.timesBusy = 0;
    this.#host.onDialed(peer, connection);
    this.drain();
  }

  #onFailed(peer: Peer, attempt: DialAttempt, error: Error, verdict: FirewallVerdict): void {
    if (this.#crossed.get(peer) === attempt) this.#crossed.delete(peer);
    if (this.#attempts.get(peer) !== attempt) return;
    this.#attempts.delete(peer);
    const isBusy = hasCode(error, (code) => code === BUSY_CODE) && peer.timesBusy++ < MAX_BUSY;
    if (!isBusy) peer.attempts++;
    if (!peer.needsRelay && isForRelay(error)) {
      peer.needsRelay = true;
      peer.attempts = 0;
    }
    const isConnected = this.#host.onFailed(peer, error, verdict);
    if (!isConnected && peer.phase === "dialing") this.retry(peer, isBusy);
    this.drain();
  }
}

function isForRelay(error: unknown): boolean {
  return hasCode(error, (code) => RELAY_CODES.has(code));
}

/** Whether an error, or one that caused it, has such a code. */
function hasCode(error: unknown, isIt: (code: string) => boolean): boolean {
  return error instanceof HyphaError && (isIt(error.code) || hasCode(error.cause, isIt));
}
