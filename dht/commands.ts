/**
 * Serves the requests of other nodes. The way to peers on this node, and on to those that announced themselves here, is open to all
 * at any time (the router); what is stored takes a node with an id, because announcements are bound to it.
 */
import { Command } from "./constants.ts";
import type { DhtContext } from "./context.ts";
import type { PluginHost } from "./plugins.ts";
import type { IncomingRequest } from "./rpc/incoming_request.ts";

/** Serves the commands of handshakes and punches. */
export interface HandshakeHandler {
  /** Takes a request; false if it is none of its commands. */
  handle(request: IncomingRequest): boolean;
}

/** See the head of the file. */
export class Commands {
  readonly #context: DhtContext;
  readonly #router: HandshakeHandler;
  readonly #plugins: PluginHost;

  /** Answers in the name of a node. */
  constructor(context: DhtContext, router: HandshakeHandler, plugins: PluginHost) {
    this.#context = context;
    this.#router = router;
    this.#plugins = plugins;
  }

  /** Takes a request; false if the node does not know, or not yet serve, the command. */
  handle(request: IncomingRequest): boolean {
    if (this.#router.handle(request)) return true;
    const nodeId = this.#context.rpc.id;
    const { command } = request;
    if (nodeId === undefined || command < Command.FindPeer || command > Command.Plugin) return false;
    if (command === Command.Plugin) this.#plugins.handle(request);
    else this.#serveRecord(request, nodeId);
    return true;
  }

  #serveRecord(request: IncomingRequest, nodeId: Uint8Array): void {
    const { records, runtime, stats } = this.#context;
    const moment = { now: runtime.clock.now(), wallTime: runtime.clock.wallTime(), nodeId };
    const reply = records.handle(moment, request);
    if (reply === undefined) {
      stats.served.ignored++;
      return;
    }
    stats.served.records++;
    const options = { token: reply.withToken, closerNodes: reply.withCloserNodes };
    if (reply.error === 0) request.reply(reply.value, options);
    else request.error(reply.error, options);
  }
}
