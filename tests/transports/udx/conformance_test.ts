/** The conformance suite over UDX: simulated, with and without trouble on the way, and on the host's own sockets. */
import { loadCryptoProvider } from "../../../core/crypto/provider.ts";
import { loadSystemRuntime } from "../../../core/system_runtime.ts";
import { macrotask } from "../../../core/runtime/system.ts";
import { SeededRandom, VirtualClock } from "../../../core/runtime/virtual.ts";
import { type LinkConditions, SimulatedNetwork } from "../../../transports/memory/mod.ts";
import {
  type ConformanceCase,
  realTime,
  testTransport,
  type TransportUnderTest,
  virtualTime,
} from "../../../transports/testing.ts";
import { NodeUdpNetwork } from "../../../transports/udp/mod.ts";
import { UdxTransport } from "../../../transports/udx/mod.ts";
import { test } from "../../harness.ts";

const ADDRESSES = {
  vacantAddress: "udx:127.0.0.1:1",
  invalidAddresses: ["udx:", "udx:localhost:1", "udx:1.2.3.4:0"],
};
/** Unsent bytes at the writer, what is in flight, and the window of the reader. */
const MAX_BUFFERED_BYTES = 5 * 1024 * 1024;

function register(subject: string, make: () => Promise<TransportUnderTest>): void {
  const cases: readonly ConformanceCase[] = testTransport(make);
  for (const { name, run } of cases) test(`${subject}: ${name}`, run);
}

async function simulated(wan: LinkConditions): Promise<TransportUnderTest> {
  const clock = new VirtualClock();
  const random = new SeededRandom(1);
  const network = new SimulatedNetwork({ clock, random: random.fork("network"), wan });
  const crypto = await loadCryptoProvider({ prefer: "wasm" });
  const runtime = { clock, random: random.fork("runtime"), crypto };
  const dialer = new UdxTransport(runtime, network.host());
  const listener = new UdxTransport(runtime, network.host());
  return {
    ...ADDRESSES,
    vacantAddress: "udx:11.0.0.200:1",
    dialer,
    listener,
    until: virtualTime(clock, macrotask),
    maxBufferedBytes: MAX_BUFFERED_BYTES,
    [Symbol.asyncDispose]: async () => {
      await Promise.all([dialer.close(), listener.close()]);
    },
  };
}

async function real(host: string): Promise<TransportUnderTest> {
  const runtime = await loadSystemRuntime();
  const dialer = new UdxTransport(runtime, new NodeUdpNetwork(), { host, dialTimeoutMs: 500 });
  const listener = new UdxTransport(runtime, new NodeUdpNetwork(), { host });
  return {
    ...ADDRESSES,
    dialer,
    listener,
    until: realTime(runtime.clock),
    maxBufferedBytes: MAX_BUFFERED_BYTES,
    [Symbol.asyncDispose]: async () => {
      await Promise.all([dialer.close(), listener.close()]);
    },
  };
}

register("UDX", () => simulated({ latencyMs: 10 }));
register("UDX without delay", () => simulated({ latencyMs: 0 }));
register(
  "UDX over a bad path",
  () => simulated({ latencyMs: 20, jitterMs: 5, loss: [3, 100], reorder: [3, 100], duplicate: [2, 100] }),
);
register("UDX on the host's sockets", () => real("127.0.0.1"));
register("UDX on the host's IPv6 sockets", () => real("::1"));
