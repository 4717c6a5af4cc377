/**
 * Swarms of one topic, each at a node of its own behind a router, in a DHT of public nodes: what the scenarios with swarms share.
 */
import assert from "node:assert/strict";
import type { KeyPair } from "../../../core/runtime/crypto_provider.ts";
import type { Clock } from "../../../core/runtime/runtime.ts";
import { macrotask } from "../../../core/runtime/system.ts";
import type { Connection } from "../../../core/stream/connection.ts";
import type { Dht } from "../../../dht/dht.ts";
import { toHex } from "../../../encoding/text.ts";
import { Swarm } from "../../../swarm/mod.ts";
import type { LinkConditions, RouterType, SimulatedHost } from "../../../transports/memory/mod.ts";
import { DhtWorld } from "../../dht/dht_world.ts";
import { crypto } from "../../dht/rpc/support.ts";

/** Routers whose peers all meet each other. */
const ROUTERS: readonly RouterType[] = [
  "open",
  "full-cone",
  "restricted-cone",
  "port-restricted-cone",
  "port-shifting",
  "carrier-grade",
];
/** One member of a world may be behind this: it meets all others, but not its like. */
const ODD_ROUTER: RouterType = "symmetric";

/** A peer. Its node and its swarm are other ones after a restart. */
export class Member {
  readonly name: string;
  readonly host: SimulatedHost;
  readonly keyPair: KeyPair;
  /** Undefined on the public internet. */
  readonly routerType: RouterType | undefined;
  dht!: Dht;
  swarm!: Swarm;
  /** Connections that ended, however. */
  ends = 0;

  constructor(name: string, host: SimulatedHost, keyPair: KeyPair, routerType: RouterType | undefined) {
    this.routerType = routerType;
    this.name = name;
    this.host = host;
    this.keyPair = keyPair;
  }

  get key(): string {
    return toHex(this.keyPair.publicKey);
  }
}

/** See the head of the file. */
export class SwarmWorld extends DhtWorld {
  readonly topic: Uint8Array = new Uint8Array(32).fill(0x42);
  readonly members: Member[] = [];
  readonly complaints: string[] = [];
  readonly description: string[] = [];
  readonly #byKey = new Map<string, Member>();
  #starts = 0;

  /** A member that has not been started. */
  addMember(link: LinkConditions): Member {
    const { random, network } = this;
    const number = this.members.length;
    const isPublic = random.chance(1, 5);
    const type = number === 0 && random.chance(1, 2) ? ODD_ROUTER : ROUTERS[random.below(ROUTERS.length)]!;
    const name = `member${number}`;
    const host = isPublic
      ? this.host({ name, link })
      : network.host({ name, behind: network.router({ name: `router of ${name}`, type, link }) });
    this.description.push(`${name} behind ${isPublic ? "nothing" : type}`);
    const seed = random.fork(name).fill(new Uint8Array(32));
    const member = new Member(name, host, crypto.keyPair(seed), isPublic ? undefined : type);
    this.members.push(member);
    this.#byKey.set(member.key, member);
    return member;
  }

  /** Starts, or starts again, with a node and a swarm that know nothing. */
  async start(member: Member, clock: Clock = this.clock): Promise<void> {
    const random = this.runtime.random.fork(`${member.name}/${this.#starts++}`);
    const runtime = { ...this.runtime, clock, random };
    member.dht = this.makeDht({ at: member.host, keyPair: member.keyPair, runtime });
    member.swarm = new Swarm(runtime, { dht: member.dht, keyPair: member.keyPair });
    member.swarm.on("connection", ({ detail: { connection } }) => void this.#greet(member, connection));
    member.swarm.join(this.topic);
    await member.dht.open();
  }

  /** Ends it without a word to anybody. */
  async kill({ swarm, dht }: Member): Promise<void> {
    await Promise.all([swarm.close(), dht.close({ force: true })]);
  }

  /** The pairs of members that are not connected, seen from both sides, by exactly one connection. */
  apart(members: readonly Member[] = this.members): string[] {
    return members.flatMap((a) =>
      members.filter((b) => a !== b && connectionsTo(a, b).length !== 1).map((b) =>
        `${a.name} has ${connectionsTo(a, b).length} connections to ${b.name}`
      )
    );
  }

  /** Lets time pass until all are connected; returns how long it took, or complains. */
  async awaitMesh(maxMs: number, when: string, members: readonly Member[] = this.members): Promise<number> {
    const start = this.clock.now();
    const isWhole = () =>
      members.every((a) => a.swarm.connections.size >= members.length - 1) &&
      this.apart(members).length === 0;
    await this.clock.runAsync(macrotask, { until: start + maxMs, stop: isWhole });
    for (const pair of this.apart(members)) this.complaints.push(`${maxMs} ms after ${when} ${pair}`);
    return this.clock.now() - start;
  }

  /** Closes everything; what stays behind is a complaint. */
  async end(): Promise<void> {
    try {
      await this.go(Promise.all(this.members.map(({ swarm }) => swarm.close())));
      await this.close();
    } catch (error) {
      if (!(error instanceof assert.AssertionError)) throw error;
      this.complaints.push(error.message);
    }
  }

  /** Both sides say who they are, in every connection. */
  async #greet(member: Member, connection: Connection): Promise<void> {
    const key = toHex(connection.remotePublicKey);
    const peer = this.#byKey.get(key);
    if (peer === undefined) this.complaints.push(`${member.name} is connected to the stranger ${key}`);
    try {
      await connection.write(new TextEncoder().encode(member.name));
      let heard = "";
      for await (const chunk of connection) heard += new TextDecoder().decode(chunk);
      if (heard !== "" && heard !== peer?.name) {
        this.complaints.push(`${member.name} heard ${heard} say it was ${peer?.name}`);
      }
    } catch {
      // It broke: that is what faults are for.
    }
    member.ends++;
  }
}

function connectionsTo({ swarm }: Member, { key }: Member): Connection[] {
  return [...swarm.connections.keys()].filter(({ remotePublicKey }) => toHex(remotePublicKey) === key);
}
