/**
 * Receives the connections that others have dialed: asks the firewall, keeps the limit, and settles duplicates.
 */
import { compare } from "../encoding/bytes.ts";
import { ConnectError } from "../core/runtime/errors.ts";
import type { Runtime, Timer } from "../core/runtime/runtime.ts";
import type { Connection } from "../core/stream/connection.ts";
import { RACE_MS } from "./constants.ts";
import { type DuplicateVerdict, type Incumbent, judgeDuplicate } from "./duplicates.ts";
import type { Firewall, FirewallVerdict } from "./firewall.ts";
import type { MemberSet } from "./member.ts";
import type { Peer } from "./peer.ts";
import type { PeerBook } from "./peer_book.ts";

/** Why a connection was turned away. */
export type RefusalReason = "closed" | "firewall" | "full" | "duplicate";

/** What the reception needs of the swarm. */
export interface ReceptionHost {
  readonly runtime: Runtime;
  readonly firewall: Firewall;
  readonly book: PeerBook;
  readonly members: MemberSet;
  readonly maxServerConnections: number;
  /** Whether connections are welcome at all. */
  isOpen(): boolean;
  /** Makes `connection` that of `peer`, who may have had another. */
  admit(peer: Peer, connection: Connection): void;
  /** A connection was turned away. */
  onRefused(connection: Connection, reason: RefusalReason, verdict: FirewallVerdict): void;
}

/** A connection that waits whether the one that is there, or is being dialed, holds. */
interface Candidate {
  readonly connection: Connection;
  readonly timer: Timer;
}

/** See the head of the file. */
export class Reception {
  readonly #host: ReceptionHost;
  readonly #candidates = new Map<Peer, Candidate>();
  /** Connections about which the firewall thinks. */
  readonly #asking = new Set<Connection>();

  /** An empty reception. */
  constructor(host: ReceptionHost) {
    this.#host = host;
  }

  /** Takes a connection whose peer has proven its key. */
  accept(connection: Connection): void {
    if (!this.#host.isOpen()) {
      this.#refuse(connection, "closed");
      return;
    }
    const peer = this.#host.book.get(connection.remotePublicKey);
    if (this.#isFull() && peer?.isExplicit !== true && peer?.phase !== "connected") {
      this.#refuse(connection, "full");
      return;
    }
    const verdict = this.#host.firewall.check(connection.remotePublicKey);
    if (typeof verdict === "string") {
      this.#decide(connection, verdict);
      return;
    }
    this.#asking.add(connection);
    void verdict.then((later) => {
      if (this.#asking.delete(connection)) this.#decide(connection, later);
    });
  }

  /** What `peer` had is gone, or could not be dialed: admits what waits in its place. False if nothing does. */
  replace(peer: Peer): boolean {
    const candidate = this.#candidates.get(peer);
    if (candidate === undefined) return false;
    this.#forget(peer, candidate);
    this.#host.admit(peer, candidate.connection);
    return true;
  }

  /** Keeps a connection that this side has dialed beside the one that `peer` has, until the peer has dropped one of both. */
  holdBeside(peer: Peer, connection: Connection): void {
    this.#hold(peer, connection, () => this.dismiss(peer));
  }

  /** What `peer` has holds: turns away what waits in its place. */
  dismiss(peer: Peer): void {
    const candidate = this.#candidates.get(peer);
    if (candidate === undefined) return;
    this.#forget(peer, candidate);
    this.#refuse(candidate.connection, "duplicate");
  }

  /** Turns away all that wait. */
  clear(): void {
    for (const connection of this.#asking) this.#refuse(connection, "closed");
    this.#asking.clear();
    for (const [peer, candidate] of [...this.#candidates]) {
      this.#forget(peer, candidate);
      this.#refuse(candidate.connection, "closed");
    }
  }

  #isFull(): boolean {
    const waiting = this.#candidates.size + this.#asking.size;
    return this.#host.members.servers + waiting >= this.#host.maxServerConnections;
  }

  #decide(connection: Connection, verdict: FirewallVerdict): void {
    if (verdict !== "allow") {
      this.#refuse(connection, "firewall", verdict);
      return;
    }
    const peer = this.#host.book.obtain(connection.remotePublicKey, true)!;
    switch (this.#judge(peer, connection)) {
      case "refuse":
        this.#refuse(connection, "duplicate");
        // Should the peer have lost that one after all, this finds it out.
        this.#host.members.get(peer)?.connection.sendKeepAlive();
        break;
      case "wait":
        this.#hold(peer, connection, () => this.replace(peer));
        break;
      case "replace":
        this.dismiss(peer);
        this.#host.admit(peer, connection);
    }
  }

  #judge(peer: Peer, connection: Connection): DuplicateVerdict {
    const incumbent = this.#incumbent(peer);
    if (incumbent === undefined) return "replace";
    return judgeDuplicate(incumbent, compare(connection.publicKey, connection.remotePublicKey) > 0);
  }

  #incumbent(peer: Peer): Incumbent | undefined {
    if (peer.phase === "dialing") {
      return { isInitiator: true, ageMs: 0, hasMovedBytes: false, isDialing: true };
    }
    const member = this.#host.members.get(peer);
    if (member === undefined) return undefined;
    const { connection, openedAt } = member;
    return {
      isInitiator: connection.isInitiator,
      ageMs: this.#host.runtime.clock.now() - openedAt,
      hasMovedBytes: connection.rawBytesRead > 0 && connection.rawBytesWritten > 0,
      isDialing: false,
    };
  }

  #hold(peer: Peer, connection: Connection, onTime: () => void): void {
    this.dismiss(peer);
    const { clock } = this.#host.runtime;
    const timer = clock.schedule(clock.now() + RACE_MS, onTime);
    const candidate: Candidate = { connection, timer };
    this.#candidates.set(peer, candidate);
    const onClose = () => {
      if (this.#candidates.get(peer) === candidate) this.#forget(peer, candidate);
    };
    connection.closed.then(onClose, onClose);
  }

  #forget(peer: Peer, candidate: Candidate): void {
    candidate.timer.cancel();
    this.#candidates.delete(peer);
  }

  #refuse(connection: Connection, reason: RefusalReason, verdict: FirewallVerdict = "fail"): void {
    connection.abort(
      reason === "duplicate"
        ? new ConnectError("DUPLICATE_CONNECTION", "Another connection to the same peer is kept")
        : new ConnectError("CONNECTION_REFUSED", REFUSALS[reason]),
    );
    this.#host.onRefused(connection, reason, verdict);
  }
}

const REFUSALS = {
  closed: "The swarm is suspended or closed",
  firewall: "The firewall keeps the peer out",
  full: "There are maxServerConnections already",
} as const;
