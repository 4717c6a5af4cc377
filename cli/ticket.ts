/**
 * Tickets: a public key and addresses to try, as one short string that survives being copied by hand.
 *
 * The string is z-base-32 of: version (1), the key (32 bytes), a count and that many places, and 4 bytes of BLAKE2b over all
 * before. A place is a set of schemes, as bits, with one IP address and port; or no scheme, and an address as text. A bare
 * key, in z-base-32 or hex, is a ticket without addresses.
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
/** The schemes that go into the set, by bit. */
const SCHEMES = ["udx", "tcp"] as const;

/** Addresses that share an IP address and a port; or, with an empty set of schemes, one that has none. */
type Place =
  | { readonly schemes: number; readonly socketAddress: SocketAddress }
  | { readonly schemes: 0; readonly text: string };

const place: Codec<Place> = {
  size(value: Place): number {
    const body = "text" in value ? string.size(value.text) : ipAddress.size(value.socketAddress);
    return uint.size(value.schemes) + body;
  },
  encode(cursor: Cursor, value: Place): void {
    uint.encode(cursor, value.schemes);
    if ("text" in value) string.encode(cursor, value.text);
    else ipAddress.encode(cursor, value.socketAddress);
  },
  decode(cursor: Cursor): Place {
    const schemes = uint.decode(cursor);
    if (schemes === 0) return { schemes, text: string.decode(cursor) };
    return { schemes, socketAddress: ipAddress.decode(cursor) };
  },
};

/** `udx:1.2.3.4:5` and `tcp:1.2.3.4:5` become one place. */
function toPlaces(addresses: readonly string[]): Place[] {
  const places: Place[] = [];
  const known = new Map<string, { schemes: number; socketAddress: SocketAddress }>();
  for (const address of addresses) {
    const scheme = SCHEMES.findIndex((name) => address.startsWith(`${name}:`));
    const rest = address.slice(address.indexOf(":") + 1);
    const socketAddress = scheme === -1 ? undefined : parseSocketAddress(rest);
    if (socketAddress === undefined) {
      places.push({ schemes: 0, text: address });
      continue;
    }
    let shared = known.get(rest);
    if (shared === undefined) {
      shared = { schemes: 0, socketAddress };
      known.set(rest, shared);
      places.push(shared);
    }
    shared.schemes |= 1 << scheme;
  }
  return places;
}

/** The addresses of all places: those of the first scheme first, because it is the one to be tried first. */
function toAddresses(places: readonly Place[]): string[] {
  const texts = places.flatMap((value) => "text" in value ? [value.text] : []);
  const known = SCHEMES.flatMap((scheme, bit) =>
    places.flatMap((value) =>
      "text" in value || (value.schemes & (1 << bit)) === 0 ? [] : [`${scheme}:${value.socketAddress}`]
    )
  );
  return [...known, ...texts];
}

function parseSocketAddress(text: string): SocketAddress | undefined {
  try {
    return SocketAddress.parse(text);
  } catch {
    return undefined;
  }
}

const body: Codec<PeerRecord> = {
  size: ({ addresses }) => 1 + 32 + array(place).size(toPlaces(addresses)),
  encode(cursor: Cursor, { publicKey, addresses }: PeerRecord): void {
    uint.encode(cursor, VERSION);
    fixed32.encode(cursor, publicKey);
    array(place).encode(cursor, toPlaces(addresses));
  },
  decode(cursor: Cursor): PeerRecord {
    const version = uint.decode(cursor);
    if (version !== VERSION) throw new TypeError(`The ticket has version ${version}: a newer hypha made it`);
    return { publicKey: fixed32.decode(cursor).slice(), addresses: toAddresses(array(place).decode(cursor)) };
  },
};

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
