/**
 * Every codec against compact-encoding, in a Node child process that is handed all questions at once:
 *
 *     value --encode--> ours == theirs         bytes (valid, then mutated) --decode--> ours == theirs
 *
 * Bytes that only one side accepts must fall under a named difference, see docs/spec/encoding.md.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Cursor, DecodeError, encode, fromHex, SocketAddress, toHex } from "../../encoding/mod.ts";
import { codecTable, TestRandom } from "../encoding/codec_table.ts";
import { tag, untag } from "../encoding/tagged.ts";
import { test } from "../harness.ts";

interface Question {
  readonly codec: string;
  readonly value?: unknown;
  readonly hex?: string;
}

/** What either side says: bytes, or a tagged value and the number of bytes it took, or an error. */
interface Answer {
  readonly hex?: string;
  readonly value?: unknown;
  readonly used?: number;
  readonly error?: string;
}

const peer = new URL("./reference/encoding.mjs", import.meta.url);
const installed = existsSync(new URL("./node_modules/compact-encoding/package.json", peer));
const skip = installed ? undefined : "the reference is not installed: deno task interop";
const seed = 20_240_607;

function askReference(questions: readonly Question[]): Answer[] {
  const input = questions.map((question) => JSON.stringify(question)).join("\n");
  const { stdout, status } = spawnSync("node", [fileURLToPath(peer)], {
    input,
    encoding: "utf8",
    maxBuffer: 2 ** 28,
    stdio: ["pipe", "pipe", "inherit"],
  });
  assert.equal(status, 0, "the reference peer failed");
  const answers = stdout.trimEnd().split("\n").map((line): Answer => JSON.parse(line));
  assert.equal(answers.length, questions.length);
  return answers;
}

function decodeOurs(codec: string, hex: string): Answer {
  const cursor = new Cursor(fromHex(hex));
  try {
    const value = codecTable[codec]!.codec.decode(cursor);
    return { value: tag(value), used: cursor.start };
  } catch (error) {
    assert(error instanceof DecodeError, `${codec} threw ${error} for ${hex}`);
    return { error: error.message };
  }
}

const HOST_CODECS: readonly string[] = ["ipv4", "ipv6", "ip"];

/** The same text for equal values: the reference never shortens IPv6 addresses nor unmaps them. */
function canonical(codec: string, { value, used }: Answer): string {
  const text = JSON.stringify(value, (_key, part) => {
    if (part === null || typeof part !== "object" || !("address" in part)) return part;
    return SocketAddress.of(part.address[0], part.address[1]).toString();
  });
  const isHost = HOST_CODECS.includes(codec) && typeof value === "string";
  return `${isHost ? SocketAddress.of(value, 0).host : text} in ${used} bytes`;
}

/** Where the reference is not followed; each returns whether it explains that the answers for `bytes` differ. */
const DIFFERENCES: Readonly<
  Record<string, (codec: string, bytes: Uint8Array, ours: Answer, theirs: Answer) => boolean>
> = {
  "lexint beyond the safe integers or nested is refused": (codec, bytes, ours, theirs) =>
    codec === "lexint" && bytes[0] === 0xff && ours.error !== undefined && theirs.error === undefined,
  "an IP version other than 4 is not taken for 6": (codec, bytes, ours) =>
    (codec === "ip" || codec === "ipAddress") && bytes[0] !== 4 && bytes[0] !== 6 && ours.error !== undefined,
  "a raw array of numbers does not drop half an element": (codec, _bytes, ours) =>
    /^raw\..*Array$/.test(codec) && ours.error?.startsWith("Expected elements of") === true,
  "a bitfield has its own flags, not as many as were found": (codec, _bytes, ours, theirs) =>
    codec.startsWith("bitfield") && ours.error === undefined && ours.used === theirs.used,
  "a count needs as many bytes behind it": (codec, _bytes, ours) =>
    codec === "array(none)" && ours.error !== undefined,
  "a raw codec stops at the end of its frame": (codec, _bytes, ours, theirs) =>
    codec === "frame(raw.buffer)" && ours.error === undefined && ours.used === theirs.used,
};

function explain(codec: string, bytes: Uint8Array, ours: Answer, theirs: Answer): string | undefined {
  return Object.keys(DIFFERENCES).find((name) => DIFFERENCES[name]!(codec, bytes, ours, theirs));
}

/** Random damage: a changed byte, a cut, or more bytes. */
function mutate(random: TestRandom, bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from([...bytes, ...random.bytes(random.below(3) === 0 ? random.below(12) : 0)]);
  const edits = random.below(4);
  for (let i = 0; i < edits && copy.length > 0; i++) {
    const at = random.below(2) === 0 ? random.below(Math.min(copy.length, 4)) : random.below(copy.length);
    copy[at] = random.pick([0, 1, 0x7f, 0xfc, 0xfd, 0xfe, 0xff, random.uint32()]);
  }
  return random.below(3) === 0 ? copy.subarray(0, random.below(copy.length + 1)) : copy;
}

