/**
 * Finding the peer of one dial, without I/O: whom to ask to pass the handshake on, in which order, and when there is nobody left to
 * ask. Source of the rules: hyperdht 6.34.0, lib/connect.js.
 */
import type { SocketAddress } from "../encoding/address.ts";
import {
  FIND_TIMEOUT_MS,
  KNOWN_HEAD_START_MS,
  NO_ANSWER_MS,
  PARALLEL_HANDSHAKES,
  PARALLEL_KNOWN_HANDSHAKES,
} from "./connect_constants.ts";
import type { ConnectEvent } from "./connect_types.ts";
import { UDP_ADVICE } from "./dial_error.ts";
import { type RelayCandidate, RelayCandidates } from "./relay_candidates.ts";
import type { ErrorCode } from "../core/runtime/errors.ts";

/** What a {@linkcode RelaySearch} is told. */
export interface RelaySearchOptions {
  /** When it begins. */
  readonly now: number;
  /** Relays that are known already; may be empty. */
  readonly relays: readonly SocketAddress[];
  /** Where the peer was reached before. */
  readonly route: { readonly socket: object; readonly address: SocketAddress } | undefined;
  /** The first message of the handshake. */
  readonly noise: Uint8Array;
  /** Takes what is to be done: `search` and `handshake`. */
  emit(event: ConnectEvent): void;
  /** Takes notes. */
  note(what: string, data: Readonly<Record<string, string | number | boolean>>): void;
}

/** See the head of the file. */
export class RelaySearch {
  readonly #options: RelaySearchOptions;
  readonly #candidates = new RelayCandidates();
  readonly #isKnownFirst: boolean;
  readonly #endsAt: number;
  #searches = 0;
  #isSearching = false;
  #hasHeard = false;
  #refusals = 0;
  #searchAt = Infinity;

  /** Begins at once. */
  constructor(options: RelaySearchOptions) {
    this.#options = options;
    this.#endsAt = options.now + FIND_TIMEOUT_MS;
    this.#isKnownFirst = options.relays.length > 0;
    const { now, relays, route } = options;
    if (route !== undefined) this.#candidates.add(route.address, route.socket);
    else for (const address of relays) this.#candidates.add(address);
    // Who was met before is mostly where he was: a search would ask some twenty nodes to no use.
    if (!this.#candidates.isIdle) this.#searchAt = now + KNOWN_HEAD_START_MS;
    if (this.#candidates.isIdle) this.#search();
    else this.#ask();
  }

  /** A node says that it knows the peer. */
  handleRelay(address: SocketAddress): void {
    this.#hasHeard = true;
    this.#candidates.add(address);
    this.#ask();
  }

  /** A node has answered, with or without news. */
  handleSignOfLife(): void {
    this.#hasHeard = true;
  }

  /** The search is over; with a reason if it did not work. */
  handleSearchEnd(failure?: string): void {
    this.#isSearching = false;
    this.#options.note("search end", failure === undefined ? {} : { failure });
    // Relays that were known before may all be gone: the second search does not begin with them.
    if (this.#isKnownFirst && this.#searches < 2) this.#search();
  }

  /** The handshake `id` was answered: by whom. Undefined if it was not out. */
  handleAnswer(id: number): RelayCandidate | undefined {
    this.#hasHeard = true;
    return this.#candidates.settle(id);
  }

  /** The answer of `candidate` makes no sense. */
  handleNonsense({ address }: RelayCandidate): void {
    this.#refusals++;
    this.#options.note("bad answer", { relay: `${address}` });
    this.#ask();
  }

  /** The handshake `id` was not answered, or the node knows no way. */
  handleNoAnswer(now: number, id: number, reason: string): void {
    const candidate = this.#candidates.settle(id);
    if (candidate === undefined) return;
    this.#options.note("no answer", { relay: `${candidate.address}`, reason });
    if (this.#searchAt !== Infinity) this.#searchAt = now;
    this.#ask();
    this.handleTimeout(now);
  }

  /** What is due. */
  handleTimeout(now: number): void {
    if (now >= this.#searchAt) this.#search();
  }

  /** When something is due, or {@linkcode isOver} may have changed. */
  nextTimeout(): number {
    const deafAt = this.#hasHeard ? Infinity : this.#options.now + NO_ANSWER_MS;
    return Math.min(this.#endsAt, deafAt, this.#searchAt);
  }

  /** Whether there is nobody left to ask, or no more time. */
  isOver(now: number): boolean {
    if (now >= this.#endsAt || (!this.#hasHeard && now >= this.#options.now + NO_ANSWER_MS)) return true;
    return !this.#isSearching && this.#searchAt === Infinity && this.#candidates.isIdle;
  }

  /** Why it came to nothing: code, reason, advice. */
  get failure(): readonly [ErrorCode, string, string] {
    const { tried } = this.#candidates;
    if (!this.#hasHeard) return ["PEER_NOT_FOUND", "no node of the DHT answers", UDP_ADVICE];
    if (tried === 0) {
      return ["PEER_NOT_FOUND", "no node knows the peer", "check the key, and that the peer listens"];
    }
    const why = this.#refusals > 0 ? "relays answer, but not in the peer's name" : "the peer does not answer";
    const reason = `${why} (${tried} ${tried === 1 ? "relay" : "relays"} tried)`;
    return ["PEER_CONNECTION_FAILED", reason, "it may just have left, or refuse us: try later"];
  }

  #search(): void {
    this.#searchAt = Infinity;
    const nodes = this.#searches === 0 ? this.#options.relays : [];
    for (const address of nodes) this.#candidates.add(address);
    this.#searches++;
    this.#isSearching = true;
    this.#options.note("search", { known: nodes.length });
    this.#options.emit({ type: "search", nodes });
    this.#ask();
  }

  #ask(): void {
    const parallel = this.#isKnownFirst ? PARALLEL_KNOWN_HANDSHAKES : PARALLEL_HANDSHAKES;
    let next: ReturnType<RelayCandidates["next"]>;
    while ((next = this.#candidates.next(parallel)) !== undefined) {
      const { id, candidate: { address: to, socket } } = next;
      this.#options.note("handshake", { relay: `${to}` });
      this.#options.emit({ type: "handshake", id, to, noise: this.#options.noise, socket });
    }
  }
}
