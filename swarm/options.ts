/**
 * What a swarm can be told, and what it makes of it.
 */
import { randomKeyPair, requireKeyPair } from "../core/crypto/keys.ts";
import type { KeyPair } from "../core/runtime/crypto_provider.ts";
import type { Runtime } from "../core/runtime/runtime.ts";
import type { Tracer } from "../core/runtime/trace.ts";
import type { PeerDiscovery, PeerTransport, SwarmDht } from "./abilities.ts";
import { BACKOFFS_MS, KEEP_ALIVE_MS, MAX_PARALLEL, MAX_PEERS, MAX_SERVER_CONNECTIONS } from "./constants.ts";
import type { FirewallFunction } from "./firewall.ts";

/** Whom to ask for relaying, for one peer. */
export interface RelayRequest {
  /** The key of that peer. */
  readonly publicKey: Uint8Array;
  /** Whether there is no way without: a direct dial has failed, or the own NAT forbids it. */
  readonly isForced: boolean;
}

/** Public keys of relays, used when there is no other way; or a function that chooses for each dial. */
export type RelayPolicy =
  | readonly Uint8Array[]
  | ((request: RelayRequest) => readonly Uint8Array[] | undefined);

/** Options of a `Swarm`. */
export interface SwarmOptions {
  /** A distributed hash table: a transport and a discovery in one, with all abilities. */
  readonly dht?: SwarmDht;
  /** Further ways to reach peers. */
  readonly transports?: readonly PeerTransport[];
  /** Further ways to find peers. Without any, peers are met by {@linkcode Swarm.joinPeer} and by their own dialing. */
  readonly discoveries?: readonly PeerDiscovery[];
  /** The identity; a fresh one by default. */
  readonly keyPair?: KeyPair;
  /**
   * Whether connections carry channels (`connection.mux`), as they do for replication. Both sides then prove to each other
   * which topics they share; without channels a connection is a bare pipe of messages from the first to the last, and that is
   * not possible. All peers of a topic must choose alike. False by default.
   */
  readonly channels?: boolean;
  /** True keeps a peer out for ever. What throws, or takes longer than ten seconds, keeps it out once. */
  readonly firewall?: FirewallFunction;
  /** Relays for transports that can use them. */
  readonly relayThrough?: RelayPolicy;
  /** Connections after which no more are dialed; peers of `joinPeer` are always dialed. 64 by default. */
  readonly maxPeers?: number;
  /** Connections that this side has dialed or is dialing; no limit of its own by default. */
  readonly maxClientConnections?: number;
  /** Connections that others have dialed; what comes on top is refused, peers of `joinPeer` aside. 1024 by default. */
  readonly maxServerConnections?: number;
  /** Dials at a time; 3 by default. */
  readonly maxParallel?: number;
  /** Pauses before dialing again, short to very long, in milliseconds: 1000, 5000, 15000, 600000 by default. */
  readonly backoffsMs?: readonly [number, number, number, number];
  /** Milliseconds after which an idle connection shows that it is alive; 5000 by default, 0 = never. */
  readonly keepAliveMs?: number;
  /** Milliseconds of silence after which a peer counts as gone; 20000 by default, 0 = never. */
  readonly idleTimeoutMs?: number;
  /** Is told of every dial, refusal, lookup and announcement, and why they failed. */
  readonly trace?: Tracer;
}

/** A {@linkcode SwarmOptions} with every choice made. */
export interface SwarmConfig {
  readonly transports: readonly PeerTransport[];
  readonly discoveries: readonly PeerDiscovery[];
  readonly keyPair: KeyPair;
  readonly channels: boolean;
  readonly firewall: FirewallFunction | undefined;
  readonly relayThrough: RelayPolicy | undefined;
  readonly maxPeers: number;
  readonly maxClientConnections: number;
  readonly maxServerConnections: number;
  readonly maxParallel: number;
  readonly backoffsMs: readonly [number, number, number, number];
  readonly keepAliveMs: number;
  readonly idleTimeoutMs: number;
  readonly trace: Tracer | undefined;
}

const IDLE_TIMEOUT_MS = 20_000;

/** Completes `options`. @throws {TypeError} or {@linkcode RangeError} if they make no sense. */
export function resolveOptions(runtime: Runtime, options: SwarmOptions): SwarmConfig {
  const { dht } = options;
  const transports: PeerTransport[] = [...options.transports ?? [], ...dht === undefined ? [] : [dht]];
  const discoveries: PeerDiscovery[] = [...options.discoveries ?? [], ...dht === undefined ? [] : [dht]];
  if (transports.length === 0) {
    throw new TypeError("A swarm needs a way to reach peers: pass dht or transports");
  }
  const channels = options.channels ?? false;
  if (!channels && discoveries.some(({ knowsTopics }) => knowsTopics === false)) {
    throw new TypeError(
      "A discovery that finds all peers whatever the topic, as mDNS does, needs channels: true to sort them by topic",
    );
  }
  const keyPair = options.keyPair ?? randomKeyPair(runtime.crypto, runtime.random);
  requireKeyPair("keyPair", keyPair);
  return {
    transports,
    discoveries,
    keyPair,
    channels,
    firewall: options.firewall,
    relayThrough: options.relayThrough,
    maxPeers: count("maxPeers", options.maxPeers ?? MAX_PEERS),
    maxClientConnections: count("maxClientConnections", options.maxClientConnections ?? Infinity),
    maxServerConnections: count(
      "maxServerConnections",
      options.maxServerConnections ?? MAX_SERVER_CONNECTIONS,
    ),
    maxParallel: count("maxParallel", options.maxParallel ?? MAX_PARALLEL),
    backoffsMs: options.backoffsMs ?? BACKOFFS_MS,
    keepAliveMs: options.keepAliveMs ?? KEEP_ALIVE_MS,
    idleTimeoutMs: options.idleTimeoutMs ?? IDLE_TIMEOUT_MS,
    trace: options.trace,
  };
}

function count(name: string, value: number): number {
  if (!(value >= 0)) throw new RangeError(`${name} must be 0 or more, not ${value}`);
  return value;
}
