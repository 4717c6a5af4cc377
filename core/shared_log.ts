/** A log that is open, and what its sessions share: its state, its peers, and its branches. */
import { type DraftOptions, openDraft } from "./log/draft.ts";
import type { LogBranch } from "./log/log_branch.ts";
import { discoveryKey } from "./crypto/hash.ts";
import { LogState, type LogStateOptions } from "./log/log_state.ts";
import { rolledBack } from "./log/refusals.ts";
import { Marks } from "./log/marks.ts";
import { LogRecovery } from "./log_recovery.ts";
import { readGroup, writeGroup } from "./log/group.ts";
import { SharedPrefix } from "./log/shared_prefix.ts";
import type { ReplicationPeer } from "./replication/peer.ts";
import { Replicator, type ReplicatorObserver, type ReplicatorOptions } from "./replication/replicator.ts";
import { StorageError } from "./runtime/errors.ts";
import type { Runtime } from "./runtime/runtime.ts";
import type { Store } from "./storage/storage.ts";

/** For how long a peer that says that it has more may prove it before the first append: some round trips, and but a hiccup. */
const PROOF_WAIT_MS = 1000;

/** What a session is to the log it is of. */
export interface LogSession {
  /** Whether it does not keep the log open. */
  readonly weak: boolean;
  /** Closes it. */
  close(): Promise<void>;
}

/** How a log is opened. */
export interface SharedLogOptions extends LogStateOptions, Omit<ReplicatorOptions, "observer"> {
  /** Whether it is opened even if nothing of it is stored; true by default. */
  readonly createIfMissing?: boolean | undefined;
  /** Is called when the last session that is not weak has closed; the log is closed by whoever owns it. */
  readonly onIdle?: (() => void) | undefined;
  /** Is called when the first session wants the log to be fetched. */
  readonly onActive?: (() => void) | undefined;
  /** Is called when the log has changed and is of a group, whose topic this is. */
  readonly onGroupActive?: ((topic: Uint8Array) => void) | undefined;
}

interface Branch {
  readonly opened: Promise<LogBranch>;
  users: number;
}

interface Followed {
  readonly prefix: Promise<SharedPrefix>;
  /** How much the branch has in common with the log. */
  length(): number;
  users: number;
}

