/**
 * Where the swarm can be dialed: begins to listen when that is first needed, once.
 */
import type { Dialer, PeerListener } from "../transports/dialer.ts";
import type { Connection } from "../core/stream/connection.ts";
import type { PeerRecord } from "../transports/transport.ts";

/** See the head of the file. */
export class Listening {
  readonly #dialer: Dialer;
  readonly #onConnection: (connection: Connection) => void;
  #listener: Promise<PeerListener> | undefined;
  #isWanted = false;

  /** Listens on the transports of `dialer` when told to. */
  constructor(dialer: Dialer, onConnection: (connection: Connection) => void) {
    this.#dialer = dialer;
    this.#onConnection = onConnection;
  }

  /** The key and addresses to dial; begins to listen, unless it has. A failure is not kept: the next call tries again. */
  async record(): Promise<PeerRecord> {
    this.#isWanted = true;
    const listener = this.#listener ??= this.#dialer.listen(this.#onConnection);
    try {
      return (await listener).record;
    } catch (error) {
      if (this.#listener === listener) this.#listener = undefined;
      throw error;
    }
  }

  /** Stops; what is connected stays. */
  async stop(): Promise<void> {
    const listener = await this.#listener?.catch(() => undefined);
    this.#listener = undefined;
    await listener?.close();
  }

  /** Listens again, if it did before {@linkcode stop}. */
  async restart(): Promise<void> {
    if (this.#isWanted) await this.record();
  }
}
