/**
 * The codecs on what they do all day: DHT requests and varints. `interop/reference/bench_codec.mjs` does the same work
 * with the reference; equal hashes prove that it is the same.
 *
 *     deno run -A tests/bench/codec_bench.ts [--quick]
 */
import process from "node:process";
import { pathToFileURL } from "node:url";
import {
  array,
  buffer,
  type Codec,
  Cursor,
  fixed32,
  ipv4Address,
  Slab,
  SocketAddress,
  uint,
  uint16,
  uint8,
} from "../../encoding/mod.ts";

/** What one case measured. */
export interface Measurement {
  /** The figure, in the unit of the case. */
  readonly value: number;
  /** A digest of the work done, to compare with others and to keep it from being optimised away. */
  readonly hash: string;
}

/** One thing to measure. */
export interface BenchCase {
  readonly case: string;
  readonly unit: string;
  run(): Measurement;
}

interface Request {
  readonly tid: number;
  readonly to: SocketAddress;
  readonly id: Uint8Array;
  readonly token: Uint8Array;
  readonly command: number;
  readonly target: Uint8Array;
  readonly closerNodes: readonly SocketAddress[];
  readonly value: Uint8Array;
}

const addresses = array(ipv4Address);

/** All that a request or a reply of the DHT can hold; with 20 nodes and 100 bytes of value it takes 329 bytes. */
const request: Codec<Request> = {
  size: ({ command, closerNodes, value }) =>
    106 + uint.size(command) + addresses.size(closerNodes) + buffer.size(value),
  encode(cursor: Cursor, request: Request): void {
    uint8.encode(cursor, 0x03);
    uint8.encode(cursor, 0x1f);
    uint16.encode(cursor, request.tid);
    ipv4Address.encode(cursor, request.to);
    fixed32.encode(cursor, request.id);
    fixed32.encode(cursor, request.token);
    uint.encode(cursor, request.command);
    fixed32.encode(cursor, request.target);
    addresses.encode(cursor, request.closerNodes);
    buffer.encode(cursor, request.value);
  },
  decode(cursor: Cursor): Request {
    uint8.decode(cursor);
    uint8.decode(cursor);
    return {
      tid: uint16.decode(cursor),
      to: ipv4Address.decode(cursor),
      id: fixed32.decode(cursor),
      token: fixed32.decode(cursor),
      command: uint.decode(cursor),
      target: fixed32.decode(cursor),
      closerNodes: addresses.decode(cursor),
      value: buffer.decode(cursor),
    };
  },
};

/** A linear congruential generator (Numerical Recipes), the same in the reference's benchmark. */
function lcg(seed: number): () => number {
  let state = seed;
  return () => state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
}

function makeBytes(next: () => number, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, () => next() >>> 24);
}

function makeRequest(next: () => number, nodeCount: number): Request {
  const address = () => SocketAddress.v4(next(), next() >>> 16);
  return {
    tid: next() >>> 16,
    to: address(),
    id: makeBytes(next, 32),
    token: makeBytes(next, 32),
    command: next() >>> 29,
    target: makeBytes(next, 32),
    closerNodes: Array.from({ length: nodeCount }, address),
    value: makeBytes(next, 100),
  };
}

/** FNV-1a over bytes, continued from `hash`. */
function fnv(hash: number, bytes: Uint8Array): number {
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** Runs `work` until it is compiled, then takes the median of five timed runs; `operations` per call of `work`. */
function measure(operations: number, quick: boolean, work: () => number): Measurement {
  const rates: number[] = [];
  let hash = 0;
  for (let run = 0; run < (quick ? 1 : 8); run++) {
    const start = performance.now();
    hash = work();
    const elapsed = performance.now() - start;
    if (quick || run >= 3) rates.push(operations * 1000 / elapsed);
  }
  rates.sort((a, b) => a - b);
  return { value: Math.round(rates[rates.length >> 1]!), hash: hash.toString(16).padStart(8, "0") };
}

function requestCases(quick: boolean, nodeCount: number): BenchCase[] {
  const next = lcg(1);
  const requests = Array.from({ length: 64 }, () => makeRequest(next, nodeCount));
  const encoded = requests.map((value) => {
    const bytes = new Uint8Array(request.size(value));
    request.encode(new Cursor(bytes), value);
    return bytes;
  });
  const hash = encoded.reduce(fnv, 0x811c9dc5);
  const rounds = quick ? 10 : 1000;

  const slab = new Slab();
  function encodeOne(value: Request): Uint8Array {
    const bytes = slab.alloc(request.size(value));
    request.encode(new Cursor(bytes), value);
    return bytes;
  }
  function decodeOne(bytes: Uint8Array): number {
    const { tid, closerNodes, value } = request.decode(new Cursor(bytes));
    return tid + closerNodes.length + closerNodes[closerNodes.length - 1]!.port + value.length;
  }
  function loop(body: (index: number) => number): () => number {
    return () => {
      let sum = 0;
      for (let round = 0; round < rounds; round++) {
        for (let i = 0; i < requests.length; i++) sum = (sum + body(i)) >>> 0;
      }
      return (sum ^ hash) >>> 0;
    };
  }
  function caseOf(name: string, body: (index: number) => number): BenchCase {
    const run = () => measure(rounds * requests.length, quick, loop(body));
    return { case: `request, ${nodeCount} nodes: ${name}`, unit: "op/s", run };
  }
  return [
    caseOf("encode and decode", (i) => decodeOne(encodeOne(requests[i]!))),
    caseOf("encode", (i) => encodeOne(requests[i]!).length),
    caseOf("decode", (i) => decodeOne(encoded[i]!)),
  ];
}

/** Writes and reads `values` back, one after the other in one buffer. */
function varintCase(name: string, quick: boolean, values: readonly number[]): BenchCase {
  const bytes = new Uint8Array(values.reduce((sum, value) => sum + uint.size(value), 0));
  const rounds = quick ? 1 : 300;
  function work(): number {
    let sum = 0;
    for (let round = 0; round < rounds; round++) {
      const cursor = new Cursor(bytes);
      for (const value of values) uint.encode(cursor, value);
      cursor.start = 0;
      for (let i = 0; i < values.length; i++) sum = (sum + uint.decode(cursor)) >>> 0;
    }
    return fnv(sum, bytes);
  }
  return {
    case: `varint, ${name}`,
    unit: "value/s",
    run: () => measure(rounds * values.length, quick, work),
  };
}

/** The cases; `quick` makes each so short that it only shows that it still works. */
export function bench(options: { quick: boolean }): Promise<BenchCase[]> {
  const { quick } = options;
  const next = lcg(2);
  const mixed = Array.from({ length: 10_000 }, () => {
    const value = next() >>> (next() >>> 27);
    return next() >>> 30 === 0 ? value * 1024 : value;
  });
  const small = Array.from({ length: 10_000 }, () => next() % 0xfd);
  return Promise.resolve([
    ...requestCases(quick, 20),
    ...requestCases(quick, 1),
    varintCase("1 to 9 bytes", quick, mixed),
    varintCase("1 byte", quick, small),
  ]);
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  for (const { case: name, unit, run } of await bench({ quick: process.argv.includes("--quick") })) {
    console.log(JSON.stringify({ case: name, unit, ...run() }));
  }
}
