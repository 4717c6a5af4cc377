/**
 * A pipe with promises: what the edge towards applications is made of.
 */
import { ConnectError } from "../runtime/errors.ts";
import { ByteQueue } from "./byte_queue.ts";
import type { Duplex, Sink } from "./duplex.ts";

/**
 * Reads and writes a {@linkcode Duplex} by promises. Chunks keep their boundaries. Up to `maxBufferedBytes` wait for a
 * reader, then the pipe is paused.
 */
export class PromisePipe {
  readonly #duplex: Duplex;
  readonly #incoming: ByteQueue;
  #readers: PromiseWithResolvers<Uint8Array | undefined>[] = [];
  #writers: PromiseWithResolvers<void>[] = [];
  #paused = false;
  #discards = false;
  #ended = false;
  #remoteEnded = false;
  #closed: { readonly error: Error | undefined } | undefined;
  /** Takes unordered messages, which are lent until it returns. */
  onUnordered: ((message: Uint8Array) => void) | undefined;

  /** Attaches to `duplex`. */
  constructor(duplex: Duplex, maxBufferedBytes: number) {
    this.#duplex = duplex;
    this.#incoming = new ByteQueue(maxBufferedBytes);
    duplex.attach(this.#sink());
  }

  /** The next chunk, which belongs to the caller; undefined at the end. Rejects if the pipe broke, after all data. */
  read(): Promise<Uint8Array | undefined> {
    const chunk = this.#incoming.shift();
    if (chunk !== undefined) {
      if (this.#paused && this.#incoming.isHalfEmpty) this.#resume();
      return Promise.resolve(chunk);
    }
    if (this.#closed?.error !== undefined) return Promise.reject(this.#closed.error);
    if (this.#remoteEnded || this.#closed !== undefined) return Promise.resolve(undefined);
    const reader = Promise.withResolvers<Uint8Array | undefined>();
    this.#readers.push(reader);
    return reader.promise;
  }

  /**
   * Sends `chunk` and resolves when there is room for more; do not change `chunk` before. Rejects if the pipe is closed
   * or ended, or closes while there is no room.
   */
  write(chunk: Uint8Array): Promise<void> {
    if (this.#ended || this.#closed !== undefined) return Promise.reject(this.#closedError());
    try {
      if (this.#duplex.write(chunk)) return Promise.resolve();
    } catch (error) {
      return Promise.reject(error);
    }
    if (this.#closed !== undefined) return Promise.reject(this.#closedError());
    const writer = Promise.withResolvers<void>();
    this.#writers.push(writer);
    return writer.promise;
  }

  /** Ends this side's direction. */
  end(): void {
    this.#ended = true;
    this.#duplex.end();
  }

  /** Drops what has come and what is still to come. */
  discard(): void {
    this.#discards = true;
    this.#incoming.clear();
    if (this.#paused) this.#resume();
  }

  #resume(): void {
    this.#paused = false;
    this.#duplex.resume();
  }

  #closedError(): Error {
    return this.#closed?.error ?? new ConnectError("CONNECTION_CLOSED", "The connection is closed");
  }

  #sink(): Sink {
    return {
      onData: (chunk) => this.#onData(chunk),
      onDrain: () => this.#settleWriters(),
      onEnd: () => {
        this.#remoteEnded = true;
        for (const reader of this.#readers.splice(0)) reader.resolve(undefined);
      },
      onUnordered: (message) => this.onUnordered?.(message),
      onClose: (error) => this.#onClose(error),
    };
  }

  #onData(chunk: Uint8Array): void {
    if (this.#discards) return;
    const reader = this.#readers.shift();
    if (reader !== undefined) {
      reader.resolve(new Uint8Array(chunk));
    } else if (!this.#incoming.push(new Uint8Array(chunk)) && !this.#paused) {
      this.#paused = true;
      this.#duplex.pause();
    }
  }

  #settleWriters(): void {
    for (const writer of this.#writers.splice(0)) writer.resolve();
  }

  #onClose(error?: Error): void {
    this.#closed = { error };
    for (const reader of this.#readers.splice(0)) {
      if (error === undefined) reader.resolve(undefined);
      else reader.reject(error);
    }
    for (const writer of this.#writers.splice(0)) writer.reject(this.#closedError());
  }
}
