/**
 * A node of the DHT without its sockets: takes datagrams and commands, gives datagrams and events. Its parts are in the files
 * beside it; this one lets them know of each other and keeps the times at which something is to be done unasked.
 */
import { Deadlines } from "../../core/runtime/deadlines.ts";
import type { CryptoProvider } from "../../core/runtime/crypto_provider.ts";
import type { Machine, Transmit } from "../../core/runtime/machine.ts";
import type { Random } from "../../core/runtime/runtime.ts";
import type { SocketAddress } from "../../encoding/address.ts";
import { ipv4Address } from "../../encoding/address_codecs.ts";
import { equals } from "../../encoding/bytes.ts";
import { decode, DecodeError, encode } from "../../encoding/codec.ts";
import { type BootstrapListener, BootstrapNodes } from "./bootstrap_nodes.ts";
import type { RpcConfig } from "./config.ts";
import {
  Command,
  ID_BYTES,
  MAX_OUTBOX,
  QUERY_RETRIES,
  REPLY_BYTE,
  REQUEST_BYTE,
  SAMPLE_MS,
} from "./constants.ts";
import type { Due } from "./due.ts";
import type { RpcEvent } from "./events.ts";
import { Fifo } from "./fifo.ts";
import type { Health } from "./health.ts";
import type { ReplyHost } from "./incoming_request.ts";
import { Joining, type JoiningHost } from "./joining.ts";
import { checkLength, encodeRequest, readTid, replyMessage } from "./messages.ts";
import { NetworkState, type NetworkStateHost } from "./network_state.ts";
import type { RoutingNode } from "./node.ts";
import { nodeId } from "./node_id.ts";
import { Outbound, type OutboundHost } from "./outbound.ts";
import type {
  OutgoingOptions,
  OutgoingRequest,
  RequestFailure,
  RequestOwner,
  RpcPort,
} from "./outgoing_request.ts";
import { type QueryConfig, type QueryHost, QueryMachine, type QueryObserver } from "./query_machine.ts";
import { Responder, type ResponderHost } from "./responder.ts";
import { Routine, type RoutineHost } from "./routine.ts";
import { RpcStats } from "./stats.ts";
import { TableKeeper } from "./table_keeper.ts";

/** A datagram to be sent from one of several sockets. */
export interface RpcTransmit extends Transmit {
  /** See {@linkcode Transmit}. */
  buffer: Uint8Array;
  /** What to send it from. */
  socket: RpcPort;
}

/** What the machine takes from outside. */
export interface RpcMachineOptions {
  /** Settings. */
  readonly config: RpcConfig;
  /** Cryptography. */
  readonly crypto: CryptoProvider;
  /** Chance. */
  readonly random: Random;
  /** What answers to requests pass through on their way back to the machine: `respond` and `relay`. */
  readonly replyHost: ReplyHost;
}

interface Outgoing {
  readonly bytes: Uint8Array;
  readonly to: SocketAddress;
  readonly socket: RpcPort;
  readonly ttl: number;
}

/** Who wants no answer. */
const NOBODY: RequestOwner = { onReply() {}, onFailure() {} };
const SILENT: QueryObserver = { onReply() {}, onEnd() {} };

/** What the parts of the machine take it for. */
export type PartHosts =
  & OutboundHost
  & QueryHost
  & NetworkStateHost
  & JoiningHost
  & ResponderHost
  & RoutineHost;

