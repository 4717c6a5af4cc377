/**
 * One client of a blind relay: the channel on its connection, what it waits for and what it is linked to.
 */
import { ConnectError } from "../core/runtime/errors.ts";
import type { Channel, ChannelMessage } from "../core/stream/channel.ts";
import type { Mux } from "../core/stream/mux.ts";
import type { SocketAddress } from "../encoding/address.ts";
import type { UdxSocket } from "../transports/udx/udx_socket.ts";
import type { Expiring, PendingPair, RelayLink } from "./relay_link.ts";
import {
  RELAY_PROTOCOL,
  type RelayPair,
  relayPair,
  type RelayUnpair,
  relayUnpair,
} from "./relay_messages.ts";
import type { RelayAccount } from "./relay_quotas.ts";

/** A connection that a relay serves: a `Connection` is one. */
export interface RelayPeer {
  /** Its channels. */
  readonly mux: Mux;
  /** Whose it is, 32 bytes. */
  readonly remotePublicKey: Uint8Array;
  /** Where its packets go, if that is known: packets for links are taken from that host only. A `DhtConnection` has it. */
  readonly path?: { readonly address: SocketAddress | undefined };
  /** Where they leave, if that is known: the client will use the same way for links, which then carry from the beginning. */
  readonly socket?: UdxSocket | undefined;
}

/** What a session tells the server. */
export interface SessionHost {
  /** The client has opened its side. */
  onSessionOpen(session: RelaySession): void;
  /** The client wants to meet somebody. */
  onPair(session: RelaySession, request: RelayPair): void;
  /** The client no longer wants to, or has met whom it wanted. */
  onUnpair(session: RelaySession, token: Uint8Array): void;
  /** The session is over, once. */
  onSessionClosed(session: RelaySession): void;
  /** The session has had nothing to do until its deadline. */
  onSessionQuiet(session: RelaySession): void;
}

/** See the head of the file. Made by `RelayServer.accept`. */
export class RelaySession implements Expiring {
  /** See {@linkcode DeadlineEntry}. */
  deadline: number = Infinity;
  /** See {@linkcode DeadlineEntry}. */
  deadlineIndex: number = -1;
  /** See {@linkcode DeadlineEntry}. */
  deadlineOrder = 0;
  /** Whose it is, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** The host that it comes from, if that is known. */
  readonly host: string | undefined;
  /** What its key uses. */
  readonly account: RelayAccount;
  /** Resolves when it is over. */
  readonly closed: Promise<void>;
  /** What it waits for, by token. Only the server writes it. */
  readonly pending: Map<string, PendingPair> = new Map();
  /** What it is linked to, by token. Only the server writes it. */
  readonly links: Map<string, RelayLink> = new Map();
  readonly #host: SessionHost;
  readonly #peer: RelayPeer;
  readonly #channel: Channel;
  readonly #pair: ChannelMessage<RelayPair>;
  readonly #unpair: ChannelMessage<RelayUnpair>;
  readonly #closed = Promise.withResolvers<void>();
  #isEnding = false;

  /** Opens the channel. @throws {TypeError} if the connection has one, or is gone. */
  constructor(host: SessionHost, peer: RelayPeer, account: RelayAccount) {
    this.#host = host;
    this.#peer = peer;
    this.account = account;
    this.publicKey = peer.remotePublicKey;
    this.host = peer.path?.address?.host;
    this.closed = this.#closed.promise;
    const channel = peer.mux.createChannel({
      protocol: RELAY_PROTOCOL,
      id: peer.remotePublicKey,
      onOpen: () => host.onSessionOpen(this),
      onClose: () => {
        host.onSessionClosed(this);
        this.#closed.resolve();
      },
    });
    if (channel === undefined) {
      throw new TypeError("The connection is closed, or the relay serves it already: accept it once");
    }
    this.#channel = channel;
    this.#pair = channel.addMessage({
      codec: relayPair,
      onMessage: (request) => host.onPair(this, { ...request, token: request.token.slice() }),
    });
    this.#unpair = channel.addMessage({
      codec: relayUnpair,
      onMessage: ({ token }) => host.onUnpair(this, token.slice()),
    });
  }

  /** The way to the client, if it is known. */
  get route(): { readonly socket: UdxSocket; readonly address: SocketAddress } | undefined {
    const { socket, path } = this.#peer;
    return socket === undefined || path?.address === undefined
      ? undefined
      : { socket, address: path.address };
  }

  /** Whether the client has opened its side. */
  get isOpen(): boolean {
    return this.#channel.state === "open";
  }

  /** Whether the session takes no more requests. */
  get isEnding(): boolean {
    return this.#isEnding || this.#channel.state === "closed";
  }

  /** Whether the client reads what it is told. */
  get isDrained(): boolean {
    return this.#channel.isDrained;
  }

  /** Used by the server: opens the channel. The client may have been first, then it is served during this call. */
  open(): void {
    this.#channel.open();
  }

  /** Used by the server: tells the client which stream to send to. */
  answer(request: RelayPair, streamId: number): void {
    this.#pair.send({ isInitiator: request.isInitiator, token: request.token, streamId, seq: 0 });
  }

  /** Used by the server: tells the client that nothing comes of a pairing. Clients of the reference do not listen. */
  cancel(token: Uint8Array): void {
    if (this.isDrained) this.#unpair.send({ token });
  }

  /** Takes no more requests; ends when those that wait have met or expired, and its links with it. */
  end(): Promise<void> {
    this.#isEnding = true;
    this.endIfIdle();
    return this.closed;
  }

  /** Used by the server: something that {@linkcode end} waited for is over. */
  endIfIdle(): void {
    if (this.#isEnding && this.pending.size === 0) this.#channel.close();
  }

  /** Ends at once. */
  destroy(): void {
    this.#channel.close();
  }

  /** See {@linkcode Expiring}. */
  expire(): void {
    this.#host.onSessionQuiet(this);
  }
}

/** The error of who asks a relay that has too many clients. */
export function tooManySessions(): ConnectError {
  return new ConnectError(
    "LIMIT_EXCEEDED",
    "The relay has too many clients, of this key or in all: try later",
  );
}
