/** A peer with which a log is replicated, as applications see it. */
import type { Mux } from "../stream/mux.ts";
import type { WireStats } from "./peer_channel.ts";

/** The connection on which a peer is. */
export interface PeerSession {
  /** Whether this side spoke first. */
  readonly isInitiator: boolean;
  /** The hash of the Noise handshake, which binds the proof of knowing the key to this connection. */
  readonly handshakeHash: Uint8Array;
  /** The identity of the peer, 32 bytes. */
  readonly remotePublicKey: Uint8Array;
  /** The round trip in milliseconds, if the connection knows it. */
  roundTripMs?(): number | undefined;
}

/** How much was exchanged with a peer. */
export interface PeerStats {
  /** Messages of each kind. */
  readonly messages: WireStats;
  /** Blocks sent. */
  uploadedBlocks: number;
  /** Their bytes. */
  uploadedBytes: number;
  /** Blocks received and verified. */
  downloadedBlocks: number;
  /** Their bytes. */
  downloadedBytes: number;
  /** Proofs that proved nothing. */
  invalidData: number;
  /** Requests that were none. */
  invalidRequests: number;
  /** Blocks that it was asked for because another peer was slow. */
  hotswaps: number;
}

/** A peer of one log. */
export interface ReplicationPeer {
  /** Its identity, 32 bytes. */
  readonly remotePublicKey: Uint8Array;
  /** The connection. */
  readonly mux: Mux;
  /** Who is at its other end. */
  readonly session: PeerSession;
  /** How much was exchanged. */
  readonly stats: PeerStats;
  /** Its fork. */
  readonly remoteFork: number;
  /** Its length, as it says. */
  readonly remoteLength: number;
  /** How many of the first blocks it has, as far as it has told. */
  readonly remoteContiguousLength: number;
  /** Whether its state is known: it has said how its log stands. */
  readonly isKnown: boolean;
  /** Whether its channel is open. */
  readonly isOpen: boolean;
  /** Whether it answers requests. */
  readonly isRemoteUploading: boolean;
  /** Whether it makes requests. */
  readonly isRemoteDownloading: boolean;
  /** Whether it is asked for nothing any more, because what it sent was wrong or what it offered was not there. */
  readonly isPaused: boolean;
  /** Whether its requests are answered; true by default. */
  isUploading: boolean;
  /** Whether it is asked for anything; true by default. */
  isDownloading: boolean;
  /** The most bytes that go to it in a second; `Infinity`, the default, for no limit. */
  maxUploadBytesPerSecond: number;
  /** The most bytes that are asked of it in a second; `Infinity`, the default, for no limit. */
  maxDownloadBytesPerSecond: number;
  /** Whether it has this block, as far as it has told. */
  has(index: number): boolean;
}
