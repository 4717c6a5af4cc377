/**
 * The provider that runs anywhere: libsodium in WebAssembly. It needs no permission and is the default of a Deno program
 * without `--allow-ffi`.
 *
 * Every call copies its arguments into one scratch area that is allocated once, calls the raw function in place and copies
 * the result out. Thousands of calls a second in Deno 2.9.6, through libsodium's own wrappers and through this file:
 *
 *                        wrappers   here
 *     blake2b    32 B       1,560   3,760
 *     blake2b    1 KiB        570     745
 *     seal      100 B         790   1,250
 *     seal      1 KiB         250     345
 *     push      100 B         770   1,065
 *     push     64 KiB         5.9     6.4
 *
 * From 1 KiB on the ciphers themselves take the time: this build has no SIMD (420 MB/s; native code 1,700 MB/s).
 */
import type { Cipher, CryptoProvider, KeyPair, SecretStreamState } from "../runtime/crypto_provider.ts";
import {
  checkExpansion,
  checkHash,
  checkSealed,
  checkXor,
  CIPHER_KEY_BYTES,
  MAX_MESSAGE_BYTES,
  PUBLIC_KEY_BYTES,
  requireSize,
  requireSizeBetween,
  SECRET_KEY_BYTES,
  SECRET_STREAM_HEADER_BYTES,
  SECRET_STREAM_OVERHEAD,
  SECRET_STREAM_STATE_BYTES,
  SEED_BYTES,
  SIGNATURE_BYTES,
  TAG_BYTES,
} from "./sizes.ts";
import { loadSodium, type Sodium } from "./sodium_wasm.ts";
import { Scratch, SCRATCH_BYTES, SMALL } from "./wasm_scratch.ts";

/** Size of a piece; a multiple of the 64-byte block of XSalsa20 and of the 128-byte block of BLAKE2b. */
const CHUNK_BYTES = 2 ** 16;

/**
 * The provider that runs in any runtime with WebAssembly.
 *
 * @throws {Error} if WebAssembly is missing or forbidden.
 *
 * @example
 * ```ts
 * import { createWasmProvider } from "./provider_js.ts";
 *
 * const crypto = await createWasmProvider();
 * const { publicKey, secretKey } = crypto.keyPair(new Uint8Array(32));
 * const message = new TextEncoder().encode("hello");
 * const signature = crypto.sign(message, secretKey);
 * if (!crypto.verify(message, signature, publicKey)) throw new Error("never happens");
 * ```
 */
export async function createWasmProvider(): Promise<CryptoProvider> {
  return new WasmProvider(await loadSodium());
}

class WasmProvider implements CryptoProvider {
  readonly name = "libsodium-wasm";
  readonly #scratch: Scratch;

  constructor(sodium: Sodium) {
    this.#scratch = new Scratch(sodium);
  }

  keyPair(seed: Uint8Array): KeyPair {
    requireSize("seed", seed, SEED_BYTES);
    const scratch = this.#scratch;
    const publicAt = scratch.small + SMALL.point;
    const secretAt = scratch.small + SMALL.secret;
    const seedAt = scratch.put(scratch.small + SMALL.key, seed);
    scratch.sodium._crypto_sign_seed_keypair(publicAt, secretAt, seedAt);
    const pair = {
      publicKey: scratch.slice(publicAt, PUBLIC_KEY_BYTES),
      secretKey: scratch.slice(secretAt, SECRET_KEY_BYTES),
    };
    scratch.wipe(seedAt, SEED_BYTES);
    scratch.wipe(secretAt, SECRET_KEY_BYTES);
    return pair;
  }

  sign(message: Uint8Array, secretKey: Uint8Array): Uint8Array {
    requireSizeBetween("message", message, 0, MAX_MESSAGE_BYTES);
    requireSize("secretKey", secretKey, SECRET_KEY_BYTES);
    const scratch = this.#scratch;
    const messageAt = scratch.put(scratch.reserve(message.length), message);
    const secretAt = scratch.put(scratch.small + SMALL.secret, secretKey);
    const outAt = scratch.small + SMALL.out;
    scratch.sodium._crypto_sign_detached(outAt, 0, messageAt, message.length, 0, secretAt);
    scratch.wipe(secretAt, SECRET_KEY_BYTES);
    scratch.release(messageAt);
    return scratch.slice(outAt, SIGNATURE_BYTES);
  }

  verify(message: Uint8Array, signature: Uint8Array, publicKey: Uint8Array): boolean {
    requireSizeBetween("message", message, 0, MAX_MESSAGE_BYTES);
    requireSize("signature", signature, SIGNATURE_BYTES);
    requireSize("publicKey", publicKey, PUBLIC_KEY_BYTES);
    const scratch = this.#scratch;
    const messageAt = scratch.put(scratch.reserve(message.length), message);
    const signatureAt = scratch.put(scratch.small + SMALL.out, signature);
    const publicAt = scratch.put(scratch.small + SMALL.point, publicKey);
    const result = scratch.sodium._crypto_sign_verify_detached(
      signatureAt,
      messageAt,
      message.length,
      0,
      publicAt,
    );
    scratch.release(messageAt);
    return result === 0;
  }

