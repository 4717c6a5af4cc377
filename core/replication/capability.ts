/**
 * The proof that one knows the key of a log, bound to the connection on which it is shown and to the side that shows it.
 *
 * Source: hypercore 11.37.1, lib/caps.js.
 */
import { blake2b } from "../crypto/hash.ts";
import { LOG_NAMESPACES } from "../log/namespaces.ts";
import type { CryptoProvider } from "../runtime/crypto_provider.ts";

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
