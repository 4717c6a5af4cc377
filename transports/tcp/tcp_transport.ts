/**
 * TCP as a {@linkcode Transport}, through `node:net`, which in Deno needs no more than `--allow-net`: dials and accepts
 * addresses of the form `tcp:1.2.3.4:5678` and `tcp:[::1]:5678`.
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { throwIfAborted } from "../../core/runtime/async.ts";
import { ConnectError, type ErrorCode } from "../../core/runtime/errors.ts";
import type { Runtime } from "../../core/runtime/runtime.ts";
import { fromNodeDuplex } from "../../core/stream/node_duplex.ts";
import { SocketAddress } from "../../encoding/address.ts";
import { localHosts } from "../interfaces.ts";
import type { Link, Listener, Transport } from "../transport.ts";

/** Options of a {@linkcode TcpTransport}. */
export interface TcpTransportOptions {
  /** Where to listen: `::`, the default, is all addresses of both families, or of IPv4 where the host has no IPv6. */
  readonly host?: string;
  /** The port to listen on; 0, the default, lets the system choose. */
  readonly port?: number;
  /** How long a dialed address may stay silent, in milliseconds; 10 seconds by default. */
  readonly dialTimeoutMs?: number;
  /** Links that a listener has open at once; more are hung up on. 900 by default. */
  readonly maxLinks?: number;
}

const DEFAULT_DIAL_TIMEOUT_MS = 10_000;
/** Within the 1024 files that a program may have open on many systems: Deno 2.9 stops accepting for good once it runs out. */
const DEFAULT_MAX_LINKS = 900;
/** Connections that the kernel completes and keeps before they are accepted; what systems cap it at anyway. */
const BACKLOG = 128;

/** What system errors mean, and what to do about them. */
const FAILURES: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  ECONNREFUSED: ["CONNECTION_REFUSED", "nobody listens there"],
  ECONNRESET: ["CONNECTION_RESET", "it hung up at once"],
  ETIMEDOUT: ["TIMEOUT", "it does not answer"],
  EHOSTUNREACH: ["ADDRESS_UNUSABLE", "there is no way to this host"],
  ENETUNREACH: ["ADDRESS_UNUSABLE", "there is no way to this network"],
  EADDRNOTAVAIL: ["ADDRESS_UNUSABLE", "it cannot be reached from here, or no local port is free"],
  EMFILE: ["PEER_CONNECTION_FAILED", "the program has too many files open"],
  ENFILE: ["PEER_CONNECTION_FAILED", "the system has too many files open"],
};

/**
 * Opens TCP connections to addresses.
 *
 * @example
 * ```ts
 * import { loadSystemRuntime } from "../../core/system_runtime.ts";
 * import { TcpTransport } from "./mod.ts";
 *
 * await using transport = new TcpTransport(await loadSystemRuntime(), { host: "127.0.0.1" });
 * const accepted = Promise.withResolvers<string>();
 * await using listener = await transport.listen((link) => accepted.resolve(link.remoteAddress));
 * const link = await transport.dial(listener.addresses[0]!);
 * console.assert((await accepted.promise).startsWith("tcp:127.0.0.1:"));
 * link.duplex.destroy();
 * ```
 */
export class TcpTransport implements Transport, AsyncDisposable {
  /** Always `tcp`. */
  readonly scheme = "tcp";
  readonly #runtime: Pick<Runtime, "clock">;
  readonly #host: string | undefined;
  readonly #port: number;
  readonly #dialTimeoutMs: number;
  readonly #maxLinks: number;
  readonly #sockets = new Set<Socket>();
  readonly #listeners = new Set<TcpListener>();

  /** A transport that opens no socket before it is asked to. */
  constructor(runtime: Pick<Runtime, "clock">, options: TcpTransportOptions = {}) {
    this.#runtime = runtime;
    this.#host = options.host;
    this.#port = options.port ?? 0;
    this.#dialTimeoutMs = options.dialTimeoutMs ?? DEFAULT_DIAL_TIMEOUT_MS;
    this.#maxLinks = options.maxLinks ?? DEFAULT_MAX_LINKS;
  }

