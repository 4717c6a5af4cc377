/**
 * Turns the sender's address, which hosts report as text and a number with each datagram, into a `SocketAddress`: the
 * same object again for the same sender, because parsing and allocating costs more than the rest of a receive.
 */
import { SocketAddress } from "../../encoding/address.ts";

/** Senders to remember. A flood from more addresses only makes each look-up as slow as having no cache. */
const MAX_SOURCES = 1024;

/** See the head of the file. */
export class SourceCache {
  readonly #sources = new Map<string, Map<number, SocketAddress>>();
  #size = 0;
  #lastHost = "";
  #last: SocketAddress | undefined;

  /** The address of `host` and `port`, or undefined if `host` is not one. */
  get(host: string, port: number): SocketAddress | undefined {
    const last = this.#last;
    if (last !== undefined && last.port === port && this.#lastHost === host) return last;
    const address = this.#sources.get(host)?.get(port) ?? this.#add(host, port);
    this.#lastHost = host;
    this.#last = address;
    return address;
  }

  #add(host: string, port: number): SocketAddress | undefined {
    let address: SocketAddress;
    try {
      address = SocketAddress.of(host, port);
    } catch {
      return undefined;
    }
    if (this.#size === MAX_SOURCES) {
      this.#sources.clear();
      this.#size = 0;
    }
    const ports = this.#sources.get(host);
    if (ports === undefined) this.#sources.set(host, new Map([[port, address]]));
    else ports.set(port, address);
    this.#size++;
    return address;
  }
}
