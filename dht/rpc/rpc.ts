/** A node of the DHT: connects the machine to sockets and a clock, and offers promises, iterators and events. */
import { Driver } from "../../core/runtime/driver.ts";
import { TypedEventTarget } from "../../core/runtime/events.ts";
import type { DatagramMachine } from "../../core/runtime/machine.ts";
import type { Runtime } from "../../core/runtime/runtime.ts";
import { SocketAddress } from "../../encoding/address.ts";
import { encode } from "../../encoding/codec.ts";
import { uint32 } from "../../encoding/fixed.ts";
import { Calls, checkAddress, destroyed } from "./calls.ts";
import { Command, DELAYED_PING_GRACE_MS, MAX_STORED_NODES } from "./constants.ts";
import type { RpcEvent } from "./events.ts";
import { findAddress, handleRequest } from "./callbacks.ts";
import { KeptTable } from "./kept_table.ts";
import type { OutgoingOptions, Reply } from "./outgoing_request.ts";
import type { Query, QueryOptions } from "./query.ts";
import { RpcMachine, type RpcTransmit } from "./rpc_machine.ts";
import {
  bootstrapperOptions,
  candidatePorts,
  resolveOptions,
  type RpcOptions,
  type RpcSocket,
  type RpcSockets,
} from "./rpc_options.ts";
import type { CommandQuery, CommandRequest, Problem, RequestOptions, RpcEvents } from "./rpc_types.ts";
import { SocketPair } from "./socket_pair.ts";
import type { RpcStats } from "./stats.ts";
import { Surroundings } from "./surroundings.ts";

/**
 * See the head of the file. Nothing happens before {@linkcode Rpc.open}.
 *
 * @example Two nodes in a simulated network: the first is the way in for the second.
 * ```ts
 * import { loadCryptoProvider } from "../../core/crypto/provider.ts";
 * import { macrotask } from "../../core/runtime/system.ts";
 * import { SeededRandom, VirtualClock } from "../../core/runtime/virtual.ts";
 * import { SimulatedNetwork } from "../../transports/memory/mod.ts";
 * import { UdxEndpoint } from "../../transports/udx/mod.ts";
 * import { Rpc } from "./rpc.ts";
 *
 * const clock = new VirtualClock();
 * const random = new SeededRandom(1);
 * const runtime = { clock, random, crypto: await loadCryptoProvider() };
 * const network = new SimulatedNetwork({ clock, random });
 * const [one, two] = [network.host(), network.host()];
 * const first = Rpc.bootstrapper(runtime, new UdxEndpoint(runtime, one), { host: one.address, port: 49737 });
 * const second = new Rpc(runtime, new UdxEndpoint(runtime, two), { bootstrap: [`${one.address}:49737`] });
 * const work = (async () => {
 *   await Promise.all([first.open(), second.open()]);
 *   await second.ready();
 *   console.assert(second.toArray().length === 1);
 *   await Promise.all([first.close(), second.close()]);
 * })();
 * await clock.runAsync(macrotask, { until: 60_000 });
 * await work;
 * ```
 */
export class Rpc extends TypedEventTarget<RpcEvents> implements AsyncDisposable {
  readonly #runtime: Runtime;
  readonly #machine: RpcMachine;
  readonly #driver: Driver<RpcEvent>;
  readonly #sockets: SocketPair;
  readonly #options: RpcOptions;
  readonly #calls: Calls;
  readonly #ready = Promise.withResolvers<void>();
  readonly #onProblem = (what: Problem, error: unknown) => this.emit("problem", { what, error });
  readonly #kept: KeptTable;
  readonly #surroundings: Surroundings;
  #opening: Promise<void> | undefined;
  #changing: Promise<void> = Promise.resolve();
  #closing: Promise<void> | undefined;
  #isSuspended = false;
  #isReady = false;

