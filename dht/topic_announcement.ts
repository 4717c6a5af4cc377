/** Keeps a peer announced under a topic: again before those who know of it forget it, from where the peer is now. */
import type { Random, Runtime } from "../core/runtime/runtime.ts";
import type { SocketAddress } from "../encoding/address.ts";
import { toHex } from "../encoding/text.ts";
import { TOPIC_JITTER_MS, TOPIC_REFRESH_MS } from "./constants.ts";
import type { DhtService } from "./context.ts";
import { Presence } from "./presence.ts";
import type { RecordClient } from "./record_client.ts";
import type { Identity } from "./signers.ts";

/** What a {@linkcode TopicAnnouncement} announces. */
export interface TopicAnnouncementOptions {
  /** 32 bytes. */
  readonly topic: Uint8Array;
  /** Who is announced. */
  readonly identity: Identity;
  /** Nodes that relay to it now. */
  readonly relayAddresses: () => readonly SocketAddress[];
}

/** See the head of the file. */
export class TopicAnnouncement extends Presence implements DhtService, AsyncDisposable {
  /** See {@linkcode Presence}: nothing is to be checked between rounds. */
  protected override readonly checkMs: number = Infinity;
  readonly #client: RecordClient;
  readonly #random: Random;
  readonly #options: TopicAnnouncementOptions;
  readonly #onStop: () => void;
  #closestNodes: readonly SocketAddress[] = [];
  #isFirst = true;

  /** An announcement that does nothing before `start`. */
  constructor(
    runtime: Runtime,
    client: RecordClient,
    options: TopicAnnouncementOptions,
    onStop: () => void = () => {},
  ) {
    super(runtime.clock);
    this.#client = client;
    this.#random = runtime.random.fork(`topic ${toHex(options.topic)}`);
    this.#options = options;
    this.#onStop = onStop;
  }

  /** Ends, and takes it back. */
  override async stop(isForced: boolean = false): Promise<void> {
    this.#onStop();
    await super.stop(isForced);
  }

  /** See {@linkcode DhtService}. */
  close(isForced: boolean): Promise<void> {
    return this.stop(isForced);
  }

  /** See {@linkcode stop}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Jitter, so that not all who joined together refresh together. */
  protected override nextRoundMs(): number {
    return TOPIC_REFRESH_MS + this.#random.below(TOPIC_JITTER_MS);
  }

  /** See {@linkcode Presence}. The first round clears what an earlier run of the program may have left. */
  protected override async announce(signal: AbortSignal): Promise<boolean> {
    const { topic, identity, relayAddresses } = this.#options;
    const query = this.#client.announce(topic, identity, relayAddresses(), {
      clear: this.#isFirst,
      nodes: this.#closestNodes,
      signal,
    });
    try {
      await query.finished();
      this.#isFirst = false;
    } finally {
      // Even if it was interrupted: these may know of it by now, and have to be told when it is over.
      if (query.closestNodes.length > 0) this.#closestNodes = query.closestNodes;
    }
    return true;
  }

  /** See {@linkcode Presence}. */
  protected override check(): Promise<boolean> {
    return Promise.resolve(true);
  }

  /** See {@linkcode Presence}. A farewell: sent once, to the nodes of the last round. */
  protected override async takeBack(): Promise<void> {
    const { topic, identity } = this.#options;
    if (this.#closestNodes.length === 0) return;
    const options = { nodes: this.#closestNodes, onlyNodes: true, force: true };
    await this.#client.unannounce(topic, identity, options).catch(() => {});
  }
}
