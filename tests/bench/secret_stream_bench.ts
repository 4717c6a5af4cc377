/**
 * Secret streams over a pipe in memory, both ends on one thread. `interop/reference/bench_secret_stream.mjs` does the same work
 * with the reference; equal hashes prove that it is the same.
 *
 *     deno run -A tests/bench/secret_stream_bench.ts [--quick] [--provider native|wasm]
 */
import process from "node:process";
import { pathToFileURL } from "node:url";
import { loadCryptoProvider } from "../../core/crypto/provider.ts";
import type { CryptoProvider } from "../../core/runtime/crypto_provider.ts";
import type { Runtime } from "../../core/runtime/runtime.ts";
import { SystemClock, SystemRandom } from "../../core/runtime/system.ts";
import type { Sink } from "../../core/stream/duplex.ts";
import { duplexPair } from "../../core/stream/duplex_pair.ts";
import { SecretStream } from "../../core/stream/secret_stream.ts";

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
  run(): Measurement | Promise<Measurement>;
}

const IDLE_SINK: Sink = { onData() {}, onDrain() {}, onEnd() {}, onClose() {} };

function openPair(
  runtime: Runtime,
  pattern: "XX" | "IK",
  sink: Sink,
): { client: SecretStream; server: SecretStream } {
  const [near, far] = duplexPair();
  const [clientKeys, serverKeys] = KEY_SEEDS.map((seed) => runtime.crypto.keyPair(seed));
  const server = new SecretStream(far, runtime, { isInitiator: false, keyPair: serverKeys!, pattern });
  const client = new SecretStream(near, runtime, {
    isInitiator: true,
    keyPair: clientKeys!,
    pattern,
    remotePublicKey: serverKeys!.publicKey,
  });
  server.attach(sink);
  client.attach(IDLE_SINK);
  server.start();
  client.start();
  return { client, server };
}

const KEY_SEEDS = [1, 2].map((n) => new Uint8Array(32).fill(n));

/** FNV-1a over bytes, continued from `hash`. */
function fnv(hash: number, bytes: Uint8Array): number {
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

function measurement(rates: number[], hash: number): Measurement {
  rates.sort((a, b) => a - b);
  const value = Number(rates[rates.length >> 1]!.toPrecision(4));
  return { value, hash: hash.toString(16).padStart(8, "0") };
}

function runMessages(runtime: Runtime, size: number, count: number, quick: boolean): Measurement {
  let hash = 0;
  const { client } = openPair(runtime, "XX", {
    ...IDLE_SINK,
    onData: (chunk) => hash = fnv(hash, chunk.subarray(0, 8)),
  });
  const rates: number[] = [];
  for (let run = 0; run < (quick ? 1 : 8); run++) {
    hash = 0;
    const start = performance.now();
    for (let i = 0; i < count; i++) {
      const body = client.alloc(size);
      body.fill(i & 255, 0, 8);
      client.write(body);
    }
    const seconds = (performance.now() - start) / 1000;
    if (quick || run >= 3) rates.push(count * size / 1e6 / seconds);
  }
  client.destroy();
  return measurement(rates, hash);
}

function runHandshakes(runtime: Runtime, pattern: "XX" | "IK", count: number, quick: boolean): Measurement {
  const rates: number[] = [];
  let hash = 0;
  for (let run = 0; run < (quick ? 1 : 8); run++) {
    hash = 0;
    const start = performance.now();
    for (let i = 0; i < count; i++) {
      const { client, server } = openPair(runtime, pattern, IDLE_SINK);
      hash = fnv(hash, server.session!.remotePublicKey.subarray(0, 8));
      client.destroy();
    }
    const seconds = (performance.now() - start) / 1000;
    if (quick || run >= 3) rates.push(count / seconds);
  }
  return measurement(rates, hash);
}

function casesOf(crypto: CryptoProvider, suffix: string, quick: boolean): BenchCase[] {
  const runtime = { clock: new SystemClock(), random: new SystemRandom(), crypto };
  const scale = quick ? 1 : 100;
  const messages = (label: string, size: number, count: number): BenchCase => ({
    case: `messages of ${label}${suffix}`,
    unit: "MB/s",
    run: () => runMessages(runtime, size, count * scale, quick),
  });
  const handshakes = (pattern: "XX" | "IK"): BenchCase => ({
    case: `handshake ${pattern}${suffix}`,
    unit: "op/s",
    run: () => runHandshakes(runtime, pattern, 2 * scale, quick),
  });
  return [
    messages("100 B", 100, 500),
    messages("1 KiB", 1024, 300),
    messages("64 KiB", 65536, 20),
    handshakes("XX"),
    handshakes("IK"),
  ];
}

/** The cases; `quick` makes each so short that it only shows that it still works. */
export async function bench(
  options: { quick: boolean; provider?: string | undefined },
): Promise<BenchCase[]> {
  const best = await loadCryptoProvider();
  const wasm = await loadCryptoProvider({ prefer: "wasm" });
  const wanted = options.provider;
  return [
    ...(wanted === "wasm" || best === wasm ? [] : casesOf(best, "", options.quick)),
    ...(wanted === "native" ? [] : casesOf(wasm, best === wasm ? "" : " (wasm)", options.quick)),
  ];
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const at = process.argv.indexOf("--provider");
  const provider = at === -1 ? undefined : process.argv[at + 1];
  for (
    const { case: name, unit, run } of await bench({ quick: process.argv.includes("--quick"), provider })
  ) {
    console.log(JSON.stringify({ case: name, unit, ...await run() }));
  }
}
