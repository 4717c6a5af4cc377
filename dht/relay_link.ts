/**
 * What is between two clients of a blind relay: first the half of one that waits for the other, then a link of two UDX streams that
 * hand packets to each other unread.
 */
import type { DeadlineEntry } from "../core/runtime/deadlines.ts";
import { toError } from "../core/runtime/errors.ts";
import type { Sink } from "../core/stream/duplex.ts";
import type { SocketAddress } from "../encoding/address.ts";
import type { UdxEndpoint } from "../transports/udx/endpoint.ts";
import type { UdxSocket } from "../transports/udx/udx_socket.ts";
import type { UdxStream } from "../transports/udx/udx_stream.ts";
import type { RelayPair } from "./relay_messages.ts";
import type { RelaySession } from "./relay_session.ts";

/** Where the streams of links come from. */
export type RelayStreams = Pick<UdxEndpoint, "createStream">;

/** Something that a relay drops when nothing has happened for long. */
export interface Expiring extends DeadlineEntry {
  /** Its deadline has come. */
  expire(now: number): void;
}

/** One half of a pairing, which waits for the other. */
export class PendingPair implements Expiring {
  /** See {@linkcode DeadlineEntry}. */
  deadline: number = Infinity;
  /** See {@linkcode DeadlineEntry}. */
  deadlineIndex: number = -1;
  /** See {@linkcode DeadlineEntry}. */
  deadlineOrder = 0;
  /** Whose it is. */
  readonly session: RelaySession;
  /** What it asked for. */
  readonly request: RelayPair;
  readonly #onExpired: (pending: PendingPair) => void;

  /** Waits until `onExpired` is called. */
  constructor(session: RelaySession, request: RelayPair, onExpired: (pending: PendingPair) => void) {
    this.session = session;
    this.request = request;
    this.#onExpired = onExpired;
  }

  /** See {@linkcode Expiring}. */
  expire(): void {
    this.#onExpired(this);
  }
}

/** Why a link is over. */
export type LinkEnd =
  /** A client has called it off. */
  | "unpaired"
  /** A client's session is over. */
  | "session"
  /** One of the two has dropped its stream. */
  | "stream"
  /** No packet has come for long. */
  | "idle"
  /** A key has used up its bytes. */
  | "bytes";

/** What a link tells the server. */
export interface LinkHost {
  /** The time. */
  now(): number;
  /** Whether a packet from a client may pass. */
  admit(link: RelayLink, from: RelaySession, bytes: number): boolean;
  /** The link has been quiet until its deadline. */
  onLinkQuiet(link: RelayLink, now: number): void;
  /** The link is over, once. */
  onLinkClosed(link: RelayLink, reason: LinkEnd): void;
  /** A packet for the link came from where its client is not. */
  onStray(): void;
}

/** One client's end of a link. */
export interface LinkEndpoint {
  /** Whose it is. */
  readonly session: RelaySession;
  /** What the client asked for. */
  readonly request: RelayPair;
}

/** See the head of the file. Both directions, or none. */
export class RelayLink implements Expiring {
  /** See {@linkcode DeadlineEntry}. */
  deadline: number = Infinity;
  /** See {@linkcode DeadlineEntry}. */
  deadlineIndex: number = -1;
  /** See {@linkcode DeadlineEntry}. */
  deadlineOrder = 0;
  /** Who has met whom: the initiator is the first. */
  readonly ends: readonly [LinkEndpoint, LinkEndpoint];
  /** Bytes that passed, from the initiator and to it. */
  readonly bytes: [number, number] = [0, 0];
  /** Packets that passed. */
  packets = 0;
  /** Packets that were dropped because a quota allows no more now. */
  slowed = 0;
  /** When a packet last passed. */
  activeAt: number;
  readonly #host: LinkHost;
  readonly #streams: readonly [UdxStream, UdxStream];
  #isClosed = false;

  /** Makes both streams and ties them together. @throws {RangeError} if the endpoint has no room for them. */
  constructor(host: LinkHost, endpoint: RelayStreams, a: LinkEndpoint, b: LinkEndpoint) {
    this.#host = host;
    this.ends = [a, b];
    this.activeAt = host.now();
    const first = this.#createStream(endpoint, a);
    try {
      this.#streams = [first, this.#createStream(endpoint, b)];
    } catch (error) {
      first.abandon(toError(error)); // without a word to the client
      throw error;
    }
    this.#tie(0);
    this.#tie(1);
  }

  /** The id of the stream that one of the two sends to. */
  streamId(end: 0 | 1): number {
    return this.#streams[end].id;
  }

  /** Ends it, once. Nobody is told by packets: the two may have another way to each other by now. */
  close(reason: LinkEnd): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const stream of this.#streams) stream.destroy();
    this.#host.onLinkClosed(this, reason);
  }

  /** See {@linkcode Expiring}. */
  expire(now: number): void {
    this.#host.onLinkQuiet(this, now);
  }

  #createStream(endpoint: RelayStreams, end: LinkEndpoint): UdxStream {
    const stream: UdxStream = endpoint.createStream({
      firewall: (socket, from) => this.#admitFirst(stream, end, socket, from),
    });
    // Clients send by the way of their session. Else their first flight would wait for the first packet of the other.
    const { route } = end.session;
    if (route !== undefined) stream.connect(route.socket, end.request.streamId, route.address);
    return stream;
  }

  #tie(from: 0 | 1): void {
    const stream = this.#streams[from];
    const { session } = this.ends[from];
    const sink: Sink = { onData() {}, onDrain() {}, onEnd() {}, onClose: () => this.close("stream") };
    stream.attach(sink);
    stream.relayTo(this.#streams[1 - from]!, (bytes) => {
      if (this.#isClosed || !this.#host.admit(this, session, bytes)) return false;
      this.bytes[from] += bytes;
      this.packets++;
      this.activeAt = this.#host.now();
      return true;
    });
  }

  /**
   * The first packet of a client says by which of its ports it comes, if not by that of its session. Its host has been proven by
   * its session, so nobody else takes its place, and nothing is ever sent to an address that somebody only named.
   */
  #admitFirst(stream: UdxStream, end: LinkEndpoint, socket: UdxSocket, from: SocketAddress): boolean {
    const { host } = end.session;
    const isSettled = stream.isConnected && (host === undefined || stream.pathHeardAt !== -Infinity);
    if (isSettled || this.#isClosed || (host !== undefined && host !== from.host)) {
      this.#host.onStray();
      return false;
    }
    const { streamId } = end.request;
    if (stream.isConnected) stream.redirect(socket, streamId, from);
    else stream.connect(socket, streamId, from);
    return true;
  }
}
