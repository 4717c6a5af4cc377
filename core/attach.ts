/** What logs are replicated on. */
import type { PeerSession } from "./replication/peer.ts";
import { Connection } from "./stream/connection.ts";
import type { Mux } from "./stream/mux.ts";

/** A connection that is encrypted: a `Connection`, or channels with what is known of the handshake below them. */
export type ReplicationStream = Connection | { readonly mux: Mux; readonly session: PeerSession };

/** Channels of a stream, and what is known of its handshake. A connection must be open. */
export function channelsOf(stream: ReplicationStream): { readonly mux: Mux; readonly session: PeerSession } {
  if (!(stream instanceof Connection)) return stream;
  const { mux, isInitiator, handshakeHash, remotePublicKey } = stream;
  const roundTripMs = () => stream.roundTripMs;
  return { mux, session: { isInitiator, handshakeHash, remotePublicKey, roundTripMs } };
}