  /** See {@linkcode Transport.dial}. */
  async dial(address: string, options: { readonly signal?: AbortSignal } = {}): Promise<Link> {
    const to = parseTcpAddress(address);
    const { signal } = options;
    throwIfAborted(signal);
    const { clock } = this.#runtime;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const socket = connect({ host: to.host, port: to.port, allowHalfOpen: true, noDelay: true });
    this.#track(socket);
    const silent = `${address}: no answer within ${this.#dialTimeoutMs} ms`;
    const timer = clock.schedule(
      clock.now() + this.#dialTimeoutMs,
      () => reject(new ConnectError("TIMEOUT", silent)),
    );
    const onAbort = () => reject(signal?.reason);
    const onError = (error: Error) => reject(dialError(address, error));
    const onClose = () => reject(new ConnectError("CONNECTION_CLOSED", "The transport was closed"));
    signal?.addEventListener("abort", onAbort, { once: true });
    socket.once("connect", resolve).once("error", onError).once("close", onClose);
    try {
      await promise;
      if (isConnectedToItself(socket)) throw dialError(address, { code: "ECONNREFUSED" });
    } catch (error) {
      socket.on("error", () => {}).destroy();
      throw error;
    } finally {
      timer.cancel();
      signal?.removeEventListener("abort", onAbort);
      socket.off("connect", resolve).off("error", onError).off("close", onClose);
    }
    return { duplex: fromNodeDuplex(socket), remoteAddress: `tcp:${to}` };
  }

