// The work of tests/bench/crypto_bench.ts, done by sodium-native and noise-handshake. Prints the same JSON lines; equal
// hashes = equal work.
//
//     node tests/interop/reference/bench_crypto.mjs [--quick]       deno run -A ... as well
import process from "node:process";
import hypercoreCrypto from "hypercore-crypto";
import curve from "noise-curve-ed";
import Noise from "noise-handshake";
import sodium from "sodium-native";

const quick = process.argv.includes("--quick");
const scale = quick ? 1 : 100;
const sizes = [["100 B", 100, 200], ["1 KiB", 1024, 80], ["64 KiB", 65536, 3]];
const hashSizes = [["32 B", 32, 500], ["1 KiB", 1024, 100], ["64 KiB", 65536, 3]];
const STATE = sodium.crypto_secretstream_xchacha20poly1305_STATEBYTES;

const filled = (length, value) => Buffer.alloc(length, value);

function fnv(bytes) {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}

function report(name, operations, prepare) {
  const rates = [];
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
  console.log(
    JSON.stringify({ case: name, unit: "op/s", value: Math.round(rates[rates.length >> 1]), hash }),
  );
}

const reportLoop = (name, operations, out, body) =>
  report(name, operations, () => () => {
    for (let i = 0; i < operations; i++) body(i);
    return out;
  });

for (const [label, size, share] of hashSizes) {
  const out = filled(32, 0);
  const input = filled(size, 1);
  reportLoop(`blake2b, ${label}`, share * scale, out, () => sodium.crypto_generichash(out, input));
}

for (const [label, size, share] of sizes) {
  const [text, key, nonce, ad] = [filled(size, 1), filled(32, 2), filled(12, 3), filled(64, 4)];
  const [out, opened] = [filled(size + 16, 0), filled(size, 0)];
  reportLoop(`seal, ${label}`, share * scale, out, () => {
    sodium.crypto_aead_chacha20poly1305_ietf_encrypt(out, text, ad, null, nonce, key);
  });
  reportLoop(`open, ${label}`, share * scale, opened, () => {
    sodium.crypto_aead_chacha20poly1305_ietf_decrypt(opened, null, out, ad, nonce, key);
  });
}

const [streamKey, header, tag] = [filled(32, 5), filled(24, 6), filled(1, 0)];
function stream() {
  const state = filled(STATE, 0);
  sodium.crypto_secretstream_xchacha20poly1305_init_pull(state, header, streamKey);
  return state;
}
for (const [label, size, share] of sizes) {
  const operations = share * scale;
  report(`secretstream push, ${label}`, operations, () => {
    const state = stream();
    const frame = filled(size + 17, 7);
    const text = frame.subarray(1, -16);
    return () => {
      for (let i = 0; i < operations; i++) {
        sodium.crypto_secretstream_xchacha20poly1305_push(state, frame, text, null, 0);
      }
      return frame;
    };
  });
  report(`secretstream pull, ${label}`, operations, () => {
    const [sender, receiver] = [stream(), stream()];
    const text = filled(size, 7);
    const frames = Array.from({ length: operations }, () => {
      const frame = filled(size + 17, 0);
      sodium.crypto_secretstream_xchacha20poly1305_push(sender, frame, text, null, 0);
      return frame;
    });
    return () => {
      for (const frame of frames) {
        sodium.crypto_secretstream_xchacha20poly1305_pull(receiver, frame.subarray(1, -16), tag, frame, null);
      }
      return Buffer.from([1, ...frames[0].subarray(1, 65)]);
    };
  });
}

const [a, b, ephemeralA, ephemeralB] = [1, 2, 3, 4].map((n) => hypercoreCrypto.keyPair(filled(32, n)));
const message = filled(100, 3);
const signature = hypercoreCrypto.sign(message, a.secretKey);
const [signed, verified, shared] = [filled(64, 0), filled(1, 0), filled(32, 0)];
reportLoop("sign, 100 B", 10 * scale, signed, () => signed.set(hypercoreCrypto.sign(message, a.secretKey)));
reportLoop("verify, 100 B", 5 * scale, verified, () => {
  verified[0] = Number(hypercoreCrypto.verify(message, signature, a.publicKey));
});
reportLoop("diffie-hellman", 3 * scale, shared, () => shared.set(curve.dh(b.publicKey, a)));

for (const pattern of ["IK", "XX"]) {
  const hash = filled(64, 0);
  reportLoop(`handshake ${pattern}, both sides`, Math.ceil(scale / 2), hash, () => {
    let from = new Noise(pattern, true, a, { curve });
    let to = new Noise(pattern, false, b, { curve });
    // copies, because a finished handshake zeroes its ephemeral key
    from.e = { publicKey: Buffer.from(ephemeralA.publicKey), secretKey: Buffer.from(ephemeralA.secretKey) };
    to.e = { publicKey: Buffer.from(ephemeralB.publicKey), secretKey: Buffer.from(ephemeralB.secretKey) };
    from.initialise(filled(32, 5), pattern === "IK" ? b.publicKey : undefined);
    to.initialise(filled(32, 5));
    while (!to.complete) {
      to.recv(from.send());
      [from, to] = [to, from];
    }
    hash.set(to.hash);
  });
}
