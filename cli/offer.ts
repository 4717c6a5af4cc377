/**
 * A file on offer: serves those who connect, a bounded number at a time, and lets the others wait.
 */
import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { ConnectError, HyphaError, toError } from "../core/runtime/errors.ts";
import type { Clock } from "../core/runtime/runtime.ts";
import type { Connection } from "../core/stream/connection.ts";
import { toHex } from "../encoding/mod.ts";
import { FileChannel } from "./file_channel.ts";
import { DATA_BYTES, type FileMessage } from "./file_messages.ts";
import { Progress, type Reporter } from "./reporter.ts";
import { wayOf } from "./way.ts";

/** What is offered, and to whom. */
export interface OfferOptions {
  /** The open file. */
  readonly file: FileHandle;
  /** The name that it is offered under. */
  readonly name: string;
  /** Its bytes. */
  readonly size: number;
  /** Whether to go on after the first receiver. */
  readonly keep: boolean;
}

/** Receivers that are served at once, if any number may have the file. */
const MAX_SERVED = 16;
/** Peers that may be connected without being served. */
const MAX_WAITING = 64;
/** How long a receiver may take to say yes, to take what is sent, and to put all on disk, in milliseconds. */
const ACCEPT_TIMEOUT_MS = 30_000;
const STALL_TIMEOUT_MS = 120_000;
const STORE_TIMEOUT_MS = 600_000;

/** A receiver does not want what is offered, and that is no failure. */
class Declined extends Error {}

/** See the head of the file. */
export class Offer {
  readonly #clock: Clock;
  readonly #options: OfferOptions;
  readonly #reporter: Reporter;
  readonly #done = Promise.withResolvers<void>();
  /** Connected, and not served so far; the value tells whether they have asked. */
  readonly #arrived = new Map<FileChannel, "silent" | "waiting">();
  readonly #served = new Set<FileChannel>();
  #isClosed = false;

  /** Nobody has asked for it yet. */
  constructor(clock: Clock, options: OfferOptions, reporter: Reporter) {
    this.#clock = clock;
    this.#options = options;
    this.#reporter = reporter;
  }

  /** Resolves when a receiver has the file, unless any number may have it. */
  get done(): Promise<void> {
    return this.#done.promise;
  }

