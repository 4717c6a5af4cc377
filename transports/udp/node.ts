/**
 * UDP through `node:dgram`, for Node and for Deno, where it needs no more than `--allow-net`.
 */
import { createSocket, type Socket } from "node:dgram";
// For its effect alone: Deno 2.9 works off `process.nextTick`, by which a socket says that it is closed, only once
// `node:process` or a look-up of names has been in use.
import "node:process";
import { SocketAddress } from "../../encoding/address.ts";
import { ConnectError } from "../../core/runtime/errors.ts";
import type { BindOptions, DatagramNetwork, DatagramReceiver, DatagramSocket } from "../datagram.ts";
import { bindError } from "./bind_error.ts";
import { localHosts, type NetworkInterface, networkInterfaces } from "../interfaces.ts";
import { DEFAULT_TTL, OrderedSender, type RawSender } from "./ordered_sender.ts";
import { SourceCache } from "./source_cache.ts";

/** The payload that fits a 1500-byte Ethernet frame behind the IPv4 and UDP headers. */
const MAX_DATAGRAM_BYTES = 1472;
/** Kernel buffers as the reference sets them: what Linux grants without configuration, and the wish for receiving. */
const SEND_BUFFER_BYTES = 212_992;
const RECEIVE_BUFFER_BYTES = 1 << 20;
/** Longest datagram that is copied into standing memory. */
const SCRATCH_BYTES = 2048;

/**
 * Deno's setters for buffer sizes do not reach the kernel: the number becomes the size of an array that is allocated for
 * every receive, 64 KiB by default. On the versions of which that is known, an array for one datagram is asked for, which
 * lets half as many datagrams again through (57 to 85 thousand a second). On later ones nothing is set: where the setters
 * work, so small a number would leave next to no buffer in the kernel.
 */
const FAKE_SIZES_UNTIL = [2, 9] as const;
/** Longest datagram that is received there: the reference's buffer too. */
const FAKE_SIZE_BYTES = 2048;

function hasFakeBufferSizes(): boolean {
  const [major = 0, minor = 0] = Deno.version.deno.split(".").map(Number);
  return major < FAKE_SIZES_UNTIL[0] || (major === FAKE_SIZES_UNTIL[0] && minor <= FAKE_SIZES_UNTIL[1]);
}

/** Errors of one datagram that some systems report to the socket: the socket goes on. */
const HARMLESS_ERRORS: readonly unknown[] = [
  "ECONNREFUSED",
  "ECONNRESET",
  "EHOSTUNREACH",
  "EMSGSIZE",
  "ENETDOWN",
  "ENETUNREACH",
];

type LookupCallback = (error: null, host: string, family: number) => void;

/** Answers at once: addresses are numeric here, and the default look-up would delay each datagram by a turn. */
function lookup(host: string, _options: unknown, callback: LookupCallback): void {
  callback(null, host, host.includes(":") ? 6 : 4);
}

/**
 * Standing memory for what is sent, shared by the sockets of a network. Node keeps a reference when the kernel has no room,
 * which is rare: that memory is then given up to it, and replaced.
 */
class Scratch {
  #bytes = new Uint8Array(SCRATCH_BYTES);

  /** A copy of `datagram`, good until the next one is made unless {@linkcode giveUp} is called. */
  copy(datagram: Uint8Array): Uint8Array {
    if (datagram.length > SCRATCH_BYTES) return datagram.slice();
    this.#bytes.set(datagram);
    return this.#bytes.subarray(0, datagram.length);
  }

  giveUp(): void {
    this.#bytes = new Uint8Array(SCRATCH_BYTES);
  }
}

/** The host's send call, on memory that stays as it is. */
class NodeSender implements RawSender {
  readonly #socket: Socket;
  readonly #isIpv6: boolean;
  /** Undefined in Deno, which copies what it sends. */
  readonly #scratch: Scratch | undefined;

  constructor(socket: Socket, isIpv6: boolean, scratch: Scratch) {
    this.#socket = socket;
    this.#isIpv6 = isIpv6;
    this.#scratch = typeof socket.getSendQueueCount === "function" ? scratch : undefined;
  }

  send(datagram: Uint8Array, to: SocketAddress, onSent: () => void): void {
    const socket = this.#socket;
    const scratch = this.#scratch;
    const host = this.#isIpv6 && to.family === 4 ? `::ffff:${to.host}` : to.host;
    socket.send(scratch === undefined ? datagram : scratch.copy(datagram), to.port, host, onSent);
    if (scratch !== undefined && socket.getSendQueueCount() > 0) scratch.giveUp();
  }

  setTtl(ttl: number): void {
    this.#socket.setTTL(ttl);
  }
}

class NodeDatagramSocket implements DatagramSocket {
  readonly address: SocketAddress;
  // The TTL of an IPv6 socket does not govern the IPv4 datagrams that it sends (Linux), or only those (Deno).
  readonly canSetTtl: boolean;
  readonly #socket: Socket;
  readonly #receiver: DatagramReceiver;
  readonly #sources = new SourceCache();
  readonly #sender: OrderedSender;
  #closing: Promise<void> | undefined;

