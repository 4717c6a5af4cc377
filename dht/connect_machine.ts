/**
 * Dialing a peer by its key, without I/O: finds relays, does the handshake over them, chooses the way, and waits for the proof that
 * the peer is at its other end.
 *
 * ```text
 * finding --answered--> racing --path--> opening --proven--> open
 *    |                    |              |  ^ path: another one,      ^ path: a direct one instead of a relay
 *    +-----failed---------+---failed-----+  + as nothing was proven   +
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
import { equals } from "../encoding/bytes.ts";
import { toHex } from "../encoding/text.ts";
import { CONFIRM_MS, OPEN_TIMEOUT_MS, PASSIVE_TIMEOUT_MS } from "./connect_constants.ts";
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
import { failureMessage, lowerFirst, refusalOf, RELAY_ADVICE } from "./dial_error.ts";
import { Firewall } from "./punch/constants.ts";
import { lanTarget } from "./punch/lan.ts";
import type { RelayCandidate } from "./relay_candidates.ts";
import { RelaySearch } from "./relay_search.ts";

type MeetingPlace = ConnectEvent & { readonly type: "relay" };
type ConnectInput = "answered" | "path" | "proven" | "failed";

const TABLE: Readonly<Record<ConnectState, Partial<Readonly<Record<ConnectInput, ConnectState>>>>> = {
  finding: { answered: "racing", failed: "failed" },
  racing: { path: "opening", failed: "failed" },
  opening: { path: "opening", proven: "open", failed: "failed" },
  open: { path: "open" },
  failed: {},
};

/** See the head of the file. */
export class ConnectMachine implements Machine<ConnectEvent> {
  readonly #options: ConnectOptions;
  readonly #events: ConnectEvent[] = [];
  readonly #finding: RelaySearch;
  #state: ConnectState = "finding";
  /** What the peer has answered. */
  #answer: Uint8Array | undefined;
  #plan: PunchPlan | undefined;
  /** Where the peer can be met, as long as nobody goes there. */
  #meetingPlace: MeetingPlace | undefined;
  #isPunching = false;
  #isPinging = false;
  #isMeeting = false;
  #hasPunchedAgain = false;
  #punchFailure: { readonly code: ErrorCode; readonly message: string } | undefined;
  #relayFailure: Error | undefined;
  #path: PeerPath | undefined;
  /** Where the peer's stream came from before the answer did. */
  #early: PeerPath | undefined;
  /** A hole that was made, or the relay, while another path was on trial. */
  #spare: PeerPath | undefined;
  #confirmAt = Infinity;
  #endsAt = Infinity;

