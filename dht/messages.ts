/**
 * What HyperDHT's commands carry: records of peers, announcements, values, plug-in calls. Those of a connection attempt are in
 * `handshake_messages.ts` and `punch/payload.ts`.
 *
 * Source: hyperdht 6.34.0, lib/messages.js.
 */
import type { SocketAddress } from "../encoding/address.ts";
import { ipv4Address } from "../encoding/address_codecs.ts";
import { buffer, fixed32, fixed64 } from "../encoding/buffers.ts";
import type { Codec, Cursor } from "../encoding/codec.ts";
import { array } from "../encoding/lists.ts";
import { string } from "../encoding/strings.ts";
import { uint } from "../encoding/varint.ts";

/** A list of IPv4 addresses, as most messages have one. */
export const addressList: Codec<SocketAddress[], readonly SocketAddress[]> = array(ipv4Address);

/** Who can be found, and nodes that know the way. The value of a reply to FIND_PEER. */
export interface PeerRecord {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Nodes that relay to it; in what is stored, 3 at the most. */
  readonly relayAddresses: readonly SocketAddress[];
}

/** A {@linkcode PeerRecord}: 32 bytes and a list of addresses. */
export const peerRecord: Codec<PeerRecord> = {
  size: ({ relayAddresses }: PeerRecord): number => 32 + addressList.size(relayAddresses),
  encode(cursor: Cursor, { publicKey, relayAddresses }: PeerRecord): void {
    fixed32.encode(cursor, publicKey);
    addressList.encode(cursor, relayAddresses);
  },
  decode: (cursor: Cursor): PeerRecord => ({
    publicKey: fixed32.decode(cursor),
    relayAddresses: addressList.decode(cursor),
  }),
};

const peerRecords: Codec<PeerRecord[], readonly PeerRecord[]> = array(peerRecord);

/** The value of a reply to LOOKUP. */
export interface LookupReply {
  /** Some of those who announced. */
  readonly peers: readonly PeerRecord[];
  /** Unix milliseconds that announcers may set to say that something is new; 0 if none did. */
  readonly bump: number;
}

/** A {@linkcode LookupReply}: a list of peers and a `uint` that older nodes leave out. */
export const lookupReply: Codec<LookupReply> = {
  size: ({ peers, bump }: LookupReply): number => peerRecords.size(peers) + uint.size(bump),
  encode(cursor: Cursor, { peers, bump }: LookupReply): void {
    peerRecords.encode(cursor, peers);
    uint.encode(cursor, bump);
  },
  decode: (cursor: Cursor): LookupReply => ({
    peers: peerRecords.decode(cursor),
    bump: cursor.remaining === 0 ? 0 : uint.decode(cursor),
  }),
};

/** The value of ANNOUNCE and UNANNOUNCE. */
export interface Announcement {
  /** Who is announced; without it, `refresh` renews an earlier announcement. */
  readonly peer?: PeerRecord | undefined;
  /** 32 bytes: a token whose hash will have to be shown, or the token that shows it. */
  readonly refresh?: Uint8Array | undefined;
  /** 64 bytes; what is signed is in `signables.ts`. */
  readonly signature?: Uint8Array | undefined;
  /** See {@linkcode LookupReply.bump}; not signed. 0 if there is none. */
  readonly bump: number;
}

const PEER = 1;
const REFRESH = 2;
const SIGNATURE = 4;
const BUMP = 8;

/** An {@linkcode Announcement}: `uint` flags, then what they announce. */
export const announcement: Codec<Announcement> = {
  size({ peer, refresh, signature, bump }: Announcement): number {
    return 1 + (peer === undefined ? 0 : peerRecord.size(peer)) + (refresh === undefined ? 0 : 32) +
      (signature === undefined ? 0 : 64) + (bump === 0 ? 0 : uint.size(bump));
  },
  encode(cursor: Cursor, { peer, refresh, signature, bump }: Announcement): void {
    const flags = (peer === undefined ? 0 : PEER) | (refresh === undefined ? 0 : REFRESH) |
      (signature === undefined ? 0 : SIGNATURE) | (bump === 0 ? 0 : BUMP);
    uint.encode(cursor, flags);
    if (peer !== undefined) peerRecord.encode(cursor, peer);
    if (refresh !== undefined) fixed32.encode(cursor, refresh);
    if (signature !== undefined) fixed64.encode(cursor, signature);
    if (bump !== 0) uint.encode(cursor, bump);
  },
  decode(cursor: Cursor): Announcement {
    const flags = uint.decode(cursor);
    return {
      peer: (flags & PEER) !== 0 ? peerRecord.decode(cursor) : undefined,
      refresh: (flags & REFRESH) !== 0 ? fixed32.decode(cursor) : undefined,
      signature: (flags & SIGNATURE) !== 0 ? fixed64.decode(cursor) : undefined,
      bump: (flags & BUMP) !== 0 ? uint.decode(cursor) : 0,
    };
  },
};