  constructor(socket: Socket, receiver: DatagramReceiver, scratch: Scratch) {
    const { address, port } = socket.address();
    this.address = SocketAddress.of(address, port);
    this.canSetTtl = this.address.family === 4;
    this.#socket = socket;
    this.#receiver = receiver;
    this.#sender = new OrderedSender(new NodeSender(socket, this.address.family === 6, scratch));
    socket.on("message", (datagram, from) => this.#handleMessage(datagram, from));
    socket.on("error", (error) => this.#handleError(error));
  }

  send(datagram: Uint8Array, to: SocketAddress, ttl: number = DEFAULT_TTL): boolean {
    if (to.port === 0 || (to.family === 6 && this.address.family === 4)) return false;
    return this.#sender.send(datagram, to, this.canSetTtl ? ttl : DEFAULT_TTL);
  }

  // The platform has no call for several datagrams: here this is only the form, for callers that have them together.
  sendBatch(batch: readonly Uint8Array[], count: number, to: SocketAddress): number {
    for (let i = 0; i < count; i++) if (!this.send(batch[i]!, to)) return i;
    return count;
  }

  joinMulticast(group: string, interfaceAddress?: string): void {
    try {
      this.#socket.addMembership(group, interfaceAddress);
    } catch (error) {
      const where = interfaceAddress === undefined ? "" : ` on ${interfaceAddress}`;
      throw new ConnectError("ADDRESS_UNUSABLE", `Cannot join the multicast group ${group}${where}`, {
        cause: error,
      });
    }
  }

  setMulticast(
    options: { readonly ttl?: number; readonly loopback?: boolean; readonly interfaceAddress?: string },
  ): void {
    if (options.ttl !== undefined) this.#socket.setMulticastTTL(options.ttl);
    if (options.loopback !== undefined) this.#socket.setMulticastLoopback(options.loopback);
    if (options.interfaceAddress !== undefined) this.#socket.setMulticastInterface(options.interfaceAddress);
  }

  close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      this.#sender.close(() => this.#socket.close(() => resolve()));
    });
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #handleMessage(datagram: Uint8Array, from: { readonly address: string; readonly port: number }): void {
    if (this.#closing !== undefined) return;
    const source = this.#sources.get(from.address, from.port);
    if (source === undefined) return;
    // Not the `Buffer` itself: its `slice` does not copy, and who keeps a part of a datagram relies on that.
    this.#receiver.onDatagram(new Uint8Array(datagram.buffer, datagram.byteOffset, datagram.length), source);
  }

  #handleError(error: Error): void {
    if (this.#closing !== undefined || HARMLESS_ERRORS.includes(Reflect.get(error, "code"))) return;
    void this.close();
    this.#receiver.onError?.(
      new ConnectError("SOCKET_CLOSED", `The socket ${this.address} failed`, { cause: error }),
    );
  }
}

function setBufferSizes(socket: Socket, options: BindOptions): void {
  if (typeof Deno !== "undefined") {
    if (hasFakeBufferSizes()) attempt(() => socket.setRecvBufferSize(FAKE_SIZE_BYTES));
    return;
  }
  attempt(() => socket.setSendBufferSize(options.sendBufferBytes ?? SEND_BUFFER_BYTES));
  let size = options.receiveBufferBytes ?? RECEIVE_BUFFER_BYTES;
  // Some systems refuse what exceeds their limit instead of granting less.
  while (size >= SEND_BUFFER_BYTES && !attempt(() => socket.setRecvBufferSize(size))) size >>= 1;
}

function attempt(action: () => void): boolean {
  try {
    action();
    return true;
  } catch {
    return false;
  }
}

/**
 * The UDP of the host, through `node:dgram`.
 *
 * Costs next to nothing on top of `node:dgram`: two sockets of one process on loopback exchange 1200-byte datagrams at 122
 * thousand a second against 128 on Node 22, and on Deno 2.9 at 46 against 46 before its buffer was made smaller
 * (`Deno.listenDatagram`: 114).
 *
 * @example
 * ```ts
 * import { NodeUdpNetwork } from "./node.ts";
 *
 * const network = new NodeUdpNetwork();
 * const received = Promise.withResolvers<string>();
 * const options = { host: "127.0.0.1" };
 * await using to = await network.bind(options, {
 *   onDatagram: (datagram) => received.resolve(new TextDecoder().decode(datagram)),
 * });
 * await using from = await network.bind(options, { onDatagram: () => {} });
 * from.send(new TextEncoder().encode("hello"), to.address);
 * console.assert(await received.promise === "hello");
 * ```
 */
export class NodeUdpNetwork implements DatagramNetwork {
  /** What it is built on. */
  readonly name = "node:dgram";
  /** Whether sockets bound to IPv4 honour the TTL of a send. */
  readonly canSetTtl = true;
  /** Whether sockets can join multicast groups. */
  readonly canJoinMulticast = true;
  /** See {@linkcode DatagramNetwork.maxDatagramBytes}. */
  readonly maxDatagramBytes: number = MAX_DATAGRAM_BYTES;
  readonly #scratch = new Scratch();

  /** See {@linkcode DatagramNetwork.localHosts}. */
  localHosts(): readonly string[] {
    return localHosts();
  }

  /** See {@linkcode DatagramNetwork.interfaces}. */
  interfaces(): readonly NetworkInterface[] {
    return networkInterfaces();
  }

  /** See {@linkcode DatagramNetwork.bind}. */
  bind(options: BindOptions, receiver: DatagramReceiver): Promise<DatagramSocket> {
    const local = SocketAddress.of(options.host ?? "0.0.0.0", options.port ?? 0);
    return new Promise((resolve, reject) => {
      const socket = createSocket({
        type: local.family === 4 ? "udp4" : "udp6",
        reuseAddr: options.reuseAddress ?? false,
        ipv6Only: options.ipv6Only ?? false,
        lookup,
      });
      const onError = (error: unknown) => {
        attempt(() => socket.close());
        reject(bindError(local, error));
      };
      socket.once("error", onError);
      const onListening = () => {
        socket.off("error", onError);
        setBufferSizes(socket, options);
        resolve(new NodeDatagramSocket(socket, receiver, this.#scratch));
      };
      try {
        socket.bind({ address: local.host, port: local.port, exclusive: true }, onListening);
      } catch (error) {
        onError(error);
      }
    });
  }
}
