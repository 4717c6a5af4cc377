/** What the tests of streams share: a world that obeys, a sink that writes everything down, two ends of a secret stream. */
import { loadCryptoProvider } from "../../core/crypto/provider.ts";
import type { KeyPair } from "../../core/runtime/crypto_provider.ts";
import type { Runtime } from "../../core/runtime/runtime.ts";
import { SeededRandom, VirtualClock } from "../../core/runtime/virtual.ts";
import type { Duplex, Sink } from "../../core/stream/duplex.ts";
import { duplexPair, type DuplexPairOptions } from "../../core/stream/duplex_pair.ts";
import type { SecretStreamOptions } from "../../core/stream/secret_options.ts";
import { SecretStream, type SecretStreamHooks } from "../../core/stream/secret_stream.ts";

const crypto = await loadCryptoProvider();

/** A runtime under a clock that the test moves. */
export type TestRuntime = Runtime & { readonly clock: VirtualClock; readonly random: SeededRandom };

/** A fresh world. */
export function testRuntime(seed: string | number = 1): TestRuntime {
  return { clock: new VirtualClock(), random: new SeededRandom(seed), crypto };
}

/** The key pair whose seed is 32 times `n`. */
export function keyPair(n: number): KeyPair {
  return crypto.keyPair(new Uint8Array(32).fill(n));
}

/** `size` bytes that depend on `seed`. */
export function bytes(size: number, seed: string | number = "bytes"): Uint8Array {
  return new SeededRandom(seed).fill(new Uint8Array(size));
}

/** Text as bytes. */
export function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

/** A sink that keeps a copy of all that comes. */
export class Recorder implements Sink {
  /** Chunks as they came. */
  readonly chunks: Uint8Array[] = [];
  /** Unordered messages as they came. */
  readonly messages: Uint8Array[] = [];
  /** Everything in order, as words. */
  readonly log: string[] = [];
  /** How often there was room again. */
  drains = 0;
  /** Whether the other side has ended. */
  ended = false;
  /** How the pipe was closed. */
  closed: { readonly error: Error | undefined } | undefined;
  /** Called with each chunk after it was kept. */
  onChunk: ((chunk: Uint8Array) => void) | undefined;

  /** The chunks as texts. */
  get texts(): string[] {
    return this.chunks.map((chunk) => new TextDecoder().decode(chunk));
  }

  /** All chunks in one. */
  get all(): Uint8Array {
    return Uint8Array.from(this.chunks.flatMap((chunk) => [...chunk]));
  }

  onData(chunk: Uint8Array): void {
    this.chunks.push(chunk.slice());
    this.log.push("data");
    this.onChunk?.(chunk);
  }

  onDrain(): void {
    this.drains++;
    this.log.push("drain");
  }

  onEnd(): void {
    this.ended = true;
    this.log.push("end");
  }

  onUnordered(message: Uint8Array): void {
    this.messages.push(message.slice());
  }

  onClose(error?: Error): void {
    if (this.closed !== undefined) throw new Error("onClose came twice");
    this.closed = { error };
    this.log.push("close");
  }
}

/** One end under test. */
export interface End {
  /** The stream. */
  readonly stream: SecretStream;
  /** Its sink. */
  readonly sink: Recorder;
  /** What the hooks were told. */
  readonly hooks: string[];
}

/** What the two ends differ in from the default: an XX handshake between key pairs 1 and 2. */
export interface PairOptions {
  readonly runtime?: TestRuntime;
  readonly pair?: DuplexPairOptions;
  readonly client?: Partial<SecretStreamOptions>;
  readonly server?: Partial<SecretStreamOptions>;
  /** Comes between the streams and the pipe. */
  readonly wrap?: (duplex: Duplex, side: "client" | "server") => Duplex;
}

/** One end with a recorder, attached but not started. */
export function makeEnd(lower: Duplex, runtime: Runtime, options: SecretStreamOptions): End {
  const hooks: string[] = [];
  const told: SecretStreamHooks = {
    onHandshake: () => hooks.push("handshake"),
    onOpen: () => hooks.push("open"),
    onClose: () => hooks.push("close"),
  };
  const stream = new SecretStream(lower, runtime, options, told);
  const sink = new Recorder();
  stream.attach(sink);
  return { stream, sink, hooks };
}

/** Two ends over a pipe in memory, started. */
export function secretPair(options: PairOptions = {}): { client: End; server: End; runtime: TestRuntime } {
  const runtime = options.runtime ?? testRuntime();
  const wrap = options.wrap ?? ((duplex: Duplex) => duplex);
  const [near, far] = duplexPair(options.pair);
  const server = makeEnd(wrap(far, "server"), runtime, {
    isInitiator: false,
    keyPair: keyPair(2),
    ...options.server,
  });
  const client = makeEnd(wrap(near, "client"), runtime, {
    isInitiator: true,
    keyPair: keyPair(1),
    ...options.client,
  });
  server.stream.start();
  client.stream.start();
  return { client, server, runtime };
}

/** What a {@linkcode tap} sees of one direction. */
export interface Tap {
  /** Chunks that were written, copied. */
  readonly written: Uint8Array[];
}

/** A pipe that lets `change` see and replace each chunk written to it. */
export function tap(lower: Duplex, change: (chunk: Uint8Array) => readonly Uint8Array[]): Duplex {
  const duplex: Duplex = {
    framing: lower.framing,
    attach: (sink) => lower.attach(sink),
    alloc: (size) => lower.alloc(size),
    write(chunk) {
      let room = true;
      for (const part of change(chunk)) room = lower.write(part);
      return room;
    },
    pause: () => lower.pause(),
    resume: () => lower.resume(),
    end: () => lower.end(),
    destroy: (error) => lower.destroy(error),
  };
  return lower.unordered === undefined ? duplex : { ...duplex, unordered: lower.unordered };
}

/** Cuts `chunk` in pieces of `size` bytes. */
export function cut(chunk: Uint8Array, size: number): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < chunk.length; at += size) pieces.push(chunk.slice(at, at + size));
  return pieces;
}
