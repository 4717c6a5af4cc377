/**
 * What both sides of a punch have in common: sockets and what is known of their NAT, the other side's addresses, the punching
 * itself. Who says what to whom and when is up to the two roles: `initiator.ts` and `responder.ts`.
 *
 * A machine without I/O. Sockets are numbers: the owner binds one when the event `socketWanted` asks for it, and keeps the list.
 */
import type { Machine } from "../../core/runtime/machine.ts";
import type { Random } from "../../core/runtime/runtime.ts";
import type { SocketAddress } from "../../encoding/address.ts";
import type { PunchBudget } from "./budget.ts";
import {
  ANALYSIS_TIMEOUT_MS,
  BIRTHDAY_SOCKETS,
  Firewall,
  FULL_TTL,
  JUDGED_SAMPLES,
  RANDOM_TIMEOUT_MS,
  SAMPLES_WANTED,
} from "./constants.ts";
import { NatClassifier } from "./nat.ts";
import type { PunchPayload } from "./payload.ts";
import { BirthdayProbe, ConsistentProbe, type Probe, type PunchTransmit, RandomPortProbe } from "./probe.ts";
import { punchable, Targets } from "./targets.ts";

/** Why a punch failed; the words are the reference's where it has one. */
export type PunchFailureCode =
  /** Punches went out and nothing came back, or this node may not punch at random ports just now. */
  | "HOLEPUNCH_ABORTED"
  /** A side guesses ports for another connection just now. */
  | "TRY_LATER"
  /** A payload of the peer was forged or damaged. */
  | "HOLEPUNCH_INVALID"
  /** A side did not find out what NAT it is behind, or a relay did not answer. */
  | "HOLEPUNCH_PROBE_TIMEOUT"
  /** Both NATs use another port for each remote: only a relay helps. */
  | "HOLEPUNCH_DOUBLE_RANDOMIZED_NATS"
  /** The peer gave up. */
  | "REMOTE_ABORTED"
  /** The peer was asked to punch and does not. */
  | "REMOTE_NOT_HOLEPUNCHING"
  /** The peer named no address that a punch could go to. */
  | "REMOTE_NOT_HOLEPUNCHABLE"
  /** No socket could be had. */
  | "CANNOT_HOLEPUNCH";

/** What a punch wants done, or has come to. */
export type PunchEvent =
  /** Bind a socket and call `socketReady` or `socketFailed`. Extra ones are the many of a birthday punch. */
  | { readonly type: "socketWanted"; readonly socket: number; readonly isExtra: boolean }
  /** Ping `count` nodes of the DHT from the socket, call `addSample` for each answer, and `endSampling` when no more will come. */
  | { readonly type: "samplesWanted"; readonly socket: number; readonly count: number }
  /** The initiator: send `payload` from the socket to `peerAddress` through `relay`; call `handleReply` or `handleSilence`. */
  | {
    readonly type: "round";
    readonly id: number;
    readonly socket: number;
    readonly relay: SocketAddress;
    readonly peerAddress: SocketAddress;
    readonly payload: PunchPayload;
  }
  /** The responder: answer the request `id` from the socket, or from the node's own if there is none. */
  | {
    readonly type: "reply";
    readonly id: number;
    readonly socket: number | undefined;
    readonly payload: PunchPayload;
  }
  /** The socket is not needed any more. */
  | { readonly type: "socketDone"; readonly socket: number }
  /** The initiator: the hole is made. Connect from this socket to this address; other sockets are done. */
  | { readonly type: "connected"; readonly socket: number; readonly address: SocketAddress }
  /** It did not work. Only the end of sockets that are being bound may follow. */
  | { readonly type: "failed"; readonly code: PunchFailureCode; readonly message: string };

/** What both roles need to know. */
export interface PunchOptions {
  /** Chance. */
  readonly random: Random;
  /** Shared by all punches of the node. */
  readonly budget: PunchBudget;
  /** Whether this node is behind a firewall or NAT, as far as it knows. */
  readonly isFirewalled: boolean;
  /** What the peer said in the handshake; one of `Firewall`. */
  readonly remoteFirewall: number;
  /** Whether to try private addresses: true if this node itself is seen at one, as in a test on one host. */
  readonly allowsPrivate: boolean;
  /** Whether there is time: the peers are connected through a relay meanwhile. */
  readonly canWait: boolean;
  /** Makes the token of an address: `SecurePayload.token`. */
  tokenOf(address: SocketAddress): Uint8Array;
  /** The owner's policy: whether to punch, now that both NATs are known; by default always. */
  readonly mayPunch?: PunchPolicy;
}

