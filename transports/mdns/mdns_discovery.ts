/**
 * Finding the peers of the local network as a {@linkcode Discovery}, by multicast DNS: with no internet, no server and no more
 * than two peers.
 */
import { AsyncQueue, throwIfAborted } from "../../core/runtime/async.ts";
import { Driver } from "../../core/runtime/driver.ts";
import { ConnectError } from "../../core/runtime/errors.ts";
import type { Runtime, Timer } from "../../core/runtime/runtime.ts";
import { SocketAddress } from "../../encoding/address.ts";
import type { DatagramNetwork } from "../datagram.ts";
import { InterfaceWatcher, type NetworkInterface } from "../interfaces.ts";
import type { Discovery, PeerRecord } from "../transport.ts";
import { KEY_BYTES, MAX_PEERS, MDNS_PORT } from "./constants.ts";
import { type MdnsCounters, MdnsMachine, type MdnsTransmit, type PeerEvent } from "./mdns_machine.ts";
import { MdnsSockets } from "./mdns_sockets.ts";

/** Options of a {@linkcode MdnsDiscovery}. */
export interface MdnsDiscoveryOptions {
  /** How long a lookup goes on, in milliseconds; by default 1500, enough for two questions and their answers. */
  readonly lookupMs?: number;
  /** The port, for tests; all who are to meet need the same. 5353 by default, which is that of mDNS. */
  readonly port?: number;
}

const DEFAULT_LOOKUP_MS = 1500;
/** The pause before sockets that failed are opened again, in milliseconds. */
const RETRY_MS = 5000;

/**
 * Finds peers on the networks that this host is connected to, and tells them of own ones.
 *
 * It announces peers and never topics, which would tell everybody on the network what somebody is interested in:
 * {@linkcode announce} uses its topic for nothing, and {@linkcode lookup} yields every peer, whatever the topic. Whoever dials a
 * peer matches topics with it in private, after the handshake.
 *
 * Sockets are opened on first use and stay until {@linkcode close}.
 *
 * @example
 * ```ts
 * import { SeededRandom, VirtualClock } from "../../core/runtime/virtual.ts";
 * import { macrotask } from "../../core/runtime/system.ts";
 * import { SimulatedNetwork } from "../memory/mod.ts";
 * import { MdnsDiscovery } from "./mod.ts";
 *
 * // In a program: const runtime = await loadSystemRuntime(), network = udpNetwork({ needMulticast: true })
 * const runtime = { clock: new VirtualClock(), random: new SeededRandom(1) };
 * const network = new SimulatedNetwork(runtime);
 * const lan = network.router();
 * const alice = new MdnsDiscovery(runtime, network.host({ behind: lan }));
 * const bob = new MdnsDiscovery(runtime, network.host({ behind: lan }));
 *
 * const topic = new Uint8Array(32);
 * const self = { publicKey: new Uint8Array(32).fill(1), addresses: ["udx:0.0.0.0:4000"] };
 * void alice.announce(topic, self, {});
 * const finding = bob.peers().next();
 * await runtime.clock.runAsync(macrotask, { until: 1000 });
 * console.assert((await finding).value?.addresses[0]?.startsWith("udx:192.168."));
 * const closing = Promise.all([alice.close(), bob.close()]);
 * await runtime.clock.runAsync(macrotask, { until: 2000 });
 * await closing;
 * ```
 */
