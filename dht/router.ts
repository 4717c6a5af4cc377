/**
 * Passes handshakes and punch messages on between peers that cannot reach each other yet, and hands those for peers on this node
 * to their servers.
 *
 * ```text
 * client --0 FromClient--> relay --2 FromRelay--> server              a relay keeps nothing but, for ten seconds, who
 * client <--4 Reply------- relay <--1 FromServer- server              asked: answers go to nobody else
 *
 * client --0--> relay --2--> second relay --3--> server               a relay that the server has left knows the next one
 * client <--4-- relay <-----------1------------- server
 *
 * client --0--> server                                                a server whose address is known needs no relay
 * client <--4-- server
 * ```
 *
 * Source: hyperdht 6.34.0, lib/router.js.
 */
import type { SocketAddress } from "../encoding/address.ts";
import { encode } from "../encoding/codec.ts";
import { toHex } from "../encoding/text.ts";
import { Command, RelayMode } from "./constants.ts";
import {
  type PeerHandshake,
  peerHandshake,
  type PeerHolepunch,
  peerHolepunch,
} from "./handshake_messages.ts";
import type { IncomingRequest } from "./rpc/incoming_request.ts";
import type { Reply, RpcPort } from "./rpc/outgoing_request.ts";
import { tryDecode } from "./try_decode.ts";

/** A handshake that reached a server. */
export interface ArrivedHandshake {
  /** The first Noise message. */
  readonly noise: Uint8Array;
  /** The dialing side, as the relay sees it, or as this node does if it came directly. */
  readonly clientAddress: SocketAddress;
  /** Whether no relay was between. */
  readonly isDirect: boolean;
  /** The node that it came from. */
  readonly from: SocketAddress;
  /** This node, as that one sees it. */
  readonly to: SocketAddress;
  /** The socket that it came to. */
  readonly socket: RpcPort;
  /** Sends the second Noise message back, from `socket` or where the first one came. Harmless when it is too late. */
  readonly answer: (noise: Uint8Array, socket?: RpcPort) => void;
}

/** A punch message that reached a server. */
export interface ArrivedPunch {
  /** The number of the attempt. */
  readonly id: number;
  /** The sealed payload. */
  readonly payload: Uint8Array;
  /** The dialing side, as the relay sees it. */
  readonly clientAddress: SocketAddress;
  /** The relay. */
  readonly from: SocketAddress;
  /** This node, as the relay sees it. */
  readonly to: SocketAddress;
  /** The socket that it came to. */
  readonly socket: RpcPort;
  /** Sends the answer back. */
  readonly answer: (payload: Uint8Array, socket?: RpcPort) => void;
}

/** Whoever listens on this node. Both calls borrow the bytes until return. */
export interface RoutedServer {
  /** A handshake for its key has come. */
  onHandshake(handshake: ArrivedHandshake): void;
  /** A punch message for its key has come. */
  onPunch(punch: ArrivedPunch): void;
}

/** What the router needs of the node. */
export interface RouterHost {
  /** Where the peer whose key hashes to `target` announced itself from; undefined if this node does not know. */
  relayOf(target: Uint8Array): SocketAddress | undefined;
}

/** What came of the traffic, for people and tests. */
export interface RouterCounters {
  /** Requests passed on towards servers. */
  forwarded: number;
  /** Answers passed on towards clients. */
  returned: number;
  /** Requests handed to servers on this node. */
  delivered: number;
  /** Requests that were malformed, or for nobody that this node knows. */
  dropped: number;
}

/** A reply without anything that only lookups need. */
const BARE = { closerNodes: false, token: false } as const;

/** The answer to a PEER_HANDSHAKE. */
export interface HandshakeAnswer {
  /** The second Noise message. */
  readonly noise: Uint8Array;
  /** The answering side: as the relay sees it, or the node that was asked. */
  readonly serverAddress: SocketAddress;
  /** Whether a relay was between. */
  readonly isRelayed: boolean;
}