/** Decides whether to punch, given what is in front of both sides (of `Firewall`), and where both are seen. */
export type PunchPolicy = (
  remoteFirewall: number,
  localFirewall: number,
  remoteAddresses: readonly SocketAddress[],
  localAddresses: readonly SocketAddress[],
) => boolean;

/** A punch that does not belong to a probe. */
interface OneShot extends PunchTransmit {
  readonly at: number;
}

/** One-shot punches that wait at the most. */
const MAX_ONE_SHOTS = 64;

/** The common part of {@linkcode PunchInitiator} and {@linkcode PunchResponder}. */
export abstract class Puncher implements Machine<PunchEvent> {
  /** Everything the roles were told. */
  protected readonly options: PunchOptions;
  /** The other side. */
  protected readonly targets: Targets;
  /** What the other side said about its NAT last. */
  protected remoteFirewall: number;
  /** Whether the other side said that it punches. */
  protected isRemotePunching = false;
  /** The NAT in front of the primary socket. */
  protected nat: NatClassifier;
  readonly #events: PunchEvent[] = [];
  readonly #sockets = new Map<number, { canSetTtl: boolean }>();
  #oneShots: OneShot[] = [];
  /** Sockets to which a punch has come. */
  readonly #heard = new Set<number>();
  #primary = -1;
  #nextSocket = 0;
  #samplingRounds = 0;
  #isSamplingOver = false;
  #analysisEndsAt = Infinity;
  #probe: Probe | undefined;
  #holdsBudget = false;
  #randomEndsAt = Infinity;
  #isDone = false;

  /** Asks for the first socket at once. */
  constructor(options: PunchOptions) {
    this.options = options;
    this.targets = new Targets(options);
    this.remoteFirewall = options.remoteFirewall;
    this.nat = new NatClassifier(options);
    this.openPrimary();
  }

  /** Whether it has come to an end, good or bad. */
  get isDone(): boolean {
    return this.#isDone;
  }

  /** Whether it sends punches. */
  get isPunching(): boolean {
    return this.#probe !== undefined && !this.#isDone;
  }

  /** What is in front of this side, one of `Firewall`: for the policy of the owner. */
  get localFirewall(): number {
    return this.nat.firewall;
  }

