/** What the machine of a node tells its driver. */
import type { SocketAddress } from "../../encoding/address.ts";
import type { Health } from "./health.ts";
import type { IncomingRequest } from "./incoming_request.ts";
import type { OutgoingRequest, Reply, RequestFailure } from "./outgoing_request.ts";
import type { QueryMachine } from "./query_machine.ts";

/** See the head of the file. */
export type RpcEvent =
  /** A request of an application command came; answer it. */
  | { readonly type: "request"; readonly request: IncomingRequest }
  /** A request of the driver was answered. */
  | { readonly type: "reply"; readonly request: OutgoingRequest; readonly reply: Reply }
  /** A request of the driver will not be answered. */
  | { readonly type: "failure"; readonly request: OutgoingRequest; readonly reason: RequestFailure }
  /** A query of the driver got a reply. */
  | { readonly type: "queryReply"; readonly query: QueryMachine; readonly reply: Reply }
  /** A query of the driver has ended. */
  | { readonly type: "queryEnd"; readonly query: QueryMachine; readonly reason: RequestFailure | undefined }
  /** A name is to be looked up: answer with `handleLookup`. */
  | { readonly type: "lookup"; readonly index: number; readonly host: string; readonly port: number }
  /** The routing table should be stored. */
  | { readonly type: "save" }
  /** The first look around is over. */
  | { readonly type: "ready" }
  /** The node got an id and serves others. */
  | { readonly type: "persistent" }
  /** The node no longer serves others. */
  | { readonly type: "ephemeral" }
  /** The host has slept. */
  | { readonly type: "wakeup" }
  /** Others see this node elsewhere; port 0 = at changing ports; undefined = they do not agree. */
  | { readonly type: "natUpdate"; readonly address: SocketAddress | undefined }
  /** A node came into the routing table. */
  | { readonly type: "addNode"; readonly address: SocketAddress; readonly id: Uint8Array }
  /** A node left it. */
  | { readonly type: "removeNode"; readonly address: SocketAddress; readonly id: Uint8Array }
  /** Whether the network works has changed. */
  | { readonly type: "health"; readonly health: Health };
