/** The ways into the network: names are looked up and suggested addresses are tried, once for all who ask at the same time. */
import type { SocketAddress } from "../../encoding/address.ts";
import type { BootstrapNode } from "./config.ts";
import { Command } from "./constants.ts";
import type { RpcContext } from "./context.ts";
import type { OutgoingRequest, RequestOwner } from "./outgoing_request.ts";

/** Who wants to know the bootstrap nodes. */
export interface BootstrapListener {
  /** One of them is at `address`. */
  onBootstrapNode(now: number, address: SocketAddress): void;
  /** These were all that could be found. */
  onBootstrapEnd(now: number): void;
}

/** How long an address is believed, in milliseconds. */
const MAX_AGE_MS = 600_000;

interface Waiter {
  readonly listener: BootstrapListener;
  remaining: number;
}

/** One of them. */
class Entry implements RequestOwner {
  readonly node: BootstrapNode;
  readonly #context: RpcContext;
  readonly #index: number;
  #address: SocketAddress | undefined;
  #knownAt = -Infinity;
  #waiters: Waiter[] = [];
  #isPinging = false;
  #isLookingUp = false;

  constructor(context: RpcContext, node: BootstrapNode, index: number) {
    this.#context = context;
    this.node = node;
    this.#index = index;
  }

  resolve(now: number, waiter: Waiter): void {
    if (now - this.#knownAt < MAX_AGE_MS) {
      tell(now, waiter, this.#address);
      return;
    }
    this.#waiters.push(waiter);
    if (this.#isPinging || this.#isLookingUp) return;
    if (this.node.suggested === undefined) {
      this.#lookUp();
      return;
    }
    this.#isPinging = true;
    this.#context.request(now, { to: this.node.suggested, isInternal: true, command: Command.Ping }, this);
  }

  onReply(now: number, request: OutgoingRequest): void {
    this.#isPinging = false;
    this.#found(now, request.to);
  }

  onFailure(now: number): void {
    this.#isPinging = false;
    if (!this.#isLookingUp) this.#lookUp();
    else if (this.#address === undefined) this.#giveUp(now);
  }

  /** The name is looked up while the suggested address may still answer. */
  onSlow(): void {
    if (!this.#isLookingUp && this.#waiters.length > 0) this.#lookUp();
  }

  onLookup(now: number, address: SocketAddress | undefined): void {
    this.#isLookingUp = false;
    if (address !== undefined) this.#found(now, address);
    else if (!this.#isPinging) this.#giveUp(now);
  }

  #lookUp(): void {
    this.#isLookingUp = true;
    const { host, port } = this.node;
    this.#context.emit({ type: "lookup", index: this.#index, host, port });
  }

  #found(now: number, address: SocketAddress): void {
    this.#address = address;
    this.#knownAt = now;
    this.#tellAll(now, address);
  }

  #giveUp(now: number): void {
    this.#address = undefined;
    this.#knownAt = -Infinity;
    this.#tellAll(now, undefined);
  }

  #tellAll(now: number, address: SocketAddress | undefined): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) tell(now, waiter, address);
  }
}

function tell(now: number, waiter: Waiter, address: SocketAddress | undefined): void {
  if (address !== undefined) waiter.listener.onBootstrapNode(now, address);
  if (--waiter.remaining === 0) waiter.listener.onBootstrapEnd(now);
}

/** See the head of the file. */
export class BootstrapNodes {
  readonly #entries: readonly Entry[];

  /** The nodes of `context.config`. */
  constructor(context: RpcContext) {
    this.#entries = context.config.bootstrap.map((node, index) => new Entry(context, node, index));
  }

  /** How many there are. */
  get size(): number {
    return this.#entries.length;
  }

  /** Tells `listener` where they are, at once or later. */
  resolve(now: number, listener: BootstrapListener): void {
    const waiter = { listener, remaining: this.#entries.length };
    if (waiter.remaining === 0) listener.onBootstrapEnd(now);
    for (const entry of this.#entries) entry.resolve(now, waiter);
  }

  /** The name of the node number `index` is that of `address`, or unknown. */
  handleLookup(now: number, index: number, address: SocketAddress | undefined): void {
    this.#entries[index]?.onLookup(now, address);
  }
}
