/**
 * One log and many peers: the protocol of hypercore 10 and 11 on channels of a mux, and who is asked for what.
 *
 * A {@linkcode Replicator} works on whatever is a {@linkcode ReplicatedLog}, and is attached to connections; it does nothing by
 * itself but answer, until the log is said to be in use (`isDownloading`) or something is requested.
 *
 * @module
 */
export { Replicator, type ReplicatorObserver, type ReplicatorOptions } from "./replicator.ts";
export type { PeerSession, PeerStats, ReplicationPeer } from "./peer.ts";
export type { ReplicatedLog } from "./replicated_log.ts";
export type { BlockRequestOptions } from "./downloads.ts";
export type { Range, RangeRequest } from "./range_jobs.ts";
export type { FoundByte } from "./seek_jobs.ts";
export type { PeerState, SideState, SyncState } from "./sync_state.ts";
export type { Extension, ExtensionOptions } from "./extensions.ts";
export type { ConflictProof } from "./conflict.ts";
export type { MessageCount, MessageKind, WireStats } from "./peer_channel.ts";
