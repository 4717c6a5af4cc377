/**
 * How peers reach each other, as interfaces for authors of plug-ins: a {@linkcode Transport} opens byte pipes to
 * addresses, a {@linkcode Discovery} finds the addresses. Neither has to do any encryption: that happens above, once,
 * the same for all.
 */
import type { Connection } from "../core/stream/connection.ts";
import type { Duplex } from "../core/stream/duplex.ts";
import type { NoiseSession } from "../core/stream/secret_options.ts";

export type { NoiseSession };

/** A byte pipe to another machine, not yet encrypted. */
export interface Link {
  /** The pipe. */
  readonly duplex: Duplex;
  /** The other end, as `<scheme>:...`. */
  readonly remoteAddress: string;
  /** Set if dialing has already authenticated both sides. */
  readonly session?: NoiseSession;
  /**
   * Set if the transport encrypts by itself, in hypha's way: an open connection, to be used as it is. {@linkcode duplex} is then
   * its pipe of messages, and taking that locks the connection's other faces.
   */
  readonly connection?: Connection;
}

/** A place that accepts links until it is disposed of. */
export interface Listener extends AsyncDisposable {
  /** Where others can dial it now, as `<scheme>:...`, the most useful first. */
  readonly addresses: readonly string[];
}

/** A way to open byte pipes. */
export interface Transport {
  /** The part before the colon of the addresses that it dials: `udx`, `tcp`, `memory`, `tor`... */
  readonly scheme: string;
  /**
   * Opens a pipe to `address`.
   *
   * @throws {ConnectError} if there is no way, {@linkcode TypeError} if the address makes no sense, `signal.reason` if aborted.
   */
  dial(address: string, options: { readonly signal?: AbortSignal }): Promise<Link>;
  /** Accepts pipes. `onLink` owns each link that it is given; until it attaches to the pipe, data waits, bounded. */
  listen(onLink: (link: Link) => void, options: { readonly signal?: AbortSignal }): Promise<Listener>;
}

/** A peer, and where it was seen. */
export interface PeerRecord {
  /** The peer's Ed25519 key, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Its addresses, as `<scheme>:...`, unverified. */
  readonly addresses: readonly string[];
}

/** A way to find peers. */
export interface Discovery {
  /** The peers that announced `topic` (32 bytes), as they are found; ends when no more will come for now. */
  lookup(topic: Uint8Array, options: { readonly signal?: AbortSignal }): AsyncIterable<PeerRecord>;
  /** Announces `self` under `topic` until the result is disposed of. */
  announce(
    topic: Uint8Array,
    self: PeerRecord,
    options: { readonly signal?: AbortSignal },
  ): Promise<AsyncDisposable>;
}
