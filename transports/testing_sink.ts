/**
 * A sink that checks the rules of a `Duplex` as it receives: the order of calls, and each byte against a pattern.
 */
import type { Duplex, Sink } from "../core/stream/duplex.ts";
import { ConformanceError, expect, fillPattern, patternByte } from "./testing_kit.ts";

/** What to do beside noting; each is called after the note. */
export interface SinkHooks {
  /** After bytes came. */
  onData?(chunk: Uint8Array): void;
  /** After the other side ended. */
  onEnd?(): void;
}

/** The most that is written in one chunk. */
const CHUNK_BYTES = 16_384;

/** One end of a link under test. */
export class CheckedEnd implements Sink {
  /** The pipe. */
  readonly duplex: Duplex;
  /** Bytes received. */
  received = 0;
  /** Unordered messages received, copied. */
  readonly messages: Uint8Array[] = [];
  /** Calls of `onDrain`. */
  drains = 0;
  /** Whether the other side ended. */
  isEnded = false;
  /** Whether the pipe is gone. */
  isClosed = false;
  /** What it was closed with. */
  error: Error | undefined;
  /** Bytes written by {@linkcode send}. */
  sent = 0;
  readonly #hooks: SinkHooks;
  readonly #seed: number;
  readonly #peerSeed: number;
  #toSend = 0;
  #endsAfter = false;
  #isBlocked = false;
  #isPaused = false;
  #violation: string | undefined;

  /** Sends the pattern of `seed` and expects that of `peerSeed`; attach it with {@linkcode attach}. */
  constructor(duplex: Duplex, seed: number, peerSeed: number, hooks: SinkHooks = {}) {
    this.duplex = duplex;
    this.#seed = seed;
    this.#peerSeed = peerSeed;
    this.#hooks = hooks;
  }

  /** Attaches itself to the pipe. */
  attach(): this {
    this.duplex.attach(this);
    return this;
  }

  /** Sends `bytes` more of the pattern, as fast as the pipe takes them, and then ends if asked to. */
  send(bytes: number, options: { readonly end?: boolean } = {}): void {
    this.#toSend += bytes;
    this.#endsAfter ||= options.end ?? false;
    this.#pump();
  }

  /** Whether all that was to be sent has been written. */
  get isFlushed(): boolean {
    return this.#toSend === 0;
  }

  /** Whether a write returned false and no `onDrain` has come since. */
  get isBlocked(): boolean {
    return this.#isBlocked;
  }

  /** Asks the pipe to be silent, and checks that it is. */
  pause(): void {
    this.#isPaused = true;
    this.duplex.pause();
  }

  /** Ends a pause. */
  resume(): void {
    this.#isPaused = false;
    this.duplex.resume();
  }

  /** @throws {ConformanceError} if the pipe broke a rule. */
  verify(): void {
    if (this.#violation !== undefined) throw new ConformanceError(this.#violation);
  }

  onData(chunk: Uint8Array): void {
    this.#forbid(this.isClosed, "onData after onClose");
    this.#forbid(this.isEnded, "onData after onEnd");
    this.#forbid(this.#isPaused, "onData between pause and resume");
    for (let i = 0; i < chunk.length; i++) {
      if (chunk[i] === patternByte(this.received + i, this.#peerSeed)) continue;
      this.#forbid(true, `byte ${this.received + i} is not what was sent`);
      break;
    }
    this.received += chunk.length;
    this.#hooks.onData?.(chunk);
  }

  onDrain(): void {
    this.#forbid(this.isClosed, "onDrain after onClose");
    this.#forbid(!this.#isBlocked, "onDrain without a write that returned false");
    this.drains++;
    this.#isBlocked = false;
    this.#pump();
  }

  onEnd(): void {
    this.#forbid(this.isClosed, "onEnd after onClose");
    this.#forbid(this.isEnded, "onEnd twice");
    this.isEnded = true;
    this.#hooks.onEnd?.();
  }

  onUnordered(message: Uint8Array): void {
    this.#forbid(this.isClosed, "onUnordered after onClose");
    this.messages.push(message.slice());
  }

  onClose(error?: Error): void {
    this.#forbid(this.isClosed, "onClose twice");
    this.isClosed = true;
    this.error = error;
  }

  #pump(): void {
    while (this.#toSend > 0 && !this.#isBlocked && !this.isClosed) {
      const size = Math.min(this.#toSend, CHUNK_BYTES);
      const chunk = this.duplex.alloc(size);
      expect(chunk.length === size, `alloc(${size}) gave ${chunk.length} bytes`);
      fillPattern(chunk, this.sent, this.#seed);
      this.sent += size;
      this.#toSend -= size;
      this.#isBlocked = !this.duplex.write(chunk);
    }
    if (this.#toSend === 0 && this.#endsAfter) {
      this.#endsAfter = false;
      this.duplex.end();
    }
  }

  #forbid(isBroken: boolean, what: string): void {
    if (isBroken) this.#violation ??= what;
  }
}
