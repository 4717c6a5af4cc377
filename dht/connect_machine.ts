/**
 * Dialing a peer by its key, without I/O: finds relays, does the handshake over them, chooses the way, and waits for the proof that
 * the peer is at its other end.
 *
 * ```text
 * finding --answered--> racing --path--> opening --proven--> open
 *    |                    |              |  ^ path: another one, as long as nothing was proven
 *    +-----failed---------+---failed-----+  +
 * ```
 *
 * Source of the rules: hyperdht 6.34.0, lib/connect.js. Different on purpose: a path counts only once the peer has shown its key on
 * it, and one that stays silent is given up for another; a relay that answers nonsense is passed over.
 */
import { assert } from "../core/runtime/assert.ts";
import type { ErrorCode } from "../core/runtime/errors.ts";
import type { Machine } from "../core/runtime/machine.ts";
import type { TraceLog } from "../core/runtime/trace.ts";
import type { SocketAddress } from "../encoding/address.ts";
import {
  CONFIRM_MS,
  FIND_TIMEOUT_MS,
  NO_ANSWER_MS,
  OPEN_TIMEOUT_MS,
  PARALLEL_HANDSHAKES,
  PARALLEL_KNOWN_HANDSHAKES,
  PASSIVE_TIMEOUT_MS,
  ROUTE_HEAD_START_MS,
} from "./connect_constants.ts";
import type {
  ConnectAnswer,
  ConnectEvent,
  ConnectOptions,
  ConnectState,
  PathKind,
  PeerPath,
  PunchPlan,
} from "./connect_types.ts";
import type { ReceivedNoisePayload } from "./handshake_messages.ts";
import { failureMessage, lowerFirst, refusalOf, RELAY_ADVICE, UDP_ADVICE } from "./dial_error.ts";
import { Firewall } from "./punch/constants.ts";
import { matchLanAddress } from "./punch/lan.ts";
import { type RelayCandidate, RelayCandidates } from "./relay_candidates.ts";

type ConnectInput = "answered" | "path" | "proven" | "failed";

const TABLE: Readonly<Record<ConnectState, Partial<Readonly<Record<ConnectInput, ConnectState>>>>> = {
  finding: { answered: "racing", failed: "failed" },
  racing: { path: "opening", failed: "failed" },
  opening: { path: "opening", proven: "open", failed: "failed" },
  open: {},
  failed: {},
};

/** See the head of the file. */
export class ConnectMachine implements Machine<ConnectEvent> {
  readonly #options: ConnectOptions;
  readonly #events: ConnectEvent[] = [];
  readonly #firstMessage: Uint8Array;
  readonly #startedAt: number;
  #state: ConnectState = "finding";
  readonly #candidates = new RelayCandidates();
  #searches = 0;
  #isSearching = false;
  #isKnownFirst: boolean;
  #hasHeard = false;
  #refusals = 0;
  #searchAt = Infinity;
  #plan: PunchPlan | undefined;
  #isPunching = false;
  #isPinging = false;
  #hasPunchedAgain = false;
  #punchFailure: { readonly code: ErrorCode; readonly message: string } | undefined;
  #path: PeerPath | undefined;
  /** Where the peer's stream came from before the answer did. */
  #early: PeerPath | undefined;
  /** A hole that was made while another path was on trial. */
  #spare: PeerPath | undefined;
  #confirmAt = Infinity;
  #endsAt: number;

  /** Begins at once. */
  constructor(options: ConnectOptions) {
    this.#options = options;
    this.#startedAt = options.now;
    this.#endsAt = options.now + FIND_TIMEOUT_MS;
    this.#firstMessage = options.handshaking.send(options.payload);
    this.#isKnownFirst = options.relays.length > 0;
    if (options.route === undefined) {
      this.#search();
    } else {
      this.#searchAt = options.now + ROUTE_HEAD_START_MS;
      this.#candidates.add(options.route.address, options.route.socket);
      this.#ask();
    }
  }

  /** Where it stands. */
  get state(): ConnectState {
    return this.#state;
  }

  /** The path that is used, or tried. */
  get path(): PeerPath | undefined {
    return this.#path;
  }

