/**
 * What a swarm is made of, and how the parts hang together: topics find peers, the connector dials them, the reception takes
 * those who dial, the membership keeps the connections.
 */
import { toHex } from "../encoding/text.ts";
import { ConnectError, HyphaError } from "../core/runtime/errors.ts";
import type { Runtime } from "../core/runtime/runtime.ts";
import type { TraceEvent } from "../core/runtime/trace.ts";
import type { Connection } from "../core/stream/connection.ts";
import { PUBLIC_KEY_BYTES } from "../core/crypto/sizes.ts";
import type { PeerRecord } from "../transports/transport.ts";
import type { PeerDiscovery } from "./abilities.ts";
import { LEAVE_TIMEOUT_MS, STABLE_CONNECTION_MS } from "./constants.ts";
import { Connector } from "./connector.ts";
import { Firewall, type FirewallVerdict } from "./firewall.ts";
import { FlushWaiters } from "./flush_waiters.ts";
import { Listening } from "./listening.ts";
import { type Member, MemberSet } from "./member.ts";
import { Membership, type Purpose } from "./membership.ts";
import type { SwarmConfig } from "./options.ts";
import type { Peer } from "./peer.ts";
import { PeerBook } from "./peer_book.ts";
import { Reception, type RefusalReason } from "./reception.ts";
import { Routes } from "./routes.ts";
import { newCounters, type SwarmCounters } from "./stats.ts";
import type { Topic } from "./topic.ts";
import { TopicSet } from "./topic_set.ts";
import { within } from "./within.ts";

/** What the engine tells the swarm. */
export interface EngineHooks {
  /** The application may have a connection. */
  onConnection(member: Member): void;
  /** A connection is gone, whether shown or not. */
  onGone(connection: Connection): void;
  /** A peer was banned. */
  onBan(peer: Peer): void;
  /** A peer has a topic. */
  onTopic(peer: Peer, topic: Uint8Array): void;
  /** Something else has changed. */
  onUpdate(): void;
}

/** Whether a swarm works, sleeps, or is over. */
export type EngineState = "active" | "suspended" | "closed";

/** See the head of the file. */
export class Engine {
  readonly runtime: Runtime;
  readonly config: SwarmConfig;
  readonly stats: SwarmCounters = newCounters();
  readonly members: MemberSet = new MemberSet();
  readonly flushes: FlushWaiters = new FlushWaiters();
  readonly book: PeerBook;
  readonly firewall: Firewall;
  readonly topics: TopicSet;
  readonly connector: Connector;
  readonly reception: Reception;
  readonly membership: Membership;
  readonly listening: Listening;
  readonly #routes: Routes;
  readonly #hooks: EngineHooks;
  readonly #sortsByProof: boolean;
  readonly #explicit = new Set<Peer>();
  #state: EngineState = "active";
  #isReshowing = false;

  /** The parts of a swarm with nothing to do. */
  constructor(runtime: Runtime, config: SwarmConfig, hooks: EngineHooks) {
    this.runtime = runtime;
    this.config = config;
    this.#hooks = hooks;
    this.#sortsByProof = config.discoveries.some(({ knowsTopics }) => knowsTopics === false);
    this.book = new PeerBook(config.keyPair.publicKey, (peer, topic) => hooks.onTopic(peer, topic));
    this.firewall = new Firewall(runtime.clock, this.book, config.firewall);
    this.#routes = new Routes(runtime, config, (publicKey) => this.#isDenied(publicKey));
    this.topics = this.#makeTopics();
    this.connector = this.#makeConnector();
    this.membership = this.#makeMembership();
    this.reception = this.#makeReception();
    this.listening = new Listening({
      publicKey: config.keyPair.publicKey,
      dialers: this.#routes.listeningDialers,
      onConnection: (connection) => this.reception.accept(connection),
      onFailed: ({ scheme }, error) => this.trace("listen failed", { scheme, error: describe(error) }),
    });
  }

  /** Whether the engine works. */
  get state(): EngineState {
    return this.#state;
  }

  /** Peers that the application has asked for by key. */
  get explicitPeers(): ReadonlySet<Peer> {
    return this.#explicit;
  }

