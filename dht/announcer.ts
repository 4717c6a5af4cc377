/**
 * Keeps a peer reachable under its own key: announces it to the three nodes nearest to the hash of the key, which from then on
 * relay to it, and pings them often enough that the NAT in front of the peer lets them in.
 *
 * Source: hyperdht 6.34.0, lib/announcer.js. Differences: rounds that nobody takes come at growing distances; a new round begins
 * when requests go out from another socket than the one that the nodes know.
 */
import type { Clock } from "../core/runtime/runtime.ts";
import type { SocketAddress } from "../encoding/address.ts";
import { ANNOUNCE_MS, ANNOUNCE_NODES, ANNOUNCE_PING_MS, Command, MAX_RECORD_RELAYS } from "./constants.ts";
import { Presence } from "./presence.ts";
import type { RecordClient } from "./record_client.ts";
import type { Reply, RpcPort } from "./rpc/outgoing_request.ts";
import type { Rpc } from "./rpc/rpc.ts";
import type { DhtSigner, Identity } from "./signers.ts";
import type { DhtStats } from "./stats.ts";

/** A node that relays to a peer. */
export interface AnnouncedRelay {
  /** The node. */
  readonly relayAddress: SocketAddress;
  /** The peer, as the node sees it. */
  readonly peerAddress: SocketAddress;
}

/** What an {@linkcode Announcer} needs of its node; a `DhtContext` has it. */
export interface AnnouncerHost {
  /** Time. */
  readonly runtime: { readonly clock: Clock };
  /** Requests. */
  readonly rpc: Rpc;
  /** Finds nodes and announces to them. */
  readonly client: RecordClient;
  /** Counters. */
  readonly stats: DhtStats;
}

/** Rounds whose nodes count as relays: handshakes through nodes of the rounds before may still be on their way. */
const GENERATIONS = 3;
/** Resends of a request that says goodbye to a node: it may be gone. */
const FAREWELL_RETRIES = 1;

/** The nodes of one round, by address. */
type Generation = Map<number | string, SocketAddress>;

/** See the head of the file. */
export class Announcer extends Presence {
  /** See {@linkcode Presence}. */
  protected override readonly checkMs: number = ANNOUNCE_PING_MS;
  readonly #host: AnnouncerHost;
  readonly #signer: DhtSigner;
  readonly #target: Uint8Array;
  /** Latest first. */
  #generations: Generation[] = [];
  #relays: readonly AnnouncedRelay[] = [];
  #relayAddresses: readonly SocketAddress[] = [];
  #closestNodes: readonly SocketAddress[] = [];
  #announcedFrom: RpcPort | undefined;

  /** An announcer that does nothing before `start`; `target` is the hash of the key of `identity`. */
  constructor(host: AnnouncerHost, identity: Identity, target: Uint8Array) {
    super(host.runtime.clock);
    this.#host = host;
    this.#signer = host.client.signer(identity);
    this.#target = target;
  }

  /** The nodes that relay now, and how they see the peer. */
  get relays(): readonly AnnouncedRelay[] {
    return this.#relays;
  }

  /** What others are told about how to reach the peer, three at the most; the node itself comes first if others can reach it. */
  get relayAddresses(): readonly SocketAddress[] {
    return this.#relayAddresses;
  }

  /** Whether a message from `address` may be from a node that relays: of this round or the two before. */
  isRelay(address: SocketAddress): boolean {
    return this.#generations.some((generation) => generation.has(address.key));
  }

  /** See {@linkcode Presence}. */
  protected override nextRoundMs(): number {
    return ANNOUNCE_MS;
  }

