/** Every codec under a name, with a generator of values that it can express: what property and interop tests go through. */
import * as e from "../../encoding/mod.ts";

/** A small seeded generator of test data (mulberry32). */
export class TestRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** An integer in [0, 2^32). */
  uint32(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ this.#state >>> 15, 1 | this.#state);
    t = (t + Math.imul(t ^ t >>> 7, 61 | t)) ^ t;
    return (t ^ t >>> 14) >>> 0;
  }

  /** An integer in [0, bound). */
  below(bound: number): number {
    return this.uint32() % bound;
  }

  /** One of `choices`. */
  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }

  /** `size` bytes. */
  bytes(size: number): Uint8Array<ArrayBuffer> {
    return Uint8Array.from({ length: size }, () => this.uint32());
  }

  /** An integer of at most `bits` (53) bits, each length equally likely, often at the edge of its length. */
  uint(bits: number): number {
    const top = 2 ** this.below(bits + 1);
    if (this.below(4) === 0) return Math.min(top, 2 ** bits - 1);
    return this.below(4) === 0 ? top - 1 : Math.floor(this.uint32() / 2 ** 32 * top);
  }

  /** Some of what `one` makes. */
  list<T>(max: number, one: () => T): T[] {
    return Array.from({ length: this.below(max + 1) }, one);
  }

  /** Text from several scripts, with a lone surrogate and a byte order mark now and then. */
  text(): string {
    const alphabet = this.pick([
      "ab c0-_",
      "aé€😀\u0000",
      "\ud800x\udc00\ufeff",
    ]);
    return this.list(this.pick([4, 70]), () => this.pick([...alphabet])).join(
      "",
    );
  }
}

/** A codec and how to make values for it. */
export interface TableEntry {
  // deno-lint-ignore no-explicit-any -- each entry has its own type of value
  readonly codec: e.Codec<any, any>;
  readonly generate: (random: TestRandom) => unknown;
}

const unsigned = (bits: number) => (random: TestRandom) => random.uint(bits);
const signed = (bits: number) => (random: TestRandom) => {
  const value = random.uint(bits - 1);
  return random.below(2) === 0 ? value : 0 - value;
};
/** The reference cannot read back what it writes for 2^32 to 2^32 + 250, nor for most numbers from 2^44 up. */
const lexintValue = (random: TestRandom) => {
  const value = random.uint(44);
  return value >= 2 ** 32 && value <= 2 ** 32 + 250 ? 2 ** 33 : value;
};
const bytes = (random: TestRandom) => random.bytes(random.pick([0, 1, 32, 300]));
const text = (random: TestRandom) => random.text();
const asciiText = (random: TestRandom) =>
  random.list(70, () => String.fromCharCode(random.below(128))).join("");
const hexText = (random: TestRandom) => e.toHex(random.bytes(random.below(20)));
const base64Text = (random: TestRandom) => e.toBase64(random.bytes(random.below(20)));
const big = (random: TestRandom) => BigInt(`0x0${e.toHex(random.bytes(random.below(30)))}`);
const v4 = (random: TestRandom) => e.SocketAddress.v4(random.uint32(), random.below(65536));
const v6 = (random: TestRandom) => {
  const address = random.bytes(16).fill(0, 3, random.pick([3, 9, 16]));
  return e.SocketAddress.v6(address, random.below(65536));
};

function plainValue(random: TestRandom, depth: number): unknown {
  const choice = random.below(depth > 3 ? 8 : 10);
  switch (choice) {
    case 0:
      return null;
    case 1:
      return random.below(2) === 0;
    case 2:
      return random.text();
    case 3:
      return bytes(random);
    case 4:
      return random.uint(53);
    case 5:
      return 0 - random.uint(52);
    case 6:
      return random.uint32() / 7;
    case 7:
      return new Date(random.uint(52));
    case 8:
      return random.list(4, () => plainValue(random, depth + 1));
    default:
      return Object.fromEntries(
        random.list(4, () => [random.text(), plainValue(random, depth + 1)]),
      );
  }
}

const jsonValue = (random: TestRandom) => ({
  a: random.uint(53),
  b: [random.text().toWellFormed(), null, true],
});

interface ViewType {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBuffer): ArrayBufferView;
}

