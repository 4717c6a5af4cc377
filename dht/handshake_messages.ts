/**
 * What a connection attempt carries through relays: a Noise message with its payload, and the envelope of sealed punch payloads.
 *
 * Source: hyperdht 6.34.0, lib/messages.js.
 */
import type { SocketAddress } from "../encoding/address.ts";
import { ipv4Address, ipv6Address } from "../encoding/address_codecs.ts";
import { buffer, fixed32 } from "../encoding/buffers.ts";
import type { Codec, Cursor } from "../encoding/codec.ts";
import { array } from "../encoding/lists.ts";
import { uint } from "../encoding/varint.ts";
import { HANDSHAKE_VERSION } from "./constants.ts";
import { addressList } from "./messages.ts";

/** The value of PEER_HANDSHAKE and of its reply. */
export interface PeerHandshake {
  /** One of `RelayMode`. */
  readonly mode: number;
  /** A Noise message; empty counts as missing. */
  readonly noise: Uint8Array;
  /** The other end as a relay sees it. */
  readonly peerAddress?: SocketAddress | undefined;
  /** The relay that the answer has to go to, or that is to be used. */
  readonly relayAddress?: SocketAddress | undefined;
}

/** A {@linkcode PeerHandshake}: `uint` flags and mode, bytes with their length, addresses as the flags 1 and 2 say. */
export const peerHandshake: Codec<PeerHandshake> = {
  size({ mode, noise, peerAddress, relayAddress }: PeerHandshake): number {
    return 1 + uint.size(mode) + buffer.size(noise) + (peerAddress === undefined ? 0 : 6) +
      (relayAddress === undefined ? 0 : 6);
  },
  encode(cursor: Cursor, { mode, noise, peerAddress, relayAddress }: PeerHandshake): void {
    uint.encode(cursor, (peerAddress === undefined ? 0 : 1) | (relayAddress === undefined ? 0 : 2));
    uint.encode(cursor, mode);
    buffer.encode(cursor, noise);
    if (peerAddress !== undefined) ipv4Address.encode(cursor, peerAddress);
    if (relayAddress !== undefined) ipv4Address.encode(cursor, relayAddress);
  },
  decode(cursor: Cursor): PeerHandshake {
    const flags = uint.decode(cursor);
    return {
      mode: uint.decode(cursor),
      noise: buffer.decode(cursor),
      peerAddress: (flags & 1) !== 0 ? ipv4Address.decode(cursor) : undefined,
      relayAddress: (flags & 2) !== 0 ? ipv4Address.decode(cursor) : undefined,
    };
  },
};

/** The value of PEER_HOLEPUNCH and of its reply. */
export interface PeerHolepunch {
  /** One of `RelayMode`. */
  readonly mode: number;
  /** The number that the answering side gave to the attempt; 0 on the way back. */
  readonly id: number;
  /** A sealed payload: see `punch/payload.ts`. */
  readonly payload: Uint8Array;
  /** The other end: whom to send it to, or whom it came from. */
  readonly peerAddress?: SocketAddress | undefined;
}

/** A {@linkcode PeerHolepunch}: `uint` flags, mode and id, bytes with their length, an address if flag 1 is set. */
export const peerHolepunch: Codec<PeerHolepunch> = {
  size({ mode, id, payload, peerAddress }: PeerHolepunch): number {
    return 1 + uint.size(mode) + uint.size(id) + buffer.size(payload) + (peerAddress === undefined ? 0 : 6);
  },
  encode(cursor: Cursor, { mode, id, payload, peerAddress }: PeerHolepunch): void {
    uint.encode(cursor, peerAddress === undefined ? 0 : 1);
    uint.encode(cursor, mode);
    uint.encode(cursor, id);
    buffer.encode(cursor, payload);
    if (peerAddress !== undefined) ipv4Address.encode(cursor, peerAddress);
  },
  decode(cursor: Cursor): PeerHolepunch {
    const flags = uint.decode(cursor);
    return {
      mode: uint.decode(cursor),
      id: uint.decode(cursor),
      payload: buffer.decode(cursor),
      peerAddress: (flags & 1) !== 0 ? ipv4Address.decode(cursor) : undefined,
    };
  },
};

/** A node that relays to a peer, and the peer as that node sees it. */
export interface RelayInfo {
  /** The node. */
  readonly relayAddress: SocketAddress;
  /** The peer. */
  readonly peerAddress: SocketAddress;
}

