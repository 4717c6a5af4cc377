/** A simulated world of swarms: one host each, the memory transport, and a discovery that all share. */
import assert from "node:assert/strict";
import { loadCryptoProvider } from "../../core/crypto/provider.ts";
import type { Runtime } from "../../core/runtime/runtime.ts";
import { macrotask } from "../../core/runtime/system.ts";
import type { TraceEvent } from "../../core/runtime/trace.ts";
import { SeededRandom, VirtualClock } from "../../core/runtime/virtual.ts";
import type { Connection } from "../../core/stream/connection.ts";
import { Swarm, type SwarmOptions } from "../../swarm/mod.ts";
import {
  MemoryDiscovery,
  MemoryTransport,
  type SimulatedHost,
  SimulatedNetwork,
} from "../../transports/memory/mod.ts";
import type { Discovery, PeerRecord } from "../../transports/transport.ts";

const crypto = await loadCryptoProvider({ prefer: "wasm" });

/** The topic of most tests. */
export const TOPIC: Uint8Array = new Uint8Array(32).fill(0x42);
/** Another topic. */
export const OTHER_TOPIC: Uint8Array = new Uint8Array(32).fill(0x43);

/** A swarm and what the tests watch of it. */
export interface Peer {
  readonly name: string;
  readonly host: SimulatedHost;
  readonly swarm: Swarm;
  readonly trace: TraceEvent[];
  /** Every connection that was shown, in order. */
  readonly shown: Connection[];
}

/** Options of {@linkcode World.peer}: as of a swarm, or made from what the host offers. */
export type PeerOptions =
  & Partial<SwarmOptions>
  & { readonly seed?: number; readonly wrap?: (discovery: Discovery) => Discovery };

/** See the head of the file. */
export class World {
  readonly clock: VirtualClock = new VirtualClock();
  readonly network: SimulatedNetwork;
  readonly peers: Peer[] = [];
  readonly #random: SeededRandom;

  constructor(seed: string | number = 1) {
    this.#random = new SeededRandom(seed);
    this.network = new SimulatedNetwork({ clock: this.clock, random: this.#random.fork("network") });
  }

  /** A runtime of its own for each user. */
  runtime(name: string): Runtime {
    return { clock: this.clock, random: this.#random.fork(name), crypto };
  }

  /** Adds a peer. */
  peer(options: PeerOptions = {}): Peer {
    const { seed, wrap = (discovery: Discovery) => discovery, ...rest } = options;
    const name = `peer${this.peers.length}`;
    const host = this.network.host({ name });
    const trace: TraceEvent[] = [];
    const swarm = new Swarm(this.runtime(name), {
      transports: [new MemoryTransport(host)],
      discoveries: [wrap(new MemoryDiscovery(host))],
      trace: (event) => trace.push(event),
      ...(seed === undefined ? {} : { keyPair: keyPair(seed) }),
      ...rest,
    });
    const peer: Peer = { name, host, swarm, trace, shown: [] };
    swarm.on("connection", ({ detail }) => void peer.shown.push(detail.connection));
    this.peers.push(peer);
    return peer;
  }

  /** Adds several. */
  crowd(count: number, options: PeerOptions = {}): Peer[] {
    return Array.from({ length: count }, () => this.peer(options));
  }

  /** Lets `ms` pass, or less if `stop` says so. */
  async run(ms: number, stop?: () => boolean): Promise<void> {
    const until = this.clock.now() + ms;
    await this.clock.runAsync(macrotask, { until, ...(stop === undefined ? {} : { stop }) });
  }

  /** Lets time pass until `promise` settles. */
  async until<T>(promise: Promise<T>, ms = 120_000): Promise<T> {
    let isSettled = false;
    const settled = promise.finally(() => isSettled = true);
    settled.catch(() => {});
    await this.run(ms, () => isSettled);
    assert.ok(isSettled, `nothing came of it in ${ms} ms`);
    return await settled;
  }

  /** Closes all peers and checks that nothing stays behind. */
  async end(): Promise<void> {
    await this.until(Promise.all(this.peers.map(({ swarm }) => swarm.close())));
    await this.run(60_000);
    assert.equal(this.network.directory.linkCount, 0, "links stay behind");
    assert.equal(this.clock.pending, 0, "timers stay behind");
    assert.deepEqual(this.network.directory.records(String.fromCharCode(...TOPIC)), []);
    for (const { swarm } of this.peers) assert.equal(swarm.connections.size, 0);
  }
}

/** A world that is ended after `body`. */
export async function inWorld(
  body: (world: World) => Promise<void>,
  seed: string | number = 1,
): Promise<void> {
  const world = new World(seed);
  await body(world);
  await world.end();
}

/** The key pair of a number. */
export function keyPair(seed: number) {
  return crypto.keyPair(new Uint8Array(32).fill(seed));
}

/** Two key pairs, the one with the larger public key first. */
export function orderedKeyPairs() {
  const pairs = [keyPair(1), keyPair(2)].sort((a, b) => (b.publicKey[0]! - a.publicKey[0]!));
  return { larger: pairs[0]!, smaller: pairs[1]! };
}

/** The connections of `a` to `b` that are open now. */
export function between(a: Peer, b: Peer): Connection[] {
  const key = b.swarm.keyPair.publicKey;
  return [...a.swarm.connections.keys()].filter(({ remotePublicKey }) =>
    remotePublicKey.every((byte, i) => byte === key[i])
  );
}

/** Whether each of `peers` is connected with each other one, by exactly one connection that both mean. */
export function assertMesh(peers: readonly Peer[]): void {
  for (const a of peers) {
    for (const b of peers) {
      if (a === b) continue;
      const [there, back] = [between(a, b), between(b, a)];
      assert.equal(there.length, 1, `${a.name} has ${there.length} connections to ${b.name}`);
      assert.deepEqual(there[0]!.handshakeHash, back[0]?.handshakeHash);
    }
  }
}

/** Sends a byte from one end of each connection between `a` and `b` and expects it at the other. */
export async function assertTalk(world: World, a: Peer, b: Peer): Promise<void> {
  const [near, far] = [between(a, b)[0]!, between(b, a)[0]!];
  const heard = far[Symbol.asyncIterator]().next();
  await world.until(near.write(Uint8Array.of(7)));
  assert.deepEqual((await world.until(heard)).value, Uint8Array.of(7));
}

/** A record for a peer that does not exist, at an address that leads nowhere. */
export function ghost(seed: number, address = "memory:nowhere:1"): PeerRecord {
  return { publicKey: keyPair(seed).publicKey, addresses: [address] };
}