/** The value of a PEER_HANDSHAKE that is on its way to a server. */
export function encodeHandshakeRequest(noise: Uint8Array): Uint8Array {
  return encode(peerHandshake, { mode: RelayMode.FromClient, noise });
}

/** Takes the reply to a PEER_HANDSHAKE apart; undefined if it carries no answer, as if the node knows no way. */
export function readHandshakeReply(reply: Reply): HandshakeAnswer | undefined {
  const value = tryDecode(peerHandshake, reply.value);
  if (value === undefined || value.mode !== RelayMode.Reply || value.noise.length === 0) return undefined;
  const { noise, peerAddress } = value;
  return { noise, serverAddress: peerAddress ?? reply.from, isRelayed: peerAddress !== undefined };
}

/** The value of a PEER_HOLEPUNCH for the attempt `id` of the peer that the relay sees at `peerAddress`. */
export function encodePunchRequest(id: number, payload: Uint8Array, peerAddress: SocketAddress): Uint8Array {
  return encode(peerHolepunch, { mode: RelayMode.FromClient, id, payload, peerAddress });
}

/** Takes the reply to a PEER_HOLEPUNCH apart; undefined if it is none. */
export function readPunchReply(
  reply: Reply,
): { readonly payload: Uint8Array; readonly peerAddress: SocketAddress } | undefined {
  const value = tryDecode(peerHolepunch, reply.value);
  if (value === undefined || value.mode !== RelayMode.Reply) return undefined;
  return { payload: value.payload, peerAddress: value.peerAddress ?? reply.from };
}

/** See the head of the file. */
export class Router {
  /** Counters. */
  readonly counters: RouterCounters = { forwarded: 0, returned: 0, delivered: 0, dropped: 0 };
  readonly #host: RouterHost;
  /** By target: only as many as this program listens with. */
  readonly #servers = new Map<string, RoutedServer>();

  /** A router without servers. */
  constructor(host: RouterHost) {
    this.#host = host;
  }

  /** Hands what is for `target`, the hash of a key, to `server`. */
  listen(target: Uint8Array, server: RoutedServer): void {
    this.#servers.set(toHex(target), server);
  }

  /** The reverse of {@linkcode listen}. */
  unlisten(target: Uint8Array): void {
    this.#servers.delete(toHex(target));
  }

  /** Whether somebody on this node listens under `target`. */
  isListening(target: Uint8Array): boolean {
    return this.#servers.has(toHex(target));
  }

  /** Takes a request; false if it is none of the router's commands. What makes no sense is not answered. */
  handle(request: IncomingRequest): boolean {
    if (request.isInternal) return false;
    switch (request.command) {
      case Command.PeerHandshake:
        if (!this.#onHandshake(request)) this.counters.dropped++;
        return true;
      case Command.PeerHolepunch:
        if (!this.#onHolepunch(request)) this.counters.dropped++;
        return true;
      default:
        return false;
    }
  }

  #onHandshake(request: IncomingRequest): boolean {
    const { target } = request;
    const message = tryDecode(peerHandshake, request.value);
    if (target === undefined || message === undefined || message.noise.length === 0) return false;
    const server = this.#servers.get(toHex(target));
    return server === undefined
      ? this.#relayHandshake(request, target, message)
      : this.#deliverHandshake(request, server, message);
  }

  #deliverHandshake(request: IncomingRequest, server: RoutedServer, message: PeerHandshake): boolean {
    const { mode, noise, peerAddress, relayAddress } = message;
    const { from, to, socket } = request;
    const arrived = { noise, from, to, socket };
    const back = (bytes: Uint8Array) =>
      encode(peerHandshake, { mode: RelayMode.FromServer, noise: bytes, peerAddress });
    if (mode === RelayMode.FromClient) {
      server.onHandshake({
        ...arrived,
        clientAddress: from,
        isDirect: true,
        answer: (bytes, own) => {
          const value = encode(peerHandshake, { mode: RelayMode.Reply, noise: bytes });
          request.reply(value, { ...BARE, socket: own });
        },
      });
    } else if (mode === RelayMode.FromRelay && peerAddress !== undefined) {
      server.onHandshake({
        ...arrived,
        clientAddress: peerAddress,
        isDirect: false,
        answer: (bytes, own) => request.relay(back(bytes), from, { socket: own }),
      });
    } else if (
      mode === RelayMode.FromSecondRelay && peerAddress !== undefined && relayAddress !== undefined
    ) {
      server.onHandshake({
        ...arrived,
        clientAddress: peerAddress,
        isDirect: false,
        answer: (bytes, own) => request.relay(back(bytes), relayAddress, { socket: own }),
      });
    } else {
      return false;
    }
    this.counters.delivered++;
    return true;
  }