const relayInfo: Codec<RelayInfo> = {
  size: () => 12,
  encode(cursor: Cursor, { relayAddress, peerAddress }: RelayInfo): void {
    ipv4Address.encode(cursor, relayAddress);
    ipv4Address.encode(cursor, peerAddress);
  },
  decode: (cursor: Cursor): RelayInfo => ({
    relayAddress: ipv4Address.decode(cursor),
    peerAddress: ipv4Address.decode(cursor),
  }),
};

const relayInfos: Codec<RelayInfo[], readonly RelayInfo[]> = array(relayInfo);
const address6List: Codec<SocketAddress[], readonly SocketAddress[]> = array(ipv6Address);

/** How the answering side can be punched to. */
export interface HolepunchInfo {
  /** The number that it gave to the attempt. */
  readonly id: number;
  /** Nodes that relay punch messages to it. */
  readonly relays: readonly RelayInfo[];
}

/** One end of the UDX stream to be. */
export interface UdxInfo {
  /** Whether the sender keeps the socket for later connections. */
  readonly reusableSocket: boolean;
  /** The stream id that the sender chose. */
  readonly id: number;
  /** Its first sequence number. */
  readonly seq: number;
  /**
   * Whether the stream can go on over another path: `able` in the handshake that makes it, `moves` in one that looks for another
   * path for a stream that exists. Our own; the reference does not look at it.
   */
  readonly mobility?: "able" | "moves";
}

/** A blind relay that the sender wants to meet at. */
export interface RelayThrough {
  /** The relay's key, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** 32 bytes that both show to the relay. */
  readonly token: Uint8Array;
}

/** The payload of both Noise messages. */
export interface NoisePayload {
  /** One of `PayloadError`. */
  readonly error: number;
  /** One of `Firewall`. */
  readonly firewall: number;
  /** From the answering side only, unless it needs no punching. */
  readonly holepunch?: HolepunchInfo | undefined;
  /** IPv4 addresses of the sender, public and local. */
  readonly addresses4: readonly SocketAddress[];
  /** IPv6 addresses of the sender; the reference never sends any. */
  readonly addresses6: readonly SocketAddress[];
  /** The sender's end of the stream; without it there will be none. */
  readonly udx?: UdxInfo | undefined;
  /** Whether the sender speaks secret streams; the reference always says so. */
  readonly secretStream: boolean;
  /** See {@linkcode RelayThrough}. */
  readonly relayThrough?: RelayThrough | undefined;
  /** Nodes that relay to the sender, for a later connection. */
  readonly relayAddresses?: readonly SocketAddress[] | undefined;
}

/** A {@linkcode NoisePayload} as it was read. */
export interface ReceivedNoisePayload extends NoisePayload {
  /** The version; if it is not 1, nothing else was read. */
  readonly version: number;
}

const HOLEPUNCH = 1;
const ADDRESSES4 = 2;
const ADDRESSES6 = 4;
const UDX = 8;
const SECRET_STREAM = 16;
const RELAY_THROUGH = 32;
const RELAY_ADDRESSES = 64;
/** Version of the UDX and the relay part, and of the secret stream. */
const PART_VERSION = 1;

/** Features of a UDX part. The second are ours, far from where the reference will add some. */
const REUSABLE = 1;
const MOBILITY = { able: 64, moves: 128 } as const;

const udxInfo: Codec<UdxInfo> = {
  size: ({ id, seq }: UdxInfo): number => 2 + uint.size(id) + uint.size(seq),
  encode(cursor: Cursor, { reusableSocket, id, seq, mobility }: UdxInfo): void {
    uint.encode(cursor, PART_VERSION);
    uint.encode(cursor, (reusableSocket ? REUSABLE : 0) | (mobility === undefined ? 0 : MOBILITY[mobility]));
    uint.encode(cursor, id);
    uint.encode(cursor, seq);
  },
  decode(cursor: Cursor): UdxInfo {
    uint.decode(cursor); // the version, which the reference does not look at
    const features = uint.decode(cursor);
    const info = {
      reusableSocket: (features & REUSABLE) !== 0,
      id: uint.decode(cursor),
      seq: uint.decode(cursor),
    };
    if ((features & MOBILITY.moves) !== 0) return { ...info, mobility: "moves" };
    return (features & MOBILITY.able) !== 0 ? { ...info, mobility: "able" } : info;
  },
};

const holepunchInfo: Codec<HolepunchInfo> = {
  size: ({ id, relays }: HolepunchInfo): number => uint.size(id) + relayInfos.size(relays),
  encode(cursor: Cursor, { id, relays }: HolepunchInfo): void {
    uint.encode(cursor, id);
    relayInfos.encode(cursor, relays);
  },
  decode: (cursor: Cursor): HolepunchInfo => ({ id: uint.decode(cursor), relays: relayInfos.decode(cursor) }),
};

