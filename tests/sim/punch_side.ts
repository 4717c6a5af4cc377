/**
 * What a simulated punch is made of: nodes that reflect and relay, and a side with its sockets and the loop that drives its
 * machine.
 */
import type { Timer } from "../../core/runtime/runtime.ts";
import type { VirtualClock } from "../../core/runtime/virtual.ts";
import type { PunchTransmit } from "../../dht/punch/probe.ts";
import type { Puncher, PunchEvent } from "../../dht/punch/puncher.ts";
import { SocketAddress } from "../../encoding/address.ts";
import { concat } from "../../encoding/bytes.ts";
import type { DatagramSocket } from "../../transports/datagram.ts";
import type { SimulatedHost } from "../../transports/memory/mod.ts";

/** First byte of all datagrams but punches. */
const Kind = { Ping: 1, Pong: 2, Announce: 3, Forward: 4, Forwarded: 5, Stream: 6 } as const;
const STREAM: Uint8Array = new Uint8Array(20).fill(Kind.Stream);
const PUNCH: Uint8Array = Uint8Array.of(0);
const NODE_PORT = 49_737;
/** What a node forwards to when no receiver is named: whoever announced itself there. */
export const ANNOUNCED: SocketAddress = SocketAddress.v4(0, 0);
/** Unanswered pings are given up after that, in milliseconds. */
const PING_TIMEOUT_MS = 1000;

/** Six bytes: host and port. */
export function addressBytes(address: SocketAddress): Uint8Array {
  return Uint8Array.of(...address.bytes, address.port, address.port >>> 8);
}

/** The reverse of {@linkcode addressBytes}, at `at`. */
export function readAddress(bytes: Uint8Array, at: number): SocketAddress {
  const bits = bytes[at]! << 24 | bytes[at + 1]! << 16 | bytes[at + 2]! << 8 | bytes[at + 3]!;
  return SocketAddress.v4(bits, bytes[at + 4]! | bytes[at + 5]! << 8);
}

function message(kind: number, ...parts: readonly Uint8Array[]): Uint8Array {
  return concat([Uint8Array.of(kind), ...parts]);
}

/** A node of the DHT: says whom it sees, and passes messages on. */
export async function startNode(host: SimulatedHost): Promise<SocketAddress> {
  let announced = ANNOUNCED;
  const socket: DatagramSocket = await host.bind({ port: NODE_PORT }, {
    onDatagram(datagram, from) {
      if (datagram[0] === Kind.Ping) socket.send(message(Kind.Pong, addressBytes(from)), from);
      if (datagram[0] === Kind.Announce) announced = from;
      if (datagram[0] !== Kind.Forward) return;
      const named = readAddress(datagram, 1);
      const to = named.equals(ANNOUNCED) ? announced : named;
      const addresses = [addressBytes(from), addressBytes(to)];
      socket.send(message(Kind.Forwarded, ...addresses, datagram.subarray(7)), to);
    },
  });
  return SocketAddress.of(host.address, NODE_PORT);
}

/** A message that a node passed on. */
export interface Forwarded {
  /** The number of the socket that it came to; undefined if that has none. */
  readonly socket: number | undefined;
  /** The node. */
  readonly relay: SocketAddress;
  /** The sender as the node sees it. */
  readonly from: SocketAddress;
  /** The socket as the node sees it. */
  readonly seenAs: SocketAddress;
  readonly body: Uint8Array;
}

/** One side of the punch. Its main socket has no number, those of the machine have theirs. */
export class Side {
  machine: Puncher | undefined;
  /** Takes what the loop does not do by itself. */
  onEvent: (event: PunchEvent) => void = () => {};
  /** Is told once that the first socket of the machine is bound. */
  onReady: () => void = () => {};
  onForwarded: (forwarded: Forwarded) => void = () => {};
  onStream: (socket: number | undefined, from: SocketAddress) => void = () => {};
  /** The main socket as a node sees it that it announced itself to. */
  readonly seenAs = new Map<number | string, SocketAddress>();
  /** Punches sent. */
  punches = 0;
  readonly #clock: VirtualClock;
  readonly #host: SimulatedHost;
  readonly #nodes: readonly SocketAddress[];
  readonly #canSetTtl: boolean;
  readonly #sockets = new Map<number | undefined, DatagramSocket>();
  readonly #timers = new Set<Timer>();
  readonly #out: PunchTransmit = { socket: 0, to: ANNOUNCED, ttl: 0 };

