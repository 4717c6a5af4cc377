/**
 * How the swarm dials: which addresses of a peer, over which transports, through which relays.
 */
import type { Runtime } from "../core/runtime/runtime.ts";
import { Dialer } from "../transports/dialer.ts";
import type { Transport } from "../transports/transport.ts";
import { type PeerTransport, withRelays } from "./abilities.ts";
import type { SwarmConfig } from "./options.ts";
import type { Peer } from "./peer.ts";

/** What to dial a peer with. */
export interface Route {
  /** Dials. */
  readonly dialer: Dialer;
  /** Where, the likeliest first. */
  readonly addresses: readonly string[];
}

/** See the head of the file. */
export class Routes {
  /** Dials without relays. */
  readonly dialer: Dialer;
  /** Accepts on each of the transports of `config`. */
  readonly listeningDialers: ReadonlyMap<PeerTransport, Dialer>;
  readonly #runtime: Runtime;
  readonly #config: SwarmConfig;
  readonly #transports: readonly PeerTransport[];

  /** Routes over the transports of `config`; those that shake hands themselves ask `isDenied`. */
  constructor(
    runtime: Runtime,
    config: SwarmConfig,
    isDenied: (publicKey: Uint8Array) => boolean | Promise<boolean>,
  ) {
    this.#runtime = runtime;
    this.#config = config;
    const identity = {
      keyPair: config.keyPair,
      isDenied,
      relaysFor: (publicKey: Uint8Array) => this.#relays(publicKey, false),
    };
    this.#transports = config.transports.map((transport) => transport.forIdentity?.(identity) ?? transport);
    this.dialer = this.#dialerOver(this.#transports);
    this.listeningDialers = new Map(
      config.transports.map((transport, i) => [transport, this.#dialerOver([this.#transports[i]!])]),
    );
  }

  /**
   * How to dial `peer` now, the addresses at which it was seen first. A transport that finds peers by key gets one of its
   * addresses, the latest: they all name the same peer, and differ in hints only.
   */
  to(peer: Peer): Route {
    const addresses = peer.addresses.filter((address) => !this.isByKey(address));
    for (const transport of this.#config.transports) {
      if (transport.addressOf === undefined) continue;
      const known = peer.addresses.find((address) => address.startsWith(`${transport.scheme}:`));
      addresses.push(known ?? transport.addressOf(peer.publicKey));
    }
    const relays = this.#relays(peer.publicKey, peer.needsRelay);
    if (relays === undefined || relays.length === 0) return { dialer: this.dialer, addresses };
    const relayed = this.#transports.map((transport) => withRelays(transport, relays));
    return { dialer: this.#dialerOver(relayed), addresses };
  }

  /** Whether `address` is that of a transport that finds peers by key, which is dialed in any case. */
  isByKey(address: string): boolean {
    return this.#config.transports.some(({ scheme, addressOf }) =>
      addressOf !== undefined && address.startsWith(`${scheme}:`)
    );
  }

  #dialerOver(transports: readonly Transport[]): Dialer {
    const { keyPair, keepAliveMs, idleTimeoutMs } = this.#config;
    return new Dialer(this.#runtime, { transports, keyPair, keepAliveMs, idleTimeoutMs });
  }

  #relays(publicKey: Uint8Array, hasFailed: boolean): readonly Uint8Array[] | undefined {
    const { relayThrough, transports } = this.#config;
    if (relayThrough === undefined) return undefined;
    const isForced = hasFailed || transports.some(({ isNatRandom }) => isNatRandom === true);
    if (typeof relayThrough === "function") return relayThrough({ publicKey, isForced });
    return isForced ? relayThrough : undefined;
  }
}
