/**
 * One topic at one discovery: does what its machine wants, and tells it what came of it.
 */
import { toHex } from "../encoding/text.ts";
import { abortable, throwIfAborted } from "../core/runtime/async.ts";
import { ConnectError } from "../core/runtime/errors.ts";
import type { Runtime, Timer } from "../core/runtime/runtime.ts";
import type { PeerRecord } from "../transports/transport.ts";
import type { PeerDiscovery } from "./abilities.ts";
import { MAX_KNOWN_PEERS, WITHDRAW_TIMEOUT_MS } from "./constants.ts";
import { TopicMachine, type TopicRoles } from "./topic_machine.ts";
import { within } from "./within.ts";

/** What a search needs of its surroundings. */
export interface TopicSearchHost {
  /** Time and chance. */
  readonly runtime: Runtime;
  /** What to announce: how others reach this side. Begins to listen if need be. */
  selfRecord(discovery: PeerDiscovery): Promise<PeerRecord>;
  /** A lookup found a peer. */
  onFound(record: PeerRecord, topic: Uint8Array, discovery: PeerDiscovery): void;
  /** Something was tried: for counters and traces. */
  onTried(what: "announce" | "lookup", error?: unknown): void;
}

/** See the head of the file. */
export class TopicSearch {
  readonly #host: TopicSearchHost;
  readonly #discovery: PeerDiscovery;
  readonly #topic: Uint8Array;
  readonly #machine: TopicMachine;
  readonly #timer: Timer;
  readonly #waiting = new Set<() => void>();
  #announcing: AbortController | undefined;
  #looking: AbortController | undefined;
  /** The announcement, under way or standing. */
  #placing: Promise<AsyncDisposable> | undefined;
  /** The announcement before, of this search or of an earlier one, as long as it is not withdrawn. */
  #withdrawn: Promise<void>;
  #isPumping = false;

  /** A search that announces nothing before `after`. */
  constructor(host: TopicSearchHost, discovery: PeerDiscovery, topic: Uint8Array, after: Promise<void>) {
    this.#host = host;
    this.#discovery = discovery;
    this.#topic = topic;
    this.#withdrawn = after;
    this.#machine = new TopicMachine(host.runtime.random.fork(`topic ${toHex(topic)}`));
    this.#timer = host.runtime.clock.schedule(Infinity, () => this.#onDue());
  }

  /** See {@linkcode TopicMachine.setRoles}. */
  setRoles(roles: TopicRoles): void {
    this.#machine.setRoles(this.#now(), roles);
    this.#pump();
  }

  /** See {@linkcode TopicMachine.refresh}. */
  refresh(): void {
    this.#machine.refresh(this.#now());
    this.#pump();
  }

  /** See {@linkcode TopicMachine.renew}. */
  renew(): void {
    this.#machine.renew(this.#now());
    this.#pump();
  }

  /** See {@linkcode TopicMachine.suspend}. Resolves when the announcement is withdrawn, or after a while. */
  async suspend(): Promise<void> {
    this.#machine.suspend();
    this.#pump();
    await this.#withdrawn;
  }

  /** See {@linkcode TopicMachine.resume}. */
  resume(): void {
    this.#machine.resume(this.#now());
    this.#pump();
  }

  /** Resolves when {@linkcode TopicMachine.isFlushed}. */
  flushed(): Promise<void> {
    if (this.#machine.isFlushed) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.add(resolve));
  }

  #now(): number {
    return this.#host.runtime.clock.now();
  }

  #onDue(): void {
    this.#machine.handleTimeout(this.#now());
    this.#pump();
  }

  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    for (let event = this.#machine.pollEvent(); event !== undefined; event = this.#machine.pollEvent()) {
      if (event.type === "announce") void this.#announce(event.id);
      else if (event.type === "lookup") void this.#lookup(event.id);
      else if (event.type === "withdraw") this.#withdraw();
      else this.#looking?.abort(givenUp());
    }
    this.#isPumping = false;
    this.#timer.reset(this.#machine.nextTimeout());
    if (!this.#machine.isFlushed) return;
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }

  async #announce(id: number): Promise<void> {
    const { signal } = this.#announcing = new AbortController();
    let error: unknown;
    try {
      await abortable(this.#withdrawn, signal);
      const self = await abortable(this.#host.selfRecord(this.#discovery), signal);
      this.#placing = this.#discovery.announce(this.#topic, self, { signal });
      await abortable(this.#placing, signal);
    } catch (thrown) {
      error = thrown;
    }
    if (signal.aborted) return;
    if (error !== undefined) this.#placing = undefined;
    this.#host.onTried("announce", error);
    this.#machine.handleAnnounced(this.#now(), id, error === undefined);
    this.#pump();
  }

  async #lookup(id: number): Promise<void> {
    const { signal } = this.#looking = new AbortController();
    let error: unknown;
    try {
      await this.#collect(signal);
    } catch (thrown) {
      error = thrown;
    }
    if (signal.aborted) return;
    this.#host.onTried("lookup", error);
    this.#machine.handleLookedUp(this.#now(), id, error === undefined);
    this.#pump();
  }

  /** Hands on what a lookup finds, until it ends, is given up, or has found more than anybody can use. */
  async #collect(signal: AbortSignal): Promise<void> {
    const found = this.#discovery.lookup(this.#topic, { signal })[Symbol.asyncIterator]();
    try {
      for (let count = 0; count < MAX_KNOWN_PEERS; count++) {
        const { value, done } = await abortable(found.next(), signal);
        if (done === true) return;
        throwIfAborted(signal);
        this.#host.onFound(value, this.#topic, this.#discovery);
      }
    } finally {
      // Not awaited: one that hangs does so here as well.
      found.return?.().catch(() => {});
    }
  }

  #withdraw(): void {
    this.#announcing?.abort(givenUp());
    const placing = this.#placing;
    if (placing === undefined) return;
    this.#placing = undefined;
    const { clock } = this.#host.runtime;
    const gone = placing.then((placed) => placed[Symbol.asyncDispose]());
    this.#withdrawn = within(clock, WITHDRAW_TIMEOUT_MS, gone);
  }
}

function givenUp(): Error {
  return new ConnectError("ABORTED", "The search for the topic was given up or begun anew");
}