function views(type: ViewType): (random: TestRandom) => ArrayBufferView {
  // Zero bytes in the high places keep floats from being NaN, whose bits an engine may change.
  return (random) =>
    new type(
      random.bytes(random.below(5) * type.BYTES_PER_ELEMENT).map((byte) => byte & 0x3f).buffer,
    );
}

const typedArrays: Record<
  string,
  [e.Codec<never>, e.Codec<never>, (random: TestRandom) => unknown]
> = {
  uint8Array: [
    e.uint8Array as e.Codec<never>,
    e.raw.uint8Array as e.Codec<never>,
    views(Uint8Array),
  ],
};

for (
  const [name, type] of Object.entries({
    int8Array: Int8Array,
    uint16Array: Uint16Array,
    int16Array: Int16Array,
    uint32Array: Uint32Array,
    int32Array: Int32Array,
    bigUint64Array: BigUint64Array,
    bigInt64Array: BigInt64Array,
    float32Array: Float32Array,
    float64Array: Float64Array,
  })
) {
  const key = name as "int8Array";
  typedArrays[name] = [
    e[key] as e.Codec<never>,
    e.raw[key] as e.Codec<never>,
    views(type),
  ];
}

const bitfields = [0, 7, 8, 12, 16, 24, 32, 33, 64].map((
  length,
): [string, TableEntry] => [
  `bitfield(${length})`,
  {
    codec: e.bitfield(length),
    generate: (random) => random.uint(Math.min(length, 53)),
  },
]);

