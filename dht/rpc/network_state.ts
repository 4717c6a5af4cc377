/**
 * What this node is to others: at which address they see it, whether they reach it unasked, and whether it serves them.
 *
 * Source: dht-rpc 6.27.0, index.js. Differences: only answers to own requests are believed about the own address, as requests can
 * be forged.
 */
import type { SocketAddress } from "../../encoding/address.ts";
import type { BootstrapListener } from "./bootstrap_nodes.ts";
import { Command } from "./constants.ts";
import type { RpcContext } from "./context.ts";
import { NatSampler } from "./nat_sampler.ts";
import type { OutgoingRequest, Reply, RequestOwner, RpcPort } from "./outgoing_request.ts";

/** Nodes that are asked to write to the server socket. */
const TESTERS = 5;
/** How many of them have to get through. */
const MIN_HITS = 3;

/** What the state needs of the node. */
export interface NetworkStateHost extends RpcContext {
  /** The socket that others may write to unasked. */
  readonly serverSocket: RpcPort | undefined;
  /** Addresses of nodes heard of lately. */
  latestAddresses(limit: number): SocketAddress[];
  /** Tells the bootstrap nodes. */
  resolveBootstrap(now: number, listener: BootstrapListener): void;
  /** The own id is now that of `address`. */
  onAddress(now: number, address: SocketAddress): void;
}

/** The value of a PING_NAT: a port, least significant byte first. */
export function encodePort(port: number): Uint8Array {
  return Uint8Array.of(port, port >>> 8);
}

/** Asks a few nodes to write to the server socket, which nobody was sent anything from. */
class FirewallTest implements RequestOwner, BootstrapListener {
  readonly sampler = new NatSampler();
  readonly #host: NetworkStateHost;
  readonly #server: RpcPort;
  readonly #onDone: (now: number) => void;
  #asked = 0;
  #pending = 0;
  #hits = 0;
  #isStarting = true;

  constructor(host: NetworkStateHost, server: RpcPort, onDone: (now: number) => void) {
    this.#host = host;
    this.#server = server;
    this.#onDone = onDone;
  }

  get hasPassed(): boolean {
    return this.#hits >= (this.#asked >= TESTERS ? MIN_HITS : 1);
  }

