/**
 * What is hashed and what is signed in HyperDHT: targets, and the 64 bytes behind the signatures of announcements and mutable
 * values, each in a namespace of its own.
 *
 * Source: hyperdht 6.34.0, lib/constants.js and lib/persistent.js.
 */
import { blake2b, HASH_BYTES } from "../core/crypto/hash.ts";
import { namespace } from "../core/crypto/keys.ts";
import type { CryptoProvider } from "../core/runtime/crypto_provider.ts";
import { encode } from "../encoding/codec.ts";
import { Command, NAMESPACE } from "./constants.ts";
import { mutableSignable, type PeerRecord, peerRecord } from "./messages.ts";

/** The namespaces of HyperDHT, 32 bytes each. */
export interface DhtNamespaces {
  /** Signatures of ANNOUNCE. */
  readonly announce: Uint8Array;
  /** Signatures of UNANNOUNCE. */
  readonly unannounce: Uint8Array;
  /** Signatures of mutable values. */
  readonly mutablePut: Uint8Array;
  /** The prologue of the Noise handshake. */
  readonly peerHandshake: Uint8Array;
  /** What the handshake hash is hashed with to get the punch secret. */
  readonly peerHolepunch: Uint8Array;
  /** For plug-ins. */
  readonly plugin: Uint8Array;
}

/** Computes the {@linkcode DhtNamespaces}: do it once for each node. */
export function dhtNamespaces(crypto: CryptoProvider): DhtNamespaces {
  const of = (id: number) => namespace(crypto, NAMESPACE, [id])[0]!;
  return {
    announce: of(Command.Announce),
    unannounce: of(Command.Unannounce),
    mutablePut: of(Command.MutablePut),
    peerHandshake: of(Command.PeerHandshake),
    peerHolepunch: of(Command.PeerHolepunch),
    plugin: of(Command.Plugin),
  };
}

/**
 * Where something is kept in the DHT: the hash of a public key, for the way to a peer and for its mutable value, or of an immutable
 * value. 32 bytes.
 */
export function targetOf(crypto: CryptoProvider, keyOrValue: Uint8Array): Uint8Array {
  return blake2b(crypto, [keyOrValue]);
}

/** The secret that seals the punch payloads of a connection attempt: of the 64-byte hash of its handshake. 32 bytes. */
export function punchSecret(
  crypto: CryptoProvider,
  namespaces: DhtNamespaces,
  handshakeHash: Uint8Array,
): Uint8Array {
  return blake2b(crypto, [namespaces.peerHolepunch], handshakeHash);
}

/** What an announcement is bound to. */
export interface AnnounceContext {
  /** The topic, or the hash of the announcer's key; 32 bytes. */
  readonly target: Uint8Array;
  /** The id of the node that stores it, 32 bytes. */
  readonly nodeId: Uint8Array;
  /** The token that the node gave, 32 bytes. */
  readonly token: Uint8Array;
}

/** The 64 bytes that an announcer signs; `space` is the namespace of ANNOUNCE or of UNANNOUNCE. */
export function announceSignable(
  crypto: CryptoProvider,
  space: Uint8Array,
  { target, nodeId, token }: AnnounceContext,
  peer: PeerRecord,
  refresh: Uint8Array = new Uint8Array(0),
): Uint8Array {
  return signable(crypto, space, [target, nodeId, token, encode(peerRecord, peer), refresh]);
}

/** The 64 bytes that the owner of a mutable value signs. */
export function mutableValueSignable(
  crypto: CryptoProvider,
  namespaces: DhtNamespaces,
  seq: number,
  value: Uint8Array,
): Uint8Array {
  return signable(crypto, namespaces.mutablePut, [encode(mutableSignable, { seq, value })]);
}

function signable(crypto: CryptoProvider, space: Uint8Array, parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(2 * HASH_BYTES);
  bytes.set(space);
  crypto.hash(bytes.subarray(HASH_BYTES), parts);
  return bytes;
}
