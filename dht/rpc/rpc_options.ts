/** What a caller may say about a node, and what becomes of what is left unsaid. */
import { SocketAddress } from "../../encoding/address.ts";
import type { BindOptions } from "../../transports/datagram.ts";
import type { BootstrapNode, RpcConfig } from "./config.ts";
import {
  DOWN_HINTS_PER_TICK,
  FORWARDS_PER_SECOND,
  MAX_PING_DELAY_MS,
  MAX_WINDOW,
  QUERY_CONCURRENCY,
} from "./constants.ts";
import type { IncomingRequest } from "./incoming_request.ts";
import type { RpcPort } from "./outgoing_request.ts";

/** A socket that a node shares with other protocols: it gets what is no packet of theirs. A `UdxSocket` is one. */
export interface RpcSocket extends RpcPort {
  /** Takes datagrams that are for nobody else; borrowed until return. */
  onDatagram: ((datagram: Uint8Array, from: SocketAddress) => void) | undefined;
  /** Sends a datagram; false = dropped here. The bytes stay as they are until the end of the turn. */
  send(datagram: Uint8Array, to: SocketAddress, ttl?: number): boolean;
  /** Closes it. */
  close(): Promise<void>;
}

/** Where a node gets its sockets from. A `UdxEndpoint` is one. */
export interface RpcSockets {
  /** Binds a socket. @throws {ConnectError} `ADDRESS_IN_USE` or `ADDRESS_UNUSABLE`. */
  bind(options: BindOptions): Promise<RpcSocket>;
}

/** Where the routing table is kept while the node is away, so that it finds back without bootstrap nodes. */
export interface RoutingTableStore {
  /** The nodes that were saved last, in any order; empty if there are none. */
  load(): Promise<readonly SocketAddress[]>;
  /** Replaces what was saved by `nodes`, those heard of last first. */
  save(nodes: readonly SocketAddress[]): Promise<void>;
}

/** Answers a request of an application command, now or later. False, at once, means that the command is unknown. */
export type RequestHandler = (request: IncomingRequest) => boolean | void | Promise<unknown>;

/** Options of an `Rpc`. */
export interface RpcOptions {
  /**
   * Ways into the network, as `host:port` or, to save the lookup of a name that may fail, `address@host:port`. `false` or empty:
   * none, so that the node waits to be found or uses `nodes` and `store`. None by default.
   */
  readonly bootstrap?: readonly (string | SocketAddress)[] | false;
  /** Nodes that are in the routing table from the start. */
  readonly nodes?: readonly SocketAddress[];
  /** The local address; `0.0.0.0` by default. */
  readonly host?: string;
  /** The first port to try for the server socket, of five, or the first and the one behind the last. 0, the default, is any. */
  readonly port?: number | readonly [from: number, to: number];
  /** Whether any port is taken if those of `port` are in use; true by default. */
  readonly anyPort?: boolean;
  /** True = never serve others; false = serve as soon as others reach the node; by default once it has run well for 20 minutes. */
  readonly ephemeral?: boolean;
  /** Whether a node that may choose becomes persistent in time; true by default. */
  readonly adaptive?: boolean;
  /** Whether others may be unable to reach the node unasked, so that it has to be tested; true by default. False saves a socket. */
  readonly firewalled?: boolean;
  /** Whether that is tested at the start; true by default. */
  readonly quickFirewall?: boolean;
  /** Requests that a query has out at once; 10 by default. */
  readonly concurrency?: number;
  /** Requests that are out at once at most, as long as they are answered; 1024 by default. Up to 80 are always possible. */
  readonly maxWindow?: number;
  /** Longest delay of a delayed ping that is asked for or served, in milliseconds; 10,000 by default. */
  readonly maxPingDelayMs?: number;
  /** Whether requests are sent again sooner to nodes that are known to answer soon; true by default. */
  readonly adaptiveTimeout?: boolean;
  /** Whether other nodes are told which of the nodes that they named are down; true by default. */
  readonly sendDownHints?: boolean;
  /** How often in 5 s at most; 50 by default, `Infinity` for no limit. */
  readonly downHintsPerTick?: number;
  /** Messages to third parties that one source may cause in a second; 10 by default. */
  readonly maxForwardsPerSecond?: number;
  /** Whether a node may be asked and kept in the table; all may by default. */
  readonly filterNode?: (address: SocketAddress) => boolean;
  /** Keeps the routing table. */
  readonly store?: RoutingTableStore;
  /** Answers application commands; without one they are all unknown. */
  readonly onRequest?: RequestHandler;
  /** Finds the IPv4 address of a name; without it only addresses can be bootstrap nodes. */
  readonly lookup?: (host: string, port: number) => Promise<SocketAddress>;
  /** The addresses of this host, to notice when they change; without it that is not noticed. */
  readonly localHosts?: () => readonly string[];
  /** The address that others see, where it is known for sure. */
  readonly ownAddress?: SocketAddress;
}

