/** Two UDX endpoints on a simulated network, under a virtual clock. */
import { SeededRandom, VirtualClock } from "../../../core/runtime/virtual.ts";
import { type LinkConditions, type SimulatedHost, SimulatedNetwork } from "../../../transports/memory/mod.ts";
import {
  UdxEndpoint,
  type UdxEndpointOptions,
  type UdxSocket,
  type UdxStream,
  type UdxStreamOptions,
} from "../../../transports/udx/mod.ts";
import type {
  BindOptions,
  DatagramNetwork,
  DatagramReceiver,
  DatagramSocket,
} from "../../../transports/datagram.ts";
import { Reader } from "./support.ts";

/** A host whose arriving packets a test may pick out and lose. */
class PickyNetwork implements DatagramNetwork {
  readonly maxDatagramBytes: number;
  isLost: (datagram: Uint8Array) => boolean = () => false;
  readonly #host: SimulatedHost;

  constructor(host: SimulatedHost) {
    this.#host = host;
    this.maxDatagramBytes = host.maxDatagramBytes;
  }

  bind(options: BindOptions, receiver: DatagramReceiver): Promise<DatagramSocket> {
    return this.#host.bind(options, {
      onDatagram: (datagram, from) => {
        if (!this.isLost(datagram)) receiver.onDatagram(datagram, from);
      },
    });
  }
}

/** One of two endpoints. */
export interface Side {
  /** Packets that are to be lost on arrival. */
  readonly network: PickyNetwork;
  readonly host: SimulatedHost;
  readonly endpoint: UdxEndpoint;
  readonly socket: UdxSocket;
}

/** Two endpoints on a simulated network. */
export interface World {
  readonly clock: VirtualClock;
  readonly network: SimulatedNetwork;
  readonly a: Side;
  readonly b: Side;
}

/** Options of {@linkcode world}. */
export interface WorldOptions {
  readonly seed?: number;
  readonly endpoint?: UdxEndpointOptions;
}

/** Two endpoints whose packets are subject to `uplink` both ways. */
export async function world(uplink: LinkConditions = {}, options: WorldOptions = {}): Promise<World> {
  const clock = new VirtualClock();
  const random = new SeededRandom(options.seed ?? 1);
  const network = new SimulatedNetwork({ clock, random: random.fork("network"), wan: {}, lan: {} });
  const side = async (name: string): Promise<Side> => {
    const host = network.host({ name, uplink });
    const runtime = { clock, random: random.fork(name) };
    const picky = new PickyNetwork(host);
    const endpoint = new UdxEndpoint(runtime, picky, options.endpoint);
    return { network: picky, host, endpoint, socket: await endpoint.bind({ host: host.address }) };
  };
  return { clock, network, a: await side("a"), b: await side("b") };
}

/** Two streams that are connected to each other. */
export interface Pair {
  readonly a: UdxStream;
  readonly b: UdxStream;
  readonly readerA: Reader;
  readonly readerB: Reader;
}

/** Connects a stream of each side to the other. */
export function connect(
  { a, b }: World,
  optionsA: UdxStreamOptions = {},
  optionsB: UdxStreamOptions = {},
): Pair {
  const streamA = a.endpoint.createStream(optionsA);
  const streamB = b.endpoint.createStream(optionsB);
  streamA.connect(a.socket, streamB.id, b.socket.address);
  streamB.connect(b.socket, streamA.id, a.socket.address);
  const pair = { a: streamA, b: streamB, readerA: new Reader(), readerB: new Reader() };
  streamA.attach(pair.readerA);
  streamB.attach(pair.readerB);
  return pair;
}