  start(now: number): void {
    for (const address of this.#host.latestAddresses(TESTERS)) this.#ask(now, address);
    if (this.#asked < TESTERS) this.#host.resolveBootstrap(now, this);
    else this.onBootstrapEnd(now);
  }

  onBootstrapNode(now: number, address: SocketAddress): void {
    if (this.#asked < TESTERS) this.#ask(now, address);
  }

  onBootstrapEnd(now: number): void {
    this.#isStarting = false;
    this.#finishIfDone(now);
  }

  onReply(now: number, _request: OutgoingRequest, reply: Reply, socket: RpcPort): void {
    this.#pending--;
    if (socket === this.#server) {
      this.#hits++;
      this.sampler.add(reply.to);
    }
    this.#finishIfDone(now);
  }

  onFailure(now: number): void {
    this.#pending--;
    this.#finishIfDone(now);
  }

  #ask(now: number, to: SocketAddress): void {
    this.#asked++;
    this.#pending++;
    const value = encodePort(this.#server.address.port);
    this.#host.request(now, { to, isInternal: true, command: Command.PingNat, value }, this);
  }

  #finishIfDone(now: number): void {
    if (!this.#isStarting && this.#pending === 0) this.#onDone(now);
  }
}

/** See the head of the file. */
export class NetworkState {
  /** Whether others cannot reach this node unasked. */
  isFirewalled: boolean;
  /** Whether this node serves nobody and has no id. */
  isEphemeral: boolean = true;
  readonly #host: NetworkStateHost;
  #nat = new NatSampler();
  readonly #bootstrapSamples = new Set<number | string>();
  #testedHost: number | undefined;
  #isTesting = false;

  /** A node about which nothing is known, except what its settings say. */
  constructor(host: NetworkStateHost) {
    this.#host = host;
    this.isFirewalled = host.config.firewalled;
    if (host.config.ownAddress !== undefined) this.#nat.add(host.config.ownAddress);
  }

  /** The own address as others see it; port 0 = they see different ports. */
  get address(): SocketAddress | undefined {
    return this.#nat.address;
  }

  /** How many statements about the own address there are, at most 16. */
  get samples(): number {
    return this.#nat.size;
  }

  /** Whether the host was tested already under its present address. */
  get wasTested(): boolean {
    return this.#testedHost === this.#nat.address?.bits;
  }

  /** A node with an id sees this one at `address`. */
  sample(address: SocketAddress): void {
    if (address.port === 0) return;
    if (this.#nat.add(address)) this.#emitAddress();
  }

  /** A node without an id, at `from`, sees this one at `address`. Only a few count, in the hope that they are bootstrap nodes. */
  sampleNameless(from: SocketAddress, address: SocketAddress): void {
    const limit = Math.max(1, this.#host.config.bootstrap.length);
    if (this.#bootstrapSamples.size >= limit || this.#bootstrapSamples.has(from.key)) return;
    this.#bootstrapSamples.add(from.key);
    this.sample(address);
  }

  /** The next look at the own address tests it, even if it is the same. */
  forgetTest(): void {
    this.#testedHost = undefined;
  }

  /** Stops to serve; false if it did not. */
  demote(): boolean {
    if (this.isEphemeral) return false;
    this.isEphemeral = true;
    this.#host.emit({ type: "ephemeral" });
    return true;
  }

  /**
   * Finds out whether others reach this node, and makes it persistent if they do, unless `onlyFirewall`. Calls `onDone` with
   * whether something changed, perhaps at once.
   */
  update(now: number, onlyFirewall: boolean, onDone: (now: number, hasChanged: boolean) => void): void {
    const server = this.#host.serverSocket;
    const address = this.#nat.consistent;
    if (!onlyFirewall) this.#testedHost = this.#nat.address?.bits;
    const isPointless = !this.isEphemeral || (onlyFirewall && !this.isFirewalled);
    if (isPointless || this.#isTesting || server === undefined || address === undefined) {
      onDone(now, false);
      return;
    }
    if (!this.isFirewalled) {
      onDone(now, this.#adopt(now, this.#nat, address, onlyFirewall));
      return;
    }
    this.#isTesting = true;
    const test = new FirewallTest(this.#host, server, (later) => {
      this.#isTesting = false;
      const seen = test.sampler.address;
      // The address of the server socket: that of the client socket, with the port that it has locally.
      const isOpen = test.hasPassed && seen?.bits === this.#nat.address?.bits &&
        seen?.port === server.address.port;
      if (!isOpen) {
        onDone(later, false);
        return;
      }
      this.isFirewalled = false;
      onDone(later, this.#adopt(later, test.sampler, address, onlyFirewall));
    });
    test.start(now);
  }

  /** Believes in the address that `sampler` found, if nothing has changed since `before`. */
  #adopt(now: number, sampler: NatSampler, before: SocketAddress, onlyFirewall: boolean): boolean {
    const address = sampler.consistent;
    const isUnchanged = this.#nat.address?.key === before.key;
    if (!this.isEphemeral || !isUnchanged || address === undefined || address.bits !== before.bits) {
      return false;
    }
    if (!onlyFirewall) this.isEphemeral = false;
    if (sampler !== this.#nat) {
      this.#bootstrapSamples.clear();
      this.#nat = sampler;
      if (address.key !== before.key) this.#emitAddress();
    }
    this.#host.onAddress(now, address);
    if (!this.isEphemeral) this.#host.emit({ type: "persistent" });
    return true;
  }

  #emitAddress(): void {
    this.#host.emit({ type: "natUpdate", address: this.#nat.address });
  }
}
