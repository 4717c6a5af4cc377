/**
 * What the two sides of a channel tell each other about their logs: fork, length, what each can prove and does.
 *
 * A side says it at first, and again when what it would say has changed in a way that matters to the other.
 */
import { fullRoots, isLogLength } from "../log/flat_tree.ts";
import { readNodes } from "../log/node_reader.ts";
import { ProtocolError } from "../runtime/errors.ts";
import { NEWS_WAIT_MS } from "./constants.ts";
import type { Sync } from "./messages.ts";
import type { ReplicatedLog } from "./replicated_log.ts";

/** What this side does, as far as the peer is concerned. */
export interface OwnActivity {
  /** Whether requests are answered. */
  readonly isUploading: boolean;
  /** Whether requests are made. */
  readonly isDownloading: boolean;
  /** Whether blocks are welcome that were not asked for. */
  readonly allowPush: boolean;
}

/** What {@linkcode PeerSync} works with. */
export interface PeerSyncHost {
  /** What this side does now. */
  activity(): OwnActivity;
  /** Sends a sync. */
  send(sync: Sync): void;
  /** What may be asked of the peer has changed. */
  onChange(): void;
}

/** What a peer is taken for before it has said anything. */
const UNKNOWN: Sync = {
  fork: 0,
  length: 0,
  remoteLength: 0,
  canUpgrade: false,
  isUploading: true,
  isDownloading: true,
  hasManifest: false,
  allowPush: false,
};

/** One side of this, for one peer. */
export class PeerSync {
  readonly #log: ReplicatedLog;
  readonly #host: PeerSyncHost;
  #remote = UNKNOWN;
  #said: Sync | undefined;
  /** When that was, or when the channel was opened here; the first time, until the peer has said something. */
  #saidAt: number;
  #isSynced = false;
  #hasForked = false;
  #isStopped = false;
  /** The last state of the peer whose roots turned out to be here. */
  #connected = { fork: 0, length: 0 };
  /** What is looked up right now. */
  #checking: { readonly fork: number; readonly length: number } | undefined;

  constructor(log: ReplicatedLog, host: PeerSyncHost) {
    this.#log = log;
    this.#host = host;
    this.#saidAt = log.runtime.clock.now();
  }

  /** What the peer said last. */
  get remote(): Sync {
    return this.#remote;
  }

  /** Whether it has said anything. */
  get isSynced(): boolean {
    return this.#isSynced;
  }

  /** Whether its log has become another fork since it first said how it stands. */
  get hasForked(): boolean {
    return this.#hasForked;
  }

  /** Whether both are on the same fork. */
  get isSameFork(): boolean {
    return this.#remote.fork === this.#log.tree.fork;
  }

  /** Whether the peer can prove now that the log is longer. */
  get canUpgradeUs(): boolean {
    return this.#isLonger && this.#remote.canUpgrade && this.#isAcknowledged;
  }

