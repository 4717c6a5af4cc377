/** One peer with which a log is replicated: what it said, what it has, what goes to and fro. */
import type { LogData, LogRequest } from "../log/proof_messages.ts";
import type { Mux } from "../stream/mux.ts";
import { Announcer } from "./announcer.ts";
import type { QueueCursor } from "./block_jobs.ts";
import { MAX_INVALID_DATA, MAX_REFUSALS, MAX_UNASKED_COMPARISONS } from "./constants.ts";
import { InFlight } from "./in_flight.ts";
import type { BitfieldMessage, BlockRange, ExtensionMessage, NoData, Sync, Want } from "./messages.ts";
import { ExpectedNodes } from "./missing_levels.ts";
import type { MessageKind, Messages, PeerChannel, PeerHandlers } from "./peer_channel.ts";
import { PeerSync } from "./peer_sync.ts";
import type { PeerHost } from "./peer_host.ts";
import type { PeerSession, PeerStats, ReplicationPeer } from "./peer.ts";
import { RateLimit } from "./rate_limit.ts";
import { RemoteBitfield } from "./remote_bitfield.ts";
import { TurnBudget } from "./turn_budget.ts";
import { Uploader } from "./uploader.ts";
import { LocalWants, type WantChange } from "./wants.ts";

/** A peer of one log. */
export class PeerMachine implements ReplicationPeer {
  /** Its identity, 32 bytes. */
  readonly remotePublicKey: Uint8Array;
  /** The connection. */
  readonly mux: Mux;
  /** Who is at its other end. */
  readonly session: PeerSession;
  /** How much was exchanged. */
  readonly stats: PeerStats;
  /** What it was asked for. */
  readonly inFlight: InFlight;
  /** Nodes that come with that. */
  readonly expectedNodes: ExpectedNodes = new ExpectedNodes();
  /** Of which regions it was asked which blocks it has. */
  readonly wants: LocalWants = new LocalWants();
  /** The fork and length of both sides. */
  readonly sync: PeerSync;
  /** Counts changes of what may be asked of it. */
  version = 0;
  /** The version in which no range had anything to ask of it. */
  idleVersion = -1;
  /** Where the search in the queue of blocks goes on. */
  readonly blockCursor: QueueCursor = { renumbering: 0, at: 0 };
  /** Answers that are being verified or stored. */
  arriving = 0;
  /** Requests to make before answers are trusted again to come in order. */
  distrust = 0;
  /** How often it turned out not to do so. */
  distrusts = 0;
  /** Up to which length the log was sent to it unasked. */
  pushedLength = 0;
  /** Up to which length the log was sent to it because it asked. */
  answeredLength = 0;
  /** Proofs of its log that are still looked at: those that were asked for, and a few. */
  comparisons: number = MAX_UNASKED_COMPARISONS;
  /** Whether its log was compared, or will be. */
  isCompared = false;
  readonly #host: PeerHost;
  readonly #channel: PeerChannel;
  readonly #remote = new RemoteBitfield();
  readonly #announcer: Announcer;
  readonly #uploader: Uploader;
  readonly #uploadRate: RateLimit;
  readonly #downloadRate: RateLimit;
  #isOpen = false;
  #isPaused = false;
  #isUploading = true;
  #isDownloading = true;
  #canSeek = false;
  #refusals = 0;
  #lastExtensionSent = "";
  #lastExtensionReceived = "";

  /** A peer on `channel`, which is opening. */
  constructor(
    host: PeerHost,
    channel: PeerChannel,
    mux: Mux,
    session: PeerSession,
    fail: (error: Error) => void,
  ) {
    const { log } = host;
    const { clock } = log.runtime;
    this.#host = host;
    this.#channel = channel;
    this.mux = mux;
    this.session = session;
    this.remotePublicKey = session.remotePublicKey;
    this.stats = {
      messages: channel.stats,
      ...{ uploadedBlocks: 0, uploadedBytes: 0, downloadedBlocks: 0, downloadedBytes: 0 },
      ...{ invalidData: 0, invalidRequests: 0, hotswaps: 0 },
    };
    const roundTripMs = session.roundTripMs?.bind(session);
    this.inFlight = new InFlight({ inflightRange: host.inflightRange, roundTripMs });
    this.#uploadRate = new RateLimit(clock, () => this.#pump());
    this.#downloadRate = new RateLimit(clock, () => host.onNews(this));
    this.sync = new PeerSync(log, {
      activity: () => this.#activity(),
      send: (sync) => this.send("sync", sync),
      onChange: () => host.onSync(this),
    });
    const budget = new TurnBudget(clock, channel, () => this.#pump());
    this.#announcer = new Announcer(log, {
      ...{ remote: this.#remote, budget },
      sendRange: (range) => this.send("range", range),
      sendBitfield: (bitfield) => this.send("bitfield", bitfield),
    });
    this.#uploader = this.#makeUploader(budget, fail);
  }

  /** Its fork. */
  get remoteFork(): number {
    return this.sync.remote.fork;
  }

