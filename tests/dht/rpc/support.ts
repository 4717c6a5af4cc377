/** What the tests of the DHT share: simulated networks of nodes, and a peer that speaks the protocol by hand. */
import assert from "node:assert/strict";
import { loadCryptoProvider } from "../../../core/crypto/provider.ts";
import type { CryptoProvider } from "../../../core/runtime/crypto_provider.ts";
import type { Clock, Runtime, Timer } from "../../../core/runtime/runtime.ts";
import { macrotask } from "../../../core/runtime/system.ts";
import { SeededRandom, VirtualClock } from "../../../core/runtime/virtual.ts";
import { REPLY_BYTE } from "../../../dht/rpc/constants.ts";
import {
  encodeReply,
  encodeRequest,
  type ReplyMessage,
  replyMessage,
  type RequestMessage,
  requestMessage,
} from "../../../dht/rpc/messages.ts";
import { nodeId } from "../../../dht/rpc/node_id.ts";
import { Rpc } from "../../../dht/rpc/rpc.ts";
import type { RpcOptions } from "../../../dht/rpc/rpc_options.ts";
import { SocketAddress } from "../../../encoding/address.ts";
import { decode } from "../../../encoding/codec.ts";
import type { DatagramSocket } from "../../../transports/datagram.ts";
import {
  type HostOptions,
  type LinkConditions,
  type SimulatedHost,
  SimulatedNetwork,
  type SimulatedNetworkOptions,
} from "../../../transports/memory/mod.ts";
import { UdxEndpoint } from "../../../transports/udx/mod.ts";

/** The port of servers, if nothing else is said. */
export const PORT = 49_737;

export const crypto: CryptoProvider = await loadCryptoProvider();

/** A clock whose timers do not fire while its host sleeps; time goes on, and all that was due is due when the host wakes up. */
export class SleepyClock implements Clock {
  readonly #clock: Clock;
  #isAsleep = false;
  #late: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now();
  }

  wallTime(): number {
    return this.#clock.wallTime();
  }

  defer(callback: () => void): void {
    this.#clock.defer(() => this.#unlessAsleep(callback));
  }

  schedule(at: number, onDue: () => void): Timer {
    return this.#clock.schedule(at, () => this.#unlessAsleep(onDue));
  }

  async sleep(during: () => Promise<void>): Promise<void> {
    this.#isAsleep = true;
    await during();
    this.#isAsleep = false;
    for (const callback of this.#late.splice(0)) callback();
  }

  #unlessAsleep(callback: () => void): void {
    if (this.#isAsleep) this.#late.push(callback);
    else callback();
  }
}

/** What a node is made with, and where. */
export interface NodeOptions extends RpcOptions {
  readonly clock?: Clock;
  readonly at?: SimulatedHost;
  readonly hostOptions?: HostOptions;
}

/** A network under a virtual clock, with a first node. */
export class World {
  readonly clock = new VirtualClock();
  readonly random: SeededRandom;
  readonly runtime: Runtime;
  readonly network: SimulatedNetwork;
  readonly nodes: Rpc[] = [];
  readonly hosts = new Map<Rpc, SimulatedHost>();
  #spread = 0;

  constructor(
    seed: string | number = 1,
    wan: LinkConditions = { latencyMs: 10 },
    network: Partial<SimulatedNetworkOptions> = {},
  ) {
    this.random = new SeededRandom(seed);
    const { clock } = this;
    this.runtime = { clock, random: this.random.fork("runtime"), crypto };
    this.network = new SimulatedNetwork({ clock, random: this.random.fork("network"), wan, ...network });
  }

  /** A public host of its own /24, so that the rule of few nodes per subnet does not matter. */
  host(options: HostOptions = {}): SimulatedHost {
    if (options.behind !== undefined || options.addresses !== undefined) return this.network.host(options);
    const n = this.#spread++;
    return this.network.host({ ...options, addresses: [`20.${n >> 8}.${n & 255}.1`] });
  }

  /** A node that is not open yet. */
  make(options: NodeOptions = {}): Rpc {
    const { at, hostOptions, clock = this.clock, ...rest } = options;
    const host = at ?? this.host(hostOptions);
    const random = this.runtime.random.fork(`${host.name}/${this.nodes.length}`);
    const runtime = { ...this.runtime, clock, random };
    const node = new Rpc(runtime, new UdxEndpoint(runtime, host), { port: PORT, ...rest });
    this.nodes.push(node);
    this.hosts.set(node, host);
    return node;
  }

  /** The first node of the network. */
  async bootstrapper(options: NodeOptions = {}): Promise<Rpc> {
    const { at = this.host(), ...rest } = options;
    const runtime = { ...this.runtime, random: this.runtime.random.fork("bootstrapper") };
    const address = { host: at.address, port: PORT };
    const node = Rpc.bootstrapper(runtime, new UdxEndpoint(runtime, at), address, rest);
    this.nodes.push(node);
    this.hosts.set(node, at);
    await this.go(node.open());
    return node;
  }

