/**
 * The network of one run of a command: an identity, and the ways that it may use to find and to reach its peer.
 */
import { ConnectError, HyphaError, toError } from "../core/runtime/errors.ts";
import type { Runtime } from "../core/runtime/runtime.ts";
import type { KeyPair } from "../core/runtime/crypto_provider.ts";
import type { Connection } from "../core/stream/connection.ts";
import { loadSystemRuntime } from "../core/system_runtime.ts";
import type { Dht } from "../dht/mod.ts";
import { equals } from "../encoding/mod.ts";
import { withRelays } from "../swarm/abilities.ts";
import { Swarm } from "../swarm/mod.ts";
import { Dialer, type PeerListener } from "../transports/dialer.ts";
import { MdnsDiscovery } from "../transports/mdns/mod.ts";
import { TcpTransport } from "../transports/tcp/mod.ts";
import type { PeerRecord, Transport } from "../transports/transport.ts";
import { udpNetwork } from "../transports/udp/mod.ts";
import { UdxTransport } from "../transports/udx/mod.ts";
import { joinNetwork, openDht } from "./dht_node.ts";
import { isLoopback, type WayOptions } from "./options.ts";
import type { Reporter } from "./reporter.ts";
import { unhurried } from "./unhurried.ts";
import { isLanAddress } from "./way.ts";

/** What a node is told. */
export interface NodeOptions extends WayOptions {
  /** Whether the nodes of the DHT that are known at the end are kept for the next run. */
  readonly cache: boolean;
}

/** The ports that nobody has registered (RFC 6335). */
const FIRST_FREE_PORT = 49_152;
const FREE_PORTS = 65_536 - FIRST_FREE_PORT;
/** Ports that are tried when any will do. */
const PORT_TRIES = 8;

/** Connections of others under a topic, each of which may bring some memory with it. */
const MAX_STRANGERS = 64;

/** Where a {@linkcode CliNode} can be dialed. */
export interface Place extends PeerRecord {
  /** Whether the DHT leads to it, so that the key is enough. */
  readonly isInDht: boolean;
}

/** See the head of the file. */
export class CliNode implements AsyncDisposable {
  /** The host's time, chance and cryptography. */
  readonly runtime: Runtime;
  readonly #options: NodeOptions;
  readonly #reporter: Reporter;
  readonly #keyPair: KeyPair;
  readonly #dht: Dht | undefined;
  readonly #mdns: MdnsDiscovery | undefined;
  readonly #failed = Promise.withResolvers<never>();
  #joined: Promise<boolean> = Promise.resolve(false);
  /** To be closed, the last one first. */
  readonly #open: AsyncDisposable[] = [];

  private constructor(runtime: Runtime, options: NodeOptions, reporter: Reporter, dht: Dht | undefined) {
    this.runtime = runtime;
    this.#options = options;
    this.#reporter = reporter;
    this.#failed.promise.catch(() => {});
    this.#dht = dht;
    this.#keyPair = dht?.keyPair ?? runtime.crypto.keyPair(runtime.random.fill(new Uint8Array(32)));
    if (!isLoopback(options.host)) {
      this.#mdns = new MdnsDiscovery(runtime, udpNetwork({ needMulticast: true }));
      this.#open.push(this.#mdns);
    }
  }

  /** Makes a node with a fresh identity. */
  static async make(options: NodeOptions, reporter: Reporter): Promise<CliNode> {
    if (!options.dht || options.lanOnly === true) {
      return new CliNode(await loadSystemRuntime(), options, reporter, undefined);
    }
    const { runtime, dht } = await openDht(options);
    return new CliNode(runtime, options, reporter, dht);
  }

