/**
 * `hypha bootstrap`: a node of the DHT that others can start from, in a network of one's own or in an existing one.
 */
import { loadSystemRuntime } from "../core/system_runtime.ts";
import { Dht } from "../dht/dht.ts";
import { SocketAddress } from "../encoding/mod.ts";
import { localHosts, lookupHost, udpNetwork } from "../transports/udp/mod.ts";
import { joinNetwork } from "./dht_node.ts";
import { serveHealth } from "./health.ts";
import type { Reporter } from "./reporter.ts";
import { untilAborted } from "./until_aborted.ts";

/** What `hypha bootstrap` is told. */
export interface BootstrapOptions {
  /** The UDP port. */
  readonly port: number;
  /** The IPv4 address at which others see the node. */
  readonly host?: string;
  /** Nodes of a network to take part in; without them this node is the first of a new one. */
  readonly bootstrap?: readonly string[];
  /** The port of loopback on which to answer questions about the node's health over HTTP. */
  readonly healthPort?: number;
}

/** Runs the node until interrupted. */
export async function bootstrap(
  options: BootstrapOptions,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  const { port, healthPort } = options;
  const runtime = await loadSystemRuntime();
  const host = options.host ?? localHosts().find((local) => !local.includes(":")) ?? "127.0.0.1";
  const network = udpNetwork({ needTtl: true });
  await using dht = Dht.bootstrapper(runtime, network, { host, port }, {
    lookup: (name: string, port: number) => lookupHost(name, port, { family: 4 }),
    ...(options.bootstrap === undefined ? {} : { bootstrap: options.bootstrap }),
  });
  await dht.open();
  await using _health = healthPort === undefined
    ? undefined
    : await serveHealth(healthPort, () => dht.health());
  if (options.bootstrap === undefined) await dht.ready();
  else await joinNetwork(dht, options, reporter, signal);
  const address = SocketAddress.of(host, port).toString();
  reporter.report({ event: "bootstrap", address, nodes: dht.rpc.size });
  await untilAborted(signal);
}
