/** The forms in which people and programs pass public keys around. */
import type { SocketAddress } from "./address.ts";
import { ipv4Address } from "./address_codecs.ts";
import { fixed32 } from "./buffers.ts";
import type { Codec, Cursor } from "./codec.ts";
import { array } from "./lists.ts";
import { fromHex, fromZbase32, toZbase32 } from "./text.ts";
import { uint } from "./varint.ts";

const KEY_SIZE = 32;
const LINK = "pear://";

/**
 * The 32 bytes of a key that is given as bytes (returned as they are), as 64 hexadecimal digits, as 52 characters of
 * z-base-32, or as a link `pear://<either>/any/path`.
 *
 * @throws {TypeError} if `key` is none of these.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { formatKey, parseKey } from "./keys.ts";
 *
 * const key = parseKey("cd".repeat(32));
 * assert.deepEqual(parseKey(formatKey(key)), key);
 * assert.deepEqual(parseKey(`pear://${formatKey(key)}/room`), key);
 * ```
 */
export function parseKey(key: Uint8Array | string): Uint8Array {
  if (key instanceof Uint8Array) {
    if (key.length !== KEY_SIZE) {
      throw new TypeError(`Expected a key of ${KEY_SIZE} bytes, got ${key.length}`);
    }
    return key;
  }
  if (typeof key !== "string") {
    throw new TypeError(`Expected a key, got ${key === null ? "null" : typeof key}`);
  }
  const text = key.startsWith(LINK) ? key.slice(LINK.length).split("/", 1)[0]! : key;
  if (text.length === 52) return fromZbase32(text);
  if (text.length === 64) return fromHex(text);
  throw new TypeError(
    `Expected a key of 52 characters of z-base-32 or 64 of hex, got ${text.length} characters`,
  );
}

/**
 * A key of 32 bytes in z-base-32, the form that the stack shows to people.
 *
 * @throws {TypeError} if there are not 32 bytes.
 */
export function formatKey(key: Uint8Array): string {
  return toZbase32(parseKey(key));
}

/** A public key and perhaps nodes of the DHT that know the way to it. */
export interface DhtAddress {
  /** The public key, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Nodes that relay to it; undefined if the address says nothing about them. */
  readonly nodes?: readonly SocketAddress[] | undefined;
}

const nodeList: Codec<SocketAddress[], readonly SocketAddress[]> = array(ipv4Address);

/** The flag that says that nodes follow. */
const HAS_NODES = 1;

/**
 * A {@linkcode DhtAddress}: the key, `uint` flags, and the nodes (IPv4) if flag 1 is set. A bare key is a valid address
 * too. Other flags are ignored, and so is what follows.
 */
export const dhtAddress: Codec<DhtAddress> = {
  size({ publicKey, nodes }: DhtAddress): number {
    return fixed32.size(publicKey) + 1 + (nodes === undefined ? 0 : nodeList.size(nodes));
  },
  encode(cursor: Cursor, { publicKey, nodes }: DhtAddress): void {
    fixed32.encode(cursor, publicKey);
    uint.encode(cursor, nodes === undefined ? 0 : HAS_NODES);
    if (nodes !== undefined) nodeList.encode(cursor, nodes);
  },
  decode(cursor: Cursor): DhtAddress {
    const publicKey = fixed32.decode(cursor);
    const flags = cursor.remaining === 0 ? 0 : uint.decode(cursor);
    // A remainder works for any uint, a bitwise operator only below 2^32.
    return { publicKey, nodes: flags % 2 === HAS_NODES ? nodeList.decode(cursor) : undefined };
  },
};
