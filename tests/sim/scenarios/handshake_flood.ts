/**
 * A server that strangers flood with handshakes, while honest peers dial it.
 *
 *     flooders, each with an address of its own --(direct, or through the server's relays)--> server
 *     honest clients, one after the other, behind home routers ------------------------------> server
 *
 * Each message of the flood is valid, with a key of its own, and nothing ever follows it: the most that a stranger who forges
 * addresses can do. Or it is garbage of the right length, or one and the same message.
 */
import { toError } from "../../../core/runtime/errors.ts";
import { Command, RelayMode } from "../../../dht/constants.ts";
import type { Dht } from "../../../dht/dht.ts";
import { PeerHandshaking } from "../../../dht/handshake.ts";
import { peerHandshake } from "../../../dht/handshake_messages.ts";
import { Firewall } from "../../../dht/punch/constants.ts";
import { encodeRequest } from "../../../dht/rpc/messages.ts";
import type { DhtServer } from "../../../dht/server.ts";
import { dhtNamespaces, targetOf } from "../../../dht/signables.ts";
import type { SocketAddress } from "../../../encoding/address.ts";
import { encode } from "../../../encoding/codec.ts";
import type { DatagramSocket } from "../../../transports/datagram.ts";
import { ConnectWorld, pingPong } from "../../dht/connect_rig.ts";
import { crypto } from "../../dht/rpc/support.ts";
import { countSockets, type SocketCount } from "../socket_count.ts";

/** What to simulate. */
export interface HandshakeFlood {
  readonly seed: string;
  /** Whether the flood comes straight to an open server, or through the relays of one behind a home router. */
  readonly way: "direct" | "relayed";
  readonly kind: "valid" | "garbage" | "replay";
  /** Messages a second. */
  readonly perSecond: number;
  /** Addresses that they come from. */
  readonly sources: number;
  readonly seconds: number;
  /** Honest peers that dial, in turn, evenly spread. */
  readonly honest: number;
}

/** What came of it. */
export interface FloodReport {
  readonly honest: number;
  /** Honest peers who got a connection. */
  readonly connected: number;
  /** How long that took, in milliseconds. */
  readonly ms: readonly number[];
  /** Why others failed. */
  readonly failures: readonly string[];
  /** Connections that the server handed out beyond those. */
  readonly false: number;
  /** Most sockets that the server had open at once, the two of its node included. */
  readonly sockets: number;
  /** Sockets that stayed, the two of its node not counted. */
  readonly left: number;
  /** Bytes that the server sent to flooders for each byte from them, without a relay between. */
  readonly amplification: number;
  readonly counters: Readonly<NonNullable<DhtServer["counters"]>>;
  readonly hash: number;
  readonly elapsedMs: number;
  readonly datagrams: number;
}

const NODES = 20;
/** How often the flood is let on, in milliseconds. */
const STEP_MS = 5;
/** Time after the flood in which all that it left must go, in milliseconds. */
const CALM_MS = 40_000;

/** Runs it to its end. */
export async function runHandshakeFlood(flood: HandshakeFlood): Promise<FloodReport> {
  return await new FloodRun(flood).run();
}

class FloodRun {
  readonly #flood: HandshakeFlood;
  readonly #world: ConnectWorld;
  readonly #flooders: DatagramSocket[] = [];
  readonly #ms: number[] = [];
  readonly #failures: string[] = [];
  #server!: Dht;
  #listening!: DhtServer;
  #sockets!: SocketCount;
  #sent = 0;
  #bytesOut = 0;
  #bytesBack = 0;

  constructor(flood: HandshakeFlood) {
    this.#flood = flood;
    this.#world = new ConnectWorld(`flood/${JSON.stringify(flood)}`);
  }

