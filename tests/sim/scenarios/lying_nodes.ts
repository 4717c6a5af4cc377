/**
 * A DHT in which some nodes lie, and in which an attacker sits around the keys that are looked for.
 *
 *     honest nodes, each in a /24 of its own ---+
 *     liars: false nodes, silence, own friends --+-- core -- a client that looks for keys
 *     attacker: few hosts, the 40 best ports ---+
 *
 * What must hold: a lookup ends, and finds the honest node nearest to its key.
 */
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
}

/** Ports of an attacker's host that it uses for one key. */
const ECLIPSE_PORTS = 40;
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
    let [right, slowestMs] = [0, 0];
    const before = client.stats.requests.total;
    for (let i = 0; i < lookups; i++) {
      if (churn > 0) await this.#churn(churn);
      const elapsed = await this.#lookUp(client, world.target(`key ${i}`));
      if (elapsed !== undefined) right++;
      slowestMs = Math.max(slowestMs, elapsed ?? 0);
    }
    const requests = client.stats.requests.total - before;
    for (const { socket } of this.#liars) await socket.close();
    await world.close();
    return {
      lookups,
      right,
      requests,
      slowestMs,
      complaints: this.#complaints,
      hash: world.network.traceHash,
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
    const nearest = this.#honest
      .map((node) => world.addressOf(node))
      .reduce((a, b) => compareDistance(target, world.idOf(a), world.idOf(b)) < 0 ? a : b);
    return query.closestNodes.some((address) => address.equals(nearest)) ? elapsed : undefined;
  }

  /** The attacker opens the ports nearest to `target`, and makes them known to the honest nodes around it. */
  async #surround(target: Uint8Array): Promise<Peer[]> {
    const world = this.#world;
    const peers: Peer[] = [];
    for (let i = 0; i < this.#options.eclipseHosts; i++) {
      const host = world.host();
      const ports = Array.from({ length: 4000 }, (_, n) => 1024 + 16 * n)
        .map((port) => ({ port, id: nodeId(crypto, SocketAddress.of(host.address, port)) }))
        .toSorted((a, b) => compareDistance(target, a.id, b.id))
        .slice(0, ECLIPSE_PORTS);
      for (const { port } of ports) peers.push(await Peer.open(world, port, host));
    }
    peers.sort((a, b) => compareDistance(target, a.id, b.id));
    this.#eclipse = peers.map(({ address }) => address);
    const closerNodes = this.#eclipse.slice(0, 20);
    for (const peer of peers) {
      peer.onRequest = ({ tid }, from) => peer.reply(from, tid, { id: peer.id, closerNodes });
      for (const node of this.#honest.slice(0, 40)) {
        peer.send(world.addressOf(node), { command: 0, id: peer.id });
      }
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
    await world.pass(5000);
  }
}
