/**
 * What a node of the DHT keeps for others: who announced which topic, the way to peers, signed and hashed values. All of it in
 * memory, bounded in entries, bytes and age, and shared fairly between networks.
 *
 * Pure decisions: requests and times in, replies out. Checking the token of a request is the business of the layer below.
 *
 * Source of the rules: hyperdht 6.34.0, lib/persistent.js and lib/router.js.
 */
import { blake2b } from "../core/crypto/hash.ts";
import type { CryptoProvider } from "../core/runtime/crypto_provider.ts";
import type { Random } from "../core/runtime/runtime.ts";
import type { SocketAddress } from "../encoding/address.ts";
import { concat, equals } from "../encoding/bytes.ts";
import { decode, encode } from "../encoding/codec.ts";
import { toHex } from "../encoding/text.ts";
import { uint } from "../encoding/varint.ts";
import {
  Command,
  MAX_BUMP_DRIFT_MS,
  MAX_LOOKUP_PEERS,
  MAX_RECORD_RELAYS,
  MAX_RECORDS,
  MAX_VALUE_BYTES,
  MAX_VALUE_STORE_BYTES,
  MAX_VALUES,
  RECORD_AGE_MS,
  ReplyError,
  SUBNET_SHARE,
  VALUE_AGE_MS,
} from "./constants.ts";
import { FairCache } from "./fair_cache.ts";
import {
  type Announcement,
  announcement,
  type MutablePut,
  mutablePut,
  type MutableValue,
  mutableValue,
  type PeerRecord,
  peerRecord,
} from "./messages.ts";
import { announceSignable, type DhtNamespaces, dhtNamespaces, mutableValueSignable } from "./signables.ts";
import { TopicRecords } from "./topic_records.ts";
import { tryDecode } from "./try_decode.ts";

/** Limits of a {@linkcode RecordStore}; those of the reference by default. */
export interface RecordStoreOptions {
  /** Peers under topics, ways to peers, refresh tokens and bumps, of each; 65,536 by default. */
  readonly maxRecords?: number;
  /** How long they are kept; 20 minutes by default. */
  readonly recordAgeMs?: number;
  /** Mutable and immutable values, of each; 32,768 by default. */
  readonly maxValues?: number;
  /** Their bytes, of each; 16 MiB by default. */
  readonly maxValueStoreBytes?: number;
  /** How long they are kept; 48 hours by default. */
  readonly valueAgeMs?: number;
  /** The longest single value; 1024 bytes by default. */
  readonly maxValueBytes?: number;
}

/** A request of somebody. */
export interface StorageRequest {
  /** One of `Command`. */
  readonly command: number;
  /** 32 bytes; requests without one are not answered. */
  readonly target?: Uint8Array | undefined;
  /** 32 bytes, checked by the layer below. */
  readonly token?: Uint8Array | undefined;
  /** Where it came from. */
  readonly from: SocketAddress;
  /** Borrowed until return. */
  readonly value?: Uint8Array | undefined;
}

/** The answer to a {@linkcode StorageRequest}. */
export interface StorageReply {
  /** The value; undefined for none. */
  readonly value?: Uint8Array | undefined;
  /** 0, or one of `ReplyError`. */
  readonly error: number;
  /** Whether the reply carries a token for a later request. */
  readonly withToken: boolean;
  /** Whether the reply carries nodes that are closer to the target. */
  readonly withCloserNodes: boolean;
}

/** The moment of a request. */
export interface StorageMoment {
  /** Monotonic milliseconds. */
  readonly now: number;
  /** Unix milliseconds. */
  readonly wallTime: number;
  /** The id of this node, 32 bytes, which announcements are bound to. */
  readonly nodeId: Uint8Array;
}

/** The way to a peer. */
export interface Forward {
  /** Where the peer announced itself from; undefined if it is on this node. */
  readonly relay: SocketAddress | undefined;
  /** Its encoded {@linkcode PeerRecord}. */
  readonly record: Uint8Array;
}

/** An announcement that can be renewed without a signature. */
interface Renewable {
  readonly target: Uint8Array;
  readonly publicKey: string;
  readonly record: Uint8Array;
  readonly isSelf: boolean;
}

