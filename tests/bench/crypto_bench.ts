/**
 * The cryptography on what connections do all day. `interop/reference/bench_crypto.mjs` does the same work with the
 * reference; equal hashes prove that it is the same. Cases without a note are those of the default provider.
 *
 *     deno run -A tests/bench/crypto_bench.ts [--quick]
 */
import process from "node:process";
import { pathToFileURL } from "node:url";
import { NoiseHandshake, type NoisePattern } from "../../core/crypto/noise.ts";
import { loadCryptoProvider } from "../../core/crypto/provider.ts";
import type { CryptoProvider } from "../../core/runtime/crypto_provider.ts";

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

/** The work of a case: `prepare` is not timed, what it returns is, and its bytes become the hash. */
interface Work {
  readonly name: string;
  readonly operations: number;
  prepare(): () => Uint8Array;
}

/** Label, size in bytes, and operations per unit of scale. */
const SIZES = [["100 B", 100, 200], ["1 KiB", 1024, 80], ["64 KiB", 65536, 3]] as const;
const HASH_SIZES = [["32 B", 32, 500], ["1 KiB", 1024, 100], ["64 KiB", 65536, 3]] as const;

function filled(length: number, value: number): Uint8Array {
  return new Uint8Array(length).fill(value);
}

/** FNV-1a. */
function fnv(bytes: Uint8Array): string {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}

/** Runs the work until it is compiled, then takes the median of five timed runs. */
function measure({ operations, prepare }: Work, quick: boolean): Measurement {
  const rates: number[] = [];
  let hash = "";
  for (let run = 0; run < (quick ? 1 : 8); run++) {
    const timed = prepare();
    const start = performance.now();
    const bytes = timed();
    const elapsed = performance.now() - start;
    hash = fnv(bytes);
    if (quick || run >= 3) rates.push(operations * 1000 / elapsed);
  }
  rates.sort((a, b) => a - b);
  return { value: Math.round(rates[rates.length >> 1]!), hash };
}

/** Calls `body` with 0 to `operations` - 1; `out` is the proof that it happened. */
function loop(name: string, operations: number, out: Uint8Array, body: (i: number) => void): Work {
  return {
    name,
    operations,
    prepare: () => () => {
      for (let i = 0; i < operations; i++) body(i);
      return out;
    },
  };
}

function hashWork(crypto: CryptoProvider, scale: number): Work[] {
  return HASH_SIZES.map(([label, size, share]) => {
    const operations = share * scale;
    const out = new Uint8Array(32);
    const input = filled(size, 1);
    return loop(`blake2b, ${label}`, operations, out, () => crypto.hash(out, [input]));
  });
}

function sealWork(crypto: CryptoProvider, scale: number): Work[] {
  return SIZES.flatMap(([label, size, share]) => {
    const operations = share * scale;
    const [text, key, nonce, ad] = [filled(size, 1), filled(32, 2), filled(12, 3), filled(64, 4)];
    const sealed = new Uint8Array(size + 16);
    crypto.seal("chacha20poly1305", sealed, text, nonce, key, ad);
    const [out, opened] = [new Uint8Array(size + 16), new Uint8Array(size)];
    return [
      loop(
        `seal, ${label}`,
        operations,
        out,
        () => crypto.seal("chacha20poly1305", out, text, nonce, key, ad),
      ),
      loop(`open, ${label}`, operations, opened, () => {
        crypto.open("chacha20poly1305", opened, sealed, nonce, key, ad);
      }),
    ];
  });
}

function streamWork(crypto: CryptoProvider, scale: number): Work[] {
  const [key, header] = [filled(32, 5), filled(24, 6)];
  return SIZES.flatMap(([label, size, share]) => {
    const operations = share * scale;
    function push(): () => Uint8Array {
      const sender = crypto.secretStream(key, header);
      const frame = filled(size + 17, 7);
      const text = frame.subarray(1, -16);
      return () => {
        for (let i = 0; i < operations; i++) sender.push(frame, text);
        return frame;
      };
    }
    function pull(): () => Uint8Array {
      const sender = crypto.secretStream(key, header);
      const receiver = crypto.secretStream(key, header);
      const text = filled(size, 7);
      const frames = Array.from({ length: operations }, () => {
        const frame = new Uint8Array(size + 17);
        sender.push(frame, text);
        return frame;
      });
      return () => {
        let all = 1;
        for (const frame of frames) all &= Number(receiver.pull(frame.subarray(1, -16), frame));
        return Uint8Array.of(all, ...frames[0]!.subarray(1, 65));
      };
    }
    return [
      { name: `secretstream push, ${label}`, operations, prepare: push },
      { name: `secretstream pull, ${label}`, operations, prepare: pull },
    ];
  });
}

function keyWork(crypto: CryptoProvider, scale: number): Work[] {
  const [a, b] = [crypto.keyPair(filled(32, 1)), crypto.keyPair(filled(32, 2))];
  const message = filled(100, 3);
  const signature = crypto.sign(message, a.secretKey);
  const [signed, verified, shared] = [new Uint8Array(64), new Uint8Array(1), new Uint8Array(32)];
  return [
    loop("sign, 100 B", 10 * scale, signed, () => signed.set(crypto.sign(message, a.secretKey))),
    loop("verify, 100 B", 5 * scale, verified, () => {
      verified[0] = Number(crypto.verify(message, signature, a.publicKey));
    }),
    loop("diffie-hellman", 3 * scale, shared, () => shared.set(crypto.dh(a.secretKey, b.publicKey)!)),
  ];
}

function handshakeWork(crypto: CryptoProvider, scale: number, pattern: NoisePattern): Work {
  const [a, b, ephemeralA, ephemeralB] = [1, 2, 3, 4].map((n) => crypto.keyPair(filled(32, n)));
  const hash = new Uint8Array(64);
  return loop(`handshake ${pattern}, both sides`, Math.ceil(scale / 2), hash, () => {
    const common = { pattern, prologue: filled(32, 5) };
    let from = new NoiseHandshake(crypto, {
      ...common,
      initiator: true,
      staticKeyPair: a!,
      ephemeralKeyPair: ephemeralA,
      remotePublicKey: pattern === "IK" ? b!.publicKey : undefined,
    });
    let to = new NoiseHandshake(crypto, {
      ...common,
      initiator: false,
      staticKeyPair: b!,
      ephemeralKeyPair: ephemeralB,
    });
    while (!to.complete) {
      to.recv(from.send());
      [from, to] = [to, from];
    }
    hash.set(to.session!.hash);
  });
}

/** The cases; `quick` makes each so short that it only shows that it still works. */
export async function bench(options: { quick: boolean }): Promise<BenchCase[]> {
  const { quick } = options;
  const scale = quick ? 1 : 100;
  const best = await loadCryptoProvider();
  const wasm = await loadCryptoProvider({ prefer: "wasm" });
  return [...new Set([best, wasm])].flatMap((crypto) =>
    [
      ...hashWork(crypto, scale),
      ...sealWork(crypto, scale),
      ...streamWork(crypto, scale),
      ...keyWork(crypto, scale),
      handshakeWork(crypto, scale, "IK"),
      handshakeWork(crypto, scale, "XX"),
    ].map((work) => ({
      case: crypto === best ? work.name : `${work.name} (wasm)`,
      unit: "op/s",
      run: () => measure(work, quick),
    }))
  );
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  for (const { case: name, unit, run } of await bench({ quick: process.argv.includes("--quick") })) {
    console.log(JSON.stringify({ case: name, unit, ...run() }));
  }
}
