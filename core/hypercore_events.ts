/** What a session tells about its log and its peers. */
import type { ConflictProof } from "./replication/conflict.ts";
import type { LogRequest } from "./log/proof_messages.ts";
import type { ReplicationPeer } from "./replication/peer.ts";
import type { ReplicatorObserver } from "./replication/replicator.ts";
import type { ProtocolError } from "./runtime/errors.ts";

/** A block on its way. */
export interface BlockEvent {
  /** Its index. */
  readonly index: number;
  /** Its bytes, as it is stored. */
  readonly byteLength: number;
  /** To whom, or from whom. */
  readonly peer: ReplicationPeer;
}

/** Names and payloads of the events of a log. */
export interface HypercoreEvents {
  /** The log has grown, here or at its writer, and has this length. */
  append: { readonly length: number };
  /** The log was cut to its first `ancestors` blocks, and is another fork; it may have grown again. */
  truncate: { readonly ancestors: number; readonly fork: number };
  /** It became known what the log is: see `HypercoreReader.manifest`. */
  manifest: undefined;
  /** The branch that the session is of is one of another log now, whose key this is. */
  migrate: { readonly key: Uint8Array };
  /** Some peer has all blocks before this one. */
  "remote-contiguous-length": { readonly length: number };
  /**
   * This store writes the log, and a peer has proven that it has less than was signed before: it is an older copy, or has lost
   * something. The log is now what the peer has.
   */
  rollback: {
    readonly oldFork: number;
    readonly oldLength: number;
    readonly fork: number;
    readonly length: number;
  };
  /** Something that is stored is damaged, which `error` tells; it is mended, or fetched again. */
  repairing: { readonly error: Error };
  /** What was damaged of the head or the tree is whole again. */
  repaired: undefined;
  /** What a peer has sent does not mend it: another one may. */
  "repair-failed": { readonly error: Error };
  /** The session is closed. */
  close: undefined;
  /** What was verified could not be stored; it is asked for again when there is room. */
  "storage-error": { readonly error: Error };
  /** A peer has proven that it knows the key. */
  "peer-add": { readonly peer: ReplicationPeer };
  /** A peer is gone. */
  "peer-remove": { readonly peer: ReplicationPeer };
  /** It became known, or has changed, how a peer's log stands or which blocks it has. */
  "peer-state": { readonly peer: ReplicationPeer };
  /** A block is on its way to a peer. */
  upload: BlockEvent;
  /** A block has come from a peer and is verified. */
  download: BlockEvent;
  /** The log was signed twice with different contents, which `proof` shows; it is frozen, and all its sessions close. */
  conflict: { readonly proof: ConflictProof; readonly peer: ReplicationPeer };
  /** A peer has sent what proves nothing. */
  "verification-error": { readonly error: ProtocolError; readonly peer: ReplicationPeer };
  /** A peer has asked for what nobody could answer. */
  "invalid-request": {
    readonly error: ProtocolError;
    readonly request: LogRequest;
    readonly peer: ReplicationPeer;
  };
}

type Emit = <Name extends keyof HypercoreEvents>(name: Name, detail: HypercoreEvents[Name]) => void;

/** What to observe for each event, so that nothing is told that nobody listens to. */
export function observerOf(name: string, emit: Emit): ReplicatorObserver | undefined {
  switch (name) {
    case "peer-add":
      return { onPeerAdd: (peer) => emit(name, { peer }) };
    case "peer-remove":
      return { onPeerRemove: (peer) => emit(name, { peer }) };
    case "peer-state":
      return { onPeerState: (peer) => emit(name, { peer }) };
    case "upload":
      return { onUpload: (index, byteLength, peer) => emit(name, { index, byteLength, peer }) };
    case "download":
      return { onDownload: (index, byteLength, peer) => emit(name, { index, byteLength, peer }) };
    case "remote-contiguous-length":
      return { onRemoteContiguousLength: (length) => emit(name, { length }) };
    case "verification-error":
      return { onVerificationError: (error, peer) => emit(name, { error, peer }) };
    case "invalid-request":
      return { onInvalidRequest: (error, request, peer) => emit(name, { error, request, peer }) };
  }
  return undefined;
}
