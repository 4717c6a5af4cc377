/**
 * Two whole nodes, each behind routers of its kind, that connect by key through a DHT of public nodes.
 *
 *     client -- router(s), 25 ms --+          +-- router(s), 25 ms -- server
 *                                   +-- core --+
 *          20 nodes of the DHT -----+
 *
 * The delays are those of the laboratory with real routers: 50 ms there and back to a node of the DHT, 100 ms between the peers.
 * The client has looked around before it dials, and the server has announced itself.
 */
import { macrotask } from "../../../core/runtime/system.ts";
import type { Dht } from "../../../dht/dht.ts";
import { DialError } from "../../../dht/dial_error.ts";
import type { ConnectOptions } from "../../../dht/connector.ts";
import type { DhtServerOptions } from "../../../dht/server.ts";
import type { LinkConditions, RouterType, SimulatedRouter } from "../../../transports/memory/mod.ts";
import { ConnectWorld } from "../../dht/connect_rig.ts";
import type { DhtNodeOptions } from "../../dht/dht_world.ts";

/** Routers from the host outwards. */
interface Line {
  /** Letters for the head of a column. */
  readonly short: string;
  readonly routers: readonly RouterType[];
}

/** The ways in which a peer is connected to the internet. */
export const LINES = {
  "open": { short: "o", routers: ["open"] },
  "full cone": { short: "f", routers: ["full-cone"] },
  "restricted": { short: "r", routers: ["restricted-cone"] },
  "port-restricted": { short: "p", routers: ["port-restricted-cone"] },
  "port-shifting": { short: "ps", routers: ["port-shifting"] },
  "symmetric": { short: "s", routers: ["symmetric"] },
  "carrier": { short: "c", routers: ["port-restricted-cone"] },
  "full cone, carrier": { short: "c+f", routers: ["full-cone", "port-restricted-cone"] },
  "restricted, carrier": { short: "c+r", routers: ["restricted-cone", "port-restricted-cone"] },
  "port-restricted, carrier": { short: "c+p", routers: ["port-restricted-cone", "port-restricted-cone"] },
  "port-shifting, carrier": { short: "c+ps", routers: ["port-shifting", "port-restricted-cone"] },
  "symmetric, carrier": { short: "c+s", routers: ["symmetric", "port-restricted-cone"] },
  "symmetric carrier": { short: "sc", routers: ["port-restricted-cone", "symmetric"] },
  "linux-poison": { short: "lp", routers: ["linux-poison"] },
  "UDP blocked": { short: "b", routers: ["udp-blocked"] },
} as const satisfies Record<string, Line>;

/** A way in which a peer is connected to the internet. */
export type LineName = keyof typeof LINES;

/** All of them. */
export const LINE_NAMES = Object.keys(LINES) as LineName[];

/** Whether remotes see a line at a port of its own each. */
export function isRandom(line: LineName): boolean {
  return (LINES[line].routers as readonly RouterType[]).includes("symmetric");
}

/** What to simulate. */
export interface NatPair {
  readonly client: LineName;
  readonly server: LineName;
  readonly seed: string;
  /** Conditions of the outermost link of either peer; 25 ms by default. */
  readonly wan?: LinkConditions;
  /** Routers in the core; with 1 of them a packet of few hops arrives. 8 by default. */
  readonly coreHops?: number;
  /** Nodes of the DHT; 20 by default. */
  readonly nodes?: number;
  /** Whether the line is so bad that a pair may fail that usually connects. */
  readonly mayFail?: boolean;
  /** What the peers have beside plain UDP, as a relay to fall back on. */
  readonly alternative?: Alternative;
}

/** What peers have beside plain UDP. */
export interface Alternative {
  /** Sets up what both share, as a relay. */
  prepare?(world: ConnectWorld): Promise<void>;
  /** Options of both nodes. */
  readonly node?: DhtNodeOptions;
  readonly server?: DhtServerOptions;
  readonly connect?: ConnectOptions;
}

/** What became of it. */
export interface NatPairReport {
  /** `direct`, `lan`, `punched`, `guessed` (punched, to a port that had to be guessed) or `relayed`; undefined if not at all. */
  readonly way: string | undefined;
  /** The code and the message of the failure, if they are not. */
  readonly failure: { readonly code: string; readonly message: string } | undefined;
  /** Virtual milliseconds from dialing to an open connection, or to the failure. */
  readonly ms: number;
  /** What must not be. */
  readonly complaints: readonly string[];
  readonly hash: number;
  readonly elapsedMs: number;
  readonly datagrams: number;
}

const DEFAULT_NODES = 20;
const DEFAULT_LINK: LinkConditions = { latencyMs: 25 };
/** What is behind two peers who cannot meet must be known after that, in milliseconds. */
const MAX_FAILURE_MS = 5000;
/** Longer than any dial, in milliseconds. */
const MAX_DIAL_MS = 60_000;
/** How long a server may try to announce itself, in milliseconds: one that nothing gets out of never will. */
const ANNOUNCE_MS = 5000;

/** Runs it to its end. */
export async function runNatPair(pair: NatPair): Promise<NatPairReport> {
  return await new NatPairRun(pair).run();
}