/** See the head of the file. */
export class RpcMachine implements Machine<RpcEvent>, PartHosts {
  /** See `RpcContext`. */
  readonly config: RpcConfig;
  /** See `RpcContext`. */
  readonly crypto: CryptoProvider;
  /** See `RpcContext`. */
  readonly random: Random;
  /** See `RpcContext`. */
  readonly deadlines: Deadlines<Due> = new Deadlines();
  /** Counters. */
  readonly stats: RpcStats = new RpcStats();
  /** Address, firewall, role. */
  readonly state: NetworkState;
  /** Who is known. */
  readonly keeper: TableKeeper;
  readonly #outbound: Outbound;
  readonly #responder: Responder;
  readonly #bootstrap: BootstrapNodes;
  readonly #routine: Routine;
  readonly #queries = new Set<QueryMachine>();
  readonly #events = new Fifo<RpcEvent>();
  readonly #outbox = new Fifo<Outgoing>();
  #server: RpcPort | undefined;
  #client: RpcPort | undefined;
  #isClosed = false;
  /** Whoever uses the driver. */
  readonly #application: RequestOwner = {
    onReply: (_now, request, reply) => this.emit({ type: "reply", request, reply }),
    onFailure: (_now, request, reason) => this.emit({ type: "failure", request, reason }),
  };
  readonly #applicationQueries: QueryObserver = {
    onReply: (_now, query, reply) => this.emit({ type: "queryReply", query, reply }),
    onEnd: (_now, query, reason) => this.emit({ type: "queryEnd", query, reason }),
  };

  /** A node that does nothing before {@linkcode start}. */
  constructor({ config, crypto, random, replyHost }: RpcMachineOptions) {
    this.config = config;
    this.crypto = crypto;
    this.random = random;
    this.state = new NetworkState(this);
    this.keeper = new TableKeeper(this, random.fill(new Uint8Array(ID_BYTES)));
    this.#outbound = new Outbound(this, random, config);
    this.#responder = new Responder(this, replyHost);
    this.#bootstrap = new BootstrapNodes(this);
    this.#routine = new Routine(this);
  }

  /** Whether it has sockets. */
  get isBound(): boolean {
    return this.#server !== undefined;
  }

  /** The socket that others may write to unasked. */
  get serverSocket(): RpcPort | undefined {
    return this.#server;
  }

  /** The socket that requests go out from while others cannot reach this node unasked. */
  get clientSocket(): RpcPort | undefined {
    return this.#client;
  }

  /** The socket that requests go out from. */
  get socket(): RpcPort | undefined {
    return this.state.isFirewalled ? this.#client : this.#server;
  }

  /** The own id; undefined while ephemeral. */
  get id(): Uint8Array | undefined {
    return this.state.isEphemeral ? undefined : this.keeper.table.id;
  }

  /** Requests that wait for an answer. */
  get inFlight(): number {
    return this.#outbound.inFlight;
  }

  /** Requests that may wait for an answer at once. */
  get windowSize(): number {
    return this.#outbound.windowSize;
  }

  /** Whether the network works. */
  get health(): Health {
    return this.#routine.health;
  }

  /** Has sockets, and looks around for the first time. */
  start(now: number, server: RpcPort, client: RpcPort): void {
    this.#server = server;
    this.#client = client;
    this.#routine.start(now);
    new Joining(this, this.state).start(now);
  }

  /** Has no sockets any more. Requests that are made from now on wait for {@linkcode resume}. */
  suspend(now: number, reason: RequestFailure = "suspended"): void {
    this.#server = this.#client = undefined;
    this.#routine.stop();
    for (const query of [...this.#queries]) query.end(now, reason);
    this.#outbound.cancelAll(now, reason);
    this.#responder.clear();
    this.#outbox.clear();
  }

  /** Has sockets again. */
  resume(now: number, server: RpcPort, client: RpcPort): void {
    this.#server = server;
    this.#client = client;
    this.#routine.start(now);
    this.#routine.wakeUp(now);
    this.refresh(now);
  }

  /** Ends for good. */
  close(now: number): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.suspend(now, "closed");
  }

  /** The host has slept: nothing that was known is sure any more. */
  handleWakeup(now: number): void {
    this.#routine.wakeUp(now);
  }

  /** Takes a datagram that came to `socket`; what is no message is dropped. `datagram` is borrowed until return. */
  handleDatagram(now: number, datagram: Uint8Array, from: SocketAddress, socket: RpcPort): void {
    if (this.#server === undefined || from.family !== 4 || from.port === 0 || readTid(datagram) < 0) return;
    try {
      if (datagram[0] === REPLY_BYTE) this.#handleReply(now, datagram, from, socket);
      else if (datagram[0] === REQUEST_BYTE) this.#responder.handleRequest(now, datagram, from, socket);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.stats.received.undecodable++;
    }
  }

  /** The answer to a `lookup` event. */
  handleLookup(now: number, index: number, address: SocketAddress | undefined): void {
    if (!this.#isClosed) this.#bootstrap.handleLookup(now, index, address);
  }

  /** See `Machine`. */
  handleTimeout(now: number): void {
    let due: Due | undefined;
    while ((due = this.deadlines.popDue(now)) !== undefined) due.onDue(now);
  }

  /** See `Machine`. */
  nextTimeout(): number {
    return this.deadlines.next;
  }

  /** See `Machine`. */
  pollEvent(): RpcEvent | undefined {
    return this.#events.shift();
  }

  /** Fills `out` with the next datagram to be sent; false when there is none. */
  pollTransmit(now: number, out: RpcTransmit): boolean {
    if (this.#outbox.length === 0) this.#outbound.pump(now);
    const next = this.#outbox.shift();
    if (next === undefined) return false;
    const { bytes, to, socket, ttl } = next;
    out.buffer = bytes;
    out.length = bytes.length;
    out.to = to;
    out.ttl = ttl;
    out.socket = socket;
    return true;
  }

  /** Asks another node for the driver, or for a part of the machine. */
  request(now: number, options: OutgoingOptions, owner: RequestOwner = this.#application): OutgoingRequest {
    return this.#outbound.send(now, options, owner);
  }

  /** Gives up a request. */
  cancel(now: number, request: OutgoingRequest): void {
    this.#outbound.cancel(now, request, "cancelled");
  }

  /** Starts a query for the driver, or for a part of the machine. */
  query(now: number, config: QueryConfig, observer: QueryObserver = this.#applicationQueries): QueryMachine {
    this.#routine.postponeRefresh(now);
    const query = new QueryMachine(this, config, {
      onReply: (later, running, reply) => observer.onReply(later, running, reply),
      onEnd: (later, ended, reason) => {
        this.#queries.delete(ended);
        if (reason === undefined && this.isSelf(config.target)) this.keeper.table.isSaturated = true;
        observer.onEnd(later, ended, reason);
      },
    });
    this.#queries.add(query);
    this.stats.queries.active++;
    this.stats.queries.total++;
    query.start(now);
    return query;
  }

  /** Looks for nodes near a known one, so that the table does not grow old. */
  refresh(now: number): void {
    const target = this.keeper.table.random(this.random)?.id ?? this.keeper.table.id;
    this.#findNodes(now, target, true, SILENT);
  }

  /** Answers a request; false if that must not be sent. */
  respond(now: number, ...args: Parameters<ReplyHost["reply"]>): boolean {
    return this.#responder.respond(now, ...args);
  }

  /** Passes a request on; false if that must not be sent. */
  relay(now: number, ...args: Parameters<ReplyHost["relay"]>): boolean {
    return this.#responder.relay(now, ...args);
  }

  // What the parts need of each other

  /** See `RpcContext`. */
  emit(event: RpcEvent): void {
    this.#events.push(event);
  }

  /** See `RpcContext`. */
  idOf(address: SocketAddress): Uint8Array {
    return this.keeper.find(address)?.id ?? nodeId(this.crypto, address);
  }

  /** The id of the node at `from` if it claims the right one; not `claimed` itself, which would keep its datagram in memory. */
  checkedId(claimed: Uint8Array, from: SocketAddress): Uint8Array | undefined {
    const id = this.idOf(from);
    return equals(claimed, id) ? id : undefined;
  }

  /** See `OutboundHost`. @throws {RangeError} if the request is too long. */
  encode({ options, tid }: OutgoingRequest, socket: RpcPort): Uint8Array {
    const { to, token, isInternal, command, target, value } = options;
    const id = this.idFor(socket);
    return checkLength(encodeRequest({ tid, to, id, token, isInternal, command, target, value }));
  }

  /** See `OutboundHost`. */
  transmit(bytes: Uint8Array, to: SocketAddress, socket: RpcPort, ttl: number): void {
    if (this.#outbox.length < MAX_OUTBOX) this.#outbox.push({ bytes, to, socket, ttl });
  }

  /** The id that goes with messages from `socket`: only the server socket's address is what it is made of. */
  idFor(socket: RpcPort): Uint8Array | undefined {
    return socket === this.#server ? this.id : undefined;
  }

  /** See `QueryHost`. */
  closest(target: Uint8Array, count: number): RoutingNode[] {
    return this.keeper.table.closest(target, count);
  }

  /** See `QueryHost`. */
  isSelf(id: Uint8Array): boolean {
    return equals(id, this.keeper.table.id);
  }

  /** See `QueryHost`. */
  resolveBootstrap(now: number, listener: BootstrapListener): void {
    this.#bootstrap.resolve(now, listener);
  }

  /** See `QueryHost`. */
  onDown(_now: number, address: SocketAddress): void {
    this.keeper.remove(address);
  }

  /** See `QueryHost`. */
  hintDown(now: number, referrer: SocketAddress, down: SocketAddress): void {
    if (!this.config.sendDownHints || !this.#routine.mayHintDown()) return;
    const value = encode(ipv4Address, down);
    this.request(now, { to: referrer, isInternal: true, command: Command.DownHint, value }, NOBODY);
  }

  /** See `NetworkStateHost`. */
  latestAddresses(limit: number): SocketAddress[] {
    return this.keeper.latest(limit).map(({ address }) => address);
  }

  /** See `NetworkStateHost`. */
  onAddress(now: number, address: SocketAddress): void {
    const id = nodeId(this.crypto, address);
    if (equals(id, this.keeper.table.id)) return;
    this.keeper.setId(id);
    if (this.keeper.isSettled) this.#findNodes(now, id, true, SILENT);
  }

  /** See `JoiningHost`. */
  querySelf(now: number, observer: QueryObserver): void {
    this.#findNodes(now, this.keeper.table.id, false, observer);
  }

  /** See `JoiningHost`. */
  onJoined(now: number): void {
    if (this.keeper.isSettled || this.#isClosed) return;
    this.keeper.isSettled = true;
    this.#routine.onJoined(now);
    this.emit({ type: "ready" });
    this.emit({ type: "save" });
  }

  #findNodes(now: number, target: Uint8Array, isBackground: boolean, observer: QueryObserver): void {
    const config = {
      target,
      command: Command.FindNode,
      isInternal: true,
      value: undefined,
      concurrency: this.config.concurrency,
      retries: QUERY_RETRIES,
      isForced: false,
      nodes: [],
      onlyNodes: false,
      // The first look around asks all there are; later ones only if there are no others.
      withBootstrap: !isBackground,
      isBackground,
    };
    this.query(now, config, observer);
  }

  #handleReply(now: number, datagram: Uint8Array, from: SocketAddress, socket: RpcPort): void {
    const request = this.#outbound.find(readTid(datagram), from, socket);
    if (request === undefined) {
      this.stats.received.strays++;
      return;
    }
    // The reply outlives the datagram. If it is garbage, the request goes on waiting.
    const message = decode(replyMessage, datagram.slice());
    this.#outbound.settle(now, request);
    const id = message.id === undefined ? undefined : this.checkedId(message.id, from);
    const { to, token, closerNodes, error, value } = message;
    if (this.config.filterNode(from)) this.#learn(now, from, id, to, socket);
    const rttMs = now - request.sentAt;
    request.owner.onReply(now, request, { from, id, to, token, closerNodes, error, value, rttMs }, socket);
  }

  /** A node has answered: it is alive, and has told how it sees this one. */
  #learn(
    now: number,
    from: SocketAddress,
    id: Uint8Array | undefined,
    to: SocketAddress,
    socket: RpcPort,
  ): void {
    const isSample = socket === this.socket;
    if (id === undefined) {
      if (isSample) this.state.sampleNameless(from, to);
      return;
    }
    const node = this.keeper.hear(now, from, id);
    if (node === undefined || !isSample || now - node.sampledAt < SAMPLE_MS) return;
    node.sampledAt = Math.floor(now);
    this.state.sample(to);
  }
}
