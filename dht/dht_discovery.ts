/** HyperDHT as a `Discovery`: topics lead to peers, whom the node itself can dial. */
import type { KeyPair } from "../core/runtime/crypto_provider.ts";
import { equals } from "../encoding/bytes.ts";
import { toHex } from "../encoding/text.ts";
import type { SocketAddress } from "../encoding/address.ts";
import type { Discovery, PeerRecord } from "../transports/transport.ts";
import { DHT_SCHEME, formatDhtAddress, parseDhtAddress } from "./address.ts";
import { MAX_FOUND_PEERS } from "./constants.ts";
import type { DhtContext, DhtService } from "./context.ts";
import type { FoundPeers } from "./record_client.ts";
import type { Query } from "./rpc/query.ts";
import type { Identity } from "./signers.ts";
import { TopicAnnouncement } from "./topic_announcement.ts";

/** See the head of the file. */
export class DhtDiscovery implements Discovery {
  readonly #context: DhtContext;
  /** Who is announced besides the node and its servers, by key. */
  readonly #identities = new Map<string, KeyPair>();

  /** The discovery of a node. */
  constructor(context: DhtContext) {
    this.#context = context;
  }

  /** Lets the owner of a key be announced before it listens. */
  add(keyPair: KeyPair): void {
    this.#identities.set(toHex(keyPair.publicKey), keyPair);
  }

  /** See `Discovery`. @throws {RangeError} if a topic has not 32 bytes. */
  lookup(topic: Uint8Array, options: { readonly signal?: AbortSignal }): AsyncIterable<PeerRecord> {
    return distinctPeers(this.#context.client.lookup(topic, options));
  }

  /** See `Discovery`. @throws {TypeError} if nobody here has the key of `self`. */
  async announce(
    topic: Uint8Array,
    self: PeerRecord,
    options: { readonly signal?: AbortSignal },
  ): Promise<AsyncDisposable> {
    const { signal } = options;
    signal?.throwIfAborted();
    const { runtime, client, services } = this.#context;
    const given = relaysOf(self);
    const announcement = new TopicAnnouncement(runtime, client, {
      topic,
      identity: this.#identityOf(self.publicKey),
      relayAddresses: () => this.#serviceOf(self.publicKey)?.relayAddresses ?? given,
    }, () => services.delete(announcement));
    services.add(announcement);
    const onAbort = () => void announcement.stop();
    signal?.addEventListener("abort", onAbort, { once: true });
    await announcement.start();
    signal?.removeEventListener("abort", onAbort);
    signal?.throwIfAborted();
    return announcement;
  }

  #serviceOf(publicKey: Uint8Array): DhtService | undefined {
    for (const service of this.#context.services) {
      if (service.identity !== undefined && equals(service.identity.publicKey, publicKey)) return service;
    }
    return undefined;
  }

  #identityOf(publicKey: Uint8Array): Identity {
    const { keyPair } = this.#context;
    const identity = this.#serviceOf(publicKey)?.identity ?? this.#identities.get(toHex(publicKey));
    if (identity !== undefined) return identity;
    if (equals(publicKey, keyPair.publicKey)) return keyPair;
    throw new TypeError(
      "The node can announce itself and servers that listen on it: sign for others with records.announce",
    );
  }
}

/**
 * The peers that `query` finds, each once. What several nodes say about a peer is not merged: the first to name it decides about
 * its relays, and who dials looks for others if these do not know the peer.
 */
async function* distinctPeers(query: Query<FoundPeers>): AsyncGenerator<PeerRecord> {
  const seen = new Set<string>();
  for await (const { peers } of query) {
    for (const peer of peers) {
      const key = toHex(peer.publicKey);
      if (seen.has(key)) continue;
      if (seen.size >= MAX_FOUND_PEERS) return;
      seen.add(key);
      yield { publicKey: peer.publicKey, addresses: [formatDhtAddress(peer)] };
    }
  }
}

/** The relays that the `dht:` address of a peer names. */
function relaysOf({ addresses }: PeerRecord): readonly SocketAddress[] {
  const own = addresses.find((address) => address.startsWith(`${DHT_SCHEME}:`));
  return own === undefined ? [] : parseDhtAddress(own).relayAddresses;
}
