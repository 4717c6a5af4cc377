/**
 * The codecs on what they do all day: DHT requests and varints. `interop/reference/bench_codec.mjs` does the same work
 * with the reference; equal hashes prove that it is the same.
 *
 *     deno run -A tests/bench/codec_bench.ts [--quick] [--case NAME]
 *
 * Each case runs in a process of its own, because what the compiler has seen in one changes what it makes of the next. Programs
 * are not that pure: what is left when all kinds of messages go through the same codecs is the case "six kinds of messages".
 */
import { spawnSync } from "node:child_process";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import {
  array,
  buffer,
  type Codec,
  Cursor,
  decode,
  encode,
  fixed32,
  frame,
  ipv4Address,
  Slab,
  SocketAddress,
  string,
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

/** The work of a case. */
interface Work {
  /** How much a pass does, in the unit of the case. */
  readonly operations: number;
  /** What the work is about, for the hash. */
  readonly bytes: readonly Uint8Array[];
  /** Does the work once and returns a sum of what came out. */
  pass(): number;
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

/**
 * Takes the median of nine timed runs of many passes, after four that give the compiler time. A pass is short, so that it is
 * compiled as a function: code that is compiled in the midst of a long loop is thrown away at its end, again and again.
 */
function measure({ operations, bytes, pass }: Work, quick: boolean): Measurement {
  const [warmUps, runs, passes] = quick ? [0, 1, 1] : [4, 9, 500];
  const rates: number[] = [];
  let sum = 0;
  for (let run = 0; run < warmUps + runs; run++) {
    const start = performance.now();
    for (let i = 0; i < passes; i++) sum = pass();
    const elapsed = performance.now() - start;
    if (run >= warmUps) rates.push(passes * operations * 1000 / elapsed);
  }
  rates.sort((a, b) => a - b);
  const hash = (bytes.reduce(fnv, 0x811c9dc5) ^ sum) >>> 0;
  return { value: Math.round(rates[runs >> 1]!), hash: hash.toString(16).padStart(8, "0") };
}

type Part = "encode and decode" | "encode" | "decode";

function requestWork(nodeCount: number, part: Part): Work {
  const next = lcg(1);
  const requests = Array.from({ length: 64 }, () => makeRequest(next, nodeCount));
  const encoded = requests.map((value) => encode(request, value));
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
  const bodies: Record<Part, (index: number) => number> = {
    "encode and decode": (i) => decodeOne(encodeOne(requests[i]!)),
    "encode": (i) => encodeOne(requests[i]!).length,
    "decode": (i) => decodeOne(encoded[i]!),
  };
  const body = bodies[part];
  function pass(): number {
    let sum = 0;
    for (let i = 0; i < requests.length; i++) sum = (sum + body(i)) | 0;
    return sum;
  }
  return { operations: requests.length, bytes: encoded, pass };
}

/** Messages that take turns, so that no place in the code sees only one codec; each is written and read back. */
function mixedWork(): Work {
  const next = lcg(3);
  const list = <T>(make: () => T) => Array.from({ length: 10 }, make);
  const messages: { codec: Codec<unknown>; value: unknown }[] = list(() => [
    { codec: request, value: makeRequest(next, 20) },
    { codec: frame(request), value: makeRequest(next, 1) },
    { codec: array(uint), value: list(() => makeUint(next)) },
    { codec: array(string), value: list(() => next().toString(16)) },
    { codec: array(fixed32), value: list(() => makeBytes(next, 32)) },
    { codec: frame(buffer), value: makeBytes(next, 200) },
  ]).flat();
  const slab = new Slab();
  function pass(): number {
    let sum = 0;
    for (let i = 0; i < messages.length; i++) {
      const { codec, value } = messages[i]!;
      const bytes = encode(codec, value, slab);
      sum += bytes.length + (decode(codec, bytes) === undefined ? 1 : 0);
    }
    return sum;
  }
  const bytes = messages.map(({ codec, value }) => encode(codec, decode(codec, encode(codec, value))));
  return { operations: messages.length, bytes, pass };
}

/** An integer of any size up to 42 bits, each size about as likely as the others. */
function makeUint(next: () => number): number {
  const value = next() >>> (next() >>> 27);
  return next() >>> 30 === 0 ? value * 1024 : value;
}

/**
 * Writes and reads back 100 values, one after the other in one buffer, then the next 100. The codec is in a variable, as `array`
 * has it: V8 looks up an import anew each time, which costs as much as a byte (Node 22: 260 instead of 383 million values/s).
 */
function varintWork(codec: Codec<number>, make: (next: () => number) => number): Work {
  const next = lcg(2);
  const groups = Array.from({ length: 100 }, () => {
    const values = Array.from({ length: 100 }, () => make(next));
    return { values, bytes: new Uint8Array(values.reduce((sum, value) => sum + codec.size(value), 0)) };
  });
  function writeAndRead(values: readonly number[], bytes: Uint8Array): number {
    const cursor = new Cursor(bytes);
    for (let i = 0; i < values.length; i++) codec.encode(cursor, values[i]!);
    cursor.start = 0;
    let sum = 0;
    for (let i = 0; i < values.length; i++) sum = (sum + codec.decode(cursor)) | 0;
    return sum;
  }
  function pass(): number {
    let sum = 0;
    for (let i = 0; i < groups.length; i++) {
      const { values, bytes } = groups[i]!;
      sum = (sum + writeAndRead(values, bytes)) | 0;
    }
    return sum;
  }
  return { operations: 10_000, bytes: groups.map(({ bytes }) => bytes), pass };
}

/** The cases; `quick` makes each so short that it only shows that it still works. */
export function bench(options: { quick: boolean }): BenchCase[] {
  function one(name: string, unit: string, prepare: () => Work): BenchCase {
    return { case: name, unit, run: () => measure(prepare(), options.quick) };
  }
  const parts: readonly Part[] = ["encode and decode", "encode", "decode"];
  return [
    ...[20, 1].flatMap((nodeCount) =>
      parts.map((part) =>
        one(`request, ${nodeCount} nodes: ${part}`, "op/s", () => requestWork(nodeCount, part))
      )
    ),
    one("six kinds of messages", "op/s", mixedWork),
    one("varint, 1 to 9 bytes", "value/s", () => varintWork(uint, makeUint)),
    // `| 0` because V8 would keep what comes out of `%` as floating-point numbers.
    one("varint, 1 byte", "value/s", () => varintWork(uint, (next) => next() % 0xfd | 0)),
  ];
}

/** Runs one case in a process of its own, which prints what it measured. */
function runApart(name: string): void {
  const runtime = "Deno" in globalThis ? ["run", "-A", "--quiet"] : process.execArgv;
  const args = [...runtime, fileURLToPath(import.meta.url), ...process.argv.slice(2), "--case", name];
  const { status } = spawnSync(process.execPath, args, { stdio: "inherit" });
  if (status !== 0) throw new Error(`The case "${name}" failed`);
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = parseArgs({
    options: { quick: { type: "boolean", default: false }, case: { type: "string" } },
  });
  for (const { case: name, unit, run } of bench({ quick: values.quick })) {
    if (values.case === undefined) runApart(name);
    else if (values.case === name) console.log(JSON.stringify({ case: name, unit, ...run() }));
  }
}
