/**
 * The swarm: peers that share a topic find each other, connect, and stay connected.
 *
 * @module
 */
export { Swarm } from "./swarm.ts";
export type { SwarmEvents } from "./swarm_events.ts";
export type { RelayPolicy, RelayRequest, SwarmOptions } from "./options.ts";
export type { FirewallFunction } from "./firewall.ts";
export type { SwarmJoinOptions } from "./topic_set.ts";
export { type JoinOptions, TopicSession } from "./topic.ts";
export type { PeerInfo, PeerInfoEvents, PeerPhase } from "./peer.ts";
export type { PeerPriority } from "./retry.ts";
export type { SwarmStats } from "./stats.ts";
export type {
  NetworkWatcher,
  PeerDialOptions,
  PeerDiscovery,
  PeerTransport,
  Suspendable,
  SwarmDht,
  SwarmIdentity,
} from "./abilities.ts";
