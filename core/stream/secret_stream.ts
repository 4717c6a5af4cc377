/**
 * A secret stream on a pipe: a {@linkcode SecretMachine} with the flow control, the deadlines and the end of life that a
 * {@linkcode Duplex} needs.
 */
import { assert } from "../runtime/assert.ts";
import { ConnectError, HyphaError } from "../runtime/errors.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Duplex, Sink } from "./duplex.ts";
import { isReadable, isWritable, nextPipeState, type PipeState } from "./pipe_state.ts";
import { type SecretDeadline, SecretDeadlines } from "./secret_deadlines.ts";
import { MAX_MESSAGE_BYTES, ROOM_BEFORE_BYTES, ROOM_BEHIND_BYTES, SecretMachine } from "./secret_machine.ts";
import {
  type NoiseSession,
  requireMs,
  resolveSecretStreamOptions,
  type SecretStreamConfig,
  type SecretStreamOptions,
} from "./secret_options.ts";
import { SecretUnordered } from "./secret_unordered.ts";

/** What the owner of a {@linkcode SecretStream} is told, beside what the sink is. */
export interface SecretStreamHooks {
  /** The handshake is complete: the peer's key is known, but may be a recording of an earlier call. */
  onHandshake?(): void;
  /** The peer is proven to be there: see `Proof`. Comes before the first data. */
  onOpen?(): void;
  /** The stream is gone; comes right before the sink hears of it, and also if there is no sink. */
  onClose?(error?: Error): void;
}

/**
 * An encrypted, authenticated pipe of messages over any pipe, compatible with `@hyperswarm/secret-stream`.
 *
 * A write is one message at the other side. Empty messages serve as keepalive and are never delivered. What is written
 * before the handshake is complete waits. Like TCP's, the end of the pipe below is not authenticated: who controls the
 * path can cut the stream between two messages, though not inside one.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { loadCryptoProvider } from "../crypto/provider.ts";
 * import { SeededRandom, VirtualClock } from "../runtime/virtual.ts";
 * import { duplexPair } from "./duplex_pair.ts";
 * import { SecretStream } from "./secret_stream.ts";
 *
 * const crypto = await loadCryptoProvider();
 * const runtime = { clock: new VirtualClock(), random: new SeededRandom(1), crypto };
 * const keyPair = crypto.keyPair(new Uint8Array(32));
 * const [near, far] = duplexPair();
 * const client = new SecretStream(near, runtime, { isInitiator: true, keyPair });
 * const server = new SecretStream(far, runtime, { isInitiator: false, keyPair });
 * const received: Uint8Array[] = [];
 * server.attach({ onData: (chunk) => received.push(chunk.slice()), onDrain() {}, onEnd() {}, onClose() {} });
 * server.start();
 * client.start();
 * client.write(Uint8Array.of(1, 2, 3));
 * assert(received[0]?.length === 3);
 * client.destroy();
 * ```
 */
export class SecretStream implements Duplex {
  /** Always `message`. */
  readonly framing = "message";
  /** See {@linkcode Duplex.unordered}; present if the pipe below has it. Nothing is sent or delivered before the stream is open. */
  readonly unordered?: SecretUnordered;
  readonly #lower: Duplex;
  readonly #runtime: Runtime;
  readonly #config: SecretStreamConfig;
  readonly #hooks: SecretStreamHooks;
  readonly #machine: SecretMachine;
  readonly #deadlines: SecretDeadlines;
  #sink: Sink | undefined;
  #state: PipeState = "open";
  #isOpen = false;
  /** Messages written before there were keys. */
  #waiting: Uint8Array[] = [];
  /** Whether messages go out at once: the header and all that waited are on their way. */
  #hasKeys = false;
  /** Whether the pipe below has said to wait. */
  #needsDrain = false;
  /** The array handed out by `alloc` last, and the frame in which it lies. */
  #body: Uint8Array | undefined;
  #frame: Uint8Array | undefined;
  #paused = false;
  #lowerPaused = false;
  #reading = false;
  /** The message that proved the peer, if there was no sink to take it. */
  #held: Uint8Array | undefined;
  #remoteEnd = false;
  #lowerClosed = false;
  #closing: { readonly error: Error | undefined } | undefined;
  #unorderedDropped = 0;

