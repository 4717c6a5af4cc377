// Records tests/vectors/encoding.json: node tests/interop/reference/record_encoding.mjs
import { readFileSync, writeFileSync } from "node:fs";
import bogon from "bogon";
import c from "compact-encoding";
import id from "hypercore-id-encoding";
import hyperdhtAddress from "hyperdht-address";
import z32 from "z32";
import { codecs, tag } from "./encoding_codecs.mjs";

const uints = (bits) => [...new Set([0, 1, 2 ** (bits - 1), 2 ** bits - 1])];
const ints = (
  bits,
) => [0, -1, 1, -2, 63, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
const key = Uint8Array.from({ length: 32 }, (_, i) => i * 7);
const texts = [
  "",
  "hypha",
  "ünï €",
  "😀 \u0000",
  "\ud800",
  "\ufeffx",
  "x".repeat(253),
];
const plain = {
  a: null,
  b: [true, false, 0, 252, 253, 2 ** 53 - 1, -1, -(2 ** 52), 0.5, -0.5, [
    "deep",
    [[]],
  ]],
  c: new Uint8Array([1, 2]),
  "": new Date(1e12),
  é: { nested: { "0": "zero" } },
};
const v4 = [["0.0.0.0", 0], ["127.0.0.1", 49737], ["255.254.253.252", 65535]]
  .map(([host, port]) => ({ host, port }));
const v6 = [["::", 0], ["::1", 49737], ["2001:db8::8a2e:370:7334", 65535], [
  "fe80:1:0:0:2:3:4:5",
  1,
]]
  .map(([host, port]) => ({ host, port }));
const arrays = {
  uint8Array: new Uint8Array([0, 1, 255]),
  int8Array: new Int8Array([0, -1, -128]),
  uint16Array: new Uint16Array([0, 258, 65535]),
  int16Array: new Int16Array([0, 258, -2]),
  uint32Array: new Uint32Array([0, 0x01020304]),
  int32Array: new Int32Array([-1, 0x01020304]),
  bigUint64Array: new BigUint64Array([0n, 0x0102030405060708n]),
  bigInt64Array: new BigInt64Array([-1n, 0x0102030405060708n]),
  float32Array: new Float32Array([0, -1.5, Infinity]),
  float64Array: new Float64Array([0, -1.5, Math.PI]),
};

const values = {
  uint: [
    0,
    1,
    0xfc,
    0xfd,
    0xfe,
    0xff,
    0x100,
    0xffff,
    0x10000,
    0xffffffff,
    0x100000000,
    2 ** 53 - 1,
  ],
  ...Object.fromEntries(
    [8, 16, 24, 32, 40, 48].map((bits) => [`uint${bits}`, uints(bits)]),
  ),
  ...Object.fromEntries([56, 64].map((bits) => [`uint${bits}`, uints(53)])),
  uint32be: uints(32),
  uint64be: [...uints(53), 0x0102030405060],
  int: [...ints(53), 126, 127, -126, -127],
  ...Object.fromEntries(
    [8, 16, 24, 32, 40, 48].map((bits) => [`int${bits}`, ints(bits)]),
  ),
  int56: ints(53),
  int64: ints(53),
  biguint64: [0n, 1n, 2n ** 64n - 1n],
  bigint64: [0n, -1n, 1n, 2n ** 63n - 1n, -(2n ** 63n)],
  biguint: [0n, 1n, 2n ** 64n - 1n, 2n ** 64n, 2n ** 200n + 3n],
  bigint: [0n, -1n, 1n, -(2n ** 64n), 2n ** 130n],
  lexint: [
    0,
    250,
    251,
    255,
    256,
    65535,
    65536,
    2 ** 24 - 1,
    2 ** 24,
    2 ** 32 - 1,
    2 ** 32 + 251,
    2 ** 44 - 1,
    2 ** 44 + 251,
  ],
  float32: [0, -0, 1.5, -Infinity],
  float64: [0, -0, 0.1, Infinity, NaN],
  buffer: [
    new Uint8Array(0),
    new Uint8Array([1, 2, 3]),
    new Uint8Array(253).fill(7),
  ],
  optionalBuffer: [null, new Uint8Array([1])],
  binary: [new Uint8Array([1, 2, 3])],
  arrayBuffer: [new Uint8Array([1, 2, 3]).buffer],
  bitarray: [[], [true], [
    true,
    false,
    false,
    false,
    false,
    false,
    false,
    true,
    true,
  ], Array(16).fill(true)],
  ...Object.fromEntries(
    Object.entries(arrays).flatMap((
      [name, array],
    ) => [[name, [array, array.subarray(1)]], [`raw.${name}`, [array]]]),
  ),
  string: texts,
  ascii: ["", "hypha"],
  hex: ["", "00ff7a"],
  base64: ["", "AA==", "AAE=", "AAEC", "+/+/"],
  utf16le: texts,
  "string.fixed(8)": ["12345678"],
  "hex.fixed(4)": ["01020304"],
  bool: [true, false],
  "fixed(5)": [new Uint8Array([1, 2, 3, 4, 5])],
  fixed32: [key],
  fixed64: [new Uint8Array(64).fill(9)],
  "array(uint)": [[], [1, 253, 70000]],
  "array(string)": [["a", "", "b"]],
  "raw.array(int)": [[], [1, -253, 70000]],
  "frame(uint)": [0, 253],
  "frame(raw.buffer)": [new Uint8Array([5, 6])],
  "frame(array(string))": [["a", "b".repeat(300)]],
  "record(string, uint)": [{}, { a: 1, b: 253 }],
  stringRecord: [{ a: "b", "": "c" }],
  date: [new Date(0), new Date(1e12), new Date(-1)],
  json: [null, 1, "é", { a: [1, { b: false }] }],
  ndjson: [{ a: 1 }],
  none: [null],
  any: [
    null,
    true,
    "text",
    new Uint8Array([1]),
    1,
    -1,
    0.5,
    [],
    {},
    new Date(5),
    plain,
  ],
  port: [0, 49737, 65535],
  ipv4: v4.map(({ host }) => host),
  ipv6: v6.map(({ host }) => host),
  ip: [...v4, ...v6].map(({ host }) => host),
  ipv4Address: v4,
  ipv6Address: v6,
  ipAddress: [...v4, ...v6],
  "bitfield(0)": [0],
  "bitfield(7)": [0, 0x7f],
  "bitfield(8)": [0x81],
  "bitfield(12)": [0x801],
  "bitfield(16)": [0x8001],
  "bitfield(24)": [0x800001],
  "bitfield(32)": [0x80000001],
  "bitfield(33)": [0x100000001],
  "bitfield(64)": [0x10000000000001],
  "raw.buffer": [new Uint8Array([1, 2, 3])],
  "raw.binary": [new Uint8Array([1, 2, 3])],
  "raw.arrayBuffer": [new Uint8Array([1, 2, 3]).buffer],
  "raw.string": texts,
  "raw.ascii": ["hypha"],
  "raw.hex": ["00ff7a"],
  "raw.base64": ["AAE="],
  "raw.utf16le": ["hypha"],
  "raw.json": [{ a: 1 }],
  "raw.ndjson": [{ a: 1 }],
};

const hex = (bytes) => Buffer.from(bytes).toString("hex");
const vectors = {};
for (const [name, list] of Object.entries(values)) {
  vectors[name] = list.map((value) => {
    const bytes = c.encode(codecs[name], value);
    return {
      value: tag(value),
      hex: hex(bytes),
      decoded: tag(c.decode(codecs[name], bytes)),
    };
  });
}
for (const list of Object.values(vectors)) {
  for (const vector of list) {
    if (JSON.stringify(vector.decoded) === JSON.stringify(vector.value)) {
      delete vector.decoded;
    }
  }
}

vectors.dhtAddress = [
  { publicKey: key, nodes: undefined },
  { publicKey: key, nodes: [] },
  { publicKey: key, nodes: v4 },
].map((value) => ({
  value: tag(value),
  hex: hex(hyperdhtAddress.encode(value.publicKey, value.nodes)),
}));

const z = id.encode(Buffer.from(key));
const links = [
  z,
  hex(key),
  hex(key).toUpperCase(),
  `pear://${z}`,
  `pear://${z}/a/b`,
  `pear://${hex(key)}`,
];
const keys = {
  hex: hex(key),
  zbase32: z,
  accepted: links.filter((link) => id.isValid(link)),
};
const zbase32 = Array.from({ length: 12 }, (_, n) => key.subarray(1, 1 + n))
  .map((b) => [hex(b), z32.encode(b)]);

const hosts =
  ("0.1.2.3 1.1.1.1 10.0.0.1 9.255.255.255 11.0.0.0 100.63.255.255 100.64.0.0 100.127.255.255 100.128.0.0 " +
    "126.255.255.255 127.0.0.1 128.0.0.0 169.253.0.1 169.254.0.1 169.255.0.1 172.15.255.255 172.16.0.0 172.31.255.255 " +
    "172.32.0.0 192.0.0.1 192.0.1.0 192.0.2.1 192.0.3.0 192.167.0.1 192.168.0.1 192.169.0.1 198.17.255.255 198.18.0.0 " +
    "198.19.255.255 198.20.0.0 198.51.99.1 198.51.100.1 198.51.101.1 203.0.112.1 203.0.113.1 203.0.114.1 223.255.255.255 " +
    "224.0.0.1 239.255.255.255 240.0.0.0 255.255.255.255").split(" ");
const networks = hosts.map((
  host,
) => [host, bogon.isPrivate(host), bogon.isReserved(host)]);

const packages = [
  "compact-encoding",
  "compact-encoding-bitfield",
  "compact-encoding-net",
  "hypercore-id-encoding",
  "hyperdht-address",
  "bogon",
  "z32",
];
const versions = Object.fromEntries(packages.map((name) => {
  const url = new URL(`./node_modules/${name}/package.json`, import.meta.url);
  return [name, JSON.parse(readFileSync(url, "utf8")).version];
}));
const file = new URL("../../vectors/encoding.json", import.meta.url);
writeFileSync(
  file,
  JSON.stringify({ versions, vectors, keys, zbase32, networks }, null, 1) +
    "\n",
);
