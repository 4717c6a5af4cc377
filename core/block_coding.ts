/** From values to stored blocks and back. */
import { type Codec, decode, DecodeError, encode } from "../encoding/codec.ts";
import { from } from "../encoding/from.ts";
import type { EncryptionOption, EncryptionProvider, ValueEncoding } from "./hypercore_options.ts";
import { BLOCK_PADDING } from "./log/constants.ts";
import { BlockCipher } from "./log/encryption.ts";
import type { LogState } from "./log/log_state.ts";
import { CIPHER_KEY_BYTES, requireSize } from "./crypto/sizes.ts";
import { ProtocolError } from "./runtime/errors.ts";

/** The largest block that peers take: 15 MiB, which a message of a secret stream holds (hypercore 11.37.1, index.js). */
export const MAX_BLOCK_BYTES: number = 15 * 1024 * 1024;

/** The codec of values, or undefined for bytes as they are. */
export function codecOf<T>(encoding: ValueEncoding<T> | undefined): Codec<T> | undefined {
  if (encoding === undefined || encoding === "binary") return undefined;
  return from(encoding as Codec<T>);
}

/**
 * The block of a value.
 *
 * @throws {TypeError} or {RangeError} if it cannot be encoded, or is too large for peers.
 */
export function encodeBlock<T>(codec: Codec<T> | undefined, value: T | Uint8Array | string): Uint8Array {
  const block = value instanceof Uint8Array
    ? value
    : codec !== undefined
    ? encode(codec, value as T)
    : toBytes(value);
  if (block.length <= MAX_BLOCK_BYTES) return block;
  throw new RangeError(
    `A block has at most ${MAX_BLOCK_BYTES} bytes, not ${block.length}: cut it into several`,
  );
}

/** The value of a block. @throws {ProtocolError} `DECODING_ERROR` if it is none of that encoding. */
export function decodeBlock<T>(codec: Codec<T> | undefined, block: Uint8Array, index: number): T {
  if (codec === undefined) return block as T;
  try {
    return decode(codec, block);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    const text = `Block ${index} is not of the encoding it is read with: ${error.message}`;
    throw new ProtocolError("DECODING_ERROR", text, { cause: error });
  }
}

function toBytes(value: unknown): Uint8Array {
  if (typeof value === "string") return new TextEncoder().encode(value);
  throw new TypeError("Without a valueEncoding, what is appended is bytes or text");
}

/** What encrypts the blocks of one log. Keys are derived when they are needed: they depend on what the log is. */
export class Encryption implements EncryptionProvider {
  /** How many bytes a stored block is longer. */
  readonly padding: number;
  readonly #log: LogState;
  readonly #option: EncryptionOption;
  #provider: EncryptionProvider | undefined;

  /** @throws {RangeError} for a key of another size than 32 bytes. */
  constructor(log: LogState, option: EncryptionOption) {
    this.#log = log;
    this.#option = option;
    if ("encrypt" in option) this.#provider = option;
    else requireSize("The encryption key", keyOf(option), CIPHER_KEY_BYTES);
    this.padding = "encrypt" in option ? option.padding : BLOCK_PADDING;
  }

  /** See {@linkcode EncryptionProvider}. */
  encrypt(index: number, fork: number, block: Uint8Array): Uint8Array {
    return this.#ready().encrypt(index, fork, block);
  }

  /** See {@linkcode EncryptionProvider}. @throws {ProtocolError} `DECODING_ERROR` if it is too short to be encrypted. */
  decrypt(index: number, stored: Uint8Array): Uint8Array {
    if (stored.length >= this.padding) return this.#ready().decrypt(index, stored);
    throw new ProtocolError(
      "DECODING_ERROR",
      `Block ${index} has ${stored.length} bytes and was never encrypted`,
    );
  }

  #ready(): EncryptionProvider {
    if (this.#provider !== undefined) return this.#provider;
    const { key, verifier, runtime } = this.#log;
    const option = this.#option as Exclude<EncryptionOption, EncryptionProvider>;
    const cipher = new BlockCipher(runtime.crypto, {
      ...{ encryptionKey: keyOf(option), key, isCompat: verifier?.isCompat ?? false },
      isBlockKey: !(option instanceof Uint8Array) && option.isBlockKey === true,
    });
    // Until it is known what the log is, this may be the wrong one.
    if (verifier !== undefined) this.#provider = cipher;
    return cipher;
  }
}

function keyOf(option: Exclude<EncryptionOption, EncryptionProvider>): Uint8Array {
  return option instanceof Uint8Array ? option : option.key;
}