test("encoding interop: generated values give the reference's bytes", () => {
  const random = new TestRandom(seed);
  const questions: Question[] = [];
  const expected: string[] = [];
  for (const [name, { codec, generate }] of Object.entries(codecTable)) {
    for (let i = 0; i < 40; i++) {
      const value = generate(random);
      questions.push({ codec: name, value: tag(value) });
      expected.push(toHex(encode(codec, value)));
    }
  }
  const answers = askReference(questions);
  for (const [i, { hex, error }] of answers.entries()) {
    assert.equal(hex, expected[i], `${JSON.stringify(questions[i])} ${error ?? ""}`);
  }
}, { skip });

test(
  "encoding interop: valid and damaged bytes get the reference's verdict, but for the named differences",
  () => {
    const random = new TestRandom(seed + 1);
    const questions: { codec: string; hex: string }[] = [];
    for (const [name, { codec, generate }] of Object.entries(codecTable)) {
      for (let i = 0; i < 120; i++) {
        const bytes = encode(codec, generate(random));
        questions.push({ codec: name, hex: toHex(i < 10 ? bytes : mutate(random, bytes)) });
      }
    }
    const met = new Set<string>();
    for (const [i, theirs] of askReference(questions).entries()) {
      const { codec, hex } = questions[i]!;
      const ours = decodeOurs(codec, hex);
      if (ours.error !== undefined && theirs.error !== undefined) continue;
      if (
        (ours.error ?? theirs.error) === undefined && canonical(codec, ours) === canonical(codec, theirs)
      ) continue;
      const name = explain(codec, fromHex(hex), ours, theirs);
      assert(
        name !== undefined,
        `${codec} of ${hex}: ours ${JSON.stringify(ours)}, theirs ${JSON.stringify(theirs)}`,
      );
      met.add(name);
    }
    assert.deepEqual(
      [...met].toSorted(),
      Object.keys(DIFFERENCES).toSorted(),
      "a listed difference no longer occurs",
    );
  },
  { skip },
);

/** Bytes that the reference accepts and should not, or takes for something else: [why, codec, bytes, our answer]. */
const REFUSED_BYTES: ReadonlyArray<[string, string, string, unknown]> = [
  ["a count without bytes behind it", "array(none)", "fe00001000", undefined],
  ["nesting beyond all measure", "any", "0701".repeat(200) + "00", undefined],
  ["a key that sets the prototype", "any", "0801095f5f70726f746f5f5f0800", {
    object: [["__proto__", { object: [] }]],
  }],
];

test("encoding interop: bytes that mislead the reference are refused, or read as what they are", () => {
  const answers = askReference(REFUSED_BYTES.map(([, codec, hex]) => ({ codec, hex })));
  for (const [i, [why, codec, hex, expected]] of REFUSED_BYTES.entries()) {
    assert.equal(answers[i]!.error, undefined, `${why}: the reference refuses it by now`);
    const ours = decodeOurs(codec, hex);
    assert.deepEqual(ours.value, expected, why);
    assert.notDeepEqual(answers[i]!.value, ours.value, `${why}: no difference any more`);
  }
}, { skip });

/** Values that the reference writes as something else: [why, codec, tagged value]. */
const REFUSED_VALUES: ReadonlyArray<[string, string, unknown]> = [
  ["a fraction is cut off", "uint", 1.5],
  ["text is taken for a number", "uint", "5"],
  ["too large a value wraps", "uint8", 256],
  ["too large a value wraps, zigzag or not", "int8", -200],
  ["too large a bigint wraps", "biguint64", { bigint: "18446744073709551616" }],
  ["44 significant bits are kept", "lexint", 2 ** 52 + 1],
  ["what is not ASCII loses bits", "ascii", "\u0141"],
  ["half a byte is lost", "hex", "abc"],
  ["what is not hex is left as it was in memory", "hex", "zz"],
  ["junk in base64 leaves memory as it was", "base64", "YW I="],
  ["text that is too long is cut", "string.fixed(8)", "123456789"],
  ["too many bits, of which some are dropped", "bitfield(12)", 0x1ffff],
  ["three numbers are taken for an address", "ipv4", "1.2.3"],
  ["a name is taken for an address", "ipv4", "example.org"],
  ["a name is taken for an address", "ipv6", "::example"],
  ["the zone is read as digits", "ipv6", "fe80::1%eth0"],
];

test("encoding interop: values that the reference writes wrong are refused", () => {
  const answers = askReference(REFUSED_VALUES.map(([, codec, value]) => ({ codec, value })));
  for (const [i, [why, codec, value]] of REFUSED_VALUES.entries()) {
    assert.equal(answers[i]!.error, undefined, `${why}: the reference refuses it by now`);
    assert.throws(() => encode(codecTable[codec]!.codec, untag(value)), /^(Range|Type)Error/, why);
  }
}, { skip });

test("encoding interop: what the reference cannot write, it can read", () => {
  const values: [string, unknown][] = [
    ["lexint", 2 ** 32],
    ["lexint", 2 ** 32 + 250],
    ["any", 2 ** 60],
    ["any", -(2 ** 53)],
  ];
  const theirs = askReference(values.map(([codec, value]) => ({ codec, value })));
  const questions = values.map(([codec, value]) => ({
    codec,
    hex: toHex(encode(codecTable[codec]!.codec, value)),
  }));
  for (const [i, answer] of askReference(questions).entries()) {
    assert.notEqual(theirs[i]!.hex, questions[i]!.hex);
    assert.equal(answer.value, values[i]![1]);
  }
}, { skip });
