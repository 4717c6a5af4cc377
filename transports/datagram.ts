/**
 * Unreliable datagrams: the interface to UDP, to a simulated network, to a batched kernel path.
 */
import type { SocketAddress } from "../encoding/address.ts";
import type { NetworkInterface } from "./interfaces.ts";

/** What a socket calls when datagrams come. */
export interface DatagramReceiver {
  /**
   * A datagram from `from`. `datagram` is lent until return: copy it to keep it. It is a plain `Uint8Array` (no Node
   * `Buffer`, whose `slice` does not copy), and the receiver may overwrite it: streams are decrypted in place.
   */
  onDatagram(datagram: Uint8Array, from: SocketAddress): void;
  /** The socket stopped working on its own, for example because its interface went away. It is closed. */
  onError?(error: Error): void;
}

/** Where and how to bind. */
export interface BindOptions {
  /** The local address as text; `0.0.0.0` by default, `::` for both families where the platform can. */
  readonly host?: string;
  /** The local port; 0, the default, lets the system choose. */
  readonly port?: number;
  /** Lets several sockets bind the same port, as multicast needs. */
  readonly reuseAddress?: boolean;
  /** Keeps a socket bound to `::` from taking IPv4 as well. */
  readonly ipv6Only?: boolean;
  /** Kernel buffer sizes in bytes. A wish: what cannot be set is left as it is. */
  readonly receiveBufferBytes?: number;
  /** As {@linkcode receiveBufferBytes}, for sending. */
  readonly sendBufferBytes?: number;
}

/** One bound socket. */
export interface DatagramSocket extends AsyncDisposable {
  /** The address it is bound to, with the real port. */
  readonly address: SocketAddress;
  /** Whether {@linkcode send} honours `ttl`. */
  readonly canSetTtl: boolean;
  /**
   * Sends a datagram, with `ttl` hops to live if given. False = dropped here; it never throws for the network. The bytes
   * must stay as they are until the end of the turn.
   */
  send(datagram: Uint8Array, to: SocketAddress, ttl?: number): boolean;
  /**
   * Sends the first `count` datagrams of `batch` to one address; for sockets that have a cheaper way than one by one.
   *
   * @returns how many were taken, from the front.
   */
  sendBatch?(batch: readonly Uint8Array[], count: number, to: SocketAddress): number;
  /** Joins an IPv4 or IPv6 multicast group, on the interface with that local address if given. */
  joinMulticast?(group: string, interfaceAddress?: string): void;
  /** Hops that multicast datagrams live, and whether this host hears its own. */
  setMulticast?(
    options: { readonly ttl?: number; readonly loopback?: boolean; readonly interfaceAddress?: string },
  ): void;
  /** Closes the socket; nothing is received afterwards. Harmless when closed. */
  close(): Promise<void>;
}

/** A place where sockets can be bound: the host's UDP, or one host of a simulated network. */
export interface DatagramNetwork {
  /** The largest datagram payload that may be tried, in bytes, for path MTU discovery; 1472 for plain Ethernet IPv4. */
  readonly maxDatagramBytes: number;
  /**
   * The addresses of this host that others may reach it at, without loopback unless there is nothing else. Absent or
   * empty where the program may not know.
   */
  localHosts?(): readonly string[];
  /** The addresses of this host and which interface has each. Absent or empty where the program may not know. */
  interfaces?(): readonly NetworkInterface[];
  /**
   * Binds a socket.
   *
   * @throws {ConnectError} `ADDRESS_IN_USE` or `ADDRESS_UNUSABLE`.
   */
  bind(options: BindOptions, receiver: DatagramReceiver): Promise<DatagramSocket>;
}
