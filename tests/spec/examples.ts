/** How each example of `docs/spec/` is made: from the values that the page names, with our own codecs. */
import { NoiseHandshake } from "../../core/crypto/noise.ts";
import { streamId, UnorderedSealer } from "../../core/crypto/secret_state.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { BatchWriter, openMessage } from "../../core/stream/mux_messages.ts";
import { relayPair, relayUnpair } from "../../dht/relay_messages.ts";
import { noisePayload, peerHandshake, peerHolepunch } from "../../dht/handshake_messages.ts";
import { announcement, lookupReply, mutablePut, peerRecord, pluginRequest } from "../../dht/messages.ts";
import { punchPayload, SecurePayload } from "../../dht/punch/payload.ts";
import { signMutable } from "../../dht/records.ts";
import { encodeReply, encodeRequest, replyMessage, requestMessage } from "../../dht/rpc/messages.ts";
import { nodeId } from "../../dht/rpc/node_id.ts";
import { announceSignable, dhtNamespaces, punchSecret, targetOf } from "../../dht/signables.ts";
import { SocketAddress } from "../../encoding/address.ts";
import { concat } from "../../encoding/bytes.ts";
import { type Codec, encode } from "../../encoding/codec.ts";
import { string } from "../../encoding/strings.ts";
import { fromHex } from "../../encoding/text.ts";
import { uint } from "../../encoding/varint.ts";
import { packTags, topicKey, topicsMessage, topicTag } from "../../swarm/topic_tags.ts";
import { encodeMessage } from "../../transports/mdns/message.ts";
import { idOf, peerRecords } from "../../transports/mdns/service.ts";
import { encodeOpening } from "../../transports/udx/opening.ts";
import { writeHeader, writeRange } from "../../transports/udx/packet.ts";
import { seed, utf8, wasm } from "../crypto/support.ts";
import { logExamples } from "./log_examples.ts";
import { storageExamples } from "./storage_examples.ts";

/** An example as it is made, and as what it is to be read. */
export interface MadeExample {
  /** Its bytes. */
  readonly bytes: Uint8Array;
  /** What reads it and writes it again. */
  readonly codec: AnyCodec | undefined;
}

// deno-lint-ignore no-explicit-any
type AnyCodec = Codec<any, any>;

const made = new Map<string, MadeExample>();

function add(name: string, codec: AnyCodec | undefined, bytes: Uint8Array): Uint8Array {
  made.set(name, { bytes, codec });
  return bytes;
}

const at = (text: string) => SocketAddress.parse(text);
const bytes = (length: number, n: number) => new Uint8Array(length).fill(n);
const [CLIENT, SERVER, PUNCH, R] = ["20.0.0.1:5000", "30.0.0.1:6000", "30.0.0.1:6001", "40.0.0.1:49737"];
const TARGET = seed(9);
const [clientKeys, serverKeys] = [wasm.keyPair(seed(1)), wasm.keyPair(seed(2))];
const [CLIENT_STREAM, SERVER_STREAM] = [0x01020304, 0x0a0b0c0d];
const namespaces = dhtNamespaces(wasm);

function hash(parts: readonly Uint8Array[], key?: Uint8Array): Uint8Array {
  const out = new Uint8Array(32);
  wasm.hash(out, parts, key);
  return out;
}

// --- dht-rpc.md

const idOfR = add("node-id", undefined, nodeId(wasm, at(R)));
const token = add("rpc-token", undefined, hash([utf8("30.0.0.1")], seed(5)));

type Request = Partial<Parameters<typeof encodeRequest>[0]>;
const request = (tid: number, fields: Request) =>
  encodeRequest({ tid, to: at(R), isInternal: true, command: 0, ...fields });
type Reply = Partial<Parameters<typeof encodeReply>[0]>;
const reply = (tid: number, to: string, fields: Reply = {}) =>
  encodeReply({ tid, to: at(to), id: idOfR, closerNodes: [], error: 0, ...fields });
const addRequest = (name: string, tid: number, fields: Request) =>
  add(name, requestMessage, request(tid, fields));
const addReply = (name: string, tid: number, to: string, fields: Reply = {}) =>
  add(name, replyMessage, reply(tid, to, fields));

