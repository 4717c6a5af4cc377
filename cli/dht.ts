/**
 * `hypha dht`: values and announcements in the DHT, by hand.
 */
import type { Dht } from "../dht/dht.ts";
import { formatKey, parseKey, toHex } from "../encoding/mod.ts";
import { type DhtCommandOptions, openDht, topicOf } from "./dht_node.ts";
import type { Reporter } from "./reporter.ts";

/** What `hypha dht put` is told. */
export interface PutOptions extends DhtCommandOptions {
  /** The sequence number of a value under the key of `seed`; it must grow. */
  readonly seq: number;
}

async function withDht(options: DhtCommandOptions, body: (dht: Dht) => Promise<void>): Promise<void> {
  const { dht } = await openDht(options);
  try {
    await dht.ready();
    await body(dht);
  } finally {
    await dht.close();
  }
}

/** Puts a value: under its hash, or with a seed under the public key of that. */
export async function dhtPut(value: string, options: PutOptions, reporter: Reporter): Promise<void> {
  await withDht(options, async (dht) => {
    const bytes = new TextEncoder().encode(value);
    if (options.seed === undefined) {
      const { hash } = await dht.records.immutablePut(bytes);
      reporter.report({ event: "stored", key: toHex(hash) });
    } else {
      await dht.records.mutablePut(dht.keyPair, bytes, { seq: options.seq });
      reporter.report({ event: "stored", key: formatKey(dht.keyPair.publicKey) });
    }
  });
}

/** Gets the value of a hash, or of a public key. */
export async function dhtGet(key: string, options: DhtCommandOptions, reporter: Reporter): Promise<void> {
  await withDht(options, async (dht) => {
    const bytes = parseKey(key);
    const found = await dht.records.immutableGet(bytes) ?? await dht.records.mutableGet(bytes);
    if (found === undefined) throw new TypeError(`No node has a value for ${key}: it may have expired`);
    reporter.report({ event: "value", key, value: new TextDecoder().decode(found.value) });
  });
}

/** Tells who has announced a topic. */
export async function dhtLookup(
  topic: string,
  options: DhtCommandOptions,
  reporter: Reporter,
): Promise<void> {
  const { runtime, dht } = await openDht(options);
  try {
    await dht.ready();
    const seen = new Set<string>();
    for await (const { publicKey } of dht.lookup(topicOf(runtime, topic))) {
      const peer = formatKey(publicKey);
      if (seen.has(peer)) continue;
      seen.add(peer);
      reporter.report({ event: "peer", peer });
    }
  } finally {
    await dht.close();
  }
}

/** Announces a topic until interrupted. */
export async function dhtAnnounce(
  topic: string,
  options: DhtCommandOptions,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  const { runtime, dht } = await openDht(options);
  try {
    await dht.ready();
    const { publicKey } = dht.keyPair;
    const announcement = await dht.announce(topicOf(runtime, topic), { publicKey, addresses: [] }, {
      signal,
    });
    reporter.report({ event: "announced", topic, peer: formatKey(publicKey) });
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    await announcement[Symbol.asyncDispose]();
    signal.throwIfAborted();
  } finally {
    await dht.close();
  }
}
