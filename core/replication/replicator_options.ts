/** What a replicator is told, and what it tells. */
import type { LogRequest } from "../log/proof_messages.ts";
import type { ProtocolError } from "../runtime/errors.ts";
import type { ConflictProof } from "./conflict.ts";
import type { ReplicationPeer } from "./peer.ts";

/** What a `Replicator` tells. Called within the turn in which it happens: be quick. */
export interface ReplicatorObserver {
  /** A peer has proven that it knows the key. */
  onPeerAdd?(peer: ReplicationPeer): void;
  /** A peer is gone. */
  onPeerRemove?(peer: ReplicationPeer): void;
  /** A peer's state became known, or has changed: its fork, its length, or what it has. At most once a turn for each. */
  onPeerState?(peer: ReplicationPeer): void;
  /** A block is on its way to a peer. */
  onUpload?(index: number, bytes: number, peer: ReplicationPeer): void;
  /** A block has come and is verified. */
  onDownload?(index: number, bytes: number, peer: ReplicationPeer): void;
  /** The writer has signed two different logs: the log is frozen now. Told once. */
  onConflict?(proof: ConflictProof, peer: ReplicationPeer): void;
  /** Some peer has all blocks before this one. */
  onRemoteContiguousLength?(length: number): void;
  /** A peer has sent what proves nothing. */
  onVerificationError?(error: ProtocolError, peer: ReplicationPeer): void;
  /** A peer has asked for what nobody could answer. */
  onInvalidRequest?(error: ProtocolError, request: LogRequest, peer: ReplicationPeer): void;
}

/** Options of a `Replicator`. */
export interface ReplicatorOptions {
  /** Whether to follow a log that was rewritten; true by default. */
  readonly allowFork?: boolean | undefined;
  /** Whether to take blocks that were not asked for; false by default. */
  readonly allowPush?: boolean | undefined;
  /** Whether nothing is asked of peers, so that all comes unasked; false by default. */
  readonly pushOnly?: boolean | undefined;
  /** Whether the log is brought up to date without anybody asking for it; true by default. */
  readonly eagerUpgrade?: boolean | undefined;
  /** Whether the latest block comes along when the log is brought up to date; false by default. */
  readonly allowLatestBlock?: boolean | undefined;
  /** Least and most requests on their way to one peer; 16 and 512 by default. */
  readonly inflightRange?: readonly [min: number, max: number] | undefined;
  /** Least and most milliseconds for which a log that is no longer in use is still asked for; 20 and 40 s by default. */
  readonly lingerMs?: readonly [min: number, max: number] | undefined;
  /** Is told what happens. */
  readonly observer?: ReplicatorObserver | undefined;
}
