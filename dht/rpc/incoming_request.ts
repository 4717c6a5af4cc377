/** A request of another node, and the ways to answer it. */
import type { SocketAddress } from "../../encoding/address.ts";
import type { RequestMessage } from "./messages.ts";
import type { RpcPort } from "./outgoing_request.ts";

/** How to answer. */
export interface ReplyOptions {
  /** Whom to answer instead of the sender: only who asked for it by a request that this node passed on. */
  readonly to?: SocketAddress | undefined;
  /** The socket to answer from; by default the one on which the request came. */
  readonly socket?: RpcPort | undefined;
  /** Whether the answer carries a token: by default a reply does and an error does not. */
  readonly token?: boolean | undefined;
  /** Whether the answer carries nodes nearer to the target, if there is one; they do by default. */
  readonly closerNodes?: boolean | undefined;
}

/** How to pass a request on. */
export interface RelayOptions {
  /** The socket to send from; by default the one on which the request came. */
  readonly socket?: RpcPort | undefined;
}

/** What answers requests. Made by the machine. */
export interface ReplyHost {
  /** Sends a reply to `request`; false if it must not be sent. */
  reply(
    request: IncomingRequest,
    error: number,
    value: Uint8Array | undefined,
    options: Required<ReplyOptions>,
  ): boolean;
  /** Sends `request` on to `to` with another value; false if it must not be sent. */
  relay(request: IncomingRequest, value: Uint8Array | undefined, to: SocketAddress, socket: RpcPort): boolean;
}

/** See the head of the file. */
export class IncomingRequest {
  /** Who asks. */
  readonly from: SocketAddress;
  /** The id of who asks, checked against the address; absent if it is ephemeral. */
  readonly id: Uint8Array | undefined;
  /** This node, as the other side sees it. */
  readonly to: SocketAddress;
  /** The transaction id. */
  readonly tid: number;
  /** The socket on which it came. */
  readonly socket: RpcPort;
  /** A token of this node that is valid for the host of who asks; absent if there was none. Others do not get so far. */
  readonly token: Uint8Array | undefined;
  /** Whether `command` is one of the protocol itself. */
  readonly isInternal: boolean;
  /** The number of the command. */
  readonly command: number;
  /** The key that the command is about, 32 bytes. */
  readonly target: Uint8Array | undefined;
  /** What goes with the command. */
  readonly value: Uint8Array | undefined;
  /** When it came. */
  readonly receivedAt: number;
  /** Whether the sender has shown that it receives what is sent to its address. */
  readonly isProven: boolean;
  readonly #host: ReplyHost;

  /** Made by the machine; byte strings are the request's own. */
  constructor(
    host: ReplyHost,
    message: RequestMessage,
    source: {
      readonly from: SocketAddress;
      readonly id: Uint8Array | undefined;
      readonly socket: RpcPort;
      readonly receivedAt: number;
      readonly isProven: boolean;
    },
  ) {
    this.#host = host;
    this.from = source.from;
    this.id = source.id;
    this.to = message.to;
    this.tid = message.tid;
    this.socket = source.socket;
    this.token = message.token;
    this.isInternal = message.isInternal;
    this.command = message.command;
    this.target = message.target;
    this.value = message.value;
    this.receivedAt = source.receivedAt;
    this.isProven = source.isProven;
  }

  /**
   * Answers with `value`. False if the answer is not sent: its receiver is unproven and had its share, or did not ask.
   *
   * @throws {RangeError} if the answer would be longer than 2048 bytes.
   */
  reply(value?: Uint8Array, options: ReplyOptions = {}): boolean {
    return this.#host.reply(this, 0, value, this.#complete(options, true));
  }

  /** Answers that it went wrong; numbers from 16 up are the application's. As {@linkcode reply}. */
  error(code: number, options: ReplyOptions = {}): boolean {
    return this.#host.reply(this, code, undefined, this.#complete(options, false));
  }

  /**
   * Passes the request on to `to` with another value, under the same transaction id. False if it is not sent: the request is older
   * than ten seconds, or its sender causes too many.
   *
   * @throws {RangeError} if the request would be longer than 2048 bytes.
   */
  relay(value: Uint8Array | undefined, to: SocketAddress, options: RelayOptions = {}): boolean {
    return this.#host.relay(this, value, to, options.socket ?? this.socket);
  }

  #complete(options: ReplyOptions, token: boolean): Required<ReplyOptions> {
    return {
      to: options.to ?? this.from,
      socket: options.socket ?? this.socket,
      token: options.token ?? token,
      closerNodes: options.closerNodes ?? true,
    };
  }
}
