/**
 * Meeting a peer at a blind relay, while other ways are tried: dials the relay, pairs there, and holds the route until the stream
 * has a direct one. The connecting and the accepting side use it alike.
 */
import { ConnectError, toError } from "../core/runtime/errors.ts";
import type { Timer } from "../core/runtime/runtime.ts";
import type { SocketAddress } from "../encoding/address.ts";
import type { UdxSocket } from "../transports/udx/udx_socket.ts";
import type { UdxStream } from "../transports/udx/udx_stream.ts";
import { RELAY_MEETING_MS } from "./connect_constants.ts";
import type { DhtContext } from "./context.ts";
import type { RelayThrough } from "./handshake_messages.ts";
import { RelayedRoute, type RelayRoute } from "./relayed_route.ts";

/** Connects to a relay, never through another relay. */
export type DialRelay = (publicKey: Uint8Array, signal: AbortSignal) => Promise<RelayRoute>;

/** Options of a {@linkcode RelayMeeting}. */
export interface RelayMeetingOptions {
  /** Connects to the relay. */
  readonly dialRelay: DialRelay;
  /** The relay, and what both show there. */
  readonly relay: RelayThrough;
  /** Whether this side has named the relay. */
  readonly isInitiator: boolean;
  /** The stream to the peer. */
  readonly stream: UdxStream;
  /** The peer's own stream. */
  readonly remoteId: number;
  /** Both are at the relay: {@linkcode RelayMeeting.start} when the stream is to go through it. */
  onReady(): void;
  /** They did not meet, or the relay has gone before the stream was sent there. */
  onFailed(error: Error): void;
  /** The stream has moved to a direct way (true), or back (false). */
  onMoved(isDirect: boolean): void;
}

/** See the head of the file. Begins at once; ends with {@linkcode close}. */
export class RelayMeeting {
  readonly #options: RelayMeetingOptions;
  readonly #stats: DhtContext["stats"]["relaying"];
  readonly #abort = new AbortController();
  readonly #timer: Timer;
  #relay: RelayRoute | undefined;
  #route: RelayedRoute | undefined;
  #isDirect = false;
  #isOver = false;

  /** Dials the relay. */
  constructor(
    { runtime: { clock }, stats }: Pick<DhtContext, "runtime" | "stats">,
    options: RelayMeetingOptions,
  ) {
    this.#options = options;
    this.#stats = stats.relaying;
    this.#stats.attempts++;
    this.#timer = clock.schedule(clock.now() + RELAY_MEETING_MS, () => {
      const text = `The peer was not met at the relay within ${RELAY_MEETING_MS} ms: try another relay`;
      this.#abort.abort(new ConnectError("RELAY_ABORTED", text));
    });
    void this.#meet(clock);
  }

  /** Whether the stream goes through the relay, or has gone through it. */
  get isStarted(): boolean {
    return this.#route?.isStarted ?? false;
  }

  /** Whether the stream goes through the relay now. */
  get isRelayed(): boolean {
    return this.isStarted && !this.#route!.isDirect;
  }

  /** The way to the relay, once both are there. */
  get relayedBy(): RelayedRoute["relayedBy"] | undefined {
    return this.#route?.relayedBy;
  }

  /** Sends the stream through the relay, once both are there. */
  start(): void {
    if (this.#route === undefined || this.#route.isStarted) return;
    this.#stats.successes++;
    this.#route.start();
  }

  /** Moves the stream to a direct way. False if that is not wanted now. */
  move(socket: UdxSocket, address: SocketAddress): boolean {
    return this.#route?.move(socket, address) ?? false;
  }

  /**
   * Whether a packet for the stream comes from the relay before the stream is to go through it: the peer was quicker to hear that
   * both are there. It shows no way that leads to the peer's own stream.
   */
  isEarly(from: SocketAddress): boolean {
    return !this.isStarted && !this.#isOver && this.#relay?.path.address?.equals(from) === true;
  }

  /** See {@linkcode RelayedRoute.handleStrayPacket}. */
  handleStrayPacket(socket: UdxSocket, from: SocketAddress): boolean {
    return this.#route?.handleStrayPacket(socket, from) ?? false;
  }

  /** Gives up, or lets the relay go when the stream is over. */
  close(): void {
    this.#timer.cancel();
    this.#isOver = true;
    this.#abort.abort(new ConnectError("ABORTED", "The relay is not needed any more"));
    this.#route?.close();
  }

  async #meet(clock: DhtContext["runtime"]["clock"]): Promise<void> {
    const { dialRelay, relay: { publicKey, token }, isInitiator, stream, remoteId } = this.#options;
    const { signal } = this.#abort;
    try {
      const relay = this.#relay = await dialRelay(publicKey, signal);
      this.#route = await RelayedRoute.prepare({
        ...{ clock, relay, stream, remoteId, token, isInitiator, signal, timeoutMs: RELAY_MEETING_MS },
        onState: () => this.#onState(),
      });
    } catch (error) {
      return this.#fail(toError(error));
    } finally {
      this.#timer.cancel();
    }
    if (this.#isOver) this.#route.close();
    else if (this.#route.isClosed) this.#fail(relayGone());
    else this.#options.onReady();
  }

  #onState(): void {
    if (this.#route === undefined) return; // it is looked at in a moment
    const { isStarted, isDirect, state } = this.#route;
    if (!isStarted) return this.#fail(relayGone());
    if (isDirect === this.#isDirect || state === "stranded" || state === "failed") return;
    this.#isDirect = isDirect;
    this.#options.onMoved(isDirect);
  }

  #fail(error: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stats.aborts++;
    this.#options.onFailed(error);
  }
}

function relayGone(): ConnectError {
  return new ConnectError("RELAY_ABORTED", "The relay has gone: try another");
}