  /** Until when the peer may turn out to be able to prove that the log is longer, as far as that is up to it; 0 if it is not. */
  get newsUntil(): number {
    if (!this.#isSynced) return this.#saidAt + NEWS_WAIT_MS;
    if (!this.#isLonger) return 0;
    if (this.#isAcknowledged) return this.#remote.canUpgrade ? Infinity : 0;
    return this.#checking === undefined ? this.#saidAt + NEWS_WAIT_MS : Infinity;
  }

  /** Blocks before this one can be verified when this peer proves them, since it has the roots that are here. */
  get usableLength(): number {
    const { fork, length } = this.#log.tree;
    if (this.#remote.fork !== fork) return 0;
    if (this.#remote.length >= length) return length;
    return this.#connected.fork === fork ? Math.min(this.#connected.length, length) : 0;
  }

  /** Takes in what the peer says. */
  receive(sync: Sync): void {
    if (!isLogLength(sync.length)) {
      throw new ProtocolError("INVALID_OPERATION", `no log has ${sync.length} blocks`);
    }
    if (this.#isSynced && sync.fork !== this.#remote.fork) this.#hasForked = true;
    this.#remote = sync;
    this.#isSynced = true;
    this.refresh();
    this.#host.onChange();
  }

  /** The peer could not prove what it said it could: not to be asked again before it says so again. */
  refuseUpgrade(): void {
    this.#remote = { ...this.#remote, canUpgrade: false, remoteLength: this.#log.tree.length };
  }

  /** Nodes may be gone: what was found of the peer's roots is to be looked up anew. */
  forgetRoots(): void {
    this.#connected = { fork: 0, length: 0 };
    this.#checking = undefined;
  }

  /** Says what has changed, if it matters. */
  refresh(): void {
    this.#check();
    this.#say();
  }

  #say(): void {
    if (this.#isStopped) return;
    const said = this.#said;
    const now = this.#checking === undefined ? this.#current() : this.#unchecked();
    if (now === undefined || (said !== undefined && !this.#differs(said, now))) return;
    // A peer that says nothing is not waited for the longer the more there is to tell it.
    if (said === undefined || this.#isSynced) this.#saidAt = this.#log.runtime.clock.now();
    this.#said = now;
    this.#host.send(now);
  }

  /**
   * What is said while it is looked up what can be proven: that the log is longer, and nothing about the peer's that is new. It
   * must not hear of a length by an answer first: a hypercore 10 or 11 may then forget to tell how long its log has become.
   */
  #unchecked(): Sync | undefined {
    const [said, now] = [this.#said, this.#current()];
    if (said === undefined || (said.fork === now.fork && said.length === now.length)) return undefined;
    if (said.fork !== now.fork) return now;
    return { ...now, remoteLength: said.remoteLength, canUpgrade: said.canUpgrade };
  }

  /** Says nothing any more. */
  stop(): void {
    this.#isStopped = true;
  }

  get #isLonger(): boolean {
    return this.isSameFork && this.#remote.isUploading && this.#remote.length > this.#log.tree.length;
  }

  get #isAcknowledged(): boolean {
    return this.#remote.remoteLength === this.#log.tree.length;
  }

  #current(): Sync {
    const { tree: { fork, length }, verifier } = this.#log;
    return {
      fork,
      length,
      remoteLength: this.isSameFork ? this.#remote.length : 0,
      canUpgrade: this.isSameFork && (this.#remote.length === 0 || this.#isConnected),
      ...this.#host.activity(),
      hasManifest: verifier !== undefined && !verifier.isCompat,
    };
  }

  #differs(said: Sync, now: Sync): boolean {
    if (
      said.fork !== now.fork || said.length !== now.length || said.isUploading !== now.isUploading ||
      said.isDownloading !== now.isDownloading || said.hasManifest !== now.hasManifest ||
      said.allowPush !== now.allowPush
    ) return true;
    // Only a peer that is behind needs to know what can be proven to it.
    const isBehind = this.#isSynced && this.isSameFork && now.length > this.#remote.length;
    return isBehind && (said.remoteLength !== now.remoteLength || said.canUpgrade !== now.canUpgrade);
  }

  get #isConnected(): boolean {
    const { fork, length } = this.#connected;
    return fork === this.#log.tree.fork && length === this.#remote.length && length < this.#log.tree.length;
  }

  /** Looks whether the roots of the peer's log are here, if that is not known. */
  #check(): void {
    const { fork, length } = this.#log.tree;
    const { length: theirs } = this.#remote;
    if (!this.isSameFork || theirs === 0 || theirs >= length || this.#isConnected) return;
    if (this.#checking?.fork === fork && this.#checking.length === theirs) return;
    const roots = readNodes(this.#log.nodes, fullRoots(theirs));
    if (!(roots instanceof Promise)) {
      if (roots !== undefined) this.#connected = { fork, length: theirs };
      return;
    }
    const checking = { fork, length: theirs };
    this.#checking = checking;
    void roots.then(
      (found) => this.#checked(checking, found !== undefined),
      () => this.#checked(checking, false),
    );
  }

  #checked(checked: { readonly fork: number; readonly length: number }, isConnected: boolean): void {
    if (isConnected && checked.fork === this.#log.tree.fork) this.#connected = checked;
    if (this.#checking !== checked) return;
    this.#checking = undefined;
    if (this.#isStopped) return;
    this.#say();
    this.#host.onChange();
  }
}