  /**
   * See {@linkcode Transport.listen}. Everywhere-addresses are told as those of this host's interfaces, where the program may
   * know them (in Deno: `--allow-sys=networkInterfaces`), else as loopback.
   *
   * @throws {ConnectError} `ADDRESS_IN_USE` or `ADDRESS_UNUSABLE`.
   */
  async listen(
    onLink: (link: Link) => void,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<Listener> {
    throwIfAborted(options.signal);
    const listener = new TcpListener(this.#maxLinks, (socket, remoteAddress) => {
      this.#track(socket);
      onLink({ duplex: fromNodeDuplex(socket), remoteAddress });
    }, () => this.#listeners.delete(listener));
    await this.#bind(listener);
    this.#listeners.add(listener);
    if (options.signal?.aborted === true) await listener[Symbol.asyncDispose]();
    throwIfAborted(options.signal);
    return listener;
  }

  /** Drops all links and closes all listeners. */
  async close(): Promise<void> {
    for (const listener of [...this.#listeners]) await listener[Symbol.asyncDispose]();
    const closing = [...this.#sockets].map((socket) =>
      new Promise<void>((resolve) => {
        socket.once("close", () => resolve());
        if (socket.connecting) socket.destroy();
        else socket.resetAndDestroy();
      })
    );
    await Promise.all(closing);
  }

  /** See {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #bind(listener: TcpListener): Promise<void> {
    if (this.#host !== undefined) return await listener.bind(this.#host, this.#port);
    try {
      await listener.bind("::", this.#port);
    } catch (error) {
      // A host may have no IPv6 at all, which is no reason not to listen.
      if (!(error instanceof ConnectError) || error.code !== "ADDRESS_UNUSABLE") throw error;
      await listener.bind("0.0.0.0", this.#port);
    }
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
  }
}

/** A server and the number of its links. */
class TcpListener implements Listener {
  readonly #server: Server;
  readonly #maxLinks: number;
  readonly #onSocket: (socket: Socket, remoteAddress: string) => void;
  readonly #onClose: () => void;
  #links = 0;
  #isClosed = false;
  #bound: SocketAddress | undefined;

  constructor(
    maxLinks: number,
    onSocket: (socket: Socket, remoteAddress: string) => void,
    onClose: () => void,
  ) {
    this.#maxLinks = maxLinks;
    this.#onSocket = onSocket;
    this.#onClose = onClose;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true });
    this.#server.on("connection", (socket) => this.#accept(socket));
    // While the program has too many files open, accepting fails again and again, and works again afterwards.
    this.#server.on("error", () => {});
  }

  get addresses(): readonly string[] {
    const bound = this.#bound;
    if (bound === undefined) return [];
    return reachableHosts(bound.host).map((host) => `tcp:${SocketAddress.of(host, bound.port)}`);
  }

  bind(host: string, port: number): Promise<void> {
    const local = SocketAddress.of(host, port);
    return new Promise((resolve, reject) => {
      const onError = (error: Error) => reject(bindError(local, error));
      this.#server.once("error", onError);
      this.#server.listen({ host, port, backlog: BACKLOG }, () => {
        this.#server.off("error", onError);
        const { address, port: boundPort } = this.#server.address() as AddressInfo;
        this.#bound = SocketAddress.of(address, boundPort);
        resolve();
      });
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true;
      // The callback of `close` would wait for the links, which live on.
      this.#server.close();
      this.#onClose();
    }
    return Promise.resolve();
  }

  #accept(socket: Socket): void {
    const { remoteAddress, remotePort } = socket;
    const isWelcome = !this.#isClosed && this.#links < this.#maxLinks;
    // Who has hung up by now has no address any more.
    if (!isWelcome || remoteAddress === undefined || remotePort === undefined) {
      socket.on("error", () => {}).resetAndDestroy();
      return;
    }
    this.#links++;
    socket.once("close", () => this.#links--);
    this.#onSocket(socket, `tcp:${SocketAddress.of(remoteAddress, remotePort)}`);
  }
}

/** What to tell others who want to reach a listener on `host`. */
function reachableHosts(host: string): readonly string[] {
  if (host !== "0.0.0.0" && host !== "::") return [host];
  const hosts = localHosts().filter((local) => host === "::" || !local.includes(":"));
  if (hosts.length > 0) return hosts;
  return host === "::" ? ["127.0.0.1", "::1"] : ["127.0.0.1"];
}

/** Whether a dial of a free port of this host got that very port for itself, which TCP takes for a connection. */
function isConnectedToItself(socket: Socket): boolean {
  return socket.localPort === socket.remotePort && socket.localAddress === socket.remoteAddress;
}

function dialError(address: string, cause: unknown): ConnectError {
  const { code = "", message } = cause as { readonly code?: string; readonly message?: string };
  const [ours, what] = FAILURES[code] ?? ["PEER_CONNECTION_FAILED", message ?? "unknown reason"];
  return new ConnectError(ours, `Cannot connect to ${address}: ${what}`, { cause });
}

function bindError(local: SocketAddress, cause: Error): ConnectError {
  if (Reflect.get(cause, "code") === "EADDRINUSE") {
    const message = `Another socket listens at tcp:${local}: choose another port, or 0`;
    return new ConnectError("ADDRESS_IN_USE", message, { cause });
  }
  const message =
    `Cannot listen at tcp:${local}: is it an address of this machine, and is the program allowed to use it?`;
  return new ConnectError("ADDRESS_UNUSABLE", message, { cause });
}

/** Reads `tcp:1.2.3.4:5678`. */
function parseTcpAddress(address: string): SocketAddress {
  const text = address.startsWith("tcp:") ? address.slice(4) : "";
  try {
    const parsed = SocketAddress.parse(text);
    if (parsed.port !== 0) return parsed;
  } catch (cause) {
    throw notAnAddress(address, cause);
  }
  throw notAnAddress(address);
}

function notAnAddress(address: string, cause?: unknown): TypeError {
  return new TypeError(`Cannot dial ${address}: expected tcp:1.2.3.4:5678 or tcp:[::1]:5678`, { cause });
}