export class MdnsDiscovery implements Discovery, AsyncDisposable {
  /** It finds all peers of the LAN, whatever topic is asked for: who shares a topic shows after the handshake. */
  readonly knowsTopics: boolean = false;
  readonly #runtime: Pick<Runtime, "clock" | "random">;
  readonly #network: DatagramNetwork;
  readonly #lookupMs: number;
  readonly #port: number;
  readonly #machine: MdnsMachine;
  readonly #driver: Driver<PeerEvent>;
  readonly #browsers = new Set<AsyncQueue<PeerRecord>>();
  readonly #holders = new Set<number>();
  readonly #networkListeners = new Set<() => void>();
  readonly #retry: Timer;
  #sockets: MdnsSockets | undefined;
  #watcher: InterfaceWatcher | undefined;
  /** Opening and reopening, one after the other. */
  #opening: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  /** A discovery on all interfaces of `network`, whose sockets must be able to join multicast groups. */
  constructor(
    runtime: Pick<Runtime, "clock" | "random">,
    network: DatagramNetwork,
    options: MdnsDiscoveryOptions = {},
  ) {
    this.#runtime = runtime;
    this.#network = network;
    this.#lookupMs = options.lookupMs ?? DEFAULT_LOOKUP_MS;
    this.#port = options.port ?? MDNS_PORT;
    this.#machine = new MdnsMachine(runtime.random.fork("mdns"), this.#port);
    this.#retry = runtime.clock.schedule(Infinity, () => this.#refresh());
    const transmit: MdnsTransmit = {
      buffer: new Uint8Array(0),
      length: 0,
      to: SocketAddress.of("0.0.0.0", 0),
      ttl: 0,
      place: undefined,
    };
    this.#driver = new Driver(this.#machine, runtime.clock, {
      send: () => this.#send(transmit),
      onEvent: ({ peer }) => {
        for (const browser of this.#browsers) browser.push(peer);
      },
    }, transmit);
  }

  /** What has happened to messages. */
  get counters(): Readonly<MdnsCounters> {
    return this.#machine.counters;
  }

  /**
   * Announces `self` on the local network; `topic` stays private. Everywhere-addresses such as `udx:0.0.0.0:4000` are announced
   * as those of each interface, and addresses of one interface on that one only.
   *
   * @throws {ConnectError} if there is no interface to do it on; {@linkcode RangeError} if a length is wrong.
   */
  async announce(
    topic: Uint8Array,
    self: PeerRecord,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<AsyncDisposable> {
    requireTopic(topic);
    throwIfAborted(options.signal);
    await this.#open();
    throwIfAborted(options.signal);
    const holder = this.#machine.announce(this.#now(), self);
    this.#holders.add(holder);
    this.#driver.wake();
    return {
      [Symbol.asyncDispose]: async () => {
        if (!this.#holders.delete(holder)) return;
        this.#machine.withdraw(this.#now(), holder);
        await this.#flush();
      },
    };
  }

  /** All peers of the local network, as they are found, for {@linkcode MdnsDiscoveryOptions.lookupMs}; `topic` stays private. */
  async *lookup(
    topic: Uint8Array,
    options: { readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<PeerRecord> {
    requireTopic(topic);
    yield* this.#browse(this.#lookupMs, options.signal);
  }

  /** All peers of the local network, those that are known and then those that come, until the loop is left. */
  peers(options: { readonly signal?: AbortSignal } = {}): AsyncGenerator<PeerRecord> {
    return this.#browse(Infinity, options.signal);
  }

  /**
   * Calls `onChange` when the interfaces of the host have changed, until aborted: what is announced by then may name addresses
   * that the host has no more. Looks every few seconds, from the first use of the discovery on.
   */
  watchNetwork(onChange: () => void, options: { readonly signal: AbortSignal }): void {
    const listener = () => onChange();
    this.#networkListeners.add(listener);
    options.signal.addEventListener("abort", () => this.#networkListeners.delete(listener), { once: true });
  }

  /** Takes leave for all that is announced, ends all lookups and closes the sockets. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  /** See {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async *#browse(durationMs: number, signal: AbortSignal | undefined): AsyncGenerator<PeerRecord> {
    throwIfAborted(signal);
    await this.#open();
    throwIfAborted(signal);
    const { clock } = this.#runtime;
    const found = new AsyncQueue<PeerRecord>(MAX_PEERS);
    const onAbort = () => found.close(signal?.reason);
    const timer = clock.schedule(clock.now() + durationMs, () => found.close());
    signal?.addEventListener("abort", onAbort, { once: true });
    for (const peer of this.#machine.peers()) found.push(peer);
    this.#browsers.add(found);
    this.#machine.browse(this.#now());
    this.#driver.wake();
    try {
      yield* found;
    } finally {
      this.#machine.stopBrowsing();
      this.#browsers.delete(found);
      timer.cancel();
      signal?.removeEventListener("abort", onAbort);
    }
  }

  #now(): number {
    return this.#runtime.clock.now();
  }

  #send({ buffer, length, to, place }: MdnsTransmit): void {
    if (place !== undefined) this.#sockets?.send(place, buffer.subarray(0, length), to);
  }

  /** Resolves when what is to be sent now has been given to the sockets. */
  async #flush(): Promise<void> {
    this.#driver.wake();
    await new Promise<void>((resolve) => this.#runtime.clock.defer(resolve));
  }

  async #open(): Promise<void> {
    this.#requireOpen();
    this.#opening ??= this.#reopen();
    try {
      await this.#opening;
    } catch (error) {
      this.#opening = undefined;
      throw error;
    }
    this.#requireOpen();
    const list = () => this.#interfaces();
    this.#watcher ??= new InterfaceWatcher(this.#runtime.clock, () => this.#onInterfaces(), list);
  }

  #onInterfaces(): void {
    this.#refresh();
    for (const onChange of [...this.#networkListeners]) onChange();
  }

  /** Opens all sockets anew, now or, if that fails, in a while. */
  #refresh(): void {
    this.#opening = (this.#opening ?? Promise.resolve()).then(() => this.#reopen()).catch(() => {
      if (this.#closing === undefined) this.#retry.reset(this.#now() + RETRY_MS);
    });
  }

  async #reopen(): Promise<void> {
    await this.#sockets?.close();
    if (this.#closing !== undefined) return;
    const interfaces = this.#interfaces();
    this.#sockets = await MdnsSockets.open(this.#network, interfaces, this.#port, {
      onDatagram: (datagram, from) => this.#driver.handleDatagram(datagram, from),
      onError: () => this.#retry.reset(this.#now() + RETRY_MS),
    });
    const localHosts = new Set(interfaces.map(({ host }) => host));
    this.#machine.setPlaces(this.#now(), this.#sockets.places, localHosts);
    this.#driver.wake();
  }

  #interfaces(): readonly NetworkInterface[] {
    return this.#network.interfaces?.() ?? [];
  }

  #requireOpen(): void {
    if (this.#closing !== undefined) throw new ConnectError("SOCKET_CLOSED", "The discovery is closed");
  }

  async #close(): Promise<void> {
    this.#watcher?.close();
    for (const browser of this.#browsers) browser.close();
    await this.#opening?.catch(() => {});
    for (const holder of this.#holders) this.#machine.withdraw(this.#now(), holder);
    this.#holders.clear();
    await this.#flush();
    this.#retry.cancel();
    this.#driver.close();
    await this.#sockets?.close();
  }
}

/** @throws {RangeError} unless `topic` has 32 bytes. */
function requireTopic(topic: Uint8Array): void {
  if (topic.length === KEY_BYTES) return;
  throw new RangeError(`A topic must be ${KEY_BYTES} bytes, not ${topic.length}`);
}
