/**
 * The work of `tests/bench/secret_stream_bench.ts` with the reference: an in-memory pair, both ends on one thread.
 *
 *     node bench_secret_stream.mjs [--quick]
 */
import NoiseSecretStream from "@hyperswarm/secret-stream";
import { Duplex } from "streamx";

const quick = process.argv.includes("--quick");
const keyPairs = [1, 2].map((n) => NoiseSecretStream.keyPair(Buffer.alloc(32, n)));

/** Two raw streams, each of which gets what the other is given; no queue beyond those of streamx. */
function rawPair() {
  const make = () =>
    new Duplex({
      write(chunk, done) {
        if (this.peer.push(chunk)) done(null);
        else this.peer.onRead = done;
      },
      read(done) {
        const waiting = this.onRead;
        this.onRead = null;
        if (waiting) waiting(null);
        done(null);
      },
      final(done) {
        this.peer.push(null);
        done(null);
      },
    });
  const [a, b] = [make(), make()];
  [a.peer, b.peer, a.onRead, b.onRead] = [b, a, null, null];
  return [a, b];
}

async function openPair(pattern) {
  const [near, far] = rawPair();
  const server = new NoiseSecretStream(false, far, { pattern, keyPair: keyPairs[1] });
  const client = new NoiseSecretStream(true, near, {
    pattern,
    keyPair: keyPairs[0],
    remotePublicKey: keyPairs[1].publicKey,
  });
  await Promise.all([client.opened, server.opened]);
  return { client, server };
}

/** FNV-1a over bytes, continued from `hash`. */
function fnv(hash, bytes) {
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

function report(name, unit, rates, hash) {
  rates.sort((a, b) => a - b);
  const value = Number(rates[rates.length >> 1].toPrecision(4));
  console.log(JSON.stringify({ case: name, unit, value, hash: hash.toString(16).padStart(8, "0") }));
}

async function messages(label, size, count) {
  const { client, server } = await openPair("XX");
  let received = 0;
  let hash = 0;
  let done;
  server.on("data", (chunk) => {
    hash = fnv(hash, chunk.subarray(0, 8));
    if (++received % count === 0) done();
  });
  const rates = [];
  for (let run = 0; run < (quick ? 1 : 8); run++) {
    hash = 0;
    const finished = new Promise((resolve) => done = resolve);
    const start = performance.now();
    for (let i = 0; i < count; i++) {
      const body = client.alloc(size);
      body.fill(i & 255, 0, 8);
      if (!client.write(body)) await new Promise((resolve) => client.once("drain", resolve));
    }
    await finished;
    const seconds = (performance.now() - start) / 1000;
    if (quick || run >= 3) rates.push(count * size / 1e6 / seconds);
  }
  report(`messages of ${label}`, "MB/s", rates, hash);
  client.destroy();
  server.destroy();
}

async function handshakes(pattern, count) {
  const rates = [];
  let hash = 0;
  for (let run = 0; run < (quick ? 1 : 8); run++) {
    hash = 0;
    const start = performance.now();
    for (let i = 0; i < count; i++) {
      const { client, server } = await openPair(pattern);
      hash = fnv(hash, server.remotePublicKey.subarray(0, 8));
      client.destroy();
      server.destroy();
    }
    const seconds = (performance.now() - start) / 1000;
    if (quick || run >= 3) rates.push(count / seconds);
  }
  report(`handshake ${pattern}`, "op/s", rates, hash);
}

const scale = quick ? 1 : 100;
await messages("100 B", 100, 500 * scale);
await messages("1 KiB", 1024, 300 * scale);
await messages("64 KiB", 65536, 20 * scale);
await handshakes("XX", Math.ceil(scale * 2));
await handshakes("IK", Math.ceil(scale * 2));
