/**
 * A node of the DHT for one run of a command.
 */
import { blake2b } from "../core/crypto/hash.ts";
import type { Runtime } from "../core/runtime/runtime.ts";
import { loadSystemRuntime } from "../core/system_runtime.ts";
import { Dht } from "../dht/dht.ts";
import { fromHex } from "../encoding/mod.ts";
import { lookupHost, udpNetwork } from "../transports/udp/mod.ts";

/** What the commands that use the DHT are told. */
export interface DhtCommandOptions {
  /** Nodes to begin with, as `host:port`; the public network without them. */
  readonly bootstrap?: readonly string[];
  /** 64 hexadecimal digits that the identity is made of; a fresh one without them. */
  readonly seed?: string;
  /** The address to bind. */
  readonly host: string;
}

/** Reads `host:port,host:port`. @throws {TypeError} if that is not what it is. */
export function parseBootstrap(text: string): string[] {
  return text.split(",").map((node) => {
    const port = Number(node.slice(node.lastIndexOf(":") + 1));
    if (!/^[^:]+:\d+$/.test(node) || port === 0 || port > 65535) {
      throw new TypeError(`Expected host:port or several with commas between, got ${JSON.stringify(node)}`);
    }
    return node;
  });
}

/** Reads 32 bytes. @throws {TypeError} if that is not what they are. */
export function parseSeed(text: string): Uint8Array {
  if (!/^[0-9a-fA-F]{64}$/.test(text)) throw new TypeError("A seed is 64 hexadecimal digits");
  return fromHex(text);
}

/** The topic that `text` means: itself if it is 64 hexadecimal digits, else its BLAKE2b hash. */
export function topicOf(runtime: Runtime, text: string): Uint8Array {
  if (/^[0-9a-fA-F]{64}$/.test(text)) return fromHex(text);
  return blake2b(runtime.crypto, [new TextEncoder().encode(text)]);
}

/** Opens a node that goes with the program, and serves others only as far as it must. */
export async function openDht(
  options: DhtCommandOptions,
): Promise<{ readonly runtime: Runtime; readonly dht: Dht }> {
  const runtime = await loadSystemRuntime();
  const dht = new Dht(runtime, udpNetwork({ needTtl: true }), {
    host: options.host,
    port: 0,
    lookup: (host: string, port: number) => lookupHost(host, port, { family: 4 }),
    ...(options.bootstrap === undefined ? {} : { bootstrap: options.bootstrap }),
    ...(options.seed === undefined ? {} : { seed: parseSeed(options.seed) }),
  });
  await dht.open();
  return { runtime, dht };
}
