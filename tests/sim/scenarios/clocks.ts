/**
 * Swarms on computers with bad clocks (S4): wall clocks that jump by an hour or ten years, or stand still, and computers that are
 * suspended, or sleep without a word, for ten seconds to eight hours.
 *
 * What must hold. No connection breaks because a wall clock moved. Who was asleep is announced again within ten seconds of waking,
 * and connected to everybody within fifteen; the others are not affected.
 */
import type { Clock, Timer } from "../../../core/runtime/runtime.ts";
import type { SeededRandom } from "../../../core/runtime/virtual.ts";
import { equals } from "../../../encoding/bytes.ts";
import { collect } from "../../dht/dht_world.ts";
import { SleepyClock } from "../../dht/rpc/support.ts";
import type { Outcome, Scenario } from "../scenario.ts";
import { type Member, SwarmWorld } from "./swarm_world.ts";

const NODES = 16;
const MEMBERS = 4;
/** Until dials that crossed in the beginning have settled which connection stays. */
const SETTLE_MS = 5_000;
const JUMPS = 12;
const JUMP_PAUSE_MS = 20_000;
const HOUR_MS = 3_600_000;
const YEAR_MS = 365.25 * 24 * HOUR_MS;
const JUMPS_MS = [HOUR_MS, -HOUR_MS, 10 * YEAR_MS, -10 * YEAR_MS];
const SLEEPS_MS = [10_000, 60_000, 600_000, 8 * HOUR_MS];
const ANNOUNCED_MS = 10_000;
const CONNECTED_MS = 15_000;
/** How long the first meeting may take. */
const MEET_MS = 60_000;

/** See the head of the file. */
export const clocks: Scenario = {
  name: "clocks",
  what: "wall clocks that jump or stand still break nothing; after a sleep of up to 8 h all is well in 15 s",
  seeds: 4,
  run: async (seed: string): Promise<Outcome> => await new ClocksRun(seed).run(),
};

/** A clock whose wall time is moved, or held, by whoever tests it. */
class CrookedClock implements Clock {
  readonly #clock: Clock;
  #offsetMs = 0;
  #heldAt: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  jump(ms: number): void {
    this.#offsetMs += ms;
  }

  /** Stops the wall clock, or lets it go on. */
  hold(isHeld: boolean): void {
    this.#heldAt = isHeld ? this.wallTime() : undefined;
  }

  now(): number {
    return this.#clock.now();
  }

  wallTime(): number {
    return this.#heldAt ?? Math.max(0, this.#clock.wallTime() + this.#offsetMs);
  }

  schedule(at: number, onDue: () => void): Timer {
    return this.#clock.schedule(at, onDue);
  }

  defer(callback: () => void): void {
    this.#clock.defer(callback);
  }
}

class ClocksRun {
  readonly #world: SwarmWorld;
  readonly #random: SeededRandom;
  readonly #seed: number;
  readonly #clocks: CrookedClock[] = [];

  constructor(seed: string) {
    this.#seed = Number(seed) || 0;
    this.#world = new SwarmWorld(`clocks/${seed}`);
    this.#random = this.#world.random.fork("clocks");
  }

  async run(): Promise<Outcome> {
    const world = this.#world;
    await world.dhtSwarm(NODES);
    const sleepy = new SleepyClock(world.clock);
    for (let i = 0; i < MEMBERS; i++) {
      const clock = new CrookedClock(i === MEMBERS - 1 ? sleepy : world.clock);
      this.#clocks.push(clock);
      await world.go(world.start(world.addMember({ latencyMs: 20 }), clock));
    }
    await world.awaitMesh(MEET_MS, "the start");
    await this.#jump();
    const sleeper = world.members.at(-1)!;
    const sleepMs = SLEEPS_MS[this.#seed % SLEEPS_MS.length]!;
    const isToldFirst = this.#seed % 8 < 4;
    world.description.push(
      `${sleeper.name} sleeps for ${sleepMs} ms, ${isToldFirst ? "told before" : "without a word"}`,
    );
    const others = world.members.slice(0, -1);
    const before = others.map(({ ends }) => ends);
    if (isToldFirst) {
      await world.go(sleeper.swarm.suspend());
      await world.pass(sleepMs);
      await world.go(sleeper.swarm.resume());
    } else {
      sleeper.host.setDown(true);
      await sleepy.sleep(() => world.pass(sleepMs));
      sleeper.host.setDown(false);
    }
    const broken = others.reduce((sum, { ends }, i) => sum + ends - before[i]!, 0);
    if (broken > others.length) {
      world.complaints.push(`${broken - others.length} connections of others broke`);
    }
    const wokeAt = world.clock.now();
    const announcedMs = await this.#announced(sleeper, wokeAt);
    const connectedMs = await world.awaitMesh(CONNECTED_MS + wokeAt - world.clock.now(), "waking up");
    await world.end();
    return {
      complaints: world.complaints,
      description: world.description.join("; "),
      hash: world.network.traceHash,
      elapsedMs: world.clock.now(),
      datagrams: world.network.counters.sent,
      figures: {
        "announced again, ms after waking": [announcedMs],
        "connected again, ms after waking": [announcedMs + connectedMs],
      },
    };
  }

  async #jump(): Promise<void> {
    const world = this.#world;
    await world.pass(SETTLE_MS);
    const before = world.members.map(({ ends }) => ends);
    for (let i = 0; i < JUMPS; i++) {
      const clock = this.#clocks[this.#random.below(MEMBERS)]!;
      if (this.#random.chance(1, 4)) clock.hold(this.#random.chance(1, 2));
      else clock.jump(JUMPS_MS[this.#random.below(JUMPS_MS.length)]!);
      await world.pass(JUMP_PAUSE_MS);
    }
    const broken = world.members.reduce((sum, { ends }, i) => sum + ends - before[i]!, 0);
    if (broken > 0) world.complaints.push(`${broken} ends of connections broke when wall clocks moved`);
    world.complaints.push(...world.apart());
  }

  /** How long it takes until a stranger finds the one who has woken up. */
  async #announced({ keyPair, name }: Member, wokeAt: number): Promise<number> {
    const world = this.#world;
    const stranger = await world.openDht();
    while (world.clock.now() < wokeAt + ANNOUNCED_MS) {
      const found = await world.go(collect(stranger.lookup(world.topic)));
      if (found.some(({ publicKey }) => equals(publicKey, keyPair.publicKey))) {
        return world.clock.now() - wokeAt;
      }
      await world.pass(500);
    }
    world.complaints.push(`${name} is not to be found ${ANNOUNCED_MS} ms after waking up`);
    return world.clock.now() - wokeAt;
  }
}
