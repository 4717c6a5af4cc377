/** HyperDHT as a `Transport`: whoever has a key is dialed by it, at `dht:<key>`, and what comes out is encrypted already. */
import type { KeyPair } from "../core/runtime/crypto_provider.ts";
import type { Link, Listener, Transport } from "../transports/transport.ts";
import { DHT_SCHEME, formatDhtAddress, parseDhtAddress } from "./address.ts";
import type { Connector } from "./connector.ts";
import type { DhtConnection } from "./dht_connection.ts";

/** As whom a {@linkcode DhtTransport} dials and listens. */
export interface TransportIdentity {
  /** The key pair. */
  readonly keyPair: KeyPair;
  /** Turns peers away before they cost anything more; all are welcome by default. */
  isDenied?(remotePublicKey: Uint8Array): boolean | Promise<boolean>;
  /** Public keys of blind relays at which a peer may be met, if need be; none by default. */
  relaysFor?(remotePublicKey: Uint8Array): readonly Uint8Array[] | undefined;
}

/** Options of {@linkcode DhtTransport.dial}. */
export interface DhtDialOptions {
  /** Gives up. */
  readonly signal?: AbortSignal;
  /** Blind relays at which the peer may be met. */
  readonly relayThrough?: readonly Uint8Array[];
}

/** See the head of the file. */
export class DhtTransport implements Transport {
  /** Always `dht`. */
  readonly scheme: string = DHT_SCHEME;
  readonly #connector: Connector;
  readonly #identity: TransportIdentity;

  /** A transport for one identity; the node may have others besides. */
  constructor(connector: Connector, identity: TransportIdentity) {
    this.#connector = connector;
    this.#identity = identity;
  }

  /** See {@linkcode Transport.dial}: finds the peer, and makes an encrypted connection on the best way to it. */
  async dial(address: string, options: DhtDialOptions): Promise<Link> {
    const { keyPair } = this.#identity;
    const connection = await this.#connector.connect(parseDhtAddress(address), { keyPair, ...options });
    return linkOf(connection);
  }

  /** See {@linkcode Transport.listen}: announces the key, so that peers need no address but that. */
  async listen(
    onLink: (link: Link) => void,
    options: { readonly signal?: AbortSignal },
  ): Promise<Listener> {
    options.signal?.throwIfAborted();
    const { keyPair } = this.#identity;
    const server = this.#connector.createServer({
      firewall: (publicKey) => this.#identity.isDenied?.(publicKey) ?? false,
      relayThrough: (publicKey) => this.#identity.relaysFor?.(publicKey),
    });
    server.on("connection", ({ detail }) => onLink(linkOf(detail.connection)));
    const onAbort = () => void server.close();
    options.signal?.addEventListener("abort", onAbort, { once: true });
    try {
      await server.listen(keyPair);
      options.signal?.throwIfAborted();
    } catch (error) {
      await server.close();
      throw error;
    } finally {
      options.signal?.removeEventListener("abort", onAbort);
    }
    return {
      get addresses() {
        const { relayAddresses } = server;
        return [formatDhtAddress({ publicKey: keyPair.publicKey, relayAddresses })];
      },
      [Symbol.asyncDispose]: () => server.close(),
    };
  }
}

function linkOf(connection: DhtConnection): Link {
  return {
    connection,
    // Taken only by those who want the bare pipe: after that, the connection itself can no longer be read or written.
    get duplex() {
      return connection.duplex;
    },
    remoteAddress: formatDhtAddress({ publicKey: connection.remotePublicKey, relayAddresses: [] }),
  };
}
