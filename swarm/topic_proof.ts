/**
 * One connection's channel on which both sides show their topics: see `topic_tags.ts`. A peer that does not know the protocol,
 * such as one of the reference, rejects the channel, and nothing else happens.
 */
import { toHex } from "../encoding/text.ts";
import type { Runtime } from "../core/runtime/runtime.ts";
import type { Channel, ChannelMessage } from "../core/stream/channel.ts";
import type { Connection } from "../core/stream/connection.ts";
import { MAX_TAGS, TOPICS_PROTOCOL } from "./constants.ts";
import { includesTag, packTags, type TopicsMessage, topicsMessage, topicTag } from "./topic_tags.ts";

/** A topic to prove. */
export interface ProvableTopic {
  /** The topic, 32 bytes. */
  readonly topic: Uint8Array;
  /** What its tags are made with: see `topicKey`. */
  readonly key: Uint8Array;
}

/** What one side has to show. */
export interface Showing {
  /** The topics. */
  readonly topics: readonly ProvableTopic[];
  /** Whether this side wants the connection whatever the topics. */
  readonly isExplicit: boolean;
}

/** Is told what came of it: after the peer's first message or refusal, and after each change. */
export type ProofListener = (proof: TopicProof) => void;

/** See the head of the file. */
export class TopicProof {
  readonly #runtime: Runtime;
  readonly #connection: Connection;
  readonly #onChange: ProofListener;
  readonly #channel: Channel | undefined;
  readonly #message: ChannelMessage<TopicsMessage> | undefined;
  #own: Showing;
  #remoteTags = new Uint8Array(0);
  #isStale = false;

  /** Whether the peer has shown its topics, or does not speak of them. */
  isSettled = false;
  /** Whether the peer does not speak of topics. */
  isUnspoken = false;
  /** Whether the peer wants the connection whatever the topics. */
  isRemoteExplicit = false;
  /** The topics that both sides have, by their text in hex. */
  shared: ReadonlyMap<string, Uint8Array> = new Map();

  /** Opens the channel and shows `own`. `onChange` is never called before the constructor has returned. */
  constructor(runtime: Runtime, connection: Connection, own: Showing, onChange: ProofListener) {
    this.#runtime = runtime;
    this.#connection = connection;
    this.#own = own;
    this.#onChange = onChange;
    this.#channel = connection.mux.createChannel({
      protocol: TOPICS_PROTOCOL,
      onClose: () => this.#onClose(),
      onDrain: () => this.#send(),
    });
    this.#message = this.#channel?.addMessage({
      codec: topicsMessage,
      onMessage: (message) => this.#onMessage(message),
    });
    this.#isStale = true;
  }

  /** Begins. What the peer has sent already is handled during this call. */
  start(): void {
    this.#channel?.open();
    this.#send();
  }

  /** Shows something else from now on. */
  show(own: Showing): void {
    this.#own = own;
    this.#isStale = true;
    this.#send();
    if (this.isSettled) this.#match();
  }

  #send(): void {
    const channel = this.#channel;
    if (!this.#isStale || channel === undefined || !channel.isDrained) return;
    if (channel.state !== "open" && channel.state !== "opening") return;
    this.#isStale = false;
    const tags = this.#own.topics.slice(0, MAX_TAGS).map(({ key }) =>
      this.#tag(key, this.#connection.isInitiator)
    );
    this.#message!.send({
      isExplicit: this.#own.isExplicit,
      tags: packTags(tags, this.#runtime.random),
    });
  }

  #onMessage(message: TopicsMessage): void {
    this.#remoteTags = new Uint8Array(message.tags);
    this.isRemoteExplicit = message.isExplicit;
    this.isSettled = true;
    this.#match();
  }

  #onClose(): void {
    if (this.#connection.mux.isDestroyed) return;
    this.#remoteTags = new Uint8Array(0);
    this.isUnspoken = !this.isSettled;
    this.isSettled = true;
    this.#match();
  }

  #match(): void {
    const shared = new Map<string, Uint8Array>();
    if (this.#remoteTags.length > 0) {
      for (const { topic, key } of this.#own.topics) {
        if (includesTag(this.#remoteTags, this.#tag(key, !this.#connection.isInitiator))) {
          shared.set(toHex(topic), topic);
        }
      }
    }
    this.shared = shared;
    this.#onChange(this);
  }

  #tag(key: Uint8Array, isInitiator: boolean): Uint8Array {
    return topicTag(this.#runtime.crypto, key, isInitiator, this.#connection.handshakeHash);
  }
}
