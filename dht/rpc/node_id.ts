/**
 * Where nodes are in the space of keys: the id of a node is the hash of its address, so nobody can choose one freely, and the
 * distance of two keys is their bitwise difference.
 */
import type { CryptoProvider } from "../../core/runtime/crypto_provider.ts";
import type { SocketAddress } from "../../encoding/address.ts";
import { ID_BYTES } from "./constants.ts";

/**
 * The id of the node at the IPv4 address `address`: BLAKE2b-256 of its four bytes and its port, least significant byte first.
 *
 * Source: dht-rpc 6.27.0, lib/peer.js.
 */
export function nodeId(crypto: CryptoProvider, address: SocketAddress): Uint8Array {
  const { bits, port } = address;
  const out = new Uint8Array(ID_BYTES);
  crypto.hash(out, [Uint8Array.of(bits >>> 24, bits >>> 16, bits >>> 8, bits, port, port >>> 8)]);
  // A copy: what native code has written to has memory of its own outside of the heap, small pieces of which add up in a table.
  return out.slice();
}

/** Below zero if `a` is nearer to `target` than `b`, above zero if it is farther, 0 if they are the same key. */
export function compareDistance(target: Uint8Array, a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < ID_BYTES; i++) {
    if (a[i] !== b[i]) return (target[i]! ^ a[i]!) - (target[i]! ^ b[i]!);
  }
  return 0;
}

/** The first 30 bits of a key: a number that takes up no memory of its own. */
export function idPrefix(id: Uint8Array): number {
  return id[0]! << 22 | id[1]! << 14 | id[2]! << 6 | id[3]! >> 2;
}

/** How many leading bits `a` and `b` share; 256 if they are equal. */
export function sharedBits(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < ID_BYTES; i++) {
    const difference = a[i]! ^ b[i]!;
    if (difference !== 0) return i * 8 + Math.clz32(difference) - 24;
  }
  return ID_BYTES * 8;
}

/** The subnet of addresses that are free of the rule of few nodes per subnet. */
export const NO_SUBNET: number = -1;

/** The IPv4 /24 of `address` as a number; {@linkcode NO_SUBNET} for private and loopback addresses. */
export function subnetOf(address: SocketAddress): number {
  return address.isPrivate ? NO_SUBNET : address.bits >>> 8;
}
