/**
 * A DHT in which some nodes lie, and in which an attacker sits around the keys that are looked for.
 *
 *     honest nodes, each in a /24 of its own ---+
 *     liars: false nodes, silence, own friends --+-- core -- a client that looks for keys
 *     attacker: 1 to 64 hosts, best ports ------+
 *
 * What must hold: a lookup ends, and finds the honest node nearest to its key, or with an attacker around it one of the nearest.
 */
import { distanceFraction } from "../../../dht/rpc/crowd.ts";
import { compareDistance, nodeId } from "../../../dht/rpc/node_id.ts";
import type { ReplyMessage, RequestMessage } from "../../../dht/rpc/messages.ts";
import type { Rpc } from "../../../dht/rpc/rpc.ts";
import { SocketAddress } from "../../../encoding/address.ts";
import { crypto, Peer, PORT, World } from "../../dht/rpc/support.ts";

/** What the network is like. */
export interface LyingNetworkOptions {
  readonly seed: string | number;
  /** Nodes that follow the protocol. */
  readonly honest: number;
  /** Nodes that do not. */
  readonly liars: number;
  /** Hosts of the attacker, who uses the ports that lie nearest to each key. */
  readonly eclipseHosts: number;
  /** Keys to look for. */
  readonly lookups: number;
  /** Honest nodes that leave, and come, between two lookups. */
  readonly churn?: number;
  /** Virtual milliseconds between two lookups; 5,000 by default if there is churn, else none. */
  readonly intervalMs?: number;
}

/** What came of it. */
export interface LyingNetworkReport {
  readonly lookups: number;
  /** Lookups that found the nearest honest node. */
  readonly right: number;
  /** Requests that all lookups took together. */
  readonly requests: number;
  /** The longest lookup, in virtual milliseconds. */
  readonly slowestMs: number;
  readonly complaints: readonly string[];
  readonly hash: number;
  /** Virtual milliseconds until the end. */
  readonly elapsedMs: number;
  readonly datagrams: number;
  /** How long each lookup took, in virtual milliseconds. */
  readonly lookupMs: readonly number[];
}

/** Addresses that the attacker uses for one key, over all its hosts; of one host no fewer than the six that a query may visit. */
const ECLIPSE_PEERS = 40;
const MIN_ECLIPSE_PORTS = 6;
/** Honest nodes around a key that the attacker makes itself known to. */
const ECLIPSE_VICTIMS = 40;
/** With an attacker around the key a lookup is right if it reaches one of so many nearest honest nodes: records are kept by 20. */
const NEAREST_UNDER_ATTACK = 5;
/** Time for the network to settle after some have left and come, in milliseconds. */
const CHURN_PAUSE_MS = 5000;
/** How long a lookup may take. */
const MAX_LOOKUP_MS = 30_000;

/** Runs it to its end. */
export async function runLyingNetwork(options: LyingNetworkOptions): Promise<LyingNetworkReport> {
  return await new LyingNetwork(options).run();
}

class LyingNetwork {
  readonly #options: LyingNetworkOptions;
  readonly #world: World;
  readonly #liars: Peer[] = [];
  readonly #complaints: string[] = [];
  readonly #ids = new Map<number | string, Uint8Array>();
  #honest: Rpc[] = [];
  /** The attacker's addresses around the present key, nearest first. */
  #eclipse: SocketAddress[] = [];

  constructor(options: LyingNetworkOptions) {
    this.#options = options;
    this.#world = new World(options.seed, { latencyMs: 30, jitterMs: 20 });
  }

