/**
 * Encryption of blocks. Peers relay and verify a log without its encryption key: trees, sizes and signatures are those of the
 * encrypted blocks. It adds no authentication; that is the tree's business.
 *
 * Each stored block begins with 8 bytes that blind the fork in which it was appended, so that a block that is written again
 * after a truncation is not encrypted with the same key stream.
 */
import { encode } from "../../encoding/codec.ts";
import { uint64 } from "../../encoding/fixed.ts";
import { blake2b } from "../crypto/hash.ts";
import { CIPHER_KEY_BYTES, requireSize, XSALSA20_NONCE_BYTES } from "../crypto/sizes.ts";
import type { CryptoProvider } from "../runtime/crypto_provider.ts";
import { BLOCK_PADDING } from "./constants.ts";
import { LOG_NAMESPACES } from "./namespaces.ts";

/** How the key that encrypts blocks follows from the one that is shared. */
export interface BlockCipherOptions {
  /** The key that those who may read share, 32 bytes. */
  readonly encryptionKey: Uint8Array;
  /** The key of the log, 32 bytes. */
  readonly key: Uint8Array;
  /** Whether the log's key is that of its signer, as hypercore 10 makes logs: these derive another key. By default false. */
  readonly isCompat?: boolean;
  /** Whether `encryptionKey` encrypts blocks as it is, so that it opens this log and no other. By default false. */
  readonly isBlockKey?: boolean;
}

/**
 * The key that encrypts the blocks of one log. Who has it can read that log, and no other with the same encryption key.
 *
 * @throws {RangeError} if a key is not 32 bytes.
 */
export function blockEncryptionKey(crypto: CryptoProvider, options: BlockCipherOptions): Uint8Array {
  const { encryptionKey, key, isCompat = false, isBlockKey = false } = options;
  requireSize("encryptionKey", encryptionKey, CIPHER_KEY_BYTES);
  requireSize("key", key, CIPHER_KEY_BYTES);
  if (isBlockKey) return encryptionKey;
  if (isCompat) return blake2b(crypto, [encryptionKey], key);
  return blake2b(crypto, [LOG_NAMESPACES.defaultEncryption, key, encryptionKey]);
}

/**
 * Encrypts and decrypts the blocks of one log.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { loadCryptoProvider } from "../crypto/provider.ts";
 * import { BlockCipher } from "./encryption.ts";
 *
 * const [key, encryptionKey] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
 * const cipher = new BlockCipher(await loadCryptoProvider(), { key, encryptionKey });
 * const block = new TextEncoder().encode("hello");
 * const stored = cipher.encrypt(7, 0, block);
 * assert.equal(stored.length, block.length + cipher.padding);
 * assert.deepEqual(cipher.decrypt(7, stored), block);
 * ```
 */
export class BlockCipher {
  /** How many bytes a stored block is longer. */
  readonly padding: number = BLOCK_PADDING;
  readonly #crypto: CryptoProvider;
  readonly #blockKey: Uint8Array;
  readonly #blindingKey: Uint8Array;

  /** Derives its keys. @throws {RangeError} if a key is not 32 bytes. */
  constructor(crypto: CryptoProvider, options: BlockCipherOptions) {
    this.#crypto = crypto;
    this.#blockKey = blockEncryptionKey(crypto, options).slice();
    this.#blindingKey = blake2b(crypto, [this.#blockKey]);
  }

  /** What is stored of `block`, which is appended at `index` in `fork`. */
  encrypt(index: number, fork: number, block: Uint8Array): Uint8Array {
    const stored = new Uint8Array(BLOCK_PADDING + block.length);
    const nonce = nonceOf(index);
    const blinded = stored.subarray(0, BLOCK_PADDING);
    this.#crypto.xor(blinded, encode(uint64, fork), nonce, this.#blindingKey);
    nonce.set(blinded, BLOCK_PADDING);
    this.#crypto.xor(stored.subarray(BLOCK_PADDING), block, nonce, this.#blockKey);
    return stored;
  }

  /**
   * The block at `index` of which `stored` is stored. It does not tell whether the key is the right one.
   *
   * @throws {RangeError} if it is shorter than the padding, so that it was never encrypted.
   */
  decrypt(index: number, stored: Uint8Array): Uint8Array {
    if (stored.length < BLOCK_PADDING) {
      throw new RangeError(`an encrypted block has at least ${BLOCK_PADDING} bytes, not ${stored.length}`);
    }
    const nonce = nonceOf(index);
    nonce.set(stored.subarray(0, BLOCK_PADDING), BLOCK_PADDING);
    const block = new Uint8Array(stored.length - BLOCK_PADDING);
    this.#crypto.xor(block, stored.subarray(BLOCK_PADDING), nonce, this.#blockKey);
    return block;
  }
}

function nonceOf(index: number): Uint8Array {
  const nonce = new Uint8Array(XSALSA20_NONCE_BYTES);
  nonce.set(encode(uint64, index));
  return nonce;
}