const DONE: StorageReply = { error: 0, withToken: false, withCloserNodes: false };

function found(value: Uint8Array | undefined): StorageReply {
  return { value, error: 0, withToken: true, withCloserNodes: true };
}

function refused(error: number): StorageReply {
  return { error, withToken: false, withCloserNodes: true };
}

/**
 * See the head of the file.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { loadCryptoProvider } from "../core/crypto/provider.ts";
 * import { SeededRandom } from "../core/runtime/virtual.ts";
 * import { SocketAddress } from "../encoding/address.ts";
 * import { Command } from "./constants.ts";
 * import { RecordStore } from "./records.ts";
 * import { targetOf } from "./signables.ts";
 *
 * const crypto = await loadCryptoProvider();
 * const store = new RecordStore({ crypto, random: new SeededRandom(1) });
 * const moment = { now: 0, wallTime: 1_700_000_000_000, nodeId: new Uint8Array(32) };
 * const value = new TextEncoder().encode("hello");
 * const from = SocketAddress.parse("11.0.0.1:4000");
 * const common = { from, target: targetOf(crypto, value), token: new Uint8Array(32) };
 * store.handle(moment, { ...common, command: Command.ImmutablePut, value });
 * const reply = store.handle(moment, { ...common, command: Command.ImmutableGet });
 * assert.deepEqual(reply?.value, value);
 * ```
 */
export class RecordStore {
  readonly #crypto: CryptoProvider;
  readonly #namespaces: DhtNamespaces;
  readonly #maxValueBytes: number;
  readonly #topics: TopicRecords;
  readonly #forwards: FairCache<Forward>;
  readonly #refreshes: FairCache<Renewable>;
  readonly #bumps: FairCache<number>;
  readonly #mutables: FairCache<Uint8Array>;
  readonly #immutables: FairCache<Uint8Array>;
  /** Peers on this node, by target: only as many as this program listens with. */
  readonly #pinned = new Map<string, Forward>();

  /** An empty store. */
  constructor(
    runtime: { readonly crypto: CryptoProvider; readonly random: Random },
    options: RecordStoreOptions = {},
  ) {
    this.#crypto = runtime.crypto;
    this.#namespaces = dhtNamespaces(runtime.crypto);
    this.#maxValueBytes = options.maxValueBytes ?? MAX_VALUE_BYTES;
    // These are of a few dozen bytes each, so that their number bounds their bytes.
    const records = {
      maxEntries: options.maxRecords ?? MAX_RECORDS,
      maxBytes: Infinity,
      ageMs: options.recordAgeMs ?? RECORD_AGE_MS,
      subnetShare: SUBNET_SHARE,
    };
    const values = {
      maxEntries: options.maxValues ?? MAX_VALUES,
      maxBytes: options.maxValueStoreBytes ?? MAX_VALUE_STORE_BYTES,
      ageMs: options.valueAgeMs ?? VALUE_AGE_MS,
      subnetShare: SUBNET_SHARE,
    };
    this.#topics = new TopicRecords(records, runtime.random.fork("records"));
    this.#forwards = new FairCache(records);
    this.#refreshes = new FairCache(records);
    this.#bumps = new FairCache(records);
    this.#mutables = new FairCache(values);
    this.#immutables = new FairCache(values);
  }

  /** How many entries there are of each kind: for diagnostics, and for tests of the limits. */
  get counts(): Readonly<
    Record<"records" | "forwards" | "refreshes" | "bumps" | "mutables" | "immutables", number>
  > {
    return {
      records: this.#topics.size,
      forwards: this.#forwards.size,
      refreshes: this.#refreshes.size,
      bumps: this.#bumps.size,
      mutables: this.#mutables.size,
      immutables: this.#immutables.size,
    };
  }

  /** Bytes of all values. */
  get valueBytes(): number {
    return this.#mutables.bytes + this.#immutables.bytes;
  }

