/**
 * Host speed-up: libsodium as native code, through `npm:sodium-native`, where the host already allows it.
 *
 * Tried and rejected, with the figures of Deno 2.9.6 and Node 22 on the same machine:
 *
 * - Ed25519 through `node:crypto` (Deno: 81,000 signatures and 37,000 verifications a second, against 64,000 and 25,000
 *   here): OpenSSL and Deno's own code accept other signatures than libsodium does, for keys and points of small or mixed
 *   order, and two peers that disagree about a signature disagree about a log. libsodium's verdict is the only one.
 * - ChaCha20-Poly1305 through `node:crypto` (64 KiB: 2,800 against 1,500 MB/s in Node, nothing gained in Deno): a secret
 *   stream is not this construction, and Noise seals a few hundred bytes, where making the cipher object costs more.
 * - WebAssembly for small inputs, where it saves a slow call in Deno (BLAKE2b of 32 bytes: 3.8 against 2.2 million a second;
 *   sealing 100 bytes: 1.2 against 0.6 million; at 1 KiB native code leads by 1.0 to 1.5, at 64 KiB by 1.3 to 4): 0.2 to
 *   0.8 us a call, for which each process would load and keep both libraries.
 */
import { assert } from "../runtime/assert.ts";
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
} from "./sizes.ts";

/** What hypha calls of sodium-native 5: the C functions, which throw where those return an error. */
interface SodiumNative {
  crypto_sign_seed_keypair(publicKey: Uint8Array, secretKey: Uint8Array, seed: Uint8Array): void;
  crypto_sign_detached(signature: Uint8Array, message: Uint8Array, secretKey: Uint8Array): void;
  crypto_sign_verify_detached(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean;
  crypto_hash_sha512(out: Uint8Array, input: Uint8Array): void;
  crypto_scalarmult_ed25519_noclamp(out: Uint8Array, scalar: Uint8Array, point: Uint8Array): void;
  crypto_generichash_batch(out: Uint8Array, parts: readonly Uint8Array[], key?: Uint8Array): void;
  crypto_aead_chacha20poly1305_ietf_encrypt(
    out: Uint8Array,
    message: Uint8Array,
    ad: Uint8Array | null,
    secretNonce: null,
    nonce: Uint8Array,
    key: Uint8Array,
  ): void;
  crypto_aead_chacha20poly1305_ietf_decrypt(
    out: Uint8Array,
    secretNonce: null,
    sealed: Uint8Array,
    ad: Uint8Array | null,
    nonce: Uint8Array,
    key: Uint8Array,
  ): void;
  crypto_secretbox_easy(out: Uint8Array, message: Uint8Array, nonce: Uint8Array, key: Uint8Array): void;
  crypto_secretbox_open_easy(
    out: Uint8Array,
    sealed: Uint8Array,
    nonce: Uint8Array,
    key: Uint8Array,
  ): boolean;
  crypto_stream_xor(out: Uint8Array, input: Uint8Array, nonce: Uint8Array, key: Uint8Array): void;
  crypto_secretstream_xchacha20poly1305_init_pull(
    state: Uint8Array,
    header: Uint8Array,
    key: Uint8Array,
  ): void;
}

/**
 * The same library without its checks, by which each call of `index.js` costs 0.5 us more; ours have been made by then.
 * Arrays are passed as buffer, offset and length.
 */
interface SodiumBinding {
  crypto_generichash(...args: [...Span, ...Span, ...Span]): number;
  crypto_secretstream_xchacha20poly1305_push(
    ...args: [...Span, ...Span, ...Span, ...Span, tag: number]
  ): number;
  crypto_secretstream_xchacha20poly1305_pull(...args: [...Span, ...Span, ...Span, ...Span, ...Span]): number;
}

/** Longest input that is copied together before it is hashed. */
const MAX_COPIED_BYTES = 1024;
/** Bytes of most hashes. */
const HASH_BYTES = 32;
/** What stands for no key. */
const NO_KEY = new Uint8Array(0);

type Span = [buffer: ArrayBufferLike, offset: number, length: number];

/**
 * The native provider, if this host has it: on Node if `sodium-native` is installed, on Deno if the program runs with
 * `--allow-ffi` and may read `/etc/alpine-release`. Undefined otherwise. Never prompts and never throws.
 */
export async function createNativeProvider(): Promise<CryptoProvider | undefined> {
  const specifier = await nativeSpecifier();
  if (specifier === undefined) return undefined;
  try {
    const { default: sodium } = await import(specifier) as { default: SodiumNative };
    const { default: binding } = await import(`${specifier}/binding.js`) as { default: SodiumBinding };
    return new NativeProvider(sodium, binding);
  } catch {
    // not installed, not built for this platform, or not downloadable: the other provider does the same
    return undefined;
  }
}

/**
 * What to import. The name is computed for a reason: Deno follows a literal `import("npm:...")` when it builds the module
 * graph, so that each program would download 18 MB of binaries, most of them without ever being allowed to load one. This
 * way the download happens where the permission was given, once, and into Deno's cache.
 */
async function nativeSpecifier(): Promise<string | undefined> {
  if (typeof Deno === "undefined") return typeof process === "undefined" ? undefined : "sodium-native";
  const ffi = await Deno.permissions.query({ name: "ffi" });
  // which its loader looks at to tell one C library from another
  const read = await Deno.permissions.query({ name: "read", path: "/etc/alpine-release" });
  if (ffi.state !== "granted" || read.state !== "granted") return undefined;
  return "npm:sodium-native@5.1.0";
}

class NativeProvider implements CryptoProvider {
  readonly name = "sodium-native";
  readonly #sodium: SodiumNative;
  readonly #binding: SodiumBinding;
  readonly #scalar = new Uint8Array(64);
  readonly #input = new Uint8Array(MAX_COPIED_BYTES);
  /** More than the 64 bytes that V8 would keep on its heap. */
  readonly #digest = new Uint8Array(256);
  readonly #usualDigest = this.#digest.subarray(0, HASH_BYTES);