  /** Begins at once. */
  constructor(options: ConnectOptions) {
    this.#options = options;
    const { now, relays, route } = options;
    this.#finding = new RelaySearch({
      ...{ now, relays, route, noise: options.handshaking.send(options.payload) },
      emit: (event) => this.#emit(event),
      note: (what, data) => this.#note(what, data),
    });
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
    if (this.#state === "finding") this.#finding.handleRelay(address);
  }

  /** A node answered the search, with or without news. */
  handleSignOfLife(): void {
    this.#finding.handleSignOfLife();
  }

  /** The search is over; with a reason if it did not work. */
  handleSearchEnd(now: number, failure?: string): void {
    if (this.#state !== "finding") return;
    this.#finding.handleSearchEnd(failure);
    this.#giveUpIfDone(now);
  }

  /** The handshake `id` was answered. */
  handleAnswer(now: number, id: number, answer: ConnectAnswer): void {
    const candidate = this.#finding.handleAnswer(id);
    if (candidate === undefined) return;
    if (this.#state === "opening") this.#checkPath(answer);
    if (this.#state !== "finding") return;
    const payload = this.#options.handshaking.tryReceive(answer.noise);
    if (payload === undefined) {
      this.#finding.handleNonsense(candidate);
      return this.#giveUpIfDone(now);
    }
    this.#enter("answered");
    this.#answer = answer.noise.slice();
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
    if (this.#state !== "finding") return;
    this.#finding.handleNoAnswer(now, id, reason);
    this.#giveUpIfDone(now);
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
    this.#offer(now, { kind: "punched", socket, address });
  }

  /** Both are at the relay, which is at `address`. */
  handleRelayReady(now: number, socket: object, address: SocketAddress): void {
    this.#isMeeting = false;
    this.#offer(now, { kind: "relayed", socket, address });
  }

  /** The relay cannot be used: the peer did not come, or it has gone. */
  handleRelayFailure(error: Error): void {
    this.#isMeeting = false;
    if (this.#spare?.kind === "relayed") this.#spare = undefined;
    this.#relayFailure = error;
    this.#note("relay failed", { reason: error.message });
    this.#failIfAllWaysDo();
  }

  /** The stream has left the relay for a direct path, or has gone back there because that was silent. */
  handleMoved(path: PeerPath): void {
    if (this.#state !== "open" && this.#state !== "opening") return;
    this.#path = path;
    this.#note("moved", { kind: path.kind, address: `${path.address}` });
    if (path.kind === "relayed") this.#punchAgain();
  }

  /** No hole could be made. */
  handlePunchFailure(code: ErrorCode, message: string): void {
    this.#isPunching = false;
    this.#punchFailure = { code, message };
    this.#note("punch failed", { code });
    this.#failIfAllWaysDo();
  }

  /**
   * A packet of the peer's stream has come along another path than the one that is used, to a socket that was punched from or not;
   * only the peer knows the stream's id. True if the packet is welcome.
   */
  handleStreamPacket(now: number, socket: object, from: SocketAddress, isPunched: boolean): boolean {
    if (this.#state === "open" || this.#state === "failed") return false;
    const path: PeerPath = { kind: pathKindOf(from, isPunched), socket, address: from };
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
      this.#finding.handleTimeout(now);
      this.#giveUpIfDone(now);
    } else if (this.#state === "racing") {
      if (now >= this.#endsAt) {
        this.#fail("PEER_CONNECTION_FAILED", "the peer has answered and then kept silent", "try again");
      } else if (now >= this.#confirmAt) {
        this.#confirmAt = this.#endsAt = Infinity; // a meeting ends by itself
        this.#meet();
      }
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
      case "finding":
        return this.#finding.nextTimeout();
      case "racing":
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

  #giveUpIfDone(now: number): void {
    if (this.#state === "finding" && this.#finding.isOver(now)) this.#fail(...this.#finding.failure);
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
    this.#meetingPlace = this.#placeToMeet(payload);
    if (this.#early !== undefined) return this.#take(now, this.#early);
    const { serverAddress, clientAddress, isRelayed, socket } = answer;
    const relays = payload.holepunch?.relays ?? [];
    if (!isRelayed) {
      // What just came through comes through again.
      this.#take(now, { kind: "direct", socket, address: serverAddress, isProven: true });
      return;
    }
    if (payload.firewall === Firewall.Open || relays.length === 0) {
      // The first address is its own as others see it. Within a private network that is the same host as the relay sees.
      const own = payload.addresses4.find((address) =>
        !address.isReserved && (!address.isPrivate || address.host === serverAddress.host)
      );
      this.#take(now, {
        kind: "direct",
        socket: this.#options.sockets.current,
        address: own ?? serverAddress,
      });
      return;
    }
    // Whoever reaches us speaks first; if that takes long, somebody in between does not want it.
    if (this.#options.payload.firewall === Firewall.Open) {
      if (this.#meetingPlace !== undefined) this.#confirmAt = now + CONFIRM_MS;
      return;
    }
    // With the same address outside, they may be in one local network.
    const isSameHost = clientAddress.host === serverAddress.host;
    const lan = isSameHost ? lanTarget(this.#options.localAddresses, payload.addresses4) : undefined;
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
      canWait: this.#meetingPlace !== undefined,
    };
    this.#meet();
    this.#punch(this.#plan);
  }

  /** The relay that the peer has named; else the one that this side has. */
  #placeToMeet({ relayThrough }: ReceivedNoisePayload): MeetingPlace | undefined {
    const { mayRelay, payload } = this.#options;
    const relay = relayThrough ?? payload.relayThrough;
    if (!mayRelay || relay === undefined) return undefined;
    return { type: "relay", relay, isInitiator: relayThrough === undefined };
  }

  #meet(): void {
    if (this.#meetingPlace === undefined) return;
    this.#isMeeting = true;
    this.#note("relay", { relay: toHex(this.#meetingPlace.relay.publicKey) });
    this.#emit(this.#meetingPlace);
    this.#meetingPlace = undefined;
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

  /** A relay may have been faster than the peer itself, whose answer is the same and shows that the path to it works. */
  #checkPath({ noise, isRelayed, serverAddress, socket }: ConnectAnswer): void {
    const path = this.#path!;
    const isAlongIt = !isRelayed && path.socket === socket && path.address.equals(serverAddress);
    if (!isAlongIt || !equals(noise, this.#answer!)) return;
    this.#note("path answers");
    this.#emit({ type: "pathProven" });
  }

  /** There is another path: a direct one is better than a relay, and any is better than one that is silent. */
  #offer(now: number, path: PeerPath): void {
    const isSilent = this.#state === "opening" && this.#confirmAt === Infinity;
    const isUpgrade = this.#path?.kind === "relayed" && path.kind !== "relayed" && this.#state !== "failed";
    if (this.#state === "racing" || isSilent || isUpgrade) this.#take(now, path);
    else if (this.#spare?.kind !== "punched") this.#spare = path;
  }

  /** The path is silent: a hole that is made with the peer's consent may be better, and a relay is better than nothing. */
  #reconsider(now: number): void {
    this.#note("path silent", { kind: this.#path!.kind });
    const spare = this.#spare;
    this.#spare = undefined;
    if (spare !== undefined) return this.#take(now, spare);
    this.#meet();
    this.#punchAgain();
  }

  #punchAgain(): void {
    if (this.#isPunching || this.#plan === undefined || this.#hasPunchedAgain) return;
    this.#hasPunchedAgain = true;
    this.#isPunching = true;
    this.#emit({ type: "punch", plan: { ...this.#plan, fastOpen: false } });
  }

  #failIfAllWaysDo(): void {
    if (this.#state !== "racing" || this.#isPunching || this.#isPinging || this.#isMeeting) return;
    const { code, message } = this.#punchFailure ?? {
      code: "CANNOT_HOLEPUNCH",
      message: "The peer cannot be punched to",
    };
    if (this.#relayFailure === undefined) return this.#fail(code, lowerFirst(message), RELAY_ADVICE);
    const why = lowerFirst(this.#relayFailure.message);
    this.#fail(
      code,
      `there is no direct way (${code}), and the relay is of no use: ${why}`,
      "try another relay",
    );
  }
}

/** What to call a path to `address`. */
export function pathKindOf(address: SocketAddress, isPunched: boolean): PathKind {
  if (isPunched) return "punched";
  return address.isPrivate && !address.isLoopback ? "lan" : "direct";
}
