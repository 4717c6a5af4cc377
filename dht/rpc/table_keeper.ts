/**
 * Who is in the routing table, and for how long. Nobody gets in without an answer from its own address, and nobody stays who does
 * not answer.
 */
import type { SocketAddress } from "../../encoding/address.ts";
import { equals } from "../../encoding/bytes.ts";
import { Command, MAX_CHECKS, MAX_PER_SUBNET, MAX_REPINGS, OLD_MS, RECENT_MS, TICK_MS } from "./constants.ts";
import type { RpcContext } from "./context.ts";
import { RoutingNode } from "./node.ts";
import { NO_SUBNET, subnetOf } from "./node_id.ts";
import type { OutgoingRequest, RequestFailure, RequestOwner } from "./outgoing_request.ts";
import { RoutingTable } from "./table.ts";

/** Nodes that are pinged when it is time to ping the oldest: usually, while busy, and when even the oldest was heard of lately. */
const PINGS = 5;
const PINGS_WHEN_BUSY = 3;
const PINGS_WHEN_FRESH = 2;
/** Requests in flight above which the node is busy. */
const BUSY_REQUESTS = 2;
/** Resends of the ping to a newcomer: a lost one costs nothing, as it will come again. */
const NEWCOMER_RETRIES = 1;

/** See the head of the file. */
export class TableKeeper {
  readonly #context: RpcContext;
  /** By address; who was heard of longest ago comes first. */
  readonly #nodes = new Map<number | string, RoutingNode>();
  /** Addresses that are being asked whether they are there, with their subnets. */
  readonly #checks = new Map<number | string, number>();
  #table: RoutingTable;
  #repings = 0;
  /** Whatever was known before this moment counts as old. */
  #agedAt = -Infinity;
  /** Whether nodes of full buckets are replaced. */
  isSettled: boolean = false;

  /** An empty table around `id`. */
  constructor(context: RpcContext, id: Uint8Array) {
    this.#context = context;
    this.#table = new RoutingTable(id);
  }

  /** The nodes by their ids. */
  get table(): RoutingTable {
    return this.#table;
  }

  /** How many nodes there are. */
  get size(): number {
    return this.#nodes.size;
  }

  /** The node at `address`, if it is in the table. */
  find(address: SocketAddress): RoutingNode | undefined {
    return this.#nodes.get(address.key);
  }

