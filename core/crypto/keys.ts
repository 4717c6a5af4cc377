/**
 * Key pairs and the namespaces that keep the uses of a key apart.
 */
import type { CryptoProvider, KeyPair } from "../runtime/crypto_provider.ts";
import type { Random } from "../runtime/runtime.ts";
import { PUBLIC_KEY_BYTES, requireSize, SECRET_KEY_BYTES, SEED_BYTES } from "./sizes.ts";

export type { KeyPair } from "../runtime/crypto_provider.ts";

/**
 * The Ed25519 key pair of a 32-byte seed. The same seed gives the same pair for ever.
 *
 * @throws {RangeError} if the seed is not 32 bytes.
 */
export function keyPairFromSeed(crypto: CryptoProvider, seed: Uint8Array): KeyPair {
  return crypto.keyPair(seed);
}

/** A fresh Ed25519 key pair, whose seed is drawn from `random`. */
export function randomKeyPair(crypto: CryptoProvider, random: Random): KeyPair {
  const seed = random.fill(new Uint8Array(SEED_BYTES));
  const pair = crypto.keyPair(seed);
  seed.fill(0);
  return pair;
}

/**
 * Checks the sizes of a key pair, which the message calls `what`.
 *
 * @throws {RangeError} if either is wrong.
 */
export function requireKeyPair(what: string, pair: KeyPair): void {
  requireSize(`${what}.publicKey`, pair.publicKey, PUBLIC_KEY_BYTES);
  requireSize(`${what}.secretKey`, pair.secretKey, SECRET_KEY_BYTES);
}

/**
 * Constants of 32 bytes that separate the uses of one hash or key within a protocol: BLAKE2b-256 of the BLAKE2b-256 of
 * `name` and one byte of id (hypercore-crypto 3.7.0, `namespace`).
 *
 * @param ids the ids in the order wanted, each 0 to 255; in the DHT these are command numbers. A number means that many
 * ids from 0.
 * @throws {RangeError} for an id outside of a byte.
 *
 * @example
 * ```ts
 * import { loadCryptoProvider } from "./provider.ts";
 * import { namespace } from "./keys.ts";
 *
 * const crypto = await loadCryptoProvider();
 * const [initiator] = namespace(crypto, "hyperswarm/secret-stream", 3);
 * if (initiator?.[0] !== 0xa9) throw new Error("never happens");
 * ```
 */
export function namespace(
  crypto: CryptoProvider,
  name: string,
  ids: number | readonly number[],
): Uint8Array[] {
  const list = typeof ids === "number" ? Array.from({ length: ids }, (_, id) => id) : ids;
  const nameHash = new Uint8Array(32);
  crypto.hash(nameHash, [new TextEncoder().encode(name)]);
  return list.map((id) => {
    if (!Number.isInteger(id) || id < 0 || id > 255) {
      throw new RangeError(`a namespace id must be 0 to 255, not ${id}`);
    }
    const out = new Uint8Array(32);
    crypto.hash(out, [nameHash, Uint8Array.of(id)]);
    return out;
  });
}