class NatPairRun {
  readonly #pair: NatPair;
  readonly #world: ConnectWorld;
  readonly #complaints: string[] = [];

  constructor(pair: NatPair) {
    this.#pair = pair;
    const { client, server, seed, coreHops } = pair;
    const network = coreHops === undefined ? {} : { coreHops };
    this.#world = new ConnectWorld(`nat/${client}/${server}/${seed}`, { latencyMs: 0 }, network);
  }

  async run(): Promise<NatPairReport> {
    const world = this.#world;
    const { alternative = {} } = this.#pair;
    await world.dhtSwarm(this.#pair.nodes ?? DEFAULT_NODES);
    await alternative.prepare?.(world);
    const [client, server] = [await this.#peer(this.#pair.client), await this.#peer(this.#pair.server)];
    const listener = server.createServer(alternative.server);
    const listening = world.serve(listener);
    await this.#settle(listening, ANNOUNCE_MS);
    // A bad line may take more than one try.
    await this.#until(() => listener.relayAddresses.length > 0, ANNOUNCE_MS);
    const dialed = await this.#dial(client, server);
    this.#judge(dialed);
    // Stops before the nodes do: what cannot announce itself tries for ever.
    await world.close();
    await listening.catch(() => {});
    const { counters, traceHash } = world.network;
    return {
      ...dialed,
      complaints: this.#complaints,
      hash: traceHash,
      elapsedMs: world.clock.now(),
      datagrams: counters.sent,
    };
  }

  async #peer(name: LineName): Promise<Dht> {
    const world = this.#world;
    const link = this.#pair.wan ?? DEFAULT_LINK;
    let router: SimulatedRouter | undefined;
    for (const type of LINES[name].routers.toReversed()) {
      router = world.network.router({ type, ...router === undefined ? { link } : { behind: router } });
    }
    const dht = world.makeDht({ hostOptions: { behind: router! }, ...this.#pair.alternative?.node });
    await this.#settle(dht.open().then(() => dht.ready()), ANNOUNCE_MS);
    await this.#until(() => dht.rpc.size > 0, ANNOUNCE_MS);
    return dht;
  }

  /** Lets time pass until `isTrue`, but no more than `maxMs`. */
  async #until(isTrue: () => boolean, maxMs: number): Promise<void> {
    const { clock } = this.#world;
    await clock.runAsync(macrotask, { until: clock.now() + maxMs, stop: isTrue });
  }

  /** Waits for `work`, but not for ever. */
  async #settle(work: Promise<unknown>, maxMs: number): Promise<void> {
    await this.#world.go(work, maxMs).catch(() => {});
  }

  async #dial(client: Dht, server: Dht): Promise<Pick<NatPairReport, "way" | "failure" | "ms">> {
    const world = this.#world;
    const { connect } = this.#pair.alternative ?? {};
    const start = world.clock.now();
    let ms = NaN;
    const took = () => ms = world.clock.now() - start;
    const dialing = client.connect(server.keyPair.publicKey, connect);
    try {
      const connection = await world.go(dialing.finally(took), MAX_DIAL_MS);
      const { kind } = connection.path;
      const isGuessed = client.stats.punches.random + server.stats.punches.random > 0;
      await this.#talk(connection);
      if (world.accepted.length !== 1) {
        this.#complaints.push(`the server got ${world.accepted.length} connections`);
      }
      return { way: kind === "punched" && isGuessed ? "guessed" : kind, failure: undefined, ms };
    } catch (error) {
      if (!(error instanceof DialError)) throw error;
      if (world.accepted.length > 0) {
        this.#complaints.push("the server got a connection that the client has not");
      }
      return { way: undefined, failure: { code: error.code, message: error.message }, ms };
    }
  }

  /** Bytes go there and come back. */
  async #talk(connection: Awaited<ReturnType<Dht["connect"]>>): Promise<void> {
    const message = Uint8Array.of(1, 2, 3);
    const heard = (async () => {
      await connection.write(message);
      for await (const chunk of connection) return chunk;
      return undefined;
    })();
    const answer = await this.#world.go(heard);
    if (answer?.join() !== message.join()) this.#complaints.push(`${message} came back as ${answer}`);
  }

  #judge({ failure, ms }: Pick<NatPairReport, "failure" | "ms">): void {
    const { client, server, wan, alternative, mayFail = false } = this.#pair;
    const ends = [client, server];
    const isBlocked = ends.includes("UDP blocked");
    const isHopeless = isBlocked || ends.every(isRandom);
    if (failure === undefined || (mayFail && !isHopeless)) return;
    if (!isHopeless || alternative !== undefined) {
      this.#complaints.push(`no connection: ${failure.code}: ${failure.message}`);
    }
    const expected = isBlocked ? "PEER_NOT_FOUND" : "HOLEPUNCH_DOUBLE_RANDOMIZED_NATS";
    if (failure.code !== expected) {
      this.#complaints.push(`failed with ${failure.code} instead of ${expected}`);
    }
    if (ms > MAX_FAILURE_MS && wan === undefined) {
      this.#complaints.push(`failed after ${Math.round(ms)} ms only`);
    }
  }
}