  /** A stream over `lower`, which it owns. Nothing happens until {@linkcode start}. Throws what the options deserve. */
  constructor(lower: Duplex, runtime: Runtime, options: SecretStreamOptions, hooks: SecretStreamHooks = {}) {
    this.#lower = lower;
    this.#runtime = runtime;
    this.#config = resolveSecretStreamOptions(options);
    this.#hooks = hooks;
    this.#machine = new SecretMachine(runtime, this.#config);
    this.#deadlines = new SecretDeadlines(runtime.clock, (what) => this.#onDeadline(what));
    if (lower.unordered !== undefined) this.unordered = new SecretUnordered(lower.unordered, runtime);
  }

  /** The round trip to the peer in milliseconds, if the pipe below knows it. */
  get roundTripMs(): number | undefined {
    return this.#lower.roundTripMs;
  }

  /** Whether this side spoke first. */
  get isInitiator(): boolean {
    return this.#config.isInitiator;
  }

  /** The key of this side, 32 bytes. */
  get publicKey(): Uint8Array {
    return this.#config.session?.publicKey ?? this.#config.keyPair.publicKey;
  }

  /** The agreed keys and the peer's identity; undefined until the handshake is complete. */
  get session(): NoiseSession | undefined {
    return this.#machine.session;
  }

  /** Whether the peer is proven to be there. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Bytes of message frames received so far, keepalives included. */
  get rawBytesRead(): number {
    return this.#machine.bytesRead;
  }

  /** Bytes of message frames sent so far, keepalives included. */
  get rawBytesWritten(): number {
    return this.#machine.bytesWritten;
  }

  /** Unordered messages that were dropped: forged, repeated, too old, too early or unwanted. */
  get unorderedDropped(): number {
    return this.#unorderedDropped;
  }

  /** The path of the pipe is proven now: see `NoiseSession.isPathProven`. After {@linkcode start}, on the side that dialed. */
  provePath(): void {
    this.#machine.provePath();
    this.#advance();
  }

