/**
 * Tickets: a public key and addresses to try, as one short string that survives being copied by hand.
 *
 * The string is z-base-32 of: version (1), the key (32 bytes), a count and that many addresses, and 4 bytes of BLAKE2b over
 * all before. A bare key, in z-base-32 or hex, is a ticket without addresses.
 */
import type { CryptoProvider } from "../core/runtime/crypto_provider.ts";
import {
  array,
  type Codec,
  type Cursor,
  decodeExact,
  encode,
  equals,
  fixed32,
  fromZbase32,
  ipAddress,
  parseKey,
  SocketAddress,
  string,
  toZbase32,
  uint,
} from "../encoding/mod.ts";
import type { PeerRecord } from "../transports/transport.ts";

const VERSION = 1;
const CHECKSUM_BYTES = 4;
/** Schemes that need only one byte; a scheme that is not listed is written out, with number 0. */
const SCHEMES = [undefined, "udx", "tcp"] as const;

/** `udx:1.2.3.4:5` as a scheme's number, an IP address and a port; anything else as text. */
const address: Codec<string> = {
  size(value: string): number {
    const known = splitKnown(value);
    return known === undefined
      ? uint.size(0) + string.size(value)
      : uint.size(known.scheme) + ipAddress.size(known.socketAddress);
  },
  encode(cursor: Cursor, value: string): void {
    const known = splitKnown(value);
    uint.encode(cursor, known?.scheme ?? 0);
    if (known === undefined) string.encode(cursor, value);
    else ipAddress.encode(cursor, known.socketAddress);
  },
  decode(cursor: Cursor): string {
    const number = uint.decode(cursor);
    const scheme = SCHEMES[number];
    if (number === 0) return string.decode(cursor);
    // A scheme of a later version: what it looks like is the same, only nobody here can dial it.
    return `${scheme ?? `scheme${number}`}:${ipAddress.decode(cursor)}`;
  },
};

const body: Codec<PeerRecord> = {
  size: ({ addresses }) => 1 + 32 + array(address).size(addresses),
  encode(cursor: Cursor, { publicKey, addresses }: PeerRecord): void {
    uint.encode(cursor, VERSION);
    fixed32.encode(cursor, publicKey);
    array(address).encode(cursor, addresses);
  },
  decode(cursor: Cursor): PeerRecord {
    const version = uint.decode(cursor);
    if (version !== VERSION) throw new TypeError(`The ticket has version ${version}: a newer hypha made it`);
    return { publicKey: fixed32.decode(cursor).slice(), addresses: array(address).decode(cursor) };
  },
};

function splitKnown(value: string): { scheme: number; socketAddress: SocketAddress } | undefined {
  const colon = value.indexOf(":");
  const scheme = SCHEMES.indexOf(value.slice(0, colon) as "udx");
  if (colon === -1 || scheme <= 0) return undefined;
  try {
    return { scheme, socketAddress: SocketAddress.parse(value.slice(colon + 1)) };
  } catch {
    return undefined;
  }
}

function checksum(crypto: CryptoProvider, bytes: Uint8Array): Uint8Array {
  const hash = new Uint8Array(32);
  crypto.hash(hash, [bytes]);
  return hash.subarray(0, CHECKSUM_BYTES);
}

/** Writes a ticket. */
export function formatTicket(crypto: CryptoProvider, peer: PeerRecord): string {
  const bytes = encode(body, peer);
  return toZbase32(new Uint8Array([...bytes, ...checksum(crypto, bytes)]));
}

/**
 * Reads a ticket, or a bare public key.
 *
 * @throws {TypeError} that says what is wrong with it.
 */
export function parseTicket(crypto: CryptoProvider, text: string): PeerRecord {
  const trimmed = text.trim();
  if (trimmed.length === 52 || trimmed.length === 64) return { publicKey: parseKey(trimmed), addresses: [] };
  let bytes: Uint8Array;
  try {
    bytes = fromZbase32(trimmed);
  } catch (cause) {
    throw new TypeError("This is no ticket: a ticket has only the letters and digits of z-base-32", {
      cause,
    });
  }
  const end = Math.max(bytes.length - CHECKSUM_BYTES, 0);
  if (!equals(bytes.subarray(end), checksum(crypto, bytes.subarray(0, end)))) {
    throw new TypeError("The ticket is damaged: a character is wrong, or a part is missing");
  }
  return decodeExact(body, bytes.subarray(0, end));
}
