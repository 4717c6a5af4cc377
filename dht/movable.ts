/** The connections of a server that can go on over another path, by peer and stream: what a peer that looks for one refers to. */
import type { CryptoProvider } from "../core/runtime/crypto_provider.ts";
import { toHex } from "../encoding/text.ts";
import type { DhtConnection } from "./dht_connection.ts";
import { Mobility, type MobilityOptions } from "./mobility.ts";
import type { PunchLease } from "./punch_driver.ts";

/** What is known of one of them. */
export interface MovableOptions extends Omit<MobilityOptions, "stream"> {
  /** The connection. */
  readonly connection: DhtConnection;
  /** Whether it goes through a relay now: then it is not moved. */
  isRelayed(): boolean;
}

/** One of them. */
export class MovableConnection {
  /** The connection. */
  readonly connection: DhtConnection;
  /** Moves it. */
  readonly mobility: Mobility;
  readonly #isRelayed: () => boolean;
  #lease: PunchLease | undefined;

  /** Made by {@linkcode MovableConnections.keep}. */
  constructor(crypto: CryptoProvider, options: MovableOptions) {
    const { connection } = options;
    this.connection = connection;
    this.mobility = new Mobility(crypto, { ...options, stream: connection.stream });
    this.#isRelayed = options.isRelayed;
    connection.closed.catch(() => {}).finally(() => this.#lease?.release());
  }

  /** Keeps the socket of a hole that it was moved to, instead of the one before. */
  hold(lease: PunchLease): void {
    lease.confirm();
    this.#lease?.release();
    this.#lease = lease;
  }

  /** The network has changed: tells the peer where we are, as far as it can be reached. */
  prove(): void {
    if (!this.#isRelayed()) this.mobility.prove();
  }
}

/** See the head of the file. As many as there are open connections. */
export class MovableConnections {
  readonly #crypto: CryptoProvider;
  readonly #connections = new Map<string, MovableConnection>();

  /** None. */
  constructor(crypto: CryptoProvider) {
    this.#crypto = crypto;
  }

  /** How many there are. */
  get size(): number {
    return this.#connections.size;
  }

  /** Adds one, until it is closed. */
  keep(options: MovableOptions): MovableConnection {
    const movable = new MovableConnection(this.#crypto, options);
    const { connection, remoteId } = options;
    const key = keyOf(connection.remotePublicKey, remoteId);
    this.#connections.set(key, movable);
    connection.closed.catch(() => {}).finally(() => {
      if (this.#connections.get(key) === movable) this.#connections.delete(key);
    });
    return movable;
  }

  /** The connection of a peer whose end of the stream has this id. */
  find(remotePublicKey: Uint8Array, remoteId: number): MovableConnection | undefined {
    return this.#connections.get(keyOf(remotePublicKey, remoteId));
  }

  /** The network has changed. */
  prove(): void {
    for (const connection of this.#connections.values()) connection.prove();
  }
}

function keyOf(remotePublicKey: Uint8Array, remoteId: number): string {
  return `${toHex(remotePublicKey)}/${remoteId}`;
}
