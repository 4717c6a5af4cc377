/** The logs of one store that are open, and the connections on which they are replicated. */
import { toHex } from "../encoding/text.ts";
import { channelsOf, type ReplicationStream } from "./attach.ts";
import { discoveryKey } from "./crypto/hash.ts";
import { PROTOCOL, PROTOCOL_ALIAS } from "./replication/constants.ts";
import type { PeerSession } from "./replication/peer.ts";
import type { Runtime, Timer } from "./runtime/runtime.ts";
import { SharedLog, type SharedLogOptions } from "./shared_log.ts";
import { MemoryStore } from "./storage/memory.ts";
import type { Store } from "./storage/storage.ts";
import type { Mux } from "./stream/mux.ts";

/** For how long a log stays open that nobody uses, as in the reference (corestore 7.11.1, index.js). */
const IDLE_MS = 6000;

interface Stream {
  readonly mux: Mux;
  readonly session: PeerSession;
}

/** Who wants to know which logs are open. */
export interface OpenLogsObserver {
  /** One was opened. */
  onOpen(log: SharedLog): void;
  /** One that is of a group has changed. */
  onGroupActive(topic: Uint8Array, log: SharedLog): void;
}

/** The logs of one store that are open. */
export class OpenLogs {
  /** Where they are stored. */
  readonly store: Store;
  /** Time, chance, cryptography. */
  readonly runtime: Runtime;
  readonly #memory = new MemoryStore();
  /** By discovery key, in hexadecimal. */
  readonly #logs = new Map<string, Promise<SharedLog>>();
  readonly #streams = new Set<Stream>();
  readonly #findingPeers = new Map<SharedLog, () => void>();
  readonly #observers = new Set<OpenLogsObserver>();
  readonly #idle: Timer;
  #searches = 0;
  #isSuspended = false;
  #isClosed = false;

  constructor(store: Store, runtime: Runtime) {
    this.store = store;
    this.runtime = runtime;
    this.#idle = runtime.clock.schedule(Infinity, () => void this.#closeIdle());
  }

  /** Whether they are all closed. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Tells `observer`; returns how to stop that. */
  observe(observer: OpenLogsObserver): () => void {
    this.#observers.add(observer);
    return () => void this.#observers.delete(observer);
  }

  /** Opens a log, or finds it open. An ephemeral one lives in memory, however lasting the store is. */
  async open(options: SharedLogOptions, isEphemeral: boolean): Promise<SharedLog> {
    const id = toHex(discoveryKey(this.runtime.crypto, options.key));
    const open = this.#logs.get(id);
    if (open !== undefined) {
      const log = await open.catch(() => undefined);
      if (log !== undefined && !log.isClosed) return log;
      if (this.#logs.get(id) === open) this.#logs.delete(id);
      return await this.open(options, isEphemeral);
    }
    const opening = this.#open(options, isEphemeral);
    this.#logs.set(id, opening);
    opening.catch(() => this.#logs.get(id) === opening && this.#logs.delete(id));
    return await opening;
  }

  /** The log of this discovery key, if it is open or stored. */
  async find(key: Uint8Array): Promise<SharedLog | undefined> {
    const open = await this.opened(key);
    if (open !== undefined) return open;
    const auth = await (await this.store.open(key)).auth();
    return auth && await this.open({ key: auth.key }, false);
  }

  /** Replicates all logs that are in use on a connection, and those that the peer asks for and that are stored. */
  replicate(stream: ReplicationStream): void {
    const { mux, session } = channelsOf(stream);
    for (const old of this.#streams) if (old.mux.isDestroyed || old.mux === mux) this.#streams.delete(old);
    this.#streams.add({ mux, session });
    for (const protocol of [PROTOCOL, PROTOCOL_ALIAS]) {
      mux.pair({ protocol }, async (id) => {
        if (id?.length !== 32 || this.#isClosed) return;
        const log = await this.find(id);
        if (log !== undefined && !mux.isDestroyed) log.replicator.attach(mux, session);
        this.#watchIdle();
      });
    }
    this.#forEach((log) => log.isActive && log.replicator.attach(mux, session));
  }

  /** More peers may turn up for all logs, until what is returned is called. */
  addFindingPeers(): () => void {
    if (this.#searches++ === 0) this.#forEach((log) => this.#findPeers(log));
    let isDone = false;
    return () => {
      if (isDone) return;
      isDone = true;
      if (--this.#searches > 0) return;
      for (const done of this.#findingPeers.values()) done();
      this.#findingPeers.clear();
    };
  }

  /** Whether nothing is to be fetched for now. */
  set isSuspended(value: boolean) {
    this.#isSuspended = value;
    this.#forEach((log) => log.isSuspended = value);
  }

  /** The log of this discovery key, if it is open. */
  async opened(key: Uint8Array): Promise<SharedLog | undefined> {
    const log = await this.#logs.get(toHex(key))?.catch(() => undefined);
    return log?.isClosed === true ? undefined : log;
  }

  /** Closes a log, if it is open. */
  async close(key: Uint8Array): Promise<void> {
    await (await this.#logs.get(toHex(key))?.catch(() => undefined))?.close();
  }

  /** Closes all. */
  async closeAll(): Promise<void> {
    this.#isClosed = true;
    this.#idle.cancel();
    this.#streams.clear();
    const logs = await Promise.allSettled(this.#logs.values());
    await Promise.all(logs.map((result) => result.status === "fulfilled" ? result.value.close() : undefined));
    this.#logs.clear();
    await this.#memory.close();
  }

  async #open(options: SharedLogOptions, isEphemeral: boolean): Promise<SharedLog> {
    let log: SharedLog | undefined = undefined;
    log = await SharedLog.open(this.runtime, isEphemeral ? this.#memory : this.store, {
      ...options,
      onIdle: () => this.#watchIdle(),
      onActive: () => log !== undefined && this.#attach(log),
      onGroupActive: (topic) => {
        for (const observer of this.#observers) observer.onGroupActive(topic, log!);
      },
    });
    if (this.#isSuspended) log.isSuspended = true;
    if (this.#searches > 0) this.#findPeers(log);
    for (const observer of this.#observers) observer.onOpen(log);
    return log;
  }

  #attach(log: SharedLog): void {
    for (const { mux, session } of this.#streams) if (!mux.isDestroyed) log.replicator.attach(mux, session);
  }

  #findPeers(log: SharedLog): void {
    if (!this.#findingPeers.has(log)) this.#findingPeers.set(log, log.replicator.addFindingPeers());
  }

  #forEach(work: (log: SharedLog) => unknown): void {
    for (const opening of this.#logs.values()) void opening.then(work, () => {});
  }

  #watchIdle(): void {
    if (!this.#isClosed) this.#idle.reset(this.runtime.clock.now() + IDLE_MS);
  }

  async #closeIdle(): Promise<void> {
    let isAnyLeft = false;
    for (const [id, opening] of [...this.#logs]) {
      const log = await opening.catch(() => undefined);
      if (log?.isIdle !== true || log.isClosed) continue;
      if (!log.replicator.isIdle) {
        isAnyLeft = true;
        continue;
      }
      this.#logs.delete(id);
      this.#findingPeers.delete(log);
      await log.close();
    }
    if (isAnyLeft) this.#watchIdle();
  }
}
