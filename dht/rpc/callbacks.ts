/** Calls what the application has given to a node, and keeps whatever goes wrong in it from the node. */
import { SocketAddress } from "../../encoding/address.ts";
import { ReplyError } from "./constants.ts";
import type { IncomingRequest } from "./incoming_request.ts";
import type { RequestHandler, RpcOptions } from "./rpc_options.ts";

/** Has `handler` answer `request`; without one the command is unknown. */
export function handleRequest(
  request: IncomingRequest,
  handler: RequestHandler | undefined,
  onProblem: (what: "request", error: unknown) => void,
): void {
  try {
    const result = handler === undefined ? false : handler(request);
    if (result === false) request.error(ReplyError.UnknownCommand);
    else if (result instanceof Promise) result.catch((error) => onProblem("request", error));
  } catch (error) {
    onProblem("request", error);
  }
}

/** The IPv4 address of `host`, which is one already or is a name for `lookup`; undefined if there is none. */
export async function findAddress(
  host: string,
  port: number,
  lookup: RpcOptions["lookup"],
): Promise<SocketAddress | undefined> {
  try {
    const address = /^[\d.]+$/.test(host) ? SocketAddress.of(host, port) : await lookup?.(host, port);
    return address?.family === 4 ? address : undefined;
  } catch {
    // A name that is not known now may be later: the machine asks again when it needs one.
    return undefined;
  }
}
