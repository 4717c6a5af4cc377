/**
 * Finds and stores in the DHT: the way to peers, who announced which topic, signed and hashed values.
 *
 * Source: hyperdht 6.34.0, index.js. Nodes are not trusted: what they return counts only if it is what was asked for.
 */
import { ConnectError } from "../core/runtime/errors.ts";
import type { CryptoProvider } from "../core/runtime/crypto_provider.ts";
import type { SocketAddress } from "../encoding/address.ts";
import { equals } from "../encoding/bytes.ts";
import { encode } from "../encoding/codec.ts";
import { uint } from "../encoding/varint.ts";
import { Command, MAX_LOOKUP_PEERS } from "./constants.ts";
import {
  announcement,
  lookupReply,
  type MutablePut,
  mutablePut,
  mutableValue,
  type PeerRecord,
  peerRecord,
} from "./messages.ts";
import { isMutableValid } from "./records.ts";
import type { Reply } from "./rpc/outgoing_request.ts";
import type { Query, QueryOptions } from "./rpc/query.ts";
import type { Rpc } from "./rpc/rpc.ts";
import type { RequestOptions } from "./rpc/rpc_types.ts";
import { type DhtNamespaces, targetOf } from "./signables.ts";
import { DhtSigner, type Identity } from "./signers.ts";
import { store } from "./token_request.ts";
import { tryDecode } from "./try_decode.ts";

/** How to look for something. */
export type FindOptions = Omit<QueryOptions, "map" | "commit">;

/** Which node said something, and how it sees this one. */
export interface FoundBy {
  /** The node that answered. */
  readonly from: SocketAddress;
  /** This node, as the other sees it. */
  readonly to: SocketAddress;
  /** A token of that node, good for a few seconds. */
  readonly token: Uint8Array | undefined;
}

/** A node that knows the way to a peer: ask it to relay. */
export interface FoundPeer extends FoundBy {
  /** What the peer announced there. */
  readonly peer: PeerRecord;
}

/** A node that knows of announcements of a topic. */
export interface FoundPeers extends FoundBy {
  /** Some of those who announced it. */
  readonly peers: readonly PeerRecord[];
  /** See `LookupReply`. */
  readonly bump: number;
}

/** How to announce. */
export interface AnnounceOptions extends FindOptions {
  /** Unix milliseconds that tell others when something was new; 0, none, by default. */
  readonly bump?: number;
  /** Whether earlier announcements of the same key are removed wherever they are found; false by default. */
  readonly clear?: boolean;
}

/** How to read a mutable value. */
export interface MutableGetOptions extends FindOptions {
  /** The lowest sequence number that is of interest; 0 by default. */
  readonly seq?: number;
  /** Whether all nodes are asked, so as to find the newest value; true by default. */
  readonly latest?: boolean;
  /** Is asked at the end whether the value that was found is to be put again, so that it does not expire; anybody can do that. */
  readonly refresh?: (value: FoundMutable) => boolean;
}

/** A mutable value, with a valid signature. */
export interface FoundMutable extends MutablePut {
  /** A node that has it. */
  readonly from: SocketAddress;
}

/** How to put a mutable value. */
export interface MutablePutOptions extends FindOptions {
  /** The number of the change: higher than that of the value before; 0 by default. */
  readonly seq?: number;
}

/** A mutable value that was put. */
export interface StoredMutable extends MutablePut {
  /** Nodes nearest to the key: good for `nodes` of a later put or get. */
  readonly closestNodes: readonly SocketAddress[];
}

/** An immutable value, with the right hash. */
export interface FoundImmutable {
  /** The value. */
  readonly value: Uint8Array;
  /** A node that has it. */
  readonly from: SocketAddress;
}

/** An immutable value that was put. */
export interface StoredImmutable {
  /** What to get it with, 32 bytes. */
  readonly hash: Uint8Array;
  /** Nodes nearest to the hash: good for `nodes` of a later put or get. */
  readonly closestNodes: readonly SocketAddress[];
}