  /** Answers a request; undefined = silence, as for everything that is malformed, forged or not for this store. */
  handle(moment: StorageMoment, request: StorageRequest): StorageReply | undefined {
    const { target } = request;
    if (target?.length !== 32) return undefined;
    switch (request.command) {
      case Command.FindPeer:
        return found(this.forward(moment.now, target)?.record);
      case Command.Lookup:
        return found(this.#lookup(moment.now, target));
      case Command.Announce:
        return this.#announce(moment, target, request);
      case Command.Unannounce:
        return this.#unannounce(moment, target, request);
      case Command.MutableGet:
        return this.#getMutable(moment.now, target, request);
      case Command.MutablePut:
        return this.#putMutable(moment.now, target, request);
      case Command.ImmutableGet:
        return found(this.#immutables.get(moment.now, toHex(target)));
      case Command.ImmutablePut:
        return this.#putImmutable(moment.now, target, request);
      default:
        return undefined;
    }
  }

  /** The way to the peer whose key hashes to `target`. */
  forward(now: number, target: Uint8Array): Forward | undefined {
    return this.#forward(now, toHex(target));
  }

  /** Makes a peer of this node known; nobody's announcement replaces it. */
  pin(target: Uint8Array, peer: PeerRecord): void {
    this.#pinned.set(toHex(target), { relay: undefined, record: encode(peerRecord, peer) });
  }

  /** The reverse of {@linkcode pin}. */
  unpin(target: Uint8Array): void {
    this.#pinned.delete(toHex(target));
  }

  #forward(now: number, key: string): Forward | undefined {
    return this.#pinned.get(key) ?? this.#forwards.get(now, key);
  }

  #lookup(now: number, target: Uint8Array): Uint8Array | undefined {
    const key = toHex(target);
    const records = this.#topics.pick(now, key, MAX_LOOKUP_PEERS);
    const forward = this.#forward(now, key);
    if (forward !== undefined && records.length < MAX_LOOKUP_PEERS) records.push(forward.record);
    if (records.length === 0) return undefined;
    // The bytes of a `lookupReply`, without taking the records apart.
    const bump = encode(uint, this.#bumps.get(now, key) ?? 0);
    return concat([encode(uint, records.length), ...records, bump]);
  }

  #announce(moment: StorageMoment, target: Uint8Array, request: StorageRequest): StorageReply | undefined {
    if (request.token === undefined) return undefined;
    const message = tryDecode(announcement, request.value);
    if (message === undefined) return undefined;
    const { peer, refresh, bump } = message;
    if (peer === undefined) {
      return refresh === undefined ? undefined : this.#refresh(moment.now, refresh, request.from);
    }
    if (!this.#isSigned(this.#namespaces.announce, moment.nodeId, target, request.token, message)) {
      return undefined;
    }
    const relayAddresses = peer.relayAddresses.slice(0, MAX_RECORD_RELAYS);
    const renewable: Renewable = {
      target: target.slice(),
      publicKey: toHex(peer.publicKey),
      record: encode(peerRecord, { publicKey: peer.publicKey, relayAddresses }),
      isSelf: equals(blake2b(this.#crypto, [peer.publicKey]), target),
    };
    this.#keep(moment.now, renewable, request.from);
    if (!renewable.isSelf) this.#bump(moment, toHex(target), bump, request.from);
    if (refresh !== undefined) this.#refreshes.set(moment.now, toHex(refresh), renewable, request.from, 0);
    return DONE;
  }

  #unannounce(moment: StorageMoment, target: Uint8Array, request: StorageRequest): StorageReply | undefined {
    const message = tryDecode(announcement, request.value);
    if (request.token === undefined || message?.peer === undefined) return undefined;
    if (!this.#isSigned(this.#namespaces.unannounce, moment.nodeId, target, request.token, message)) {
      return undefined;
    }
    const { publicKey } = message.peer;
    const key = toHex(target);
    if (equals(blake2b(this.#crypto, [publicKey]), target)) this.#forwards.delete(key);
    this.#topics.delete(key, toHex(publicKey));
    return DONE;
  }

  #isSigned(
    space: Uint8Array,
    nodeId: Uint8Array,
    target: Uint8Array,
    token: Uint8Array,
    { peer, refresh, signature }: Announcement,
  ): boolean {
    if (peer === undefined || signature === undefined) return false;
    const signed = announceSignable(this.#crypto, space, { target, nodeId, token }, peer, refresh);
    return this.#crypto.verify(signed, signature, peer.publicKey);
  }

  #keep(now: number, { target, publicKey, record, isSelf }: Renewable, from: SocketAddress): void {
    const key = toHex(target);
    if (!isSelf) return this.#topics.set(now, key, publicKey, record, from);
    this.#forwards.set(now, key, { relay: from, record }, from, 0);
    this.#topics.delete(key, publicKey);
  }

  /** Renews what was announced with the hash of `token`, which from now on is renewed by what hashes to `token`. */
  #refresh(now: number, token: Uint8Array, from: SocketAddress): StorageReply | undefined {
    const current = toHex(blake2b(this.#crypto, [token]));
    const renewable = this.#refreshes.peek(now, current);
    if (renewable === undefined) return undefined;
    this.#keep(now, renewable, from);
    this.#refreshes.delete(current);
    this.#refreshes.set(now, toHex(token), renewable, from, 0);
    return DONE;
  }

  #bump({ now, wallTime }: StorageMoment, key: string, bump: number, from: SocketAddress): void {
    if (bump > (this.#bumps.get(now, key) ?? 0) && bump <= wallTime + MAX_BUMP_DRIFT_MS) {
      this.#bumps.set(now, key, bump, from, 0);
    }
  }

  #getMutable(now: number, target: Uint8Array, request: StorageRequest): StorageReply | undefined {
    const seq = tryDecode(uint, request.value);
    if (seq === undefined) return undefined;
    const value = this.#mutables.get(now, toHex(target));
    return found(value === undefined || decode(uint, value) < seq ? undefined : value);
  }

  #putMutable(now: number, target: Uint8Array, request: StorageRequest): StorageReply | undefined {
    const put = tryDecode(mutablePut, request.value);
    if (put === undefined || request.token === undefined || put.value.length === 0) return undefined;
    if (put.value.length > this.#maxValueBytes) return refused(ReplyError.ValueTooLarge);
    if (!equals(blake2b(this.#crypto, [put.publicKey]), target)) return undefined;
    const key = toHex(target);
    const old = tryDecode(mutableValue, this.#mutables.peek(now, key));
    if (old !== undefined) {
      if (put.seq < old.seq) return refused(ReplyError.SeqTooLow);
      if (put.seq === old.seq && !equals(put.value, old.value)) return refused(ReplyError.SeqReused);
    }
    if (!isMutableValid(this.#crypto, this.#namespaces, put)) return undefined;
    const value = encode(mutableValue, put);
    this.#mutables.set(now, key, value, request.from, value.length);
    return found(undefined);
  }

  #putImmutable(now: number, target: Uint8Array, request: StorageRequest): StorageReply | undefined {
    const { value, token, from } = request;
    if (value === undefined || value.length === 0 || token === undefined) return undefined;
    if (value.length > this.#maxValueBytes) return refused(ReplyError.ValueTooLarge);
    if (!equals(blake2b(this.#crypto, [value]), target)) return undefined;
    this.#immutables.set(now, toHex(target), value.slice(), from, value.length);
    return found(undefined);
  }
}

/** Whether a mutable value is its owner's. */
export function isMutableValid(
  crypto: CryptoProvider,
  namespaces: DhtNamespaces,
  { publicKey, seq, value, signature }: MutablePut,
): boolean {
  return crypto.verify(mutableValueSignable(crypto, namespaces, seq, value), signature, publicKey);
}

/** Signs a value with the secret key of its owner. */
export function signMutable(
  crypto: CryptoProvider,
  namespaces: DhtNamespaces,
  keyPair: { readonly publicKey: Uint8Array; readonly secretKey: Uint8Array },
  { seq, value }: Pick<MutableValue, "seq" | "value">,
): MutablePut {
  const signable = mutableValueSignable(crypto, namespaces, seq, value);
  return { publicKey: keyPair.publicKey, seq, value, signature: crypto.sign(signable, keyPair.secretKey) };
}