addRequest("ping-request", 0x1234, {});
addReply("ping-reply", 0x1234, CLIENT);
addRequest("ping-nat-request", 0x1235, { command: 1, value: Uint8Array.of(0x49, 0xc2) });
addReply("ping-nat-reply", 0x1235, "20.0.0.1:49737");
addRequest("find-node-request", 0x1236, { command: 2, target: TARGET });
addReply("find-node-reply", 0x1236, CLIENT, {
  closerNodes: [at("60.0.0.1:49737"), at("50.0.0.1:49737")],
});
addRequest("down-hint-request", 0x1237, { command: 3, value: fromHex("3c00000149c2") });
addRequest("delayed-ping-request", 0x1238, { command: 4, value: fromHex("e8030000") });
const application = { isInternal: false, command: 300, target: TARGET, value: utf8("hello") };
addRequest("command-request", 0x1239, { ...application, token, id: nodeId(wasm, at(SERVER)) });
addReply("command-reply", 0x1239, SERVER, { token, value: utf8("ok") });
addReply("invalid-token-reply", 0x1239, SERVER, { token, error: 2 });

// --- hyperdht.md: records

const peer = { publicKey: serverKeys.publicKey, relayAddresses: [] };
const target = add("peer-target", undefined, targetOf(wasm, serverKeys.publicKey));
add(
  "peer-record",
  peerRecord,
  encode(peerRecord, { ...peer, relayAddresses: [at(R), at("50.0.0.1:49737")] }),
);
add(
  "lookup-reply",
  lookupReply,
  encode(lookupReply, { peers: [{ ...peer, relayAddresses: [at(R)] }], bump: 0 }),
);
add(
  "mutable-put",
  mutablePut,
  encode(mutablePut, signMutable(wasm, namespaces, clientKeys, { seq: 0, value: utf8("x") })),
);
const call = { plugin: "search", version: 1, command: 0, value: Uint8Array.of(1, 2, 3, 4) };
add("plugin-request", pluginRequest, encode(pluginRequest, call));
const signable = add(
  "announce-signable",
  undefined,
  announceSignable(wasm, namespaces.announce, { target, nodeId: idOfR, token }, peer),
);
const signature = wasm.sign(signable, serverKeys.secretKey);
const announceValue = add(
  "announce-value",
  announcement,
  encode(announcement, { peer, signature, bump: 0 }),
);
addRequest("announce-request", 0x123a, {
  isInternal: false,
  command: 4,
  token,
  target,
  value: announceValue,
});

// --- hyperdht.md: a connection

const noise = (initiator: boolean) =>
  new NoiseHandshake(wasm, {
    ...{ pattern: "IK", initiator, prologue: namespaces.peerHandshake },
    staticKeyPair: initiator ? clientKeys : serverKeys,
    remotePublicKey: initiator ? serverKeys.publicKey : undefined,
    ephemeralKeyPair: wasm.keyPair(seed(initiator ? 3 : 4)),
  });
const [client, server] = [noise(true), noise(false)];
const nothing = { error: 0, firewall: 0, addresses4: [], addresses6: [], secretStream: true };
const clientPayload = {
  ...nothing,
  addresses4: [at("10.0.0.5:49737")],
  udx: { reusableSocket: false, id: CLIENT_STREAM, seq: 0 },
};
const first = client.send(add("client-payload", noisePayload, encode(noisePayload, clientPayload)));
add("noise-1", undefined, first);
const handshake = { isInternal: false, command: 0, target };
const [toServer, toClient] = [{ peerAddress: at(CLIENT) }, { peerAddress: at(PUNCH) }];
addRequest("handshake-request", 1, { ...handshake, value: encode(peerHandshake, { mode: 0, noise: first }) });
addRequest("handshake-relayed", 1, {
  ...handshake,
  to: at(SERVER),
  id: idOfR,
  value: encode(peerHandshake, { mode: 2, noise: first, ...toServer }),
});
server.recv(first);
const serverPayload = {
  ...nothing,
  addresses4: [at("192.168.1.5:49737")],
  holepunch: { id: 0, relays: [{ relayAddress: at(R), peerAddress: at(SERVER) }] },
  udx: { reusableSocket: false, id: SERVER_STREAM, seq: 0 },
  relayAddresses: [at(R)],
};
const second = server.send(add("server-payload", noisePayload, encode(noisePayload, serverPayload)));
add("noise-2", undefined, second);
client.recv(second);
addRequest("handshake-answer", 1, {
  ...handshake,
  value: encode(peerHandshake, { mode: 1, noise: second, ...toServer }),
});
addReply("handshake-reply", 1, CLIENT, {
  value: encode(peerHandshake, { mode: 4, noise: second, ...toClient }),
});
const keys = client.session!;
const secret = punchSecret(wasm, namespaces, keys.hash);
add("handshake-keys", undefined, concat([keys.hash, keys.tx, keys.rx, secret]));
add(
  "relay-payload",
  noisePayload,
  encode(noisePayload, {
    ...nothing,
    udx: clientPayload.udx,
    relayThrough: { publicKey: wasm.keyPair(seed(6)).publicKey, token: seed(7) },
  }),
);

