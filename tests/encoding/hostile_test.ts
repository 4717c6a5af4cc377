/** What a stranger would try: counts without bytes, endless nesting, keys with a meaning, numbers that take forever. */
import assert from "node:assert/strict";
import {
  any,
  type AnyValue,
  array,
  biguint,
  bitarray,
  bitfield,
  bool,
  concat,
  decode,
  DecodeError,
  encode,
  fixed,
  frame,
  from,
  fromHex,
  json,
  lexint,
  none,
  raw,
  record,
  string,
  uint,
} from "../../encoding/mod.ts";
import { test } from "../harness.ts";

/** The largest count that the varint can hold, and the largest that an array may have. */
const HUGE: readonly string[] = ["ffffffffffffff1f00", "fe00001000"];

test("hostile encoding: counts without bytes behind them are refused before memory is taken", () => {
  const codecs = [
    array(uint),
    array(none),
    array(array(bool)),
    record(string, none),
    string,
    biguint,
    bitarray,
    frame(raw.buffer),
  ];
  for (const codec of codecs) {
    for (const count of HUGE) {
      assert.throws(() => decode(codec as typeof string, fromHex(count)), DecodeError);
    }
  }
  for (const type of ["07", "08", "02", "03"]) {
    for (const count of HUGE) assert.throws(() => decode(any, fromHex(type + count)), DecodeError);
  }
});

test("hostile encoding: lists of more than 2^20 elements or bits are refused in both directions", () => {
  const tooMany = new Array<boolean>(0x100001).fill(true);
  for (const codec of [array(bool), bitarray]) assert.throws(() => encode(codec, tooMany), RangeError);
  const bytes = concat([fromHex("fe01001000"), new Uint8Array(0x100001)]);
  for (const codec of [array(bool), bitarray]) assert.throws(() => decode(codec, bytes), DecodeError);
  const most = tooMany.slice(1);
  for (const codec of [array(bool), bitarray]) assert.deepEqual(decode(codec, encode(codec, most)), most);
});

test("hostile encoding: elements of no bytes cannot fill an array", () => {
  assert.throws(() => encode(array(none), [null]), RangeError);
  assert.throws(() => encode(raw.array(none), [null]), RangeError);
  assert.throws(() => decode(array(none), new Uint8Array([2, 0, 0])), DecodeError);
  assert.throws(() => decode(raw.array(none), new Uint8Array(1)), DecodeError);
  assert.throws(() => decode(raw.array(fixed(0)), new Uint8Array(1)), DecodeError);
});

function nested(depth: number): AnyValue {
  let value: AnyValue = [];
  for (let i = 0; i < depth; i++) value = i % 2 === 0 ? { "": value } : [value];
  return value;
}

test("hostile encoding: any nests 128 deep and no deeper, written or read", () => {
  assert.deepEqual(decode(any, encode(any, nested(128))), nested(128));
  assert.throws(() => encode(any, nested(129)), RangeError);
  const circle: AnyValue[] = [];
  circle.push(circle);
  assert.throws(() => encode(any, circle), RangeError);
  const deep = (depth: number) => fromHex("0701".repeat(depth) + "00");
  assert.notEqual(decode(any, deep(128)), null);
  assert.throws(() => decode(any, deep(129)), DecodeError);
  assert.throws(() => decode(any, deep(1_000_000)), DecodeError);
});

test("hostile encoding: __proto__ is a key like any other", () => {
  const inner = encode(any, { isAdmin: true });
  const bytes = concat([fromHex("0801"), encode(string, "__proto__"), inner]);
  const value = decode(any, bytes) as { isAdmin?: boolean };
  assert.equal(value.isAdmin, undefined);
  assert.equal(Object.getPrototypeOf(value), Object.prototype);
  assert.deepEqual(encode(any, value as AnyValue), bytes);

  const fields = decode(
    record(string, bool),
    concat([fromHex("01"), encode(string, "__proto__"), fromHex("01")]),
  );
  assert.deepEqual(Object.keys(fields), ["__proto__"]);
  assert.equal(Object.getPrototypeOf(fields), null);
});

test("hostile encoding: a huge bigint is read and written in linear time", () => {
  const words = 0x4000;
  const bytes = concat([encode(uint, words), new Uint8Array(8 * words).fill(0xff)]);
  const value = decode(biguint, bytes);
  assert.equal(value, (1n << BigInt(64 * words)) - 1n);
  assert.deepEqual(encode(biguint, value), bytes);
  assert.throws(() => decode(biguint, fromHex("fe01001000")), /Expected at most 1048576 words/);
});

test("hostile encoding: lexint neither recurses nor leaves the safe integers", () => {
  for (
    const hex of ["ff".repeat(100_000), "ffff" + "00".repeat(20), "ff15" + "0fffffffffff", "ff00100000000000"]
  ) {
    assert.throws(() => decode(lexint, fromHex(hex)), DecodeError, hex.slice(0, 20));
  }
  assert.throws(() => encode(lexint, 2 ** 44 + 252), RangeError);
});

test("hostile encoding: lexint sorts as numbers do, across all its seams", () => {
  const seams = [250, 255, 65535, 2 ** 24 - 1, 2 ** 32 - 1, 2 ** 32 + 250, 2 ** 43 + 250, 2 ** 44 + 250];
  const numbers = seams.flatMap((seam) => seam < 2 ** 44 ? [seam - 1, seam, seam + 1] : [seam + 1]);
  const encoded = numbers.map((number) =>
    Array.from(encode(lexint, number), (byte) => byte.toString(16).padStart(2, "0")).join("")
  );
  assert.deepEqual(encoded.toSorted(), encoded);
  for (const number of numbers) assert.equal(decode(lexint, encode(lexint, number)), number);
});

test("hostile encoding: what is no JSON, or breaks a foreign decoder, is a DecodeError with its cause", () => {
  const cause = (error: unknown) => error instanceof DecodeError && error.cause instanceof SyntaxError;
  assert.throws(() => decode(json, encode(string, "{")), cause);
  const foreign = from({ encode: (_: unknown) => new Uint8Array(0), decode: () => JSON.parse("{") });
  assert.throws(() => decode(foreign, new Uint8Array(1)), cause);
});

test("hostile encoding: a bitfield holds its own flags, however many come", () => {
  assert.deepEqual(decode(bitfield(12), fromHex("ffffffffffffffffff")), fromHex("ff0f"));
  assert.deepEqual(decode(bitfield(12), fromHex("7f")), fromHex("7f00"));
  assert.deepEqual(decode(bitfield(8), fromHex("fd8101")), fromHex("81"));
  assert.throws(() => encode(bitfield(12), 0x1000), RangeError);
  assert.throws(() => encode(bitfield(7), fromHex("ff")), RangeError);
  assert.throws(() => decode(bitfield(7), fromHex("fd01")), DecodeError);
  assert.throws(() => bitfield(65), RangeError);
});