  constructor(
    clock: VirtualClock,
    host: SimulatedHost,
    nodes: readonly SocketAddress[],
    options: { readonly canSetTtl: boolean },
  ) {
    this.#clock = clock;
    this.#host = host;
    this.#nodes = nodes;
    this.#canSetTtl = options.canSetTtl;
    this.#timers.add(clock.schedule(Infinity, () => this.#onTimeout()));
  }

  /** How many sockets are open. */
  get socketCount(): number {
    return this.#sockets.size;
  }

  async bind(number?: number): Promise<void> {
    const socket = await this.#host.bind({}, {
      onDatagram: (datagram, from) => this.#onDatagram(number, datagram, from),
    });
    this.#sockets.set(number, socket);
  }

  /** Makes the main socket known to a node. */
  announce(node: SocketAddress): void {
    this.#send(undefined, Uint8Array.of(Kind.Announce), node);
    this.#send(undefined, Uint8Array.of(Kind.Ping), node);
  }

  /** Sends `body` to `to` through a node. */
  forward(socket: number | undefined, relay: SocketAddress, to: SocketAddress, body: Uint8Array): void {
    this.#send(socket, message(Kind.Forward, addressBytes(to), body), relay);
  }

  sendStream(socket: number | undefined, to: SocketAddress): void {
    this.#send(socket, STREAM, to);
  }

  /** Calls `send` now and then `times - 1` times more, then `onEnd` once, unless what is returned is called before. */
  repeat(times: number, everyMs: number, send: () => void, onEnd: () => void = () => {}): () => void {
    let left = times;
    const timer = this.#clock.schedule(this.#clock.now(), () => {
      if (left-- === 0) return onEnd();
      send();
      timer.reset(this.#clock.now() + everyMs);
    });
    this.#timers.add(timer);
    return () => timer.cancel();
  }

  /** Lets the machine say what it wants and send what is due. */
  turn(): void {
    const { machine } = this;
    if (machine === undefined) return;
    for (let event = machine.pollEvent(); event !== undefined; event = machine.pollEvent()) {
      this.#handle(event);
    }
    while (machine.pollPunch(this.#clock.now(), this.#out)) {
      const { socket, to, ttl } = this.#out;
      this.punches++;
      this.#send(socket, PUNCH, to, ttl);
    }
    [...this.#timers][0]!.reset(machine.nextTimeout());
  }

  /** Disarms all timers. */
  stop(): void {
    for (const timer of this.#timers) timer.cancel();
  }

  #onTimeout(): void {
    this.machine?.handleTimeout(this.#clock.now());
    this.turn();
  }

  #send(socket: number | undefined, datagram: Uint8Array, to: SocketAddress, ttl = 0): void {
    this.#sockets.get(socket)?.send(datagram, to, this.#canSetTtl && ttl !== 0 ? ttl : undefined);
  }

  #handle(event: PunchEvent): void {
    const machine = this.machine!;
    if (event.type === "socketWanted") {
      void this.bind(event.socket).then(() => {
        machine.socketReady(this.#clock.now(), event.socket, { canSetTtl: this.#canSetTtl });
        if (event.socket === 0) this.onReady();
        this.turn();
      });
    } else if (event.type === "samplesWanted") {
      for (const node of this.#nodes.slice(0, event.count)) {
        this.#send(event.socket, Uint8Array.of(Kind.Ping), node);
      }
      this.repeat(1, PING_TIMEOUT_MS, () => {}, () => {
        machine.endSampling(this.#clock.now(), event.socket);
        this.turn();
      });
    } else if (event.type === "socketDone") {
      void this.#sockets.get(event.socket)?.close();
      this.#sockets.delete(event.socket);
    } else {
      this.onEvent(event);
    }
  }

  #onDatagram(socket: number | undefined, datagram: Uint8Array, from: SocketAddress): void {
    const now = this.#clock.now();
    if (datagram.length === 1) {
      if (socket !== undefined) this.machine?.handlePunch(now, socket, from);
    } else if (datagram[0] === Kind.Pong) {
      if (socket === undefined) this.seenAs.set(from.key, readAddress(datagram, 1));
      else this.machine?.addSample(now, socket, readAddress(datagram, 1), from);
    } else if (datagram[0] === Kind.Forwarded) {
      const [sender, seenAs] = [readAddress(datagram, 1), readAddress(datagram, 7)];
      this.onForwarded({ socket, relay: from, from: sender, seenAs, body: datagram.slice(13) });
    } else if (datagram[0] === Kind.Stream) {
      this.onStream(socket, from);
    }
    this.turn();
  }
}
