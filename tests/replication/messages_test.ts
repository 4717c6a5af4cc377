/** The messages of replication are those of the reference, byte for byte. */
import assert from "node:assert/strict";
import { capability } from "../../core/replication/capability.ts";
import { MAX_BITFIELD_WORDS, MAX_EXTENSION_NAME_BYTES } from "../../core/replication/constants.ts";
import {
  bitfield,
  cancel,
  extension,
  handshake,
  noData,
  ownedData,
  range,
  sync,
  want,
} from "../../core/replication/messages.ts";
import { logData, logRequest } from "../../core/log/proof_messages.ts";
import { type Codec, decode, type DecodeError, decodeExact, encode } from "../../encoding/codec.ts";
import { string } from "../../encoding/strings.ts";
import { uint } from "../../encoding/varint.ts";
import { concat } from "../../encoding/bytes.ts";
import { readVectors, unhex, wasm } from "../crypto/support.ts";
import { test } from "../harness.ts";

type Value = Readonly<Record<string, never>>;

interface Vectors {
  readonly messages: Readonly<
    Record<string, readonly { readonly value: Value; readonly bytes: string; readonly bytesOf10?: string }[]>
  >;
  readonly handshakes: readonly {
    readonly key: string;
    readonly handshakeHash: string;
    readonly isInitiator: boolean;
    readonly seeks: boolean;
    readonly capability: string;
    readonly bytes: string;
  }[];
}

const vectors = readVectors<Vectors>("replication.json");

function wordsOf(words: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(words).buffer);
}

// deno-lint-ignore no-explicit-any
type Reading = readonly [codec: Codec<any, any>, valueOf: (value: any) => unknown];

/** Our codec of each kind, and the recorded value as ours. */
const READINGS: Readonly<Record<string, Reading>> = {
  sync: [sync, ({ uploading: isUploading, downloading: isDownloading, ...rest }) => ({
    ...rest,
    isUploading,
    isDownloading,
  })],
  cancel: [cancel, ({ request }) => request],
  noData: [noData, (value) => value],
  want: [want, ({ any: isAny, ...rest }) => ({ ...rest, isAny })],
  unwant: [want, ({ any: isAny, ...rest }) => ({ ...rest, isAny })],
  bitfield: [bitfield, ({ start, bitfield: words }) => ({ start, bytes: wordsOf(words) })],
  range: [range, ({ drop: isDrop, ...rest }) => ({ ...rest, isDrop })],
  extension: [extension, ({ name, message }) => ({ name, message: unhex(message) })],
};

for (const [kind, cases] of Object.entries(vectors.messages)) {
  test(`replication: ${kind} is written and read as by the reference`, () => {
    const [codec, valueOf] = READINGS[kind]!;
    for (const { value, bytes, bytesOf10 } of cases) {
      const own = valueOf(value);
      assert.deepEqual(encode(codec, own), unhex(bytes), JSON.stringify(value));
      assert.deepEqual(decodeExact(codec, unhex(bytes)), own, bytes);
      if (bytesOf10 === undefined) continue;
      const old = decode(codec, unhex(bytesOf10)) as Record<string, unknown>;
      assert.deepEqual(encode(codec, old).subarray(0, unhex(bytesOf10).length), unhex(bytesOf10));
    }
  });
}

test("replication: handshakes and capabilities are those of the reference, for both roles", () => {
  for (const one of vectors.handshakes) {
    const made = capability(wasm, one.isInitiator, unhex(one.key), unhex(one.handshakeHash));
    assert.deepEqual(made, unhex(one.capability));
    const value = { canSeek: one.seeks, capability: made };
    assert.deepEqual(encode(handshake, value), unhex(one.bytes));
    assert.deepEqual(decodeExact(handshake, unhex(one.bytes)), value);
  }
});

test("replication: a bitfield longer than any peer sends is refused before its words are read", () => {
  const message = concat([encode(uint, 0), encode(uint, MAX_BITFIELD_WORDS + 1), new Uint8Array(8)]);
  assert.throws(() => decode(bitfield, message), (error: DecodeError) => /65536/.test(error.message));
});

test("replication: the name of an extension is short", () => {
  const name = encode(string, "x".repeat(MAX_EXTENSION_NAME_BYTES + 1));
  assert.throws(() => decode(extension, name), /shorter name/);
});

test("replication: data outlives the frame in which it came", () => {
  const value = { request: 7, fork: 0, block: { index: 3, value: Uint8Array.of(1, 2), nodes: [] } };
  const bytes = encode(logData, value);
  const { block } = decode(ownedData, bytes);
  bytes.fill(0);
  assert.deepEqual(block?.value, Uint8Array.of(1, 2));
});

test("replication: a request is read as it was written", () => {
  const value = { id: 3, fork: 1, manifest: true, priority: 1, block: { index: 2 ** 40, nodes: 41 } };
  const { block, id } = decodeExact(logRequest, encode(logRequest, value));
  assert.deepEqual([block, id], [value.block, 3]);
});
