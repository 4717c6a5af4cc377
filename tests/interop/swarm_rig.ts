/**
 * Swarms of both kinds, over loopback:
 *
 *     Swarm of ours  <-- UDP -->  testnet of the reference  <-- UDP -->  hyperswarm in Node
 */
import { loadSystemRuntime } from "../../core/system_runtime.ts";
import type { Connection } from "../../core/stream/connection.ts";
import { Dht } from "../../dht/mod.ts";
import { raw } from "../../encoding/raw.ts";
import { toHex } from "../../encoding/text.ts";
import { Swarm, type SwarmOptions } from "../../swarm/mod.ts";
import { udpNetwork } from "../../transports/udp/mod.ts";
import { HOST, NODES } from "./dht_rig.ts";
import { Child } from "./udx_support.ts";

/** A connection of a swarm of either side; `hash` is the same at both ends. */
export interface SeenConnection {
  readonly remoteKey: string;
  readonly isInitiator: boolean;
  readonly hash: string;
}

/** What the child tells of one of its swarms. */
export interface Seen {
  /** Whom it was connected to, each time. */
  readonly peers: readonly string[];
  readonly heard: Readonly<Record<string, string>>;
  readonly closed: number;
  readonly bans: number;
  readonly connections: readonly SeenConnection[];
  readonly open: number;
}

/** A swarm of the reference. */
export class TheirSwarm {
  readonly #child: Child;
  readonly name: string;
  /** Its key in hex. */
  readonly key: string;

  /** Made by {@linkcode SwarmRig.theirs}. */
  constructor(child: Child, name: string, key: string) {
    this.#child = child;
    this.name = name;
    this.key = key;
  }

  /** Has it do something. */
  async ask(op: string, details: Record<string, unknown> = {}): Promise<void> {
    await this.#child.ask(op, { name: this.name, ...details });
  }

  /** What it has seen so far. */
  async seen(): Promise<Seen> {
    return await this.#child.ask("seen", { name: this.name }) as unknown as Seen;
  }

  /** Its connections. */
  async connections(): Promise<readonly SeenConnection[]> {
    return (await this.seen()).connections;
  }

  /** Whether it is connected to the peer with a key. */
  async has(key: string): Promise<boolean> {
    return (await this.connections()).some(({ remoteKey }) => remoteKey === key);
  }
}

/** A swarm of ours. */
export class OurSwarm {
  readonly swarm: Swarm;
  readonly dht: Dht;
  /** Its key in hex. */
  readonly key: string;
  /** What was heard, message by message. */
  readonly heard: string[] = [];
  /** Whom it was connected to, each time. */
  readonly peers: string[] = [];

  /** Made by {@linkcode SwarmRig.ours}. */
  constructor(swarm: Swarm, dht: Dht, channels: boolean) {
    this.swarm = swarm;
    this.dht = dht;
    this.key = toHex(swarm.keyPair.publicKey);
    swarm.on("connection", ({ detail: { connection } }) => {
      this.peers.push(toHex(connection.remotePublicKey));
      greet(connection, channels, this.heard);
    });
  }

  /** Its connections. */
  connections(): SeenConnection[] {
    return [...this.swarm.connections.keys()].map((connection) => ({
      remoteKey: toHex(connection.remotePublicKey),
      isInitiator: connection.isInitiator,
      hash: toHex(connection.handshakeHash),
    }));
  }

  /** Whether it is connected to the peer with a key. */
  has(key: string): boolean {
    return this.connections().some(({ remoteKey }) => remoteKey === key);
  }
}

/** A network with swarms of both kinds in it. */
export class SwarmRig implements AsyncDisposable {
  readonly #child = new Child("swarm_peer.mjs");
  readonly #ours: OurSwarm[] = [];
  #port = 0;
  #names = 0;

  static async open(): Promise<SwarmRig> {
    const rig = new SwarmRig();
    rig.#port = (await rig.#child.ask("testnet", { size: NODES })).port;
    return rig;
  }

  /** A swarm of theirs. */
  async theirs(options: Record<string, unknown> = {}): Promise<TheirSwarm> {
    const name = `swarm ${this.#names++}`;
    const answer = await this.#child.ask("swarm", { name, port: this.#port, ...options });
    return new TheirSwarm(this.#child, name, (answer as unknown as { publicKey: string }).publicKey);
  }

  /** A swarm of ours. */
  async ours(options: Omit<SwarmOptions, "dht"> = {}): Promise<OurSwarm> {
    const runtime = await loadSystemRuntime();
    const bootstrap = [`${HOST}:${this.#port}`];
    const dht = new Dht(runtime, udpNetwork({ needTtl: true }), { bootstrap, host: HOST, port: 0 });
    await dht.open();
    await dht.ready();
    const ours = new OurSwarm(new Swarm(runtime, { dht, ...options }), dht, options.channels ?? false);
    this.#ours.push(ours);
    return ours;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#ours.map(async ({ swarm, dht }) => {
      await swarm.close();
      await dht.close({ force: true });
    }));
    await this.#child.ask("stop");
    await this.#child[Symbol.asyncDispose]();
  }
}

/** The topic of a number. */
export const topicOf = (n: number): Uint8Array => new Uint8Array(32).fill(n);

/** Lets time pass, so that what must not happen has had its chance. */
export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Greets on a new connection in one of the two ways, and notes what the peer says. */
function greet(connection: Connection, channels: boolean, heard: string[]): void {
  const hello = new TextEncoder().encode("hello");
  const hear = (bytes: Uint8Array) => void heard.push(new TextDecoder().decode(bytes));
  if (channels) {
    const channel = connection.mux.createChannel({ protocol: "greeting" })!;
    const message = channel.addMessage({ codec: raw.uint8Array, onMessage: hear });
    channel.open();
    message.send(hello);
    return;
  }
  const talk = async () => {
    await connection.write(hello);
    for await (const chunk of connection) hear(chunk);
  };
  talk().catch(() => {});
}
