/**
 * A blind relay that anyone can run: brings two clients together that know the same token, and carries the packets of their stream.
 * It sees sizes and times, and never what is said: the keys are the clients' own.
 *
 * ```text
 * session:  opening --client opens--> open --end--> ending --nothing waits--> closed        (its links close with it)
 * pairing:  one half waits --other half--> link --unpair, end of a session, reset, silence, quota--> closed
 *                         \--unpair, end of the session, 20 s--> cancelled
 * ```
 *
 * Source of the rules: blind-relay 1.6.1, index.js. Different on purpose: everything a client can grow has a limit and an end in
 * time; packets of a link are taken only from the host that its client's session comes from; and a client whose pairing comes to
 * nothing is told so.
 */
import { Deadlines } from "../core/runtime/deadlines.ts";
import { TypedEventTarget } from "../core/runtime/events.ts";
import type { Clock, Timer } from "../core/runtime/runtime.ts";
import { toHex } from "../encoding/text.ts";
import {
  type Expiring,
  type LinkEnd,
  type LinkEndpoint,
  type LinkHost,
  PendingPair,
  RelayLink,
  type RelayStreams,
} from "./relay_link.ts";
import type { RelayPair } from "./relay_messages.ts";
import { type RelayQuotaOptions, RelayQuotas, type RelayRefusal } from "./relay_quotas.ts";
import { type RelayPeer, RelaySession, type SessionHost, tooManySessions } from "./relay_session.ts";

/** Options of a {@linkcode RelayServer}. */
export interface RelayServerOptions {
  /** What clients may cost. */
  readonly quotas?: RelayQuotaOptions | undefined;
  /** Milliseconds that one half waits for the other; 20,000 by default: the reference's clients wait 15,000. */
  readonly pairingTimeoutMs?: number | undefined;
  /** Milliseconds without any packet after which a link is closed; 120,000 by default. Peers say that they are alive each 5,000. */
  readonly linkIdleMs?: number | undefined;
  /** Milliseconds after which a session that has nothing to do is ended; 30,000 by default. */
  readonly sessionIdleMs?: number | undefined;
}

/** Figures of a relay. */
export interface RelayStats {
  /** Sessions that were accepted, opened by the client, and closed again. */
  readonly sessions: { accepted: number; opened: number; closed: number };
  /** Halves that were asked for; pairs that met; halves and links called off; halves that waited in vain. */
  readonly pairings: { requested: number; matched: number; cancelled: number; expired: number };
  /** Links that were closed, by reason. */
  readonly closed: Record<LinkEnd, number>;
  /** What was turned away, by reason. */
  readonly refused: Record<RelayRefusal, number>;
  /** Packets carried. */
  packets: number;
  /** Their bytes. */
  bytes: number;
  /** Packets dropped because of a rate. */
  slowed: number;
  /** Packets for a link from where its client is not. */
  strays: number;
}

/** News of a relay. Tokens are not told: they are the clients' secret. */
export interface RelayServerEvents {
  /** A client has opened a session. */
  session: { readonly session: RelaySession };
  /** Two clients have met. */
  link: { readonly link: RelayLink };
  /** A link is over. */
  linkClosed: { readonly link: RelayLink; readonly reason: LinkEnd };
  /** Something was turned away. */
  refused: { readonly publicKey: Uint8Array; readonly reason: RelayRefusal };
}

const PAIRING_TIMEOUT_MS = 20_000;
const LINK_IDLE_MS = 120_000;
const SESSION_IDLE_MS = 30_000;

/**
 * See the head of the file.
 *
 * @example A relay on a node of the DHT; the owner closes connections when their session is over.
 * ```ts
 * import type { Clock } from "../core/runtime/runtime.ts";
 * import type { Dht } from "./dht.ts";
 * import { RelayServer } from "./relay.ts";
 *
 * async function serveRelay(clock: Clock, dht: Dht): Promise<RelayServer> {
 *   const streams = { createStream: dht.createRawStream.bind(dht) };
 *   const relay = new RelayServer(clock, streams, { quotas: { maxBytesPerSecond: 4 * 1024 * 1024 } });
 *   const server = dht.createServer();
 *   server.on("connection", ({ detail: { connection } }) => {
 *     try {
 *       void relay.accept(connection).closed.then(() => connection.close());
 *     } catch (error) {
 *       connection.abort(error); // too many clients
 *     }
 *   });
 *   await server.listen();
 *   return relay;
 * }
 * console.assert(typeof serveRelay === "function");
 * ```
 */
