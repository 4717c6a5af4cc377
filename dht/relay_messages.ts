/**
 * What a client and a blind relay say to each other, on a Protomux channel.
 *
 * Source: blind-relay 1.6.1, index.js (`m.pair`, `m.unpair`). Both messages begin with a byte of flags, of which only one has a
 * meaning.
 */
import { bitfield } from "../encoding/bitfield.ts";
import { fixed32 } from "../encoding/buffers.ts";
import { type Codec, type Cursor, DecodeError } from "../encoding/codec.ts";
import { uint } from "../encoding/varint.ts";

/** The protocol of the channel. Its id is the public key of the client, at both ends. */
export const RELAY_PROTOCOL = "blind-relay";
/** Bytes of the token that two clients of a relay have agreed on. */
export const RELAY_TOKEN_BYTES = 32;

const INITIATOR = 1;
const MAX_STREAM_ID = 0xffffffff;
const flags: Codec<Uint8Array, Uint8Array | number> = bitfield(7);

/** Message 0. From a client: it wants to meet who has the same token. From the relay: they have met. */
export interface RelayPair {
  /** Which of the two the client is. */
  readonly isInitiator: boolean;
  /** What the two have agreed on, 32 bytes. */
  readonly token: Uint8Array;
  /** The UDX stream of whoever sends the message. */
  readonly streamId: number;
  /** The first sequence number of that stream: always 0 so far. */
  readonly seq: number;
}

/** A {@linkcode RelayPair}: flags, token, stream id and sequence number. What is decoded holds a view of the input. */
export const relayPair: Codec<RelayPair> = {
  size: ({ streamId, seq }: RelayPair): number =>
    1 + RELAY_TOKEN_BYTES + uint.size(streamId) + uint.size(seq),
  encode(cursor: Cursor, { isInitiator, token, streamId, seq }: RelayPair): void {
    flags.encode(cursor, isInitiator ? INITIATOR : 0);
    fixed32.encode(cursor, token);
    uint.encode(cursor, streamId);
    uint.encode(cursor, seq);
  },
  decode(cursor: Cursor): RelayPair {
    const isInitiator = (flags.decode(cursor)[0]! & INITIATOR) !== 0;
    const token = fixed32.decode(cursor);
    const at = cursor.start;
    const streamId = uint.decode(cursor);
    if (streamId > MAX_STREAM_ID) {
      throw new DecodeError(`Expected a stream id of 32 bits, got ${streamId}`, at);
    }
    return { isInitiator, token, streamId, seq: uint.decode(cursor) };
  },
};

/** Message 1. From a client: the pairing is off, or over. From a relay of hypha: likewise; others never send it. */
export interface RelayUnpair {
  /** Of which pairing, 32 bytes. */
  readonly token: Uint8Array;
}

/** A {@linkcode RelayUnpair}: flags, all of them 0, and the token, which is a view of the input. */
export const relayUnpair: Codec<RelayUnpair> = {
  size: (): number => 1 + RELAY_TOKEN_BYTES,
  encode(cursor: Cursor, { token }: RelayUnpair): void {
    flags.encode(cursor, 0);
    fixed32.encode(cursor, token);
  },
  decode(cursor: Cursor): RelayUnpair {
    flags.decode(cursor);
    return { token: fixed32.decode(cursor) };
  },
};