  /** `count` persistent nodes that know each other. */
  async swarm(count: number, options: NodeOptions = {}): Promise<Rpc[]> {
    const first = await this.bootstrapper();
    const bootstrap = [this.addressOf(first)];
    const nodes = [first];
    for (let made = 1; made < count;) {
      const batch = Array.from(
        { length: Math.min(count - made, Math.max(4, made)) },
        () => this.make({ bootstrap, ephemeral: false, ...options }),
      );
      made += batch.length;
      nodes.push(...batch);
      await this.go(Promise.all(batch.map((node) => node.open().then(() => node.ready()))));
    }
    // Newcomers are asked whether they are there before they are believed.
    await this.pass(1000);
    return nodes;
  }

  /** The public address of a node's server socket. */
  addressOf(node: Rpc): SocketAddress {
    return SocketAddress.of(this.hosts.get(node)!.address, PORT);
  }

  idOf(address: SocketAddress): Uint8Array {
    return nodeId(crypto, address);
  }

  /** Moves time until `work` is settled, for at most `maxMs`. */
  async go<T>(work: Promise<T>, maxMs = 120_000): Promise<T> {
    let isDone = false;
    const marked = work.finally(() => isDone = true);
    marked.catch(() => {});
    const until = this.clock.now() + maxMs;
    await this.clock.runAsync(macrotask, { until, stop: () => isDone });
    await macrotask();
    assert(isDone, `not done after ${maxMs} virtual ms`);
    return await marked;
  }

  /** Lets `ms` pass. */
  async pass(ms: number): Promise<void> {
    await this.clock.runAsync(macrotask, { until: this.clock.now() + ms });
  }

  /** Closes all nodes, and checks that nothing stays behind. */
  async close(): Promise<void> {
    await this.go(Promise.all(this.nodes.map((node) => node.close())));
    await this.pass(1000);
    assert.equal(this.network.inFlight, 0, "no packet stays");
    assert.equal(this.clock.pending, 0, "no timer stays");
  }

  target(label: string): Uint8Array {
    return this.random.fork(`target/${label}`).fill(new Uint8Array(32));
  }
}

/** What a {@linkcode Peer} has heard. */
export type Heard =
  | {
    readonly kind: "request";
    readonly from: SocketAddress;
    readonly message: RequestMessage;
    readonly bytes: number;
  }
  | {
    readonly kind: "reply";
    readonly from: SocketAddress;
    readonly message: ReplyMessage;
    readonly bytes: number;
  };

/** A socket that speaks the protocol by hand. */
export class Peer {
  readonly heard: Heard[] = [];
  readonly world: World;
  readonly host: SimulatedHost;
  socket!: DatagramSocket;
  onRequest: ((message: RequestMessage, from: SocketAddress) => void) | undefined;
  #tid = 0;

  private constructor(world: World, host: SimulatedHost) {
    this.world = world;
    this.host = host;
  }

  static async open(world: World, port = PORT, host = world.host()): Promise<Peer> {
    const peer = new Peer(world, host);
    peer.socket = await host.bind({ port }, {
      onDatagram(datagram, from) {
        const bytes = datagram.length;
        const copy = datagram.slice();
        if (copy[0] === REPLY_BYTE) {
          peer.heard.push({ kind: "reply", from, message: decode(replyMessage, copy), bytes });
          return;
        }
        const message = decode(requestMessage, copy);
        peer.heard.push({ kind: "request", from, message, bytes });
        peer.onRequest?.(message, from);
      },
    });
    return peer;
  }

  get address(): SocketAddress {
    return SocketAddress.of(this.host.address, this.socket.address.port);
  }

  get id(): Uint8Array {
    return nodeId(crypto, this.address);
  }

  /** Sends a request and returns how many bytes it has. */
  send(to: SocketAddress, fields: Partial<RequestMessage> & { readonly command: number }): number {
    const bytes = encodeRequest({ tid: this.#tid++ & 0xffff, to, isInternal: true, ...fields });
    this.socket.send(bytes, to);
    return bytes.length;
  }

  reply(to: SocketAddress, tid: number, fields: Partial<ReplyMessage> = {}): void {
    this.socket.send(encodeReply({ tid, to, closerNodes: [], error: 0, ...fields }), to);
  }

  /** Sends a request and returns the reply to it; undefined if there is none within `ms`. */
  async ask(
    to: SocketAddress,
    fields: Partial<RequestMessage> & { readonly command: number },
    ms = 500,
  ): Promise<ReplyMessage | undefined> {
    const before = this.heard.length;
    this.send(to, fields);
    await this.world.pass(ms);
    return this.heard.slice(before).find((heard): heard is Extract<Heard, { kind: "reply" }> =>
      heard.kind === "reply"
    )?.message;
  }

  /** Bytes of the replies so far. */
  get repliedBytes(): number {
    return this.heard.reduce((sum, heard) => sum + (heard.kind === "reply" ? heard.bytes : 0), 0);
  }
}
