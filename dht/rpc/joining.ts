/**
 * The first look around of a node: a query for its own id, once or, if that shows that others can reach the node, twice.
 *
 * Source: dht-rpc 6.27.0, index.js.
 */
import { Command } from "./constants.ts";
import type { RpcContext } from "./context.ts";
import { encodePort, type NetworkState } from "./network_state.ts";
import type { Reply, RpcPort } from "./outgoing_request.ts";
import type { QueryMachine, QueryObserver } from "./query_machine.ts";

/** What joining needs of the node. */
export interface JoiningHost extends RpcContext {
  /** The socket that others may write to unasked. */
  readonly serverSocket: RpcPort | undefined;
  /** Looks for the nodes nearest to the own id. */
  querySelf(now: number, observer: QueryObserver): void;
  /** The first look around is over. */
  onJoined(now: number): void;
}

/** See the head of the file. */
export class Joining implements QueryObserver {
  readonly #host: JoiningHost;
  readonly #state: NetworkState;
  /** Whether the quick test is still to be made: the first node that answers is asked to write to the server socket. */
  #wantsQuickTest: boolean;
  #isReachable = false;
  #isDone = false;
  #rounds = 0;

  /** Does nothing before {@linkcode start}. */
  constructor(host: JoiningHost, state: NetworkState) {
    this.#host = host;
    this.#state = state;
    const { quickFirewall, isForcedPersistent } = host.config;
    this.#wantsQuickTest = quickFirewall && !isForcedPersistent && state.isFirewalled;
  }

  /** Begins. */
  start(now: number): void {
    this.#rounds++;
    this.#host.querySelf(now, this);
  }

  /** See {@linkcode QueryObserver}. */
  onReply(now: number, _query: QueryMachine, reply: Reply): void {
    const server = this.#host.serverSocket;
    if (!this.#wantsQuickTest || server === undefined) return;
    this.#wantsQuickTest = false;
    const options = {
      to: reply.from,
      isInternal: true,
      command: Command.PingNat,
      value: encodePort(server.address.port),
    };
    this.#host.request(now, options, { onReply: (later) => this.#onReached(later), onFailure() {} });
  }

  /** See {@linkcode QueryObserver}. */
  onEnd(now: number): void {
    const { isForcedPersistent } = this.#host.config;
    if (this.#rounds > 1 || !(this.#isReachable || isForcedPersistent)) {
      this.#finish(now);
      return;
    }
    this.#state.update(now, !isForcedPersistent, (later, hasChanged) => {
      if (hasChanged) this.start(later);
      else this.#finish(later);
    });
  }

  /** Others can write to the server socket. If that shows only when all else is over, it is looked into then. */
  #onReached(now: number): void {
    this.#isReachable = true;
    if (this.#isDone) this.#state.update(now, true, () => {});
  }

  #finish(now: number): void {
    this.#isDone = true;
    this.#host.onJoined(now);
  }
}
