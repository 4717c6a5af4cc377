/**
 * Multicast DNS for one service (RFC 6762, RFC 6763): tells the link of own peers, learns of others, answers and asks with the
 * RFC's manners. Everything is sent to the group, nothing to a single address: a forged question gains nobody an answer that
 * hits somebody else.
 */
import type { DatagramMachine, Transmit } from "../../core/runtime/machine.ts";
import type { Random } from "../../core/runtime/runtime.ts";
import { SocketAddress } from "../../encoding/address.ts";
import { DecodeError } from "../../encoding/codec.ts";
import type { PeerRecord } from "../transport.ts";
import {
  ANNOUNCE_AGAIN_MS,
  FAREWELL_MS,
  GROUP,
  MAX_ANNOUNCED,
  MAX_DELAY_MS,
  MAX_QUERY_INTERVAL_MS,
  MAX_SENT_BYTES,
  MAX_TRUNCATED_DELAY_MS,
  MAX_TTL_S,
  MIN_DELAY_MS,
  MIN_QUERY_INTERVAL_MS,
  MIN_REPEAT_MS,
  MIN_TRUNCATED_DELAY_MS,
  SAVED_QUERY_MS,
  SERVICE,
  TTL_S,
  TYPE,
} from "./constants.ts";
import { decodeMessage, encodeMessage, type Message, MessageWriter, type ReadRecord } from "./message.ts";
import { PeerCache } from "./peer_cache.ts";
import {
  addressesAt,
  hostName,
  idOf,
  instanceName,
  parseAddresses,
  parseId,
  parseInstanceName,
  peerRecords,
  type Place,
  pointerTo,
} from "./service.ts";

/** A datagram, and the place at which to send it. */
export interface MdnsTransmit extends Transmit {
  /** One of those given to {@linkcode MdnsMachine.setPlaces}. */
  place: Place | undefined;
}

/** A peer was found, or has new addresses. */
export interface PeerEvent {
  readonly type: "peer";
  readonly peer: PeerRecord;
}

/** What has happened to messages. */
export interface MdnsCounters {
  /** Messages sent, each counted for each place. */
  sent: number;
  /** Messages received, own ones included. */
  received: number;
  /** Messages that could not be read. */
  malformed: number;
  /** Peers that were told of and for which there was no room. */
  refused: number;
}

/** An own peer. */
interface Announced {
  readonly id: string;
  /** The addresses of each announcement in force. */
  readonly holders: Map<number, readonly string[]>;
  /** When to tell of it again without being asked. */
  announceAt: readonly number[];
  /** When to answer those who have asked. */
  answerAt: number;
  /** Who asked, if it is one who may still say that it knows the answer. */
  asker: string | number | undefined;
  toldAt: number;
}

interface Outgoing {
  readonly place: Place;
  readonly bytes: Uint8Array;
}

/** See the head of the file. */
export class MdnsMachine implements DatagramMachine<PeerEvent> {
  /** What has happened so far. */
  readonly counters: MdnsCounters = { sent: 0, received: 0, malformed: 0, refused: 0 };
  readonly #random: Random;
  readonly #groups: Readonly<Record<4 | 6, SocketAddress>>;
  readonly #port: number;
  readonly #cache = new PeerCache();
  readonly #own = new Map<string, Announced>();
  readonly #outbox: Outgoing[] = [];
  /** Peers that nobody has been told of yet. */
  readonly #news = new Set<string>();
  #places: readonly Place[] = [];
  #localHosts: ReadonlySet<string> = new Set();
  #nextHolder = 0;
  #browsers = 0;
  #askedAt = -Infinity;
  #askAt = Infinity;
  #askIntervalMs = MIN_QUERY_INTERVAL_MS;
  #refreshJitterMs = 0;

  /** A machine that sends to and listens for `port`. */
  constructor(random: Random, port: number) {
    this.#random = random;
    this.#port = port;
    this.#groups = { 4: SocketAddress.of(GROUP[4], port), 6: SocketAddress.of(GROUP[6], port) };
  }