export class RelayServer extends TypedEventTarget<RelayServerEvents> implements AsyncDisposable {
  /** What clients use, and may use. */
  readonly quotas: RelayQuotas;
  /** Figures so far. */
  readonly stats: RelayStats = newStats();
  readonly #clock: Clock;
  readonly #endpoint: RelayStreams;
  readonly #pairingTimeoutMs: number;
  readonly #linkIdleMs: number;
  readonly #sessionIdleMs: number;
  readonly #sessions = new Set<RelaySession>();
  /** Halves that wait, by token. */
  readonly #pending = new Map<string, PendingPair>();
  readonly #deadlines = new Deadlines<Expiring>();
  readonly #timer: Timer;
  readonly #host: SessionHost & LinkHost;
  #isClosed = false;

  /** A relay whose links live on `endpoint`. */
  constructor(clock: Clock, endpoint: RelayStreams, options: RelayServerOptions = {}) {
    super();
    this.#clock = clock;
    this.#endpoint = endpoint;
    this.quotas = new RelayQuotas(options.quotas);
    this.#pairingTimeoutMs = options.pairingTimeoutMs ?? PAIRING_TIMEOUT_MS;
    this.#linkIdleMs = options.linkIdleMs ?? LINK_IDLE_MS;
    this.#sessionIdleMs = options.sessionIdleMs ?? SESSION_IDLE_MS;
    this.#timer = clock.schedule(Infinity, () => this.#onTimer());
    this.#host = this.#makeHost();
  }

  /** The sessions that are not closed. */
  get sessions(): ReadonlySet<RelaySession> {
    return this.#sessions;
  }

