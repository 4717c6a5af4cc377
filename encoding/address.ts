/** Where a datagram comes from or goes to. One is made for each datagram, so it does no work before it is asked to. */
import { equals } from "./bytes.ts";
import { formatIpv4, formatIpv6, isMapped, parseIpv4, parseIpv6 } from "./ip.ts";
import { isLoopback6, isPrivate4, isPrivate6, isReserved4, isReserved6 } from "./networks.ts";

/**
 * An IP address and a port; immutable. An IPv4 address is one number, its text is made on first use.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { SocketAddress } from "./address.ts";
 *
 * const address = SocketAddress.parse("192.168.1.2:49737");
 * assert.equal(address.host, "192.168.1.2");
 * assert.equal(address.isPrivate, true);
 * assert.equal(SocketAddress.of("::ffff:10.0.0.1", 80).toString(), "10.0.0.1:80");
 * ```
 */
export class SocketAddress {
  /** The port, 0 to 65535. */
  readonly port: number;
  /** IPv4: the address as a signed integer, because V8 stores only those without a box. */
  readonly #bits: number;
  /** IPv6: the 16 bytes. */
  readonly #bytes: Uint8Array | undefined;
  #host: string | undefined;

  private constructor(bits: number, bytes: Uint8Array | undefined, port: number, host: string | undefined) {
    if ((port & 0xffff) !== port) throw new RangeError(`Expected a port from 0 to 65535, got ${port}`);
    this.port = port;
    this.#bits = bits;
    this.#bytes = bytes;
    this.#host = host;
  }

  /**
   * The IPv4 address whose 32 bits are `bits`, most significant first: 0x7f000001 is 127.0.0.1.
   *
   * @throws {RangeError} if `bits` is no 32-bit integer or `port` no 16-bit one.
   */
  static v4(bits: number, port: number): SocketAddress {
    if ((bits | 0) !== bits && bits >>> 0 !== bits) throw new RangeError(`Expected 32 bits, got ${bits}`);
    return new SocketAddress(bits | 0, undefined, port, undefined);
  }

  /**
   * The IPv6 address whose 16 bytes are `bytes`, which are copied. A mapped IPv4 address becomes an IPv4 address.
   *
   * @throws {RangeError} if there are not 16 bytes or `port` is no 16-bit integer.
   */
  static v6(bytes: Uint8Array, port: number): SocketAddress {
    if (bytes.length !== 16) throw new RangeError(`Expected 16 bytes, got ${bytes.length}`);
    return SocketAddress.#fromBytes(bytes.slice(), port, "");
  }

  /**
   * The address written as `host`: dotted IPv4, or IPv6 without brackets and perhaps with a zone (`fe80::1%eth0`). A
   * mapped IPv4 address (`::ffff:1.2.3.4`) becomes an IPv4 address. Names are not resolved.
   *
   * @throws {TypeError} if `host` is not an IP address.
   * @throws {RangeError} if `port` is not an integer from 0 to 65535.
   */
  static of(host: string, port: number): SocketAddress {
    if (typeof host !== "string") throw notAnAddress(host);
    const bits = parseIpv4(host);
    if (bits >= 0) return new SocketAddress(bits | 0, undefined, port, host);
    const percent = host.indexOf("%");
    const bytes = parseIpv6(percent < 0 ? host : host.slice(0, percent));
    const zone = percent < 0 ? "" : host.slice(percent);
    if (bytes === undefined || zone === "%") throw notAnAddress(host);
    return SocketAddress.#fromBytes(bytes, port, zone);
  }

  /**
   * The reverse of {@linkcode toString}: `1.2.3.4:80` or `[::1]:80`.
   *
   * @throws {TypeError} if `text` is not an IP address and a port.
   */
  static parse(text: string): SocketAddress {
    const colon = text.lastIndexOf(":");
    const digits = text.slice(colon + 1);
    const port = Number(digits);
    if (!/^\d{1,5}$/.test(digits) || port > 65535) throw notAnAddress(text);
    const host = text.slice(0, Math.max(colon, 0));
    const isBracketed = host.startsWith("[") && host.endsWith("]");
    if (isBracketed !== host.includes(":")) throw notAnAddress(text);
    return SocketAddress.of(isBracketed ? host.slice(1, -1) : host, port);
  }

  /** Takes ownership of `bytes`; `zone` is empty or begins with `%`. */
  static #fromBytes(bytes: Uint8Array, port: number, zone: string): SocketAddress {
    if (isMapped(bytes)) {
      const bits = bytes[12]! << 24 | bytes[13]! << 16 | bytes[14]! << 8 | bytes[15]!;
      return new SocketAddress(bits, undefined, port, undefined);
    }
    return new SocketAddress(0, bytes, port, zone === "" ? undefined : formatIpv6(bytes) + zone);
  }

  /** The version of IP: 4 or 6. */
  get family(): 4 | 6 {
    return this.#bytes === undefined ? 4 : 6;
  }

  /** The address without the port, in its canonical form: dotted, or as RFC 5952 says, with the zone if there is one. */
  get host(): string {
    return this.#host ??= this.#bytes === undefined ? formatIpv4(this.#bits) : formatIpv6(this.#bytes);
  }

  /**
   * The 32 bits of an IPv4 address, most significant first.
   *
   * @throws {TypeError} if this is an IPv6 address.
   */
  get bits(): number {
    if (this.#bytes !== undefined) throw new TypeError(`Expected an IPv4 address, got ${this.host}`);
    return this.#bits >>> 0;
  }

  /** The bytes of the address, 4 or 16, as a new array. */
  get bytes(): Uint8Array {
    if (this.#bytes !== undefined) return this.#bytes.slice();
    const bits = this.#bits;
    return new Uint8Array([bits >>> 24, bits >>> 16, bits >>> 8, bits]);
  }

  /** A value that is the same for equal addresses, and only for them: what to use as the key of a `Map`. */
  get key(): number | string {
    return this.#bytes === undefined ? (this.#bits >>> 0) * 65536 + this.port : this.toString();
  }

  /** Whether this address cannot leave its host: 127.0.0.0/8, ::1. Such addresses are private too. */
  get isLoopback(): boolean {
    return this.#bytes === undefined ? this.#bits >>> 24 === 127 : isLoopback6(this.#bytes);
  }

  /** Whether this address is for use within a host or a site, such as 10.0.0.0/8 or fc00::/7. */
  get isPrivate(): boolean {
    return this.#bytes === undefined ? isPrivate4(this.#bits) : isPrivate6(this.#bytes);
  }

  /** Whether nobody can have this address: documentation, multicast, future use and the like. */
  get isReserved(): boolean {
    return this.#bytes === undefined ? isReserved4(this.#bits) : isReserved6(this.#bytes);
  }

  /** Whether `other` has the same address, zone and port. */
  equals(other: SocketAddress): boolean {
    if (this.port !== other.port || this.family !== other.family) return false;
    if (this.#bytes === undefined || other.#bytes === undefined) return this.#bits === other.#bits;
    return equals(this.#bytes, other.#bytes) && this.host === other.host;
  }

  /** `1.2.3.4:80` or `[::1]:80`. */
  toString(): string {
    return this.family === 4 ? `${this.host}:${this.port}` : `[${this.host}]:${this.port}`;
  }
}

function notAnAddress(value: unknown): TypeError {
  return new TypeError(
    `Expected an IP address, got ${JSON.stringify(value)}; host names must be resolved first`,
  );
}
