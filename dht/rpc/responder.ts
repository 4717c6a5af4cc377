/**
 * The serving side of a node: takes requests, answers those of the protocol itself, and sees to it that no answer does harm.
 *
 * Source: dht-rpc 6.27.0, index.js and lib/io.js; the limits are hypha's.
 */
import { SocketAddress } from "../../encoding/address.ts";
import { ipv4Address } from "../../encoding/address_codecs.ts";
import { decode } from "../../encoding/codec.ts";
import { uint16, uint32 } from "../../encoding/fixed.ts";
import {
  Command,
  FORWARD_MS,
  K,
  MAX_DELAYED_PINGS,
  MAX_DELAYED_PINGS_PER_SOURCE,
  ReplyError,
} from "./constants.ts";
import type { RpcContext } from "./context.ts";
import { Alarm } from "./due.ts";
import { Forwards } from "./forwards.ts";
import { IncomingRequest, type ReplyHost, type ReplyOptions } from "./incoming_request.ts";
import {
  checkLength,
  encodeReply,
  encodeRequest,
  fittingNodes,
  type ReplyMessage,
  replyMessage,
  requestMessage,
} from "./messages.ts";
import type { RoutingNode } from "./node.ts";
import type { RpcPort } from "./outgoing_request.ts";
import { SourceCredits } from "./source_credits.ts";
import type { TableKeeper } from "./table_keeper.ts";
import { Tokens } from "./tokens.ts";

/** What answering needs of the node. */
export interface ResponderHost extends RpcContext {
  /** Who is known. */
  readonly keeper: TableKeeper;
  /** Whether there are sockets. */
  readonly isBound: boolean;
  /** The id of the node at `from` if `claimed` is it. */
  checkedId(claimed: Uint8Array, from: SocketAddress): Uint8Array | undefined;
  /** The id that goes with messages from `socket`. */
  idFor(socket: RpcPort): Uint8Array | undefined;
  /** Nodes of the routing table near `target`. */
  closest(target: Uint8Array, count: number): RoutingNode[];
  /** Sends bytes. */
  transmit(bytes: Uint8Array, to: SocketAddress, socket: RpcPort, ttl: number): void;
}

const PLAIN: ReplyOptions = { token: false, closerNodes: false };
const WITH_NODES: ReplyOptions = { token: false, closerNodes: true };
/** The bit of the flags that tells a command of the protocol from one of the application. */
const INTERNAL_FLAG = 4;

/** See the head of the file. */
export class Responder {
  readonly #host: ResponderHost;
  readonly #replyHost: ReplyHost;
  readonly #tokens: Tokens;
  readonly #credits: SourceCredits;
  readonly #forwards = new Forwards();
  /** Delayed pings that wait, and how many of them each host has. */
  readonly #delayed = new Set<Alarm>();
  readonly #delayedByHost = new Map<number, number>();

  /** Answers in the name of `host`; answers of applications come by `replyHost`. */
  constructor(host: ResponderHost, replyHost: ReplyHost) {
    this.#host = host;
    this.#replyHost = replyHost;
    this.#tokens = new Tokens(host.crypto, host.random);
    this.#credits = new SourceCredits(host.config.maxForwardsPerSecond, host.random.fork("credits").uint32());
  }

