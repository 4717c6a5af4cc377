/**
 * Who signs announcements and mutable values: a key pair, or somebody who keeps the secret key elsewhere, such as a hardware token
 * or another process.
 */
import { requireKeyPair } from "../core/crypto/keys.ts";
import { PUBLIC_KEY_BYTES, requireSize, SIGNATURE_BYTES } from "../core/crypto/sizes.ts";
import type { CryptoProvider, KeyPair } from "../core/runtime/crypto_provider.ts";
import type { PeerRecord } from "./messages.ts";
import { announceSignable, type DhtNamespaces, mutableValueSignable } from "./signables.ts";

/** What a signature is for: enough to decide, and to compute the signed bytes oneself. */
export type SigningPurpose =
  | {
    /** To be found under a target, or no longer. */
    readonly type: "announce" | "unannounce";
    /** The topic, or the hash of the own key; 32 bytes. */
    readonly target: Uint8Array;
    /** The id of the node that stores it, 32 bytes. */
    readonly nodeId: Uint8Array;
    /** The token that the node gave, 32 bytes. */
    readonly token: Uint8Array;
    /** What is announced. */
    readonly peer: PeerRecord;
  }
  | {
    /** To replace the mutable value of the own key. */
    readonly type: "mutablePut";
    /** The number of the change. */
    readonly seq: number;
    /** The new value. */
    readonly value: Uint8Array;
  };

/** Somebody who signs. */
export interface Signer {
  /** The Ed25519 key that signatures are checked with, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Signs `message`, 64 bytes, now or later, or throws if `purpose` is not wanted. The signature has 64 bytes. */
  sign(message: Uint8Array, purpose: SigningPurpose): Uint8Array | Promise<Uint8Array>;
}

/** A key pair, or whoever has the secret key. */
export type Identity = KeyPair | Signer;

/** Makes the signatures of HyperDHT in the name of an {@linkcode Identity}. */
export class DhtSigner {
  /** The key that others know, 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly #crypto: CryptoProvider;
  readonly #namespaces: DhtNamespaces;
  readonly #sign: Signer["sign"];

  /** Signs in the name of `identity`. @throws {RangeError} if a key has the wrong size. */
  constructor(crypto: CryptoProvider, namespaces: DhtNamespaces, identity: Identity) {
    this.#crypto = crypto;
    this.#namespaces = namespaces;
    this.publicKey = identity.publicKey;
    if ("sign" in identity) {
      requireSize("identity.publicKey", identity.publicKey, PUBLIC_KEY_BYTES);
      this.#sign = (message, purpose) => identity.sign(message, purpose);
    } else {
      requireKeyPair("identity", identity);
      this.#sign = (message) => crypto.sign(message, identity.secretKey);
    }
  }

  /** The signature of ANNOUNCE or UNANNOUNCE. @throws {RangeError} if the signer's answer is no signature, and what it throws. */
  announcement(purpose: SigningPurpose & { readonly type: "announce" | "unannounce" }): Promise<Uint8Array> {
    const space = this.#namespaces[purpose.type];
    return this.#signed(announceSignable(this.#crypto, space, purpose, purpose.peer), purpose);
  }

  /** The signature of a mutable value. As {@linkcode announcement}. */
  mutableValue(seq: number, value: Uint8Array): Promise<Uint8Array> {
    const message = mutableValueSignable(this.#crypto, this.#namespaces, seq, value);
    return this.#signed(message, { type: "mutablePut", seq, value });
  }

  async #signed(message: Uint8Array, purpose: SigningPurpose): Promise<Uint8Array> {
    const signature = await this.#sign(message, purpose);
    requireSize("the signature", signature, SIGNATURE_BYTES);
    return signature;
  }
}
