/** The conformance suites over all that is built in and needs no other layer. */
import { macrotask, SystemClock } from "../../core/runtime/system.ts";
import { SeededRandom, VirtualClock } from "../../core/runtime/virtual.ts";
import {
  type LinkConditions,
  MemoryDiscovery,
  MemoryTransport,
  SimulatedNetwork,
} from "../../transports/memory/mod.ts";
import {
  type ConformanceCase,
  type DatagramNetworkUnderTest,
  type DiscoveryUnderTest,
  realTime,
  testDatagramNetwork,
  testDiscovery,
  testTransport,
  type TransportUnderTest,
  virtualTime,
} from "../../transports/testing.ts";
import { DenoUdpNetwork, hasListenDatagram, NodeUdpNetwork } from "../../transports/udp/mod.ts";
import { test } from "../harness.ts";

function register(subject: string, cases: readonly ConformanceCase[], skip?: string): void {
  for (const { name, run } of cases) test(`${subject}: ${name}`, run, { skip });
}

const nothing = () => Promise.resolve();

function simulated(wan: LinkConditions): { clock: VirtualClock; network: SimulatedNetwork } {
  const clock = new VirtualClock();
  return { clock, network: new SimulatedNetwork({ clock, random: new SeededRandom(1), wan }) };
}

function memoryTransport(latencyMs: number): TransportUnderTest {
  const { clock, network } = simulated({ latencyMs });
  return {
    dialer: new MemoryTransport(network.host({ name: "near" })),
    listener: new MemoryTransport(network.host({ name: "far", behind: network.router() })),
    vacantAddress: "memory:far:9",
    invalidAddresses: ["memory:", "memory:far", "memory:far:x"],
    until: virtualTime(clock, macrotask),
    maxBufferedBytes: 256 * 1024,
    [Symbol.asyncDispose]: nothing,
  };
}

function memoryDiscovery(): DiscoveryUnderTest {
  const { clock, network } = simulated({});
  return {
    announcer: new MemoryDiscovery(network.host()),
    otherAnnouncer: new MemoryDiscovery(network.host()),
    seeker: new MemoryDiscovery(network.host()),
    addresses: ["memory:host0:1", "tcp:10.0.0.1:80"],
    until: virtualTime(clock, macrotask),
    [Symbol.asyncDispose]: nothing,
  };
}

function memoryDatagrams(wan: LinkConditions): DatagramNetworkUnderTest {
  const { clock, network } = simulated(wan);
  const [near, far] = [network.host(), network.host()];
  return {
    near,
    nearHost: near.address,
    far,
    farHost: far.address,
    until: virtualTime(clock, macrotask),
    [Symbol.asyncDispose]: nothing,
  };
}

function udp(
  make: () => NodeUdpNetwork | DenoUdpNetwork,
  host: string,
): () => Promise<DatagramNetworkUnderTest> {
  const until = realTime(new SystemClock());
  return () =>
    Promise.resolve({
      near: make(),
      nearHost: host,
      far: make(),
      farHost: host,
      until,
      [Symbol.asyncDispose]: nothing,
    });
}

register("memory without delay", testTransport(() => Promise.resolve(memoryTransport(0))));
register("memory with delay", testTransport(() => Promise.resolve(memoryTransport(25))));
register("memory discovery", testDiscovery(() => Promise.resolve(memoryDiscovery())));
register(
  "simulated datagrams",
  testDatagramNetwork(() => Promise.resolve(memoryDatagrams({ latencyMs: 5 }))),
);
register("simulated datagrams at once", testDatagramNetwork(() => Promise.resolve(memoryDatagrams({}))));
register("node:dgram on IPv4", testDatagramNetwork(udp(() => new NodeUdpNetwork(), "127.0.0.1")));
register("node:dgram on IPv6", testDatagramNetwork(udp(() => new NodeUdpNetwork(), "::1")));
const skip = hasListenDatagram() ? undefined : "needs Deno with --unstable-net";
register("Deno.listenDatagram", testDatagramNetwork(udp(() => new DenoUdpNetwork(), "127.0.0.1")), skip);
