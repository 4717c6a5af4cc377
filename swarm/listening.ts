/**
 * Where the swarm can be dialed: begins to listen when that is first needed, once, on each transport by itself. One that fails,
 * or takes its time because it has to ask the network first, keeps nobody from being reached by the others.
 */
import { ConnectError, toError } from "../core/runtime/errors.ts";
import type { Connection } from "../core/stream/connection.ts";
import type { Dialer, PeerListener } from "../transports/dialer.ts";
import type { PeerRecord } from "../transports/transport.ts";
import type { PeerDiscovery, PeerTransport } from "./abilities.ts";

/** What listening needs of the swarm. */
export interface ListeningHost {
  readonly publicKey: Uint8Array;
  /** The transports, in the order of preference, and a dialer that accepts on each. */
  readonly dialers: ReadonlyMap<PeerTransport, Dialer>;
  /** A connection whose peer has proven its key. */
  onConnection(connection: Connection): void;
  /** A transport does not listen; it is tried again when the record is next asked for. */
  onFailed(transport: PeerTransport, error: Error): void;
}

/** See the head of the file. */
export class Listening {
  readonly #host: ListeningHost;
  readonly #starting = new Map<PeerTransport, Promise<PeerListener>>();
  readonly #listeners = new Map<PeerTransport, PeerListener>();
  #isWanted = false;

  /** Listens when told to. */
  constructor(host: ListeningHost) {
    this.#host = host;
  }

  /** The key and addresses to dial, once all transports listen that can. @throws the first failure if none can. */
  record(): Promise<PeerRecord> {
    return this.#record([...this.#host.dialers.keys()]);
  }

  /**
   * What to announce at `discovery`: waits for the transport that it is itself, or else for those that are dialed by address.
   * Those that find peers by key need no announcement.
   */
  recordFor(discovery: PeerDiscovery): Promise<PeerRecord> {
    const all = [...this.#host.dialers.keys()];
    const itself = all.filter((transport) => (transport as object) === discovery);
    const byAddress = all.filter(({ addressOf }) => addressOf === undefined);
    return this.#record([itself, byAddress, all].find(({ length }) => length > 0)!);
  }

  /** Stops; what is connected stays. */
  async stop(): Promise<void> {
    const starting = [...this.#starting.values()];
    this.#starting.clear();
    this.#listeners.clear();
    await Promise.all(starting.map(async (listener) => (await listener.catch(() => undefined))?.close()));
  }

  /** Listens again, if it did before {@linkcode stop}. */
  async restart(): Promise<void> {
    if (this.#isWanted) await this.record();
  }

  async #record(wanted: readonly PeerTransport[]): Promise<PeerRecord> {
    this.#isWanted = true;
    const all = [...this.#host.dialers.keys()];
    for (const transport of all) if (!this.#starting.has(transport)) this.#start(transport);
    const results = await Promise.allSettled(wanted.map((transport) => this.#starting.get(transport)));
    if (!wanted.some((transport) => this.#listeners.has(transport))) {
      const failure = results.find(({ status }) => status === "rejected") as
        | PromiseRejectedResult
        | undefined;
      throw failure?.reason ??
        new ConnectError("CONNECTION_CLOSED", "The swarm has stopped listening meanwhile");
    }
    const addresses = all.flatMap((transport) => this.#listeners.get(transport)?.record.addresses ?? []);
    return { publicKey: this.#host.publicKey, addresses };
  }

  #start(transport: PeerTransport): void {
    const { dialers, onConnection, onFailed } = this.#host;
    const starting = dialers.get(transport)!.listen(onConnection);
    this.#starting.set(transport, starting);
    starting.then((listener) => {
      if (this.#starting.get(transport) === starting) this.#listeners.set(transport, listener);
    }, (error) => {
      if (this.#starting.get(transport) !== starting) return;
      this.#starting.delete(transport);
      onFailed(transport, toError(error));
    });
  }
}
