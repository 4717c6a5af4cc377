/** Every codec, key form and network list against what the reference wrote: see `tests/vectors/encoding.json`. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import {
  decodeExact,
  encode,
  formatKey,
  fromHex,
  fromZbase32,
  parseKey,
  SocketAddress,
  toHex,
  toZbase32,
} from "../../encoding/mod.ts";
import { test } from "../harness.ts";
import { codecTable } from "./codec_table.ts";
import { tag, untag } from "./tagged.ts";

interface Vector {
  readonly value: unknown;
  readonly hex: string;
  /** What comes back, where it is not `value`. */
  readonly decoded?: unknown;
}

interface Vectors {
  readonly vectors: Readonly<Record<string, readonly Vector[]>>;
  readonly keys: { readonly hex: string; readonly zbase32: string; readonly accepted: readonly string[] };
  readonly zbase32: ReadonlyArray<readonly [hex: string, text: string]>;
  readonly networks: ReadonlyArray<readonly [host: string, isPrivate: boolean, isReserved: boolean]>;
}

const recorded: Vectors = JSON.parse(
  readFileSync(new URL("../vectors/encoding.json", import.meta.url), "utf8"),
);

/** Equal text for equal values: the reference does not shorten the IPv6 addresses that it reads. */
function canonical(name: string, value: unknown): string {
  if (["ipv4", "ipv6", "ip"].includes(name)) return SocketAddress.of(value as string, 0).host;
  return JSON.stringify(tag(value));
}

test("encoding: every codec in the table but array(none) has vectors of the reference", () => {
  const missing = Object.keys(codecTable).filter((name) => !Object.hasOwn(recorded.vectors, name));
  assert.deepEqual(missing, ["array(none)"]);
});

for (const [name, vectors] of Object.entries(recorded.vectors)) {
  test(`encoding: ${name} writes and reads the reference's bytes`, () => {
    const { codec } = codecTable[name]!;
    for (const { value, hex, decoded } of vectors) {
      const bytes = encode(codec, untag(value));
      assert.equal(toHex(bytes), hex, `${name} of ${JSON.stringify(value)}`);
      const expected = canonical(name, untag(decoded === undefined ? value : decoded));
      assert.equal(canonical(name, decodeExact(codec, bytes)), expected, `${name} from ${hex}`);
    }
  });
}

test("encoding: keys are read in every form that the reference accepts, and shown in its form", () => {
  const { hex, zbase32, accepted } = recorded.keys;
  assert.equal(accepted.length, 6);
  for (const text of accepted) assert.equal(toHex(parseKey(text)), hex, text);
  assert.equal(formatKey(fromHex(hex)), zbase32);
});

test("encoding: z-base-32 agrees with the reference for all remainders", () => {
  for (const [hex, text] of recorded.zbase32) {
    assert.equal(toZbase32(fromHex(hex)), text);
    assert.equal(toHex(fromZbase32(text)), hex);
  }
});

test("encoding: IPv4 networks are private or reserved as in the reference, up to their edges", () => {
  for (const [host, isPrivate, isReserved] of recorded.networks) {
    const address = SocketAddress.of(host, 1);
    assert.deepEqual([host, address.isPrivate, address.isReserved], [host, isPrivate, isReserved]);
  }
});