  /** See {@linkcode Presence}: finds the nodes, tells them, says goodbye to those left behind. */
  protected override async announce(signal: AbortSignal): Promise<boolean> {
    const { rpc, client, stats } = this.#host;
    stats.announcing.rounds++;
    this.#announcedFrom = rpc.socket;
    const taken: Generation = new Map();
    const before = this.#generations[0] ?? new Map();
    // From here on, so that all that is told is taken back even if the round is interrupted.
    this.#generations = [taken, ...this.#generations].slice(0, GENERATIONS);
    const relays: AnnouncedRelay[] = [];
    try {
      const query = client.findPeerAt(this.#target, { nodes: this.#closestNodes, signal });
      await query.finished();
      const nearest = query.closestReplies.slice(0, ANNOUNCE_NODES);
      const told = await Promise.allSettled(
        nearest.map((reply) => this.#announceTo(reply, taken, relays, signal)),
      );
      const refusal = told.find(({ status }) => status === "rejected") as PromiseRejectedResult | undefined;
      if (taken.size === 0 && refusal !== undefined) throw refusal.reason;
      this.#closestNodes = query.closestNodes;
    } finally {
      const leftBehind = [...before.values()].filter(({ key }) => !taken.has(key));
      if (signal.aborted || taken.size === 0) {
        // A round that came to nothing has replaced nothing.
        for (const node of leftBehind) taken.set(node.key, node);
      } else {
        this.#replaceRelays(relays);
        await this.#unannounce(leftBehind);
      }
    }
    return relays.length > 0;
  }

  /** See {@linkcode Presence}: whether all nodes answer, and still see the peer where it announced itself from. */
  protected override async check(signal: AbortSignal): Promise<boolean> {
    const { rpc, stats } = this.#host;
    if (rpc.socket !== this.#announcedFrom) return false;
    const nodes = [...this.#generations[0]!.values()];
    stats.announcing.pings += nodes.length;
    const results = await Promise.allSettled(nodes.map((node) => rpc.ping(node, { signal })));
    if (signal.aborted) return true;
    const lost = results.filter(({ status }) => status === "rejected").length;
    stats.announcing.lostRelays += lost;
    return lost === 0 &&
      results.every((result) => result.status === "rejected" || this.#isSeenAsBefore(result.value));
  }

  /** Nodes relay to where the peer was when it announced itself: after a change of its address they reach nobody. */
  #isSeenAsBefore({ from, to }: Reply): boolean {
    const relay = this.#relays.find(({ relayAddress }) => relayAddress.equals(from));
    return relay === undefined || relay.peerAddress.equals(to);
  }

  /** See {@linkcode Presence}. */
  protected override async takeBack(): Promise<void> {
    const nodes = [...this.#generations[0]?.values() ?? []];
    this.#replaceRelays([]);
    await this.#unannounce(nodes);
  }

  async #announceTo(
    reply: Reply,
    taken: Generation,
    relays: AnnouncedRelay[],
    signal: AbortSignal,
  ): Promise<void> {
    const peer = { publicKey: this.#signer.publicKey, relayAddresses: [] };
    await this.#host.client.announceAt(reply, this.#target, this.#signer, peer, 0, { signal });
    this.#host.stats.announcing.announced++;
    taken.set(reply.from.key, reply.from);
    relays.push({ relayAddress: reply.from, peerAddress: reply.to });
  }

  #replaceRelays(relays: readonly AnnouncedRelay[]): void {
    const own = this.#host.rpc.remoteAddress();
    const addresses = relays.map(({ relayAddress }) => relayAddress);
    this.#relays = relays;
    this.#relayAddresses = [...(own === undefined ? [] : [own]), ...addresses].slice(0, MAX_RECORD_RELAYS);
  }

  async #unannounce(nodes: readonly SocketAddress[]): Promise<void> {
    await Promise.allSettled(nodes.map((node) => this.#unannounceAt(node)));
  }

  async #unannounceAt(node: SocketAddress): Promise<void> {
    const { rpc, client, stats } = this.#host;
    const options = { retries: FAREWELL_RETRIES };
    const reply = await rpc.request({ command: Command.FindPeer, target: this.#target }, node, options);
    // It has forgotten the peer already, or never served.
    if (reply.value === undefined || reply.id === undefined) return;
    await client.unannounceAt(reply, this.#target, this.#signer, options);
    stats.announcing.unannounced++;
  }
}
