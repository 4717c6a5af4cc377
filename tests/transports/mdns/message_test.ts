import assert from "node:assert/strict";
import { DecodeError } from "../../../encoding/codec.ts";
import { SocketAddress } from "../../../encoding/address.ts";
import { SERVICE, TYPE } from "../../../transports/mdns/constants.ts";
import {
  decodeMessage,
  encodeMessage,
  type Message,
  MessageWriter,
} from "../../../transports/mdns/message.ts";
import {
  addressesAt,
  idOf,
  instanceName,
  parseAddresses,
  parseInstanceName,
  peerRecords,
  type Place,
} from "../../../transports/mdns/service.ts";
import { toHex } from "../../../encoding/text.ts";
import { test } from "../../harness.ts";

const bytesOf = (...parts: (string | readonly number[])[]) =>
  Uint8Array.from(
    parts.flatMap((part) => typeof part === "string" ? [...part].map((char) => char.charCodeAt(0)) : part),
  );
const header = (isResponse: boolean, questions: number, answers: number) => [
  0,
  0,
  isResponse ? 0x84 : 0,
  0,
  ...[questions, answers, 0, 0].flatMap((count) => [count >> 8, count & 255]),
];

test("a message is what the RFC says, byte by byte", () => {
  const message: Message = {
    isResponse: true,
    isTruncated: false,
    questions: [],
    records: [
      { type: "PTR", name: "_a.local", ttl: 120, target: "b._a.local" },
      { type: "SRV", name: "b._a.local", ttl: 120, port: 4000, target: "b.local" },
      { type: "TXT", name: "b._a.local", ttl: 120, strings: ["v=1"] },
      { type: "A", name: "b.local", ttl: 120, address: Uint8Array.of(10, 0, 0, 1) },
    ],
  };
  const expected = [
    "0000 8400 0000 0004 0000 0000", // a response with authority, four answers
    "025f61 056c6f63616c 00  000c 0001 00000078 0004  0162 c00c", // _a.local: b and a pointer to _a.local
    "c020  0021 8001 00000078 000a  0000 0000 0fa0 0162 c00f", // priority, weight, port, b and a pointer to local
    "c020  0010 8001 00000078 0004  03763d31",
    "c036  0001 8001 00000078 0004  0a000001",
  ];
  const bytes = encodeMessage(message, 512);
  assert.equal(toHex(bytes), expected.join("").replaceAll(" ", ""));
  const read = decodeMessage(bytes);
  assert.deepEqual(read.records, [message.records[0], message.records[2]]);
});

test("an announcement is as the specification shows it", () => {
  const id = idOf(new Uint8Array(32).fill(5));
  const place: Place = { family: 4, hosts: ["192.168.1.5"] };
  const records = peerRecords(id, ["udx:*:4000"], place);
  const bytes = encodeMessage({ isResponse: true, isTruncated: false, questions: [], records }, 1352);
  const hex = (text: string) => toHex(bytesOf(text));
  const expected = [
    "0000 8400 0000 0004 0000 0000",
    `06 ${hex("_hypha")} 04 ${hex("_udp")} 05 ${hex("local")} 00  000c 0001 00000078 0037  34 ${
      hex(id)
    } c00c`,
    `c029  0010 8001 00000078 0012  03 ${hex("v=1")} 0d ${hex("a0=udx:*:4000")}`,
    `c029  0021 8001 00000078 003d  0000 0000 0fa0 34 ${hex(id)} c018`,
    "c090  0001 8001 00000078 0004  c0a80105",
  ];
  assert.equal(toHex(bytes), expected.join("").replaceAll(" ", ""));
});

test("a question and its known answers come back as they were", () => {
  const message: Message = {
    isResponse: false,
    isTruncated: true,
    questions: [{ name: SERVICE, type: TYPE.PTR }, { name: "x.y", type: 255 }],
    records: [{ type: "PTR", name: SERVICE, ttl: 77, target: instanceName("abc") }],
  };
  assert.deepEqual(decodeMessage(encodeMessage(message, 512)), message);
});

test("names are read in lower case, with dots inside of labels marked", () => {
  const bytes = bytesOf(header(false, 1, 0), [4], "A.\\b", [5], "LOCAL", [0], [0, 12, 0, 1]);
  assert.equal(decodeMessage(bytes).questions[0]!.name, "a\\.\\\\b.local");
});

test("pointers that go round, forward or out of the message are refused", () => {
  for (
    const name of [[0xc0, 12], [1, 97, 0xc0, 12], [0xc0, 14, 0xc0, 12], [0xc0, 200], [0xff, 0xff], [0xc0]]
  ) {
    assert.throws(() => decodeMessage(bytesOf(header(false, 1, 0), name, [0, 12, 0, 1])), DecodeError);
  }
});

test("labels and names that are too long, and reserved kinds of labels, are refused", () => {
  const long = [63, ...new Uint8Array(63).fill(97)];
  const name = [...long, ...long, ...long, 61, ...new Uint8Array(61).fill(97), 0];
  const message = (name: readonly number[]) => bytesOf(header(false, 1, 0), name, [0, 12, 0, 1]);
  assert.equal(decodeMessage(message(name)).questions[0]!.name.length, 253);
  assert.throws(() => decodeMessage(message([...long, ...long, ...long, ...long, 0])), DecodeError);
  for (const size of [64, 128]) assert.throws(() => decodeMessage(message([size, 97, 0])), DecodeError);
});