/** The codecs of `encoding/mod.ts`; those that take a codec stand for all of their kind. */
export const codecTable: Readonly<Record<string, TableEntry>> = {
  uint: { codec: e.uint, generate: unsigned(53) },
  uint8: { codec: e.uint8, generate: unsigned(8) },
  uint16: { codec: e.uint16, generate: unsigned(16) },
  uint24: { codec: e.uint24, generate: unsigned(24) },
  uint32: { codec: e.uint32, generate: unsigned(32) },
  uint40: { codec: e.uint40, generate: unsigned(40) },
  uint48: { codec: e.uint48, generate: unsigned(48) },
  uint56: { codec: e.uint56, generate: unsigned(53) },
  uint64: { codec: e.uint64, generate: unsigned(53) },
  uint32be: { codec: e.uint32be, generate: unsigned(32) },
  uint64be: { codec: e.uint64be, generate: unsigned(53) },
  int: { codec: e.int, generate: signed(53) },
  int8: { codec: e.int8, generate: signed(8) },
  int16: { codec: e.int16, generate: signed(16) },
  int24: { codec: e.int24, generate: signed(24) },
  int32: { codec: e.int32, generate: signed(32) },
  int40: { codec: e.int40, generate: signed(40) },
  int48: { codec: e.int48, generate: signed(48) },
  int56: { codec: e.int56, generate: signed(53) },
  int64: { codec: e.int64, generate: signed(53) },
  biguint64: {
    codec: e.biguint64,
    generate: (random) => BigInt.asUintN(64, big(random)),
  },
  bigint64: {
    codec: e.bigint64,
    generate: (random) => BigInt.asIntN(64, big(random)),
  },
  biguint: { codec: e.biguint, generate: big },
  bigint: {
    codec: e.bigint,
    generate: (random) => random.below(2) === 0 ? big(random) : -big(random),
  },
  lexint: { codec: e.lexint, generate: lexintValue },
  float32: {
    codec: e.float32,
    generate: (random) => Math.fround(random.uint32() / 3),
  },
  float64: {
    codec: e.float64,
    generate: (random) => random.pick([0.1, -0, NaN, Infinity, random.uint32() / 3]),
  },
  buffer: { codec: e.buffer, generate: bytes },
  optionalBuffer: {
    codec: e.optionalBuffer,
    generate: (random) => random.pick([null, random.bytes(1), random.bytes(300)]),
  },
  binary: { codec: e.binary, generate: bytes },
  arrayBuffer: {
    codec: e.arrayBuffer,
    generate: (random) => random.bytes(random.below(20)).buffer,
  },
  bitarray: {
    codec: e.bitarray,
    generate: (random) => random.list(30, () => random.below(2) === 0),
  },
  ...Object.fromEntries(
    Object.entries(typedArrays).map((
      [name, [codec, , generate]],
    ) => [name, { codec, generate }]),
  ),
  string: { codec: e.string, generate: text },
  ascii: { codec: e.ascii, generate: asciiText },
  hex: { codec: e.hex, generate: hexText },
  base64: { codec: e.base64, generate: base64Text },
  utf16le: { codec: e.utf16le, generate: text },
  "string.fixed(8)": {
    codec: e.string.fixed(8),
    generate: (random) => `${10_000_000 + random.below(1_000_000)}`,
  },
  "hex.fixed(4)": {
    codec: e.hex.fixed(4),
    generate: (random) => e.toHex(random.bytes(4)),
  },
  bool: { codec: e.bool, generate: (random) => random.below(2) === 0 },
  "fixed(5)": { codec: e.fixed(5), generate: (random) => random.bytes(5) },
  fixed32: { codec: e.fixed32, generate: (random) => random.bytes(32) },
  fixed64: { codec: e.fixed64, generate: (random) => random.bytes(64) },
  "array(uint)": {
    codec: e.array(e.uint),
    generate: (random) => random.list(9, () => random.uint(53)),
  },
  "array(string)": {
    codec: e.array(e.string),
    generate: (random) => random.list(9, () => random.text()),
  },
  "array(none)": { codec: e.array(e.none), generate: () => [] },
  "frame(uint)": { codec: e.frame(e.uint), generate: unsigned(53) },
  "frame(raw.buffer)": { codec: e.frame(e.raw.buffer), generate: bytes },
  "frame(array(string))": {
    codec: e.frame(e.array(e.string)),
    generate: (random) => random.list(9, () => random.text()),
  },
  "record(string, uint)": {
    codec: e.record(e.string, e.uint),
    generate: (random) =>
      Object.fromEntries(
        random.list(5, () => [random.text(), random.uint(53)]),
      ),
  },
  stringRecord: {
    codec: e.stringRecord,
    generate: (random) => Object.fromEntries(random.list(5, () => [random.text(), random.text()])),
  },
  date: {
    codec: e.date,
    generate: (random) => new Date(signed(53)(random)),
  },
  json: { codec: e.json, generate: jsonValue },
  ndjson: { codec: e.ndjson, generate: jsonValue },
  none: { codec: e.none, generate: () => null },
  any: { codec: e.any, generate: (random) => plainValue(random, 0) },
  port: { codec: e.port, generate: unsigned(16) },
  ipv4: { codec: e.ipv4, generate: (random) => v4(random).host },
  ipv6: { codec: e.ipv6, generate: (random) => v6(random).host },
  ip: { codec: e.ip, generate: (random) => random.pick([v4, v6])(random).host },
  ipv4Address: { codec: e.ipv4Address, generate: v4 },
  ipv6Address: { codec: e.ipv6Address, generate: v6 },
  ipAddress: {
    codec: e.ipAddress,
    generate: (random) => random.pick([v4, v6])(random),
  },
  dhtAddress: {
    codec: e.dhtAddress,
    generate: (random) => ({
      publicKey: random.bytes(32),
      nodes: random.below(3) === 0 ? undefined : random.list(3, () => v4(random)),
    }),
  },
  ...Object.fromEntries(bitfields),
  "raw.buffer": { codec: e.raw.buffer, generate: bytes },
  "raw.binary": { codec: e.raw.binary, generate: bytes },
  "raw.arrayBuffer": {
    codec: e.raw.arrayBuffer,
    generate: (random) => random.bytes(random.below(20)).buffer,
  },
  "raw.string": { codec: e.raw.string, generate: text },
  "raw.ascii": { codec: e.raw.ascii, generate: asciiText },
  "raw.hex": { codec: e.raw.hex, generate: hexText },
  "raw.base64": { codec: e.raw.base64, generate: base64Text },
  "raw.utf16le": { codec: e.raw.utf16le, generate: text },
  "raw.json": { codec: e.raw.json, generate: jsonValue },
  "raw.ndjson": { codec: e.raw.ndjson, generate: jsonValue },
  ...Object.fromEntries(
    Object.entries(typedArrays).map((
      [name, [, codec, generate]],
    ) => [`raw.${name}`, { codec, generate }]),
  ),
  "raw.array(int)": {
    codec: e.raw.array(e.int),
    generate: (random) => random.list(9, () => random.uint(52)),
  },
};
