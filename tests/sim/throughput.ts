/**
 * How well UDX uses a path, and how fairly two flows share it, under the virtual clock: figures that depend on a seed and on
 * nothing else. `deno run -A tests/sim/throughput.ts` prints them.
 *
 *     senders -- uplink with rate, queue, loss -- core -- receivers
 */
import { SeededRandom, VirtualClock } from "../../core/runtime/virtual.ts";
import { loadCryptoProvider } from "../../core/crypto/provider.ts";
import { SocketAddress } from "../../encoding/address.ts";
import { type LinkConditions, SimulatedNetwork } from "../../transports/memory/mod.ts";
import { UdxEndpoint, type UdxStream } from "../../transports/udx/mod.ts";

/** A path and what is sent along it. */
export interface PathTest {
  /** What it is called in the table. */
  readonly name: string;
  /** Rate of the bottleneck, in Mbit/s. */
  readonly mbitPerSecond: number;
  /** Round trip without a queue, in milliseconds. */
  readonly rttMs: number;
  /** What else the uplink does. */
  readonly conditions: LinkConditions;
  /** How many flows; each begins two seconds after the one before. */
  readonly flows: number;
  /** How long, in virtual seconds; the first third is not counted. */
  readonly seconds: number;
}

/** What came of it. */
export interface PathResult {
  /** Payload delivered as a share of what the bottleneck carries, after the first third. */
  readonly utilisation: number;
  /** Jain's index of the flows' shares: 1 = all alike, 1/n = one has all. */
  readonly fairness: number;
  /** Packets sent again as a share of all data packets. */
  readonly retransmitted: number;
  /** Smoothed round trip at the end, in milliseconds. */
  readonly rttMs: number;
}

/** The tests of the table; the first is the one that the figures in docs/performance.md begin with. */
export const PATH_TESTS: readonly PathTest[] = [
  path("50 Mbit/s, 80 ms, 1 % loss", 50, 80, { loss: [1, 100] }),
  path("50 Mbit/s, 80 ms", 50, 80, {}),
  path("50 Mbit/s, 80 ms, 20 % loss", 50, 80, { loss: [20, 100] }),
  path("50 Mbit/s, 80 ms, short queue", 50, 80, { queueBytes: 30_000 }),
  path("5 Mbit/s, 200 ms, 2 % loss in bursts", 5, 200, { burstLoss: { enter: [1, 150], leave: [1, 3] } }),
  path("500 Mbit/s, 10 ms", 500, 10, { queueBytes: 600_000 }),
  { ...path("two flows, 50 Mbit/s, 80 ms", 50, 80, {}), flows: 2, seconds: 90 },
  { ...path("four flows, 20 Mbit/s, 40 ms", 20, 40, { queueBytes: 100_000 }), flows: 4, seconds: 90 },
];

function path(name: string, mbitPerSecond: number, rttMs: number, conditions: LinkConditions): PathTest {
  return {
    name,
    mbitPerSecond,
    rttMs,
    conditions: { queueBytes: 250_000, ...conditions },
    flows: 1,
    seconds: 30,
  };
}

/** Runs a test to its end. */
export async function runPath(test: PathTest, seed: string | number = 1): Promise<PathResult> {
  const clock = new VirtualClock();
  const random = new SeededRandom(seed);
  const network = new SimulatedNetwork({ clock, random: random.fork("network"), wan: {} });
  const half = { latencyMs: test.rttMs / 2 };
  const bytesPerSecond = test.mbitPerSecond * 1e6 / 8;
  const near = network.host({ uplink: { ...half, bytesPerSecond, ...test.conditions }, downlink: half });
  const far = network.host({ link: {} });
  const crypto = await loadCryptoProvider({ prefer: "wasm" });
  const runtime = { clock, random: random.fork("runtime"), crypto };
  const [sender, receiver] = [new UdxEndpoint(runtime, near), new UdxEndpoint(runtime, far)];
  const [from, to] = [await sender.bind(), await receiver.bind()];
  const received: number[] = [];
  const streams: UdxStream[] = [];
  for (let flow = 0; flow < test.flows; flow++) {
    const [out, into] = [sender.createStream(), receiver.createStream()];
    out.connect(from, into.id, SocketAddress.of(far.address, to.address.port));
    into.connect(to, out.id, SocketAddress.of(near.address, from.address.port));
    received.push(0);
    streams.push(out);
    const nothing = { onData() {}, onDrain() {}, onEnd() {}, onClose() {} };
    into.attach({ ...nothing, onData: (chunk) => void (received[flow]! += chunk.length) });
    const chunk = new Uint8Array(65536);
    const pump = () => {
      while (out.write(chunk));
    };
    out.attach({ ...nothing, onDrain: pump });
    clock.schedule(flow * 2000, pump);
  }
  clock.run({ until: test.seconds * 1000 / 3 });
  const before = [...received];
  clock.run({ until: test.seconds * 1000 });
  const shares = received.map((bytes, flow) => bytes - before[flow]!);
  const total = shares.reduce((sum, share) => sum + share);
  const stats = streams.map((stream) => stream.stats);
  const packets = stats.reduce((sum, { packetsSent }) => sum + packetsSent, 0);
  await Promise.all([sender.close(), receiver.close()]);
  return {
    utilisation: total / (bytesPerSecond * test.seconds * 2 / 3),
    fairness: total ** 2 / (shares.length * shares.reduce((sum, share) => sum + share ** 2, 0)),
    retransmitted: stats.reduce((sum, { retransmits }) => sum + retransmits, 0) / packets,
    rttMs: stats[0]!.rtt,
  };
}

if (import.meta.main) {
  console.log("| path | used | fairness | sent again | rtt at the end |\n| --- | --- | --- | --- | --- |");
  for (const test of PATH_TESTS) {
    const { utilisation, fairness, retransmitted, rttMs } = await runPath(test);
    const [used, again] = [utilisation, retransmitted].map((share) => `${(100 * share).toFixed(1)} %`);
    console.log(`| ${test.name} | ${used} | ${fairness.toFixed(2)} | ${again} | ${rttMs.toFixed(0)} ms |`);
  }
}
