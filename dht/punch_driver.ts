/** Connects a punch machine to sockets, to the clock and to the nodes that say what they see. */
import type { Clock, Timer } from "../core/runtime/runtime.ts";
import { SocketAddress } from "../encoding/address.ts";
import type { UdxSocket } from "../transports/udx/udx_socket.ts";
import { FULL_TTL } from "./punch/constants.ts";
import type { PunchTransmit } from "./punch/probe.ts";
import type { Puncher, PunchEvent, PunchFailureCode } from "./punch/puncher.ts";
import type { SocketLease, SocketPool, SocketPurpose } from "./punch/socket_pool.ts";
import type { Rpc } from "./rpc/rpc.ts";

/** A socket to punch from. */
export type PunchLease = SocketLease<UdxSocket>;

/** What a punch takes from its node. */
export interface PunchHost {
  /** Time. */
  readonly runtime: { readonly clock: Clock };
  /** Asks nodes what they see. */
  readonly rpc: Rpc;
}

/** What the owner of a {@linkcode PunchDriver} is told. Called while the driver handles input. */
export interface PunchHooks {
  /** The first socket is bound, or could not be. */
  onReady?(lease: PunchLease | undefined): void;
  /** The initiator: send this, call `handleReply` or `handleSilence` of the machine, then {@linkcode PunchDriver.turn}. */
  onRound?(event: PunchEvent & { readonly type: "round" }, lease: PunchLease): void;
  /** The responder: answer this. */
  onReply?(event: PunchEvent & { readonly type: "reply" }, lease: PunchLease | undefined): void;
  /** A punch that is to arrive has gone out. */
  onPunched?(lease: PunchLease, to: SocketAddress): void;
  /** A hole is made. The lease is the owner's from now on, who releases it. */
  onConnected?(lease: PunchLease, address: SocketAddress): void;
  /** None could be made. */
  onFailed(code: PunchFailureCode, message: string): void;
}

/** The datagram that makes a hole. */
const PUNCH = Uint8Array.of(0);
/** Nodes heard of last: they are asked last, because those that a dial has just asked see nothing new. */
const FRESH_NODES = 5;
/** Resends of a ping that asks what a node sees. */
const SAMPLE_RETRIES = 1;

/** See the head of the file. */
export class PunchDriver<Machine extends Puncher> {
  /** The machine. Call {@linkcode turn} after each input. */
  readonly machine: Machine;
  readonly #host: PunchHost;
  readonly #pool: SocketPool<UdxSocket>;
  readonly #purpose: SocketPurpose;
  readonly #hooks: PunchHooks;
  readonly #timer: Timer;
  readonly #leases = new Map<number, PunchLease>();
  readonly #abort = new AbortController();
  readonly #out: PunchTransmit = { socket: 0, to: SocketAddress.v4(0, 0), ttl: 0 };
  #sampled = 0;
  #isTurning = false;
  #isReady = false;
  #primary: PunchLease | undefined;

