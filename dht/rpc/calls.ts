/** The requests and queries of an application that are under way: from events of the machine to promises. */
import { ConnectError } from "../../core/runtime/errors.ts";
import type { SocketAddress } from "../../encoding/address.ts";
import { ID_BYTES, K, QUERY_RETRIES, ReplyError } from "./constants.ts";
import type { RpcEvent } from "./events.ts";
import { failureError } from "./failure.ts";
import { checkRequestLength } from "./messages.ts";
import type { OutgoingOptions, OutgoingRequest, Reply, RequestFailure } from "./outgoing_request.ts";
import { type Commit, Query, type QueryDriver, type QueryOptions } from "./query.ts";
import type { QueryMachine } from "./query_machine.ts";
import type { RpcMachine } from "./rpc_machine.ts";
import type { CommandQuery, RequestOptions } from "./rpc_types.ts";

interface Pending {
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: unknown) => void;
  readonly signal: AbortSignal | undefined;
  readonly onAbort: (() => void) | undefined;
}

/** Queries that look at more nodes than these to begin with gain nothing. */
const MAX_FIRST_NODES = 10 * K;

/** See the head of the file. */
export class Calls {
  readonly #machine: RpcMachine;
  /** Does something with the machine, now, and lets it send what follows from it. */
  readonly #command: <T>(act: (now: number) => T) => T;
  readonly #pending = new Map<OutgoingRequest, Pending>();
  readonly #queries = new Map<QueryMachine, Query<unknown>>();

  /** None yet. `command` runs what it is given with the time, and then the driver. */
  constructor(machine: RpcMachine, command: <T>(act: (now: number) => T) => T) {
    this.#machine = machine;
    this.#command = command;
  }

  /** Asks a node. */
  request(options: OutgoingOptions, { socket, ttl, retries, force, signal }: RequestOptions): Promise<Reply> {
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    const complete = { ...options, socket, ttl, retries, isForced: force };
    checkAddress(options.to);
    checkRequestLength(complete);
    return new Promise((resolve, reject) => {
      const request = this.#command((now) => this.#machine.request(now, complete));
      const onAbort = signal === undefined
        ? undefined
        : () => this.#command((now) => this.#machine.cancel(now, request));
      if (onAbort !== undefined) signal!.addEventListener("abort", onAbort, { once: true });
      this.#pending.set(request, { resolve, reject, signal, onAbort });
    });
  }

  /** Starts a query. */
  query<T>(init: CommandQuery, isInternal: boolean, options: QueryOptions<T>): Query<T> {
    const { target, command, value } = init;
    if (target.length !== ID_BYTES) {
      throw new RangeError(`Expected a target of ${ID_BYTES} bytes, got ${target.length}`);
    }
    const nodes = options.nodes ?? [];
    for (const address of nodes) checkAddress(address);
    checkRequestLength({ isInternal, command, target, value });
    options.signal?.throwIfAborted();
    const config = {
      target,
      command,
      isInternal,
      value,
      concurrency: options.concurrency ?? this.#machine.config.concurrency,
      retries: options.retries ?? QUERY_RETRIES,
      isForced: options.force ?? false,
      nodes: nodes.slice(0, MAX_FIRST_NODES),
      onlyNodes: options.onlyNodes ?? false,
      withBootstrap: false,
      isBackground: false,
    };
    return this.#command((now) => {
      const machine = this.#machine.query(now, config);
      const commit = options.commit === true ? this.#repeat<T>(init) : options.commit;
      const query = new Query<T>(this.#queryDriver(machine), commit, options);
      this.#queries.set(machine, query as Query<unknown>);
      return query;
    });
  }

  /** Takes an event of the machine; false if it is for somebody else. */
  handleEvent(event: RpcEvent): boolean {
    switch (event.type) {
      case "reply":
        this.#settle(event.request)?.resolve(event.reply);
        return true;
      case "failure":
        this.#onFailure(event.request, event.reason);
        return true;
      case "queryReply":
        this.#queries.get(event.query)?.handleReply(event.reply);
        return true;
      case "queryEnd":
        this.#onQueryEnd(event.query, event.reason);
        return true;
      default:
        return false;
    }
  }

  #queryDriver(machine: QueryMachine): QueryDriver {
    return {
      closestReplies: () => machine.closestReplies,
      counts: () => machine,
      setPaused: (isPaused) => this.#command((now) => machine.setPaused(now, isPaused)),
      cancel: () => this.#command((now) => machine.end(now, "cancelled")),
    };
  }

  /** Sends the request of a query again with the token of each node, and once more if the token grew too old meanwhile. */
  #repeat<T>({ target, command, value }: CommandQuery): Commit<T> {
    const refused = (reply: Reply, why: string) =>
      new ConnectError("REQUEST_REFUSED", `${reply.from} did not take the value: ${why}`);
    return async (reply, query) => {
      let { token } = reply;
      for (let tries = 0; tries < 2; tries++) {
        if (token === undefined) throw refused(reply, "it gave no token");
        const request = { to: reply.from, isInternal: false, target, command, value, token };
        const answer = await this.request(request, query.requestOptions);
        if (answer.error === ReplyError.None) return answer;
        if (answer.error !== ReplyError.InvalidToken) throw refused(reply, `error ${answer.error}`);
        token = answer.token;
      }
      throw refused(reply, "it calls its own token invalid");
    };
  }

  #settle(request: OutgoingRequest): Pending | undefined {
    const pending = this.#pending.get(request);
    this.#pending.delete(request);
    if (pending?.onAbort !== undefined) pending.signal!.removeEventListener("abort", pending.onAbort);
    return pending;
  }

  #onFailure(request: OutgoingRequest, reason: RequestFailure): void {
    const pending = this.#settle(request);
    if (reason === "cancelled" && pending?.signal?.aborted === true) pending.reject(pending.signal.reason);
    else pending?.reject(failureError(reason, request));
  }

  #onQueryEnd(machine: QueryMachine, reason: RequestFailure | undefined): void {
    const query = this.#queries.get(machine);
    this.#queries.delete(machine);
    const isError = reason !== undefined && reason !== "cancelled";
    query?.handleEnd(isError ? failureError(reason) : reason);
  }
}

/** The error for whatever is asked of a node that is closed. */
export function destroyed(): ConnectError {
  return new ConnectError("NODE_DESTROYED", "The node is closed: make another");
}

/** `address`, if the DHT can write to it. @throws {TypeError} or {@linkcode RangeError} if it cannot. */
export function checkAddress(address: SocketAddress): SocketAddress {
  if (address.family !== 4) throw new TypeError(`The DHT speaks IPv4 only, got ${address}`);
  if (address.port === 0) throw new RangeError(`Expected a port from 1 to 65535, got ${address}`);
  return address;
}
