// The codecs of the reference under hypha's names, and values as JSON that keeps their types.
import c from "compact-encoding";
import bitfield from "compact-encoding-bitfield";
import net from "compact-encoding-net";

/** What @hyperdht/address encodes: a key, flags, and nodes if flag 1 is set; the flags may be missing. */
const dhtAddress = {
  preencode(state, m) {
    c.fixed32.preencode(state, m.publicKey);
    state.end++;
    if (m.nodes) c.array(c.ipv4Address).preencode(state, m.nodes);
  },
  encode(state, m) {
    c.fixed32.encode(state, m.publicKey);
    c.uint.encode(state, m.nodes ? 1 : 0);
    if (m.nodes) c.array(c.ipv4Address).encode(state, m.nodes);
  },
  decode(state) {
    const publicKey = c.fixed32.decode(state);
    const flags = state.start < state.end ? c.uint.decode(state) : 0;
    return { publicKey, nodes: flags & 1 ? c.array(c.ipv4Address).decode(state) : undefined };
  },
};

const plain = [
  ..."uint uint8 uint16 uint24 uint32 uint40 uint48 uint56 uint64 uint32be uint64be".split(" "),
  ..."int int8 int16 int24 int32 int40 int48 int56 int64".split(" "),
  ..."biguint64 bigint64 biguint bigint lexint float32 float64".split(" "),
  ..."buffer optionalBuffer binary bitarray string ascii hex base64 utf16le".split(" "),
  ..."bool fixed32 fixed64 date json ndjson none any stringRecord".split(" "),
];
const typedArrays = ("uint8Array int8Array uint16Array int16Array uint32Array int32Array bigUint64Array " +
  "bigInt64Array float32Array float64Array arrayBuffer").split(" ");
const rawNames = "buffer binary string ascii hex base64 utf16le json ndjson".split(" ");

export const codecs = {
  ...Object.fromEntries(plain.map((name) => [name, c[name]])),
  ...Object.fromEntries(typedArrays.map((name) => [name, c[name.toLowerCase()]])),
  ...Object.fromEntries(rawNames.map((name) => [`raw.${name}`, c.raw[name]])),
  ...Object.fromEntries(typedArrays.map((name) => [`raw.${name}`, c.raw[name.toLowerCase()]])),
  ...net,
  "fixed(5)": c.fixed(5),
  "string.fixed(8)": c.string.fixed(8),
  "hex.fixed(4)": c.hex.fixed(4),
  "array(uint)": c.array(c.uint),
  "array(string)": c.array(c.string),
  "array(none)": c.array(c.none),
  "raw.array(int)": c.raw.array(c.int),
  "frame(uint)": c.frame(c.uint),
  "frame(raw.buffer)": c.frame(c.raw.buffer),
  "frame(array(string))": c.frame(c.array(c.string)),
  "record(string, uint)": c.record(c.string, c.uint),
  ...Object.fromEntries([0, 7, 8, 12, 16, 24, 32, 33, 64].map((n) => [`bitfield(${n})`, bitfield(n)])),
  dhtAddress,
};

const toHex = (view) => Buffer.from(view.buffer, view.byteOffset, view.byteLength).toString("hex");
const fromHex = (hex) => new Uint8Array(Buffer.from(hex, "hex"));

/** A value as JSON: what JSON lacks becomes an object with one key that names its type. */
export function tag(value) {
  if (value === undefined) return { undefined: true };
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  if (typeof value === "number") {
    return Number.isFinite(value) && !Object.is(value, -0)
      ? value
      : { number: Object.is(value, -0) ? "-0" : String(value) };
  }
  if (typeof value === "bigint") return { bigint: String(value) };
  if (value instanceof Uint8Array) return { bytes: toHex(value) };
  if (ArrayBuffer.isView(value)) return { [value.constructor.name]: toHex(value) };
  if (value instanceof ArrayBuffer) return { ArrayBuffer: toHex(new Uint8Array(value)) };
  if (value instanceof Date) return { date: value.getTime() };
  if (Array.isArray(value)) return value.map(tag);
  if (typeof value.host === "string" && typeof value.port === "number") {
    return { address: [value.host, value.port] };
  }
  return { object: Object.entries(value).map(([key, element]) => [key, tag(element)]) };
}

/** The reverse of `tag`. */
export function untag(json) {
  if (json === null || typeof json !== "object") return json;
  if (Array.isArray(json)) return json.map(untag);
  const [[type, content]] = Object.entries(json);
  if (type === "undefined") return undefined;
  if (type === "number") return Number(content);
  if (type === "bigint") return BigInt(content);
  if (type === "bytes") return fromHex(content);
  if (type === "ArrayBuffer") return fromHex(content).buffer;
  if (type === "date") return new Date(content);
  if (type === "address") return { host: content[0], port: content[1] };
  if (type === "object") return Object.fromEntries(content.map(([key, element]) => [key, untag(element)]));
  return new globalThis[type](fromHex(content).buffer);
}