  /** Its length, as it says. */
  get remoteLength(): number {
    return this.sync.remote.length;
  }

  /** How many of the first blocks it has, as far as it has told. */
  get remoteContiguousLength(): number {
    return this.#remote.contiguousLength;
  }

  /** Whether its state is known: it has said how its log stands. */
  get isKnown(): boolean {
    return this.sync.isSynced;
  }

  /** Whether its channel is open. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Whether it is asked for nothing any more, because what it sent was wrong or what it offered was not there. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Whether it answers requests. */
  get isRemoteUploading(): boolean {
    return this.sync.remote.isUploading;
  }

  /** Whether it makes requests. */
  get isRemoteDownloading(): boolean {
    return this.sync.remote.isDownloading;
  }

  /** Whether it has this block, as far as it has told. */
  has(index: number): boolean {
    return this.#remote.get(index);
  }

  /** What it has told of its blocks. */
  get blocks(): RemoteBitfield {
    return this.#remote;
  }

  /** Whether its requests are answered; true by default. */
  get isUploading(): boolean {
    return this.#isUploading;
  }

  set isUploading(value: boolean) {
    this.#isUploading = value;
    if (this.#isOpen) this.sync.refresh();
  }

  /** Whether it is asked for anything; true by default. */
  get isDownloading(): boolean {
    return this.#isDownloading;
  }

  set isDownloading(value: boolean) {
    this.#isDownloading = value;
    if (!this.#isOpen) return;
    this.sync.refresh();
    this.#host.onNews(this);
  }

  /** The most bytes that go to it in a second; `Infinity`, the default, for no limit. */
  get maxUploadBytesPerSecond(): number {
    return this.#uploadRate.bytesPerSecond;
  }

  set maxUploadBytesPerSecond(value: number) {
    this.#uploadRate.bytesPerSecond = value;
    this.#pump();
  }

  /** The most bytes that are asked of it in a second; `Infinity`, the default, for no limit. */
  get maxDownloadBytesPerSecond(): number {
    return this.#downloadRate.bytesPerSecond;
  }

  set maxDownloadBytesPerSecond(value: number) {
    this.#downloadRate.bytesPerSecond = value;
    this.#host.onNews(this);
  }

  // For the replicator

  /** What its channel does. */
  get handlers(): PeerHandlers {
    const host = this.#host;
    return {
      on: {
        sync: (sync: Sync) => this.sync.receive(sync),
        request: (request: LogRequest) => this.#uploader.receive(request),
        cancel: (id: number) => this.#uploader.cancel(id),
        data: (data: LogData) => host.onData(this, data),
        noData: (noData: NoData) => host.onNoData(this, noData),
        want: (want: Want) => this.#announcer.want(want),
        unwant: (want: Want) => this.#announcer.unwant(want),
        bitfield: (bitfield: BitfieldMessage) => this.#onBitfield(bitfield),
        range: (range: BlockRange) => this.#onRange(range),
        extension: (extension: ExtensionMessage) => this.#onExtension(extension),
      },
      onOpen: ({ canSeek }) => {
        this.#isOpen = true;
        this.#canSeek = canSeek;
        host.onOpen(this);
      },
      onClose: (isRemote) => this.#onClose(isRemote),
      onDrain: () => this.#pump(),
    };
  }

  /** Whether it understands requests for seeks. */
  get canSeek(): boolean {
    return this.#canSeek;
  }

  /** Whether it answers what it is asked, as far as is known. */
  get isServing(): boolean {
    if (!this.#isOpen || this.#isPaused || !this.#isDownloading || !this.sync.isSynced) return false;
    return this.sync.remote.isUploading;
  }

  /** Whether more may be asked of it now. */
  get canAsk(): boolean {
    return this.isServing && this.#downloadRate.hasRoom;
  }

  /** How many requests may be on their way when `peers` serve the log. */
  inFlightLimit(peers: number): number {
    return this.inFlight.limit(peers, this.#downloadRate.bytesPerSecond);
  }

  /** Begins the exchange: how the log stands here, and what there is. */
  begin(): void {
    this.cork();
    this.sync.refresh();
    this.#announcer.begin();
    this.uncork();
  }

  /** Sends a message. */
  send<Kind extends MessageKind>(kind: Kind, message: Messages[Kind]): void {
    this.#channel.send(kind, message);
  }

  /** Holds messages back until {@linkcode PeerMachine.uncork}. */
  cork(): void {
    this.#channel.cork();
  }

  /** See {@linkcode PeerMachine.cork}. */
  uncork(): void {
    this.#channel.uncork();
  }

  /** Closes the channel. */
  close(): void {
    this.#channel.close();
  }

  /** Resolves when the channel is closed and all handlers are done. */
  closed(): Promise<void> {
    return this.#channel.destroyed();
  }

  /** Blocks have come here, or are gone. */
  announce(start: number, end: number, isHeld: boolean): void {
    this.#announcer.tell(start, end, isHeld);
  }

  /** The log was cut or rewritten here. */
  cut(length: number): void {
    this.#announcer.cut(length);
    this.pushedLength = Math.min(this.pushedLength, length);
    this.answeredLength = Math.min(this.answeredLength, length);
  }

  /** Searches for something to ask of it begin anew. */
  touch(): void {
    this.version++;
    this.blockCursor.at = 0;
  }

  /** Asks it to tell which it has of `count` blocks from `index` on, or of the first of them. */
  want(index: number, count = 1): void {
    if (index < this.#remote.contiguousLength) return;
    this.#sayWants(this.wants.add(index, count, this.remoteLength));
  }

  /** Asks it to tell of any block that it has from `start` up to `end`; false if that was done before. */
  wantAny(start: number, end: number): boolean {
    if (start < this.#remote.contiguousLength) return false;
    const change = this.wants.addAny(start, end, this.remoteLength);
    this.#sayWants(change);
    return change !== undefined;
  }

  /** A block of it was verified. */
  countDownload(bytes: number): void {
    this.stats.downloadedBlocks++;
    this.stats.downloadedBytes += bytes;
    this.inFlight.measure(bytes);
    this.#refusals = 0;
  }

  /** Bytes came of it. */
  spend(bytes: number): void {
    this.#downloadRate.take(bytes);
    if (!this.#downloadRate.hasRoom) this.#downloadRate.wait();
  }

  /** It does not have a block that it said it had. */
  onMissing(index: number): void {
    this.#remote.setRange(index, 1, false);
  }

  /** It has refused something; after too many refusals in a row it is asked nothing more. */
  countRefusal(): void {
    if (++this.#refusals >= MAX_REFUSALS) this.#isPaused = true;
  }

  /** What it sent was wrong: it is asked nothing more, unless it turns out to have the same log and has not done that often. */
  pause(): void {
    this.stats.invalidData++;
    this.#isPaused = true;
  }

  /** It has the same log after all. */
  forgive(): void {
    if (this.stats.invalidData < MAX_INVALID_DATA) this.#isPaused = false;
  }

  /** Sends a message of an application. */
  sendExtension(name: string, message: Uint8Array): void {
    if (!this.#isOpen) return;
    this.send("extension", { name: name === this.#lastExtensionSent ? "" : name, message });
    this.#lastExtensionSent = name;
  }

  #activity() {
    return {
      isUploading: this.#isUploading && this.#host.log.damage === undefined,
      isDownloading: this.#isDownloading && this.#host.isDownloading,
      allowPush: this.#host.allowPush,
    };
  }

  #makeUploader(budget: TurnBudget, fail: (error: Error) => void): Uploader {
    // deno-lint-ignore no-this-alias
    const peer = this;
    const { stats } = this;
    const host = this.#host;
    return new Uploader(host.log, {
      budget,
      fail,
      rate: this.#uploadRate,
      get isUploading() {
        return peer.#isUploading;
      },
      get pushedLength() {
        return peer.pushedLength;
      },
      sendData(data) {
        const { start, length } = data.upgrade ?? { start: 0, length: 0 };
        peer.answeredLength = Math.max(peer.answeredLength, start + length);
        peer.send("data", data);
      },
      sendNoData: (noData) => this.send("noData", noData),
      onUpload(index, bytes) {
        stats.uploadedBlocks++;
        stats.uploadedBytes += bytes;
        host.onUpload(peer, index, bytes);
      },
      onInvalidRequest(request, error) {
        stats.invalidRequests++;
        host.onInvalidRequest(peer, request, error);
      },
    });
  }

  /** Sends what waits for room. */
  #pump(): void {
    if (!this.#isOpen) return;
    this.cork();
    try {
      this.#announcer.pump();
      this.#uploader.pump();
    } finally {
      this.uncork();
    }
  }

  #onBitfield({ start, bytes }: BitfieldMessage): void {
    this.#remote.insert(start, bytes);
    this.#sayWants(this.wants.onBitfield(start, 8 * bytes.length));
    this.touch();
    this.#host.onNews(this);
  }

  #sayWants(change: WantChange | undefined): void {
    if (change === undefined) return;
    for (const { start, length } of change.forgotten) this.#remote.forget(start, length);
    for (const want of change.unwants) this.send("unwant", want);
    for (const want of change.wants) this.send("want", want);
  }

  #onRange({ isDrop, start, length }: BlockRange): void {
    this.#remote.setRange(start, length, !isDrop);
    if (isDrop) return;
    this.version++;
    this.#host.onRange(this, start, start + length);
  }

  #onExtension({ name, message }: ExtensionMessage): void {
    if (name !== "") this.#lastExtensionReceived = name;
    this.#host.onExtension(this, this.#lastExtensionReceived, message);
  }

  #onClose(isRemote: boolean): void {
    this.#isOpen = false;
    this.sync.stop();
    this.#uploader.close();
    this.#uploadRate.close();
    this.#downloadRate.close();
    this.#host.onClose(this, isRemote);
  }
}