  /** Begins the handshake; once. */
  start(): void {
    const { handshakeTimeoutMs, keepAliveMs, idleTimeoutMs } = this.#config;
    this.#deadlines.expectOpen(handshakeTimeoutMs);
    this.#deadlines.keepAliveMs = keepAliveMs;
    this.#deadlines.idleMs = idleTimeoutMs;
    this.#deadlines.listens = true;
    try {
      this.#machine.start();
    } catch (error) {
      this.#abandon(error);
    }
    this.#advance();
    this.#lower.attach({
      onData: (chunk) => this.#onData(chunk),
      onDrain: () => this.#onDrain(),
      onEnd: () => this.#onEnd(),
      onUnordered: (message) => this.#onUnordered(message),
      onClose: (error) => this.#onClose(error),
    });
  }

  /** See {@linkcode Duplex.attach}. May come before or after {@linkcode start}. */
  attach(sink: Sink): void {
    assert(this.#sink === undefined, "a pipe has one sink");
    this.#sink = sink;
    if (this.#lowerClosed && this.#closing !== undefined) sink.onClose(this.#closing.error);
    else this.#read();
  }

  /** See {@linkcode Duplex.alloc}. */
  alloc(size: number): Uint8Array {
    this.#frame = this.#lower.alloc(ROOM_BEFORE_BYTES + size + ROOM_BEHIND_BYTES);
    this.#body = this.#frame.subarray(ROOM_BEFORE_BYTES, ROOM_BEFORE_BYTES + size);
    return this.#body;
  }

  /**
   * See {@linkcode Duplex.write}.
   *
   * @throws {RangeError} for a message of more than 16777198 bytes.
   */
  write(chunk: Uint8Array): boolean {
    if (!isWritable(this.#state)) return false;
    if (chunk.length > MAX_MESSAGE_BYTES) {
      throw new RangeError(
        `A message may have ${MAX_MESSAGE_BYTES} bytes, not ${chunk.length}: write it in parts`,
      );
    }
    if (this.#hasKeys) return this.#send(chunk);
    this.#waiting.push(chunk);
    return false;
  }

  /** See {@linkcode Duplex.pause}. */
  pause(): void {
    this.#paused = true;
    this.#updateFlow();
  }

  /** See {@linkcode Duplex.resume}. */
  resume(): void {
    this.#paused = false;
    this.#read();
  }

  /** See {@linkcode Duplex.end}. */
  end(): void {
    if (!isWritable(this.#state)) return;
    this.#state = nextPipeState(this.#state, "localEnd");
    if (this.#hasKeys) this.#endLower();
  }

  /** See {@linkcode Duplex.destroy}. */
  destroy(error?: Error): void {
    if (this.#closing !== undefined) return;
    this.#state = "closed";
    this.#closing = { error };
    this.#waiting = [];
    this.#held = undefined;
    this.#deadlines.cancel();
    if (this.#lowerClosed) this.#tellClosed();
    else this.#lower.destroy(error);
  }

  /** Sends an empty frame now, unless there are no keys yet or the pipe below is full anyway. */
  sendKeepAlive(): void {
    if (this.#hasKeys && isWritable(this.#state) && !this.#needsDrain) this.#send(this.alloc(0));
  }

  /** Changes {@linkcode SecretStreamOptions.keepAliveMs}. */
  setKeepAlive(ms: number): void {
    this.#deadlines.keepAliveMs = requireMs("keepAliveMs", ms);
  }

  /** Changes {@linkcode SecretStreamOptions.idleTimeoutMs}. */
  setIdleTimeout(ms: number): void {
    this.#deadlines.idleMs = requireMs("idleTimeoutMs", ms);
  }

  #send(message: Uint8Array): boolean {
    let frame = this.#frame;
    if (message !== this.#body || frame === undefined) {
      frame = this.#lower.alloc(ROOM_BEFORE_BYTES + message.length + ROOM_BEHIND_BYTES);
      frame.set(message, ROOM_BEFORE_BYTES);
    }
    this.#body = this.#frame = undefined;
    this.#machine.seal(frame);
    this.#deadlines.sent();
    return this.#writeLower(frame);
  }

  #writeLower(frame: Uint8Array): boolean {
    const hasRoom = this.#lower.write(frame);
    if (!hasRoom) this.#needsDrain = true;
    return hasRoom;
  }

  /** Whether the next frame would have to be delivered and cannot be. */
  get #isBlocked(): boolean {
    if (this.#machine.stage !== "message" || !this.#machine.isProven) return false;
    return this.#paused || this.#sink === undefined;
  }

  #onData(chunk: Uint8Array): void {
    if (this.#closing !== undefined) return;
    this.#deadlines.heard();
    this.#machine.feed(chunk);
    try {
      this.#read();
    } finally {
      this.#machine.release();
    }
  }

  /** Handles frames until there are no more, or nobody wants them now. */
  #read(): void {
    if (this.#reading) return;
    this.#reading = true;
    try {
      this.#deliver(this.#held);
      while (isReadable(this.#state) && !this.#isBlocked) {
        const message = this.#next();
        if (message === undefined) break;
        this.#advance();
        this.#deliver(message);
      }
    } finally {
      this.#reading = false;
    }
    this.#finishRemoteEnd();
    this.#updateFlow();
  }

  #next(): Uint8Array | undefined {
    try {
      return this.#machine.next();
    } catch (error) {
      this.#abandon(error);
      return undefined;
    }
  }

  #deliver(message: Uint8Array | undefined): void {
    if (message === undefined || message.length === 0 || !isReadable(this.#state)) return;
    if (this.#isBlocked) {
      this.#held = message === this.#held ? message : new Uint8Array(message);
    } else {
      this.#held = undefined;
      this.#sink!.onData(message);
    }
  }

  /** Carries out what the machine has come to: frames to send, keys, the proof of the peer. */
  #advance(): void {
    const machine = this.#machine;
    if (this.#isOpen || this.#closing !== undefined) return;
    for (let frame; (frame = machine.pollTransmit()) !== undefined;) this.#writeLower(frame);
    if (machine.canSeal && !this.#hasKeys) this.#onKeys();
    if (!machine.isProven || this.#closing !== undefined) return;
    this.#isOpen = true;
    this.#deadlines.opened();
    this.unordered?.open(machine.session!);
    this.#hooks.onOpen?.();
  }

  /** Sends what waited. What is written meanwhile, by the hook or on a drain, comes behind it. */
  #onKeys(): void {
    this.#hooks.onHandshake?.();
    if (this.#closing !== undefined) return;
    const waited = this.#waiting.length > 0;
    for (let message; (message = this.#waiting.shift()) !== undefined;) this.#send(message);
    this.#hasKeys = true;
    if (!isWritable(this.#state)) {
      this.#endLower();
      return;
    }
    this.#deadlines.speaks = true;
    if (this.#machine.owesProof) this.#runtime.clock.defer(() => this.#prove());
    if (waited && !this.#needsDrain) this.#onDrain();
  }

  /** Lets the peer open its side, unless a message has done that already. */
  #prove(): void {
    if (this.#machine.bytesWritten === 0 && isWritable(this.#state)) this.#send(this.alloc(0));
  }

  #endLower(): void {
    this.#deadlines.speaks = false;
    if (this.#machine.owesProof && this.#machine.bytesWritten === 0) this.#send(this.alloc(0));
    this.#lower.end();
  }

  #updateFlow(): void {
    if (this.#isBlocked === this.#lowerPaused || this.#reading) return;
    this.#lowerPaused = !this.#lowerPaused;
    this.#deadlines.listens = !this.#lowerPaused;
    if (this.#lowerPaused) this.#lower.pause();
    else this.#lower.resume();
  }

  #onDrain(): void {
    this.#needsDrain = false;
    this.#sink?.onDrain();
  }

  #onUnordered(sealed: Uint8Array): void {
    const message = this.#closing === undefined ? this.unordered?.receive(sealed) : undefined;
    if (message === undefined || this.#sink?.onUnordered === undefined) this.#unorderedDropped++;
    else this.#sink.onUnordered(message);
  }

  #onEnd(): void {
    this.#remoteEnd = true;
    this.#read();
  }

  /** Passes the end of the pipe below on, once everything before it is delivered. */
  #finishRemoteEnd(): void {
    if (!this.#remoteEnd || !isReadable(this.#state)) return;
    if (!this.#isOpen || this.#machine.stage !== "message") {
      this.destroy(new ConnectError("HANDSHAKE_UNFINISHED", "The peer hung up before the stream was open"));
    } else if (this.#isBlocked) {
      return;
    } else if (this.#machine.isMidFrame) {
      this.destroy(new ConnectError("CONNECTION_RESET", "The pipe ended inside a frame"));
    } else {
      this.#state = nextPipeState(this.#state, "remoteEnd");
      this.#sink!.onEnd();
      if (this.#lowerClosed) this.#onClose();
    }
  }

  /** What the machine throws at the peer closes the stream; anything else is a fault of ours. */
  #abandon(error: unknown): void {
    if (!(error instanceof HyphaError)) throw error;
    this.destroy(error);
  }

  #onClose(error?: Error): void {
    this.#lowerClosed = true;
    if (this.#closing === undefined) {
      const hasMore = this.#remoteEnd && isReadable(this.#state);
      if (error === undefined && hasMore) return;
      const inOrder = this.#state === "closed";
      this.#state = "closed";
      this.#closing = { error: error ?? (inOrder ? undefined : this.#cutOff()) };
      this.#deadlines.cancel();
    }
    this.#tellClosed();
  }

  #cutOff(): ConnectError {
    return this.#isOpen
      ? new ConnectError("CONNECTION_RESET", "The pipe closed before both sides had ended")
      : new ConnectError("HANDSHAKE_UNFINISHED", "The pipe closed before the stream was open");
  }

  #tellClosed(): void {
    const { error } = this.#closing!;
    this.#hooks.onClose?.(error);
    this.#sink?.onClose(error);
  }

  #onDeadline(what: SecretDeadline): void {
    switch (what) {
      case "open":
        this.destroy(new ConnectError("TIMEOUT", "The peer did not complete the handshake in time"));
        break;
      case "idle":
        this.destroy(new ConnectError("TIMEOUT", "Nothing came from the peer for too long"));
        break;
      case "keepAlive":
        this.#machine.trim();
        this.sendKeepAlive();
        break;
    }
  }
}
