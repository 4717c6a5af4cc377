/**
 * The side that wants to connect. It asks the other side in rounds through relays, starts the punching, and decides which of the
 * punches that come in was the first.
 *
 * ```text
 * binding -> probing -> analyzing -> starting -> punching -> connected
 *               ^   waiting |  | rolling  ^          | retrying: a fresh socket, when nothing came through
 *               +-----------+--+          +- deferring: the right to guess ports is not to be had now
 * ```
 */
import { equals } from "../../encoding/bytes.ts";
import type { SocketAddress } from "../../encoding/address.ts";
import {
  CONSISTENT_TIMEOUT_MS,
  Firewall,
  FULL_TTL,
  LOW_TTL,
  MAX_REROLLS,
  MAX_RETRIES,
  MAX_TRY_LATERS,
  PayloadError,
  RETRY_AFTER_MS,
  RETRY_AFTER_ROUNDS,
  RETRY_SAMPLING_MS,
  STRAY_WAIT_MS,
  TRY_LATER_MS,
  UNKNOWN_REMOTE_WAIT_MS,
} from "./constants.ts";
import type { PunchPayload } from "./payload.ts";
import { Puncher, type PunchFailureCode, type PunchOptions } from "./puncher.ts";

/** What the initiator needs to know besides. */
export interface PunchInitiatorOptions extends PunchOptions {
  /** The relay through which the handshake went. */
  readonly clientRelay: SocketAddress;
  /** The other side as that relay sees it. */
  readonly serverAddress: SocketAddress;
  /** A relay that the other side announced, the same as `clientRelay` if it did, and the other side as that one sees it. */
  readonly serverRelay: { readonly relayAddress: SocketAddress; readonly peerAddress: SocketAddress };
  /** Whether to open our NAT to `serverAddress` at once, so that the other side's first packet can come through. */
  readonly fastOpen: boolean;
}

/** The answer to a round. */
export interface PunchReply {
  /** What the other side says; undefined if it could not be opened. */
  readonly payload: PunchPayload | undefined;
  /** The node that it came through. */
  readonly from: SocketAddress;
  /** The socket as that node sees it. */
  readonly seenAs: SocketAddress;
  /** The other side as that node sees it. */
  readonly peerAddress: SocketAddress;
}

type State =
  | "binding"
  | "probing"
  | "waiting"
  | "analyzing"
  | "rolling"
  | "deferring"
  | "starting"
  | "punching"
  | "retrying";

/** A round that has not been answered. */
interface Round {
  readonly id: number;
  readonly sentAt: number;
  readonly socket: number;
  readonly viaServerRelay: boolean;
  readonly isSecondTry: boolean;
  readonly peerAddress: SocketAddress;
  readonly payload: PunchPayload;
}

/** See the head of the file. */
export class PunchInitiator extends Puncher {
  readonly #given: PunchInitiatorOptions;
  #state: State = "binding";
  #serverAddress: SocketAddress;
  #round = 0;
  #nextId = 0;
  #pending: Round | undefined;
  #remoteToken: Uint8Array | undefined;
  #rttMs = 0;
  /** When the state ends by itself. */
  #until = Infinity;
  #endsAt = Infinity;
  #mayProbeAgain = true;
  #isDelayed = false;
  #hasOpened = false;
  #rerolls = 0;
  #retries = 0;
  #tryLaters = 0;
  /** A punch from a host that the peer did not name, and until when to wait for a better one. */
  #stray: { readonly socket: number; readonly from: SocketAddress; readonly at: number } | undefined;

  /** Begins at once. */
  constructor(options: PunchInitiatorOptions) {
    super(options);
    this.#given = options;
    this.#serverAddress = options.serverAddress;
  }