/** A value that its owner can replace. The value of a reply to MUTABLE_GET. */
export interface MutableValue {
  /** Counts up with each change. */
  readonly seq: number;
  /** The value itself. */
  readonly value: Uint8Array;
  /** 64 bytes; what is signed is in `signables.ts`. */
  readonly signature: Uint8Array;
}

/** A {@linkcode MutableValue}: `uint`, bytes with their length, 64 bytes. */
export const mutableValue: Codec<MutableValue> = {
  size: ({ seq, value }: MutableValue): number => uint.size(seq) + buffer.size(value) + 64,
  encode(cursor: Cursor, { seq, value, signature }: MutableValue): void {
    uint.encode(cursor, seq);
    buffer.encode(cursor, value);
    fixed64.encode(cursor, signature);
  },
  decode: (cursor: Cursor): MutableValue => ({
    seq: uint.decode(cursor),
    value: buffer.decode(cursor),
    signature: fixed64.decode(cursor),
  }),
};

/** The value of MUTABLE_PUT. */
export interface MutablePut extends MutableValue {
  /** 32 bytes; the target of the request is its hash. */
  readonly publicKey: Uint8Array;
}

/** A {@linkcode MutablePut}: 32 bytes, then as {@linkcode mutableValue}. */
export const mutablePut: Codec<MutablePut> = {
  size: (put: MutablePut): number => 32 + mutableValue.size(put),
  encode(cursor: Cursor, put: MutablePut): void {
    fixed32.encode(cursor, put.publicKey);
    mutableValue.encode(cursor, put);
  },
  decode: (cursor: Cursor): MutablePut => ({
    publicKey: fixed32.decode(cursor),
    ...mutableValue.decode(cursor),
  }),
};

/** What the owner of a mutable value signs, before it is hashed. */
export interface MutableSignable {
  /** See {@linkcode MutableValue.seq}. */
  readonly seq: number;
  /** See {@linkcode MutableValue.value}. */
  readonly value: Uint8Array;
}

/** A {@linkcode MutableSignable}: `uint`, bytes with their length. */
export const mutableSignable: Codec<MutableSignable> = {
  size: ({ seq, value }: MutableSignable): number => uint.size(seq) + buffer.size(value),
  encode(cursor: Cursor, { seq, value }: MutableSignable): void {
    uint.encode(cursor, seq);
    buffer.encode(cursor, value);
  },
  decode: (cursor: Cursor): MutableSignable => ({ seq: uint.decode(cursor), value: buffer.decode(cursor) }),
};

/** The value of PLUGIN. */
export interface PluginRequest {
  /** The name of the plug-in. */
  readonly plugin: string;
  /** Its version: nodes with another do not answer. */
  readonly version: number;
  /** What it is to do; it decides what that means. */
  readonly command: number;
  /** With what. */
  readonly value?: Uint8Array | undefined;
}

/** A {@linkcode PluginRequest}: text, three `uint` (the last are flags), bytes with their length if flag 1 is set. */
export const pluginRequest: Codec<PluginRequest> = {
  size({ plugin, version, command, value }: PluginRequest): number {
    return string.size(plugin) + uint.size(version) + uint.size(command) + 1 +
      (value === undefined ? 0 : buffer.size(value));
  },
  encode(cursor: Cursor, { plugin, version, command, value }: PluginRequest): void {
    string.encode(cursor, plugin);
    uint.encode(cursor, version);
    uint.encode(cursor, command);
    uint.encode(cursor, value === undefined ? 0 : 1);
    if (value !== undefined) buffer.encode(cursor, value);
  },
  decode(cursor: Cursor): PluginRequest {
    const plugin = string.decode(cursor);
    const version = uint.decode(cursor);
    const command = uint.decode(cursor);
    const flags = uint.decode(cursor);
    return { plugin, version, command, value: (flags & 1) !== 0 ? buffer.decode(cursor) : undefined };
  },
};
