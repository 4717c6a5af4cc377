/**
 * What applications hold: an encrypted connection to a peer, with promises.
 */
import { abortable } from "../runtime/async.ts";
import { ConnectError, toError } from "../runtime/errors.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Duplex } from "./duplex.ts";
import { Mux } from "./mux.ts";
import { PromisePipe } from "./promise_pipe.ts";
import { requireMs, type SecretStreamOptions } from "./secret_options.ts";
import { SecretStream } from "./secret_stream.ts";
import { readableOf, type WebStreamHooks, writableOf } from "./web_streams.ts";

/** How much may wait for a reader: a few full frames of a fast connection. */
const MAX_BUFFERED_BYTES = 256 * 1024;
/** How long `close` waits for the other side to end too. */
const CLOSE_TIMEOUT_MS = 5_000;

/** Options of a {@linkcode Connection}. */
export interface ConnectionOptions extends SecretStreamOptions {
  /** How much may wait for a reader before the peer is slowed down, in bytes; 262144 by default. */
  readonly maxBufferedBytes?: number | undefined;
  /** How long {@linkcode Connection.close} waits for the peer to end too, in milliseconds; 5000 by default. */
  readonly closeTimeoutMs?: number | undefined;
  /** See {@linkcode Connection.remoteAddress}. */
  readonly remoteAddress?: string | undefined;
}

/** Options of {@linkcode openConnection}. */
export interface OpenConnectionOptions extends ConnectionOptions {
  /** Gives up the opening. Once the connection is open, the signal has no more effect on it. */
  readonly signal?: AbortSignal | undefined;
}

/** The ways to use one direction of a connection. */
type ReadFace = "for await" | "readable" | "duplex" | "mux";
type WriteFace = "write()" | "writable" | "duplex" | "mux";

/**
 * An encrypted connection to a peer whose key is known.
 *
 * Read it with `for await`, and write with {@linkcode write}; or take {@linkcode readable} and {@linkcode writable}; or
 * run a protocol on {@linkcode duplex} or {@linkcode mux}. Each direction is used in one way only: the first use of one
 * makes the others throw a `TypeError`. Chunks are messages: each `write` is one chunk at the other side.
 *
 * Leaving a `for await` loop does not close the connection; another loop goes on where it stopped. A reader that is slow
 * or absent slows the peer down, by a bounded buffer.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { loadCryptoProvider } from "../crypto/provider.ts";
 * import { SystemClock, SystemRandom } from "../runtime/system.ts";
 * import { openConnection } from "./connection.ts";
 * import { duplexPair } from "./duplex_pair.ts";
 *
 * const crypto = await loadCryptoProvider();
 * const runtime = { clock: new SystemClock(), random: new SystemRandom(), crypto };
 * const keyPair = crypto.keyPair(runtime.random.fill(new Uint8Array(32)));
 * const [near, far] = duplexPair();
 * const [client, server] = await Promise.all([
 *   openConnection(near, runtime, { isInitiator: true, keyPair }),
 *   openConnection(far, runtime, { isInitiator: false, keyPair }),
 * ]);
 *
 * await client.write(new TextEncoder().encode("hello"));
 * for await (const chunk of server) {
 *   assert(new TextDecoder().decode(chunk) === "hello");
 *   break;
 * }
 * await Promise.all([client.close(), server.close()]);
 * ```
 */
export class Connection implements AsyncIterable<Uint8Array>, AsyncDisposable {
  /** Resolves when the peer is proven to be there; rejects if the connection closes before. May be ignored. */
  readonly opened: Promise<void>;
  /**
   * Resolves when the connection is gone after both sides ended in order, or after {@linkcode close}; rejects with the
   * error otherwise. May be ignored: it is never an unhandled rejection.
   */
  readonly closed: Promise<void>;
  /** Where the peer is, as `<scheme>:...`; undefined if the transport did not tell. */
  readonly remoteAddress: string | undefined;
  readonly #stream: SecretStream;
  readonly #runtime: Runtime;
  readonly #expectedPublicKey: Uint8Array | undefined;
  readonly #maxBufferedBytes: number;
  readonly #closeTimeoutMs: number;
  #pipe: PromisePipe | undefined;
  #mux: Mux | undefined;
  #readFace: ReadFace | undefined;
  #writeFace: WriteFace | undefined;
  #readable: ReadableStream<Uint8Array> | undefined;
  #writable: WritableStream<Uint8Array> | undefined;

