/**
 * What `for await (const connection of swarm)` draws from: the connections that are open, each once. It holds no more than are
 * open, because those that close before it is their turn drop out.
 */
import type { Connection } from "../core/stream/connection.ts";

/** See the head of the file. */
export class ConnectionFeed implements AsyncIterableIterator<Connection> {
  readonly #onReturn: (feed: ConnectionFeed) => void;
  readonly #waiting: PromiseWithResolvers<IteratorResult<Connection>>[] = [];
  readonly #connections: Set<Connection>;
  #isClosed = false;

  /** A feed that begins with `connections`; calls `onReturn` when its loop is left. */
  constructor(connections: Iterable<Connection>, onReturn: (feed: ConnectionFeed) => void) {
    this.#connections = new Set(connections);
    this.#onReturn = onReturn;
  }

  /** A connection has opened. */
  add(connection: Connection): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#connections.add(connection);
    else waiting.resolve({ done: false, value: connection });
  }

  /** A connection is gone. */
  delete(connection: Connection): void {
    this.#connections.delete(connection);
  }

  /** There will be no more. */
  close(): void {
    this.#isClosed = true;
    this.#connections.clear();
    for (const waiting of this.#waiting.splice(0)) waiting.resolve({ done: true, value: undefined });
  }

  /** The next connection, as soon as there is one. */
  next(): Promise<IteratorResult<Connection>> {
    for (const connection of this.#connections) {
      this.#connections.delete(connection);
      return Promise.resolve({ done: false, value: connection });
    }
    if (this.#isClosed) return Promise.resolve({ done: true, value: undefined });
    const waiting = Promise.withResolvers<IteratorResult<Connection>>();
    this.#waiting.push(waiting);
    return waiting.promise;
  }

  /** Ends the feed from the loop's side. */
  return(): Promise<IteratorResult<Connection>> {
    this.close();
    this.#onReturn(this);
    return Promise.resolve({ done: true, value: undefined });
  }

  /** The feed itself. */
  [Symbol.asyncIterator](): this {
    return this;
  }
}