  async run(): Promise<FloodReport> {
    const world = this.#world;
    await world.dhtSwarm(NODES);
    await this.#makeServer();
    const clients: Dht[] = [];
    for (let i = 0; i < this.#flood.honest; i++) clients.push(await world.peer("port-restricted-cone"));
    for (let i = 0; i < this.#flood.sources; i++) {
      this.#flooders.push(
        await world.host().bind({}, { onDatagram: (bytes) => this.#bytesBack += bytes.length }),
      );
    }
    const connected = await this.#dialUnderFire(clients);
    await world.pass(CALM_MS);
    const left = this.#sockets.open - 2;
    const report = { accepted: world.accepted.length, counters: { ...this.#listening.counters! } };
    for (const flooder of this.#flooders) await flooder.close();
    await world.close();
    const { counters, traceHash } = world.network;
    return {
      honest: clients.length,
      connected,
      ms: this.#ms,
      failures: this.#failures,
      false: report.accepted - connected,
      sockets: this.#sockets.most,
      left,
      amplification: this.#bytesBack / this.#bytesOut,
      counters: report.counters,
      hash: traceHash,
      elapsedMs: world.clock.now(),
      datagrams: counters.sent,
    };
  }

  async #makeServer(): Promise<void> {
    const world = this.#world;
    const host = world.host(this.#flood.way === "direct" ? {} : { behind: world.network.router() });
    this.#sockets = countSockets(host);
    this.#server = await world.openDht({ at: host });
    this.#listening = await world.listen(this.#server);
  }

  /** Returns how many clients got through. */
  async #dialUnderFire(clients: readonly Dht[]): Promise<number> {
    const world = this.#world;
    const { seconds, honest } = this.#flood;
    const start = world.clock.now();
    const end = start + 1000 * seconds;
    const fire = () => {
      const due = (world.clock.now() - start) * this.#flood.perSecond / 1000;
      while (this.#sent < due) this.#shoot();
      if (world.clock.now() < end) timer.reset(world.clock.now() + STEP_MS);
    };
    const timer = world.clock.schedule(start, fire);
    let connected = 0;
    const dials: Promise<void>[] = [];
    for (const [i, client] of clients.entries()) {
      // From the moment on in which the flood is at its worst.
      await world.pass(Math.max(0, start + 1000 * seconds * (i + 1) / (honest + 1) - world.clock.now()));
      const before = world.clock.now();
      dials.push(
        client.connect(this.#server.keyPair.publicKey).then(async (connection) => {
          connected++;
          this.#ms.push(world.clock.now() - before);
          await pingPong(connection);
          connection.abort();
        }).catch((error) => void this.#failures.push(toError(error).message)),
      );
    }
    await world.go(Promise.all(dials));
    await world.pass(Math.max(0, end - world.clock.now()));
    return connected;
  }

  #shoot(): void {
    const world = this.#world;
    const i = this.#sent++;
    const flooder = this.#flooders[i % this.#flooders.length]!;
    const relays = this.#listening.relayAddresses;
    const to = this.#flood.way === "direct" ? world.dhtAddress(this.#server) : relays[i % relays.length]!;
    const bytes = this.#message(i, to);
    this.#bytesOut += bytes.length;
    flooder.send(bytes, to);
  }

  #message(i: number, to: SocketAddress): Uint8Array {
    const { kind } = this.#flood;
    const noise = kind === "garbage" ? this.#garbage() : this.#noise(kind === "replay" ? 0 : i);
    const value = encode(peerHandshake, { mode: RelayMode.FromClient, noise });
    const target = targetOf(crypto, this.#server.keyPair.publicKey);
    return encodeRequest({
      tid: i & 0xffff,
      to,
      isInternal: false,
      command: Command.PeerHandshake,
      target,
      value,
    });
  }

  #garbage(): Uint8Array {
    return this.#world.random.fill(new Uint8Array(150));
  }

  #noise(i: number): Uint8Array {
    const random = this.#world.random.fork(`flooder ${i}`);
    const context = { runtime: { crypto, random }, namespaces: dhtNamespaces(crypto) };
    const keyPair = crypto.keyPair(random.fill(new Uint8Array(32)));
    return new PeerHandshaking(context, keyPair, this.#server.keyPair.publicKey).send({
      ...{ error: 0, firewall: Firewall.Unknown, addresses4: [], addresses6: [], secretStream: true },
      udx: { reusableSocket: false, id: i + 1, seq: 0 },
    });
  }
}
