/** How people and programs write down a peer of HyperDHT: its public key, with or without nodes that relay to it. */
import { decode, DecodeError, encode } from "../encoding/codec.ts";
import { dhtAddress, formatKey, parseKey } from "../encoding/keys.ts";
import { fromHex, fromZbase32, toZbase32 } from "../encoding/text.ts";
import { MAX_CACHED_RELAYS } from "./constants.ts";
import type { PeerRecord } from "./messages.ts";

/** The scheme of addresses of HyperDHT. */
export const DHT_SCHEME = "dht";

/** What names a peer: its key or the bytes of a `dhtAddress`, either of them as text too, or its record. */
export type DhtAddressLike = Uint8Array | string | PeerRecord;

/**
 * Reads any form of an address: bytes, hexadecimal, z-base-32, with or without `dht:` in front, and links `pear://<key>/any/path`.
 * At most 8 relays are kept.
 *
 * @throws {TypeError} if it is none.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { SocketAddress } from "../encoding/address.ts";
 * import { formatDhtAddress, parseDhtAddress } from "./address.ts";
 *
 * const publicKey = new Uint8Array(32).fill(7);
 * const relayAddresses = [SocketAddress.parse("11.0.0.1:49737")];
 * const text = formatDhtAddress({ publicKey, relayAddresses });
 * assert.match(text, /^dht:[a-z0-9]+$/);
 * assert.deepEqual(parseDhtAddress(text).publicKey, publicKey);
 * assert.equal(parseDhtAddress(text).relayAddresses[0]?.port, 49737);
 * assert.deepEqual(parseDhtAddress("07".repeat(32)).publicKey, publicKey);
 * ```
 */
export function parseDhtAddress(value: DhtAddressLike): PeerRecord {
  if (typeof value !== "string" && !(value instanceof Uint8Array)) {
    return { publicKey: parseKey(value.publicKey), relayAddresses: value.relayAddresses };
  }
  try {
    const { publicKey, nodes = [] } = decode(dhtAddress, typeof value === "string" ? bytesOf(value) : value);
    return { publicKey, relayAddresses: nodes.slice(0, MAX_CACHED_RELAYS) };
  } catch (cause) {
    if (!(cause instanceof DecodeError || cause instanceof TypeError)) throw cause;
    const what = typeof value === "string" ? value.slice(0, 200) : `${value.length} bytes`;
    throw new TypeError(`Cannot read ${what} as a peer: expected a public key, with relays or without`, {
      cause,
    });
  }
}

/** The reverse of {@linkcode parseDhtAddress}, as `dht:` and z-base-32: 56 characters without relays. */
export function formatDhtAddress({ publicKey, relayAddresses }: PeerRecord): string {
  const text = relayAddresses.length === 0
    ? formatKey(publicKey)
    : toZbase32(encode(dhtAddress, { publicKey, nodes: relayAddresses }));
  return `${DHT_SCHEME}:${text}`;
}

function bytesOf(text: string): Uint8Array {
  const body = text.startsWith(`${DHT_SCHEME}:`) ? text.slice(DHT_SCHEME.length + 1) : text;
  if (body.length === 52 || body.startsWith("pear:")) return parseKey(body);
  // That an address with relays looks like hexadecimal in z-base-32 has a chance of 2^-76.
  return /^[0-9a-f]+$/i.test(body) ? fromHex(body) : fromZbase32(body);
}
