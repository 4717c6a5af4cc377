/**
 * The proof that one knows the key of a log, bound to the connection on which it is shown and to the side that shows it.
 *
 * Source: hypercore 11.37.1, lib/caps.js.
 */
import { equals } from "../../encoding/bytes.ts";
import { blake2b } from "../crypto/hash.ts";
import { LOG_NAMESPACES } from "../log/namespaces.ts";
import type { CryptoProvider } from "../runtime/crypto_provider.ts";
import { ProtocolError } from "../runtime/errors.ts";
import type { Handshake } from "./messages.ts";
import type { PeerHandlers } from "./peer_channel.ts";

/**
 * What the initiator of the connection, or the other side, shows for the log `key`: 32 bytes. `handshakeHash` is that of the Noise
 * handshake.
 */
export function capability(
  crypto: CryptoProvider,
  isInitiator: boolean,
  key: Uint8Array,
  handshakeHash: Uint8Array,
): Uint8Array {
  const { replicateInitiator, replicateResponder } = LOG_NAMESPACES;
  return blake2b(crypto, [isInitiator ? replicateInitiator : replicateResponder, key], handshakeHash);
}

/** Lets nobody in who does not show `expected`, and so does not know the key. */
export function guarded(handlers: PeerHandlers, expected: Uint8Array): PeerHandlers {
  return {
    ...handlers,
    onOpen(handshake: Handshake): void {
      if (!equals(handshake.capability, expected)) {
        throw new ProtocolError("INVALID_CAPABILITY", "The peer does not know the key of the log");
      }
      handlers.onOpen(handshake);
    },
  };
}