  /** A node whose sockets come from `sockets`. @throws {TypeError} or {@linkcode RangeError} for options that make no sense. */
  constructor(runtime: Runtime, sockets: RpcSockets, options: RpcOptions = {}) {
    super();
    this.#runtime = runtime;
    this.#options = options;
    const { clock } = runtime;
    this.#sockets = new SocketPair(sockets, {
      host: options.host ?? "0.0.0.0",
      ports: candidatePorts(options.port),
      anyPort: options.anyPort ?? true,
      isOne: options.firewalled === false,
    });
    this.#machine = new RpcMachine({
      config: resolveOptions(options),
      crypto: runtime.crypto,
      random: runtime.random.fork("rpc"),
      replyHost: {
        reply: (...args) => this.#command((now) => this.#machine.respond(now, ...args)),
        relay: (...args) => this.#command((now) => this.#machine.relay(now, ...args)),
      },
    });
    this.#driver = new Driver(this.#asDatagramMachine(), clock, {
      send: (transmit) => this.#send(transmit as RpcTransmit),
      onEvent: (event) => this.#onEvent(event),
    }, { buffer: new Uint8Array(0), length: 0, to: SocketAddress.v4(0, 0), ttl: 0 });
    this.#calls = new Calls(this.#machine, (act) => this.#command(act));
    this.#kept = new KeptTable(options.store, this.#onProblem);
    this.#surroundings = new Surroundings(clock, options.localHosts, (hosts) => {
      this.emit("networkChange", { hosts });
      this.emit("networkUpdate", {});
    });
    this.#ready.promise.catch(() => {});
    for (const address of options.nodes ?? []) this.#machine.keeper.add(clock.now(), address);
  }

  /**
   * The first node of a network: it is persistent from the start, because it is told where others see it.
   *
   * @throws {TypeError} if `host` is no IPv4 address that others can write to.
   */
  static bootstrapper(
    runtime: Runtime,
    sockets: RpcSockets,
    address: { readonly host: string; readonly port: number },
    options: RpcOptions = {},
  ): Rpc {
    return new Rpc(runtime, sockets, { ...bootstrapperOptions(address), ...options });
  }

  /** Binds the sockets and begins to look around. Resolves when the sockets are bound; see {@linkcode ready}. */
  open(): Promise<void> {
    return this.#opening ??= this.#open();
  }

  /** Opens the node and resolves after the first look around. @throws {ConnectError} `NODE_DESTROYED` if it is closed before. */
  ready(): Promise<void> {
    return this.open().then(() => this.#ready.promise);
  }

  /** Whether the first look around is over. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Whether it serves nobody and has no id. */
  get ephemeral(): boolean {
    return this.#machine.state.isEphemeral;
  }

  /** Whether others cannot reach it unasked, as far as it is known. */
  get firewalled(): boolean {
    return this.#machine.state.isFirewalled;
  }

  /** The own id, 32 bytes; undefined while ephemeral. */
  get id(): Uint8Array | undefined {
    return this.#machine.id;
  }

  /** The id that the routing table is ordered around: the own one, or a random one while there is none. */
  get tableId(): Uint8Array {
    return this.#machine.keeper.table.id;
  }

  /** The own address as others see it; port 0 = at changing ports; undefined = they do not agree. */
  get natAddress(): SocketAddress | undefined {
    return this.#machine.state.address;
  }

  /** Where others reach this node unasked; undefined if they do not, or it is not known. */
  remoteAddress(): SocketAddress | undefined {
    const address = this.natAddress;
    const isReachable = !this.firewalled && address?.port === this.serverSocket?.address.port;
    return isReachable ? address : undefined;
  }

  /** The local address of the socket that requests go out from; undefined while there is none. */
  address(): SocketAddress | undefined {
    return this.socket?.address;
  }

  /** The socket that others may write to; undefined while there is none. */
  get serverSocket(): RpcSocket | undefined {
    return this.#sockets.server;
  }

  /** The socket that requests go out from while the node is firewalled; the server socket if it never was. */
  get clientSocket(): RpcSocket | undefined {
    return this.#sockets.client;
  }

  /** The one of both that requests go out from now. */
  get socket(): RpcSocket | undefined {
    return this.firewalled ? this.clientSocket : this.serverSocket;
  }

  /** Whether there are answers to requests, as far as it is known. */
  get online(): boolean {
    return this.#machine.health !== "offline";
  }

  /** Whether most requests are not answered. */
  get degraded(): boolean {
    return this.#machine.health === "degraded";
  }

  /** Whether it is suspended. */
  get suspended(): boolean {
    return this.#isSuspended;
  }

  /** Whether it is closed, or about to be. */
  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /** Counters. */
  get stats(): RpcStats {
    return this.#machine.stats;
  }

  /** Nodes in the routing table. */
  get size(): number {
    return this.#machine.keeper.size;
  }

  /** The nodes of the routing table, those heard of last first: good for `nodes` of another start. */
  toArray(options: { readonly limit?: number } = {}): SocketAddress[] {
    return this.#machine.latestAddresses(options.limit ?? Infinity);
  }

  /** Puts a node into the routing table without asking it. */
  addNode(address: SocketAddress): void {
    this.#machine.keeper.add(this.#now(), checkAddress(address));
  }

  /** Asks whether a node is there; `size` bytes of zeros go with it. */
  ping(to: SocketAddress, options: RequestOptions & { readonly size?: number } = {}): Promise<Reply> {
    const value = options.size === undefined ? undefined : new Uint8Array(options.size);
    return this.#request({ to, isInternal: true, command: Command.Ping, value }, options);
  }

  /** As {@linkcode ping}, but the node answers after `delayMs`. @throws {RangeError} if that is too long. */
  delayedPing(to: SocketAddress, delayMs: number, options: RequestOptions = {}): Promise<Reply> {
    const { maxPingDelayMs } = this.#machine.config;
    if (!(delayMs >= 0 && delayMs <= maxPingDelayMs)) {
      throw new RangeError(`Expected a delay of 0 to ${maxPingDelayMs} ms, got ${delayMs}`);
    }
    const value = encode(uint32, Math.ceil(delayMs));
    const timeoutMs = delayMs + DELAYED_PING_GRACE_MS;
    return this.#request({ to, isInternal: true, command: Command.DelayedPing, value, timeoutMs }, options);
  }

  /**
   * Asks a node something of the application's. A reply with an error is a reply.
   *
   * @throws {ConnectError} `REQUEST_TIMEOUT`, `IO_SUSPENDED`, `REQUEST_DESTROYED` or `NODE_DESTROYED`; the reason of the signal.
   * @throws {RangeError} if the request does not fit into a datagram.
   */
  request(init: CommandRequest, to: SocketAddress, options: RequestOptions = {}): Promise<Reply> {
    return this.#request({ to, isInternal: false, ...init }, options);
  }

  /** Looks for the nodes nearest to `target`. */
  findNode<T = Reply>(target: Uint8Array, options: QueryOptions<T> = {}): Query<T> {
    return this.#query({ target, command: Command.FindNode }, true, options);
  }

  /** Asks the nodes nearest to `init.target`. */
  query<T = Reply>(init: CommandQuery, options: QueryOptions<T> = {}): Query<T> {
    return this.#query(init, false, options);
  }

  /** Takes a datagram that came to a socket of another owner, from where requests were sent. Borrowed until return. */
  handleDatagram(socket: RpcSocket, datagram: Uint8Array, from: SocketAddress): void {
    if (this.closed) return;
    this.#command((now) => this.#machine.handleDatagram(now, datagram, from, socket));
  }

  /** Looks for nodes near a known one. */
  refresh(): void {
    if (this.closed || this.#isSuspended) return;
    this.#command((now) => this.#machine.refresh(now));
  }

  /** Closes the sockets until {@linkcode resume}; what is under way fails with `IO_SUSPENDED`. */
  suspend(): Promise<void> {
    return this.#change(async () => {
      if (this.#isSuspended) return;
      this.#isSuspended = true;
      this.#surroundings.leave();
      this.#command((now) => this.#machine.suspend(now));
      await Promise.all([this.#save(), this.#sockets.close()]);
      this.emit("suspend", {});
    });
  }

  /** Binds the sockets again, on the same ports if they are free. Requests made since {@linkcode suspend} are sent. */
  resume(): Promise<void> {
    return this.#change(async () => {
      if (!this.#isSuspended) return;
      const { server, client } = await this.#bind();
      if (this.closed) return;
      this.#isSuspended = false;
      this.#command((now) => this.#machine.resume(now, server, client));
      this.emit("resume", {});
    });
  }

  /** Closes the node; what is under way fails with `REQUEST_DESTROYED`. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  /** See {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #open(): Promise<void> {
    if (this.closed) throw destroyed();
    const [{ server, client }, nodes] = await Promise.all([this.#bind(), this.#kept.load()]);
    if (this.closed) return;
    for (const address of nodes) this.addNode(address);
    this.#command((now) => this.#machine.start(now, server, client));
    this.emit("listening", {});
  }

  async #close(): Promise<void> {
    this.#surroundings.leave();
    const wasOpened = this.#opening !== undefined;
    await this.#opening?.catch(() => {});
    await this.#changing;
    const saving = wasOpened && !this.#isSuspended ? this.#save() : undefined;
    this.#machine.close(this.#now());
    let event: RpcEvent | undefined;
    while ((event = this.#machine.pollEvent()) !== undefined) this.#onEvent(event);
    this.#driver.close();
    await Promise.all([saving, this.#sockets.close()]);
    this.#ready.reject(destroyed());
    this.emit("close", {});
  }

  /** One change of the sockets after the other. */
  #change(work: () => Promise<void>): Promise<void> {
    const result = this.#changing.then(async () => {
      if (this.closed) return;
      await this.open();
      if (!this.closed) await work();
    });
    this.#changing = result.catch(() => {});
    return result;
  }

  async #bind(): Promise<{ server: RpcSocket; client: RpcSocket }> {
    const { server, client } = await this.#sockets.bind();
    for (const socket of [server, client]) {
      socket.onDatagram = (datagram, from) => this.handleDatagram(socket, datagram, from);
    }
    this.#surroundings.enter();
    return { server, client };
  }

  // A node that knows nobody should not overwrite what it knew before.
  async #save(): Promise<void> {
    if (this.size > 0) await this.#kept.save(this.toArray({ limit: MAX_STORED_NODES }));
  }

  #now(): number {
    return this.#runtime.clock.now();
  }

  /** Does something with the machine, and lets it send what follows from it. */
  #command<T>(act: (now: number) => T): T {
    const result = act(this.#now());
    this.#driver.wake();
    return result;
  }

  #request(options: OutgoingOptions, how: RequestOptions): Promise<Reply> {
    return this.closed ? Promise.reject(destroyed()) : this.#calls.request(options, how);
  }

  #query<T>(init: CommandQuery, isInternal: boolean, options: QueryOptions<T>): Query<T> {
    if (this.closed) throw destroyed();
    return this.#calls.query(init, isInternal, options);
  }

  #asDatagramMachine(): DatagramMachine<RpcEvent> {
    const machine = this.#machine;
    return {
      handleDatagram() {},
      handleTimeout: (now) => {
        if (this.#surroundings.hasSlept() && machine.isBound) machine.handleWakeup(now);
        machine.handleTimeout(now);
      },
      nextTimeout: () => machine.nextTimeout(),
      pollEvent: () => machine.pollEvent(),
      pollTransmit: (now, out) => machine.pollTransmit(now, out as RpcTransmit),
    };
  }

  #send({ socket, buffer, to, ttl }: RpcTransmit): void {
    if (ttl === 0) (socket as RpcSocket).send(buffer, to);
    else (socket as RpcSocket).send(buffer, to, ttl);
  }

  #onEvent(event: RpcEvent): void {
    if (this.#calls.handleEvent(event)) return;
    switch (event.type) {
      case "request":
        return handleRequest(event.request, this.#options.onRequest, this.#onProblem);
      case "lookup":
        return void this.#lookUp(event.index, event.host, event.port);
      case "save":
        return void this.#save();
      case "ready":
        this.#isReady = true;
        this.#ready.resolve();
        return this.emit("ready", {});
      case "persistent":
        return this.emit("persistent", { id: this.tableId });
      case "natUpdate":
        return this.emit("natUpdate", { address: event.address });
      case "addNode":
      case "removeNode":
        return this.emit(event.type, { address: event.address, id: event.id });
      case "health":
        return this.emit("networkUpdate", {});
      case "ephemeral":
      case "wakeup":
        return this.emit(event.type, {});
    }
  }

  async #lookUp(index: number, host: string, port: number): Promise<void> {
    const address = await findAddress(host, port, this.#options.lookup);
    if (this.closed) return;
    this.#command((now) => this.#machine.handleLookup(now, index, address));
  }
}
