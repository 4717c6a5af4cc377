/**
 * The network of one run of a command: an identity, and the transports that it may use.
 */
import { HyphaError } from "../core/runtime/errors.ts";
import type { Runtime } from "../core/runtime/runtime.ts";
import type { Connection } from "../core/stream/connection.ts";
import { loadSystemRuntime } from "../core/system_runtime.ts";
import { Dialer, type PeerListener } from "../transports/dialer.ts";
import { TcpTransport } from "../transports/tcp/mod.ts";
import { udpNetwork } from "../transports/udp/mod.ts";
import { UdxTransport } from "../transports/udx/mod.ts";

/** Where a node listens. */
export interface NodeOptions {
  /** The address to listen on. */
  readonly host: string;
  /** The port to listen on, of UDP and of TCP; 0 = any that both have free. */
  readonly port: number;
}

/** The ports that nobody has registered (RFC 6335). */
const FIRST_FREE_PORT = 49_152;
const FREE_PORTS = 65_536 - FIRST_FREE_PORT;
/** Ports that are tried when any will do. */
const PORT_TRIES = 8;

/** A fresh identity, reachable by UDX and, for networks that let no UDP through, by TCP. */
export class CliNode implements AsyncDisposable {
  /** The host's time, chance and cryptography. */
  readonly runtime: Runtime;
  readonly #seed: Uint8Array;
  readonly #open: AsyncDisposable[] = [];

  private constructor(runtime: Runtime) {
    this.runtime = runtime;
    this.#seed = runtime.random.fill(new Uint8Array(32));
  }

  /** Makes a node that has opened nothing yet. */
  static async make(): Promise<CliNode> {
    return new CliNode(await loadSystemRuntime());
  }

  /** Connects to peers, from any port. */
  get dialer(): Dialer {
    return this.#dialer({ host: "0.0.0.0", port: 0 });
  }

  /** Accepts connections until the node is closed. */
  async listen(options: NodeOptions, onConnection: (connection: Connection) => void): Promise<PeerListener> {
    for (let tries = 1;; tries++) {
      const port = options.port === 0
        ? FIRST_FREE_PORT + this.runtime.random.below(FREE_PORTS)
        : options.port;
      try {
        const listener = await this.#dialer({ host: options.host, port }).listen(onConnection);
        this.#open.push(listener);
        return listener;
      } catch (error) {
        const isTaken = error instanceof HyphaError && error.code === "ADDRESS_IN_USE";
        if (!isTaken || options.port !== 0 || tries === PORT_TRIES) throw error;
      }
    }
  }

  /** Closes all that was opened. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#open.splice(0).map((open) => open[Symbol.asyncDispose]()));
  }

  #dialer(options: NodeOptions): Dialer {
    const transports = [
      new UdxTransport(this.runtime, udpNetwork(), options),
      new TcpTransport(this.runtime, options),
    ];
    this.#open.push(...transports);
    return new Dialer(this.runtime, { transports, keyPair: this.runtime.crypto.keyPair(this.#seed) });
  }
}
