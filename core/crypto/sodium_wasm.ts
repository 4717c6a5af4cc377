/**
 * libsodium in WebAssembly, as a table of C functions and a heap to pass memory through.
 *
 * The raw module `libsodium-sumo` is used and not `libsodium-wrappers-sumo` on top of it: the wrappers allocate, copy and
 * free every argument of every call (see the figures in `provider_js.ts`), leave out XSalsa20, and need 120 KB of source and
 * a global source of randomness more.
 */
import { assert } from "../runtime/assert.ts";

/**
 * What hypha calls of libsodium 1.0.22. Names and order of arguments are those of the C functions; pointers are offsets
 * into the heap, and each 64-bit length takes two arguments, of which the upper half is always 0 here.
 */
export interface Sodium {
  /** The whole memory; replaced by another view when the memory grows. */
  readonly HEAPU8: Uint8Array;
  _sodium_init(): number;
  _malloc(size: number): number;
  _free(at: number): void;
  _crypto_sign_seed_keypair(publicKey: number, secretKey: number, seed: number): number;
  _crypto_sign_detached(
    signature: number,
    lengthOut: number,
    message: number,
    length: number,
    lengthHigh: number,
    secretKey: number,
  ): number;
  _crypto_sign_verify_detached(
    signature: number,
    message: number,
    length: number,
    lengthHigh: number,
    publicKey: number,
  ): number;
  _crypto_hash_sha512(out: number, input: number, length: number, lengthHigh: number): number;
  _crypto_scalarmult_ed25519_noclamp(out: number, scalar: number, point: number): number;
  _crypto_generichash(
    out: number,
    outLength: number,
    input: number,
    length: number,
    lengthHigh: number,
    key: number,
    keyLength: number,
  ): number;
  _crypto_generichash_init(state: number, key: number, keyLength: number, outLength: number): number;
  _crypto_generichash_update(state: number, input: number, length: number, lengthHigh: number): number;
  _crypto_generichash_final(state: number, out: number, outLength: number): number;
  _crypto_aead_chacha20poly1305_ietf_encrypt(
    out: number,
    lengthOut: number,
    message: number,
    length: number,
    lengthHigh: number,
    ad: number,
    adLength: number,
    adLengthHigh: number,
    secretNonce: number,
    nonce: number,
    key: number,
  ): number;
  _crypto_aead_chacha20poly1305_ietf_decrypt(
    out: number,
    lengthOut: number,
    secretNonce: number,
    sealed: number,
    length: number,
    lengthHigh: number,
    ad: number,
    adLength: number,
    adLengthHigh: number,
    nonce: number,
    key: number,
  ): number;
  _crypto_secretbox_easy(
    out: number,
    message: number,
    length: number,
    lengthHigh: number,
    nonce: number,
    key: number,
  ): number;
  _crypto_secretbox_open_easy(
    out: number,
    sealed: number,
    length: number,
    lengthHigh: number,
    nonce: number,
    key: number,
  ): number;
  _crypto_stream_xsalsa20_xor_ic(
    out: number,
    input: number,
    length: number,
    lengthHigh: number,
    nonce: number,
    block: number,
    blockHigh: number,
    key: number,
  ): number;
  _crypto_secretstream_xchacha20poly1305_init_pull(state: number, header: number, key: number): number;
  _crypto_secretstream_xchacha20poly1305_push(
    state: number,
    out: number,
    lengthOut: number,
    message: number,
    length: number,
    lengthHigh: number,
    ad: number,
    adLength: number,
    adLengthHigh: number,
    tag: number,
  ): number;
  _crypto_secretstream_xchacha20poly1305_pull(
    state: number,
    out: number,
    lengthOut: number,
    tagOut: number,
    sealed: number,
    length: number,
    lengthHigh: number,
    ad: number,
    adLength: number,
    adLengthHigh: number,
  ): number;
}

/**
 * Compiles the module: 15 to 30 ms and 4 MiB of memory. It needs no permission, because the binary lies as text inside
 * of the package.
 *
 * @throws {Error} if the runtime has no WebAssembly or forbids it.
 */
export async function loadSodium(): Promise<Sodium> {
  const { default: factory } = await import("libsodium-sumo");
  let initialized = false;
  const sodium: Sodium = await factory({
    // sodium_init fills a canary for guarded memory that nothing here uses. After it no draw can be meant.
    getRandomValue(): number {
      assert(!initialized, "libsodium drew a random number, though every random value comes from outside");
      return 0;
    },
  });
  assert(sodium._sodium_init() >= 0, "libsodium could not be initialized");
  initialized = true;
  return sodium;
}