  dh(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined {
    requireSize("secretKey", secretKey, SECRET_KEY_BYTES);
    requireSize("publicKey", publicKey, PUBLIC_KEY_BYTES);
    const scratch = this.#scratch;
    const { sodium, small } = scratch;
    const scalarAt = small + SMALL.secret;
    const keyAt = scratch.put(small + SMALL.key, secretKey);
    sodium._crypto_hash_sha512(scalarAt, keyAt, SEED_BYTES, 0);
    const heap = sodium.HEAPU8;
    heap[scalarAt]! &= 0xf8;
    heap[scalarAt + 31] = heap[scalarAt + 31]! & 0x7f | 0x40;
    const pointAt = scratch.put(small + SMALL.point, publicKey);
    const outAt = small + SMALL.out;
    const result = sodium._crypto_scalarmult_ed25519_noclamp(outAt, scalarAt, pointAt);
    const shared = result === 0 ? scratch.slice(outAt, PUBLIC_KEY_BYTES) : undefined;
    scratch.wipe(keyAt, SECRET_KEY_BYTES);
    scratch.wipe(scalarAt, 64);
    scratch.wipe(outAt, PUBLIC_KEY_BYTES);
    return shared;
  }

  hash(out: Uint8Array, parts: readonly Uint8Array[], key?: Uint8Array): void {
    checkHash(out, key);
    let total = 0;
    for (const part of parts) total += part.length;
    const scratch = this.#scratch;
    const { sodium, small } = scratch;
    const outAt = small + SMALL.out;
    const keyAt = key === undefined ? 0 : scratch.put(small + SMALL.key, key);
    const keyLength = key?.length ?? 0;
    if (total <= SCRATCH_BYTES) {
      const start = scratch.reserve(total);
      let at = start;
      for (const part of parts) {
        scratch.put(at, part);
        at += part.length;
      }
      sodium._crypto_generichash(outAt, out.length, start, total, 0, keyAt, keyLength);
    } else {
      const stateAt = small + SMALL.hashState;
      sodium._crypto_generichash_init(stateAt, keyAt, keyLength, out.length);
      for (const part of parts) this.#update(stateAt, part);
      sodium._crypto_generichash_final(stateAt, outAt, out.length);
    }
    scratch.take(out, outAt);
    if (keyLength > 0) scratch.wipe(keyAt, keyLength);
  }

  #update(stateAt: number, part: Uint8Array): void {
    const scratch = this.#scratch;
    const at = scratch.reserve(CHUNK_BYTES);
    for (let start = 0; start < part.length; start += CHUNK_BYTES) {
      const chunk = part.subarray(start, start + CHUNK_BYTES);
      scratch.put(at, chunk);
      scratch.sodium._crypto_generichash_update(stateAt, at, chunk.length, 0);
    }
  }

  seal(
    cipher: Cipher,
    out: Uint8Array,
    input: Uint8Array,
    nonce: Uint8Array,
    key: Uint8Array,
    ad?: Uint8Array,
  ): void {
    checkSealed(cipher, input, out, nonce, key, ad);
    const scratch = this.#scratch;
    const { sodium, small } = scratch;
    const nonceAt = scratch.put(small + SMALL.nonce, nonce);
    const keyAt = scratch.put(small + SMALL.key, key);
    const length = input.length;
    const adLength = ad?.length ?? 0;
    const at = scratch.reserve(out.length + adLength);
    // each text is laid where its ciphertext will stand, so that libsodium moves nothing
    if (cipher === "chacha20poly1305") {
      scratch.put(at, input);
      const adAt = ad === undefined ? 0 : scratch.put(at + out.length, ad);
      sodium._crypto_aead_chacha20poly1305_ietf_encrypt(
        at,
        0,
        at,
        length,
        0,
        adAt,
        adLength,
        0,
        0,
        nonceAt,
        keyAt,
      );
    } else {
      scratch.put(at + TAG_BYTES, input);
      sodium._crypto_secretbox_easy(at, at + TAG_BYTES, length, 0, nonceAt, keyAt);
    }
    scratch.take(out, at);
    scratch.wipe(keyAt, CIPHER_KEY_BYTES);
    scratch.release(at);
  }

