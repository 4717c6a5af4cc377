/**
 * A topic that was joined: its sessions, and a search at each discovery.
 */
import type { PeerDiscovery } from "./abilities.ts";
import type { TopicRoles } from "./topic_machine.ts";
import { TopicSearch, type TopicSearchHost } from "./topic_search.ts";

/** Options of `join`, and of {@linkcode TopicSession.refresh}. */
export interface JoinOptions {
  /** Announces this side, and accepts connections; true by default. */
  readonly server?: boolean;
  /** Looks for others, and connects to them; true by default. */
  readonly client?: boolean;
  /** How many peers of the topic to be connected to before no more are dialed; no limit by default. */
  readonly limit?: number;
}

/** A {@linkcode JoinOptions} with every choice made. */
interface SessionState extends TopicRoles {
  readonly limit: number;
}

/** What a topic is made with. */
export interface TopicConfig {
  /** The topic, 32 bytes. */
  readonly topic: Uint8Array;
  /** What its tags are made with. */
  readonly key: Uint8Array;
  /** Whether only peers that know a secret count. */
  readonly needsSecret: boolean;
  /** Where it is announced and looked for. */
  readonly discoveries: readonly PeerDiscovery[];
  /** Resolves when an earlier announcement of the same topic is withdrawn. */
  readonly after: Promise<void>;
}

/** See the head of the file. */
export class Topic {
  /** What it is made with. */
  readonly config: TopicConfig;
  readonly #searches: readonly TopicSearch[];
  readonly #sessions = new Map<TopicSession, SessionState>();
  readonly #onLastLeft: (topic: Topic) => Promise<void>;

  /** A topic without sessions; calls `onLastLeft` when it has none again. */
  constructor(config: TopicConfig, host: TopicSearchHost, onLastLeft: (topic: Topic) => Promise<void>) {
    this.config = config;
    this.#onLastLeft = onLastLeft;
    this.#searches = config.discoveries.map((discovery) =>
      new TopicSearch(host, discovery, config.topic, config.after)
    );
  }

  /** Whether a session announces. */
  get isServer(): boolean {
    return [...this.#sessions.values()].some((state) => state.isServer);
  }

  /** Whether a session looks for peers. */
  get isClient(): boolean {
    return [...this.#sessions.values()].some((state) => state.isClient);
  }

  /** The highest limit among the sessions that look for peers. */
  get limit(): number {
    return Math.max(0, ...[...this.#sessions.values()].map((state) => state.isClient ? state.limit : 0));
  }

  /** Opens a session. */
  join(options: JoinOptions): TopicSession {
    const state = resolve(options);
    const session = new TopicSession(this);
    this.#sessions.set(session, state);
    this.#applyRoles();
    return session;
  }

  /** What `session` is; undefined once it has left. */
  stateOf(session: TopicSession): TopicRoles | undefined {
    return this.#sessions.get(session);
  }

  /** Changes what `session` is, and looks again. */
  async update(session: TopicSession, options: JoinOptions): Promise<void> {
    const before = this.#sessions.get(session);
    if (before === undefined) throw new TypeError("The session has left its topic: join again");
    const { isServer: server, isClient: client, limit } = before;
    this.#sessions.set(session, resolve({ server, client, limit, ...options }));
    this.#applyRoles();
    for (const search of this.#searches) search.refresh();
    await this.flushed();
  }

  /** Ends `session`. */
  async leave(session: TopicSession): Promise<void> {
    if (!this.#sessions.delete(session)) return;
    if (this.#sessions.size === 0) await this.#onLastLeft(this);
    else this.#applyRoles();
  }

  /** Ends all sessions; resolves when nothing is announced any more. */
  async close(): Promise<void> {
    this.#sessions.clear();
    this.#applyRoles();
    await this.suspend();
  }

  /** Resolves when each search has done, or failed, once what the roles ask for. */
  async flushed(): Promise<void> {
    await Promise.all(this.#searches.map((search) => search.flushed()));
  }

  /** The network is another one. */
  renew(): void {
    for (const search of this.#searches) search.renew();
  }

  /** Withdraws and waits. */
  async suspend(): Promise<void> {
    await Promise.all(this.#searches.map((search) => search.suspend()));
  }

  /** Goes on. */
  resume(): void {
    for (const search of this.#searches) search.resume();
  }

  #applyRoles(): void {
    const { isServer, isClient } = this;
    for (const search of this.#searches) search.setRoles({ isServer, isClient });
  }
}

/** One reason to be in a topic. The swarm leaves the topic with the last of them. */
export class TopicSession implements AsyncDisposable {
  readonly #topic: Topic;

  /** Used by `Swarm.join`. */
  constructor(topic: Topic) {
    this.#topic = topic;
  }

  /** The topic, 32 bytes. */
  get topic(): Uint8Array {
    return this.#topic.config.topic;
  }

  /** Whether this session announces. */
  get isServer(): boolean {
    return this.#topic.stateOf(this)?.isServer ?? false;
  }

  /** Whether this session looks for peers. */
  get isClient(): boolean {
    return this.#topic.stateOf(this)?.isClient ?? false;
  }

  /** Whether it has left its topic. */
  get isClosed(): boolean {
    return this.#topic.stateOf(this) === undefined;
  }

  /**
   * Resolves when the topic is announced and looked for, or that has failed, at every discovery. Never rejects, and never
   * takes longer than half a minute.
   */
  flushed(): Promise<void> {
    return this.#topic.flushed();
  }

  /**
   * Looks for peers again now, and changes what `options` names. Resolves as {@linkcode flushed}.
   *
   * @throws {TypeError} if the session is closed, or would be neither server nor client.
   */
  refresh(options: JoinOptions = {}): Promise<void> {
    return this.#topic.update(this, options);
  }

  /** Leaves the topic, as far as this session goes. Connections stay. Resolves when the announcement is withdrawn. */
  close(): Promise<void> {
    return this.#topic.leave(this);
  }

  /** See {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function resolve({ server = true, client = true, limit = Infinity }: JoinOptions): SessionState {
  if (!server && !client) {
    throw new TypeError("Joining as neither server nor client does nothing: choose one or both");
  }
  if (!(limit >= 0)) throw new RangeError(`limit must be 0 or more, not ${limit}`);
  return { isServer: server, isClient: client, limit };
}
