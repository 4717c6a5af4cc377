/** The conformance suite of discoveries over mDNS, in a simulated LAN and on the host's own sockets. */
import { SystemClock, SystemRandom } from "../../../core/runtime/system.ts";
import { macrotask } from "../../../core/runtime/system.ts";
import { SeededRandom, VirtualClock } from "../../../core/runtime/virtual.ts";
import { MdnsDiscovery } from "../../../transports/mdns/mod.ts";
import { SimulatedNetwork } from "../../../transports/memory/mod.ts";
import {
  type DiscoveryUnderTest,
  realTime,
  testDiscovery,
  virtualTime,
} from "../../../transports/testing.ts";
import { test } from "../../harness.ts";
import { multicastProblem, multicastUdp } from "./support.ts";

const ADDRESSES = ["udx:10.1.2.3:4000", "tcp:[fd00::7]:4001", "tor:somewhere"];

function simulated(): Promise<DiscoveryUnderTest> {
  const clock = new VirtualClock();
  const random = new SeededRandom(1);
  const network = new SimulatedNetwork({ clock, random: random.fork("network") });
  const lan = network.router();
  const discoveries = ["a", "b", "c"].map((name) =>
    new MdnsDiscovery({ clock, random: random.fork(name) }, network.host({ behind: lan }))
  );
  const [announcer, otherAnnouncer, seeker] = discoveries as [MdnsDiscovery, MdnsDiscovery, MdnsDiscovery];
  const until = virtualTime(clock, macrotask);
  return Promise.resolve({
    announcer,
    otherAnnouncer,
    seeker,
    addresses: ADDRESSES,
    knowsTopics: false,
    until,
    [Symbol.asyncDispose]: async () => {
      let isClosed = false;
      const closing = Promise.all(discoveries.map((discovery) => discovery.close()));
      void closing.then(() => isClosed = true);
      await until(() => isClosed, 1000);
    },
  });
}

/** A port of its own, so that a test neither disturbs nor meets what else runs on the network. */
const PORT = 53_539;

function real(): Promise<DiscoveryUnderTest> {
  const runtime = { clock: new SystemClock(), random: new SystemRandom() };
  const make = () => new MdnsDiscovery(runtime, multicastUdp(), { port: PORT, lookupMs: 300 });
  const [announcer, otherAnnouncer, seeker] = [make(), make(), make()];
  return Promise.resolve({
    announcer,
    otherAnnouncer,
    seeker,
    addresses: ADDRESSES,
    knowsTopics: false,
    until: realTime(runtime.clock),
    [Symbol.asyncDispose]: async () => {
      await Promise.all([announcer, otherAnnouncer, seeker].map((discovery) => discovery.close()));
    },
  });
}

for (const { name, run } of testDiscovery(simulated)) test(`mDNS in a simulated LAN: ${name}`, run);
const skip = await multicastProblem();
for (const { name, run } of testDiscovery(real)) test(`mDNS on the host's sockets: ${name}`, run, { skip });
