/**
 * Swarms over a DHT through NATs while links break, routers forget and move, and members die and come back (S1, S2).
 *
 * What must hold. Always: nobody is connected to a stranger, and each peer is who it is taken for. Once the faults have stopped:
 * within half a minute each member has exactly one connection to each other. In the end nothing is left.
 */
import type { SeededRandom } from "../../../core/runtime/virtual.ts";
import { drawConditions, scheduleFaults } from "../faults.ts";
import type { Outcome, Scenario } from "../scenario.ts";
import { type Member, SwarmWorld } from "./swarm_world.ts";

const NODES = 16;
const FAULTS_MS = 90_000;
/** Until all are connected after the last fault. */
const RECOVERY_MS = 30_000;
/** Until all have met: whoever is behind a symmetric NAT guesses ports for one home router after the other. */
const MEET_MS = 60_000;
const RESTARTS = 3;
const MAX_PAUSE_MS = 10_000;

/** See the head of the file. */
export const swarms: Scenario = {
  name: "swarms",
  what:
    "swarms over a DHT and NATs under faults and restarts: half a minute after the last one, all are connected",
  seeds: 10,
  run: async (seed: string): Promise<Outcome> => await new SwarmsRun(seed).run(),
};

class SwarmsRun {
  readonly #world: SwarmWorld;
  readonly #random: SeededRandom;
  readonly #restarts: Promise<void>[] = [];

  constructor(seed: string) {
    this.#world = new SwarmWorld(`swarms/${seed}`);
    this.#random = this.#world.random.fork("swarms");
  }

  async run(): Promise<Outcome> {
    const world = this.#world;
    const nodes = await world.dhtSwarm(NODES);
    const link = { ...drawConditions(this.#random.fork("link")), loss: [0, 1] as const };
    const { burstLoss: _, bytesPerSecond: __, ...wan } = link;
    const count = 3 + this.#random.below(4);
    for (let i = 0; i < count; i++) await world.go(world.start(world.addMember(wan)));
    const meetMs = await world.awaitMesh(MEET_MS, "the start");
    const fromMs = Math.ceil(world.clock.now());
    const hosts = world.members.map(({ host }) => host);
    const scene = {
      ...{
        clock: world.clock,
        network: world.network,
        victims: hosts,
        wan,
        fromMs,
        untilMs: fromMs + FAULTS_MS,
      },
      others: [...nodes.slice(1).map((node) => world.dhtHosts.get(node)!), ...hosts],
    };
    world.description.push(...scheduleFaults(this.#random.fork("faults"), scene));
    this.#scheduleMoves(fromMs);
    for (let left = this.#random.below(RESTARTS + 1); left > 0; left--) this.#scheduleRestart(fromMs);
    await world.pass(FAULTS_MS);
    await world.go(Promise.all(this.#restarts));
    const recoveryMs = await world.awaitMesh(RECOVERY_MS, "the last fault");
    await world.end();
    return {
      complaints: world.complaints,
      description: world.description.join("; "),
      hash: world.network.traceHash,
      elapsedMs: world.clock.now(),
      datagrams: world.network.counters.sent,
      figures: {
        "all have met, ms after the start": [meetMs],
        "all are connected again, ms after the last fault": [recoveryMs],
        "connections that broke, for each member": world.members.map(({ ends }) => ends),
      },
    };
  }

  /** Providers give routers other addresses. */
  #scheduleMoves(fromMs: number): void {
    const { clock, members, description } = this.#world;
    for (const [i, { host, name, routerType }] of members.entries()) {
      let { router } = host;
      while (router?.carrier !== undefined) router = router.carrier;
      if (router === undefined || routerType === "open" || !this.#random.chance(1, 4)) continue;
      const at = fromMs + this.#random.below(FAULTS_MS);
      clock.schedule(at, () => router.renumber(`11.200.${i}.7`));
      description.push(`another address for the router of ${name} at ${at}`);
    }
  }

  #scheduleRestart(fromMs: number): void {
    const { clock, members, description } = this.#world;
    const member = members[this.#random.below(members.length)]!;
    const at = fromMs + this.#random.below(FAULTS_MS - MAX_PAUSE_MS);
    const pauseMs = this.#random.below(MAX_PAUSE_MS);
    description.push(`restart of ${member.name} at ${at} after ${pauseMs} ms`);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#restarts.push(promise);
    clock.schedule(at, () => void this.#restart(member, pauseMs).then(resolve, reject));
  }

  async #restart(member: Member, pauseMs: number): Promise<void> {
    const { clock } = this.#world;
    if (this.#restarting.has(member)) return;
    this.#restarting.add(member);
    await this.#world.kill(member);
    await new Promise<void>((resolve) => void clock.schedule(clock.now() + pauseMs, resolve));
    await this.#world.start(member);
    this.#restarting.delete(member);
  }

  readonly #restarting = new Set<Member>();
}
