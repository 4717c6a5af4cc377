/**
 * Which addresses cannot be reached over the public internet, from the special-purpose registries of IANA (RFC 6890).
 *
 * The IPv4 lists are those of the reference (npm `bogon` 1.3.0), which decide what nodes tell each other. In particular
 * loopback counts as private, not as reserved. For IPv6 the reference calls everything reserved; here unique local,
 * link-local and loopback addresses are private, as their IPv4 counterparts are.
 */
import { parseIpv4, parseIpv6 } from "./ip.ts";

interface Network {
  readonly bytes: Uint8Array;
  readonly length: number;
}

interface Network4 {
  readonly bits: number;
  readonly length: number;
}

function network4(prefix: string): Network4 {
  const [address, length] = prefix.split("/");
  return { bits: parseIpv4(address!), length: Number(length) };
}

function network6(prefix: string): Network {
  const [address, length] = prefix.split("/");
  return { bytes: parseIpv6(address!)!, length: Number(length) };
}

const PRIVATE_4: readonly Network4[] = [
  "10.0.0.0/8", // private use
  "100.64.0.0/10", // carrier-grade NAT
  "127.0.0.0/8", // loopback
  "169.254.0.0/16", // link-local
  "172.16.0.0/12", // private use
  "192.168.0.0/16", // private use
].map(network4);

const RESERVED_4: readonly Network4[] = [
  "0.0.0.0/8", // this network
  "192.0.0.0/24", // protocol assignments
  "192.0.2.0/24", // documentation
  "198.18.0.0/15", // benchmarks
  "198.51.100.0/24", // documentation
  "203.0.113.0/24", // documentation
  "224.0.0.0/3", // multicast, future use, broadcast
].map(network4);

const PRIVATE_6: readonly Network[] = [
  "::1/128", // loopback
  "fc00::/7", // unique local
  "fe80::/10", // link-local
].map(network6);

const RESERVED_6: readonly Network[] = [
  "::/128", // unspecified
  "100::/64", // discard
  "2001:10::/28", // ORCHID
  "2001:20::/28", // ORCHID version 2
  "2001:db8::/32", // documentation
  "ff00::/8", // multicast
].map(network6);

/** `::/96`, the retired IPv4-compatible addresses, which holds the loopback address too. */
const COMPATIBLE_6: Network = network6("::/96");

function within4(bits: number, networks: readonly Network4[]): boolean {
  return networks.some((network) => (bits ^ network.bits) >>> (32 - network.length) === 0);
}

function within6(bytes: Uint8Array, network: Network): boolean {
  const whole = network.length >>> 3;
  for (let i = 0; i < whole; i++) {
    if (bytes[i] !== network.bytes[i]) return false;
  }
  const rest = network.length & 7;
  return rest === 0 || (bytes[whole]! ^ network.bytes[whole]!) >>> (8 - rest) === 0;
}

/** Whether 32 address bits are for use within a host or a site. */
export function isPrivate4(bits: number): boolean {
  return within4(bits, PRIVATE_4);
}

/** Whether 32 address bits are nobody's. */
export function isReserved4(bits: number): boolean {
  return within4(bits, RESERVED_4);
}

/** Whether 16 address bytes are for use within a host or a site. */
export function isPrivate6(bytes: Uint8Array): boolean {
  return PRIVATE_6.some((network) => within6(bytes, network));
}

/** Whether 16 address bytes are nobody's. */
export function isReserved6(bytes: Uint8Array): boolean {
  if (isPrivate6(bytes)) return false;
  return within6(bytes, COMPATIBLE_6) || RESERVED_6.some((network) => within6(bytes, network));
}

/** Whether 16 address bytes are `::1`. */
export function isLoopback6(bytes: Uint8Array): boolean {
  return within6(bytes, PRIVATE_6[0]!);
}
