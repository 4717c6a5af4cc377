/** What a swarm tells. */
import type { Connection } from "../core/stream/connection.ts";
import type { PeerInfo } from "./peer.ts";
import type { SwarmStats } from "./stats.ts";

/** Events of a `Swarm`. */
export interface SwarmEvents {
  /** There is a connection to a peer. It may follow another one to the same peer, which is then closed or about to be. */
  connection: {
    /** The connection, which now belongs to the application. */
    readonly connection: Connection;
    /** What is known of the peer. */
    readonly peer: PeerInfo;
  };
  /** Counters or connections have changed; told once for all changes of a turn. */
  update: SwarmStats;
  /** A peer is kept out from now on. */
  ban: {
    /** The peer. */
    readonly peer: PeerInfo;
  };
  /** A peer was found under a topic, or has proven it. */
  topic: {
    /** The peer. */
    readonly peer: PeerInfo;
    /** The topic, 32 bytes. */
    readonly topic: Uint8Array;
  };
}
