/**
 * `hypha bootstrap`: a node of the DHT that others can start from, in a network of one's own or in an existing one.
 */
import { createServer, type Server } from "node:http";
import { HyphaError } from "../core/runtime/errors.ts";
import { loadSystemRuntime } from "../core/system_runtime.ts";
import { Dht } from "../dht/dht.ts";
import { localHosts, lookupHost, udpNetwork } from "../transports/udp/mod.ts";
import type { Reporter } from "./reporter.ts";

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
  const runtime = await loadSystemRuntime();
  const host = options.host ?? localHosts().find((local) => !local.includes(":")) ?? "127.0.0.1";
  const network = udpNetwork({ needTtl: true });
  const dht = Dht.bootstrapper(runtime, network, { host, port: options.port }, {
    lookup: (name: string, port: number) => lookupHost(name, port, { family: 4 }),
    ...(options.bootstrap === undefined ? {} : { bootstrap: options.bootstrap }),
  });
  let server: Server | undefined;
  try {
    await dht.open();
    if (options.healthPort !== undefined) server = await serveHealth(dht, options.healthPort);
    await dht.ready();
    reporter.report({ event: "bootstrap", address: `${host}:${options.port}` });
    await new Promise((_, reject) =>
      signal.addEventListener("abort", () => reject(signal.reason), { once: true })
    );
  } finally {
    server?.close();
    await dht.close();
  }
}

async function serveHealth(dht: Dht, port: number): Promise<Server> {
  const server = createServer((_request, response) => {
    response.setHeader("content-type", "application/json");
    response.end(`${JSON.stringify(dht.health())}\n`);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => {
      reject(
        new HyphaError("ADDRESS_IN_USE", `Port ${port} of loopback cannot be used for health`, { cause }),
      );
    });
    server.listen(port, "127.0.0.1", resolve);
  });
  return server;
}
