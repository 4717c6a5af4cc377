/** What nodes of the reference said to each other, read and written again: a datagram of each command, and all that they carry. */
import assert from "node:assert/strict";
import { Command } from "../../dht/constants.ts";
import { noisePayload, peerHandshake, peerHolepunch } from "../../dht/handshake_messages.ts";
import { announcement, lookupReply, mutablePut, mutableValue, pluginRequest } from "../../dht/messages.ts";
import { punchPayload } from "../../dht/punch/payload.ts";
import { relayPair, relayUnpair } from "../../dht/relay_messages.ts";
import { fromHex } from "../../encoding/text.ts";
import { readVectors } from "../crypto/support.ts";
import { test } from "../harness.ts";
import { type AnyCodec, checkReply, checkRequest, roundTrip } from "./wire_bytes.ts";

/** `tests/vectors/dht_traffic.json`. */
interface TrafficVectors {
  /** By name: what is asked, `request` or `reply`, and the flags. */
  readonly datagrams: Readonly<Record<string, readonly string[]>>;
  /** By the reference's name: what was in datagrams and streams, decrypted. */
  readonly messages: Readonly<Record<string, readonly string[]>>;
}

const recorded = readVectors<TrafficVectors>("dht_traffic.json");
const INTERNAL = ["PING", "PING_NAT", "FIND_NODE", "DOWN_HINT", "DELAYED_PING"];
const COMMANDS: Readonly<Record<string, number>> = {
  PEER_HANDSHAKE: Command.PeerHandshake,
  PEER_HOLEPUNCH: Command.PeerHolepunch,
  FIND_PEER: Command.FindPeer,
  LOOKUP: Command.Lookup,
  ANNOUNCE: Command.Announce,
  UNANNOUNCE: Command.Unannounce,
  MUTABLE_PUT: Command.MutablePut,
  MUTABLE_GET: Command.MutableGet,
  IMMUTABLE_PUT: Command.ImmutablePut,
  IMMUTABLE_GET: Command.ImmutableGet,
  PLUGIN: Command.Plugin,
};
const CODECS: Readonly<Record<string, AnyCodec>> = {
  handshake: peerHandshake,
  holepunch: peerHolepunch,
  noisePayload,
  holepunchPayload: punchPayload,
  lookupRawReply: lookupReply,
  announce: announcement,
  mutablePutRequest: mutablePut,
  mutableGetResponse: mutableValue,
  pluginRequest,
  pair: relayPair,
  unpair: relayUnpair,
};

test("R7: requests and replies of the reference, of each command, decode and encode to the same bytes", () => {
  const seen = { request: new Set<string>(), reply: new Set<string>() };
  for (const [name, datagrams] of Object.entries(recorded.datagrams)) {
    const command = name.split(" ")[0]!;
    const kind = name.includes(" reply ") ? "reply" : "request";
    seen[kind].add(command);
    for (const hex of datagrams) {
      if (kind === "request") checkRequest(fromHex(hex), name);
      else checkReply(fromHex(hex), name, COMMANDS[command]);
    }
  }
  const all = new Set([...INTERNAL, ...Object.keys(COMMANDS)]);
  assert.deepEqual(seen, { request: all, reply: all });
});

test("H9: the reference passes handshakes on in all modes, and ours read them", () => {
  const modes = new Set<number>();
  for (const hex of recorded.messages["handshake"]!) {
    modes.add(roundTrip(peerHandshake, fromHex(hex), hex).mode);
  }
  assert.deepEqual([...modes].sort(), [0, 1, 2, 3, 4]);
});

test("5.4: what the reference sealed, and what it told its relays, decodes and encodes to the same bytes", () => {
  assert.deepEqual(Object.keys(recorded.messages).sort(), Object.keys(CODECS).sort());
  for (const [name, messages] of Object.entries(recorded.messages)) {
    assert.ok(messages.length > 0, name);
    for (const hex of messages) roundTrip(CODECS[name]!, fromHex(hex), `${name} ${hex}`);
  }
  const payloads = recorded.messages["noisePayload"]!.map((hex) =>
    roundTrip(noisePayload, fromHex(hex), hex)
  );
  assert.ok(payloads.some(({ relayThrough }) => relayThrough !== undefined), "one is to be relayed");
  assert.ok(payloads.some(({ holepunch }) => holepunch !== undefined), "one is to be punched");
  const punches = recorded.messages["holepunchPayload"]!.map((hex) =>
    roundTrip(punchPayload, fromHex(hex), hex)
  );
  assert.ok(punches.some(({ remoteToken }) => remoteToken !== undefined), "one returns a token");
});
