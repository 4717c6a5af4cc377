/**
 * The client of a blind relay: asks it, on a connection to it, to link one of our streams with that of whoever has the same token.
 *
 * Source of the rules: blind-relay 1.6.1, index.js, and hyperdht 6.34.0, lib/connect.js (how long to wait).
 */
import { ConnectError } from "../core/runtime/errors.ts";
import type { Clock, Timer } from "../core/runtime/runtime.ts";
import type { Channel, ChannelMessage } from "../core/stream/channel.ts";
import type { Mux } from "../core/stream/mux.ts";
import { toHex } from "../encoding/text.ts";
import {
  RELAY_PROTOCOL,
  RELAY_TOKEN_BYTES,
  type RelayPair,
  relayPair,
  type RelayUnpair,
  relayUnpair,
} from "./relay_messages.ts";

/** A connection to a relay: a `Connection` is one. */
export interface RelayConnection {
  /** Its channels. */
  readonly mux: Mux;
  /** Our key on it, 32 bytes. */
  readonly publicKey: Uint8Array;
}

/** A pairing to be. */
export interface PairOptions {
  /** Which of the two we are: exactly one of them is the initiator. */
  readonly isInitiator: boolean;
  /** What the two have agreed on, 32 random bytes. */
  readonly token: Uint8Array;
  /** The stream that is to be linked, not connected yet. */
  readonly stream: { readonly id: number };
  /** How long the other may keep us waiting, in milliseconds; 15,000 by default, as with the reference. */
  readonly timeoutMs?: number | undefined;
  /** Gives up. Has no effect once the two have met. */
  readonly signal?: AbortSignal | undefined;
  /** Is told that the link is over although nobody here has called it off: nothing passes any more. Called once at most. */
  onLost?(error: ConnectError): void;
}

const PAIR_TIMEOUT_MS = 15_000;

/** A pairing: it waits for the relay's answer, then it stands. */
interface Pairing {
  readonly options: PairOptions;
  readonly token: Uint8Array;
  readonly result: PromiseWithResolvers<number>;
  readonly timer: Timer;
  readonly onAbort: () => void;
  isPaired: boolean;
}

/**
 * See the head of the file.
 *
 * @example
 * ```ts
 * import type { DhtConnection } from "./dht_connection.ts";
 * import type { Clock } from "../core/runtime/runtime.ts";
 * import type { UdxStream } from "../transports/udx/mod.ts";
 * import { RelayClient } from "./relay.ts";
 *
 * async function connectThrough(clock: Clock, relay: DhtConnection, token: Uint8Array, stream: UdxStream) {
 *   const client = new RelayClient(clock, relay);
 *   const remoteId = await client.pair({ isInitiator: true, token, stream });
 *   stream.connect(relay.socket!, remoteId, relay.path.address!);
 * }
 * console.assert(typeof connectThrough === "function");
 * ```
 */
export class RelayClient {
  /** Resolves when the channel to the relay is over. */
  readonly closed: Promise<void>;
  readonly #clock: Clock;
  readonly #channel: Channel;
  readonly #pair: ChannelMessage<RelayPair>;
  readonly #unpair: ChannelMessage<RelayUnpair>;
  readonly #pairings = new Map<string, Pairing>();
  readonly #closed = Promise.withResolvers<void>();
  #isEnding = false;

