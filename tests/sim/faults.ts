/**
 * What goes wrong in a simulated world: conditions of links, and faults that come and are gone in time, all drawn from a seed.
 */
import type { Clock, Random } from "../../core/runtime/runtime.ts";
import type {
  LinkConditions,
  SimulatedHost,
  SimulatedLink,
  SimulatedNetwork,
} from "../../transports/memory/mod.ts";

/** Where faults may happen. */
export interface FaultScene {
  readonly clock: Clock;
  readonly network: SimulatedNetwork;
  /** The hosts that faults befall. */
  readonly victims: readonly SimulatedHost[];
  /** The hosts from which victims are parted. */
  readonly others: readonly SimulatedHost[];
  /** What links to the core are like without a fault. */
  readonly wan: LinkConditions;
  /** When the first fault may happen, in milliseconds of the clock; 0 by default. */
  readonly fromMs?: number;
  /** When the last fault must be over, in milliseconds of the clock. */
  readonly untilMs: number;
}

/** The most faults in one world, and the longest one. */
const MAX_FAULTS = 6;
const MAX_FAULT_MS = 15_000;

/** A value in half of the cases. */
function maybe<T>(random: Random, draw: () => T): T | undefined {
  return random.chance(1, 2) ? draw() : undefined;
}

/** Conditions from good to bad: up to 150 ms of latency, 15 % of loss, bursts, reordering, duplicates, a narrow link. */
export function drawConditions(random: Random): LinkConditions {
  const conditions = {
    latencyMs: 1 + random.below(150),
    jitterMs: maybe(random, () => random.below(50)),
    loss: maybe(random, () => [random.below(15), 100] as const),
    burstLoss: maybe(random, () => ({ enter: [1, 500], leave: [1, 1 + random.below(10)] })),
    reorder: maybe(random, () => [random.below(10), 100] as const),
    reorderMs: 1 + random.below(100),
    duplicate: maybe(random, () => [random.below(5), 100] as const),
    bytesPerSecond: maybe(random, () => 50_000 + random.below(5_000_000)),
    queueBytes: 16_384 + random.below(262_144),
  };
  return JSON.parse(JSON.stringify(conditions)); // leaves out what is undefined
}

/** The links between a host and the core, outermost last. */
function linksOf(host: SimulatedHost): SimulatedLink[] {
  const links = [host.uplink, host.downlink];
  for (let router = host.router; router !== undefined; router = router.carrier) {
    links.push(router.uplink, router.downlink);
  }
  return links;
}

/** Draws the faults of a world and schedules them. Returns them for a person to read. */
export function scheduleFaults(random: Random, scene: FaultScene): string[] {
  const descriptions: string[] = [];
  for (let left = random.below(MAX_FAULTS); left > 0; left--) {
    const { fromMs = 0, untilMs } = scene;
    const from = fromMs + random.below(untilMs - fromMs);
    const to = Math.min(from + 100 + random.below(MAX_FAULT_MS), untilMs);
    const fault = FAULTS[random.below(FAULTS.length)]!;
    const victim = scene.victims[random.below(scene.victims.length)]!;
    descriptions.push(`${fault(random, scene, victim, from, to)} from ${from} to ${to} ms`);
  }
  return descriptions;
}

type Fault = (random: Random, scene: FaultScene, victim: SimulatedHost, from: number, to: number) => string;

const FAULTS: readonly Fault[] = [
  function partition(random, { clock, network, others }, victim, from, to) {
    const direction = random.chance(1, 3) ? "a-to-b" : "both";
    clock.schedule(from, () => {
      const parted = network.partition([victim], others.filter((other) => other !== victim), direction);
      clock.schedule(to, () => parted.heal());
    });
    return `partition (${direction}) of ${victim.name}`;
  },

  function blackout(_, { clock }, victim, from, to) {
    clock.schedule(from, () => victim.setDown(true));
    clock.schedule(to, () => victim.setDown(false));
    return `blackout of ${victim.name}`;
  },

  function storm(random, { clock, wan }, victim, from, to) {
    const bad = drawConditions(random);
    const link = linksOf(victim).at(random.chance(1, 2) ? -1 : -2)!;
    clock.schedule(from, () => link.setConditions(bad));
    clock.schedule(to, () => link.setConditions(wan));
    return `storm ${JSON.stringify(bad)} on a link of ${victim.name}`;
  },

  // After FoundationDB's swizzle-clog: links of a random subset stop one after the other and go on in another order.
  function swizzleClog(random, { clock, victims, others }, _victim, from, to) {
    const hosts = [...victims, ...others].filter(() => random.chance(1, 2));
    for (const link of hosts.flatMap(linksOf)) {
      const start = from + random.below(to - from);
      const end = start + random.below(to - start + 1);
      clock.schedule(start, () => link.clogUntil(end));
    }
    return `swizzle-clog of ${hosts.map(({ name }) => name).join(", ") || "nobody"}`;
  },

  function flush(_, { clock }, victim, from) {
    clock.schedule(from, () => {
      for (let router = victim.router; router !== undefined; router = router.carrier) router.flush();
    });
    return `flush of the routers of ${victim.name}`;
  },
];