  /** Takes a request. @throws {DecodeError} if it is none. */
  handleRequest(now: number, datagram: Uint8Array, from: SocketAddress, socket: RpcPort): void {
    const host = this.#host;
    const { received } = host.stats;
    // That a node is known does not mean that this came from it. Only loopback addresses cannot be forged from elsewhere.
    if (!from.isLoopback && !this.#credits.admit(now, from.bits, datagram.length)) {
      received.floods++;
      return;
    }
    // Requests of applications are answered later: they outlive the datagram.
    const isInternal = (datagram[1]! & INTERNAL_FLAG) !== 0;
    const message = decode(requestMessage, isInternal ? datagram : datagram.slice());
    received.requests++;
    const hasToken = message.token !== undefined && this.#tokens.check(now, from, message.token);
    const id = message.id === undefined ? undefined : host.checkedId(message.id, from);
    const isProven = from.isLoopback || hasToken;
    const request = new IncomingRequest(this.#replyHost, message, {
      from,
      id,
      socket,
      receivedAt: now,
      isProven,
    });
    if (message.token !== undefined && !hasToken) {
      this.#answer(now, request, ReplyError.InvalidToken, { token: true });
      return;
    }
    if (id !== undefined) host.keeper.propose(now, from, id);
    if (message.isInternal) this.#serve(now, request);
    else host.emit({ type: "request", request });
  }

  /** Forgets answers that are due later. */
  clear(): void {
    for (const alarm of this.#delayed) alarm.cancel();
    this.#delayed.clear();
    this.#delayedByHost.clear();
  }

  /** Answers a request. See {@linkcode IncomingRequest.reply}. */
  respond(
    now: number,
    request: IncomingRequest,
    error: number,
    value: Uint8Array | undefined,
    options: Required<ReplyOptions>,
  ): boolean {
    const { to, socket } = options;
    if (!this.#host.isBound || to === undefined || socket === undefined) return false;
    const isForwarded = !to.equals(request.from);
    if (isForwarded && !this.#forwards.has(now, to, request.tid)) {
      this.#host.stats.received.refusedForwards++;
      return false;
    }
    return this.#send(now, request, error, value, { ...options, to, socket });
  }

  /** Passes a request on. See {@linkcode IncomingRequest.relay}. */
  relay(
    now: number,
    request: IncomingRequest,
    value: Uint8Array | undefined,
    to: SocketAddress,
    socket: RpcPort,
  ): boolean {
    if (!this.#host.isBound) return false;
    if (!to.equals(request.from)) {
      const isLive = now - request.receivedAt <= FORWARD_MS;
      if (!isLive || !(request.from.isLoopback || this.#credits.forward(now, request.from.bits))) {
        this.#host.stats.received.refusedForwards++;
        return false;
      }
      this.#forwards.add(now, request.from, request.tid);
    }
    const { tid, isInternal, command, target } = request;
    const id = this.#host.idFor(socket);
    const bytes = checkLength(encodeRequest({ tid, to, id, isInternal, command, target, value }));
    this.#host.transmit(bytes, to, socket, 0);
    return true;
  }

  #serve(now: number, request: IncomingRequest): void {
    const { value } = request;
    switch (request.command) {
      case Command.Ping:
        return this.#answer(now, request, 0, PLAIN);
      case Command.PingNat:
        return this.#servePingNat(now, request);
      case Command.FindNode:
        if (request.target !== undefined) this.#answer(now, request, 0, WITH_NODES);
        return;
      case Command.DownHint:
        if (value === undefined || value.length < 6) return;
        this.#host.keeper.doubt(now, decode(ipv4Address, value));
        return this.#answer(now, request, 0, PLAIN);
      case Command.DelayedPing:
        return this.#serveDelayedPing(now, request);
      default:
        return this.#answer(now, request, ReplyError.UnknownCommand, WITH_NODES);
    }
  }

  /** The sender wants to know whether another port of its host can be reached. */
  #servePingNat(now: number, request: IncomingRequest): void {
    const { value, from, socket } = request;
    if (value === undefined || value.length < 2) return;
    const port = decode(uint16, value);
    if (port !== 0) {
      this.#send(now, request, 0, undefined, { ...PLAIN, to: SocketAddress.v4(from.bits, port), socket });
    }
  }

  #serveDelayedPing(now: number, request: IncomingRequest): void {
    const { value, from } = request;
    if (value === undefined || value.length < 4) return;
    const delay = decode(uint32, value);
    const waiting = this.#delayedByHost.get(from.bits) ?? 0;
    const isTooMuch = this.#delayed.size >= MAX_DELAYED_PINGS || waiting >= MAX_DELAYED_PINGS_PER_SOURCE;
    if (delay > this.#host.config.maxPingDelayMs || isTooMuch) return;
    this.#delayedByHost.set(from.bits, waiting + 1);
    const alarm = new Alarm(this.#host.deadlines, (later) => {
      this.#delayed.delete(alarm);
      const left = this.#delayedByHost.get(from.bits)! - 1;
      if (left === 0) this.#delayedByHost.delete(from.bits);
      else this.#delayedByHost.set(from.bits, left);
      this.#answer(later, request, 0, PLAIN);
    });
    this.#delayed.add(alarm);
    alarm.set(now + delay);
  }

  #answer(now: number, request: IncomingRequest, error: number, options: ReplyOptions): void {
    const { token = false, closerNodes = true } = options;
    const { from: to, socket } = request;
    this.#send(now, request, error, undefined, { token, closerNodes, to, socket });
  }

  #send(
    now: number,
    request: IncomingRequest,
    error: number,
    value: Uint8Array | undefined,
    options: ReplyOptions & { readonly to: SocketAddress; readonly socket: RpcPort },
  ): boolean {
    const { to, socket } = options;
    const { target, tid } = request;
    const hasNodes = options.closerNodes === true && target !== undefined;
    let message: ReplyMessage | undefined = {
      tid,
      to,
      id: this.#host.idFor(socket),
      token: options.token === true ? this.#tokens.make(now, to) : undefined,
      closerNodes: hasNodes ? this.#host.closest(target, K).map(({ address }) => address) : [],
      error,
      value,
    };
    if (!request.isProven) message = this.#limit(now, request, message);
    if (message === undefined) return false;
    this.#host.transmit(checkLength(encodeReply(message)), to, socket, 0);
    return true;
  }

  /** Cuts a reply to an unproven host to what that host may get; undefined if nothing of use is left. */
  #limit(now: number, request: IncomingRequest, message: ReplyMessage): ReplyMessage | undefined {
    const host = request.from.bits;
    const allowance = this.#credits.allowance(now, host);
    let limited = message;
    if (replyMessage.size(limited) > allowance) {
      limited = { ...message, closerNodes: message.closerNodes.slice(0, fittingNodes(message, allowance)) };
    }
    // Without an id it is still a sign of life.
    if (replyMessage.size(limited) > allowance) limited = { ...limited, id: undefined };
    const size = replyMessage.size(limited);
    const { received } = this.#host.stats;
    if (size > allowance) {
      received.withheld++;
      return undefined;
    }
    if (limited !== message) received.shortened++;
    this.#credits.spend(now, host, size);
    return limited;
  }
}
