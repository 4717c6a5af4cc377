/**
 * The sockets of a node: one that others may write to, on a port that stays, and one that requests go out from while it is not
 * known whether they can. A node that knows needs no second one.
 */
import { ConnectError } from "../../core/runtime/errors.ts";
import type { RpcSocket, RpcSockets } from "./rpc_options.ts";

/** How to bind. */
export interface SocketPairConfig {
  /** The local address. */
  readonly host: string;
  /** Ports for the server socket, in the order of preference. */
  readonly ports: readonly number[];
  /** Whether another port will do. */
  readonly anyPort: boolean;
  /** Whether requests go out from the same socket: nobody has to find out whether it can be reached. */
  readonly isOne: boolean;
}

/** Binds both sockets, on the same ports as before if there was a before. */
export class SocketPair {
  readonly #sockets: RpcSockets;
  readonly #config: SocketPairConfig;
  #server: RpcSocket | undefined;
  #client: RpcSocket | undefined;
  #serverPort = 0;
  #clientPort = 0;

  /** Not bound. */
  constructor(sockets: RpcSockets, config: SocketPairConfig) {
    this.#sockets = sockets;
    this.#config = config;
  }

  /** The socket that others may write to, while there is one. */
  get server(): RpcSocket | undefined {
    return this.#server;
  }

  /** The socket that requests go out from, while there is one. */
  get client(): RpcSocket | undefined {
    return this.#client;
  }

  /** Binds both. @throws {ConnectError} `ADDRESS_IN_USE` or `ADDRESS_UNUSABLE`; then neither is bound. */
  async bind(): Promise<{ server: RpcSocket; client: RpcSocket }> {
    const { ports, anyPort, isOne } = this.#config;
    const preferred = this.#serverPort === 0 ? ports : [this.#serverPort, ...ports];
    const server = await this.#bindFirst(preferred, anyPort || preferred.length === 0);
    try {
      const clientPorts = this.#clientPort === 0 ? [] : [this.#clientPort];
      const client = isOne ? server : await this.#bindFirst(clientPorts, true);
      this.#server = server;
      this.#client = client;
      this.#serverPort = server.address.port;
      this.#clientPort = client.address.port;
      return { server, client };
    } catch (error) {
      await server.close();
      throw error;
    }
  }

  /** Closes both. */
  async close(): Promise<void> {
    const sockets = [this.#server, this.#client];
    this.#server = this.#client = undefined;
    await Promise.all(sockets.map((socket) => socket?.close()));
  }

  async #bindFirst(ports: readonly number[], orAny: boolean): Promise<RpcSocket> {
    const { host } = this.#config;
    let failure: unknown;
    for (const port of orAny ? [...ports, 0] : ports) {
      try {
        return await this.#sockets.bind({ host, port });
      } catch (error) {
        if (!(error instanceof ConnectError)) throw error;
        failure = error;
      }
    }
    throw failure;
  }
}