  /** Opens the channel. @throws {TypeError} if the connection has such a channel already, or is gone. */
  constructor(clock: Clock, connection: RelayConnection) {
    this.#clock = clock;
    this.closed = this.#closed.promise;
    const channel = connection.mux.createChannel({
      protocol: RELAY_PROTOCOL,
      id: connection.publicKey,
      onClose: (_, error) => this.#onClose(error),
    });
    if (channel === undefined) {
      throw new TypeError("The connection is closed, or has a relay client already: use that one");
    }
    this.#channel = channel;
    this.#pair = channel.addMessage({ codec: relayPair, onMessage: (answer) => this.#onPair(answer) });
    this.#unpair = channel.addMessage({
      codec: relayUnpair,
      onMessage: ({ token }) => this.#onUnpair(token),
    });
    channel.open();
  }

  /** Whether no more can be asked for. */
  get isClosed(): boolean {
    return this.#isEnding || this.#channel.state === "closed";
  }

  /** Pairings that wait or stand. */
  get size(): number {
    return this.#pairings.size;
  }

  /**
   * Waits for the other, and resolves with the id of the relay's stream to connect to: at the address of this connection, and
   * from its socket.
   *
   * @throws {ConnectError} `RELAY_ABORTED` if the relay refuses or goes, or the other does not come in time; the reason of the
   * signal.
   * @throws {TypeError} if the client is closed, the token is in use here, or is not 32 bytes long.
   */
  async pair(options: PairOptions): Promise<number> {
    const { isInitiator, token, stream, signal } = options;
    signal?.throwIfAborted();
    if (this.isClosed) throw new TypeError("The relay client is closed: connect to the relay again");
    if (token.length !== RELAY_TOKEN_BYTES) {
      throw new TypeError(`A token has ${RELAY_TOKEN_BYTES} bytes, not ${token.length}`);
    }
    const key = toHex(token);
    if (this.#pairings.has(key)) throw new TypeError("The token is in use: draw a new one for each pairing");
    const timeoutMs = options.timeoutMs ?? PAIR_TIMEOUT_MS;
    const pairing: Pairing = {
      options,
      token: token.slice(),
      result: Promise.withResolvers(),
      timer: this.#clock.schedule(this.#clock.now() + timeoutMs, () => {
        const text = `The other side did not come to the relay within ${timeoutMs} ms: is it there?`;
        this.#giveUp(key, new ConnectError("RELAY_ABORTED", text));
      }),
      onAbort: () => this.#giveUp(key, signal!.reason),
      isPaired: false,
    };
    this.#pairings.set(key, pairing);
    signal?.addEventListener("abort", pairing.onAbort, { once: true });
    this.#pair.send({ isInitiator, token: pairing.token, streamId: stream.id, seq: 0 });
    return await pairing.result.promise;
  }

  /** Calls a pairing off, whether it waits or stands: the relay forgets it, and its link. */
  unpair(token: Uint8Array): void {
    this.#giveUp(toHex(token), new ConnectError("ABORTED", "The pairing was called off"));
  }

  /** Ends the channel once no pairing waits; links end with it. */
  end(): Promise<void> {
    this.#isEnding = true;
    this.#endIfIdle();
    return this.closed;
  }

  /** Ends the channel at once, and with it all pairings and links. */
  close(): void {
    this.#isEnding = true;
    this.#channel.close();
  }

  #onPair({ isInitiator, token, streamId }: RelayPair): void {
    const pairing = this.#pairings.get(toHex(token));
    if (pairing === undefined || pairing.isPaired || pairing.options.isInitiator !== isInitiator) return;
    pairing.isPaired = true;
    this.#disarm(pairing);
    pairing.result.resolve(streamId);
    this.#endIfIdle();
  }

  #onUnpair(token: Uint8Array): void {
    const key = toHex(token);
    const pairing = this.#pairings.get(key);
    if (pairing !== undefined) {
      const reason = pairing.isPaired ? "The relay has closed the link" : "The relay does not pair us";
      this.#lose(key, pairing, new ConnectError("RELAY_ABORTED", `${reason}: try later, or another relay`));
    }
    this.#endIfIdle();
  }

  #onClose(cause: Error | undefined): void {
    const error = new ConnectError("RELAY_ABORTED", "The relay is gone: try another", { cause });
    for (const [key, pairing] of this.#pairings) this.#lose(key, pairing, error);
    this.#closed.resolve();
  }

  /** The pairing comes to nothing, or to an end, through no wish of ours. */
  #lose(key: string, pairing: Pairing, error: ConnectError): void {
    this.#pairings.delete(key);
    this.#disarm(pairing);
    if (!pairing.isPaired) pairing.result.reject(error);
    else if (!this.#isEnding) pairing.options.onLost?.(error);
  }

  /** It is we who want no more of it. */
  #giveUp(key: string, reason: unknown): void {
    const pairing = this.#pairings.get(key);
    if (pairing === undefined) return;
    this.#pairings.delete(key);
    this.#disarm(pairing);
    this.#unpair.send({ token: pairing.token });
    if (!pairing.isPaired) pairing.result.reject(reason);
    this.#endIfIdle();
  }

  #disarm({ timer, options, onAbort }: Pairing): void {
    timer.cancel();
    options.signal?.removeEventListener("abort", onAbort);
  }

  #endIfIdle(): void {
    if (!this.#isEnding) return;
    for (const { isPaired } of this.#pairings.values()) if (!isPaired) return;
    this.#channel.close();
  }
}
