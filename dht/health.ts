/** The state of a node as plain numbers and texts: for JSON, dashboards and health checks. */
import { toHex } from "../encoding/text.ts";
import type { DhtContext } from "./context.ts";
import type { RpcStats } from "./rpc/stats.ts";
import type { DhtStats } from "./stats.ts";

/** See the head of the file. Counters begin when the node is made; what is not known is null. */
export interface DhtHealth {
  /** Whether the node was suspended or closed. */
  readonly state: "open" | "suspended" | "closed";
  /** Whether its first look around is over. */
  readonly isReady: boolean;
  /** How requests fare: most are answered, few are, or none. */
  readonly network: "online" | "degraded" | "offline";
  /** Whether it serves others. */
  readonly isPersistent: boolean;
  /** Whether others cannot reach it unasked, as far as it is known. */
  readonly isFirewalled: boolean;
  /** The id of a persistent node, in hexadecimal. */
  readonly id: string | null;
  /** The key of the node, in hexadecimal. */
  readonly publicKey: string;
  /** The local address of the server socket. */
  readonly localAddress: string | null;
  /** Where others see the node; port 0 = at changing ports. */
  readonly publicAddress: string | null;
  /** Nodes in the routing table. */
  readonly nodes: number;
  /** What it keeps for others, by kind. */
  readonly stored: Readonly<Record<string, number>>;
  /** Bytes of the values among that. */
  readonly storedValueBytes: number;
  /** Streams that are alive. */
  readonly streams: number;
  /** Requests of this node. */
  readonly requests: RpcStats["requests"];
  /** What strangers sent. */
  readonly received: RpcStats["received"];
  /** What of that was answered. */
  readonly served: DhtStats["served"];
  /** Announcements of this node. */
  readonly announcing: DhtStats["announcing"];
  /** Ways in which peers were reached. */
  readonly punches: DhtStats["punches"];
}

/** The health of a node, now. */
export function healthOf({ state, rpc, keyPair, records, endpoint, stats }: DhtContext): DhtHealth {
  const whileOnline = rpc.degraded ? "degraded" : "online";
  return {
    state,
    isReady: rpc.isReady,
    network: rpc.online ? whileOnline : "offline",
    isPersistent: !rpc.ephemeral,
    isFirewalled: rpc.firewalled,
    id: rpc.id === undefined ? null : toHex(rpc.id),
    publicKey: toHex(keyPair.publicKey),
    localAddress: rpc.serverSocket?.address.toString() ?? null,
    publicAddress: rpc.natAddress?.toString() ?? null,
    nodes: rpc.size,
    stored: records.counts,
    storedValueBytes: records.valueBytes,
    streams: endpoint.streamCount,
    requests: { ...rpc.stats.requests },
    received: { ...rpc.stats.received },
    served: { ...stats.served },
    announcing: { ...stats.announcing },
    punches: { ...stats.punches },
  };
}
