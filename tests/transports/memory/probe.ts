/**
 * Classifies a simulated router from inside, as STUN does: a server with two addresses and two ports on the public side,
 * a client behind the router.
 */
import { SocketAddress } from "../../../encoding/address.ts";
import { SeededRandom, VirtualClock } from "../../../core/runtime/virtual.ts";
import type { DatagramSocket } from "../../../transports/datagram.ts";
import { type SimulatedHost, SimulatedNetwork } from "../../../transports/memory/mod.ts";

/** A network with a public server A, a second one B, and a way to look at what arrives. */
export interface ProbeWorld {
  readonly clock: VirtualClock;
  readonly network: SimulatedNetwork;
  readonly a: SimulatedHost;
  readonly b: SimulatedHost;
}

export function probeWorld(seed: string | number = 1): ProbeWorld {
  const clock = new VirtualClock();
  const network = new SimulatedNetwork({ clock, random: new SeededRandom(seed) });
  return { clock, network, a: network.host({ name: "a" }), b: network.host({ name: "b" }) };
}

/** A socket that notes whom it heard from. */
export class Ear {
  readonly heard: SocketAddress[] = [];
  socket!: DatagramSocket;

  static async open(host: SimulatedHost, port = 0): Promise<Ear> {
    const ear = new Ear();
    ear.socket = await host.bind({ port }, { onDatagram: (_, from) => ear.heard.push(from) });
    return ear;
  }

  get port(): number {
    return this.socket.address.port;
  }

  /** Sends to `host`:`port` and returns whom the other side, `listener`, hears from; undefined if nobody. */
  reach(clock: VirtualClock, to: SocketAddress, listener: Ear, ttl?: number): SocketAddress | undefined {
    listener.heard.length = 0;
    this.socket.send(new Uint8Array(20), to, ttl);
    clock.run({ until: clock.now() + 1000 });
    return listener.heard[0];
  }
}

export interface Classification {
  readonly mapping: string;
  readonly filtering: string;
  readonly keepsPort: boolean;
  readonly earlyInboundChangesPort: boolean;
  readonly hairpins: boolean;
}

/** What the router of `client` does, with a public address `outside`. */
export async function classify(
  world: ProbeWorld,
  client: SimulatedHost,
  outside: string,
): Promise<Classification> {
  const { clock, a, b } = world;
  const [a1, a2, b1] = [await Ear.open(a, 3478), await Ear.open(a, 3479), await Ear.open(b, 3478)];
  const at = (host: SimulatedHost, ear: Ear) => SocketAddress.of(host.address, ear.port);
  const inside = await Ear.open(client);
  const x = inside.reach(clock, at(a, a1), a1);
  const y = inside.reach(clock, at(a, a2), a2);
  const z = inside.reach(clock, at(b, b1), b1);
  const blocked = { mapping: "blocked", filtering: "blocked", keepsPort: false };
  if (x === undefined || y === undefined || z === undefined) {
    return { ...blocked, earlyInboundChangesPort: false, hairpins: false };
  }
  const isSame = x.host === client.address && x.port === inside.port;
  const mapping = isSame
    ? "none"
    : x.equals(y) && y.equals(z)
    ? "endpoint-independent"
    : x.equals(y)
    ? "address-dependent"
    : "address-and-port-dependent";

  // A fresh socket talks to A's first port alone; who else gets through to it?
  const fresh = await Ear.open(client);
  const seen = fresh.reach(clock, at(a, a1), a1)!;
  const filtering = b1.reach(clock, seen, fresh) !== undefined
    ? "endpoint-independent"
    : a2.reach(clock, seen, fresh) !== undefined
    ? "address-dependent"
    : "address-and-port-dependent";

  // B sends to a port of the router before anybody inside has sent to B from there.
  const third = await Ear.open(client);
  const before = third.reach(clock, at(a, a1), a1)!;
  b1.reach(clock, SocketAddress.of(outside, third.port), third);
  const after = third.reach(clock, at(b, b1), b1)!;
  const earlyInboundChangesPort = mapping === "endpoint-independent" && before.port !== after.port;

  // Another socket sends to the outside address of the first, which lets it in if it lets anybody in.
  const other = await Ear.open(client);
  const otherSeen = other.reach(clock, at(a, a1), a1)!;
  inside.reach(clock, otherSeen, other);
  const hairpins = other.reach(clock, x, inside) !== undefined;
  for (const ear of [a1, a2, b1, inside, fresh, third, other]) await ear.socket.close();
  return { mapping, filtering, keepsPort: x.port === inside.port, earlyInboundChangesPort, hairpins };
}
