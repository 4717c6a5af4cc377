/** What a caller may say about a node of HyperDHT, and what becomes of what is left unsaid. */
import type { KeyPair } from "../core/runtime/crypto_provider.ts";
import { randomKeyPair } from "../core/crypto/keys.ts";
import type { Runtime } from "../core/runtime/runtime.ts";
import type { Tracer } from "../core/runtime/trace.ts";
import { SocketAddress } from "../encoding/address.ts";
import {
  BOOTSTRAP_NODES,
  DEFAULT_PORT,
  KEEP_ALIVE_MS,
  MAX_PLUGIN_CALLS,
  MAX_VALUE_BYTES,
  PLUGIN_TIMEOUT_MS,
} from "./constants.ts";
import { RANDOM_INTERVAL_MS } from "./punch/constants.ts";
import type { RecordStoreOptions } from "./records.ts";
import type { RpcOptions } from "./rpc/rpc_options.ts";

/** Options of a `Dht`: those of the node below it, and these. */
export interface DhtOptions extends Omit<RpcOptions, "onRequest"> {
  /**
   * Ways into the network, as `host:port` or `address@host:port`; the public network by default. `false`: none, so that the node
   * waits to be found or uses `nodes` and `store`.
   */
  readonly bootstrap?: readonly (string | SocketAddress)[] | false;
  /** The server's port, or the first and the one behind the last to try; a number tries five. 49737 by default, 0 = any. */
  readonly port?: number | readonly [from: number, to: number];
  /** The identity of the node: drawn at random, or made of `seed`, by default. */
  readonly keyPair?: KeyPair;
  /** 32 bytes that the identity is made of, if there is no `keyPair`. */
  readonly seed?: Uint8Array;
  /** Milliseconds after which an idle connection shows that it is alive; 5000 by default, 0 = never. */
  readonly connectionKeepAliveMs?: number;
  /** Milliseconds between two punches at random ports; 20,000 by default. */
  readonly randomPunchIntervalMs?: number;
  /** Whether the first punch at random ports also has to wait for that interval; false by default. */
  readonly deferRandomPunch?: boolean;
  /** What the node keeps for others at the most. */
  readonly storage?: RecordStoreOptions;
  /** Milliseconds that a plug-in has for an answer; 1000 by default. */
  readonly pluginTimeoutMs?: number;
  /** Calls of one plug-in that are under way at once; 64 by default. */
  readonly maxPluginCalls?: number;
  /** Is told what happens inside. */
  readonly trace?: Tracer;
}

/** {@linkcode DhtOptions} with every choice made, as far as they are not those of the node below. */
export interface DhtConfig {
  /** See {@linkcode DhtOptions.connectionKeepAliveMs}. */
  readonly connectionKeepAliveMs: number;
  /** See {@linkcode DhtOptions.randomPunchIntervalMs}. */
  readonly randomPunchIntervalMs: number;
  /** See {@linkcode DhtOptions.deferRandomPunch}. */
  readonly deferRandomPunch: boolean;
  /** See {@linkcode DhtOptions.pluginTimeoutMs}. */
  readonly pluginTimeoutMs: number;
  /** See {@linkcode DhtOptions.maxPluginCalls}. */
  readonly maxPluginCalls: number;
  /** The longest value that is put or kept. */
  readonly maxValueBytes: number;
}

/**
 * Nodes of a test network that once got mixed in with the public one by accident; they give outdated answers (hyperdht 6.34.0,
 * index.js, `filterNode`).
 */
const MISLED_NODES: ReadonlySet<number | string> = new Set(
  ["134.209.28.98:49738", "167.99.142.185:49738", "35.233.47.252:9400"]
    .map((text) => SocketAddress.parse(text).key),
);
const MISLED_HOST = SocketAddress.of("150.136.142.116", 0).bits;

/** Whether a node is worth asking, by default. Asked of every node that others name, so that it makes no text. */
export function isWorthAsking(address: SocketAddress): boolean {
  return !MISLED_NODES.has(address.key) && !(address.family === 4 && address.bits === MISLED_HOST);
}

function atLeast(name: string, value: number, min: number): number {
  if (value >= min) return value;
  throw new RangeError(`${name} must be ${min} or more, not ${value}`);
}

/** Makes every choice that `options` leaves open. @throws {RangeError} for a number that makes no sense. */
export function resolveDhtOptions(options: DhtOptions): DhtConfig {
  return {
    connectionKeepAliveMs: atLeast(
      "connectionKeepAliveMs",
      options.connectionKeepAliveMs ?? KEEP_ALIVE_MS,
      0,
    ),
    randomPunchIntervalMs: atLeast(
      "randomPunchIntervalMs",
      options.randomPunchIntervalMs ?? RANDOM_INTERVAL_MS,
      0,
    ),
    deferRandomPunch: options.deferRandomPunch ?? false,
    pluginTimeoutMs: atLeast("pluginTimeoutMs", options.pluginTimeoutMs ?? PLUGIN_TIMEOUT_MS, 1),
    maxPluginCalls: atLeast("maxPluginCalls", options.maxPluginCalls ?? MAX_PLUGIN_CALLS, 1),
    maxValueBytes: atLeast("storage.maxValueBytes", options.storage?.maxValueBytes ?? MAX_VALUE_BYTES, 1),
  };
}

/** What the node below is told. */
export function rpcOptions(options: DhtOptions): RpcOptions {
  return {
    ...options,
    bootstrap: options.bootstrap ?? BOOTSTRAP_NODES,
    port: options.port ?? DEFAULT_PORT,
    filterNode: options.filterNode ?? isWorthAsking,
  };
}

/** The identity that `options` ask for. */
export function ownKeyPair(runtime: Runtime, { keyPair, seed }: DhtOptions): KeyPair {
  if (keyPair !== undefined) return keyPair;
  return seed === undefined
    ? randomKeyPair(runtime.crypto, runtime.random.fork("identity"))
    : runtime.crypto.keyPair(seed);
}
