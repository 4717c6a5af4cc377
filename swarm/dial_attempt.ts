/**
 * The dialing of one peer: a race of all its addresses, which further ones may join while it is on. The first connection
 * wins, the others are dropped.
 */
import { ConnectError, toError } from "../core/runtime/errors.ts";
import type { Connection } from "../core/stream/connection.ts";
import type { Dialer } from "../transports/dialer.ts";

/** See the head of the file. */
export class DialAttempt {
  readonly #publicKey: Uint8Array;
  readonly #abort = new AbortController();
  readonly #result = Promise.withResolvers<Connection>();
  #dialer: Dialer | undefined;
  #running = 0;

  /** An attempt that waits for {@linkcode start}. */
  constructor(publicKey: Uint8Array) {
    this.#publicKey = publicKey;
    this.#result.promise.catch(() => {});
  }

  /** The connection that won; rejects when all have failed, or with the reason of {@linkcode cancel}. */
  get result(): Promise<Connection> {
    return this.#result.promise;
  }

  /** Whether {@linkcode start} was called. */
  get isStarted(): boolean {
    return this.#dialer !== undefined;
  }

  /** Whether it was cancelled, or has won. */
  get isOver(): boolean {
    return this.#abort.signal.aborted;
  }

  /** Begins to dial. */
  start(dialer: Dialer, addresses: readonly string[]): void {
    this.#dialer = dialer;
    this.#run(dialer, addresses);
  }

  /** Dials further addresses as well. */
  add(addresses: readonly string[]): void {
    if (this.#dialer !== undefined && addresses.length > 0) this.#run(this.#dialer, addresses);
  }

  /** Gives up. */
  cancel(reason: Error): void {
    this.#result.reject(reason);
    this.#abort.abort(reason);
  }

  #run(dialer: Dialer, addresses: readonly string[]): void {
    if (this.isOver) return;
    this.#running++;
    dialer.connect({ publicKey: this.#publicKey, addresses }, { signal: this.#abort.signal }).then(
      (connection) => this.#win(connection),
      (error) => this.#lose(toError(error)),
    );
  }

  #win(connection: Connection): void {
    if (this.isOver) {
      connection.abort();
      return;
    }
    this.#result.resolve(connection);
    this.#abort.abort(new ConnectError("ABORTED", "Another way to the peer was faster"));
  }

  #lose(error: Error): void {
    if (--this.#running === 0) this.#result.reject(error);
  }
}