  /** The socket that a wanted number stands for is bound. `canSetTtl` tells whether punches can be made to die on the way. */
  socketReady(now: number, socket: number, { canSetTtl }: { readonly canSetTtl: boolean }): void {
    if (socket >= this.#nextSocket || this.#sockets.has(socket)) return;
    if (this.#isDone) return this.emit({ type: "socketDone", socket });
    this.#sockets.set(socket, { canSetTtl });
    if (socket === this.#primary) {
      this.#analysisEndsAt = now + ANALYSIS_TIMEOUT_MS;
      this.#askForSamples();
    } else if (this.#probe instanceof BirthdayProbe) {
      this.#probe.add(socket);
    }
    this.advance(now);
  }

  /** The socket could not be bound. */
  socketFailed(now: number, socket: number): void {
    if (socket === this.#primary && !this.#isDone) {
      this.fail(now, "CANNOT_HOLEPUNCH", "No socket could be bound to punch from");
    }
  }

  /** A node of the DHT sees the socket at `seenAs`. */
  addSample(now: number, socket: number, seenAs: SocketAddress, by: SocketAddress): void {
    if (socket !== this.#primary || this.#isDone) return;
    this.nat.add(seenAs, by);
    this.advance(now);
  }

  /** All nodes that were asked have answered or will not. */
  endSampling(now: number, socket: number): void {
    if (socket !== this.#primary || this.#isDone) return;
    if (this.#samplingRounds < 2 && !this.nat.isDecided) this.#askForSamples();
    else this.#isSamplingOver = true;
    this.advance(now);
  }

  /** A datagram of one byte came from `from` to the socket. */
  handlePunch(now: number, socket: number, from: SocketAddress): void {
    if (this.#isDone || from.port === 0 || !this.#sockets.has(socket)) return;
    this.#heard.add(socket);
    this.onPunch(now, socket, from);
  }

  /**
   * The peers are connected, by this punch or otherwise. What `keep` names stays with the owner, all else is done.
   */
  finish(now: number, keep?: number): void {
    this.#end(now, keep);
  }

  /** See {@linkcode Machine.handleTimeout}. */
  handleTimeout(now: number): void {
    if (this.#isDone) return;
    if (now >= this.#analysisEndsAt) this.#isSamplingOver = true;
    if (this.#probe instanceof BirthdayProbe && now >= this.#probe.renewAt) {
      this.#renewBirthdaySockets(now, this.#probe);
    }
    if (now >= this.#randomEndsAt) {
      this.fail(now, "HOLEPUNCH_ABORTED", "No guessed port was the right one: connect through a relay");
    } else {
      this.advance(now);
    }
  }

  /** See {@linkcode Machine.nextTimeout}. Due punches count. */
  nextTimeout(): number {
    if (this.#isDone) return Infinity;
    let next = Math.min(this.deadline(), this.#randomEndsAt, this.#probe?.nextAt ?? Infinity);
    if (this.#probe instanceof BirthdayProbe) next = Math.min(next, this.#probe.renewAt);
    if (!this.#isSamplingOver) next = Math.min(next, this.#analysisEndsAt);
    for (const { at } of this.#oneShots) next = Math.min(next, at);
    return next;
  }

  /** See {@linkcode Machine.pollEvent}. */
  pollEvent(): PunchEvent | undefined {
    return this.#events.shift();
  }

  /** Fills `out` with a punch that is due; false if none is. Such a datagram is the byte 0. */
  pollPunch(now: number, out: PunchTransmit): boolean {
    if (this.#isDone) return false;
    const index = this.#oneShots.findIndex(({ at }) => at <= now);
    if (index >= 0) {
      const { socket, to, ttl } = this.#oneShots.splice(index, 1)[0]!;
      [out.socket, out.to, out.ttl] = [socket, to, ttl];
      return true;
    }
    return this.#probe?.poll(now, out) ?? false;
  }

  /** Decides what a punch that came in means. */
  protected abstract onPunch(now: number, socket: number, from: SocketAddress): void;
  /** Looks at what is known and does what follows from it; called after each input. */
  protected abstract advance(now: number): void;
  /** When the role has something to do by itself. */
  protected abstract deadline(): number;

  /** The primary socket. */
  protected get primary(): number {
    return this.#primary;
  }

  /** Whether the primary socket is bound. */
  protected get isReady(): boolean {
    return this.#sockets.has(this.#primary);
  }

  /** Whether there is no point in waiting for more samples. */
  protected get isAnalyzed(): boolean {
    return this.isReady && (this.nat.isDecided || this.#isSamplingOver);
  }

  /** Whether punching from the primary socket is pointless as things stand. */
  protected get isUnstable(): boolean {
    const local = this.nat.firewall;
    if (local === Firewall.Unknown) return true;
    return local >= Firewall.Random && this.remoteFirewall >= Firewall.Random;
  }

  /** Whether a fresh socket would not change that: each remote sees another port on both sides, or hardly any node answers. */
  protected get isHopeless(): boolean {
    if (this.nat.isPlainlyRandom && this.remoteFirewall >= Firewall.Random) return true;
    return this.nat.firewall === Firewall.Unknown && this.nat.sampleCount < JUDGED_SAMPLES;
  }

  /** Whether a side has another port for each remote, so that ports have to be guessed. */
  get needsGuessing(): boolean {
    return this.nat.firewall >= Firewall.Random || this.remoteFirewall >= Firewall.Random;
  }

  /** What the owner's policy says. */
  protected get isAllowed(): boolean {
    const remoteAddresses = this.targets.list.map(({ address }) => address);
    const { firewall, addresses = [] } = this.nat;
    return this.options.mayPunch?.(this.remoteFirewall, firewall, remoteAddresses, addresses) ?? true;
  }

  /** Whether punches from the primary socket can be made to die on the way. */
  protected get canSetTtl(): boolean {
    return this.#sockets.get(this.#primary)?.canSetTtl ?? false;
  }

  /** Adds an event. */
  protected emit(event: PunchEvent): void {
    this.#events.push(event);
  }

  /** Asks for a fresh primary socket. The old one is done, unless `keepOld`: then it listens on. */
  protected openPrimary(keepOld = false): void {
    const old = this.#primary;
    if (this.#sockets.has(old) && !keepOld) this.#drop(old);
    this.#primary = this.#nextSocket++;
    this.nat = new NatClassifier(this.options);
    this.#samplingRounds = 0;
    this.#isSamplingOver = false;
    this.#analysisEndsAt = Infinity;
    this.emit({ type: "socketWanted", socket: this.#primary, isExtra: false });
  }

  /** Takes what the other side says about itself. */
  protected updateRemote(payload: PunchPayload, verifiedHost: string | undefined): void {
    this.remoteFirewall = payload.firewall;
    this.isRemotePunching = payload.punching;
    if (payload.addresses !== undefined) this.targets.update(payload.addresses, verifiedHost);
  }

  /** Sends one punch at `at` that lives for `ttl` hops, if the peer may make us send there. */
  protected punchOnce(at: number, socket: number, to: SocketAddress, ttl: number): boolean {
    if (!this.targets.permit(to)) return false;
    this.echo(at, socket, to, ttl);
    return true;
  }

  /** Sends one punch at `at` to where a punch came from. */
  protected echo(at: number, socket: number, to: SocketAddress, ttl: number = FULL_TTL): void {
    if (this.#oneShots.length < MAX_ONE_SHOTS) this.#oneShots.push({ at, socket, to, ttl });
  }

  /** Takes the right to punch at random ports; false if it is not to be had now. */
  protected takeBudget(now: number): boolean {
    this.#holdsBudget ||= this.options.budget.tryStart(now);
    return this.#holdsBudget;
  }

  /** Gives the right back. */
  protected returnBudget(now: number, isConnected: boolean = false): void {
    if (this.#holdsBudget) this.options.budget.end(now, this.#probe !== undefined, isConnected);
    this.#holdsBudget = false;
  }

  /**
   * Begins to punch at `start`, or begins anew if the other side or the primary socket is another. For guessing, the right must
   * have been taken before.
   *
   * @returns false if there is no way for these two NATs, or nowhere to punch to.
   */
  protected punch(start: number): boolean {
    const local = punchable(this.nat.firewall);
    const remote = punchable(this.remoteFirewall);
    const { list, verified } = this.targets;
    if (local === Firewall.Consistent && remote === Firewall.Consistent) {
      if (!list.some(({ address }) => address.port !== 0)) return false;
      if (this.#probe instanceof ConsistentProbe) this.#probe.restart(start, this.#primary);
      else this.#probe = new ConsistentProbe(start, this.#primary, this.targets);
      return true;
    }
    if (verified === undefined || !this.#holdsBudget) return false;
    if (this.#probe !== undefined) return true;
    if (local === Firewall.Consistent && remote === Firewall.Random) {
      const { host } = verified.address;
      this.#probe = new RandomPortProbe(start, this.#primary, host, this.options.random);
    } else if (local === Firewall.Random && remote === Firewall.Consistent && verified.address.port !== 0) {
      const probe = new BirthdayProbe(start, verified.address);
      probe.add(this.#primary);
      this.#probe = probe;
      this.#wantBirthdaySockets(BIRTHDAY_SOCKETS - 1);
    } else {
      return false;
    }
    this.#randomEndsAt = start + RANDOM_TIMEOUT_MS;
    return true;
  }

  /** Ends it badly. */
  protected fail(now: number, code: PunchFailureCode, message: string): void {
    if (this.#isDone) return;
    this.#end(now, undefined);
    this.emit({ type: "failed", code, message });
  }

  /** Ends it well, as the initiator does. */
  protected connect(now: number, socket: number, address: SocketAddress): void {
    if (this.#isDone) return;
    this.#end(now, socket);
    this.emit({ type: "connected", socket, address });
  }

  #wantBirthdaySockets(count: number): void {
    for (let i = 0; i < count; i++) {
      this.emit({ type: "socketWanted", socket: this.#nextSocket++, isExtra: true });
    }
  }

  #renewBirthdaySockets(now: number, probe: BirthdayProbe): void {
    probe.renew(now);
    for (const socket of this.#sockets.keys()) {
      // Rounds go through the primary, and what a punch has come to may be the one that the stream comes to.
      if (socket === this.#primary || this.#heard.has(socket)) continue;
      this.#drop(socket);
    }
    this.#wantBirthdaySockets(BIRTHDAY_SOCKETS - this.#sockets.size);
  }

  /** Ends a socket, with all that was to be sent from it. */
  #drop(socket: number): void {
    this.#sockets.delete(socket);
    this.#oneShots = this.#oneShots.filter((one) => one.socket !== socket);
    this.emit({ type: "socketDone", socket });
  }

  #askForSamples(): void {
    this.#samplingRounds++;
    this.emit({ type: "samplesWanted", socket: this.#primary, count: SAMPLES_WANTED });
  }

  #end(now: number, keep: number | undefined): void {
    if (this.#isDone) return;
    this.returnBudget(now, keep !== undefined);
    this.#isDone = true;
    for (const socket of this.#sockets.keys()) if (socket !== keep) this.#drop(socket);
    this.#sockets.clear();
    this.#oneShots = [];
  }
}
