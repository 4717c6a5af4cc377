/** What an `Rpc` tells, and what it can be asked for. */
import type { SocketAddress } from "../../encoding/address.ts";
import type { RpcSocket } from "./rpc_options.ts";

/** News of a node. */
export interface RpcEvents {
  /** The sockets are bound. */
  listening: Record<string, never>;
  /** The first look around is over. */
  ready: Record<string, never>;
  /** The node got an id and serves others. */
  persistent: { readonly id: Uint8Array };
  /** The node serves nobody any more. */
  ephemeral: Record<string, never>;
  /** The host has slept. */
  wakeup: Record<string, never>;
  /** Others see the node elsewhere; port 0 = at changing ports; undefined = they do not agree. */
  natUpdate: { readonly address: SocketAddress | undefined };
  /** A node came into the routing table. */
  addNode: { readonly address: SocketAddress; readonly id: Uint8Array };
  /** A node left it. */
  removeNode: { readonly address: SocketAddress; readonly id: Uint8Array };
  /** The addresses of this host have changed. */
  networkChange: { readonly hosts: readonly string[] };
  /** They have, or whether the network works has: see {@linkcode Rpc.online} and {@linkcode Rpc.degraded}. */
  networkUpdate: Record<string, never>;
  /** The sockets are closed until `resume`. */
  suspend: Record<string, never>;
  /** The sockets are bound again. */
  resume: Record<string, never>;
  /** The node is closed. */
  close: Record<string, never>;
  /** A handler of requests or a store failed; the node goes on. */
  problem: { readonly what: Problem; readonly error: unknown };
}

/** What failed: the handler of requests, or the store when it loaded or saved the routing table. */
export type Problem = "request" | "load" | "save";

/** How to ask another node. */
export interface RequestOptions {
  /** The socket to ask from: one of the node, or one whose datagrams go to {@linkcode Rpc.handleDatagram}. */
  readonly socket?: RpcSocket;
  /** Hops that the request may live. */
  readonly ttl?: number;
  /** Resends; 3 by default. */
  readonly retries?: number;
  /** Whether the request ignores the window and is sent once. */
  readonly force?: boolean;
  /** Gives the request up. */
  readonly signal?: AbortSignal;
}

/** A request of an application. */
export interface CommandRequest {
  /** The number of the command. */
  readonly command: number;
  /** The key that it is about, 32 bytes. */
  readonly target?: Uint8Array | undefined;
  /** The token that the other side gave. */
  readonly token?: Uint8Array | undefined;
  /** What goes with it. */
  readonly value?: Uint8Array | undefined;
  /** Milliseconds to wait for an answer to each try; by default as the node is known to answer. */
  readonly timeoutMs?: number | undefined;
}

/** A query of an application. */
export interface CommandQuery {
  /** The key, 32 bytes. */
  readonly target: Uint8Array;
  /** The number of the command that each node is asked. */
  readonly command: number;
  /** What goes with it. */
  readonly value?: Uint8Array | undefined;
}
