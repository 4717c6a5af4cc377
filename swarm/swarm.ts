/**
 * The swarm as applications see it: topics to join, peers to keep, connections to take.
 */
import { PUBLIC_KEY_BYTES, requireSize } from "../core/crypto/sizes.ts";
import { ConnectError } from "../core/runtime/errors.ts";
import type { KeyPair } from "../core/runtime/crypto_provider.ts";
import { TypedEventTarget } from "../core/runtime/events.ts";
import type { Runtime } from "../core/runtime/runtime.ts";
import type { Connection } from "../core/stream/connection.ts";
import type { PeerRecord } from "../transports/transport.ts";
import { isNetworkWatcher, isSuspendable, type Suspendable } from "./abilities.ts";
import { ConnectionFeed } from "./connection_feed.ts";
import { Engine, type EngineHooks } from "./engine.ts";
import { resolveOptions, type SwarmConfig, type SwarmOptions } from "./options.ts";
import type { PeerInfo } from "./peer.ts";
import type { SwarmStats } from "./stats.ts";
import type { SwarmEvents } from "./swarm_events.ts";
import type { TopicSession } from "./topic.ts";
import type { SwarmJoinOptions } from "./topic_set.ts";

/**
 * Finds the peers of topics, connects to them, and stays connected.
 *
 * Take connections with `for await`, or by the `connection` event; both see all of them. A loop begins with the connections
 * that are open. Nobody has to take them: what a peer sends then waits, bounded, and slows that peer down. A failure of a
 * connection never becomes an error of the process; `connection.closed` tells of it.
 *
 * @example Two peers in a simulated network; in a program, pass `await loadSystemRuntime()` and real transports.
 * ```ts
 * import { loadCryptoProvider } from "../core/crypto/provider.ts";
 * import { SeededRandom, VirtualClock } from "../core/runtime/virtual.ts";
 * import { macrotask } from "../core/runtime/system.ts";
 * import { MemoryDiscovery, MemoryTransport, SimulatedNetwork } from "../transports/memory/mod.ts";
 * import { Swarm } from "./mod.ts";
 *
 * const runtime = {
 *   clock: new VirtualClock(),
 *   random: new SeededRandom(1),
 *   crypto: await loadCryptoProvider({ prefer: "wasm" }),
 * };
 * const network = new SimulatedNetwork(runtime);
 * const newSwarm = () => {
 *   const host = network.host();
 *   return new Swarm(runtime, {
 *     transports: [new MemoryTransport(host)],
 *     discoveries: [new MemoryDiscovery(host)],
 *   });
 * };
 *
 * const topic = new Uint8Array(32).fill(7);
 * const [alice, bob] = [newSwarm(), newSwarm()];
 * alice.join(topic);
 * bob.join(topic);
 * const heard: number[] = [];
 * void (async () => {
 *   for await (const connection of alice) void connection.write(Uint8Array.of(42));
 * })();
 * void (async () => {
 *   for await (const connection of bob) for await (const [byte] of connection) heard.push(byte!);
 * })();
 *
 * await runtime.clock.runAsync(macrotask, { until: 1000 });
 * console.assert(heard[0] === 42);
 * const closing = Promise.all([alice.close(), bob.close()]);
 * await runtime.clock.runAsync(macrotask);
 * await closing;
 * ```
 */
