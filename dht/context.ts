/** What the parts of a node of HyperDHT share: the node as each of them sees it. Made by `Dht`. */
import type { KeyPair } from "../core/runtime/crypto_provider.ts";
import type { Runtime } from "../core/runtime/runtime.ts";
import type { TraceEvent } from "../core/runtime/trace.ts";
import type { SocketAddress } from "../encoding/address.ts";
import type { DatagramNetwork } from "../transports/datagram.ts";
import type { UdxEndpoint } from "../transports/udx/endpoint.ts";
import type { UdxSocket } from "../transports/udx/udx_socket.ts";
import type { DhtConfig } from "./dht_options.ts";
import type { PunchBudget } from "./punch/budget.ts";
import type { RecordClient } from "./record_client.ts";
import type { RecordStore } from "./records.ts";
import type { RelayAddressCache } from "./relay_cache.ts";
import type { Rpc } from "./rpc/rpc.ts";
import type { DhtNamespaces } from "./signables.ts";
import type { Identity } from "./signers.ts";
import type { DhtStats } from "./stats.ts";

/** The sockets of a node; undefined while it is suspended and before it is bound. */
export interface DhtSockets {
  /** The one that others may write to unasked, on a port that stays. */
  readonly server: UdxSocket | undefined;
  /** The one that requests go out from while the node is firewalled. */
  readonly client: UdxSocket | undefined;
  /** The one of both that requests go out from now. */
  readonly current: UdxSocket | undefined;
}

/** Something that lives on a node, such as a server, and follows what becomes of it. */
export interface DhtService {
  /** Who is to be found here, if it is a server that listens. */
  readonly identity?: Identity | undefined;
  /** Nodes that relay to it. */
  readonly relayAddresses?: readonly SocketAddress[] | undefined;
  /** The node is about to lose its sockets: say goodbye while there is time, and keep quiet. */
  suspend(): Promise<void>;
  /** It has them again. */
  resume(): Promise<void>;
  /** It ends for good. `isForced` = without saying goodbye to anybody. */
  close(isForced: boolean): Promise<void>;
  /** The addresses of the node have changed: announce again. */
  refresh(): void;
  /** The network works again. */
  notifyOnline(): void;
}

/** See the head of the file. */
export interface DhtContext {
  /** Time, chance, cryptography. */
  readonly runtime: Runtime;
  /** Settings. */
  readonly config: DhtConfig;
  /** The identity of the node, unless a server or a connection has its own. */
  readonly keyPair: KeyPair;
  /** What separates the hashes and signatures of HyperDHT from others. */
  readonly namespaces: DhtNamespaces;
  /** Requests and queries; the own address and whether others reach it; nodes heard of lately. */
  readonly rpc: Rpc;
  /** Streams, and sockets besides those of {@linkcode DhtContext.sockets}. */
  readonly endpoint: UdxEndpoint;
  /** What the endpoint binds on: knows the addresses of this host. */
  readonly network: DatagramNetwork;
  /** The node's own two. */
  readonly sockets: DhtSockets;
  /** What this node keeps for others: `forward` knows the way to peers, `pin` and `unpin` are for peers on this node. */
  readonly records: RecordStore;
  /** Finds and announces: `findPeer`. */
  readonly client: RecordClient;
  /** Relays of peers that were connected to. */
  readonly relayCache: RelayAddressCache;
  /** How often the node may punch at random ports. */
  readonly punchBudget: PunchBudget;
  /** Counters. */
  readonly stats: DhtStats;
  /** What follows the node: servers add themselves when they listen, and remove themselves when closed. */
  readonly services: Set<DhtService>;
  /** Whether the node can do anything. */
  readonly state: "open" | "suspended" | "closed";
  /** Notes what happened, for whoever traces. */
  trace(what: string, data?: TraceEvent["data"]): void;
}
