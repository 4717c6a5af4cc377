/** Text forms of bytes and keys, byte array helpers, and encodings by name. */
import assert from "node:assert/strict";
import {
  type CompactState,
  compare,
  concat,
  decode,
  dhtAddress,
  encode,
  equals,
  from,
  fromBase64,
  fromHex,
  fromZbase32,
  parseKey,
  Slab,
  toBase64,
  toHex,
  toZbase32,
  uint,
} from "../../encoding/mod.ts";
import { test } from "../harness.ts";
import { TestRandom } from "./codec_table.ts";

test("text: bytes of every length survive hex, base64 and z-base-32", () => {
  const random = new TestRandom(4);
  for (let size = 0; size < 70; size++) {
    const bytes = random.bytes(size);
    assert.deepEqual(fromHex(toHex(bytes)), bytes);
    assert.deepEqual(fromHex(toHex(bytes).toUpperCase()), bytes);
    assert.deepEqual(fromBase64(toBase64(bytes)), bytes);
    assert.equal(toBase64(bytes), btoa(String.fromCharCode(...bytes)));
    const urlSafe = toBase64(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
    assert.deepEqual(fromBase64(urlSafe), bytes);
    assert.deepEqual(fromZbase32(toZbase32(bytes)), bytes);
  }
});

test("text: what is not exactly some bytes is a TypeError", () => {
  for (const text of ["a", "abc", "0g", "0x", "  ", "é0"]) {
    assert.throws(() => fromHex(text), TypeError, text);
  }
  for (const text of ["A", "AAAAA", "A===", "AA=", "AA==AA==", "A A=", "AAAé", "AA=A"]) {
    assert.throws(() => fromBase64(text), TypeError, text);
  }
  for (const text of ["y", "yyy", "yyyyyy", "Y0", "l0", "yv", "é€"]) {
    assert.throws(() => fromZbase32(text), TypeError, text);
  }
});

test("text: keys of the wrong size or form are refused", () => {
  const key = new Uint8Array(32).fill(1);
  assert.equal(parseKey(key), key);
  for (
    const wrong of [
      "",
      "ab",
      "g".repeat(64),
      "0".repeat(52),
      "ab".repeat(33),
      "pear://",
      `http://${"ab".repeat(32)}`,
    ]
  ) {
    assert.throws(() => parseKey(wrong), TypeError, wrong);
  }
  for (const wrong of [key.subarray(1), undefined, null, 5]) {
    assert.throws(() => parseKey(wrong as Uint8Array), TypeError);
  }
});

test("text: a bare key is an address of the DHT, and unknown flags are ignored", () => {
  const key = new Uint8Array(32).fill(1);
  assert.deepEqual(decode(dhtAddress, key), { publicKey: key, nodes: undefined });
  assert.equal(decode(dhtAddress, concat([key, fromHex("02ff")])).nodes, undefined);
  const { nodes } = decode(dhtAddress, concat([key, fromHex("0301010203040500"), fromHex("ff")]));
  assert.deepEqual(nodes?.map(String), ["1.2.3.4:5"]);
});

test("bytes: equals, compare and concat go by contents", () => {
  const [a, b] = [new Uint8Array([1, 2, 200]), new Uint8Array([0, 1, 2, 200]).subarray(1)];
  assert.equal(equals(a, b), true);
  assert.equal(equals(a, a.subarray(1)), false);
  assert.equal(equals(a, new Uint8Array([1, 2, 201])), false);
  const sorted = ["", "00", "0001", "01", "7f", "80", "ff00"].map(fromHex);
  assert.deepEqual(sorted.toReversed().toSorted(compare), sorted);
  assert.deepEqual(concat([a, new Uint8Array(0), b.subarray(2)]), new Uint8Array([1, 2, 200, 200]));
});

test("bytes: a slab hands out memory that never overlaps and is never large", () => {
  const slab = new Slab();
  const random = new TestRandom(5);
  const parts = Array.from({ length: 2000 }, () => slab.alloc(random.below(20_000)));
  const ends = new Map<ArrayBufferLike, number>();
  for (const part of parts) {
    assert(part.every((byte) => byte === 0));
    if (part.length === 0) continue;
    assert(part.byteOffset >= (ends.get(part.buffer) ?? 0));
    ends.set(part.buffer, part.byteOffset + part.length);
    assert(part.buffer.byteLength === 65536 || part.buffer.byteLength === part.length);
  }
});

test("from: names, codecs, and encodings from elsewhere become codecs", () => {
  assert.deepEqual(encode(from("utf8"), "hi"), fromHex("6869"));
  assert.deepEqual(encode(from("ucs2"), "hi"), fromHex("68006900"));
  assert.deepEqual(decode(from("json"), encode(from("ndjson"), { a: 1 })), { a: 1 });
  assert.deepEqual(encode(from("binary"), "hi"), fromHex("6869"));
  assert.equal(from(uint), uint);
  for (const name of ["latin1", "constructor", ""]) assert.throws(() => from(name as "utf8"), TypeError);
  for (const wrong of [null, undefined, 5, {}, { encode() {} }]) {
    assert.throws(() => from(wrong as unknown as "utf8"), TypeError);
  }

  const compact = from<number>({
    preencode: (state: CompactState) => void state.end++,
    encode: (state: CompactState, value: number) => void (state.buffer![state.start++] = value),
    decode: (state: CompactState) => state.buffer![state.start++]!,
  });
  const abstract = from<number>({
    encodingLength: () => 1,
    encode: Object.assign((value: number, bytes: Uint8Array, at: number) => bytes[at] = value, { bytes: 1 }),
    decode: Object.assign((bytes: Uint8Array, at: number) => bytes[at]!, { bytes: 1 }),
  });
  for (const codec of [compact, abstract]) {
    assert.deepEqual(encode(codec, 7), fromHex("07"));
    assert.equal(decode(codec, fromHex("07")), 7);
  }
});