test("counts are not believed, and very many records are not looked at", () => {
  assert.throws(() => decodeMessage(bytesOf(header(true, 0, 65_535))), DecodeError);
  const record = [0, 0, 12, 0, 1, 0, 0, 0, 9, 0, 1, 0];
  const many = new Array<readonly number[]>(600).fill(record);
  assert.equal(decodeMessage(bytesOf(header(true, 0, 600), ...many)).records.length, 256);
  const question = [0, 0, 12, 0, 1];
  const questions = new Array<readonly number[]>(600).fill(question);
  assert.equal(decodeMessage(bytesOf(header(false, 600, 0), ...questions)).questions.length, 32);
  assert.throws(() => decodeMessage(new Uint8Array(9001)), DecodeError);
});

test("data of a record cannot be read beyond its end", () => {
  const record = (size: number, data: readonly number[]) =>
    bytesOf(header(true, 0, 1), [0, 0, 16, 0, 1, 0, 0, 0, 9, 0, size], data);
  assert.throws(() => decodeMessage(record(3, [5, 1, 1, 1, 1, 1])), DecodeError);
  assert.throws(() => decodeMessage(record(9, [1])), DecodeError);
  const text = decodeMessage(record(3, [2, 104, 105]));
  assert.deepEqual(text.records, [{ type: "TXT", name: "", ttl: 9, strings: ["hi"] }]);
});

test("other opcodes, response codes and classes are not taken for mDNS", () => {
  for (const flags of [[0x08, 0], [0, 3]]) {
    assert.throws(() => decodeMessage(bytesOf([0, 0], flags, new Array(8).fill(0))), DecodeError);
  }
  const chaos = bytesOf(header(true, 0, 1), [0, 0, 16, 0, 3, 0, 0, 0, 9, 0, 0]);
  assert.deepEqual(decodeMessage(chaos).records, []);
});

test("what has no room is not written, and what cannot be written is an error", () => {
  const writer = new MessageWriter(true, 64);
  assert.equal(writer.record({ type: "TXT", name: "a", ttl: 1, strings: ["x".repeat(60)] }), false);
  assert.equal(writer.record({ type: "TXT", name: "a", ttl: 1, strings: ["x"] }), true);
  assert.equal(decodeMessage(writer.finish()).records.length, 1);
  const wide = { type: "PTR", name: "a", ttl: 1, target: `${"x".repeat(64)}.local` } as const;
  assert.throws(() => new MessageWriter(true, 512).record(wide), RangeError);
});

test("a name is an instance only if its first label is exactly one key", () => {
  const id = idOf(new Uint8Array(32).fill(3));
  assert.equal(parseInstanceName(`${id}.${SERVICE}`), id);
  for (
    const name of [
      SERVICE,
      `x.${SERVICE}`,
      `${id.slice(0, -1)}9.${SERVICE}`,
      `${"l".repeat(52)}.${SERVICE}`,
      id,
    ]
  ) assert.equal(parseInstanceName(name), undefined, name);
});

test("addresses are told where they lead to the peer", () => {
  const eth: Place = { family: 4, hosts: ["192.168.1.5", "fd00::5"] };
  const eth6: Place = { ...eth, family: 6 };
  const local = new Set(["192.168.1.5", "fd00::5", "10.8.0.2"]);
  const all = [
    "udx:0.0.0.0:1",
    "udx:[::]:2",
    "udx:127.0.0.1:3",
    "udx:192.168.1.5:4",
    "udx:10.8.0.2:5",
    "udx:[fd00::5]:6",
    "udx:8.8.8.8:7",
    "tor:abc",
    "bad address",
    `x:${"y".repeat(200)}`,
  ];
  const common = ["udx:192.168.1.5:4", "udx:[fd00::5]:6", "udx:8.8.8.8:7", "tor:abc"];
  assert.deepEqual(addressesAt(eth, all, local), ["udx:*:1", "udx:*:2", "udx:*:3", ...common]);
  assert.deepEqual(addressesAt(eth6, all, local), ["udx:*:2", ...common]);
});

test("the sender's address takes the place of the star, unless it lacks the zone that it needs", () => {
  const read = (host: string, ...texts: string[]) =>
    parseAddresses(["v=1", ...texts], SocketAddress.of(host, 5353));
  assert.deepEqual(read("10.0.0.7", "a0=udx:*:4000", "a1=tcp:1.2.3.4:5"), [
    "udx:10.0.0.7:4000",
    "tcp:1.2.3.4:5",
  ]);
  assert.deepEqual(read("fd00::7", "a0=udx:*:4000"), ["udx:[fd00::7]:4000"]);
  assert.deepEqual(read("fe80::7%eth0", "a0=udx:*:4000"), ["udx:[fe80::7%eth0]:4000"]);
  assert.deepEqual(read("fe80::7", "a0=udx:*:4000", "a1=udx:*:0", "a2=udx:*:70000"), []);
  assert.deepEqual(read("10.0.0.7", "a0=no address", "b=udx:*:1", "a1=udx:\n", "a2=UDX:1"), []);
  assert.equal(parseAddresses(["v=2", "a0=udx:*:1"], SocketAddress.of("10.0.0.7", 1)), undefined);
  assert.equal(parseAddresses([], SocketAddress.of("10.0.0.7", 1)), undefined);
});