  /** Asks for a peer by its key. */
  joinPeer(record: PeerRecord): void {
    const peer = this.book.obtain(record.publicKey, true);
    if (peer === undefined) return;
    this.#explicit.add(peer);
    this.connector.setExplicit(peer, true);
    this.connector.want(peer, this.#learn(peer, record));
    this.members.get(peer)?.proof?.show(this.#showing(peer));
    this.#update();
  }

  /** Ends {@linkcode joinPeer}. */
  leavePeer(publicKey: Uint8Array): void {
    const peer = this.book.get(publicKey);
    if (peer === undefined || !this.#explicit.delete(peer)) return;
    this.connector.setExplicit(peer, false);
    this.connector.dropIfUnwanted(peer);
    this.book.forgetIfIdle(peer);
    this.members.get(peer)?.proof?.show(this.#showing(peer));
    this.#update();
  }

  /** Keeps a peer out: drops its connection and takes no other. */
  ban(publicKey: Uint8Array): void {
    const peer = this.book.obtain(publicKey, true);
    if (peer === undefined || peer.isBanned) return;
    this.book.ban(peer);
    this.stats.bannedPeers++;
    this.trace("ban", { peer: peer.id });
    this.members.get(peer)?.connection.abort(refused("The peer was banned"));
    this.reception.dismiss(peer);
    this.connector.dropIfUnwanted(peer);
    this.#hooks.onBan(peer);
    this.#forgetIfIdle(peer);
    this.#update();
  }

  /** Resolves when all that is to be found now was found, and dialed once if that is possible. */
  async flush(): Promise<void> {
    await this.topics.flushed();
    const waiting = this.flushes.wait(this.book);
    this.#checkFlushes();
    await waiting;
  }

  /** All is to be tried again: the network is another one. */
  onNetworkChange(): void {
    if (this.#state !== "active") return;
    this.trace("network change", {});
    this.membership.nudge();
    this.connector.hurry(this.book);
    this.topics.renew();
  }

  /** Stops everything, for now or for ever, and drops all connections. */
  async halt(state: "suspended" | "closed"): Promise<void> {
    this.#state = state;
    this.connector.suspend(this.book);
    this.reception.clear();
    const withdrawn = state === "suspended"
      ? this.topics.suspend()
      : within(this.runtime.clock, LEAVE_TIMEOUT_MS, this.topics.leaveAll());
    const stopped = this.listening.stop();
    if (state === "suspended") await this.membership.abortAll(refused("The swarm was suspended"));
    else await this.membership.closeAll();
    await Promise.all([withdrawn, stopped]);
    this.flushes.check(true);
    this.#update();
  }

  /** Goes on after a suspension: listens, announces and dials whom it knew. */
  resume(): void {
    this.#state = "active";
    this.connector.resume();
    // Neither a port that is taken by now nor a network that is gone must keep the rest asleep: announcing tries again.
    this.listening.restart().catch(() => {});
    this.topics.resume();
    for (const peer of [...this.book]) {
      peer.attempts = 0;
      if (this.#isWanted(peer)) this.connector.want(peer, []);
      else this.#forgetIfIdle(peer);
    }
  }

  /** Reports to whom the options name. */
  trace(what: string, data: TraceEvent["data"]): void {
    this.config.trace?.({ at: this.runtime.clock.now(), part: "swarm", what, data });
  }

  #makeTopics(): TopicSet {
    return new TopicSet({
      runtime: this.runtime,
      discoveries: this.config.discoveries,
      channels: this.config.channels,
      selfRecord: (discovery) => this.listening.recordFor(discovery),
      onFound: (record, topic, discovery) => this.#onFound(record, topic, discovery),
      onTried: (what, error) => this.#onTried(what, error),
      onTopicsChanged: () => this.#onTopicsChanged(),
      onTopicLeft: (topic) => this.#onTopicLeft(topic),
    });
  }

  #makeConnector(): Connector {
    return new Connector({
      runtime: this.runtime,
      config: this.config,
      firewall: this.firewall,
      counts: () => ({ all: this.members.size, client: this.members.clients }),
      explicitCount: () => this.#explicit.size,
      isWanted: (peer) => this.#isWanted(peer),
      route: (peer) => this.#routes.to(peer),
      onDialing: (peer) => {
        this.stats.connects.client.attempted++;
        this.trace("dial", { peer: peer.id, attempts: peer.attempts, isRelayed: peer.needsRelay });
      },
      onDialed: (peer, connection) => {
        this.reception.dismiss(peer);
        this.membership.admit(peer, connection);
      },
      onCrossed: (peer, connection) => this.#onCrossed(peer, connection),
      onFailed: (peer, error, verdict) => this.#onDialFailed(peer, error, verdict),
      onIdle: (peer) => this.#forgetIfIdle(peer),
      onChange: () => this.#update(),
    });
  }

  #makeMembership(): Membership {
    return new Membership({
      runtime: this.runtime,
      config: this.config,
      members: this.members,
      showing: (peer) => this.#showing(peer),
      purposeOf: (peer, connection) => this.#purposeOf(peer, connection),
      take: (peer) => this.connector.take(peer),
      yieldTo: (peer) => this.connector.yieldTo(peer),
      onShown: (member) => this.#onShown(member),
      onClosed: (member, error, isCurrent) => this.#onClosed(member, error, isCurrent),
      onUnproven: ({ peer }) => {
        this.stats.unproven++;
        peer.isUnrelated = peer.isNearby;
        this.trace("unproven", { peer: peer.id });
      },
    });
  }

  #makeReception(): Reception {
    return new Reception({
      runtime: this.runtime,
      firewall: this.firewall,
      book: this.book,
      members: this.members,
      maxServerConnections: this.config.maxServerConnections,
      isOpen: () => this.#state === "active",
      admit: (peer, connection) => this.membership.admit(peer, connection),
      onRefused: (connection, reason, verdict) => this.#onRefused(connection, reason, verdict),
    });
  }

  // Topics

  #onFound(record: PeerRecord, topicBytes: Uint8Array, discovery: PeerDiscovery): void {
    const topic = this.topics.get(topicBytes);
    if (topic === undefined || record.publicKey.length !== PUBLIC_KEY_BYTES) return;
    if (this.book.isOwn(record.publicKey) || this.book.isBanned(record.publicKey)) return;
    const peer = this.book.obtain(record.publicKey, false);
    if (peer === undefined) {
      this.stats.droppedPeers++;
      return;
    }
    const fresh = this.#learn(peer, record);
    if (discovery.knowsTopics === false) peer.isNearby = true;
    else if (topic.config.needsSecret) peer.addCandidateTopic(topicBytes);
    else peer.addTopic(topicBytes);
    const isCalledFor = peer.phase !== "idle" || (!this.#isAtLimit(topic) && this.#isWanted(peer));
    if (isCalledFor) this.connector.want(peer, fresh);
    this.#forgetIfIdle(peer);
  }

  /** Notes where `peer` was seen; returns the addresses that are another way to it than all before. */
  #learn(peer: Peer, { addresses }: PeerRecord): string[] {
    return peer.learn(addresses).filter((address) => !this.#routes.isByKey(address));
  }

  #isAtLimit({ limit, config }: Topic): boolean {
    if (limit === Infinity) return false;
    let busy = 0;
    for (const peer of this.book) if (peer.phase !== "idle" && peer.hasTopic(config.topic)) busy++;
    return busy >= limit;
  }

  #onTried(what: "announce" | "lookup", error: unknown): void {
    const counters = what === "lookup" ? this.stats.lookups : this.stats.announcements;
    if (error === undefined) counters.done++;
    else counters.failed++;
    this.trace(what, error === undefined ? {} : { error: describe(error) });
    this.#update();
  }