  /** Drives `machine` with sockets of `pool`. */
  constructor(
    host: PunchHost,
    pool: SocketPool<UdxSocket>,
    purpose: SocketPurpose,
    machine: Machine,
    hooks: PunchHooks,
  ) {
    this.#host = host;
    this.#pool = pool;
    this.#purpose = purpose;
    this.machine = machine;
    this.#hooks = hooks;
    this.#timer = host.runtime.clock.schedule(Infinity, () => {
      this.machine.handleTimeout(this.#now());
      this.turn();
    });
  }

  /** The socket that was bound last, the many of a birthday punch apart; undefined while there is none. */
  get primarySocket(): UdxSocket | undefined {
    return this.#primary?.isClosed === false ? this.#primary.socket : undefined;
  }

  /** The lease of a socket that this punch has. */
  leaseOf(socket: object): PunchLease | undefined {
    for (const lease of this.#leases.values()) if (lease.socket === socket) return lease;
    return undefined;
  }

  /** The number of a socket that this punch has. */
  numberOf(socket: object): number | undefined {
    for (const [number, lease] of this.#leases) if (lease.socket === socket) return number;
    return undefined;
  }

  /** Does what the machine wants done. */
  turn(): void {
    if (this.#isTurning) return;
    this.#isTurning = true;
    try {
      this.#work();
    } finally {
      this.#isTurning = false;
    }
    this.#timer.reset(this.machine.nextTimeout());
  }

  /**
   * The peers are connected, or will not be: gives all sockets back but `keep`.
   *
   * @returns the lease of `keep`, if it is one of this punch: the caller releases it.
   */
  finish(keep?: object): PunchLease | undefined {
    const number = keep === undefined ? undefined : this.numberOf(keep);
    const lease = number === undefined ? undefined : this.#leases.get(number);
    this.#abort.abort();
    this.machine.finish(this.#now(), number);
    if (number !== undefined) this.#leases.delete(number);
    this.turn();
    for (const left of this.#leases.values()) left.release();
    this.#leases.clear();
    this.#timer.cancel();
    return lease;
  }

  #now(): number {
    return this.#host.runtime.clock.now();
  }

  #work(): void {
    while (true) {
      let event: PunchEvent | undefined;
      while ((event = this.machine.pollEvent()) !== undefined) this.#handle(event);
      if (!this.machine.pollPunch(this.#now(), this.#out)) return;
      const { socket, to, ttl } = this.#out;
      const lease = this.#leases.get(socket);
      lease?.socket.send(PUNCH, to, ttl === FULL_TTL ? undefined : ttl);
      if (lease !== undefined && ttl === FULL_TTL) this.#hooks.onPunched?.(lease, to);
    }
  }

  #handle(event: PunchEvent): void {
    switch (event.type) {
      case "socketWanted":
        return void this.#bind(event.socket, event.isExtra);
      case "samplesWanted":
        return void this.#sample(event.socket, event.count);
      case "round": {
        const lease = this.#leases.get(event.socket);
        if (lease !== undefined) this.#hooks.onRound?.(event, lease);
        return;
      }
      case "reply":
        return this.#hooks.onReply?.(
          event,
          event.socket === undefined ? undefined : this.#leases.get(event.socket),
        );
      case "socketDone":
        this.#leases.get(event.socket)?.release();
        this.#leases.delete(event.socket);
        return;
      case "connected":
        return this.#onConnected(event.socket, event.address);
      case "failed":
        this.#reportReady(undefined);
        return this.#hooks.onFailed(event.code, event.message);
    }
  }

  /** The socket of the hole belongs to the owner from now on. */
  #onConnected(number: number, address: SocketAddress): void {
    const lease = this.#leases.get(number)!;
    this.#leases.delete(number);
    this.#hooks.onConnected?.(lease, address);
  }

  async #bind(number: number, isExtra: boolean): Promise<void> {
    let lease: PunchLease;
    try {
      lease = await this.#pool.acquire({ ...this.#purpose, isExtra });
    } catch {
      // Too many wait already, or the system has no more: the machine goes on without, or fails and says so.
      this.machine.socketFailed(this.#now(), number);
      this.turn();
      return;
    }
    if (this.#abort.signal.aborted) {
      lease.release();
      return;
    }
    this.#leases.set(number, lease);
    lease.onPunch = (from) => {
      this.machine.handlePunch(this.#now(), number, from);
      this.turn();
    };
    this.machine.socketReady(this.#now(), number, { canSetTtl: lease.socket.canSetTtl });
    if (!isExtra) {
      this.#primary = lease;
      this.#reportReady(lease);
    }
    this.turn();
  }

  #reportReady(lease: PunchLease | undefined): void {
    if (this.#isReady) return;
    this.#isReady = true;
    this.#hooks.onReady?.(lease);
  }

  /** Asks nodes of the DHT how they see a socket; other nodes each time. */
  async #sample(number: number, count: number): Promise<void> {
    const lease = this.#leases.get(number);
    if (lease === undefined) return;
    const known = lease.takeSamples();
    if (known.length > 0) {
      for (const { seenAs, node } of known) this.machine.addSample(this.#now(), number, seenAs, node);
      this.machine.endSampling(this.#now(), number);
      this.turn();
      return;
    }
    const { rpc } = this.#host;
    const latest = rpc.toArray({ limit: FRESH_NODES + this.#sampled + 2 * count });
    const nodes = [...latest.slice(FRESH_NODES), ...latest.slice(0, FRESH_NODES)];
    const start = this.#sampled % Math.max(1, nodes.length);
    const wanted = [...nodes.slice(start), ...nodes.slice(0, start)].slice(0, count);
    this.#sampled += wanted.length;
    const options = { socket: lease.socket, retries: SAMPLE_RETRIES, signal: this.#abort.signal };
    await Promise.allSettled(wanted.map(async (node) => {
      const { to, from } = await rpc.ping(node, options);
      lease.addSample({ seenAs: to, node: from });
      this.machine.addSample(this.#now(), number, to, from);
      this.turn();
    }));
    if (this.#abort.signal.aborted) return;
    this.machine.endSampling(this.#now(), number);
    this.turn();
  }
}