  async run(): Promise<LyingNetworkReport> {
    const world = this.#world;
    const { honest, liars, lookups, churn = 0 } = this.#options;
    this.#honest = await world.swarm(honest);
    for (let i = 0; i < liars; i++) await this.#addLiar(i);
    // Liars make themselves known as everybody does: they ask.
    for (const liar of this.#liars) {
      for (let i = 0; i < 20; i++) {
        const node = this.#honest[world.random.below(this.#honest.length)]!;
        liar.send(world.addressOf(node), { command: 0, id: liar.id });
      }
      await world.pass(20);
    }
    await world.pass(1000);
    const client = world.make({
      ephemeral: true,
      bootstrap: this.#honest.slice(0, 3).map((node) => world.addressOf(node)),
    });
    await world.go(client.open().then(() => client.ready()));
    let right = 0;
    const lookupMs: number[] = [];
    const before = client.stats.requests.total;
    for (let i = 0; i < lookups; i++) {
      if (churn > 0) await this.#churn(churn);
      await world.pass(this.#options.intervalMs ?? (churn > 0 ? CHURN_PAUSE_MS : 0));
      const elapsed = await this.#lookUp(client, world.target(`key ${i}`));
      if (elapsed !== undefined) right++;
      if (elapsed !== undefined) lookupMs.push(elapsed);
    }
    const requests = client.stats.requests.total - before;
    for (const { socket } of this.#liars) await socket.close();
    await world.close();
    return {
      lookups,
      right,
      requests,
      slowestMs: Math.max(0, ...lookupMs),
      complaints: this.#complaints,
      hash: world.network.traceHash,
      elapsedMs: world.clock.now(),
      datagrams: world.network.counters.sent,
      lookupMs,
    };
  }

  /** Returns how long it took if it was right. */
  async #lookUp(client: Rpc, target: Uint8Array): Promise<number | undefined> {
    const world = this.#world;
    const attackers = await this.#surround(target);
    const start = world.clock.now();
    const query = client.findNode(target);
    await world.go(query.finished(), 10 * MAX_LOOKUP_MS);
    const elapsed = world.clock.now() - start;
    if (elapsed > MAX_LOOKUP_MS) this.#complaints.push(`a lookup took ${elapsed} ms`);
    for (const { socket } of attackers) await socket.close();
    const wanted = this.#nearestHonest(target, attackers.length > 0 ? NEAREST_UNDER_ATTACK : 1);
    const isFound = (one: SocketAddress) => query.closestNodes.some((address) => address.equals(one));
    return wanted.some(isFound) ? elapsed : undefined;
  }

  /** The attacker opens the ports nearest to `target`, and makes them known to the honest nodes around it. */
  async #surround(target: Uint8Array): Promise<Peer[]> {
    const world = this.#world;
    const peers: Peer[] = [];
    const { eclipseHosts } = this.#options;
    const portsOfHost = Math.max(MIN_ECLIPSE_PORTS, Math.ceil(ECLIPSE_PEERS / eclipseHosts));
    for (let i = 0; i < eclipseHosts; i++) {
      const host = world.host();
      const ports = Array.from({ length: 4000 }, (_, n) => 1024 + 16 * n)
        .map((port) => {
          const id = nodeId(crypto, SocketAddress.of(host.address, port));
          return { port, distance: distanceFraction(target, id) };
        })
        .sort((a, b) => a.distance - b.distance)
        .slice(0, portsOfHost);
      for (const { port } of ports) peers.push(await Peer.open(world, port, host));
    }
    peers.sort((a, b) => compareDistance(target, a.id, b.id));
    this.#eclipse = peers.map(({ address }) => address);
    const closerNodes = this.#eclipse.slice(0, 20);
    const victims = peers.length === 0 ? [] : this.#nearestHonest(target, ECLIPSE_VICTIMS);
    for (const peer of peers) {
      peer.onRequest = ({ tid }, from) => peer.reply(from, tid, { id: peer.id, closerNodes });
      for (const address of victims) peer.send(address, { command: 0, id: peer.id });
      await world.pass(5);
    }
    if (peers.length > 0) await world.pass(500);
    return peers;
  }

  async #addLiar(index: number): Promise<void> {
    const liar = await Peer.open(this.#world, PORT);
    this.#liars.push(liar);
    liar.onRequest = (request, from) => this.#lie(index % 4, liar, request, from);
  }

  #lie(kind: number, liar: Peer, { command, tid, target }: RequestMessage, from: SocketAddress): void {
    const reply: Partial<ReplyMessage> = { id: liar.id };
    if (command === 0 || target === undefined) return liar.reply(from, tid, reply);
    if (kind === 0) return; // silence
    if (kind === 1) return liar.reply(from, tid, reply); // knows nobody
    if (kind === 2) { // names its friends only
      return liar.reply(from, tid, {
        ...reply,
        closerNodes: this.#liars.slice(0, 20).map(({ address }) => address),
      });
    }
    // makes up nodes that lie near the target and do not exist
    const made = Array.from(
      { length: 200 },
      () => SocketAddress.v4(0x1f000000 + this.#world.random.below(1 << 24), PORT),
    )
      .toSorted((a, b) => compareDistance(target, nodeId(crypto, a), nodeId(crypto, b)));
    liar.reply(from, tid, { ...reply, closerNodes: made.slice(0, 20) });
  }

  async #churn(count: number): Promise<void> {
    const world = this.#world;
    const leaving = this.#honest.splice(3 + world.random.below(this.#honest.length - 3 - count), count);
    await world.go(Promise.all(leaving.map((node) => node.close())));
    for (let i = 0; i < count; i++) {
      const node = world.make({ ephemeral: false, bootstrap: [world.addressOf(this.#honest[0]!)] });
      this.#honest.push(node);
      await world.go(node.open().then(() => node.ready()));
    }
  }

  /** The honest nodes nearest to `target`, nearest first. */
  #nearestHonest(target: Uint8Array, count: number): SocketAddress[] {
    const world = this.#world;
    const all = this.#honest.map((node) => {
      const address = world.addressOf(node);
      let id = this.#ids.get(address.key);
      if (id === undefined) this.#ids.set(address.key, id = world.idOf(address));
      return { address, id };
    });
    return all.sort((a, b) => compareDistance(target, a.id, b.id)).slice(0, count).map(({ address }) =>
      address
    );
  }
}