  constructor(sodium: SodiumNative, binding: SodiumBinding) {
    this.#sodium = sodium;
    this.#binding = binding;
  }

  keyPair(seed: Uint8Array): KeyPair {
    requireSize("seed", seed, SEED_BYTES);
    const pair = { publicKey: new Uint8Array(PUBLIC_KEY_BYTES), secretKey: new Uint8Array(SECRET_KEY_BYTES) };
    this.#sodium.crypto_sign_seed_keypair(pair.publicKey, pair.secretKey, seed);
    return pair;
  }

  sign(message: Uint8Array, secretKey: Uint8Array): Uint8Array {
    requireSizeBetween("message", message, 0, MAX_MESSAGE_BYTES);
    requireSize("secretKey", secretKey, SECRET_KEY_BYTES);
    const signature = new Uint8Array(SIGNATURE_BYTES);
    this.#sodium.crypto_sign_detached(signature, message, secretKey);
    return signature;
  }

  verify(message: Uint8Array, signature: Uint8Array, publicKey: Uint8Array): boolean {
    requireSizeBetween("message", message, 0, MAX_MESSAGE_BYTES);
    requireSize("signature", signature, SIGNATURE_BYTES);
    requireSize("publicKey", publicKey, PUBLIC_KEY_BYTES);
    return this.#sodium.crypto_sign_verify_detached(signature, message, publicKey);
  }