  /** A node says that it knows the peer. */
  handleRelay(address: SocketAddress): void {
    this.#hasHeard = true;
    if (this.#state !== "finding") return;
    this.#candidates.add(address);
    this.#ask();
  }

  /** A node answered the search, with or without news. */
  handleSignOfLife(): void {
    this.#hasHeard = true;
  }

  /** The search is over; with a reason if it did not work. */
  handleSearchEnd(failure?: string): void {
    if (this.#state !== "finding") return;
    this.#isSearching = false;
    this.#note("search end", failure === undefined ? {} : { failure });
    // Relays that were known before may all be gone: the second search does not begin with them.
    if (this.#isKnownFirst && this.#searches < 2) this.#search();
    else this.#giveUpIfDone();
  }

  /** The handshake `id` was answered. */
  handleAnswer(now: number, id: number, answer: ConnectAnswer): void {
    const candidate = this.#candidates.settle(id);
    this.#hasHeard = true;
    if (this.#state !== "finding" || candidate === undefined) return;
    const payload = this.#options.handshaking.tryReceive(answer.noise);
    if (payload === undefined) {
      this.#refusals++;
      this.#note("bad answer", { relay: `${candidate.address}` });
      this.#ask();
      this.#giveUpIfDone();
      return;
    }
    this.#enter("answered");
    this.#emit({ type: "stopSearch" });
    this.#note("answered", {
      relay: `${candidate.address}`,
      server: `${answer.serverAddress}`,
      isRelayed: answer.isRelayed,
      remoteFirewall: payload.firewall,
    });
    this.#onAnswered(now, candidate, answer, payload);
  }

  /** The handshake `id` was not answered, or the node knows no way. */
  handleNoAnswer(now: number, id: number, reason: string): void {
    const candidate = this.#candidates.settle(id);
    if (this.#state !== "finding" || candidate === undefined) return;
    this.#note("no answer", { relay: `${candidate.address}`, reason });
    if (candidate.socket !== undefined) this.#searchAt = now;
    this.#ask();
    this.#startLateSearch(now);
    this.#giveUpIfDone();
  }

  /** A node answered from the peer's local address. Whether it is the peer shows on the path. */
  handlePong(now: number, from: SocketAddress): void {
    this.#isPinging = false;
    if (this.#state === "racing") {
      this.#take(now, { kind: "lan", socket: this.#options.sockets.server, address: from });
    }
  }

  /** Nobody answered from the peer's local address. */
  handleNoPong(): void {
    this.#isPinging = false;
    this.#note("lan silent");
    this.#failIfAllWaysDo();
  }

  /** A hole is made. */
  handlePunched(now: number, socket: object, address: SocketAddress): void {
    this.#isPunching = false;
    this.#spare = { kind: "punched", socket, address };
    const isWanted = this.#state === "racing" || (this.#state === "opening" && this.#confirmAt === Infinity);
    if (isWanted) this.#take(now, this.#spare);
  }

  /** No hole could be made. */
  handlePunchFailure(code: ErrorCode, message: string): void {
    this.#isPunching = false;
    this.#punchFailure = { code, message };
    this.#note("punch failed", { code });
    this.#failIfAllWaysDo();
  }

  /**
   * A packet of the peer's stream has come along another path than the one that is used; only the peer knows the stream's id. True
   * if the packet is welcome.
   */
  handleStreamPacket(now: number, socket: object, from: SocketAddress): boolean {
    if (this.#state === "open" || this.#state === "failed") return false;
    const kind: PathKind = this.#isPunching
      ? "punched"
      : from.isPrivate && !from.isLoopback
      ? "lan"
      : "direct";
    const path: PeerPath = { kind, socket, address: from };
    // The peer may be faster than its answer, which takes the long way.
    if (this.#state === "finding") this.#early ??= path;
    else this.#take(now, path);
    return true;
  }

  /** The peer has shown its key on the path. */
  handleProven(): void {
    if (this.#state !== "opening") return;
    this.#enter("proven");
    this.#note("open", { kind: this.#path!.kind, address: `${this.#path!.address}` });
  }

  /** The stream broke before anything was proven. */
  handleStreamEnd(error: Error | undefined): void {
    if (this.#state !== "opening") return;
    const reason = error === undefined ? "the peer hung up" : lowerFirst(error.message);
    this.#fail("PEER_CONNECTION_FAILED", reason, "try again");
  }

  /** Nobody wants the connection any more. */
  cancel(): void {
    if (this.#state === "open" || this.#state === "failed") return;
    this.#state = "failed";
    this.#emit({ type: "stopSearch" });
  }

  /** See {@linkcode Machine.handleTimeout}. */
  handleTimeout(now: number): void {
    if (this.#state === "finding") {
      this.#startLateSearch(now);
      const isDeaf = !this.#hasHeard && now >= this.#startedAt + NO_ANSWER_MS;
      if (isDeaf) this.#giveUp();
      else if (now >= this.#endsAt) this.#giveUp();
    } else if (this.#state === "racing" && now >= this.#endsAt) {
      this.#fail("PEER_CONNECTION_FAILED", "the peer has answered and then kept silent", "try again");
    } else if (this.#state === "opening") {
      if (now >= this.#endsAt) {
        const where = `${this.#path!.kind} path to ${this.#path!.address}`;
        this.#fail("PEER_CONNECTION_FAILED", `the peer did not show its key on the ${where}`, "try again");
      } else if (now >= this.#confirmAt) {
        this.#confirmAt = Infinity;
        this.#reconsider(now);
      }
    }
  }

  /** See {@linkcode Machine.nextTimeout}. */
  nextTimeout(): number {
    switch (this.#state) {
      case "finding": {
        const deafAt = this.#hasHeard ? Infinity : this.#startedAt + NO_ANSWER_MS;
        return Math.min(this.#endsAt, deafAt, this.#searchAt);
      }
      case "racing":
        return this.#endsAt;
      case "opening":
        return Math.min(this.#endsAt, this.#confirmAt);
      default:
        return Infinity;
    }
  }

  /** See {@linkcode Machine.pollEvent}. */
  pollEvent(): ConnectEvent | undefined {
    return this.#events.shift();
  }

  #emit(event: ConnectEvent): void {
    this.#events.push(event);
  }

  #note(what: string, data: Parameters<TraceLog["add"]>[2] = {}): void {
    this.#options.trace.add("connect", what, data);
  }

  #enter(input: ConnectInput): void {
    const next = TABLE[this.#state][input];
    assert(next !== undefined, `a dial that is ${this.#state} takes no ${input}`);
    this.#state = next;
  }

  #fail(code: ErrorCode, reason: string, advice: string): void {
    const phase = this.#state;
    this.#enter("failed");
    this.#note("failed", { code, phase });
    this.#emit({ type: "stopSearch" });
    this.#emit({ type: "failed", code, phase, message: failureMessage(phase, reason, advice) });
  }

  // --- Finding ---

  #search(): void {
    this.#searchAt = Infinity;
    const nodes = this.#searches === 0 ? this.#options.relays : [];
    for (const address of nodes) this.#candidates.add(address);
    this.#searches++;
    this.#isSearching = true;
    this.#note("search", { known: nodes.length });
    this.#emit({ type: "search", nodes });
    this.#ask();
  }

  #startLateSearch(now: number): void {
    if (now >= this.#searchAt) this.#search();
  }

  #ask(): void {
    const parallel = this.#isKnownFirst ? PARALLEL_KNOWN_HANDSHAKES : PARALLEL_HANDSHAKES;
    let next: ReturnType<RelayCandidates["next"]>;
    while ((next = this.#candidates.next(parallel)) !== undefined) {
      const { id, candidate: { address: to, socket } } = next;
      this.#note("handshake", { relay: `${to}` });
      this.#emit({ type: "handshake", id, to, noise: this.#firstMessage, socket });
    }
  }

  #giveUpIfDone(): void {
    const isDone = !this.#isSearching && this.#searchAt === Infinity && this.#candidates.isIdle;
    if (this.#state === "finding" && isDone) this.#giveUp();
  }

  #giveUp(): void {
    const { tried } = this.#candidates;
    if (!this.#hasHeard) {
      this.#fail("PEER_NOT_FOUND", "no node of the DHT answers", UDP_ADVICE);
    } else if (tried === 0) {
      this.#fail("PEER_NOT_FOUND", "no node knows the peer", "check the key, and that the peer listens");
    } else {
      const why = this.#refusals > 0
        ? "relays answer, but not in the peer's name"
        : "the peer does not answer";
      const reason = `${why} (${tried} ${tried === 1 ? "relay" : "relays"} tried)`;
      this.#fail("PEER_CONNECTION_FAILED", reason, "it may just have left, or refuse us: try later");
    }
  }

  // --- Racing ---

  #onAnswered(
    now: number,
    relay: RelayCandidate,
    answer: ConnectAnswer,
    payload: ReceivedNoisePayload,
  ): void {
    const refusal = refusalOf(payload);
    if (refusal !== undefined) {
      this.#fail(...refusal);
      return;
    }
    const result = this.#options.handshaking.finish();
    this.#emit({ type: "keys", result, payload });
    this.#endsAt = now + PASSIVE_TIMEOUT_MS;
    if (this.#early !== undefined) return this.#take(now, this.#early);
    const { serverAddress, clientAddress, isRelayed, socket } = answer;
    const relays = payload.holepunch?.relays ?? [];
    if (!isRelayed) {
      // What just came through comes through again.
      this.#take(now, { kind: "direct", socket, address: serverAddress });
      return;
    }
    if (payload.firewall === Firewall.Open || relays.length === 0) {
      const own = payload.addresses4.find((address) => !address.isPrivate && !address.isReserved);
      this.#take(now, {
        kind: "direct",
        socket: this.#options.sockets.current,
        address: own ?? serverAddress,
      });
      return;
    }
    // Whoever reaches us speaks first.
    if (this.#options.payload.firewall === Firewall.Open) return;
    const lan = this.#localTarget(payload, clientAddress, serverAddress);
    if (lan !== undefined) this.#ping(lan);
    const clientRelay = relay.address;
    this.#plan = {
      id: payload.holepunch!.id,
      secret: result.punchSecret,
      remoteFirewall: payload.firewall,
      clientRelay,
      serverAddress,
      serverRelay: relays.find(({ relayAddress }) => relayAddress.equals(clientRelay)) ?? relays[0]!,
      fastOpen: this.#options.fastOpen,
    };
    this.#punch(this.#plan);
  }

  /** Both sides have the same address outside: perhaps they are in one local network. */
  #localTarget(
    { addresses4 }: ReceivedNoisePayload,
    clientAddress: SocketAddress,
    serverAddress: SocketAddress,
  ): SocketAddress | undefined {
    const { localAddresses } = this.#options;
    if (localAddresses.length === 0 || clientAddress.host !== serverAddress.host) return undefined;
    return matchLanAddress(localAddresses, addresses4) ?? addresses4.find(({ isReserved }) => !isReserved);
  }

  #ping(to: SocketAddress): void {
    this.#isPinging = true;
    this.#note("lan ping", { to: `${to}` });
    this.#emit({ type: "ping", to });
  }

  #punch(plan: PunchPlan): void {
    this.#isPunching = true;
    this.#endsAt = Infinity; // a punch ends by itself
    this.#note("punch", { fastOpen: plan.fastOpen });
    this.#emit({ type: "punch", plan });
  }

  // --- Opening ---

  #take(now: number, path: PeerPath): void {
    if (this.#state === "racing") this.#endsAt = now + OPEN_TIMEOUT_MS;
    this.#enter("path");
    this.#path = path;
    this.#confirmAt = now + CONFIRM_MS;
    this.#note("path", { kind: path.kind, address: `${path.address}` });
    this.#emit({ type: "path", path });
  }

  /** The path is silent: a hole that is made with the peer's consent may be better. */
  #reconsider(now: number): void {
    this.#note("path silent", { kind: this.#path!.kind });
    if (this.#spare !== undefined && this.#spare !== this.#path) {
      this.#take(now, this.#spare);
    } else if (!this.#isPunching && this.#plan !== undefined && !this.#hasPunchedAgain) {
      this.#hasPunchedAgain = true;
      this.#isPunching = true;
      this.#emit({ type: "punch", plan: { ...this.#plan, fastOpen: false } });
    }
  }

  #failIfAllWaysDo(): void {
    if (this.#state !== "racing" || this.#isPunching || this.#isPinging) return;
    const { code, message } = this.#punchFailure ?? {
      code: "CANNOT_HOLEPUNCH",
      message: "The peer cannot be punched to",
    };
    this.#fail(code, lowerFirst(message), RELAY_ADVICE);
  }
}