// --- hyperdht.md: punching

/** Chance of which every byte is `n`. */
const always = (n: number) =>
  Object.assign(new SeededRandom(1), { fill: (into: Uint8Array) => into.fill(n) });
const secure = new SecurePayload({ crypto: wasm, random: always(5) }, secret);
const facts = { error: 0, firewall: 0, round: 0, connected: false, punching: false };
const consistent = { ...facts, firewall: 2 };
const probe = { ...facts, remoteAddress: at(PUNCH) };
add("punch-probe", punchPayload, encode(punchPayload, probe));
const sealed = add("punch-probe-sealed", undefined, secure.seal(probe));
addRequest("holepunch-request", 2, {
  ...handshake,
  command: 1,
  value: encode(peerHolepunch, { mode: 0, id: 0, payload: sealed, peerAddress: at(SERVER) }),
});
const serverToken = add("punch-token", undefined, secure.token(at(CLIENT)));
const clientToken = new SecurePayload({ crypto: wasm, random: always(8) }, secret).token(at(SERVER));
const addPunch = (name: string, payload: Parameters<typeof secure.seal>[0]) =>
  add(name, punchPayload, encode(punchPayload, payload));
addPunch("punch-probe-reply", { ...consistent, addresses: [at(PUNCH)], token: serverToken });
const started = { ...consistent, round: 1, punching: true };
addPunch("punch-start", {
  ...started,
  addresses: [at("20.0.0.1:5001")],
  token: clientToken,
  remoteToken: serverToken,
});
addPunch("punch-start-reply", {
  ...started,
  addresses: [at(PUNCH)],
  token: serverToken,
  remoteToken: clientToken,
});

// --- protomux.md, blind-relay.md

const body = (channel: number, type: number, rest: Uint8Array) =>
  concat([encode(uint, channel), encode(uint, type), rest]);
const NOTHING: Uint8Array = new Uint8Array(0);
const opening = (channelId: number, protocol: string, id: Uint8Array | null = null, greeting = NOTHING) =>
  encode(openMessage, { channelId, protocol, id, handshake: greeting });
const open = (...args: Parameters<typeof opening>) => body(0, 1, opening(...args));
add("mux-open-plain", undefined, open(1, "alpha"));
add("mux-open", undefined, open(2, "beta/1", fromHex("00ff10"), encode(string, "hello")));
add("mux-message", undefined, body(1, 0, encode(string, "early")));
add("mux-reject", undefined, body(0, 2, encode(uint, 1)));
add("mux-close", undefined, body(0, 3, encode(uint, 3)));
const batch = new BatchWriter();
function addToBatch(channel: number, type: number, item: Uint8Array): void {
  const cursor = batch.add(channel, type, item.length);
  cursor.buffer.set(item, cursor.reserve(item.length));
}
addToBatch(1, 0, encode(string, "one"));
addToBatch(1, 0, encode(string, "two"));
addToBatch(2, 1, encode(uint, 7));
addToBatch(0, 1, opening(3, "gamma", Uint8Array.of(1)));
addToBatch(3, 0, encode(string, ""));
addToBatch(0, 3, encode(uint, 2));
add("mux-batch", undefined, batch.take((size) => new Uint8Array(size)));

const pair = (isInitiator: boolean, streamId: number) =>
  body(1, 0, encode(relayPair, { isInitiator, token: seed(7), streamId, seq: 0 }));