  /** The nodes heard of last, the latest first. */
  latest(limit: number): RoutingNode[] {
    return [...this.#nodes.values()].reverse().slice(0, limit);
  }

  /** A node answered from `from`, with an id that is its own. Returns its entry, if it has one now. */
  hear(now: number, from: SocketAddress, id: Uint8Array): RoutingNode | undefined {
    const known = this.#nodes.get(from.key);
    if (known === undefined) {
      const node = this.#insert(now, new RoutingNode(id, from, now));
      if (node !== undefined) node.replies = 1;
      return node;
    }
    known.pingedAt = Math.floor(now);
    known.replies++;
    known.isDoubted = false;
    this.#nodes.delete(from.key);
    this.#nodes.set(from.key, known);
    return known;
  }

  /** A node with an id that is its own wrote from `from`. If there is room, it has to show that it gets what is sent there. */
  propose(now: number, from: SocketAddress, id: Uint8Array): void {
    if (this.#nodes.has(from.key) || !this.#mayCheck(from) || !this.#context.config.filterNode(from)) return;
    if (!this.#wouldTake(now, new RoutingNode(id, from, now))) return;
    this.#checks.set(from.key, subnetOf(from));
    const finish = () => void this.#checks.delete(from.key);
    // Its answer comes by `hear`.
    const owner: RequestOwner = { onReply: finish, onFailure: finish };
    const options = { to: from, isInternal: true, command: Command.Ping, retries: NEWCOMER_RETRIES };
    this.#context.request(now, options, owner);
  }

  /** Adds a node that the program itself named, without an answer: queries do not wait for it as they do for others. */
  add(now: number, address: SocketAddress): void {
    if (this.#nodes.has(address.key)) return;
    this.#insert(now, new RoutingNode(this.#context.idOf(address), address, now));
  }

  /** Takes the node at `address` out, if it is in. */
  remove(address: SocketAddress): void {
    const node = this.#nodes.get(address.key);
    if (node !== undefined) this.#remove(node);
  }

  /** Somebody says that the node at `address` is down: it is asked, unless that was done just now. */
  doubt(now: number, address: SocketAddress): void {
    const node = this.#nodes.get(address.key);
    if (node === undefined || (node.isDoubted && now - node.pingedAt < TICK_MS)) return;
    if (!this.#mayCheck(address)) return;
    node.isDoubted = true;
    this.#check(now, node);
  }

  /** Asks those who were not heard of for longest. */
  pingOldest(now: number): void {
    let left = this.#context.inFlight > BUSY_REQUESTS ? PINGS_WHEN_BUSY : PINGS;
    const nodes: RoutingNode[] = [];
    for (const node of this.#nodes.values()) {
      if (nodes.length === 0 && this.#isRecent(now, node)) left = PINGS_WHEN_FRESH;
      if (nodes.length === left) break;
      nodes.push(node);
    }
    for (const node of nodes) {
      if (node.pingedAt !== Math.floor(now) && !this.#checks.has(node.address.key)) this.#check(now, node);
    }
  }

  /** All nodes count as old: the host has slept. */
  age(now: number): void {
    this.#agedAt = now;
  }

  /** Orders the nodes around another id. Those that find no room are dropped. */
  setId(id: Uint8Array): void {
    const nodes = [...this.#nodes.values()];
    this.#table = new RoutingTable(id);
    for (const node of nodes) {
      if (this.#table.add(node) === "added") continue;
      this.#nodes.delete(node.address.key);
      this.#context.emit({ type: "removeNode", address: node.address, id: node.id });
    }
  }

  #insert(now: number, node: RoutingNode): RoutingNode | undefined {
    const result = this.#table.add(node);
    if (result === "full") this.#onFull(now, node);
    if (result !== "added") return undefined;
    this.#nodes.set(node.address.key, node);
    this.#context.emit({ type: "addNode", address: node.address, id: node.id });
    return node;
  }

  #remove(node: RoutingNode): void {
    if (!this.#table.remove(node)) return;
    this.#nodes.delete(node.address.key);
    this.#context.emit({ type: "removeNode", address: node.address, id: node.id });
  }

  #isRecent(now: number, node: RoutingNode): boolean {
    return node.pingedAt > this.#agedAt && now - node.pingedAt < RECENT_MS;
  }

  #isOld(now: number, node: RoutingNode): boolean {
    return node.addedAt <= this.#agedAt || now - node.addedAt > OLD_MS;
  }

  /** Whether `node`, which is not in the table, could be in it, perhaps instead of another. */
  #wouldTake(now: number, node: RoutingNode): boolean {
    const probe = this.#table.add(node);
    if (probe === "added") this.#table.remove(node);
    return probe === "added" || (probe === "full" && this.#replaceable(now, node.id) !== undefined);
  }

  /** The node that has to show that it is alive, or give way to one with the id `id`. */
  #replaceable(now: number, id: Uint8Array): RoutingNode | undefined {
    if (!this.isSettled || this.#repings >= MAX_REPINGS) return undefined;
    let oldest: RoutingNode | undefined;
    for (const node of this.#table.bucketOf(id)) {
      if (node.pingedAt === Math.floor(now)) continue;
      const isOlder = oldest === undefined || node.pingedAt < oldest.pingedAt ||
        (node.pingedAt === oldest.pingedAt && node.addedAt < oldest.addedAt);
      if (isOlder) oldest = node;
    }
    if (oldest === undefined || (this.#isRecent(now, oldest) && this.#isOld(now, oldest))) return undefined;
    return oldest;
  }

  #onFull(now: number, newcomer: RoutingNode): void {
    const oldest = this.#replaceable(now, newcomer.id);
    if (oldest === undefined) return;
    this.#repings++;
    this.#ping(now, oldest, (later, isAlive) => {
      this.#repings--;
      if (isAlive) return;
      this.#remove(oldest);
      if (!equals(newcomer.id, this.#table.id)) this.#insert(later, newcomer);
    });
  }

  /** Whether one more may be asked because of what a stranger said: a few at a time, and two of a subnet. */
  #mayCheck(address: SocketAddress): boolean {
    if (this.#checks.size >= MAX_CHECKS || this.#checks.has(address.key)) return false;
    const subnet = subnetOf(address);
    if (subnet === NO_SUBNET) return true;
    let count = 0;
    for (const other of this.#checks.values()) if (other === subnet) count++;
    return count < MAX_PER_SUBNET;
  }

  #check(now: number, node: RoutingNode): void {
    this.#checks.set(node.address.key, node.subnet);
    this.#ping(now, node, (_later, isAlive) => {
      this.#checks.delete(node.address.key);
      if (!isAlive) this.#remove(node);
    });
  }

  /** Asks `node`; it is alive if it answers with its id. */
  #ping(now: number, node: RoutingNode, onDone: (now: number, isAlive: boolean) => void): void {
    const { replies } = node;
    node.pingedAt = Math.floor(now);
    const owner: RequestOwner = {
      onReply: (later) => onDone(later, node.replies > replies),
      onFailure: (later: number, _request: OutgoingRequest, reason: RequestFailure) =>
        onDone(later, reason !== "timeout"),
    };
    this.#context.request(now, { to: node.address, isInternal: true, command: Command.Ping }, owner);
  }
}
