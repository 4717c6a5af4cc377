/** Whether what the DHT sends is what our codecs would send in its place: every layer of a datagram, decoded and encoded again. */
import assert from "node:assert/strict";
import { Command } from "../../dht/constants.ts";
import { peerHandshake, peerHolepunch } from "../../dht/handshake_messages.ts";
import {
  announcement,
  lookupReply,
  mutablePut,
  mutableValue,
  peerRecord,
  pluginRequest,
} from "../../dht/messages.ts";
import { REPLY_BYTE } from "../../dht/rpc/constants.ts";
import { replyMessage, requestMessage } from "../../dht/rpc/messages.ts";
import { type Codec, decode, encode } from "../../encoding/codec.ts";
import { uint } from "../../encoding/varint.ts";
import { toHex } from "../../encoding/text.ts";

// deno-lint-ignore no-explicit-any
export type AnyCodec = Codec<any, any>;

/** Decodes `bytes`, checks that they are what `codec` makes of the result, and returns it. */
export function roundTrip<D extends E, E>(codec: Codec<D, E>, bytes: Uint8Array, what: string): D {
  const value = decode(codec, bytes);
  assert.equal(toHex(encode(codec, value)), toHex(bytes), what);
  return value;
}

const REQUESTS: Readonly<Record<number, AnyCodec>> = {
  [Command.PeerHandshake]: peerHandshake,
  [Command.PeerHolepunch]: peerHolepunch,
  [Command.Announce]: announcement,
  [Command.Unannounce]: announcement,
  [Command.MutablePut]: mutablePut,
  [Command.MutableGet]: uint,
  [Command.Plugin]: pluginRequest,
};

const REPLIES: Readonly<Record<number, AnyCodec>> = {
  [Command.PeerHandshake]: peerHandshake,
  [Command.PeerHolepunch]: peerHolepunch,
  [Command.FindPeer]: peerRecord,
  [Command.Lookup]: lookupReply,
  [Command.MutableGet]: mutableValue,
};

/** Checks a request, and what it carries. */
export function checkRequest(datagram: Uint8Array, what: string): void {
  const { isInternal, command, value } = roundTrip(requestMessage, datagram, what);
  const inside = isInternal ? undefined : REQUESTS[command];
  if (inside !== undefined && value !== undefined) roundTrip(inside, value, what);
}

/** Checks a reply; and what it carries, if it is said to what it replies. */
export function checkReply(datagram: Uint8Array, what: string, command?: number): void {
  const { value } = roundTrip(replyMessage, datagram, what);
  const inside = command === undefined ? undefined : REPLIES[command];
  if (inside !== undefined && value !== undefined) roundTrip(inside, value, what);
}

/** Checks a datagram of either kind. */
export function checkDatagram(datagram: Uint8Array): void {
  const what = toHex(datagram);
  if (datagram[0] === REPLY_BYTE) checkReply(datagram, what);
  else checkRequest(datagram, what);
}
