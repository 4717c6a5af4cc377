/**
 * `hypha dht`: values and announcements in the DHT, by hand.
 */
import { abortable } from "../core/runtime/async.ts";
import { ConnectError } from "../core/runtime/errors.ts";
import type { Runtime } from "../core/runtime/runtime.ts";
import type { Dht } from "../dht/dht.ts";
import { formatKey, parseKey, toHex } from "../encoding/mod.ts";
import { type DhtCommandOptions, openDht, requireAnswers, topicOf } from "./dht_node.ts";
import type { Reporter } from "./reporter.ts";
import { untilAborted } from "./until_aborted.ts";

/** What `hypha dht put` is told. */
export interface PutOptions extends DhtCommandOptions {
  /** The sequence number of a value under the key of `seed`; it must grow. */
  readonly seq: number;
}

/** Values may be as long as this, in bytes of UTF-8. */
const MAX_VALUE_BYTES = 1024;

async function withDht(
  options: DhtCommandOptions,
  signal: AbortSignal,
  body: (dht: Dht, runtime: Runtime) => Promise<void>,
): Promise<void> {
  const { dht, runtime } = await openDht(options);
  try {
    await abortable(body(dht, runtime), signal);
  } finally {
    await dht.close();
  }
}

/** Puts a value: under its hash, or with a seed under the public key of that. */
export async function dhtPut(
  value: string,
  options: PutOptions,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  const bytes = new TextEncoder().encode(value);
  if (bytes.length > MAX_VALUE_BYTES) {
    throw new RangeError(
      `The value has ${bytes.length} bytes: ${MAX_VALUE_BYTES} is the most that nodes keep`,
    );
  }
  await withDht(options, signal, async (dht) => {
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
export async function dhtGet(
  key: string,
  options: DhtCommandOptions,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  const bytes = parseKey(key);
  await withDht(options, signal, async (dht) => {
    const found = await firstValue([dht.records.immutableGet(bytes), dht.records.mutableGet(bytes)]);
    if (found === undefined) {
      throw new ConnectError("PEER_NOT_FOUND", `No node has a value for ${key}: it may have expired`);
    }
    reporter.report({ event: "value", key, value: new TextDecoder().decode(found.value) });
  });
}

/** The first that is found: a hash and a key look alike, so both are asked for. */
async function firstValue<T>(asked: readonly Promise<T | undefined>[]): Promise<T | undefined> {
  const found = asked.map((one) => one.then((value) => value ?? Promise.reject()));
  // Where none is found, what keeps the nodes from being asked is thrown.
  return await Promise.any(found).catch(() => Promise.all(asked).then(() => undefined));
}

/** Tells who has announced a topic. */
export async function dhtLookup(
  topic: string,
  options: DhtCommandOptions,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  await withDht(options, signal, async (dht, runtime) => {
    for await (const { publicKey } of dht.lookup(topicOf(runtime, topic))) {
      reporter.report({ event: "peer", peer: formatKey(publicKey) });
    }
    requireAnswers(dht, options);
  });
}

/** Announces a topic until interrupted. */
export async function dhtAnnounce(
  topic: string,
  options: DhtCommandOptions,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  await withDht(options, signal, async (dht, runtime) => {
    const { publicKey } = dht.keyPair;
    const self = { publicKey, addresses: [] };
    await using _announcement = await dht.announce(topicOf(runtime, topic), self, { signal });
    requireAnswers(dht, options);
    reporter.report({ event: "announced", topic, peer: formatKey(publicKey) });
    await untilAborted(signal);
  });
}
