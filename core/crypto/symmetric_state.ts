/**
 * Noise's SymmetricState and CipherState (Noise revision 34, sections 5.1 and 5.2) with BLAKE2b and ChaCha20-Poly1305: the
 * running hash of a handshake, its chaining key and its current cipher key.
 *
 * Differs from the specification in the nonce only, as the reference does (noise-handshake 4.2.0, `cipher.js`): the upper
 * half of the 64-bit counter stays 0, which no handshake ever reaches.
 */
import type { CryptoProvider } from "../runtime/crypto_provider.ts";
import { CIPHER_KEY_BYTES, NONCE_BYTES, TAG_BYTES } from "./sizes.ts";

/** Bytes of a Noise hash, chaining key and handshake hash: BLAKE2b's longest output. */
export const NOISE_HASH_BYTES = 64;
/** Bytes of BLAKE2b's block, to which HMAC pads its key. */
const BLOCK_BYTES = 128;

const EMPTY = new Uint8Array(0);
const ONE = Uint8Array.of(1);
const TWO = Uint8Array.of(2);

/** What {@linkcode SymmetricState.save} returns. */
export interface SavedState {
  /** Hash, chaining key and cipher key. */
  readonly memory: Uint8Array;
  /** Whether a cipher key is set. */
  readonly keyed: boolean;
  /** The next nonce. */
  readonly counter: number;
}

/** The symmetric half of a Noise handshake. */
export class SymmetricState {
  readonly #crypto: CryptoProvider;
  /** One piece of memory, so that saving and wiping are one call each. */
  readonly #memory = new Uint8Array(2 * NOISE_HASH_BYTES + CIPHER_KEY_BYTES);
  readonly #hash = this.#memory.subarray(0, NOISE_HASH_BYTES);
  readonly #chainingKey = this.#memory.subarray(NOISE_HASH_BYTES, 2 * NOISE_HASH_BYTES);
  readonly #key = this.#memory.subarray(2 * NOISE_HASH_BYTES);
  readonly #nonce = new Uint8Array(NONCE_BYTES.chacha20poly1305);
  readonly #pad = new Uint8Array(BLOCK_BYTES);
  /** The pseudorandom key of HKDF, then its two outputs. */
  readonly #prk = new Uint8Array(NOISE_HASH_BYTES);
  readonly #first = new Uint8Array(NOISE_HASH_BYTES);
  readonly #second = new Uint8Array(NOISE_HASH_BYTES);
  #keyed = false;
  #counter = 0;

  /** Starts with the name of the protocol, at most 64 bytes of it. */
  constructor(crypto: CryptoProvider, protocolName: Uint8Array) {
    this.#crypto = crypto;
    this.#hash.set(protocolName);
    this.#chainingKey.set(this.#hash);
  }

  /** Whether what follows is encrypted, and so {@linkcode TAG_BYTES} longer than its text. */
  get keyed(): boolean {
    return this.#keyed;
  }

  /** A copy of the hash of everything so far. */
  handshakeHash(): Uint8Array {
    return this.#hash.slice();
  }

  /** Mixes public data into the hash. */
  mixHash(data: Uint8Array): void {
    this.#crypto.hash(this.#hash, [this.#hash, data]);
  }

  /** Mixes the result of a Diffie-Hellman exchange into the keys. */
  mixKey(sharedSecret: Uint8Array): void {
    this.#expand(sharedSecret);
    this.#chainingKey.set(this.#first);
    this.#key.set(this.#second.subarray(0, CIPHER_KEY_BYTES));
    this.#keyed = true;
    this.#counter = 0;
  }

  /** Writes `text` to the start of `out`, encrypted as soon as there is a key, and returns how long it became. */
  encryptAndHash(out: Uint8Array, text: Uint8Array): number {
    if (this.#keyed) {
      const sealed = out.subarray(0, text.length + TAG_BYTES);
      this.#crypto.seal("chacha20poly1305", sealed, text, this.#nextNonce(), this.#key, this.#hash);
      this.mixHash(sealed);
      return sealed.length;
    }
    out.set(text);
    this.mixHash(text);
    return text.length;
  }

  /** The text of `sealed` as fresh memory; undefined if it was forged. */
  decryptAndHash(sealed: Uint8Array): Uint8Array | undefined {
    if (!this.#keyed) {
      this.mixHash(sealed);
      return sealed.slice();
    }
    const text = new Uint8Array(sealed.length - TAG_BYTES);
    if (!this.#crypto.open("chacha20poly1305", text, sealed, this.#nextNonce(), this.#key, this.#hash)) {
      return undefined;
    }
    this.mixHash(sealed);
    return text;
  }

  /** The two transport keys, first the one of the initiator's messages. */
  split(): { readonly first: Uint8Array; readonly second: Uint8Array } {
    this.#expand(EMPTY);
    return {
      first: this.#first.slice(0, CIPHER_KEY_BYTES),
      second: this.#second.slice(0, CIPHER_KEY_BYTES),
    };
  }

  /** What {@linkcode restore} wants. */
  save(): SavedState {
    return { memory: this.#memory.slice(), keyed: this.#keyed, counter: this.#counter };
  }

  /** Goes back to an earlier state. */
  restore(saved: SavedState): void {
    this.#memory.set(saved.memory);
    this.#keyed = saved.keyed;
    this.#counter = saved.counter;
  }

  /** Overwrites every secret. The object is of no use afterwards. */
  wipe(): void {
    this.#memory.fill(0);
    this.#prk.fill(0);
    this.#first.fill(0);
    this.#second.fill(0);
  }

  #nextNonce(): Uint8Array {
    new DataView(this.#nonce.buffer).setUint32(4, this.#counter++, true);
    return this.#nonce;
  }

  /** HKDF with two outputs and no info (RFC 5869), salted with the chaining key. */
  #expand(input: Uint8Array): void {
    this.#hmac(this.#prk, this.#chainingKey, input, EMPTY);
    this.#hmac(this.#first, this.#prk, ONE, EMPTY);
    this.#hmac(this.#second, this.#prk, this.#first, TWO);
  }

  /** HMAC (RFC 2104) of `a` and `b` with BLAKE2b, which the keyed mode of BLAKE2b is not. */
  #hmac(out: Uint8Array, key: Uint8Array, a: Uint8Array, b: Uint8Array): void {
    const pad = this.#pad;
    pad.fill(0x36);
    for (let i = 0; i < key.length; i++) pad[i] = key[i]! ^ 0x36;
    this.#crypto.hash(out, [pad, a, b]);
    for (let i = 0; i < BLOCK_BYTES; i++) pad[i]! ^= 0x36 ^ 0x5c;
    this.#crypto.hash(out, [pad, out]);
    pad.fill(0);
  }
}