/** One log that is open. */
export class SharedLog {
  /** Where it is stored. */
  readonly store: Store;
  /** The log itself. */
  readonly state: LogState;
  /** Its peers. */
  readonly replicator: Replicator;
  /** Recovers it when it is damaged. */
  readonly recovery: LogRecovery;
  /** Which blocks are to stay when the others are swept. */
  readonly marks: Marks;
  readonly #sessions = new Set<LogSession>();
  readonly #observers = new Set<ReplicatorObserver>();
  readonly #branches = new Map<string, Branch>();
  readonly #followed = new Map<LogBranch, Followed>();
  readonly #options: SharedLogOptions;
  #group: Uint8Array | undefined;
  #active = 0;
  #isSuspended = false;
  #exclusive: Promise<void> | undefined;
  #isCaughtUp = false;
  #catchingUp: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  private constructor(
    store: Store,
    state: LogState,
    options: SharedLogOptions,
    group: Uint8Array | undefined,
  ) {
    this.store = store;
    this.state = state;
    this.#options = options;
    this.#group = group;
    this.marks = new Marks(state);
    this.replicator = new Replicator(state, { ...options, observer: this.#makeObserver() });
    this.recovery = new LogRecovery(this);
    state.observe({ onUpgrade: () => this.#group && options.onGroupActive?.(this.#group) });
  }

  /** Opens a log of a store. @throws {StorageError} `STORE_UNKNOWN` if it is not there and not to be made; as `LogState.open`. */
  static async open(runtime: Runtime, store: Store, options: SharedLogOptions): Promise<SharedLog> {
    const storage = await store.open(discoveryKey(runtime.crypto, options.key));
    if (options.createIfMissing === false && await storage.auth() === undefined) {
      throw new StorageError("STORE_UNKNOWN", "No such log is stored: open it with createIfMissing");
    }
    const state = await LogState.open({ runtime, storage, target: store }, options);
    const log = new SharedLog(store, state, options, await readGroup(storage));
    // What can be mended without peers is mended before anybody sees it.
    if (state.damage !== undefined) await log.recovery.mend();
    return log;
  }

  /** All sessions. */
  get sessions(): Iterable<LogSession> {
    return this.#sessions;
  }

  /** The topic of the group that it is of. */
  get group(): Uint8Array | undefined {
    return this.#group;
  }

  /** Makes it one of a group. @throws {HyphaError} `STORAGE_CONFLICT` if it is of another one. */
  async setGroup(topic: Uint8Array): Promise<void> {
    this.#group = await writeGroup(this.state, topic);
  }

  /** Whether it is closed, or about to be. */
  get isClosed(): boolean {
    return this.#closing !== undefined;
  }

  /** Whether nobody has it open but weak sessions. */
  get isIdle(): boolean {
    return ![...this.#sessions].some(({ weak }) => !weak);
  }

  /** One more session. */
  addSession(session: LogSession): void {
    this.#sessions.add(session);
  }

  /** One less. The weak ones close with the last of the others. */
  removeSession(session: LogSession): void {
    if (!this.#sessions.delete(session) || session.weak || !this.isIdle) return;
    for (const weak of [...this.#sessions]) void weak.close();
    this.#options.onIdle?.();
  }

  /** How many sessions want the log to be fetched changes by `change`. */
  changeActivity(change: 1 | -1): void {
    this.#active += change;
    if (change === 1 && this.#active === 1) this.#options.onActive?.();
    this.replicator.isDownloading = this.isActive;
  }

  /** Whether some session wants the log to be fetched. */
  get isActive(): boolean {
    return this.#active > 0 && !this.#isSuspended;
  }

  /** Whether nothing is to be fetched for now, whatever sessions want. */
  set isSuspended(value: boolean) {
    this.#isSuspended = value;
    this.replicator.isDownloading = this.isActive;
  }

  /** Tells `observer` what happens with peers; returns how to stop that. */
  observe(observer: ReplicatorObserver): () => void {
    this.#observers.add(observer);
    return () => void this.#observers.delete(observer);
  }

  /** Waits until nobody else has the log for itself; returns how to end that. */
  async lock(): Promise<() => void> {
    const before = this.#exclusive;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#exclusive = promise;
    await before;
    return resolve;
  }

  /**
   * Settles when peers that say that they have more than is here have proven it, or have had a second to: so an older copy of a
   * store goes on where it was. Undefined if there is nothing to wait for, as always once there was not: what is signed is signed.
   *
   * @throws {HyphaError} `ROLLED_BACK` if they have.
   */
  caughtUp(): Promise<void> | undefined {
    const { tree: { fork, length }, hasOneSigner } = this.state;
    const isBehind = ({ remoteFork, remoteLength }: ReplicationPeer) =>
      remoteFork > fork || (remoteFork === fork && remoteLength > length);
    if (!this.#isCaughtUp && hasOneSigner && this.replicator.peers.some(isBehind)) {
      return this.#catchingUp ??= this.#catchUp().finally(() => this.#catchingUp = undefined);
    }
    this.#isCaughtUp = true;
    return undefined;
  }

  /** The branch called `name`, for one more user. */
  async openBranch(parent: LogBranch, name: string, options: DraftOptions): Promise<LogBranch> {
    let branch = this.#branches.get(name);
    if (branch !== undefined && options.overwrite === true) {
      throw new TypeError(`The branch ${name} is open: close its sessions before it is overwritten`);
    }
    if (branch === undefined) {
      branch = { opened: this.#openDraft(parent, name, options), users: 0 };
      this.#branches.set(name, branch);
    }
    branch.users++;
    try {
      return await branch.opened;
    } catch (error) {
      this.closeBranch(name);
      throw error;
    }
  }

  /** One user more of the branch called `name`, which is open. */
  useBranch(name: string): void {
    this.#branches.get(name)!.users++;
  }

  /** One user less of a branch. */
  closeBranch(name: string): void {
    const branch = this.#branches.get(name);
    if (branch === undefined || --branch.users > 0) return;
    this.#branches.delete(name);
    branch.opened.then((draft) => this.unfollow(draft), () => {});
  }

  /** How many of the first blocks of a branch are signed: all of the log, and what others that are followed share with it. */
  signedLength(branch: LogBranch): number {
    return branch === this.state ? branch.length : this.#followed.get(branch)?.length() ?? 0;
  }

  /** Sees from now on how much of a branch is signed, for one more user. */
  async follow(branch: LogBranch): Promise<void> {
    let followed = this.#followed.get(branch);
    if (followed === undefined) {
      let found: SharedPrefix | undefined;
      const prefix = SharedPrefix.follow(this.state, branch).then((shared) => found = shared);
      followed = { prefix, length: () => found?.length ?? 0, users: 0 };
      this.#followed.set(branch, followed);
    }
    followed.users++;
    await followed.prefix;
  }

  /** Resolves when `signedLength` is that of the branch as it is now. */
  async followed(branch: LogBranch): Promise<void> {
    await (await this.#followed.get(branch)?.prefix)?.settled();
  }

  /** One user less. */
  unfollow(branch: LogBranch): void {
    const followed = this.#followed.get(branch);
    if (followed === undefined || --followed.users > 0) return;
    this.#followed.delete(branch);
    void followed.prefix.then((prefix) => prefix.stop());
  }

  /** Closes all sessions and peers, and makes safe what was fetched. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #openDraft(parent: LogBranch, name: string, options: DraftOptions): Promise<LogBranch> {
    const draft = await openDraft(parent, name, options);
    await this.follow(draft);
    return draft;
  }

  async #catchUp(): Promise<void> {
    const { tree, runtime } = this.state;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const { clock } = runtime;
    const gaveUp = new AbortController();
    const timer = clock.schedule(clock.now() + PROOF_WAIT_MS, () => gaveUp.abort());
    this.replicator.requestUpgrade({ signal: gaveUp.signal }).then(resolve, () => resolve(false));
    const hasChanged = await promise;
    timer.cancel();
    if (hasChanged) throw rolledBack(this.state.tree, tree);
    this.#isCaughtUp = true;
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#sessions].map((session) => session.close()));
    await this.replicator.close();
    await this.marks.flush().catch(() => {}); // the store tells of its failures itself
    await this.state.hold(() => Promise.resolve());
  }

  #makeObserver(): ReplicatorObserver {
    const tell = (news: (observer: ReplicatorObserver) => void) => {
      for (const observer of this.#observers) news(observer);
    };
    return {
      onPeerAdd: (peer) => tell((observer) => observer.onPeerAdd?.(peer)),
      onPeerRemove: (peer) => tell((observer) => observer.onPeerRemove?.(peer)),
      onPeerState: (peer) => tell((observer) => observer.onPeerState?.(peer)),
      onUpload: (...news) => tell((observer) => observer.onUpload?.(...news)),
      onDownload: (...news) => tell((observer) => observer.onDownload?.(...news)),
      onConflict: (...news) => tell((observer) => observer.onConflict?.(...news)),
      onVerificationError: (...news) => tell((observer) => observer.onVerificationError?.(...news)),
      onRemoteContiguousLength: (length) => tell((observer) => observer.onRemoteContiguousLength?.(length)),
      onInvalidRequest: (...news) => tell((observer) => observer.onInvalidRequest?.(...news)),
    };
  }
}
