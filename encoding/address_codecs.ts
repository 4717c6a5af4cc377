/** Addresses on the wire: host bytes in network order, then the port in LITTLE-endian order, unlike in a sockaddr. */
import { SocketAddress } from "./address.ts";
import { type Codec, type Cursor, DecodeError } from "./codec.ts";
import { uint16 } from "./fixed.ts";
import { formatIpv4, formatIpv6, parseIpv4, parseIpv6 } from "./ip.ts";

/** A port: two bytes, little-endian. */
export const port: Codec<number> = uint16;

function writeIpv4(buffer: Uint8Array, at: number, bits: number): void {
  buffer[at] = bits >>> 24;
  buffer[at + 1] = bits >>> 16;
  buffer[at + 2] = bits >>> 8;
  buffer[at + 3] = bits;
}

function readIpv4(buffer: Uint8Array, at: number): number {
  return buffer[at]! << 24 | buffer[at + 1]! << 16 | buffer[at + 2]! << 8 | buffer[at + 3]!;
}

/** A dotted IPv4 address: four bytes. */
export const ipv4: Codec<string> = {
  size: () => 4,
  encode(cursor: Cursor, host: string): void {
    const bits = parseIpv4(host);
    if (bits < 0) throw new TypeError(`Expected an IPv4 address, got ${JSON.stringify(host)}`);
    writeIpv4(cursor.buffer, cursor.reserve(4), bits);
  },
  decode(cursor: Cursor): string {
    return formatIpv4(readIpv4(cursor.buffer, cursor.take(4)));
  },
};

/** An IPv6 address without a zone: sixteen bytes. Read in the form of RFC 5952. */
export const ipv6: Codec<string> = {
  size: () => 16,
  encode(cursor: Cursor, host: string): void {
    const bytes = parseIpv6(host);
    if (bytes === undefined) throw new TypeError(`Expected an IPv6 address, got ${JSON.stringify(host)}`);
    cursor.buffer.set(bytes, cursor.reserve(16));
  },
  decode(cursor: Cursor): string {
    const at = cursor.take(16);
    return formatIpv6(cursor.buffer.subarray(at, at + 16));
  },
};

/** Reads the byte that tells IPv4 from IPv6. */
function decodeFamily(cursor: Cursor): 4 | 6 {
  const at = cursor.take(1);
  const family = cursor.buffer[at]!;
  if (family !== 4 && family !== 6) throw new DecodeError(`Expected IP version 4 or 6, found ${family}`, at);
  return family;
}

/** An IP address: the byte 4 or 6, then {@linkcode ipv4} or {@linkcode ipv6}. */
export const ip: Codec<string> = {
  size: (host: string): number => host.includes(":") ? 17 : 5,
  encode(cursor: Cursor, host: string): void {
    const isV6 = host.includes(":");
    cursor.buffer[cursor.reserve(1)] = isV6 ? 6 : 4;
    (isV6 ? ipv6 : ipv4).encode(cursor, host);
  },
  decode: (cursor: Cursor): string => (decodeFamily(cursor) === 4 ? ipv4 : ipv6).decode(cursor),
};

/** An IPv4 address and a port: six bytes. */
export const ipv4Address: Codec<SocketAddress> = {
  size: () => 6,
  encode(cursor: Cursor, address: SocketAddress): void {
    const { bits, port } = address;
    const at = cursor.reserve(6);
    const { buffer } = cursor;
    writeIpv4(buffer, at, bits);
    buffer[at + 4] = port;
    buffer[at + 5] = port >>> 8;
  },
  decode(cursor: Cursor): SocketAddress {
    const at = cursor.take(6);
    const { buffer } = cursor;
    return SocketAddress.v4(readIpv4(buffer, at), buffer[at + 4]! | buffer[at + 5]! << 8);
  },
};

/**
 * An IPv6 address and a port: eighteen bytes. An IPv4 address is written in its mapped form (`::ffff:a.b.c.d`), and that
 * form is read as the IPv4 address. A zone stays behind: it means nothing to another host.
 */
export const ipv6Address: Codec<SocketAddress> = {
  size: () => 18,
  encode(cursor: Cursor, address: SocketAddress): void {
    const at = cursor.reserve(16);
    const { buffer } = cursor;
    if (address.family === 4) {
      buffer.fill(0, at, at + 10).fill(0xff, at + 10, at + 12);
      writeIpv4(buffer, at + 12, address.bits);
    } else {
      buffer.set(address.bytes, at);
    }
    uint16.encode(cursor, address.port);
  },
  decode(cursor: Cursor): SocketAddress {
    const at = cursor.take(16);
    return SocketAddress.v6(cursor.buffer.subarray(at, at + 16), uint16.decode(cursor));
  },
};

/** The byte 4 or 6, then {@linkcode ipv4Address} or {@linkcode ipv6Address}. */
export const ipAddress: Codec<SocketAddress> = {
  size: (address: SocketAddress): number => address.family === 4 ? 7 : 19,
  encode(cursor: Cursor, address: SocketAddress): void {
    cursor.buffer[cursor.reserve(1)] = address.family;
    (address.family === 4 ? ipv4Address : ipv6Address).encode(cursor, address);
  },
  decode: (cursor: Cursor): SocketAddress =>
    (decodeFamily(cursor) === 4 ? ipv4Address : ipv6Address).decode(cursor),
};