  /** Offers the file to the peer of a connection. */
  take(connection: Connection): void {
    let channel: FileChannel;
    try {
      if (this.#isClosed || this.#arrived.size >= MAX_WAITING) {
        throw new ConnectError("CONNECTION_REFUSED", "Too many wait for the file");
      }
      channel = new FileChannel(connection, "send");
    } catch (error) {
      connection.abort(error);
      return;
    }
    this.#arrived.set(channel, "silent");
    const forget = () => void this.#arrived.delete(channel);
    connection.closed.then(forget, forget);
    void channel.isMatched.then((isReceiver) => {
      // Under a topic there may be other senders.
      if (!isReceiver || !this.#arrived.has(channel)) return;
      this.#arrived.set(channel, "waiting");
      this.#next();
      if (this.#arrived.has(channel)) channel.send({ type: "wait" }).catch(() => {});
    });
  }

  /** Serves nobody any more: those who wait are told, those who are served are cut off. */
  async close(reason?: unknown): Promise<void> {
    this.#isClosed = true;
    for (const { connection } of this.#served) connection.abort(reason);
    const why = "the sender is done: it was started without --keep, and another receiver was faster";
    await Promise.all([...this.#arrived].map(async ([channel, state]) => {
      if (state === "silent") return channel.connection.abort();
      await channel.send({ type: "refuse", code: "TAKEN", reason: why }).catch(() => {});
      await channel.close();
    }));
  }

  /** Serves who waits, as long as there is room. */
  #next(): void {
    const max = this.#options.keep ? MAX_SERVED : 1;
    for (const [channel, state] of this.#arrived) {
      if (this.#isClosed || this.#served.size >= max) return;
      if (state === "silent") continue;
      this.#arrived.delete(channel);
      this.#served.add(channel);
      void this.#serve(channel).then((hasIt) => {
        this.#served.delete(channel);
        if (hasIt && !this.#options.keep) this.#done.resolve();
        else this.#next();
      });
    }
  }

  /** Serves one receiver; true if it has the file. Its failure is reported: one receiver's bad luck is not the next one's. */
  async #serve(channel: FileChannel): Promise<boolean> {
    const { connection } = channel;
    const { name, size } = this.#options;
    const { peer } = wayOf(connection);
    const timer = this.#clock.schedule(Infinity, () => {
      connection.abort(new ConnectError("TIMEOUT", "it has stalled"));
    });
    const allow = (ms: number) => timer.reset(this.#clock.now() + ms);
    const progress = new Progress(this.#reporter, size, this.#served.size === 1);
    try {
      const sha256 = await this.#transfer(channel, allow, progress);
      const ms = Math.round(progress.elapsedMs);
      this.#reporter.report({ event: "done", file: name, bytes: size, sha256, ms, ...wayOf(connection) });
      timer.cancel();
      await channel.close();
      return true;
    } catch (error) {
      connection.abort(error);
      if (this.#isClosed || error instanceof Declined) return false;
      const code = error instanceof HyphaError ? error.code : "TRANSFER_FAILED";
      const message = `${peer} did not get it: ${toError(error).message}`;
      this.#reporter.report({ event: "error", code, message });
      return false;
    } finally {
      timer.cancel();
    }
  }

  async #transfer(channel: FileChannel, allow: (ms: number) => void, progress: Progress): Promise<string> {
    const { file, name, size } = this.#options;
    allow(ACCEPT_TIMEOUT_MS);
    await propose(channel, name, size);
    const { peer, path } = wayOf(channel.connection);
    this.#reporter.report({ event: "connection", peer, path });
    progress.start();
    const hash = createHash("sha256");
    const buffer = new Uint8Array(DATA_BYTES);
    for (let at = 0; at < size;) {
      const { bytesRead } = await file.read(buffer, 0, Math.min(DATA_BYTES, size - at), at);
      if (bytesRead === 0) throw new Error(`${name} became shorter while it was sent`);
      const bytes = buffer.subarray(0, bytesRead);
      hash.update(bytes);
      allow(STALL_TIMEOUT_MS);
      await say(channel, { type: "data", bytes });
      at += bytesRead;
      progress.add(bytesRead);
    }
    const sha256 = new Uint8Array(hash.digest());
    allow(STORE_TIMEOUT_MS);
    await say(channel, { type: "end", sha256 });
    await expectReply(channel, "done");
    return toHex(sha256);
  }
}

/** Offers the file, and waits for a yes. Who goes away instead has lost nothing. */
async function propose(channel: FileChannel, name: string, size: number): Promise<void> {
  try {
    await channel.send({ type: "offer", name, size });
    await expectReply(channel, "accept");
  } catch (error) {
    if (error instanceof ConnectError) throw new Declined("it has left", { cause: error });
    throw error;
  }
}

/** Sends `message`. If the receiver has gone, its last words are the reason. */
async function say(channel: FileChannel, message: FileMessage): Promise<void> {
  try {
    await channel.send(message);
  } catch (error) {
    const last = await channel.next().catch(() => undefined);
    throw last?.type === "refuse" ? refusalOf(last) : error;
  }
}

async function expectReply(channel: FileChannel, wanted: FileMessage["type"]): Promise<void> {
  const message = await channel.next();
  if (message.type === wanted) return;
  if (message.type !== "refuse") throw new Error(`it answered ${message.type} instead of ${wanted}`);
  throw refusalOf(message);
}

function refusalOf({ code, reason }: Extract<FileMessage, { type: "refuse" }>): Error {
  return code === "TAKEN" ? new Declined(reason) : new Error(`it refused, ${reason}`);
}