  /** The interfaces to use from now on, and all addresses of this host. Tells and asks anew if they have changed. */
  setPlaces(now: number, places: readonly Place[], localHosts: ReadonlySet<string>): void {
    this.#places = places;
    this.#localHosts = localHosts;
    for (const own of this.#own.values()) this.#announce(now, own);
    if (this.#browsers > 0) this.#askSoon(now);
  }

  /**
   * Announces an own peer. @returns what {@linkcode withdraw} wants.
   *
   * @throws {RangeError} if the key has not 32 bytes, or too many are announced.
   */
  announce(now: number, peer: PeerRecord): number {
    const id = idOf(peer.publicKey);
    let own = this.#own.get(id);
    if (own === undefined) {
      if (this.#own.size >= MAX_ANNOUNCED) {
        throw new RangeError(`At most ${MAX_ANNOUNCED} peers can be announced by one discovery`);
      }
      const never = { answerAt: Infinity, toldAt: -Infinity, asker: undefined };
      own = { id, holders: new Map(), announceAt: [], ...never };
      this.#own.set(id, own);
    }
    own.holders.set(this.#nextHolder, [...peer.addresses]);
    this.#announce(now, own);
    return this.#nextHolder++;
  }

  /** Ends an announcement; the last one of a peer with a farewell. Harmless when ended. */
  withdraw(now: number, holder: number): void {
    for (const own of this.#own.values()) {
      if (!own.holders.delete(holder)) continue;
      if (own.holders.size > 0) return this.#announce(now, own);
      this.#own.delete(own.id);
      const farewell = {
        isResponse: true,
        isTruncated: false,
        questions: [],
        records: [pointerTo(own.id, 0)],
      };
      const bytes = encodeMessage(farewell, MAX_SENT_BYTES);
      for (const place of this.#places) this.#outbox.push({ place, bytes });
      return;
    }
  }

  /** Somebody wants to know of peers: ask, now and then, until {@linkcode stopBrowsing} was called as often. */
  browse(now: number): void {
    this.#browsers++;
    this.#askSoon(now);
  }

  /** See {@linkcode browse}. */
  stopBrowsing(): void {
    this.#browsers--;
  }

  /** All peers that are known now, in no order. */
  peers(): PeerRecord[] {
    return [...this.#cache.ids()].flatMap((id) => this.#record(id) ?? []);
  }

  /** See {@linkcode DatagramMachine}. Messages that do not come from the port of mDNS are dropped, as are unreadable ones. */
  handleDatagram(now: number, datagram: Uint8Array, from: SocketAddress): void {
    if (from.port !== this.#port) return;
    this.counters.received++;
    let message: Message<ReadRecord>;
    try {
      message = decodeMessage(datagram);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.counters.malformed++;
      return;
    }
    if (message.isResponse) this.#learn(now, message, from);
    else this.#hear(now, message, from);
  }

  /** See {@linkcode DatagramMachine}. */
  handleTimeout(now: number): void {
    this.#cache.expire(now);
    for (const own of this.#own.values()) {
      const isDue = own.answerAt <= now || (own.announceAt[0] ?? Infinity) <= now;
      if (isDue) this.#tell(now, own);
    }
    if (this.#nextAsk() <= now) this.#ask(now);
  }

  /** See {@linkcode DatagramMachine}. */
  nextTimeout(): number {
    let next = Math.min(this.#cache.nextExpiry(), this.#nextAsk());
    for (const { answerAt, announceAt } of this.#own.values()) {
      next = Math.min(next, answerAt, announceAt[0] ?? Infinity);
    }
    return next;
  }

  /** See {@linkcode DatagramMachine}. */
  pollEvent(): PeerEvent | undefined {
    for (const id of this.#news) {
      this.#news.delete(id);
      const peer = this.#record(id);
      if (peer !== undefined) return { type: "peer", peer };
    }
    return undefined;
  }

  /** See {@linkcode DatagramMachine}. */
  pollTransmit(_now: number, out: MdnsTransmit): boolean {
    const next = this.#outbox.shift();
    if (next === undefined) return false;
    this.counters.sent++;
    out.buffer = next.bytes;
    out.length = next.bytes.length;
    out.to = this.#groups[next.place.family];
    out.place = next.place;
    return true;
  }

  #record(id: string): PeerRecord | undefined {
    const addresses = this.#cache.addresses(id);
    const publicKey = parseId(id);
    return addresses && publicKey && { publicKey, addresses };
  }

  #announce(now: number, own: Announced): void {
    own.announceAt = ANNOUNCE_AGAIN_MS.map((ms) => now + ms);
    this.#tell(now, own);
  }

  #tell(now: number, own: Announced): void {
    const addresses = [...own.holders.values()].flat();
    for (const place of this.#places) {
      const told = addressesAt(place, addresses, this.#localHosts);
      if (told.length === 0) continue;
      const writer = new MessageWriter(true, MAX_SENT_BYTES);
      for (const record of peerRecords(own.id, told, place)) writer.record(record);
      this.#outbox.push({ place, bytes: writer.finish() });
    }
    own.toldAt = now;
    own.answerAt = Infinity;
    own.announceAt = own.announceAt.filter((at) => at > now);
  }

  #learn(now: number, { records }: Message<ReadRecord>, from: SocketAddress): void {
    for (const record of records) {
      const isPointer = record.type === "PTR" && record.name === SERVICE;
      if (record.type === "PTR" && !isPointer) continue;
      const id = parseInstanceName(record.type === "PTR" ? record.target : record.name);
      if (id === undefined || this.#own.has(id)) continue;
      if (record.ttl === 0) this.#cache.takeLeave(id, from.host, now + FAREWELL_MS);
      else if (record.type === "TXT") this.#see(now, id, record.strings, record.ttl, from);
    }
  }

  #see(now: number, id: string, strings: readonly string[], ttl: number, from: SocketAddress): void {
    const addresses = parseAddresses(strings, from);
    if (addresses === undefined || addresses.length === 0) return;
    const ttlMs = Math.min(ttl, MAX_TTL_S) * 1000;
    const outcome = this.#cache.see(now, id, from.host, addresses, ttlMs);
    if (outcome === "full") this.counters.refused++;
    if (outcome === "new") this.#news.add(id);
  }

  /** A question, or more known answers of somebody who has asked. */
  #hear(now: number, message: Message<ReadRecord>, from: SocketAddress): void {
    const known = new Set<string>();
    for (const record of message.records) {
      const isFresh = record.type === "PTR" && record.name === SERVICE && record.ttl * 2 >= TTL_S;
      const id = isFresh ? parseInstanceName(record.target) : undefined;
      if (id !== undefined) known.add(id);
    }
    for (const { name, type } of message.questions) {
      const isForAll = name === SERVICE && (type === TYPE.PTR || type === TYPE.ANY);
      if (isForAll && !message.isTruncated) this.#saveQuestion(now, known);
      for (const own of this.#own.values()) {
        const isForOne = name === instanceName(own.id) || name === hostName(own.id);
        if (isForOne || (isForAll && !known.has(own.id))) this.#answerSoon(now, own, message, from);
      }
    }
    if (message.questions.length > 0) return;
    for (const id of known) {
      const own = this.#own.get(id);
      if (own?.asker === from.key) own.answerAt = Infinity;
    }
  }

  #answerSoon(now: number, own: Announced, { isTruncated }: Message<ReadRecord>, from: SocketAddress): void {
    const delayMs = isTruncated
      ? this.#between(MIN_TRUNCATED_DELAY_MS, MAX_TRUNCATED_DELAY_MS)
      : this.#between(MIN_DELAY_MS, MAX_DELAY_MS);
    const isFirst = own.answerAt === Infinity;
    own.asker = isFirst && isTruncated ? from.key : undefined;
    own.answerAt = Math.min(own.answerAt, Math.max(now + delayMs, own.toldAt + MIN_REPEAT_MS));
  }

  /** Somebody else asked what this side is about to ask, and all will hear the answers. */
  #saveQuestion(now: number, known: ReadonlySet<string>): void {
    if (this.#nextAsk() > now + SAVED_QUERY_MS) return;
    for (const id of known) if (this.#cache.expiresAt(id) <= now) return;
    this.#noteAsked(now);
  }

  #nextAsk(): number {
    if (this.#browsers === 0) return Infinity;
    const refreshAt = this.#cache.nextRefresh() + this.#refreshJitterMs;
    return Math.min(this.#askAt, Math.max(refreshAt, this.#askedAt + MIN_QUERY_INTERVAL_MS));
  }

  #askSoon(now: number): void {
    this.#askIntervalMs = MIN_QUERY_INTERVAL_MS;
    const soon = now + this.#between(MIN_DELAY_MS, MAX_DELAY_MS);
    this.#askAt = Math.min(this.#askAt, Math.max(soon, this.#askedAt + MIN_QUERY_INTERVAL_MS));
  }

  #ask(now: number): void {
    const writer = new MessageWriter(false, MAX_SENT_BYTES);
    writer.question({ name: SERVICE, type: TYPE.PTR });
    // Own peers too, so that this side does not answer itself.
    for (const id of this.#own.keys()) writer.record(pointerTo(id, TTL_S));
    for (const id of this.#cache.ids()) {
      const leftMs = this.#cache.expiresAt(id) - now;
      if (leftMs * 2 < TTL_S * 1000) continue;
      // What has no room is told once more: that costs less than a second message.
      if (!writer.record(pointerTo(id, Math.floor(leftMs / 1000)))) break;
    }
    const bytes = writer.finish();
    for (const place of this.#places) this.#outbox.push({ place, bytes });
    this.#noteAsked(now);
  }

  #noteAsked(now: number): void {
    this.#cache.markAsked(now);
    this.#askedAt = now;
    this.#askAt = now + this.#askIntervalMs;
    this.#askIntervalMs = Math.min(this.#askIntervalMs * 2, MAX_QUERY_INTERVAL_MS);
    // Two parts of 100, so that not all who heard the same record ask for it again at once.
    this.#refreshJitterMs = this.#random.below(TTL_S * 20);
  }

  #between(min: number, max: number): number {
    return min + this.#random.below(max - min + 1);
  }
}
