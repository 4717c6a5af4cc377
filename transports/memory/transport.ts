/**
 * Reliable byte links between hosts of a simulated network: what TCP would be there. They take the time of the path, break
 * when it breaks, and pass all NATs.
 */
import { throwIfAborted } from "../../core/runtime/async.ts";
import { ConnectError } from "../../core/runtime/errors.ts";
import type { Clock } from "../../core/runtime/runtime.ts";
import { duplexPair } from "../../core/stream/duplex_pair.ts";
import type { Link, Listener, Transport } from "../transport.ts";
import type { SimulatedHost } from "./host.ts";

/** How long a dial into the void takes. */
const DIAL_TIMEOUT_MS = 5000;
const MAX_MESSAGE_BYTES = 1152;

/** Resolves at the moment `at`, or rejects with the reason of `signal`. */
function wait(clock: Clock, at: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = clock.schedule(at, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    const onAbort = () => {
      timer.cancel();
      reject(signal!.reason);
    };
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/**
 * The transport of one host; addresses are `memory:<name of the host>:<number>`.
 *
 * @example
 * ```ts
 * import { macrotask } from "../../core/runtime/system.ts";
 * import { SeededRandom, VirtualClock } from "../../core/runtime/virtual.ts";
 * import { SimulatedNetwork } from "./network.ts";
 * import { MemoryTransport } from "./transport.ts";
 *
 * const clock = new VirtualClock();
 * const network = new SimulatedNetwork({ clock, random: new SeededRandom(1) });
 * const server = new MemoryTransport(network.host());
 * const client = new MemoryTransport(network.host());
 * const listener = await server.listen((link) => link.duplex.end(), {});
 * const dialing = client.dial(listener.addresses[0]!, {});
 * await clock.runAsync(macrotask);
 * const { duplex } = await dialing;
 * duplex.end();
 * ```
 */
export class MemoryTransport implements Transport {
  /** See {@linkcode Transport.scheme}. */
  readonly scheme = "memory";
  readonly #host: SimulatedHost;

  /** The transport of `host`. */
  constructor(host: SimulatedHost) {
    this.#host = host;
  }

  /** See {@linkcode Transport.dial}. Takes one round trip, or five seconds if the path is broken. */
  async dial(address: string, options: { readonly signal?: AbortSignal }): Promise<Link> {
    const { signal } = options;
    const remoteName = hostName(address);
    throwIfAborted(signal);
    const { network } = this.#host;
    const { clock } = network;
    const start = clock.now();
    const remote = network.hosts.find((host) => host.name === remoteName);
    if (remote === undefined || !network.isConnected(this.#host, remote)) {
      await wait(clock, start + DIAL_TIMEOUT_MS, signal);
      throw new ConnectError("TIMEOUT", `There is no way from ${this.#host.name} to ${address}`);
    }
    const latencyMs = network.latencyMs(this.#host, remote);
    await wait(clock, start + 2 * latencyMs, signal);
    const listener = network.directory.listenerAt(address);
    if (listener === undefined || !network.isConnected(this.#host, remote)) {
      throw new ConnectError("CONNECTION_REFUSED", `Nobody listens at ${address}`);
    }
    return this.#connect(address, listener.host, latencyMs, listener.onLink);
  }

  /** See {@linkcode Transport.listen}. */
  async listen(onLink: (link: Link) => void, options: { readonly signal?: AbortSignal }): Promise<Listener> {
    throwIfAborted(options.signal);
    const { directory } = this.#host.network;
    const address = directory.listen({ host: this.#host, onLink });
    return await Promise.resolve({
      addresses: [address],
      [Symbol.asyncDispose]: () => {
        directory.unlisten(address);
        return Promise.resolve();
      },
    });
  }

  #connect(address: string, remote: SimulatedHost, latencyMs: number, onLink: (link: Link) => void): Link {
    const { network } = this.#host;
    const pair = duplexPair({
      maxUnorderedBytes: MAX_MESSAGE_BYTES,
      latency: { clock: network.clock, ms: latencyMs },
    });
    const [near, far] = network.directory.track(this.#host, remote, pair);
    onLink({ duplex: far, remoteAddress: `memory:${this.#host.name}:0` });
    return { duplex: near, remoteAddress: address };
  }
}

/** @throws {TypeError} unless `address` is one of this transport. */
function hostName(address: string): string {
  const name = /^memory:(.+):\d{1,5}$/.exec(address)?.[1];
  if (name === undefined) {
    throw new TypeError(`${JSON.stringify(address)} is no memory address: expected memory:<host>:<number>`);
  }
  return name;
}
