/**
 * HyperDHT: peers by public key and topic, small values, and connections through whatever is in between.
 *
 * @module
 */
export { Dht, type DhtEvents } from "./dht.ts";
export { type DhtOptions } from "./dht_options.ts";
export { type DhtAddressLike, formatDhtAddress, parseDhtAddress } from "./address.ts";
export { BOOTSTRAP_NODES } from "./constants.ts";
export { type AnnouncedRelay, Announcer, type AnnouncerHost } from "./announcer.ts";
export { type ConnectionPath, DhtConnection } from "./dht_connection.ts";
export { ConnectionPool, type ConnectionPoolEvents } from "./connection_pool.ts";
export { type ConnectState, type PathKind } from "./connect_types.ts";
export { type ConnectOptions } from "./connector.ts";
export { DialError } from "./dial_error.ts";
export { DhtServer, type DhtServerEvents, type DhtServerOptions, type ListenOptions } from "./server.ts";
export { type AcceptCounters } from "./accept_types.ts";
export { type FirewallHook, type HolepunchHook } from "./accept_config.ts";
export { type DhtService } from "./context.ts";
export { type Presence } from "./presence.ts";
export { type DhtDialOptions, type TransportIdentity } from "./dht_transport.ts";
export { type RelayChoice } from "./relay_choice.ts";
export {
  type LookupReply,
  type MutablePut,
  type MutableValue,
  type PeerRecord as DhtPeerRecord,
} from "./messages.ts";
export {
  type DhtPlugin,
  type PluginCall,
  type PluginCommand,
  type PluginReply,
  type RegisteredPlugin,
} from "./plugins.ts";
export {
  type AnnounceOptions,
  type FindOptions,
  type FoundBy,
  type FoundImmutable,
  type FoundMutable,
  type FoundPeer,
  type FoundPeers,
  type MutableGetOptions,
  type MutablePutOptions,
  type RecordClient,
  type StoredImmutable,
  type StoredMutable,
} from "./record_client.ts";
export { type RecordStoreOptions } from "./records.ts";
export { targetOf } from "./signables.ts";
export { type DhtSigner, type Identity, type Signer, type SigningPurpose } from "./signers.ts";
export { type DhtHealth } from "./health.ts";
export { type DhtStats } from "./stats.ts";
export { type IncomingRequest, type RelayOptions, type ReplyOptions } from "./rpc/incoming_request.ts";
export { type Reply, type RpcPort } from "./rpc/outgoing_request.ts";
export { type Commit, Query, type QueryOptions } from "./rpc/query.ts";
export { Rpc } from "./rpc/rpc.ts";
export {
  type RequestHandler,
  type RoutingTableStore,
  type RpcOptions,
  type RpcSocket,
  type RpcSockets,
} from "./rpc/rpc_options.ts";
export {
  type CommandQuery,
  type CommandRequest,
  type Problem,
  type RequestOptions,
  type RpcEvents,
} from "./rpc/rpc_types.ts";
export { type CommandCount, type RpcStats } from "./rpc/stats.ts";
export {
  type HolepunchInfo,
  type NoisePayload,
  type ReceivedNoisePayload,
  type RelayInfo,
  type RelayThrough,
  type UdxInfo,
} from "./handshake_messages.ts";
export {
  type Expiring,
  type LinkEnd,
  type LinkEndpoint,
  type LinkHost,
  type PairOptions,
  PendingPair,
  RelayAccount,
  RelayClient,
  type RelayConnection,
  RelayedRoute,
  type RelayedRouteOptions,
  RelayLink,
  type RelayPair,
  type RelayPeer,
  type RelayQuotaConfig,
  type RelayQuotaOptions,
  RelayQuotas,
  type RelayRefusal,
  type RelayRoute,
  RelayServer,
  type RelayServerEvents,
  type RelayServerOptions,
  RelaySession,
  type RelayStats,
  type RelayStreams,
  type SessionHost,
  TokenBucket,
  type UpgradeState,
} from "./relay.ts";
