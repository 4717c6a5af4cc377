/**
 * The exchange of a file on a channel of a connection, with promises. Both sides open it, and say whether they send or receive;
 * what follows is in `file_messages.ts`.
 */
import { AsyncQueue } from "../core/runtime/async.ts";
import { ConnectError, ProtocolError } from "../core/runtime/errors.ts";
import type { ChannelMessage, Connection, Mux } from "../core/mod.ts";
import { uint } from "../encoding/mod.ts";
import { type FileMessage, fileMessage } from "./file_messages.ts";
import { printable } from "./reporter.ts";

const PROTOCOL = "hypha/file/1";
/** Bytes of messages that may wait to be read before the peer is slowed down. */
const MAX_WAITING_BYTES = 1024 * 1024;
/** Messages that may wait: what one frame of small ones could bring on top. */
const MAX_WAITING_MESSAGES = 4096;
/** What a message counts for besides its bytes. */
const MESSAGE_COST = 64;

/** What a side of the channel wants to do. */
export type Role = "send" | "receive";

const ROLES: readonly string[] = ["send", "receive"] satisfies readonly Role[];

/** See the head of the file. */
export class FileChannel {
  /** The connection below, which ends with the exchange. */
  readonly connection: Connection;
  readonly #mux: Mux;
  readonly #opened = Promise.withResolvers<boolean>();
  readonly #message: ChannelMessage<FileMessage>;
  readonly #incoming = new AsyncQueue<FileMessage>(MAX_WAITING_MESSAGES);
  #waitingBytes = 0;
  #isPaused = false;
  #drained: PromiseWithResolvers<void> | undefined;
  #failure: Error | undefined;
  #isClosing = false;

  /** Opens this side, on a connection that is used in no other way than by channels. */
  constructor(connection: Connection, role: Role) {
    this.connection = connection;
    this.#mux = connection.mux;
    const channel = this.#mux.createChannel({
      protocol: PROTOCOL,
      handshake: uint,
      onOpen: (other) => this.#opened.resolve(other === 1 - ROLES.indexOf(role)),
      onDrain: () => this.#drained?.resolve(),
      onClose: (_isRemote, error) => this.#onClose(error),
    });
    if (channel === undefined) throw new ConnectError("CONNECTION_CLOSED", "The connection is closed");
    this.#message = channel.addMessage({
      codec: fileMessage,
      onMessage: (message) => this.#onMessage(message),
    });
    channel.open(ROLES.indexOf(role));
  }

  /** Resolves with true when the peer has opened its side and does the opposite; with false if it does not, or is gone. */
  get isMatched(): Promise<boolean> {
    return this.#opened.promise;
  }

  /** Sends a message; resolves when there is room for another. @throws {ConnectError} if the channel is closed. */
  async send(message: FileMessage): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#message.send(message)) return;
    if (this.#failure !== undefined) throw this.#failure;
    this.#drained = Promise.withResolvers();
    await this.#drained.promise;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** The next message of the peer. @throws {ConnectError} if the channel is closed. */
  async next(): Promise<FileMessage> {
    const { done, value } = await this.#incoming.next();
    if (done === true) throw this.#failure!;
    this.#waitingBytes -= costOf(value);
    if (this.#isPaused && this.#waitingBytes <= MAX_WAITING_BYTES / 2) {
      this.#isPaused = false;
      this.#mux.resume();
    }
    return value;
  }

  /** Sends what was said, and ends the connection; what still comes is dropped. */
  async close(): Promise<void> {
    this.#isClosing = true;
    if (this.#isPaused) this.#mux.resume();
    await this.connection.close();
  }

  #onMessage(message: FileMessage): void {
    if (this.#isClosing) return;
    const kept = toKeep(message);
    if (!this.#incoming.push(kept)) {
      throw new ProtocolError("LIMIT_EXCEEDED", "The peer sends messages in pieces too small to be a file");
    }
    this.#waitingBytes += costOf(kept);
    if (this.#waitingBytes <= MAX_WAITING_BYTES || this.#isPaused) return;
    this.#isPaused = true;
    this.#mux.pause();
  }

  #onClose(error: Error | undefined): void {
    this.#failure = error ?? new ConnectError("CONNECTION_CLOSED", "The peer hung up");
    this.#opened.resolve(false);
    this.#incoming.close();
    this.#drained?.resolve();
  }
}

/** The bytes are lent, and words of a stranger must not play tricks on a terminal. */
function toKeep(message: FileMessage): FileMessage {
  if (message.type === "data") return { ...message, bytes: message.bytes.slice() };
  return message.type === "refuse"
    ? { ...message, reason: printable(message.reason.slice(0, 200)) }
    : message;
}

function costOf(message: FileMessage): number {
  return MESSAGE_COST + (message.type === "data" ? message.bytes.length : 0);
}
