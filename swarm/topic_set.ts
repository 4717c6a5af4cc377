/**
 * The topics that a swarm is in.
 */
import { equals } from "../encoding/bytes.ts";
import { toHex } from "../encoding/text.ts";
import type { PeerDiscovery } from "./abilities.ts";
import { requireTopic } from "./peer.ts";
import { type JoinOptions, Topic, type TopicSession } from "./topic.ts";
import type { ProvableTopic } from "./topic_proof.ts";
import type { TopicSearchHost } from "./topic_search.ts";
import { topicKey } from "./topic_tags.ts";

/** Options of `Swarm.join`. */
export interface SwarmJoinOptions extends JoinOptions {
  /**
   * A secret of the group, at least 16 random bytes: only peers that know it too count as peers of the topic. A connection
   * that has no other purpose is not shown before the peer has proven it, and closed if it does not. Needs `channels`.
   */
  readonly secret?: Uint8Array;
}

/** What the topics need of the swarm. */
export interface TopicSetHost extends TopicSearchHost {
  readonly discoveries: readonly PeerDiscovery[];
  readonly channels: boolean;
  /** A topic was joined or left. */
  onTopicsChanged(): void;
  /** A topic was left. */
  onTopicLeft(topic: Uint8Array): void;
}

const MIN_SECRET_BYTES = 16;

/** See the head of the file. */
export class TopicSet implements Iterable<Topic> {
  readonly #host: TopicSetHost;
  readonly #topics = new Map<string, Topic>();
  /** Topics whose announcements are not withdrawn yet. */
  readonly #leaving = new Map<string, Promise<void>>();
  #provable: readonly ProvableTopic[] = [];
  #isSuspended = false;

  /** No topics. */
  constructor(host: TopicSetHost) {
    this.#host = host;
  }

  /** How many topics there are. */
  get size(): number {
    return this.#topics.size;
  }

  /** What there is to prove to peers. */
  get provable(): readonly ProvableTopic[] {
    return this.#provable;
  }

  /** Whether peers are looked for under any topic. */
  get hasClient(): boolean {
    return [...this].some(({ isClient }) => isClient);
  }

  /** Whether any topic that needs no secret is announced. */
  get hasOpenServer(): boolean {
    return [...this].some(({ isServer, config }) => isServer && !config.needsSecret);
  }

  /** The topic, if the swarm is in it. */
  get(topic: Uint8Array): Topic | undefined {
    return this.#topics.get(toHex(topic));
  }

  /** Opens a session. */
  join(topic: Uint8Array, options: SwarmJoinOptions): TopicSession {
    requireTopic(topic);
    const key = this.#keyOf(topic, options.secret);
    const known = this.get(topic);
    if (known !== undefined) {
      if (equals(known.config.key, key)) return known.join(options);
      throw new TypeError("The topic is joined with another secret: leave it first");
    }
    const id = toHex(topic);
    const joined = new Topic(
      {
        topic: topic.slice(),
        key,
        needsSecret: options.secret !== undefined,
        discoveries: this.#host.discoveries,
        after: this.#leaving.get(id) ?? Promise.resolve(),
      },
      this.#host,
      () => this.#leave(id),
    );
    if (this.#isSuspended) void joined.suspend();
    const session = joined.join(options);
    this.#topics.set(id, joined);
    this.#onChanged();
    return session;
  }

  /** Ends all sessions of a topic; resolves when it is not announced any more. */
  leave(topic: Uint8Array): Promise<void> {
    const id = toHex(topic);
    return this.#topics.has(id) ? this.#leave(id) : this.#leaving.get(id) ?? Promise.resolve();
  }

  /** Leaves all topics. */
  async leaveAll(): Promise<void> {
    await Promise.all([...this.#topics.keys()].map((id) => this.#leave(id)));
    await Promise.all(this.#leaving.values());
  }

  /** See {@linkcode Topic.flushed}, for all topics. */
  async flushed(): Promise<void> {
    await Promise.all([...this].map((topic) => topic.flushed()));
  }

  /** The network is another one. */
  renew(): void {
    for (const topic of this) topic.renew();
  }

  /** Withdraws all announcements until {@linkcode resume}. */
  async suspend(): Promise<void> {
    this.#isSuspended = true;
    await Promise.all([...this].map((topic) => topic.suspend()));
  }

  /** Goes on. */
  resume(): void {
    this.#isSuspended = false;
    for (const topic of this) topic.resume();
  }

  /** The topics, in the order of joining. */
  [Symbol.iterator](): Iterator<Topic> {
    return this.#topics.values();
  }

  #keyOf(topic: Uint8Array, secret: Uint8Array | undefined): Uint8Array {
    if (secret === undefined) return topicKey(this.#host.runtime.crypto, topic);
    if (!this.#host.channels) {
      throw new TypeError("A secret is proven on a channel: make the swarm with channels: true");
    }
    if (secret.length < MIN_SECRET_BYTES) {
      throw new RangeError(
        `A secret must have ${MIN_SECRET_BYTES} random bytes or more, not ${secret.length}: short ones can be guessed`,
      );
    }
    return topicKey(this.#host.runtime.crypto, topic, secret);
  }

  #leave(id: string): Promise<void> {
    const topic = this.#topics.get(id)!;
    this.#topics.delete(id);
    const leaving: Promise<void> = topic.close().finally(() => {
      if (this.#leaving.get(id) === leaving) this.#leaving.delete(id);
    });
    this.#leaving.set(id, leaving);
    this.#host.onTopicLeft(topic.config.topic);
    this.#onChanged();
    return leaving;
  }

  #onChanged(): void {
    this.#provable = [...this].map(({ config }) => config);
    this.#host.onTopicsChanged();
  }
}
