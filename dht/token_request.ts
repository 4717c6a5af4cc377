/** Requests that store something at a node: they carry a token that the node gave shortly before. */
import { ConnectError } from "../core/runtime/errors.ts";
import type { SocketAddress } from "../encoding/address.ts";
import { ReplyError } from "./constants.ts";
import { ReplyError as RpcReplyError } from "./rpc/constants.ts";
import type { Reply } from "./rpc/outgoing_request.ts";
import type { Rpc } from "./rpc/rpc.ts";
import type { RequestOptions } from "./rpc/rpc_types.ts";

/** What to store, for a request with `token`: made anew for each node, as some values are signed for one. */
export type Storing = (token: Uint8Array) => Uint8Array | Promise<Uint8Array>;

/** Where and how to store it. */
export interface StoringRequest {
  /** One of `Command`. */
  readonly command: number;
  /** The key, 32 bytes. */
  readonly target: Uint8Array;
  /** The node. */
  readonly to: SocketAddress;
  /** The token that it gave; it refuses if there is none. */
  readonly token: Uint8Array | undefined;
}

/**
 * Sends a value to a node, and once more if the token has grown too old meanwhile.
 *
 * @throws {ConnectError} `REQUEST_REFUSED` if the node does not take it, and what `Rpc.request` throws.
 */
export async function store(
  rpc: Rpc,
  { command, target, to, token }: StoringRequest,
  storing: Storing,
  options: RequestOptions = {},
): Promise<Reply> {
  let current = token;
  for (let tries = 0; tries < 2; tries++) {
    if (current === undefined) throw refused(to, "it gave no token");
    const value = await storing(current);
    const reply = await rpc.request({ command, target, token: current, value }, to, options);
    if (reply.error === RpcReplyError.None) return reply;
    if (reply.error !== RpcReplyError.InvalidToken) throw refused(to, reasonOf(reply.error));
    current = reply.token;
  }
  throw refused(to, "it calls its own token invalid");
}

function refused(node: SocketAddress, why: string): ConnectError {
  return new ConnectError("REQUEST_REFUSED", `${node} did not take the value: ${why}`);
}

function reasonOf(error: number): string {
  switch (error) {
    case ReplyError.SeqReused:
      return "it has another value with this sequence number: use a higher one";
    case ReplyError.SeqTooLow:
      return "it has a newer value: read that, and use a higher sequence number";
    case ReplyError.ValueTooLarge:
      return "it is too long: split it, or put it elsewhere and store its hash";
    case RpcReplyError.UnknownCommand:
      return "it stores nothing";
    default:
      return `error ${error}`;
  }
}
