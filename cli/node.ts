/**
 * The network of one run of a command: an identity, and the transports that it may use.
 */
import { loadSystemRuntime } from "../core/system_runtime.ts";
import type { Runtime } from "../core/runtime/runtime.ts";
import { Dialer } from "../transports/dialer.ts";
import { udpNetwork } from "../transports/udp/mod.ts";
import { UdxTransport } from "../transports/udx/mod.ts";

/** Where a node listens. */
export interface NodeOptions {
  /** The address to listen on; all of the host by default. */
  readonly host?: string;
  /** The UDP port to listen on; 0 = any. */
  readonly port?: number;
}

/** A fresh identity on the network. */
export interface CliNode extends AsyncDisposable {
  /** The host's time, chance and cryptography. */
  readonly runtime: Runtime;
  /** Connects and listens. */
  readonly dialer: Dialer;
}

/** Makes a node; disposing of it closes all that it opened. */
export async function openNode(options: NodeOptions): Promise<CliNode> {
  const runtime = await loadSystemRuntime();
  const keyPair = runtime.crypto.keyPair(runtime.random.fill(new Uint8Array(32)));
  const transport = new UdxTransport(runtime, udpNetwork(), options);
  const dialer = new Dialer(runtime, { transports: [transport], keyPair });
  return { runtime, dialer, [Symbol.asyncDispose]: () => transport.close() };
}