/** What a {@linkcode RecordClient} is made of. */
export interface RecordClientOptions {
  /** Cryptography. */
  readonly crypto: CryptoProvider;
  /** The namespaces of signatures. */
  readonly namespaces: DhtNamespaces;
  /** Requests and queries. */
  readonly rpc: Rpc;
  /** The longest value that may be put. */
  readonly maxValueBytes: number;
}

/** See the head of the file. */
export class RecordClient {
  readonly #crypto: CryptoProvider;
  readonly #namespaces: DhtNamespaces;
  readonly #rpc: Rpc;
  readonly #maxValueBytes: number;

  /** A client of `rpc`. */
  constructor({ crypto, namespaces, rpc, maxValueBytes }: RecordClientOptions) {
    this.#crypto = crypto;
    this.#namespaces = namespaces;
    this.#rpc = rpc;
    this.#maxValueBytes = maxValueBytes;
  }

  /** Signs in the name of `identity`. @throws {RangeError} if a key has the wrong size. */
  signer(identity: Identity): DhtSigner {
    return new DhtSigner(this.#crypto, this.#namespaces, identity);
  }

  /** Looks for nodes that know the way to the peer with `publicKey`. */
  findPeer(publicKey: Uint8Array, options: FindOptions = {}): Query<FoundPeer> {
    return this.findPeerAt(targetOf(this.#crypto, publicKey), options);
  }

  /** The same for the peer whose key hashes to `target`, for who does not know the key. */
  findPeerAt(target: Uint8Array, options: FindOptions = {}): Query<FoundPeer> {
    const map = (reply: Reply): FoundPeer | undefined => {
      const peer = tryDecode(peerRecord, reply.value);
      const isRight = peer !== undefined && equals(targetOf(this.#crypto, peer.publicKey), target);
      return isRight ? { ...foundBy(reply), peer } : undefined;
    };
    return this.#rpc.query({ target, command: Command.FindPeer }, { ...options, map });
  }

  /** Looks for those who announced `topic`. Nobody has checked that they did: connecting shows who they are. */
  lookup(topic: Uint8Array, options: FindOptions = {}): Query<FoundPeers> {
    return this.#rpc.query({ target: topic, command: Command.Lookup }, { ...options, map: foundPeers });
  }

  /**
   * Announces `identity` under `topic` at the nodes nearest to it, which forget it after 20 minutes; also looks the topic up.
   *
   * @param relayAddresses up to three nodes that relay to the peer; they spare others a search.
   */
  announce(
    topic: Uint8Array,
    identity: Identity,
    relayAddresses: readonly SocketAddress[] = [],
    options: AnnounceOptions = {},
  ): Query<FoundPeers> {
    const { bump = 0, clear = false, ...find } = options;
    const signer = this.signer(identity);
    const peer = { publicKey: signer.publicKey, relayAddresses };
    const commit = (reply: Reply, query: Query<FoundPeers>): Promise<unknown> =>
      this.announceAt(reply, topic, signer, peer, bump, query.requestOptions);
    if (clear) return this.#clearingLookup(topic, signer, find, commit);
    return this.#rpc.query({ target: topic, command: Command.Lookup }, { ...find, map: foundPeers, commit });
  }

  /** Looks `topic` up, and takes back the announcements of `identity` that it finds. */
  lookupAndUnannounce(topic: Uint8Array, identity: Identity, options: FindOptions = {}): Query<FoundPeers> {
    return this.#clearingLookup(topic, this.signer(identity), options, () => Promise.resolve());
  }

  /** Takes back the announcements of `identity` under `topic`. */
  unannounce(topic: Uint8Array, identity: Identity, options: FindOptions = {}): Promise<void> {
    return this.lookupAndUnannounce(topic, identity, options).finished();
  }

  /** Sends one ANNOUNCE to the node that sent `reply`. @throws {ConnectError} if that node does not take it. */
  async announceAt(
    reply: Pick<Reply, "from" | "id" | "token">,
    target: Uint8Array,
    signer: DhtSigner,
    peer: PeerRecord,
    bump: number,
    options: RequestOptions,
  ): Promise<void> {
    await this.#sendAnnouncement("announce", reply, target, signer, peer, bump, options);
  }

  /** Sends one UNANNOUNCE to the node that sent `reply`. As {@linkcode announceAt}. */
  async unannounceAt(
    reply: Pick<Reply, "from" | "id" | "token">,
    target: Uint8Array,
    signer: DhtSigner,
    options: RequestOptions,
  ): Promise<void> {
    const peer = { publicKey: signer.publicKey, relayAddresses: [] };
    await this.#sendAnnouncement("unannounce", reply, target, signer, peer, 0, options);
  }

  /** Returns the value whose hash is `hash`; undefined if no node has it. @throws {ConnectError} `TOO_FEW_NODES`. */
  async immutableGet(hash: Uint8Array, options: FindOptions = {}): Promise<FoundImmutable | undefined> {
    const map = ({ from, value }: Reply): FoundImmutable | undefined =>
      value !== undefined && equals(targetOf(this.#crypto, value), hash) ? { from, value } : undefined;
    const query = this.#rpc.query({ target: hash, command: Command.ImmutableGet }, { ...options, map });
    for await (const found of query) return found;
    requireAnswers(query);
    return undefined;
  }

  /**
   * Stores `value` under its hash at the nodes nearest to it, which forget it after 48 hours unless it is read or put again.
   *
   * @throws {RangeError} if it is empty or longer than 1024 bytes.
   * @throws {ConnectError} `TOO_FEW_NODES`, or why none took it.
   */
  async immutablePut(value: Uint8Array, options: FindOptions = {}): Promise<StoredImmutable> {
    this.#checkValue(value);
    const target = targetOf(this.#crypto, value);
    const query = this.#putQuery(
      target,
      Command.ImmutableGet,
      undefined,
      Command.ImmutablePut,
      value,
      options,
    );
    await query.finished();
    return { hash: target, closestNodes: query.closestNodes };
  }

  /** Returns the value of `publicKey`, with a valid signature; undefined if no node has one. As {@linkcode immutableGet}. */
  async mutableGet(
    publicKey: Uint8Array,
    options: MutableGetOptions = {},
  ): Promise<FoundMutable | undefined> {
    const { seq = 0, latest = true, refresh, ...find } = options;
    const target = targetOf(this.#crypto, publicKey);
    let best: FoundMutable | undefined;
    const map = ({ from, value }: Reply): FoundMutable | undefined => {
      const found = tryDecode(mutableValue, value);
      if (found === undefined || found.seq < seq || (best !== undefined && found.seq <= best.seq)) {
        return undefined;
      }
      const complete = { publicKey, from, ...found };
      if (!isMutableValid(this.#crypto, this.#namespaces, complete)) return undefined;
      return best = complete;
    };
    let put: Uint8Array | undefined;
    let isAsked = false;
    const commit = async (reply: Reply, query: Query<FoundMutable>): Promise<void> => {
      if (!isAsked && best !== undefined && refresh!(best)) put = encode(mutablePut, best);
      isAsked = true;
      if (put !== undefined) await this.#put(reply, target, Command.MutablePut, put, query.requestOptions);
    };
    const query = this.#rpc.query(
      { target, command: Command.MutableGet, value: encode(uint, seq) },
      { ...find, map, ...(refresh === undefined ? {} : { commit }) },
    );
    for await (const found of query) if (!latest) return found;
    requireAnswers(query);
    return best;
  }

  /**
   * Replaces the mutable value of `identity` at the nodes nearest to its key, which forget it after 48 hours unless it is read or
   * put again.
   *
   * @throws {RangeError} if it is empty or longer than 1024 bytes, or the sequence number is none.
   * @throws {ConnectError} `TOO_FEW_NODES`, or why none took it: `REQUEST_REFUSED` if they have a newer one.
   */
  async mutablePut(
    identity: Identity,
    value: Uint8Array,
    options: MutablePutOptions = {},
  ): Promise<StoredMutable> {
    const { seq = 0, ...find } = options;
    this.#checkValue(value);
    if (!Number.isSafeInteger(seq) || seq < 0) {
      throw new RangeError(`A sequence number is an integer, 0 or more, not ${seq}`);
    }
    const signer = this.signer(identity);
    const { publicKey } = signer;
    const put = { publicKey, seq, value, signature: await signer.mutableValue(seq, value) };
    const target = targetOf(this.#crypto, publicKey);
    const zero = encode(uint, 0);
    const bytes = encode(mutablePut, put);
    const query = this.#putQuery(target, Command.MutableGet, zero, Command.MutablePut, bytes, find);
    await query.finished();
    return { ...put, closestNodes: query.closestNodes };
  }

  #putQuery(
    target: Uint8Array,
    getCommand: number,
    getValue: Uint8Array | undefined,
    putCommand: number,
    value: Uint8Array,
    options: FindOptions,
  ): Query {
    const commit = (reply: Reply, query: Query): Promise<unknown> =>
      this.#put(reply, target, putCommand, value, query.requestOptions);
    return this.#rpc.query({ target, command: getCommand, value: getValue }, { ...options, commit });
  }

  #put(
    reply: Reply,
    target: Uint8Array,
    command: number,
    value: Uint8Array,
    options: RequestOptions,
  ): Promise<Reply> {
    return store(this.#rpc, { command, target, to: reply.from, token: reply.token }, () => value, options);
  }

  #clearingLookup(
    target: Uint8Array,
    signer: DhtSigner,
    options: FindOptions,
    commit: (reply: Reply, query: Query<FoundPeers>) => Promise<unknown>,
  ): Query<FoundPeers> {
    const unannounced: Promise<void>[] = [];
    const { signal, force } = options;
    const requestOptions: RequestOptions = {
      ...(signal === undefined ? {} : { signal }),
      ...(force === undefined ? {} : { force }),
    };
    const map = (reply: Reply): FoundPeers | undefined => {
      const found = foundPeers(reply);
      if (found === undefined || reply.token === undefined || reply.id === undefined) return found;
      // A full answer is a sample: ours may be among those that it does not show.
      const isOurs = found.peers.length >= MAX_LOOKUP_PEERS ||
        found.peers.some(({ publicKey }) => equals(publicKey, signer.publicKey));
      // Who does not answer forgets us soon enough.
      if (isOurs) unannounced.push(this.unannounceAt(reply, target, signer, requestOptions).catch(() => {}));
      return found;
    };
    return this.#rpc.query({ target, command: Command.Lookup }, {
      ...options,
      map,
      commit: async (reply, query) => {
        await Promise.all(unannounced);
        await commit(reply, query);
      },
    });
  }

  async #sendAnnouncement(
    type: "announce" | "unannounce",
    { from, id, token }: Pick<Reply, "from" | "id" | "token">,
    target: Uint8Array,
    signer: DhtSigner,
    peer: PeerRecord,
    bump: number,
    options: RequestOptions,
  ): Promise<void> {
    if (id === undefined) {
      throw new ConnectError("REQUEST_REFUSED", `${from} is ephemeral: it stores nothing`);
    }
    const command = type === "announce" ? Command.Announce : Command.Unannounce;
    await store(this.#rpc, { command, target, to: from, token }, async (current) => {
      const signature = await signer.announcement({ type, target, nodeId: id, token: current, peer });
      return encode(announcement, { peer, signature, bump });
    }, options);
  }

  #checkValue(value: Uint8Array): void {
    if (value.length >= 1 && value.length <= this.#maxValueBytes) return;
    throw new RangeError(
      `A value must be 1 to ${this.#maxValueBytes} bytes, not ${value.length}: split it, or store the hash of something else`,
    );
  }
}

function foundBy({ from, to, token }: Reply): FoundBy {
  return { from, to, token };
}

function foundPeers(reply: Reply): FoundPeers | undefined {
  const found = tryDecode(lookupReply, reply.value);
  return found === undefined ? undefined : { ...foundBy(reply), ...found };
}

/** To find nothing because nobody answered is something else than that nobody has it. */
function requireAnswers(query: { readonly successes: number }): void {
  if (query.successes > 0) return;
  throw new ConnectError(
    "TOO_FEW_NODES",
    "No node has answered: check the connection and the bootstrap nodes",
  );
}