/** What `text` says where to enter the network. @throws {TypeError} if it is not understood. */
export function bootstrapNode(text: string | SocketAddress): BootstrapNode {
  if (text instanceof SocketAddress) return { host: text.host, port: text.port, suggested: undefined };
  const match = /^(?:([^@\s]+)@)?([^@:\s]+):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port < 1 || port > 65535) {
    throw new TypeError(`Expected "host:port" or "address@host:port", got ${JSON.stringify(text)}`);
  }
  const [, suggested, host] = match;
  return {
    host: host!,
    port,
    suggested: suggested === undefined ? undefined : SocketAddress.of(suggested, port),
  };
}

/** The ports to try, in order. @throws {RangeError} if they are none. */
export function candidatePorts(port: RpcOptions["port"] = 0): number[] {
  if (port === 0) return [];
  const [from, to] = typeof port === "number" ? [port, Math.min(port + 5, 65_536)] : port;
  if (!(Number.isInteger(from) && Number.isInteger(to) && from > 0 && to > from && to <= 65_536)) {
    throw new RangeError(
      `Expected a port from 1 to 65535, or the first and the one behind the last, got ${port}`,
    );
  }
  return Array.from({ length: to - from }, (_, i) => from + i);
}

function atLeast(name: string, value: number, min: number): number {
  if (value >= min) return value;
  throw new RangeError(`${name} must be ${min} or more, not ${value}`);
}

/** Makes every choice that `options` leaves open. */
export function resolveOptions(options: RpcOptions): RpcConfig {
  const bootstrap = options.bootstrap === false ? [] : options.bootstrap ?? [];
  return {
    bootstrap: bootstrap.map(bootstrapNode),
    isForcedPersistent: options.ephemeral === false,
    isAdaptive: options.ephemeral === undefined && options.adaptive !== false,
    firewalled: options.firewalled ?? true,
    quickFirewall: options.quickFirewall ?? true,
    concurrency: atLeast("concurrency", options.concurrency ?? QUERY_CONCURRENCY, 1),
    maxWindow: atLeast("maxWindow", options.maxWindow ?? MAX_WINDOW, 1),
    maxPingDelayMs: atLeast("maxPingDelayMs", options.maxPingDelayMs ?? MAX_PING_DELAY_MS, 0),
    adaptiveTimeout: options.adaptiveTimeout ?? true,
    sendDownHints: options.sendDownHints ?? true,
    downHintsPerTick: atLeast("downHintsPerTick", options.downHintsPerTick ?? DOWN_HINTS_PER_TICK, 0),
    maxForwardsPerSecond: atLeast(
      "maxForwardsPerSecond",
      options.maxForwardsPerSecond ?? FORWARDS_PER_SECOND,
      0,
    ),
    filterNode: options.filterNode ?? (() => true),
    ownAddress: options.ownAddress,
  };
}

/**
 * What makes a node the first of a network of its own: it is persistent at once, because it is told where others see it.
 *
 * @throws {TypeError} if `address` is none that others can write to.
 */
export function bootstrapperOptions(
  { host, port }: { readonly host: string; readonly port: number },
): RpcOptions {
  const ownAddress = SocketAddress.of(host, port);
  if (ownAddress.family !== 4 || ownAddress.bits === 0 || port === 0) {
    throw new TypeError(`Expected an IPv4 address and a port that others can write to, got ${host}:${port}`);
  }
  return { port, ownAddress, ephemeral: false, firewalled: false, anyPort: false, bootstrap: false };
}