const relayThroughInfo: Codec<RelayThrough> = {
  size: () => 66,
  encode(cursor: Cursor, { publicKey, token }: RelayThrough): void {
    uint.encode(cursor, PART_VERSION);
    uint.encode(cursor, 0); // flags, none of which has a meaning yet
    fixed32.encode(cursor, publicKey);
    fixed32.encode(cursor, token);
  },
  decode(cursor: Cursor): RelayThrough {
    uint.decode(cursor);
    uint.decode(cursor);
    return { publicKey: fixed32.decode(cursor), token: fixed32.decode(cursor) };
  },
};

function flagsOf(payload: NoisePayload): number {
  return (payload.holepunch === undefined ? 0 : HOLEPUNCH) |
    (payload.addresses4.length === 0 ? 0 : ADDRESSES4) | (payload.addresses6.length === 0 ? 0 : ADDRESSES6) |
    (payload.udx === undefined ? 0 : UDX) | (payload.secretStream ? SECRET_STREAM : 0) |
    (payload.relayThrough === undefined ? 0 : RELAY_THROUGH) |
    (payload.relayAddresses === undefined ? 0 : RELAY_ADDRESSES);
}

/** A {@linkcode NoisePayload}: version, flags, error and firewall as `uint`, then what the flags announce. */
export const noisePayload: Codec<ReceivedNoisePayload, NoisePayload> = {
  size(payload: NoisePayload): number {
    const { holepunch, addresses4, addresses6, udx, relayThrough, relayAddresses } = payload;
    return 2 + uint.size(payload.error) + uint.size(payload.firewall) +
      (holepunch === undefined ? 0 : holepunchInfo.size(holepunch)) +
      (addresses4.length === 0 ? 0 : addressList.size(addresses4)) +
      (addresses6.length === 0 ? 0 : address6List.size(addresses6)) +
      (udx === undefined ? 0 : udxInfo.size(udx)) + (payload.secretStream ? 1 : 0) +
      (relayThrough === undefined ? 0 : relayThroughInfo.size(relayThrough)) +
      (relayAddresses === undefined ? 0 : addressList.size(relayAddresses));
  },
  encode(cursor: Cursor, payload: NoisePayload): void {
    const { holepunch, addresses4, addresses6, udx, relayThrough, relayAddresses } = payload;
    uint.encode(cursor, HANDSHAKE_VERSION);
    uint.encode(cursor, flagsOf(payload));
    uint.encode(cursor, payload.error);
    uint.encode(cursor, payload.firewall);
    if (holepunch !== undefined) holepunchInfo.encode(cursor, holepunch);
    if (addresses4.length > 0) addressList.encode(cursor, addresses4);
    if (addresses6.length > 0) address6List.encode(cursor, addresses6);
    if (udx !== undefined) udxInfo.encode(cursor, udx);
    if (payload.secretStream) uint.encode(cursor, PART_VERSION);
    if (relayThrough !== undefined) relayThroughInfo.encode(cursor, relayThrough);
    if (relayAddresses !== undefined) addressList.encode(cursor, relayAddresses);
  },
  decode(cursor: Cursor): ReceivedNoisePayload {
    const version = uint.decode(cursor);
    const nothing = { version, error: 0, firewall: 0, addresses4: [], addresses6: [], secretStream: false };
    if (version !== HANDSHAKE_VERSION) return nothing;
    const flags = uint.decode(cursor);
    const [error, firewall] = [uint.decode(cursor), uint.decode(cursor)];
    const holepunch = (flags & HOLEPUNCH) !== 0 ? holepunchInfo.decode(cursor) : undefined;
    const addresses4 = (flags & ADDRESSES4) !== 0 ? addressList.decode(cursor) : [];
    const addresses6 = (flags & ADDRESSES6) !== 0 ? address6List.decode(cursor) : [];
    const udx = (flags & UDX) !== 0 ? udxInfo.decode(cursor) : undefined;
    const secretStream = (flags & SECRET_STREAM) !== 0;
    if (secretStream) uint.decode(cursor); // its version, which the reference does not look at
    const relayThrough = (flags & RELAY_THROUGH) !== 0 ? relayThroughInfo.decode(cursor) : undefined;
    const relayAddresses = (flags & RELAY_ADDRESSES) !== 0 ? addressList.decode(cursor) : undefined;
    return {
      ...{ version, error, firewall, holepunch, addresses4, addresses6, udx, secretStream },
      relayThrough,
      relayAddresses,
    };
  },
};