add("relay-open", undefined, open(1, "blind-relay", clientKeys.publicKey));
add("relay-pair", undefined, pair(true, CLIENT_STREAM));
add("relay-paired", undefined, pair(true, 0x11));
add("relay-pair-other", undefined, pair(false, SERVER_STREAM));
add("relay-unpair", undefined, body(1, 1, encode(relayUnpair, { token: seed(7) })));

// --- secret-stream.md

const frame = (content: Uint8Array) => concat([Uint8Array.of(content.length, 0, 0), content]);
add("noise-shared", undefined, wasm.dh(clientKeys.secretKey, serverKeys.publicKey)!);
const ids = [streamId(wasm, keys.hash, true), streamId(wasm, keys.hash, false)];
add("stream-ids", undefined, concat(ids));
add("stream-header", undefined, frame(concat([ids[0]!, bytes(24, 5)])));
/** Key and header of the page's secretstream. */
export const SECRETSTREAM = {
  key: seed(6),
  header: fromHex("69db0721124bfb0fd5cd025050ff456ab788182b53d54d08"),
};
const stream = wasm.secretStream(SECRETSTREAM.key, SECRETSTREAM.header);
for (const [name, text] of [["message-hello", "hello"], ["message-keepalive", ""]] as const) {
  const out = new Uint8Array(17 + text.length);
  stream.push(out, utf8(text));
  add(name, undefined, frame(out));
}
const unordered = new UnorderedSealer(wasm, keys.hash, {
  isInitiator: true,
  start: fromHex("0002030405060708"),
});
add("unordered-message", undefined, unordered.seal(utf8("hi")));

// --- udx.md

const PEER_STREAM = 0xa1b2c3d4;
function addPacket(
  name: string,
  type: number,
  seq: number,
  ack: number,
  rest = NOTHING,
  dataOffset = 0,
): void {
  const packet = new Uint8Array(20 + rest.length);
  writeHeader(packet, type, dataOffset, PEER_STREAM, 4_194_304, seq, ack);
  packet.set(rest, 20);
  add(name, undefined, packet);
}
const ranges = new Uint8Array(16);
writeRange(ranges, 0, 2, 4);
writeRange(ranges, 8, 6, 7);
addPacket("udx-data", 1, 0xfffffffe, 0, utf8("hello"));
addPacket("udx-acknowledgement", 0, 9, 1);
addPacket("udx-ranges", 4, 9, 1, ranges);
addPacket("udx-end", 3, 9, 1, utf8("bye"));
addPacket("udx-message", 8, 9, 1, utf8("beside"));
addPacket("udx-heartbeat", 32, 9, 1);
addPacket("udx-destroy", 16, 0, 0);
addPacket("udx-padded", 1, 7, 0, concat([new Uint8Array(4), utf8("hi")]), 4);
const question = {
  kind: 1,
  dialerId: CLIENT_STREAM,
  listenerId: 0,
  nonce: bytes(16, 9),
  cookie: bytes(32, 0),
};
add("udx-open", undefined, encodeOpening(question));
add("udx-accept", undefined, encodeOpening({ ...question, kind: 3, listenerId: SERVER_STREAM }));

// --- hyperswarm.md, mdns.md

const plain = topicKey(wasm, seed(7));
const guarded = topicKey(wasm, seed(7), bytes(16, 9));
const tag = (key: Uint8Array, isInitiator: boolean) => topicTag(wasm, key, isInitiator, bytes(64, 5));
add("topic-tags", undefined, concat([tag(plain, true), tag(plain, false), tag(guarded, true)]));
const tags = packTags([tag(plain, true)], always(1));
add("topics-message", topicsMessage, encode(topicsMessage, { isExplicit: false, tags }));
const records = peerRecords(idOf(seed(5)), ["udx:*:4000"], { family: 4, hosts: ["192.168.1.5"] });
const response = { isResponse: true, isTruncated: false, questions: [], records };
add("mdns-announcement", undefined, encodeMessage(response, 1352));

for (const example of [...logExamples, ...storageExamples]) add(...example);

/** All examples, by the names that they have on the pages. */
export const examples: ReadonlyMap<string, MadeExample> = made;
