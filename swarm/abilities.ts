/**
 * What transports and discoveries may be able to do beyond their interfaces. Each ability is optional; a distributed hash table
 * has them all, a plain transport none.
 */
import type { KeyPair } from "../core/runtime/crypto_provider.ts";
import type { Discovery, Link, Transport } from "../transports/transport.ts";

/** Options of {@linkcode PeerTransport.dial}. */
export interface PeerDialOptions {
  /** Gives up. */
  readonly signal?: AbortSignal;
  /** Public keys of peers that may relay if there is no direct way; undefined = none may. */
  readonly relayThrough?: readonly Uint8Array[];
}

/** For whom a transport dials and listens, if it shakes hands itself. */
export interface SwarmIdentity {
  /** The key pair of the swarm. */
  readonly keyPair: KeyPair;
  /** Whether to turn this peer away before it costs anything more. */
  isDenied(remotePublicKey: Uint8Array): boolean | Promise<boolean>;
  /** Public keys of peers through which this peer may be met if need be. */
  relaysFor(remotePublicKey: Uint8Array): readonly Uint8Array[] | undefined;
}

/** A transport with more abilities than most. */
export interface PeerTransport extends Transport {
  /** As {@linkcode Transport.dial}, with hints. */
  dial(address: string, options: PeerDialOptions): Promise<Link>;
  /** The address of whoever owns a key, for a transport that finds peers by key alone. */
  addressOf?(publicKey: Uint8Array): string;
  /** The transport as `identity` uses it, for one that shakes hands itself and needs the keys for that. */
  forIdentity?(identity: SwarmIdentity): Transport;
  /** Whether peers cannot reach this host because its NAT changes ports at random: relays are then used unasked. */
  readonly isNatRandom?: boolean;
}

/** A discovery with something to tell about itself. */
export interface PeerDiscovery extends Discovery {
  /**
   * False if a lookup yields all peers, whatever the topic, as mDNS does to keep topics from the network. The swarm then shows
   * no connection before the peer has proven a topic in common. True by default.
   */
  readonly knowsTopics?: boolean;
}

/** What can be put to sleep. */
export interface Suspendable {
  /** Closes or silences all sockets. */
  suspend(): Promise<void>;
  /** Goes on. */
  resume(): Promise<void>;
}

/** What notices that the network has changed: another address, another interface, back online. */
export interface NetworkWatcher {
  /** Calls `onChange` for each change until `signal` aborts. */
  watchNetwork(onChange: () => void, options: { readonly signal: AbortSignal }): void;
}

/** A transport and discovery in one. */
export type SwarmDht = PeerTransport & PeerDiscovery & Partial<Suspendable & NetworkWatcher>;

/** Whether `part` can be suspended. */
export function isSuspendable(part: object): part is Suspendable {
  return "suspend" in part && "resume" in part;
}

/** Whether `part` watches the network. */
export function isNetworkWatcher(part: object): part is NetworkWatcher {
  return "watchNetwork" in part;
}

/** `transport` with the hint to dial through `relays`. */
export function withRelays(transport: PeerTransport, relays: readonly Uint8Array[]): Transport {
  return {
    scheme: transport.scheme,
    dial: (address, options) => transport.dial(address, { ...options, relayThrough: relays }),
    listen: (onLink, options) => transport.listen(onLink, options),
  };
}