  /**
   * Starts a connection over `lower`, which it owns from now on. Everything can be used at once, what is written waits;
   * {@linkcode openConnection} does the waiting.
   *
   * @throws {TypeError} or {@linkcode RangeError} for options that make no sense.
   */
  constructor(lower: Duplex, runtime: Runtime, options: ConnectionOptions) {
    this.#runtime = runtime;
    this.remoteAddress = options.remoteAddress;
    this.#expectedPublicKey = options.remotePublicKey;
    this.#maxBufferedBytes = options.maxBufferedBytes ?? MAX_BUFFERED_BYTES;
    this.#closeTimeoutMs = requireMs("closeTimeoutMs", options.closeTimeoutMs ?? CLOSE_TIMEOUT_MS);
    const opened = Promise.withResolvers<void>();
    const closed = Promise.withResolvers<void>();
    this.opened = opened.promise;
    this.closed = closed.promise;
    for (const promise of [opened.promise, closed.promise]) promise.catch(() => {});
    this.#stream = new SecretStream(lower, runtime, options, {
      onOpen: () => opened.resolve(),
      onClose: (error) => {
        opened.reject(
          error ?? new ConnectError("CONNECTION_CLOSED", "The connection was closed before it was open"),
        );
        if (error === undefined) closed.resolve();
        else closed.reject(error);
      },
    });
    this.#stream.start();
  }

  /**
   * For transports whose handshake went another way than the connection, on the side that dialed: the peer has now answered it
   * along the path of the connection as well, so that no more of it has to be heard. See {@linkcode NoiseSession.isPathProven}.
   */
  provePath(): void {
    this.#stream.provePath();
  }

  /** The round trip to the peer in milliseconds, if the transport knows it. */
  get roundTripMs(): number | undefined {
    return this.#stream.roundTripMs;
  }

  /** Whether this side began the handshake. */
  get isInitiator(): boolean {
    return this.#stream.isInitiator;
  }

  /** The key of this side, 32 bytes. */
  get publicKey(): Uint8Array {
    return this.#stream.publicKey;
  }

  /**
   * The key of the peer, 32 bytes.
   *
   * @throws {TypeError} before the handshake, if no particular peer was expected.
   */
  get remotePublicKey(): Uint8Array {
    const key = this.#stream.session?.remotePublicKey ?? this.#expectedPublicKey;
    if (key === undefined) throw new TypeError("The peer is not known yet: wait for opened");
    return key;
  }

  /**
   * The hash of the handshake: 64 bytes, the same at both ends and on no other connection. Not a secret.
   *
   * @throws {TypeError} before the handshake.
   */
  get handshakeHash(): Uint8Array {
    const { session } = this.#stream;
    if (session === undefined) throw new TypeError("There was no handshake yet: wait for opened");
    return session.hash;
  }

  /** Bytes of message frames received so far, keepalives included. */
  get rawBytesRead(): number {
    return this.#stream.rawBytesRead;
  }

  /** Bytes of message frames sent so far, keepalives included. */
  get rawBytesWritten(): number {
    return this.#stream.rawBytesWritten;
  }

  /**
   * The connection as a pipe of messages, for a protocol. It is the protocol then that reads, writes and ends.
   *
   * @throws {TypeError} if the connection is used in another way.
   */
  get duplex(): Duplex {
    this.#claimBoth("duplex");
    return this.#stream;
  }

  /**
   * The channels on this connection, shared by all protocols that ask for them. What the peer has sent already is handled at
   * the end of the turn in which this is first read: open channels and set pair callbacks before, or the peer is told that
   * there are none.
   *
   * @throws {TypeError} if the connection is used in another way.
   */
  get mux(): Mux {
    this.#claimBoth("mux");
    if (this.#mux === undefined) {
      this.#stream.pause();
      this.#mux = new Mux(this.#stream);
      this.#runtime.clock.defer(() => this.#stream.resume());
    }
    return this.#mux;
  }

  /**
   * The incoming chunks as a Web Stream. Cancelling it drops what comes.
   *
   * @throws {TypeError} if the connection is read in another way.
   */
  get readable(): ReadableStream<Uint8Array> {
    this.#claimRead("readable");
    return this.#readable ??= readableOf(this.#edge(), this.#webHooks());
  }

  /**
   * The outgoing chunks as a Web Stream. Closing it ends this direction, aborting it aborts the connection.
   *
   * @throws {TypeError} if the connection is written in another way.
   */
  get writable(): WritableStream<Uint8Array> {
    this.#claimWrite("writable");
    return this.#writable ??= writableOf(this.#edge(), this.#webHooks());
  }

  /**
   * Sends `chunk` as one message; resolves when there is room for more. Do not change `chunk` before that. Rejects if the
   * connection is closed, with a `TypeError` if it is written in another way, and with a `RangeError` if `chunk` is
   * longer than 16777198 bytes. An empty chunk is not delivered.
   */
  write(chunk: Uint8Array): Promise<void> {
    try {
      this.#claimWrite("write()");
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#edge().write(chunk);
  }

  /**
   * Sends a message beside the others, that arrives once or never, in any order; false = dropped here, for example because
   * the connection is not open or its transport has no such messages. These are not secret from who saw the handshake.
   */
  sendUnordered(message: Uint8Array): boolean {
    return this.#stream.unordered?.send(message) ?? false;
  }

  /** Takes the unordered messages, each lent until `listener` returns. Not together with `duplex` and `mux`. */
  onUnordered(listener: (message: Uint8Array) => void): void {
    if (this.#readFace === "duplex" || this.#readFace === "mux") throw lockedBy(this.#readFace);
    this.#edge().onUnordered = listener;
  }

  /** Shows the peer now that this side is there; with a transport that wants acknowledgements, this tests the path. */
  sendKeepAlive(): void {
    this.#stream.sendKeepAlive();
  }

  /** Changes {@linkcode SecretStreamOptions.keepAliveMs}. */
  setKeepAlive(ms: number): void {
    this.#stream.setKeepAlive(ms);
  }

  /** Changes {@linkcode SecretStreamOptions.idleTimeoutMs}. */
  setIdleTimeout(ms: number): void {
    this.#stream.setIdleTimeout(ms);
  }

  /**
   * Sends what was written, ends this side, and resolves when the connection is gone; never rejects. If nobody reads,
   * what still comes is dropped. A peer that does not end as well is cut off after {@linkcode ConnectionOptions.closeTimeoutMs}.
   */
  async close(): Promise<void> {
    const { clock } = this.#runtime;
    const timer = clock.schedule(clock.now() + this.#closeTimeoutMs, () => this.#stream.destroy());
    if (this.#readFace === "duplex" || this.#readFace === "mux") {
      this.#stream.end();
    } else {
      const edge = this.#edge();
      if (this.#readFace === undefined) edge.discard();
      edge.end();
    }
    await this.closed.catch(() => {});
    timer.cancel();
  }

  /** Drops the connection at once; reads, writes and {@linkcode closed} reject with `reason`. */
  abort(reason?: unknown): void {
    this.#stream.destroy(
      reason === undefined ? new ConnectError("ABORTED", "The connection was aborted") : toError(reason),
    );
  }

  /** Yields the incoming chunks, each to keep; ends when the peer has ended, throws when the connection breaks. */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    this.#claimRead("for await");
    const edge = this.#edge();
    return {
      next: async () => {
        const value = await edge.read();
        return value === undefined ? { done: true, value: undefined } : { done: false, value };
      },
      return: () => {
        this.#readFace = undefined;
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  /** Closes the connection: see {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #edge(): PromisePipe {
    return this.#pipe ??= new PromisePipe(this.#stream, this.#maxBufferedBytes);
  }

  #webHooks(): WebStreamHooks {
    return {
      onCancel: () => this.#pipe?.discard(),
      onAbort: (reason) => this.abort(reason),
    };
  }

  #claimBoth(face: "duplex" | "mux"): void {
    if (this.#pipe !== undefined) throw lockedBy(this.#readFace ?? this.#writeFace ?? "for await");
    this.#claimRead(face);
    this.#claimWrite(face);
  }

  #claimRead(face: ReadFace): void {
    const taken = this.#readFace;
    if (taken !== undefined && taken !== face) throw lockedBy(taken);
    this.#readFace = face;
  }

  #claimWrite(face: WriteFace): void {
    const taken = this.#writeFace;
    if (taken !== undefined && taken !== face) throw lockedBy(taken);
    this.#writeFace = face;
  }
}

/**
 * Opens a connection over a pipe: resolves once the peer is proven to be there.
 *
 * @throws {ConnectError} `TIMEOUT`, `WRONG_PEER`, or what closed the pipe; {@linkcode ProtocolError} if the peer does not
 * speak the protocol; `signal.reason` if aborted. The pipe is then destroyed.
 */
export async function openConnection(
  lower: Duplex,
  runtime: Runtime,
  options: OpenConnectionOptions,
): Promise<Connection> {
  const connection = new Connection(lower, runtime, options);
  try {
    await abortable(connection.opened, options.signal);
    return connection;
  } catch (error) {
    connection.abort(error);
    throw error;
  }
}

function lockedBy(face: ReadFace | WriteFace): TypeError {
  return new TypeError(`The connection is already used through ${face}: use one way per direction`);
}
