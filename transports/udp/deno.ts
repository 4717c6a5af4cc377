/**
 * UDP through `Deno.listenDatagram`: about 2.5 times as fast as `node:dgram` in Deno. It needs `--unstable-net`, so it is
 * used where the program already runs with that flag; it can set no TTL and no buffer size.
 */
import { SocketAddress } from "../../encoding/address.ts";
import { ConnectError } from "../../core/runtime/errors.ts";
import type { BindOptions, DatagramNetwork, DatagramReceiver, DatagramSocket } from "../datagram.ts";
import { bindError } from "./bind_error.ts";
import { localHosts, type NetworkInterface, networkInterfaces } from "../interfaces.ts";
import { DEFAULT_TTL, OrderedSender, type RawSender } from "./ordered_sender.ts";
import { SourceCache } from "./source_cache.ts";

/** The payload that fits a 1500-byte Ethernet frame behind the IPv4 and UDP headers. */
const MAX_DATAGRAM_BYTES = 1472;
/** What is read at most; a datagram that fills it may have been cut and is dropped. As long as the reference's. */
const RECEIVE_BYTES = 2048;
/** Failures to receive, one after the other, after which the socket counts as broken. */
const MAX_FAILURES = 16;

interface NetAddr {
  readonly transport: "udp";
  readonly hostname: string;
  readonly port: number;
}

/** The part of `Deno.DatagramConn` in use; the type itself is visible only with the unstable flag. */
interface DatagramConn {
  readonly addr: NetAddr;
  receive(buffer: Uint8Array): Promise<[Uint8Array, NetAddr]>;
  send(datagram: Uint8Array, to: NetAddr): Promise<number>;
  close(): void;
}

type ListenDatagram = (options: {
  readonly transport: "udp";
  readonly hostname: string;
  readonly port: number;
  readonly reuseAddress: boolean;
}) => DatagramConn;

function listenDatagram(): ListenDatagram | undefined {
  const deno = (globalThis as { Deno?: { listenDatagram?: ListenDatagram } }).Deno;
  return deno?.listenDatagram;
}

/** Whether the program runs in Deno with `--unstable-net`. Asks for no permission. */
export function hasListenDatagram(): boolean {
  return listenDatagram() !== undefined;
}

class DenoSender implements RawSender {
  readonly #connection: DatagramConn;
  readonly #isIpv6: boolean;
  #lastTo: SocketAddress | undefined;
  #lastAddr: NetAddr | undefined;

  constructor(connection: DatagramConn, isIpv6: boolean) {
    this.#connection = connection;
    this.#isIpv6 = isIpv6;
  }

  send(datagram: Uint8Array, to: SocketAddress, onSent: () => void): void {
    if (this.#lastTo !== to || this.#lastAddr === undefined) {
      const hostname = this.#isIpv6 && to.family === 4 ? `::ffff:${to.host}` : to.host;
      this.#lastAddr = { transport: "udp", hostname, port: to.port };
      this.#lastTo = to;
    }
    this.#connection.send(datagram, this.#lastAddr).then(onSent, onSent);
  }

  setTtl(): void {}
}

class DenoDatagramSocket implements DatagramSocket {
  readonly address: SocketAddress;
  readonly canSetTtl = false;
  readonly #connection: DatagramConn;
  readonly #receiver: DatagramReceiver;
  readonly #sources = new SourceCache();
  readonly #sender: OrderedSender;
  readonly #received: Promise<void>;
  #closing: Promise<void> | undefined;

  constructor(connection: DatagramConn, receiver: DatagramReceiver) {
    this.address = SocketAddress.of(connection.addr.hostname, connection.addr.port);
    this.#connection = connection;
    this.#receiver = receiver;
    this.#sender = new OrderedSender(new DenoSender(connection, this.address.family === 6));
    this.#received = this.#receive();
  }

  send(datagram: Uint8Array, to: SocketAddress): boolean {
    if (to.port === 0 || (to.family === 6 && this.address.family === 4)) return false;
    return this.#sender.send(datagram, to, DEFAULT_TTL);
  }

  close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      this.#sender.close(() => {
        this.#connection.close();
        resolve(this.#received);
      });
    });
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #receive(): Promise<void> {
    const buffer = new Uint8Array(RECEIVE_BYTES);
    let failures = 0;
    while (true) {
      let datagram: Uint8Array;
      let from: NetAddr;
      try {
        [datagram, from] = await this.#connection.receive(buffer);
        failures = 0;
      } catch (error) {
        if (this.#closing !== undefined) return;
        // A single failure belongs to one datagram, such as the "port unreachable" that Windows reports here.
        if (++failures < MAX_FAILURES) continue;
        void this.close();
        this.#receiver.onError?.(
          new ConnectError("SOCKET_CLOSED", `The socket ${this.address} failed`, { cause: error }),
        );
        return;
      }
      if (this.#closing !== undefined) return;
      const source = this.#sources.get(from.hostname, from.port);
      if (source !== undefined && datagram.length < RECEIVE_BYTES) {
        this.#receiver.onDatagram(datagram, source);
      }
    }
  }
}

/**
 * The UDP of the host, through `Deno.listenDatagram`; only where {@linkcode hasListenDatagram} says so.
 */
export class DenoUdpNetwork implements DatagramNetwork {
  /** What it is built on. */
  readonly name = "Deno.listenDatagram";
  /** Whether sockets bound to IPv4 honour the TTL of a send. */
  readonly canSetTtl = false;
  /** Whether sockets can join multicast groups. */
  readonly canJoinMulticast = false;
  /** See {@linkcode DatagramNetwork.maxDatagramBytes}. */
  readonly maxDatagramBytes: number = MAX_DATAGRAM_BYTES;

  /** See {@linkcode DatagramNetwork.localHosts}. */
  localHosts(): readonly string[] {
    return localHosts();
  }

  /** See {@linkcode DatagramNetwork.interfaces}. */
  interfaces(): readonly NetworkInterface[] {
    return networkInterfaces();
  }

  /** See {@linkcode DatagramNetwork.bind}. Sockets on `::` take IPv4 as well; without, bind to an IPv4 address. */
  bind(options: BindOptions, receiver: DatagramReceiver): Promise<DatagramSocket> {
    const local = SocketAddress.of(options.host ?? "0.0.0.0", options.port ?? 0);
    if (options.ipv6Only === true) {
      const message = "Deno.listenDatagram cannot bind IPv6 alone: use NodeUdpNetwork";
      return Promise.reject(new ConnectError("ADDRESS_UNUSABLE", message));
    }
    try {
      const listen = listenDatagram();
      if (listen === undefined) {
        throw new TypeError("Deno.listenDatagram is missing: run with --unstable-net, or use NodeUdpNetwork");
      }
      const connection = listen({
        transport: "udp",
        hostname: local.host,
        port: local.port,
        reuseAddress: options.reuseAddress ?? false,
      });
      return Promise.resolve(new DenoDatagramSocket(connection, receiver));
    } catch (error) {
      return Promise.reject(error instanceof TypeError ? error : bindError(local, error));
    }
  }
}
