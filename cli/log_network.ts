/**
 * The peers of the logs that a command works with: found by the logs' discovery keys, as programs with hypercore and hyperswarm
 * do.
 */
import { toError } from "../core/runtime/errors.ts";
import type { Corestore } from "../core/corestore.ts";
import type { Hypercore } from "../core/hypercore.ts";
import type { Connection } from "../core/stream/connection.ts";
import type { Swarm } from "../swarm/mod.ts";
import { CliNode, type NodeOptions } from "./node.ts";
import { checkWays, isLoopback, UsageError } from "./options.ts";
import type { Reporter } from "./reporter.ts";
import { formatTicket, parseTicket } from "./ticket.ts";
import { wayOf } from "./way.ts";

/** How peers are found. */
export interface LogNetworkOptions extends NodeOptions {
  /** Tickets of peers to connect to, commas between. */
  readonly peer?: string;
  /** Whether to print a ticket of this side. */
  readonly hints?: boolean;
  /** The port of UDX and TCP; 0 = any. */
  readonly port?: number;
}

/** @throws {UsageError} if `options` contradict each other, or leave no way to find anybody. */
export function checkLogNetwork(options: LogNetworkOptions, isFound: boolean): void {
  checkWays(options);
  if (!options.dht && isLoopback(options.host) && options.peer === undefined && !isFound) {
    const text =
      "With --no-dht and a --host that is not in the local network nobody can be found: use --peer <ticket>";
    throw new UsageError(text);
  }
}

/** See the head of the file. */
export class LogNetwork implements AsyncDisposable {
  readonly #node: CliNode;
  readonly #swarm: Swarm;
  /** Ends reporting. */
  readonly #left: AbortController;

  private constructor(node: CliNode, swarm: Swarm, left: AbortController) {
    this.#node = node;
    this.#swarm = swarm;
    this.#left = left;
  }

  /** Begins to replicate the logs of `store` with whoever is met. */
  static async open(
    store: Corestore,
    options: LogNetworkOptions,
    reporter: Reporter,
    signal: AbortSignal,
  ): Promise<LogNetwork> {
    const node = await CliNode.make(options, reporter);
    try {
      const tickets = options.peer?.split(",") ?? [];
      const peers = tickets.map((ticket) => parseTicket(node.runtime.crypto, ticket));
      const swarm = node.swarm(options.port ?? 0, signal);
      const left = new AbortController();
      swarm.on("connection", ({ detail: { connection } }) => {
        store.replicate(connection);
        reportConnection(connection, reporter, left.signal);
      });
      for (const peer of peers) swarm.joinPeer(peer);
      return new LogNetwork(node, swarm, left);
    } catch (error) {
      await node[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The key by which peers know this side. */
  get publicKey(): Uint8Array {
    return this.#swarm.keyPair.publicKey;
  }

  /** Looks for peers of a log, and as a server lets others find this side. */
  join({ discoveryKey }: Hypercore, isServer: boolean): void {
    this.#swarm.join(discoveryKey, { server: isServer });
  }

  /** A ticket with which others need not look for this side. */
  async ticket(): Promise<string> {
    return formatTicket(this.#node.runtime.crypto, await this.#swarm.listen());
  }

  /** Resolves when whoever was to be found by now was dialed once. */
  async flush(): Promise<void> {
    await Promise.all([this.#node.joined, this.#swarm.flush()]);
  }

  /** Leaves. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#left.abort();
    return this.#node[Symbol.asyncDispose]();
  }
}

function reportConnection(connection: Connection, reporter: Reporter, left: AbortSignal): void {
  const { peer, path, address } = wayOf(connection);
  reporter.report({ event: "connection", peer, path, address });
  const onClosed = (error?: unknown) => {
    if (left.aborted) return;
    const reason = error === undefined ? {} : { reason: toError(error).message };
    reporter.report({ event: "closed", peer, ...reason });
  };
  connection.closed.then(() => onClosed(), onClosed);
}
