/**
 * A node of the DHT for one run of a command.
 */
import { blake2b } from "../core/crypto/hash.ts";
import { abortable } from "../core/runtime/async.ts";
import { ConnectError } from "../core/runtime/errors.ts";
import type { Runtime } from "../core/runtime/runtime.ts";
import { loadSystemRuntime } from "../core/system_runtime.ts";
import { Dht } from "../dht/dht.ts";
import type { DhtOptions } from "../dht/dht_options.ts";
import { fromHex } from "../encoding/mod.ts";
import { lookupHost, udpNetwork } from "../transports/udp/mod.ts";
import { cacheFile, cacheFolder, NodeCache } from "./node_cache.ts";
import type { Reporter } from "./reporter.ts";

/** What the commands that use the DHT are told. */
export interface DhtCommandOptions {
  /** Nodes to begin with, as `host:port`; the public network without them. */
  readonly bootstrap?: readonly string[];
  /** 32 bytes that the identity is made of; a fresh one without them. */
  readonly seed?: Uint8Array;
  /** The address to bind. */
  readonly host: string;
  /** Whether the nodes that are known at the end are kept for the next run. */
  readonly cache: boolean;
}

/** The topic that `text` means: itself if it is 64 hexadecimal digits, else its BLAKE2b hash. */
export function topicOf(runtime: Runtime, text: string): Uint8Array {
  if (/^[0-9a-fA-F]{64}$/.test(text)) return fromHex(text);
  return blake2b(runtime.crypto, [new TextEncoder().encode(text)]);
}

/** Opens a node that goes with the program; as long as `extra` says nothing else, it serves others only as far as it must. */
export async function openDht(
  options: DhtCommandOptions,
  extra: DhtOptions = {},
): Promise<{ readonly runtime: Runtime; readonly dht: Dht }> {
  const { bootstrap, host, seed } = options;
  const runtime = await loadSystemRuntime();
  const dht = new Dht(runtime, udpNetwork({ needTtl: true }), {
    host,
    port: 0,
    lookup: (name: string, port: number) => lookupHost(name, port, { family: 4 }),
    ...(options.cache ? { store: new NodeCache(cacheFolder(), cacheFile(bootstrap)) } : {}),
    ...(bootstrap === undefined ? {} : { bootstrap }),
    ...(seed === undefined ? {} : { seed }),
    ...extra,
  });
  await dht.open();
  return { runtime, dht };
}

/** @throws {ConnectError} `TOO_FEW_NODES` if nobody has answered anything so far. */
export function requireAnswers(dht: Dht, { bootstrap }: Pick<DhtCommandOptions, "bootstrap">): void {
  if (dht.rpc.stats.requests.replies > 0) return;
  const asked = bootstrap === undefined ? "the public DHT" : bootstrap.join(" or ");
  const hint = bootstrap === undefined ? "" : ", and that the address is right";
  throw new ConnectError(
    "TOO_FEW_NODES",
    `No answer from ${asked}: check that UDP gets out of this network${hint}`,
  );
}

/** Waits until the node has looked around, or `signal` aborts: true if there is anybody, else it warns. */
export async function joinNetwork(
  dht: Dht,
  options: Pick<DhtCommandOptions, "bootstrap">,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<boolean> {
  await abortable(dht.ready(), signal);
  try {
    requireAnswers(dht, options);
    return true;
  } catch (error) {
    const { code, message } = error as ConnectError;
    reporter.report({ event: "warning", code, message });
    return false;
  }
}
