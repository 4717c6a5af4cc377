/**
 * Finding peers in a simulated network: a table that all hosts share, as far as they are connected.
 */
import { throwIfAborted } from "../../core/runtime/async.ts";
import type { Discovery, PeerRecord } from "../transport.ts";
import type { SimulatedHost } from "./host.ts";

const TOPIC_BYTES = 32;

/**
 * The discovery of one host. It finds what hosts announced that are connected to it now, in the order of announcing.
 *
 * @example
 * ```ts
 * import { SeededRandom, VirtualClock } from "../../core/runtime/virtual.ts";
 * import { MemoryDiscovery } from "./discovery.ts";
 * import { SimulatedNetwork } from "./network.ts";
 *
 * const network = new SimulatedNetwork({ clock: new VirtualClock(), random: new SeededRandom(1) });
 * const [a, b] = [new MemoryDiscovery(network.host()), new MemoryDiscovery(network.host())];
 * const topic = new Uint8Array(32);
 * const self = { publicKey: new Uint8Array(32), addresses: ["memory:host0:1"] };
 * await using _announcement = await a.announce(topic, self, {});
 * for await (const peer of b.lookup(topic, {})) console.assert(peer.addresses[0] === "memory:host0:1");
 * ```
 */
export class MemoryDiscovery implements Discovery {
  readonly #host: SimulatedHost;

  /** The discovery of `host`. */
  constructor(host: SimulatedHost) {
    this.#host = host;
  }

  /** See {@linkcode Discovery.lookup}. */
  async *lookup(topic: Uint8Array, options: { readonly signal?: AbortSignal }): AsyncGenerator<PeerRecord> {
    const { network } = this.#host;
    throwIfAborted(options.signal);
    for (const { host, record } of network.directory.records(topicKey(topic))) {
      throwIfAborted(options.signal);
      if (network.isConnected(this.#host, host)) yield copy(record);
    }
  }

  /** See {@linkcode Discovery.announce}. */
  async announce(
    topic: Uint8Array,
    self: PeerRecord,
    options: { readonly signal?: AbortSignal },
  ): Promise<AsyncDisposable> {
    throwIfAborted(options.signal);
    const { directory } = this.#host.network;
    const key = topicKey(topic);
    const record = { host: this.#host, record: copy(self) };
    directory.announce(key, record);
    return await Promise.resolve({
      [Symbol.asyncDispose]: () => {
        directory.unannounce(key, record);
        return Promise.resolve();
      },
    });
  }
}

function copy(record: PeerRecord): PeerRecord {
  return { publicKey: record.publicKey.slice(), addresses: [...record.addresses] };
}

/** @throws {RangeError} unless `topic` has 32 bytes. */
function topicKey(topic: Uint8Array): string {
  if (topic.length !== TOPIC_BYTES) {
    throw new RangeError(`A topic must be ${TOPIC_BYTES} bytes, not ${topic.length}`);
  }
  return String.fromCharCode(...topic);
}
