/** Fuzz targets of `encoding/`: every codec decodes, and what it decoded survives being written and read again. */
import assert from "node:assert/strict";
import { SocketAddress } from "../../encoding/address.ts";
import { uint } from "../../encoding/varint.ts";
import { Cursor, decode, decodeExact, encode } from "../../encoding/codec.ts";
import { from } from "../../encoding/from.ts";
import { parseIpv4, parseIpv6 } from "../../encoding/ip.ts";
import { parseKey } from "../../encoding/keys.ts";
import { fromBase64, fromHex, fromZbase32 } from "../../encoding/text.ts";
import { codecTable, type TableEntry, TestRandom } from "../encoding/codec_table.ts";
import { tag } from "../encoding/tagged.ts";
import type { FuzzTarget } from "./target.ts";

/** Codecs that read more than they write: text of fixed size grows by U+FFFD, JSON nests deeper than it is written. */
const READ_ONLY: readonly string[] = ["string.fixed(8)", "json", "ndjson", "raw.json", "raw.ndjson"];

/** `raw.int8Array` is the export `rawInt8Array`, `array(uint)` is one use of the export `array`. */
function targetName(name: string): string {
  const renamed = name.replace(/^raw\.(.)/, (_, first: string) => `raw${first.toUpperCase()}`);
  return renamed.replace(/^(\w+)[.(](.*?)\)?$/, "$1:$2");
}

/** Parts of codecs that are exports of their own, for use in other files. */
const COVERS: Readonly<Record<string, readonly string[]>> = {
  int: ["zigzag"],
  "array(uint)": ["decodeCount"],
};

function codecTarget(name: string, { codec, generate }: TableEntry): FuzzTarget {
  const random = new TestRandom(7);
  return {
    name: targetName(name),
    covers: COVERS[name] ?? [],
    seeds: Array.from({ length: 4 }, () => encode(codec, generate(random))),
    run(input: Uint8Array): void {
      const value = codec.decode(new Cursor(input));
      if (READ_ONLY.includes(name)) return;
      const again = decodeExact(codec, encode(codec, value));
      assert.deepEqual(tag(decodeExact(codec, encode(codec, again))), tag(again));
    },
  };
}

const decoder: TextDecoder = new TextDecoder();

/** A parser of text whose every complaint is a `TypeError`. */
function textTarget(name: string, seeds: readonly string[], parse: (text: string) => unknown): FuzzTarget {
  return {
    name,
    seeds: seeds.map((seed) => new TextEncoder().encode(seed)),
    run: (input: Uint8Array): void => void parse(decoder.decode(input)),
    expected: (error: unknown): boolean => error instanceof TypeError,
  };
}

/** A foreign encoding whose decoder trusts its input. */
const careless = from({
  encode: (value: string): Uint8Array => new TextEncoder().encode(value),
  decode: (bytes: Uint8Array): string => decodeURIComponent(decoder.decode(bytes)),
});

/** One target for each codec, and for what reads text. */
export const targets: readonly FuzzTarget[] = [
  ...Object.entries(codecTable).map(([name, entry]) => codecTarget(name, entry)),
  {
    name: "decode",
    seeds: [encode(uint, 70_000)],
    run: (input: Uint8Array): void => void decode(uint, input),
  },
  {
    name: "decodeExact",
    seeds: [encode(uint, 70_000)],
    run: (input: Uint8Array): void => void decodeExact(uint, input),
  },
  {
    name: "from",
    seeds: [encode(careless, "%41")],
    run: (input: Uint8Array): void => void decode(careless, input),
  },
  textTarget("parseKey", ["pear://" + "ab".repeat(32), "y".repeat(52)], parseKey),
  textTarget("parseIpv4", ["1.2.3.4"], parseIpv4),
  textTarget("parseIpv6", ["::1", "1:2:3::5.6.7.8"], parseIpv6),
  textTarget("SocketAddress:parse", ["1.2.3.4:80", "[fe80::1%eth0]:80"], (text) => SocketAddress.parse(text)),
  textTarget("fromHex", ["00ff"], fromHex),
  textTarget("fromBase64", ["AAE=", "-_"], fromBase64),
  textTarget("fromZbase32", ["yyyy"], fromZbase32),
];
