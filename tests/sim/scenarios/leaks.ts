/**
 * Nodes that connect and close, fail to punch, listen and stop, hundreds of times (L1): afterwards there are as many sockets,
 * streams and timers as before.
 */
import type { Dht } from "../../../dht/dht.ts";
import type { RouterType } from "../../../transports/memory/mod.ts";
import { ConnectWorld } from "../../dht/connect_rig.ts";
import type { Outcome, Scenario, SimOptions } from "../scenario.ts";
import { countSockets, type SocketCount } from "../socket_count.ts";

const NODES = 12;
/** Longer than anything is remembered of an attempt, in milliseconds. */
const CALM_MS = 60_000;

/** See the head of the file. */
export const leaks: Scenario = {
  name: "leaks",
  what:
    "connections, failed punches and servers, hundreds of them, leave no socket, timer, stream or entry behind",
  seeds: 1,
  options: { cycles: "of connecting; failing and listening come a tenth as often; 100" },
  run: async (seed: string, { cycles = "100" }: SimOptions): Promise<Outcome> =>
    await new LeaksRun(seed, Number(cycles)).run(),
};

/** What must come back to where it was. */
interface Census {
  readonly timers: number;
  readonly sockets: number;
  readonly streams: number;
}

class LeaksRun {
  readonly #world: ConnectWorld;
  readonly #cycles: number;
  readonly #complaints: string[] = [];
  readonly #sockets: SocketCount[] = [];

  constructor(seed: string, cycles: number) {
    this.#world = new ConnectWorld(`leaks/${seed}`);
    this.#cycles = cycles;
  }

  async run(): Promise<Outcome> {
    const world = this.#world;
    await world.dhtSwarm(NODES);
    const [home, other] = [await this.#peer("port-restricted-cone"), await this.#peer("port-shifting")];
    const [hopeless, same] = [await this.#peer("symmetric"), await this.#peer("symmetric")];
    await world.listen(other);
    await world.listen(same);
    const peers = [home, other, hopeless, same];
    await this.#check("connections", peers, this.#cycles, async () => {
      const { connection } = await world.connect(home, other);
      await world.go(connection.close());
      world.accepted.length = 0;
    });
    await this.#check("failed punches", peers, this.#cycles / 10, async () => {
      await world.failure(hopeless, same.keyPair.publicKey);
    });
    await this.#check("servers", peers, this.#cycles / 10, async () => {
      const server = await world.listen(home);
      await world.go(server.close());
    });
    await world.close();
    return {
      complaints: this.#complaints,
      hash: world.network.traceHash,
      elapsedMs: world.clock.now(),
      datagrams: world.network.counters.sent,
    };
  }

  async #peer(type: RouterType): Promise<Dht> {
    const host = this.#world.host({ behind: this.#world.network.router({ type }) });
    this.#sockets.push(countSockets(host));
    return await this.#world.openDht({ at: host });
  }

  /** Does `once` twice to get everything going, then `count` times, and compares. */
  async #check(what: string, peers: readonly Dht[], count: number, once: () => Promise<void>): Promise<void> {
    const world = this.#world;
    for (let i = 0; i < 2; i++) await once();
    await world.pass(CALM_MS);
    const before = this.#census(peers);
    for (let i = 0; i < count; i++) await once();
    await world.pass(CALM_MS);
    const after = this.#census(peers);
    for (const name of ["timers", "sockets", "streams"] as const) {
      if (after[name] <= before[name] + TOLERANCE[name]) continue;
      this.#complaints.push(`${count} ${what} left ${after[name] - before[name]} ${name}`);
    }
  }

  #census(peers: readonly Dht[]): Census {
    const sum = (of: (dht: Dht) => number) => peers.reduce((total, dht) => total + of(dht), 0);
    return {
      timers: this.#world.clock.pending,
      sockets: this.#sockets.reduce((total, { open }) => total + open, 0),
      streams: sum((dht) => dht.health().streams),
    };
  }
}

/** Timers of the nodes of the DHT come and go with their requests. */
const TOLERANCE: Readonly<Record<keyof Census, number>> = { timers: 10, sockets: 0, streams: 0 };