export class Swarm extends TypedEventTarget<SwarmEvents>
  implements AsyncIterable<Connection>, AsyncDisposable {
  readonly #config: SwarmConfig;
  readonly #engine: Engine;
  readonly #feeds = new Set<ConnectionFeed>();
  readonly #connections = new Map<Connection, PeerInfo>();
  readonly #watching = new AbortController();
  /** Suspending, resuming and closing, one after the other. */
  #transition: Promise<void> = Promise.resolve();
  #closing: Promise<void> | undefined;
  #isUpdating = false;

  /**
   * A swarm that does nothing before it is told to. It does not own what it is given: close the transports and discoveries
   * after the swarm.
   *
   * @throws {TypeError} or {@linkcode RangeError} for options that make no sense.
   */
  constructor(runtime: Runtime, options: SwarmOptions) {
    super();
    this.#config = resolveOptions(runtime, options);
    this.#engine = new Engine(runtime, this.#config, this.#makeHooks());
    for (const part of this.#parts()) {
      if (!isNetworkWatcher(part)) continue;
      part.watchNetwork(() => this.networkChanged(), { signal: this.#watching.signal });
    }
  }

  /** The identity of this side. */
  get keyPair(): KeyPair {
    return this.#config.keyPair;
  }

  /** The connections that the application has, and whose they are. */
  get connections(): ReadonlyMap<Connection, PeerInfo> {
    return this.#connections;
  }

  /** The peers that are known: connected, waited for, or asked for. */
  get peers(): readonly PeerInfo[] {
    return [...this.#engine.book];
  }

  /** The peers that {@linkcode joinPeer} asked for. */
  get explicitPeers(): readonly PeerInfo[] {
    return [...this.#engine.explicitPeers];
  }

  /** The topics that are joined. */
  get topics(): readonly Uint8Array[] {
    return [...this.#engine.topics].map(({ config }) => config.topic);
  }

  /** How many dials are under way. */
  get connecting(): number {
    return this.#engine.connector.dialing;
  }

  /** What has happened so far. */
  get stats(): SwarmStats {
    return this.#engine.stats;
  }

  /** Whether the swarm sleeps. */
  get isSuspended(): boolean {
    return this.#engine.state === "suspended";
  }

  /** Whether the swarm is closed or closing. */
  get isClosed(): boolean {
    return this.#closing !== undefined;
  }

  /** What is known of a peer, or undefined. */
  peer(publicKey: Uint8Array): PeerInfo | undefined {
    return this.#engine.book.get(publicKey);
  }

  /**
   * Joins a topic of 32 bytes: announces this side as a server, looks for others as a client, or both. A topic can be joined
   * several times; the swarm is in it as long as one session is.
   *
   * @throws {TypeError} if the swarm is closed, or the options make no sense; {@linkcode RangeError} for another size.
   */
  join(topic: Uint8Array, options: SwarmJoinOptions = {}): TopicSession {
    this.#requireOpen();
    return this.#engine.topics.join(topic, options);
  }

  /** Ends all sessions of a topic. Connections stay. Resolves when the topic is not announced any more, or after a while. */
  async leave(topic: Uint8Array): Promise<void> {
    await this.#engine.topics.leave(topic);
  }

  /**
   * Connects to a peer and stays connected, whatever the topics and limits. With addresses, no discovery is needed; with
   * the key alone, a transport must be able to find it, or a topic must bring its addresses.
   *
   * @throws {TypeError} if the swarm is closed.
   */
  joinPeer(peer: Uint8Array | PeerRecord): void {
    this.#requireOpen();
    const record = peer instanceof Uint8Array ? { publicKey: peer, addresses: [] } : peer;
    requireSize("publicKey", record.publicKey, PUBLIC_KEY_BYTES);
    this.#engine.joinPeer(record);
  }

  /** Ends {@linkcode joinPeer}. A connection stays. */
  leavePeer(publicKey: Uint8Array): void {
    this.#engine.leavePeer(publicKey);
  }

  /** Keeps a peer out for ever, or until {@linkcode unban}; drops its connection. */
  ban(publicKey: Uint8Array): void {
    requireSize("publicKey", publicKey, PUBLIC_KEY_BYTES);
    this.#engine.ban(publicKey);
  }

  /** Lifts a ban. */
  unban(publicKey: Uint8Array): void {
    this.#engine.book.unban(publicKey);
  }

  /**
   * Accepts connections, as joining a topic as a server does; resolves with what others need to dial this side.
   *
   * @throws {ConnectError} if there is no place to listen at.
   */
  async listen(): Promise<PeerRecord> {
    this.#requireOpen();
    return await this.#engine.listening.record();
  }

  /**
   * Resolves when all topics are announced and looked for, and every peer that was found by then was dialed once, or cannot
   * be for now. Never rejects and never hangs: every step has a limit.
   */
  flush(): Promise<void> {
    return this.#engine.flush();
  }

  /** Tells that the network is another one: connections are tried, topics announced and looked for anew. */
  networkChanged(): void {
    this.#engine.onNetworkChange();
  }

  /** Closes all connections, withdraws all announcements and does nothing until {@linkcode resume}. */
  suspend(): Promise<void> {
    return this.#transit(async () => {
      if (this.#engine.state !== "active") return;
      await this.#engine.halt("suspended");
      await Promise.all(this.#parts().filter(isSuspendable).map((part) => part.suspend()));
    });
  }

  /** Goes on where {@linkcode suspend} stopped: announces, looks, and dials whom it knew. */
  resume(): Promise<void> {
    return this.#transit(async () => {
      if (this.#engine.state !== "suspended") return;
      await Promise.all(this.#parts().filter(isSuspendable).map((part) => part.resume()));
      this.#engine.resume();
    });
  }

  /** Leaves all topics, ends all connections, and resolves when both are done; after a few seconds in any case. */
  close(): Promise<void> {
    return this.#closing ??= this.#transit(async () => {
      this.#watching.abort(new ConnectError("ABORTED", "The swarm was closed"));
      await this.#engine.halt("closed");
      for (const feed of this.#feeds) feed.close();
      this.#feeds.clear();
    });
  }

  /** See {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Yields the connections that are open, and then each new one; ends when the swarm is closed. */
  [Symbol.asyncIterator](): AsyncIterator<Connection> {
    const feed = new ConnectionFeed(this.#connections.keys(), (left) => this.#feeds.delete(left));
    if (this.#engine.state === "closed") feed.close();
    else this.#feeds.add(feed);
    return feed;
  }

  #makeHooks(): EngineHooks {
    return {
      onConnection: ({ connection, peer }) => {
        this.#connections.set(connection, peer);
        for (const feed of this.#feeds) feed.add(connection);
        this.emit("connection", { connection, peer });
      },
      onGone: (connection) => {
        this.#connections.delete(connection);
        for (const feed of this.#feeds) feed.delete(connection);
      },
      onBan: (peer) => this.emit("ban", { peer }),
      onTopic: (peer, topic) => this.emit("topic", { peer, topic }),
      onUpdate: () => this.#scheduleUpdate(),
    };
  }

  #scheduleUpdate(): void {
    if (this.#isUpdating) return;
    this.#isUpdating = true;
    this.#engine.runtime.clock.defer(() => {
      this.#isUpdating = false;
      this.#engine.stats.updates++;
      this.emit("update", this.stats);
    });
  }

  /** What was passed in, each once: a DHT is a transport and a discovery. */
  #parts(): (object | Suspendable)[] {
    return [...new Set<object>([...this.#config.transports, ...this.#config.discoveries])];
  }

  #transit(step: () => Promise<void>): Promise<void> {
    return this.#transition = this.#transition.then(step, step);
  }

  #requireOpen(): void {
    if (this.#closing !== undefined) throw new TypeError("The swarm is closed: make another one");
  }
}