  /** Accepts connections in all ways, until the node is closed. */
  async listen(
    port: number,
    onConnection: (connection: Connection) => void,
    signal: AbortSignal,
  ): Promise<Place> {
    const { record } = await this.#listenAt(port, onConnection);
    const { publicKey } = this.#keyPair;
    if (this.#mdns !== undefined) {
      // Without a network there is nobody to tell.
      await this.#mdns.announce(publicKey, record).catch((error) => this.#requireLan(error));
    }
    const isInDht = this.#dht !== undefined &&
      await joinNetwork(this.#dht, this.#options, this.#reporter, signal);
    if (isInDht) this.#open.push(await this.#dialer([this.#inDht(this.#dht!)]).listen(onConnection));
    return { ...record, isInDht };
  }

  /**
   * Connects to a peer by all ways at once, and takes the first that works: its addresses, the DHT, the local network.
   *
   * @throws {ConnectError} that says why, for each way.
   */
  async connect(peer: PeerRecord, signal: AbortSignal): Promise<Connection> {
    const { publicKey } = peer;
    const isLanOnly = this.#options.lanOnly === true;
    const addresses = isLanOnly ? peer.addresses.filter(isLanAddress) : peer.addresses;
    const dialer = this.#dialer(this.#transports(0));
    const ways: ((signal: AbortSignal) => Promise<Connection>)[] = [];
    if (addresses.length > 0) {
      ways.push((signal) => dialer.connect({ publicKey, addresses }, { signal }));
    }
    if (this.#dht !== undefined) {
      const dht = this.#dht;
      const inDht = { publicKey, addresses: [dht.addressOf(publicKey)] };
      ways.push((signal) => this.#dialer([this.#inDht(dht)]).connect(inDht, { signal }));
    }
    if (this.#mdns !== undefined) ways.push((signal) => this.#connectInLan(dialer, publicKey, signal));
    if (ways.length === 0) {
      throw new ConnectError(
        "PEER_NOT_FOUND",
        "The ticket has no addresses, and nothing else may be used: leave --no-dht out, or ask for a ticket with --hints",
      );
    }
    return await firstOf(ways, signal);
  }

  /** Joins all who know `topic`, until the node is closed. What keeps this side from being reached rejects {@linkcode failed}. */
  join(topic: Uint8Array, port: number, signal: AbortSignal): Swarm {
    const swarm = this.swarm(port, signal);
    swarm.join(topic);
    swarm.listen().catch((error) => this.#failed.reject(error));
    return swarm;
  }

  /** A swarm of this identity, in no topic yet, until the node is closed. Connections carry channels. */
  swarm(port: number, signal: AbortSignal): Swarm {
    const swarm = new Swarm(this.runtime, {
      transports: this.#transports(port),
      discoveries: this.#mdns === undefined ? [] : [this.#mdns],
      keyPair: this.#keyPair,
      channels: true,
      maxServerConnections: MAX_STRANGERS,
      ...(this.#options.relay === undefined ? {} : { relayThrough: () => this.#options.relay }),
      ...(this.#dht === undefined ? {} : { dht: unhurried(this.runtime.clock, this.#dht) }),
    });
    this.#open.push(swarm);
    if (this.#dht !== undefined) {
      // Whoever is in the local network is found meanwhile.
      this.#joined = joinNetwork(this.#dht, this.#options, this.#reporter, signal).catch(() => false);
    }
    return swarm;
  }

  /** Rejects if what goes on by itself cannot. */
  get failed(): Promise<never> {
    return this.#failed.promise;
  }

  /** Resolves when the DHT was looked at, and tells whether any node has answered. */
  get joined(): Promise<boolean> {
    return this.#joined;
  }

  /** Closes all that was opened. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const open of this.#open.splice(0).reverse()) await open[Symbol.asyncDispose]();
    await this.#dht?.close();
  }

  async #connectInLan(dialer: Dialer, publicKey: Uint8Array, signal: AbortSignal): Promise<Connection> {
    let failure: Error | undefined;
    for await (const peer of this.#mdns!.lookup(publicKey, { signal })) {
      if (!equals(peer.publicKey, publicKey)) continue;
      try {
        return await dialer.connect(peer, { signal });
      } catch (error) {
        failure = toError(error);
      }
    }
    throw failure ?? new ConnectError("PEER_NOT_FOUND", "Nobody in the local network has this key");
  }

  async #listenAt(port: number, onConnection: (connection: Connection) => void): Promise<PeerListener> {
    for (let tries = 1;; tries++) {
      // UDP and TCP share it, which keeps tickets short.
      const tried = port === 0 ? FIRST_FREE_PORT + this.runtime.random.below(FREE_PORTS) : port;
      try {
        const listener = await this.#dialer(this.#transports(tried)).listen(onConnection);
        this.#open.push(listener);
        return listener;
      } catch (error) {
        const isTaken = error instanceof HyphaError && error.code === "ADDRESS_IN_USE";
        if (!isTaken || port !== 0 || tries === PORT_TRIES) throw error;
      }
    }
  }

  /** UDX and, for networks that let no UDP through, TCP. */
  #transports(port: number): (UdxTransport | TcpTransport)[] {
    const options = { host: this.#options.host, port };
    const transports = [
      new UdxTransport(this.runtime, udpNetwork(), options),
      new TcpTransport(this.runtime, options),
    ];
    this.#open.push(...transports);
    return transports;
  }

  /** The DHT as this identity uses it, by way of the relays if there are any. */
  #inDht(dht: Dht): Transport {
    const { relay } = this.#options;
    if (relay === undefined) return dht;
    return withRelays(dht.forIdentity({ keyPair: this.#keyPair, relaysFor: () => relay }), relay);
  }

  #dialer(transports: readonly Transport[]): Dialer {
    return new Dialer(this.runtime, { transports, keyPair: this.#keyPair });
  }

  #requireLan(error: unknown): void {
    if (this.#options.lanOnly === true) throw error;
  }
}

/** The first connection of several ways; the others are given up. */
async function firstOf(
  ways: readonly ((signal: AbortSignal) => Promise<Connection>)[],
  outer: AbortSignal,
): Promise<Connection> {
  const won = new AbortController();
  const signal = AbortSignal.any([outer, won.signal]);
  const attempts = ways.map((way) => way(signal));
  try {
    const winner = await Promise.any(attempts);
    for (const attempt of attempts) {
      attempt.then((connection) => connection === winner || connection.abort(), () => {});
    }
    return winner;
  } catch (error) {
    outer.throwIfAborted();
    throw summarize((error as AggregateError).errors.map(toError));
  } finally {
    won.abort(new ConnectError("ABORTED", "Another way to the peer was faster, or all were given up"));
  }
}

/** One error for all ways: the only one, the one that is conclusive, or a list. */
function summarize(errors: readonly Error[]): Error {
  const isCode = (code: string) => (error: Error) => error instanceof HyphaError && error.code === code;
  const conclusive = errors.find(isCode("WRONG_PEER"));
  if (conclusive !== undefined) return conclusive;
  if (errors.length === 1) return errors[0]!;
  const code = errors.every(isCode("PEER_NOT_FOUND")) ? "PEER_NOT_FOUND" : "PEER_CONNECTION_FAILED";
  const reasons = errors.map(({ message }) => `\n  - ${message.replaceAll("\n", "\n  ")}`).join("");
  return new ConnectError(code, `No way leads to the peer:${reasons}`, { cause: errors[0] });
}