  dh(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined {
    requireSize("secretKey", secretKey, SECRET_KEY_BYTES);
    requireSize("publicKey", publicKey, PUBLIC_KEY_BYTES);
    const scalar = this.#scalar;
    this.#sodium.crypto_hash_sha512(scalar, secretKey.subarray(0, SEED_BYTES));
    scalar[0]! &= 0xf8;
    scalar[31] = scalar[31]! & 0x7f | 0x40;
    const shared = new Uint8Array(PUBLIC_KEY_BYTES);
    try {
      this.#sodium.crypto_scalarmult_ed25519_noclamp(shared, scalar.subarray(0, 32), publicKey);
      return shared;
    } catch {
      return undefined;
    } finally {
      scalar.fill(0);
    }
  }

  /**
   * Memory that V8 keeps on its own heap, as it does for arrays of up to 64 bytes, is moved out of it when native code sees it,
   * which costs three times what a hash does. So short inputs and the output go through memory that is outside already, and
   * past the library's own checks: a hash of 109 bytes takes 0.5 instead of 2.4 us in Node, 0.4 instead of 3.4 in Deno.
   */
  hash(out: Uint8Array, parts: readonly Uint8Array[], key?: Uint8Array): void {
    checkHash(out, key);
    const [input, digest] = [this.#input, this.#digest];
    let size = 0;
    for (const part of parts) size += part.length;
    if (size <= input.length) {
      let at = 0;
      for (const part of parts) {
        input.set(part, at);
        at += part.length;
      }
      const { buffer, byteOffset, length } = key ?? NO_KEY;
      const { crypto_generichash } = this.#binding;
      const status = crypto_generichash(
        digest.buffer,
        0,
        out.length,
        input.buffer,
        0,
        size,
        buffer,
        byteOffset,
        length,
      );
      assert(status === 0, "sizes were checked");
      out.set(out.length === HASH_BYTES ? this.#usualDigest : digest.subarray(0, out.length));
    } else {
      this.#sodium.crypto_generichash_batch(out, parts, key);
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
    if (cipher === "chacha20poly1305") {
      this.#sodium.crypto_aead_chacha20poly1305_ietf_encrypt(out, input, ad ?? null, null, nonce, key);
    } else {
      this.#sodium.crypto_secretbox_easy(out, input, nonce, key);
    }
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
    if (cipher === "xsalsa20poly1305") return this.#sodium.crypto_secretbox_open_easy(out, input, nonce, key);
    try {
      this.#sodium.crypto_aead_chacha20poly1305_ietf_decrypt(out, null, input, ad ?? null, nonce, key);
      return true;
    } catch {
      return false;
    }
  }

  xor(out: Uint8Array, input: Uint8Array, nonce: Uint8Array, key: Uint8Array): void {
    checkXor(out, input, nonce, key);
    this.#sodium.crypto_stream_xor(out, input, nonce, key);
  }

  secretStream(key: Uint8Array, header: Uint8Array): SecretStreamState {
    requireSize("key", key, CIPHER_KEY_BYTES);
    requireSize("header", header, SECRET_STREAM_HEADER_BYTES);
    const state = new Uint8Array(SECRET_STREAM_STATE_BYTES);
    // init_push would draw the header itself and then do what init_pull does
    this.#sodium.crypto_secretstream_xchacha20poly1305_init_pull(state, header, key);
    return new NativeSecretStream(this.#binding, state);
  }
}

class NativeSecretStream implements SecretStreamState {
  readonly #binding: SodiumBinding;
  readonly #state: ArrayBufferLike;
  /** Where the tag of a pulled message goes, and the additional data, which is empty. */
  readonly #tag = new ArrayBuffer(1);
  readonly #nothing = new ArrayBuffer(0);

  constructor(binding: SodiumBinding, state: Uint8Array) {
    this.#binding = binding;
    this.#state = state.buffer;
  }

  push(out: Uint8Array, input: Uint8Array): void {
    checkExpansion(input, out, SECRET_STREAM_OVERHEAD);
    this.#binding.crypto_secretstream_xchacha20poly1305_push(
      this.#state,
      0,
      SECRET_STREAM_STATE_BYTES,
      out.buffer,
      out.byteOffset,
      out.length,
      input.buffer,
      input.byteOffset,
      input.length,
      this.#nothing,
      0,
      0,
      0,
    );
  }

  pull(out: Uint8Array, input: Uint8Array): boolean {
    checkExpansion(out, input, SECRET_STREAM_OVERHEAD);
    const length = this.#binding.crypto_secretstream_xchacha20poly1305_pull(
      this.#state,
      0,
      SECRET_STREAM_STATE_BYTES,
      out.buffer,
      out.byteOffset,
      out.length,
      this.#tag,
      0,
      1,
      input.buffer,
      input.byteOffset,
      input.length,
      this.#nothing,
      0,
      0,
    );
    return length >= 0;
  }
}
