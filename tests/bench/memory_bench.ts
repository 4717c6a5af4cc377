/**
 * What an idle encrypted connection costs: many of them, secret streams over UDX on loopback, both ends in this process, and
 * the growth of the resident memory by each pair. `interop/reference/bench_memory.mjs` does the same with the reference.
 *
 *     deno run -A tests/bench/memory_bench.ts [--quick]
 */
import process from "node:process";
import { loadCryptoProvider } from "../../core/crypto/provider.ts";
import { SystemClock, SystemRandom } from "../../core/runtime/system.ts";
import { SecretStream } from "../../core/stream/secret_stream.ts";
import { NodeUdpNetwork } from "../../transports/udp/mod.ts";
import { UdxEndpoint } from "../../transports/udx/mod.ts";

const PAIRS = process.argv.includes("--quick") ? 50 : 1500;
/** Connections that are opened at once, so that the sockets' buffers suffice. */
const AT_ONCE = 25;

const runtime = { clock: new SystemClock(), random: new SystemRandom(), crypto: await loadCryptoProvider() };
const endpoint = new UdxEndpoint(runtime, new NodeUdpNetwork());
const [near, far] = [await endpoint.bind({ host: "127.0.0.1" }), await endpoint.bind({ host: "127.0.0.1" })];
const keyPair = runtime.crypto.keyPair(new Uint8Array(32).fill(1));
const kept: SecretStream[] = [];

/** Opens a pair; resolves when a byte has crossed it each way. */
async function openPair(): Promise<void> {
  const [a, b] = [endpoint.createStream(), endpoint.createStream()];
  a.connect(near, b.id, far.address);
  b.connect(far, a.id, near.address);
  const client = new SecretStream(a, runtime, { isInitiator: true, keyPair });
  const server = new SecretStream(b, runtime, { isInitiator: false, keyPair });
  kept.push(client, server);
  const echoed = Promise.withResolvers<void>();
  const sink = { onDrain() {}, onEnd() {}, onClose() {} };
  server.attach({ ...sink, onData: () => void server.write(Uint8Array.of(2)) });
  client.attach({ ...sink, onData: () => echoed.resolve() });
  server.start();
  client.start();
  client.write(Uint8Array.of(1));
  await echoed.promise;
}

async function openPairs(count: number): Promise<void> {
  for (let left = count; left > 0; left -= AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(left, AT_ONCE) }, openPair));
  }
}

async function residentBytes(): Promise<number> {
  const collect = (globalThis as { gc?: () => void }).gc;
  for (let i = 0; i < 5; i++) {
    collect?.();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return process.memoryUsage().rss;
}

await openPairs(AT_ONCE);
const before = await residentBytes();
await openPairs(PAIRS);
const after = await residentBytes();
const value = Math.max(after - before, 0) / PAIRS / 1000;
const hash = kept.length.toString(16).padStart(8, "0");
console.log(
  JSON.stringify({ case: "idle connection, both ends", unit: "kB", value: Number(value.toFixed(1)), hash }),
);
await endpoint.close();
process.exit(0);
