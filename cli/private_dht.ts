/**
 * A DHT of one's own, for demonstrations: some nodes in this process, on loopback.
 */
import { loadSystemRuntime } from "../core/system_runtime.ts";
import { Dht } from "../dht/mod.ts";
import { udpNetwork } from "../transports/udp/mod.ts";

/** Where it runs. */
export const HOST = "127.0.0.1";
/** Its nodes. */
export const NODES = 10;

/** A DHT of nodes in this process, on ports that are free. */
export class PrivateDht implements AsyncDisposable {
  /** Where others can start from. */
  readonly bootstrap: string;
  readonly #nodes: readonly Dht[];

  private constructor(bootstrap: string, nodes: readonly Dht[]) {
    this.bootstrap = bootstrap;
    this.#nodes = nodes;
  }

  /** Starts all nodes. */
  static async open(): Promise<PrivateDht> {
    const runtime = await loadSystemRuntime();
    const network = udpNetwork({ needTtl: true });
    const probe = await network.bind({ host: HOST }, { onDatagram: () => {} });
    const { port } = probe.address;
    await probe.close();
    const first = Dht.bootstrapper(runtime, network, { host: HOST, port }, { host: HOST });
    await first.open();
    const bootstrap = `${HOST}:${port}`;
    const options = { bootstrap: [bootstrap], host: HOST, port: 0, ephemeral: false, firewalled: false };
    const others = Array.from({ length: NODES - 1 }, () => new Dht(runtime, network, options));
    await Promise.all(others.map((node) => node.ready()));
    return new PrivateDht(bootstrap, [first, ...others]);
  }

  /** Ends all nodes. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.close({ force: true })));
  }
}
