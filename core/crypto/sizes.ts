/**
 * Sizes of the primitives and the checks that every provider makes before it hands memory to a library, so that a wrong
 * size is the same `RangeError` everywhere and never reaches code that would read past an end.
 */
import type { Cipher } from "../runtime/crypto_provider.ts";

/** Bytes of an Ed25519 seed. */
export const SEED_BYTES = 32;
/** Bytes of an Ed25519 public key and of every compressed Edwards point. */
export const PUBLIC_KEY_BYTES = 32;
/** Bytes of an Ed25519 secret key: seed, then public key. */
export const SECRET_KEY_BYTES = 64;
/** Bytes of a detached Ed25519 signature. */
export const SIGNATURE_BYTES = 64;
/** Bytes of the key of each symmetric cipher and of a secretstream. */
export const CIPHER_KEY_BYTES = 32;
/** Bytes of the tag that both ciphers add. */
export const TAG_BYTES = 16;
/** Bytes of the nonce of each cipher. */
export const NONCE_BYTES = { chacha20poly1305: 12, xsalsa20poly1305: 24 } as const satisfies Record<
  Cipher,
  number
>;
/** Bytes of the XSalsa20 nonce. */
export const XSALSA20_NONCE_BYTES = 24;
/** Bytes that a secretstream adds to each message: one tag byte and the 16-byte authenticator. */
export const SECRET_STREAM_OVERHEAD = 17;
/** Bytes of the random header from which a secretstream starts. */
export const SECRET_STREAM_HEADER_BYTES = 24;
/** Bytes of libsodium's secretstream state: 32 of key, 12 of nonce, 8 of padding. */
export const SECRET_STREAM_STATE_BYTES = 52;

/**
 * The longest message that is signed, sealed or opened in one piece: 16 MiB, just above the longest frame that fits the
 * three-byte length of a secret stream. It bounds the memory that a provider holds on behalf of a stranger.
 */
export const MAX_MESSAGE_BYTES: number = 2 ** 24;

/**
 * Checks that `bytes`, which the message calls `what`, is exactly `size` long.
 *
 * @throws {RangeError} otherwise.
 */
export function requireSize(what: string, bytes: Uint8Array, size: number): void {
  if (bytes.length !== size) throw new RangeError(`${what} must be ${size} bytes, not ${bytes.length}`);
}

/**
 * Checks that `bytes`, which the message calls `what`, is `min` to `max` long.
 *
 * @throws {RangeError} otherwise.
 */
export function requireSizeBetween(what: string, bytes: Uint8Array, min: number, max: number): void {
  if (bytes.length < min || bytes.length > max) {
    throw new RangeError(`${what} must be ${min} to ${max} bytes, not ${bytes.length}`);
  }
}

/** Checks what `hash` is given. */
export function checkHash(out: Uint8Array, key: Uint8Array | undefined): void {
  requireSizeBetween("out", out, 16, 64);
  if (key !== undefined) requireSizeBetween("key", key, 16, 64);
}

/** Checks what `seal` is given; for `open` call it with the text and the sealed text in the same places. */
export function checkSealed(
  cipher: Cipher,
  text: Uint8Array,
  sealed: Uint8Array,
  nonce: Uint8Array,
  key: Uint8Array,
  ad: Uint8Array | undefined,
): void {
  checkExpansion(text, sealed, TAG_BYTES);
  requireSize("nonce", nonce, NONCE_BYTES[cipher]);
  requireSize("key", key, CIPHER_KEY_BYTES);
  if (ad === undefined) return;
  requireSizeBetween("ad", ad, 0, cipher === "xsalsa20poly1305" ? 0 : MAX_MESSAGE_BYTES);
}

/** Checks that `sealed` holds exactly `overhead` bytes more than `text`, which is not too long. */
export function checkExpansion(text: Uint8Array, sealed: Uint8Array, overhead: number): void {
  if (sealed.length !== text.length + overhead) {
    throw new RangeError(
      `the sealed message must be ${overhead} bytes longer than its text, not ${sealed.length} against ${text.length}`,
    );
  }
  if (text.length > MAX_MESSAGE_BYTES) {
    throw new RangeError(`a message must be at most ${MAX_MESSAGE_BYTES} bytes, not ${text.length}`);
  }
}

/** Checks what `xor` is given. */
export function checkXor(out: Uint8Array, input: Uint8Array, nonce: Uint8Array, key: Uint8Array): void {
  requireSize("out", out, input.length);
  requireSize("nonce", nonce, XSALSA20_NONCE_BYTES);
  requireSize("key", key, CIPHER_KEY_BYTES);
}