  open(
    cipher: Cipher,
    out: Uint8Array,
    input: Uint8Array,
    nonce: Uint8Array,
    key: Uint8Array,
    ad?: Uint8Array,
  ): boolean {
    checkSealed(cipher, out, input, nonce, key, ad);
    const scratch = this.#scratch;
    const { sodium, small } = scratch;
    const nonceAt = scratch.put(small + SMALL.nonce, nonce);
    const keyAt = scratch.put(small + SMALL.key, key);
    const length = input.length;
    const adLength = ad?.length ?? 0;
    const at = scratch.put(scratch.reserve(length + adLength), input);
    let textAt = at;
    let result: number;
    if (cipher === "chacha20poly1305") {
      const adAt = ad === undefined ? 0 : scratch.put(at + length, ad);
      result = sodium._crypto_aead_chacha20poly1305_ietf_decrypt(
        at,
        0,
        0,
        at,
        length,
        0,
        adAt,
        adLength,
        0,
        nonceAt,
        keyAt,
      );
    } else {
      textAt = at + TAG_BYTES;
      result = sodium._crypto_secretbox_open_easy(textAt, at, length, 0, nonceAt, keyAt);
    }
    if (result === 0) scratch.take(out, textAt);
    scratch.wipe(keyAt, CIPHER_KEY_BYTES);
    scratch.release(at);
    return result === 0;
  }

  xor(out: Uint8Array, input: Uint8Array, nonce: Uint8Array, key: Uint8Array): void {
    checkXor(out, input, nonce, key);
    const scratch = this.#scratch;
    const { sodium, small } = scratch;
    const nonceAt = scratch.put(small + SMALL.nonce, nonce);
    const keyAt = scratch.put(small + SMALL.key, key);
    const at = scratch.reserve(CHUNK_BYTES);
    for (let start = 0; start < input.length; start += CHUNK_BYTES) {
      const chunk = input.subarray(start, start + CHUNK_BYTES);
      scratch.put(at, chunk);
      sodium._crypto_stream_xsalsa20_xor_ic(at, at, chunk.length, 0, nonceAt, start / 64, 0, keyAt);
      scratch.take(out.subarray(start, start + chunk.length), at);
    }
    scratch.wipe(keyAt, CIPHER_KEY_BYTES);
  }

  secretStream(key: Uint8Array, header: Uint8Array): SecretStreamState {
    requireSize("key", key, CIPHER_KEY_BYTES);
    requireSize("header", header, SECRET_STREAM_HEADER_BYTES);
    return new WasmSecretStream(this.#scratch, key, header);
  }
}

/** The state lives in JavaScript's memory, where it is collected with its owner, and visits the module for each call. */
class WasmSecretStream implements SecretStreamState {
  readonly #scratch: Scratch;
  readonly #state = new Uint8Array(SECRET_STREAM_STATE_BYTES);

  constructor(scratch: Scratch, key: Uint8Array, header: Uint8Array) {
    this.#scratch = scratch;
    const stateAt = scratch.small + SMALL.stream;
    const headerAt = scratch.put(scratch.small + SMALL.nonce, header);
    const keyAt = scratch.put(scratch.small + SMALL.key, key);
    // init_push would draw the header itself and then do what init_pull does
    scratch.sodium._crypto_secretstream_xchacha20poly1305_init_pull(stateAt, headerAt, keyAt);
    this.#leave(stateAt);
    scratch.wipe(keyAt, CIPHER_KEY_BYTES);
  }

  push(out: Uint8Array, input: Uint8Array): void {
    checkExpansion(input, out, SECRET_STREAM_OVERHEAD);
    const scratch = this.#scratch;
    const stateAt = scratch.put(scratch.small + SMALL.stream, this.#state);
    const at = scratch.reserve(out.length);
    const textAt = scratch.put(at + 1, input);
    scratch.sodium._crypto_secretstream_xchacha20poly1305_push(
      stateAt,
      at,
      0,
      textAt,
      input.length,
      0,
      0,
      0,
      0,
      0,
    );
    scratch.take(out, at);
    scratch.release(at);
    this.#leave(stateAt);
  }

  pull(out: Uint8Array, input: Uint8Array): boolean {
    checkExpansion(out, input, SECRET_STREAM_OVERHEAD);
    const scratch = this.#scratch;
    const stateAt = scratch.put(scratch.small + SMALL.stream, this.#state);
    const tagAt = scratch.small + SMALL.tag;
    const at = scratch.put(scratch.reserve(input.length), input);
    const result = scratch.sodium._crypto_secretstream_xchacha20poly1305_pull(
      stateAt,
      at + 1,
      0,
      tagAt,
      at,
      input.length,
      0,
      0,
      0,
      0,
    );
    if (result === 0) scratch.take(out, at + 1);
    scratch.release(at);
    this.#leave(stateAt);
    return result === 0;
  }

  /** Takes the state home and leaves nothing of it behind. */
  #leave(stateAt: number): void {
    this.#scratch.take(this.#state, stateAt);
    this.#scratch.wipe(stateAt, SECRET_STREAM_STATE_BYTES);
  }
}
