/**
 * A DHT whose network comes apart and together again: cut in one direction, again and again, with the first node out of reach (S3).
 *
 *     main land: nodes, a client, the bootstrap node ====(cut, one way, flapping)==== island: nodes, a client
 *
 * What must hold. While it is cut: the clients of both sides find nodes among the nearest of those that they reach, if they have
 * seen the network whole before; who starts on the main land does too, even if the bootstrap node answers late. Afterwards: all
 * find the nearest of all.
 */
import { compareDistance } from "../../../dht/rpc/node_id.ts";
import type { Rpc } from "../../../dht/rpc/rpc.ts";
import type { SeededRandom } from "../../../core/runtime/virtual.ts";
import type { SocketAddress } from "../../../encoding/address.ts";
import type { Partition, SimulatedHost } from "../../../transports/memory/mod.ts";
import { World } from "../../dht/rpc/support.ts";
import type { Outcome, Scenario } from "../scenario.ts";

const NODES = 100;
const LOOKUPS = 20;
/** A lookup is right if it reaches one of so many nearest nodes: that is what a record needs. */
const NEAREST = 5;
/** Of the lookups of one seed in one state: 99 % of all seeds together are right, of sixty one may miss. */
const ALLOWED_MISSES = 1;
/** How long it stays cut. */
const CUT_MS = 60_000;
/** After that the network must have noticed that it is whole again. */
const HEALED_MS = 60_000;
const MAX_LOOKUP_MS = 60_000;

type Cut = "both" | "a-to-b" | "b-to-a" | "flapping";
const CUTS: readonly Cut[] = ["both", "a-to-b", "b-to-a", "flapping"];

/** See the head of the file. */
export const partitions: Scenario = {
  name: "partitions",
  what:
    "a DHT cut in two, in one direction, or again and again, with a clogged bootstrap node: 99 % of lookups are right",
  seeds: 4,
  run: async (seed: string): Promise<Outcome> => await new PartitionRun(seed).run(),
};

class PartitionRun {
  readonly #world: World;
  readonly #random: SeededRandom;
  readonly #complaints: string[] = [];
  readonly #cut: Cut;
  #main: Rpc[] = [];
  #island: Rpc[] = [];
  #parted: Partition[] = [];
  #isOver = false;

  constructor(seed: string) {
    this.#world = new World(`partitions/${seed}`, { latencyMs: 20, jitterMs: 10 });
    this.#random = this.#world.random.fork("partitions");
    this.#cut = CUTS[Number(seed) % CUTS.length] ?? CUTS[this.#random.below(CUTS.length)]!;
  }

  async run(): Promise<Outcome> {
    const world = this.#world;
    const nodes = await world.swarm(NODES);
    const [bootstrap, ...others] = nodes as [Rpc, ...Rpc[]];
    const share = 3 + this.#random.below(8);
    this.#main = [bootstrap, ...others.filter((_, i) => i % share !== 0)];
    this.#island = others.filter((_, i) => i % share === 0);
    const [mainClient, islandClient] = [await this.#client(bootstrap), await this.#client(bootstrap)];
    await world.pass(20_000);
    const hostsOf = (list: readonly Rpc[]) => list.map((node) => world.hosts.get(node)!);
    this.#part(hostsOf([...this.#main, mainClient]), hostsOf([...this.#island, islandClient]));
    world.hosts.get(bootstrap)!.uplink.clogUntil(world.clock.now() + CUT_MS);
    await world.pass(5000);
    // What comes and goes may push out what is always within reach, or not.
    const all = this.#cut === "flapping" ? [nodes] : [];
    const cut = [
      await this.#lookUp(mainClient, "main", this.#main.slice(1), ...all),
      await this.#lookUp(islandClient, "island", this.#island, ...all),
    ];
    const late = await this.#client(bootstrap, this.#main[1]!);
    cut.push(await this.#lookUp(late, "late", this.#main.slice(1), ...all));
    this.#isOver = true;
    for (const parted of this.#parted) parted.heal();
    await world.pass(CUT_MS + HEALED_MS);
    const healed: number[] = [];
    for (const client of [mainClient, islandClient, late, await this.#client(bootstrap)]) {
      healed.push(await this.#lookUp(client, "healed", nodes));
    }
    await world.close();
    this.#judge("while the network is cut", cut);
    this.#judge("when it is whole again", healed);
    return {
      complaints: this.#complaints,
      description: `${this.#cut}, ${this.#island.length} of ${NODES} nodes on the island`,
      hash: world.network.traceHash,
      elapsedMs: world.clock.now(),
      datagrams: world.network.counters.sent,
      figures: {
        "right of 100 lookups while cut": cut.map((right) => 100 * right / LOOKUPS),
        "right of 100 lookups afterwards": healed.map((right) => 100 * right / LOOKUPS),
      },
    };
  }

  #judge(when: string, right: readonly number[]): void {
    const sum = right.reduce((a, b) => a + b, 0);
    if (sum < LOOKUPS * right.length - ALLOWED_MISSES) {
      this.#complaints.push(`${when} only ${sum} of ${LOOKUPS * right.length} lookups are right: ${right}`);
    }
  }

  /** A node that serves nobody; with `second` it knows another way into the network. */
  async #client(bootstrap: Rpc, second?: Rpc): Promise<Rpc> {
    const world = this.#world;
    const known = second === undefined ? [bootstrap] : [bootstrap, second];
    const client = world.make({ ephemeral: true, bootstrap: known.map((node) => world.addressOf(node)) });
    await world.go(client.open().then(() => client.ready()));
    return client;
  }

  #part(main: readonly SimulatedHost[], island: readonly SimulatedHost[]): void {
    const { network, clock } = this.#world;
    const cut = () => {
      const [a, b] = this.#cut === "b-to-a" ? [island, main] : [main, island];
      const direction = this.#cut === "a-to-b" || this.#cut === "b-to-a" ? "a-to-b" : "both";
      this.#parted.push(network.partition([...a], [...b], direction));
    };
    cut();
    if (this.#cut !== "flapping") return;
    // Two to five seconds each way.
    const flap = () => {
      if (this.#isOver) return;
      if (this.#parted.length > 0) this.#parted.pop()!.heal();
      else cut();
      timer.reset(clock.now() + 2000 + this.#random.below(3000));
    };
    const timer = clock.schedule(clock.now() + 2000, flap);
  }

  /** Looks for keys; returns how often one of the nearest of some list was found. */
  async #lookUp(client: Rpc, label: string, ...lists: (readonly Rpc[])[]): Promise<number> {
    const world = this.#world;
    let right = 0;
    for (let i = 0; i < LOOKUPS; i++) {
      const target = world.target(`${label} ${i}`);
      const query = client.findNode(target);
      await world.go(query.finished(), 2 * MAX_LOOKUP_MS);
      const found = (address: SocketAddress) => query.closestNodes.some((one) => one.equals(address));
      if (lists.some((nodes) => this.#nearest(target, nodes).some(found))) right++;
    }
    return right;
  }

  #nearest(target: Uint8Array, nodes: readonly Rpc[]): SocketAddress[] {
    const world = this.#world;
    return nodes.map((node) => world.addressOf(node))
      .toSorted((a, b) => compareDistance(target, world.idOf(a), world.idOf(b)))
      .slice(0, NEAREST);
  }
}
