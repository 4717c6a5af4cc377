/** What holds for all codecs, and the ends of buffers. */
import assert from "node:assert/strict";
import {
  buffer,
  Cursor,
  decode,
  DecodeError,
  decodeExact,
  encode,
  frame,
  Slab,
  string,
  uint,
  uint32,
} from "../../encoding/mod.ts";
import { test } from "../harness.ts";
import { codecTable, TestRandom } from "./codec_table.ts";
import { tag } from "./tagged.ts";

test("encoding: every codec announces its size, keeps to its place, and reads back what it wrote", () => {
  const random = new TestRandom(1);
  for (const [name, { codec, generate }] of Object.entries(codecTable)) {
    for (let i = 0; i < 50; i++) {
      const value = generate(random);
      const size = codec.size(value);
      const surroundings = new Uint8Array(size + 20).fill(0xaa);
      const cursor = new Cursor(surroundings, 7, 7 + size);
      codec.encode(cursor, value);
      assert.equal(cursor.start, 7 + size, `${name} writes as many bytes as it announced`);
      const outside = [...surroundings.subarray(0, 7), ...surroundings.subarray(7 + size)];
      assert(outside.every((byte) => byte === 0xaa), `${name} writes nothing beside`);

      const reader = new Cursor(surroundings, 7, 7 + size);
      const again = encode(codec, codec.decode(reader));
      assert.equal(reader.start, 7 + size, `${name} reads all that it wrote`);
      assert.deepEqual(
        again,
        surroundings.slice(7, 7 + size),
        `${name} reads back ${JSON.stringify(tag(value))}`,
      );
    }
  }
});

test("encoding: every codec refuses to write where there is no room", () => {
  const random = new TestRandom(2);
  for (const [name, { codec, generate }] of Object.entries(codecTable)) {
    for (let i = 0; i < 20; i++) {
      const value = generate(random);
      const size = codec.size(value);
      if (size === 0) continue;
      const bytes = new Uint8Array(size + 10);
      const cursor = new Cursor(bytes, 0, random.below(size));
      assert.throws(() => codec.encode(cursor, value), RangeError, name);
      assert(bytes.subarray(size).every((byte) => byte === 0), `${name} writes nothing behind the end`);
    }
  }
});

test("encoding: every codec answers cut or random bytes with a value or a DecodeError within the bytes", () => {
  const random = new TestRandom(3);
  for (const [name, { codec, generate }] of Object.entries(codecTable)) {
    for (let i = 0; i < 200; i++) {
      const whole = i % 2 === 0 ? encode(codec, generate(random)) : random.bytes(random.below(40));
      const bytes = whole.subarray(0, random.below(whole.length + 1));
      try {
        decode(codec, bytes);
      } catch (error) {
        assert(error instanceof DecodeError, `${name} throws ${error}`);
        assert(error.offset >= 0 && error.offset <= bytes.length, `${name}: ${error.message}`);
      }
    }
  }
});

test("encoding: every codec refuses values of another kind", () => {
  const strangers = [undefined, null, "text", 1.5, -1, NaN, 2n, Symbol("s"), () => {}, {}, [1n]];
  for (const [name, { codec }] of Object.entries(codecTable)) {
    let refused = 0;
    for (const stranger of strangers) {
      try {
        encode(codec, stranger);
      } catch (error) {
        assert(error instanceof TypeError || error instanceof RangeError, `${name} throws ${error}`);
        refused++;
      }
    }
    if (name !== "none" && name !== "array(none)") assert(refused > 0, `${name} takes anything`);
  }
});

test("encoding: an error says what is wrong and where", () => {
  assert.throws(() => decode(string, new Uint8Array([5, 0x61])), {
    name: "DecodeError",
    message: "Expected 5 more bytes, found 1 (at byte 1)",
    offset: 1,
  });
  assert.throws(() => decode(uint32, new Uint8Array(3)), {
    message: "Expected 4 more bytes, found 3 (at byte 0)",
  });
});

test("encoding: decode ignores trailing bytes, decodeExact does not", () => {
  const bytes = new Uint8Array([7, 8]);
  assert.equal(decode(uint, bytes), 7);
  assert.throws(() => decodeExact(uint, bytes), {
    message: "Expected the end, found 1 more bytes (at byte 1)",
  });
  assert.equal(decodeExact(uint, bytes.subarray(0, 1)), 7);
});

test("encoding: a codec that lies about its size is found out", () => {
  const liar = { ...uint, size: () => 2 };
  assert.throws(() => encode(liar, 1), RangeError);
  assert.throws(() => encode(frame(liar), 1), RangeError);
});

test("encoding: a cursor does not leave its buffer", () => {
  const bytes = new Uint8Array(4);
  for (const [start, end] of [[-1, 2], [3, 2], [0, 5], [NaN, 4]]) {
    assert.throws(() => new Cursor(bytes, start, end), RangeError);
  }
  assert.equal(new Cursor(bytes, 1, 3).remaining, 2);
});

test("encoding: byte strings are views of the input, and allocators give the memory of the output", () => {
  const slab = new Slab();
  const bytes = encode(buffer, new Uint8Array([1, 2, 3]), slab);
  assert.equal(bytes.buffer, slab.alloc(1).buffer);
  const view = decode(buffer, bytes);
  bytes[1] = 9;
  assert.deepEqual(view, new Uint8Array([9, 2, 3]));
});

test("encoding: a frame hides what follows it and skips what it does not know", () => {
  const message = frame(uint);
  const cursor = new Cursor(new Uint8Array([3, 1, 0xee, 0xee, 5]));
  assert.equal(message.decode(cursor), 1);
  assert.equal(uint.decode(cursor), 5);
  assert.throws(() => decode(frame(uint32), new Uint8Array([2, 1, 1, 1, 1])), DecodeError);
});
