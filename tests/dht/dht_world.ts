/** Simulated networks of whole HyperDHT nodes. */
import type { Runtime } from "../../core/runtime/runtime.ts";
import { Dht } from "../../dht/dht.ts";
import type { DhtOptions } from "../../dht/dht_options.ts";
import { SocketAddress } from "../../encoding/address.ts";
import type { HostOptions, SimulatedHost } from "../../transports/memory/mod.ts";
import { PORT, World } from "./rpc/support.ts";

/** What a node is made with, and where. */
export interface DhtNodeOptions extends DhtOptions {
  readonly at?: SimulatedHost;
  readonly hostOptions?: HostOptions;
  /** Whether it becomes persistent in time. */
  readonly isAdaptive?: boolean;
  /** Time and chance of its own. */
  readonly runtime?: Runtime;
}

/** A network of {@linkcode Dht}s under a virtual clock. */
export class DhtWorld extends World {
  readonly dhts: Dht[] = [];
  readonly dhtHosts = new Map<Dht, SimulatedHost>();

  /** A node that is not open yet; ephemeral and at the first node of the network, if nothing else is said. */
  makeDht(options: DhtNodeOptions = {}): Dht {
    const { at, hostOptions, isAdaptive = false, runtime, ...rest } = options;
    const role = isAdaptive ? {} : { ephemeral: true };
    const host = at ?? this.host(hostOptions);
    const random = this.runtime.random.fork(`${host.name}/${this.dhts.length}`);
    const bootstrap = this.dhts.length === 0 ? false : [this.dhtAddress(this.dhts[0]!)];
    const dht = new Dht(runtime ?? { ...this.runtime, random }, host, {
      bootstrap,
      ...role,
      port: PORT,
      ...rest,
    });
    return this.#keep(dht, host);
  }

  /** A node that is open and has looked around. */
  async openDht(options: DhtNodeOptions = {}): Promise<Dht> {
    const dht = this.makeDht(options);
    await this.go(dht.open().then(() => dht.ready()));
    return dht;
  }

  /** `count` persistent nodes that know each other. */
  async dhtSwarm(count: number, options: DhtNodeOptions = {}): Promise<Dht[]> {
    const host = this.host();
    const random = this.runtime.random.fork("first");
    const address = { host: host.address, port: PORT };
    const first = this.#keep(Dht.bootstrapper({ ...this.runtime, random }, host, address, options), host);
    await this.go(first.open().then(() => first.ready()));
    const nodes = [first];
    while (nodes.length < count) {
      const batch = Array.from(
        { length: Math.min(count - nodes.length, Math.max(4, nodes.length)) },
        () => this.makeDht({ ephemeral: false, ...options }),
      );
      nodes.push(...batch);
      await this.go(Promise.all(batch.map((dht) => dht.open().then(() => dht.ready()))));
    }
    return nodes;
  }

  /** The public address of a node's server socket. */
  dhtAddress(dht: Dht): SocketAddress {
    return SocketAddress.of(this.dhtHosts.get(dht)!.address, PORT);
  }

  override async close(): Promise<void> {
    await this.go(Promise.all(this.dhts.map((dht) => dht.close())));
    await super.close();
  }

  #keep(dht: Dht, host: SimulatedHost): Dht {
    this.dhts.push(dht);
    this.dhtHosts.set(dht, host);
    return dht;
  }
}

/** The items of an iteration. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
