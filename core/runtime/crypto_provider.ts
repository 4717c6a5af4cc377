/**
 * The cryptography that the protocols use, as an interface. All calls are synchronous and draw no randomness: whatever is
 * random comes in as an argument, so that a run can be replayed from a seed.
 */

/** An Ed25519 key pair. */
export interface KeyPair {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** 64 bytes: the seed, then the public key, as libsodium lays it out. */
  readonly secretKey: Uint8Array;
}

/**
 * An authenticated cipher with a 16-byte tag.
 *
 * `chacha20poly1305` is the IETF form (12-byte nonce, tag behind the text, RFC 8439); `xsalsa20poly1305` is NaCl's
 * secretbox (24-byte nonce, tag before the text, no additional data).
 */
export type Cipher = "chacha20poly1305" | "xsalsa20poly1305";

/** One direction of libsodium's secretstream (XChaCha20-Poly1305 with a ratchet), message tag only. */
export interface SecretStreamState {
  /**
   * Seals `input` into `out`, which holds exactly 17 bytes more. `out` may overlap `input` only if `input` is
   * `out.subarray(1, -16)`, where the ciphertext goes: then it works in place.
   */
  push(out: Uint8Array, input: Uint8Array): void;
  /**
   * Opens `input` into `out`, which holds exactly 17 bytes less; false if it is forged, and then `out` is undefined and
   * the state unchanged. `out` may be `input.subarray(1, -16)`: then it works in place.
   */
  pull(out: Uint8Array, input: Uint8Array): boolean;
}

/**
 * Cryptographic primitives. Key, nonce and tag sizes in bytes are stated per method; a wrong size is a `RangeError`, and so
 * is a message of more than 16 MiB to `sign`, `verify`, `seal`, `open` or a secretstream. `out` must not overlap another
 * argument unless the method says that it may. Every provider gives the same bytes and the same verdicts.
 */
export interface CryptoProvider {
  /** Which implementation this is, for diagnostics and benchmarks: for example `sodium-native`. */
  readonly name: string;
  /** The Ed25519 key pair of a 32-byte seed. */
  keyPair(seed: Uint8Array): KeyPair;
  /** The 64-byte detached Ed25519 signature of `message`. */
  sign(message: Uint8Array, secretKey: Uint8Array): Uint8Array;
  /**
   * Whether `signature` (64 bytes) of `message` was made by the owner of `publicKey` (32 bytes). As strict as libsodium:
   * keys and points of small order are refused, so are keys and scalars that are not canonical, and the equation is the one
   * without cofactor.
   */
  verify(message: Uint8Array, signature: Uint8Array, publicKey: Uint8Array): boolean;
  /**
   * Diffie-Hellman on compressed Edwards points: clamp(SHA-512(seed)[0..32]) x `publicKey`, 32 bytes. This is what the
   * reference's Noise does, and it is not X25519.
   *
   * @returns undefined if `publicKey` is not canonical, of small order or outside of the prime-order subgroup.
   */
  dh(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined;
  /**
   * BLAKE2b of the concatenated `parts` into `out` (16 to 64 bytes), keyed by `key` (16 to 64 bytes) if given. `out` may be
   * one of the parts.
   */
  hash(out: Uint8Array, parts: readonly Uint8Array[], key?: Uint8Array): void;
  /** Encrypts and authenticates `input` into `out`, which holds exactly 16 bytes more. Key: 32 bytes. */
  seal(
    cipher: Cipher,
    out: Uint8Array,
    input: Uint8Array,
    nonce: Uint8Array,
    key: Uint8Array,
    ad?: Uint8Array,
  ): void;
  /** The reverse of {@linkcode seal}; false if the text is forged, and then `out` is undefined. */
  open(
    cipher: Cipher,
    out: Uint8Array,
    input: Uint8Array,
    nonce: Uint8Array,
    key: Uint8Array,
    ad?: Uint8Array,
  ): boolean;
  /** XSalsa20 keystream xor: 24-byte nonce, 32-byte key; `out` may be `input`. */
  xor(out: Uint8Array, input: Uint8Array, nonce: Uint8Array, key: Uint8Array): void;
  /** A secretstream state of a 32-byte key and the 24-byte header that the sealing side chose at random. */
  secretStream(key: Uint8Array, header: Uint8Array): SecretStreamState;
}
