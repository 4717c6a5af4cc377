/** Which key pair a name stands for in a store: derived from its primary key, so that one secret is enough for all logs. */
import { blake2b } from "./crypto/hash.ts";
import { namespace } from "./crypto/keys.ts";
import { requireSize } from "./crypto/sizes.ts";
import type { CryptoProvider, KeyPair } from "./runtime/crypto_provider.ts";

/** Bytes of a namespace, and of a primary key (corestore 7.11.1, index.js). */
const KEY_BYTES = 32;

/** The namespace of a store that was told none. */
export const ROOT_NAMESPACE: Uint8Array = new Uint8Array(KEY_BYTES);

/** The namespace called `name` within another. */
export function childNamespace(
  crypto: CryptoProvider,
  parent: Uint8Array,
  name: string | Uint8Array,
): Uint8Array {
  return blake2b(crypto, [parent, toBytes(name)]);
}

/** The key pair of a name. @throws {RangeError} if the primary key or the namespace is not 32 bytes. */
export function namedKeyPair(
  crypto: CryptoProvider,
  primaryKey: Uint8Array,
  space: Uint8Array,
  name: string | Uint8Array,
): KeyPair {
  requireSize("primaryKey", primaryKey, KEY_BYTES);
  requireSize("namespace", space, KEY_BYTES);
  const [corestore] = namespace(crypto, "corestore", 1);
  return crypto.keyPair(blake2b(crypto, [corestore!, space, toBytes(name)], primaryKey));
}

function toBytes(name: string | Uint8Array): Uint8Array {
  return typeof name === "string" ? new TextEncoder().encode(name) : name;
}
