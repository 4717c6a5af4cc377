/**
 * UDX as a {@linkcode Transport}: dials and accepts addresses of the form `udx:1.2.3.4:5678` and `udx:[::1]:5678`.
 */
import { throwIfAborted } from "../../core/runtime/async.ts";
import { ConnectError } from "../../core/runtime/errors.ts";
import type { Runtime } from "../../core/runtime/runtime.ts";
import { SocketAddress } from "../../encoding/address.ts";
import type { DatagramNetwork } from "../datagram.ts";
import type { Link, Listener, Transport } from "../transport.ts";
import { Dialing } from "./dialing.ts";
import { UdxEndpoint } from "./endpoint.ts";
import { Listening } from "./listening.ts";
import { decodeOpening } from "./opening.ts";
import type { UdxSocket } from "./udx_socket.ts";
import type { UdxStream } from "./udx_stream.ts";

/** Options of a {@linkcode UdxTransport}. */
export interface UdxTransportOptions {
  /** Where to listen: `0.0.0.0`, the default, is all IPv4 addresses of the host, `::` those of both families. */
  readonly host?: string;
  /** The port to listen on; 0, the default, lets the system choose. */
  readonly port?: number;
  /** How long a dialed address may stay silent, in milliseconds; 10 seconds by default. */
  readonly dialTimeoutMs?: number;
}

/**
 * Opens UDX streams to addresses.
 *
 * @example
 * ```ts
 * import { loadSystemRuntime } from "../../core/system_runtime.ts";
 * import { udpNetwork } from "../udp/mod.ts";
 * import { UdxTransport } from "./mod.ts";
 *
 * const runtime = await loadSystemRuntime();
 * await using transport = new UdxTransport(runtime, udpNetwork(), { host: "127.0.0.1" });
 * const accepted = Promise.withResolvers<string>();
 * await using listener = await transport.listen((link) => {
 *   accepted.resolve(link.remoteAddress);
 *   link.duplex.destroy();
 * }, {});
 * const link = await transport.dial(listener.addresses[0]!, {});
 * console.assert((await accepted.promise).startsWith("udx:127.0.0.1:"));
 * link.duplex.destroy();
 * ```
 */
export class UdxTransport implements Transport, AsyncDisposable {
  /** Always `udx`. */
  readonly scheme = "udx";
  /** The endpoint that carries the streams. */
  readonly endpoint: UdxEndpoint;
  readonly #runtime: Runtime;
  readonly #network: DatagramNetwork;
  readonly #host: string;
  readonly #port: number;
  readonly #dialTimeoutMs: number;
  readonly #dialSockets = new Map<number, Promise<UdxSocket>>();
  readonly #dialings = new Map<number, Dialing>();

  /** A transport with sockets of its own on `network`. */
  constructor(runtime: Runtime, network: DatagramNetwork, options: UdxTransportOptions = {}) {
    this.endpoint = new UdxEndpoint(runtime, network);
    this.#runtime = runtime;
    this.#network = network;
    this.#host = options.host ?? "0.0.0.0";
    this.#port = options.port ?? 0;
    this.#dialTimeoutMs = options.dialTimeoutMs ?? 10_000;
  }

  /** See {@linkcode Transport.dial}. */
  async dial(address: string, options: { readonly signal?: AbortSignal } = {}): Promise<Link> {
    const to = parseUdxAddress(address);
    throwIfAborted(options.signal);
    const socket = await this.#dialSocket(to.family);
    throwIfAborted(options.signal);
    const dialing = new Dialing(this.#runtime, this.endpoint, socket, to, {
      timeoutMs: this.#dialTimeoutMs,
      onDone: ({ id }) => this.#dialings.delete(id),
    });
    this.#dialings.set(dialing.id, dialing);
    const onAbort = () => dialing.fail(options.signal?.reason);
    options.signal?.addEventListener("abort", onAbort, { once: true });
    try {
      return toLink(await dialing.opened);
    } finally {
      options.signal?.removeEventListener("abort", onAbort);
    }
  }

  /** See {@linkcode Transport.listen}. */
  async listen(
    onLink: (link: Link) => void,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<Listener> {
    throwIfAborted(options.signal);
    const socket = await this.endpoint.bind({ host: this.#host, port: this.#port });
    if (options.signal?.aborted === true) await socket.close();
    throwIfAborted(options.signal);
    const listening = new Listening(this.#runtime, this.endpoint, socket, (stream) => onLink(toLink(stream)));
    const { port } = socket.address;
    const reachableHosts = () => this.#reachableHosts(socket);
    return {
      get addresses() {
        return reachableHosts().map((host) => `udx:${SocketAddress.of(host, port)}`);
      },
      [Symbol.asyncDispose]: () => {
        // Streams live on: the socket is closed with the last of them, or with the transport.
        listening.close();
        return this.endpoint.closeWhenIdle(socket);
      },
    };
  }

  /** Drops all streams and closes all sockets. */
  async close(): Promise<void> {
    const error = new ConnectError("CONNECTION_CLOSED", "The transport was closed");
    for (const dialing of [...this.#dialings.values()]) dialing.fail(error);
    await this.endpoint.close();
  }

  /** See {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #reachableHosts(socket: UdxSocket): readonly string[] {
    const { host, family } = socket.address;
    if (host !== "0.0.0.0" && host !== "::") return [host];
    const hosts = (this.#network.localHosts?.() ?? []).filter((local) =>
      family === 6 || !local.includes(":")
    );
    return hosts.length > 0 ? hosts : [family === 6 ? "::1" : "127.0.0.1"];
  }

  async #dialSocket(family: 4 | 6): Promise<UdxSocket> {
    let binding = this.#dialSockets.get(family);
    if (binding === undefined) {
      binding = this.endpoint.bind({ host: family === 4 ? "0.0.0.0" : "::" });
      this.#dialSockets.set(family, binding);
      binding.catch(() => this.#dialSockets.delete(family));
    }
    const socket = await binding;
    socket.onDatagram ??= (datagram, from) => {
      const dialerId = decodeOpening(datagram)?.dialerId;
      if (dialerId !== undefined) this.#dialings.get(dialerId)?.handleAnswer(datagram, from);
    };
    return socket;
  }
}

function toLink(stream: UdxStream): Link {
  return { duplex: stream, remoteAddress: `udx:${stream.remoteAddress}` };
}

/** Reads `udx:1.2.3.4:5678`. */
function parseUdxAddress(address: string): SocketAddress {
  const text = address.startsWith("udx:") ? address.slice(4) : "";
  try {
    const parsed = SocketAddress.parse(text);
    if (parsed.port !== 0) return parsed;
  } catch (cause) {
    throw notAnAddress(address, cause);
  }
  throw notAnAddress(address);
}

function notAnAddress(address: string, cause?: unknown): TypeError {
  return new TypeError(`Cannot dial ${address}: expected udx:1.2.3.4:5678 or udx:[::1]:5678`, { cause });
}