  #relayHandshake(request: IncomingRequest, target: Uint8Array, message: PeerHandshake): boolean {
    const { mode, noise, peerAddress, relayAddress } = message;
    const { from } = request;
    switch (mode) {
      case RelayMode.FromClient: {
        const to = relayAddress ?? this.#host.relayOf(target);
        // Nodes nearer to the target may know more.
        if (to === undefined) return request.reply(undefined, { token: false });
        return this.#forward(
          request,
          to,
          encode(peerHandshake, { mode: RelayMode.FromRelay, noise, peerAddress: from }),
        );
      }
      case RelayMode.FromRelay: {
        const to = this.#host.relayOf(target);
        if (to === undefined || peerAddress === undefined) return false;
        const next = { mode: RelayMode.FromSecondRelay, noise, peerAddress, relayAddress: from };
        return this.#forward(request, to, encode(peerHandshake, next));
      }
      case RelayMode.FromServer:
        if (peerAddress === undefined) return false;
        return this.#return(
          request,
          peerAddress,
          encode(peerHandshake, { mode: RelayMode.Reply, noise, peerAddress: from }),
        );
      default:
        return false;
    }
  }

  #onHolepunch(request: IncomingRequest): boolean {
    const { target, from } = request;
    const message = tryDecode(peerHolepunch, request.value);
    if (target === undefined || message === undefined) return false;
    const { mode, id, payload, peerAddress } = message;
    switch (mode) {
      case RelayMode.FromClient: {
        const to = peerAddress ?? this.#host.relayOf(target);
        if (to === undefined) return false;
        return this.#forward(
          request,
          to,
          encode(peerHolepunch, { mode: RelayMode.FromRelay, id, payload, peerAddress: from }),
        );
      }
      case RelayMode.FromRelay: {
        const server = this.#servers.get(toHex(target));
        if (server === undefined || peerAddress === undefined) return false;
        this.#deliverPunch(request, server, message, peerAddress);
        return true;
      }
      case RelayMode.FromServer:
        if (peerAddress === undefined) return false;
        return this.#return(
          request,
          peerAddress,
          encode(peerHolepunch, { mode: RelayMode.Reply, id, payload, peerAddress: from }),
        );
      default:
        return false;
    }
  }

  #deliverPunch(
    request: IncomingRequest,
    server: RoutedServer,
    { id, payload }: PeerHolepunch,
    peerAddress: SocketAddress,
  ): void {
    this.counters.delivered++;
    const { from, to, socket } = request;
    server.onPunch({
      ...{ id, payload, from, to, socket },
      clientAddress: peerAddress,
      answer: (sealed, own) => {
        const value = encode(peerHolepunch, {
          mode: RelayMode.FromServer,
          id: 0,
          payload: sealed,
          peerAddress,
        });
        request.relay(value, from, { socket: own });
      },
    });
  }

  #forward(request: IncomingRequest, to: SocketAddress, value: Uint8Array): boolean {
    if (to.port === 0 || to.family !== 4 || !request.relay(value, to)) return false;
    this.counters.forwarded++;
    return true;
  }

  #return(request: IncomingRequest, to: SocketAddress, value: Uint8Array): boolean {
    if (!request.reply(value, { ...BARE, to })) return false;
    this.counters.returned++;
    return true;
  }
}
