// The work of tests/bench/codec_bench.ts, done by compact-encoding. Prints the same JSON lines; equal hashes = equal work.
//
//     node tests/interop/reference/bench_codec.mjs [--quick]       deno run -A ... as well
import process from "node:process";
import c from "compact-encoding";

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

const quick = process.argv.includes("--quick");

function report(name, unit, operations, work) {
  const rates = [];
  let hash = 0;
  for (let run = 0; run < (quick ? 1 : 8); run++) {
    const start = performance.now();
    hash = work();
    const elapsed = performance.now() - start;
    if (quick || run >= 3) rates.push(operations * 1000 / elapsed);
  }
  rates.sort((a, b) => a - b);
  const value = Math.round(rates[rates.length >> 1]);
  console.log(JSON.stringify({ case: name, unit, value, hash: hash.toString(16).padStart(8, "0") }));
}

function requestCases(nodeCount) {
  const next = lcg(1);
  const requests = Array.from({ length: 64 }, () => makeRequest(next, nodeCount));
  const encoded = requests.map((value) => c.encode(request, value));
  const hash = encoded.reduce(fnv, 0x811c9dc5);
  const rounds = quick ? 10 : 1000;

  // c.encode takes its memory from Node's pool of buffers, the reference's own slab.
  const encodeOne = (value) => c.encode(request, value);
  const decodeOne = (bytes) => {
    const { tid, closerNodes, value } = c.decode(request, bytes);
    return tid + closerNodes.length + closerNodes[closerNodes.length - 1].port + value.length;
  };
  const reportLoop = (name, body) =>
    report(`request, ${nodeCount} nodes: ${name}`, "op/s", rounds * requests.length, () => {
      let sum = 0;
      for (let round = 0; round < rounds; round++) {
        for (let i = 0; i < requests.length; i++) sum = (sum + body(i)) >>> 0;
      }
      return (sum ^ hash) >>> 0;
    });
  reportLoop("encode and decode", (i) => decodeOne(encodeOne(requests[i])));
  reportLoop("encode", (i) => encodeOne(requests[i]).length);
  reportLoop("decode", (i) => decodeOne(encoded[i]));
}

function varintCase(name, values) {
  const sizes = c.state();
  for (const value of values) c.uint.preencode(sizes, value);
  const bytes = new Uint8Array(sizes.end);
  const rounds = quick ? 1 : 300;
  report(`varint, ${name}`, "value/s", rounds * values.length, () => {
    let sum = 0;
    for (let round = 0; round < rounds; round++) {
      const state = c.state(0, bytes.length, bytes);
      for (const value of values) c.uint.encode(state, value);
      state.start = 0;
      for (let i = 0; i < values.length; i++) sum = (sum + c.uint.decode(state)) >>> 0;
    }
    return fnv(sum, bytes);
  });
}

requestCases(20);
requestCases(1);
const next = lcg(2);
const mixed = Array.from({ length: 10_000 }, () => {
  const value = next() >>> (next() >>> 27);
  return next() >>> 30 === 0 ? value * 1024 : value;
});
const small = Array.from({ length: 10_000 }, () => next() % 0xfd);
varintCase("1 to 9 bytes", mixed);
varintCase("1 byte", small);
