/**
 * The life of the connections in a swarm, from admission to close: shown to the application at once, or, where the peer has to
 * prove a topic first, when it has.
 */
import { ConnectError } from "../core/runtime/errors.ts";
import type { Runtime } from "../core/runtime/runtime.ts";
import type { Connection } from "../core/stream/connection.ts";
import { ABORT_TIMEOUT_MS, CLOSE_TIMEOUT_MS, PROOF_TIMEOUT_MS, STABLE_CONNECTION_MS } from "./constants.ts";
import type { Member, MemberSet } from "./member.ts";
import type { SwarmConfig } from "./options.ts";
import type { Peer } from "./peer.ts";
import { type Showing, TopicProof } from "./topic_proof.ts";
import { within } from "./within.ts";

/** What there is to say for a connection whose peer has proven nothing so far. */
export type Purpose =
  /** The application asked for the peer, or an open topic brought it. */
  | "given"
  /** It may have come for an open topic, or because it wants this very peer. */
  | "possible"
  /** Only a proof can give it one. */
  | "none";

/** What the membership needs of the swarm. */
export interface MembershipHost {
  readonly runtime: Runtime;
  readonly config: SwarmConfig;
  readonly members: MemberSet;
  /** What to show to a peer. */
  showing(peer: Peer): Showing;
  /** Why there is this connection. */
  purposeOf(peer: Peer, connection: Connection): Purpose;
  /** Ends all that goes on with the peer beside its connection. */
  take(peer: Peer): void;
  /** The same, for a peer that has dialed itself: a dial may go on. */
  yieldTo(peer: Peer): void;
  /** The application may have the connection. */
  onShown(member: Member): void;
  /** The connection is gone; `isCurrent` unless another one has taken its place. */
  onClosed(member: Member, error: Error | undefined, isCurrent: boolean): void;
  /** A connection is closed because its peer proved nothing. */
  onUnproven(member: Member): void;
}

/** See the head of the file. */
export class Membership {
  readonly #host: MembershipHost;

  /** A membership without members. */
  constructor(host: MembershipHost) {
    this.#host = host;
  }

  /** Makes `connection` that of `peer`; what it had is dropped. */
  admit(peer: Peer, connection: Connection): void {
    const { members, runtime, config } = this.#host;
    const before = members.get(peer);
    if (before !== undefined) {
      this.#remove(before);
      before.connection.abort(
        new ConnectError("DUPLICATE_CONNECTION", "A newer connection to the same peer took its place"),
      );
    }
    const { isInitiator } = connection;
    const hasCrossed = !isInitiator &&
      (peer.phase === "dialing" || before?.connection.isInitiator === true || before?.hasCrossed === true);
    if (isInitiator) this.#host.take(peer);
    else this.#host.yieldTo(peer);
    if (peer.phase !== "connected") peer.move("connected");
    const openedAt = runtime.clock.now();
    const member: Member = {
      peer,
      connection,
      openedAt,
      hasCrossed,
      isShown: false,
      proof: undefined,
      patience: undefined,
    };
    members.add(member);
    connection.closed.then(
      () => this.#onClosed(member, undefined),
      (error) => this.#onClosed(member, error),
    );
    if (config.channels) this.#openProof(member);
    else this.#show(member);
  }

  /** The topics of this side have changed: shows them to all. */
  reshow(): void {
    for (const { proof, peer } of [...this.#host.members]) proof?.show(this.#host.showing(peer));
  }

  /** Makes each connection say something now, so that a dead one is found out. */
  nudge(): void {
    for (const { connection } of this.#host.members) connection.sendKeepAlive();
  }

  /** Drops all connections at once; resolves when they are gone, or after a moment. */
  async abortAll(reason: Error): Promise<void> {
    const connections = [...this.#host.members].map(({ connection }) => connection);
    for (const connection of connections) connection.abort(reason);
    const gone = Promise.allSettled(connections.map(({ closed }) => closed));
    await within(this.#host.runtime.clock, ABORT_TIMEOUT_MS, gone);
  }

  /** Ends all connections in order; those whose peers do not end in time are dropped. */
  async closeAll(): Promise<void> {
    const closing = Promise.all([...this.#host.members].map(({ connection }) => connection.close()));
    await within(this.#host.runtime.clock, CLOSE_TIMEOUT_MS, closing);
    await this.abortAll(new ConnectError("CONNECTION_CLOSED", "The swarm was closed"));
  }

  #openProof(member: Member): void {
    const { runtime } = this.#host;
    const { connection, peer } = member;
    member.proof = new TopicProof(
      runtime,
      connection,
      this.#host.showing(peer),
      () => this.#onProof(member),
    );
    if (this.#host.purposeOf(peer, connection) === "given") {
      this.#show(member);
    } else {
      const patienceEnds = runtime.clock.now() + PROOF_TIMEOUT_MS;
      member.patience = runtime.clock.schedule(patienceEnds, () => this.#reject(member));
    }
    member.proof.start();
  }

  #onProof(member: Member): void {
    const { members } = this.#host;
    if (members.get(member.peer) !== member) return;
    const { peer, connection } = member;
    const { shared, isSettled, isRemoteExplicit, isUnspoken } = member.proof!;
    peer.prove([...shared.values()]);
    if (member.isShown || !isSettled) return;
    const purpose = this.#host.purposeOf(peer, connection);
    const isWelcome = purpose === "given" || (purpose === "possible" && (isRemoteExplicit || isUnspoken));
    if (shared.size > 0 || isWelcome) this.#show(member);
    else this.#reject(member);
  }

  #show(member: Member): void {
    member.patience?.cancel();
    member.isShown = true;
    member.peer.isProven = true;
    this.#host.onShown(member);
  }

  #reject(member: Member): void {
    if (this.#host.members.get(member.peer) !== member) return;
    this.#host.onUnproven(member);
    member.connection.abort(
      new ConnectError("CONNECTION_REFUSED", "The peer did not prove a topic in common"),
    );
  }

  #remove(member: Member): boolean {
    member.patience?.cancel();
    return this.#host.members.delete(member);
  }

  #onClosed(member: Member, error: Error | undefined): void {
    const isCurrent = this.#remove(member);
    const { peer, openedAt, isShown } = member;
    if (isCurrent) {
      if (isShown && this.#host.runtime.clock.now() - openedAt >= STABLE_CONNECTION_MS) peer.attempts = 0;
      peer.attempts++;
      peer.prove([]);
    }
    this.#host.onClosed(member, error, isCurrent);
  }
}