  /**
   * Serves the client at the other end of a connection, until the session or the connection is over. The connection stays the
   * caller's.
   *
   * @throws {ConnectError} `LIMIT_EXCEEDED` if there are too many sessions: close the connection.
   * @throws {TypeError} if the relay is closed, or serves the connection already.
   */
  accept(peer: RelayPeer): RelaySession {
    if (this.#isClosed) throw new TypeError("The relay is closed: make another");
    const host = peer.path?.address?.host;
    const account = this.quotas.openSession(this.#clock.now(), peer.remotePublicKey, host);
    if (account === undefined) {
      this.#refuse(peer.remotePublicKey, "sessions");
      throw tooManySessions();
    }
    let session: RelaySession;
    try {
      session = new RelaySession(this.#host, peer, account);
    } catch (error) {
      this.quotas.closeSession(account, host);
      throw error;
    }
    this.stats.sessions.accepted++;
    this.#sessions.add(session);
    this.#expire(session, this.#sessionIdleMs);
    session.open();
    return session;
  }

  /** Ends all sessions once nothing waits in them, which takes at most as long as one half waits for the other. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#sessions].map((session) => session.end()));
    this.#timer.cancel();
  }

  /** Ends all sessions and links at once. */
  destroy(): void {
    this.#isClosed = true;
    for (const session of [...this.#sessions]) session.destroy();
    this.#timer.cancel();
  }

  /** See {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #makeHost(): SessionHost & LinkHost {
    return {
      now: () => this.#clock.now(),
      onSessionOpen: (session) => {
        this.stats.sessions.opened++;
        this.emit("session", { session });
      },
      onPair: (session, request) => this.#onPair(session, request),
      onUnpair: (session, token) => this.#onUnpair(session, token),
      onSessionClosed: (session) => this.#onSessionClosed(session),
      onSessionQuiet: (session) => {
        if (session.pending.size + session.links.size === 0) session.destroy();
      },
      admit: (link, session, bytes) => this.#admit(link, session, bytes),
      onLinkQuiet: (link, now) => {
        if (now >= link.activeAt + this.#linkIdleMs) link.close("idle");
        else this.#expire(link, link.activeAt + this.#linkIdleMs - now);
      },
      onLinkClosed: (link, reason) => this.#onLinkClosed(link, reason),
      onStray: () => void this.stats.strays++,
    };
  }

  // --- Pairing ---

  #onPair(session: RelaySession, request: RelayPair): void {
    const { account } = session;
    this.stats.pairings.requested++;
    if (session.isEnding) return this.#turnAway(session, request, "ending");
    // Who asks too much, or does not read the answers, gets none.
    if (!this.quotas.request(this.#clock.now(), account) || !session.isDrained) {
      return this.#refuse(session.publicKey, "requests");
    }
    const token = toHex(request.token);
    const other = this.#pending.get(token);
    const isDuplicate = session.links.has(token) || other?.request.isInitiator === request.isInitiator;
    if (isDuplicate) return this.#refuse(session.publicKey, "duplicate");
    if (other !== undefined) return this.#match(token, other, session, request);
    if (!this.quotas.openPending(account)) return this.#turnAway(session, request, "pending");
    const pending = new PendingPair(session, request, () => {
      this.stats.pairings.expired++;
      this.#forget(token, pending);
      session.cancel(request.token);
      session.endIfIdle();
    });
    this.#pending.set(token, pending);
    session.pending.set(token, pending);
    this.#expire(pending, this.#pairingTimeoutMs);
  }

  #match(token: string, other: PendingPair, session: RelaySession, request: RelayPair): void {
    this.#forget(token, other);
    const ends = request.isInitiator ? [{ session, request }, other] : [other, { session, request }];
    const link = this.#makeLink(ends[0]!, ends[1]!);
    if (!(link instanceof RelayLink)) {
      this.#turnAway(session, request, link);
      other.session.cancel(request.token);
      other.session.endIfIdle();
      return;
    }
    this.stats.pairings.matched++;
    for (const { session } of link.ends) session.links.set(token, link);
    this.#expire(link, this.#linkIdleMs);
    for (const [i, end] of link.ends.entries()) end.session.answer(end.request, link.streamId(i as 0 | 1));
    this.emit("link", { link });
    for (const { session } of link.ends) session.endIfIdle();
  }

  #makeLink(a: LinkEndpoint, b: LinkEndpoint): RelayLink | RelayRefusal {
    const refusal = this.quotas.openLink(this.#clock.now(), a.session.account, b.session.account);
    if (refusal !== undefined) return refusal;
    try {
      return new RelayLink(this.#host, this.#endpoint, a, b);
    } catch (error) {
      // The endpoint has other streams to carry, too.
      if (!(error instanceof RangeError)) throw error;
      this.quotas.closeLink(a.session.account, b.session.account);
      return "links";
    }
  }

  #onUnpair(session: RelaySession, token: Uint8Array): void {
    const key = toHex(token);
    const pending = session.pending.get(key);
    const link = session.links.get(key);
    if (pending === undefined && link === undefined) return;
    this.stats.pairings.cancelled++;
    if (pending === undefined) {
      link!.close("unpaired");
      return;
    }
    this.#forget(key, pending);
    session.endIfIdle();
  }

  #forget(token: string, pending: PendingPair): void {
    const { session } = pending;
    this.#deadlines.delete(pending);
    this.#pending.delete(token);
    session.pending.delete(token);
    this.quotas.closePending(session.account);
    this.#noteWork(session);
  }

  /** Refuses and says so. */
  #turnAway(session: RelaySession, request: RelayPair, reason: RelayRefusal): void {
    session.cancel(request.token);
    this.#refuse(session.publicKey, reason);
  }

  #refuse(publicKey: Uint8Array, reason: RelayRefusal): void {
    this.stats.refused[reason]++;
    this.emit("refused", { publicKey, reason });
  }

  // --- Links and sessions ---

  #admit(link: RelayLink, session: RelaySession, bytes: number): boolean {
    switch (this.quotas.send(this.#clock.now(), session.account, bytes)) {
      case "pass":
        this.stats.packets++;
        this.stats.bytes += bytes;
        return true;
      case "slow":
        this.stats.slowed++;
        link.slowed++;
        return false;
      case "spent":
        link.close("bytes");
        return false;
    }
  }

  #onLinkClosed(link: RelayLink, reason: LinkEnd): void {
    const [a, b] = link.ends;
    const token = toHex(a.request.token);
    this.#deadlines.delete(link);
    this.stats.closed[reason]++;
    this.quotas.closeLink(a.session.account, b.session.account);
    for (const { session, request } of link.ends) {
      session.links.delete(token);
      if (reason === "bytes" || reason === "idle") session.cancel(request.token);
      this.#noteWork(session);
    }
    this.emit("linkClosed", { link, reason });
  }

  #onSessionClosed(session: RelaySession): void {
    this.#sessions.delete(session);
    this.stats.sessions.closed++;
    for (const [token, pending] of session.pending) {
      this.stats.pairings.cancelled++;
      this.#forget(token, pending);
    }
    for (const link of session.links.values()) link.close("session");
    this.#deadlines.delete(session);
    this.quotas.closeSession(session.account, session.host);
  }

  // --- Time ---

  /** A session that has nothing left to do is ended after a while. */
  #noteWork(session: RelaySession): void {
    if (session.pending.size + session.links.size === 0) this.#expire(session, this.#sessionIdleMs);
  }

  #expire(entry: Expiring, afterMs: number): void {
    this.#deadlines.set(entry, this.#clock.now() + afterMs);
    this.#timer.reset(this.#deadlines.next);
  }

  #onTimer(): void {
    const now = this.#clock.now();
    let entry: Expiring | undefined;
    while ((entry = this.#deadlines.popDue(now)) !== undefined) entry.expire(now);
    this.#timer.reset(this.#deadlines.next);
  }
}

function newStats(): RelayStats {
  return {
    sessions: { accepted: 0, opened: 0, closed: 0 },
    pairings: { requested: 0, matched: 0, cancelled: 0, expired: 0 },
    closed: { unpaired: 0, session: 0, stream: 0, idle: 0, bytes: 0 },
    refused: { sessions: 0, requests: 0, pending: 0, links: 0, bytes: 0, duplicate: 0, ending: 0 },
    packets: 0,
    bytes: 0,
    slowed: 0,
    strays: 0,
  };
}