  #onTopicsChanged(): void {
    for (const peer of [...this.book]) {
      peer.isUnrelated = false;
      this.#forgetIfIdle(peer);
    }
    this.#reshow();
    this.#update();
  }

  /** Shows the topics to all at the end of the turn: who joins a thousand does so once. */
  #reshow(): void {
    if (this.#isReshowing) return;
    this.#isReshowing = true;
    this.runtime.clock.defer(() => {
      this.#isReshowing = false;
      this.membership.reshow();
    });
  }

  #onTopicLeft(topic: Uint8Array): void {
    for (const peer of [...this.book]) {
      peer.removeTopic(topic);
      this.connector.dropIfUnwanted(peer);
    }
  }

  #isWanted(peer: Peer): boolean {
    if (peer.isBanned) return false;
    if (peer.isExplicit) return true;
    if (peer.isNearby && !peer.isUnrelated && this.topics.hasClient) return true;
    return peer.allTopics.some((topic) => this.topics.get(topic)?.isClient === true);
  }

  #showing(peer: Peer) {
    return { topics: this.topics.provable, isExplicit: peer.isExplicit };
  }

  #purposeOf(peer: Peer, connection: Connection): Purpose {
    const isOpen = (topic: Uint8Array) => this.topics.get(topic)?.config.needsSecret === false;
    if (peer.isExplicit || peer.topics.some(isOpen)) return "given";
    if (connection.isInitiator || (this.topics.size > 0 && !this.topics.hasOpenServer)) return "none";
    return this.#sortsByProof ? "possible" : "given";
  }

  // Peers

  #onDialFailed(peer: Peer, error: Error, verdict: FirewallVerdict): boolean {
    this.stats.connects.client.failed++;
    this.trace("dial failed", { peer: peer.id, error: describe(error) });
    if (verdict === "deny") this.ban(peer.publicKey);
    return this.reception.replace(peer);
  }

  /** A dial has come through though the peer's was faster; which of both stays is the peer's to say. */
  #onCrossed(peer: Peer, connection: Connection): void {
    if (peer.isBanned) connection.abort(refused("The peer was banned"));
    else if (this.members.get(peer) === undefined) this.membership.admit(peer, connection);
    else this.reception.holdBeside(peer, connection);
  }

  #onRefused(connection: Connection, reason: RefusalReason, verdict: FirewallVerdict): void {
    if (reason === "duplicate") this.stats.duplicates++;
    else this.stats.connects.server.refused++;
    this.trace("refused", { peer: toHex(connection.remotePublicKey), reason });
    if (verdict === "deny") this.ban(connection.remotePublicKey);
    this.#update();
  }

  #onShown(member: Member): void {
    const { connection, peer } = member;
    const counters = connection.isInitiator ? this.stats.connects.client : this.stats.connects.server;
    counters.opened++;
    this.trace("connection", { peer: peer.id, isInitiator: connection.isInitiator });
    this.#hooks.onConnection(member);
    this.#update();
  }

  #onClosed(member: Member, error: Error | undefined, isCurrent: boolean): void {
    const { peer, connection, isShown, hasCrossed, openedAt } = member;
    const { client, server } = this.stats.connects;
    if (isShown) (connection.isInitiator ? client : server).closed++;
    if (!isCurrent) this.stats.duplicates++;
    this.trace("closed", { peer: peer.id, error: error === undefined ? "" : describe(error) });
    this.#hooks.onGone(connection);
    if (isCurrent && !this.reception.replace(peer)) {
      // Who dialed dials again: if both did, they would cross each time. But if they have just crossed, each may have dropped the
      // one and lost the other, and take itself for the side that has been dialed.
      const isYoung = this.runtime.clock.now() - openedAt < STABLE_CONNECTION_MS;
      if (connection.isInitiator || peer.isExplicit || (hasCrossed && isYoung)) this.connector.retry(peer);
      else {
        this.connector.take(peer);
        peer.move("idle");
        this.#forgetIfIdle(peer);
      }
    }
    this.connector.drain();
    this.#update();
  }

  /** Nothing is forgotten while asleep: it is dialed again on waking. */
  #forgetIfIdle(peer: Peer): void {
    if (this.#state !== "suspended") this.book.forgetIfIdle(peer);
  }

  async #isDenied(publicKey: Uint8Array): Promise<boolean> {
    const verdict = await this.firewall.check(publicKey);
    if (verdict === "deny") this.ban(publicKey);
    return verdict !== "allow";
  }

  #update(): void {
    this.#checkFlushes();
    this.#hooks.onUpdate();
  }

  #checkFlushes(): void {
    const isStuck = this.connector.dialing === 0 && !this.connector.canProceed;
    this.flushes.check(isStuck || this.#state !== "active");
  }
}

function refused(why: string): ConnectError {
  return new ConnectError("CONNECTION_REFUSED", why);
}

function describe(error: unknown): string {
  return error instanceof HyphaError ? `${error.code}: ${error.message}` : String(error);
}
