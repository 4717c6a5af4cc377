/** Requests and replies against the reference's bytes, and against bytes that nobody should send. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { K, MAX_DATAGRAM_BYTES } from "../../../dht/rpc/constants.ts";
import {
  checkRequestLength,
  encodeReply,
  encodeRequest,
  fittingNodes,
  type ReplyMessage,
  replyMessage,
  requestMessage,
} from "../../../dht/rpc/messages.ts";
import { compareDistance, nodeId, sharedBits, subnetOf } from "../../../dht/rpc/node_id.ts";
import { Tokens } from "../../../dht/rpc/tokens.ts";
import { SocketAddress } from "../../../encoding/address.ts";
import { decode, DecodeError } from "../../../encoding/codec.ts";
import { fromHex, toHex } from "../../../encoding/text.ts";
import { test } from "../../harness.ts";
import { crypto } from "./support.ts";

interface Vector {
  readonly name: string;
  readonly message: string;
  readonly kind: "request" | "reply";
  readonly tid: number;
  readonly to: string;
  readonly id?: string;
  readonly token?: string;
  readonly value?: string;
  readonly target?: string;
  readonly command?: number;
  readonly isInternal?: boolean;
  readonly error?: number;
  readonly closerNodes?: readonly string[];
}

const vectors: readonly Vector[] = JSON.parse(
  readFileSync(new URL("../../vectors/dht_rpc.json", import.meta.url), "utf8"),
).messages;

const hex = (bytes: Uint8Array | undefined) => bytes === undefined ? undefined : toHex(bytes);
const TO = SocketAddress.of("1.2.3.4", 0x1122);

for (const vector of vectors) {
  test(`dht messages: the reference's "${vector.name}" is read, and written again to the same bytes`, () => {
    const bytes = fromHex(vector.message);
    const message = decode<{ [name: string]: unknown }, never>(
      (vector.kind === "reply" ? replyMessage : requestMessage) as never,
      bytes,
    ) as never as ReplyMessage & { target?: Uint8Array; command?: number; isInternal?: boolean };
    assert.equal(message.tid, vector.tid);
    assert.equal(message.to.toString(), vector.to);
    assert.equal(hex(message.id), vector.id);
    assert.equal(hex(message.token), vector.token);
    assert.equal(hex(message.value), vector.value);
    if (vector.kind === "reply") {
      assert.equal(message.error, vector.error ?? 0);
      assert.deepEqual(message.closerNodes.map(String), vector.closerNodes ?? []);
      assert.deepEqual(encodeReply(message), bytes);
    } else {
      assert.equal(message.command, vector.command);
      assert.equal(message.isInternal, vector.isInternal);
      assert.equal(hex(message.target), vector.target);
      assert.deepEqual(encodeRequest(message as never), bytes);
    }
  });
}

test("dht messages: the smallest ping has 11 bytes and the smallest reply 10", () => {
  assert.equal(
    toHex(encodeRequest({ tid: 7, to: TO, isInternal: true, command: 0 })),
    "0304070001020304221100",
  );
  assert.equal(toHex(encodeReply({ tid: 7, to: TO, closerNodes: [], error: 0 })), "13000700010203042211");
});

test("dht messages: what is cut short, of another kind or full of lies is refused", () => {
  const request = encodeRequest({
    tid: 1,
    to: TO,
    isInternal: false,
    command: 300,
    value: new Uint8Array(9),
  });
  for (let length = 0; length < request.length; length++) {
    assert.throws(() => decode(requestMessage, request.subarray(0, length)), DecodeError);
  }
  assert.throws(() => decode(replyMessage, request), DecodeError);
  const manyNodes = Uint8Array.of(0x13, 4, 0, 0, 1, 2, 3, 4, 5, 6, 0xfe, 0xff, 0xff, 0xff, 0xff);
  assert.throws(() => decode(replyMessage, manyNodes), DecodeError);
});

test("dht messages: of more than 20 closer nodes the first 20 are read, and what follows them still is", () => {
  const closerNodes = Array.from({ length: 50 }, (_, i) => SocketAddress.v4(0x0b000000 + i, 1));
  const value = Uint8Array.of(1, 2, 3);
  const read = decode(replyMessage, encodeReply({ tid: 1, to: TO, closerNodes, error: 17, value }));
  assert.equal(read.closerNodes.length, K);
  assert.equal(read.error, 17);
  assert.deepEqual(read.value, value);
});

test("dht messages: bytes behind the last field are ignored, as later versions may need them", () => {
  const bytes = Uint8Array.of(...encodeReply({ tid: 1, to: TO, closerNodes: [], error: 0 }), 9, 9);
  assert.equal(decode(replyMessage, bytes).tid, 1);
});

test("dht messages: the number of nodes that fit into a limit is exact", () => {
  const closerNodes = Array.from({ length: 20 }, (_, i) => SocketAddress.v4(i + 1, 1));
  const message = { tid: 1, to: TO, id: new Uint8Array(32), closerNodes, error: 0 };
  for (let limit = 40; limit < 180; limit++) {
    const count = fittingNodes(message, limit);
    const size = (n: number) => replyMessage.size({ ...message, closerNodes: closerNodes.slice(0, n) });
    if (count > 0) assert.ok(size(count) <= limit);
    if (count < 20) assert.ok(size(count + 1) > limit);
  }
});

test("dht messages: a request that does not fit into a datagram is the caller's mistake", () => {
  const value = new Uint8Array(MAX_DATAGRAM_BYTES);
  assert.throws(() => checkRequestLength({ isInternal: false, command: 1, value }), RangeError);
});

test("R1: the id of a node is the hash of its address and its port, least significant byte first", () => {
  assert.equal(
    toHex(nodeId(crypto, SocketAddress.of("127.0.0.1", 49737))),
    "d1dcf835b0d62b9230c41393cb96a34f5f8b9f814f421ca3382dfc1678022e0e",
  );
});

test("dht messages: distances order keys as their bitwise differences do", () => {
  const key = (...bytes: number[]) => Uint8Array.of(...bytes, ...new Uint8Array(32 - bytes.length));
  assert.ok(compareDistance(key(0b1000), key(0b1001), key(0b0000)) < 0);
  assert.ok(compareDistance(key(1, 5), key(1, 0), key(1, 4)) > 0);
  assert.equal(compareDistance(key(1), key(2), key(2)), 0);
  assert.equal(sharedBits(key(0), key(1)), 7);
  assert.equal(sharedBits(key(1, 0x80), key(1, 0)), 8);
  assert.equal(sharedBits(key(3), key(3)), 256);
});

test("dht messages: private and loopback addresses have no subnet, public ones their /24", () => {
  for (const host of ["127.0.0.1", "10.1.2.3", "192.168.1.1"]) {
    assert.equal(subnetOf(SocketAddress.of(host, 1)), -1);
  }
  assert.equal(subnetOf(SocketAddress.of("8.8.8.8", 1)), subnetOf(SocketAddress.of("8.8.8.255", 9)));
  assert.notEqual(subnetOf(SocketAddress.of("8.8.8.8", 1)), subnetOf(SocketAddress.of("8.8.9.8", 1)));
});

test("R6: a token is the keyed hash of the dotted host, and lives for 7.5 to 15 seconds", () => {
  const secret = { fill: (into: Uint8Array) => into.fill(5) };
  const tokens = new Tokens(crypto, secret as never);
  assert.equal(
    toHex(tokens.make(0, SocketAddress.of("127.0.0.1", 1))),
    "d272d4fca0f4c5ec25796cb4408605dedf60d5f9fc0b5fdc8fe558e8c47d6b72",
  );
  let drawn = 0;
  const changing = new Tokens(crypto, { fill: (into: Uint8Array) => into.fill(drawn++) } as never);
  const host = SocketAddress.of("200.30.4.100", 1);
  const token = changing.make(7000, host);
  assert.ok(changing.check(7000, SocketAddress.of("200.30.4.100", 2), token), "the port does not matter");
  assert.ok(!changing.check(7000, SocketAddress.of("200.30.4.101", 1), token));
  assert.ok(changing.check(14_999, host, token));
  assert.ok(!changing.check(15_001, host, token));
  assert.ok(!changing.check(100_000, host, changing.make(50_000, host)));
});
