/** Values as JSON that keeps their types: the counterpart of `tests/interop/reference/encoding_codecs.mjs`. */
import { fromHex, SocketAddress, toHex } from "../../encoding/mod.ts";

function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/** A value as JSON: what JSON lacks becomes an object with one key that names its type. */
export function tag(value: unknown): unknown {
  if (value === undefined) return { undefined: true };
  if (
    value === null || typeof value === "boolean" || typeof value === "string"
  ) return value;
  if (typeof value === "number") {
    if (Object.is(value, -0)) return { number: "-0" };
    return Number.isFinite(value) ? value : { number: String(value) };
  }
  if (typeof value === "bigint") return { bigint: String(value) };
  if (value instanceof Uint8Array) return { bytes: toHex(value) };
  if (ArrayBuffer.isView(value)) {
    return { [value.constructor.name]: toHex(bytesOf(value)) };
  }
  if (value instanceof ArrayBuffer) {
    return { ArrayBuffer: toHex(new Uint8Array(value)) };
  }
  if (value instanceof Date) return { date: value.getTime() };
  if (value instanceof SocketAddress) {
    return { address: [value.host, value.port] };
  }
  if (Array.isArray(value)) return value.map(tag);
  return {
    object: Object.entries(value as object).map((
      [key, element],
    ) => [key, tag(element)]),
  };
}

/** The reverse of {@linkcode tag}. */
export function untag(json: unknown): unknown {
  if (json === null || typeof json !== "object") return json;
  if (Array.isArray(json)) return json.map(untag);
  const [type, content] = Object.entries(json)[0]!;
  if (type === "undefined") return undefined;
  if (type === "number") return Number(content);
  if (type === "bigint") return BigInt(content);
  if (type === "bytes") return fromHex(content);
  if (type === "ArrayBuffer") return fromHex(content).buffer;
  if (type === "date") return new Date(content);
  if (type === "address") return SocketAddress.of(content[0], content[1]);
  if (type === "object") {
    return Object.fromEntries(
      content.map(([key, element]: [string, unknown]) => [key, untag(element)]),
    );
  }
  const constructors = globalThis as unknown as Record<
    string,
    new (buffer: ArrayBufferLike) => unknown
  >;
  return new constructors[type]!(fromHex(content).buffer);
}
