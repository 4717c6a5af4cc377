// The work of tests/bench/codec_bench.ts, done by compact-encoding. Prints the same JSON lines; equal hashes = equal work.
// There is told why each case runs in a process of its own.
//
//     node tests/interop/reference/bench_codec.mjs [--quick] [--case NAME]       deno run -A ... as well
import { spawnSync } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import c from "compact-encoding";

const { values: options } = parseArgs({
  options: { quick: { type: "boolean", default: false }, case: { type: "string" } },
});

const addresses = c.array(c.ipv4Address);

const request = {
  preencode(state, m) {
    state.end += 2;
    c.uint16.preencode(state, m.tid);
    c.ipv4Address.preencode(state, m.to);
    c.fixed32.preencode(state, m.id);
    c.fixed32.preencode(state, m.token);
    c.uint.preencode(state, m.command);
    c.fixed32.preencode(state, m.target);
    addresses.preencode(state, m.closerNodes);
    c.buffer.preencode(state, m.value);
  },
  encode(state, m) {
    c.uint8.encode(state, 0x03);
    c.uint8.encode(state, 0x1f);
    c.uint16.encode(state, m.tid);
    c.ipv4Address.encode(state, m.to);
    c.fixed32.encode(state, m.id);
    c.fixed32.encode(state, m.token);
    c.uint.encode(state, m.command);
    c.fixed32.encode(state, m.target);
    addresses.encode(state, m.closerNodes);
    c.buffer.encode(state, m.value);
  },
  decode(state) {
    c.uint8.decode(state);
    c.uint8.decode(state);
    return {
      tid: c.uint16.decode(state),
      to: c.ipv4Address.decode(state),
      id: c.fixed32.decode(state),
      token: c.fixed32.decode(state),
      command: c.uint.decode(state),
      target: c.fixed32.decode(state),
      closerNodes: addresses.decode(state),
      value: c.buffer.decode(state),
    };
  },
};

function lcg(seed) {
  let state = seed;
  return () => state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
}

function makeBytes(next, size) {
  return Uint8Array.from({ length: size }, () => next() >>> 24);
}

function makeRequest(next, nodeCount) {
  const address = () => {
    const bits = next();
    const host = `${bits >>> 24}.${bits >>> 16 & 255}.${bits >>> 8 & 255}.${bits & 255}`;
    return { host, port: next() >>> 16 };
  };
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

function fnv(hash, bytes) {
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

function measure({ operations, bytes, pass }) {
  const [warmUps, runs, passes] = options.quick ? [0, 1, 1] : [4, 9, 500];
  const rates = [];
  let sum = 0;
  for (let run = 0; run < warmUps + runs; run++) {
    const start = performance.now();
    for (let i = 0; i < passes; i++) sum = pass();
    const elapsed = performance.now() - start;
    if (run >= warmUps) rates.push(passes * operations * 1000 / elapsed);
  }
  rates.sort((a, b) => a - b);
  const hash = (bytes.reduce(fnv, 0x811c9dc5) ^ sum) >>> 0;
  return { value: Math.round(rates[runs >> 1]), hash: hash.toString(16).padStart(8, "0") };
}

function requestWork(nodeCount, part) {
  const next = lcg(1);
  const requests = Array.from({ length: 64 }, () => makeRequest(next, nodeCount));
  const encoded = requests.map((value) => c.encode(request, value));
  // c.encode takes its memory from Node's pool of buffers, the reference's own slab.
  const encodeOne = (value) => c.encode(request, value);
  const decodeOne = (bytes) => {
    const { tid, closerNodes, value } = c.decode(request, bytes);
    return tid + closerNodes.length + closerNodes[closerNodes.length - 1].port + value.length;
  };
  const body = {
    "encode and decode": (i) => decodeOne(encodeOne(requests[i])),
    "encode": (i) => encodeOne(requests[i]).length,
    "decode": (i) => decodeOne(encoded[i]),
  }[part];
  const pass = () => {
    let sum = 0;
    for (let i = 0; i < requests.length; i++) sum = (sum + body(i)) | 0;
    return sum;
  };
  return { operations: requests.length, bytes: encoded, pass };
}

function mixedWork() {
  const next = lcg(3);
  const list = (make) => Array.from({ length: 10 }, make);
  const messages = list(() => [
    { codec: request, value: makeRequest(next, 20) },
    { codec: c.frame(request), value: makeRequest(next, 1) },
    { codec: c.array(c.uint), value: list(() => makeUint(next)) },
    { codec: c.array(c.string), value: list(() => next().toString(16)) },
    { codec: c.array(c.fixed32), value: list(() => makeBytes(next, 32)) },
    { codec: c.frame(c.buffer), value: makeBytes(next, 200) },
  ]).flat();
  const pass = () => {
    let sum = 0;
    for (let i = 0; i < messages.length; i++) {
      const { codec, value } = messages[i];
      const bytes = c.encode(codec, value);
      sum += bytes.length + (c.decode(codec, bytes) === undefined ? 1 : 0);
    }
    return sum;
  };
  const bytes = messages.map(({ codec, value }) => c.encode(codec, c.decode(codec, c.encode(codec, value))));
  return { operations: messages.length, bytes, pass };
}

function makeUint(next) {
  const value = next() >>> (next() >>> 27);
  return next() >>> 30 === 0 ? value * 1024 : value;
}

function varintWork(codec, make) {
  const next = lcg(2);
  const groups = Array.from({ length: 100 }, () => {
    const values = Array.from({ length: 100 }, () => make(next));
    const sizes = c.state();
    for (const value of values) codec.preencode(sizes, value);
    return { values, bytes: new Uint8Array(sizes.end) };
  });
  const writeAndRead = (values, bytes) => {
    const state = c.state(0, bytes.length, bytes);
    for (let i = 0; i < values.length; i++) codec.encode(state, values[i]);
    state.start = 0;
    let sum = 0;
    for (let i = 0; i < values.length; i++) sum = (sum + codec.decode(state)) | 0;
    return sum;
  };
  const pass = () => {
    let sum = 0;
    for (let i = 0; i < groups.length; i++) {
      const { values, bytes } = groups[i];
      sum = (sum + writeAndRead(values, bytes)) | 0;
    }
    return sum;
  };
  return { operations: 10_000, bytes: groups.map(({ bytes }) => bytes), pass };
}

const requestCases = [20, 1].flatMap((nodeCount) =>
  ["encode and decode", "encode", "decode"].map((part) => ({
    name: `request, ${nodeCount} nodes: ${part}`,
    unit: "op/s",
    prepare: () => requestWork(nodeCount, part),
  }))
);
const cases = [
  ...requestCases,
  { name: "six kinds of messages", unit: "op/s", prepare: mixedWork },
  { name: "varint, 1 to 9 bytes", unit: "value/s", prepare: () => varintWork(c.uint, makeUint) },
  { name: "varint, 1 byte", unit: "value/s", prepare: () => varintWork(c.uint, (next) => next() % 0xfd | 0) },
];

function runApart(name) {
  const runtime = "Deno" in globalThis ? ["run", "-A", "--quiet"] : process.execArgv;
  const args = [...runtime, fileURLToPath(import.meta.url), ...process.argv.slice(2), "--case", name];
  const { status } = spawnSync(process.execPath, args, { stdio: "inherit" });
  if (status !== 0) throw new Error(`The case "${name}" failed`);
}

for (const { name, unit, prepare } of cases) {
  if (options.case === undefined) runApart(name);
  else if (options.case === name) {
    console.log(JSON.stringify({ case: name, unit, ...measure(prepare()) }));
  }
}