  /** The answer to the round `id` has come. */
  handleReply(now: number, id: number, { payload, from, seenAs, peerAddress }: PunchReply): void {
    const round = this.#pending;
    if (this.isDone || round === undefined || round.id !== id) return;
    this.#pending = undefined;
    this.#rttMs = now - round.sentAt;
    if (round.socket === this.primary) this.nat.add(seenAs, from);
    if (payload === undefined) {
      return this.fail(now, "HOLEPUNCH_INVALID", "The peer's answer is not sealed with our secret");
    }
    const isBusy = payload.error === PayloadError.TryLater && this.#state === "starting";
    if (isBusy && this.options.canWait) return this.#tryLater(now);
    if (isBusy) {
      return this.fail(now, "TRY_LATER", "The peer guesses ports for another connection: try later");
    }
    if (payload.error !== PayloadError.None) {
      return this.fail(now, "REMOTE_ABORTED", `The peer gave up with error ${payload.error}`);
    }
    const { token } = round.payload;
    const isEchoed = token !== undefined && payload.remoteToken !== undefined &&
      equals(token, payload.remoteToken);
    const hasMoved = this.targets.hasMovedTo(payload.addresses ?? []);
    this.updateRemote(payload, isEchoed ? round.peerAddress.host : undefined);
    if (hasMoved && this.#state === "punching") this.#follow(now);
    if (payload.token !== undefined) this.#remoteToken = payload.token.slice();
    this.#afterReply(now, peerAddress);
    this.advance(now);
  }

  /** The round `id` got no answer in the time that the layer below gives it: tries once more, by the other relay if there is. */
  handleSilence(now: number, id: number): void {
    const round = this.#pending;
    if (this.isDone || round === undefined || round.id !== id) return;
    this.#pending = undefined;
    if (!round.isSecondTry) {
      this.#send(now, !round.viaServerRelay, round.payload, true);
    } else if (this.#state !== "punching") {
      this.fail(now, "HOLEPUNCH_PROBE_TIMEOUT", "The relays to the peer do not answer");
    }
  }

  /** The first from a host that the peer named wins. */
  protected override onPunch(now: number, socket: number, from: SocketAddress): void {
    if (this.targets.hasNamed(from)) return this.connect(now, socket, from);
    // Some carriers use several hosts for one line. But anybody can send a byte, so that a better one gets a little time to come.
    this.#stray ??= { socket, from, at: now + STRAY_WAIT_MS };
  }

  /** See {@linkcode Puncher.deadline}. */
  protected override deadline(): number {
    return Math.min(this.#until, this.#endsAt, this.#stray?.at ?? Infinity);
  }

  /** See {@linkcode Puncher.advance}. */
  protected override advance(now: number): void {
    if (this.#stray !== undefined && now >= this.#stray.at) {
      return this.connect(now, this.#stray.socket, this.#stray.from);
    }
    switch (this.#state) {
      case "binding":
        if (this.isReady) this.#ask(now);
        return;
      case "waiting":
        if (now < this.#until) return;
        this.#enter("analyzing");
        return this.advance(now);
      case "analyzing":
        if (this.isAnalyzed) this.#decide(now);
        return;
      case "rolling":
        if (this.isAnalyzed) this.#afterRoll(now);
        return;
      case "deferring":
        if (now >= this.#until && this.#pending === undefined) this.#start(now);
        return;
      case "punching":
        return this.#keepPunching(now);
      case "retrying":
        if (this.nat.isDecided || now >= this.#until) this.#retry(now);
        return;
      case "probing":
      case "starting":
        return; // what comes next comes with the answer
    }
  }

  get #patienceMs(): number {
    const [least, most] = RETRY_AFTER_MS;
    return Math.min(most, Math.max(least, RETRY_AFTER_ROUNDS * this.#rttMs));
  }

  #enter(state: State, until = Infinity): void {
    this.#state = state;
    this.#until = until;
  }

  /** Asks what the other side knows, and lets its first packet in if it sends one. */
  #ask(now: number): void {
    this.#enter("probing");
    const canOpen = this.#given.fastOpen && this.canSetTtl;
    const isOpened = canOpen && this.punchOnce(now, this.primary, this.#serverAddress, LOW_TTL);
    this.#hasOpened ||= isOpened;
    this.#send(now, true, {
      ...this.#facts(),
      punching: false,
      remoteAddress: isOpened ? this.#serverAddress : undefined,
    });
  }

  #afterReply(now: number, peerAddress: SocketAddress): void {
    if (this.#state === "probing") {
      const { clientRelay, serverRelay } = this.#given;
      // The other side has moved to a fresh socket. Only a relay that both use can know its address.
      if (clientRelay.equals(serverRelay.relayAddress) && !peerAddress.equals(this.#serverAddress)) {
        this.#serverAddress = peerAddress;
        if (this.canSetTtl) this.punchOnce(now, this.primary, peerAddress, LOW_TTL);
      }
      const isUnknown = this.remoteFirewall === Firewall.Unknown;
      this.#enter(isUnknown ? "waiting" : "analyzing", isUnknown ? now + UNKNOWN_REMOTE_WAIT_MS : Infinity);
    } else if (this.#state === "starting") {
      if (!this.isRemotePunching) {
        this.fail(now, "REMOTE_NOT_HOLEPUNCHING", "The peer was asked to punch and does not");
      } else if (!this.punch(now)) {
        this.fail(now, "REMOTE_NOT_HOLEPUNCHABLE", "The peer named no address that could be punched to");
      } else {
        this.#enter("punching", now + this.#patienceMs);
        if (!this.needsGuessing) this.#endsAt = now + CONSISTENT_TIMEOUT_MS;
      }
    }
  }

  /** The NAT of this side is known as well as it will be. */
  #decide(now: number): void {
    if (this.isUnstable && !this.isHopeless && this.#rerolls < MAX_REROLLS) return this.#roll();
    if (this.isUnstable && this.nat.firewall >= Firewall.Random) {
      const message = "Both NATs use another port for each remote: connect through a relay";
      return this.#abort(now, "HOLEPUNCH_DOUBLE_RANDOMIZED_NATS", message);
    }
    const knowsRemote = this.remoteFirewall !== Firewall.Unknown;
    if ((!knowsRemote || this.#remoteToken === undefined) && this.#mayProbeAgain) {
      this.#mayProbeAgain = false;
      return this.#ask(now);
    }
    if (!knowsRemote || this.nat.firewall === Firewall.Unknown) {
      const who = knowsRemote ? "This side" : "The peer";
      const message = `${who} could not find out its NAT: too few nodes of the DHT answer`;
      return this.#abort(now, "HOLEPUNCH_PROBE_TIMEOUT", message);
    }
    if (!this.isAllowed) {
      return this.#abort(now, "HOLEPUNCH_ABORTED", "The policy of this side is not to punch");
    }
    this.nat.freeze();
    this.#start(now);
  }

  #roll(): void {
    this.#rerolls++;
    this.openPrimary();
    this.#enter("rolling");
  }

  #afterRoll(now: number): void {
    if (this.isUnstable) return this.#decide(now);
    this.#mayProbeAgain = false;
    this.#ask(now);
  }

  /** Asks the other side to punch. */
  #start(now: number): void {
    if (this.needsGuessing && !this.takeBudget(now)) return this.#tryLater(now);
    this.#enter("starting");
    // Once it took long, the way through the client's relay may be closed; the other side keeps the one to its own relay open.
    const viaServerRelay = this.#isDelayed;
    this.#send(now, viaServerRelay, {
      ...this.#facts(),
      punching: true,
      token: viaServerRelay ? undefined : this.options.tokenOf(this.#serverAddress),
      remoteToken: this.#remoteToken,
    });
    if (!this.#hasOpened && !this.needsGuessing) this.#crossOver(now);
  }

  /**
   * Punches at the moment at which the other side gets the round, so that each packet passes its own NAT before the other's
   * arrives: what keeps a router from noticing a packet that it has not been told to expect. (As DCUtR of libp2p does.)
   */
  #crossOver(now: number): void {
    for (const { address } of this.targets.list) {
      this.punchOnce(now + this.#rttMs / 2, this.primary, address, FULL_TTL);
    }
  }

  #tryLater(now: number): void {
    this.returnBudget(now);
    if (!this.options.canWait || this.#tryLaters >= MAX_TRY_LATERS) {
      return this.#abort(now, "TRY_LATER", "Ports are being guessed for another connection: try later");
    }
    this.#tryLaters++;
    const [least, most] = TRY_LATER_MS;
    this.#enter("deferring", now + least + this.options.random.below(most - least));
    if (this.#isDelayed) return;
    this.#isDelayed = true;
    // Lets both sides verify each other while the way through the client's relay is open.
    const token = this.options.tokenOf(this.#serverAddress);
    this.#send(now, false, { ...this.#facts(), punching: false, token, remoteToken: this.#remoteToken });
  }

  #keepPunching(now: number): void {
    if (now >= this.#endsAt) {
      this.fail(now, "HOLEPUNCH_ABORTED", "Punches went out and none came in: connect through a relay");
    } else if (now >= this.#until) {
      this.#until = Infinity;
      if (this.needsGuessing || this.#retries >= MAX_RETRIES) return;
      this.#retries++;
      this.openPrimary(true);
      this.#enter("retrying", now + RETRY_SAMPLING_MS);
    }
  }

  /** The fresh socket is known, or not: tells the other side, and crosses over with what it then sends. */
  #retry(now: number): void {
    this.#enter("punching", now + this.#patienceMs);
    const target = this.targets.list.find(({ address }) => address.port !== 0)?.address;
    if (this.nat.firewall !== Firewall.Consistent || target === undefined) return;
    this.nat.freeze();
    this.#send(now, true, { ...this.#facts(), punching: true, remoteAddress: target });
    this.punch(now + this.#rttMs / 2);
    this.#crossOver(now);
  }

  /** The other side has a fresh socket as well, has opened its NAT to ours, and waits for our punch. */
  #follow(now: number): void {
    if (this.needsGuessing || !this.punch(now)) return;
    this.#enter("punching", now + this.#patienceMs);
  }

  #facts(): Pick<PunchPayload, "error" | "firewall" | "round" | "connected" | "addresses"> {
    const { firewall, addresses } = this.nat;
    return { error: PayloadError.None, firewall, round: this.#round++, connected: false, addresses };
  }

  #send(now: number, viaServerRelay: boolean, payload: PunchPayload, isSecondTry = false): void {
    const { serverRelay, clientRelay } = this.#given;
    const relay = viaServerRelay ? serverRelay.relayAddress : clientRelay;
    const peerAddress = viaServerRelay ? serverRelay.peerAddress : this.#serverAddress;
    const round: Round = {
      ...{ id: this.#nextId++, sentAt: now, socket: this.primary },
      ...{ viaServerRelay, isSecondTry, peerAddress, payload },
    };
    this.#pending = round;
    this.emit({ type: "round", id: round.id, socket: round.socket, relay, peerAddress, payload });
  }

  /** Ends it, and tells the other side so that it need not wait. */
  #abort(now: number, code: PunchFailureCode, message: string): void {
    const payload = { error: PayloadError.Aborted, firewall: Firewall.Unknown, round: this.#round++ };
    if (this.isReady) this.#send(now, true, { ...payload, connected: false, punching: false });
    this.fail(now, code, message);
  }
}
