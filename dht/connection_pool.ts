/**
 * One connection to each peer, whoever dials whom: of two, the older gives way if both went the same way; if they crossed, the one
 * stays that the side with the smaller key has dialed, which both sides see alike.
 *
 * Source of the rule: hyperdht 6.34.0, lib/connection-pool.js, whose larger key always gives its own dial up.
 */
import { ConnectError } from "../core/runtime/errors.ts";
import { TypedEventTarget } from "../core/runtime/events.ts";
import { compare } from "../encoding/bytes.ts";
import { toHex } from "../encoding/text.ts";
import type { DhtConnection } from "./dht_connection.ts";
import type { DhtServer } from "./server.ts";

/** News of a pool. */
export interface ConnectionPoolEvents {
  /** There is a connection to a peer, in place of an earlier one if there was one. */
  connection: { readonly connection: DhtConnection };
}

/** See the head of the file. */
export class ConnectionPool extends TypedEventTarget<ConnectionPoolEvents> {
  readonly #open = new Map<string, DhtConnection>();
  readonly #dialing = new Map<string, PromiseWithResolvers<DhtConnection>>();

  /** How many peers are being dialed. */
  get connecting(): number {
    return this.#dialing.size;
  }

  /** The connections. */
  get connections(): IterableIterator<DhtConnection> {
    return this.#open.values();
  }

  /** Whether there is, or will be, a connection to a peer. */
  has(publicKey: Uint8Array): boolean {
    const key = toHex(publicKey);
    return this.#open.has(key) || this.#dialing.has(key);
  }

  /** The connection to a peer. */
  get(publicKey: Uint8Array): DhtConnection | undefined {
    return this.#open.get(toHex(publicKey));
  }

  /** Takes the connections of a server in. */
  attach(server: DhtServer): void {
    server.on("connection", ({ detail }) => void this.#admit(detail.connection));
  }

  /** Used by `Connector`: the connection to a peer, dialed by `start` if there is none. */
  connect(publicKey: Uint8Array, start: () => Promise<DhtConnection>): Promise<DhtConnection> {
    const key = toHex(publicKey);
    const open = this.#open.get(key);
    if (open !== undefined) return Promise.resolve(open);
    const dialing = this.#dialing.get(key);
    if (dialing !== undefined) return dialing.promise;
    const result = Promise.withResolvers<DhtConnection>();
    this.#dialing.set(key, result);
    start().then((connection) => this.#admit(connection)).then(result.resolve, result.reject).finally(() =>
      this.#dialing.delete(key)
    );
    return result.promise;
  }

  /** Keeps one of two connections to the same peer, and returns it. */
  #admit(connection: DhtConnection): DhtConnection {
    const key = toHex(connection.remotePublicKey);
    const existing = this.#open.get(key);
    if (existing !== undefined) {
      const loser = prefersNew(connection, existing) ? existing : connection;
      loser.abort(
        new ConnectError("DUPLICATE_CONNECTION", "There is another connection to the same peer: use that"),
      );
      if (loser === connection) return existing;
    }
    this.#open.set(key, connection);
    const forget = () => {
      if (this.#open.get(key) === connection) this.#open.delete(key);
    };
    connection.closed.then(forget, forget);
    // A dial of ours will lose against this one: whoever waits for it need not wait until it has.
    if (!connection.isInitiator && !isOurKeySmaller(connection)) this.#dialing.get(key)?.resolve(connection);
    this.emit("connection", { connection });
    return connection;
  }
}

function prefersNew(fresh: DhtConnection, existing: DhtConnection): boolean {
  if (fresh.isInitiator === existing.isInitiator) return true;
  return fresh.isInitiator === isOurKeySmaller(fresh);
}

function isOurKeySmaller({ publicKey, remotePublicKey }: DhtConnection): boolean {
  return compare(publicKey, remotePublicKey) < 0;
}
